"""The audit files: for each task, how many lines of each pane it read, and the lines that are not counted.

A source that sends sums to Spark, or a query that filters lines, leaves no way to count the lines behind a result. So
each task writes what it read to a file before it hands its last rows over::

    <folder>/<log id>/<batch start>-<batch end>/<start>-<end>.json             {"log_id", "start", "end", "events",
                                                                                "malformed", "too_old", "panes",
                                                                                "pane_us"}
    <folder>/<log id>/<batch start>-<batch end>/<start>-<end>.malformed.jsonl  one dead letter a line

``panes`` maps the start of a pane (microseconds since the epoch) to its number of counted lines. The other lines do not
parse (``malformed``) or belong to closed windows only (``too_old``, see :mod:`.open_panes`). All these numbers add up
to ``events``; that is ``end - start`` unless events were lost. The dead letters are the malformed and the too old
lines, and each says why it is one; that of a line too long to be shipped whole has ``cut_length``, the bytes of the
line. A file written before ``too_old`` existed lacks that number, which is then 0.

A file's name depends on the range alone, and a file appears whole or not at all: a task that runs again writes the same
files again.
"""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from headrace.common.files import NewFile
from spark_job.blocks import CUT_LENGTH
from spark_job.errors import AccountingError, AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import polars as pl

    from spark_job.ranges import LogRange, Part

DEAD_LETTERS_SUFFIX: Final = ".malformed.jsonl"


