"""Variables of the containers: an empty one counts as not set, and lists may have blanks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.container_settings import SETTINGS
from headrace.services import spark
from headrace.services.__main__ import main
from headrace.services.environment import OWN_DATABASE, bridges, database, profiles, read, read_number, refuse_removed

if TYPE_CHECKING:
    from pathlib import Path


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "HEADRACE_WORKER_CORES"
    monkeypatch.delenv(name, raising=False)
    assert read(name) == SETTINGS[name].default != ""
    monkeypatch.setenv(name, "")
    assert read(name) == SETTINGS[name].default
    monkeypatch.setenv(name, "7")
    assert read(name) == "7"


def test_a_variable_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(KeyError, match="HEADRACE_NOTHING"):
        read("HEADRACE_NOTHING")


def test_lists_are_cut_at_commas_and_blanks_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_BRIDGES", "a , b,,c ")
    monkeypatch.setenv("COMPOSE_PROFILES", " metrics,history")
    assert bridges() == ("a", "b", "c")
    assert profiles() == ("metrics", "history")


def test_the_database_of_the_profile_is_used_unless_another_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_DATABASE", raising=False)
    assert database() == ""
    monkeypatch.setenv("COMPOSE_PROFILES", "postgres")
    assert database() == OWN_DATABASE
    monkeypatch.setenv("HEADRACE_DATABASE", "mariadb://user@host/db")
    assert database() == "mariadb://user@host/db"


def test_a_number_that_is_none_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_AGENT_HEAP_MIB", "256m")
    with pytest.raises(ValueError, match="HEADRACE_AGENT_HEAP_MIB=256m: write a whole number"):
        read_number("HEADRACE_AGENT_HEAP_MIB")
    monkeypatch.setenv("HEADRACE_AGENT_HEAP_MIB", "512")
    assert read_number("HEADRACE_AGENT_HEAP_MIB") == 512


def test_a_driver_with_a_removed_variable_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    monkeypatch.setattr(spark, "SPARK_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setattr(spark, "CONF_DIR", tmp_path / "conf")
    monkeypatch.setenv("HEADRACE_WATERMARK", "")
    refuse_removed()
    monkeypatch.setenv("HEADRACE_WATERMARK", "10m")
    assert main(["driver"]) == 2
    assert capsys.readouterr().err.startswith("driver: HEADRACE_WATERMARK is gone: URL counts have no watermark")


@pytest.mark.parametrize(("service", "name"), [("agent", "AGENT_HEAP_MIB"), ("bridge", "LOG_MAX_BYTES")])
def test_a_service_with_a_wrong_number_ends_with_2(
    service: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"HEADRACE_{name}", "many")
    assert main([service]) == 2
    assert f"{service}: HEADRACE_{name}=many" in capsys.readouterr().err
