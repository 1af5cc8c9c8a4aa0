"""A remote connector for LMCache: a lookup of a whole prompt is one round trip, and so is a get of all its chunks.

Loaded by configuration alone as a remote storage plugin of LMCache's in-process engine, see README.md. The codeless
ways, redis:// and valkey://, work too; they ask for chunks one by one. A node that is away, slow or full is chunks that
are not there. Only whole chunks are kept: `save_unfull_chunk` and layerwise mode are refused.

Written against LMCache 0.5.6's `RemoteConnector`.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Optional

from lmcache import utils as lmcache_utils
from lmcache.utils import CacheEngineKey
from lmcache.v1.memory_management import MemoryObj
from lmcache.v1.storage_backend.connector.base_connector import RemoteConnector

from .engine_settings import EngineSettings
from .limits import KEY_BYTES_MAX
from .lmcache_chunks import bytes_of, load, store
from .namespace import Namespace

#: Chunks, or None for those that are not there. (`list` is a method of the connector.)
Chunks = list[Optional[MemoryObj]]

#: How long a chunk that a lookup found stays readable, milliseconds.
LEASE_MS = 10_000


class LarderConnector(RemoteConnector):
    """Chunks of LMCache's in-process engine on a node.

    `extra_config` of LMCache holds an object `larder` with `EngineSettings` and `lease_ms`, `ttl_ms`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, local_cpu_backend: Any, config: Any) -> None:
        metadata = local_cpu_backend.metadata
        super().__init__(local_cpu_backend.config, metadata)
        own = dict((config.extra_config or {}).get("larder") or {})
        self._lease_ms = own.pop("lease_ms", LEASE_MS)
        self._ttl_ms = own.pop("ttl_ms", None)
        settings = EngineSettings.take(own)
        if config.save_unfull_chunk or config.use_layerwise:
            raise ValueError("larder: turn save_unfull_chunk and use_layerwise off: chunks are of one size")
        self._local = local_cpu_backend
        self._client = settings.client()
        self._deadline = settings.lookup_deadline
        # As many threads as connections: what waits for a thread would wait for a connection.
        self._threads = ThreadPoolExecutor(settings.connections, thread_name_prefix="larder")
        self._namespace = Namespace(
            settings.described(
                {
                    "engine": "lmcache",
                    "engine_version": getattr(lmcache_utils, "VERSION", "") or _version(),
                    "model": metadata.model_name,
                    "dtype": str(self.meta_dtypes[0]).removeprefix("torch."),
                    "dtypes": [str(dtype) for dtype in self.meta_dtypes],
                    "shapes": [list(shape) for shape in self.meta_shapes],
                    "layout": self.meta_fmt.name,
                    "tokens_per_block": metadata.chunk_size,
                    "world_size": metadata.world_size,
                }
            )
        )

    # Looking up

    async def exists(self, key: CacheEngineKey) -> bool:
        return await self._in_thread(self._count, [key]) == 1

    def exists_sync(self, key: CacheEngineKey) -> bool:
        return self._count([key]) == 1

    def support_batched_contains(self) -> bool:
        return True

    def batched_contains(self, keys: Sequence[CacheEngineKey]) -> int:
        return self._count(keys)

    def support_batched_async_contains(self) -> bool:
        return True

    async def batched_async_contains(self, lookup_id: str, keys: Sequence[CacheEngineKey], pin: bool = False) -> int:
        return await self._in_thread(self._count, keys)

    # Getting

    async def get(self, key: CacheEngineKey) -> MemoryObj | None:
        return (await self.batched_get([key]))[0]

    def support_batched_get(self) -> bool:
        return True

    async def batched_get(self, keys: Sequence[CacheEngineKey]) -> list[MemoryObj | None]:
        work = self._threads.submit(self._get, keys)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            # LMCache has waited long enough; the thread still fills the chunks, which nobody else may have till then.
            work.add_done_callback(_give_back)
            raise

    def support_batched_get_non_blocking(self) -> bool:
        return True

    async def batched_get_non_blocking(self, lookup_id: str, keys: Sequence[CacheEngineKey]) -> list[MemoryObj]:
        chunks = await self.batched_get(keys)
        leading = chunks.index(None) if None in chunks else len(chunks)
        for chunk in chunks[leading:]:
            if chunk is not None:
                chunk.ref_count_down()
        return [chunk for chunk in chunks[:leading] if chunk is not None]

    # Putting

    async def put(self, key: CacheEngineKey, memory_obj: MemoryObj) -> None:
        await self.batched_put([key], [memory_obj])

    def support_batched_put(self) -> bool:
        return True

    async def batched_put(self, keys: Sequence[CacheEngineKey], memory_objs: Sequence[MemoryObj]) -> None:
        await self._in_thread(self._put, keys, memory_objs)

    # The connector itself

    def remove_sync(self, key: CacheEngineKey) -> bool:
        return self._client.delete(self._namespace, [_name(key)]) == 1

    def support_ping(self) -> bool:
        return True

    async def ping(self) -> int:
        return 0 if await self._in_thread(self._client.ping) else 1

    async def list(self) -> list[str]:
        # Keys are not kept in the clear on a node.
        return []

    async def close(self) -> None:
        await self._in_thread(lambda: None)
        self._threads.shutdown(wait=False)
        self._client.close()

    @property
    def counters(self) -> dict[str, int]:
        """What became of the calls to the node."""
        return self._client.counters

    # On threads of ours, except for the calls that LMCache makes without awaiting

    def _count(self, keys: Sequence[CacheEngineKey]) -> int:
        names = [_name(key) for key in keys]
        return self._client.match(
            self._namespace, names, lease_ms=self._lease_ms, prefetch=True, deadline=self._deadline
        ).count

    def _get(self, keys: Sequence[CacheEngineKey]) -> Chunks:
        chunks: list[MemoryObj] = []
        for _ in keys:
            chunk = self._local.allocate(self.meta_shapes, self.meta_dtypes, self.meta_fmt)
            if chunk is None:
                break
            chunks.append(chunk)
        arrived = load(self._client, self._namespace, [_name(key) for key in keys[: len(chunks)]], chunks)
        for chunk, is_here in zip(chunks, arrived):
            if not is_here:
                chunk.ref_count_down()
        found = [chunk if is_here else None for chunk, is_here in zip(chunks, arrived)]
        return found + [None] * (len(keys) - len(chunks))

    def _put(self, keys: Sequence[CacheEngineKey], chunks: Sequence[MemoryObj]) -> None:
        whole = [
            (_name(key), chunk)
            for key, chunk in zip(keys, chunks)
            if len(bytes_of(chunk)) == self.full_chunk_size_bytes
        ]
        store(self._client, self._namespace, [name for name, _ in whole], [chunk for _, chunk in whole], self._ttl_ms)

    async def _in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, functools.partial(call, *arguments))


def _give_back(work: Future[list[MemoryObj | None]]) -> None:
    if work.cancelled() or work.exception() is not None:
        return
    for chunk in work.result():
        if chunk is not None:
            chunk.ref_count_down()


def _name(key: CacheEngineKey) -> bytes:
    """LMCache's own name of a chunk: model, worker, hash, dtype and tags."""
    name = key.to_string().encode()
    if len(name) > KEY_BYTES_MAX:
        raise ValueError(f"larder: a key of LMCache has {len(name)} bytes; at most {KEY_BYTES_MAX} can be stored")
    return name


def _version() -> str:
    from importlib.metadata import version

    return version("lmcache")
