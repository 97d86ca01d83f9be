"""The command line ``python -m avro_bridge``: serve, check a configuration, or compile the kernels in advance.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from avro_bridge import logging_setup
from avro_bridge.config import BridgeConfig, load_config
from avro_bridge.errors import BridgeError, ConfigError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file; defaults without one.")]


@app.command()
def serve(
    config: ConfigOption = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written once listening: JSON with the ports, the log id and the pid.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Receive events from Flume, store them, and serve them to readers, until SIGTERM."""
    from avro_bridge.app import serve as run

    logging_setup.configure(log_level)
    asyncio.run(run(_load(config), ready_file))


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check a configuration file without starting the bridge."""
    _load(config)


@app.command()
def precompile() -> None:
    """Compile the kernels into their cache, so that the first start is fast."""
    from headrace.common.kernels import precompile as compile_kernels

    compile_kernels()


def _load(path: Path | None) -> BridgeConfig:
    return load_config(path) if path is not None else BridgeConfig()


def main() -> None:
    """Run the command line. Every expected failure is one sentence and an exit code."""
    try:
        app()
    except ConfigError as error:
        sys.stderr.write(f"avro_bridge: {error}\n")
        sys.exit(2)
    except (BridgeError, OSError) as error:
        sys.stderr.write(f"avro_bridge: {error}\n")
        sys.exit(1)
