"""All ways of counting agree on which answers are errors."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from spark_job.parse import LineCounter, LineParser, roll_up
from spark_job.parse.line_counter import KERNELS_AFTER_LINES, LinesSeen
from tests.support.access_lines import combined
from tests.support.line_counts import events

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(("status", "errors"), [(399, 0), (400, 1), (599, 1)])
def test_a_status_of_400_or_higher_is_an_error_whether_parsed_or_counted_by_kernels(status: int, errors: int) -> None:
    line = combined().replace("200 5", f"{status} 5").encode()
    parser = LineParser("combined")
    kernels = LineCounter(parser, MINUTE, seen=LinesSeen(KERNELS_AFTER_LINES))
    kernels.add(events([line]))
    assert kernels.take().sums["errors"].to_list() == [errors]
    assert roll_up(parser.parse(pl.Series([line])), MINUTE)["errors"].to_list() == [errors]
