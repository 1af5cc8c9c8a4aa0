"""How calls reach a node: breaker, connections, retries, counters. The calls themselves are `Client`'s."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from typing import Any, TypeVar

from . import wire
from .batches import share
from .breaker import PASS, REFUSE_AND_PROBE, BreakerPolicy, CircuitBreaker
from .connection import Connection
from .counters import Counters
from .deadline import Deadline
from .endpoint import Endpoint
from .errors import ConnectionLost, LarderError, TimedOut, violation
from .helpers import Helpers
from .limits import STREAM_BYTES_MIN
from .namespace import Namespace
from .pool import Pool
from .wire import ErrorReply

logger = logging.getLogger("larder")

Result = TypeVar("Result")

_links: weakref.WeakSet[NodeLink] = weakref.WeakSet()


class NodeLink:
    """One node as a client sees it."""

    def __init__(
        self,
        endpoint: Endpoint,
        username: str | None,
        password: str | None,
        deadline: float,
        connections: int,
        attaches: bool,
        breaker: BreakerPolicy | None,
    ) -> None:
        """`attaches`: whether the node is asked for its memory."""
        self.endpoint = endpoint
        self.deadline = Deadline(deadline).seconds
        self.counters = Counters()
        self._policy = breaker
        self.breaker = CircuitBreaker(breaker)
        self.pool = Pool(endpoint, username, password, connections, self.counters, attaches)
        # A call uses one connection itself, and one is left to look-ups.
        self._helpers = Helpers(max(0, connections - 2))
        # A stream to a node on this host keeps two processors busy, one at each end: more of them only push each other's
        # bytes out of the caches. Through shared memory the node has nothing to do.
        is_socket = endpoint.is_on_this_host and not attaches
        self._streams_max = max(1, len(os.sched_getaffinity(0)) // 2) if is_socket else 0
        self._refused_at = 0.0
        _links.add(self)

    def close(self) -> None:
        """Ends the connections; later calls fail."""
        self.pool.close()
        self._helpers.close()

    def engine(
        self,
        nothing: Callable[[LarderError], Result],
        payloads: bool,
        deadline: float | Deadline | None,
        ask: Callable[[Connection, Deadline], Result],
    ) -> Result:
        """Runs an engine's call: its result, or `nothing` of the error when it fails."""
        self.counters.add(calls=1)
        limit = self._limit(deadline)
        try:
            self._admit(limit)
            return self._run(payloads, limit, ask)
        except LarderError as error:
            self.note(error)
            return nothing(error)

    def transfer(
        self,
        sizes: Sequence[int],
        deadline: float | Deadline | None,
        ask: Callable[[Sequence[int], Connection, Deadline], None],
    ) -> str:
        """Runs an engine's call with payloads of these sizes; the code of a failure, "" for none.

        A large one goes over several connections at once, those that others leave free: one stream is not as fast as
        a network or a node can be.
        """
        self.counters.add(calls=1)
        limit = self._limit(deadline)
        streams = min(len(sizes), sum(sizes) // STREAM_BYTES_MIN)
        if self._streams_max:
            streams = min(streams, self._streams_max)
        shares = share(sizes, self._helpers.take(streams - 1) + 1)

        def carry(indices: list[int]) -> str:
            try:
                self._admit(limit)
                self._run(True, limit.copy(), functools.partial(ask, indices))
                return ""
            except LarderError as error:
                self.note(error)
                return error.code

        futures = [self._helpers.run(functools.partial(carry, indices)) for indices in shares[1:]]
        try:
            failures = [carry(shares[0])]
        finally:
            # Also after an interrupt: nobody may touch the caller's memory when this has returned.
            if futures:
                wait(futures)
        failures += [future.result() for future in futures]
        return next(filter(None, failures), "")

    def _limit(self, seconds: float | Deadline | None) -> Deadline:
        """The end of a call that begins now, or began when it was given a deadline already."""
        if isinstance(seconds, Deadline):
            return seconds.copy()
        return Deadline(self.deadline if seconds is None else seconds)

    def tool(self, ns: Namespace | None, request: bytes, deadline: float | Deadline | None) -> Any:
        """Runs a call for tools: the reply, or `LarderError`."""
        self.counters.add(calls=1)
        limit = self._limit(deadline)
        try:
            self._check_time(limit)
            return self._run(False, limit, lambda connection, limit: self.ask(connection, ns, request, limit))
        except LarderError as error:
            self.note(error)
            raise

    @staticmethod
    def _check_time(limit: Deadline) -> None:
        """Refuses a call whose time went by before it could begin: that says nothing about the node."""
        if limit.is_over:
            raise LarderError("overloaded", "the call's time was over before this client could begin it")

    def _admit(self, limit: Deadline) -> None:
        self._check_time(limit)
        admission = self.breaker.admit()
        if admission == PASS:
            return
        if admission == REFUSE_AND_PROBE:
            try:
                threading.Thread(target=self._probe, name="larder-probe", daemon=True).start()
            except RuntimeError:
                self.breaker.probe_failed()
        raise LarderError("circuit_open", "the node failed a moment ago")

    def _probe(self) -> None:
        assert self._policy is not None
        problem = self.pool.probe(self._policy.probe_timeout)
        if problem is None:
            self.breaker.succeeded()
            logger.info("%s answers again", self.endpoint)
            return
        # A node takes its time to refuse a password: the look-up that met it may have been over before.
        self._say_if_refused(problem)
        self.counters.add(breaker_openings=1)
        self.breaker.probe_failed()

    def _run(self, payloads: bool, deadline: Deadline, ask: Callable[[Connection, Deadline], Result]) -> Result:
        """Runs `ask` on a connection, once more on a new one when it met one that was lost while it was idle."""
        for attempt in (0, 1):
            try:
                connection = self.pool.acquire(payloads, deadline)
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
                    self.pool.give_back(connection, payloads)
                    self.breaker.succeeded()
                    raise lost
                is_stale = connection.is_used and not deadline.moved and not isinstance(lost, TimedOut)
                self.pool.discard(connection, payloads, all_idle=is_stale)
                if is_stale and attempt == 0:
                    self.counters.add(retries=1)
                    continue
                self._fail(lost)
                raise lost from None
            except BaseException:
                # An interrupt in the middle of a reply: the rest of the stream belongs to nobody.
                self.pool.discard(connection, payloads)
                raise
            self.breaker.succeeded()
            self.pool.give_back(connection, payloads)
            return result
        raise AssertionError("not reached")

    def _fail(self, error: LarderError) -> None:
        if self.breaker.failed(isinstance(error, TimedOut) and error.silent):
            self.counters.add(breaker_openings=1)
            logger.warning("%s is not asked for a while: %s", self.endpoint, error)

    def note(self, error: LarderError) -> None:
        self.counters.add(**{error.code: 1})
        logger.debug("%s: %s", self.endpoint, error)
        self._say_if_refused(error)

    def _say_if_refused(self, error: LarderError) -> None:
        """Tells the operator what no waiting mends, once a minute."""
        now = time.monotonic()
        if error.code == "unauthorized" and now - self._refused_at > 60:
            self._refused_at = now
            logger.warning("%s refuses this client: %s", self.endpoint, error.message)

    def send(self, connection: Connection, ns: Namespace | None, pieces: list[Any], deadline: Deadline) -> bool:
        """Sends a request, behind the namespace's description where the connection has not told it; whether it did, and
        so its reply comes first."""
        describes = ns is not None and ns.id not in connection.described
        if describes:
            assert ns is not None
            pieces = [wire.request(b"KV.DESCRIBE", ns.canonical), *pieces]
        connection.stream.send(pieces, deadline)
        return describes

    def read_before(
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
            if str(wire.text(reply)).lower() != ns.id:
                raise violation("the node gives the namespace another name")
            connection.described.add(ns.id)

    def ask(self, connection: Connection, ns: Namespace | None, request: bytes, deadline: Deadline) -> Any:
        """Sends a request with a small reply, and gives that; an error that the node answers with is raised."""
        describes = self.send(connection, ns, [request], deadline)
        self.read_before(connection, ns, describes, deadline)
        reply = connection.stream.reply(deadline)
        if isinstance(reply, ErrorReply):
            raise reply.error()
        return reply

    def give_back(self, connection: Connection, ids: list[int]) -> None:
        """Ends leases and loans of a connection. Waits for nothing, never fails."""
        self.pool.release(connection, ids)

    def after_fork(self) -> None:
        """In a child process: locks that other threads of the parent held, and its probe, are not there."""
        self.counters.after_fork()
        self.breaker = CircuitBreaker(self._policy)
        self.pool.after_fork()
        self._helpers = Helpers(self._helpers.count)


def _forked() -> None:
    for link in list(_links):
        link.after_fork()


os.register_at_fork(after_in_child=_forked)
