"""The vLLM tier under vLLM's own factory, tiering manager and shared memory region, against a live node."""

import contextlib
import uuid

import pytest

import vllm_engine  # noqa: F401  (vLLM's modules can be imported from here on)
from conftest import until
from live_node import temporary_node
from vllm.v1.kv_offload.base import Locality, LookupResult, Medium, ReqContext, ScheduleEndContext, make_offload_key
from vllm.v1.kv_offload.config import (
    OffloadingCacheConfig,
    OffloadingConfig,
    OffloadingGroupConfig,
    OffloadingModelConfig,
    OffloadingParallelConfig,
)
from vllm.v1.kv_offload.factory import OffloadingSpecFactory

import larder
from larder.vllm_tier import describe

KIB, MIB = 1 << 10, 1 << 20


def offloading_config(extra, chunk_bytes, events=False, **changes):
    """vLLM's normalized configuration of an engine whose chunks have `chunk_bytes`."""
    parallel = {
        "rank": 0, "world_size": 1, "tp_size": 1, "pp_size": 1, "pcp_size": 1, "dcp_size": 1,
        "data_parallel_index": 0, "data_parallel_size": 1, "data_parallel_rank_local": None,
        "is_parallelism_agnostic": False,
    }
    model = {"name": "a/model", "dtype": "bfloat16", "max_model_len": 4096}
    layers = tuple(f"layers.{index}" for index in range(4))
    top = {"groups": (OffloadingGroupConfig(16, layers, 0),), "kv_cache_layout": "LBHNC"}
    for name, value in changes.items():
        target = parallel if name in parallel else model if name in model else top
        target[name] = value
    return OffloadingConfig(
        worker_kv_bytes_per_block=chunk_bytes,
        enable_kv_cache_events=events,
        extra_config=extra,
        engine_id=f"larder-test-{uuid.uuid4().hex[:12]}",
        model=OffloadingModelConfig(**model),
        cache=OffloadingCacheConfig(tokens_per_hash=16, blocks_per_chunk=1),
        parallel=OffloadingParallelConfig(**parallel),
        **top,
    )


class Tiers:
    """An engine's tiering manager, and the steps that vLLM's scheduler makes with it."""

    def __init__(self, stack, extra, chunk_bytes, chunk_count=32, **changes):
        extra = {**extra, "cpu_bytes_to_use": chunk_bytes * chunk_count}
        extra.pop("block_size", None)
        self.spec = OffloadingSpecFactory.create_spec(offloading_config(extra, chunk_bytes, **changes))
        self.manager = self.spec.get_manager()
        stack.callback(self.manager.shutdown)
        (self.tier,) = self.manager.secondary_tiers
        self._memory = self.manager.primary_tier.get_kv_memoryview().cast("B")
        stack.callback(self._memory.release)
        self._chunk_bytes = chunk_bytes
        self._request_count = 0

    def request(self):
        self._request_count += 1
        context = ReqContext(req_id=f"request-{self._request_count}")
        self.manager.on_new_request(context)
        return context

    def step(self):
        self.manager.on_schedule_end(ScheduleEndContext(new_req_ids=[], preempted_req_ids=[]))

    def settle(self):
        """Steps until nothing is under way."""
        until(lambda: not self.manager.has_pending_work(), self.step, "the end of all jobs")

    def store(self, keys, payloads):
        """What the engine does with blocks that it computed: to its CPU memory, and from there to the tiers."""
        context = self.request()
        prepared = self.manager.prepare_store(keys, context)
        for key, chunk in zip(prepared.keys_to_store, prepared.store_spec.chunk_ids):
            self._chunk(chunk)[:] = payloads[keys.index(key)]
        self.manager.complete_store(prepared.keys_to_store, context)
        self.manager.on_request_finished(context)
        self.settle()

    def look_up(self, keys, context):
        """The verdicts on some keys, once there are verdicts."""
        verdicts = {}

        def all_final():
            for key in keys:
                verdicts[key] = self.manager.lookup(key, context)
            return all(verdict in (LookupResult.HIT, LookupResult.MISS) for verdict in verdicts.values())

        until(all_final, self.step, "a verdict on every key")
        return [verdicts[key] for key in keys]

    def read(self, key, context):
        """The bytes of a key that is a hit."""
        (chunk,) = self.manager.prepare_load([key], context).chunk_ids
        payload = bytes(self._chunk(chunk))
        self.manager.complete_load([key], context)
        return payload

    def _chunk(self, index):
        start = int(index) * self._chunk_bytes
        return self._memory[start : start + self._chunk_bytes]


def keys_of(count, name="k"):
    """Keys as vLLM makes them: 36 bytes."""
    made = [make_offload_key(larder.hashing.hash_block(larder.hashing.NONE_HASH, [index, len(name), ord(name[0])]), 0)
            for index in range(count)]
    assert {len(key) for key in made} == {36}
    return made


