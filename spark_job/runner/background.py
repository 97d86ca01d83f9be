"""Runs functions on threads beside a watch, and raises their errors in the watch.

What a micro-batch puts off, such as a snapshot of a large table, may take longer than the watch may be silent: the
heartbeat, the detection of a stall and the answer to a stop must not wait for it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self


class BackgroundCalls:
    """Calls functions again and again, each on a thread that only it uses; a context manager.

    Args:
        functions: each runs at most once at a time.
    """

    def __init__(self, *functions: Callable[[], None]) -> None:
        self._functions = functions
        self._running: dict[int, Future[None]] = {}
        self._pool = ThreadPoolExecutor(max(1, len(functions)), thread_name_prefix="background")

    def start(self) -> None:
        """Call each function that is not running, and return without waiting.

        Raises:
            SparkJobError: a function raised it in its last call; any other error of it is raised too.
        """
        for number, function in enumerate(self._functions):
            running = self._running.get(number)
            if running is not None:
                if not running.done():
                    continue
                running.result()
            self._running[number] = self._pool.submit(function)

    def close(self) -> None:
        """Wait until no function runs. An error of a last call is left to whoever closes what the function writes."""
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
