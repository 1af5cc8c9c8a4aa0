"""Names of blocks: SHA-256 chained over a prompt, exactly as vLLM does with ``sha256_cbor``.

A block's digest is SHA-256 over the CBOR array `[parent's digest, [tokens], extra keys or null]`, so it names the whole
prefix up to the block's end, and equal prefixes have equal names in every process. Only full blocks have names.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from . import cbor
from .limits import TOKENS_PER_BLOCK_MAX

#: vLLM's seed where PYTHONHASHSEED is not set.
DEFAULT_SEED = "vllm-none-hash"

#: Most tokens whose bytes are remembered: a vocabulary's.
_REMEMBERED_MAX = 1 << 18


class _TokenBytes(dict[int, bytes]):
    """Each token's CBOR, made when it is first met."""

    def __missing__(self, token: int) -> bytes:
        number = operator.index(token)
        if number < 0:
            raise ValueError("a token is not negative")
        encoded = cbor.encode(number)
        if len(self) < _REMEMBERED_MAX:
            self[number] = encoded
        return encoded


_TOKEN_BYTES = _TokenBytes()


def none_hash(seed: str = DEFAULT_SEED) -> bytes:
    """The parent of a first block; `seed` is the value of PYTHONHASHSEED in the engines, where that is set."""
    return hashlib.sha256(cbor.encode(seed)).digest()


#: The parent of a first block in every vLLM that runs without PYTHONHASHSEED.
NONE_HASH = none_hash()


def hash_block(parent: bytes, tokens: Sequence[int], extra_keys: Sequence[Any] | None = None) -> bytes:
    """The digest of one block: 32 bytes.

    `extra_keys` is None or a sequence of tagged tuples in vLLM's order: ``("lora", name, path)``, ``("mm", identifier,
    offset)``, ``("cache_salt", salt)``, ``("prompt_embeds", digest)``.
    """
    if len(parent) != 32:
        raise ValueError("a parent has 32 bytes")
    encoded_tokens = b"".join(map(_TOKEN_BYTES.__getitem__, tokens))
    extra = cbor.encode(list(extra_keys)) if extra_keys else b"\xf6"
    head = b"\x83\x58\x20%b%b" % (parent, cbor.head(4, len(tokens)))
    return hashlib.sha256(head + encoded_tokens + extra).digest()


class BlockHasher:
    """Names the blocks of one prompt, however its tokens come.

    >>> hasher = BlockHasher(16)
    >>> prefix = hasher.append(range(40))     # the digests of two full blocks
    >>> more = hasher.append(range(8))        # and of the third, which this completes
    >>> len(prefix), len(more)
    (2, 1)
    """

    def __init__(
        self,
        tokens_per_block: int,
        *,
        start: bytes = NONE_HASH,
        lora: tuple[str, str] | None = None,
        media: Iterable[tuple[str, int, int]] = (),
        cache_salt: str = "",
        embedding_digests: Sequence[bytes] = (),
    ) -> None:
        """Starts a chain.

        - `tokens_per_block`: 1 to 65,536.
        - `start`: the parent of the first block, see `none_hash`.
        - `lora`: name and path of the adapter.
        - `media`: `(identifier, first token, token after the last)` of each item, in order, apart and not empty.
        - `cache_salt`: part of the first block's name, and by it of all; empty is none.
        - `embedding_digests`: for prompts given as embeddings, SHA-256 of each block's bytes.

        Raises ``ValueError`` for what is out of its bounds.
        """
        if not 1 <= tokens_per_block <= TOKENS_PER_BLOCK_MAX:
            raise ValueError(f"tokens per block must be 1 to {TOKENS_PER_BLOCK_MAX}, not {tokens_per_block}")
        if len(start) != 32:
            raise ValueError("a parent has 32 bytes")
        self.tokens_per_block = tokens_per_block
        self.last_digest = bytes(start)
        self.block_count = 0
        self._lora = lora
        self._media = [(str(name), int(first), int(end)) for name, first, end in media]
        self._cache_salt = cache_salt
        self._embeddings = [bytes(digest) for digest in embedding_digests]
        self._open: list[int] = []
        place = 0
        for _, first, end in self._media:
            if first < place or end <= first:
                raise ValueError("media items must be in the order of their tokens, apart and not empty")
            place = end

    @property
    def open_token_count(self) -> int:
        """Tokens since the last full block, which have no name yet."""
        return len(self._open)

    def append(self, tokens: Iterable[int]) -> list[bytes]:
        """Adds tokens and gives the digests of the blocks that they complete."""
        self._open.extend(tokens)
        size = self.tokens_per_block
        whole = len(self._open) // size * size
        digests = []
        for start in range(0, whole, size):
            self.last_digest = hash_block(
                self.last_digest, self._open[start : start + size], self._extra_keys()
            )
            self.block_count += 1
            digests.append(self.last_digest)
        del self._open[:whole]
        return digests

    def _extra_keys(self) -> list[tuple[Any, ...]] | None:
        start = self.block_count * self.tokens_per_block
        end = start + self.tokens_per_block
        keys: list[tuple[Any, ...]] = []
        if self._lora:
            keys.append(("lora", *self._lora))
        for name, first, after in self._media:
            if first < end and after > start:
                keys.append(("mm", name, first - start))
        if self.block_count == 0 and self._cache_salt:
            keys.append(("cache_salt", self._cache_salt))
        if self.block_count < len(self._embeddings):
            keys.append(("prompt_embeds", self._embeddings[self.block_count]))
        return keys or None


def block_hashes(tokens: Iterable[int], tokens_per_block: int, **context: Any) -> list[bytes]:
    """The digests of a prompt's full blocks; `context` as `BlockHasher` takes it."""
    return BlockHasher(tokens_per_block, **context).append(tokens)


def offload_key(digest: bytes, group: int = 0) -> bytes:
    """The key under which vLLM's offloading connector knows a block: the digest and its KV cache group, 36 bytes."""
    if len(digest) != 32:
        raise ValueError("a digest has 32 bytes")
    return digest + group.to_bytes(4, "big")
