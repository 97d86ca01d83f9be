"""What a roll-up read, said in files: how many lines of each pane, how many malformed, and the malformed themselves.

A roll-up sends sums to Spark, so the lines behind them can no longer be counted there. Each task therefore leaves a
file before it hands its last rows over::

    <folder>/<log id>/<batch start>-<batch end>/<start>-<end>.json             {"log_id", "start", "end", "events",
                                                                                "malformed", "panes", "pane_us"}
    <folder>/<log id>/<batch start>-<batch end>/<start>-<end>.malformed.jsonl  one dead letter a line

``panes`` maps the start of a pane (microseconds since the epoch) to its number of parsed lines; they and ``malformed``
add up to ``events``, and that is ``end - start`` unless events were lost. Names depend on the range alone and a file
appears whole or not at all, so that a replayed task writes the same files again.
"""

from __future__ import annotations

import json
import os
import uuid
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from spark_job.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import polars as pl

    from spark_job.ranges import Part

DEAD_LETTERS_SUFFIX = ".malformed.jsonl"


@dataclass
class AuditRecord:
    """The content of one audit file."""

    log_id: str
    start: int
    end: int
    pane_us: int
    events: int = 0
    malformed: int = 0
    panes: dict[int, int] = field(default_factory=dict)

    def add(self, events: int, panes: Mapping[int, int]) -> None:
        """Add some events of the range: those that are in no pane are malformed."""
        self.events += events
        self.malformed += events - sum(panes.values())
        for start, lines in panes.items():
            self.panes[start] = self.panes.get(start, 0) + lines


class AuditWriter:
    """Writes the files of one task; use as a context manager, so that a failed task leaves nothing that looks whole."""

    def __init__(self, folder: Path, part: Part, pane_us: int) -> None:
        self.record = AuditRecord(part.log_id, part.start, part.end, pane_us)
        self._folder = _batch_folder(folder, part)
        self._stem = _stem(part)
        self._letters: NewFile | None = None

    def add_dead_letters(self, letters: pl.DataFrame) -> None:
        """Write dead letters to a file that is not visible yet.

        Raises:
            AuditError: the folder cannot be written.
        """
        with _told(self._folder):
            if self._letters is None:
                self._letters = NewFile(self._folder / f"{self._stem}{DEAD_LETTERS_SUFFIX}")
            letters.write_ndjson(self._letters.file)

    def finish(self) -> None:
        """Make the files visible, dead letters first: who sees the record finds them too.

        Raises:
            AuditError: the folder cannot be written.
        """
        record = asdict(self.record) | {"panes": {str(start): n for start, n in sorted(self.record.panes.items())}}
        with _told(self._folder):
            if self._letters is not None:
                self._letters.publish()
            with closing(NewFile(self._folder / f"{self._stem}.json")) as new:
                new.file.write(json.dumps(record, sort_keys=True).encode() + b"\n")
                new.publish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._letters is not None:
            self._letters.close()


class NewFile:
    """A file that appears under its name whole, or not at all, even when the power fails."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        self.file = self._temporary.open("wb")

    def publish(self) -> None:
        """Make what was written durable, then visible."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self._temporary.replace(self._path)
        _sync_folder(self._path.parent)

    def close(self) -> None:
        """Drop the file, unless it was published."""
        self.file.close()
        self._temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, parts: Iterable[Part]) -> None:
    """Remove from a planned batch's folders what its tasks will not write: parts of another plan, unfinished files.

    Raises:
        AuditError: a folder cannot be changed.
    """
    expected: dict[Path, set[str]] = {}
    for part in parts:
        names = {f"{_stem(part)}.json", f"{_stem(part)}{DEAD_LETTERS_SUFFIX}"}
        expected.setdefault(_batch_folder(folder, part), set()).update(names)
    for batch, names in expected.items():
        with _told(batch):
            for path in batch.iterdir() if batch.is_dir() else ():
                if path.name not in names:
                    path.unlink(missing_ok=True)


def _batch_folder(folder: Path, part: Part) -> Path:
    return folder / part.log_id / f"{part.whole.start}-{part.whole.end}"


def _stem(part: Part) -> str:
    return f"{part.start}-{part.end}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AuditError(f"option audit: {folder}: {error.strerror or error}") from error
