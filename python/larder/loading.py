"""Payloads by the socket, straight into their place."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from . import wire
from .batches import cut
from .connection import Connection
from .deadline import Deadline
from .errors import LarderError
from .limits import (
    LOCAL_REQUEST_BYTES_MAX,
    LOCAL_REQUESTS_AHEAD,
    PAYLOAD_REQUEST_BYTES_MAX,
    REQUESTS_AHEAD,
)
from .link import NodeLink
from .namespace import Namespace
from .wire import ErrorReply


def load(
    link: NodeLink,
    connection: Connection,
    ns: Namespace,
    keys: Sequence[bytes],
    places: list[Any],
    wanted: Sequence[int],
    results: list[bool],
    deadline: Deadline,
) -> None:
    """KV.GET of the keys at the indices `wanted`.

    Where a place is a memoryview the payload is received into it; where it is None it is replaced by the payload. Sets
    `results` for what is whole, as it comes. A few requests are under way at a time: enough for the node never to
    wait, and so few that their bytes always fit into what the system buffers.
    """
    sizes = [0 if place is None else len(place) for place in places]
    is_near = link.endpoint.is_on_this_host
    ahead = LOCAL_REQUESTS_AHEAD if is_near else REQUESTS_AHEAD
    waiting = deque(cut(wanted, sizes, LOCAL_REQUEST_BYTES_MAX if is_near else PAYLOAD_REQUEST_BYTES_MAX))
    asked: deque[tuple[list[int], bool]] = deque()
    problem: LarderError | None = None
    while waiting or asked:
        while waiting and len(asked) < ahead:
            batch = waiting.popleft()
            request = wire.keys_request(b"KV.GET", ns.wire_id, (), [keys[index] for index in batch])
            asked.append((batch, link.send(connection, ns, [request], deadline)))
        batch, describes = asked.popleft()
        link.read_before(connection, ns, describes, deadline)
        error = connection.stream.array_length(deadline, len(batch), sizes[batch[0]])
        if error is not None:
            problem = error.error()
            continue
        for index in batch:
            results[index] = _receive(link, connection, places, index, sizes[index], deadline)
    if problem is not None:
        raise problem


def _receive(
    link: NodeLink, connection: Connection, places: list[Any], index: int, expected: int, deadline: Deadline
) -> bool:
    stream = connection.stream
    size = stream.payload_length(deadline, expected)
    if size is None or isinstance(size, ErrorReply):
        return False
    place = places[index]
    if place is None:
        payload = stream.receive(size, deadline)
        stream.end_of_payload(deadline)
        places[index] = payload
        return True
    if size != len(place):
        link.counters.add(length_mismatches=1)
        stream.skip(size, deadline)
        stream.end_of_payload(deadline)
        return False
    stream.receive_into(place, deadline)
    stream.end_of_payload(deadline)
    return True
