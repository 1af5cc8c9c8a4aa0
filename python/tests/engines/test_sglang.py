"""The SGLang backend under SGLang's own storage factory, host pools and failure injector, against a live node.

The pools are SGLang's classes with their own layouts, address arithmetic and page functions; only their constructors,
which take the GPU's pools, are passed by.
"""

import dataclasses

import pytest
import sglang_sources  # noqa: F401  (SGLang's modules can be imported from here on)
import torch
from conftest import until
from sglang.srt.mem_cache.hicache_storage import (
    HiCacheStorageConfig,
    HiCacheStorageFailureInjector,
    PoolHitPolicy,
    PoolName,
    PoolTransfer,
)
from sglang.srt.mem_cache.pool_host.common import get_allocator_from_storage
from sglang.srt.mem_cache.pool_host.mha import MHATokenToKVPoolHost
from sglang.srt.mem_cache.pool_host.mla import MLATokenToKVPoolHost
from sglang.srt.mem_cache.storage.backend_factory import StorageBackendFactory

import larder

PAGE = 16
PAGES = 24


def pool(kind, layout, dtype=torch.bfloat16, layers=4, heads=2, head_dim=64):
    """A host pool of SGLang's with random content."""
    made = kind.__new__(kind)
    made.layout, made.dtype, made.page_size, made.layer_num = layout, dtype, PAGE, layers
    made.head_num, made.head_dim, made.v_head_dim = heads, head_dim, head_dim
    made.kv_lora_rank, made.qk_rope_head_dim, made.kv_cache_dim = 512, 64, 576
    made.start_layer, made.end_layer, made.target_layer_num = 0, layers - 1, layers
    made.page_num, made.size = PAGES, PAGES * PAGE
    made.device, made.pin_memory, made._transfer_device = "cpu", False, torch.device("cpu")
    made.head_group_num = 1
    made.allocator = get_allocator_from_storage("default")
    made.kv_buffer = made.init_kv_buffer()
    fill(made)
    return made


def fill(host, seed=1):
    generator = torch.Generator().manual_seed(seed)
    raw = host.kv_buffer.view(torch.uint8)
    raw.copy_(torch.randint(0, 256, raw.shape, dtype=torch.uint8, generator=generator))


def indices(*pages):
    return torch.cat([torch.arange(page * PAGE, (page + 1) * PAGE) for page in pages])


def pages_of(host, pages):
    return [host.get_data_page(page * PAGE, flat=True).view(torch.uint8).clone() for page in pages]


def hashes(count, name="p"):
    return [larder.hashing.hash_block(larder.hashing.NONE_HASH, [index, ord(name)]).hex() for index in range(count)]


@pytest.fixture
def backends(stack, recipe):
    def make(address, host=None, mla=False, settings=None, **changes):
        extra = recipe("sglang.json", address)
        extra["larder"].update(settings or {})
        config = HiCacheStorageConfig(
            tp_rank=0, tp_size=1, pp_rank=0, pp_size=1, attn_cp_rank=0, attn_cp_size=1, is_mla_model=mla,
            enable_storage_metrics=True, is_page_first_layout=True, model_name="a/model", extra_config=extra,
        )
        backend = StorageBackendFactory.create_backend("dynamic", dataclasses.replace(config, **changes), host)
        stack.callback(backend.close)
        if host is not None:
            backend.register_mem_pool_host(host)
        return backend

    return make


LAYOUTS = [
    (MHATokenToKVPoolHost, "page_first", 2), (MHATokenToKVPoolHost, "page_first_direct", 2),
    (MHATokenToKVPoolHost, "layer_first", 1), (MHATokenToKVPoolHost, "page_head", 2),
    (MLATokenToKVPoolHost, "page_first", 1), (MLATokenToKVPoolHost, "page_first_direct", 1),
    (MLATokenToKVPoolHost, "layer_first", None),
]


@pytest.mark.parametrize("kind, layout, pieces", LAYOUTS)
def test_pages_of_every_layout_come_back(node, backends, kind, layout, pieces):
    is_mla = kind is MLATokenToKVPoolHost
    host, other = pool(kind, layout), pool(kind, layout)
    writer = backends(node.address, host, mla=is_mla)
    if pieces:
        assert writer._pools[PoolName.KV].keys_per_page == pieces
    keys = hashes(10)
    assert writer.batch_set_v1(keys, indices(*range(10))) == [True] * 10

    fill(other, seed=2)
    untouched = pages_of(other, [0, 11, 12])
    reader = backends(node.address, other, mla=is_mla)
    assert reader.batch_exists(keys + hashes(3, "q")) == 10
    assert reader.batch_get_v1(keys, indices(*range(1, 11))) == [True] * 10
    for there, here in zip(pages_of(host, range(10)), pages_of(other, range(1, 11))):
        assert torch.equal(there, here)
    for before, after in zip(untouched, pages_of(other, [0, 11, 12])):
        assert torch.equal(before, after)


