"""An L2 adapter for LMCache's multiprocess mode: a lookup of a whole prompt is one round trip, a load is another.

Loaded by configuration alone as a plugin of `lmcache server`, see README.md. The codeless way, its `resp` adapter,
works too; it asks for chunks one by one, and has neither a deadline nor a way back to a node that was restarted.

Written against LMCache 0.5.6's `L2AdapterInterface`.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lmcache.lmcache_native import Bitmap
from lmcache.v1.distributed.api import ObjectKey
from lmcache.v1.distributed.internal_api import L2StoreResult
from lmcache.v1.distributed.l2_adapters.base import L2AdapterInterface, L2TaskId
from lmcache.v1.memory_management import MemoryObj
from lmcache.v1.platform import create_event_notifier

from .engine_settings import EngineSettings
from .lmcache_chunks import bytes_of, load, store
from .namespace import Namespace
from .results import Lease

log = logging.getLogger("larder")

#: How long a chunk that a lookup found stays readable, milliseconds; LMCache gives it back earlier by unlocking.
LEASE_MS = 30_000
#: Where chunks behind a missing one are wanted too, matches that one lookup may make.
MATCHES_PER_LOOKUP = 32


class LarderL2Adapter(L2AdapterInterface):
    """Chunks of `lmcache server` on a node. `adapter_params` are `EngineSettings` and `lease_ms`, `ttl_ms`."""

    def __init__(self, params: dict[str, Any], l1_memory_desc: Any = None) -> None:
        super().__init__(max_capacity_bytes=0)
        own = dict(params)
        self._lease_ms = own.pop("lease_ms", LEASE_MS)
        self._ttl_ms = own.pop("ttl_ms", None)
        self._settings = EngineSettings.take(own)
        self._client = self._settings.client()
        # LMCache's keys name the model and the worker. They name neither revision, dtype nor layout of the cache: where
        # those can differ under one model name, the configuration's `namespace` must tell them apart.
        self._description = self._settings.described({"engine": "lmcache", "seam": "l2", "engine_version": _version()})
        self._namespaces: dict[str, Namespace] = {}
        self._store_done, self._lookup_done, self._load_done = (create_event_notifier() for _ in range(3))
        self._lock = threading.Lock()
        self._task_ids = itertools.count()
        self._stored: dict[L2TaskId, L2StoreResult] = {}
        self._looked_up: dict[L2TaskId, Bitmap] = {}
        self._loaded: dict[L2TaskId, Bitmap] = {}
        self._sizes: dict[ObjectKey, int] = {}
        self._leases: dict[ObjectKey, tuple[Lease, Counter[ObjectKey]]] = {}
        self._lookups = ThreadPoolExecutor(1, thread_name_prefix="larder-lookup")
        movers = max(1, self._settings.connections - 1)
        self._transfers = ThreadPoolExecutor(movers, thread_name_prefix="larder-transfer")

    def get_store_event_fd(self) -> int:
        return self._store_done.fileno()

    def get_lookup_and_lock_event_fd(self) -> int:
        return self._lookup_done.fileno()

    def get_load_event_fd(self) -> int:
        return self._load_done.fileno()

    def submit_store_task(self, keys: list[ObjectKey], objects: list[MemoryObj]) -> L2TaskId:
        return self._begin(self._transfers, self._stored, self._store_done, self._store, keys, objects)

    def pop_completed_store_tasks(self) -> dict[L2TaskId, L2StoreResult]:
        with self._lock:
            stored = dict(self._stored)
            self._stored.clear()
        return stored

    def submit_lookup_and_lock_task(self, keys: list[ObjectKey], group_layout_descs: dict[int, Any]) -> L2TaskId:
        return self._begin(self._lookups, self._looked_up, self._lookup_done, self._look_up, keys)

    def query_lookup_and_lock_result(self, task_id: L2TaskId) -> Bitmap | None:
        with self._lock:
            return self._looked_up.pop(task_id, None)

    def submit_unlock(self, keys: list[ObjectKey]) -> None:
        """Gives leases back whose chunks are all unlocked; does not wait for the node. The others end by themselves."""
        ended = []
        with self._lock:
            for key in keys:
                held = self._leases.get(key)
                if held is None:
                    continue
                lease, left = held
                left[key] -= 1
                if left[key] <= 0:
                    del left[key], self._leases[key]
                if not left:
                    ended.append(lease)
        for lease in ended:
            lease.release()

    def submit_load_task(self, keys: list[ObjectKey], objects: list[MemoryObj]) -> L2TaskId:
        return self._begin(self._transfers, self._loaded, self._load_done, self._load, keys, objects)

    def query_load_result(self, task_id: L2TaskId) -> Bitmap | None:
        with self._lock:
            return self._loaded.pop(task_id, None)

    def delete(self, keys: list[ObjectKey]) -> None:
        for namespace, places in self._by_namespace(keys):
            self._client.delete(namespace, [_name(keys[place]) for place in places])
        with self._lock:
            gone = [(key, self._sizes.pop(key)) for key in dict.fromkeys(keys) if key in self._sizes]
        if gone:
            self._notify_keys_deleted([key for key, _ in gone], [size for _, size in gone])

    def report_status(self) -> dict[str, Any]:
        return {"is_healthy": self._client.is_healthy, "type": type(self).__name__, "counters": self._client.counters}

    def close(self) -> None:
        self._lookups.shutdown(wait=True)
        self._transfers.shutdown(wait=True)
        self._client.close()
        for notifier in (self._store_done, self._lookup_done, self._load_done):
            notifier.close()

    # On threads of ours

    def _begin(
        self,
        threads: ThreadPoolExecutor,
        results: dict[L2TaskId, Any],
        notifier: Any,
        work: Callable[..., Any],
        keys: list[ObjectKey],
        *objects: list[MemoryObj],
    ) -> L2TaskId:
        task_id = next(self._task_ids)

        def run() -> None:
            try:
                result = work(keys, *objects)
            except Exception:
                # A defect, not an outage: whoever waits for the task is told that nothing was done.
                log.exception("larder: a task with %d chunks failed", len(keys))
                result = L2StoreResult(False, 0) if results is self._stored else Bitmap(len(keys))
            with self._lock:
                results[task_id] = result
            notifier.notify()

        threads.submit(run)
        return task_id

    def _store(self, keys: list[ObjectKey], objects: list[MemoryObj]) -> L2StoreResult:
        held = [False] * len(keys)
        for namespace, places in self._by_namespace(keys):
            results = store(
                self._client,
                namespace,
                [_name(keys[place]) for place in places],
                [objects[place] for place in places],
                self._ttl_ms,
            )
            for place, is_held in zip(places, results):
                held[place] = is_held
        kept = {key: len(bytes_of(chunk)) for key, chunk, is_held in zip(keys, objects, held) if is_held}
        with self._lock:
            fresh = [key for key in kept if key not in self._sizes]
            self._sizes.update(kept)
        if fresh:
            self._notify_keys_stored(fresh, [kept[key] for key in fresh])
        return L2StoreResult(all(held), sum(kept.values()))

    def _look_up(self, keys: list[ObjectKey]) -> Bitmap:
        found = Bitmap(len(keys))
        for namespace, places in self._by_namespace(keys):
            rest = places
            for _ in range(MATCHES_PER_LOOKUP):
                if not rest:
                    break
                match = self._client.match(
                    namespace,
                    [_name(keys[place]) for place in rest],
                    lease_ms=self._lease_ms,
                    prefetch=True,
                    deadline=self._settings.lookup_deadline,
                )
                self._note_lease(match.lease, [keys[place] for place in rest[: match.count]])
                for place in rest[: match.count]:
                    found.set(place)
                rest = rest[match.count + 1 :]
        return found

    def _load(self, keys: list[ObjectKey], objects: list[MemoryObj]) -> Bitmap:
        loaded = Bitmap(len(keys))
        arrived_keys = []
        for namespace, places in self._by_namespace(keys):
            names = [_name(keys[place]) for place in places]
            for place, is_here in zip(places, load(self._client, namespace, names, [objects[i] for i in places])):
                if is_here:
                    loaded.set(place)
                    arrived_keys.append(keys[place])
        if arrived_keys:
            self._notify_keys_accessed(arrived_keys)
        return loaded

    def _note_lease(self, lease: Lease | None, keys: list[ObjectKey]) -> None:
        if lease is None:
            return
        left = Counter(keys)
        with self._lock:
            for key in keys:
                self._leases[key] = (lease, left)

    def _by_namespace(self, keys: list[ObjectKey]) -> list[tuple[Namespace, list[int]]]:
        """The places of keys by the namespace of their model, in order."""
        places: dict[str, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(key.model_name, []).append(place)
        for model in places:
            if model not in self._namespaces:
                self._namespaces[model] = Namespace({**self._description, "model": model})
        return [(self._namespaces[model], found) for model, found in places.items()]


def _name(key: ObjectKey) -> bytes:
    """Rank, object group, salt and hash; the model is in the namespace."""
    return f"{key.kv_rank:08x}@{key.object_group_id:x}@{key.cache_salt}@".encode() + key.chunk_hash


def _version() -> str:
    from importlib.metadata import version

    return version("lmcache")
