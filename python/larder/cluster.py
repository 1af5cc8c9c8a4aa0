"""An engine's way to a cluster: payloads go to and come from the nodes that own them, without a hop between."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from typing import Any

from . import wire
from .arguments import Key, check_counts, keys_of, view_of
from .breaker import BreakerPolicy
from .client import Client
from .deadline import Deadline
from .endpoint import parse_endpoint
from .errors import LarderError
from .helpers import Helpers
from .membership import Members, SlotTable
from .namespace import Namespace
from .results import Lease, PutResult

logger = logging.getLogger("larder")

#: How old what is known of the cluster may be before a node is asked again, seconds.
VIEW_AGE_MAX = 1.0
#: How long one node may take to say who is in the cluster, seconds.
VIEW_DEADLINE = 1.0
#: Nodes that one call talks to at the same time; the rest follow.
NODES_AT_ONCE_MAX = 16

_clusters: weakref.WeakSet[ClusterClient] = weakref.WeakSet()


class ClusterClient(Client):
    """A cluster, for any number of threads: the calls of `Client`, with the same promises.

    One node, the door, is asked what is held and everything else that has no payload, and for whatever an owner does
    not give: any node answers for all, so a client that knows too little only pays a hop. Who owns what is learnt from the
    door and asked again every second while there are calls, beside them; an owner that is away is known by its breaker.

    >>> cluster = ClusterClient(["10.0.0.1:7379", "10.0.0.2:7379"])               # doctest: +SKIP
    """

    def __init__(
        self,
        seeds: str | Sequence[str],
        username: str | None = None,
        password: str | None = None,
        *,
        deadline: float = 2.0,
        connections: int = 4,
        shared_memory: bool | str = "auto",
        breaker: BreakerPolicy | None = BreakerPolicy(),
    ) -> None:
        """Connects when it is first used.

        - `seeds`: one node or several; the first is the door, the others are when it does not answer. A node on this host
          by its Unix socket is a good first. What a seed's address says of the user is for that node alone.
        - `connections`: to each node.
        - The rest: as `Client`.
        """
        addresses = [seeds] if isinstance(seeds, str) else list(seeds)
        if not addresses:
            raise ValueError("a cluster needs the address of at least one of its nodes")
        options: dict[str, Any] = {
            "deadline": deadline,
            "connections": connections,
            "shared_memory": shared_memory,
            "breaker": breaker,
        }
        super().__init__(addresses[0], username, password, **options)
        first = parse_endpoint(addresses[0])
        self._credentials = (
            username if username is not None else first.username,
            password if password is not None else first.password,
        )
        # Shared memory that must be there is the door's alone: the others are on other hosts.
        self._options = {**options, "shared_memory": "auto" if shared_memory else False}
        self._seeds = [Client(address, username, password, **self._options) for address in addresses[1:]]
        self._first = self._link
        self._helpers = Helpers(NODES_AT_ONCE_MAX - 1)
        self._reset()
        _clusters.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._nodes: dict[tuple[str, int], Client] = {}
        self._members: Members | None = None
        self._table: SlotTable | None = None
        #: Host and port of the door, where it is in the cluster: its blocks take no way round.
        self._door: tuple[str, int] | None = None
        self._down: frozenset[tuple[str, int]] = frozenset()
        self._refreshed_at = float("-inf")
        self._is_refreshing = False
        self._is_closed = False

    def after_fork(self) -> None:
        """In a child process: locks and threads of the parent are not there. The nodes' links see to themselves."""
        was_closed = self._is_closed
        nodes = self._nodes
        self._reset()
        self._nodes, self._is_closed = nodes, was_closed
        self._helpers = Helpers(self._helpers.count)

    # Payloads

    def get_into(
        self,
        ns: Namespace,
        keys: Sequence[Key],
        buffers: Sequence[Any],
        lease: Lease | None = None,
        *,
        deadline: float | None = None,
    ) -> list[bool]:
        """As `Client.get_into`: from the owners, and from the door what an owner did not give."""
        wire_keys = keys_of(ns, keys)
        views = [view_of(buffer, writable=True) for buffer in buffers]
        check_counts(wire_keys, views)
        results = [False] * len(views)

        def ask(client: Client, indices: list[int], limit: Any) -> None:
            part_keys, part_views = [wire_keys[i] for i in indices], [views[i] for i in indices]
            loaded = client.get_into(ns, part_keys, part_views, deadline=limit)
            for index, is_loaded in zip(indices, loaded):
                results[index] = is_loaded

        self._spread(wire_keys, deadline, ask, lambda index: not results[index])
        return results

    def get_many(
        self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None
    ) -> list[bytes | None]:
        """As `Client.get_many`: from the owners, and from the door what an owner did not give."""
        wire_keys = keys_of(ns, keys)
        payloads: list[bytes | None] = [None] * len(wire_keys)

        def ask(client: Client, indices: list[int], limit: Any) -> None:
            found = client.get_many(ns, [wire_keys[i] for i in indices], deadline=limit)
            for index, payload in zip(indices, found):
                payloads[index] = payload

        self._spread(wire_keys, deadline, ask, lambda index: payloads[index] is None)
        return payloads

    def put_from(
        self,
        ns: Namespace,
        keys: Sequence[Key],
        buffers: Sequence[Any],
        tokens: int | None = None,
        ttl_ms: int | None = None,
        pin: bool = False,
        durable: bool = False,
        *,
        deadline: float | None = None,
    ) -> list[PutResult]:
        """As `Client.put_from`: to the owners, and to the door what an owner did not take."""
        wire_keys = keys_of(ns, keys)
        views = [view_of(buffer, writable=False) for buffer in buffers]
        check_counts(wire_keys, views)
        results = [PutResult("refused", "overloaded")] * len(views)

        def ask(client: Client, indices: list[int], limit: Any) -> None:
            part_keys, part_views = [wire_keys[i] for i in indices], [views[i] for i in indices]
            stored = client.put_from(ns, part_keys, part_views, tokens, ttl_ms, pin, durable, deadline=limit)
            for index, result in zip(indices, stored):
                results[index] = result

        def is_open(index: int) -> bool:
            # Other bytes under the key are an answer; a node that is away is none.
            return not results[index] and not results[index].reason.startswith("conflict")

        self._spread(wire_keys, deadline, ask, is_open)
        return results

    # The client itself

    def refresh(self, *, deadline: float = VIEW_DEADLINE) -> bool:
        """Asks who is in the cluster, now; whether a node told. Calls do this by themselves, beside what they do."""
        for client in self._candidates():
            try:
                reply = client._link.tool(None, wire.request(b"KV.CLUSTER", b"VIEW"), deadline)
                members = Members.read(reply)
                table = self._table_of(client, members, deadline)
            except LarderError as error:
                if error.code == "answered_with_error":
                    # It is in no cluster: it has everything itself.
                    self._take(client, None, None)
                    return True
                continue
            self._take(client, members, table)
            return True
        return False

    @property
    def known_nodes(self) -> tuple[str, ...]:
        """Names of the nodes that payloads go to directly; empty before the cluster is known, or where there is none."""
        members = self._members
        return tuple(node.name for node in members.nodes if node.is_up) if members else ()

    @property
    def counters(self) -> dict[str, int]:
        """What became of the calls to all nodes, by name: one call may be several of these."""
        total: dict[str, int] = {}
        for link in {self._first, self._link, *(client._link for client in self._all())}:
            for name, value in link.counters.snapshot().items():
                total[name] = total.get(name, 0) + value
        return total

    def close(self) -> None:
        """Ends the connections to all nodes."""
        with self._lock:
            self._is_closed = True
        for client in self._all():
            client.close()
        self._first.close()
        self._link.close()
        self._helpers.close()

    def __repr__(self) -> str:
        return f"ClusterClient({str(self._first.endpoint)!r}, nodes={list(self.known_nodes)!r})"

    # Who is asked

    def _spread(
        self,
        keys: Sequence[bytes],
        deadline: float | Deadline | None,
        ask: Callable[[Client, list[int], Any], None],
        is_open: Callable[[int], bool],
    ) -> None:
        """Asks each owner for its keys, all at the same time and for half of what time there is, and then the door for
        what is still open."""
        if not keys:
            return
        self._refresh_soon()
        limit = deadline if isinstance(deadline, Deadline) else Deadline(deadline or self.deadline)
        door = _Door(self)
        table = self._table
        direct: list[tuple[Client, list[int]]] = []
        for owner, indices in (table.parts(keys) if table else {}).items():
            if owner is not None and owner != self._door and owner not in self._down:
                direct.append((self._node(owner), indices))
        # The door's own keys wait for nobody.
        asked = {index for _, indices in direct for index in indices}
        own = [index for index in range(len(keys)) if index not in asked]
        parts: list[tuple[Client, list[int], Deadline]] = [
            (client, indices, limit.within(0.5)) for client, indices in direct
        ]
        if own:
            parts.append((door, own, limit))
        self._ask_all(parts, ask)
        late = [index for index in sorted(asked) if is_open(index)]
        if late and not limit.is_over:
            ask(door, late, limit)

    def _ask_all(
        self, parts: list[tuple[Client, list[int], Deadline]], ask: Callable[[Client, list[int], Any], None]
    ) -> None:
        helped = self._helpers.take(len(parts) - 1)
        futures = [self._helpers.run(functools.partial(ask, *part)) for part in parts[len(parts) - helped :]]
        try:
            for part in parts[: len(parts) - helped]:
                ask(*part)
        finally:
            # Also after an interrupt: nobody may touch the caller's memory when this has returned.
            if futures:
                wait(futures)
        for future in futures:
            future.result()

    def _node(self, place: tuple[str, int]) -> Client:
        with self._lock:
            client = self._nodes.get(place)
            if client is None:
                host, port = place
                endpoint = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                client = self._nodes[place] = Client(endpoint, *self._credentials, **self._options)
                if self._is_closed:
                    client.close()
            return client

    def _all(self) -> list[Client]:
        with self._lock:
            return [*self._seeds, *self._nodes.values()]

    def _candidates(self) -> list[Client]:
        """Who may be the door: the first seed, the others, then whoever else is known."""
        return [_Door(self, self._first), *self._all()]

    def _table_of(self, client: Client, members: Members, deadline: float) -> SlotTable:
        known, table = self._members, self._table
        if table and known and (known.own, known.epoch) == (members.own, members.epoch):
            return table
        return SlotTable(client._link.tool(None, wire.request(b"CLUSTER", b"SHARDS"), deadline))

    def _take(self, client: Client, members: Members | None, table: SlotTable | None) -> None:
        places = {(node.host, node.port): node for node in members.nodes} if members else {}
        with self._lock:
            self._members, self._table = members, table
            self._door = next((p for p, node in places.items() if members and node.name == members.own), None)
            self._down = frozenset(place for place, node in places.items() if not node.is_up)
            gone = [self._nodes.pop(place) for place in list(self._nodes) if place not in places]
            self._link = client._link
        for client in gone:
            if client._link is not self._link:
                client.close()

    def _refresh_soon(self) -> None:
        """Asks again, on a thread beside the call, when what is known is old."""
        with self._lock:
            if self._is_refreshing or self._is_closed:
                return
            if time.monotonic() - self._refreshed_at < VIEW_AGE_MAX:
                return
            self._is_refreshing = True
        try:
            threading.Thread(target=self._refresh_once, name="larder-view", daemon=True).start()
        except RuntimeError:
            self._refreshed()

    def _refresh_once(self) -> None:
        try:
            if not self.refresh():
                logger.debug("no node of %r tells who is in the cluster", self)
        finally:
            self._refreshed()

    def _refreshed(self) -> None:
        with self._lock:
            self._is_refreshing = False
            self._refreshed_at = time.monotonic()


class _Door(Client):
    """The door's link as a client: what `Client`'s own calls are made of, without those of the cluster."""

    def __init__(self, cluster: ClusterClient, link: Any = None) -> None:
        self._link = link or cluster._link


def _forked() -> None:
    for cluster in list(_clusters):
        cluster.after_fork()


os.register_at_fork(after_in_child=_forked)
