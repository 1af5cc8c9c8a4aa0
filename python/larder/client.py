"""An engine's way to one node: pooled, pipelined, and never the engine's problem."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import wait
from typing import Any, TypeVar, Union

from . import memory, wire
from .breaker import PASS, REFUSE_AND_PROBE, BreakerPolicy, CircuitBreaker
from .connection import Connection
from .counters import Counters
from .deadline import Deadline
from .endpoint import parse_endpoint
from .errors import ConnectionLost, LarderError, TimedOut, violation
from .helpers import Helpers
from .limits import KEY_BYTES_MAX, LEASE_MS_MAX, PAYLOAD_BYTES_MAX, REQUEST_KEYS_MAX, STREAM_BYTES_MIN
from .loading import cut, load
from .namespace import Namespace
from .pool import Pool
from .results import Blocks, Lease, Match, PutResult
from .sharing import borrow, load_shared, store_shared
from .storing import StoreOptions, store
from .wire import ErrorReply

logger = logging.getLogger("larder")

Key = Union[bytes, bytearray, memoryview]
Result = TypeVar("Result")

_clients: weakref.WeakSet[Client] = weakref.WeakSet()


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
        - `shared_memory`: "auto" reads blocks from the node's own memory, and writes them there, where the endpoint is a
          Unix socket, the node allows it, and this system has XXH3 (libxxhash, or the xxhash package) to prove each
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
        self.deadline = Deadline(deadline).seconds
        attaches = bool(shared_memory) and address.is_unix and memory.xxh3 is not None
        if shared_memory == "auto" and address.is_unix and not attaches:
            logger.info("no XXH3 on this system: blocks of %s come by its socket", address)
        self._counters = Counters()
        self._policy = breaker
        self._breaker = CircuitBreaker(breaker)
        self._pool = Pool(address, username, password, connections, self._counters, attaches)
        # A call uses one connection itself, and one is left to look-ups.
        self._helpers = Helpers(max(0, connections - 2))
        self._refused_at = 0.0
        _clients.add(self)

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

        Any number of keys: more than 16,384 take several round trips. Nothing held when the node does not answer.
        """
        if lease_ms is not None and not 1 <= lease_ms <= LEASE_MS_MAX:
            raise ValueError(f"a lease is 1 to {LEASE_MS_MAX} ms")
        wire_keys = _keys(ns, keys)
        options = [b"LEASE", b"%d" % lease_ms] if lease_ms else []
        if prefetch:
            options.append(b"PREFETCH")
        nothing = Match(0, None, ())
        if not wire_keys:
            return nothing

        def ask(connection: Connection, limit: Deadline) -> Match:
            tiers: list[str] = []
            leases: list[int] = []
            try:
                for start in range(0, len(wire_keys), REQUEST_KEYS_MAX):
                    part = wire_keys[start : start + REQUEST_KEYS_MAX]
                    request = wire.keys_request(b"KV.MATCH", ns.wire_id, options, part)
                    found, lease = _read_match(self._ask(connection, ns, request, limit), len(part))
                    tiers += found
                    if lease is not None:
                        leases.append(lease)
                    if len(found) < len(part):
                        break
            except LarderError:
                connection.to_release.extend(leases)
                raise
            return Match(len(tiers), Lease(self, connection, leases) if leases else None, tuple(tiers))

        return self._engine(nothing, False, deadline, ask)

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
        wire_keys = _keys(ns, keys)
        views = [_view(buffer, writable=True) for buffer in buffers]
        _check_lengths(wire_keys, views)
        results = [False] * len(views)
        if not views:
            return results

        def ask(indices: Sequence[int], connection: Connection, limit: Deadline) -> None:
            wanted = [index for index in indices if not results[index]]
            if connection.arena is not None:
                wanted = load_shared(
                    self, connection, connection.arena, ns, wire_keys, views, wanted, results, limit
                )
            load(self, connection, ns, wire_keys, views, wanted, results, limit)

        self._transfer([len(view) for view in views], deadline, ask)
        self._count_loads(results, sum(len(view) for view, result in zip(views, results) if result))
        return results

    def get(self, ns: Namespace, key: Key, *, deadline: float | None = None) -> bytes | None:
        """A payload; None for a miss."""
        return self.get_many(ns, [key], deadline=deadline)[0]

    def get_many(
        self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None
    ) -> list[bytes | None]:
        """For each key its payload, or None. `get_into` is the way without new memory for each."""
        wire_keys = _keys(ns, keys)
        payloads: list[bytes | None] = [None] * len(wire_keys)
        results = [False] * len(wire_keys)
        if not wire_keys:
            return payloads

        def ask(indices: Sequence[int], connection: Connection, limit: Deadline) -> None:
            wanted = [index for index in indices if not results[index]]
            load(self, connection, ns, wire_keys, payloads, wanted, results, limit)

        self._transfer([0] * len(wire_keys), deadline, ask)
        self._count_loads(results, sum(len(payload) for payload in payloads if payload is not None))
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
        wire_keys = _keys(ns, keys)
        if len(wire_keys) > REQUEST_KEYS_MAX:
            raise ValueError(f"one borrow takes at most {REQUEST_KEYS_MAX} keys")
        nothing = Blocks(self, None, None, [None] * len(wire_keys), [None] * len(wire_keys))
        if not wire_keys:
            return nothing

        def ask(connection: Connection, limit: Deadline) -> Blocks:
            return borrow(self, connection, ns, wire_keys, verify, limit)

        blocks = self._engine(nothing, True, deadline, ask)
        self._count_loads(
            [view is not None for view in blocks], sum(len(view) for view in blocks if view is not None)
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
        wire_keys = _keys(ns, keys)
        views = [_view(buffer, writable=False) for buffer in buffers]
        _check_lengths(wire_keys, views)
        results: list[PutResult | None] = [None] * len(views)
        if not views:
            return []

        def ask(indices: Sequence[int], connection: Connection, limit: Deadline) -> None:
            wanted = [index for index in indices if results[index] is None]
            if connection.arena is not None:
                wanted = store_shared(self, connection, ns, wire_keys, views, options, wanted, results, limit)
            store(self, connection, ns, wire_keys, views, options, wanted, results, limit)

        failure = self._transfer([len(view) for view in views], deadline, ask)
        missing = PutResult("refused", failure or "no answer")
        outcomes = [missing if result is None else result for result in results]
        stored = [outcome.status == "stored" for outcome in outcomes]
        held = sum(map(bool, outcomes))
        self._counters.add(
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

    def delete(self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None) -> int:
        """Deletes blocks; how many there were."""
        return self._count_keys(b"KV.DEL", ns, keys, [], deadline)

    def pin(
        self, ns: Namespace, keys: Sequence[Key], ttl_ms: int | None = None, *, deadline: float | None = None
    ) -> int:
        """Spares blocks from eviction, for `ttl_ms` or until they are unpinned; how many are pinned now."""
        options = [b"TTL", b"%d" % ttl_ms] if ttl_ms is not None else []
        return self._count_keys(b"KV.PIN", ns, keys, options, deadline)

    def unpin(self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None) -> int:
        """Ends pins; how many of the blocks are held."""
        return self._count_keys(b"KV.UNPIN", ns, keys, [], deadline)

    def prefetch(self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None) -> int:
        """Has the node bring blocks from disk to memory; how many are on their way."""
        return self._count_keys(b"KV.PREFETCH", ns, keys, [], deadline)

    def ping(self, *, deadline: float | None = None) -> bool:
        """Whether the node answers; False also while the breaker is open."""

        def ask(connection: Connection, limit: Deadline) -> bool:
            return bool(self._ask(connection, None, wire.request(b"PING"), limit) == "PONG")

        return self._engine(False, False, deadline, ask)

    # For tools

    def stats(self, ns: Namespace | None = None, *, deadline: float | None = None) -> dict[str, Any]:
        """Figures of the node, or of one namespace. Raises `LarderError`."""
        words = (b"KV.STATS", ns.wire_id) if ns else (b"KV.STATS",)
        reply = self._tool(ns, wire.request(*words), deadline)
        if isinstance(reply, list) and len(reply) % 2 == 0:
            # RESP2 has no maps.
            pairs = list(zip(reply[::2], reply[1::2]))
        else:
            pairs = list(reply.items()) if isinstance(reply, dict) else []
        if not pairs or not all(isinstance(name, (str, bytes)) for name, _ in pairs):
            raise LarderError("protocol_violation", "KV.STATS was answered by something else than it promises")
        return {_text(name): _text(value) for name, value in pairs}

    def explain(self, ns: Namespace, keys: Sequence[Key], *, deadline: float | None = None) -> list[str]:
        """For each key why the block is here or not. Raises `LarderError`."""
        texts: list[str] = []
        wire_keys = _keys(ns, keys)
        for start in range(0, len(wire_keys), REQUEST_KEYS_MAX):
            part = wire_keys[start : start + REQUEST_KEYS_MAX]
            reply = self._tool(ns, wire.keys_request(b"KV.EXPLAIN", ns.wire_id, [], part), deadline)
            if not isinstance(reply, list) or len(reply) != len(part):
                raise LarderError(
                    "protocol_violation", "KV.EXPLAIN was answered by something else than it promises"
                )
            texts += map(_text, reply)
        return texts

    def clear(self, ns: Namespace, *, deadline: float | None = None) -> int:
        """Deletes all blocks of a namespace; how many there were. Raises `LarderError`."""
        reply = self._tool(ns, wire.request(b"KV.CLEAR", ns.wire_id), deadline)
        if not isinstance(reply, int):
            raise LarderError("protocol_violation", "KV.CLEAR was answered by something else than it promises")
        return reply

    def hello(self, ns: Namespace | None = None, *, deadline: float | None = None) -> None:
        """Asks the node for a sign of life, and tells it of `ns`; raises `LarderError` with the reason for none."""
        self._tool(ns, wire.request(b"PING"), deadline)

    # The client itself

    @property
    def counters(self) -> dict[str, int]:
        """What became of the calls so far, by name; see `larder.counters.NAMES`."""
        return self._counters.snapshot()

    @property
    def is_healthy(self) -> bool:
        """Whether the breaker is closed: calls ask the node."""
        return self._breaker.is_closed

    def close(self) -> None:
        """Ends the connections, and with them all leases and loans; later calls are misses."""
        self._pool.close()
        self._helpers.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({str(self._pool.endpoint)!r})"

    # How calls are made

    def _engine(
        self,
        nothing: Result,
        payloads: bool,
        deadline: float | None,
        ask: Callable[[Connection, Deadline], Result],
    ) -> Result:
        """Runs an engine's call: its result, or `nothing` when it fails."""
        self._counters.add(calls=1)
        try:
            self._admit()
            return self._run(payloads, self._limit(deadline), ask)
        except LarderError as error:
            self._note(error)
            return nothing

    def _transfer(
        self,
        sizes: Sequence[int],
        deadline: float | None,
        ask: Callable[[Sequence[int], Connection, Deadline], None],
    ) -> str:
        """Runs an engine's call with payloads of these sizes; the code of a failure, "" for none.

        A large one goes over several connections at once, those that others leave free: one stream is not as fast as
        a network or a node can be.
        """
        self._counters.add(calls=1)
        limit = self._limit(deadline)
        batches = cut(range(len(sizes)), sizes)
        helper_count = self._helpers.take(min(len(batches), sum(sizes) // STREAM_BYTES_MIN) - 1)
        shares = [
            [index for batch in batches[lane :: helper_count + 1] for index in batch]
            for lane in range(helper_count + 1)
        ]

        def carry(share: list[int]) -> str:
            try:
                self._admit()
                self._run(True, limit.copy(), functools.partial(ask, share))
                return ""
            except LarderError as error:
                self._note(error)
                return error.code

        futures = [self._helpers.run(functools.partial(carry, share)) for share in shares[1:]]
        try:
            failures = [carry(shares[0])]
        finally:
            # Also after an interrupt: nobody may touch the caller's memory when this has returned.
            wait(futures)
        failures += [future.result() for future in futures]
        return next(filter(None, failures), "")

    def _limit(self, seconds: float | None) -> Deadline:
        return Deadline(self.deadline if seconds is None else seconds)

    def _tool(self, ns: Namespace | None, request: bytes, deadline: float | None) -> Any:
        self._counters.add(calls=1)
        try:
            return self._run(
                False,
                self._limit(deadline),
                lambda connection, limit: self._ask(connection, ns, request, limit),
            )
        except LarderError as error:
            self._note(error)
            raise

    def _admit(self) -> None:
        admission = self._breaker.admit()
        if admission == PASS:
            return
        if admission == REFUSE_AND_PROBE:
            try:
                threading.Thread(target=self._probe, name="larder-probe", daemon=True).start()
            except RuntimeError:
                self._breaker.probe_failed()
        raise LarderError("circuit_open", "the node failed a moment ago")

    def _probe(self) -> None:
        assert self._policy is not None
        if self._pool.probe(self._policy.probe_timeout):
            self._breaker.succeeded()
            logger.info("%s answers again", self._pool.endpoint)
        else:
            self._counters.add(breaker_openings=1)
            self._breaker.probe_failed()

    def _run(self, payloads: bool, deadline: Deadline, ask: Callable[[Connection, Deadline], Result]) -> Result:
        """Runs `ask` on a connection, once more on a new one when it met one that was lost while it was idle."""
        for attempt in (0, 1):
            try:
                connection = self._pool.acquire(payloads, deadline)
            except LarderError as error:
                if error.code not in ("overloaded", "closed"):
                    self._fail(error)
                raise
            deadline.moved = False
            try:
                result = ask(connection, deadline)
            except (LarderError, OSError) as error:
                lost = error if isinstance(error, LarderError) else connection.stream.lost(error)
                if not isinstance(lost, ConnectionLost) and connection.stream.is_open:
                    self._pool.give_back(connection, payloads)
                    self._breaker.succeeded()
                    raise lost
                is_stale = connection.is_used and not deadline.moved and not isinstance(lost, TimedOut)
                self._pool.discard(connection, payloads, all_idle=is_stale)
                if is_stale and attempt == 0:
                    self._counters.add(retries=1)
                    continue
                self._fail(lost)
                raise lost from None
            except BaseException:
                # An interrupt in the middle of a reply: the rest of the stream belongs to nobody.
                self._pool.discard(connection, payloads)
                raise
            self._breaker.succeeded()
            self._pool.give_back(connection, payloads)
            return result
        raise AssertionError("not reached")

    def _fail(self, error: LarderError) -> None:
        if self._breaker.failed(isinstance(error, TimedOut) and error.silent):
            self._counters.add(breaker_openings=1)
            logger.warning("%s is not asked for a while: %s", self._pool.endpoint, error)

    def _note(self, error: LarderError) -> None:
        self._counters.add(**{error.code: 1})
        logger.debug("%s: %s", self._pool.endpoint, error)
        now = time.monotonic()
        if error.code == "unauthorized" and now - self._refused_at > 60:
            self._refused_at = now
            logger.warning("%s refuses this client: %s", self._pool.endpoint, error.message)

    def _send(
        self, connection: Connection, ns: Namespace | None, pieces: list[Any], deadline: Deadline
    ) -> bool:
        """Sends a request, behind the namespace's description where the connection has not told it; whether it did, and
        so its reply comes first."""
        describes = ns is not None and ns.id not in connection.described
        if describes:
            assert ns is not None
            pieces = [wire.request(b"KV.DESCRIBE", ns.canonical), *pieces]
        connection.stream.send(pieces, deadline)
        return describes

    def _read_before(
        self, connection: Connection, ns: Namespace | None, describes: bool, deadline: Deadline
    ) -> None:
        """Reads the replies that come before the one that is waited for."""
        while connection.owed_replies:
            connection.stream.reply(deadline)
            connection.owed_replies -= 1
            # That was for an earlier call: to this one the node has not said anything.
            deadline.moved = False
        if describes:
            assert ns is not None
            reply = connection.stream.reply(deadline)
            if isinstance(reply, ErrorReply):
                # The request that follows is answered by an error of its own.
                return
            if str(_text(reply)).lower() != ns.id:
                raise violation("the node gives the namespace another name")
            connection.described.add(ns.id)

    def _ask(self, connection: Connection, ns: Namespace | None, request: bytes, deadline: Deadline) -> Any:
        """Sends a request with a small reply, and gives that; an error that the node answers with is raised."""
        describes = self._send(connection, ns, [request], deadline)
        self._read_before(connection, ns, describes, deadline)
        reply = connection.stream.reply(deadline)
        if isinstance(reply, ErrorReply):
            raise answered_with(reply)
        return reply

    def _count_keys(
        self, name: bytes, ns: Namespace, keys: Sequence[Key], options: list[bytes], deadline: float | None
    ) -> int:
        wire_keys = _keys(ns, keys)
        if not wire_keys:
            return 0

        def ask(connection: Connection, limit: Deadline) -> int:
            count = 0
            for start in range(0, len(wire_keys), REQUEST_KEYS_MAX):
                part = wire_keys[start : start + REQUEST_KEYS_MAX]
                reply = self._ask(connection, ns, wire.keys_request(name, ns.wire_id, options, part), limit)
                if isinstance(reply, list) and all(flag in (0, 1) for flag in reply):
                    reply = sum(reply)
                if not isinstance(reply, int) or not 0 <= reply <= len(part):
                    raise violation(f"{name.decode()} was answered by something else than it promises")
                count += reply
            return count

        return self._engine(0, False, deadline, ask)

    def _count_loads(self, results: Sequence[bool], byte_count: int) -> None:
        hits = sum(results)
        self._counters.add(hits=hits, misses=len(results) - hits, bytes_loaded=byte_count)

    def _give_back(self, connection: Connection, ids: list[int]) -> None:
        self._pool.release(connection, ids)

    def _after_fork(self) -> None:
        """In a child process: locks that other threads of the parent held, and its probe, are not there."""
        self._counters.after_fork()
        self._breaker = CircuitBreaker(self._policy)
        self._pool.after_fork()
        self._helpers = Helpers(self._helpers.count)


def answered_with(reply: ErrorReply) -> LarderError:
    """What to raise for an error that the node answered with."""
    return LarderError("unauthorized" if reply.is_refusal else "answered_with_error", reply.text)


def _forked() -> None:
    for client in list(_clients):
        client._after_fork()


os.register_at_fork(after_in_child=_forked)


def _read_match(reply: Any, key_count: int) -> tuple[list[str], int | None]:
    """Reads `[matched, lease or nothing, [tier, blocks, tier, blocks ...]]`: the tier of each block, and the lease."""
    if isinstance(reply, list) and len(reply) == 3 and isinstance(reply[2], list):
        matched, lease, runs = reply
        tiers = _read_tiers(runs, key_count)
        if type(matched) is int and len(tiers) == matched and (lease is None or type(lease) is int):
            return tiers, lease
    raise violation("KV.MATCH was answered by something else than it promises")


def _read_tiers(runs: list[Any], key_count: int) -> list[str]:
    if all(isinstance(tier, str) for tier in runs):
        # Nodes before runs tell a tier for each block.
        return runs
    tiers: list[str] = []
    for tier, count in zip(runs[::2], runs[1::2]):
        if type(count) is not int or not 0 < count <= key_count - len(tiers):
            raise violation("KV.MATCH was answered by something else than it promises")
        tiers += [str(_text(tier))] * count
    return tiers


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _keys(ns: Namespace, keys: Iterable[Key]) -> list[bytes]:
    if not isinstance(ns, Namespace):
        raise TypeError("a namespace is what describe() returns")
    if isinstance(keys, (bytes, bytearray, memoryview, str)):
        raise TypeError("keys are a list of bytes, not one key")
    checked = []
    for key in keys:
        if type(key) is not bytes:
            if not isinstance(key, (bytes, bytearray, memoryview)):
                raise TypeError(f"a key is bytes, not {type(key).__name__}")
            key = bytes(key)
        if not 1 <= len(key) <= KEY_BYTES_MAX:
            raise ValueError(f"a key has 1 to {KEY_BYTES_MAX} bytes, not {len(key)}")
        checked.append(key)
    return checked


def _view(buffer: Any, writable: bool) -> memoryview:
    view = memoryview(buffer)
    if not view.contiguous:
        raise ValueError("a buffer must be contiguous")
    if writable and view.readonly:
        raise ValueError("a buffer to load into must be writable")
    if not 1 <= view.nbytes <= PAYLOAD_BYTES_MAX:
        raise ValueError(f"a payload has 1 to {PAYLOAD_BYTES_MAX} bytes, not {view.nbytes}")
    return view.cast("B")


def _check_lengths(keys: Sequence[bytes], views: Sequence[memoryview]) -> None:
    if len(keys) != len(views):
        raise ValueError(f"{len(keys)} keys and {len(views)} buffers")
