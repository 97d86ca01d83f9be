"""Runs a job: picks the function that runs its kind.

===========================  ==========================================================================================
kind of job                  what runs it
===========================  ==========================================================================================
:class:`.StructuredJob`      :mod:`.structured.stream`; with ``--bounded`` :mod:`.structured.batch`
:class:`.DStreamJob`         :mod:`.dstreams.run`
:class:`.ObjectsJob`         :mod:`.objects.run`
===========================  ==========================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spark_job.runner.dstreams.job import DStreamJob
from spark_job.runner.objects.job import ObjectsJob
from spark_job.runner.structured.job import StructuredJob

if TYPE_CHECKING:
    from threading import Event

    from spark_job.runner.job import Job, Outcome
    from spark_job.runner.job_settings import JobSettings


def run_job(job: Job, settings: JobSettings, options: Any, stop: Event) -> Outcome:
    """Run a job until a stop is requested, or until everything that ``settings.drain_to_file`` names is done.

    Raises:
        OptionError: a setting cannot be used.
        JobFolderError: the job folder does not belong to these settings.
        SparkJobError: any other subclass says why the job died.
        TypeError: nothing here runs this kind of job.
    """
    job = job.resolved(options)
    # Imported here: each of these modules loads another part of pyspark, and a job needs only its own.
    if isinstance(job, StructuredJob):
        if settings.bounded:
            from spark_job.runner.structured.batch import run_bounded

            return run_bounded(job, settings, options, stop)
        from spark_job.runner.structured.stream import run_live

        return run_live(job, settings, options, stop)
    if isinstance(job, DStreamJob):
        from spark_job.runner.dstreams.run import run_streams

        return run_streams(job, settings, options, stop)
    if isinstance(job, ObjectsJob):
        from spark_job.runner.objects.run import run_objects

        return run_objects(job, settings, options, stop)
    raise TypeError(f"nothing here runs a {type(job).__name__}")
