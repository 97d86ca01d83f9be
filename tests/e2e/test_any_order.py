"""The order of files does not matter, nor how many lines a micro-batch takes: the counts are the same bytes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.headrace_run import HeadraceRun
from tests.support.logs import EACH_LOG, hits_of, lines_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.java, pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

PIECES = 10
FILE_TIMEOUT_S = 60.0
FAR_AHEAD = b'10.0.0.1 - - [01/Jan/2099:00:00:00 +0000] "GET /of-the-future HTTP/1.1" 200 100 "-" "clock ahead"'


@pytest.fixture(params=EACH_LOG)
def lines(request: pytest.FixtureRequest) -> list[bytes]:
    return lines_of(request.param)


def cut(lines: list[bytes], folder: Path) -> list[Path]:
    """Write the lines as ten files, each with lines of all times: some of them end within a window."""
    folder.mkdir()
    size = -(-len(lines) // PIECES)
    paths = []
    for number in range(PIECES):
        paths.append(folder / f"access.log.{number}")
        paths[-1].write_bytes(b"".join(line + b"\n" for line in lines[number * size : (number + 1) * size]))
    return paths


def once(folder: Path, files: list[Path], name: str, *options: str) -> tuple[str, bytes]:
    """Run over the files in their order; return what was said about the sum, and the counts."""
    out = folder / f"{name}.jsonl"
    command = [sys.executable, "-m", "headrace.cli.app", "run", "--once", *map(str, files), "--out", str(out)]
    ended = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, out.read_bytes()


def hits(content: bytes) -> Counter[str]:
    found: Counter[str] = Counter()
    for text in content.splitlines():
        row = json.loads(text)
        found[row["url"]] += row["hits"]
    return found


def test_files_in_any_order_give_the_same_bytes(lines: list[bytes], tmp_path: Path) -> None:
    expected = hits_of(lines)
    whole = expected.total()
    files = cut(lines, tmp_path / "pieces")
    said, in_order = once(tmp_path, files, "in-order", "--window", "1h")
    assert said == f"lines read {len(lines):,} = counted {whole:,} + malformed {len(lines) - whole:,} + too old 0\n"
    assert hits(in_order) == expected
    dice = random.Random(1)  # noqa: S311 -- an order, not a secret
    shuffled = dice.sample(files, PIECES)
    assert once(tmp_path, shuffled, "shuffled", "--window", "1h", "--max-events", "500") == (said, in_order)
    _, sliding = once(tmp_path, dice.sample(files, PIECES), "sliding", "--window", "5m", "--slide", "1m")
    assert hits(sliding) == Counter({url: 5 * number for url, number in expected.items()})


def test_a_run_counts_files_of_any_age_and_a_line_of_the_future_harms_none(tmp_path: Path) -> None:
    lines = lines_of("made up")
    files = cut([*lines, FAR_AHEAD], tmp_path / "pieces")
    # The line of the future first, then the files from the newest to the oldest, and all of them a second time.
    order = [*reversed(files), *random.Random(2).sample(files, PIECES)]  # noqa: S311 -- as above
    with HeadraceRun(tmp_path, "--max-events", "500") as run:
        run.wait_ready()
        for number, path in enumerate(order):
            path.with_suffix(f".{number}.tmp").write_bytes(path.read_bytes())
            path.with_suffix(f".{number}.tmp").rename(run.state.spool / f"{path.name}.{number}")
        snapshot = run.wait_counted(2 * (len(lines) + 1))
        assert (snapshot.job.late, snapshot.job.too_old) == (None, 0)
        expected = Counter({url: 2 * number for url, number in hits_of([*lines, FAR_AHEAD]).items()})
        # The file follows the table after its pause, without another line.
        wait_until(lambda: run.counted() == expected, FILE_TIMEOUT_S, "the file to have all counts")
