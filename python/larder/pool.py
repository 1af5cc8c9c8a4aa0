"""The connections of one client."""

from __future__ import annotations

import logging
import os
import threading

from . import wire
from .arena import VERSION, Arena, ArenaTable
from .connecting import Resolver, connect
from .connection import Connection, Stream
from .counters import Counters
from .deadline import Deadline
from .endpoint import Endpoint
from .errors import ConnectionLost, LarderError, TimedOut, violation
from .wire import ErrorReply

logger = logging.getLogger("larder")


class Pool:
    """At most `count` connections, made when they are wanted, lent to one call at a time.

    Where there are several, calls with payloads leave one to the others, so that a look-up never waits behind one.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        username: str | None,
        password: str | None,
        count: int,
        counters: Counters,
        attaches: bool,
    ) -> None:
        self.endpoint = endpoint
        self._username = username
        self._password = password
        self._count = count
        self._counters = counters
        self._attaches = attaches
        self._resolver = None if endpoint.is_unix else Resolver(endpoint.host, endpoint.port)
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition(threading.Lock())
        self.arenas = ArenaTable()
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._opening = 0
        self._busy_with_payloads = 0
        self._is_closed = False

    def after_fork(self) -> None:
        """In a child: what it inherited is its parent's; only its copies of the descriptors are closed."""
        inherited = [*self._idle, *self._busy]
        was_closed = self._is_closed
        self._reset()
        self._is_closed = was_closed
        if self._resolver:
            self._resolver = Resolver(self.endpoint.host, self.endpoint.port)
        for connection in inherited:
            connection.stream.close()

    # Lending

    def acquire(self, payloads: bool, deadline: Deadline) -> Connection:
        """A connection for one call; raises `LarderError`. It must be given back or discarded."""
        if self._pid != os.getpid():
            self.after_fork()
        connection = self._take(payloads, deadline)
        if connection is not None:
            return connection
        try:
            connection = self.open(deadline)
        except BaseException:
            with self._changed:
                self._busy_with_payloads -= payloads
                self._opening -= 1
                self._changed.notify()
            raise
        with self._changed:
            self._opening -= 1
            self._busy.add(connection)
        return connection

    def _take(self, payloads: bool, deadline: Deadline) -> Connection | None:
        """An idle connection, or None: room was made for a new one."""
        with self._changed:
            while True:
                if self._is_closed:
                    raise LarderError("closed", "the client was closed")
                used = len(self._busy) + self._opening
                if used < self._count and not (
                    payloads and self._busy_with_payloads >= max(1, self._count - 1)
                ):
                    break
                try:
                    left = deadline.remaining()
                except TimedOut:
                    raise LarderError(
                        "overloaded", f"all {self._count} connections were busy all the time"
                    ) from None
                self._changed.wait(left)
            self._busy_with_payloads += payloads
            while self._idle:
                connection = self._idle.pop()
                # Bytes that nobody asked for: the node has closed it, or something is wrong with it.
                if connection.owed_replies == 0 and connection.stream.has_input():
                    connection.stream.close()
                    continue
                connection.is_used = True
                self._busy.add(connection)
                return connection
            self._opening += 1
            return None

    def give_back(self, connection: Connection, payloads: bool) -> None:
        """The call is over and the stream is at the end of a reply."""
        self._flush(connection)
        with self._changed:
            self._busy.discard(connection)
            self._busy_with_payloads -= payloads
            if self._is_closed or not connection.stream.is_open or connection.pid != os.getpid():
                connection.stream.close()
            else:
                self._idle.append(connection)
            self._changed.notify()
        if connection.to_release:
            self.release(connection, [])

    def discard(self, connection: Connection, payloads: bool, all_idle: bool = False) -> None:
        """The connection is of no use any more; with `all_idle` those that wait go too, as they met the same end."""
        connection.stream.close()
        with self._changed:
            self._busy.discard(connection)
            self._busy_with_payloads -= payloads
            gone = self._idle if all_idle else []
            if all_idle:
                self._idle = []
            self._changed.notify()
        for other in gone:
            other.stream.close()

    # Giving leases back

    def release(self, connection: Connection, ids: list[int]) -> None:
        """Ends leases and loans over the connection that they belong to: now if it is idle, else when its call is over.
        Waits for nothing."""
        if connection.pid != os.getpid():
            return
        connection.to_release.extend(ids)
        with self._changed:
            if connection not in self._idle:
                return
            self._idle.remove(connection)
            self._busy.add(connection)
        self._flush(connection)
        with self._changed:
            self._busy.discard(connection)
            if connection.stream.is_open and not self._is_closed:
                self._idle.append(connection)
            self._changed.notify()

    def _flush(self, connection: Connection) -> None:
        """Sends what is to be given back. The replies are read over by the next call."""
        ids = connection.take_releases()
        if not ids or not connection.stream.is_open:
            return
        requests = b"".join(wire.request(b"KV.RELEASE", b"%d" % lease) for lease in ids)
        try:
            # A few bytes, which the system has room for; if not, the node does not read, and nobody waits for that.
            connection.stream.send([requests], Deadline(0.01))
            connection.owed_replies += len(ids)
        except LarderError:
            connection.stream.close()

    # Making

    def open(self, deadline: Deadline) -> Connection:
        """Connects and greets; raises `LarderError`."""
        sock = connect(self.endpoint, self._resolver, deadline)
        stream = Stream(sock)
        try:
            connection = Connection(stream)
            self._greet(stream, deadline)
            if self._attaches:
                connection.arena = self.attach(connection, False, deadline)
        except OSError as error:
            raise stream.lost(error) from None
        except BaseException:
            stream.close()
            raise
        self._counters.add(connects=1)
        return connection

    def _greet(self, stream: Stream, deadline: Deadline) -> None:
        words = [b"HELLO", b"3"]
        if self._password is not None:
            words += [b"AUTH", (self._username or "default").encode(), self._password.encode()]
        stream.send([wire.request(*words)], deadline)
        reply = stream.reply(deadline)
        # Without credentials, a server that knows no HELLO goes on in RESP2.
        if isinstance(reply, ErrorReply) and (self._password is not None or reply.is_refusal):
            raise LarderError("unauthorized", reply.text)

    def attach(self, connection: Connection, writable: bool, deadline: Deadline) -> Arena | None:
        """The node's memory; None from a node that does not share it, which is a node like any other."""
        stream = connection.stream
        stream.expect_descriptors()
        words = [b"KV.ATTACH", b"WRITE"] if writable else [b"KV.ATTACH"]
        stream.send([wire.request(*words)], deadline)
        reply = stream.reply(deadline)
        descriptors = stream.take_descriptors()
        try:
            is_answer = isinstance(reply, list) and len(reply) == 3 and all(type(n) is int for n in reply)
            if not is_answer or reply[0] != VERSION or bool(reply[2]) != writable or len(descriptors) != 1:
                return None
            return self.arenas.map(descriptors[0], reply[1], writable)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def probe(self, seconds: float) -> LarderError | None:
        """None when the node answers on a new connection, which is kept for the next call; else why it does not."""
        deadline = Deadline(seconds)
        connection = None
        problem: LarderError | None = None
        try:
            connection = self.open(deadline)
            connection.stream.send([wire.request(b"PING")], deadline)
            if connection.stream.reply(deadline) != "PONG":
                problem = violation("PING was not answered by PONG")
        except LarderError as error:
            problem = error
        except OSError as error:
            problem = ConnectionLost("unreachable", str(error))
        if connection is None:
            return problem
        with self._changed:
            keeps = (
                problem is None
                and not self._is_closed
                and self._pid == os.getpid()
                and len(self._idle) + len(self._busy) + self._opening < self._count
            )
            if keeps:
                self._idle.append(connection)
                self._changed.notify()
        if not keeps:
            connection.stream.close()
        return problem

    def close(self) -> None:
        """Ends the connections that wait; those that are lent end with their call."""
        with self._changed:
            self._is_closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for connection in idle:
            connection.stream.close()
