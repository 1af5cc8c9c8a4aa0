"""64 clients over three nodes ask for the same 100 blocks at once, which lie on their owners' disks only.

Each round stops all nodes in order and starts them again without what was in RAM; then all clients, a third of them at
each node, ask for all blocks, each in an order of its own, one by one in odd rounds and in batches in even ones, and
compare every byte. Expected:

  every block is a hit for every client
  each block crosses the network once to each node that does not own it: peer_loads of a node are the blocks of others
  each block is read from disk once, at its owner: promotions of a node are the blocks that it owns
"""

import argparse
import hashlib
import random
import sys
import threading
import time

from cluster import Cluster, Etcd, describe_source, knows_etcd, slot_of
from node import NodeFailed, clean_up_at_end, require_linux, temporary_directory
from workload import GIB, KIB, MIB, Blocks, Connection, Content, ReplyError, Verdict, byte_count, in_units, new_seed, say, table


class Run:
    """The rounds."""

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("cluster-hot")
        work = temporary_directory(settings.work)
        etcd = None
        if settings.membership == "etcd":
            etcd = Etcd(work)
            etcd.start()
        self.names = ["a", "b", "c"]
        self.cluster = Cluster(
            settings.larder, work, self.names, settings.memory, settings.disk, settings.serve_arguments, etcd=etcd,
        )
        content = Content(settings.seed)
        self.keys = [hashlib.blake2b(b"hot %d" % number, digest_size=32).digest() for number in range(settings.blocks)]
        self.payloads = {key: content.make(key, settings.block_size) for key in self.keys}
        self.content = content
        self.rows = [(
            "round", "node", "owns", "disk reads", "shared", "fetched", "MiB", "fetches shared", "hits near", "hits peer", "disk MiB",
        )]

    def run(self):
        settings, cluster = self.settings, self.cluster
        cluster.start()
        describe_source(cluster)
        self._put()
        seconds = [self._round(number) for number in range(1, settings.rounds + 1)]
        table(self.rows)
        cluster.stop()
        total = settings.clients * settings.blocks * settings.block_size
        return self.verdict.finish(
            f"{settings.rounds} rounds: {settings.clients} clients at {len(self.names)} nodes, {settings.blocks} cold blocks of "
            f"{in_units(settings.block_size)}, each to cross the network once for each node and to be read from disk once; "
            f"{in_units(total)} served in {', '.join(f'{value:.2f}' for value in seconds)} s"
        )

    def _put(self):
        for start in range(0, len(self.keys), 10):
            part = self.keys[start : start + 10]
            door = self.cluster.blocks(self.names[start // 10 % 3])
            outcomes = door.put([(key, self.payloads[key]) for key in part], durable=True)
            if any(outcome != "stored" for outcome in outcomes):
                raise NodeFailed(f"a block was not stored: {outcomes}")
            door.connection.close()

    def _round(self, number):
        for name, status in self.cluster.stop().items():
            self.verdict.expect(status == 0, f"round {number}: node {name}: exit status {status} after SIGTERM")
        self.cluster.start()
        owners = self.cluster.owners()
        owned = {name: sum(owners[slot_of(key)] == name for key in self.keys) for name in self.names}
        before = {name: self.cluster[name].figures() for name in self.names}
        read_before = {name: self._read_byte_count(name) for name in self.names}
        for name in self.names:
            self.verdict.expect(
                before[name]["memory_blocks"] == 0, f"round {number}: {name} is not cold: {before[name]['memory_blocks']}"
            )
        seconds = self._ask(number)
        for name in self.names:
            after = self.cluster[name].figures()
            gained = {
                key: after[key] - before[name][key] for key in (
                    "promotions", "loads_shared", "peer_loads", "peer_loaded_bytes", "peer_loads_shared", "hits_memory",
                    "hits_peer", "cluster_fetch_failures",
                )
            }
            foreign = len(self.keys) - owned[name]
            self.verdict.expect(
                gained["peer_loads"] == foreign,
                f"round {number}: {name} fetched {gained['peer_loads']} blocks, {foreign} are others'; "
                f"fetch failures {gained['cluster_fetch_failures']}",
            )
            self.verdict.expect(
                gained["promotions"] == owned[name],
                f"round {number}: {name} read {gained['promotions']} blocks from disk, it owns {owned[name]}",
            )
            self.rows.append((
                number, name, owned[name], gained["promotions"], gained["loads_shared"], gained["peer_loads"],
                f"{gained['peer_loaded_bytes'] / MIB:.1f}", gained["peer_loads_shared"], gained["hits_memory"],
                gained["hits_peer"], f"{(self._read_byte_count(name) - read_before[name]) / MIB:.1f}",
            ))
        return seconds

    def _read_byte_count(self, name):
        with open(f"/proc/{self.cluster[name].pid}/io") as figures:
            return next(int(line.split()[1]) for line in figures if line.startswith("read_bytes:"))

    def _ask(self, number):
        barrier = threading.Barrier(self.settings.clients + 1)
        threads = [
            threading.Thread(target=self._client, args=(number, client, barrier), daemon=True)
            for client in range(self.settings.clients)
        ]
        for thread in threads:
            thread.start()
        barrier.wait()
        started = time.monotonic()
        for thread in threads:
            thread.join(120)
            self.verdict.expect(not thread.is_alive(), f"round {number}: a client hangs")
        return time.monotonic() - started

    def _client(self, number, client, barrier):
        name = self.names[client % len(self.names)]
        order = list(self.keys)
        random.Random(f"{self.settings.seed} {number} {client}").shuffle(order)
        door = Blocks(Connection(self.cluster[name].address, timeout=60))
        batch = 1 if number % 2 else self.settings.batch
        barrier.wait()
        try:
            for start in range(0, len(order), batch):
                part = order[start : start + batch]
                for key, payload in zip(part, door.get(part)):
                    if payload is None:
                        self.verdict.violation(f"round {number}: client {client} at {name}: a miss; {door.explain(key)}")
                    elif payload != self.payloads[key]:
                        fault = self.content.fault(key, payload, self.settings.block_size)
                        self.verdict.violation(f"round {number}: client {client} at {name}: WRONG BYTES: {fault}")
        except (OSError, ReplyError) as error:
            self.verdict.violation(f"round {number}: client {client} at {name}: {error!r}")
        finally:
            door.connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/cluster-hot.sh builds it)")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--membership", choices=["auto", "static", "etcd"], default="auto")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=100)
    parser.add_argument("--block-size", type=byte_count, default=256 * KIB, help="(default 256KiB)")
    parser.add_argument("--batch", type=int, default=25, help="blocks of one KV.GET in even rounds (default 25)")
    parser.add_argument("--memory", type=byte_count, default=256 * MIB, help="of each node (default 256MiB)")
    parser.add_argument("--disk", type=byte_count, default=2 * GIB, help="of each node (default 2GiB)")
    parser.add_argument("--serve-arguments", type=str.split, default=[], help="more flags of larder serve, in one word")
    parser.add_argument("--work", default=None, help="where the temporary directory goes (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the data directories and the nodes' logs")
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
        say(f"FAIL: cluster-hot: {failure}")
        sys.exit(1)
