"""The asyncio face."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from .arguments import Key
from .client import Client
from .cluster import ClusterClient
from .deadline import Deadline
from .limits import ASYNC_CALLS_WAITING_MAX
from .namespace import Namespace
from .results import Blocks, KeyCount, Lease, Match, PutResult

Result = TypeVar("Result")
Self = TypeVar("Self", bound="AsyncClient")


class AsyncClient:
    """`Client` for asyncio: the same calls, awaited.

    Each call runs in a thread of a small pool of its own, and not on the loop's sockets. A payload then takes one
    system call, with Python's lock released, instead of one wake-up of the loop for every few ten KiB; copies out of shared
    memory cannot hold up the loop; and deadlines, breaker and proofs are one piece of code. The price is a hop to
    a thread, some 50 us a call: batch keys.

    A call's deadline begins when it is awaited. One that has not begun by then, since all threads were busy, is answered
    as any call that fails, counted as `overloaded`; so is a call beyond 1,024 that wait.

    Cancelling a task does not end a call that has begun: it ends by its deadline, and only then is the task cancelled, so
    that a buffer that was lent to it is never touched after the caller has it back.
    """

    def __init__(
        self, endpoint: str, username: str | None = None, password: str | None = None, **options: Any
    ) -> None:
        """As `Client`, which see."""
        self._adopt(Client(endpoint, username, password, **options), options.get("connections", 4))

    def _adopt(self, client: Client, thread_count: int) -> None:
        self.client = client
        self._threads = ThreadPoolExecutor(thread_count, thread_name_prefix="larder")
        self._lock = threading.Lock()
        self._waiting_count = 0

    def describe(self, description: Mapping[str, Any] | Namespace) -> Namespace:
        """As `Client.describe`; asks nobody, so it is not awaited."""
        return self.client.describe(description)

    async def match(
        self,
        ns: Namespace,
        keys: Sequence[Key],
        lease_ms: int | None = None,
        prefetch: bool = False,
        *,
        deadline: float | None = None,
    ) -> Match:
        """As `Client.match`."""
        return await self._call(self.client.match, ns, keys, lease_ms, prefetch, deadline=deadline)

    async def exists(self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None) -> int:
        """As `Client.exists`."""
        return await self._call(self.client.exists, ns, keys, deadline=deadline)

    async def get_into(
        self,
        ns: Namespace,
        keys: Sequence[Key],
        buffers: Sequence[Any],
        lease: Lease | None = None,
        *,
        deadline: float | None = None,
    ) -> list[bool]:
        """As `Client.get_into`."""
        return await self._call(self.client.get_into, ns, keys, buffers, lease, deadline=deadline)

    async def get(self, ns: Namespace, key: Key, *, deadline: float | None = None) -> bytes | None:
        """As `Client.get`."""
        return await self._call(self.client.get, ns, key, deadline=deadline)

    async def get_many(
        self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None
    ) -> list[bytes | None]:
        """As `Client.get_many`."""
        return await self._call(self.client.get_many, ns, keys, deadline=deadline)

    async def borrow(
        self, ns: Namespace, keys: Sequence[Key], *, verify: bool = True, deadline: float | None = None
    ) -> Blocks:
        """As `Client.borrow`: ``with await client.borrow(ns, keys) as blocks``."""
        return await self._call(self.client.borrow, ns, keys, verify=verify, deadline=deadline)

    async def put_from(
        self,
        ns: Namespace,
        keys: Sequence[Key],
        buffers: Sequence[Any],
        tokens: int | None = None,
        ttl_ms: int | None = None,
        pin: bool = False,
        durable: bool = False,
        *,
        deadline: float | None = None,
    ) -> list[PutResult]:
        """As `Client.put_from`."""
        call = self.client.put_from
        return await self._call(call, ns, keys, buffers, tokens, ttl_ms, pin, durable, deadline=deadline)

    async def put(
        self,
        ns: Namespace,
        key: Key,
        payload: Any,
        tokens: int | None = None,
        ttl_ms: int | None = None,
        pin: bool = False,
        durable: bool = False,
        *,
        deadline: float | None = None,
    ) -> PutResult:
        """As `Client.put`."""
        return await self._call(
            self.client.put, ns, key, payload, tokens, ttl_ms, pin, durable, deadline=deadline
        )

    async def delete(
        self, ns: Namespace, keys: Sequence[Key], *, strict: bool = False, deadline: float | None = None
    ) -> KeyCount:
        """As `Client.delete`."""
        return await self._call(self.client.delete, ns, keys, strict=strict, deadline=deadline)

    async def pin(
        self,
        ns: Namespace,
        keys: Sequence[Key],
        ttl_ms: int | None = None,
        *,
        strict: bool = False,
        deadline: float | None = None,
    ) -> KeyCount:
        """As `Client.pin`."""
        return await self._call(self.client.pin, ns, keys, ttl_ms, strict=strict, deadline=deadline)

    async def unpin(
        self, ns: Namespace, keys: Sequence[Key], *, strict: bool = False, deadline: float | None = None
    ) -> KeyCount:
        """As `Client.unpin`."""
        return await self._call(self.client.unpin, ns, keys, strict=strict, deadline=deadline)

    async def prefetch(
        self, ns: Namespace, keys: Sequence[Key], *, strict: bool = False, deadline: float | None = None
    ) -> KeyCount:
        """As `Client.prefetch`."""
        return await self._call(self.client.prefetch, ns, keys, strict=strict, deadline=deadline)

    async def ping(self, *, deadline: float | None = None) -> bool:
        """As `Client.ping`."""
        return await self._call(self.client.ping, deadline=deadline)

    async def stats(self, ns: Namespace | None = None, *, deadline: float | None = None) -> dict[str, Any]:
        """As `Client.stats`: raises `LarderError`."""
        return await self._call(self.client.stats, ns, deadline=deadline)

    async def explain(self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None) -> list[str]:
        """As `Client.explain`: raises `LarderError`."""
        return await self._call(self.client.explain, ns, keys, deadline=deadline)

    async def clear(self, ns: Namespace, *, deadline: float | None = None) -> int:
        """As `Client.clear`: raises `LarderError`."""
        return await self._call(self.client.clear, ns, deadline=deadline)

    async def hello(self, ns: Namespace | None = None, *, deadline: float | None = None) -> None:
        """As `Client.hello`: raises `LarderError`."""
        return await self._call(self.client.hello, ns, deadline=deadline)

    @property
    def deadline(self) -> float:
        """As `Client.deadline`."""
        return self.client.deadline

    @property
    def is_healthy(self) -> bool:
        """As `Client.is_healthy`."""
        return self.client.is_healthy

    @property
    def counters(self) -> dict[str, int]:
        """As `Client.counters`."""
        return self.client.counters

    async def close(self) -> None:
        """As `Client.close`, after the calls that are under way."""
        self.client.close()
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _call(
        self, call: Callable[..., Result], *arguments: Any, deadline: float | None, **options: Any
    ) -> Result:
        limit = Deadline(self.client.deadline if deadline is None else deadline)
        work = functools.partial(call, *arguments, deadline=limit, **options)
        if not self._may_wait():
            # No time at all: it asks nobody, and answers and counts what it does for any failure.
            return call(*arguments, deadline=limit.within(0), **options)

        def begin() -> Result:
            self._waits_no_more()
            return work()

        try:
            begun = self._threads.submit(begin)
        except RuntimeError:
            # The client was closed, or the interpreter ends: the call says so.
            self._waits_no_more()
            return work()
        future = asyncio.wrap_future(begun)
        try:
            await asyncio.wait([future], timeout=limit.seconds)
            if begun.cancel():
                self._waits_no_more()
                return work()
        except asyncio.CancelledError:
            if begun.cancel():
                self._waits_no_more()
            else:
                _release(await _end(future))
            raise
        return await self._result(future)

    async def _result(self, future: asyncio.Future[Result]) -> Result:
        """The result of a call that has begun. A task that is cancelled meanwhile is cancelled when the call has ended."""
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            _release(await _end(future))
            raise
        return future.result()

    def _may_wait(self) -> bool:
        with self._lock:
            if self._waiting_count >= ASYNC_CALLS_WAITING_MAX:
                return False
            self._waiting_count += 1
            return True

    def _waits_no_more(self) -> None:
        with self._lock:
            self._waiting_count -= 1


class AsyncClusterClient(AsyncClient):
    """`ClusterClient` for asyncio: the same calls, awaited; see `AsyncClient`."""

    def __init__(
        self,
        seeds: str | Sequence[str],
        username: str | None = None,
        password: str | None = None,
        **options: Any,
    ) -> None:
        """As `ClusterClient`, which see."""
        self._adopt(ClusterClient(seeds, username, password, **options), options.get("connections", 4))


async def _end(future: asyncio.Future[Any]) -> Any:
    """Waits for the end of a call, however often its task is cancelled meanwhile: its result, None for an error."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            pass
    return None if future.cancelled() or future.exception() else future.result()


def _release(result: Any) -> None:
    """Gives back what a call has got for a task that is there no more."""
    if isinstance(result, Blocks):
        result.release()
    elif isinstance(result, Match) and result.lease:
        result.lease.release()
