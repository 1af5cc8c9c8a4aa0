"""Writes far more than the node may keep, at a given rate, and samples what it takes of disk and memory."""

import os
import random
import threading
import time

from harness import Content, GiB, MiB, Node, Violation, arguments, describe, directory_byte_count, get, put, run, say


class Sampler(threading.Thread):
    """Looks at the directory and the process until it is told to stop."""

    def __init__(self, node, directory):
        super().__init__(daemon=True)
        self.node, self.directory = node, directory
        self.stop = threading.Event()
        self.largest_length = self.largest_blocks = self.largest_resident = self.count = 0

    def run(self):
        while not self.stop.wait(0.2):
            length, blocks = directory_byte_count(self.directory)
            self.largest_length = max(self.largest_length, length)
            self.largest_blocks = max(self.largest_blocks, blocks)
            try:
                self.largest_resident = max(self.largest_resident, self.node.resident_byte_count())
            except (FileNotFoundError, ProcessLookupError):
                return
            self.count += 1


def main():
    options = arguments(
        __doc__,
        gib=(20.0, "GiB to write"),
        rate=(300.0, "MB per second"),
        memory_gib=(1.0, "the node's RAM, GiB"),
        disk_gib=(4.0, "the node's disk budget, GiB"),
        block_mib=(2.0, "MiB of a block"),
        amplification=(1.1, "most bytes written for a byte of payload"),
    )
    memory, disk = int(options.memory_gib * GiB), int(options.disk_gib * GiB)
    block = int(options.block_mib * MiB)
    say(
        "seed %d: %.1f GiB at %.0f MB/s into %.1f GiB of RAM and %.1f GiB of disk"
        % (options.seed, options.gib, options.rate, options.memory_gib, options.disk_gib)
    )
    content = Content(options.seed, 64 * MiB)
    generator = random.Random(options.seed)
    data = os.path.join(options.work, "data")
    node = Node(
        options.larder, os.path.join(options.work, "node.log"), "--data-dir", data, "--memory", str(memory),
        "--disk", str(disk), "--drain-timeout", "120s",
    )
    try:
        node.start()
        connection = node.connect()
        namespace = describe(connection, model="budget")
        sampler = Sampler(node, data)
        sampler.start()
        total = int(options.gib * GiB) // block
        refused, wrong, misses, slowest_put = 0, 0, 0, 0.0
        start = shown = time.monotonic()
        for index in range(total):
            due = start + index * block / (options.rate * 1e6)
            if (pause := due - time.monotonic()) > 0:
                time.sleep(pause)
            key = content.key(index)
            before = time.monotonic()
            outcome = put(connection, namespace, [(key, content.payload(key, block))])[0]
            slowest_put = max(slowest_put, time.monotonic() - before)
            if outcome != "stored":
                refused += 1
                say("put %d: %s" % (index, outcome))
            if index % 50 == 49:
                # Something recent, something old: right, or a miss.
                for other in (generator.randrange(index + 1), max(0, index - generator.randrange(200))):
                    key = content.key(other)
                    payload = get(connection, namespace, [key])[0]
                    if payload is None:
                        misses += 1
                    elif not content.is_right(key, block, payload):
                        wrong += 1
            if time.monotonic() - shown > 5:
                shown = time.monotonic()
                say(
                    "%5.1f GiB, directory %.2f GiB, resident %.2f GiB, %d refused"
                    % (
                        (index + 1) * block / GiB, sampler.largest_length / GiB, sampler.largest_resident / GiB, refused,
                    )
                )
        seconds = time.monotonic() - start
        written = node.written_byte_count()
        payload_bytes = total * block
        connection.close()
        # What the drain writes belongs to the payload too, and cannot be read from a process that has ended.
        node.drain(180)
        sampler.stop.set()
        sampler.join()
        length, blocks = directory_byte_count(data)
        say(
            "%.1f GiB in %.0f s (%.0f MB/s); %d samples: directory at most %.3f GiB in files, %.3f GiB of disk blocks; "
            "resident at most %.3f GiB; %.3f bytes written per byte; slowest put %.0f ms; after the drain %.3f GiB"
            % (
                payload_bytes / GiB, seconds, payload_bytes / 1e6 / seconds, sampler.count, sampler.largest_length / GiB,
                sampler.largest_blocks / GiB, sampler.largest_resident / GiB, written / payload_bytes,
                slowest_put * 1000, max(length, blocks) / GiB,
            )
        )
        bound = disk * 1.05
        if wrong:
            raise Violation("%d reads gave wrong bytes" % wrong)
        if refused:
            raise Violation("%d puts were refused" % refused)
        if max(sampler.largest_length, sampler.largest_blocks, length, blocks) > bound:
            raise Violation("the directory took more than %.2f GiB" % (bound / GiB))
        if sampler.largest_resident > memory + 256 * MiB:
            raise Violation("the process took more than %.2f GiB of memory" % ((memory + 256 * MiB) / GiB))
        if written > options.amplification * payload_bytes:
            raise Violation("more than %.2f bytes were written for a byte of payload" % options.amplification)
        say("passed: within all bounds; %d of the reads were misses, none wrong" % misses)
    finally:
        node.kill()


run(main)
