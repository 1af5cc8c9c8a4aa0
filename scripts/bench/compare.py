"""Larder beside its peers on this machine, and what each figure must be.

One client for all servers that speak RESP or lm:// (`larder bench`), rounds in turn, medians with the smallest and the
largest round in brackets, ratios round by round. Payloads lie in memory that was touched before. Mooncake Store is
driven by its own client, in rounds between Larder's. What cannot run here stands in the table with the reason. Exit
status 1 only for wrong bytes or a comparison that broke off: goals are told, not enforced.

SECTIONS for --only, several with commas:
"""

import argparse
import ctypes
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "long"))

import disk  # noqa: E402
import host  # noqa: E402
import network  # noqa: E402
from bench_program import BenchProgram  # noqa: E402
from figures import Results  # noqa: E402
from node import Node, NodeFailed, Redis, clean_up_at_end, free_port, require_linux, temporary_directory  # noqa: E402
from servers import BareServer, LMServer, Mooncake, larder_driver, start_claimed  # noqa: E402
from workload import GIB, byte_count, say  # noqa: E402

SECTIONS = {
    "tcp": network.loopback,
    "sizes": network.sizes,
    "connections": network.connections,
    "match": network.match,
    "lm": network.lmcache,
    "mooncake": network.mooncake,
    "processor": host.processor,
    "unix": host.unix,
    "shared": host.shared,
    "allocations": host.allocations,
    "disk-put": disk.put,
    "disk-get": disk.cold_get,
}


class Run:
    """The servers that all sections share, and the settings."""

    def __init__(self, settings):
        self.settings = settings
        self.larder = settings.larder
        self.results = Results()
        quick = settings.quick
        self.rounds = settings.rounds or (2 if quick else 5)
        self.few = min(self.rounds, 2 if quick else 3)
        self.seconds = settings.seconds or (0.4 if quick else 1.0)
        self.short = self.seconds * 0.6
        self.put_byte_count = (4 if quick else 20) * GIB
        self.cold_byte_count = (1 if quick else 2) * GIB
        self.is_thorough = settings.thorough
        self.work = settings.work
        self.bench = BenchProgram(self.larder, self.results, self.rounds, self.seconds)
        self.directory = temporary_directory(settings.work)

    def start(self):
        work = self.directory
        self.lm_port = free_port()
        self.node_socket, self.redis_socket = os.path.join(work, "node.sock"), os.path.join(work, "redis.sock")
        self.node = Node(
            self.larder, None, os.path.join(work, "node.log"), memory="3GiB",
            arguments=["--unix", self.node_socket, "--lm-port", str(self.lm_port)],
        )
        start_claimed(self.node, 3 * GIB)
        self.redis = Redis(os.path.join(work, "redis.log"))
        self.redis.start(arguments=["--unixsocket", self.redis_socket])
        self.bare = BareServer(os.path.join(work, "bare.log"))
        self.bare.start(self.larder)

    def stop(self):
        self.bare.kill_hard()
        self.redis.stop()
        self.node.stop()

    def lm_server(self):
        if self.settings.lmcache_python is None:
            raise NodeFailed(self.settings.lmcache_absent or "LMCache is not installed")
        server = LMServer(os.path.join(self.directory, "lm.log"))
        server.start(self.settings.lmcache_python)
        return server

    def mooncake_store(self):
        if self.settings.mooncake_python is None:
            raise NodeFailed(self.settings.mooncake_absent or "Mooncake Store is not installed")
        store = Mooncake(self.settings.mooncake_python, self.directory, 2 * GIB)
        try:
            store.start()
        except NodeFailed:
            store.stop()
            raise
        return store

    def python_client(self):
        packages = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python")
        if not os.path.isdir(os.path.join(packages, "larder")):
            raise NodeFailed("there is no python/larder in this tree")
        return larder_driver(packages, f"127.0.0.1:{self.node.port}", os.path.join(self.directory, "python.log"))

    def run(self, names):
        shares_servers = any(name not in ("allocations", "disk-put", "disk-get") for name in names)
        if shares_servers:
            self.start()
        for name in names:
            if shares_servers and name in ("allocations", "disk-put", "disk-get"):
                self.stop()
                shares_servers = False
            started = time.monotonic()
            say(f"{name}: {SECTIONS[name].__doc__}")
            try:
                SECTIONS[name](self)
            except (NodeFailed, KeyError, IndexError, subprocess.TimeoutExpired) as failure:
                self.results.fault(name, f"{type(failure).__name__} {failure}".strip().split("\n")[0])
                say(f"    {failure}")
            say(f"    [{time.monotonic() - started:.0f} s]")
        if shares_servers:
            self.stop()


