"""Writes ``docker/.env.example``, the defaults of variables in ``docker/compose.yaml``, and the version of our images.

    python docker/generate.py            write all files
    python docker/generate.py --check    change nothing; exit code 1 and where each file differs first

The settings are declared in :mod:`headrace.container_settings`. Those that are options of the job or of the bridge have
no default there: it is that of the option's model, read here. Our images have the version of ``pyproject.toml``
wherever they are named: in the compose file, the Kubernetes files and the documentation.
"""

from __future__ import annotations

import re
import sys
import textwrap
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from avro_bridge.config import BridgeConfig
from headrace.common.durations import format_duration
from headrace.common.text import first_difference
from headrace.container_settings import OF_THE_BRIDGE, OF_THE_JOB, SECTIONS, SETTINGS
from spark_job.jobs.options import UrlCountsOptions
from spark_job.options.command_line import flag_of
from spark_job.runner.job_settings import JobSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.container_settings import Setting

DOCKER = Path(__file__).resolve().parent
ROOT = DOCKER.parent
WIDTH = 120
COMMAND = "make generate"

_HEAD = """\
# Every setting of the containers, each with its default and its reason. Written by `make generate`.
#
# To change some, copy this file to docker/.env and keep the lines that differ. A variable of the environment goes
# before docker/.env, and that before the default; `make config` prints each value with where it is from.
"""
# ``headrace-agent:0.1.0``, and ``{name: headrace-agent, newTag: 0.1.0}`` of a kustomization.
_IMAGE = re.compile(r"(\bheadrace-[a-z0-9-]+(?::|, newTag: ))\d+\.\d+\.\d+(?:[a-z]+\d*)?")
_IN_COMPOSE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def default_of(setting: Setting) -> str:
    """Return the default of a setting as people write it; empty where it depends on the machine."""
    if setting.name in OF_THE_JOB:
        return _default_of_option(OF_THE_JOB[setting.name])
    if setting.name in OF_THE_BRIDGE:
        section, key = OF_THE_BRIDGE[setting.name].split(".")
        return str(getattr(getattr(BridgeConfig(), section), key))
    return setting.default


def _default_of_option(option: str) -> str:
    for model in (JobSettings, UrlCountsOptions):
        for name, field in model.model_fields.items():
            if flag_of(name, field).name == option:
                default = field.get_default(call_default_factory=True)
                if isinstance(default, timedelta):
                    return format_duration(default)
                return "" if default is None else str(default)
    raise LookupError(f"no option of the job url-counts is called {option!r}")


def example() -> str:
    """Return the text of ``docker/.env.example``."""
    return "\n".join([_HEAD, *_example_lines()])


def _example_lines() -> Iterator[str]:
    for section in SECTIONS:
        yield f"# --- {section.title} ".ljust(WIDTH, "-")
        yield ""
        for setting in section.settings:
            text = f"{setting.meaning}. {setting.reason}".strip()
            yield from textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
            yield f"{setting.name}={default_of(setting)}"
            yield ""


def compose(text: str) -> str:
    """Return a compose file with the default of each variable as it is declared.

    A variable that a service reads by itself gets none: the service knows it.

    Raises:
        LookupError: a variable is not declared.
    """

    def with_default(match: re.Match[str]) -> str:
        return f"${{{match[1]}:-{SETTINGS[match[1]].fallback}}}"

    return _IN_COMPOSE.sub(with_default, text)


def with_version(text: str, version: str) -> str:
    """Return a text in which each of our images has this version."""
    return _IMAGE.sub(lambda match: match[1] + version, text)


def files() -> dict[Path, str]:
    """Return what each file should hold."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    with_images = [*DOCKER.glob("k8s/**/*.yaml"), *DOCKER.glob("**/Dockerfile"), *ROOT.glob("docs/**/*.md")]
    found = {path: with_version(path.read_text(encoding="utf-8"), version) for path in with_images}
    composed = DOCKER / "compose.yaml"
    found[composed] = with_version(compose(composed.read_text(encoding="utf-8")), version)
    return {DOCKER / ".env.example": example(), **found}


def main(arguments: list[str]) -> int:
    """Write the files, or say which differ; returns the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python docker/generate.py [--check]\n")
        return 2
    stale = 0
    for path, text in files().items():
        difference = first_difference(path.read_text(encoding="utf-8"), text)
        if difference and arguments:
            name = path.relative_to(ROOT)
            sys.stderr.write(f"{name} is not what the code says: run `{COMMAND}`\n{difference}\n")
            stale = 1
        elif difference:
            path.write_text(text, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
