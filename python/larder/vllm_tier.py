"""A tier for vLLM's KV offloading: blocks go from its CPU memory to a node and come back from it.

Loaded by configuration alone, see README.md. vLLM moves blocks between the GPU and its CPU memory by itself; this tier
moves them between that memory and the node, on threads of its own. All methods are called in the scheduler's process
and return at once: a lookup is answered RETRY while a batched match is under way, jobs are queued and their ends are
collected. A node that is away, slow or full makes lookups miss and jobs fail, which vLLM answers by computing.

Written against vLLM 0.33's `SecondaryTierManager`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import vllm
from vllm.distributed.kv_transfer.kv_connector.v1.offloading.metrics import OffloadingConnectorStats
from vllm.v1.kv_offload.base import (
    Locality,
    LookupResult,
    Medium,
    OffloadingCounterMetadata,
    OffloadingEvent,
    OffloadingMetricMetadata,
    OffloadKey,
    ReqContext,
    RequestOffloadingContext,
    ScheduleEndContext,
    get_offload_group_idx,
)
from vllm.v1.kv_offload.tiering.async_lookup import AsyncLookupManager
from vllm.v1.kv_offload.tiering.base import JobResult, SecondaryTierManager, TIER_LABEL, TransferJob

from .engine_settings import EngineSettings
from .namespace import Namespace
from .results import Lease
from .transfers import QUEUED_STORE_BYTES_MAX, Transfer, Transfers

if TYPE_CHECKING:
    from vllm.v1.kv_offload.base import OffloadingSpec
    from vllm.v1.kv_offload.tiering.backpressure import BackpressureDetector

#: How long a block that a lookup found stays readable, milliseconds; it is given back earlier, when it was loaded.
LEASE_MS = 10_000
#: In a group with a sliding window, what lies behind a hole may be what is wanted: matches made to look there.
MATCHES_PER_LOOKUP = 4
#: What a transfer thread may need beyond its calls' deadlines when the tier is closed, seconds.
CLOSING_SLACK = 5.0

_METRICS = {
    "loads": "Chunks that a node gave back.",
    "loads_failed": "Chunks that a lookup had found and that did not arrive.",
    "load_bytes": "Bytes that a node gave back.",
    "stores": "Chunks that a node holds after a store.",
    "stores_failed": "Chunks that a node did not take.",
    "stores_dropped": "Chunks that were not sent, because too much was waiting to be.",
    "store_bytes": "Bytes of chunks that a node holds after a store.",
    "lookups": "Chunks that a node was asked for.",
    "lookup_hits": "Chunks that a node had.",
    "defects": "Transfers that ended by an error of the tier itself.",
}


def _metric(name: str) -> str:
    return f"vllm:kv_offload_larder_{name}"


class LarderTier(SecondaryTierManager):
    """A node as a secondary tier of `TieringOffloadingSpec`.

    Its settings are `EngineSettings` and: `lease_ms`, `ttl_ms` (how long blocks may be read; absent: until evicted),
    `durable` (stores end after fsync), `queued_store_bytes` (stores beyond this are dropped), `enable_kv_events`,
    `locality`. vLLM's own `backpressure` works beside them.
    """

    medium = Medium.STORAGE

    def __init__(
        self,
        offloading_spec: OffloadingSpec,
        primary_kv_view: memoryview,
        tier_type: str,
        backpressure_detector: BackpressureDetector | None = None,
        lease_ms: int = LEASE_MS,
        ttl_ms: int | None = None,
        durable: bool = False,
        queued_store_bytes: int = QUEUED_STORE_BYTES_MAX,
        enable_kv_events: bool = False,
        locality: str | None = None,
        **config: Any,
    ) -> None:
        super().__init__(offloading_spec, primary_kv_view, tier_type, backpressure_detector)
        settings = EngineSettings.take(config)
        self.locality = Locality(locality) if locality is not None else None
        self.namespace = Namespace(settings.described(describe(offloading_spec, self.block_size_bytes)))
        # The view has two axes, of which Python cannot slice one; over the same bytes with one axis it can.
        self._memory = primary_kv_view.cast("B")
        self._events: list[OffloadingEvent] | None = None
        if enable_kv_events and offloading_spec.kv_events_config.enable_kv_cache_events:
            self._events = []
        self._settings = settings
        self._client = settings.client()
        self._lookups = _Lookups(self, lease_ms, _windowed_groups(offloading_spec))
        self._transfers = Transfers(
            self._client,
            self.namespace,
            "larder",
            tokens_per_block=max(offloading_spec.tokens_per_block) * offloading_spec.blocks_per_chunk,
            ttl_ms=ttl_ms,
            durable=durable,
            queued_store_bytes_max=queued_store_bytes,
            after_load=lambda transfer: self._lookups.release(transfer.context),
        )

    def lookup(self, key: OffloadKey, req_context: ReqContext) -> LookupResult:
        found = self._lookups.lookup(key, req_context)
        if found is None:
            return LookupResult.RETRY
        return LookupResult.HIT if found else LookupResult.MISS

    def submit_store(self, job_metadata: TransferJob) -> None:
        self._submit(job_metadata, is_load=False)

    def submit_load(self, job_metadata: TransferJob) -> None:
        self._submit(job_metadata, is_load=True)

    def get_finished_jobs(self) -> Iterable[JobResult]:
        return [self._result(transfer) for transfer in self._transfers.finished()]

    def on_new_request(self, req_context: ReqContext) -> RequestOffloadingContext:
        return RequestOffloadingContext()

    def on_request_finished(self, req_context: ReqContext) -> None:
        self._lookups.cleanup(req_context.req_id)

    def on_schedule_end(self, context: ScheduleEndContext) -> None:
        self._lookups.flush()

    def take_events(self) -> Iterable[OffloadingEvent]:
        if self._events:
            events, self._events = self._events, []
            yield from events

    def drain_jobs(self) -> None:
        # Every call of a transfer ends by its deadline, and while the node is away the client answers at once.
        self._transfers.wait_idle()

    def shutdown(self) -> None:
        """Ends the threads; raises when one still uses the engine's memory, so that vLLM keeps the memory mapped."""
        deadline = self._settings.transfer_deadline
        ended = self._transfers.close(deadline * max(1, self._transfers.unfinished_count) + CLOSING_SLACK)
        self._lookups.shutdown()
        self._client.close()
        if not ended:
            raise RuntimeError("larder: a transfer is still under way; the engine's memory must stay mapped")
        self._memory.release()

    @classmethod
    def build_metric_definitions(cls, extra_config: dict[str, Any]) -> dict[str, OffloadingMetricMetadata]:
        return {
            _metric(name): OffloadingCounterMetadata(documentation=text, labelnames=(TIER_LABEL,))
            for name, text in _METRICS.items()
        }

    def get_stats(self) -> OffloadingConnectorStats | None:
        counters = self._transfers.take_counters() + self._lookups.take_counters()
        if not counters:
            return None
        stats = OffloadingConnectorStats()
        for name, count in counters.items():
            stats.increase_counter(_metric(name), count, (self.tier_type,))
        return stats

    def _submit(self, job: TransferJob, is_load: bool) -> None:
        keys = list(job.keys)
        size = self.block_size_bytes
        starts = [int(chunk) * size for chunk in job.chunk_ids]
        self._transfers.submit(
            Transfer(
                id=job.job_id,
                keys=keys,
                buffers=lambda index: self._memory[starts[index] : starts[index] + size],
                is_load=is_load,
                byte_count=size * len(keys),
                context=job.req_context.req_id,
            )
        )

    def _result(self, transfer: Transfer) -> JobResult:
        done = [key for key, is_done in zip(transfer.keys, transfer.done) if is_done]
        if transfer.is_load and not transfer.succeeded:
            # What a lookup promised did not come: without this the scheduler would ask for it again and again.
            self._lookups.mark_miss([key for key, is_done in zip(transfer.keys, transfer.done) if not is_done])
        if not transfer.is_load and done and self._events is not None:
            self._events.append(
                OffloadingEvent(keys=done, medium=self.medium, removed=False, locality=self.locality)
            )
        return JobResult(
            job_id=transfer.id,
            success=transfer.succeeded,
            successful_keys=tuple(done) if transfer.is_load and done and not transfer.succeeded else None,
            transfer_time=None if transfer.was_dropped else transfer.seconds,
            transfer_bytes=len(done) * self.block_size_bytes,
        )


