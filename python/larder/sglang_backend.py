"""A storage backend for SGLang's HiCache: pages go from its host memory to a node and come back, without a copy.

Loaded by configuration alone, see README.md. SGLang calls from threads of its own, so a call may wait for the node, for
at most the deadline of each 32 MiB. A node that is away, slow or full is pages that are not there.

Written against SGLang 0.5.23's `HiCacheStorage`: interface v1 for one pool of pages, v2 for models with several.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import time
from collections.abc import Iterable, Sequence, Set as AbstractSet
from typing import Any

import sglang.version
import torch
from sglang.srt.mem_cache.hicache_storage import (
    HiCacheStorage,
    HiCacheStorageConfig,
    HiCacheStorageExtraInfo,
    PoolHitPolicy,
    PoolName,
    PoolTransfer,
    PoolTransferResult,
)
from sglang.srt.observability.metrics_collector import StorageMetrics

from .client import Client
from .engine_settings import EngineSettings
from .errors import LarderError
from .limits import KEY_BYTES_MAX
from .namespace import Namespace
from .transfers import CALL_BYTES_MAX, is_held

log = logging.getLogger("larder")

#: How long a page that a lookup found stays readable, milliseconds.
LEASE_MS = 10_000
#: A page that lies in more pieces than this (a layer-first layout has two for each layer) is moved through a copy.
PIECES_MAX = 4
#: The pool of callers that use the generic interface, which hands over whole pages as tensors.
FLAT = "flat"

#: What a pool says of the order and the meaning of its bytes.
_GEOMETRY = (
    "layout", "storage_format_tag", "page_size", "start_layer", "end_layer", "layer_num", "head_num", "head_dim",
    "v_head_dim", "kv_lora_rank", "qk_rope_head_dim",
)


class LarderBackend(HiCacheStorage):
    """A node as the third level of HiCache.

    `extra_config` of SGLang holds an object `larder` with `EngineSettings` and `lease_ms`, `ttl_ms`.
    """

    def __init__(self, storage_config: HiCacheStorageConfig, kwargs: dict[str, Any] | None = None) -> None:
        extra = storage_config.extra_config or {}
        config = dict(extra.get("larder") or {})
        self._lease_ms = config.pop("lease_ms", LEASE_MS)
        self._ttl_ms = config.pop("ttl_ms", None)
        self._settings = EngineSettings.take(config)
        #: Whether SGLang moves pages with the functions of interface v1; else whole pages as tensors, to the flat pool.
        self._is_in_place = bool(extra.get("interface_v1"))
        if not self._is_in_place:
            log.warning('larder: without "interface_v1": 1 SGLang copies every page')
        self._config = storage_config
        self._client: Client = self._settings.client()
        self._flat = Namespace(self._settings.described(self._description(FLAT, True)))
        self._pools: dict[str, _Pool] = {}
        self._metrics = StorageMetrics() if storage_config.enable_storage_metrics else None

    # The pools

    def register_mem_pool_host(self, mem_pool_host: Any) -> None:
        super().register_mem_pool_host(mem_pool_host)
        if getattr(mem_pool_host, "kv_buffer", True) is not None:
            self._pools[PoolName.KV] = self._pool(PoolName.KV, mem_pool_host)
            whole_pages = {**self._pages_of(PoolName.KV, mem_pool_host), "pool": FLAT}
            self._flat = Namespace(self._settings.described(whole_pages))

    def register_mem_host_pool_v2(self, host_pool: Any, host_pool_name: Any) -> None:
        super().register_mem_host_pool_v2(host_pool, host_pool_name)
        if host_pool_name not in self._pools or self._pools[host_pool_name].host is not host_pool:
            self._pools[host_pool_name] = self._pool(host_pool_name, host_pool)

    # Interface v1

    def batch_exists(self, keys: list[str], extra_info: HiCacheStorageExtraInfo | None = None) -> int:
        if not self._is_in_place:
            return self._leading(self._flat, [_key(key, 0) for key in keys])
        pool = self._pools.get(PoolName.KV)
        if pool is None:
            # The pages of such a model are in its other pools alone.
            return len(keys)
        return self._leading_pages(pool, keys)

    def batch_get_v1(
        self, keys: list[str], host_indices: torch.Tensor, extra_info: HiCacheStorageExtraInfo | None = None
    ) -> list[bool]:
        pool = self._pools.get(PoolName.KV)
        return [True] * len(keys) if pool is None else self._get_pages(pool, keys, host_indices)

    def batch_set_v1(
        self, keys: list[str], host_indices: torch.Tensor, extra_info: HiCacheStorageExtraInfo | None = None
    ) -> list[bool]:
        pool = self._pools.get(PoolName.KV)
        return [True] * len(keys) if pool is None else self._set_pages(pool, keys, host_indices)

    # Interface v2

    def batch_exists_v2(
        self,
        keys: list[str],
        pool_transfers: list[PoolTransfer] | None = None,
        extra_info: HiCacheStorageExtraInfo | None = None,
    ) -> PoolTransferResult:
        kv_pages = self.batch_exists(keys, extra_info)
        hits: dict[str, int] = {PoolName.KV: kv_pages} if kv_pages else {}
        # Every length that all pools can serve, and not the longest alone: other ranks hold other sets.
        restorable = set(range(1, kv_pages + 1))
        for transfer in pool_transfers or ():
            if not restorable:
                break
            # A pool of whole groups of pages never shortens the hit, and one that is not reported carries no verdict.
            if transfer.hit_policy is PoolHitPolicy.BLOCK_GROUPS:
                continue
            served = self._served_lengths(transfer, keys[:kv_pages])
            if served:
                hits[transfer.name] = max(served)
            restorable &= served
        return PoolTransferResult(max(restorable, default=0), hits, sorted(restorable))

    def batch_get_v2(
        self, transfers: list[PoolTransfer], extra_info: HiCacheStorageExtraInfo | None = None
    ) -> dict[str, list[bool]]:
        return {transfer.name: self._transfer(self._get_pages, transfer) for transfer in transfers}

    def batch_set_v2(
        self, transfers: list[PoolTransfer], extra_info: HiCacheStorageExtraInfo | None = None
    ) -> dict[str, list[bool]]:
        return {transfer.name: self._transfer(self._set_pages, transfer) for transfer in transfers}

    # The generic interface: whole pages as tensors

    def get(self, key: str, target_location: Any = None, target_sizes: Any = None) -> torch.Tensor | None:
        return self.batch_get([key], [target_location])[0]

    def batch_get(
        self, keys: list[str], target_locations: Any = None, target_sizes: Any = None
    ) -> list[torch.Tensor | None]:
        targets = list(target_locations or ())
        if len(targets) != len(keys) or not all(map(_can_be_filled, targets)):
            return [None] * len(keys)
        arrived = self._load(self._flat, [_key(key, 0) for key in keys], [_bytes_of(target) for target in targets])
        return [target if is_here else None for target, is_here in zip(targets, arrived)]

    def set(self, key: str, value: Any = None, target_location: Any = None, target_sizes: Any = None) -> bool:
        return self.batch_set([key], [value])

    def batch_set(
        self, keys: list[str], values: Any = None, target_locations: Any = None, target_sizes: Any = None
    ) -> bool:
        values = list(values if values is not None else ())
        if len(values) != len(keys) or not all(isinstance(value, torch.Tensor) for value in values):
            return False
        return all(self._store(self._flat, [_key(key, 0) for key in keys], [_bytes_of(value) for value in values]))

    def exists(self, key: str) -> bool:
        return self._client.exists(self._flat, [_key(key, 0)], deadline=self._settings.lookup_deadline) == 1

    # The backend itself

    def clear(self) -> None:
        """Deletes the pages of this worker's pools, whoever stored them."""
        for namespace in {self._flat, *(pool.namespace for pool in self._pools.values())}:
            try:
                self._client.clear(namespace)
            except LarderError as error:
                log.warning("larder: not cleared: %s", error)

    def get_stats(self) -> StorageMetrics | None:
        if self._metrics is None:
            return None
        taken, self._metrics = self._metrics, StorageMetrics()
        return taken

    @property
    def counters(self) -> dict[str, int]:
        """What became of the calls to the node."""
        return self._client.counters

    def close(self) -> None:
        self._client.close()

    # What pages are

    def _pool(self, name: Any, host: Any) -> _Pool:
        pool = _Pool(host)
        description = {**self._pages_of(name, host), "pieces": pool.piece_sizes}
        pool.namespace = Namespace(self._settings.described(description))
        return pool

    def _pages_of(self, name: Any, host: Any) -> dict[str, Any]:
        """What decides what the bytes of a pool's pages mean, however they are cut."""
        is_replicated = self._config.is_mla_model and (name == PoolName.KV or not _is_split_by_heads(name, host))
        description = self._description(str(name), not is_replicated)
        description["pool_kind"] = type(host).__name__
        dtype = getattr(host, "dtype", None)
        if dtype is not None:
            description["dtype"] = str(dtype).removeprefix("torch.")
        for attribute in _GEOMETRY:
            value = getattr(host, attribute, None)
            if isinstance(value, (int, str)):
                description[f"host_{attribute}"] = value
        return description

    def _description(self, pool: str, is_sharded: bool) -> dict[str, Any]:
        config = self._config
        description = {
            "engine": "sglang",
            "engine_version": sglang.version.__version__,
            "model": config.model_name or "",
            "pool": pool,
            "pipeline_parallel_size": config.pp_size,
            "pipeline_parallel_rank": config.pp_rank,
            "context_parallel_size": config.attn_cp_size,
            "context_parallel_rank": config.attn_cp_rank,
            "decode_context_parallel_size": config.dcp_size,
            "decode_context_parallel_rank": config.dcp_rank,
            "logical_page_size": config.logical_page_size or 0,
        }
        if is_sharded:
            description["tensor_parallel_size"] = config.tp_size
            description["tensor_parallel_rank"] = config.tp_rank
        return description

    # Moving pages

    def _transfer(self, move: Any, transfer: PoolTransfer) -> list[bool]:
        pool = self._pools.get(transfer.name)
        keys = transfer.keys or []
        if pool is None or transfer.host_indices is None or not keys:
            return [False] * len(keys)
        return move(pool, keys, transfer.host_indices)

    def _leading_pages(self, pool: _Pool, keys: Sequence[str]) -> int:
        """How many of the first pages are held whole."""
        return self._leading(pool.namespace, pool.keys(keys)) // pool.keys_per_page

    def _leading(self, namespace: Namespace, keys: list[bytes]) -> int:
        match = self._client.match(
            namespace, keys, lease_ms=self._lease_ms, prefetch=True, deadline=self._settings.lookup_deadline
        )
        return match.count

    def _served_lengths(self, transfer: PoolTransfer, keys: Sequence[str]) -> AbstractSet[int]:
        """The prefix lengths, in pages, for which a pool has what its policy asks for."""
        pool = self._pools.get(transfer.name)
        if pool is None:
            return set()
        if transfer.hit_policy is PoolHitPolicy.ALL_PAGES:
            return set(range(1, self._leading_pages(pool, keys) + 1))
        held = self._held(pool, keys)
        window = max(1, len(transfer.keys or ()))
        return {
            length for length in range(1, len(keys) + 1) if all(held[max(0, length - window) : length])
        }

    def _held(self, pool: _Pool, keys: Sequence[str]) -> list[bool]:
        """For each page whether it is held; states of recurrent layers are kept at few places, with holes between."""
        names = pool.keys(keys)
        try:
            reasons = self._client.explain(pool.namespace, names, deadline=self._settings.lookup_deadline)
        except LarderError:
            return [False] * len(keys)
        held = [reason.partition(":")[0] in ("memory", "disk") for reason in reasons]
        step = pool.keys_per_page
        return [all(held[start : start + step]) for start in range(0, len(held), step)]

    def _get_pages(self, pool: _Pool, keys: Sequence[str], host_indices: torch.Tensor) -> list[bool]:
        began = time.perf_counter()
        results: list[bool] = []
        for part, indices in pool.calls(keys, host_indices):
            views, finish = pool.targets(indices)
            arrived = pool.whole(self._load(pool.namespace, pool.keys(part), views))
            finish(arrived)
            results += arrived
        if self._metrics is not None:
            self._metrics.prefetch_pgs.append(len(keys))
            self._metrics.prefetch_bandwidth.append(_bandwidth(pool, sum(results), began))
        return results

    def _set_pages(self, pool: _Pool, keys: Sequence[str], host_indices: torch.Tensor) -> list[bool]:
        began = time.perf_counter()
        results: list[bool] = []
        for part, indices in pool.calls(keys, host_indices):
            results += pool.whole(self._store(pool.namespace, pool.keys(part), pool.sources(indices)))
        if self._metrics is not None:
            self._metrics.backup_pgs.append(len(keys))
            self._metrics.backup_bandwidth.append(_bandwidth(pool, sum(results), began))
        return results

    def _load(self, namespace: Namespace, keys: list[bytes], views: list[memoryview]) -> list[bool]:
        return self._client.get_into(namespace, keys, views)

    def _store(self, namespace: Namespace, keys: list[bytes], views: list[memoryview]) -> list[bool]:
        return [is_held(result) for result in self._client.put_from(namespace, keys, views, ttl_ms=self._ttl_ms)]


