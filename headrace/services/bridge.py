"""The bridge's container: writes the configuration and becomes ``python -m avro_bridge serve``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from headrace.services.environment import (
    ADMIN_PORT,
    AGENT_HOST,
    AGENT_METRICS_PORT,
    AVRO_PORT,
    FLIGHT_PORT,
    TOKEN_FILE,
    read,
)

CONFIGURATION = Path("/tmp/bridge.toml")  # noqa: S108 - a tmpfs of this container alone
LOG_FOLDER = "/data/log"


def configuration() -> str:
    """Return the bridge's configuration file.

    It is reached by its own network only, which nothing outside the project is part of; readers show the token.
    """
    values: dict[str, dict[str, object]] = {
        "listen": {"host": "0.0.0.0", "port": AVRO_PORT},  # noqa: S104
        "flight": {
            "host": "0.0.0.0",  # noqa: S104
            "port": FLIGHT_PORT,
            "token_file": TOKEN_FILE,
            "allow_plaintext": True,
        },
        "admin": {
            "host": "0.0.0.0",  # noqa: S104
            "port": ADMIN_PORT,
            "agents": [f"http://{AGENT_HOST}:{AGENT_METRICS_PORT}/metrics"],
        },
        "log": {"folder": LOG_FOLDER},
    }
    if read("HEADRACE_LOG_MAX_BYTES"):
        values["log"]["max_bytes"] = int(read("HEADRACE_LOG_MAX_BYTES"))
    # JSON's texts, numbers, lists and truth values are TOML's as well.
    sections = (
        [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items()), ""]
        for name, section in values.items()
    )
    return "\n".join(line for section in sections for line in section)


def run() -> None:
    """Become the bridge; does not return."""
    CONFIGURATION.write_text(configuration(), encoding="utf-8")
    os.execv(sys.executable, [sys.executable, "-m", "avro_bridge", "serve", "--config", str(CONFIGURATION)])  # noqa: S606
