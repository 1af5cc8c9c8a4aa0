"""Payloads to the node by the socket, from where they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from . import wire
from .batches import cut
from .connection import Connection
from .deadline import Deadline
from .errors import violation
from .limits import REQUESTS_AHEAD
from .link import NodeLink
from .namespace import Namespace
from .results import PutResult
from .wire import ErrorReply

_TTL_MS_MAX = 10 * 366 * 86_400_000


class StoreOptions:
    """How blocks are stored, as words of a request."""

    def __init__(self, tokens: int | None, ttl_ms: int | None, pin: bool, durable: bool) -> None:
        if tokens is not None and not 0 <= tokens < 1 << 32:
            raise ValueError("tokens are 0 to 2^32 - 1")
        if ttl_ms is not None and not 1 <= ttl_ms <= _TTL_MS_MAX:
            raise ValueError(f"a time to live is 1 to {_TTL_MS_MAX} ms")
        self.words: list[bytes] = []
        if ttl_ms is not None:
            self.words += [b"TTL", b"%d" % ttl_ms]
        if tokens:
            self.words += [b"TOKENS", b"%d" % tokens]
        if pin:
            self.words.append(b"PIN")
        if durable:
            self.words.append(b"DURABLE")


def store(
    link: NodeLink,
    connection: Connection,
    ns: Namespace,
    keys: Sequence[bytes],
    payloads: Sequence[memoryview],
    options: StoreOptions,
    wanted: Sequence[int],
    results: list[PutResult | None],
    deadline: Deadline,
) -> None:
    """KV.PUT of the blocks at the indices `wanted`; sets their `results` as the answers come."""
    waiting = deque(cut(wanted, [len(payload) for payload in payloads]))
    asked: deque[tuple[list[int], bool]] = deque()
    while waiting or asked:
        while waiting and len(asked) < REQUESTS_AHEAD:
            batch = waiting.popleft()
            start = wire.request_start(
                b"KV.PUT", ns.wire_id, options.words, b"BLOCKS", len(batch), 2 * len(batch)
            )
            pieces = wire.payloads_request(start, [keys[i] for i in batch], [payloads[i] for i in batch])
            asked.append((batch, link.send(connection, ns, pieces, deadline)))
        batch, describes = asked.popleft()
        link.read_before(connection, ns, describes, deadline)
        reply = connection.stream.reply(deadline)
        read_outcomes(link, "KV.PUT", reply, batch, results)


def read_outcomes(
    link: NodeLink, name: str, reply: Any, indices: Sequence[int], results: list[PutResult | None]
) -> None:
    """Reads `[stored | exists | refused reason ...]`, or the error that came instead."""
    if isinstance(reply, ErrorReply):
        link.note(reply.error())
        for index in indices:
            results[index] = PutResult("refused", reply.text)
        return
    if not isinstance(reply, list) or len(reply) != len(indices):
        raise violation(f"{name} of {len(indices)} blocks was answered by something else")
    for index, answer in zip(indices, reply):
        results[index] = outcome(answer)


def outcome(answer: Any) -> PutResult:
    """What one block's answer says."""
    if isinstance(answer, ErrorReply):
        return PutResult("refused", answer.text)
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    if text in ("stored", "exists"):
        return PutResult(text)
    if not isinstance(text, str):
        return PutResult("refused", "no answer for this block")
    return PutResult("refused", text.removeprefix("refused").strip() or "no reason given")
