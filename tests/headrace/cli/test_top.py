"""``headrace top``: what it prints, for people and for machines, and that a URL cannot steer the terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from headrace.cli.top import lines_of
from headrace.common.text import EPOCH
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.sinks.database import parse_database_url
from spark_job.sinks.database.counts_copy import CountsCopySink
from spark_job.sinks.database.top_urls import Ranked, Ranking
from tests.support.counts import entry, store

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = [(0, "/a", 6), (0, "/b", 2), (1, "/b", 7), (1, "/missing", 2), (1, "/a", 1)]
TABLE = """\
1970-01-01 00:01:00 to 1970-01-01 00:02:00 UTC   10 hits   3 URLs
    #  before      hits   share  errors     bytes  URL
    1      +1         7   70.0%    0.0%     700 B  /b
    2     new         2   20.0%  100.0%     200 B  /missing
    3      -2         1   10.0%    0.0%     100 B  /a
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with two minutes of counts, and a copy of them in a database beside it."""
    (tmp_path / "state" / "job").mkdir(parents=True)
    with CountsTable(tmp_path / "state" / "job" / "counts.db") as table:
        store(table, entry(0, 0, 18), COUNTS)
        with closing(CountsCopySink(parse_database_url(f"sqlite:///{tmp_path / 'mirror.db'}"), table)):
            return tmp_path / "state"


def top(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headrace.cli.app", "top", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_table_is_the_same_from_both_sides(state: Path) -> None:
    embedded = top("--state", str(state))
    assert (embedded.returncode, embedded.stdout, embedded.stderr) == (0, TABLE, "")
    mirrored = top("--from", f"sqlite:///{state.parent / 'mirror.db'}")
    assert (mirrored.returncode, mirrored.stdout) == (0, TABLE)


def test_json_has_the_numbers_behind_the_table(state: Path) -> None:
    found = json.loads(top("--state", str(state), "--json", "--top", "1").stdout)
    (first,) = found.pop("top")
    assert found == {
        "start": "1970-01-01T00:01:00Z",
        "end": "1970-01-01T00:02:00Z",
        "hits": 10,
        "urls": 3,
        "hits_before": 8,
    }
    assert first == {
        "rank": 1,
        "url": "/b",
        "hits": 7,
        "share": 0.7,
        "error_rate": 0.0,
        "errors": 0,
        "bytes": 700,
        "rank_before": 2,
        "rank_change": 1,
    }


def test_a_stretch_and_a_time_can_be_asked_for(state: Path) -> None:
    whole = top("--state", str(state), "--last", "2m")
    assert whole.stdout.splitlines()[0] == "1970-01-01 00:00:00 to 1970-01-01 00:02:00 UTC   18 hits   3 URLs"
    assert whole.stdout.splitlines()[2] == "    1                 9   50.0%    0.0%     900 B  /b"
    first = top("--state", str(state), "--at", "1970-01-01T01:00:30+01:00")
    assert first.stdout.splitlines()[0] == "1970-01-01 00:00:00 to 1970-01-01 00:01:00 UTC   8 hits   2 URLs"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--state", "/nowhere"], 1, "/nowhere has no counts; `headrace run` makes them"),
        (["--last", "soon"], 2, "--last soon: not a length of time"),
        (["--at", "noon"], 2, "--at noon: write it like 2015-01-05T08:00:00Z"),
        (["--from", "postgres://db/counts"], 2, "did you mean postgresql://?"),
        (["--from", "postgresql://u:secret@db/counts"], 2, "can see a password in a URL"),
        (["--from", "sqlite:////nowhere.db"], 1, "the file does not exist"),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_sentence(options: list[str], code: int, said: str) -> None:
    done = top(*options)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "secret" not in done.stderr


def test_a_url_cannot_steer_the_terminal() -> None:
    nasty = "/\x1b[2J\x1b]0;title\x07\u202e" + "long" * 100
    ranking = Ranking(EPOCH, EPOCH, 1, 1, 1, [Ranked(1, nasty, 1, 0, 0, 1)])
    *_, (_, line) = lines_of(ranking, 100)
    assert line.isprintable()
    assert len(line) <= 100
    assert "/\\x1b[2J" in line
    assert line.split()[1] == "="
