"""Sums per pane and request target, from Arrow's buffers: the arrays that the kernels fill, and their growth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import pyarrow as pa

from spark_job.http_status import FIRST_ERROR_STATUS
from spark_job.parse.kernels import line_ends, line_times, scan, sums
from spark_job.parse.kernels.loads import loads_of
from spark_job.parse.schema import TIME_TYPE
from spark_job.parse.urls import UrlRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spark_job.blocks import Blocks
    from spark_job.parse.kernels.line_form import LineForm

    Numbers = NDArray[np.int64]

LINES_AT_ONCE: Final = 4096
"""So many lines go through one kernel and then the other, so that what passes between them stays in the CPU cache."""

_NO_TIMES: Final = np.empty(0, np.int64)
_BEFORE_ALL_TIMES: Final = int(np.iinfo(np.int64).min)
FIRST_BYTES: Final = 1 << 16
FIRST_ROWS: Final = 2 * LINES_AT_ONCE
"""A power of two, and two rounds of lines: doubling always makes room for one more round."""


@dataclass(frozen=True)
class LeftLines:
    """Lines of blocks that the kernels left.

    Attributes:
        numbers: which lines of the blocks they are, counted from 0.
        blocks: the number of each one's block.
        content: the lines, one after the other.
        lengths: how many bytes each one has.
    """

    numbers: Numbers
    blocks: Numbers
    content: NDArray[np.uint8]
    lengths: Numbers


class SumArrays:
    """Adds up the lines of one form that the kernels take.

    Args:
        form: the form of the lines.
        rule: the rule that makes URLs of request targets.
        pane_us: length of a pane in microseconds.
        open_from_us: lines of earlier times are left to the parser; None to take lines of all times.
    """

    def __init__(self, form: LineForm, rule: UrlRule, pane_us: int, open_from_us: int | None = None) -> None:
        self._form = (
            (scan.WITH_SERVER if form.server else 0)
            | (scan.WITH_HEADERS if form.headers else 0)
            | (scan.MAY_GO_ON if form.may_go_on else 0)
        )
        self._rule = rule
        # A rule that drops the query needs targets without it only, and these are fewer.
        self._query = ord("#") if rule is UrlRule.FULL else ord("?")
        self._pane_us = pane_us
        self._oldest_us = _BEFORE_ALL_TIMES if open_from_us is None else open_from_us
        self._found = np.empty((LINES_AT_ONCE, scan.FOUND_COLUMNS), np.int64)
        self._left = np.empty(LINES_AT_ONCE, np.int64)
        self._clear()

    def _clear(self) -> None:
        self._used = np.zeros(sums.COUNTERS, np.int64)
        self._kept = np.empty(FIRST_BYTES, np.uint8)
        self._kept_loads = loads_of(self._kept)
        self._targets = np.empty((FIRST_ROWS, sums.TARGET_COLUMNS), np.int64)
        self._sums = np.empty((FIRST_ROWS, sums.SUM_COLUMNS), np.int64)
        self._target_slots = np.full(2 * FIRST_ROWS, sums.EMPTY, np.int32)
        self._sum_slots = np.full(2 * FIRST_ROWS, sums.EMPTY, np.int32)

    @property
    def kept_bytes(self) -> int:
        """Number of bytes of the targets."""
        return int(self._used[sums.BYTES_USED])

    @property
    def rows(self) -> int:
        """Number of sums: pairs of pane and target."""
        return int(self._used[sums.SUMS_USED])

    def add(self, lines: pa.BinaryArray, arrived_us: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Add lines up, and return the row numbers of those that the kernels left.

        Args:
            lines: the lines, without their line feeds.
            arrived_us: the time to count each line by; None to count by the time in it.
        """
        if lines.null_count:
            return np.arange(len(lines))
        _, offsets, content = lines.buffers()
        if not len(lines) or content is None:
            return np.arange(len(lines))
        data = np.frombuffer(content, np.uint8)
        loads = loads_of(data)
        # A slice of an Arrow array shares the buffers of the whole one.
        offsets = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1]
        left = []
        for first in range(0, len(lines), LINES_AT_ONCE):
            some = offsets[first : first + LINES_AT_ONCE + 1]
            arrived = _NO_TIMES if arrived_us is None else arrived_us[first : first + len(some) - 1]
            # Not the last minus the first: offsets from the network may be in any order, and the kernel checks no
            # bounds.
            left.append(first + self._add(data, loads, some[:-1], some[1:], int(some.max()) - int(some.min()), arrived))
        return np.concatenate(left)

    def add_blocks(self, blocks: Blocks, *, by_arrival: bool) -> LeftLines:
        """Add the lines of blocks up, and return those that the kernels left.

        Args:
            blocks: the blocks; their bounds and columns were checked.
            by_arrival: count each line by the time at which its block was received, not by the time in it.

        Raises:
            BridgeRefused: a block has another number of lines than the bridge says.
        """
        loads = loads_of(blocks.data)
        reached = np.array([0, blocks.bounds[0]], np.int64)
        counted = np.zeros(len(blocks.counts), np.int64)
        starts, stops, rows = np.empty((3, LINES_AT_ONCE), np.int32)
        first = 0
        parts = []
        any_cut = bool(blocks.is_cut.any())
        while reached[line_ends.REACHED_BLOCK] < len(blocks.counts):
            count = line_ends.find_lines(
                blocks.data, loads, blocks.bounds, blocks.is_cut, reached, counted, starts, stops, rows
            )
            arrived = blocks.received[rows[:count]] if by_arrival else _NO_TIMES
            size = int(stops[count - 1]) - int(starts[0])
            # A cut line may begin as a whole one is written: it is not looked at.
            seen = np.where(blocks.is_cut[rows[:count]], starts[:count], stops[:count]) if any_cut else stops[:count]
            left = self._add(blocks.data, loads, starts[:count], seen, size, arrived)
            parts.append(np.stack([first + left, rows[left], starts[left], stops[left]]))
            first += count
        blocks.require_counts(counted)
        numbers, in_blocks, from_, to = np.ascontiguousarray(np.concatenate(parts, axis=1))
        content = np.empty(int((to - from_).sum()), np.uint8)
        line_ends.copy_lines(blocks.data, from_, to, content)
        return LeftLines(numbers, in_blocks, content, to - from_)

    def _add(
        self,
        data: NDArray[np.uint8],
        loads: NDArray[np.uint64],
        starts: NDArray[np.int32],
        stops: NDArray[np.int32],
        size: int,
        arrived_us: Numbers,
    ) -> Numbers:
        """Add a round of lines up, whose targets have ``size`` bytes at most; return the numbers of the others."""
        found = self._found[: len(starts)]
        self._make_room(len(found), size)
        line_times.find_times(data, loads, starts, stops, self._form, found)
        scan.scan(data, loads, self._form, self._query, FIRST_ERROR_STATUS, found)
        count = sums.add(
            data,
            loads,
            found,
            arrived_us,
            self._pane_us,
            self._oldest_us,
            self._kept,
            self._kept_loads,
            self._targets,
            self._target_slots,
            self._sums,
            self._sum_slots,
            self._used,
            self._left,
        )
        return self._left[:count].copy()

    def take(self) -> pl.DataFrame:
        """Return the sums with the columns of :func:`.rollup.roll_up`, and start from zero.

        Several rows may have the same pane and URL, since the rule may make one URL of several targets.
        """
        targets = self._targets[: self._used[sums.TARGETS_USED]]
        rows = self._sums[: self.rows]
        offsets = np.append(targets[:, sums.TARGET_PLACE], self._used[sums.BYTES_USED])
        texts = pa.LargeStringArray.from_buffers(len(targets), pa.py_buffer(offsets), pa.py_buffer(self._kept))
        urls = pl.select(self._rule.expression(pl.lit(pl.Series("url", texts)))).to_series()
        made = pl.DataFrame(
            {
                "time": pl.Series(rows[:, sums.SUM_LATEST_US]).cast(TIME_TYPE),
                "url": urls.gather(rows[:, sums.SUM_TARGET]),
                "hits": rows[:, sums.SUM_HITS],
                "bytes": rows[:, sums.SUM_BYTES],
                "errors": rows[:, sums.SUM_ERRORS],
            }
        )
        self._clear()
        return made

    def _make_room(self, lines: int, size: int) -> None:
        """Grow the arrays so that ``lines`` more rows and ``size`` more bytes fit."""
        targets, used_bytes, rows = (int(used) for used in self._used)
        if used_bytes + size > len(self._kept):
            self._kept = np.concatenate([self._kept, np.empty(max(size, used_bytes), np.uint8)])
            self._kept_loads = loads_of(self._kept)
        if targets + lines > len(self._targets):
            self._targets = np.concatenate([self._targets, np.empty_like(self._targets)])
            self._target_slots = _slots(self._targets, self._targets[:targets, sums.TARGET_HASH])
        if rows + lines > len(self._sums):
            self._sums = np.concatenate([self._sums, np.empty_like(self._sums)])
            self._sum_slots = _slots(self._sums, self._sums[:rows, sums.SUM_HASH])


def _slots(rows: NDArray[np.int64], hashes: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return a hash table with two slots per row, filled with the rows that have ``hashes``."""
    slots = np.full(2 * len(rows), sums.EMPTY, np.int32)
    sums.fill_slots(np.ascontiguousarray(hashes), slots)
    return slots
