"""Links between nodes cut and healed at random under load.

Three nodes, and etcd when larder can keep its membership there, each in a network namespace of its own, wired to a bridge
in another one; nothing of it is seen outside. Clients in each namespace ask their node for prompts, compare every byte
and store what is missing, while links are cut and healed:

  link     the node's cable is pulled: its interface loses its carrier
  silence  the bridge forwards nothing for the node, which does not notice: packets vanish
  pair     two nodes cannot reach each other; both reach the third, and etcd

One cut in four is a flap: it heals after at most a second, whether or not anybody has noticed. Some are held for up to
--hold seconds after they were noticed. Expected:

  no wrong byte, ever
  no call takes longer than its deadline (--peer-lookup-timeout for KV.MATCH, --peer-load-timeout for reads,
  --put-wait for puts, 5 s for a plain SET that is relayed, two tries of 5 s for puts with ACK owner) and --slack
  nodes that were cut off from each other see each other down within 3 s (--detection)
  after healing all see all others up and active within 5 s (--rejoin)

Needs root, for namespaces, and the packages iproute2 and etcd-server. Exit status 2 when it is not root.
"""

import argparse
import atexit
import os
import random
import re
import subprocess
import sys
import time

from cluster import Cluster, Etcd, Load, Prompts, describe_source, knows_etcd, preload
from node import NodeFailed, clean_up_at_end, require_linux, temporary_directory
from workload import MIB, Content, ReplyError, Verdict, byte_count, new_seed, percentile, say, table

SUBNET = "10.77.0"
LOOKUP_TIMEOUT, LOAD_TIMEOUT, PUT_WAIT, STORE_TIMEOUT = 0.1, 1.0, 2.0, 5.0


