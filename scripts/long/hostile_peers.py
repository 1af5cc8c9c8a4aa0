"""Many connections that behave badly, in one process: a swarm of peers over epoll.

Only the standard library, and only towards loopback. What a swarm connects and sends is bounded: each peer connects again
at most `again` times, and a swarm ends at its time.
"""

import base64
import errno
import os
import select
import socket
import struct
import time

#: Attackers come from an address of their own, as another host would.
ATTACKER_ADDRESS = "127.0.0.66"


def command(*parts):
    """One request of the Redis protocol."""
    out = bytearray(b"*%d\r\n" % len(parts))
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        out += b"$%d\r\n%b\r\n" % (len(data), data)
    return bytes(out)


class Peer:
    """One connection that sends `opening`, then `request`, at a pace of its own; with `repeats` again whenever so many lines
    have been answered, so that it never has more than one request under way."""

    CLOSED, CLOSE_WAIT = 7, 8

    def __init__(self, port, opening=b"", request=b"", repeats=0, read_rate=None, send_rate=None, again=20):
        """Rates are bytes a second, None for as fast as it goes; a read rate of 0 never reads. `again` is how often it
        connects after the server has closed it."""
        self.port, self.opening, self.request = port, opening, request
        self.repeats, self.read_rate, self.send_rate, self.again = repeats, read_rate, send_rate, again
        self.socket = None
        self.waits_until = 0.0

    def connect(self):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.bind((ATTACKER_ADDRESS, 0))
        if self.read_rate is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.out = memoryview(self.opening + self.request)
        #: From here on the send rate holds: what comes before goes as fast as it can.
        self.fast = len(self.opening)
        self.allowed_in = self.allowed_out = 0.0
        self.sent = self.lines = 0
        #: The first request is answered after what came before it.
        self.awaited = self.repeats + (1 if self.opening else 0)
        error = self.socket.connect_ex(("127.0.0.1", self.port))
        return error in (0, errno.EINPROGRESS)

    @property
    def is_paced(self):
        return self.read_rate is not None or self.send_rate is not None

    def is_closed(self):
        """Whether the server has closed it, also when what it sent before is not read."""
        state = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return state in (self.CLOSED, self.CLOSE_WAIT)

    def may_send(self):
        if self.send_rate is None or self.sent < self.fast:
            return len(self.out)
        return min(len(self.out), int(self.allowed_out))

    def send(self):
        """Sends what may be sent now; returns the count of bytes."""
        count = self.may_send()
        if self.send_rate is not None and self.sent < self.fast:
            count = self.fast - self.sent
        if count <= 0:
            return 0
        done = self.socket.send(self.out[: min(count, 1 << 18)])
        if self.send_rate is not None and self.sent >= self.fast:
            self.allowed_out -= done
        self.out = self.out[done:]
        self.sent += done
        return done

    def receive(self):
        """Takes what may be taken now; returns the bytes, b"" when the server has closed, None when nothing may be."""
        count = 1 << 16 if self.read_rate is None else min(1 << 16, int(self.allowed_in))
        if count <= 0:
            return None
        data = self.socket.recv(count)
        self.allowed_in -= len(data)
        return data

    def took(self, data):
        """After something was received: what is to be sent next is put in `out`."""
        if not self.repeats:
            return
        self.lines += data.count(b"\n")
        if self.lines >= self.awaited and not self.out:
            self.lines, self.awaited = 0, self.repeats
            self.out = memoryview(self.request)

    def tick(self, seconds):
        if self.send_rate is not None:
            self.allowed_out = min(self.allowed_out + self.send_rate * seconds, 1 << 18)
        if self.read_rate is not None:
            self.allowed_in = min(self.allowed_in + self.read_rate * seconds, 1 << 18)


def h2_frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def h2_headers(path, user=None):
    """A block of header fields for a call of gRPC: literals without index and without Huffman's code."""
    fields = [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "larder"), ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    if user is not None:
        fields.append(("authorization", "Basic " + base64.b64encode(user.encode()).decode()))
    block = bytearray()
    for name, value in fields:
        if max(len(name), len(value)) > 126:
            raise ValueError("longer texts need another form of length")
        block += bytes((0, len(name))) + name.encode() + bytes((len(value),)) + value.encode()
    return bytes(block)


H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0)
DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1


