"""Turns Spark's error about a query into one sentence that begins with line and column.

Spark's text has an error condition in brackets before the sentence, and an SQLSTATE, the plan and, from the parser, the
query with a line of carets after it. The place comes from the error's query context. If Spark gives none, it is the
place of the name that the error mentions, if the query contains it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spark_job.errors import OptionError

if TYPE_CHECKING:
    from pyspark.errors import PySparkException

MAX_CHARACTERS = 300
WORDS = {"Sorting": "order by", "Distinct aggregations": "distinct", "Limits": "limit"}
"""Errors about streams without a place: how Spark's text begins, and the words to look for in the query."""
NAMING = ("objectName", "relationName", "routineName", "expression", "sqlExpr", "functionName")


def refusal_of(error: PySparkException, query: str) -> OptionError:
    """Return an error of Spark about a query as an error about the option."""
    text = sentence_of(str(error))
    place = place_of(error, text, query)
    where = f"line {place[0]}, column {place[1]}" if place is not None else "query"
    return OptionError(f"{where}: {text}")


def sentence_of(text: str) -> str:
    """Return the first one or two sentences of an error's text, without codes and plans."""
    text = re.split(r"\n\n== |;\n|\nSearch path|\nVerify|\nIf you|\nTo tolerate| Verify the spelling", text.strip())[0]
    text = re.sub(r"^\[[\w.]+\] ", "", text)
    text = re.sub(r"\s*SQLSTATE: \w+", "", text)
    text = re.sub(r"(?:;| )\s*\(?line \d+,? pos \d+\)?.*", "", text, flags=re.DOTALL)
    text = " ".join(text.replace("`", "'").split()).rstrip(".; ")
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."


def place_of(error: PySparkException, text: str, query: str) -> tuple[int, int] | None:
    """Return line and column of the error, counted from 1; None if they are unknown."""
    for context in error.getQueryContext() or ():
        if context.fragment():
            return _place(query, context.startIndex())
    found = re.search(r"line (\d+),? pos (\d+)", str(error))
    if found is not None:
        return int(found[1]), int(found[2]) + 1
    names = [word for start, word in WORDS.items() if text.startswith(start)]
    parameters = error.getMessageParameters() or {}
    names += [parameters[name].strip("'\"`") for name in NAMING if name in parameters]
    for name in names:
        pattern = r"\s+".join(re.escape(part) for part in name.replace("`", "").split())
        match = re.search(rf"(?<!\w){pattern}(?!\w)", query, re.IGNORECASE)
        if match is not None:
            return _place(query, match.start())
    return None


def _place(query: str, index: int) -> tuple[int, int]:
    before = query[:index]
    return before.count("\n") + 1, index - before.rfind("\n")
