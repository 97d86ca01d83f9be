"""An error of Spark about a query becomes one sentence with its place."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException, ParseException, PySparkException

from spark_job.jobs.sql_errors import MAX_CHARACTERS, place_of, refusal_of, sentence_of

PARSER = """
[PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEC'. SQLSTATE: 42601 (line 1, pos 0)

== SQL ==
SELEC 1
^^^
"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (PARSER, "Syntax error at or near 'SELEC'"),
        (
            "[A.B] The table `x` cannot be found. Verify the spelling and more. SQLSTATE: 42P01; line 1 pos 14;\n'Plan",
            "The table 'x' cannot be found",
        ),
        ("no codes at all", "no codes at all"),
    ],
)
def test_codes_and_plans_are_left_out(text: str, sentence: str) -> None:
    assert sentence_of(text) == sentence


def test_a_long_sentence_is_cut() -> None:
    assert sentence_of("x" * 1000) == "x" * MAX_CHARACTERS + "..."


def test_the_place_is_counted_from_one() -> None:
    assert str(refusal_of(ParseException(PARSER), "SELEC 1")) == "line 1, column 1: Syntax error at or near 'SELEC'"


def test_without_a_place_the_words_of_the_query_are_found() -> None:
    query = "SELECT url\nFROM access_log  ORDER\n BY url"
    error = AnalysisException("[X] Sorting is not supported on streaming DataFrames")
    assert place_of(error, "Sorting is not supported", query) == (2, 18)


def test_an_error_that_says_nothing_of_a_place_names_the_query() -> None:
    assert str(refusal_of(PySparkException("odd"), "SELECT 1")) == "query: odd"
