"""The bridge's container: writes the configuration file and executes ``python -m avro_bridge serve``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import tomli_w

from headrace.common.bridge_defaults import ADMIN_PORT, AVRO_PORT, FLIGHT_PORT
from headrace.services.environment import AGENT_HOST, AGENT_METRICS_PORT, TOKEN_FILE, read, read_number

CONFIGURATION = Path("/tmp/bridge.toml")  # noqa: S108 - a tmpfs of this container alone
LOG_FOLDER = "/data/log"


def configuration() -> str:
    """Return the content of the bridge's configuration file.

    Every interface is bound, without TLS: only containers of the project are in the bridge's networks. Readers must
    know the token all the same.
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
        values["log"]["max_bytes"] = read_number("HEADRACE_LOG_MAX_BYTES")
    return tomli_w.dumps(values)


def run() -> None:
    """Execute the bridge in place of this process; does not return."""
    CONFIGURATION.write_text(configuration(), encoding="utf-8")
    os.execv(sys.executable, [sys.executable, "-m", "avro_bridge", "serve", "--config", str(CONFIGURATION)])  # noqa: S606
