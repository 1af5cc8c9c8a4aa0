"""One tenant, or a stranger, does its worst to a node, while another tenant works.

For each attack a node is started with two tenants. The victim replays prompts by the Python client, first alone, then while
the attackers do one thing; at last all attacks come at once. Victim, probes and attackers are processes of their own; the
attackers are told to be nice, come from 127.0.0.66, and are bounded in connections and in time. Nothing leaves loopback.

Expected, for each attack:

  the victim's p99, of loads and of puts, stays within --times of its p99 alone (two; it counts from --least-ms up)
  the victim finds what it stored, byte for byte, and no put of it is refused
  health over gRPC, and PING after a password, are answered within --health-ms, by a new connection each time
  a user who logs in for the first time meanwhile is let in within 2 s
  resident memory stays within --memory + 256 MiB
  within 30 s after the attack the node has given everything back: connections, what it was receiving and sending, memory
  to within --kept of what it had before; and it ends in order
  the attack took place: as many connections were there as it is about

`--break` shows that the check sees something: `freeze` stops the node for half a second now and then, `swell` counts 512 MiB
on top of its memory, `refuse` has the victim log in as somebody who may not write, `absent` attacks nobody. Each must FAIL.
"""

import argparse
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from hostile_attacks import ATTACKER, ATTACKER_PASSWORD, ATTACKS, Ports, prepare
from hostile_peers import Swarm, raise_descriptor_limit
from hostile_watch import VICTIM, VICTIM_PASSWORD, Health, Victim
from node import (
    Node, NodeFailed, clean_up_at_end, die_with_parent, remove_directory, require_linux, temporary_directory,
)
from workload import GIB, MIB, Connection, ReplyError, Verdict, byte_count, in_units, new_seed, percentile, say, table

OPERATOR, OPERATOR_PASSWORD = "operator", "only-for-this-check-o"
NEWCOMER_COUNT = 12
NEWCOMER_SECONDS = 2.0
MEMORY_BESIDE = 256 * MIB
CONNECTIONS = 14_000
RETURN_SECONDS = 30.0
#: Figures of a node that have to be what they were; those that it does not know do not count.
RETURNED = {
    "connections": 4, "leases": 4, "memory_reserved_bytes": MIB, "receiving_bytes": MIB, "reply_bytes_waiting": MIB,
    "puts_waiting": 0,
}
ALL = "all"


def make_users(larder, directory):
    """The users file: victim, attacker, operator, and those who log in once."""
    path, password = os.path.join(directory, "users"), os.path.join(directory, "password")
    people = [(VICTIM, "alpha", VICTIM_PASSWORD, "read,write"), (ATTACKER, "beta", ATTACKER_PASSWORD, "read,write")]
    people += [(f"new-{number}", "alpha", VICTIM_PASSWORD, "read") for number in range(NEWCOMER_COUNT)]
    people += [("reader", "alpha", VICTIM_PASSWORD, "read")]
    for name, tenant, secret, scopes in people:
        add_user(larder, path, password, name, tenant, secret, scopes)
    # A node without the scope `operator` shows its figures to admins.
    if not add_user(larder, path, password, OPERATOR, "operators", OPERATOR_PASSWORD, "read,admin,operator", False):
        add_user(larder, path, password, OPERATOR, "operators", OPERATOR_PASSWORD, "read,admin")
    return path


