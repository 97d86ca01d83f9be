"""Finding a Docker engine and compose, and reading what they print."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

INSPECTED = {
    "Id": "abc",
    "Name": "/p_bridge_2",
    "RestartCount": 3,
    "State": {"Status": "running", "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z", "Health": {"Status": "healthy"}},
    "Config": {
        "Labels": {"com.docker.compose.service": "bridge", "com.docker.compose.container-number": "2"},
        "Healthcheck": {"Test": ["CMD", "python", "-m", "x"]},
    },
}
"""The part of an answer of `docker inspect` (engine 20.10, compose 1.29.2) that is read."""


def put(folder: Path, name: str, script: str) -> None:
    """Put a program onto the PATH that is only this folder."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
