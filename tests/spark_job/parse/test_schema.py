"""The columns of parsed lines: which columns a caller gets, and in which order."""

from __future__ import annotations

import pytest

from spark_job.parse.schema import SCHEMA, Reason, wanted_columns


def test_columns_come_in_the_order_of_the_schema() -> None:
    assert wanted_columns(None) == list(SCHEMA)
    assert wanted_columns(["error", "time", "url", "time"]) == ["time", "url", "error"]
    assert wanted_columns([]) == []


def test_an_unknown_column_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"no such column of a parsed log: size, when; .*time, host"):
        wanted_columns(["time", "when", "size"])


def test_the_texts_of_reasons_stay() -> None:
    """Operators count dead letters by these texts, so a change of one is a change of an interface."""
    assert [str(reason) for reason in Reason] == [
        "empty line",
        "a quote is not closed",
        "does not match the format",
        "no such time",
        "request is not HTTP",
        "not a JSON object",
        "a field is missing",
        "a field has the wrong type",
        "line too long",
    ]
