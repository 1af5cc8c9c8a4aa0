"""A connector for vLLM where its offloading tiers cannot be used: GPU blocks go to a node and come back from it.

Loaded by configuration alone, see README.md, which also says when `larder.vllm_tier` is the better choice (nearly
always). The scheduler's half asks the node how much of a prompt it has, on a thread of its own; the worker's half loads
on another thread while other requests compute, and stores through a staging copy. Blocks that a match found and that do
not arrive are reported to vLLM, which computes them when `kv_load_failure_policy` is "recompute".

Written against vLLM 0.33's `KVConnectorBase_V1`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Iterable, Iterator

import torch
import vllm
from vllm.distributed.kv_transfer.kv_connector.v1.base import (
    KVConnectorBase_V1,
    KVConnectorMetadata,
    KVConnectorRole,
    KVConnectorTransferResults,
    SupportsHMA,
)
from vllm.distributed.kv_transfer.kv_connector.v1.metrics import KVConnectorStats
from vllm.v1.kv_cache_interface import FullAttentionSpec, SlidingWindowSpec

from .engine_settings import EngineSettings
from .namespace import Namespace
from .results import Lease
from .transfers import CALL_BYTES_MAX, Transfer, Transfers

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.core.kv_cache_manager import KVCacheBlocks
    from vllm.v1.core.sched.output import SchedulerOutput
    from vllm.v1.kv_cache_interface import KVCacheConfig
    from vllm.v1.outputs import KVConnectorOutput
    from vllm.v1.request import Request

log = logging.getLogger("larder")

#: How long a block that a match found stays readable, milliseconds.
LEASE_MS = 10_000
#: Most bytes of host memory that wait for being stored; what comes beyond is dropped, and counted.
STAGING_BYTES = 256 << 20
#: Where a window is not whole, how many shorter prefixes are tried.
WINDOW_TRIES = 4
#: vLLM's block of no content: it stands where a window has moved on.
NULL_BLOCK = 0


@dataclass
class _Block:
    key: bytes
    group: int
    block_id: int


@dataclass
class LarderConnectorMetadata(KVConnectorMetadata):
    """What the workers do in one step."""

    loads: dict[str, list[_Block]] = field(default_factory=dict)
    stores: list[_Block] = field(default_factory=list)


@dataclass
class LarderConnectorStats(KVConnectorStats):
    """Counts of blocks and bytes, by what became of them."""

    def reset(self) -> None:
        self.data: dict[str, Any] = {}

    def aggregate(self, other: KVConnectorStats) -> KVConnectorStats:
        for name, count in other.data.items():
            self.data[name] = self.data.get(name, 0) + count
        return self

    def reduce(self) -> dict[str, int | float]:
        return dict(self.data)

    def is_empty(self) -> bool:
        return not any(self.data.values())


class LarderConnector(KVConnectorBase_V1, SupportsHMA):
    """Both halves; vLLM makes one with the scheduler's role and one with the worker's role for each worker.

    `kv_connector_extra_config` takes `EngineSettings` and `lease_ms`, `ttl_ms`, `staging_bytes`.
    """

    def __init__(self, vllm_config: VllmConfig, role: KVConnectorRole, kv_cache_config: KVCacheConfig) -> None:
        super().__init__(vllm_config=vllm_config, role=role, kv_cache_config=kv_cache_config)
        config = dict(self._kv_transfer_config.kv_connector_extra_config or {})
        lease_ms = config.pop("lease_ms", LEASE_MS)
        ttl_ms = config.pop("ttl_ms", None)
        staging_bytes = config.pop("staging_bytes", STAGING_BYTES)
        settings = EngineSettings.take(config)
        layout = _Layout(vllm_config, kv_cache_config)
        self._half: _SchedulerHalf | _WorkerHalf
        if role is KVConnectorRole.SCHEDULER:
            self._half = self._scheduler = _SchedulerHalf(layout, settings, lease_ms)
        else:
            self._half = self._worker = _WorkerHalf(layout, settings, ttl_ms, staging_bytes)

    @property
    def requires_kv_delivery(self) -> bool:
        # A block that is not stored is a later miss, no more.
        return False

    # The scheduler's half

    def get_num_new_matched_tokens(self, request: Request, num_computed_tokens: int) -> tuple[int | None, bool]:
        return self._scheduler.matched_tokens(request, num_computed_tokens)

    def update_state_after_alloc(self, request: Request, blocks: KVCacheBlocks, num_external_tokens: int) -> None:
        self._scheduler.allocated(request, blocks.get_block_ids(), num_external_tokens)

    def build_connector_meta(self, scheduler_output: SchedulerOutput) -> KVConnectorMetadata:
        return self._scheduler.build_meta(scheduler_output)

    def update_connector_output(self, connector_output: KVConnectorOutput) -> None:
        self._scheduler.loaded(connector_output.finished_recving or ())

    def request_finished(self, request: Request, block_ids: list[int]) -> tuple[bool, dict[str, Any] | None]:
        return self._scheduler.finished(request)

    def request_finished_all_groups(
        self, request: Request, block_ids: tuple[list[int], ...]
    ) -> tuple[bool, dict[str, Any] | None]:
        return self._scheduler.finished(request)

    # The worker's half

    def register_kv_caches(self, kv_caches: dict[str, torch.Tensor]) -> None:
        self._worker.register(kv_caches)

    def start_load_kv(self, forward_context: Any, **kwargs: Any) -> None:
        self._worker.start_loads(self._get_connector_metadata())

    def wait_for_layer_load(self, layer_name: str) -> None:
        # A request computes only when all of its blocks have come.
        return

    def save_kv_layer(self, layer_name: str, kv_layer: torch.Tensor, attn_metadata: Any, **kwargs: Any) -> None:
        # Whole blocks are stored after the step, all layers at once.
        return

    def wait_for_save(self) -> None:
        self._worker.store(self._get_connector_metadata())

    def get_finished(self, finished_req_ids: set[str]) -> tuple[set[str] | None, set[str] | None]:
        return None, self._worker.take_loaded()

    def get_transfer_results(self, finished_req_ids: set[str]) -> KVConnectorTransferResults:
        loaded = self._worker.take_loaded() or set()
        return KVConnectorTransferResults(
            finished_sending=set(), finished_recving=loaded, failed_recving=self._worker.take_failed_requests()
        )

    def get_block_ids_with_load_errors(self) -> set[int]:
        return self._worker.take_failed_blocks()

    # Both

    def get_kv_connector_stats(self) -> KVConnectorStats | None:
        counters = self._half.take_counters()
        return LarderConnectorStats(data=dict(counters)) if counters else None

    @classmethod
    def build_kv_connector_stats(cls, data: dict[str, Any] | None = None) -> KVConnectorStats | None:
        return LarderConnectorStats(data=data or {})

    def shutdown(self) -> None:
        self._half.shutdown()


@dataclass
class _Group:
    index: int
    tokens_per_block: int
    layer_names: list[str]
    page_bytes: int
    #: Tokens that attention reaches back; None for all.
    window: int | None


class _Layout:
    """What both halves must agree on: which blocks there are, their names, and the namespace of each worker."""

    def __init__(self, vllm_config: VllmConfig, kv_cache_config: KVCacheConfig) -> None:
        parallel = vllm_config.parallel_config
        for what, size in (
            ("pipeline", parallel.pipeline_parallel_size),
            ("prefill context", parallel.prefill_context_parallel_size),
            ("decode context", parallel.decode_context_parallel_size),
        ):
            if size != 1:
                raise ValueError(f"larder: the connector does not know {what} parallelism; use larder.vllm_tier")
        self.worker_count = parallel.tensor_parallel_size
        self.rank = parallel.rank % parallel.tensor_parallel_size
        self.groups = [
            _Group(
                index=index,
                tokens_per_block=group.kv_cache_spec.block_size,
                layer_names=list(group.layer_names),
                page_bytes=group.kv_cache_spec.page_size_bytes,
                window=_window(group.kv_cache_spec),
            )
            for index, group in enumerate(kv_cache_config.kv_cache_groups)
        ]
        if len(kv_cache_config.prefix_cacheable_group_ids) != len(self.groups):
            # What is loaded would lack the state of the others.
            raise ValueError("larder: the connector needs hashes for all groups of layers; use larder.vllm_tier")
        if not any(group.window is None for group in self.groups):
            raise ValueError("larder: the connector needs a group of layers with full attention; use larder.vllm_tier")
        if len({group.tokens_per_block for group in self.groups}) != 1:
            raise ValueError("larder: the connector needs blocks of one size in all groups; use larder.vllm_tier")
        self.has_one_group = len(kv_cache_config.kv_cache_groups) == 1
        # As the scheduler's manager of blocks has it: one hash for so many tokens.
        self.tokens_per_hash = kv_cache_config.hash_block_size or min(group.tokens_per_block for group in self.groups)
        self._model = vllm_config.model_config
        self._cache_dtype = vllm_config.cache_config.cache_dtype

    def namespace(self, settings: EngineSettings, rank: int) -> Namespace:
        """The namespace of one worker's blocks."""
        dtype = self._model.dtype if self._cache_dtype == "auto" else self._cache_dtype
        return Namespace(
            settings.described(
                {
                    "engine": "vllm",
                    "engine_version": vllm.__version__,
                    "seam": "connector",
                    "model": self._model.model,
                    "dtype": str(dtype).removeprefix("torch."),
                    "tensor_parallel_size": self.worker_count,
                    "tensor_parallel_rank": rank,
                    "tokens_per_hash": self.tokens_per_hash,
                    "groups": [
                        {
                            "tokens_per_block": group.tokens_per_block,
                            "layers": hashlib.sha256(json.dumps(group.layer_names).encode()).hexdigest(),
                            "page_bytes": group.page_bytes,
                            "window": group.window or 0,
                        }
                        for group in self.groups
                    ],
                }
            )
        )

    def key(self, request: Request, group: _Group, block_index: int) -> bytes:
        """The name of a request's block; its hash covers all tokens up to the block's end."""
        hashes_per_block = group.tokens_per_block // self.tokens_per_hash
        digest = bytes(request.block_hashes[(block_index + 1) * hashes_per_block - 1])
        return digest + group.index.to_bytes(4, "big")

    def named_blocks(self, request: Request, group: _Group) -> int:
        """How many blocks of a request have names."""
        return len(request.block_hashes) * self.tokens_per_hash // group.tokens_per_block


