"""What the errors of the other packages mean for the command line: the exit code, and that they are expected at all."""

from __future__ import annotations


def exit_code_of(error: Exception) -> int | None:
    """Return the exit code for an error of one of the stages' packages, None for what nobody expects.

    Called only when something has failed already, so importing all packages costs nobody anything.
    """
    from avro_bridge.errors import BridgeError, ConfigError
    from flume.errors import FlumeError
    from spark_job.errors import OptionError, SparkJobError

    if isinstance(error, FlumeError):
        return error.exit_code
    if isinstance(error, (ConfigError, OptionError)):
        return 2
    return 1 if isinstance(error, (BridgeError, SparkJobError)) else None
