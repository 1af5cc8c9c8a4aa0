"""A recorded trace against three nodes: as they are, with one that drains half way, and with one that joins half way.

TRACE has a JSON object a line with hash_ids, as `larder trace simulate --help` tells. It is replayed by `larder trace
replay` through node a, which compares every byte, three times, each against a fresh cluster:

steady  a, b and c
drain   a, b and c; when half of the requests are done `larder cluster drain c`, and when that has ended c is stopped
join    a and b; when half of the requests are done c starts on an empty directory

RAM is small, so that what a has seen lies mostly with its owners, on their disks, which have room for everything. The share
of blocks hit with a drain and with a join must be at most --points below that of the steady run; no wrong byte, no
failed call, no block that existed under a lease and could not be loaded.

Two more runs ask for more than a share, without the trace:

drain-keeps  blocks are put by way of a and b while c drains; when c has been stopped and all RAM was filled with other
             blocks, every block that was accepted must be a hit at a and at b: a drained node takes nothing with it
join-keeps   the same while c joins; then every block must be a hit at a, b and c
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import threading
import time

from cluster import Cluster, Etcd, describe_source, environment, evict_near_copies, knows_etcd, wait_for
from node import NodeFailed, clean_up_at_end, remove_directory, require_linux, temporary_directory
from workload import GIB, KIB, MIB, Content, ReplyError, Verdict, byte_count, in_units, say, table


class Run:
    """The three replays."""

    COLUMNS = (
        ("seconds", "seconds", 1), ("hit %", "hit_percent", 2), ("endless %", "endless_hit_percent", 2),
        ("p50 us", "request_p50_us", 0), ("p99 us", "request_p99_us", 0), ("failed", "existed_but_failed", 0),
        ("refused", "refused", 0), ("wrong", "wrong_blocks", 0),
    )

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("cluster-change")
        self.work = temporary_directory(settings.work)
        self.trace, self.request_count = self._requests()
        self.rows = [("run",) + tuple(title for title, _, _ in self.COLUMNS) + ("match failures", "fetch failures")]
        self.notes = []

    def run(self):
        replays = [name for name in self.settings.only if not name.endswith("-keeps")]
        hits = {name: self._replay(name)["hit_percent"] for name in replays}
        if hits:
            table(self.rows)
        for name in self.settings.only:
            if name.endswith("-keeps"):
                self._keeps(name)
        for name in ("drain", "join"):
            if name in hits and "steady" in hits:
                fall = hits["steady"] - hits[name]
                self.verdict.expect(fall <= self.settings.points, f"{name}: {fall:.2f} points below the steady run")
                self.notes.append(f"{name} {hits[name]:.2f} % ({-fall:+.2f} points)")
        if "steady" in hits:
            self.notes.insert(0, f"steady {hits['steady']:.2f} % hit")
        return self.verdict.finish(
            f"{self.request_count} requests, blocks of {in_units(self.settings.block_size)}; " + "; ".join(self.notes)
        )

    def _requests(self):
        """The path of the first requests of the trace, and how many there are."""
        path, count = os.path.join(self.work, "trace.jsonl"), 0
        with open(self.settings.trace) as whole, open(path, "w") as part:
            for line in itertools.islice((line for line in whole if line.strip()), self.settings.requests):
                part.write(line)
                count += 1
        return path, count

    def _cluster(self, name):
        """A fresh cluster; c does not run when it is to join."""
        settings = self.settings
        work = os.path.join(self.work, name)
        os.mkdir(work)
        etcd = None
        if settings.membership == "etcd":
            etcd = Etcd(work)
            etcd.start()
        cluster = Cluster(
            settings.larder, work, ["a", "b", "c"], settings.memory, settings.disk, settings.serve_arguments, etcd=etcd,
        )
        cluster.start(*(["a", "b"] if name.startswith("join") else ["a", "b", "c"]))
        return cluster, work, etcd

    def _keeps(self, name):
        """Puts during a change; nothing that was accepted may be missed after it."""
        settings = self.settings
        cluster, work, etcd = self._cluster(name)
        content, put, is_over = Content(name), [], threading.Event()
        writers = [
            threading.Thread(target=self._put, args=(name, cluster, door, content, put, is_over), daemon=True)
            for door in ("a", "b")
        ]
        for writer in writers:
            writer.start()
        time.sleep(2)
        began = time.monotonic()
        if name == "drain-keeps":
            self._run_drain(cluster)
            status, _ = cluster["c"].stop()
            self.verdict.expect(status == 0, f"{name}: c ended with {status} after SIGTERM")
        else:
            cluster["c"].start()
            cluster.wait_settled(600)
        seconds = time.monotonic() - began
        time.sleep(2)
        is_over.set()
        for writer in writers:
            writer.join()
        wait_for(
            lambda: all(node.figures()["handoff_queue_blocks"] == 0 for node in cluster.running()), 60, "blocks are given", 0.1
        )
        time.sleep(1)
        evict_near_copies(cluster, content, name, 3 * settings.memory)
        missed = {}
        for node in cluster.running():
            door = cluster.blocks(node.name)
            keys = [key for key, _ in put]
            for start in range(0, len(keys), 16):
                for (key, at), payload in zip(put[start : start + 16], door.get(keys[start : start + 16])):
                    if payload is None:
                        missed.setdefault(node.name, []).append(at - began)
                    else:
                        fault = content.fault(key, payload, settings.block_size)
                        self.verdict.expect(fault is None, f"{name}: by {node.name}: WRONG BYTES: {fault}")
            door.connection.close()
        for node, moments in missed.items():
            self.verdict.violation(
                f"{name}: by {node}: {len(moments)} of {len(put)} accepted blocks missed, put "
                f"{sum(at < 0 for at in moments)} before and {sum(at >= 0 for at in moments)} after the change began"
            )
        text = f"{name}: took {seconds:.1f} s, {len(put)} blocks put, missed {({n: len(m) for n, m in missed.items()} or 0)}"
        say(text)
        self.notes.append(text)
        self._end(name, cluster, work, etcd)

    def _put(self, name, cluster, door, content, put, is_over):
        """One writer: eight blocks at a time by way of one node."""
        number = 0
        blocks = cluster.blocks(door)
        while not is_over.is_set():
            keys = [b"%b-%b-%d" % (name.encode(), door.encode(), number + index) for index in range(8)]
            number += 8
            at = time.monotonic()
            outcomes = blocks.put([(key, content.make(key, self.settings.block_size)) for key in keys])
            put += [(key, at) for key, outcome in zip(keys, outcomes) if outcome == "stored"]
            time.sleep(0.01)
        blocks.connection.close()

    def _end(self, name, cluster, work, etcd):
        cluster.check_alive(self.verdict, f"{name}, at the end")
        if etcd is not None:
            self.verdict.expect(etcd.is_running, f"{name}: etcd is gone: {etcd.ending()}")
        for node, status in cluster.stop().items():
            self.verdict.expect(status == 0, f"{name}: node {node}: exit status {status} after SIGTERM")
        if etcd is not None:
            etcd.kill_hard()
        if not self.settings.keep:
            remove_directory(work)

    def _replay(self, name):
        settings = self.settings
        cluster, work, etcd = self._cluster(name)
        describe_source(cluster)
        replay = subprocess.Popen(
            [settings.larder, "trace", "replay", self.trace, "--node", "{}:{}".format(*cluster["a"].address),
             "--block-size", str(settings.block_size), "--clients", str(settings.clients), "--timeout", "30s", "--keep",
             "--output", "json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(),
        )
        change = threading.Thread(target=self._change, args=(name, cluster, replay), daemon=True)
        try:
            if name != "steady":
                change.start()
            output, _ = replay.communicate(timeout=settings.timeout)
        finally:
            if replay.poll() is None:
                replay.kill()
        if name != "steady":
            change.join()
        cluster.check_alive(self.verdict, f"{name}, after the replay")
        try:
            figures = json.loads(output)[0]
        except (ValueError, IndexError):
            raise NodeFailed(f"{name}: no figures from larder trace replay, exit status {replay.returncode}")
        nodes = [node.figures() for node in cluster.running()]
        self.rows.append(
            (name,) + tuple(f"{figures[key] or 0:.{digits}f}" for _, key, digits in self.COLUMNS)
            + tuple(sum(node[key] for node in nodes) for key in ("cluster_match_failures", "cluster_fetch_failures"))
        )
        say(f"{name}: {figures['hit_percent']:.2f} % hit in {figures['seconds']:.0f} s; node a: " + ", ".join(
            f"{key} {nodes[0][key]}" for key in ("hits_memory", "hits_disk", "hits_peer", "misses_never_seen", "peer_loads")
        ))
        self._judge(name, replay.returncode, figures)
        self._end(name, cluster, work, etcd)
        return figures

    def _judge(self, name, status, figures):
        expect = self.verdict.expect
        expect(status == 0, f"{name}: larder trace replay ended with {status}: {figures}")
        expect(figures["wrong_blocks"] == 0, f"{name}: {figures['wrong_blocks']} blocks with WRONG BYTES")
        expect(
            figures["existed_but_failed"] == 0,
            f"{name}: {figures['existed_but_failed']} blocks existed and could not be loaded",
        )

    def _change(self, name, cluster, replay):
        """Half way: the change."""
        try:
            done = 0
            while done < self.request_count // 2:
                if replay.poll() is not None:
                    self.verdict.violation(f"{name}: the replay ended before the change")
                    return
                time.sleep(0.05)
                done = cluster["a"].figures()["match_queries"]
            started = time.monotonic()
            (self._drain if name == "drain" else self._join)(cluster, started, replay)
        except (NodeFailed, OSError, ReplyError) as failure:
            self.verdict.violation(f"{name}: the change failed: {failure}")

    def _run_drain(self, cluster):
        done = subprocess.run(
            [cluster.larder, "cluster", "drain", "c", "--node", "{}:{}".format(*cluster["a"].address), "--quiet"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
            timeout=600,
        )
        self.verdict.expect(done.returncode == 0, f"larder cluster drain ended with {done.returncode}: {done.stderr}")

    def _drain(self, cluster, started, replay):
        self._run_drain(cluster)
        seconds = time.monotonic() - started
        figures = cluster["c"].figures()
        status, _ = cluster["c"].stop()
        self.verdict.expect(status == 0, f"drain: c ended with {status} after SIGTERM")
        self._tell("drain", seconds, figures, replay)

    def _join(self, cluster, started, replay):
        cluster["c"].start()
        cluster.wait_settled(600)
        seconds = time.monotonic() - started
        given = {}
        for name in ("a", "b"):
            for key, value in cluster[name].figures().items():
                if key.startswith("cluster_hand"):
                    given[key] = given.get(key, 0) + value if isinstance(value, int) else value
        self._tell("join", seconds, given, replay)

    def _tell(self, name, seconds, figures, replay):
        self.verdict.expect(replay.poll() is None, f"{name}: the replay had ended before the change was over")
        say(
            f"{name}: took {seconds:.1f} s; given {figures['cluster_handover_given_blocks']} blocks, "
            f"{in_units(figures['cluster_handover_given_bytes'])}, held already {figures['cluster_handover_held_blocks']}, "
            f"failed {figures['cluster_handover_failed_blocks']}"
        )
        self.notes.append(f"{name} took {seconds:.1f} s for {figures['cluster_handover_given_blocks']} blocks")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", metavar="TRACE", help="the trace, JSON lines")
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/cluster-change.sh builds it)")
    parser.add_argument("--membership", choices=["auto", "static", "etcd"], default="auto")
    parser.add_argument("--block-size", type=byte_count, default=4 * KIB, help="bytes of a block (default 4KiB)")
    parser.add_argument("--requests", type=int, default=None, help="only the first requests")
    parser.add_argument("--clients", type=int, default=1, help="requests at once (default 1; more may hit less)")
    parser.add_argument("--memory", type=byte_count, default=64 * MIB, help="of each node (default 64MiB)")
    parser.add_argument("--disk", type=byte_count, default=4 * GIB, help="of each node (default 4GiB)")
    parser.add_argument("--points", type=float, default=2.0, help="most that a change may cost (default 2)")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=["steady", "drain", "join", "drain-keeps", "join-keeps"],
        help="some of steady,drain,join,drain-keeps,join-keeps",
    )
    parser.add_argument("--timeout", type=float, default=3600, help="seconds a replay may take (default 3600)")
    parser.add_argument("--serve-arguments", type=str.split, default=[], help="more flags of larder serve, in one word")
    parser.add_argument("--work", default=None, help="where the temporary directory goes (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the data directories and the nodes' logs")
    settings = parser.parse_args()
    require_linux()
    clean_up_at_end(settings.keep)
    if settings.membership == "auto":
        settings.membership = "etcd" if knows_etcd(settings.larder) else "static"
    say(f"membership {settings.membership}")
    return Run(settings).run()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NodeFailed as failure:
        say(f"FAIL: cluster-change: {failure}")
        sys.exit(1)