def test_batch_exists_counts_leading_hits(node, backends):
    host = pool(MHATokenToKVPoolHost, "page_first")
    backend = backends(node.address, host)
    keys = hashes(8)
    backend.batch_set_v1(keys[:3] + keys[4:], indices(0, 1, 2, 4, 5, 6, 7))
    assert backend.batch_exists(keys) == 3
    assert backend.batch_exists(keys[4:]) == 4
    assert backend.batch_get_v1(keys, indices(*range(8, 16))) == [True] * 3 + [False] + [True] * 4
    # A page of which one piece is lost is no page.
    with larder.Client(node.address) as client:
        assert client.delete(backend._pools[PoolName.KV].namespace, [f"{keys[1]}/1".encode()]) == 1
    assert backend.batch_exists(keys) == 1
    assert backend.batch_get_v1(keys[:3], indices(8, 9, 10)) == [True, False, True]


def test_a_batch_as_large_as_sglang_makes_is_cut_into_calls(node, backends):
    host = pool(MHATokenToKVPoolHost, "page_first", layers=32, heads=8, head_dim=128)
    backend = backends(node.address, host)
    assert backend._pools[PoolName.KV].page_bytes * PAGES > 32 << 20
    keys = hashes(PAGES)
    assert all(backend.batch_set_v1(keys, indices(*range(PAGES))))
    wanted = pages_of(host, range(PAGES))
    fill(host, seed=3)
    assert all(backend.batch_get_v1(keys, indices(*range(PAGES))))
    assert all(torch.equal(there, here) for there, here in zip(wanted, pages_of(host, range(PAGES))))
    stats = backend.get_stats()
    assert stats.prefetch_pgs == [PAGES] and stats.backup_pgs == [PAGES]


def test_the_generic_interface_moves_whole_pages(node, backends):
    host = pool(MHATokenToKVPoolHost, "layer_first")
    backend = backends(node.address, host)
    keys = hashes(4)
    pages = [host.get_data_page(index * PAGE, flat=True) for index in range(4)]
    assert backend.batch_set(keys, pages)
    assert backend.exists(keys[0]) and not backend.exists("nothing")
    targets = [host.get_dummy_flat_data_page() for _ in range(5)]
    arrived = backend.batch_get([*keys, "nothing"], targets)
    assert arrived[4] is None
    for there, here in zip(pages, arrived[:4]):
        assert torch.equal(there.view(torch.uint8), here.view(torch.uint8))
    assert backend.get(keys[0], torch.zeros(3)) is None


class States:
    """A pool of recurrent states: one of them a page, at few places of a prompt; it offers whole pages only."""

    page_size, layout, dtype, layer_num = 1, "layer_first", torch.float32, 3

    def __init__(self, seed):
        self.data = torch.rand((64, 3, 50), generator=torch.Generator().manual_seed(seed))

    def get_dummy_flat_data_page(self):
        return torch.zeros(150)

    def get_data_page(self, index, flat=True):
        return self.data[index].flatten()

    def set_from_flat_data_page(self, index, page):
        self.data[index] = page.reshape(3, 50)


def test_models_with_several_pools_restore_only_what_all_can_serve(node, backends):
    host, states = pool(MHATokenToKVPoolHost, "page_first"), States(1)
    backend = backends(node.address, host)
    backend.register_mem_host_pool_v2(host, PoolName.KV)
    backend.register_mem_host_pool_v2(states, PoolName.MAMBA)
    keys = hashes(12)
    assert all(backend.batch_set_v1(keys[:10], indices(*range(10))))
    ends = [keys[3], keys[7]]
    stored = backend.batch_set_v2([PoolTransfer(PoolName.MAMBA, host_indices=torch.tensor([5, 6]), keys=ends)])
    assert stored == {PoolName.MAMBA: [True, True]}

    trailing = PoolTransfer(PoolName.MAMBA, keys=[keys[0]], hit_policy=PoolHitPolicy.TRAILING_PAGES)
    result = backend.batch_exists_v2(keys, [trailing])
    assert (result.kv_hit_pages, result.restorable_prefix_pages) == (8, [4, 8])
    assert result.extra_pool_hit_pages == {PoolName.KV: 10, PoolName.MAMBA: 8}

    other_host, other_states = pool(MHATokenToKVPoolHost, "page_first"), States(2)
    reader = backends(node.address, other_host)
    reader.register_mem_host_pool_v2(other_host, PoolName.KV)
    reader.register_mem_host_pool_v2(other_states, PoolName.MAMBA)
    got = reader.batch_get_v2([PoolTransfer(PoolName.MAMBA, host_indices=torch.tensor([20]), keys=[keys[7]])])
    assert got == {PoolName.MAMBA: [True]} and torch.equal(other_states.data[20], states.data[6])

    everywhere = PoolTransfer(PoolName.SWA, hit_policy=PoolHitPolicy.ALL_PAGES)
    swa = pool(MHATokenToKVPoolHost, "page_first", layers=2)
    backend.register_mem_host_pool_v2(swa, PoolName.SWA)
    backend.batch_set_v2([PoolTransfer(PoolName.SWA, host_indices=indices(*range(6)), keys=keys[:6])])
    assert backend.batch_exists_v2(keys, [everywhere]).restorable_prefix_pages == [1, 2, 3, 4, 5, 6]
    assert backend.batch_exists_v2(keys, [everywhere, trailing]).restorable_prefix_pages == [4]
    nothing = backend.batch_exists_v2(hashes(3, "z"), [everywhere])
    assert (nothing.kv_hit_pages, nothing.restorable_prefix_pages) == (0, [])


