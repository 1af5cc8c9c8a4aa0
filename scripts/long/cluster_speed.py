"""How fast three nodes are beside one, and what a hop costs. Measures; fails only for wrong bytes, misses and errors.

throughput  three `larder bench` processes, one connection each, read 64 blocks of --sizes in rounds: all three at one node
            that is alone, each at a node of the cluster that has all blocks (near copies and its own), and each by plain
            GETs, which have no near copies: two of three are relayed to their owners. All share this machine, so three
            nodes have no more processors than one; how busy those were is told.
hop         one client, one block at a time, in turn: at a node that is alone; at the block's owner (owner hit); at another
            node for the first time (peer hit: that node fetches it); there again (near hit). Microseconds from the first
            byte sent to the last byte received, by a client in Python.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import time

from cluster import Cluster, Etcd, describe_source, environment, knows_etcd, slot_of
from node import Node, NodeFailed, clean_up_at_end, require_linux, temporary_directory
from workload import KIB, MIB, Blocks, Connection, Content, ReplyError, Verdict, byte_count, in_units, new_seed, percentile, say, table


class TimedReader:
    """Reads one block by KV.GET into memory that is there already."""

    def __init__(self, address, namespace, byte_count):
        self._socket = socket.create_connection(address, 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._namespace = namespace
        self._memory = bytearray(byte_count + 256)
        self._view = memoryview(self._memory)
        self._head = b"*1\r\n$%d\r\n" % byte_count
        self._total = len(self._head) + byte_count + 2

    def read(self, key):
        """(seconds, payload); the payload is None for anything but a hit."""
        parts = [b"KV.GET", self._namespace, b"KEYS", b"1", key]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        started = time.perf_counter()
        self._socket.sendall(request)
        got = 0
        while got < self._total:
            count = self._socket.recv_into(self._view[got:])
            if count == 0:
                raise ConnectionError("the node closed the connection")
            got += count
            if got < 64 and not self._memory.startswith(self._head[: min(got, len(self._head))]):
                return time.perf_counter() - started, None
        seconds = time.perf_counter() - started
        if not self._memory.startswith(self._head):
            return seconds, None
        return seconds, self._view[len(self._head) : self._total - 2]

    def close(self):
        self._socket.close()


class Run:
    """The measurements."""

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("cluster-speed")
        self.random = random.Random(f"{settings.seed} order")
        work = temporary_directory(settings.work)
        etcd = None
        if settings.membership == "etcd":
            etcd = Etcd(work)
            etcd.start()
        self.names = ["a", "b", "c"]
        self.cluster = Cluster(
            settings.larder, work, self.names, settings.memory, arguments=settings.serve_arguments, etcd=etcd,
        )
        self.alone = Node(settings.larder, None, os.path.join(work, "alone.log"), memory=settings.memory)
        self.content = Content(settings.seed)
        self.notes = []

    def run(self):
        self.alone.start()
        self.cluster.start()
        describe_source(self.cluster)
        for size in self.settings.sizes:
            if "throughput" in self.settings.only:
                self._throughput(size)
            if "hop" in self.settings.only:
                self._hop(size)
        self.cluster.stop()
        self.alone.stop()
        return self.verdict.finish("; ".join(self.notes))

    # Throughput

    def _throughput(self, size):
        alone = ("127.0.0.1", self.alone.port)
        doors = [self.cluster[name].address for name in self.names]
        name = f"speed-{size}"
        for node in (alone, doors[0]):
            self._bench([node], "kvget", size, name, ["--count", "1"])
            self._bench([node], "get", size, name, ["--count", "1"])
        # Every door reads each block once: from now on it has a copy.
        self._bench(doors, "kvget", size, name, ["--stored", "--once"])
        kinds = {
            "1 node": ([alone] * 3, "kvget"), "3 nodes": (doors, "kvget"),
            "1 node, plain": ([alone] * 3, "get"), "3 nodes, plain": (doors, "get"),
        }
        speeds = {kind: [] for kind in kinds}
        busy = {kind: [] for kind in kinds}
        for _ in range(self.settings.rounds):
            for kind, (nodes, operation) in kinds.items():
                before = self._processor_times()
                speed = self._bench(nodes, operation, size, name, ["--stored", "--seconds", str(self.settings.seconds)])
                idle, total = (after - start for after, start in zip(self._processor_times(), before))
                speeds[kind].append(speed)
                busy[kind].append(100 * (1 - idle / max(1, total)))
        rows = [(f"{in_units(size)}: GB/s of all three clients", "median", "min", "max", "processors busy %")]
        for kind in kinds:
            values = speeds[kind]
            rows.append((
                kind, f"{percentile(values, 0.5):.2f}", f"{min(values):.2f}", f"{max(values):.2f}",
                f"{percentile(busy[kind], 0.5):.0f}",
            ))
        table(rows)
        ratio = percentile([three / one for three, one in zip(speeds["3 nodes"], speeds["1 node"])], 0.5)
        self.notes.append(
            f"{in_units(size)}: 3 nodes {percentile(speeds['3 nodes'], 0.5):.2f} GB/s, 1 node "
            f"{percentile(speeds['1 node'], 0.5):.2f}, ratio {ratio:.2f} on {os.cpu_count()} processors"
        )

    def _bench(self, nodes, operation, size, name, arguments):
        """The sum of what several bench processes get, GB/s."""
        processes = [
            subprocess.Popen(
                [self.settings.larder, "bench", "--node", "{}:{}".format(*node), "--op", operation, "--size", str(size),
                 "--name", name, "--keys", "64", "--keep", "--unverified", "--timeout", "30s", "--output", "json", *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
            )
            for node in nodes
        ]
        total = 0.0
        for process in processes:
            output, problems = process.communicate(timeout=300)
            try:
                figures = json.loads(output)[0]
            except (ValueError, IndexError):
                raise NodeFailed(f"larder bench ended with {process.returncode}: {problems}")
            for kind in ("misses", "errors", "wrong"):
                self.verdict.expect(figures[kind] == 0, f"bench {operation}: {figures[kind]} {kind}")
            total += figures["gb_per_second"]["median"]
        return total

    @staticmethod
    def _processor_times():
        with open("/proc/stat") as figures:
            values = [int(word) for word in figures.readline().split()[1:9]]
        return values[3] + values[4], sum(values)

    # The hop

    def _hop(self, size):
        owners = self.cluster.owners()
        writers = {name: self.cluster.blocks(name) for name in self.names}
        readers = {
            name: TimedReader(self.cluster[name].address, writers[name].namespace, size) for name in self.names
        }
        alone_writer = Blocks(Connection(self.alone.port))
        alone = TimedReader(("127.0.0.1", self.alone.port), alone_writer.namespace, size)
        times = {"alone": [], "owner hit": [], "peer hit": [], "near hit": []}
        for number in range(self.settings.samples + 10):
            key = b"hop-%d-%d" % (size, number)
            payload = self.content.make(key, size)
            owner = owners[slot_of(key)]
            other = self.random.choice([name for name in self.names if name != owner])
            for door in (writers[owner], alone_writer):
                outcome = door.put([(key, payload)])
                self.verdict.expect(outcome == ["stored"], f"a put was answered {outcome}")
            # A second read is slower than one right after the put; the near hit is a second read too.
            asks = [[(None, alone), ("alone", alone)], [(None, readers[owner]), ("owner hit", readers[owner])],
                    [("peer hit", readers[other]), ("near hit", readers[other])]]
            self.random.shuffle(asks)
            for kind, reader in (ask for group in asks for ask in group):
                seconds, found = reader.read(key)
                if found is None:
                    self.verdict.violation(f"{kind or 'the first read'}: a miss or an error reply")
                    return
                fault = None if found == payload else self.content.fault(key, bytes(found), size)
                self.verdict.expect(fault is None, f"{kind}: WRONG BYTES: {fault}")
                if number >= 10 and kind is not None:
                    times[kind].append(seconds)
            writers[owner].delete([key])
            alone_writer.delete([key])
        rows = [(f"{in_units(size)}: us", "p50", "p90", "p99", "max")]
        for kind, values in times.items():
            rows.append((kind,) + tuple(f"{1e6 * percentile(values, share):.0f}" for share in (0.5, 0.9, 0.99)) + (
                f"{1e6 * max(values):.0f}",
            ))
        table(rows)
        median = {kind: 1e6 * percentile(values, 0.5) for kind, values in times.items()}
        self.notes.append(
            f"{in_units(size)}: p50 of near / owner / peer hit {median['near hit']:.0f} / {median['owner hit']:.0f} / "
            f"{median['peer hit']:.0f} us, alone {median['alone']:.0f}"
        )
        for reader in (*readers.values(), alone):
            reader.close()
        for door in (*writers.values(), alone_writer):
            door.connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/cluster-speed.sh builds it)")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--membership", choices=["auto", "static", "etcd"], default="auto")
    parser.add_argument(
        "--sizes", type=lambda text: [byte_count(size) for size in text.split(",")], default=[2 * MIB, 64 * KIB],
        help="bytes of a block (default 2MiB,64KiB)",
    )
    parser.add_argument("--only", type=lambda text: text.split(","), default=["throughput", "hop"])
    parser.add_argument("--rounds", type=int, default=5, help="of throughput (default 5)")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement of throughput (default 3)")
    parser.add_argument("--samples", type=int, default=300, help="of each kind of hit (default 300)")
    parser.add_argument("--memory", type=byte_count, default=512 * MIB, help="of each node (default 512MiB)")
    parser.add_argument("--serve-arguments", type=str.split, default=[], help="more flags of larder serve, in one word")
    parser.add_argument("--work", default=None, help="where the temporary directory goes (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the nodes' logs")
    settings = parser.parse_args()
    require_linux()
    clean_up_at_end(settings.keep)
    if settings.seed is None:
        settings.seed = new_seed()
    if settings.membership == "auto":
        settings.membership = "etcd" if knows_etcd(settings.larder) else "static"
    say(f"seed {settings.seed}, membership {settings.membership}")
    return Run(settings).run()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NodeFailed as failure:
        say(f"FAIL: cluster-speed: {failure}")
        sys.exit(1)
