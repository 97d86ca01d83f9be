"""The job ``bots``: scores how much a visitor behaves like a program, with a model trained on the log itself.

:func:`features` describes the behaviour of a visitor in a window. Training applies it to a batch of all lines that the
bridges hold, scoring applies it to the stream: the same DataFrame function for both. The label is whether the user
agent declares itself a program (:data:`spark_job.jobs.visitors.DECLARED_BOT`); the features are behaviour only, so
programs that pose as a browser get a high score too.

The model is trained once and kept in the job's folder, so that a restarted job scores as before. Training uses no
random numbers and sorts the visitors: the same lines give the same scores.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows

from headrace.common.durations import spark_interval
from headrace.common.files import replace_file, sync_tree
from spark_job.errors import OptionError
from spark_job.http_status import FIRST_ERROR_STATUS
from spark_job.jobs.visitors import agent, is_declared_bot, is_page
from spark_job.options.model import Duration, Flag, Length
from spark_job.runner.job_settings import JobOptions
from spark_job.runner.structured.job import StructuredJob
from spark_job.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from pyspark.sql import DataFrame

FEATURES = ("requests", "page_share", "error_share", "head_share", "referred_share", "url_share", "kilobytes")
SCORE_DIGITS = 3
LOOK_EVERY_S = 2.0


class BotsOptions(JobOptions):
    """Options of the job."""

    window: Length = Field(timedelta(hours=1), description="Length of a window: a visitor is scored once in each.")
    watermark: Duration = Field(
        timedelta(minutes=10), description="How far behind the newest line a line may be and still count."
    )
    train_on: int = Field(1_000, ge=1, description="Lines that must be there before the model is trained.")
    model: Annotated[Path | None, Flag(shown_default="one that is trained at the first start")] = Field(
        None, description="Folder of a trained model to use."
    )


def features(lines: DataFrame, options: BotsOptions) -> DataFrame:
    """Return one row per window and visitor: the number and kinds of its requests."""
    requests = F.count("*")
    return (
        lines.withColumns({"agent": agent(), "declared": is_declared_bot()})
        .withWatermark("time", spark_interval(options.watermark))
        .groupBy(F.window("time", spark_interval(options.window)), "host", "agent", "declared")
        .agg(
            requests.alias("requests"),
            (F.count_if(is_page()) / requests).alias("page_share"),
            (F.count_if(F.col("status") >= FIRST_ERROR_STATUS) / requests).alias("error_share"),
            (F.count_if(F.col("method") == "HEAD") / requests).alias("head_share"),
            (F.count("referrer") / requests).alias("referred_share"),
            (F.approx_count_distinct("url") / requests).alias("url_share"),
            (F.sum("bytes") / requests / 1024).alias("kilobytes"),
        )
    )


def train(lines: DataFrame, options: BotsOptions) -> PipelineModel:
    """Return a model for the probability that a visitor declares itself a program.

    Raises:
        OptionError: the lines have only one of the two kinds of visitors.
    """
    known = features(lines, options).withColumn("label", F.col("declared").cast("double"))
    # One partition and one order: sums of floating point numbers depend on both.
    known = known.orderBy("window", "host", "agent").coalesce(1).cache()
    if known.select("label").distinct().count() < len(("person", "program")):
        raise OptionError("--train-on: so far all lines come from programs, or all from people; train on more lines")
    pipeline = Pipeline(
        stages=[
            VectorAssembler(inputCols=list(FEATURES), outputCol="raw_features"),
            StandardScaler(inputCol="raw_features", outputCol="features", withMean=True),
            LogisticRegression(maxIter=50, regParam=0.01, probabilityCol="probabilities"),
        ]
    )
    return pipeline.fit(known)


def prepared(read: Callable[[], DataFrame], options: BotsOptions, folder: Path, stop: Event) -> BotsOptions:
    """Return the options with an existing model; train it first, on what the bridges hold, if there is none.

    Raises:
        OptionError: the model that the options name does not exist.
    """
    if options.model is not None:
        if not (options.model / "metadata").is_dir():
            raise OptionError(f"--model {options.model}: the folder holds no model")
        return options
    model = folder / "model"
    if not (model / "trained").exists():
        while read().count() < options.train_on:
            if stop.wait(LOOK_EVERY_S):
                return options
        train(read(), options).write().overwrite().save(str(model))
        # The file comes last and says that the model is whole, also after a power cut.
        sync_tree(model)
        replace_file(model / "trained", b"")
    return options.model_copy(update={"model": model})


def bots(lines: DataFrame, options: BotsOptions) -> DataFrame:
    """Return one row per window and visitor with its score, from 0 (a person) to 1 (a program)."""
    score = vector_to_array(F.col("probabilities"))[1]
    return (
        PipelineModel.load(str(options.model))
        .transform(features(lines, options))
        .select(
            F.col("window.start").alias("window_start"),
            F.col("window.end").alias("window_end"),
            "host",
            "agent",
            "requests",
            F.round(score, SCORE_DIGITS).alias("score"),
            (score >= 0.5).alias("bot"),
            "declared",
        )
    )


JOB = StructuredJob(
    name="bots",
    options=BotsOptions,
    rows=bots,
    key=("window_start", "host", "agent"),
    counted="requests",
    lateness=lambda options: Windows(options.window, options.window, options.watermark),
    prepared=prepared,
)
