"""The cache side of an SGLang server on a machine without a GPU: its device pool, its allocator, its host pool and its
controllers with all their threads, as they are. What stands in, and for what:

- the CPU for the GPU: SGLang's own pools take `device="cpu"`, and its streams and events are then those of
  `torch.cpu`, which are done when they are recorded;
- `_copy_rows`, `_copy_to_pages` and `_copy_from_pages` for the three copies between the GPU and the host that
  `sgl_kernel.kvcacheio` has: the same pages, by indexing;
- `_ChainedHash` for SGLang's hash of tokens, a C++ extension that wants a compiler: SHA-256 over the one before and the
  tokens, page by page, which is what the adapter sees of it;
- `Engine` for the scheduler, which hands operations to the controller and takes what comes back from its queues.
"""

import hashlib
import threading

import sglang_sources  # noqa: F401  (SGLang's modules can be imported from here on)
import torch
from conftest import until
from sglang.srt.managers.cache_controller import HiCacheController
from sglang.srt.mem_cache.allocator.paged import PagedTokenToKVPoolAllocator
from sglang.srt.mem_cache.base_prefix_cache import CacheRequestHandle
from sglang.srt.mem_cache.cpp_utils import native_hash
from sglang.srt.mem_cache.hicache_storage import PoolName
from sglang.srt.mem_cache.hybrid_cache.hybrid_cache_controller import HybridCacheController
from sglang.srt.mem_cache.memory_pool import MHATokenToKVPool
from sglang.srt.mem_cache.pool_host import mha
from sglang.srt.mem_cache.pool_host.group import HostPoolGroup, PoolEntry
from sglang.srt.mem_cache.utils import get_storage_hash_str
from sglang.srt.runtime_context import get_parallel

PAGE = 16


