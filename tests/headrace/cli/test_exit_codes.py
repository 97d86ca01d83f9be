"""The exit codes for errors of the other packages."""

from __future__ import annotations

from headrace.cli.exit_codes import exit_code_of


def test_errors_of_the_stages_have_exit_codes_and_bugs_have_none() -> None:
    from avro_bridge.errors import ConfigError, LogFull
    from flume.errors import JarsMissing, RenderError
    from spark_job.errors import OptionError, QueryFailed

    codes = [
        (ConfigError("x"), 2),
        (LogFull("x"), 1),
        (JarsMissing("x"), 1),
        (RenderError("x"), 2),
        (OptionError("x"), 2),
        (QueryFailed("x"), 1),
        (ZeroDivisionError(), None),
    ]
    assert [exit_code_of(error) for error, _ in codes] == [code for _, code in codes]
