"""Threads that carry parts of a large call over connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Helpers:
    """At most `count` threads. Work never waits for one: who finds none free does it himself."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = threading.Semaphore(count)
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def take(self, wanted: int) -> int:
        """Reserves up to `wanted` of those that are free; how many. Each must be given one piece of work."""
        taken = 0
        while taken < wanted and self._free.acquire(blocking=False):
            taken += 1
        return taken

    def run(self, work: Callable[[], Any]) -> Future[Any]:
        """Has a reserved thread do `work`."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="larder")
            threads = self._threads

        def do() -> Any:
            try:
                return work()
            finally:
                self._free.release()

        try:
            return threads.submit(do)
        except RuntimeError:
            # No thread is to be had, or the interpreter is ending.
            future: Future[Any] = Future()
            future.set_result(do())
            return future

    def close(self) -> None:
        """Lets the threads end after what they are doing."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)
