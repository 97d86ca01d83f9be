"""What every service of the compose file has to have, and what docker-compose 1.29.2 does not take.

A rule takes the parsed file and gives a sentence for each place that breaks it; :func:`findings` runs them all. What
compose v2 takes in addition was tried with 1.29.2 key by key: most of it makes 1.29.2 refuse the whole file, the rest
it reads and does nothing about, which is worse.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Compose = Mapping[str, Any]
    Rule = Callable[[Compose], Iterator[str]]

V2_ONLY = {
    "name": "is unknown to 1.29.2",
    "include": "is unknown to 1.29.2",
    "models": "is unknown to 1.29.2",
    "version": "is obsolete, and v2 warns of it",
    "configs": "is read and ignored by 1.29.2: bind-mount a rendered file",
    "secrets.*.environment": "is unknown to 1.29.2: give a file",
    "secrets.*.content": "is unknown to 1.29.2: give a file",
    "services.*.annotations": "is unknown to 1.29.2",
    "services.*.attach": "is unknown to 1.29.2",
    "services.*.build.additional_contexts": "is unknown to 1.29.2",
    "services.*.build.dockerfile_inline": "is unknown to 1.29.2",
    "services.*.build.no_cache": "is unknown to 1.29.2",
    "services.*.build.platforms": "is unknown to 1.29.2",
    "services.*.build.privileged": "is unknown to 1.29.2",
    "services.*.build.pull": "is unknown to 1.29.2",
    "services.*.build.secrets": "is unknown to 1.29.2",
    "services.*.build.ssh": "is unknown to 1.29.2",
    "services.*.build.tags": "is unknown to 1.29.2",
    "services.*.build.ulimits": "is unknown to 1.29.2",
    "services.*.cgroup": "is unknown to 1.29.2",
    "services.*.configs": "is read and ignored by 1.29.2: bind-mount a rendered file",
    "services.*.depends_on.*.required": "is unknown to 1.29.2",
    "services.*.depends_on.*.restart": "is unknown to 1.29.2",
    "services.*.deploy": "is translated by 1.29.2 only in part: use mem_limit, cpus, pids_limit and --scale",
    "services.*.develop": "is unknown to 1.29.2",
    "services.*.env_file.*.path": "is unknown to 1.29.2: name the file itself",
    "services.*.gpus": "is unknown to 1.29.2",
    "services.*.healthcheck.start_interval": "is unknown to 1.29.2",
    "services.*.label_file": "is unknown to 1.29.2",
    "services.*.models": "is unknown to 1.29.2",
    "services.*.ports.*.app_protocol": "is unknown to 1.29.2",
    "services.*.ports.*.host_ip": "is unknown to 1.29.2: write 127.0.0.1:HOST:CONTAINER",
    "services.*.ports.*.name": "is unknown to 1.29.2",
    "services.*.post_start": "is unknown to 1.29.2",
    "services.*.pre_stop": "is unknown to 1.29.2",
    "services.*.provider": "is unknown to 1.29.2",
    "services.*.secrets.*.gid": "is ignored for a secret from a file",
    "services.*.secrets.*.mode": "is ignored for a secret from a file",
    "services.*.secrets.*.uid": "is ignored for a secret from a file",
    "services.*.use_api_socket": "is unknown to 1.29.2",
    "services.*.uts": "is unknown to 1.29.2",
    "services.*.volumes.*.bind.create_host_path": "is unknown to 1.29.2",
    "services.*.volumes.*.bind.recursive": "is unknown to 1.29.2",
    "services.*.volumes.*.bind.selinux": "is unknown to 1.29.2",
    "services.*.volumes.*.volume.subpath": "is unknown to 1.29.2",
}
"""A key (``*`` stands for any name, and for the places of a list), and why it may not be used."""

ONE_SHOT_RESTART = "no"
"""A service with this restart policy prepares something and ends: there is no state of health to ask it for."""

SECRET_NAME = re.compile(r"PASSW|TOKEN|SECRET|CREDENTIAL|PRIVATE|API_?KEY", re.IGNORECASE)
VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_]\w*)([^}]*)\}|([A-Za-z_]\w*))")
HOST_NAMESPACES = {"network_mode": "host", "pid": "host", "ipc": "host", "userns_mode": "host"}


def findings(compose: Compose) -> list[str]:
    """Return one sentence for everything that breaks a rule, the rule's name in front."""
    return [f"{name}: {text}" for name, rule in RULES.items() for text in rule(compose)]


