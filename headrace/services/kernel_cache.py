"""The kernels' machine code: made when the image is built, read from beside the source when a container starts."""

from __future__ import annotations

from headrace.common import kernels


def precompile() -> None:
    """Make the machine code of every kernel."""
    # Importing them registers the kernels of their packages.
    import spark_job.parse.kernels.scan
    import spark_job.parse.kernels.sums  # noqa: F401

    kernels.precompile()
