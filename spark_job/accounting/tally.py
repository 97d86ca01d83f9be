"""The sum over all micro-batches: *lines read = counted + malformed + late + too old + open*.

Each term is counted independently of the others:

==========  ==========================================================================================================
term        comes from
==========  ==========================================================================================================
read        the offset ranges of the micro-batches, from Spark's checkpoint, without the events that were lost
malformed   the audit files, which the readers write beside the rows that they return
late        the audit's lines per pane, compared with the watermark that Spark used (:mod:`.lateness`)
counted     the hits in the results table, that is, what Spark itself computed
too old     the audit: lines of windows that the retention of the results table has closed
open        the rest, but only where results are stored when they are final
==========  ==========================================================================================================

A job has a watermark, which makes lines late, or retention, which makes them too old, or neither.

**Lines that miss some of their windows.** With overlapping windows a line can be too late for the older windows and in
time for the newer ones. It counts as counted, and each window that it missed is one *missed pair*. With ``k`` windows
per line::

    hits in the table  =  k * counted  -  missed pairs          hence  counted = (hits + missed) / k

**Results that are stored when they are final.** In append mode Spark keeps a line until nothing can change its result.
Until then the line is neither counted nor late, but *open*. Open lines are what is left of the sum, so only the end of
a bounded run, where nothing is open, can tell them from lost ones.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tally:
    """The terms of the sum over all micro-batches so far; the module's head says where each comes from.

    Attributes:
        read: lines that the readers got.
        lost: events that were gone or damaged, where the operator allowed data loss. They are not in ``read``.
        malformed: lines that do not parse.
        late: lines of which no window was open; None where nothing closes windows.
        missed: pairs of a line that was counted and a window that was closed already.
        hits: the sum of all counts in the results table.
        windows_per_line: how many windows a line is in.
        open: lines whose result is not final yet.
        too_old: lines of windows that retention has closed; None where a watermark closes windows.
    """

    read: int = 0
    lost: int = 0
    malformed: int = 0
    late: int | None = 0
    missed: int = 0
    hits: int = 0
    windows_per_line: int = 1
    open: int = 0
    too_old: int | None = None

    @property
    def counted(self) -> int:
        """How many lines are in at least one window, computed from the hits in the results table."""
        return (self.hits + self.missed) // self.windows_per_line

    @property
    def balanced(self) -> bool:
        """Whether each line that was read is in exactly one term."""
        # A remainder means that some line is not in all of its windows: a hit too many or too few in the table.
        whole = (self.hits + self.missed) % self.windows_per_line == 0
        return whole and self.read == self.counted + self.malformed + (self.late or 0) + (self.too_old or 0) + self.open

    def __str__(self) -> str:
        sign = "=" if self.balanced else "\N{NOT EQUAL TO}"
        terms = [f"counted {self.counted:,}", f"malformed {self.malformed:,}"]
        if self.late is not None:
            terms.append(f"late {self.late:,}")
        if self.too_old is not None:
            terms.append(f"too old {self.too_old:,}")
        if self.open:
            terms.append(f"open {self.open:,}")
        return f"lines read {self.read:,} {sign} {' + '.join(terms)}"

    def as_json(self) -> dict[str, int | bool | None]:
        """Return all terms, null for those that the job does not have, and whether they balance: ``tally.json``."""
        return {
            "read": self.read,
            "lost": self.lost,
            "counted": self.counted,
            "malformed": self.malformed,
            "late": self.late,
            "too_old": self.too_old,
            "missed": self.missed,
            "hits": self.hits,
            "windows_per_line": self.windows_per_line,
            "open": self.open,
            "balanced": self.balanced,
        }
