"""Prompts of transformers' models that begin alike are computed once: their KV cache goes to a node and comes back.

>>> prefixes = PrefixCache(model, address="127.0.0.1:7379", revision="main")      # doctest: +SKIP
>>> cache, cached = prefixes.load(input_ids)                                      # doctest: +SKIP
>>> output = model(input_ids[:, cached:], past_key_values=cache, use_cache=True)  # doctest: +SKIP
>>> prefixes.store(input_ids, cache, cached)                                      # doctest: +SKIP

One prompt at a time (a batch of one), and models whose layers all attend to everything before: a sliding window or a
recurrent state is refused. A node that is away is a prompt that is computed.
"""

from __future__ import annotations

from typing import Any, Sequence

import torch
import transformers
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from .engine_settings import EngineSettings
from .hashing import block_hashes
from .namespace import Namespace
from .transfers import CALL_BYTES_MAX

#: How long a prefix that was found stays readable, milliseconds.
LEASE_MS = 10_000


class PrefixCache:
    """Loads the longest prefix of a prompt that a node has, and stores what was computed."""

    def __init__(
        self, model: Any, *, revision: str, tokens_per_block: int = 16, ttl_ms: int | None = None, **config: Any
    ) -> None:
        """Prepares for one model; asks nobody.

        - `revision`: what tells these weights from others of the same name, a commit or a digest. Two models must not
          have the same: their caches have the same shape, and nothing but this tells them apart.
        - `tokens_per_block`: how many tokens of a prompt one block holds; only whole blocks are stored.
        - `config`: the names of `EngineSettings`: `address`, `username`, `password`, ...
        """
        settings = EngineSettings.take(config)
        text = model.config.get_text_config()
        self._model = model
        self._settings = settings
        self._ttl_ms = ttl_ms
        self.tokens_per_block = tokens_per_block
        self.client = settings.client()
        self._layer_count = text.num_hidden_layers
        self._heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        self._head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        self._dtype = model.dtype
        self._device = model.device
        _check_layers(DynamicCache(config=model.config))
        self._shape = (self._layer_count, 2, self._heads, tokens_per_block, self._head_dim)
        self.block_bytes = self._dtype.itemsize * torch.Size(self._shape).numel()
        self.namespace = Namespace(
            settings.described(
                {
                    "engine": "transformers",
                    # How positions are applied and in what order is a matter of the modelling code.
                    "engine_version": transformers.__version__,
                    "model": model.config.name_or_path or type(model).__name__,
                    "model_type": text.model_type,
                    "revision": revision,
                    "dtype": str(self._dtype).removeprefix("torch."),
                    "attention": getattr(text, "_attn_implementation", None) or "",
                    "tokens_per_block": tokens_per_block,
                    "layout": "layer,key-value,head,token,channel",
                    "layers": self._layer_count,
                    "heads": self._heads,
                    "head_dim": self._head_dim,
                }
            )
        )

    def load(self, input_ids: torch.Tensor | Sequence[int], cache_salt: str = "") -> tuple[DynamicCache, int]:
        """A cache with the longest prefix that the node has, and how many tokens that is, a multiple of the block.

        The last token is never among them: its logits are what is wanted. Prompts with another `cache_salt` share
        nothing. Within the prefix the cache holds exactly the bits that were stored.
        """
        tokens = _tokens(input_ids)
        keys = self._keys(tokens[: len(tokens) - 1], cache_salt)
        cache = DynamicCache(config=self._model.config)
        deadline = self._settings.lookup_deadline
        with self.client.match(self.namespace, keys, lease_ms=LEASE_MS, prefetch=True, deadline=deadline) as match:
            blocks = self._fetch(keys[: match.count])
        if blocks is None:
            return cache, 0
        count = blocks.shape[0] * self.tokens_per_block
        # [block, layer, k or v, head, token, channel] to [layer, k or v, 1, head, tokens, channel]
        joined = blocks.permute(1, 2, 3, 0, 4, 5).reshape(self._layer_count, 2, 1, self._heads, count, self._head_dim)
        joined = joined.to(self._device)
        for layer in range(self._layer_count):
            cache.update(joined[layer, 0], joined[layer, 1], layer)
        return cache, count

    def store(
        self, input_ids: torch.Tensor | Sequence[int], cache: DynamicCache, cached: int = 0, cache_salt: str = ""
    ) -> int:
        """Offers the whole blocks of a prompt from token `cached` on; how many blocks the node holds of them now.

        `cached` is what `load` said. Tokens beyond the cache's length are ignored, so a prompt with its answer may be
        given; so are those beyond the last whole block.
        """
        tokens = _tokens(input_ids)[: cache.get_seq_length()]
        first = cached // self.tokens_per_block
        keys = self._keys(tokens, cache_salt)
        held = 0
        step = self._blocks_per_call
        for start in range(first, len(keys), step):
            part = keys[start : start + step]
            payloads = self._cut(cache, start, start + len(part))
            results = self.client.put_from(
                self.namespace, part, list(payloads), tokens=self.tokens_per_block, ttl_ms=self._ttl_ms
            )
            held += sum(map(bool, results))
            if not all(results):
                # What follows a block that is not there is never found.
                break
        return held

    def close(self) -> None:
        """Ends the connections."""
        self.client.close()

    def __enter__(self) -> PrefixCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _blocks_per_call(self) -> int:
        return max(1, CALL_BYTES_MAX // self.block_bytes)

    def _keys(self, tokens: list[int], cache_salt: str) -> list[bytes]:
        return block_hashes(tokens, self.tokens_per_block, cache_salt=cache_salt)

    def _fetch(self, keys: list[bytes]) -> torch.Tensor | None:
        """The leading blocks that arrive, of those that were found."""
        if not keys:
            return None
        memory = torch.empty((len(keys), self.block_bytes), dtype=torch.uint8)
        rows = memory.numpy()
        count = 0
        for start in range(0, len(keys), self._blocks_per_call):
            part = keys[start : start + self._blocks_per_call]
            arrived = self.client.get_into(self.namespace, part, list(rows[start : start + len(part)]))
            count += arrived.index(False) if False in arrived else len(part)
            if not all(arrived):
                break
        return memory[:count].view(self._dtype).view(count, *self._shape) if count else None

    def _cut(self, cache: DynamicCache, start: int, end: int) -> Any:
        """The payloads of blocks `start` to `end`, as rows of bytes."""
        size = self.tokens_per_block
        blocks = torch.empty((end - start, *self._shape), dtype=self._dtype)
        for index, layer in enumerate(cache.layers):
            for part, states in enumerate((layer.keys, layer.values)):
                if states.shape[0] != 1:
                    raise ValueError("larder: one prompt at a time: the cache is of a batch")
                chosen = states[0, :, start * size : end * size].reshape(self._heads, end - start, size, self._head_dim)
                blocks[:, index, part].copy_(chosen.transpose(0, 1))
        return blocks.view(torch.uint8).reshape(end - start, self.block_bytes).numpy()


def _tokens(input_ids: torch.Tensor | Sequence[int]) -> list[int]:
    if isinstance(input_ids, torch.Tensor):
        if input_ids.dim() == 2 and input_ids.shape[0] != 1:
            raise ValueError("larder: one prompt at a time: input_ids is a batch")
        return input_ids.reshape(-1).tolist()
    return list(input_ids)


def _check_layers(cache: DynamicCache) -> None:
    for layer in cache.layers:
        if type(layer) is not DynamicLayer:
            raise ValueError(f"larder: a {type(layer).__name__} does not keep all tokens: no prefix can be stored")