def ip(*words, check=True):
    done = subprocess.run(["ip", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if check and done.returncode != 0:
        raise NodeFailed(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """Namespaces on a bridge that is in a namespace itself, the hub, where etcd lives."""

    PREFIX = "larder-check"

    def __init__(self, names):
        self.names = names
        self._remove_stale()
        atexit.register(self.remove)
        self.hub = self._namespace("hub")
        ip("netns", "add", self.hub)
        ip("-n", self.hub, "link", "set", "lo", "up")
        ip("-n", self.hub, "link", "add", "bridge", "type", "bridge", "stp_state", "0", "forward_delay", "0")
        ip("-n", self.hub, "address", "add", f"{SUBNET}.254/24", "dev", "bridge")
        ip("-n", self.hub, "link", "set", "bridge", "up")
        for number, name in enumerate(names, start=1):
            place = self._namespace(name)
            ip("netns", "add", place)
            ip("-n", place, "link", "set", "lo", "up")
            ip("-n", self.hub, "link", "add", self._port(name), "type", "veth", "peer", "name", "eth0", "netns", place)
            ip("-n", place, "address", "add", f"{SUBNET}.{number}/24", "dev", "eth0")
            ip("-n", place, "link", "set", "eth0", "up")
            ip("-n", self.hub, "link", "set", self._port(name), "master", "bridge")
            ip("-n", self.hub, "link", "set", self._port(name), "up")

    def places(self):
        """(host, namespace path) by node."""
        return {
            name: (f"{SUBNET}.{number}", self.path(name)) for number, name in enumerate(self.names, start=1)
        }

    def path(self, name):
        return f"/run/netns/{self._namespace(name)}"

    def cut(self, kind, nodes):
        self._set(kind, nodes, ("down",), ("state", "0"), ("isolated", "on"))

    def heal(self, kind, nodes):
        self._set(kind, nodes, ("up",), ("state", "3"), ("isolated", "off"))

    def remove(self):
        for name in self.names + ["hub"]:
            ip("netns", "delete", self._namespace(name), check=False)

    def _set(self, kind, nodes, link, silence, pair):
        for name in nodes:
            if kind == "link":
                ip("-n", self.hub, "link", "set", self._port(name), *link)
                continue
            words = ["bridge", "-n", self.hub, "link", "set", "dev", self._port(name), *(silence if kind == "silence" else pair)]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0:
                raise NodeFailed(f"{' '.join(words)}: {done.stderr.strip()}")

    def _namespace(self, name):
        return f"{self.PREFIX}-{os.getpid()}-{name}"

    @staticmethod
    def _port(name):
        return f"to-{name}"

    def _remove_stale(self):
        """Namespaces of runs that were killed with -9."""
        for line in ip("netns", "list").splitlines():
            found = re.match(rf"({self.PREFIX}-(\d+)-\w+)", line)
            if found and not os.path.exists(f"/proc/{found[2]}"):
                ip("netns", "delete", found[1], check=False)


class Run:
    """The cuts, seen from outside."""

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("cluster-partition")
        self.random = random.Random(f"{settings.seed} cuts")
        self.work = temporary_directory(settings.work)
        self.names = ["a", "b", "c"]
        self.network = Network(self.names)
        etcd = None
        if settings.membership == "etcd":
            etcd = Etcd(self.work, f"{SUBNET}.254", self.network.path("hub"))
            etcd.start()
        self.cluster = Cluster(
            settings.larder, self.work, self.names, settings.memory, arguments=settings.serve_arguments, etcd=etcd,
            networks=self.network.places(),
        )
        self.prompts = Prompts(Content(settings.seed), "partition", settings.prompts)
        self.detections, self.rejoins = {}, []
        self.flaps = 0

    def run(self):
        settings = self.settings
        self.cluster.start()
        describe_source(self.cluster)
        count = preload(self.cluster, self.prompts)
        say(f"{count} blocks stored; {3 * settings.clients} clients")
        load = Load(
            self.cluster, self.prompts, settings.seed, self.verdict, each=settings.clients, rate=settings.rate,
        )
        time.sleep(1)
        for number in range(1, settings.cuts + 1):
            self._cut(number)
            load.poll()
            self.cluster.check_alive(self.verdict, f"cut {number}")
            if self.verdict.violations > 100:
                say("too many violations, giving up")
                break
            time.sleep(self.random.uniform(0.2, 2))
        report = load.stop()
        self._judge_calls(report)
        self._read_everything()
        figures = {name: self.cluster[name].figures() for name in self.names}
        for name, status in self.cluster.stop().items():
            self.verdict.expect(status == 0, f"node {name}: exit status {status} after SIGTERM")
        lost = sum(figure["cluster_peers_lost"] for figure in figures.values())
        found = [seconds for times in self.detections.values() for seconds in times]
        return self.verdict.finish(
            f"{settings.cuts} cuts, {self.flaps} of them flaps; detected after "
            + ", ".join(f"{kind} {self._spread(times)}" for kind, times in sorted(self.detections.items()))
            + f" s (all: max {max(found, default=0):.2f}, bound {settings.detection}); rejoined after "
            f"{self._spread(self.rejoins)} s (bound {settings.rejoin}); peers lost {lost} times; {report.summary()}; "
            f"corrupt from peers {sum(figure['peer_corrupt'] for figure in figures.values())}"
        )

    @staticmethod
    def _spread(values):
        return f"median {percentile(values, 0.5):.2f} max {max(values, default=0):.2f}"

    def _cut(self, number):
        kind = self.random.choice(self.settings.kinds)
        nodes = self.random.sample(self.names, 2 if kind == "pair" else 1)
        is_flap = self.random.random() < 0.25
        apart = self._apart(kind, nodes)
        cut_at = time.monotonic()
        self.network.cut(kind, nodes)
        if is_flap:
            self.flaps += 1
            time.sleep(self.random.uniform(0.1, 1))
            seen = None
        else:
            seen = self._wait(lambda: self._sees_cut(apart), self.settings.detection + 5, cut_at)
            self.detections.setdefault(kind, []).append(seen)
            self.verdict.expect(
                seen <= self.settings.detection, f"cut {number} ({kind} {nodes}): detected after {seen:.2f} s"
            )
            # Most cuts are short; one in four is held for long, so that retries have slowed down when it heals.
            time.sleep(self.random.choice([0, 1, 2, self.settings.hold]) * self.random.uniform(0.5, 1))
        cut_for = time.monotonic() - cut_at
        healed_at = time.monotonic()
        self.network.heal(kind, nodes)
        back = self._wait(self.cluster.is_settled, self.settings.rejoin + 60, healed_at)
        self.rejoins.append(back)
        self.verdict.expect(
            back <= self.settings.rejoin,
            f"cut {number} ({kind} {nodes}, {cut_for:.1f} s long): rejoined after {back:.2f} s",
        )
        if number % 5 == 0 or number == self.settings.cuts or self.settings.cuts <= 10:
            say(
                f"cut {number}/{self.settings.cuts}: {kind} {'-'.join(nodes)} for {cut_for:.1f} s, "
                f"{'a flap' if seen is None else f'seen after {seen:.2f} s'}, back after {back:.2f} s; "
                f"violations {self.verdict.violations}"
            )

    def _apart(self, kind, nodes):
        """Ordered pairs of nodes that cannot reach each other."""
        return [
            (one, other) for one in self.names for other in self.names
            if one != other and (set(nodes) == {one, other} if kind == "pair" else nodes[0] in (one, other))
        ]

    def _sees_cut(self, apart):
        views = {name: self.cluster[name].members() for name in {one for one, _ in apart}}
        # A node that is not in the view any more is not asked either.
        return all(not views[one].get(other, ("gone", False))[1] for one, other in apart)

    @staticmethod
    def _wait(holds, timeout, since):
        while True:
            try:
                if holds():
                    return time.monotonic() - since
            except (OSError, ReplyError):
                pass
            if time.monotonic() - since > timeout:
                return time.monotonic() - since
            time.sleep(0.02)

    def _judge_calls(self, report):
        slack = self.settings.slack
        deadlines = {
            "match": LOOKUP_TIMEOUT + slack, "get": LOAD_TIMEOUT + slack, "plain get": LOAD_TIMEOUT + slack,
            "put": PUT_WAIT + slack, "plain set": STORE_TIMEOUT + slack, "release": slack,
            "put to owner": PUT_WAIT + 2 * STORE_TIMEOUT + slack,
        }
        table(report.rows(deadlines))
        for verb, deadline in deadlines.items():
            seconds, began = report.longest(verb)
            self.verdict.expect(
                seconds <= deadline, f"a call took {seconds:.2f} s, more than {deadline:.2f}: {verb} at {began:.2f}"
            )
        # A plain key whose owner cannot be reached is refused, not answered from elsewhere.
        odd = [error for error in report.errors if not (error[1].startswith("plain") and error[2].startswith("TRYAGAIN"))]
        for at, verb, text in odd[:5]:
            self.verdict.violation(f"error reply to {verb} at {at:.2f}: {text}")
        self.verdict.expect(not report.disconnects, f"clients were cut off: {report.disconnects[:3]}")

    def _read_everything(self):
        """After the last healing: each block by each node is right or a miss."""
        for name in self.names:
            door = self.cluster.blocks(name)
            missed = 0
            for number in range(self.prompts.count):
                keys = self.prompts.keys(number)
                for key, payload in zip(keys, door.get(keys)):
                    if payload is None:
                        missed += 1
                        continue
                    fault = self.prompts.fault(key, payload)
                    self.verdict.expect(fault is None, f"at the end, by {name}: WRONG BYTES: {fault}")
            door.connection.close()
            say(f"at the end, by {name}: {missed} of {self.prompts.count * self.prompts.length} blocks missed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/cluster-partition.sh builds it)")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--hold", type=float, default=15.0, help="seconds of the longest cuts (default 15)")
    parser.add_argument(
        "--kinds", type=lambda text: text.split(","), default=["link", "silence", "pair"],
        help="some of link,silence,pair (default all)",
    )
    parser.add_argument("--membership", choices=["auto", "static", "etcd"], default="auto")
    parser.add_argument("--clients", type=int, default=2, help="clients of each node (default 2)")
    parser.add_argument("--rate", type=float, default=20, help="requests a second of each client (default 20)")
    parser.add_argument("--prompts", type=int, default=300, help="prompts of 8 blocks of 8 to 128 KiB (default 300)")
    parser.add_argument("--memory", type=byte_count, default=128 * MIB, help="of each node (default 128MiB)")
    parser.add_argument("--detection", type=float, default=3.0, help="seconds (default 3)")
    parser.add_argument("--rejoin", type=float, default=5.0, help="seconds (default 5)")
    parser.add_argument("--slack", type=float, default=1.0, help="seconds beyond a call's deadline (default 1)")
    parser.add_argument("--serve-arguments", type=str.split, default=[], help="more flags of larder serve, in one word")
    parser.add_argument("--work", default=None, help="where the temporary directory goes (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the nodes' logs")
    settings = parser.parse_args()
    require_linux()
    if os.geteuid() != 0:
        say("error: network namespaces need root")
        return 2
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
        say(f"FAIL: cluster-partition: {failure}")
        sys.exit(1)