def _pages(indices, page_size):
    return (indices[::page_size] // page_size).tolist()


def _copy_rows(src_layers, dst_layers, src_indices, dst_indices, page_size):
    for source, target in zip(src_layers, dst_layers, strict=True):
        target[dst_indices] = source[src_indices]


def _copy_to_pages(src_ptrs, dst_ptrs, src_indices, dst_indices, page_size):
    layers = len(src_ptrs) // len(dst_ptrs)
    for number, source in enumerate(src_ptrs):
        rows = source[src_indices].unflatten(0, (-1, page_size))
        dst_ptrs[number // layers][_pages(dst_indices, page_size), number % layers] = rows


def _copy_from_pages(src_ptrs, dst_ptrs, src_indices, dst_indices, layer_id, page_size):
    for source, target in zip(src_ptrs, dst_ptrs, strict=True):
        target[dst_indices] = source[_pages(src_indices, page_size), layer_id].flatten(0, 1)


class _ChainedHash:
    @staticmethod
    def get_hash(tokens, count, width, is_bigram, prior, page_size):
        pages, digest = [], prior or b""
        for start in range(0, count - count % page_size, page_size):
            page = tokens[start * width : (start + page_size) * width]
            digest = hashlib.sha256(digest + b"".join(int(token).to_bytes(8, "little") for token in page)).digest()
            pages.append(digest.hex())
        return pages


mha.transfer_kv_direct = _copy_rows
mha.transfer_kv_all_layer_direct_lf_pf = _copy_to_pages
mha.transfer_kv_per_layer_direct_pf_lf = _copy_from_pages
native_hash._load_native_hash_module = _ChainedHash
# What a server publishes when it starts with one GPU, in SGLang's own words.
get_parallel().override_permanently(
    tp_rank=0, tp_size=1, pp_rank=0, pp_size=1, attn_dcp_size=1, attn_dcp_rank=0,
)


class Engine:
    """One server: `is_hybrid` takes the controller of SGLang's radix cache, else the one it is made from."""

    def __init__(self, extra_config, is_hybrid=True, layout="page_first_direct", pages=512):
        shape = {"dtype": torch.bfloat16, "head_num": 2, "head_dim": 32, "layer_num": 3}
        self.device = MHATokenToKVPool(
            size=pages * PAGE, page_size=PAGE, device="cpu", enable_memory_saver=False, **shape
        )
        self.allocator = PagedTokenToKVPoolAllocator(
            pages * PAGE, PAGE, shape["dtype"], "cpu", self.device, need_sort=False
        )
        self.host = mha.MHATokenToKVPoolHost(
            self.device._mha_buffer_info(), 2.0, 0, PAGE, layout, pin_memory=False,
            device_capacity_tokens=pages * PAGE, start_layer=0, end_layer=shape["layer_num"] - 1,
        )
        self.is_hybrid = is_hybrid
        host, controller = self.host, HiCacheController
        if is_hybrid:
            entry = PoolEntry(PoolName.KV, self.host, self.device, lambda layer: layer, is_primary_index_anchor=True)
            host, controller = HostPoolGroup([entry]), HybridCacheController
        self.controller = controller(
            self.allocator, host, PAGE, tp_group=None, load_cache_event=threading.Event(),
            write_policy="write_through", io_backend="direct", storage_backend="dynamic", prefetch_threshold=PAGE,
            model_name="a/model", storage_backend_extra_config=extra_config, enable_storage_metrics=True,
        )

    @property
    def backend(self):
        return self.controller.storage_backend

    def threads(self):
        controller = self.controller
        return [
            controller.prefetch_thread, controller.prefetch_io_aux_thread, controller.prefetch_sync_thread,
            controller.backup_thread,
        ]

    def compute(self, tokens, seed):
        """Stands in for a forward pass: fills rows of the device with something; returns the rows and their bytes."""
        rows = self.allocator.alloc(len(tokens))
        generator = torch.Generator().manual_seed(seed)
        for buffer in (*self.device.k_buffer, *self.device.v_buffer):
            raw = torch.randint(0, 256, (len(tokens), 2 * 2 * 32), dtype=torch.uint8, generator=generator)
            buffer[rows] = raw.view(torch.bfloat16).unflatten(1, (2, 32))
        return rows, self.rows(rows)

    def rows(self, rows):
        return [buffer[rows].view(torch.uint8).clone() for buffer in (*self.device.k_buffer, *self.device.v_buffer)]

    def back_up(self, tokens, rows):
        """Device to host to node; how many tokens the storage thread says the node has."""
        host_rows = self.controller.write(rows, node_id=1)
        assert self.controller.ack_write_queue.pop().finish_event.query()
        hashes = get_storage_hash_str(tokens, page_size=PAGE)
        number = self.controller.write_storage(host_rows, tokens, hash_value=hashes, prefix_keys=[])
        done = until(lambda: _taken(self.controller.ack_backup_queue), what="the end of a back-up")
        assert done.id == number
        self.controller.evict_host(host_rows)
        return done.completed_tokens

    def prefetch(self, tokens, request="r"):
        """Node to host, as the radix cache does it: how many tokens came, and their rows in the host pool."""
        handle = CacheRequestHandle(request, 0) if self.is_hybrid else request
        operation = self.controller.prefetch(handle, tokens, prefix_keys=[])
        until(lambda: _taken(self.controller.prefetch_hit_queue), what="the answer to a lookup")
        if operation.storage_hit_count < self.controller.prefetch_threshold:
            return 0, torch.empty(0, dtype=torch.int64)
        operation.host_indices = self.controller.alloc_prefetch_host_buffers(operation, operation.storage_hit_count)
        self.controller.prefetch_buffer.put(operation)
        completed, is_done = 0, False
        while not is_done:
            ack = until(lambda: _taken(self.controller.ack_prefetch_queue), what="the end of a prefetch")
            completed = ack.completed_tokens if ack.completed_tokens is not None else completed
            is_done = bool(ack.completed_req)
        self.controller.evict_host(operation.host_indices[completed:])
        return completed, operation.host_indices[:completed]

    def load(self, host_rows):
        """Host to device; the rows there."""
        rows = self.controller.load(host_rows)
        self.controller.start_loading()
        assert self.controller.ack_load_queue.pop().finish_event.query()
        return rows

    def close(self):
        if self.controller.enable_storage:
            self.controller.detach_storage_backend()


def _taken(queue):
    return None if queue.empty() else queue.get()