def add_user(larder, path, password_file, name, tenant, secret, scopes, required=True):
    with open(password_file, "w") as file:
        file.write(secret + "\n")
    done = subprocess.run(
        [larder, "user", "add", path, name, "--tenant", tenant, "--scopes", scopes, "--password-file", password_file],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    if done.returncode != 0 and required:
        raise NodeFailed(f"user {name} was not added: {done.stdout.strip()}")
    return done.returncode == 0


def listening_ports(count):
    """Ports of loopback that nobody has, below those that outgoing connections take: an attack uses up thousands of them."""
    probes = []
    for port in random.SystemRandom().sample(range(20_000, 32_000), 1_000):
        probe = socket.socket()
        probes.append(probe)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probes.pop().close()
        if len(probes) == count:
            break
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    if len(ports) < count:
        raise NodeFailed(f"{count} ports from 20000 to 31999 are needed, {len(ports)} are free: end what listens there")
    return ports


class Target:
    """A node to attack, and what it tells of itself."""

    def __init__(self, settings, users, directory):
        port, control, lm, events, replay = listening_ports(5)
        self.node = Node(
            settings.larder, os.path.join(directory, "data"), os.path.join(directory, "node.log"), settings.memory, 2 * GIB,
            ["--users", users, "--control-port", str(control), "--lm-port", str(lm), "--events-port", str(events),
             "--events-replay-port", str(replay), "--connections", str(CONNECTIONS)],
        )
        self.node.port = port
        self.ports = Ports(self.node.port, control, lm, events, replay)
        self.observer = None

    def start(self):
        self.node.start(probe=lambda connection: connection.call("AUTH", OPERATOR, OPERATOR_PASSWORD) == b"OK")

    def figures(self, timeout=10.0):
        """The figures by a connection that is kept, so that it is there before the attack; {} without an answer."""
        try:
            if self.observer is None:
                self.observer = Connection(self.ports.redis, timeout=timeout)
                self.observer.call("AUTH", OPERATOR, OPERATOR_PASSWORD)
            words = self.observer.call("KV.STATS")
        except (OSError, ReplyError):
            self.close()
            return {}
        return {bytes(name).decode(): value for name, value in zip(words[::2], words[1::2]) if isinstance(value, int)}

    def close(self):
        if self.observer is not None:
            self.observer.close()
        self.observer = None


class MemoryWatch(threading.Thread):
    """The most resident memory of a node."""

    def __init__(self, node, added=0):
        super().__init__(daemon=True)
        self.node, self.added, self.peak, self.ends = node, added, 0, threading.Event()
        self.start()

    def run(self):
        while not self.ends.wait(0.05):
            try:
                self.peak = max(self.peak, self.node.resident_byte_count() + self.added)
            except (OSError, StopIteration):
                return

    def finish(self):
        self.ends.set()
        self.join()
        return self.peak


def attack_main(name, ports, end, stop, pipe):
    """The process of one attack."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.nice(19)
    raise_descriptor_limit(16_384)
    # Its parent waits for its report; without one, the attack did not take place.
    swarm = Swarm(ATTACKS[name][0](ports))
    swarm.run(end, stop.is_set)
    pipe.send(swarm.deeds)


class Attackers:
    """A process for each of the attacks."""

    def __init__(self, names, ports, seconds):
        context = multiprocessing.get_context("fork")
        self.stop = context.Event()
        self.parts = []
        end = time.monotonic() + seconds
        for name in names:
            receiving, sending = context.Pipe(duplex=False)
            process = context.Process(target=attack_main, args=(name, ports, end, self.stop, sending), daemon=True)
            process.start()
            sending.close()
            self.parts.append((name, process, receiving))

    def finish(self, timeout=60.0):
        """What each did, by name; None for one that failed."""
        self.stop.set()
        deeds = {}
        for name, process, pipe in self.parts:
            try:
                deeds[name] = pipe.recv() if pipe.poll(timeout) else None
            except EOFError:
                deeds[name] = None
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
        return deeds

    def kill(self):
        for _, process, _ in self.parts:
            process.kill()
            process.join()


class Trial:
    """One attack, or all of them, on a fresh node."""

    HEAD = (
        "attack", "loads", "p99 alone", "p99 then", "times", "puts p99", "then", "health max", "beside memory",
        "of it before", "back after", "verdict",
    )

    def __init__(self, settings, name, users, verdict, seed):
        self.settings, self.name, self.users, self.verdict, self.seed = settings, name, users, verdict, seed
        self.reasons = []
        self.cells = []

    def expect(self, holds, reason):
        if not holds:
            self.reasons.append(reason)
            self.verdict.violation(f"{self.name}: {reason}")

    def run(self):
        """The row of the table."""
        directory = temporary_directory(self.settings.work)
        target = Target(self.settings, self.users, directory)
        self.processes = []
        try:
            target.start()
            self._run(target)
        except (NodeFailed, OSError, ReplyError, RuntimeError) as failure:
            self.expect(False, f"{failure}; {target.node.ending()}")
        finally:
            for process in self.processes:
                process.kill()
            target.close()
            if target.node.is_running:
                status, seconds = target.node.stop(60)
                self.expect(status == 0, f"the node ended with status {status} {seconds:.0f} s after SIGTERM")
            elif target.node.is_wanted:
                self.expect(False, f"the node is gone: {target.node.ending()}")
                target.node.kill_hard()
            if not self.settings.keep:
                remove_directory(directory)
        cells = self.cells or ["-"] * (len(self.HEAD) - 2)
        return (self.name, *cells, "PASS" if not self.reasons else f"FAIL ({len(self.reasons)})")

    def _run(self, target):
        settings, ports = self.settings, target.ports
        prepare(ports)
        broken = settings.broken
        victim = Victim(ports.redis, self.seed, settings.rate, reader=broken == "refuse")
        self.processes.append(victim)
        victim.wait_ready()
        newcomers = [(f"new-{number}", VICTIM_PASSWORD) for number in range(NEWCOMER_COUNT)]
        health = Health(
            ports.redis, ports.control, (OPERATOR, OPERATOR_PASSWORD), newcomers, settings.alone + settings.settle
        )
        self.processes.append(health)
        alone_from = time.monotonic() + settings.settle
        time.sleep(settings.settle + settings.alone)
        before, resident_before = target.figures(), target.node.resident_byte_count()
        if not before:
            raise NodeFailed("the node does not tell its figures before the attack")
        memory = MemoryWatch(target.node, 512 * MIB if broken == "swell" else 0)
        attacked_from = time.monotonic()
        names = list(ATTACKS) if self.name == ALL else [self.name]
        attackers = Attackers([] if broken == "absent" else names, ports, settings.attack)
        self.processes.append(attackers)
        self._wait(target.node, settings.attack, broken == "freeze")
        attacked_until = time.monotonic()
        deeds = attackers.finish()
        self.processes.remove(attackers)
        back = self._wait_back(target, before, resident_before)
        peak = memory.finish()
        samples = victim.finish() + health.finish()
        self.processes.clear()
        self._judge_deeds(names, deeds)
        alone = [sample for sample in samples if alone_from <= sample[0] < attacked_from]
        then = [sample for sample in samples if attacked_from <= sample[0] < attacked_until]
        self._judge(alone, then, resident_before, peak, back)

    def _wait(self, node, seconds, freezes):
        """Lets the attack go on for its time; a node that ends meanwhile is noticed after it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 2.0))
            if freezes and node.is_running:
                node.process.send_signal(signal.SIGSTOP)
                time.sleep(0.5)
                node.process.send_signal(signal.SIGCONT)

    def _wait_back(self, target, before, resident_before):
        """Seconds until all is given back, or None; what is not, is said."""
        started = time.monotonic()
        while True:
            kept = self._kept(target, before, resident_before)
            taken = time.monotonic() - started
            if not kept:
                return taken
            if taken > RETURN_SECONDS:
                self.expect(False, f"not given back {RETURN_SECONDS:.0f} s after it: " + ", ".join(kept))
                return None
            time.sleep(0.25)

    def _kept(self, target, before, resident_before):
        figures = target.figures(timeout=2.0)
        if not figures:
            return ["no figures"]
        kept = [
            f"{name} {figures[name]} instead of {before[name]}"
            for name, slack in RETURNED.items()
            if name in before and figures[name] > before[name] + slack
        ]
        resident = target.node.resident_byte_count()
        # What lies in the arena is there from the start; the index of what was put meanwhile is small.
        if resident > resident_before + self.settings.kept:
            kept.append(f"{in_units(resident - resident_before)} of memory more than before")
        return kept

    def _judge_deeds(self, names, deeds):
        for name in names:
            done, wanted = deeds.get(name), ATTACKS[name][1]
            if done is None:
                self.expect(False, f"the attack {name} did not take place")
                continue
            say(f"  {name}: " + ", ".join(f"{what} {count}" for what, count in done.items()))
            self.expect(done["connected"] >= wanted, f"{name} made {done['connected']} connections, {wanted} are needed")

    def _judge(self, alone, then, resident_before, peak, back):
        settings = self.settings
        cells = [sum(kind == "load" for _, kind, _, _ in then)]
        for kind in ("load", "put"):
            p99 = [
                1e3 * percentile([seconds for _, what, seconds, _ in samples if what == kind], 0.99)
                for samples in (alone, then)
            ]
            bound = settings.times * max(p99[0], settings.least_ms / settings.times)
            self.expect(
                p99[1] <= bound, f"the victim's p99 of a {kind} is {p99[1]:.1f} ms, {p99[0]:.1f} ms alone: at most {bound:.1f}"
            )
            cells += [f"{p99[0]:.1f} ms", f"{p99[1]:.1f} ms"]
            if kind == "load":
                cells.append(f"{p99[1] / max(p99[0], 1e-3):.1f}")
        for samples, least in ((alone, settings.alone), (then, settings.attack)):
            count = sum(kind in ("load", "put") for _, kind, _, _ in samples)
            wanted = settings.rate * least / 2
            self.expect(count >= wanted, f"the victim came to {count} requests in {least:.0f} s: at least {wanted:.0f}")
        self._judge_problems(alone, then)
        slowest = 1e3 * max((seconds for _, kind, seconds, _ in then if kind in ("health", "ping")), default=0)
        for kind in ("health", "ping"):
            times = [seconds for _, what, seconds, _ in then if what == kind]
            late = [seconds for seconds in times if 1e3 * seconds > settings.health_ms]
            self.expect(times, f"{kind} was never asked for")
            self.expect(
                not late,
                f"{len(late)} of {len(times)} answers to {kind} took longer than {settings.health_ms} ms, "
                f"up to {1e3 * max(late, default=0):.0f}",
            )
        self._judge_newcomers(then)
        limit = settings.memory + MEMORY_BESIDE
        self.expect(peak <= limit, f"{in_units(peak)} resident, --memory + 256 MiB is {in_units(limit)}")
        cells += [f"{slowest:.0f} ms", in_units(peak - settings.memory), in_units(resident_before - settings.memory)]
        cells.append("never" if back is None else f"{back:.1f} s")
        self.cells = cells

    def _judge_problems(self, alone, then):
        for when, samples in (("alone", alone), ("attacked", then)):
            problems = [
                (kind, problem) for _, kind, _, problem in samples if problem is not None and kind != "newcomer"
            ]
            for kind in sorted({kind for kind, _ in problems}):
                texts = [problem for what, problem in problems if what == kind]
                self.expect(False, f"{when}, {len(texts)} of the victim's or the probe's {kind} failed: {texts[0]}")

    def _judge_newcomers(self, then):
        times = [(seconds, problem) for _, kind, seconds, problem in then if kind == "newcomer"]
        self.expect(times, "nobody logged in for the first time meanwhile: lengthen --attack")
        for seconds, problem in times:
            if problem is not None or seconds > NEWCOMER_SECONDS:
                self.expect(False, f"a user's first login took {seconds:.1f} s: {problem or 'let in'}")
                return


