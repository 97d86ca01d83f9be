"""Begins a query of a job with a state in Spark, as the table of :mod:`.checkpoint_fit` says."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_job.errors import DataLoss
from spark_job.runner.bridge_positions import starting_offsets
from spark_job.runner.new_query import starts_of
from spark_job.runner.structured.checkpoint_fit import starts_again, why_not
from spark_job.source.bridges import Bridges

if TYPE_CHECKING:
    from spark_job.accounting.spark_checkpoint import Checkpoint
    from spark_job.runner.job_settings import JobSettings
    from spark_job.runner.results.row_results import RowResults
    from spark_job.runner.results.shape import ResultShape
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
    results: RowResults,
    shape: ResultShape,
    broken: str = "",
) -> Beginning:
    """Make checkpoint and results ready for a query, and return where it begins.

    Args:
        flume: the options of the bridges.
        settings: of the job.
        checkpoint: of the job.
        results: of the job.
        shape: how rows are stored.
        broken: what Spark has found wrong with the checkpoint already; empty if nothing.

    Raises:
        BridgeUnavailable: a bridge does not answer.
        DataLoss: lines are gone that no result holds, and the settings do not allow it.
        JobFolderError: a file of the checkpoint cannot be deleted.
        SinkError: a table cannot be written.
    """
    newest, positions = results.table.newest_stored(), results.table.positions()
    if newest is None:
        checkpoint.delete()
        return Beginning(starts_of(flume, settings, results.table))
    reason = broken or why_not(checkpoint, newest, positions)
    if not reason:
        checkpoint.forget_after(newest.batch_id, its_commit=not newest.settled)
        return Beginning(starts_again(checkpoint, newest, positions), goes_on=True)
    if shape.output_mode == "append":
        still_open = results.table.tally_with(results.counted(now=True), final=True).open
        rest = f"what was open, {still_open:,} lines, begins anew"
    else:
        refuse_loss(flume, settings, reason)
        results.empty()
        rest = "all results are computed again"
    checkpoint.delete()
    starts = starts_of(flume, settings, results.table)
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
    except DataLoss as error:
        raise DataLoss(
            f"the checkpoint does not fit the stored results ({reason}), and they cannot be computed again: {error}"
        ) from None
