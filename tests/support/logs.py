"""Access logs for tests: one that the repository makes, with known counts, and a real one where it is at hand.

The real one (10,000 lines, Elastic's example of 2015) lies beside the repository on some machines. What it shows, the
made-up one shows as well; tests use both where both are there.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from headrace.sample import SampleSettings, sample_lines

REAL_LOG = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "elastic-apache-2015.log"
MADE_UP = SampleSettings(lines=10_000, seed=2015, malformed=7)

needs_real_log = pytest.mark.skipif(not REAL_LOG.exists(), reason="the real log is not beside this repository")
EACH_LOG = [pytest.param("made up"), pytest.param("real", marks=needs_real_log)]
"""For parametrised fixtures; :func:`lines_of` takes these names."""


def lines_of(name: str) -> list[bytes]:
    """Return the 10,000 lines of a log, without their ends."""
    if name == "real":
        return REAL_LOG.read_bytes().splitlines()
    return [line.rstrip(b"\n") for line in sample_lines(MADE_UP)]


def hits_of(lines: list[bytes]) -> Counter[str]:
    """Return the hits of each URL, counted without a parser: the target is the second word of the first quoted text.

    A line of these logs that has no six quotes, or a day that no month has, is malformed.
    """
    whole = [line for line in lines if line.count(b'"') == 6 and b"[32/" not in line]
    return Counter(line.split(b'"')[1].split()[1].decode().partition("?")[0] for line in whole)
