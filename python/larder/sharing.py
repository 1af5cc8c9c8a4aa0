"""Payloads by the node's own memory: copied out of it and proved, written in it, or read where they lie.

A loan holds blocks in their place until it is given back or its connection ends. A copy is proved by the checksum that
came with the loan: the caller gets what the node was given, or a miss, whatever happened to the memory meanwhile.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from . import memory, wire
from .arena import Arena
from .batches import cut
from .connection import Connection
from .deadline import Deadline
from .errors import violation
from .link import NodeLink
from .loading import load
from .namespace import Namespace
from .results import Blocks, PutResult
from .storing import StoreOptions, read_outcomes
from .wire import ErrorReply

#: A payload from this length on is written in place, bytes; for a smaller one two round trips cost more than a copy.
WRITE_BYTES_MIN = 64 << 10
#: The same for reading, where there is one round trip either way.
READ_BYTES_MIN = 16 << 10
#: Requests for places that are sent before the first is used.
_BATCHES_AHEAD = 2


class Place(NamedTuple):
    """Where a lent block lies."""

    offset: int
    byte_count: int
    checksum: int


def load_shared(
    link: NodeLink,
    connection: Connection,
    arena: Arena,
    ns: Namespace,
    keys: Sequence[bytes],
    places: Sequence[memoryview],
    wanted: Sequence[int],
    results: list[bool],
    deadline: Deadline,
) -> list[int]:
    """Borrows the blocks at the indices `wanted`, copies them to `places`, gives them back.

    Sets `results`; returns the indices that are left to KV.GET: small ones, those that the node has and did not lend,
    and those whose bytes were not proved, which the node will find out about when it is asked for them.
    """
    sizes = [len(place) for place in places]
    rest = [index for index in wanted if sizes[index] < READ_BYTES_MIN]
    waiting = deque(cut([index for index in wanted if sizes[index] >= READ_BYTES_MIN], sizes))
    asked: deque[tuple[list[int] | None, bool]] = deque()
    copied = 0
    while waiting or asked:
        while waiting and sum(batch is not None for batch, _ in asked) < _BATCHES_AHEAD:
            batch = waiting.popleft()
            returned = [wire.request(b"KV.RELEASE", b"%d" % loan) for loan in connection.take_releases()]
            asked.extend((None, False) for _ in returned)
            request = wire.keys_request(b"KV.BORROW", ns.wire_id, (), [keys[index] for index in batch])
            # What is given back goes first, so that its answers do too.
            connection.stream.send(returned, deadline)
            asked.append((batch, link.send(connection, ns, [request], deadline)))
        answered, describes = asked.popleft()
        link.read_before(connection, ns, describes, deadline)
        reply = connection.stream.reply(deadline)
        if answered is None:
            continue
        loan, answers = _read_loan(reply, len(answered))
        if answers is None:
            rest += answered
            continue
        for index, answer in zip(answered, answers):
            if answer == "held":
                rest.append(index)
            elif isinstance(answer, Place):
                if answer.byte_count != sizes[index]:
                    link.counters.add(length_mismatches=1)
                elif _copy_out(arena, answer, places[index]):
                    results[index] = True
                    copied += 1
                else:
                    link.counters.add(damaged=1)
                    rest.append(index)
        if loan is not None:
            connection.to_release.append(loan)
    link.counters.add(shared_loads=copied)
    return rest


def _copy_out(arena: Arena, place: Place, target: memoryview) -> bool:
    source = arena.part(place.offset, place.byte_count)
    if source is None:
        raise violation("a block does not lie in the node's memory")
    assert memory.xxh3 is not None
    with memory.Address(source) as start, memory.Address(target) as end:
        memory.copy(end, start, place.byte_count)
        # The copy is proved, not the source.
        return memory.xxh3(end, place.byte_count) == place.checksum


def borrow(
    link: NodeLink,
    connection: Connection,
    ns: Namespace,
    keys: Sequence[bytes],
    verify: bool,
    deadline: Deadline,
) -> Blocks:
    """Views of the blocks in their place; copies of those that are not lent."""
    views: list[memoryview | None] = [None] * len(keys)
    lent: list[weakref.ref[Any] | None] = [None] * len(keys)
    rest = list(range(len(keys)))
    loan = None
    arena = connection.arena
    if arena is not None:
        request = wire.keys_request(b"KV.BORROW", ns.wire_id, (), keys)
        describes = link.send(connection, ns, [request], deadline)
        link.read_before(connection, ns, describes, deadline)
        loan, answers = _read_loan(connection.stream.reply(deadline), len(keys))
        if answers is not None:
            rest = []
            for index, answer in enumerate(answers):
                if isinstance(answer, Place):
                    views[index], lent[index] = _lend(arena, answer, verify)
                if answer is not None and lent[index] is None:
                    rest.append(index)
                    link.counters.add(damaged=answer != "held")
            link.counters.add(shared_loads=sum(block is not None for block in lent))
    try:
        payloads: list[Any] = [None] * len(keys)
        load(link, connection, ns, keys, payloads, rest, [False] * len(keys), deadline)
        for index in rest:
            if payloads[index] is not None:
                views[index] = memoryview(payloads[index])
    except BaseException:
        if loan is not None:
            connection.to_release.append(loan)
        raise
    return Blocks(link, connection, loan, views, lent)


def _lend(arena: Arena, place: Place, verify: bool) -> tuple[memoryview | None, weakref.ref[Any] | None]:
    lent = arena.lend(place.offset, place.byte_count)
    if lent is None:
        raise violation("a block does not lie in the node's memory")
    if verify:
        assert memory.xxh3 is not None
        with memory.Address(lent[0]) as start:
            if memory.xxh3(start, place.byte_count) != place.checksum:
                return None, None
    return lent


def _read_loan(reply: Any, count: int) -> tuple[int | None, list[Place | str | None] | None]:
    """Reads `[loan or nothing, [[offset, bytes, XXH3], held or nothing ...]]`; no answers for an error."""
    if isinstance(reply, ErrorReply):
        return None, None
    if isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], list) and len(reply[1]) == count:
        answers: list[Place | str | None] = []
        for answer in reply[1]:
            if isinstance(answer, list) and len(answer) == 3 and all(type(figure) is int for figure in answer):
                answers.append(Place(answer[0], answer[1], answer[2] & 0xFFFF_FFFF_FFFF_FFFF))
            else:
                answers.append("held" if answer in ("held", b"held") else None)
        if reply[0] is None or type(reply[0]) is int:
            return reply[0], answers
    raise violation("KV.BORROW was answered by something else than it promises")


def store_shared(
    link: NodeLink,
    connection: Connection,
    ns: Namespace,
    keys: Sequence[bytes],
    payloads: Sequence[memoryview],
    options: StoreOptions,
    wanted: Sequence[int],
    results: list[PutResult | None],
    deadline: Deadline,
) -> list[int]:
    """Writes the blocks at the indices `wanted` in the node's memory, where it lets clients write.

    Sets `results`; returns the indices that are left to KV.PUT: small ones, and those that the node gave no place for,
    because KV.PUT waits for one, and says why there is none.
    """
    if not connection.asked_for_writing:
        connection.asked_for_writing = True
        link.read_before(connection, None, False, deadline)
        connection.writable_arena = link.pool.attach(connection, True, deadline)
    arena = connection.writable_arena
    if arena is None:
        return list(wanted)
    sizes = [len(payload) for payload in payloads]
    rest = [index for index in wanted if sizes[index] < WRITE_BYTES_MIN]
    waiting = deque(cut([index for index in wanted if sizes[index] >= WRITE_BYTES_MIN], sizes))
    asked: deque[tuple[bool, list[int], bool]] = deque()
    written = 0
    while waiting or asked:
        while waiting and sum(is_reserve for is_reserve, _, _ in asked) < _BATCHES_AHEAD:
            batch = waiting.popleft()
            start = wire.request_start(
                b"KV.RESERVE", ns.wire_id, options.words, b"BLOCKS", len(batch), 2 * len(batch)
            )
            words = [wire.bulk(keys[index]) + wire.bulk(b"%d" % sizes[index]) for index in batch]
            asked.append((True, batch, link.send(connection, ns, [start + b"".join(words)], deadline)))
        is_reserve, batch, describes = asked.popleft()
        link.read_before(connection, ns, describes, deadline)
        reply = connection.stream.reply(deadline)
        if not is_reserve:
            read_outcomes(link, "KV.COMMIT", reply, batch, results)
            continue
        if isinstance(reply, ErrorReply):
            rest += batch
            continue
        if not isinstance(reply, list) or len(reply) != len(batch):
            raise violation("KV.RESERVE was answered by something else than it promises")
        commit: list[bytes] = []
        filled: list[int] = []
        for index, answer in zip(batch, reply):
            if isinstance(answer, list) and len(answer) == 2 and all(type(figure) is int for figure in answer):
                checksum = _copy_in(arena, answer[1], payloads[index])
                commit += [b"%d" % answer[0], b"%d" % checksum]
                filled.append(index)
            elif answer in ("exists", b"exists"):
                results[index] = PutResult("exists")
            else:
                rest.append(index)
        if filled:
            connection.stream.send([wire.request(b"KV.COMMIT", *commit)], deadline)
            asked.append((False, filled, False))
            written += len(filled)
    link.counters.add(shared_stores=written)
    return rest


def _copy_in(arena: Arena, offset: int, payload: memoryview) -> int:
    """Copies a payload to its place; the checksum of the caller's bytes, not of the place's, as a signed number."""
    target = arena.part(offset, len(payload))
    if target is None:
        raise violation("a place does not lie in the node's memory")
    assert memory.xxh3 is not None
    with memory.Address(target) as end, memory.Address(payload) as start:
        # In this order, the copy finds the bytes in the processor's cache.
        checksum = memory.xxh3(start, len(payload))
        memory.copy(end, start, len(payload))
    return checksum - (1 << 64) if checksum >> 63 else checksum
