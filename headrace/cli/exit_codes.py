"""Maps the errors of the other packages to exit codes."""

from __future__ import annotations


def exit_code_of(error: Exception) -> int | None:
    """Return the exit code for an error of another package; None for an unexpected error, which is a bug.

    The imports are slow, but this runs only after a failure.
    """
    from avro_bridge.errors import BridgeError, ConfigError
    from flume.errors import FlumeError
    from spark_job.errors import OptionError, SparkJobError

    if isinstance(error, FlumeError):
        return error.exit_code
    if isinstance(error, (ConfigError, OptionError)):
        return 2
    return 1 if isinstance(error, (BridgeError, SparkJobError)) else None