class _Lookups(AsyncLookupManager):
    """Asks for all keys of a scheduler step at once, on vLLM's own lookup thread."""

    def __init__(self, tier: LarderTier, lease_ms: int, windowed_groups: frozenset[int]) -> None:
        self._namespace = tier.namespace
        self._client = tier._client
        self._deadline = tier._settings.lookup_deadline
        self._lease_ms = lease_ms
        self._windowed_groups = windowed_groups
        self._lock = threading.Lock()
        self._leases: dict[str, list[Lease]] = {}
        self._counters: Counter[str] = Counter()
        super().__init__(tier_type=tier.tier_type)

    def batch_lookup(self, keys: list[OffloadKey], req_context: ReqContext) -> Iterable[bool]:
        held: set[OffloadKey] = set()
        for group, wanted in _by_group(keys).items():
            held.update(self._match(wanted, req_context.req_id, group in self._windowed_groups))
        with self._lock:
            self._counters["lookups"] += len(keys)
            self._counters["lookup_hits"] += len(held)
        return [key in held for key in keys]

    def release(self, req_id: str) -> None:
        """Gives back what was leased for a request; does not wait for the node."""
        with self._lock:
            leases = self._leases.pop(req_id, ())
        for lease in leases:
            lease.release()

    def cleanup(self, req_id: str) -> None:
        super().cleanup(req_id)
        self.release(req_id)

    def take_counters(self) -> Counter[str]:
        with self._lock:
            taken, self._counters = self._counters, Counter()
        return taken

    def _match(self, keys: list[OffloadKey], req_id: str, is_windowed: bool) -> list[OffloadKey]:
        """The keys that are held. A group of full attention needs the leading ones only; behind a hole it is a miss."""
        held: list[OffloadKey] = []
        rest = keys
        for _ in range(MATCHES_PER_LOOKUP if is_windowed else 1):
            match = self._client.match(
                self._namespace, rest, lease_ms=self._lease_ms, prefetch=True, deadline=self._deadline
            )
            if match.lease is not None:
                with self._lock:
                    self._leases.setdefault(req_id, []).append(match.lease)
            held += rest[: match.count]
            rest = rest[match.count + 1 :]
            if not rest:
                break
        return held


