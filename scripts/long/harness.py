"""What the long runs share: a RESP connection, a node process, and blocks whose bytes follow from their key.

Standard library only. Everything happens on loopback, bounded in count and time.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time

MiB = 1 << 20
GiB = 1 << 30


class Violation(Exception):
    """The node broke a promise. Ends a run with status 1."""


class ServerError(Exception):
    """An error reply."""


class Connection:
    """One blocking RESP3 connection."""

    def __init__(self, port, timeout=30.0, hello=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        if hello:
            self.call("HELLO", "3")

    def close(self):
        self.socket.close()

    def call(self, *arguments):
        self.send(*arguments)
        return self.receive()

    def send(self, *arguments):
        parts = [b"*%d\r\n" % len(arguments)]
        for argument in arguments:
            if isinstance(argument, str):
                argument = argument.encode()
            elif isinstance(argument, int):
                argument = b"%d" % argument
            parts.append(b"$%d\r\n" % len(argument))
            parts.append(argument)
            parts.append(b"\r\n")
        # Large payloads go by themselves, so that nothing is copied together.
        head = bytearray()
        for part in parts:
            if len(part) > 65536:
                self.socket.sendall(head)
                self.socket.sendall(part)
                head = bytearray()
            else:
                head += part
        if head:
            self.socket.sendall(head)

    def receive(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise ServerError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        if kind in (b"$", b"="):
            return None if rest == b"-1" else self._exactly(int(rest))
        if kind in (b"*", b"~", b">"):
            if rest == b"-1":
                return None
            # Errors inside an array are values: the others are still to be read.
            return [self._element() for _ in range(int(rest))]
        if kind == b"%":
            return {self._text(self._element()): self._element() for _ in range(int(rest))}
        raise Violation("the reply begins with %r" % line[:40])

    def _element(self):
        try:
            return self.receive()
        except ServerError as error:
            return error

    @staticmethod
    def _text(value):
        return value.decode() if isinstance(value, (bytes, bytearray)) else value

    def _line(self):
        while True:
            end = self.buffer.find(b"\r\n")
            if end >= 0:
                line = bytes(self.buffer[:end])
                del self.buffer[: end + 2]
                return line
            self._fill()

    def _fill(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the node closed the connection")
        self.buffer += data

    def _exactly(self, count):
        result = bytearray(count)
        have = min(count, len(self.buffer))
        result[:have] = self.buffer[:have]
        del self.buffer[:have]
        view = memoryview(result)
        while have < count:
            got = self.socket.recv_into(view[have:])
            if not got:
                raise ConnectionError("the node closed the connection")
            have += got
        while len(self.buffer) < 2:
            self._fill()
        if self.buffer[:2] != b"\r\n":
            raise Violation("a payload is longer than its length says")
        del self.buffer[:2]
        return result


class Content:
    """Blocks whose bytes follow from seed and key: a head that names the key, and a slice of seeded noise."""

    def __init__(self, seed, noise_byte_count=32 * MiB):
        self.seed = seed
        self.noise = random.Random(seed).randbytes(noise_byte_count)

    def key(self, *parts):
        return ("%d/" % self.seed + "/".join(str(part) for part in parts)).encode()

    def payload(self, key, byte_count):
        digest = hashlib.sha256(b"%d:" % byte_count + key).digest()
        if byte_count <= 32:
            return digest[:byte_count]
        body = byte_count - 32
        offset = int.from_bytes(digest[:8], "little") % max(1, len(self.noise) - body)
        return digest + self.noise[offset : offset + body]

    def is_right(self, key, byte_count, payload):
        return payload == self.payload(key, byte_count)


class Node:
    """A node process on a free port of loopback."""

    def __init__(self, larder, log_path, *arguments):
        self.larder = larder
        self.log_path = log_path
        self.arguments = list(arguments)
        self.process = None
        self.port = None
        self.started_at = None

    def start(self, timeout=120.0):
        """Starts the node; returns seconds from the spawn to its ready line."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LARDER_")}
        position = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.started_at = time.monotonic()
            self.process = subprocess.Popen(
                [self.larder, "serve", "--port", "0", "--log-format", "json", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        while True:
            with open(self.log_path, "rb") as log:
                log.seek(position)
                for line in log:
                    if b'"message":"ready"' in line:
                        self.port = int(json.loads(line)["port"])
                        return time.monotonic() - self.started_at
            if self.process.poll() is not None:
                raise Violation("the node ended with status %d while starting; see %s" % (self.process.returncode, self.log_path))
            if time.monotonic() - self.started_at > timeout:
                raise Violation("the node was not ready after %d s; see %s" % (timeout, self.log_path))
            time.sleep(0.005)

    def connect(self, **options):
        return Connection(self.port, **options)

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def drain(self, timeout=120.0):
        """SIGTERM; a node that does not exit 0 in time broke its promise."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Violation("the node did not end within %d s of SIGTERM" % timeout)
        if status != 0:
            raise Violation("the node ended with status %d after SIGTERM; see %s" % (status, self.log_path))

    def resident_byte_count(self):
        with open("/proc/%d/status" % self.process.pid) as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return 0

    def written_byte_count(self):
        """Bytes that the process has sent towards the disk."""
        with open("/proc/%d/io" % self.process.pid) as counters:
            for line in counters:
                if line.startswith("write_bytes:"):
                    return int(line.split()[1])
        return 0


def describe(connection, **fields):
    """Registers a namespace; returns its identifier."""
    reply = connection.call("KV.DESCRIBE", json.dumps(fields))
    return reply.decode() if isinstance(reply, (bytes, bytearray)) else reply


def put(connection, namespace, blocks, *options):
    """Stores [(key, payload)]; returns a text per block: stored, exists, or refused and why."""
    arguments = ["KV.PUT", namespace, *options, "BLOCKS", len(blocks)]
    for key, payload in blocks:
        arguments += [key, payload]
    replies = connection.call(*arguments)
    return [text(reply) for reply in replies]


def get(connection, namespace, keys):
    """Payloads, or None where a key is not held."""
    return connection.call("KV.GET", namespace, "KEYS", len(keys), *keys)


def text(reply):
    if isinstance(reply, (bytes, bytearray)):
        return reply.decode(errors="replace")
    return str(reply)


def directory_byte_count(path):
    """(bytes in files, bytes of disk blocks) below a directory; files may go while this looks."""
    length = blocks = 0
    for parent, _, names in os.walk(path):
        for name in names:
            try:
                status = os.lstat(os.path.join(parent, name))
            except FileNotFoundError:
                continue
            length += status.st_size
            blocks += status.st_blocks * 512
    return length, blocks


def arguments(description, **defaults):
    """The options every run has, and those of this one: name=(default, help)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--larder", required=True, help="the larder executable")
    parser.add_argument("--work", required=True, help="an empty directory for data and logs")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"), help="repeats a run")
    for name, (default, help_text) in defaults.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default, help=help_text)
    return parser.parse_args()


def say(message):
    print(message, flush=True)


def run(main):
    """Runs main() and ends the process: 0, or 1 and one line about the promise that was broken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    try:
        main()
    except Violation as violation:
        say("FAILED: %s" % violation)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
