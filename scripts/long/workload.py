"""What the long checks share: payloads that prove whose they are, a small RESP client, and verdicts.

Only the standard library. Sizes are bytes, times are seconds unless a name says otherwise.
"""

import hashlib
import json
import random
import select
import socket
import struct
import sys
import time

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

NAMESPACE = {
    "model": "check/llama-8b",
    "revision": "1",
    "dtype": "uint8",
    "layout": "opaque",
    "tokens_per_block": 16,
}


class Content:
    """The bytes a key must hold: a fast function of seed, key, version and size.

    Every 4 KiB page carries 16 bytes made from key, version and page number, and random bytes from a place of the
    base that depends on them too: a page, or half a page, of another block, of another version or from another place
    is seen. LZ4 finds nothing in it.
    """

    PAGE = 4 * KIB
    BASE = 8 * MIB

    def __init__(self, seed):
        self._base = random.Random(f"content {seed}").randbytes(self.BASE)
        self._salt = hashlib.blake2b(str(seed).encode(), digest_size=16).digest()

    def make(self, key, size, version=1):
        """The payload of `size` bytes."""
        stamp = self._stamp(key, version)
        place, step = struct.unpack_from("<QQ", stamp, 8)
        step |= 1
        body = self.PAGE - 16
        room = self.BASE - body
        base, label, pack = self._base, stamp[:8], struct.pack
        pages = []
        for page in range((size + self.PAGE - 1) // self.PAGE):
            start = ((place + page * step) & 0xFFFFFFFFFFFFFFFF) % room
            pages.append(label + pack("<Q", page) + base[start : start + body])
        return b"".join(pages)[:size]

    def fault(self, key, payload, size, version=1):
        """None when `payload` is right, else what is wrong with it, in words."""
        expected = self.make(key, size, version)
        if payload == expected:
            return None
        if len(payload) != size:
            return f"{len(payload)} bytes instead of {size}"
        first = next(i for i in range(0, size) if payload[i] != expected[i])
        wrong = sum(
            1
            for page in range(0, size, self.PAGE)
            if payload[page : page + self.PAGE] != expected[page : page + self.PAGE]
        )
        page = first // self.PAGE * self.PAGE
        return (
            f"first wrong byte at {first} of {size}, {wrong} wrong pages; that page begins "
            f"{bytes(payload[page:page + 24]).hex()} instead of {expected[page:page + 24].hex()}"
        )

    def size(self, key, smallest, largest, version=1):
        """A length between the two, each power of two as likely as the next; a function of key and version."""
        (bits,) = struct.unpack_from("<Q", self._stamp(key, version), 24)
        octave = random.Random(bits)
        low, high = smallest.bit_length() - 1, largest.bit_length() - 1
        power = octave.randint(low, high)
        return min(largest, max(smallest, octave.randint(1 << power, (2 << power) - 1)))

    def _stamp(self, key, version):
        return hashlib.blake2b(b"%d:%b" % (version, key), digest_size=32, key=self._salt).digest()


class ReplyError(Exception):
    """An error reply of the server."""


class Connection:
    """One RESP2 connection. Replies are bytes, bytearray, int, None, list or ReplyError; simple strings are bytes."""

    def __init__(self, address, timeout=30.0):
        """`address` is a TCP port on loopback, (host, port) or the path of a Unix socket; `timeout` bounds each wait."""
        if not isinstance(address, str):
            place = ("127.0.0.1", address) if isinstance(address, int) else address
            self._socket = socket.create_connection(place, timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(timeout)
            self._socket.connect(address)
        self._buffer = bytearray()
        self._start = 0

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def call(self, *parts):
        """Sends one command and returns its reply; an error reply is raised."""
        self.send(parts)
        reply = self.receive()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def pipeline(self, commands):
        """Sends all commands, then reads all replies; error replies are returned in their places.

        Requests are written before the first reply is read: keep one side of the exchange small.
        """
        self.send(*commands)
        return [self.receive() for _ in commands]

    def send(self, *commands):
        """Writes commands; each is a sequence of bytes, str or int."""
        small = bytearray()
        for parts in commands:
            small += b"*%d\r\n" % len(parts)
            for part in parts:
                if isinstance(part, str):
                    part = part.encode()
                elif isinstance(part, int):
                    part = b"%d" % part
                small += b"$%d\r\n" % len(part)
                if len(part) >= 64 * KIB:
                    self._socket.sendall(small)
                    self._socket.sendall(part)
                    small.clear()
                else:
                    small += part
                small += b"\r\n"
        if small:
            self._socket.sendall(small)

    def send_raw(self, data):
        self._socket.sendall(data)

    def receive(self):
        """Reads one reply."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else self._bulk(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self.receive() for _ in range(int(rest))]
        if kind == b"+":
            return bytes(rest)
        if kind == b":":
            return int(rest)
        if kind == b"-":
            return ReplyError(rest.decode(errors="replace"))
        if kind == b"_":
            return None
        raise ConnectionError(f"no RESP2 reply: {bytes(line[:40])!r}")

    def receive_available(self, quiet=0.2):
        """What arrives until nothing has come for `quiet` seconds or the peer closes; raw bytes."""
        taken = bytes(self._buffer[self._start :])
        self._buffer, self._start = bytearray(), 0
        while select.select([self._socket], [], [], quiet)[0]:
            more = self._socket.recv(1 << 16)
            if not more:
                break
            taken += more
        return taken

    def _line(self):
        while True:
            end = self._buffer.find(b"\r\n", self._start)
            if end >= 0:
                line = self._buffer[self._start : end]
                self._start = end + 2
                return line
            self._more()

    def _bulk(self, count):
        held = len(self._buffer) - self._start
        if held >= count + 2:
            payload = bytes(self._buffer[self._start : self._start + count])
            self._start += count + 2
            return payload
        payload = bytearray(count)
        held = min(held, count)
        payload[:held] = self._buffer[self._start : self._start + held]
        self._start += held
        with memoryview(payload) as view:
            while held < count:
                got = self._socket.recv_into(view[held:])
                if got == 0:
                    raise ConnectionError("the server closed the connection within a payload")
                held += got
        while len(self._buffer) - self._start < 2:
            self._more()
        self._start += 2
        return payload

    def _more(self):
        if self._start > 256 * KIB or self._start == len(self._buffer):
            del self._buffer[: self._start]
            self._start = 0
        received = self._socket.recv(256 * KIB)
        if not received:
            raise ConnectionError("the server closed the connection")
        self._buffer += received


class Blocks:
    """The KV verbs over one connection, within one namespace."""

    def __init__(self, connection, description=NAMESPACE):
        self.connection = connection
        self.namespace = bytes(connection.call("KV.DESCRIBE", json.dumps(description)))

    def put(self, blocks, durable=False, milliseconds=None, tokens=None, pinned=False):
        """Puts (key, payload) pairs; returns `stored`, `exists` or `refused ...` for each."""
        parts = ["KV.PUT", self.namespace]
        if milliseconds is not None:
            parts += ["TTL", milliseconds]
        if tokens is not None:
            parts += ["TOKENS", tokens]
        if pinned:
            parts.append("PIN")
        if durable:
            parts.append("DURABLE")
        parts += ["BLOCKS", len(blocks)]
        for key, payload in blocks:
            parts += [key, payload]
        return [
            reply if isinstance(reply, ReplyError) else bytes(reply).decode()
            for reply in self.connection.call(*parts)
        ]

    def get(self, keys):
        """The payload of each key, or None."""
        return self.connection.call("KV.GET", self.namespace, "KEYS", len(keys), *keys)

    def matched(self, keys, lease_milliseconds=0):
        """How many leading keys are held."""
        lease = ["LEASE", lease_milliseconds] if lease_milliseconds else []
        return self.connection.call("KV.MATCH", self.namespace, *lease, "KEYS", len(keys), *keys)[0]

    def delete(self, keys):
        return self.connection.call("KV.DEL", self.namespace, "KEYS", len(keys), *keys)

    def explain(self, key):
        """Why the key is not there, as the node tells it."""
        try:
            return repr(self.connection.call("KV.EXPLAIN", self.namespace, "KEYS", 1, key))
        except (ReplyError, OSError) as error:
            return f"no explanation: {error}"


class Verdict:
    """Counts violations, prints the first ones, and says the last line."""

    SHOWN = 20

    def __init__(self, name):
        self.name = name
        self.violations = 0
        self._started = time.monotonic()

    def violation(self, text):
        self.violations += 1
        if self.violations <= self.SHOWN:
            say(f"VIOLATION: {text}")
        elif self.violations == self.SHOWN + 1:
            say("VIOLATION: more of them, not shown")

    def expect(self, holds, text):
        """Counts a violation unless `holds`; returns `holds`."""
        if not holds:
            self.violation(text)
        return holds

    def finish(self, summary):
        """Prints the verdict; returns the exit status."""
        seconds = time.monotonic() - self._started
        word = "PASS" if self.violations == 0 else f"FAIL ({self.violations} violations)"
        say(f"{word}: {self.name}: {summary} [{seconds:.0f} s]")
        return 0 if self.violations == 0 else 1


def say(text):
    print(text, flush=True)


def byte_count(text):
    """Reads 64KiB, 2MiB, 1GiB, 512 for argparse."""
    for unit, factor in (("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("TiB", GIB << 10), ("B", 1), ("", 1)):
        if text.endswith(unit):
            number = text[: len(text) - len(unit)]
            return int(float(number) * factor)
    raise ValueError(text)


def in_units(count):
    """Bytes for people."""
    for unit, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(count) >= factor:
            return f"{count / factor:.2f} {unit}"
    return f"{count} B"


def percentile(values, share):
    """The value below which `share` of the values lie; 0 when there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def new_seed():
    """A seed for runs that name none; small enough to be typed again."""
    return random.SystemRandom().randrange(1 << 31)


def table(rows, out=sys.stdout):
    """Prints rows of texts in columns, the first one as head."""
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(str(cell).rjust(width) for cell, width in zip(row, widths)), file=out, flush=True)