def _by_group(keys: list[OffloadKey]) -> dict[int, list[OffloadKey]]:
    groups: dict[int, list[OffloadKey]] = {}
    for key in keys:
        groups.setdefault(get_offload_group_idx(key), []).append(key)
    return groups


def _windowed_groups(spec: OffloadingSpec) -> frozenset[int]:
    return frozenset(
        group.group_id
        for group in spec.config.groups
        if group.sliding_window_size_in_chunks is not None
    )


def describe(spec: OffloadingSpec, chunk_byte_count: int) -> dict[str, Any]:
    """What must be equal for two engines to share chunks.

    A chunk is one row of the CPU memory: the blocks of all workers, in the order of their ranks. Where vLLM says that
    such rows do not depend on the parallel shape, the shape is left out, so that engines of other shapes share them.
    """
    config = spec.config
    parallel = config.parallel
    is_portable = parallel.is_parallelism_agnostic or config.replicated_layout
    description = {
        "engine": "vllm",
        # The order of bytes in a block changed between releases before, and no other name would tell.
        "engine_version": vllm.__version__,
        "seam": "secondary tier",
        "model": config.model.name,
        "dtype": config.model.dtype,
        "tokens_per_hash": config.cache.tokens_per_hash,
        "blocks_per_chunk": config.cache.blocks_per_chunk,
        "chunk_bytes": chunk_byte_count,
        "groups": [
            {
                "tokens_per_block": group.tokens_per_block,
                "layers": _digest(group.layer_names),
                # Which groups share a row decides what lies where in it.
                "group": group.group_id,
            }
            for group in config.groups
        ],
        "kv_cache_layout": config.kv_cache_layout or "",
        "canonical_layout": config.canonical_layout,
        "replicated_layout": config.replicated_layout,
    }
    if not is_portable:
        description["tensor_parallel_size"] = parallel.tp_size
        description["pipeline_parallel_size"] = parallel.pp_size
        description["prefill_context_parallel_size"] = parallel.pcp_size
        description["decode_context_parallel_size"] = parallel.dcp_size
        description["rank"] = parallel.rank
    return description


def _digest(names: Iterable[str]) -> str:
    """A short stand-in for a list of layer names, which can be longer than a description may be."""
    return hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()