def test_two_layouts_never_meet(node, backends):
    kinds = [
        backends(node.address, pool(MHATokenToKVPoolHost, "page_first")),
        backends(node.address, pool(MHATokenToKVPoolHost, "page_first_direct")),
        backends(node.address, pool(MHATokenToKVPoolHost, "page_first", dtype=torch.float16)),
        backends(node.address, pool(MHATokenToKVPoolHost, "page_first", heads=4, head_dim=32)),
        backends(node.address, pool(MHATokenToKVPoolHost, "page_first"), model_name="b/model"),
        backends(node.address, pool(MHATokenToKVPoolHost, "page_first"), tp_size=2),
        backends(node.address, pool(MHATokenToKVPoolHost, "page_first"), tp_size=2, tp_rank=1),
        backends(node.address, pool(MHATokenToKVPoolHost, "page_first"), pp_size=2, pp_rank=1),
        backends(node.address, pool(MHATokenToKVPoolHost, "page_first"), settings={"namespace": {"revision": "x"}}),
        backends(node.address, pool(MLATokenToKVPoolHost, "page_first"), mla=True),
    ]
    keys = hashes(2)
    assert kinds[0].batch_set_v1(keys, indices(0, 1)) == [True, True]
    assert [backend.batch_exists(keys) for backend in kinds] == [2] + [0] * (len(kinds) - 1)
    # The pages of a latent cache are the same on all ranks, which share them.
    ranks = [
        backends(node.address, pool(MLATokenToKVPoolHost, "page_first"), mla=True, tp_size=2, tp_rank=rank)
        for rank in range(2)
    ]
    ranks[0].batch_set_v1(keys, indices(0, 1))
    assert ranks[1].batch_exists(keys) == 2


def test_sglangs_failure_injector_finds_nothing(node, backends, monkeypatch):
    """Random delays and failures before each call: what arrives is right, what fails is a miss."""
    monkeypatch.setenv("SGLANG_TEST_HICACHE_BACKEND_RANDOM_DELAY", "0.01")
    monkeypatch.setenv("SGLANG_TEST_HICACHE_BACKEND_RANDOM_FAILURE", "0.3")
    host, other = pool(MHATokenToKVPoolHost, "page_first"), pool(MHATokenToKVPoolHost, "page_first")
    writer, reader = backends(node.address, host), backends(node.address, other)
    assert isinstance(writer, HiCacheStorageFailureInjector)
    wanted = pages_of(host, range(PAGES))
    seen = {True: 0, False: 0}

    def both_seen():
        keys = hashes(PAGES, chr(ord("a") + sum(seen.values()) % 26))
        stored = writer.batch_set_v1(keys, indices(*range(PAGES)))
        fill(other, seed=9)
        held = reader.batch_exists(keys)
        assert held == 0 or stored[:held] == [True] * held or held == PAGES
        arrived = reader.batch_get_v1(keys[:held], indices(*range(held))) if held else []
        for page, is_here in enumerate(arrived):
            assert not is_here or torch.equal(pages_of(other, [page])[0], wanted[page])
        seen[bool(arrived) and all(arrived)] += 1
        return min(seen.values()) >= 5

    until(both_seen, what="five rounds that succeeded and five that failed")


def test_an_outage_is_misses_and_ends(durable_node, backends):
    host = pool(MHATokenToKVPoolHost, "page_first")
    backend = backends(durable_node.address, host)
    keys = hashes(6)
    assert all(backend.batch_set_v1(keys, indices(*range(6))))
    durable_node.stop()
    assert backend.batch_exists(keys) == 0
    assert backend.batch_get_v1(keys, indices(*range(6, 12))) == [False] * 6
    assert backend.batch_set_v1(hashes(2, "x"), indices(0, 1)) == [False] * 2
    result = backend.batch_exists_v2(keys, [PoolTransfer(PoolName.MAMBA, hit_policy=PoolHitPolicy.TRAILING_PAGES)])
    assert result.kv_hit_pages == 0
    backend.clear()
    durable_node.start()
    until(lambda: backend.batch_exists(keys) == 6, what="hits after the restart")
    assert backend.batch_get_v1(keys, indices(*range(6, 12))) == [True] * 6
    assert all(torch.equal(there, here) for there, here in zip(pages_of(host, range(6)), pages_of(host, range(6, 12))))
    backend.clear()
    assert backend.batch_exists(keys) == 0


def test_a_misspelt_setting_is_refused(node, backends):
    with pytest.raises(ValueError, match="adress"):
        backends(node.address, settings={"adress": "127.0.0.1:1"})
