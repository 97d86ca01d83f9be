"""Waits until every container is ready by its own health check.

compose 1 cannot wait, and the engine runs a health check only every ten seconds. So this loop runs the commands of the
health checks itself, once a second.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.containers.hints import typed
from headrace.errors import ContainersFailed, StageRefused, StageTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.containers.docker import Container, Engine

POLL_S = 1.0
TIMEOUT_S = 300.0
REFUSED = 2
"""Exit code of a service whose configuration cannot be used."""
RESTARTS = 6
"""The wait is given up after so many restarts of one container."""


@dataclass
class _Seen:
    restarts_before: int
    ready: bool = False
    check: str = "not started yet"
    """The last output of its health check."""


@dataclass
class Wait:
    """One wait for all containers of a project.

    Args:
        engine: asked for containers and to run checks in them.
        say: gets one message for each service that becomes ready.
        clock: monotonic seconds.
        sleep: waits that many seconds.
    """

    engine: Engine
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def until_ready(self, timeout_s: float = TIMEOUT_S) -> list[Container]:
        """Return the containers when all of them are ready.

        Raises:
            StageRefused: a service refuses its configuration.
            ContainersFailed: a container ends again and again, or none was started.
            StageTimeout: one is not ready in time; the text has the output of its health check.
        """
        begun = self.clock()
        announced: set[str] = set()
        while True:
            containers = self.engine.containers()
            self._look(containers)
            for service in sorted({each.service for each in containers} - announced):
                if all(self._seen[each.id].ready for each in containers if each.service == service):
                    announced.add(service)
                    count = sum(each.service == service for each in containers)
                    many = f" ({count} of them)" if count > 1 else ""
                    self.say(f"{service} is ready{many}, after {self.clock() - begun:.0f} s")
            if containers and all(self._seen[each.id].ready for each in containers):
                return containers
            if self.clock() - begun > timeout_s:
                raise StageTimeout(self._not_ready(containers, timeout_s))
            self.sleep(POLL_S)

    def _look(self, containers: list[Container]) -> None:
        if not containers:
            raise ContainersFailed("compose has started no container")
        for each in containers:
            seen = self._seen.setdefault(each.id, _Seen(each.restarts))
            if each.state != "running":
                seen.ready, seen.check = False, f"is {each.state} (exit code {each.exit_code})"
            self._give_up_on(each, seen)
        asked = [each for each in containers if each.state == "running" and not self._seen[each.id].ready]
        if not asked:
            return
        with ThreadPoolExecutor(len(asked), thread_name_prefix="check") as pool:
            for each, (code, printed) in zip(asked, pool.map(self._check, asked), strict=True):
                self._seen[each.id].ready = code == 0
                self._seen[each.id].check = printed.strip() or f"its health check ends with {code}"

    def _check(self, container: Container) -> tuple[int, str]:
        return self.engine.run_in(container, *container.test) if container.test else (0, "")

    def _give_up_on(self, container: Container, seen: _Seen) -> None:
        restarts = container.restarts - seen.restarts_before
        if container.exit_code == REFUSED and (restarts or container.state == "exited"):
            raise StageRefused(f"{container.service} refuses its settings:\n{self.engine.log_tail(container, 3)}")
        if restarts >= RESTARTS:
            raise ContainersFailed(
                f"{container.service} ends again and again, {restarts} times so far:\n{self.engine.log_tail(container)}"
            )

    def _not_ready(self, containers: list[Container], timeout_s: float) -> str:
        late = [f"{each.service}: {self._seen[each.id].check}" for each in containers if not self._seen[each.id].ready]
        service = next(each.service for each in containers if not self._seen[each.id].ready)
        return (
            f"not ready within {timeout_s:.0f} s: {'; '.join(late)}. They go on trying: see "
            f"`{typed('logs', service=service)}`, then `{typed('status')}`, or stop with `{typed('down')}`"
        )
