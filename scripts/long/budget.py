"""20 GiB of incompressible 2 MiB blocks at 300 MB/s through `larder serve --memory 1GiB --disk 4GiB`.

One process keeps the rate with several connections, one block in flight on each; another samples the node each
second: bytes of the data directory (apparent, and allocated as du counts), VmRSS (shared memory included) and
write_bytes of /proc/PID/io. Blocks written lately are read back all the while and compared byte for byte.

Bounds: directory at most 5 % over the budget at every sample, resident memory at most --memory plus 256 MiB, bytes
written to the disk at most 1.1 times the payload and no less than 0.9 times (else something was not written), no put
refused, the rate reached, no wrong byte, and no miss among the newest blocks (three quarters of the budget).
"""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time

from node import Node, clean_up_at_end, directory_byte_counts, require_linux, temporary_directory
from workload import (
    GIB, MIB, Blocks, Connection, Content, ReplyError, Verdict, byte_count, in_units, new_seed, percentile, say, table,
)


def block_key(number):
    return b"block-%d" % number


def write(settings, port, results):
    """The writing process: keeps the rate, returns counts and latencies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    content = Content(settings.seed)
    count = settings.byte_count // settings.block_size
    interval = settings.block_size / settings.rate
    lock, taken, started = threading.Lock(), [0], time.monotonic()
    latencies, refusals, done = [], {}, [0]

    def sender():
        with Connection(port, timeout=60) as connection:
            store = Blocks(connection)
            while True:
                with lock:
                    number = taken[0]
                    taken[0] += 1
                if number >= count:
                    return
                payload = content.make(block_key(number), settings.block_size)
                ahead = started + number * interval - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)
                sent = time.monotonic()
                try:
                    outcome = store.put([(block_key(number), payload)])[0]
                except ReplyError as error:
                    outcome = f"error {error}"
                latencies.append(time.monotonic() - sent)
                with lock:
                    done[0] += 1
                    if outcome != "stored":
                        refusals[outcome] = refusals.get(outcome, 0) + 1
                    if done[0] % 64 == 0:
                        results.send(("progress", done[0]))

    failures = []

    def guarded():
        try:
            sender()
        except OSError as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=guarded) for _ in range(settings.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.send(("done", done[0], time.monotonic() - started, latencies, refusals, failures))


class Run:
    """The node, the samples and the reader."""

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("budget")
        self.content = Content(settings.seed)
        self.random = random.Random(f"{settings.seed} reads")
        work = temporary_directory(settings.work)
        self.data_directory = os.path.join(work, "data")
        self.node = Node(
            settings.larder, self.data_directory, os.path.join(work, "node.log"),
            memory=settings.memory, disk=settings.disk,
        )
        self.rows = [("second", "written", "directory", "allocated", "resident", "disk writes", "read back")]
        self.directory_max = self.resident_max = self.read_count = self.old_miss_count = 0
        self.written = 0

    def run(self):
        self.node.start()
        say(f"empty node: resident {in_units(self.node.resident_byte_count())}")
        before = self.node.written_byte_count()
        receiving, sending = multiprocessing.Pipe(duplex=False)
        writer = multiprocessing.get_context("fork").Process(
            target=write, args=(self.settings, self.node.port, sending), daemon=True
        )
        writer.start()
        sending.close()
        result = self._watch(receiving)
        writer.join()
        if result is None:
            self.verdict.violation("the writer ended early")
            return self.verdict.finish("nothing measured")
        _, count, seconds, latencies, refusals, failures = result
        self.written = count
        self._settle()
        disk_writes = self.node.written_byte_count() - before
        self._read_back(self.settings.final_reads)
        self._sample(int(seconds))
        table(self.rows[:1] + self.rows[1 :: max(1, len(self.rows) // 30)] + self.rows[-1:])
        return self._judge(seconds, latencies, refusals, failures, disk_writes)

    def _watch(self, receiving):
        """Samples each second until the writer is done; returns its result."""
        second, next_sample = 0, time.monotonic()
        while True:
            if receiving.poll(max(0.0, next_sample - time.monotonic())):
                try:
                    message = receiving.recv()
                except EOFError:
                    return None
                if message[0] == "done":
                    return message
                self.written = message[1]
                continue
            self._sample(second)
            self._read_back(self.settings.reads_per_second)
            second += 1
            next_sample = max(next_sample + 1, time.monotonic())

    def _sample(self, second):
        if not self.node.is_running:
            self.verdict.violation(f"the node died: {self.node.ending()}")
            raise SystemExit(self.verdict.finish(f"seed {self.settings.seed}"))
        apparent, allocated = directory_byte_counts(self.data_directory)
        resident = self.node.resident_byte_count()
        self.directory_max = max(self.directory_max, apparent, allocated)
        self.resident_max = max(self.resident_max, resident)
        self.rows.append(
            (second, in_units(self.written * self.settings.block_size), in_units(apparent), in_units(allocated),
             in_units(resident), in_units(self.node.written_byte_count()), self.read_count)
        )

    def _read_back(self, count):
        """Random blocks among those that the budget must still hold, and one among all: right, or an old miss."""
        newest = self.written - 2 * self.settings.connections - 64
        kept = self.settings.disk * 3 // 4 // self.settings.block_size
        if newest <= 0:
            return
        with Connection(self.node.port, timeout=60) as connection:
            store = Blocks(connection)
            for turn in range(count + 1):
                kept_from = max(0, self.written - kept)
                oldest = 0 if turn == count else min(kept_from, newest)
                number = self.random.randint(oldest, newest)
                payload = store.get([block_key(number)])[0]
                self.read_count += 1
                if payload is None:
                    if number >= kept_from:
                        self.verdict.violation(
                            f"block {number} of {self.written} is gone: {store.explain(block_key(number))}"
                        )
                    else:
                        self.old_miss_count += 1
                    continue
                fault = self.content.fault(block_key(number), payload, self.settings.block_size)
                self.verdict.expect(fault is None, f"WRONG BYTES in block {number}: {fault}")

    def _settle(self):
        """Waits until the node has written what it holds, at most 20 s."""
        last, limit = -1, time.monotonic() + 20
        while time.monotonic() < limit:
            now = self.node.written_byte_count()
            if now == last:
                return
            last = now
            time.sleep(2)

    def _judge(self, seconds, latencies, refusals, failures, disk_writes):
        settings, expect = self.settings, self.verdict.expect
        payload = self.written * settings.block_size
        rate = payload / seconds
        amplification = disk_writes / payload
        directory_bound = settings.disk * 1.05
        resident_bound = settings.memory + 256 * MIB
        expect(not failures, f"connections failed: {failures}")
        expect(not refusals, f"puts not stored: {refusals}")
        expect(
            self.directory_max <= directory_bound,
            f"the directory reached {in_units(self.directory_max)}, bound {in_units(directory_bound)}",
        )
        expect(
            self.resident_max <= resident_bound,
            f"resident memory reached {in_units(self.resident_max)}, bound {in_units(resident_bound)}",
        )
        expect(amplification <= 1.1, f"write amplification {amplification:.3f}, bound 1.1")
        expect(amplification >= 0.9, f"only {amplification:.3f} of the payload was written to the disk")
        expect(rate >= 0.95 * settings.rate, f"the rate was {rate / 1e6:.0f} MB/s of {settings.rate / 1e6:.0f}")
        status, stop_seconds = self.node.stop()
        expect(status == 0, f"exit status {status} after SIGTERM; {self.node.ending()}")
        return self.verdict.finish(
            f"{in_units(payload)} at {rate / 1e6:.0f} MB/s, {sum(refusals.values())} puts refused; "
            f"put p50 {percentile(latencies, 0.5) * 1e3:.1f} ms, p99 {percentile(latencies, 0.99) * 1e3:.1f} ms, "
            f"max {max(latencies, default=0) * 1e3:.0f} ms; directory at most {in_units(self.directory_max)} "
            f"({self.directory_max / settings.disk:.3f} of the budget), resident at most "
            f"{in_units(self.resident_max)} (memory + {in_units(self.resident_max - settings.memory)}), "
            f"write amplification {amplification:.3f}; {self.read_count} blocks read back, "
            f"{self.old_miss_count} older ones evicted; stopped in {stop_seconds:.1f} s; seed {settings.seed}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/budget.sh builds it)")
    parser.add_argument("--byte-count", type=byte_count, default=20 * GIB, help="payload to write (default 20GiB)")
    parser.add_argument("--block-size", type=byte_count, default=2 * MIB)
    parser.add_argument("--rate", type=float, default=300e6, help="bytes a second (default 300e6)")
    parser.add_argument("--memory", type=byte_count, default=1 * GIB)
    parser.add_argument("--disk", type=byte_count, default=4 * GIB)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--reads-per-second", type=int, default=2, help="blocks read back each second")
    parser.add_argument("--final-reads", type=int, default=200, help="blocks read back at the end")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--work", default=None, help="where the temporary directory goes (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the data directory and the node's log")
    settings = parser.parse_args()
    require_linux()
    settings.seed = new_seed() if settings.seed is None else settings.seed
    free = shutil.disk_usage(settings.work or os.environ.get("TMPDIR", "/tmp")).free
    if free < settings.disk * 1.5:
        raise SystemExit(f"error: needs {in_units(settings.disk * 1.5)} of free disk, there are {in_units(free)}")
    clean_up_at_end(settings.keep)
    say(
        f"seed {settings.seed}, {in_units(settings.byte_count)} of {in_units(settings.block_size)} blocks "
        f"at {settings.rate / 1e6:.0f} MB/s"
    )
    return Run(settings).run()


if __name__ == "__main__":
    sys.exit(main())
