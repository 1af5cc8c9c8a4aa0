"""vLLM without a model and without a GPU: its real scheduler, factories and connectors, on a machine with a CPU.

What stands in: the model, which writes bytes that follow from all tokens up to a position into the cache and knows what
must be there; the "GPU" memory, which is a CPU tensor; and vLLM's copies between that and its CPU memory, which are
CUDA calls and here are torch copies. Everything else, the scheduler, the block manager, the hashing, the offloading
connector's two halves, the tiering manager and the shared memory region, is vLLM's own code.
"""

import collections
import copy
import json
import os
import pathlib
import sys

import stubs

SOURCES = pathlib.Path(os.environ["LARDER_ENGINES"]) / "vllm"
sys.path.insert(0, str(SOURCES))
stubs.install()

import numpy as np  # noqa: E402
import torch  # noqa: E402
import vllm.platforms  # noqa: E402
from vllm.platforms.cpu import CpuPlatform  # noqa: E402

vllm.platforms._current_platform = CpuPlatform()

import vllm.model_executor.models.registry as registry  # noqa: E402

# vLLM looks at a model's class in a process of its own, which would have no stand-ins.
registry._run_in_subprocess = lambda function: function()

import vllm.v1.kv_offload.cpu.spec as cpu_spec  # noqa: E402
import vllm.v1.kv_offload.tiering.spec as tiering_spec  # noqa: E402
from vllm.config import (  # noqa: E402
    CacheConfig,
    DeviceConfig,
    KVTransferConfig,
    ModelConfig,
    ParallelConfig,
    SchedulerConfig,
    VllmConfig,
)
from vllm.distributed.kv_transfer.kv_connector.factory import KVConnectorFactory  # noqa: E402
from vllm.distributed.kv_transfer.kv_connector.utils import KVOutputAggregator  # noqa: E402
from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorRole  # noqa: E402
from vllm.distributed.kv_transfer.kv_connector.v1.metrics import KVConnectorStats  # noqa: E402
from vllm.sampling_params import SamplingParams  # noqa: E402
from vllm.utils.hashing import get_hash_fn_by_name  # noqa: E402
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash  # noqa: E402
from vllm.v1.core.sched.scheduler import Scheduler  # noqa: E402
from vllm.v1.kv_cache_interface import (  # noqa: E402
    FullAttentionSpec,
    KVCacheConfig,
    KVCacheGroupSpec,
    KVCacheTensor,
    SlidingWindowSpec,
)
from vllm.v1.kv_offload.base import OffloadingWorker, TransferResult  # noqa: E402
from vllm.v1.outputs import KVConnectorOutput, ModelRunnerOutput  # noqa: E402
from vllm.v1.request import Request  # noqa: E402
from vllm.v1.structured_output import StructuredOutputManager  # noqa: E402

TOKENS_PER_BLOCK = 16
KV_HEADS = 4
HEAD_SIZE = 32

MODEL = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "intermediate_size": 512,
    "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_SIZE,
    "vocab_size": 1000, "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "torch_dtype": "bfloat16",
    "bos_token_id": 1, "eos_token_id": 2,
}


