"""A node's RAM tier, full of blocks, over restarts: how long until it is back, and whether it is what it was.

Fills a node with incompressible blocks of one size, lets the disk catch up, and restarts it in turn after SIGTERM and
after kill -9, the latter after another hundred blocks that no disk has yet. After each restart: the seconds from the
start of the process until a block is served (its bytes compared), the node's own figure for taking its memory back,
KV.MATCH over all blocks, each of which must be in memory, and a sample of blocks compared byte for byte. At the end all
blocks are proved by the node in the background, none may be damaged.

Bounds: the node takes its memory back in --limit seconds, and serves the first block in --first-hit-limit. Needs --bytes
and a tenth of memory, and as much disk unless --disk is 0.
"""

import argparse
import os
import random
import signal
import sys
import time

from node import Node, clean_up_at_end, require_linux, temporary_directory
from workload import (
    GIB, KIB, Blocks, Connection, Content, Verdict, byte_count, in_units, new_seed, percentile, say,
)

LOOSE_COUNT = 100


class Run:
    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("restart")
        self.content = Content(settings.seed)
        self.random = random.Random(settings.seed)
        # An extent has 192 bytes beside its payload; two parts in a hundred stay free for what is put later.
        self.count = int(settings.bytes * 0.98) // (settings.block_size + 192)
        directory = temporary_directory(settings.work)
        self.memory = settings.bytes // (2 << 20) * (2 << 20)
        self.node = Node(
            settings.larder, os.path.join(directory, "data"), os.path.join(directory, "node.log"), memory=self.memory,
            disk=settings.bytes * 5 // 4 if settings.disk else 0,
            memory_file=os.path.join(temporary_directory("/dev/shm"), "memory"),
        )
        self.first_hits, self.recoveries = [], []

    def key(self, number):
        return b"block-%d" % number

    def payload(self, number):
        return self.content.make(self.key(number), self.settings.block_size)

    def put(self, numbers):
        blocks = [(self.key(number), self.payload(number)) for number in numbers]
        for number, outcome in zip(numbers, self.store.put(blocks)):
            self.verdict.expect(outcome == "stored", f"block {number}: {outcome}")

    def run(self):
        self.node.start()
        self.connect()
        batch = max(1, min(256, (8 << 20) // self.settings.block_size))
        started = time.monotonic()
        for start in range(0, self.count, batch):
            self.put(range(start, min(start + batch, self.count)))
        say(
            f"{self.count} blocks of {in_units(self.settings.block_size)}, {in_units(self.memory)} of memory, "
            f"filled in {time.monotonic() - started:.0f} s"
        )
        for number in range(self.settings.rounds):
            kills = number % 2 == 1
            if kills:
                first = self.count
                self.count += LOOSE_COUNT if self.settings.block_size <= 64 * KIB else 1
                for block in range(first, self.count):
                    self.put([block])
                self.node.kill_hard()
            else:
                self.wait_for_the_disk()
                status, _ = self.node.stop(timeout=600)
                self.verdict.expect(status == 0, f"exit status {status} after SIGTERM")
            self.restart(f"round {number + 1}, {'kill -9' if kills else 'SIGTERM'}")
        self.wait_until_proved()
        self.node.stop(timeout=600)
        return self.verdict.finish(
            f"{self.count} blocks, {in_units(self.memory)}; memory back in median {percentile(self.recoveries, 0.5):.2f} s, "
            f"max {max(self.recoveries):.2f} s; first hit after median {percentile(self.first_hits, 0.5):.2f} s, max "
            f"{max(self.first_hits):.2f} s; seed {self.settings.seed}"
        )

    def connect(self):
        self.connection = Connection(self.node.port, timeout=120)
        self.store = Blocks(self.connection)

    def figure(self, name):
        stats = self.connection.call("KV.STATS")
        if isinstance(stats, dict):
            return int(stats[name.encode()])
        return int(stats[stats.index(name.encode()) + 1])

    def wait_for_the_disk(self):
        while self.settings.disk and self.figure("write_queue_blocks") > 0:
            time.sleep(0.2)

    def restart(self, name):
        wanted = self.count - 1
        expected = self.payload(wanted)

        def hit(connection):
            found = Blocks(connection).get([self.key(wanted)])[0]
            return found is not None and bytes(found) == expected

        seconds = self.node.start(timeout=120, probe=hit)
        ready = [record for record in self.node.log_records() if record.get("message") == "ready"][-1]
        recovery = float(ready.get("recovery_seconds", "nan"))
        recovered = int(ready.get("recovered_blocks", 0))
        self.first_hits.append(seconds)
        self.recoveries.append(recovery)
        say(f"{name}: {recovered} blocks back in {recovery:.2f} s, first hit after {seconds:.2f} s")
        self.verdict.expect(recovery <= self.settings.limit, f"{name}: {recovery:.2f} s to take memory back")
        self.verdict.expect(
            seconds <= self.settings.first_hit_limit, f"{name}: {seconds:.2f} s until the first hit"
        )
        self.verdict.expect(recovered == self.count, f"{name}: {recovered} blocks of {self.count} are back")
        self.connect()
        for start in range(0, self.count, 4_096):
            keys = [self.key(number) for number in range(start, min(start + 4_096, self.count))]
            matched, _, runs = self.connection.call("KV.MATCH", self.store.namespace, "KEYS", len(keys), *keys)
            in_memory = sum(count for tier, count in zip(runs[::2], runs[1::2]) if bytes(tier) == b"memory")
            self.verdict.expect(
                matched == in_memory == len(keys), f"{name}: {matched} of {len(keys)} held, {in_memory} in memory"
            )
        for number in self.random.sample(range(self.count), min(self.count, self.settings.sample)):
            found = self.store.get([self.key(number)])[0]
            if found is None:
                self.verdict.violation(f"{name}: block {number} is lost: {self.store.explain(self.key(number))}")
                continue
            fault = self.content.fault(self.key(number), found, self.settings.block_size)
            self.verdict.expect(fault is None, f"{name}: block {number}: {fault}")

    def wait_until_proved(self):
        started = time.monotonic()
        while self.figure("memory_recovered_unverified") > 0:
            time.sleep(0.5)
        self.verdict.expect(self.figure("memory_recovered_damaged") == 0, "the node found damaged blocks")
        say(f"all blocks proved in the background after {time.monotonic() - started:.0f} s more")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/restart.sh builds it)")
    parser.add_argument("--bytes", type=byte_count, default=20 * GIB, help="--memory of the node (default 20GiB)")
    parser.add_argument("--block-size", type=byte_count, default=64 * KIB)
    parser.add_argument("--disk", type=int, default=1, help="0: no disk tier")
    parser.add_argument("--rounds", type=int, default=6, help="restarts, SIGTERM and kill -9 in turn")
    parser.add_argument("--sample", type=int, default=500, help="blocks compared after each restart")
    parser.add_argument("--limit", type=float, default=2.0, help="seconds for taking the memory back")
    parser.add_argument("--first-hit-limit", type=float, default=4.0, help="seconds until a block is served")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--work", default=None, help="where the temporary directory goes (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the data directory and the node's log")
    settings = parser.parse_args()
    require_linux()
    settings.seed = new_seed() if settings.seed is None else settings.seed
    clean_up_at_end(settings.keep)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with open("/proc/meminfo") as figures:
        available = next(int(line.split()[1]) << 10 for line in figures if line.startswith("MemAvailable:"))
    if available < settings.bytes * 11 // 10:
        raise SystemExit(
            f"error: needs {in_units(settings.bytes * 11 // 10)} of memory, there are {in_units(available)}: see --bytes"
        )
    return Run(settings).run()


if __name__ == "__main__":
    sys.exit(main())
