"""Decides where a query begins: where the results end, or with the state of the query before it.

Where the results table is the only state, Spark gets the lines of a micro-batch and keeps nothing; its checkpoint only
numbers the micro-batches of one run. So every start makes a new query with an empty checkpoint, which begins at the
offsets that the table has reached, and nothing that a kill or a power cut may leave behind can differ from the table.
For jobs with a state in Spark, :mod:`.checkpoint_fit` has the table of what they do.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_job.errors import DataLoss
from spark_job.runner.bridge_positions import commit_positions, starting_offsets
from spark_job.runner.results.row_results import RowResults
from spark_job.runner.structured.checkpoint_fit import starts_again, why_not
from spark_job.source.bridges import Bridges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spark_job.accounting.spark_checkpoint import Checkpoint
    from spark_job.runner.job_settings import JobSettings
    from spark_job.runner.results.embedded_table import EmbeddedTable
    from spark_job.runner.results.url_counts import UrlCountResults
    from spark_job.sinks.counts_table.writer import CountsTable
    from spark_job.source.options import FlumeOptions


@dataclass(frozen=True)
class Beginning:
    """Where a query begins.

    Attributes:
        starts: log id to offset, for a new query and for one that runs its first micro-batch again.
        goes_on: whether it has the state of an earlier run.
        note: for the user; empty if there is nothing to say.
    """

    starts: dict[str, int]
    goes_on: bool = False
    note: str = ""


def begin(
    flume: FlumeOptions,
    settings: JobSettings,
    checkpoint: Checkpoint,
    results: RowResults | UrlCountResults,
    broken: str = "",
) -> Beginning:
    """Make checkpoint and results ready for a query, and return where it begins.

    Args:
        flume: the options of the bridges.
        settings: of the job.
        checkpoint: of the job.
        results: of the job.
        broken: what Spark has found wrong with the checkpoint already; empty if nothing.

    Raises:
        BridgeUnavailable: a bridge does not answer.
        DataLoss: lines are gone that no result holds, and the settings do not allow it.
        JobFolderError: a file of the checkpoint cannot be deleted.
        SinkError: a table cannot be written.
    """
    if isinstance(results, RowResults) and not results.sums:
        return _begin_with_state(flume, settings, checkpoint, results, broken)
    checkpoint.delete()
    return Beginning(starts_of(flume, settings, results.table))


def starts_of(flume: FlumeOptions, settings: JobSettings, table: EmbeddedTable | CountsTable) -> dict[str, int]:
    """Return, by log id, where a new query starts, and tell the bridges what is stored.

    Args:
        flume: the options of the bridges.
        settings: of the job; if they allow data loss, events that are gone are counted as lost.
        table: the results table.

    Raises:
        BridgeUnavailable: a bridge does not answer.
        DataLoss: events are gone that the table does not have.
    """
    positions = table.positions()
    with closing(Bridges(flume)) as bridges:
        starts = starting_offsets(
            bridges, settings.consumer, positions, settings.start, allow_loss=settings.allow_data_loss
        )
        # A kill between the table's transaction and the commit left the bridges behind.
        commit_positions(bridges, settings.consumer, positions)
    table.skip_lost(starts)
    return starts


def options_from(given: Mapping[str, str], starts: Mapping[str, int]) -> dict[str, str]:
    """Return the options of a source that starts at ``starts`` and leaves the commits to the job."""
    return {**given, "startingOffsets": json.dumps(dict(starts)), "commitOffsets": "false"}


def _begin_with_state(
    flume: FlumeOptions, settings: JobSettings, checkpoint: Checkpoint, results: RowResults, broken: str
) -> Beginning:
    newest, positions = results.table.newest_stored(), results.table.positions()
    if newest is None:
        checkpoint.delete()
        return Beginning(starts_of(flume, settings, results.table))
    reason = broken or why_not(checkpoint, newest, positions)
    if not reason:
        checkpoint.forget_after(newest.batch_id, its_commit=not newest.settled)
        return Beginning(starts_again(checkpoint, newest, positions), goes_on=True)
    if results.shape.output_mode == "append":
        still_open = results.table.tally_with(results.counted(now=True), final=True).open
        rest = f"its windows start empty; {still_open:,} lines were open"
        checkpoint.delete()
        starts = starts_of(flume, settings, results.table)
    else:
        refuse_loss(flume, settings, reason)
        known = results.table.tally_with(None, final=False)
        results.empty()
        checkpoint.delete()
        starts = starts_of(flume, settings, results.table)
        rest = "all results are computed again"
        again = sum(max(0, end - starts.get(log_id, end)) for log_id, end in positions.items())
        if gone := known.read + known.lost - again:
            results.table.add_lost(gone)
            rest += f", without {gone:,} lines that the bridges have deleted or that were lost before"
    return Beginning(
        starts,
        note=f"the checkpoint does not fit the stored results ({reason}): a new query starts at {json.dumps(starts)}; "
        f"{rest}",
    )


def refuse_loss(flume: FlumeOptions, settings: JobSettings, reason: str) -> None:
    """Refuse to compute all results again if the bridges do not have all lines any more.

    Raises:
        DataLoss: they have deleted some, and the settings do not allow it.
    """
    try:
        with closing(Bridges(flume)) as bridges:
            starting_offsets(bridges, settings.consumer, {}, settings.start, allow_loss=settings.allow_data_loss)
    except DataLoss:
        raise DataLoss(
            f"the checkpoint does not fit the stored results ({reason}), and they cannot be computed again: bridges "
            "have deleted some of their lines. Put the checkpoint back; or give --allow-data-loss, which deletes the "
            "results and computes them from the lines that are left"
        ) from None
