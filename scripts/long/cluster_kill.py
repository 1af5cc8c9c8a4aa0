"""kill -9 of one node of three under load, with --replicas 2, round after round, another node each time.

Clients at all nodes ask for prompts, compare every byte and store what is missing. Each round

  puts fresh pinned blocks: half of them each at its owner, so that the only second copy is the one that --replicas makes,
  half by way of any node, to be pinned by KV.PIN afterwards; waits until the nodes make no more copies, and fills all RAM
  with other blocks, so that near copies, which nobody keeps, do not count
  kills a node with kill -9 and asks the others for the pinned blocks that it owned
  starts it again on its data directory and asks all three for all pinned blocks of all rounds
  stops another node with SIGSTOP for some seconds, and lets it go on

and expects

  no wrong byte, ever; no call to a live node that hangs, or takes longer than its deadline and --slack
  no error reply about blocks; plain SETs of keys of the dead node may be refused (TRYAGAIN), never answered by others
  a pinned block that the dead node owned may be a miss for at most 3 s (--detection); after that, while the node is
  away, while it comes back and after, every pinned block is a hit at every node
  the node is back, up and active for all, within 30 s (--back)
  the stopped node is down for the others within 3 s and up again 5 s (--rejoin) after it goes on; only its own clients wait
"""

import argparse
import random
import signal
import sys
import time

from cluster import (
    Cluster, Etcd, Load, Prompts, describe_source, evict_near_copies, knows_etcd, preload, slot_of, wait_for,
)
from node import NodeFailed, clean_up_at_end, require_linux, temporary_directory
from workload import GIB, MIB, NAMESPACE, Content, ReplyError, Verdict, byte_count, new_seed, percentile, say, table

LOOKUP_TIMEOUT, LOAD_TIMEOUT, PUT_WAIT, STORE_TIMEOUT = 0.1, 1.0, 2.0, 5.0


class Pinned:
    """Pinned blocks of one round, in a namespace of their own."""

    def __init__(self, content, number, count, at_owners):
        self.at_owners = at_owners
        self.description = {**NAMESPACE, "model": f"check/pinned-{number}-{'owners' if at_owners else 'doors'}"}
        self.prompts = Prompts(content, self.description["model"], count)
        self.keys = [key for prompt in range(count) for key in self.prompts.keys(prompt)]

    def put(self, cluster):
        owners = cluster.owners()
        for number, name in enumerate(cluster.nodes):
            door = cluster.blocks(name, description=self.description)
            if self.at_owners:
                mine = [key for key in self.keys if owners[slot_of(key)] == name]
            else:
                mine = self.keys[number :: len(cluster.nodes)]
            for start in range(0, len(mine), 8):
                self._put(door, mine[start : start + 8])
            door.connection.close()
        return owners

    def _put(self, door, keys):
        options = ["PIN"] if self.at_owners else ["ACK", "owner"]
        blocks = [part for key in keys for part in (key, self.prompts.payload(key))]
        outcomes = door.connection.call("KV.PUT", door.namespace, *options, "BLOCKS", len(keys), *blocks)
        if any(isinstance(outcome, ReplyError) or bytes(outcome) != b"stored" for outcome in outcomes):
            raise NodeFailed(f"a block was not stored: {outcomes}")
        if not self.at_owners:
            pinned = door.connection.call("KV.PIN", door.namespace, "KEYS", len(keys), *keys)
            if pinned != [1] * len(keys):
                raise NodeFailed(f"blocks were not pinned: {pinned}")

    def copies(self, cluster):
        """How many blocks of the namespace lie on all nodes together."""
        return sum(self._count(node) for node in cluster.running())

    def _count(self, node):
        words = node.ask("KV.STATS", node.ask("KV.DESCRIBE", self._text()))
        figures = dict(zip([bytes(word) for word in words[::2]], words[1::2]))
        return int(figures[b"blocks"])

    def _text(self):
        return "{" + ",".join(
            f'"{name}":{value if isinstance(value, int) else chr(34) + value + chr(34)}'
            for name, value in self.description.items()
        ) + "}"


