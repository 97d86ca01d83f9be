"""How much is measured: all of it, or as little as shows that a benchmark still runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes of the benchmarks.

    Attributes:
        events: events of one round.
        rounds: timed rounds of the whole way.
        samples: single lines whose latency is taken.
        longest_pause_s: longest pause between two of these.
        loads: events of a batch and number of connections, for each comparison of receivers.
        window_s: length of the window in the comparison of inverse functions.
        slides: timed slides of it.
    """

    events: int = 1_000_000
    rounds: int = 5
    samples: int = 20
    longest_pause_s: float = 8.0
    # 5000 is what Headrace's own agent sends, 1000 what many agents are set to.
    loads: tuple[tuple[int, int], ...] = ((1000, 1), (5000, 1), (1000, 4))
    window_s: int = 300
    slides: int = 15


TINY = Scale(events=2_000, rounds=1, samples=2, longest_pause_s=0.6, loads=((1000, 1),), window_s=10, slides=2)
"""For a check that every benchmark runs to its end. Its figures mean nothing."""
