r"""The job ``hashtags``: counts the texts that a regular expression finds in lines of any kind.

The pattern is one of Rust's regex, whose time is linear in the length of the line, which matters because strangers
write the lines. It has no look-around and no back-references.

Bounded run: the newest window, which holds every line unless the run took longer than the window.
"""

from __future__ import annotations

from operator import add, sub
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import Field

from spark_job.errors import OptionError
from spark_job.runner.dstreams.decoder import TextLines
from spark_job.runner.dstreams.intervals import seconds
from spark_job.runner.dstreams.job import DStreamJob
from spark_job.runner.dstreams.options import SlidingOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl
    from pyspark.streaming.dstream import DStream

    from spark_job.runner.job_settings import JobSettings

LONGEST = 200
"""Characters of a key; a longer text is cut."""


class HashtagsOptions(SlidingOptions):
    """Options of the job: the pattern."""

    pattern: str = Field(r"#\w+", min_length=1, description="Regular expression of what is counted.")


def hashtags(tables: DStream[Any], options: HashtagsOptions) -> DStream[tuple[str, int]]:
    """Count the matches in the window."""
    window, slide, pattern = seconds(options.intervals.window), seconds(options.intervals.slide), options.pattern
    return (
        tables.flatMap(lambda table: picked(table, pattern))
        .map(lambda tag: (tag, 1))
        .reduceByKeyAndWindow(add, sub, window, slide, filterFunc=lambda count: count[1] > 0)
    )


def picked(table: pl.DataFrame, pattern: str) -> Iterable[str]:
    """Return every match of every line, in order, without empty ones."""
    picks = table["line"].str.extract_all(pattern).explode(empty_as_null=False).str.head(LONGEST)
    return picks.filter(picks != "").to_list()


def decoder(_settings: JobSettings, options: HashtagsOptions) -> TextLines:
    """Return the decoder for text.

    Raises:
        OptionError: the pattern is wrong.
    """
    import polars as pl

    try:
        picked(pl.DataFrame({"line": ["#"]}), options.pattern)
    except pl.exceptions.PolarsError as error:
        reason = " ".join(str(error).partition("This error")[0].split())
        raise OptionError(f"--pattern={options.pattern!r}: {reason}") from None
    return TextLines()


JOB = DStreamJob(
    name="hashtags",
    options=HashtagsOptions,
    kind="window",
    decoder=decoder,
    rows=hashtags,
    columns={"tag": pa.string(), "hits": pa.int64()},
    key=("tag",),
    source="flume",
)