class CopyWorker(OffloadingWorker):
    """vLLM's GPU worker, with torch copies in the place of CUDA's."""

    def __init__(self, kv_caches, blocks_per_chunk, num_cpu_chunks, mmap_region, canonical_layout=False):
        assert not canonical_layout
        self._blocks_per_chunk = blocks_per_chunk
        self._region = mmap_region
        self._pairs = [
            (
                tensor.tensor.view(torch.int8).view(-1, tensor.page_size_bytes),
                mmap_region.create_next_worker_view(tensor.page_size_bytes * blocks_per_chunk),
            )
            for tensor in kv_caches.tensors
        ]
        self._group_tensors = [[ref.tensor_idx for ref in refs] for refs in kv_caches.group_data_refs]
        self._finished = []

    def submit_store(self, job_id, src_spec, dst_spec):
        self._copy(src_spec, dst_spec, to_cpu=True)
        self._finished.append(TransferResult(job_id=job_id, success=True))
        return True

    def submit_load(self, job_id, src_spec, dst_spec, expedited=False):
        self._copy(dst_spec, src_spec, to_cpu=False)
        self._finished.append(TransferResult(job_id=job_id, success=True))
        return True

    def get_finished(self):
        finished, self._finished = self._finished, []
        return finished

    def wait(self, job_ids):
        return

    def shutdown(self):
        self._pairs.clear()
        self._region.cleanup()

    def _copy(self, gpu, cpu, to_cpu):
        size = self._blocks_per_chunk
        block_ids, chunk_ids = list(gpu.block_ids), list(cpu.chunk_ids)
        at_block = at_chunk = 0
        for group, count in enumerate(gpu.group_sizes):
            if count == 0:
                continue
            first = gpu.block_indices[group] % size
            for place, block in enumerate(block_ids[at_block : at_block + count]):
                chunk = chunk_ids[at_chunk + (first + place) // size]
                part = (first + place) % size
                for index in self._group_tensors[group]:
                    blocks, chunks = self._pairs[index]
                    width = blocks.shape[1]
                    cell = chunks[chunk, part * width : (part + 1) * width]
                    if to_cpu:
                        cell.copy_(blocks[block])
                    else:
                        blocks[block].copy_(cell)
            at_block += count
            at_chunk += (first + count + size - 1) // size


tiering_spec.CPUOffloadingWorker = CopyWorker
cpu_spec.CPUOffloadingSpec.get_worker = lambda self, kv_caches: self.create_worker(kv_caches)


def vllm_config(directory, transfer, max_tokens=4096, tensor_parallel_size=1):
    """A configuration as vLLM's command line would make it; `transfer` is the JSON of --kv-transfer-config."""
    path = pathlib.Path(directory) / "model"
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(MODEL))
    return VllmConfig(
        model_config=ModelConfig(
            model=str(path), skip_tokenizer_init=True, dtype="bfloat16", seed=1, max_model_len=max_tokens
        ),
        cache_config=CacheConfig(
            block_size=TOKENS_PER_BLOCK, gpu_memory_utilization=0.5, enable_prefix_caching=True,
            prefix_caching_hash_algo="sha256_cbor",
        ),
        scheduler_config=SchedulerConfig(
            max_num_seqs=16, max_num_batched_tokens=512, max_model_len=max_tokens, enable_chunked_prefill=True,
            is_encoder_decoder=False,
        ),
        device_config=DeviceConfig("cpu"),
        parallel_config=ParallelConfig(tensor_parallel_size=tensor_parallel_size, distributed_executor_backend="mp"),
        kv_transfer_config=KVTransferConfig(**transfer),
    )


def kv_cache_config(block_count, layers, windowed_layers=0, window=48):
    """A cache of one group of full attention, or of one more with a sliding window."""
    shape = {
        "block_size": TOKENS_PER_BLOCK, "num_kv_heads": KV_HEADS, "head_size": HEAD_SIZE, "dtype": torch.bfloat16
    }
    full = FullAttentionSpec(**shape)
    groups = [KVCacheGroupSpec([f"layers.{index}.attn" for index in range(layers)], full)]
    if windowed_layers:
        windowed = SlidingWindowSpec(**shape, sliding_window=window)
        names = [f"layers.{layers + index}.attn" for index in range(windowed_layers)]
        groups.append(KVCacheGroupSpec(names, windowed))
    page = full.page_size_bytes
    total = page * layers * block_count
    tensors = [
        KVCacheTensor(size=total, layers=list(group.layer_names), layer_stride=page * block_count, block_stride=page)
        for group in groups
    ]
    return KVCacheConfig(
        num_blocks=block_count, kv_cache_tensors=tensors, kv_cache_groups=groups, hash_block_size=TOKENS_PER_BLOCK
    )


