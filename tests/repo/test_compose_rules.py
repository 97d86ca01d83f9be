"""Each rule for the compose file lets a good file pass and catches a bad one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.compose_rules import RULES, V2_ONLY, findings, variables

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[dict[str, Any]], object]

GOOD = """
services:
  bridge:
    image: headrace-python:${HEADRACE_VERSION:-0.1.0}
    user: 10001:10001
    init: true
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    tmpfs: ["/tmp:size=64m"]
    mem_limit: 512m
    pids_limit: 200
    restart: unless-stopped
    logging: {driver: json-file, options: {max-size: 10m, max-file: "3"}}
    healthcheck: {test: [CMD, probe], interval: 5s, timeout: 3s, retries: 3, start_period: 30s}
    ports: ["127.0.0.1:${ADMIN_PORT:-4143}:4143"]
    environment: {TOKEN_FILE: /run/secrets/token, PRICE: $$5}
    volumes: ["log:/var/lib/headrace"]
    secrets: [token]
    depends_on: {prepare: {condition: service_completed_successfully}}
  prepare:
    image: headrace-python@sha256:0123
    user: 10001:10001
    init: true
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    tmpfs: ["/tmp:size=64m"]
    mem_limit: 64m
    pids_limit: 20
    restart: "no"
    logging: {driver: json-file, options: {max-size: 10m, max-file: "3"}}
volumes: {log: {}}
secrets: {token: {file: "${TOKEN_FILE:?name the file of the token}"}}
"""


def good() -> dict[str, Any]:
    compose = yaml.safe_load(GOOD)
    assert isinstance(compose, dict)
    return compose


def sets(key: str, value: object) -> Change:
    """Return the change that gives the bridge's service one other value."""
    return lambda compose: compose["services"]["bridge"].__setitem__(key, value)


def drops(key: str) -> Change:
    return lambda compose: compose["services"]["bridge"].pop(key)


BAD: list[tuple[str, Change, str]] = [
    ("read-only", drops("read_only"), "read_only must be True, not None"),
    ("read-only", sets("read_only", value=False), "read_only must be True, not False"),
    ("init", drops("init"), "init must be True"),
    ("capabilities", sets("cap_drop", ["NET_RAW"]), r"cap_drop must be \['ALL'\]"),
    ("privileges", drops("security_opt"), "security_opt must be"),
    ("memory", drops("mem_limit"), "without mem_limit"),
    ("memory", sets("mem_limit", 0), "without mem_limit"),
    ("processes", sets("pids_limit", -1), "without pids_limit"),
    ("temporary-space", drops("tmpfs"), "needs a tmpfs on /tmp"),
    ("temporary-space", sets("tmpfs", ["/tmp"]), "tmpfs /tmp has no size"),
    ("logging", drops("logging"), "needs max-size and max-file"),
    ("logging", sets("logging", {"options": {"max-size": "10m"}}), "needs max-size and max-file"),
    ("restart", drops("restart"), "restart must be unless-stopped"),
    ("restart", sets("restart", "on-failure"), "restart must be unless-stopped"),
    ("health", drops("healthcheck"), "bridge: has no health check"),
    ("health", sets("healthcheck", {"test": ["NONE"]}), "bridge: has no health check"),
    ("health", sets("healthcheck", {"test": ["CMD", "true"]}), "interval, retries, start_period, timeout"),
    ("loopback", sets("ports", ["4143:4143"]), "port 4143:4143 must be"),
    ("loopback", sets("ports", ["0.0.0.0:4143:4143"]), "port 0.0.0.0:4143:4143 must be"),
    ("loopback", sets("ports", [{"target": 4143, "published": 4143}]), "must be published as"),
    ("pinned", sets("image", "headrace-python"), "image headrace-python names no version"),
    ("pinned", sets("image", "registry:5000/headrace-python"), "names no version"),
    ("pinned", sets("image", "headrace-python:${TAG:-latest}"), "names no version"),
    ("pinned", drops("image"), "has no image name"),
    ("user", drops("user"), "names no user"),
    ("user", sets("user", "0:0"), "runs as root"),
    ("user", sets("user", "${PUID:-0}"), "runs as root"),
    ("isolation", sets("privileged", value=True), "is privileged"),
    ("isolation", sets("network_mode", "host"), "network_mode host"),
    ("isolation", sets("cap_add", ["CHOWN"]), "cap_add gives back"),
    ("isolation", sets("volumes", ["/var/run/docker.sock:/run/docker.sock"]), "the engine's socket"),
    ("names", sets("container_name", "bridge"), "container_name prevents --scale"),
    ("secrets", sets("environment", {"FLIGHT_TOKEN": "x"}), "FLIGHT_TOKEN shows in docker inspect"),
    ("secrets", sets("environment", ["DB_PASSWORD=x"]), "DB_PASSWORD shows in docker inspect"),
    ("order", sets("depends_on", ["prepare"]), "waits for a process"),
    ("order", sets("depends_on", {"prepare": {"condition": "service_started"}}), "service_completed_successfully"),
    ("old-compose-keys", lambda compose: compose.__setitem__("name", "headrace"), "name is unknown to 1.29.2"),
    ("old-compose-keys", lambda compose: compose.__setitem__("version", "3.9"), "version is obsolete"),
    ("old-compose-keys", sets("env_file", [{"path": ".env"}]), r"services\.bridge\.env_file\.0\.path is unknown"),
    (
        "old-compose-keys",
        lambda compose: compose["services"]["bridge"]["healthcheck"].__setitem__("disable", False),
        "disable beside test",
    ),
    ("old-compose-variables", sets("command", ["run", "${WINDOW:+--window}"]), r"services\.bridge\.command\.1: 1\.29"),
    ("old-compose-variables", sets("command", "${A:-${B}}"), "a variable inside a default"),
    ("old-compose-variables", sets("command", "$WINDOW"), r"\$WINDOW needs a default"),
    ("old-compose-variables", sets("command", "${WINDOW}"), r"\$WINDOW needs a default"),
]


def test_a_good_file_passes() -> None:
    assert findings(good()) == []


@pytest.mark.parametrize(("rule", "change", "text"), BAD, ids=[f"{rule}-{text}" for rule, _, text in BAD])
def test_a_bad_file_is_caught_and_the_place_is_named(rule: str, change: Change, text: str) -> None:
    compose = good()
    change(compose)
    caught = [sentence for sentence in findings(compose) if sentence.startswith(f"{rule}: ")]
    assert any(re.search(text, sentence) for sentence in caught), caught


def test_every_rule_has_a_bad_file() -> None:
    assert {rule for rule, _, _ in BAD} == set(RULES)


@pytest.mark.parametrize("pattern", V2_ONLY)
def test_every_key_that_1_29_2_does_not_take_is_found_where_it_stands(pattern: str) -> None:
    tree: object = "value"
    for part in reversed(pattern.split(".")):
        tree = {"some" if part == "*" else part: tree}
    place = pattern.replace("*", "some")
    assert isinstance(tree, dict)
    caught = list(RULES["old-compose-keys"](tree))
    assert len(caught) == 1
    assert caught[0].startswith(f"{place} ")


def test_variables_are_found_with_what_stands_behind_them() -> None:
    text = "a: ${A:-1}\n# b: ${B}\nc: $C and $$D\ne: ${E:?say it}\n"
    assert variables(text) == {"A": ":-1", "C": "", "E": ":?say it"}
