"""Reads the container's environment variables, and holds the ports, host names and files that the services share."""

from __future__ import annotations

import os

from headrace.container_settings import REMOVED, SETTINGS

AGENT_METRICS_PORT = 41414
MASTER_PORT, MASTER_UI_PORT, WORKER_UI_PORT, HISTORY_PORT = 7077, 8080, 8081, 18080
DRIVER_PORT, BLOCK_MANAGER_PORT, DRIVER_UI_PORT, JOB_METRICS_PORT = 7078, 7079, 4040, 4144
MASTER_HOST, DRIVER_HOST, AGENT_HOST = "spark-master", "driver", "agent"

TOKEN_FILE = "/run/secrets/bridge-token"  # noqa: S105 - the name of a file
SPARK_SECRET_FILE = "/run/secrets/spark-secret"  # noqa: S105 - the name of a file
PASSWORD_FILE = "/run/secrets/database-password"  # noqa: S105 - the name of a file
OWN_DATABASE = "postgresql://counter@postgres/counts"
"""The database of the profile postgres."""


def read(name: str) -> str:
    """Return a setting of the containers: the variable, or the declared default where it is not set.

    A variable that is set but empty counts as not set, since compose cannot leave one out.
    """
    return os.environ.get(name) or SETTINGS[name].fallback


def read_number(name: str) -> int:
    """Return a setting that is a whole number.

    Raises:
        ValueError: it is none; the text names the variable.
    """
    text = read(name)
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{name}={text}: write a whole number")
    return int(text)


def refuse_removed() -> None:
    """Refuse variables that earlier versions had: ignored, they would let a job count something else in silence.

    Raises:
        ValueError: one is set; the text names it and says what to do.
    """
    for name, sentence in REMOVED.items():
        if os.environ.get(name):
            raise ValueError(f"{name} is gone: {sentence}")


def profiles() -> tuple[str, ...]:
    """Return the chosen profiles of the compose file."""
    return tuple(part.strip() for part in read("COMPOSE_PROFILES").split(",") if part.strip())


def database() -> str:
    """Return the URL of the database that keeps the counts; empty without one."""
    return read("HEADRACE_DATABASE") or (OWN_DATABASE if "postgres" in profiles() else "")


def bridges() -> tuple[str, ...]:
    """Return the host names of the bridges."""
    return tuple(part.strip() for part in read("HEADRACE_BRIDGES").split(",") if part.strip())
