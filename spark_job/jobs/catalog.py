"""Registry of the built-in jobs, for lists and for finding a job by name. Imports no Spark."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, cast

from headrace.common.suggest import did_you_mean
from spark_job.errors import OptionError

if TYPE_CHECKING:
    from spark_job.runner.job import Job


@dataclass(frozen=True)
class Entry:
    """One job in the registry.

    Attributes:
        name: the name on the command line, ``headrace job NAME``.
        summary: what it computes, in one sentence.
        api: the streaming API that it uses.
        shows: the features of Spark that it demonstrates.
    """

    name: str
    summary: str
    api: Literal["structured", "dstreams", "both"]
    shows: str

    @property
    def module(self) -> str:
        """The module of the job, which is its constant ``JOB``."""
        return f"spark_job.jobs.{self.name.replace('-', '_')}"


JOBS: tuple[Entry, ...] = (
    Entry(
        "url-counts",
        "Counts how often each URL was requested, in windows of time.",
        "structured",
        "window, foreachBatch, sums and offsets stored in one transaction",
    ),
    Entry(
        "sessions",
        "Finds the visits to a web site: pages, bytes, where they began and ended, and whether a program made them.",
        "structured",
        "session_window, watermark, append mode",
    ),
    Entry(
        "sensors",
        "Sums up readings of devices per window, and raises an alarm for a device that has fallen silent.",
        "structured",
        "transformWithState, timers, stateful operators one after the other, append mode",
    ),
    Entry(
        "actions",
        "Counts the actions in JSON objects of an S3 bucket by the hour, in a database, as the objects come.",
        "structured",
        "file source over S3A, PERMISSIVE, groupBy with window, upsert",
    ),
    Entry(
        "bots",
        "Scores how much each visitor behaves like a program, with a model trained on the log itself.",
        "structured",
        "the same DataFrame function over a batch and a stream, MLlib pipeline, update mode",
    ),
    Entry(
        "url-counts-dstream",
        "Counts how often each URL was requested, in a window of the newest batches that slides with each of them.",
        "dstreams",
        "StreamingContext, flatMap, filter, map, reduceByKeyAndWindow with an inverse function, checkpoint",
    ),
    Entry(
        "intervals",
        "Shows which batches each window covers, on the lines of any log.",
        "dstreams",
        "batch interval, window, slide; transform with the batch time; reduceByKeyAndWindow",
    ),
    Entry(
        "status-per-batch",
        "Counts answers by status, of bots and of people, for every batch by itself.",
        "dstreams",
        "flatMap, filter, map, reduceByKey; transform with a broadcast variable",
    ),
    Entry(
        "running-totals",
        "Adds up hits and bytes of each URL since the start.",
        "both",
        "updateStateByKey with expiry and an initial state; an aggregation without a window",
    ),
    Entry(
        "traffic",
        "Adds up requests and bytes over a window of the newest batches.",
        "dstreams",
        "reduceByWindow with an inverse function",
    ),
    Entry(
        "hashtags",
        "Counts what a regular expression picks from lines of any kind, in a window of the newest batches.",
        "dstreams",
        "flatMap to keys, reduceByKeyAndWindow with an inverse function",
    ),
    Entry(
        "top-sellers",
        "Adds up what was sold of each item over the past hour, from purchases as JSON.",
        "both",
        "reduceByKeyAndWindow with an inverse function on pairs; window and watermark",
    ),
)

SQL = Entry(
    "sql",
    "Answers a query of yours over the views access_log and flume.",
    "structured",
    "spark.sql over a stream, complete, update and append mode",
)
"""A job too, but started by ``headrace sql``."""


def entry_of(name: str) -> Entry:
    """Return the entry of a job.

    Raises:
        OptionError: no job has that name; the text names the nearest one.
    """
    names = {entry.name: entry for entry in (*JOBS, SQL)}
    if name not in names:
        hint = did_you_mean(name, names, f"the jobs are {', '.join(names)}")
        raise OptionError(f"no job is called {name!r}{hint}")
    return names[name]


def load(name: str) -> Job:
    """Return a job; this imports its module, and with it Spark.

    Raises:
        OptionError: no job has that name.
    """
    return cast("Job", import_module(entry_of(name).module).JOB)
