"""A snapshot replaces its file whole, now or later, and no change is forgotten, whichever thread writes it."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from headrace.common.files import replacing
from spark_job.errors import SinkError, sink_errors
from spark_job.sinks.snapshot_file import SnapshotFile
from tests.support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONGEST_WAIT_S = 30.0


class Table:
    """Lines of a table that takes some time to read."""

    def __init__(self, clock: Clock, cost_s: float = 1.0) -> None:
        self.rows = ["a\n"]
        self._clock = clock
        self._cost_s = cost_s

    def lines(self) -> Iterator[str]:
        self._clock.now_s += self._cost_s
        yield from self.rows


def test_a_snapshot_waits_nine_times_as_long_as_the_last_one_took(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "out"
    table = Table(clock)
    snapshot = SnapshotFile(path, table.lines, clock)
    assert not path.exists(), "a table without a change is not written before the end"
    snapshot.write_if_due()
    assert path.read_text() == "a\n", "what an earlier process left is not trusted"
    table.rows.append("\xe4\n")
    snapshot.mark_changed()
    clock.now_s += 8.9
    snapshot.write_if_due()
    assert path.read_text() == "a\n"
    clock.now_s += 0.2
    snapshot.write_if_due()
    assert path.read_text(encoding="utf-8") == "a\n\xe4\n"


def test_a_table_that_takes_minutes_rests_for_ten_seconds(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "out"
    table = Table(clock, cost_s=240.0)
    snapshot = SnapshotFile(path, table.lines, clock)
    snapshot.write_if_due()
    table.rows.append("b\n")
    snapshot.mark_changed()
    clock.now_s += 9.9
    snapshot.write_if_due()
    assert path.read_text() == "a\n"
    clock.now_s += 0.2
    snapshot.write_if_due()
    assert path.read_text() == "a\nb\n"


class SlowTable:
    """Lines of a table whose reader stops after the first, until the test lets it go on."""

    def __init__(self) -> None:
        self.rows = ["a\n"]
        self.reading, self.may_end = Event(), Event()

    def lines(self) -> Iterator[str]:
        read = list(self.rows)
        self.reading.set()
        assert self.may_end.wait(LONGEST_WAIT_S)
        yield from read


def thread_of(function: Callable[[], None]) -> Thread:
    thread = Thread(target=function)
    thread.start()
    return thread


def joined(thread: Thread) -> None:
    thread.join(LONGEST_WAIT_S)
    assert not thread.is_alive()


def test_a_change_while_a_snapshot_is_read_is_not_forgotten(tmp_path: Path) -> None:
    path, table = tmp_path / "out", SlowTable()
    snapshot = SnapshotFile(path, table.lines, lambda: 0.0)
    writing = thread_of(snapshot.write_if_due)
    assert table.reading.wait(LONGEST_WAIT_S)
    table.rows.append("b\n")
    snapshot.mark_changed()
    snapshot.write_if_due()
    assert not path.exists(), "neither call waits for the snapshot, and no second one is begun"
    table.may_end.set()
    joined(writing)
    assert path.read_text() == "a\n"
    snapshot.write_if_due()
    assert path.read_text() == "a\nb\n"


def test_closing_waits_for_a_snapshot_and_writes_what_it_lacks(tmp_path: Path) -> None:
    path, table = tmp_path / "out", SlowTable()
    snapshot = SnapshotFile(path, table.lines, lambda: 0.0)
    writing = thread_of(snapshot.write_if_due)
    assert table.reading.wait(LONGEST_WAIT_S)
    table.rows.append("b\n")
    snapshot.mark_changed()
    closing = thread_of(snapshot.close)
    table.may_end.set()
    joined(writing)
    joined(closing)
    assert path.read_text() == "a\nb\n"


def test_what_could_not_be_written_is_written_by_the_next_try(tmp_path: Path) -> None:
    path = tmp_path / "none" / "file"
    snapshot = SnapshotFile(path, lambda: ["a\n"], lambda: 0.0)
    for write in (snapshot.write_if_due, snapshot.close):
        with pytest.raises(SinkError, match="none/file: cannot be written: No such file"):
            write()
    path.parent.mkdir()
    snapshot.write_if_due()
    assert path.read_text() == "a\n"


def test_closing_writes_what_was_put_off_and_nothing_else(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "out"
    table = Table(clock)
    snapshot = SnapshotFile(path, table.lines, clock)
    snapshot.write()
    written = path.stat().st_ino
    clock.now_s += 100
    snapshot.write_if_due()
    snapshot.close()
    assert path.stat().st_ino == written, "nothing has changed"
    table.rows = ["b\n"]
    snapshot.mark_changed()
    snapshot.close()
    assert path.read_text() == "b\n"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"half", "not bytes"])  # type: ignore[list-item]  # an error in the middle of writing
    assert path.read_bytes() == b"old"
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_a_sink_error(tmp_path: Path) -> None:
    with (
        pytest.raises(SinkError, match="none/file: cannot be written: No such file"),
        sink_errors(tmp_path / "none" / "file"),
        replacing(tmp_path / "none" / "file"),
    ):
        pass
    with pytest.raises(SinkError, match="none/file: cannot be written: No such file"):
        SnapshotFile(tmp_path / "none" / "file", lambda: ["a\n"]).write()
