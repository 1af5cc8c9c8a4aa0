"""An engine's way to one node: pooled, pipelined, and never the engine's problem."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from . import memory, wire
from .arguments import Key, check_counts, keys_of, view_of
from .breaker import BreakerPolicy
from .connection import Connection
from .deadline import Deadline
from .endpoint import parse_endpoint
from .errors import LarderError, violation
from .limits import LEASE_MS_MAX, REQUEST_KEYS_MAX
from .link import NodeLink
from .loading import load
from .namespace import Namespace
from .results import Blocks, KeyCount, Lease, Match, PutResult
from .sharing import borrow, load_shared, store_shared
from .storing import StoreOptions, store

logger = logging.getLogger("larder")


class Client:
    """One node, for any number of threads.

    Calls of the engine's path never raise for what a node or a network does: a node that is away, slow, stopped or
    talks garbage is a miss, counted in `counters`, and after a failure a circuit breaker answers misses at once until
    the node is back. `stats`, `explain`, `clear`, `hello` are for tools and raise `LarderError`. A caller's mistake (a
    key of 600 bytes, a buffer that cannot be written) is a ``ValueError`` or ``TypeError`` everywhere.

    >>> client = Client("127.0.0.1:7379")                                         # doctest: +SKIP
    >>> ns = client.describe({"model": "m", "dtype": "bfloat16", "tokens_per_block": 16})   # doctest: +SKIP
    >>> with client.match(ns, keys, lease_ms=10_000) as held:                     # doctest: +SKIP
    ...     loaded = client.get_into(ns, keys[:held.count], buffers[:held.count])

    A client may be used after a fork: the child makes connections of its own. Payloads are raw bytes; nothing is ever
    unpickled or otherwise interpreted.
    """

    def __init__(
        self,
        endpoint: str,
        username: str | None = None,
        password: str | None = None,
        *,
        deadline: float = 2.0,
        connections: int = 4,
        shared_memory: bool | str = "auto",
        breaker: BreakerPolicy | None = BreakerPolicy(),
    ) -> None:
        """Connects when it is first used.

        - `endpoint`: `HOST:PORT`, `redis://USER:PASSWORD@HOST:PORT`, or `unix:///PATH` for a node on this host.
        - `username`, `password`: instead of those in the endpoint; never logged.
        - `deadline`: how long one call may take, seconds, connecting and looking up the host included. Every call takes
          a `deadline` of its own.
        - `connections`: at most so many, 1 to 64. Calls with payloads leave one to look-ups.
        - `shared_memory`: "auto" reads blocks from the node's own memory, and writes them there, where the endpoint is
          a Unix socket, the node allows it, and this system has XXH3 (libxxhash, or the xxhash package) to prove each
          payload with; False never does; True raises ``ValueError`` where it is sure never to work.
        - `breaker`: when it opens; None for never.
        """
        address = parse_endpoint(endpoint)
        if shared_memory not in (True, False, "auto"):
            raise ValueError('shared_memory is "auto", True or False')
        if not 1 <= connections <= 64:
            raise ValueError("connections are 1 to 64")
        if shared_memory is True and not address.is_unix:
            raise ValueError("shared memory needs the node's Unix socket: unix:///PATH")
        if shared_memory is True and memory.xxh3 is None:
            raise ValueError("shared memory needs XXH3: install libxxhash, or pip install xxhash")
        username = username if username is not None else address.username
        password = password if password is not None else address.password
        if username is not None and password is None:
            raise ValueError("a username needs a password")
        attaches = bool(shared_memory) and address.is_unix and memory.xxh3 is not None
        if shared_memory == "auto" and address.is_unix and not attaches:
            logger.info("no XXH3 on this system: blocks of %s come by its socket", address)
        self._link = NodeLink(address, username, password, deadline, connections, attaches, breaker)

    # Namespaces

    def describe(self, description: Mapping[str, Any] | Namespace) -> Namespace:
        """What must be equal for blocks to be interchangeable, as an object to name it by.

        Asks nobody: the identifier follows from the description, and every connection tells the node before it first
        asks about the namespace. Raises ``ValueError`` or ``TypeError`` for what cannot be described; see `Namespace`.
        """
        return description if isinstance(description, Namespace) else Namespace(description)

    # Looking up

    def match(
        self,
        ns: Namespace,
        keys: Sequence[Key],
        lease_ms: int | None = None,
        prefetch: bool = False,
        *,
        deadline: float | None = None,
    ) -> Match:
        """How many of the first `keys` the node holds; a hole ends it.

        - `lease_ms`: for how long what is found stays readable, at most 600,000; None for no promise.
        - `prefetch`: whether the node shall bring what is on disk to memory.

        Any number of keys: more than 16,384 take several round trips. Nothing held when the node does not answer;
        `Match.error` then tells why.
        """
        if lease_ms is not None and not 1 <= lease_ms <= LEASE_MS_MAX:
            raise ValueError(f"a lease is 1 to {LEASE_MS_MAX} ms")
        wire_keys = keys_of(ns, keys)
        options = [b"LEASE", b"%d" % lease_ms] if lease_ms else []
        if prefetch:
            options.append(b"PREFETCH")
        if not wire_keys:
            return Match(0, None, ())
        link = self._link

        def ask(connection: Connection, limit: Deadline) -> Match:
            tiers: list[str] = []
            leases: list[int] = []
            try:
                for start in range(0, len(wire_keys), REQUEST_KEYS_MAX):
                    part = wire_keys[start : start + REQUEST_KEYS_MAX]
                    request = wire.keys_request(b"KV.MATCH", ns.wire_id, options, part)
                    found, lease = _read_match(link.ask(connection, ns, request, limit), len(part))
                    tiers += found
                    if lease is not None:
                        leases.append(lease)
                    if len(found) < len(part):
                        break
            except LarderError:
                connection.to_release.extend(leases)
                raise
            return Match(len(tiers), Lease(link, connection, leases) if leases else None, tuple(tiers))

        return link.engine(lambda error: Match(0, None, (), error), False, deadline, ask)

    def exists(self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None) -> int:
        """How many of the first `keys` the node holds, without a lease."""
        return self.match(ns, keys, deadline=deadline).count

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
        """Receives payloads straight into `buffers`, one writable contiguous buffer for each key (memoryview,
        bytearray, numpy array, torch tensor's `.numpy()`...).

        For each key whether its payload is there, whole and of exactly its buffer's length; a payload of another length
        is a miss, counted as `length_mismatches`. A buffer whose result is False may hold anything. What arrived before
        a failure counts. `lease` is what a match gave: holding it is what keeps the blocks; it need not be passed.

        On a node's Unix socket payloads are copied out of its memory, and proved by their checksum.
        """
        wire_keys = keys_of(ns, keys)
        views = [view_of(buffer, writable=True) for buffer in buffers]
        check_counts(wire_keys, views)
        results = [False] * len(views)
        if not views:
            return results
        link = self._link

        def ask(indices: Sequence[int], connection: Connection, limit: Deadline) -> None:
            wanted = [index for index in indices if not results[index]]
            if connection.arena is not None:
                wanted = load_shared(
                    link, connection, connection.arena, ns, wire_keys, views, wanted, results, limit
                )
            load(link, connection, ns, wire_keys, views, wanted, results, limit)

        link.transfer([len(view) for view in views], deadline, ask)
        self._count_loads(link, results, sum(len(view) for view, result in zip(views, results) if result))
        return results

    def get(self, ns: Namespace, key: Key, *, deadline: float | None = None) -> bytes | None:
        """A payload; None for a miss."""
        return self.get_many(ns, [key], deadline=deadline)[0]

    def get_many(
        self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None
    ) -> list[bytes | None]:
        """For each key its payload, or None. `get_into` is the way without new memory for each."""
        wire_keys = keys_of(ns, keys)
        payloads: list[bytes | None] = [None] * len(wire_keys)
        results = [False] * len(wire_keys)
        if not wire_keys:
            return payloads
        link = self._link

        def ask(indices: Sequence[int], connection: Connection, limit: Deadline) -> None:
            wanted = [index for index in indices if not results[index]]
            load(link, connection, ns, wire_keys, payloads, wanted, results, limit)

        link.transfer([0] * len(wire_keys), deadline, ask)
        self._count_loads(link, results, sum(len(payload) for payload in payloads if payload is not None))
        return payloads

    def borrow(
        self, ns: Namespace, keys: Sequence[Key], *, verify: bool = True, deadline: float | None = None
    ) -> Blocks:
        """Blocks to be read where they lie in the node's memory, without a copy; see `Blocks`.

        The node lends at most half of its memory: keep loans short. What is not lent, or where no memory is shared, is
        fetched, so that the views are the same for the caller; `Blocks.in_place` tells.

        `verify`: whether each payload is read once before, to prove that it is what was stored. Without it, the reader
        relies on the node's memory and on everyone who may write to it.
        """
        wire_keys = keys_of(ns, keys)
        if len(wire_keys) > REQUEST_KEYS_MAX:
            raise ValueError(f"one borrow takes at most {REQUEST_KEYS_MAX} keys")
        link = self._link
        nothing = Blocks(link, None, None, [None] * len(wire_keys), [None] * len(wire_keys))
        if not wire_keys:
            return nothing

        def ask(connection: Connection, limit: Deadline) -> Blocks:
            return borrow(link, connection, ns, wire_keys, verify, limit)

        blocks = link.engine(lambda _: nothing, True, deadline, ask)
        self._count_loads(
            link, [view is not None for view in blocks], sum(len(view) for view in blocks if view is not None)
        )
        return blocks

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
        """Offers blocks to the node, one contiguous buffer for each key, sent from where they are.

        - `tokens`: of each block.
        - `ttl_ms`: how long the blocks may be read.
        - `pin`: whether eviction spares them, for `ttl_ms` if that is given.
        - `durable`: whether the answer comes only when the blocks would survive a loss of power.

        Blocks are immutable: the first writer wins, the same key with the same bytes `exists`, other bytes are refused.
        """
        options = StoreOptions(tokens, ttl_ms, pin, durable)
        wire_keys = keys_of(ns, keys)
        views = [view_of(buffer, writable=False) for buffer in buffers]
        check_counts(wire_keys, views)
        results: list[PutResult | None] = [None] * len(views)
        if not views:
            return []
        link = self._link

        def ask(indices: Sequence[int], connection: Connection, limit: Deadline) -> None:
            wanted = [index for index in indices if results[index] is None]
            if connection.arena is not None:
                wanted = store_shared(link, connection, ns, wire_keys, views, options, wanted, results, limit)
            store(link, connection, ns, wire_keys, views, options, wanted, results, limit)

        failure = link.transfer([len(view) for view in views], deadline, ask)
        missing = PutResult("refused", failure or "no answer")
        outcomes = [missing if result is None else result for result in results]
        stored = [outcome.status == "stored" for outcome in outcomes]
        held = sum(map(bool, outcomes))
        link.counters.add(
            stored=sum(stored),
            exists=held - sum(stored),
            refused=len(outcomes) - held,
            bytes_stored=sum(len(view) for view, is_stored in zip(views, stored) if is_stored),
        )
        return outcomes

    def put(
        self,
        ns: Namespace,
        key: Key,
        payload: Any,
        tokens: int | None = None,
        ttl_ms: int | None = None,
        pin: bool = False,
        durable: bool = False,
        *,
        deadline: float | None = None,
    ) -> PutResult:
        """Offers one block; as `put_from`."""
        return self.put_from(ns, [key], [payload], tokens, ttl_ms, pin, durable, deadline=deadline)[0]

    # Changing

    # These never raise for what a node or a network does, unless they are `strict`: then they raise `LarderError`, of
    # code `incomplete` and with the names of the silent nodes where only a part of a cluster has answered.

    def delete(
        self, ns: Namespace, keys: Sequence[Key], *, strict: bool = False, deadline: float | None = None
    ) -> KeyCount:
        """Deletes blocks; how many there were. Where `KeyCount.is_complete` is False some may still be held."""
        return self._count_keys(b"KV.DEL", ns, keys, [], strict, deadline)

    def pin(
        self,
        ns: Namespace,
        keys: Sequence[Key],
        ttl_ms: int | None = None,
        *,
        strict: bool = False,
        deadline: float | None = None,
    ) -> KeyCount:
        """Spares blocks from eviction, for `ttl_ms` or until they are unpinned; how many are pinned now."""
        options = [b"TTL", b"%d" % ttl_ms] if ttl_ms is not None else []
        return self._count_keys(b"KV.PIN", ns, keys, options, strict, deadline)

    def unpin(
        self, ns: Namespace, keys: Sequence[Key], *, strict: bool = False, deadline: float | None = None
    ) -> KeyCount:
        """Ends pins; how many of the blocks are held. Where `KeyCount.is_complete` is False some may still be pinned."""
        return self._count_keys(b"KV.UNPIN", ns, keys, [], strict, deadline)

    def prefetch(
        self, ns: Namespace, keys: Sequence[Key], *, strict: bool = False, deadline: float | None = None
    ) -> KeyCount:
        """Has the node bring blocks from disk to memory; how many are on their way."""
        return self._count_keys(b"KV.PREFETCH", ns, keys, [], strict, deadline)

    def ping(self, *, deadline: float | None = None) -> bool:
        """Whether the node answers; False also while the breaker is open."""

        link = self._link

        def ask(connection: Connection, limit: Deadline) -> bool:
            return bool(link.ask(connection, None, wire.request(b"PING"), limit) == "PONG")

        return link.engine(lambda _: False, False, deadline, ask)

    # For tools

    def stats(self, ns: Namespace | None = None, *, deadline: float | None = None) -> dict[str, Any]:
        """Figures of the node, or of one namespace. Raises `LarderError`."""
        words = (b"KV.STATS", ns.wire_id) if ns else (b"KV.STATS",)
        reply = self._link.tool(ns, wire.request(*words), deadline)
        if isinstance(reply, list) and len(reply) % 2 == 0:
            # RESP2 has no maps.
            pairs = list(zip(reply[::2], reply[1::2]))
        else:
            pairs = list(reply.items()) if isinstance(reply, dict) else []
        if not pairs or not all(isinstance(name, (str, bytes)) for name, _ in pairs):
            raise LarderError("protocol_violation", "KV.STATS was answered by something else than it promises")
        return {wire.text(name): wire.text(value) for name, value in pairs}

    def explain(self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None) -> list[str]:
        """For each key why the block is here or not. Raises `LarderError`."""
        texts: list[str] = []
        wire_keys = keys_of(ns, keys)
        for start in range(0, len(wire_keys), REQUEST_KEYS_MAX):
            part = wire_keys[start : start + REQUEST_KEYS_MAX]
            reply = self._link.tool(ns, wire.keys_request(b"KV.EXPLAIN", ns.wire_id, [], part), deadline)
            if not isinstance(reply, list) or len(reply) != len(part):
                raise LarderError(
                    "protocol_violation", "KV.EXPLAIN was answered by something else than it promises"
                )
            texts += map(wire.text, reply)
        return texts

    def clear(self, ns: Namespace, *, deadline: float | None = None) -> int:
        """Deletes all blocks of a namespace; how many there were. Raises `LarderError`."""
        reply = self._link.tool(ns, wire.request(b"KV.CLEAR", ns.wire_id), deadline)
        if not isinstance(reply, int):
            raise LarderError("protocol_violation", "KV.CLEAR was answered by something else than it promises")
        return reply

    def hello(self, ns: Namespace | None = None, *, deadline: float | None = None) -> None:
        """Asks the node for a sign of life, and tells it of `ns`; raises `LarderError` with the reason for none."""
        self._link.tool(ns, wire.request(b"PING"), deadline)

    # The client itself

    @property
    def counters(self) -> dict[str, int]:
        """What became of the calls so far, by name; see `larder.counters.NAMES`."""
        return self._link.counters.snapshot()

    @property
    def deadline(self) -> float:
        """How long a call may take that is given no deadline of its own, seconds."""
        return self._link.deadline

    @property
    def is_healthy(self) -> bool:
        """Whether the breaker is closed: calls ask the node."""
        return self._link.breaker.is_closed

    def close(self) -> None:
        """Ends the connections, and with them all leases and loans; later calls are misses."""
        self._link.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({str(self._link.endpoint)!r})"

    # What calls have in common

    def _count_keys(
        self,
        name: bytes,
        ns: Namespace,
        keys: Sequence[Key],
        options: list[bytes],
        strict: bool,
        deadline: float | None,
    ) -> KeyCount:
        wire_keys = keys_of(ns, keys)
        if not wire_keys:
            return KeyCount(0)
        link = self._link
        count = 0

        def ask(connection: Connection, limit: Deadline) -> KeyCount:
            nonlocal count
            # From the first key again, when a connection was lost that had been idle.
            count = 0
            for start in range(0, len(wire_keys), REQUEST_KEYS_MAX):
                part = wire_keys[start : start + REQUEST_KEYS_MAX]
                reply = link.ask(connection, ns, wire.keys_request(name, ns.wire_id, options, part), limit)
                if isinstance(reply, list) and all(flag in (0, 1) for flag in reply):
                    reply = sum(reply)
                if not isinstance(reply, int) or not 0 <= reply <= len(part):
                    raise violation(f"{name.decode()} was answered by something else than it promises")
                count += reply
            return KeyCount(count)

        counted = link.engine(lambda error: KeyCount(count, error), False, deadline, ask)
        if strict and counted.error is not None:
            raise counted.error
        return counted

    @staticmethod
    def _count_loads(link: NodeLink, results: Sequence[bool], byte_count: int) -> None:
        hits = sum(results)
        link.counters.add(hits=hits, misses=len(results) - hits, bytes_loaded=byte_count)


def _read_match(reply: Any, key_count: int) -> tuple[list[str], int | None]:
    """Reads `[matched, lease or nothing, [tier, blocks, tier, blocks ...]]`: the tier of each block, and the lease."""
    if isinstance(reply, list) and len(reply) == 3 and isinstance(reply[2], list):
        matched, lease, runs = reply
        tiers = _read_tiers(runs, key_count)
        if type(matched) is int and len(tiers) == matched and (lease is None or type(lease) is int):
            return tiers, lease
    raise violation("KV.MATCH was answered by something else than it promises")


def _read_tiers(runs: list[Any], key_count: int) -> list[str]:
    if len(runs) % 2:
        raise violation("KV.MATCH was answered by something else than it promises")
    tiers: list[str] = []
    for tier, count in zip(runs[::2], runs[1::2]):
        if type(count) is not int or not 0 < count <= key_count - len(tiers):
            raise violation("KV.MATCH was answered by something else than it promises")
        tiers += [str(wire.text(tier))] * count
    return tiers
