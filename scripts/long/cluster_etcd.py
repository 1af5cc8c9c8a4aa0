"""etcd killed for two minutes, and stopped (SIGSTOP) for one, under a cluster of three nodes with load.

Clients at all nodes ask for prompts that are held, compare every byte, and store fresh ones. In the middle of each outage a
fourth node is started, and started again whenever it ends, as a service manager would. Expected:

  while etcd is away: no error reply, no cut connection, no miss of a block that is held, no wrong byte; every node keeps
  all three in its view, up and active
  at most 10 s (--convergence) after etcd is healthy again, or goes on: every node is connected to it, and all see the
  fourth node up
  the fourth node becomes active, is drained, stopped, and gone from all views when its place's time is over (--gone)

Needs a larder that can keep its membership in etcd, and the package etcd-server. Exit status 2 for one that cannot.
"""

import argparse
import signal
import subprocess
import sys
import time

from cluster import Cluster, Etcd, Load, Prompts, environment, knows_etcd, preload
from node import NodeFailed, clean_up_at_end, require_linux, temporary_directory
from workload import MIB, Content, ReplyError, Verdict, byte_count, new_seed, say, table


class Run:
    """The two outages."""

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("cluster-etcd")
        work = temporary_directory(settings.work)
        self.etcd = Etcd(work)
        self.names = ["a", "b", "c"]
        self.cluster = Cluster(
            settings.larder, work, self.names + ["d"], settings.memory, arguments=settings.serve_arguments, etcd=self.etcd,
        )
        self.content = Content(settings.seed)
        self.notes = []

    def run(self):
        settings = self.settings
        self.etcd.start()
        self.cluster.start(*self.names)
        say("three nodes, one etcd")
        if settings.kill_seconds > 0:
            self._outage("killed", settings.kill_seconds, self.etcd.kill_hard, self.etcd.start)
        if settings.stop_seconds > 0:
            self._outage(
                "stopped", settings.stop_seconds,
                lambda: self.etcd.process.send_signal(signal.SIGSTOP),
                lambda: self.etcd.process.send_signal(signal.SIGCONT),
            )
        for name, status in self.cluster.stop().items():
            self.verdict.expect(status == 0, f"node {name}: exit status {status} after SIGTERM")
        return self.verdict.finish("; ".join(self.notes))

    def _outage(self, name, seconds, begin, end):
        prompts = Prompts(self.content, f"while {name}", self.settings.prompts)
        preload(self.cluster, prompts)
        load = Load(
            self.cluster, prompts, self.settings.seed, self.verdict, self.names, self.settings.clients, self.settings.rate,
            must_hit=True,
        )
        time.sleep(2)
        failures_before = self._lookup_failures()
        began = time.monotonic()
        begin()
        say(f"etcd is {name}")
        noticed, starts = self._wait_out(name, seconds, began)
        load.poll()
        # Look-ups at other nodes that took more than --peer-lookup-timeout: misses that a slow machine explains.
        slow = self._lookup_failures() - failures_before
        end()
        over = time.monotonic()
        connected, seen, restarts = self._converge(name, over)
        settled = time.monotonic()
        while time.monotonic() - settled < self.settings.join and not self._is_active("d"):
            self._keep_d()
            time.sleep(0.1)
        self.verdict.expect(self._is_active("d"), f"{name}: d did not become active: {self.cluster.views()}")
        report = load.stop()
        table(report.rows())
        early = [miss for miss in report.unexpected if began <= miss[0] < over]
        late = sum(miss[0] >= over for miss in report.unexpected)
        for at, door, text in early[:5]:
            self.verdict.violation(f"{name}: {at - began:.1f} s after etcd was lost, by {door}: {text}")
        self.verdict.expect(not early, f"{name}: {len(early)} misses of blocks that are held, while etcd was away")
        for at, verb, text in report.errors[:5]:
            self.verdict.violation(f"{name}: error reply to {verb} at {at - began:.1f} s: {text}")
        self.verdict.expect(not report.disconnects, f"{name}: clients were cut off: {report.disconnects[:3]}")
        self.cluster.check_alive(self.verdict, name)
        figures = [self.cluster[node].figures() for node in self.names]
        text = (
            f"etcd {name} for {seconds:.0f} s: noticed after {noticed:.1f} s, connected again after {connected:.2f} s, "
            f"fourth node seen after {seen:.2f} s (bound {self.settings.convergence:.0f}; started {starts + restarts} times); "
            f"registered anew {sum(figure['cluster_reregistrations'] for figure in figures)} times so far; "
            f"misses of held blocks {len(early)} during ({slow} look-ups at other nodes failed), {late} while d joined; "
            f"{report.summary()}"
        )
        say(text)
        self.notes.append(text)
        self._remove_d(name)

    def _wait_out(self, name, seconds, began):
        """Until the outage is over; returns when all nodes had noticed, and how often d was started."""
        noticed, starts, bad_views = None, 0, 0
        while time.monotonic() - began < seconds:
            if noticed is None and all(
                self.cluster[node].figures()["cluster_source_connected"] == 0 for node in self.names
            ):
                noticed = time.monotonic() - began
            if time.monotonic() - began > seconds / 2 and not self.cluster["d"].is_running:
                self.cluster["d"].launch_only()
                starts += 1
            if not self.cluster.is_settled([self.cluster[node] for node in self.names]):
                bad_views += 1
                if bad_views <= 3:
                    self.verdict.violation(f"{name}: a view is not whole while etcd is away: {self.cluster.views()}")
            time.sleep(0.25)
        self.verdict.expect(bad_views == 0, f"{name}: views were not whole {bad_views} times")
        return noticed if noticed is not None else float("nan"), starts

    def _converge(self, name, over):
        """Seconds until all are connected, until all see d, and how often it was started."""
        connected = seen = None
        restarts = 0
        while (connected is None or seen is None) and time.monotonic() - over < self.settings.convergence + 30:
            restarts += self._keep_d()
            if connected is None and all(
                self.cluster[node].figures()["cluster_source_connected"] == 1 for node in self.names
            ):
                connected = time.monotonic() - over
            if seen is None and all(
                self.cluster[node].members().get("d", ("", False))[1] for node in self.names
            ):
                seen = time.monotonic() - over
            if not self.cluster.is_settled([self.cluster[node] for node in self.names]):
                self.verdict.violation(f"{name}: a view is not whole after etcd is back: {self.cluster.views()}")
                time.sleep(0.5)
            time.sleep(0.05)
        limit = self.settings.convergence + 30
        connected, seen = connected or limit, seen or limit
        self.verdict.expect(connected <= self.settings.convergence, f"{name}: connected again after {connected:.1f} s")
        self.verdict.expect(seen <= self.settings.convergence, f"{name}: the fourth node was seen after {seen:.1f} s")
        return connected, seen, restarts

    def _lookup_failures(self):
        return sum(self.cluster[node].figures()["cluster_match_failures"] for node in self.names)

    def _keep_d(self):
        if self.cluster["d"].is_running:
            return 0
        self.cluster["d"].launch_only()
        return 1

    def _is_active(self, name):
        try:
            return all(self.cluster[node].members().get(name) == ("active", True) for node in self.names)
        except (OSError, ReplyError):
            return False

    def _remove_d(self, name):
        """Drains d, stops it, and waits until it is gone."""
        done = subprocess.run(
            [self.settings.larder, "cluster", "drain", "d", "--node", "{}:{}".format(*self.cluster["a"].address), "--quiet"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(),
            timeout=300,
        )
        self.verdict.expect(done.returncode == 0, f"{name}: larder cluster drain ended with {done.returncode}: {done.stderr}")
        status, _ = self.cluster["d"].stop()
        self.verdict.expect(status == 0, f"{name}: d ended with {status} after SIGTERM")
        self.cluster["d"].process = None
        ended = time.monotonic()
        while any("d" in self.cluster[node].members() for node in self.names):
            if time.monotonic() - ended > self.settings.gone:
                self.verdict.violation(f"{name}: d is not gone from all views: {self.cluster.views()}")
                return
            time.sleep(0.05)
        say(f"d was drained and stopped; gone from all views after {time.monotonic() - ended:.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/cluster-etcd.sh builds it)")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--kill-seconds", type=float, default=120, help="etcd is dead for so long; 0 skips it (default 120)")
    parser.add_argument("--stop-seconds", type=float, default=60, help="etcd is stopped for so long; 0 skips it (default 60)")
    parser.add_argument("--convergence", type=float, default=10.0, help="seconds (default 10)")
    parser.add_argument("--join", type=float, default=120.0, help="seconds for the fourth node's joining (default 120)")
    parser.add_argument("--gone", type=float, default=45.0, help="seconds until a drained node is forgotten (default 45)")
    parser.add_argument("--clients", type=int, default=1, help="clients of each node (default 1)")
    parser.add_argument("--rate", type=float, default=15, help="requests a second of each client (default 15)")
    parser.add_argument("--prompts", type=int, default=200, help="prompts of 8 blocks of 8 to 128 KiB (default 200)")
    parser.add_argument("--memory", type=byte_count, default=1024 * MIB, help="of each node (default 1GiB)")
    parser.add_argument("--serve-arguments", type=str.split, default=[], help="more flags of larder serve, in one word")
    parser.add_argument("--work", default=None, help="where the temporary directory goes (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    settings = parser.parse_args()
    require_linux()
    if not knows_etcd(settings.larder):
        say("error: this larder cannot keep its membership in etcd")
        return 2
    clean_up_at_end(settings.keep)
    if settings.seed is None:
        settings.seed = new_seed()
    say(f"seed {settings.seed}")
    return Run(settings).run()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NodeFailed as failure:
        say(f"FAIL: cluster-etcd: {failure}")
        sys.exit(1)
