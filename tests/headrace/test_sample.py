"""A sample is repeatable, looks like an access log, and is as disordered as it was told to be."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime

import pytest

from headrace.sample import DEFAULT_START, SampleSettings, sample_lines

COMBINED = re.compile(
    rb'(?P<host>[0-9a-f.:]+) - - \[(?P<time>[^]]+)\] "(?P<method>[A-Z]+) (?P<url>/\S*) HTTP/1\.1" '
    rb'(?P<status>\d{3}) (?P<bytes>\d+|-) "[^"]+" "[^"]+"\n'
)


def matches(settings: SampleSettings) -> list[re.Match[bytes]]:
    found = [COMBINED.fullmatch(line) for line in sample_lines(settings)]
    return [match for match in found if match is not None]


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    first = list(sample_lines(SampleSettings(lines=3000, seed=7, malformed=5)))
    assert first == list(sample_lines(SampleSettings(lines=3000, seed=7, malformed=5)))
    assert first != list(sample_lines(SampleSettings(lines=3000, seed=8, malformed=5)))


def test_a_sample_has_the_lines_asked_for_and_so_many_bad_ones() -> None:
    settings = SampleSettings(lines=4000, malformed=17)
    lines = list(sample_lines(settings))
    assert len(lines) == 4000
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    well_dated = [match for match in matches(settings) if not match["time"].startswith(b"32/")]
    assert len(well_dated) == 4000 - 17


def test_a_sample_looks_like_a_log() -> None:
    found = matches(SampleSettings(lines=20_000))
    urls = Counter(match["url"] for match in found).most_common()
    assert urls[0] == (b"/favicon.ico", urls[0][1])
    assert urls[0][1] > 5 * urls[10][1]
    statuses = Counter(match["status"] for match in found)
    assert {b"200", b"304", b"404", b"301", b"500"} <= set(statuses)
    assert 0.8 < statuses[b"200"] / len(found) < 0.95
    assert any(b":" in match["host"] for match in found)
    assert {match["method"] for match in found} >= {b"GET", b"POST", b"HEAD"}


@pytest.mark.parametrize("disorder_s", [0.0, 30.0])
def test_the_disorder_is_bounded_and_the_start_is_the_earliest_time(disorder_s: float) -> None:
    found = matches(SampleSettings(lines=5000, disorder_s=disorder_s))
    times = [datetime.strptime(match["time"].decode(), "%d/%b/%Y:%H:%M:%S %z") for match in found]
    newest = times[0]
    behind = 0.0
    for time in times:
        behind = max(behind, (newest - time).total_seconds())
        newest = max(newest, time)
    # Times in the log have whole seconds.
    assert behind <= disorder_s + 1
    assert behind >= disorder_s / 2
    assert min(times) >= DEFAULT_START


def test_the_start_can_be_chosen() -> None:
    start = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    first = next(iter(sample_lines(SampleSettings(lines=1, start=start))))
    assert b"[04/Mar/2026:05:06:07 +0000]" in first
