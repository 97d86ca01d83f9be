"""Ranges of a log: what a micro-batch reads of one log, and the parts of it that tasks read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LogRange:
    """The events ``start <= offset < end`` of one log."""

    log_id: str
    start: int
    end: int

    @property
    def events(self) -> int:
        """Number of offsets in the range."""
        return self.end - self.start


@dataclass(frozen=True)
class Part:
    """The events ``start <= offset < end`` that one task reads of ``whole``, the micro-batch's range of that log."""

    start: int
    end: int
    whole: LogRange

    @property
    def log_id(self) -> str:
        """The log that the events are in."""
        return self.whole.log_id
