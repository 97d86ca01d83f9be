"""A default that has to stand in more than one place is the same in all of them: code, pages, examples, containers."""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import yaml

from avro_bridge.config import BridgeConfig
from flume.config.values import default_values
from headrace.cli.tools import sample
from headrace.common.bridge_defaults import ADMIN_PORT, AVRO_PORT, FLIGHT_PORT, FRAME_BYTES
from headrace.common.durations import format_duration
from headrace.common.text import binary_size, iso_utc
from headrace.container_settings import SETTINGS
from headrace.containers.folder import UNPRIVILEGED
from headrace.containers.places import DEFAULT_FOLDER
from headrace.local.run_options import PipelineOptions
from headrace.sample import DEFAULT_START, SampleSettings
from headrace.services.environment import (
    BLOCK_MANAGER_PORT,
    DRIVER_PORT,
    HISTORY_PORT,
    JOB_METRICS_PORT,
    MASTER_UI_PORT,
)
from headrace.state_folder import DEFAULT_STATE
from spark_job.jobs.catalog import load
from spark_job.jobs.options import UrlCountsOptions
from spark_job.parse import UrlRule
from spark_job.parse.formats import NAMED, NGINX_JSON
from spark_job.runner.dstreams.options import SlidingOptions
from spark_job.runner.job_settings import JobSettings
from spark_job.sinks.database.url import DEFAULT_RETRY_FOR
from spark_job.sinks.throttle import MAX_PAUSE_S
from spark_job.source.option_table import LOG_FORMATS, TIMES, URL_RULES
from tests.support.markdown import tables_under
from tests.support.source_tree import ROOT, project_files, shown

if TYPE_CHECKING:
    from pathlib import Path

SECOND = timedelta(seconds=1)
AGENT = default_values()
BRIDGE = BridgeConfig()
SCRAPE_S = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())["global"]["scrape_interval"]
EXPIRY = {3600.0: "an hour"}.get(BRIDGE.log.doubt_expiry_s, f"{BRIDGE.log.doubt_expiry_s} s")


def setting(name: str) -> str:
    """Return the default of a setting of the containers."""
    return SETTINGS[f"HEADRACE_{name}"].default


@dataclass(frozen=True)
class Copy:
    """A place that repeats a default.

    Attributes:
        file: the file.
        words: what stands around the default there, with ``{}`` for the default itself; a line end counts as a blank.
        value: the default, as it is written there.
        origin: where it is set.
    """

    file: str
    words: str
    value: object
    origin: str


PORTS = "headrace/common/bridge_defaults.py"
VALUES = "flume/config/values.toml"
BRIDGE_CONFIG = "avro_bridge/config.py"
JOB_SETTINGS = "spark_job/runner/job_settings.py"
URL_COUNTS = "spark_job/jobs/options.py"
SERVICES = "headrace/services/environment.py"
CONTAINERS = "headrace/container_settings.py"
OWN_PROGRAM = "docs/howto/own-spark-program.md"
WITHOUT_FLUME = "examples/bridge_without_flume.py"
KUBERNETES = "docker/k8s/base"