class Run:
    """The rounds."""

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("cluster-kill")
        self.random = random.Random(f"{settings.seed} rounds")
        work = temporary_directory(settings.work)
        etcd = None
        if settings.membership == "etcd":
            etcd = Etcd(work)
            etcd.start()
        self.names = ["a", "b", "c"]
        self.cluster = Cluster(
            settings.larder, work, self.names, settings.memory, settings.disk,
            ["--replicas", "2"] + settings.serve_arguments, etcd=etcd,
        )
        self.content = Content(settings.seed)
        self.pinned = []
        self.copied, self.detected, self.miss_windows, self.backs, self.probe_times = [], [], [], [], []
        self.dead_times = []
        self.stopped, self.stop_detected, self.rejoined = [], [], []
        self.probes = self.early_misses = 0

    def run(self):
        settings, cluster = self.settings, self.cluster
        cluster.start()
        describe_source(cluster)
        prompts = Prompts(self.content, "load", settings.prompts)
        preload(cluster, prompts)
        load = Load(cluster, prompts, settings.seed, self.verdict, each=settings.clients, rate=settings.rate)
        for number in range(1, settings.rounds + 1):
            self._round(number)
            load.poll()
            cluster.check_alive(self.verdict, f"round {number}")
            if self.verdict.violations > 100:
                say("too many violations, giving up")
                break
        report = load.stop(
            excused=lambda door, began, seconds: any(
                door == name and began < end and began + seconds > start for name, start, end in self.stopped
            )
        )
        self._judge_calls(report)
        for name, status in cluster.stop().items():
            self.verdict.expect(status == 0, f"node {name}: exit status {status} after SIGTERM")
        return self.verdict.finish(
            f"{settings.rounds} kills; second copies after {self._spread(self.copied)} s; down for all after "
            f"{self._spread(self.detected)} s; pinned blocks of the dead node missed until {self._spread(self.miss_windows)} "
            f"s after the kill ({self.early_misses} of {self.probes} probes), bound {settings.detection}; longest probe "
            f"{max(self.probe_times, default=0):.2f} s; back after {self._spread(self.backs)} s; "
            f"stopped nodes down after {self._spread(self.stop_detected)} s, up after {self._spread(self.rejoined)} s; "
            f"{len(self.pinned) * len(self.pinned[0].keys)} pinned blocks; {report.summary()}"
        )

    @staticmethod
    def _spread(values):
        return f"median {percentile(values, 0.5):.2f} max {max(values, default=0):.2f}"

    def _round(self, number):
        victim = self.names[(number + self.settings.seed) % 3]
        survivors = [name for name in self.names if name != victim]
        fresh = Pinned(self.content, number, self.settings.pinned_prompts // 2, at_owners=True)
        owners = fresh.put(self.cluster)
        by_doors = Pinned(self.content, number, self.settings.pinned_prompts // 2, at_owners=False)
        by_doors.put(self.cluster)
        self.pinned += [fresh, by_doors]
        copied = self._wait_copied(fresh, number)
        filler = evict_near_copies(self.cluster, self.content, number, self.settings.memory * 5 // 2)
        lost = [key for key in fresh.keys if owners[slot_of(key)] == victim]
        early = lost[: len(lost) // 2]
        self.random.shuffle(early)

        killed_at = time.monotonic()
        self.cluster[victim].kill_hard()
        detected = self._probe_until_detected(number, fresh, early, victim, survivors, killed_at)
        self._sweep(f"round {number}, {victim} is dead", survivors)
        # The rest of its pinned blocks were among these, and had never been read before.
        time.sleep(self.random.uniform(0, 3))

        away = time.monotonic() - killed_at
        started_at = self.cluster[victim].launch_only()
        self.cluster[victim].wait_until_answering()
        while not self.cluster.is_settled() and time.monotonic() - started_at < self.settings.back:
            self._sweep(f"round {number}, {victim} comes back", survivors, share=0.2)
        back = time.monotonic() - started_at
        self.dead_times.append((victim, killed_at, started_at + back))
        self.backs.append(back)
        self.verdict.expect(
            self.cluster.is_settled(),
            f"round {number}: {victim} was not back within {back:.1f} s: {self.cluster.views()}",
        )
        self._sweep(f"round {number}, {victim} is back", self.names)
        if self.cluster.is_settled():
            self.cluster["a"].ask("KV.CLEAR", filler, timeout=30)
            self._stop_and_go_on(number, next(name for name in self.names if name != victim))
        say(
            f"round {number}/{self.settings.rounds}: {victim} killed, {len(lost)} pinned blocks were its; second copies "
            f"after {copied:.1f} s, down for all after {detected:.2f} s, last miss after {self.miss_windows[-1]:.2f} s, "
            f"away {away:.1f} s, back after {back:.2f} s; violations {self.verdict.violations}"
        )

    def _stop_and_go_on(self, number, name):
        """SIGSTOP for some seconds: the others see it down, ask it no more, and see it up when it goes on."""
        others = [other for other in self.names if other != name]
        node, began = self.cluster[name], time.monotonic()
        node.forget()
        node.process.send_signal(signal.SIGSTOP)
        try:
            while not self._is_down(name, others) and time.monotonic() - began < self.settings.detection + 10:
                time.sleep(0.02)
            detected = time.monotonic() - began
            self.stop_detected.append(detected)
            self.verdict.expect(
                detected <= self.settings.detection, f"round {number}: {name}, stopped, was down after {detected:.2f} s"
            )
            self._sweep(f"round {number}, {name} is stopped", others)
            time.sleep(self.random.uniform(0, 5))
        finally:
            node.process.send_signal(signal.SIGCONT)
        goes_on = time.monotonic()
        while not self.cluster.is_settled() and time.monotonic() - goes_on < self.settings.back:
            time.sleep(0.02)
        rejoined = time.monotonic() - goes_on
        # What its clients had sent meanwhile is answered a little later.
        self.stopped.append((name, began, goes_on + 1))
        self.rejoined.append(rejoined)
        self.verdict.expect(
            rejoined <= self.settings.rejoin, f"round {number}: {name}, stopped, rejoined after {rejoined:.2f} s"
        )
        self._sweep(f"round {number}, {name} goes on", self.names)

    def _wait_copied(self, fresh, number):
        """Until each fresh block is there twice, and no node has made a copy for a while."""
        wanted = 2 * len(fresh.keys)
        try:
            copied = wait_for(lambda: fresh.copies(self.cluster) >= wanted, 60, "second copies", pause=0.2)
        except NodeFailed:
            copied = 60.0
            self.verdict.violation(
                f"round {number}: {fresh.copies(self.cluster)} copies of {len(fresh.keys)} pinned blocks after 60 s"
            )
        self.copied.append(copied)
        quiet_since, before = time.monotonic(), None
        while time.monotonic() - quiet_since < 5:
            now = [node.figures()["cluster_replicated_blocks"] for node in self.cluster.running()]
            if now != before:
                quiet_since, before = time.monotonic(), now
            time.sleep(0.2)
        return copied

    def _probe_until_detected(self, number, fresh, early, victim, survivors, killed_at):
        """Asks for blocks of the dead node from the first moment on; returns when all see it down."""
        doors = [self.cluster.blocks(name, description=fresh.description) for name in survivors]
        detected, last_miss, turn = None, 0.0, 0
        while detected is None or time.monotonic() - killed_at < detected + 0.5:
            key = early[turn % len(early)]
            door = doors[turn % 2]
            turn += 1
            asked_at = time.monotonic()
            try:
                payload = door.get([key])[0]
            except ReplyError as error:
                self.verdict.violation(f"round {number}: error reply for a block of the dead node: {error}")
                continue
            self.probe_times.append(time.monotonic() - asked_at)
            self.probes += 1
            if payload is None:
                self.early_misses += 1
                last_miss = asked_at - killed_at
            else:
                fault = fresh.prompts.fault(key, payload)
                self.verdict.expect(fault is None, f"round {number}: WRONG BYTES: {fault}")
            if detected is None and self._is_down(victim, survivors):
                detected = time.monotonic() - killed_at
            if time.monotonic() - killed_at > self.settings.detection + 10:
                detected = detected or self.settings.detection + 10
                break
        for door in doors:
            door.connection.close()
        self.detected.append(detected)
        self.miss_windows.append(last_miss)
        for what, seconds in (("detected", detected), ("the last miss of a pinned block was", last_miss)):
            self.verdict.expect(
                seconds <= self.settings.detection, f"round {number}: {what} {seconds:.2f} s after the kill"
            )
        bound = LOAD_TIMEOUT + self.settings.slack
        self.verdict.expect(
            max(self.probe_times) <= bound, f"round {number}: a read took {max(self.probe_times):.2f} s"
        )
        return detected

    def _is_down(self, victim, survivors):
        return all(not self.cluster[name].members().get(victim, ("gone", False))[1] for name in survivors)

    def _sweep(self, when, names, share=1.0):
        """All pinned blocks by all these nodes: hits, with the right bytes."""
        for fresh in self.pinned:
            keys = fresh.keys if share == 1.0 else self.random.sample(fresh.keys, max(1, int(share * len(fresh.keys))))
            for name in names:
                door = self.cluster.blocks(name, description=fresh.description)
                missed = []
                for start in range(0, len(keys), 16):
                    part = keys[start : start + 16]
                    for key, payload in zip(part, door.get(part)):
                        if payload is None:
                            missed.append(key)
                            continue
                        fault = fresh.prompts.fault(key, payload)
                        self.verdict.expect(fault is None, f"{when}: by {name}: WRONG BYTES: {fault}")
                if missed:
                    owners = self.cluster.owners()
                    places = sorted({str(owners[slot_of(key)]) for key in missed})
                    self.verdict.violation(
                        f"{when}: by {name}: {len(missed)} of {len(keys)} pinned blocks of {fresh.description['model']} "
                        f"missed; owners {places}; {door.explain(missed[0])}"
                    )
                door.connection.close()

    def _judge_calls(self, report):
        slack = self.settings.slack
        deadlines = {
            "match": LOOKUP_TIMEOUT + slack, "get": 2 * LOAD_TIMEOUT + slack, "plain get": LOAD_TIMEOUT + slack,
            "put": PUT_WAIT + slack, "plain set": STORE_TIMEOUT + slack, "release": slack,
            "put to owner": PUT_WAIT + 2 * STORE_TIMEOUT + slack,
        }
        table(report.rows(deadlines))
        for verb, deadline in deadlines.items():
            seconds, began = report.longest(verb)
            self.verdict.expect(
                seconds <= deadline, f"a call took {seconds:.2f} s, more than {deadline:.2f}: {verb} at {began:.2f}"
            )
        odd = [error for error in report.errors if not (error[1].startswith("plain") and error[2].startswith("TRYAGAIN"))]
        for at, verb, text in odd[:5]:
            self.verdict.violation(f"error reply to {verb} at {at:.2f}: {text}")
        for at, door, text in report.disconnects:
            was_dead = any(name == door and start <= at <= end for name, start, end in self.dead_times)
            self.verdict.expect(was_dead, f"a client of {door}, which was alive, was cut off at {at:.2f}: {text}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/cluster-kill.sh builds it)")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--membership", choices=["auto", "static", "etcd"], default="auto")
    parser.add_argument("--clients", type=int, default=1, help="clients of each node (default 1)")
    parser.add_argument("--rate", type=float, default=20, help="requests a second of each client (default 20)")
    parser.add_argument("--prompts", type=int, default=300, help="prompts of 8 blocks of 8 to 128 KiB (default 300)")
    parser.add_argument("--pinned-prompts", type=int, default=40, help="pinned prompts of a round (default 40)")
    parser.add_argument("--memory", type=byte_count, default=128 * MIB, help="of each node (default 128MiB)")
    parser.add_argument("--disk", type=byte_count, default=4 * GIB, help="of each node (default 4GiB)")
    parser.add_argument("--detection", type=float, default=3.0, help="seconds (default 3)")
    parser.add_argument("--back", type=float, default=30.0, help="seconds from start to active (default 30)")
    parser.add_argument("--rejoin", type=float, default=5.0, help="seconds (default 5)")
    parser.add_argument("--slack", type=float, default=1.0, help="seconds beyond a call's deadline (default 1)")
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
        say(f"FAIL: cluster-kill: {failure}")
        sys.exit(1)