def variables(text: str) -> dict[str, str]:
    """Return each variable that a compose file's text is filled in with, and what stands behind its name.

    Comment lines are not read; ``$$`` is a dollar for the container.
    """
    used: dict[str, str] = {}
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            for name, rest, bare in VARIABLE.findall(line):
                if name or bare:
                    used[name or bare] = rest
    return used


def _services(compose: Compose) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from compose.get("services", {}).items()


def _requires(key: str, wanted: object, why: str) -> Rule:
    """Return the rule that every service has ``key`` with the value ``wanted``."""

    def rule(compose: Compose) -> Iterator[str]:
        for name, service in _services(compose):
            if service.get(key) != wanted:
                yield f"{name}: {key} must be {wanted!r}, not {service.get(key)!r}: {why}"

    return rule


def _requires_limit(key: str) -> Rule:
    """Return the rule that every service bounds what ``key`` bounds."""

    def rule(compose: Compose) -> Iterator[str]:
        for name, service in _services(compose):
            if str(service.get(key, 0)) in {"0", "-1", ""}:
                yield f"{name}: without {key} one container can starve the others"

    return rule


def _temporary_space(compose: Compose) -> Iterator[str]:
    for name, service in _services(compose):
        mounts = service.get("tmpfs", [])
        mounts = [mounts] if isinstance(mounts, str) else mounts
        for mount in mounts:
            if "size=" not in mount:
                yield f"{name}: tmpfs {mount} has no size, and half of the host's memory by default"
        if not any(mount.partition(":")[0] == "/tmp" for mount in mounts):
            yield f"{name}: its root is read-only, so it needs a tmpfs on /tmp"


def _capped_logs(compose: Compose) -> Iterator[str]:
    for name, service in _services(compose):
        options = service.get("logging", {}).get("options", {})
        if not {"max-size", "max-file"} <= options.keys():
            yield f"{name}: logging needs max-size and max-file, or its log fills the disk"


def _comes_back(compose: Compose) -> Iterator[str]:
    for name, service in _services(compose):
        if service.get("restart") not in {"unless-stopped", ONE_SHOT_RESTART}:
            yield f"{name}: restart must be unless-stopped (Flume ends with 0 when it fails), or {ONE_SHOT_RESTART!r}"


def _tells_its_health(compose: Compose) -> Iterator[str]:
    for name, service in _services(compose):
        if service.get("restart") == ONE_SHOT_RESTART:
            continue
        check = service.get("healthcheck", {})
        test = check.get("test")
        if not test or check.get("disable") or test in (["NONE"], "NONE"):
            yield f"{name}: has no health check"
        elif missing := {"interval", "timeout", "retries", "start_period"} - check.keys():
            yield f"{name}: its health check leaves {', '.join(sorted(missing))} to a default"


def _published_on_loopback(compose: Compose) -> Iterator[str]:
    for name, service in _services(compose):
        for port in service.get("ports", []):
            if not (isinstance(port, str) and port.startswith("127.0.0.1:") and port.count(":") >= 2):
                yield f"{name}: port {port} must be published as 127.0.0.1:HOST:CONTAINER"


def _pinned(compose: Compose) -> Iterator[str]:
    for name, service in _services(compose):
        image = service.get("image")
        if image is None:
            yield f"{name}: has no image name, so what was built cannot be told from what was pulled"
            continue
        # A default in a variable is what runs unless somebody says otherwise; it is what has to be pinned.
        plain = VARIABLE.sub(lambda match: (match[2] or "").lstrip(":-"), image)
        tag = plain.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in plain and tag in {"", "latest"}:
            yield f"{name}: image {image} names no version"


def _not_root(compose: Compose) -> Iterator[str]:
    for name, service in _services(compose):
        user = VARIABLE.sub(lambda match: (match[2] or "").lstrip(":-"), str(service.get("user", "")))
        if not user:
            yield f"{name}: names no user, so the image decides who writes into the volumes"
        elif user.partition(":")[0] in {"0", "root"}:
            yield f"{name}: runs as root"


def _no_way_out(compose: Compose) -> Iterator[str]:
    for name, service in _services(compose):
        if service.get("privileged"):
            yield f"{name}: is privileged"
        for key, value in HOST_NAMESPACES.items():
            if service.get(key) == value:
                yield f"{name}: {key} {value} shares the host's own"
        for key in ("cap_add", "devices"):
            if service.get(key):
                yield f"{name}: {key} gives back what the hardening took"
        for volume in service.get("volumes", []):
            source = volume.get("source", "") if isinstance(volume, dict) else volume
            if "docker.sock" in source:
                yield f"{name}: the engine's socket is the host's root account"