COPIES = (
    # The ports of the bridge. Those in docker/ are also compared by test_kubernetes.py and test_prometheus.py.
    Copy(VALUES, 'host = "127.0.0.1" port = {} [compression]', AVRO_PORT, PORTS),
    Copy("README.md", 'options(bridges="127.0.0.1:{}")', FLIGHT_PORT, PORTS),
    Copy("docs/operations.md", "(`admin.port`, {})", ADMIN_PORT, PORTS),
    Copy(OWN_PROGRAM, "listens on 127.0.0.1:{}.", FLIGHT_PORT, PORTS),
    Copy(OWN_PROGRAM, 'bridges="127.0.0.1:{}"', FLIGHT_PORT, PORTS),
    Copy(WITHOUT_FLUME, "--avro 127.0.0.1:{} --flight", AVRO_PORT, PORTS),
    Copy(WITHOUT_FLUME, "--flight 127.0.0.1:{} <", FLIGHT_PORT, PORTS),
    Copy(WITHOUT_FLUME, '"--avro", default="127.0.0.1:{}"', AVRO_PORT, PORTS),
    Copy(WITHOUT_FLUME, '"--flight", default="127.0.0.1:{}"', FLIGHT_PORT, PORTS),
    Copy("examples/own_spark_program.py", "own_spark_program.py 127.0.0.1:{} ", FLIGHT_PORT, PORTS),
    Copy("examples/custom_sink.py", "custom_sink.py 127.0.0.1:{} ", FLIGHT_PORT, PORTS),
    Copy("docker/prometheus/prometheus.yml", "names: [bridge] type: A port: {}", ADMIN_PORT, PORTS),
    Copy(f"{KUBERNETES}/bridge.yaml", "name: avro, port: {}}", AVRO_PORT, PORTS),
    Copy(f"{KUBERNETES}/bridge.yaml", "name: flight, port: {}}", FLIGHT_PORT, PORTS),
    Copy(f"{KUBERNETES}/bridge.yaml", "name: admin, port: {}}", ADMIN_PORT, PORTS),
    Copy(f"{KUBERNETES}/spark-application.yaml", "bridge-0.bridge:{},bridge-1", FLIGHT_PORT, PORTS),
    Copy(f"{KUBERNETES}/spark-application.yaml", "bridge-1.bridge:{} -", FLIGHT_PORT, PORTS),
    # Other ports.
    Copy("docs/operations.md", "JOB --metrics 127.0.0.1:{}`", JOB_METRICS_PORT, SERVICES),
    Copy(f"{KUBERNETES}/spark-application.yaml", "--metrics=0.0.0.0:{} ", JOB_METRICS_PORT, SERVICES),
    Copy(f"{KUBERNETES}/spark-application.yaml", 'spark.driver.port: "{}"', DRIVER_PORT, SERVICES),
    Copy(f"{KUBERNETES}/spark-application.yaml", 'spark.blockManager.port: "{}"', BLOCK_MANAGER_PORT, SERVICES),
    Copy("docker/compose.yaml", f"MASTER_UI_PORT:-{setting('MASTER_UI_PORT')}}}:{{}}", MASTER_UI_PORT, SERVICES),
    Copy("docker/compose.yaml", f"HISTORY_PORT:-{setting('HISTORY_PORT')}}}:{{}}", HISTORY_PORT, SERVICES),
    Copy("docs/howto/containers.md", "http://127.0.0.1:{} Spark's master", setting("MASTER_UI_PORT"), CONTAINERS),
    Copy("docs/operations.md", "http://127.0.0.1:{}/classic/alerts", setting("PROMETHEUS_PORT"), CONTAINERS),
    # The agent.
    Copy("README.md", "the {} channel, which is the default", AGENT.channel.type, VALUES),
    Copy("docs/guarantees.md", "**The {} channel loses its content", AGENT.channel.type, VALUES),
    Copy("docs/guarantees.md", "above {} characters (`spool.max_line", f"{AGENT.spool.max_line_chars:,}", VALUES),
    Copy("docs/architecture.md", "sends up to {} events in one RPC call", AGENT.sinks.batch_size, VALUES),
    Copy("docs/performance.md", "agent of Headrace sends batches of {}.", AGENT.sinks.batch_size, VALUES),
    Copy(VALUES, "Events of one request. {} instead of 1000", AGENT.sinks.batch_size, VALUES),
    Copy(VALUES, "With {} ms an idle agent", AGENT.sinks.idle_wait_ms, VALUES),
    Copy(f"{KUBERNETES}/agent.yaml", 'HEAP_MIB, value: "{}"', setting("AGENT_HEAP_MIB"), CONTAINERS),
    Copy(f"{KUBERNETES}/agent.yaml", "limits: {memory: {}i}", setting("AGENT_LIMIT").upper(), CONTAINERS),
    Copy(f"{KUBERNETES}/bridge.yaml", "limits: {memory: {}i}", setting("BRIDGE_LIMIT").upper(), CONTAINERS),
    # The bridge.
    Copy(VALUES, "frame ({} MiB)", FRAME_BYTES >> 20, PORTS),
    Copy("flume/config/checks.py", "plus a line above {} MiB", FRAME_BYTES >> 20, PORTS),
    Copy("avro_bridge/wire/limits.py", "so {} MiB need 4,096", FRAME_BYTES >> 20, PORTS),
    Copy("docs/operations.md", "B of {} GiB, dropped", binary_size(BRIDGE.log.max_bytes).split()[0], BRIDGE_CONFIG),
    Copy("docs/performance.md", "For {} after a connection broke", EXPIRY, "avro_bridge/log/settings.py"),
    Copy("docs/operations.md", "workers every {} seconds", SCRAPE_S.rstrip("s"), "docker/prometheus/prometheus.yml"),
    # The jobs.
    Copy("docs/performance.md", "of {} lines (the default limit)", f"{JobSettings().max_events:,}", JOB_SETTINGS),
    Copy("docs/guarantees.md", "`--max-rows` ({}) the", f"{UrlCountsOptions().max_rows:,}", URL_COUNTS),
    Copy("docs/operations.md", "is written at most {} s after", f"{MAX_PAUSE_S:g}", "spark_job/sinks/throttle.py"),
    Copy("docs/guarantees.md", "took, but at most {} s.", f"{MAX_PAUSE_S:g}", "spark_job/sinks/throttle.py"),
    Copy("docs/howto/databases.md", "`--retry-for` ({})", format_duration(JobSettings().retry_for), JOB_SETTINGS),
    Copy("docs/architecture.md", "trying again for {} s`", JobSettings().retry_for // SECOND, JOB_SETTINGS),
    Copy(
        "docs/guarantees.md",
        "for `--keep` ({} minutes)",
        SlidingOptions().keep // (60 * SECOND),
        "spark_job/runner/dstreams/options.py",
    ),
    Copy(
        "docs/guarantees.md",
        "in the event, `--api {}` (the default)",
        load("top-sellers").options.model_fields["api"].default,
        "spark_job/jobs/top_sellers.py",
    ),
    # The command line.
    Copy("Makefile", "STATE ?= {} ", DEFAULT_STATE, "headrace/state_folder.py"),
    Copy("Makefile", "CONTAINERS ?= {} ", DEFAULT_FOLDER.name, "headrace/containers/places.py"),
    Copy("README.md", "a sample of {} lines", f"{SampleSettings().lines:,}", "headrace/sample.py"),
    Copy("headrace/cli/tools.py", 'show_default="{}"', iso_utc(DEFAULT_START), "headrace/sample.py"),
)


def written(copy: Copy, text: str) -> list[str]:
    """Return what a text has in the places of a default."""
    before, _, after = copy.words.partition("{}")
    return re.findall(rf"{re.escape(before)}([\w,.:-]*\w|an? \w+){re.escape(after)}", f"{' '.join(text.split())} ")


def problem(copy: Copy, text: str) -> str | None:
    """Return what is wrong with a copy; None if it is the default."""
    found = written(copy, text)
    if not found:
        return f"{copy.file}: the words {copy.words!r} are gone; change the entry here with them, or take it out"
    wrong = [each for each in found if each != str(copy.value)]
    return (
        f"{copy.file} has {wrong[0]!r} in {copy.words!r}, and {copy.origin} has {str(copy.value)!r}" if wrong else None
    )


@pytest.mark.parametrize("copy", COPIES, ids=lambda copy: f"{copy.file}: {copy.words}")
def test_a_copy_of_a_default_is_the_default(copy: Copy) -> None:
    found = problem(copy, (ROOT / copy.file).read_text(encoding="utf-8"))
    assert found is None, found


def test_a_copy_that_differs_is_named_with_both_values() -> None:
    copy = Copy("page.md", "listens on port {}.", 4142, "config.py")
    assert problem(copy, "it listens on\nport 4142.") is None
    assert problem(copy, "it listens on port 4142. That listens on port 4999.") == (
        "page.md has '4999' in 'listens on port {}.', and config.py has '4142'"
    )
    assert "are gone" in str(problem(copy, "it is deaf"))


PORT = re.compile(r"(?<![\w.,-])414\d(?![\w,])")
"""A number that looks like one of our ports: they begin with 414."""
NOT_NOW = ("tests", "changelog.d", "CHANGELOG.md")
"""Files that may name ports of other times and of made-up bridges."""


def port_files() -> list[Path]:
    suffixes = {".py", ".md", ".toml", ".yaml", ".yml", ".j2", ".sh", ".properties", ""}
    return [
        path for path in project_files() if path.suffix in suffixes and path.relative_to(ROOT).parts[0] not in NOT_NOW
    ]


def test_no_file_names_a_port_that_the_code_no_longer_has() -> None:
    ports = {AVRO_PORT, FLIGHT_PORT, ADMIN_PORT, JOB_METRICS_PORT}
    strays = [
        f"{shown(path)}:{number}: {port} is none of {sorted(ports)}"
        for path in port_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for port in PORT.findall(line)
        if int(port) not in ports
    ]
    assert strays == []


EQUAL = {
    "--channel of `headrace run` and channel.type of the agent": (
        PipelineOptions.model_fields["channel"].default,
        AGENT.channel.type,
    ),
    "--retry-for of a job and retry_for of upsert()": (JobSettings().retry_for, DEFAULT_RETRY_FOR),
    "LOG_FORMATS in option_table.py and the names in spark_job/parse/formats.py": (
        set(LOG_FORMATS),
        {*NAMED, NGINX_JSON},
    ),
    "URL_RULES in option_table.py and UrlRule": (URL_RULES, tuple(map(str, UrlRule))),
}
"""Pairs in code that cannot import each other, or whose import would be too slow."""


@pytest.mark.parametrize("pair", EQUAL)
def test_two_defaults_in_code_are_the_same(pair: str) -> None:
    one, other = EQUAL[pair]
    assert one == other, f"{pair}: {one!r} and {other!r}"


def test_the_options_of_the_sample_have_the_defaults_of_its_settings() -> None:
    options = {name: each.default for name, each in inspect.signature(sample).parameters.items()}
    settings = asdict(SampleSettings())
    settings["disorder"] = settings.pop("disorder_s")
    del options["out"], options["start"], settings["start"]
    assert options == settings


@pytest.mark.parametrize(
    ("setting", "values"),
    [("HEADRACE_FORMAT", LOG_FORMATS), ("HEADRACE_URL", URL_RULES), ("HEADRACE_TIME", TIMES)],
)
def test_the_settings_of_the_containers_name_every_value_of_an_option(setting: str, values: tuple[str, ...]) -> None:
    meaning = re.sub(r" \([^)]*\)", "", SETTINGS[setting].meaning)
    assert re.split(r", or |, | or ", meaning)[: len(values)] == list(values)


def test_images_and_pods_run_as_the_account_of_the_containers_and_on_their_base() -> None:
    wanted = {name: SETTINGS[name].in_compose or SETTINGS[name].default for name in ("PUID", "PGID")}
    wanted["BASE_IMAGE"] = SETTINGS["HEADRACE_BASE_IMAGE"].default
    assert wanted["PUID"] == str(UNPRIVILEGED)
    names = {"runAsUser": "PUID", "runAsGroup": "PGID", "fsGroup": "PGID"}
    found = []
    for path in project_files():
        if ROOT / "docker" not in path.parents:
            continue
        text = path.read_text(encoding="utf-8")
        copies = re.findall(r"^ARG (PUID|PGID|BASE_IMAGE)=(\S+)", text, re.MULTILINE)
        copies += [(names[key], value) for key, value in re.findall(r"(runAsUser|runAsGroup|fsGroup): (\d+)", text)]
        copies += [("PUID", value) for value in re.findall(r"^USER (\d+):\d+$", text, re.MULTILINE)]
        found += [(shown(path), name, value) for name, value in copies]
    wrong = [f"{path} has {name} {value}, not {wanted[name]}" for path, name, value in found if value != wanted[name]]
    assert not wrong, "\n".join(wrong)
    assert {name for _, name, _ in found} == set(wanted)


def test_the_measured_memory_stands_beside_the_limits_of_today() -> None:
    names = {"agent": "AGENT", "bridge": "BRIDGE", "spark-master": "MASTER", "driver": "DRIVER"}
    names["spark-worker, with its executor"] = "WORKER"
    rows = tables_under("Containers", (ROOT / "docs" / "performance.md").read_text(encoding="utf-8"))
    stated = {row["container"]: row["its limit"] for row in rows}
    assert stated == {container: size_of(setting(f"{name}_LIMIT")) for container, name in names.items()}


def size_of(limit: str) -> str:
    """Return a limit such as ``640m`` as a page has it, ``640 MiB``."""
    return binary_size(int(limit[:-1]) << {"m": 20, "g": 30}[limit[-1]]).replace(".0 ", " ")
