"""The frame of every run: claims the job's folder, starts Spark, closes in the end what the run opened."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_job.runner.bridge_positions import status_bridges
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.session import SessionSettings, start_session, stop_session

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from threading import Event
    from typing import TextIO

    from pyspark.sql import SparkSession

    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.source.bridges import Bridges
    from spark_job.source.options import FlumeOptions


@dataclass(frozen=True)
class JobRun:
    """A job that runs in its folder.

    Attributes:
        name: of the job.
        settings: of the job.
        folder: claimed for as long as the block lasts.
        stop: set when the job must end.
        user: the standard error of the program; inside the block, ``sys.stderr`` is a file of the folder.
        opened: closes what the run opened, in reverse order.
    """

    name: str
    settings: JobSettings
    folder: JobFolder
    stop: Event
    user: TextIO
    opened: ExitStack

    def bridges(self, flume: FlumeOptions) -> Bridges:
        """Return connections to the bridges for short questions; one thread at a time may use them."""
        return self.opened.enter_context(closing(status_bridges(flume)))

    def start_spark(self, more: Mapping[str, str], *, compile_lightly: bool = True) -> SparkSession:
        """Start Spark with further settings.

        Raises:
            QueryFailed: Java is missing or Spark does not start.
        """
        spark = start_session(
            SessionSettings(
                f"headrace {self.name}",
                self.folder.root,
                self.settings.master,
                self.settings.driver_memory,
                compile_lightly=compile_lightly,
                more=more,
            )
        )
        self.opened.callback(stop_session, spark)
        return spark


@contextmanager
def job_run(
    name: str,
    settings: JobSettings,
    fingerprint: dict[str, str],
    options: type[JobOptions],
    stop: Event,
    *,
    checkpoint: bool = True,
) -> Iterator[JobRun]:
    """Run the block as a job in its folder.

    Args:
        name: of the job.
        settings: of the job.
        fingerprint: what decides what the results mean.
        options: the model of the job's own options.
        stop: set when the job must end.
        checkpoint: whether the job cannot do without Spark's checkpoint.

    Raises:
        JobFolderError: another job runs in the folder, or it was made with other settings.
    """
    folder, user = JobFolder(settings.job_folder), sys.stderr
    removed: Collection[str] = options.removed
    with folder.claimed(fingerprint, checkpoint=checkpoint, removed=removed), ExitStack() as opened:
        yield JobRun(name, settings, folder, stop, user, opened)