@dataclass
class AuditRecord:
    """The content of one audit file: what one task read of the range ``start <= offset < end`` of a log.

    Attributes:
        log_id: the log.
        start: first offset of the range.
        end: the offset after the last one.
        pane_us: length of the panes.
        events: lines that were read; fewer than the range has only where data loss was allowed.
        malformed: those that do not parse.
        too_old: those that parse, but whose windows were all closed.
        panes: number of the others by the start of their pane, in microseconds since the epoch.
    """

    log_id: str
    start: int
    end: int
    pane_us: int
    events: int = 0
    malformed: int = 0
    too_old: int = 0
    panes: dict[int, int] = field(default_factory=dict)

    def add(self, events: int, panes: Mapping[int, int], too_old: int = 0) -> None:
        """Add some lines of the range: those that are neither in a pane nor too old are malformed."""
        self.events += events
        self.malformed += events - too_old - sum(panes.values())
        self.too_old += too_old
        for start, lines in panes.items():
            self.panes[start] = self.panes.get(start, 0) + lines

    def as_bytes(self) -> bytes:
        """Return the content of the file."""
        fields = asdict(self) | {"panes": {str(start): lines for start, lines in sorted(self.panes.items())}}
        return json.dumps(fields, sort_keys=True).encode() + b"\n"

    @classmethod
    def read(cls, path: Path) -> AuditRecord:
        """Read one audit file.

        Raises:
            AccountingError: it is damaged, or its lines do not add up to its range.
        """
        try:
            fields = json.loads(path.read_bytes())
            record = cls(
                log_id=str(fields["log_id"]),
                start=int(fields["start"]),
                end=int(fields["end"]),
                pane_us=int(fields["pane_us"]),
                events=int(fields["events"]),
                malformed=int(fields["malformed"]),
                too_old=int(fields.get("too_old", 0)),
                panes={int(start): int(lines) for start, lines in fields["panes"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise AccountingError(f"{path}: not an audit file: {error}") from None
        added_up = record.malformed + record.too_old + sum(record.panes.values())
        if added_up != record.events or record.events > record.end - record.start:
            raise AccountingError(
                f"{path}: the audit's lines do not add up: {added_up} in panes, malformed or too old, "
                f"{record.events} events, range {record.start} to {record.end}"
            )
        return record


class AuditWriter:
    """Writes the files of one task; use it as a context manager, so that a failed task leaves nothing that looks whole.

    Args:
        folder: the folder that the source got as its option ``audit``.
        part: what the task reads.
        pane_us: length of the panes that lines are counted in.
    """

    def __init__(self, folder: Path, part: Part, pane_us: int) -> None:
        self.record = AuditRecord(part.log_id, part.start, part.end, pane_us)
        self._folder = _batch_folder(folder, part.whole)
        self._stem = _stem(part)
        self._letters: NewFile | None = None

    def add_dead_letters(self, lines: pl.DataFrame) -> None:
        """Write lines that are not counted to a file that is not visible yet.

        Args:
            lines: ``offset``, ``received``, ``error`` (why it is not counted), ``raw`` (the line), and perhaps
                ``cut_length`` (not null in a line of which the bridge has only the beginning).

        Raises:
            AuditError: the folder cannot be written.
        """
        import polars as pl

        letters = lines.select(
            pl.lit(self.record.log_id).alias("log_id"),
            "offset",
            pl.col("received").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
            "error",
            "raw",
            *({CUT_LENGTH} & set(lines.columns)),
        )
        with _audit_errors(self._folder):
            if self._letters is None:
                self._letters = self._new_file(DEAD_LETTERS_SUFFIX)
            for part in _with_and_without_length(letters):
                part.write_ndjson(self._letters.file)

    def finish(self) -> None:
        """Make the files visible.

        Raises:
            AuditError: the folder cannot be written.
        """
        with _audit_errors(self._folder):
            # Dead letters first: whoever sees the record finds them too.
            if self._letters is not None:
                self._letters.publish()
            with closing(self._new_file(".json")) as new:
                new.file.write(self.record.as_bytes())
                new.publish()

    def _new_file(self, suffix: str) -> NewFile:
        self._folder.mkdir(parents=True, exist_ok=True)
        return NewFile(self._folder / f"{self._stem}{suffix}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._letters is not None:
            self._letters.close()


def _with_and_without_length(letters: pl.DataFrame) -> list[pl.DataFrame]:
    """Return dead letters in order, cut wherever a letter with a length follows one without, or the other way round."""
    if CUT_LENGTH not in letters.columns:
        return [letters]
    numbered = letters.with_columns(letters[CUT_LENGTH].is_not_null().rle_id().alias("run"))
    runs = numbered.partition_by("run", maintain_order=True, include_key=False)
    return [run.drop(CUT_LENGTH) if run[CUT_LENGTH].null_count() else run for run in runs]


def read_audit(folder: Path, wanted: LogRange, pane_us: int, *, allow_loss: bool = False) -> Iterator[AuditRecord]:
    """Yield the records of a range in order, after the check that they join, cover the range and lost nothing.

    Raises:
        AccountingError: a file is missing, damaged, or does not cover the range exactly once.
    """
    batch = _folder_of_what_is_left(folder, wanted) if allow_loss else _batch_folder(folder, wanted)
    reached = wanted.start
    for record in sorted(map(AuditRecord.read, batch.glob("*.json")), key=lambda record: record.start):
        gap = record.start > reached or record.events < record.end - record.start
        if record.start < reached or (gap and not allow_loss):
            raise AccountingError(
                f"{batch}: the audit files cover the range up to offset {reached}; the next one has {record.events} "
                f"events of the range {record.start} to {record.end}"
            )
        if record.log_id != wanted.log_id or record.pane_us != pane_us:
            raise AccountingError(
                f"{batch}: an audit file is of log {record.log_id} with panes of {record.pane_us} us, not of log "
                f"{wanted.log_id} with panes of {pane_us} us"
            )
        reached = record.end
        yield record
    if reached > wanted.end or (reached < wanted.end and not allow_loss):
        raise AccountingError(f"{batch}: the audit files end at offset {reached}, the micro-batch ends at {wanted.end}")


def remove_leftovers(folder: Path, parts: Iterable[Part]) -> None:
    """Remove from a planned micro-batch's folders what its tasks will not write: parts of another plan, partial files.

    Raises:
        AuditError: a folder cannot be changed.
    """
    expected: dict[Path, set[str]] = {}
    for part in parts:
        names = {f"{_stem(part)}.json", f"{_stem(part)}{DEAD_LETTERS_SUFFIX}"}
        expected.setdefault(_batch_folder(folder, part.whole), set()).update(names)
    for batch, names in expected.items():
        with _audit_errors(batch):
            for path in batch.iterdir() if batch.is_dir() else ():
                if path.name not in names:
                    path.unlink(missing_ok=True)


def _batch_folder(folder: Path, whole: LogRange) -> Path:
    return folder / whole.log_id / f"{whole.start}-{whole.end}"


def _folder_of_what_is_left(folder: Path, wanted: LogRange) -> Path:
    """Return the folder that the tasks of a range wrote to, even if the beginning of the range was lost.

    The tasks name the folder after what was left of the range, which may be less each time that the micro-batch runs.
    """
    found = (int(path.name.partition("-")[0]) for path in (folder / wanted.log_id).glob(f"*-{wanted.end}"))
    # The last run found the least: its folder starts latest.
    newest = max((start for start in found if start > wanted.start), default=wanted.start)
    return folder / wanted.log_id / f"{newest}-{wanted.end}"


def _stem(part: Part) -> str:
    return f"{part.start}-{part.end}"


@contextmanager
def _audit_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AuditError(f"option audit: {folder} cannot be written: {error.strerror or error}") from error
