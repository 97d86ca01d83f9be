"""A checkpoint that names functions of an older version is recovered, and only the recovery knows the old names."""

from __future__ import annotations

import pickle
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import JobFolderError
from spark_job.jobs import url_counts_dstream
from spark_job.runner.dstreams import direct_stream, renamed_functions
from spark_job.runner.dstreams.options import SlidingOptions
from spark_job.runner.dstreams.renamed_functions import RENAMED, old_names
from tests.support.bridges import RealBridge
from tests.support.counting import line
from tests.support.streams import SteppedStreams, results_by_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

IN_CHECKPOINTS_OF_0_1_0 = {
    "spark_job.dstreams.direct": {"_tables", "_with_initial", "_planned", "_deliver", "_settle"},
    "spark_job.dstreams.decoding": {"rows_of"},
    "spark_job.dstreams.pairs": {"plus", "minus"},
}
"""Read out of a checkpoint of each DStream job; the jobs' own modules have not moved."""

OPTIONS = SlidingOptions(window="4s", keep="1h")
JOB = url_counts_dstream.JOB


def pickled(module: str, name: str) -> bytes:
    """Return a function as pickle writes one of an importable module: by its name."""
    return f"c{module}\n{name}\n.".encode()


def test_the_table_has_every_name_of_the_version_before() -> None:
    assert {module: set(names) for module, names in RENAMED.items()} == IN_CHECKPOINTS_OF_0_1_0


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in RENAMED.items() for name in names])
def test_an_old_name_is_the_function_of_today_inside_the_block_only(module: str, name: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(pickled(module, name))  # noqa: S301 -- written right here
    with old_names():
        found = pickle.loads(pickled(module, name))  # noqa: S301 -- written right here
    today_module, today = RENAMED[module][name]
    assert found is getattr(import_module(today_module), today)
    again = pickle.loads(pickle.dumps(found))  # noqa: S301 -- as above
    assert again is found, "pickled again, it has the name of today"
    assert module not in sys.modules


@contextmanager
def named_as_before() -> Iterator[None]:
    """Let Spark pickle the functions of a direct stream under the names of 0.1.0. Only the driver calls these."""
    module = "spark_job.dstreams.direct"
    with old_names():
        functions = {name: getattr(direct_stream, today) for name, (_, today) in RENAMED[module].items()}
        before = [(each, each.__module__, each.__qualname__) for each in functions.values()]
        for name, function in functions.items():
            function.__module__, function.__qualname__ = module, name
        try:
            yield
        finally:
            for function, today_module, qualname in before:
                function.__module__, function.__qualname__ = today_module, qualname


@pytest.mark.spark
def test_streams_of_a_checkpoint_with_old_names_go_on(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "job"
    with RealBridge(tmp_path / "log") as bridge:
        with named_as_before(), SteppedStreams(spark, JOB, OPTIONS, bridge.address, folder) as streams:
            for second in (1, 2, 3):
                bridge.extend([line(second, f"/{second}")])
                streams.step()
        with monkeypatch.context() as patched:
            patched.setattr(renamed_functions, "RENAMED", {})
            with pytest.raises(JobFolderError, match="Spark cannot recover the streams"):
                SteppedStreams(spark, JOB, OPTIONS, bridge.address, folder).__enter__()
        with SteppedStreams(spark, JOB, OPTIONS, bridge.address, folder) as streams:
            bridge.extend([line(4, "/4")])
            streams.step(2)
            tally = streams.tally
    found = results_by_time(JOB, folder / "counts.db")
    assert found[4] == {"/1": 1, "/2": 1, "/3": 1, "/4": 1}
    assert found[5] == {"/2": 1, "/3": 1, "/4": 1}
    assert (tally.read, tally.balanced) == (4, True)