class _Pool:
    """One of SGLang's pools of pages in host memory, and where the bytes of a page lie in it."""

    namespace: Namespace

    def __init__(self, host: Any) -> None:
        self.host = host
        self.page_size = getattr(host, "logical_page_size", None) or getattr(host, "page_size", 1) or 1
        self.piece_sizes = self._pieces_of_a_page()
        #: Few pieces are moved in place, each under a key of its own; others as one copy of the page.
        self.is_in_place = bool(self.piece_sizes)
        if not self.piece_sizes:
            page = host.get_dummy_flat_data_page()
            self.piece_sizes = [page.numel() * page.element_size()]
        self.page_bytes = sum(self.piece_sizes)

    @property
    def keys_per_page(self) -> int:
        return len(self.piece_sizes)

    def keys(self, pages: Iterable[str]) -> list[bytes]:
        return [_key(page, piece) for page in pages for piece in range(self.keys_per_page)]

    def calls(self, keys: Sequence[str], host_indices: torch.Tensor) -> Iterable[tuple[Sequence[str], torch.Tensor]]:
        """Cuts pages into parts that one call may move."""
        if not keys or len(host_indices) % len(keys):
            raise ValueError("larder: SGLang's keys and indices do not fit together")
        indices = host_indices.detach().cpu()
        per_page = len(indices) // len(keys)
        step = max(1, CALL_BYTES_MAX // self.page_bytes)
        for start in range(0, len(keys), step):
            part = keys[start : start + step]
            yield part, indices[start * per_page : (start + len(part)) * per_page]

    def sources(self, indices: torch.Tensor) -> list[memoryview]:
        """The bytes of pages."""
        if self.is_in_place:
            return self._views(indices)
        return [_bytes_of(self.host.get_data_page(index, flat=True)) for index in self._first_indices(indices)]

    def targets(self, indices: torch.Tensor) -> tuple[list[memoryview], Any]:
        """Where pages go, and what is to be done when they are there."""
        if self.is_in_place:
            return self._views(indices), lambda arrived: None
        pages = [self.host.get_dummy_flat_data_page() for _ in self._first_indices(indices)]

        def put_in_place(arrived: list[bool]) -> None:
            for index, page, is_here in zip(self._first_indices(indices), pages, arrived):
                if is_here:
                    self.host.set_from_flat_data_page(index, page)

        return [_bytes_of(page) for page in pages], put_in_place

    def whole(self, pieces: list[bool]) -> list[bool]:
        """For each page whether all of its pieces are."""
        step = self.keys_per_page
        return [all(pieces[start : start + step]) for start in range(0, len(pieces), step)]

    def _first_indices(self, indices: torch.Tensor) -> list[int]:
        return indices[:: self.page_size].tolist()

    def _views(self, indices: torch.Tensor) -> list[memoryview]:
        addresses, sizes = self.host.get_page_buffer_meta(indices)
        if sizes != self.piece_sizes * (len(sizes) // self.keys_per_page):
            raise ValueError("larder: a page of SGLang's changed its shape")
        return [memory_at(address, size) for address, size in zip(addresses, sizes)]

    def _pieces_of_a_page(self) -> list[int]:
        try:
            addresses, sizes = self.host.get_page_buffer_meta(torch.arange(self.page_size))
        except (AssertionError, AttributeError, NotImplementedError, ValueError):
            return []
        is_plain = all(isinstance(address, int) for address in addresses)
        return list(map(int, sizes)) if is_plain and 0 < len(sizes) <= PIECES_MAX and all(sizes) else []


def memory_at(address: int, size: int) -> memoryview:
    """Memory that SGLang's pool owns, as bytes."""
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


def _key(page: str, piece: int) -> bytes:
    name = f"{page}/{piece}".encode()
    return name if len(name) <= KEY_BYTES_MAX else hashlib.sha256(name).digest()


def _can_be_filled(target: Any) -> bool:
    """Whether bytes can be received into a tensor itself, and not only into a copy of it."""
    return isinstance(target, torch.Tensor) and target.is_contiguous() and target.device.type == "cpu"


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    return memoryview(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy())


def _is_split_by_heads(name: Any, host: Any) -> bool:
    """Whether a pool's pages hold this rank's heads, in a model whose main pool is the same on all ranks."""
    is_of_heads = any(kind.__name__.startswith("MHA") for kind in type(host).__mro__) or hasattr(host, "v_buffer")
    return name == PoolName.MAMBA or is_of_heads


def _bandwidth(pool: _Pool, pages: int, began: float) -> float:
    return pages * pool.page_bytes / 1e9 / max(1e-9, time.perf_counter() - began)
