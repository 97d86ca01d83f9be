"""Waiting for containers, with an engine that plays a script: what is said, and when the wait is given up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from headrace.containers.docker import Container, Engine
from headrace.containers.readiness import RESTARTS, Wait
from headrace.errors import ContainersFailed, StageRefused, StageTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

BRIDGE = Container("b", "p_bridge_1", "bridge", 1, "running", "starting", 0, 0, "", ("check", "bridge"))
DRIVER = Container("d", "p_driver_1", "driver", 1, "running", "starting", 0, 0, "", ("check", "driver"))

Answers = dict[str, tuple[int, str]]


class ScriptedEngine:
    """What an engine shows at each look; the last look stays."""

    def __init__(self, *looks: tuple[list[Container], Answers]) -> None:
        self._looks = list(looks)
        self._now = looks[0]

    def containers(self) -> list[Container]:
        self._now = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return self._now[0]

    def run_in(self, container: Container, *command: str) -> tuple[int, str]:
        assert command == container.test
        return self._now[1][container.id]

    def log_tail(self, _: Container, lines: int = 15) -> str:
        return f"the last {lines} lines"


def wait(*looks: tuple[list[Container], Answers]) -> tuple[Callable[[], list[Container]], list[str]]:
    said: list[str] = []
    now_s = [0.0]

    def sleep(seconds: float) -> None:
        now_s[0] += seconds

    waiting = Wait(cast("Engine", ScriptedEngine(*looks)), said.append, clock=lambda: now_s[0], sleep=sleep)
    return lambda: waiting.until_ready(10), said


def test_each_service_is_announced_once_when_all_of_it_is_ready() -> None:
    second = replace(BRIDGE, id="b2", name="p_bridge_2", number=2)
    everything = [BRIDGE, second, DRIVER]
    run, said = wait(
        (everything, {"b": (0, "ok"), "b2": (1, "compiling"), "d": (1, "starting")}),
        (everything, {"b2": (0, "ok"), "d": (1, "starting")}),
        (everything, {"d": (0, "ok")}),
    )
    assert run() == everything
    assert said == ["bridge is ready (2 of them), after 1 s", "driver is ready, after 2 s"]


def test_what_is_not_ready_in_time_is_named_with_what_its_check_says() -> None:
    run, _ = wait(([BRIDGE, DRIVER], {"b": (0, "ok"), "d": (1, "no worker has room")}))
    with pytest.raises(StageTimeout, match=r"driver: no worker has room.*headrace logs driver") as caught:
        run()
    assert "bridge:" not in str(caught.value)


def test_a_service_that_refuses_its_settings_ends_the_wait_at_once() -> None:
    ended = replace(DRIVER, state="restarting", restarts=1, exit_code=2)
    run, _ = wait(([DRIVER], {"d": (1, "starting")}), ([ended], {}))
    with pytest.raises(StageRefused, match="driver refuses its settings:\nthe last 3 lines"):
        run()


def test_a_service_that_ends_again_and_again_ends_the_wait() -> None:
    restarting = replace(DRIVER, state="restarting", exit_code=1)
    run, _ = wait(*(([replace(restarting, restarts=number)], {}) for number in range(RESTARTS + 1)))
    with pytest.raises(ContainersFailed, match="driver ends again and again, 6 times"):
        run()


def test_restarts_before_the_wait_do_not_count() -> None:
    old = replace(DRIVER, restarts=40)
    run, _ = wait(([old], {"d": (0, "ok")}))
    assert run() == [old]


def test_no_container_at_all_is_an_error() -> None:
    run, _ = wait(([], {}))
    with pytest.raises(ContainersFailed, match="no container"):
        run()
