"""The configuration that is shown is the one that runs, without its secret."""

from __future__ import annotations

import shlex

import pytest

from headrace.services import bridge, spark
from headrace.services.show_config import configuration_of


def test_what_is_shown_has_no_secret() -> None:
    for service in ("agent", "bridge", "driver"):
        assert configuration_of(service)
    assert "spark.authenticate.secret (a secret)" in configuration_of("driver")


def test_what_is_shown_is_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_BRIDGES", "one,two")
    assert "hostname = two\n" in configuration_of("agent")
    assert configuration_of("bridge") == bridge.configuration()
    assert shlex.split(configuration_of("driver").splitlines()[-1]) == spark.driver_command()


def test_another_service_has_no_configuration_to_show() -> None:
    with pytest.raises(KeyError):
        configuration_of("history")
