"""The sum of a job's lines balances exactly when each line is in one term."""

from __future__ import annotations

import pytest

from spark_job.accounting.tally import Tally


def test_a_tally_balances_when_every_line_is_in_one_term() -> None:
    tally = Tally(read=10, malformed=1, late=2, missed=3, hits=11, windows_per_line=2)
    assert tally.counted == 7
    assert tally.balanced
    assert str(tally) == "lines read 10 = counted 7 + malformed 1 + late 2"
    assert tally.as_json()["balanced"] is True


@pytest.mark.parametrize("hits", [10, 12, 13])
def test_a_tally_with_a_hit_too_many_or_too_few_does_not(hits: int) -> None:
    tally = Tally(read=10, malformed=1, late=2, missed=3, hits=hits, windows_per_line=2)
    assert not tally.balanced
    assert "\N{NOT EQUAL TO}" in str(tally)


def test_open_lines_are_a_term_that_shows_only_where_there_are_some() -> None:
    tally = Tally(read=1_010, malformed=1, hits=1_005, open=4)
    assert tally.balanced
    assert str(tally) == "lines read 1,010 = counted 1,005 + malformed 1 + late 0 + open 4"


def test_a_job_that_closes_nothing_shows_neither_late_nor_too_old_lines() -> None:
    tally = Tally(read=10, malformed=1, late=None, hits=9)
    assert tally.balanced
    assert str(tally) == "lines read 10 = counted 9 + malformed 1"
    assert (tally.as_json()["late"], tally.as_json()["too_old"]) == (None, None)
