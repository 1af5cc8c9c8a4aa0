"""Threads of an adapter's own that move blocks, so that the engine's thread never waits for a node."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Sequence

from .client import Client
from .namespace import Namespace
from .results import PutResult

log = logging.getLogger("larder")

#: Most payload bytes of one call: every call has its own deadline, so a job of gigabytes is many calls.
CALL_BYTES_MAX = 32 << 20
#: Most payload bytes that wait for being stored; what comes beyond is dropped, and counted.
QUEUED_STORE_BYTES_MAX = 1 << 30


@dataclass
class Transfer:
    """Some blocks to load or to store, and what became of them."""

    #: Anything hashable of the caller's.
    id: Any
    keys: Sequence[bytes]
    #: The memory of each block; taken when the transfer begins, given back when it ends.
    buffers: Callable[[int], memoryview]
    is_load: bool
    byte_count: int
    #: Anything of the caller's.
    context: Any = None
    #: Per key, whether its bytes arrived, or whether the node holds it now.
    done: list[bool] = field(default_factory=list)
    seconds: float = 0.0
    #: Whether it was never begun, because too much was waiting.
    was_dropped: bool = False

    @property
    def succeeded(self) -> bool:
        return len(self.done) == len(self.keys) and all(self.done)


class Transfers:
    """Moves blocks in the background: one thread for loads, which somebody waits for, and one for stores.

    A transfer that cannot be done, because the node is away, slow or full, ends as blocks that are not `done`, after at
    most one deadline of the client for each `CALL_BYTES_MAX`; nothing is raised. While a transfer runs its buffers are
    in use; once it is in `finished` nobody touches them any more.
    """

    def __init__(
        self,
        client: Client,
        namespace: Namespace,
        name: str,
        *,
        tokens_per_block: int | None = None,
        ttl_ms: int | None = None,
        durable: bool = False,
        queued_store_bytes_max: int = QUEUED_STORE_BYTES_MAX,
        after_load: Callable[[Transfer], None] | None = None,
    ) -> None:
        self._counters: Counter[str] = Counter()
        self._client = client
        self._namespace = namespace
        self._put_options: dict[str, Any] = {"tokens": tokens_per_block, "ttl_ms": ttl_ms, "durable": durable}
        self._queued_store_bytes_max = queued_store_bytes_max
        self._after_load = after_load
        self._lock = threading.Condition()
        self._unfinished = 0
        self._queued_store_bytes = 0
        self._finished: list[Transfer] = []
        self._loads: queue.SimpleQueue[Transfer | None] = queue.SimpleQueue()
        self._stores: queue.SimpleQueue[Transfer | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, args=(jobs, work), name=f"{name}-{what}", daemon=True)
            for what, jobs, work in (("load", self._loads, self._load), ("store", self._stores, self._store))
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, transfer: Transfer) -> None:
        """Queues a transfer and returns at once."""
        with self._lock:
            self._unfinished += 1
            if not transfer.is_load:
                if self._queued_store_bytes + transfer.byte_count > self._queued_store_bytes_max:
                    transfer.was_dropped = True
                    self._counters["stores_dropped"] += len(transfer.keys)
                    self._finish(transfer)
                    return
                self._queued_store_bytes += transfer.byte_count
        (self._loads if transfer.is_load else self._stores).put(transfer)

    def has_room_to_store(self, byte_count: int) -> bool:
        """Whether a store of this size would be taken now."""
        with self._lock:
            return self._queued_store_bytes + byte_count <= self._queued_store_bytes_max

    def count_dropped(self, block_count: int) -> None:
        """Counts blocks that the caller did not even submit, because there was no room."""
        with self._lock:
            self._counters["stores_dropped"] += block_count

    def finished(self) -> list[Transfer]:
        """The transfers that ended since the last call."""
        with self._lock:
            finished, self._finished = self._finished, []
        return finished

    @property
    def unfinished_count(self) -> int:
        """Transfers that wait or run."""
        with self._lock:
            return self._unfinished

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Waits until no transfer waits or runs; whether that came within `timeout` seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: self._unfinished == 0, timeout)

    def take_counters(self) -> Counter[str]:
        """The counts since the last call."""
        with self._lock:
            taken, self._counters = self._counters, Counter()
        return taken

    def close(self, timeout: float) -> bool:
        """Ends the threads after what they were told; whether they have ended within `timeout` seconds."""
        end = time.monotonic() + timeout
        self._loads.put(None)
        self._stores.put(None)
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, jobs: queue.SimpleQueue[Transfer | None], work: Callable[[Transfer], None]) -> None:
        while (transfer := jobs.get()) is not None:
            began = time.monotonic()
            try:
                work(transfer)
            except Exception:
                # A defect, not an outage: the blocks are lost to the cache, the engine goes on.
                log.exception("larder: a transfer of %d blocks failed", len(transfer.keys))
                transfer.done = []
                with self._lock:
                    self._counters["defects"] += 1
            transfer.done += [False] * (len(transfer.keys) - len(transfer.done))
            transfer.seconds = time.monotonic() - began
            with self._lock:
                if not transfer.is_load:
                    self._queued_store_bytes -= transfer.byte_count
                self._count(transfer)
                self._finish(transfer)

    def _finish(self, transfer: Transfer) -> None:
        transfer.done += [False] * (len(transfer.keys) - len(transfer.done))
        self._finished.append(transfer)
        self._unfinished -= 1
        self._lock.notify_all()

    def _count(self, transfer: Transfer) -> None:
        kind = "load" if transfer.is_load else "store"
        done = sum(transfer.done)
        block_bytes = transfer.byte_count // max(1, len(transfer.keys))
        self._counters[f"{kind}s"] += done
        self._counters[f"{kind}s_failed"] += len(transfer.keys) - done
        self._counters[f"{kind}_bytes"] += done * block_bytes

    def _load(self, transfer: Transfer) -> None:
        for keys, buffers in self._calls(transfer):
            try:
                transfer.done += self._client.get_into(self._namespace, keys, buffers)
            finally:
                for buffer in buffers:
                    buffer.release()
        if self._after_load is not None:
            self._after_load(transfer)

    def _store(self, transfer: Transfer) -> None:
        for keys, buffers in self._calls(transfer):
            try:
                results = self._client.put_from(self._namespace, keys, buffers, **self._put_options)
            finally:
                for buffer in buffers:
                    buffer.release()
            transfer.done += [is_held(result) for result in results]

    def _calls(self, transfer: Transfer) -> Iterator[tuple[list[bytes], list[memoryview]]]:
        """Cuts a transfer into calls of at most `CALL_BYTES_MAX`, or one block."""
        block_bytes = transfer.byte_count // max(1, len(transfer.keys))
        step = max(1, CALL_BYTES_MAX // max(1, block_bytes))
        for start in range(0, len(transfer.keys), step):
            stop = min(start + step, len(transfer.keys))
            yield list(transfer.keys[start:stop]), [transfer.buffers(index) for index in range(start, stop)]


def is_held(result: PutResult) -> bool:
    """Whether the node holds a block after a put.

    Two workers that compute the same tokens in batches of different shape do not get the same bits, so a block that is
    there with other bytes is no failure: either one is the KV of these tokens.
    """
    return bool(result) or result.reason.startswith("conflict")
