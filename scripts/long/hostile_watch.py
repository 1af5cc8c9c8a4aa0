"""What is measured while a node is attacked: another tenant's requests and the answers of its health, each by a process of
its own."""

import hashlib
import multiprocessing
import os
import random
import signal
import socket
import sys
import time

from hostile_peers import DATA, END_HEADERS, END_STREAM, GOAWAY, H2_PREFACE, HEADERS, h2_frame, h2_headers
from node import die_with_parent
from workload import KIB, Connection, Content, ReplyError

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

VICTIM, VICTIM_PASSWORD = "alpha", "only-for-this-check-a"
DESCRIPTION = {"model": "check/victim", "dtype": "uint8", "layout": "opaque", "tokens_per_block": 16}


class Sampler:
    """A process that measures until it is told to end, and then gives what it saw: (began, kind, seconds, problem)."""

    def __init__(self):
        context = multiprocessing.get_context("fork")
        self._pipe, sending = context.Pipe(duplex=False)
        self._stop = context.Event()
        self._ready = context.Event()
        self._process = context.Process(target=self._main, args=(sending,), daemon=True)
        self._process.start()
        sending.close()

    def wait_ready(self, timeout=60.0):
        if not self._ready.wait(timeout):
            raise RuntimeError("what measures does not begin: see above")

    def finish(self, timeout=60.0):
        """The samples; an error when the process ended by itself or hangs."""
        self._stop.set()
        if not self._pipe.poll(timeout):
            self._process.kill()
            raise RuntimeError("what measures hangs")
        try:
            samples = self._pipe.recv()
        except EOFError:
            raise RuntimeError("what measures has ended with an error: see above") from None
        self._process.join()
        return samples

    def kill(self):
        self._process.kill()
        self._process.join()

    def _main(self, pipe):
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            os.nice(-10)  # what it measures is the node, not its own place in the queue
        except OSError:
            pass
        samples = []
        self.measure(samples)
        pipe.send(samples)

    def measure(self, samples):
        raise NotImplementedError


