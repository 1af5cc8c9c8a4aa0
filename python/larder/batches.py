"""How a call with many payloads becomes several requests, on one connection or on several."""

from __future__ import annotations

from collections.abc import Sequence

from .limits import PAYLOAD_REQUEST_BYTES_MAX, PAYLOAD_REQUEST_KEYS_MAX


def cut(
    indices: Sequence[int], sizes: Sequence[int], bytes_max: int = PAYLOAD_REQUEST_BYTES_MAX
) -> list[list[int]]:
    """Cuts a call with many payloads into requests of at most `bytes_max`; `sizes` by index, 0 where it is not known."""
    batches: list[list[int]] = []
    byte_count = 0
    for index in indices:
        size = sizes[index]
        batch = batches[-1] if batches else None
        if (
            batch is None
            or len(batch) >= PAYLOAD_REQUEST_KEYS_MAX
            or byte_count + size > bytes_max
        ):
            batch = []
            batches.append(batch)
            byte_count = 0
        batch.append(index)
        byte_count += size
    return batches


def share(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Deals payloads out to `count` connections: each takes the next when it has the fewest bytes. All end at about the
    same time, and what leads the call is under way first on all of them."""
    shares: list[list[int]] = [[] for _ in range(count)]
    byte_counts = [0] * count
    for index, size in enumerate(sizes):
        lane = byte_counts.index(min(byte_counts))
        shares[lane].append(index)
        byte_counts[lane] += size
    return shares
