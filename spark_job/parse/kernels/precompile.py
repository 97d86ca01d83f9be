"""Compiles the kernels of this folder ahead of their first use: for set-up and image builds."""

from __future__ import annotations

from headrace.common import kernels


def precompile() -> None:
    """Compile every kernel, or load it from the disk."""
    # Importing these modules registers their kernels.
    import spark_job.parse.kernels.line_ends
    import spark_job.parse.kernels.line_times
    import spark_job.parse.kernels.scan
    import spark_job.parse.kernels.sums  # noqa: F401

    kernels.precompile()
