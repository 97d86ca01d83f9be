"""One handler catches every error of the package; errors that the operator must repair first end with code 2."""

from __future__ import annotations

import pytest

from flume import errors


@pytest.mark.parametrize("wrong", [errors.ValuesError, errors.RenderError, errors.JavaMissing])
def test_wrong_configuration_is_exit_code_2(wrong: type[errors.FlumeError]) -> None:
    with pytest.raises(errors.FlumeError) as caught:
        raise wrong("why")
    assert caught.value.exit_code == 2
    assert str(caught.value) == "why"


@pytest.mark.parametrize("failed", [errors.JarsMissing, errors.JarsDiffer, errors.AgentEnded, errors.SourceDied])
def test_a_failure_at_run_time_is_exit_code_1(failed: type[errors.FlumeError]) -> None:
    assert failed("why").exit_code == 1


def test_an_agent_that_is_not_ready_names_what_is_missing() -> None:
    error = errors.AgentNotReady("not ready", ("SINK.a",))
    assert isinstance(error, errors.AgentError)
    assert (str(error), error.missing) == ("not ready", ("SINK.a",))
