"""The settings of the containers, and where each value comes from.

``docker/.env.example`` lists the settings with their defaults. A value is taken from the environment, else from the
user's own file (``docker/.env`` in a checkout), else from what ``headrace up`` computes, else from that list. An empty
value counts as not given, because compose sees it so too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.common.suggest import did_you_mean
from headrace.container_settings import REMOVED
from headrace.containers.places import EXAMPLE
from headrace.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROFILES = ("metrics", "history", "postgres")
"""The profiles that COMPOSE_PROFILES may name."""

_SIZE = re.compile(r"(\d+)([kmgt]?)b?", re.IGNORECASE)
_ENTRY = re.compile(r"([A-Za-z_]\w*)=(.*)")


@dataclass(frozen=True)
class Value:
    """A setting's value and its origin: ``environment``, the user's file, ``computed`` or ``default``."""

    text: str
    origin: str


class Settings:
    """All settings by name; each has a value, which may be empty.

    Args:
        environment: the environment variables of the caller.
        chosen: the user's file of settings, which need not exist.
        computed: values that follow from the machine, for settings that nobody set.

    Raises:
        UsageError: the file has a line or a name that means nothing, a variable was removed, or the values do not fit
            together.
    """

    def __init__(self, environment: Mapping[str, str], chosen: Path, computed: Mapping[str, str] | None = None) -> None:
        defaults = parse(EXAMPLE)
        in_file = parse(chosen) if chosen.exists() else {}
        file_name = f"{chosen.parent.name}/{chosen.name}"
        for place, given in (("environment", environment), (file_name, in_file)):
            for name in REMOVED.keys() & given.keys():
                if given[name]:
                    raise UsageError(f"{place}: {name} is gone: {REMOVED[name]}")
        for name in in_file.keys() - defaults.keys() - REMOVED.keys():
            hint = did_you_mean(name, defaults, otherwise=f"{EXAMPLE} lists them all")
            raise UsageError(f"{chosen}: no setting is called {name}{hint}")
        self.values: dict[str, Value] = {}
        for name, default in defaults.items():
            places = (
                (environment.get(name), "environment"),
                (in_file.get(name), file_name),
                ((computed or {}).get(name), "computed"),
            )
            found = next((Value(text, origin) for text, origin in places if text), Value(default, "default"))
            self.values[name] = found
        self._check()

    def __getitem__(self, name: str) -> str:
        return self.values[name].text

    @property
    def profiles(self) -> tuple[str, ...]:
        """The chosen profiles."""
        return tuple(part.strip() for part in self["COMPOSE_PROFILES"].split(",") if part.strip())

    def environment(self) -> dict[str, str]:
        """Return the variables for compose: the settings that have a value."""
        return {name: value.text for name, value in self.values.items() if value.text}

    def _check(self) -> None:
        for profile in self.profiles:
            if profile not in PROFILES:
                raise UsageError(f"COMPOSE_PROFILES: {profile}: not one of {', '.join(PROFILES)}")
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self["COMPOSE_PROJECT_NAME"]):
            raise UsageError("COMPOSE_PROJECT_NAME: lower-case letters, digits, - and _ only, a letter or digit first")
        # An executor that no worker has room for is never started, and the job waits without a word.
        for part, whole in (
            ("HEADRACE_EXECUTOR_MEMORY", "HEADRACE_WORKER_MEMORY"),
            ("HEADRACE_WORKER_MEMORY", "HEADRACE_WORKER_LIMIT"),
            ("HEADRACE_DRIVER_MEMORY", "HEADRACE_DRIVER_LIMIT"),
        ):
            if self._bytes(part) > self._bytes(whole):
                raise UsageError(f"{part}={self[part]} does not fit into {whole}={self[whole]}")
        wanted, offered = self._number("HEADRACE_EXECUTOR_CORES"), self._number("HEADRACE_WORKER_CORES")
        if wanted > offered:
            raise UsageError(f"HEADRACE_EXECUTOR_CORES={wanted} is above HEADRACE_WORKER_CORES={offered}")

    def _number(self, name: str) -> int:
        if not self[name].isascii() or not self[name].isdigit():
            raise UsageError(f"{name}={self[name]}: write a whole number")
        return int(self[name])

    def _bytes(self, name: str) -> int:
        match = _SIZE.fullmatch(self[name])
        if match is None:
            raise UsageError(f"{name}={self[name]}: write a size like 512m or 2g")
        # Each step from k to t is a factor of 1,024, that is ten bits.
        return int(match[1]) << 10 * ("kmgt".index(match[2].lower()) + 1 if match[2] else 0)


def parse(path: Path) -> dict[str, str]:
    """Read a file of settings.

    Raises:
        UsageError: it cannot be read, or a line is neither a comment nor a setting.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ENTRY.fullmatch(line.strip())
        if match is None:
            raise UsageError(f"{path}, line {number}: neither a comment nor NAME=value")
        found[match[1]] = match[2].strip()
    return found
