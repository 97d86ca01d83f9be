"""What stages leave behind: the last message of a dead process, and JSON files that may be half written."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import StageRefused
from headrace.local.child_process import ChildProcess
from headrace.local.stage_output import exit_failure, last_message, parse_json, read_json

if TYPE_CHECKING:
    from pathlib import Path

SAYS_AND_ENDS = "import sys; sys.stderr.write(sys.argv[1]); sys.exit(int(sys.argv[2]))"


def ended(tmp_path: Path, said: str, code: int) -> ChildProcess:
    child = ChildProcess([sys.executable, "-c", SAYS_AND_ENDS, said, str(code)], tmp_path / "stage.log", os.environ)
    assert child.wait(30)
    return child


@pytest.mark.parametrize(
    ("said", "code", "failure", "final"),
    [
        ("warming up\nerror: no room\n", 1, "ended with exit code 1: error: no room", False),
        ("avro_bridge: bridge.toml: log.folder: unknown key\n", 2, "refused its configuration: avro_bridge: ", True),
        (
            '{"level": "error", "msg": "log damaged"}\n{"level": "info", "msg": "bye"}\n',
            1,
            "code 1: log damaged",
            False,
        ),
        ("", 0, "ended with exit code 0", False),
        ("\x1b]0;evil\x07\n", 1, "\N{REPLACEMENT CHARACTER}]0;evil", False),
    ],
)
def test_an_end_is_told_with_its_cause(tmp_path: Path, said: str, code: int, failure: str, final: bool) -> None:  # noqa: FBT001
    child = ended(tmp_path, said, code)
    told = exit_failure(child)
    child.end(0)
    assert told is not None
    assert failure in told.text
    assert told.final is (StageRefused if final else None)


def test_a_living_process_has_no_failure_and_a_killed_one_names_the_signal(tmp_path: Path) -> None:
    child = ChildProcess([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log", os.environ)
    assert exit_failure(child) is None
    child.signal(signal.SIGKILL)
    assert child.wait(30)
    told = exit_failure(child)
    child.end(0)
    assert told is not None
    assert told.text == "was killed by signal 9"


@given(st.lists(st.text(max_size=400), max_size=5))
def test_the_last_message_is_one_harmless_bounded_line(lines: list[str]) -> None:
    message = last_message(lines)
    assert len(message) <= 300
    assert "\n" not in message
    assert "\x1b" not in message


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_an_object_is_read_back_and_every_cut_of_it_is_none(value: dict[str, object]) -> None:
    text = json.dumps(value)
    assert parse_json(text) == value
    assert [parse_json(text[:end]) for end in range(len(text))] == [None] * len(text)


@pytest.mark.parametrize("content", [b"", b"[1]", b"3", b"null", b"{", b"\xff{}"])
def test_a_file_without_an_object_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "progress.json").write_bytes(content)
    assert read_json(tmp_path / "progress.json") is None
    assert read_json(tmp_path / "missing.json") is None
