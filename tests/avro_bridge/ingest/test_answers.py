"""Answers on their way from the writer's thread to the event loop."""

from __future__ import annotations

import asyncio
import threading

from avro_bridge.errors import BadRequest, BridgeError, LogFull
from avro_bridge.ingest.answers import Answer, AnswerQueue
from avro_bridge.metrics import BridgeMetrics

TIMEOUT_S = 10


def test_answers_arrive_in_order_on_the_loops_thread_with_few_wake_ups() -> None:
    delivered: list[tuple[int, bool]] = []
    rounds = []

    async def main() -> None:
        done = asyncio.Event()
        loop_thread = threading.get_ident()

        def after_round() -> None:
            rounds.append(len(delivered))
            if len(delivered) == 100:
                done.set()

        queue = AnswerQueue(BridgeMetrics(), lambda: 5.0, after_round)
        queue.start(asyncio.get_running_loop())

        def put_all() -> None:
            for number in range(100):

                def deliver(_error: BridgeError | None, number: int = number) -> None:
                    delivered.append((number, threading.get_ident() == loop_thread))

                queue.put(Answer(None, 4.5, deliver))

        # The loop does not run meanwhile, so all of them share one wake-up.
        thread = threading.Thread(target=put_all)
        thread.start()
        thread.join(TIMEOUT_S)
        await asyncio.wait_for(done.wait(), TIMEOUT_S)

    asyncio.run(main())
    assert delivered == [(number, True) for number in range(100)]
    assert rounds == [100]


def test_answers_are_counted_by_status_and_the_last_refusal_is_kept() -> None:
    metrics = BridgeMetrics()
    refusals = []

    async def main() -> None:
        queue = AnswerQueue(metrics, lambda: 5.0, lambda: None)
        queue.start(asyncio.get_running_loop())
        for error in (None, LogFull("full"), BadRequest("bad"), None):
            queue.put(Answer(error, 4.5, lambda _error: refusals.append(queue.refusal)))
        await asyncio.sleep(0)

    asyncio.run(main())
    assert [type(each) for each in refusals] == [type(None), LogFull, BadRequest, type(None)]
    counts = {
        status: metrics.registry.get_sample_value("headrace_bridge_replies_total", {"status": status})
        for status in ("ok", "failed", "error")
    }
    assert counts == {"ok": 2, "failed": 1, "error": 1}
    assert metrics.registry.get_sample_value("headrace_bridge_ack_seconds_sum") == 4 * 0.5


def test_an_answer_after_the_end_of_the_loop_is_dropped() -> None:
    queue = AnswerQueue(BridgeMetrics(), lambda: 0.0, lambda: None)
    loop = asyncio.new_event_loop()
    queue.start(loop)
    loop.close()

    def deliver(_error: BridgeError | None) -> None:
        raise AssertionError("nobody is left to deliver to")

    queue.put(Answer(None, 0.0, deliver))