class Engine:
    """One vLLM engine: a scheduler, a worker, and a model that cannot err without being caught."""

    def __init__(self, config, caches):
        self.config = config
        self.caches = caches
        function = get_hash_fn_by_name(config.cache_config.prefix_caching_hash_algo)
        init_none_hash(function)
        self._hasher = get_request_block_hasher(TOKENS_PER_BLOCK, function)
        config.cache_config.num_gpu_blocks = caches.num_blocks
        self.scheduler = Scheduler(
            vllm_config=config,
            kv_cache_config=caches,
            log_stats=True,
            structured_output_manager=StructuredOutputManager(config),
            block_size=TOKENS_PER_BLOCK,
            hash_block_size=TOKENS_PER_BLOCK,
        )
        self.workers = [_Worker(config, caches, rank) for rank in range(config.parallel_config.world_size)]
        self._aggregator = KVOutputAggregator.from_connector(self.scheduler.connector, len(self.workers))
        self._tables = {}
        self.tokens = {}
        self.computed = {}
        self.wrong = []
        self.loaded_tokens = {}
        self.stats = collections.Counter()

    def request(self, name, tokens, max_tokens):
        """A request as vLLM makes it."""
        parameters = SamplingParams(ignore_eos=True, max_tokens=max_tokens)
        parameters.update_from_generation_config({}, 2)
        return Request(
            request_id=name, prompt_token_ids=list(tokens), sampling_params=parameters, pooling_params=None,
            block_hasher=self._hasher,
        )

    def add(self, name, tokens, max_tokens=1):
        """A request that arrives."""
        self.tokens[name] = list(tokens)
        self.computed[name] = 0
        self.scheduler.add_request(self.request(name, tokens, max_tokens))

    @property
    def is_busy(self):
        return self.scheduler.has_unfinished_requests()

    def step(self):
        """One step of the engine, as vLLM's core makes it."""
        output = self.scheduler.schedule()
        self._note_blocks(output)
        sampled = self._sample(output)
        names = list(output.num_scheduled_tokens)
        results = [
            ModelRunnerOutput(
                req_ids=names,
                req_id_to_index={name: index for index, name in enumerate(names)},
                sampled_token_ids=[sampled[name] for name in names],
                kv_connector_output=worker.step(output, lambda worker=worker: self._forward(worker, output)),
            )
            for worker in self.workers
        ]
        result = self._aggregator.aggregate(results)
        stats = result.kv_connector_output.kv_connector_stats
        if isinstance(stats, KVConnectorStats):
            self.stats.update(stats.reduce())
        for name, tokens in sampled.items():
            self.tokens[name] += tokens
        self.scheduler.update_from_output(output, result)

    def close(self):
        self.scheduler.shutdown()
        for worker in self.workers:
            worker.connector.shutdown()

    def _note_blocks(self, output):
        """Keeps each request's table of blocks, as a worker does."""
        for new in output.scheduled_new_reqs:
            self._tables[new.req_id] = [list(ids) for ids in new.block_ids]
            if self.computed[new.req_id] == 0:
                self.loaded_tokens[new.req_id] = new.num_computed_tokens
            self.computed[new.req_id] = new.num_computed_tokens
        cached = output.scheduled_cached_reqs
        for index, name in enumerate(cached.req_ids):
            fresh = cached.new_block_ids[index]
            if name in cached.resumed_req_ids:
                self._tables[name] = [list(ids) for ids in fresh]
            elif fresh is not None:
                for ids, more in zip(self._tables[name], fresh):
                    ids.extend(more)
            self.computed[name] = cached.num_computed_tokens[index]

    def _sample(self, output):
        """The token of each request whose last token is computed in this step."""
        sampled = {}
        for name, count in output.num_scheduled_tokens.items():
            end = self.computed[name] + count
            token = (sum(self.tokens[name][-8:]) * 31 + end) % 997 + 3
            sampled[name] = [token] if end >= self.scheduler.requests[name].num_tokens else []
        return sampled

    def _forward(self, worker, output):
        """Checks that every token before this step has its bytes, then writes those of the step's tokens."""
        for name, count in output.num_scheduled_tokens.items():
            start = self.computed[name]
            self.wrong += [(name, *place) for place in worker.check(self._groups(name), self.tokens[name], start)]
            worker.write(self._groups(name), self.tokens[name], start, start + count)

    def _groups(self, name):
        return zip(self.caches.kv_cache_groups, self._tables[name])


