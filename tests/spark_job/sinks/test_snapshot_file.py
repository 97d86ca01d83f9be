"""A snapshot replaces its file whole, now or later; a reader never sees half of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.common.files import replacing
from spark_job.errors import SinkError, sink_errors
from spark_job.sinks.snapshot_file import SnapshotFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    """Time that only the work itself lets pass."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Table:
    """Lines of a table that takes a second to read."""

    def __init__(self, clock: Clock) -> None:
        self.rows = ["a\n"]
        self._clock = clock

    def lines(self) -> Iterator[str]:
        self._clock.now_s += 1.0
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
