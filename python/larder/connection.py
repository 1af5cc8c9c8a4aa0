"""One stream to a node: bytes out, replies in, every wait bounded by the call's deadline."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections import deque
from typing import Any

from .arena import Arena
from .deadline import Deadline
from .errors import ConnectionLost, violation
from .limits import (
    PAYLOAD_BYTES_MAX,
    REPLY_BULK_BYTES_MAX,
    REPLY_BYTES_MAX,
    REPLY_DEPTH_MAX,
    REPLY_ELEMENTS_MAX,
    REPLY_LINE_BYTES_MAX,
)
from .wire import ErrorReply

_BUFFER_BYTES = 64 << 10
#: A payload from this length on is received into its place by calls of its own, bytes.
DIRECT_BYTES_MIN = 16 << 10
#: What is read at once where the next bytes may be a large payload's: what is read too far must be copied.
_HEADER_BYTES = 64
_SEND_PIECES_MAX = 512
_DESCRIPTORS_MAX = 4
_AT_ONCE = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_TIMEVAL = struct.Struct("@ll")


class Stream:
    """A connected socket with a small buffer for what is no payload.

    Not for several threads at once. Whatever raises `ConnectionLost` leaves it closed.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        self.sock = sock
        self.is_unix = sock.family == socket.AF_UNIX
        self._fd = sock.fileno()
        self._readable = select.poll()
        self._readable.register(self._fd, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(self._fd, select.POLLOUT)
        self._memory = bytearray(_BUFFER_BYTES)
        self._buffer = memoryview(self._memory)
        self._start = 0
        self._end = 0
        self._descriptors: list[int] | None = None

    # Sending

    def send(self, pieces: list[Any], deadline: Deadline) -> None:
        """Sends all pieces."""
        views = [piece if isinstance(piece, memoryview) else memoryview(piece) for piece in pieces]
        first = 0
        try:
            # What is small is taken at once, and of what is large a good part.
            flags: int = _AT_ONCE
            while first < len(views):
                try:
                    sent = self.sock.sendmsg(views[first : first + _SEND_PIECES_MAX], (), flags)
                except BlockingIOError:
                    sent = 0
                while first < len(views) and sent >= len(views[first]):
                    sent -= len(views[first])
                    first += 1
                if first < len(views):
                    views[first] = views[first][sent:]
                    flags = self._wait_to_send(deadline)
        except OSError as error:
            raise self.lost(error) from None
        except ConnectionLost:
            self.close()
            raise

    def _wait_to_send(self, deadline: Deadline) -> int:
        """Waits until the system takes more; with what flags to give it."""
        _wait(self._writable, deadline)
        if self.is_unix:
            # Its timeout begins anew with every piece that it takes.
            return _AT_ONCE
        # TCP's is for the whole call: the kernel may wait for the reader as long as we would.
        self._set_timeout(socket.SO_SNDTIMEO, deadline)
        return socket.MSG_NOSIGNAL

    # Receiving

    def _wait_for_much(self, deadline: Deadline) -> None:
        """Waits for bytes, and tells the kernel the rest of the deadline, for a call that waits for all of them."""
        _wait(self._readable, deadline)
        self._set_timeout(socket.SO_RCVTIMEO, deadline)

    def _set_timeout(self, option: int, deadline: Deadline) -> None:
        # Never 0, which would be for ever.
        seconds, microseconds = divmod(int(deadline.remaining() * 1e6) or 1, 1_000_000)
        self.sock.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(seconds, microseconds))

    def _fill(self, deadline: Deadline, ahead: int) -> None:
        """Reads some more into the buffer, at most `ahead` bytes."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            rest = bytes(self._buffer[self._start : self._end])
            if len(rest) == len(self._buffer):
                raise violation("a line of a reply is too long")
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        place = self._buffer[self._end : self._end + ahead]
        _wait(self._readable, deadline)
        try:
            if self._descriptors is None:
                count = self.sock.recv_into(place, 0, socket.MSG_DONTWAIT)
            else:
                count = self._receive_descriptors(place)
        except BlockingIOError:
            return
        if count == 0:
            raise ConnectionLost("unreachable", "the node closed the connection")
        deadline.moved = True
        self._end += count

    def _receive_descriptors(self, place: memoryview) -> int:
        data, descriptors, _, _ = socket.recv_fds(
            self.sock, len(place), _DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
        )
        assert self._descriptors is not None
        self._descriptors += descriptors
        place[: len(data)] = data
        return len(data)

    def receive_into(self, place: memoryview, deadline: Deadline) -> None:
        """Fills `place` with the next bytes."""
        size = len(place)
        filled = min(size, self._end - self._start)
        if filled:
            place[:filled] = self._buffer[self._start : self._start + filled]
            self._start += filled
        while filled < size:
            self._wait_for_much(deadline)
            try:
                count = self.sock.recv_into(place[filled:], 0, socket.MSG_WAITALL)
            except BlockingIOError:
                continue
            if count == 0:
                raise ConnectionLost("unreachable", "the node closed the connection in the middle of a payload")
            deadline.moved = True
            filled += count

    def receive(self, size: int, deadline: Deadline) -> bytes:
        """The next `size` bytes. The memory is the system's to commit as bytes come: an announced length is no use of
        memory by itself."""
        pieces = []
        buffered = min(size, self._end - self._start)
        if buffered:
            pieces.append(bytes(self._buffer[self._start : self._start + buffered]))
            self._start += buffered
        left = size - buffered
        while left:
            self._wait_for_much(deadline)
            try:
                piece = self.sock.recv(left, socket.MSG_WAITALL)
            except BlockingIOError:
                continue
            if not piece:
                raise ConnectionLost("unreachable", "the node closed the connection in the middle of a payload")
            deadline.moved = True
            pieces.append(piece)
            left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def skip(self, size: int, deadline: Deadline) -> None:
        """Reads `size` bytes over."""
        buffered = min(size, self._end - self._start)
        self._start += buffered
        size -= buffered
        if size:
            scratch = memoryview(bytearray(min(size, 256 << 10)))
            while size:
                place = scratch[: min(size, len(scratch))]
                self.receive_into(place, deadline)
                size -= len(place)

    def line(self, deadline: Deadline, ahead: int = _BUFFER_BYTES) -> bytes:
        """The next line, without its end."""
        searched = self._start
        while True:
            found = self._memory.find(b"\r\n", searched, self._end)
            if found >= 0:
                line = bytes(self._buffer[self._start : found])
                self._start = found + 2
                if not line:
                    raise violation("an empty line")
                return line
            if self._end - self._start > REPLY_LINE_BYTES_MAX:
                raise violation("a line of a reply is too long")
            unread = self._end - self._start
            self._fill(deadline, ahead)
            searched = max(self._start, self._start + unread - 1)

    def end_of_payload(self, deadline: Deadline) -> None:
        """Reads the two bytes after a payload."""
        while self._end - self._start < 2:
            self._fill(deadline, _HEADER_BYTES)
        if self._memory[self._start] != 13 or self._memory[self._start + 1] != 10:
            raise violation("a payload is longer than was announced")
        self._start += 2

    def payload_length(self, deadline: Deadline, expected: int = 0) -> int | ErrorReply | None:
        """The length of the payload that follows, None where there is none, or the error in its place."""
        line = self.line(deadline, _HEADER_BYTES if expected >= DIRECT_BYTES_MIN else _BUFFER_BYTES)
        kind = line[:1]
        if kind == b"$":
            if line == b"$-1":
                return None
            size = number(line[1:])
            if not 0 <= size <= PAYLOAD_BYTES_MAX:
                raise violation(f"a payload of {size} bytes")
            return size
        if line in (b"_", b"*-1"):
            return None
        if kind == b"-":
            return ErrorReply(line[1:].decode("utf-8", "replace"))
        raise violation("a load was answered by something else than payloads")

    def array_length(self, deadline: Deadline, expected: int, ahead: int = 0) -> ErrorReply | None:
        """Reads the start of an array that must have `expected` elements; the error that came instead, if one did."""
        line = self.line(deadline, _HEADER_BYTES if ahead >= DIRECT_BYTES_MIN else _BUFFER_BYTES)
        if line[:1] == b"-":
            return ErrorReply(line[1:].decode("utf-8", "replace"))
        if line[:1] != b"*" or number(line[1:]) != expected:
            raise violation(f"a request of {expected} keys was answered by something else")
        return None

    def reply(self, deadline: Deadline) -> Any:
        """One whole small reply: str, bytes, int, float, bool, None, list, dict or `ErrorReply`."""
        budget = [REPLY_ELEMENTS_MAX, REPLY_BYTES_MAX]
        return self._value(deadline, REPLY_DEPTH_MAX, budget)

    def _value(self, deadline: Deadline, depth: int, budget: list[int]) -> Any:
        budget[0] -= 1
        if budget[0] < 0:
            raise violation("a reply has too many elements")
        line = self.line(deadline)
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode("utf-8", "replace")
        if kind == b":":
            return number(rest)
        if kind == b"-":
            return ErrorReply(rest.decode("utf-8", "replace"))
        if kind in (b"$", b"=", b"!"):
            size = number(rest)
            if size == -1:
                return None
            budget[1] -= size
            if not 0 <= size <= REPLY_BULK_BYTES_MAX or budget[1] < 0:
                raise violation(f"a string of {size} bytes")
            text = self.receive(size, deadline)
            self.end_of_payload(deadline)
            return ErrorReply(text.decode("utf-8", "replace")) if kind == b"!" else text
        if kind in (b"*", b"~", b">", b"%"):
            count = number(rest)
            if count == -1 and kind == b"*":
                return None
            if not 0 <= count <= budget[0] or depth == 0:
                raise violation("a reply is too deep or has too many elements")
            if kind == b"%":
                pairs = {}
                for _ in range(count):
                    name = self._value(deadline, depth - 1, budget)
                    if not isinstance(name, (bytes, str, int, float, bool)):
                        raise violation("a map's name is no simple value")
                    pairs[name] = self._value(deadline, depth - 1, budget)
                return pairs
            return [self._value(deadline, depth - 1, budget) for _ in range(count)]
        if kind == b"_" and not rest:
            return None
        if kind == b",":
            try:
                return float(rest)
            except ValueError:
                raise violation("a number that is none") from None
        if kind == b"#" and rest in (b"t", b"f"):
            return rest == b"t"
        raise violation("bytes that are no reply")

    # Descriptors

    def expect_descriptors(self) -> None:
        """From here on descriptors that come are kept, until `take_descriptors`."""
        self._descriptors = []

    def take_descriptors(self) -> list[int]:
        """What came; the caller closes them."""
        descriptors, self._descriptors = self._descriptors or [], None
        return descriptors

    # The end

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    def hung_up(self) -> bool:
        """Whether the other side has gone, as far as this side has heard; asks the system, waits for nothing."""
        fd = self._fd
        if fd < 0:
            return True
        poll = select.poll()
        poll.register(fd, select.POLLRDHUP)
        return bool(poll.poll(0))

    def has_input(self) -> bool:
        """Whether there is something to read that nobody has asked for, or the connection is over."""
        return self._start != self._end or bool(self._readable.poll(0))

    def lost(self, error: OSError) -> ConnectionLost:
        """Closes the stream; what to raise."""
        self.close()
        return ConnectionLost(
            "unreachable", f"the connection was lost: {os.strerror(error.errno or errno.EIO)}"
        )

    def close(self) -> None:
        """Closes the socket; no harm when it is closed."""
        self._fd = -1
        self.sock.close()
        for descriptor in self.take_descriptors():
            os.close(descriptor)


def _wait(poll: select.poll, deadline: Deadline) -> None:
    """Waits for an event."""
    while not poll.poll(deadline.remaining() * 1000):
        pass


def number(text: bytes) -> int:
    """A decimal integer of at most 64 bits, as the protocol writes it."""
    digits = text[1:] if text[:1] in (b"-", b"+") else text
    if not digits.isdigit() or len(digits) > 20:
        raise violation("a length or number that is none")
    return int(text)


class Connection:
    """A stream with what the node and the client have agreed on over it."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.pid = os.getpid()
        #: Identifiers of the namespaces that were described on it.
        self.described: set[str] = set()
        #: The node's memory for reading, and for writing, as this connection was given it.
        self.arena: Arena | None = None
        self.writable_arena: Arena | None = None
        self.asked_for_writing = False
        #: Replies that nobody waits for, to be read over before the next that somebody does.
        self.owed_replies = 0
        #: Whether it served a call before the one that has it now.
        self.is_used = False
        #: Leases and loans to give back when it is free; any thread may end one, at any moment.
        self.to_release: deque[int] = deque()

    def take_releases(self) -> list[int]:
        """Leases and loans to be given back now."""
        ids = []
        while self.to_release:
            ids.append(self.to_release.popleft())
        return ids

    @property
    def is_live(self) -> bool:
        """Whether what was leased and lent over it still holds."""
        return self.stream.is_open and self.pid == os.getpid() and not self.stream.hung_up()