class _Worker:
    """One rank: its connector, its memory, and its share of the model."""

    def __init__(self, config, caches, rank):
        self.rank = rank
        config = copy.deepcopy(config)
        config.parallel_config.rank = rank
        self.connector = KVConnectorFactory.create_connector(config, KVConnectorRole.WORKER, caches)
        shape = (caches.num_blocks, KV_HEADS, TOKENS_PER_BLOCK, 2 * HEAD_SIZE)
        # As vLLM lays them out: the layers of one group behind each other, other groups over the same memory.
        largest = max(len(group.layer_names) for group in caches.kv_cache_groups)
        memory = torch.zeros((largest, *shape), dtype=torch.bfloat16)
        self.layers = {
            name: memory[index] for group in caches.kv_cache_groups for index, name in enumerate(group.layer_names)
        }
        self.connector.register_kv_caches(self.layers)

    def step(self, output, forward):
        """A worker's part of one step, in the order of vLLM's model runner."""
        connector, meta = self.connector, output.kv_connector_metadata
        connector.handle_preemptions(meta)
        connector.bind_connector_metadata(meta)
        if output.has_sync_kv_loads:
            connector.start_load_kv(None)
        forward()
        if not output.has_sync_kv_loads:
            connector.start_load_kv(None)
        connector.wait_for_save()
        results = connector.get_transfer_results(output.finished_req_ids)
        transferred = KVConnectorOutput(
            finished_sending=results.finished_sending,
            finished_recving=results.finished_recving,
            failed_recving=results.failed_recving,
            invalid_block_ids=connector.get_block_ids_with_load_errors(),
            kv_connector_stats=connector.get_kv_connector_stats(),
            kv_connector_worker_meta=connector.build_connector_worker_meta(),
        )
        connector.clear_connector_metadata()
        return transferred

    def write(self, groups, tokens, start, end):
        states = states_of(tokens[:end])[start:]
        for group, ids in groups:
            blocks, places = _slots(ids, start, end)
            for layer_name in group.layer_names:
                self._raw(layer_name)[blocks, :, places] = self._contents(states, layer_name)

    def check(self, groups, tokens, end):
        """The layers and positions whose bytes are wrong, of all positions before `end` that attention reaches."""
        states = states_of(tokens[:end])
        for group, ids in groups:
            window = getattr(group.kv_cache_spec, "sliding_window", None)
            first = 0 if window is None else max(0, end - window + 1)
            blocks, places = _slots(ids, first, end)
            for layer_name in group.layer_names:
                there = self._raw(layer_name)[blocks, :, places]
                right = (there == self._contents(states[first:], layer_name)).all((1, 2))
                for place in np.nonzero(~right)[0]:
                    yield self.rank, layer_name, first + int(place)

    def _contents(self, states, layer_name):
        return contents(states, f"{self.rank}{layer_name.removeprefix('layers')}")

    def _raw(self, layer_name):
        return self.layers[layer_name].view(torch.uint8).numpy()


def states_of(tokens):
    """For each position a number that follows from all tokens up to it."""
    states, state = [], 0
    for token in tokens:
        state = (state * 1_000_003 + token + 1) & 0xFFFF_FFFF_FFFF_FFFF
        states.append(state)
    return states


def contents(states, layer_name):
    """The bytes of some positions in one layer: [position, head, bytes]."""
    number = int.from_bytes(layer_name.encode()[:8], "little")
    seeds = np.array(states, dtype=np.uint64) ^ np.uint64(number)
    once = seeds.view(np.uint8).reshape(len(states), 1, 8)
    return np.tile(once, (1, KV_HEADS, 4 * HEAD_SIZE // 8))


def _slots(block_ids, start, end):
    """Where positions lie: their blocks, and their places in them."""
    positions = np.arange(start, end)
    return np.array(block_ids)[positions // TOKENS_PER_BLOCK], positions % TOKENS_PER_BLOCK
