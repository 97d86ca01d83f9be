"""Runs ``python -m headrace.services``, the command of every container.

::

    agent | bridge | spark-master | spark-worker | driver | history     run this service
    check SERVICE                                                       print its health; exit code 0 or 1
    status [--json]                                                     print every stage and the sums (in the driver)
    show agent | bridge | driver                                        print its configuration, without secrets
    precompile                                                          compile the kernels (in an image build)
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Run one of the commands above; return the exit code."""
    match arguments:
        case ["check", service]:
            from headrace.services.health import check

            return check(service)
        case ["status", *rest]:
            from headrace.services.status import show

            return show(as_json="--json" in rest)
        case ["show", ("agent" | "bridge" | "driver") as service]:
            from headrace.services.show_config import configuration_of

            sys.stdout.write(configuration_of(service))
            return 0
        case ["precompile"]:
            from headrace.services.precompile import precompile

            precompile()
            return 0
        case ["agent"]:
            return _agent()
        case [service]:
            return _start(service)
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2


def _agent() -> int:
    from flume.errors import FlumeError
    from headrace.services.agent import run

    try:
        return run()
    except FlumeError as error:
        sys.stderr.write(f"agent: {error}\n")
        return error.exit_code
    except ValueError as error:
        sys.stderr.write(f"agent: {error}\n")
        return 2


def _start(service: str) -> int:
    from headrace.services import bridge, spark

    services = {
        "bridge": bridge.run,
        "spark-master": spark.run_master,
        "spark-worker": spark.run_worker,
        "driver": spark.run_driver,
        "history": spark.run_history,
    }
    if service not in services:
        sys.stderr.write(f"{service}: no such service; the services are agent, {', '.join(services)}\n")
        return 2
    try:
        services[service]()
    except OSError as error:
        sys.stderr.write(f"{service}: cannot start: {error}\n")
        return 1
    except ValueError as error:
        sys.stderr.write(f"{service}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
