"""``python -m benchmarks [NAME ...]``: measures and prints, the machine first; without a name, all of them.

``--tiny`` runs the same code over a few thousand lines, to see that it works; those figures mean nothing.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import Annotated

import typer

from benchmarks import costs, end_to_end, ingest, inverse, query, results_table
from benchmarks.machine import describe
from benchmarks.scale import TINY, Scale


class Name(StrEnum):
    """The benchmarks."""

    INGEST = "ingest"
    QUERY = "query"
    END_TO_END = "end-to-end"
    COSTS = "costs"
    INVERSE = "inverse"
    RESULTS_TABLE = "results-table"


RUNS = {
    Name.INGEST: ingest.run,
    Name.QUERY: query.run,
    Name.END_TO_END: end_to_end.run,
    Name.COSTS: costs.run,
    Name.INVERSE: inverse.run,
    Name.RESULTS_TABLE: results_table.run,
}


def main(
    names: Annotated[list[Name] | None, typer.Argument(help="Which ones; all when none is named.")] = None,
    corpus: Annotated[Path | None, typer.Option(help="An access log to repeat; without it a made-up one.")] = None,
    events: Annotated[int, typer.Option(help="Events of one round.", min=1)] = Scale().events,
    tiny: Annotated[bool, typer.Option("--tiny", help="Only see that each benchmark runs to its end.")] = False,
) -> None:
    """Measure; every ratio is of things that ran side by side in this run."""
    print(describe())
    for name in names or list(Name):
        print()
        RUNS[name](TINY if tiny else replace(Scale(), events=events), corpus)


if __name__ == "__main__":
    typer.run(main)
