"""``headrace log``: which folder is meant, and what is printed of a real log, sound and damaged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from avro_bridge.errors import BridgeError
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings
from headrace.cli.app import app
from headrace.cli.log import log_folder
from headrace.errors import UsageError
from tests.support.log_helpers import MIB, edit_batch, identified

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = 5
runner = CliRunner()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder whose one log holds a batch of three events and a batch of two."""
    folder = tmp_path / "bridge" / "data" / "0"
    with Log.open(folder, LogSettings(max_bytes=8 * MIB)) as log:
        log.append([identified(["a", "b", "c"]), identified(["d", "e"])])
    return tmp_path


def test_the_only_log_of_a_state_folder_needs_no_name(state: Path) -> None:
    data = state / "bridge" / "data"
    assert log_folder(None, state) == data / "0"
    assert log_folder(data / "0", state / "elsewhere") == data / "0"
    (data / "1").mkdir()
    with pytest.raises(UsageError, match="holds 2 logs: name one"):
        log_folder(None, state)
    with pytest.raises(UsageError, match="no such folder"):
        log_folder(data / "7", state)


def test_a_sound_log_is_told_with_its_numbers(state: Path) -> None:
    said = runner.invoke(app, ["log", "verify", "--state", str(state)])
    assert said.exit_code == 0
    assert "offsets 0 to 5" in said.output
    assert "5 events in 2 batches" in said.output
    assert said.output.splitlines()[-1] == "the log is whole"
    report = json.loads(runner.invoke(app, ["log", "verify", "--state", str(state), "--json"]).output)
    assert (report["events"], report["damaged"]) == (EVENTS, [])


def test_a_damaged_range_is_named_and_the_rest_is_shown(state: Path) -> None:
    edit_batch(state / "bridge" / "data" / "0", 3, lambda value: value[:-1] + bytes([value[-1] ^ 1]))
    said = runner.invoke(app, ["log", "verify", "--state", str(state)])
    assert said.exit_code == 1
    assert "DAMAGED offsets 3 to 4" in said.output
    assert said.output.splitlines()[-1] == "the log is not whole"
    dumped = runner.invoke(app, ["log", "dump", "--state", str(state)])
    assert dumped.exit_code == 1
    first, second = map(json.loads, dumped.output.splitlines())
    assert first["first_offset"] == 0
    assert second["first"] == 3


def test_a_range_of_events_is_dumped_with_as_much_of_the_bodies_as_was_asked_for(state: Path) -> None:
    said = runner.invoke(
        app, ["log", "dump", "--state", str(state), "--events", "--start", "1", "--end", "4", "--body", "9"]
    )
    assert said.exit_code == 0
    found = [json.loads(line) for line in said.output.splitlines()]
    assert [(each["offset"], each["body"]) for each in found] == [(1, "b"), (2, "c"), (3, "d")]


def test_a_range_outside_of_the_log_is_an_error(state: Path) -> None:
    said = runner.invoke(app, ["log", "dump", "--state", str(state), "--start", "99", "--end", "100"])
    assert isinstance(said.exception, BridgeError)