def main():
    parser = argparse.ArgumentParser(
        description=__doc__ + "\nattacks:\n\n"
        + "\n".join(f"  {name}: {attack[2]}" for name, attack in ATTACKS.items()) + f"\n  {ALL}: all of them at once",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/hostile.sh builds it)")
    parser.add_argument(
        "--only", action="append", choices=[*ATTACKS, ALL], metavar="NAME", help="this attack alone; may be repeated"
    )
    parser.add_argument("--memory", type=byte_count, default=256 * MIB, help="RAM of the node (default 256MiB)")
    parser.add_argument("--rate", type=float, default=50, help="requests of the victim a second (default 50)")
    parser.add_argument("--settle", type=float, default=2, help="seconds before anything counts (default 2)")
    parser.add_argument("--alone", type=float, default=10, help="seconds the victim is alone (default 10)")
    parser.add_argument("--attack", type=float, default=20, help="seconds of an attack (default 20)")
    parser.add_argument("--times", type=float, default=2, help="how many times its p99 alone a victim may wait (default 2)")
    parser.add_argument(
        "--least-ms", type=float, default=0, help="p99 under attack that is always good, for noisy machines (default 0)"
    )
    parser.add_argument("--health-ms", type=float, default=100, help="the longest answer of health (default 100)")
    parser.add_argument(
        "--kept", type=byte_count, default=64 * MIB, help="memory that may stay after an attack (default 64MiB)"
    )
    parser.add_argument("--break", dest="broken", choices=["freeze", "swell", "refuse", "absent"], help="must FAIL")
    parser.add_argument("--seed", type=int, default=None, help="repeats the victim's requests")
    parser.add_argument("--work", default=None, help="where the temporary directories go (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the data directories and the nodes' logs")
    settings = parser.parse_args()
    require_linux()
    clean_up_at_end(settings.keep)
    descriptors = raise_descriptor_limit(20_000)
    if descriptors < 16_384:
        raise SystemExit(f"error: {descriptors} descriptors may be open, 16384 are needed: run as root, or ulimit -n 16384")
    seed = new_seed() if settings.seed is None else settings.seed
    say(f"seed {seed}, --memory {in_units(settings.memory)}, {CONNECTIONS} connections allowed")
    verdict = Verdict("hostile")
    users = make_users(settings.larder, temporary_directory(settings.work))
    names = settings.only or [*ATTACKS, ALL]
    rows = [Trial.HEAD]
    for name in names:
        say(f"{name}: {ATTACKS[name][2] if name in ATTACKS else 'all of them at once'}")
        rows.append(Trial(settings, name, users, verdict, seed).run())
    table(rows)
    failed = [row[0] for row in rows[1:] if row[-1] != "PASS"]
    sys.exit(verdict.finish(
        f"{len(names)} attacks, seed {seed}" + (f"; failed: {', '.join(failed)}" if failed else "")
    ))


if __name__ == "__main__":
    main()