class Victim(Sampler):
    """A tenant that replays prompts with the Python client: match under a lease, get, put what is new.

    Prompts are as in traces: few are asked for often, a fifth are new. What was stored has to be found and right.
    """

    LENGTH, COUNT, SIZE, LEASE = 8, 64, 64 * KIB, 5_000
    #: Blocks of new prompts are smaller, so that they fit however long it runs.
    FRESH_SIZE = 8 * KIB

    def __init__(self, port, seed, rate, reader=False):
        """`reader`: asks as a user who may not write once it has stored its prompts."""
        self.port, self.seed, self.rate, self.reader = port, seed, rate, reader
        super().__init__()

    def measure(self, samples):
        from larder import Client

        self.random = random.Random(f"{self.seed} victim")
        self.content = Content(self.seed)
        # A long deadline and no breaker: a slow answer is to be seen as one, not as a miss.
        with Client(
            f"127.0.0.1:{self.port}", VICTIM, VICTIM_PASSWORD, deadline=20.0, shared_memory=False, breaker=None
        ) as client:
            self.client, self.space = client, client.describe(DESCRIPTION)
            for number in range(self.COUNT):
                self._store(number, self.SIZE)
            self._ready.set()
            if self.reader:
                client = Client(f"127.0.0.1:{self.port}", "reader", VICTIM_PASSWORD, shared_memory=False, breaker=None)
                self.client = client
            began, steps, fresh = time.monotonic(), 0, 0
            while not self._stop.is_set():
                started = time.monotonic()
                if self.random.random() < 0.2:
                    fresh += 1
                    problem, kind = self._store(f"fresh {fresh}", self.FRESH_SIZE), "put"
                else:
                    share = 5 if self.random.random() < 0.8 else 1
                    problem, kind = self._load(self.random.randrange(self.COUNT // share)), "load"
                samples.append((started, kind, time.monotonic() - started, problem))
                steps += 1
                ahead = steps / self.rate - (time.monotonic() - began)
                if ahead > 0:
                    time.sleep(ahead)
                elif ahead < -1:
                    began, steps = time.monotonic(), 0  # it was held up: it does not catch up

    def _keys(self, number):
        return [
            hashlib.blake2b(f"{self.seed} {number} {index}".encode(), digest_size=32).digest()
            for index in range(self.LENGTH)
        ]

    def _store(self, number, size):
        keys = self._keys(number)
        results = self.client.put_from(self.space, keys, [self.content.make(key, size) for key in keys])
        refused = [result.reason for result in results if not result]
        return f"{len(refused)} blocks refused: {refused[0]}" if refused else None

    def _load(self, number):
        keys = self._keys(number)
        with self.client.match(self.space, keys, lease_ms=self.LEASE) as held:
            if held.error is not None:
                return f"match: {held.error}"
            if held.count < len(keys):
                return f"{held.count} of {len(keys)} stored blocks matched"
            payloads = self.client.get_many(self.space, keys)
        missed = sum(payload is None for payload in payloads)
        if missed:
            return f"{missed} stored blocks missed under a lease"
        for key, payload in zip(keys, payloads):
            fault = self.content.fault(key, payload, self.SIZE)
            if fault:
                return f"WRONG BYTES: {fault}"
        return None


class Health(Sampler):
    """Asks for health as a probe does, each time by a new connection: `health` of gRPC, and PING after a password.

    Users that log in for the first time come between, each once: their passwords have to be checked.
    """

    EACH, TIMEOUT = 0.1, 5.0

    def __init__(self, redis_port, control_port, operator, newcomers, verdict_delay):
        self.redis_port, self.control_port, self.operator = redis_port, control_port, operator
        self.newcomers, self.verdict_delay = list(newcomers), verdict_delay
        super().__init__()

    def measure(self, samples):
        self._ready.set()
        started_at, turn = time.monotonic(), 0
        while not self._stop.is_set():
            turn += 1
            self._sample(samples, "health", self._health)
            self._sample(samples, "ping", lambda: self._ping(*self.operator))
            if turn % 20 == 0 and self.newcomers and time.monotonic() - started_at > self.verdict_delay:
                self._sample(samples, "newcomer", lambda: self._ping(*self.newcomers.pop()))
            time.sleep(self.EACH)

    def _sample(self, samples, kind, work):
        began = time.monotonic()
        try:
            problem = work()
        except (OSError, ReplyError) as error:
            problem = f"{type(error).__name__}: {error}"
        samples.append((began, kind, time.monotonic() - began, problem))

    def _ping(self, name, password):
        with Connection(self.redis_port, timeout=self.TIMEOUT) as connection:
            connection.call("AUTH", name, password)
            return None if connection.call("PING") == b"PONG" else "PING was answered otherwise"

    def _health(self):
        with socket.create_connection(("127.0.0.1", self.control_port), self.TIMEOUT) as connection:
            connection.sendall(
                H2_PREFACE + h2_frame(HEADERS, END_HEADERS, 1, h2_headers("/grpc.health.v1.Health/Check"))
                + h2_frame(DATA, END_STREAM, 1, bytes(5))
            )
            file = connection.makefile("rb")
            end = time.monotonic() + self.TIMEOUT
            while time.monotonic() < end:
                head = file.read(9)
                if len(head) < 9:
                    return "the connection was closed"
                payload = file.read(int.from_bytes(head[:3], "big"))
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
                if kind == DATA and stream == 1 and payload:
                    return None if payload[5:] == b"\x08\x01" else f"not serving: {payload.hex()}"
                if kind == GOAWAY:
                    return "the connection was told to go away"
                if kind == HEADERS and stream == 1 and flags & END_STREAM:
                    return "an error instead of an answer"
            return "no answer"