def _no_fixed_name(compose: Compose) -> Iterator[str]:
    for name, service in _services(compose):
        if "container_name" in service:
            yield f"{name}: container_name prevents --scale and a second project"


def _no_secret_in_sight(compose: Compose) -> Iterator[str]:
    for name, service in _services(compose):
        environment = service.get("environment", {})
        pairs = (
            dict(entry.partition("=")[::2] for entry in environment) if isinstance(environment, list) else environment
        )
        for variable in pairs:
            if SECRET_NAME.search(variable) and not variable.endswith(("_FILE", "_file")):
                yield f"{name}: {variable} shows in docker inspect: use a secret, and {variable}_FILE"


def _waits_for_health(compose: Compose) -> Iterator[str]:
    services = dict(_services(compose))
    for name, service in services.items():
        dependencies = service.get("depends_on", {})
        if isinstance(dependencies, list):
            yield f"{name}: depends_on without a condition waits for a process, not for its service"
            continue
        for other, wait in dependencies.items():
            one_shot = services.get(other, {}).get("restart") == ONE_SHOT_RESTART
            wanted = "service_completed_successfully" if one_shot else "service_healthy"
            # Whoever retries by itself may start beside what it needs.
            if wait.get("condition") not in {wanted, *(() if one_shot else ("service_started",))}:
                yield f"{name}: must wait for {other} with the condition {wanted}"


def _old_compose_takes_it(compose: Compose) -> Iterator[str]:
    for pattern, why in V2_ONLY.items():
        for place in _places(compose, pattern.split("."), ()):
            yield f"{'.'.join(place)} {why}"
    for name, service in _services(compose):
        check = service.get("healthcheck", {})
        if "disable" in check and "test" in check:
            yield f"services.{name}.healthcheck has disable beside test, which 1.29.2 refuses"


def _old_compose_fills_it_in(compose: Compose) -> Iterator[str]:
    for place, text in _texts(compose, ()):
        if re.search(r"\$\{\w+:?\+", text):
            yield f"{place}: 1.29.2 does not know ${{A:+b}}"
        if re.search(r"\$\{[^}]*\$\{", text):
            yield f"{place}: 1.29.2 does not know a variable inside a default"
        for name, rest, bare in VARIABLE.findall(text):
            if bare or (name and not rest.startswith((":-", ":?"))):
                yield f"{place}: ${name or bare} needs a default (:-) or a sentence that asks for it (:?)"


def _places(node: object, pattern: list[str], so_far: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Give the paths of a tree that a pattern names."""
    if not pattern:
        yield so_far
        return
    if isinstance(node, dict):
        below = list(node.items())
    elif isinstance(node, list):
        below = list(enumerate(node))
    else:
        return
    for key, child in below:
        if pattern[0] in {"*", str(key)}:
            yield from _places(child, pattern[1:], (*so_far, str(key)))


def _texts(node: object, so_far: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Give every text of a tree with its path."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _texts(child, (*so_far, str(key)))
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from _texts(child, (*so_far, str(number)))
    elif isinstance(node, str):
        yield ".".join(so_far), node


RULES: dict[str, Rule] = {
    "read-only": _requires("read_only", wanted=True, why="what a program may change is a volume or a tmpfs"),
    "init": _requires("init", wanted=True, why="somebody must reap the processes that Spark forks and pass signals on"),
    "capabilities": _requires("cap_drop", ["ALL"], "none of them binds low ports or changes owners"),
    "privileges": _requires("security_opt", ["no-new-privileges:true"], "a set-uid program must not help anybody"),
    "memory": _requires_limit("mem_limit"),
    "processes": _requires_limit("pids_limit"),
    "temporary-space": _temporary_space,
    "logging": _capped_logs,
    "restart": _comes_back,
    "health": _tells_its_health,
    "loopback": _published_on_loopback,
    "pinned": _pinned,
    "user": _not_root,
    "isolation": _no_way_out,
    "names": _no_fixed_name,
    "secrets": _no_secret_in_sight,
    "order": _waits_for_health,
    "old-compose-keys": _old_compose_takes_it,
    "old-compose-variables": _old_compose_fills_it_in,
}