def payloads_of(count, chunk_bytes, salt=0):
    """Payloads that are all different, in their first and in their last bytes."""
    made = []
    for index in range(count):
        unit = (index * 7_919 + salt * 104_729 + 1).to_bytes(8, "little")
        made.append((unit * (chunk_bytes // 8 + 1))[:chunk_bytes])
    return made


@pytest.fixture
def tiers(stack, recipe):
    def make(address, chunk_bytes=64 * KIB, **changes):
        settings = changes.pop("settings", {})
        extra = recipe("vllm-tier.json", address)["kv_connector_extra_config"]
        extra["secondary_tiers"][0].update(settings)
        return Tiers(stack, extra, chunk_bytes, **changes)

    return make


@pytest.mark.parametrize("chunk_bytes", [64 * KIB, 1 * MIB, 2 * MIB, 32 * MIB])
def test_what_one_engine_stores_another_loads(node, tiers, chunk_bytes):
    count = 6
    keys, payloads = keys_of(count), payloads_of(count, chunk_bytes)
    tiers(node.address, chunk_bytes, chunk_count=8).store(keys, payloads)

    other = tiers(node.address, chunk_bytes, chunk_count=8)
    context = other.request()
    assert other.manager.lookup(keys[0], context) is LookupResult.RETRY
    assert other.look_up(keys, context) == [LookupResult.HIT] * count
    assert [other.read(key, context) for key in keys] == payloads


def test_chunks_go_through_the_nodes_own_memory(stack, tiers, tmp_path):
    socket = tmp_path / "node.sock"
    temporary_node(stack, arguments=("--unix", str(socket), "--shared-writes", "true"))
    keys, payloads = keys_of(6), payloads_of(6, 2 * MIB)
    first = tiers(f"unix://{socket}", 2 * MIB)
    first.store(keys, payloads)
    assert first.tier._client.counters["shared_stores"] == 6
    other = tiers(f"unix://{socket}", 2 * MIB)
    context = other.request()
    assert other.look_up(keys, context) == [LookupResult.HIT] * 6
    assert [other.read(key, context) for key in keys] == payloads
    assert other.tier._client.counters["shared_loads"] == 6


def test_a_hole_ends_a_prefix_and_unknown_keys_miss(node, tiers):
    keys, payloads = keys_of(6), payloads_of(6, 64 * KIB)
    tiers(node.address).store(keys[:3] + keys[4:], payloads[:3] + payloads[4:])
    other = tiers(node.address)
    verdicts = other.look_up(keys, other.request())
    assert verdicts[:4] == [LookupResult.HIT] * 3 + [LookupResult.MISS]


def test_a_window_is_found_behind_a_hole(node, tiers):
    groups = (OffloadingGroupConfig(16, ("layers.0",), 0, sliding_window_size_in_chunks=2),)
    keys, payloads = keys_of(6), payloads_of(6, 64 * KIB)
    tiers(node.address, groups=groups).store(keys[:3] + keys[4:], payloads[:3] + payloads[4:])
    other = tiers(node.address, groups=groups)
    hit, miss = LookupResult.HIT, LookupResult.MISS
    assert other.look_up(keys, other.request()) == [hit, hit, hit, miss, hit, hit]


def test_blocks_lost_between_lookup_and_load_fail_alone(node, tiers):
    keys, payloads = keys_of(8), payloads_of(8, 64 * KIB)
    tiers(node.address).store(keys, payloads)
    other = tiers(node.address)
    context = other.request()
    # The tier knows that it has them; the job to load them is not yet submitted.
    until(lambda: all(other.tier.lookup(key, context) is LookupResult.HIT for key in keys), other.step)
    with larder.Client(node.address) as client:
        assert client.delete(other.tier.namespace, [keys[2], keys[5]]) == 2
    verdicts = other.look_up(keys, context)
    lost = {2, 5}
    for index, verdict in enumerate(verdicts):
        assert verdict is (LookupResult.MISS if index in lost else LookupResult.HIT)
    for index in set(range(8)) - lost:
        assert other.read(keys[index], context) == payloads[index]


def test_a_killed_node_is_misses_and_a_restarted_one_serves_again(durable_node, tiers):
    keys, payloads = keys_of(12), payloads_of(12, 1 * MIB)
    first = tiers(durable_node.address, 1 * MIB, settings={"durable": True})
    first.store(keys[:6], payloads[:6])

    engine = tiers(durable_node.address, 1 * MIB, settings={"durable": True})
    context = engine.request()
    until(lambda: all(engine.tier.lookup(key, context) is LookupResult.HIT for key in keys[:6]), engine.step)
    durable_node.kill()
    # Hits were promised; their loads fail, the engine goes on, and stores what it computed instead to nobody.
    assert engine.look_up(keys[:6], context) == [LookupResult.MISS] * 6
    engine.store(keys[6:], payloads[6:])
    engine.manager.on_request_finished(context)
    stats = engine.manager.get_stats().reduce()
    assert sum(count for name, count in stats.items() if "larder_stores_failed" in name) == 6

    durable_node.start()
    with larder.Client(durable_node.address) as client:
        until(client.ping, what="the restarted node")
    late = engine.request()
    until(
        lambda: engine.look_up(keys[:6], engine.request()) == [LookupResult.HIT] * 6, what="hits after the restart"
    )
    assert [engine.read(key, late) for key in keys[:6]] == payloads[:6]
    third = tiers(durable_node.address, 1 * MIB)
    third.store(keys[6:], payloads[6:])
    assert third.look_up(keys, third.request()) == [LookupResult.HIT] * 12


def test_a_frozen_node_is_misses_and_drains(node, tiers):
    engine = tiers(node.address, settings={"lookup_deadline_ms": 100, "transfer_deadline_ms": 200})
    keys, payloads = keys_of(4), payloads_of(4, 64 * KIB)
    node.freeze()
    assert engine.look_up(keys, engine.request()) == [LookupResult.MISS] * 4
    engine.store(keys, payloads)
    engine.manager.reset_cache()
    node.thaw()


def test_shutdown_with_jobs_under_way_leaves_the_memory_alone(node, stack, recipe):
    extra = recipe("vllm-tier.json", node.address)["kv_connector_extra_config"]
    with contextlib.ExitStack() as inner:
        engine = Tiers(inner, extra, 1 * MIB)
        keys, payloads = keys_of(16), payloads_of(16, 1 * MIB)
        context = engine.request()
        prepared = engine.manager.prepare_store(keys, context)
        for payload, chunk in zip(payloads, prepared.store_spec.chunk_ids):
            engine._chunk(chunk)[:] = payload
        engine.manager.complete_store(keys, context)
        assert engine.manager.has_pending_work()
    assert engine.tier._transfers.unfinished_count == 0


def test_stores_beyond_the_queue_are_dropped_and_counted(node, tiers):
    engine = tiers(node.address, 1 * MIB, settings={"queued_store_bytes": 2 * MIB})
    engine.store(keys_of(8), payloads_of(8, 1 * MIB))
    stats = engine.manager.get_stats().reduce()
    assert sum(count for name, count in stats.items() if "larder_stores_dropped" in name) == 8


def test_every_figure_that_is_counted_is_declared(node, tiers):
    engine = tiers(node.address)
    keys = keys_of(3)
    engine.store(keys, payloads_of(3, 64 * KIB))
    other = tiers(node.address)
    other.look_up(keys, other.request())
    declared = type(engine.spec).build_metric_definitions(engine.spec.extra_config)
    for tiers_of_one in (engine, other):
        types, values = tiers_of_one.tier.get_stats().metric_sections()
        assert values and set(values) <= set(declared)


def test_what_was_stored_is_told_to_vllms_event_stream(node, tiers):
    engine = tiers(node.address, settings={"enable_kv_events": True, "locality": "REMOTE"}, events=True)
    keys = keys_of(3)
    engine.store(keys, payloads_of(3, 64 * KIB))
    (event,) = [event for event in engine.manager.take_events() if event.medium is Medium.STORAGE]
    assert (event.keys, event.removed, event.locality) == (keys, False, Locality.REMOTE)


def test_two_layouts_never_meet(node, tiers):
    base = tiers(node.address)
    others = [
        {"name": "b/model"}, {"dtype": "float16"}, {"kv_cache_layout": "BLHNC"}, {"tp_size": 2, "world_size": 2},
        {"pp_size": 2, "world_size": 2}, {"rank": 1}, {"replicated_layout": True}, {"canonical_layout": True},
        {"groups": (OffloadingGroupConfig(32, tuple(f"layers.{index}" for index in range(4)), 0),)},
        {"groups": (OffloadingGroupConfig(16, ("layers.0",), 0),)},
    ]
    names = {base.tier.namespace.id}
    for changes in others:
        spec = OffloadingSpecFactory.create_spec(offloading_config(base.spec.extra_config, 64 * KIB, **changes))
        names.add(larder.Namespace(describe(spec, 64 * KIB)).id)
    names.add(larder.Namespace(describe(base.spec, 128 * KIB)).id)
    names.add(tiers(node.address, settings={"namespace": {"revision": "other"}}).tier.namespace.id)
    assert len(names) == len(others) + 3

    keys, payloads = keys_of(2), payloads_of(2, 64 * KIB)
    base.store(keys, payloads)
    stranger = tiers(node.address, dtype="float16")
    assert stranger.look_up(keys, stranger.request()) == [LookupResult.MISS] * 2


def test_engines_of_other_parallel_shapes_share_what_vllm_says_is_portable(node, tiers):
    def name(size):
        shape = {"tp_size": size, "world_size": size, "is_parallelism_agnostic": True}
        extra = {"spec_name": "TieringOffloadingSpec", "cpu_bytes_to_use": 16 * MIB}
        spec = OffloadingSpecFactory.create_spec(offloading_config(extra, 128 * KIB // size, **shape))
        return larder.Namespace(describe(spec, spec.kv_bytes_per_chunk)).id

    assert name(2) == name(4)


def test_a_misspelt_setting_is_refused(node, tiers):
    with pytest.raises(ValueError, match="adress"):
        tiers(node.address, settings={"adress": "127.0.0.1:1"})