def _window(spec: Any) -> int | None:
    if isinstance(spec, FullAttentionSpec):
        return None
    if isinstance(spec, SlidingWindowSpec):
        return spec.sliding_window
    raise ValueError(f"larder: the connector does not know {type(spec).__name__}; use larder.vllm_tier")


@dataclass
class _Found:
    """The answer to a match, or that there is none yet."""

    token_count: int | None = None
    #: Tokens from which on the node has no blocks: the first to be stored.
    held_token_count: int = 0
    leases: list[Lease] = field(default_factory=list)
    at: float = 0.0

    def release(self) -> None:
        for lease in self.leases:
            lease.release()
        self.leases.clear()


@dataclass
class _Tracked:
    """What the scheduler's half knows of a request."""

    request: Request
    block_ids: list[list[int]]
    #: Per group, the first block that was not stored yet.
    stored: list[int]
    computed_before: int = 0


class _SchedulerHalf:
    """Finds prefixes, and says which blocks the workers load and store."""

    def __init__(self, layout: _Layout, settings: EngineSettings, lease_ms: int) -> None:
        self._layout = layout
        self._lease_ms = lease_ms
        self._client = settings.client()
        self._deadline = settings.lookup_deadline
        self._namespaces = [layout.namespace(settings, rank) for rank in range(layout.worker_count)]
        self._tracked: dict[str, _Tracked] = {}
        self._found: dict[str, _Found] = {}
        self._loading: dict[str, _Found] = {}
        self._loads: dict[str, list[_Block]] = {}
        self._counters: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._questions: queue.SimpleQueue[tuple[Request, list[list[bytes]], _Found] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._answer, name="larder-match", daemon=True)
        self._thread.start()

    def matched_tokens(self, request: Request, computed: int) -> tuple[int | None, bool]:
        tracked = self._tracked.get(request.request_id)
        if tracked is None:
            groups = self._layout.groups
            tracked = _Tracked(request, [[] for _ in groups], [0] * len(groups))
            self._tracked[request.request_id] = tracked
        tracked.computed_before = computed
        found = self._found.get(request.request_id)
        if found is not None and found.token_count is not None and self._is_stale(found):
            found = None
        if found is None:
            found = self._ask(request)
        if found.token_count is None:
            return None, False
        # The last token is always computed: its logits are wanted.
        tokens_per_block = self._layout.groups[0].tokens_per_block
        usable = min(found.token_count, (request.num_tokens - 1) // tokens_per_block * tokens_per_block)
        count = max(0, usable - computed)
        return count, count > 0

    def allocated(self, request: Request, block_ids: tuple[list[int], ...], token_count: int) -> None:
        found = self._found.pop(request.request_id, None)
        tracked = self._tracked.get(request.request_id)
        if found is None or tracked is None:
            return
        for place, group in enumerate(self._layout.groups):
            tracked.stored[place] = max(tracked.stored[place], found.held_token_count // group.tokens_per_block)
        if token_count == 0:
            found.release()
            return
        first = tracked.computed_before
        blocks = []
        for group in self._layout.groups:
            ids = block_ids[group.index]
            for index in range(first // group.tokens_per_block, (first + token_count) // group.tokens_per_block):
                if ids[index] != NULL_BLOCK:
                    blocks.append(_Block(self._layout.key(request, group, index), group.index, ids[index]))
        self._loads[request.request_id] = blocks
        self._loading[request.request_id] = found

    def build_meta(self, output: SchedulerOutput) -> LarderConnectorMetadata:
        meta = LarderConnectorMetadata(loads=self._loads)
        self._loads = {}
        for new in output.scheduled_new_reqs:
            self._schedule(meta, new.req_id, new.block_ids, True, new.num_computed_tokens, output)
        cached = output.scheduled_cached_reqs
        for index, req_id in enumerate(cached.req_ids):
            is_whole = req_id in cached.resumed_req_ids
            self._schedule(
                meta, req_id, cached.new_block_ids[index], is_whole, cached.num_computed_tokens[index], output
            )
        return meta

    def loaded(self, req_ids: Iterable[str]) -> None:
        for req_id in req_ids:
            found = self._loading.pop(req_id, None)
            if found is not None:
                found.release()

    def finished(self, request: Request) -> tuple[bool, None]:
        self._tracked.pop(request.request_id, None)
        self._loads.pop(request.request_id, None)
        found = self._found.pop(request.request_id, None)
        if found is not None and found.token_count is not None:
            found.release()
        return False, None

    def take_counters(self) -> Counter[str]:
        with self._lock:
            taken, self._counters = self._counters, Counter()
        return taken

    def shutdown(self) -> None:
        self._questions.put(None)
        self._thread.join()
        self._client.close()

    def _schedule(
        self,
        meta: LarderConnectorMetadata,
        req_id: str,
        new_block_ids: tuple[list[int], ...] | None,
        is_whole: bool,
        computed: int,
        output: SchedulerOutput,
    ) -> None:
        """Takes note of a request's blocks, and asks for those to be stored that this step completes."""
        tracked = self._tracked.get(req_id)
        if tracked is None:
            return
        for place, group in enumerate(self._layout.groups):
            ids = tracked.block_ids[place]
            if is_whole:
                ids.clear()
            if new_block_ids is not None:
                ids.extend(new_block_ids[group.index])
            # A name is known only for tokens that are final, so a rejected draft is never stored.
            after = (computed + output.num_scheduled_tokens[req_id]) // group.tokens_per_block
            whole = min(after, self._layout.named_blocks(tracked.request, group), len(ids))
            for index in range(tracked.stored[place], whole):
                if ids[index] != NULL_BLOCK:
                    key = self._layout.key(tracked.request, group, index)
                    meta.stores.append(_Block(key, group.index, ids[index]))
            tracked.stored[place] = max(tracked.stored[place], whole)

    def _is_stale(self, found: _Found) -> bool:
        if time.monotonic() - found.at < self._lease_ms / 2_000:
            return False
        found.release()
        return True

    def _ask(self, request: Request) -> _Found:
        keys = [
            [self._layout.key(request, group, index) for index in range(self._layout.named_blocks(request, group))]
            for group in self._layout.groups
        ]
        found = _Found()
        self._found[request.request_id] = found
        self._questions.put((request, keys, found))
        return found

    def _answer(self) -> None:
        while (question := self._questions.get()) is not None:
            request, keys, found = question
            try:
                token_count = self._longest_prefix(keys, found)
            except Exception:
                log.exception("larder: a match failed")
                token_count = 0
            found.at = time.monotonic()
            found.held_token_count = token_count
            found.token_count = token_count
            with self._lock:
                self._counters["lookup_tokens"] += request.num_tokens
                self._counters["hit_tokens"] += token_count
            if token_count == 0:
                found.release()

    def _longest_prefix(self, keys: list[list[bytes]], found: _Found) -> int:
        """Tokens of the longest prefix that all workers can load: all blocks of full groups, the last of windows."""
        token_count = min(
            self._held(group_keys, found) * group.tokens_per_block
            for group, group_keys in zip(self._layout.groups, keys)
            if group.window is None
        )
        for _ in range(WINDOW_TRIES):
            shorter = self._shortened_to_windows(keys, token_count, found)
            if shorter == token_count:
                return token_count
            token_count = shorter
        return 0

    def _shortened_to_windows(self, keys: list[list[bytes]], token_count: int, found: _Found) -> int:
        for group, group_keys in zip(self._layout.groups, keys):
            if group.window is None or token_count == 0:
                continue
            size = group.tokens_per_block
            end = token_count // size
            first = max(0, token_count - group.window + 1) // size
            # From the end backwards: the match ends at the last hole, before which the window must end.
            wanted = group_keys[first:end][::-1]
            held = self._held(wanted, found)
            if end * size != token_count or held < len(wanted):
                return (end - held - 1) * size if held < len(wanted) else end * size
        return token_count

    def _held(self, keys: list[bytes], found: _Found) -> int:
        count = len(keys)
        for namespace in self._namespaces:
            if count == 0:
                break
            match = self._client.match(
                namespace, keys[:count], lease_ms=self._lease_ms, prefetch=True, deadline=self._deadline
            )
            if match.lease is not None:
                found.leases.append(match.lease)
            count = match.count
        return count


class _WorkerHalf:
    """Moves blocks between the GPU and the node."""

    def __init__(self, layout: _Layout, settings: EngineSettings, ttl_ms: int | None, staging_bytes: int) -> None:
        self._layout = layout
        self._client = settings.client()
        self._deadline = settings.transfer_deadline
        self._memories: dict[int, _GroupMemory] = {}
        self._staging = torch.empty(0, dtype=torch.uint8)
        self._stream: torch.cuda.Stream | None = None
        self._waiting: Counter[str] = Counter()
        self._failed_blocks: set[int] = set()
        self._failed_requests: set[str] = set()
        self._transfers = Transfers(
            self._client,
            layout.namespace(settings, layout.rank),
            "larder",
            tokens_per_block=max(group.tokens_per_block for group in layout.groups),
            ttl_ms=ttl_ms,
            queued_store_bytes_max=staging_bytes,
            after_load=self._scatter,
        )

    def register(self, kv_caches: dict[str, torch.Tensor]) -> None:
        self._memories = {group.index: _GroupMemory(group, kv_caches) for group in self._layout.groups}
        device = next(iter(kv_caches.values())).device
        largest = max(memory.block_bytes for memory in self._memories.values())
        self._staging = _host_memory(max(CALL_BYTES_MAX, largest), device)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def start_loads(self, meta: LarderConnectorMetadata) -> None:
        ready = None
        if meta.loads and self._stream is not None:
            # vLLM may clear fresh blocks on its own stream; what is loaded must come after.
            ready = torch.cuda.current_stream().record_event()
        for req_id, blocks in meta.loads.items():
            parts = list(self._parts(blocks))
            if not parts:
                self._waiting[req_id] += 0
            for memory, part in parts:
                self._waiting[req_id] += 1
                self._transfers.submit(
                    Transfer(
                        id=req_id,
                        keys=[block.key for block in part],
                        buffers=functools.partial(self._staged, memory.block_bytes),
                        is_load=True,
                        byte_count=memory.block_bytes * len(part),
                        context=(memory, [block.block_id for block in part], ready),
                    )
                )

    def store(self, meta: LarderConnectorMetadata) -> None:
        for memory, part in self._parts(meta.stores):
            byte_count = memory.block_bytes * len(part)
            if not self._transfers.has_room_to_store(byte_count):
                self._transfers.count_dropped(len(part))
                continue
            copied = memory.gather([block.block_id for block in part])
            self._transfers.submit(
                Transfer(
                    id=None,
                    keys=[block.key for block in part],
                    buffers=functools.partial(_row, copied),
                    is_load=False,
                    byte_count=byte_count,
                )
            )

    def take_loaded(self) -> set[str] | None:
        """The requests whose loads have ended, however they ended."""
        for transfer in self._transfers.finished():
            if not transfer.is_load:
                continue
            memory, block_ids, _ = transfer.context
            self._waiting[transfer.id] -= 1
            failed = [block_id for block_id, is_done in zip(block_ids, transfer.done) if not is_done]
            if failed and self._layout.has_one_group:
                self._failed_blocks.update(failed)
            elif failed:
                # With several groups a block's number says nothing without its group: vLLM wants the request's name.
                self._failed_requests.add(transfer.id)
        loaded = {req_id for req_id, count in self._waiting.items() if count == 0}
        for req_id in loaded:
            del self._waiting[req_id]
        return loaded or None

    def take_failed_blocks(self) -> set[int]:
        taken, self._failed_blocks = self._failed_blocks, set()
        return taken

    def take_failed_requests(self) -> set[str]:
        # Together with the end of the request's last load, not before.
        taken = {req_id for req_id in self._failed_requests if req_id not in self._waiting}
        self._failed_requests -= taken
        return taken

    def take_counters(self) -> Counter[str]:
        return self._transfers.take_counters()

    def shutdown(self) -> None:
        self._transfers.close(self._deadline * max(1, self._transfers.unfinished_count) + 5.0)
        self._client.close()

    def _parts(self, blocks: list[_Block]) -> Iterator[tuple[_GroupMemory, list[_Block]]]:
        """Blocks of one group, few enough for the staging memory."""
        for index, memory in self._memories.items():
            mine = [block for block in blocks if block.group == index]
            step = max(1, CALL_BYTES_MAX // memory.block_bytes)
            for start in range(0, len(mine), step):
                yield memory, mine[start : start + step]

    def _staged(self, size: int, index: int) -> memoryview:
        """The staging memory of one block of a call."""
        return memoryview(self._staging.numpy())[index * size : (index + 1) * size]

    def _scatter(self, transfer: Transfer) -> None:
        """On the load thread: what arrived goes from the staging memory to its blocks."""
        memory, block_ids, ready = transfer.context
        places = [place for place, is_done in enumerate(transfer.done) if is_done]
        if not places:
            return
        count = len(transfer.keys)
        arrived = self._staging[: count * memory.block_bytes].view(count, memory.block_bytes)
        if len(places) < count:
            arrived = arrived[torch.tensor(places)]
        ids = [block_ids[place] for place in places]
        if self._stream is None:
            memory.scatter(ids, arrived)
            return
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(ready)
            memory.scatter(ids, arrived)
        self._stream.synchronize()


class _GroupMemory:
    """The layers of one group, as bytes: a block's payload is its bytes of each layer, in the layers' order.

    A layer's axes are taken in their logical order, blocks first, whatever their order in memory is.
    """

    def __init__(self, group: _Group, kv_caches: dict[str, torch.Tensor]) -> None:
        self._layers: list[torch.Tensor] = []
        self._sizes: list[int] = []
        for name in group.layer_names:
            layer = kv_caches.get(name)
            if not isinstance(layer, torch.Tensor) or layer.dim() < 2 or layer.stride(-1) != 1:
                raise ValueError(f"larder: the connector cannot read the cache of {name}; use larder.vllm_tier")
            raw = layer.view(torch.uint8)
            self._layers.append(raw)
            self._sizes.append(raw[0].numel())
        self.block_bytes = sum(self._sizes)

    def gather(self, block_ids: list[int]) -> torch.Tensor:
        """The payloads of some blocks, in host memory."""
        device = self._layers[0].device
        copied = _host_memory(len(block_ids) * self.block_bytes, device).view(len(block_ids), self.block_bytes)
        ids = torch.tensor(block_ids, device=device)
        start = 0
        for layer, size in zip(self._layers, self._sizes):
            chosen = layer.index_select(0, ids).reshape(len(block_ids), size)
            copied[:, start : start + size].copy_(chosen, non_blocking=True)
            start += size
        if device.type == "cuda":
            torch.cuda.current_stream().synchronize()
        return copied

    def scatter(self, block_ids: list[int], payloads: torch.Tensor) -> None:
        """Writes payloads to blocks."""
        device = self._layers[0].device
        ids = torch.tensor(block_ids, device=device)
        payloads = payloads.to(device, non_blocking=True)
        start = 0
        for layer, size in zip(self._layers, self._sizes):
            layer.index_copy_(0, ids, payloads[:, start : start + size].reshape(len(block_ids), *layer.shape[1:]))
            start += size


def _row(payloads: torch.Tensor, index: int) -> memoryview:
    return memoryview(payloads[index].numpy())


def _host_memory(byte_count: int, device: torch.device) -> torch.Tensor:
    return torch.empty(byte_count, dtype=torch.uint8, pin_memory=device.type == "cuda")
