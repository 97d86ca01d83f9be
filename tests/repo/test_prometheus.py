"""Prometheus accepts the configuration, the rules pass their tests, and every metric in them exists."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from avro_bridge.flume_metrics import _add
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings
from avro_bridge.metrics import BridgeMetrics, LogCollector
from headrace.common.bridge_defaults import ADMIN_PORT
from headrace.services.environment import DRIVER_HOST, JOB_METRICS_PORT, MASTER_HOST, MASTER_UI_PORT, WORKER_UI_PORT
from headrace.services.spark import defaults
from spark_job.runner.metrics_page import ProgressCollector
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily

FOLDER = ROOT / "docker" / "prometheus"

FLUME_PAGE = {
    "SOURCE.spool": {"EventReadFail": "0", "GenericProcessingFail": "0"},
    "CHANNEL.queue": {"ChannelFillPercentage": "1.5"},
}
"""The metrics of Flume 1.11.0 that the rules use."""

SPARK_METRICS = {"metrics_master_aliveWorkers_Value", "metrics_master_waitingApps_Value"}
"""Read from the page of a Spark 4.3.0 master with its PrometheusServlet."""

PROGRESS = (
    '{"state": "running", "checked_at": "2026-11-22T10:00:01Z", "batch_at": "2026-11-22T10:00:00Z", "batch_id": 7,'
    ' "watermark": "2026-11-22T09:00:00Z", "batch_ms": 250, "state_rows": 3, "waiting": 5,'
    ' "tally": {"read": 4, "lost": 0, "counted": 2, "malformed": 1, "late": 0, "too_old": 1, "balanced": true}}'
)


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in read("rules.yml")["groups"] for rule in group["rules"]}


def sample_names(registry: CollectorRegistry) -> Iterator[str]:
    """Give the name of every sample, those of a histogram included, also where no label has a value yet."""
    for family in registry.collect():
        yield from (sample.name for sample in family.samples)
        yield family.name + ("_total" if family.type == "counter" else "")


def exported(tmp_path: Path) -> set[str]:
    """Return the names of all that bridge, agents and job export."""
    registry = BridgeMetrics().registry
    (tmp_path / "progress.json").write_text(PROGRESS)
    registry.register(ProgressCollector(tmp_path / "progress.json"))
    families: dict[str, GaugeMetricFamily] = {}
    for component, figures in FLUME_PAGE.items():
        _add(families, "0", component, figures)
    log = Log.open(tmp_path, LogSettings(max_bytes=2**20))
    try:
        registry.register(LogCollector(log))
        return {*sample_names(registry), *families, "headrace_agent_up", "up", *SPARK_METRICS}
    finally:
        log.close()


def named_in(expression: str) -> set[str]:
    """Return the metrics of an expression: names that are followed by neither ``(`` nor ``=``, outside of quotes."""
    plain = re.sub(r'"[^"]*"', "", expression)
    plain = re.sub(r"\b(?:by|without|ignoring|on|group_left|group_right)\s*\([^)]*\)", "", plain)
    plain = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", plain)
    words = set(re.findall(r"\b([a-zA-Z_]\w*)\b(?!\s*\()", plain))
    return words - {"and", "or", "unless", "bool", "offset"} - set(re.findall(r"\b(\d\w*)\b", plain))


def promtool(*arguments: str) -> None:
    ended = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_names_are_found_in_an_expression() -> None:
    text = 'sum by (le) (rate(a_total{b="c", d!~"e"}[5m])) / ignoring (f) g > 1e6 or absent(h) and time() - i > 60'
    assert named_in(text) == {"a_total", "g", "h", "i"}


def targets() -> dict[str, tuple[str, int]]:
    """Return host and port of what each job of the configuration asks."""
    found = {}
    for job in read("prometheus.yml")["scrape_configs"]:
        if "dns_sd_configs" in job:
            lookup = job["dns_sd_configs"][0]
            found[job["job_name"]] = (lookup["names"][0], lookup["port"])
        else:
            host, _, port = job["static_configs"][0]["targets"][0].rpartition(":")
            found[job["job_name"]] = (host, int(port))
    return found


def test_it_asks_the_services_at_the_ports_of_the_code() -> None:
    assert targets() == {
        "bridge": ("bridge", ADMIN_PORT),
        "job": (DRIVER_HOST, JOB_METRICS_PORT),
        "spark-master": (MASTER_HOST, MASTER_UI_PORT),
        "spark-worker": ("spark-worker", WORKER_UI_PORT),
        "prometheus": ("127.0.0.1", 9090),
    }


def test_it_reaches_every_service_that_it_asks() -> None:
    services = yaml.safe_load((FOLDER.parent / "compose.yaml").read_text(encoding="utf-8"))["services"]
    own = set(services["prometheus"]["networks"])
    for job, (host, _) in targets().items():
        assert job == "prometheus" or own & set(services[host]["networks"]), job


def test_spark_shows_its_figures_where_they_are_asked_for() -> None:
    conf = defaults("a secret")
    paths = {job["job_name"]: job.get("metrics_path") for job in read("prometheus.yml")["scrape_configs"]}
    sink = "sink.prometheusServlet.path"
    assert paths["spark-master"] == conf[f"spark.metrics.conf.master.{sink}"] + "/"
    assert paths["spark-worker"] == conf[f"spark.metrics.conf.*.{sink}"] + "/"


@pytest.mark.promtool
def test_the_configuration_is_valid() -> None:
    promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")


@pytest.mark.promtool
def test_the_rules_do_what_their_tests_say() -> None:
    promtool("test", "rules", "rules_test.yml")


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    shown: dict[str, set[bool]] = {name: set() for name in alerts()}
    for test in read("rules_test.yml")["tests"]:
        for case in test["alert_rule_test"]:
            shown[case["alertname"]].add(bool(case["exp_alerts"]))
            # An alert for some of the series given is one that was silent about the others.
            if 0 < len(case["exp_alerts"]) < len(test["input_series"]):
                shown[case["alertname"]].add(False)
    assert {name: kinds for name, kinds in shown.items() if kinds != {True, False}} == {}


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_names_metrics_that_exist(alert: str, tmp_path: Path) -> None:
    assert named_in(alerts()[alert]["expr"]) - exported(tmp_path) == set()


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_says_how_bad_it_is_what_is_seen_and_what_to_do(alert: str) -> None:
    rule = alerts()[alert]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert {"summary", "action"} == rule["annotations"].keys()


def test_alerts_that_an_action_refers_to_exist() -> None:
    text = " ".join(rule["annotations"]["action"] for rule in alerts().values())
    referred = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", text))
    assert referred - alerts().keys() == set()
    assert referred
