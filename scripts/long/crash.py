"""kill -9 under four writers, round after round: nothing acknowledged as DURABLE is lost, no wrong byte is served.

Before the rounds the node takes many small blocks and is stopped in order; after each round it is started again, and
the time from the start of the process to the first hit is measured.
"""

import os
import random
import threading
import time

from harness import Content, MiB, Node, ServerError, Violation, arguments, describe, get, put, run, say

WRITER_COUNT = 4


class Ledger:
    """What the writers know: blocks acknowledged as durable, and blocks that may be there or not."""

    def __init__(self):
        self.lock = threading.Lock()
        self.durable = []
        self.volatile = []

    def add(self, durable, blocks):
        with self.lock:
            (self.durable if durable else self.volatile).extend(blocks)


def write(node, namespace, content, seed, round_number, writer, ledger, stop):
    """Writes until the node dies; every other batch is DURABLE."""
    generator = random.Random("%d/%d/%d" % (seed, round_number, writer))
    try:
        connection = node.connect(timeout=10)
        describe(connection, model="crash")
        number = 0
        while not stop.is_set():
            durable = generator.random() < 0.5
            blocks = []
            for _ in range(generator.randint(1, 4)):
                key = content.key(round_number, writer, number)
                byte_count = generator.choice((generator.randint(1, 4096), generator.randint(4096, 262144)))
                blocks.append((key, byte_count))
                number += 1
            outcomes = put(
                connection, namespace, [(key, content.payload(key, size)) for key, size in blocks],
                *(["DURABLE"] if durable else []),
            )
            kept = [block for block, outcome in zip(blocks, outcomes) if outcome in ("stored", "exists")]
            ledger.add(durable, kept)
    except (OSError, ConnectionError, ServerError):
        pass


def fill(connection, namespace, content, count, byte_count):
    """Stores many small blocks."""
    keys = [content.key("small", index) for index in range(count)]
    for start in range(0, count, 512):
        batch = [(key, content.payload(key, byte_count)) for key in keys[start : start + 512]]
        refused = [outcome for outcome in put(connection, namespace, batch) if outcome not in ("stored", "exists")]
        if refused:
            raise Violation("a small block was refused: %s" % refused[0])
    return [(key, byte_count) for key in keys]


def verify(connection, namespace, content, blocks, must_be_there):
    """Reads blocks; returns how many were there."""
    found = 0
    for start in range(0, len(blocks), 64):
        batch = blocks[start : start + 64]
        for (key, byte_count), payload in zip(batch, get(connection, namespace, [key for key, _ in batch])):
            if payload is None:
                if must_be_there:
                    raise Violation("the durable block %s is gone" % key.decode())
                continue
            if not content.is_right(key, byte_count, payload):
                raise Violation("the block %s came back with wrong bytes" % key.decode())
            found += 1
    return found


def first_hit(node, namespace, key):
    """Seconds from the start of the process to the first block read."""
    connection = node.connect()
    describe(connection, model="crash")
    while True:
        if get(connection, namespace, [key])[0] is not None:
            return time.monotonic() - node.started_at, connection
        if time.monotonic() - node.started_at > 60:
            raise Violation("no hit within 60 s of the restart")
        time.sleep(0.002)


def main():
    options = arguments(
        __doc__,
        rounds=(100, "kill -9 this often"),
        small_blocks=(200_000, "small blocks stored before the rounds"),
        small_bytes=(1024, "bytes of each of them"),
        clean_limit=(2.0, "seconds to the first hit after an orderly stop"),
        crash_limit=(10.0, "seconds to the first hit after kill -9"),
        memory=("64MiB", "the node's RAM"),
        disk=("32GiB", "the node's disk budget"),
    )
    say("seed %d, %d rounds, %d small blocks" % (options.seed, options.rounds, options.small_blocks))
    content = Content(options.seed)
    generator = random.Random(options.seed)
    node = Node(
        options.larder, os.path.join(options.work, "node.log"), "--data-dir", os.path.join(options.work, "data"),
        "--memory", options.memory, "--disk", options.disk, "--drain-timeout", "120s",
    )
    try:
        node.start()
        connection = node.connect()
        namespace = describe(connection, model="crash")
        small = fill(connection, namespace, content, options.small_blocks, options.small_bytes)
        connection.close()
        node.drain(180)
        node.start()
        seconds, connection = first_hit(node, namespace, small[generator.randrange(len(small))][0])
        say("first hit %.2f s after an orderly stop" % seconds)
        if seconds > options.clean_limit:
            raise Violation("the first hit came after %.2f s, more than %.1f" % (seconds, options.clean_limit))
        verify(connection, namespace, content, generator.sample(small, min(20_000, len(small))), True)
        connection.close()

        durable, slowest, volatile_count, volatile_found = [], 0.0, 0, 0
        for number in range(1, options.rounds + 1):
            ledger, stop = Ledger(), threading.Event()
            writers = [
                threading.Thread(
                    target=write, args=(node, namespace, content, options.seed, number, writer, ledger, stop)
                )
                for writer in range(WRITER_COUNT)
            ]
            for writer in writers:
                writer.start()
            time.sleep(generator.uniform(0.1, 1.0))
            node.kill()
            stop.set()
            for writer in writers:
                writer.join()
            if not ledger.durable:
                say("round %d: nothing was acknowledged before the kill" % number)
            node.start()
            anchor = (ledger.durable or durable or small)[0][0]
            seconds, connection = first_hit(node, namespace, anchor)
            slowest = max(slowest, seconds)
            if seconds > options.crash_limit:
                raise Violation("the first hit came after %.2f s, more than %.1f" % (seconds, options.crash_limit))
            verify(connection, namespace, content, ledger.durable, True)
            volatile_count += len(ledger.volatile)
            volatile_found += verify(connection, namespace, content, ledger.volatile, False)
            verify(connection, namespace, content, generator.sample(durable, min(500, len(durable))), True)
            verify(connection, namespace, content, generator.sample(small, min(500, len(small))), True)
            durable += ledger.durable
            connection.close()
            if number % 10 == 0 or number == options.rounds:
                say("round %d: %d durable blocks right, slowest first hit %.2f s" % (number, len(durable), slowest))

        connection = node.connect()
        describe(connection, model="crash")
        verify(connection, namespace, content, durable, True)
        verify(connection, namespace, content, small, True)
        connection.close()
        node.drain()
        say(
            "passed: %d rounds of kill -9, %d durable and %d small blocks all right; of %d others %d were there, all "
            "right; first hit at most %.2f s after a kill"
            % (options.rounds, len(durable), len(small), volatile_count, volatile_found, slowest)
        )
    finally:
        node.kill()


run(main)
