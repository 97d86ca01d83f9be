"""The command ``show``: the configuration that a service derives from its settings, without secrets."""

from __future__ import annotations

import shlex


def configuration_of(service: str) -> str:
    """Return the configuration of ``agent``, ``bridge`` or ``driver`` as text.

    Raises:
        KeyError: it is another service.
    """
    return {"agent": _agent, "bridge": _bridge, "driver": _driver}[service]()


def _agent() -> str:
    from flume.config.render import CONFIGURATION, render_texts
    from headrace.services.agent import values_of_environment

    return render_texts(values_of_environment())[CONFIGURATION]


def _bridge() -> str:
    from headrace.services.bridge import configuration

    return configuration()


def _driver() -> str:
    from headrace.services.spark import defaults, driver_command

    lines = [f"{key} {value}" for key, value in defaults("(a secret)").items()]
    return "\n".join([*lines, "", shlex.join(driver_command()), ""])
