"""Functions beside a watch: each once at a time, none waits for another, and errors come out in the watch."""

from __future__ import annotations

from threading import Event, current_thread, main_thread

import pytest

from spark_job.errors import SinkError
from spark_job.runner.background import BackgroundCalls

LONGEST_WAIT_S = 30.0


class Work:
    """A function that says when it began, and ends when it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.began, self.may_end = Event(), Event()
        self.on_main_thread = False

    def __call__(self) -> None:
        self.calls += 1
        self.on_main_thread |= current_thread() is main_thread()
        self.began.set()
        assert self.may_end.wait(LONGEST_WAIT_S)


def test_a_function_that_runs_is_not_called_again_and_keeps_no_other_waiting() -> None:
    slow, quick = Work(), Work()
    quick.may_end.set()
    with BackgroundCalls(slow, quick) as background:
        background.start()
        assert slow.began.wait(LONGEST_WAIT_S)
        while quick.calls < 3:
            background.start()
        assert slow.calls == 1
        slow.may_end.set()
        while slow.calls < 2:
            background.start()
    assert not slow.on_main_thread
    assert not quick.on_main_thread


def test_an_error_is_raised_by_a_later_start() -> None:
    failed = Event()

    def fail() -> None:
        failed.set()
        raise SinkError("out.jsonl: cannot be written: No space left on device")

    def start_until_it_fails(background: BackgroundCalls) -> None:
        background.start()
        assert failed.wait(LONGEST_WAIT_S)
        while True:
            background.start()

    with BackgroundCalls(fail) as background, pytest.raises(SinkError, match=r"out\.jsonl: .*No space left"):
        start_until_it_fails(background)


def test_the_end_waits_for_what_runs() -> None:
    work, ended = Work(), Event()

    def finish() -> None:
        work()
        ended.set()

    with BackgroundCalls(finish) as background:
        background.start()
        assert work.began.wait(LONGEST_WAIT_S)
        assert not ended.is_set()
        work.may_end.set()
    assert ended.is_set()


def test_without_a_function_nothing_happens() -> None:
    with BackgroundCalls() as background:
        background.start()