def own_network(congestion):
    """Moves this process, and all that it starts, to a network of its own with one congestion control for every server."""
    libc = ctypes.CDLL(None, use_errno=True)
    clone_new_network = 0x40000000
    if libc.unshare(clone_new_network) != 0:
        raise SystemExit(f"error: --congestion needs root: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with open("/proc/sys/net/ipv4/tcp_congestion_control", "w") as file:
        file.write(congestion)


def congestion_control():
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as file:
        return file.read().strip()


class Machine:
    """How quiet the machine was: processor time of everybody, and what the host took away."""

    def __init__(self):
        self.started, self.ticks = time.monotonic(), self._read()

    @staticmethod
    def _read():
        with open("/proc/stat") as file:
            return [int(word) for word in file.readline().split()[1:]]

    @staticmethod
    def load():
        return os.getloadavg()[0]

    def steal_percent(self):
        spent = [now - before for before, now in zip(self.ticks, self._read())]
        return 100 * spent[7] / max(1, sum(spent[:8]))


def main():
    sections = "\n".join(f"  {name:<12} {section.__doc__}" for name, section in SECTIONS.items())
    parser = argparse.ArgumentParser(description=__doc__ + sections, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/bench.sh builds it)")
    parser.add_argument("--only", default=None, help="sections to run, with commas")
    parser.add_argument("--quick", action="store_true", help="a short pass: fewer and shorter rounds, 4 GiB of puts")
    parser.add_argument("--thorough", action="store_true", help="puts to disk with 4 in flight as well")
    parser.add_argument("--rounds", type=int, default=None, help="rounds of each server (default 5; 2 with --quick)")
    parser.add_argument("--seconds", type=float, default=None, help="seconds of a round (default 1; 0.4 with --quick)")
    parser.add_argument("--congestion", default=None, metavar="NAME",
                        help="congestion control for all servers, in a network namespace of their own: reno, cubic "
                        "(default: the system's; a node takes reno on loopback by itself). Needs root.")
    parser.add_argument("--work", default=None, help="where temporary directories go (default TMPDIR or /tmp)")
    parser.add_argument("--mooncake-python", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--mooncake-absent", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--lmcache-python", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--lmcache-absent", default=None, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    names = settings.only.split(",") if settings.only else list(SECTIONS)
    for name in names:
        if name not in SECTIONS:
            parser.error(f"no section {name}: {', '.join(SECTIONS)}")
    require_linux()
    clean_up_at_end()
    if settings.congestion:
        own_network(settings.congestion)
    machine, load = Machine(), Machine.load()
    run = Run(settings)
    say(f"{os.cpu_count()} processors, load {load:.1f}, congestion control {congestion_control()}; "
        f"{run.rounds} rounds of {run.seconds:g} s")
    run.run([name for name in SECTIONS if name in names])
    say("")
    run.results.print()
    say(f"\n{time.monotonic() - machine.started:.0f} s; load {load:.1f} before and {Machine.load():.1f} after, of which "
        f"the comparison is a part; {machine.steal_percent():.1f} % of processor time taken by the host; congestion "
        f"control {congestion_control()}. {run.results.missed} goals missed.")
    if congestion_control() == "bbr":
        say("Node and bare sockets take reno for what they send on loopback, the client and the other servers keep bbr: "
            "--congestion reno gives all the same.")
    return 1 if run.results.broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NodeFailed as failure:
        say(f"FAIL: {failure}")
        sys.exit(1)
