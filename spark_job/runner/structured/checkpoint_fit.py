"""Decides where a job with a state in Spark goes on: from its checkpoint, or with a new query and an empty state.

Spark syncs no file of its checkpoint, so the job does (:mod:`spark_job.runner.release`). Let micro-batch ``n`` be the
newest one in the results table:

====================  ==========================================  =====================================================
on disk, at the       because
least
====================  ==========================================  =====================================================
rows and records      they are one transaction
of ``n``
plan of ``n``         all of the checkpoint is synced before the
commit and state of   transaction of ``n``
``n - 1``
lines of ``n``        the bridges are told that a micro-batch is
                      stored only when its commit is synced too
====================  ==========================================  =====================================================

So a power cut can take away, or leave in parts, only what comes after that. Everything after it is deleted, Spark runs
``n`` again from the state of ``n - 1``, and the table finds that it has ``n``. Where the commit of ``n`` was synced,
``n`` is *settled* and stays committed.

====================================  ================================================================================
checkpoint and table                  what the job does
====================================  ================================================================================
``n`` is settled                      goes on with ``n + 1``
``n`` is not settled                  runs ``n`` again
nothing is stored                     starts a new query
the checkpoint is missing, damaged,   starts a new query, with a note on standard error:
of another query, or does not reach
``n``; or Spark cannot load its       - rows that are stored once they are final: at the stored positions. The lines
state                                   whose result was not final stay *open* in the sum
                                      - rows that change with the state: the table is emptied, and the query begins
                                        where the consumer began, if the bridges still have all lines. Otherwise
                                        smaller values would replace larger ones, so it is an error
====================================  ================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.errors import AccountingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spark_job.accounting.spark_checkpoint import Checkpoint
    from spark_job.runner.results.embedded_records import NewestStored


def why_not(checkpoint: Checkpoint, newest: NewestStored, positions: Mapping[str, int]) -> str:
    """Return why a query cannot go on from the checkpoint; empty if it can."""
    batch_id = newest.batch_id
    try:
        query_id = checkpoint.query_id()
        if query_id is None:
            return "it is missing"
        if query_id != newest.query_id:
            return "it is of another query"
        ends = checkpoint.planned(batch_id).ends
        if batch_id:
            checkpoint.planned(batch_id - 1)
    except (AccountingError, OSError) as error:
        return f"it is damaged: {error}"
    if any(ends.get(log_id, position) != position for log_id, position in positions.items()):
        return f"its micro-batch {batch_id} ends at other offsets"
    needed = batch_id if newest.settled else batch_id - 1
    if needed >= 0 and not checkpoint.is_committed(needed):
        return f"it is damaged: the commit of micro-batch {needed} is missing or cannot be read"
    damaged = checkpoint.damaged(batch_id, committed=newest.settled)
    return f"it is damaged: {damaged}" if damaged else ""


def starts_again(checkpoint: Checkpoint, newest: NewestStored, positions: Mapping[str, int]) -> dict[str, int]:
    """Return where each log begins for a query that goes on from its checkpoint.

    Spark stores where micro-batches end. So it does not know where a log begins that the plan before the newest
    micro-batch does not have, and asks again when that one runs again.
    """
    known = checkpoint.planned(newest.batch_id - 1).ends if newest.batch_id else {}
    joined = {log_id: start for log_id, (start, _) in newest.ranges.items() if log_id not in known}
    return checkpoint.planned(newest.batch_id).ends | dict(positions) | joined
