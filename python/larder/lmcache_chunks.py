"""What LMCache's two kinds of plugins have in common: chunks to a node and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .client import Client
from .namespace import Namespace
from .transfers import CALL_BYTES_MAX


def bytes_of(chunk: Any) -> memoryview:
    """The memory of one of LMCache's chunks."""
    memory = chunk.byte_array
    return (memory if isinstance(memory, memoryview) else memoryview(memory)).cast("B")


def load(client: Client, namespace: Namespace, names: Sequence[bytes], chunks: Sequence[Any]) -> list[bool]:
    """Receives chunks into their memory; for each whether it is there, whole."""
    arrived: list[bool] = []
    for start, end, views in _calls(chunks):
        arrived += client.get_into(namespace, names[start:end], views)
    return arrived


def store(
    client: Client, namespace: Namespace, names: Sequence[bytes], chunks: Sequence[Any], ttl_ms: int | None
) -> list[bool]:
    """Offers chunks; for each whether the node holds these bytes.

    LMCache may put a key again with other bytes and expects to get those. Blocks are immutable, so the old one is
    deleted and the new one put; who reads between the two has a miss, who leased the old one keeps its bytes.
    """
    held: list[bool] = []
    for start, end, views in _calls(chunks):
        part = names[start:end]
        results = client.put_from(namespace, part, views, ttl_ms=ttl_ms)
        others = [place for place, result in enumerate(results) if result.reason.startswith("conflict")]
        if others:
            client.delete(namespace, [part[place] for place in others])
            again = client.put_from(
                namespace, [part[place] for place in others], [views[place] for place in others], ttl_ms=ttl_ms
            )
            for place, result in zip(others, again):
                results[place] = result
        held += map(bool, results)
    return held


def _calls(chunks: Sequence[Any]) -> Iterator[tuple[int, int, list[memoryview]]]:
    """Cuts chunks into calls of at most `CALL_BYTES_MAX`, or one chunk: each call has its own deadline."""
    start = byte_count = 0
    views: list[memoryview] = []
    for place, chunk in enumerate(chunks):
        view = bytes_of(chunk)
        if views and byte_count + len(view) > CALL_BYTES_MAX:
            yield start, place, views
            start, byte_count, views = place, 0, []
        views.append(view)
        byte_count += len(view)
    if views:
        yield start, len(chunks), views