class CallPeer(Peer):
    """Calls of gRPC on one connection, each of which announces a message and never ends it.

    `message` is how many bytes each call announces; all but the last one are sent, as the server's windows allow. Without
    one there are headers alone.
    """

    def __init__(self, port, path, calls, message=0, user=None, again=20):
        super().__init__(port, again=again)
        self.path, self.calls, self.message, self.user = path, calls, message, user

    def connect(self):
        self.opening = H2_PREFACE
        block = h2_headers(self.path, self.user)
        self.streams = list(range(1, 2 * self.calls, 2))
        self.opening += b"".join(h2_frame(HEADERS, END_HEADERS, stream, block) for stream in self.streams)
        self.window, self.window_each, self.windows = 65_535, 65_535, {}
        self.left = {stream: 5 + self.message - 1 for stream in self.streams} if self.message else {}
        self.buffer = bytearray()
        begun = super().connect()
        self.fill()
        return begun

    def fill(self):
        """Messages up to what the windows allow."""
        out = bytearray()
        for stream, left in list(self.left.items()):
            room = min(self.window, self.windows.get(stream, self.window_each), 16_384, left)
            if room <= 0 or len(out) > 1 << 18:
                continue
            begins = left == 5 + self.message - 1
            body = (b"\0" + struct.pack(">I", self.message) + bytes(room))[:room] if begins else bytes(room)
            out += h2_frame(DATA, 0, stream, body)
            self.window -= room
            self.windows[stream] = self.windows.get(stream, self.window_each) - room
            self.left[stream] = left - room
        if out:
            self.out = memoryview(bytes(self.out) + bytes(out))

    def took(self, data):
        self.buffer += data
        replies = bytearray()
        while len(self.buffer) >= 9:
            length = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + length:
                break
            kind, flags = self.buffer[3], self.buffer[4]
            stream = int.from_bytes(self.buffer[5:9], "big") & 0x7FFFFFFF
            payload = bytes(self.buffer[9 : 9 + length])
            del self.buffer[: 9 + length]
            if kind == SETTINGS and not flags & ACK:
                for place in range(0, length, 6):
                    name, value = struct.unpack_from(">HI", payload, place)
                    if name == 4:
                        self.window_each = value
                replies += h2_frame(SETTINGS, ACK, 0)
            elif kind == PING and not flags & ACK:
                replies += h2_frame(PING, ACK, 0, payload)
            elif kind == WINDOW_UPDATE:
                (more,) = struct.unpack(">I", payload)
                if stream == 0:
                    self.window += more
                else:
                    self.windows[stream] = self.windows.get(stream, self.window_each) + more
        if replies:
            self.out = memoryview(bytes(self.out) + bytes(replies))
        self.fill()


class Swarm:
    """Peers until a moment; what they did is in `deeds`."""

    TICK = 0.05
    #: Connections begun in one tick: a crowd comes within seconds, and the server's queue of new ones holds them.
    CONNECTS_PER_TICK = 200

    def __init__(self, peers):
        self.peers = peers
        self.poll = select.epoll()
        self.by_descriptor = {}
        self.deeds = {"connected": 0, "closed by the node": 0, "sent": 0, "received": 0, "open at most": 0}

    def run(self, end, stops):
        """Until the monotonic time `end`, or until `stops()`."""
        waiting = list(self.peers)
        paced_at = time.monotonic()
        while time.monotonic() < end and not stops():
            now = time.monotonic()
            for peer in waiting[: self.CONNECTS_PER_TICK]:
                self._connect(peer, now)
            del waiting[: self.CONNECTS_PER_TICK]
            for descriptor, events in self.poll.poll(self.TICK):
                self._serve(self.by_descriptor[descriptor], events)
            now = time.monotonic()
            if now - paced_at >= self.TICK:
                for peer in self.peers:
                    if peer.socket is None:
                        if peer.again > 0 and 0 < peer.waits_until <= now:
                            peer.again -= 1
                            peer.waits_until = 0
                            waiting.append(peer)
                    elif peer.is_paced:
                        peer.tick(now - paced_at)
                        if peer.is_closed():
                            self.deeds["closed by the node"] += 1
                            self._drop(peer, now)
                            continue
                        self._serve(peer, select.EPOLLIN | select.EPOLLOUT)
                paced_at = now
        for peer in self.peers:
            if peer.socket is not None:
                peer.socket.close()

    def _connect(self, peer, now):
        if not peer.connect():
            self._drop(peer, now)
            return
        self.by_descriptor[peer.socket.fileno()] = peer
        self.deeds["connected"] += 1
        self.deeds["open at most"] = max(self.deeds["open at most"], len(self.by_descriptor))
        if not peer.is_paced:
            self.poll.register(peer.socket, select.EPOLLIN | (select.EPOLLOUT if peer.out else 0))

    def _serve(self, peer, events):
        try:
            if events & select.EPOLLOUT and peer.out:
                self.deeds["sent"] += peer.send()
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                data = peer.receive()
                if data == b"":
                    raise ConnectionResetError("closed by the node")
                if data:
                    self.deeds["received"] += len(data)
                    peer.took(data)
            if not peer.is_paced:
                self.poll.modify(peer.socket, select.EPOLLIN | (select.EPOLLOUT if peer.out else 0))
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                return
            self.deeds["closed by the node"] += 1
            self._drop(peer, time.monotonic())

    def _drop(self, peer, now):
        self.by_descriptor.pop(peer.socket.fileno(), None)
        peer.socket.close()
        peer.socket = None
        peer.waits_until = now + 0.2


def raise_descriptor_limit(count):
    """Lets this process have so many descriptors open; returns how many it may."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(hard, count) if os.geteuid() == 0 else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, max(count, soft)), wanted))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
