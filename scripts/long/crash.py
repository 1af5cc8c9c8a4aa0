"""Rounds of kill -9 under four writers.

Each round starts the node on the data directory of the round before, lets the writers put blocks, set, overwrite and
delete, and kills the node with kill -9 after a random time. This process, which is neither a writer nor the node,
keeps a ledger: before a writer sends a change it says so, and after the reply it says what was acknowledged. After
the restart the ledger knows for every key which versions it may hold. Without a memory file:

  a block acknowledged as DURABLE     exactly that block
  any other acknowledged block        that block, or nothing (it had not reached the disk)
  an overwritten plain key            any version tried since the last one that was seen after a restart
  a deleted key                       nothing, or a version from before the deletion

With --keeps-memory the node's memory outlives it, so every acknowledged change must be there after every kill: each
block, the newest version of each plain key, each deletion.

What is seen after a restart has come from the disk and narrows the ledger: later restarts must show the same. Some
rounds kill the node a second time while it starts. Some rounds end in order instead (SIGTERM): then every
acknowledged change must be there. Nothing is evicted: the run writes less than the disk budget.
"""

import argparse
import multiprocessing
import os
import random
import selectors
import shutil
import signal
import sys
import time

from node import (
    Node, NodeFailed, clean_up_at_end, directory_byte_counts, require_linux, temporary_directory,
)
from workload import (
    KIB, MIB, Blocks, Connection, Content, ReplyError, Verdict, byte_count, in_units, new_seed, percentile, say,
)

SMALLEST, LARGEST = 1 * KIB, 2 * MIB
ABSENT = 0


class Ledger:
    """What each key may hold: versions, 0 for nothing. Keys start with b (block) or p (plain key)."""

    def __init__(self):
        self.allowed = {}
        self.acknowledged = {}
        self.unacknowledged = set()
        self.touched = set()
        self.durable_count = 0

    def tried(self, key, version):
        """A change was sent, or is about to be."""
        self.allowed.setdefault(key, {ABSENT}).add(version)
        self.unacknowledged.add(key)
        self.touched.add(key)

    def kept(self, key, version, durable):
        """A change was acknowledged."""
        self.acknowledged[key] = version
        self.unacknowledged.discard(key)
        if durable:
            self.allowed[key] = {version}
            self.durable_count += 1

    def stopped_in_order(self):
        """After a clean stop every acknowledged change counts."""
        for key in self.touched - self.unacknowledged:
            if key in self.acknowledged:
                self.allowed[key] = {self.acknowledged[key]}

    def seen_after_restart(self, key, version):
        """Returns whether `version` may be; from now on nothing else may."""
        if version not in self.allowed.get(key, {ABSENT}):
            return False
        self.allowed[key] = {version}
        self.acknowledged[key] = version
        return True

    def certain(self):
        """Keys that must be there."""
        return [key for key, versions in self.allowed.items() if ABSENT not in versions]


class Writer:
    """One writer process: changes, and now and then a read of its own writes."""

    PLAIN_KEY_COUNT = 40

    def __init__(self, number, round_number, settings, content, ledger, pipe):
        self.number, self.round_number, self.settings, self.content = number, round_number, settings, content
        self.pipe = pipe
        self.random = random.Random(f"{settings.seed} {round_number} {number}")
        self.serial = 0
        self.stops = False
        mine = (b"b%d-" % number, b"p%d-" % number)
        # Which version a key holds as long as the node lives; keys that are not certain are left out.
        self.held = {
            key: next(iter(versions))
            for key, versions in ledger.allowed.items()
            if key.startswith(mine) and len(versions) == 1
        }
        self.versions = {
            key: max(versions) for key, versions in ledger.allowed.items() if key.startswith(mine[1])
        }
        self.blocks = [key for key, version in self.held.items() if key[:1] == b"b" and version != ABSENT]
        self.loose = []

    def run(self, port):
        signal.signal(signal.SIGUSR1, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.connection = Connection(port, timeout=self.settings.reply_limit)
            self.store = Blocks(self.connection)
            self._write_until_stopped()
        except TimeoutError:
            self._tell("V", b"-", f"no reply within {self.settings.reply_limit} s")
        except OSError:
            pass  # the node was killed: what was tried and not acknowledged is in the ledger
        except ReplyError as error:
            self._tell("V", b"-", f"error reply: {error}")

    def _stop(self, *_):
        self.stops = True

    def _write_until_stopped(self):
        actions = [
            (35, self._put_durable), (24, self._put_loose), (5, self._make_durable), (16, self._set),
            (4, self._delete_plain), (3, self._delete_block), (8, self._read_plain), (5, self._read_block),
        ]
        weights = [weight for weight, _ in actions]
        started, written = time.monotonic(), 0
        while not self.stops:
            written += self.random.choices(actions, weights)[0][1]()
            ahead = written / self.settings.writer_rate - (time.monotonic() - started)
            if ahead > 0:
                time.sleep(min(ahead, 0.05))

    def _put_durable(self):
        return self._put(self.random.randint(1, 3), durable=True)

    def _put_loose(self):
        return self._put(self.random.randint(1, 6), durable=False)

    def _put(self, count, durable):
        keys = []
        for _ in range(count):
            keys.append(b"b%d-%d-%d" % (self.number, self.round_number, self.serial))
            self.serial += 1
        return self._put_keys(keys, durable)

    def _put_keys(self, keys, durable):
        for key in keys:
            self._tell("T", key, 1)
        blocks = [(key, self._payload(key, 1)) for key in keys]
        for key, outcome in zip(keys, self.store.put(blocks, durable=durable)):
            if outcome in ("stored", "exists"):
                self._acknowledged(key, 1, durable)
                self.blocks.append(key)
                if not durable:
                    self.loose.append(key)
            else:
                self._tell("R", key, str(outcome))
        return sum(len(payload) for _, payload in blocks)

    def _make_durable(self):
        """The same block again, now DURABLE: `exists`, and from then on it must be kept."""
        if not self.loose:
            return 0
        key = self.loose.pop(self.random.randrange(len(self.loose)))
        if self.held.get(key) != 1:
            return 0
        return self._put_keys([key], durable=True)

    def _set(self):
        key = b"p%d-%d" % (self.number, self.random.randrange(self.PLAIN_KEY_COUNT))
        version = self.versions.get(key, 0) + 1
        self.versions[key] = version
        self._tell("T", key, version)
        payload = self._payload(key, version)
        self.connection.call("SET", key, payload)
        self._acknowledged(key, version, False)
        return len(payload)

    def _delete_plain(self):
        key = b"p%d-%d" % (self.number, self.random.randrange(self.PLAIN_KEY_COUNT))
        self._tell("T", key, ABSENT)
        self.connection.call(self.random.choice(["DEL", "UNLINK"]), key)
        self._acknowledged(key, ABSENT, False)
        return 0

    def _delete_block(self):
        if not self.blocks:
            return 0
        key = self.blocks.pop(self.random.randrange(len(self.blocks)))
        self._tell("T", key, ABSENT)
        self.store.delete([key])
        self._acknowledged(key, ABSENT, False)
        return 0

    def _read_plain(self):
        key = b"p%d-%d" % (self.number, self.random.randrange(self.PLAIN_KEY_COUNT))
        if key in self.held:
            self._compare(key, self.connection.call("GET", key))
        return 0

    def _read_block(self):
        if self.blocks:
            key = self.random.choice(self.blocks)
            if key in self.held:
                self._compare(key, self.store.get([key])[0])
        return 0

    def _compare(self, key, payload):
        version = self.held[key]
        self._tell("L", key, 0)
        if version == ABSENT:
            if payload is not None:
                self._tell("V", key, "a deleted key was read")
        elif payload is None:
            why = self.store.explain(key) if key[:1] == b"b" else "a plain key"
            self._tell("V", key, f"version {version} was acknowledged, nothing was evicted, the read missed: {why}")
        else:
            fault = self.content.fault(key, payload, self._size(key, version), version)
            if fault:
                self._tell("V", key, f"wrong bytes for version {version}: {fault}")

    def _acknowledged(self, key, version, durable):
        self.held[key] = version
        self._tell("D" if durable else "A", key, version)

    def _payload(self, key, version):
        return self.content.make(key, self._size(key, version), version)

    def _size(self, key, version):
        return self.content.size(key, SMALLEST, LARGEST, version)

    def _tell(self, what, key, detail):
        line = f"{what} {key.decode()} {detail}".replace("\n", " ").encode() + b"\n"
        os.write(self.pipe, line)


class Run:
    """The rounds, seen from the process that keeps the ledger."""

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("crash")
        self.content = Content(settings.seed)
        self.ledger = Ledger()
        self.random = random.Random(f"{settings.seed} rounds")
        work = temporary_directory(settings.work)
        self.data_directory = os.path.join(work, "data")
        self.node = Node(
            settings.larder, self.data_directory, os.path.join(work, "node.log"),
            memory=settings.memory, disk=settings.disk,
            memory_file=os.path.join(temporary_directory("/dev/shm"), "memory") if settings.keeps_memory else "off",
        )
        self.recoveries = []
        self.live_read_count = self.refusal_count = self.double_crash_count = self.read_count = 0
        self.first_hits = {"clean": [], "killed": []}
        self.refusals = {}
        self.newest_durable = None

    def run(self):
        self.node.start()
        self._preload()
        self._stop_in_order()
        self._restart("clean")
        self._verify_preload(sample=2000)
        for number in range(1, self.settings.rounds + 1):
            self._round(number)
            if self.verdict.violations > 200:
                say("too many violations, giving up")
                break
        self._verify_everything()
        return self.verdict.finish(self._summary())

    def _round(self, number):
        clean = self.settings.clean_every > 0 and number % self.settings.clean_every == 0
        twice = not clean and self.settings.twice_every > 0 and number % self.settings.twice_every == 0
        self.ledger.touched.clear()
        life = self.random.uniform(0.05, 1.5)
        self._write(number, life, clean)
        if clean:
            self._stop_in_order()
        if clean or self.settings.keeps_memory:
            self.ledger.stopped_in_order()
        if twice:
            self._kill_while_starting()
        seconds = self._restart("clean" if clean else "killed")
        touched = len(self.ledger.touched)
        self._verify_keys(sorted(self.ledger.touched))
        certain = self.ledger.certain()
        self._verify_index(certain)
        self._verify_keys(self.random.sample(certain, min(len(certain), self.settings.sample)))
        self._verify_preload(sample=200)
        if number % 10 == 0 or number == self.settings.rounds:
            say(
                f"round {number}/{self.settings.rounds}: {'stopped' if clean else 'killed'} after {life:.2f} s, "
                f"first hit after {seconds:.2f} s, {touched} keys changed, {len(certain)} must be there, "
                f"directory {in_units(directory_byte_counts(self.data_directory)[1])}, "
                f"violations {self.verdict.violations}"
            )

    # Writing

    def _write(self, number, life, clean):
        """Lets the writers run for `life` seconds, then kills the node, or stops the writers when `clean`."""
        context = multiprocessing.get_context("fork")
        selector = selectors.DefaultSelector()
        writers, partial = [], {}
        for writer_number in range(self.settings.writers):
            receiving, sending = os.pipe()
            process = context.Process(target=self._writer, args=(writer_number, number, sending), daemon=True)
            process.start()
            os.close(sending)
            selector.register(receiving, selectors.EVENT_READ)
            partial[receiving] = b""
            writers.append(process)
        end, ended = time.monotonic() + life, False
        limit = end + 2 * self.settings.reply_limit
        while partial:
            now = time.monotonic()
            if not ended and now >= end:
                ended = True
                if clean:
                    for process in writers:
                        os.kill(process.pid, signal.SIGUSR1)
                else:
                    self._check_alive("before kill -9")
                    self.node.kill_hard()
            if now > limit:
                self.verdict.violation(f"round {number}: a writer hangs")
                for process in writers:
                    process.kill()
                break
            for key, _ in selector.select(timeout=0.05 if ended else max(0.0, min(0.05, end - now))):
                data = os.read(key.fd, 1 << 16)
                if not data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    del partial[key.fd]
                    continue
                lines = (partial[key.fd] + data).split(b"\n")
                partial[key.fd] = lines.pop()
                for line in lines:
                    self._record(number, line)
        for process in writers:
            process.join()

    def _writer(self, writer_number, number, sending):
        Writer(writer_number, number, self.settings, self.content, self.ledger, sending).run(self.node.port)

    def _record(self, number, line):
        what, key, detail = line.split(b" ", 2)
        if what == b"T":
            self.ledger.tried(key, int(detail))
        elif what in (b"A", b"D"):
            self.ledger.kept(key, int(detail), what == b"D")
            if what == b"D":
                self.newest_durable = key
        elif what == b"R":
            self.refusal_count += 1
            self.refusals[detail] = self.refusals.get(detail, 0) + 1
        elif what == b"L":
            self.live_read_count += 1
        elif what == b"V":
            self.verdict.violation(f"round {number}, while running: {key.decode()}: {detail.decode()}")

    # Stopping and starting

    def _stop_in_order(self):
        self._check_alive("before SIGTERM")
        status, seconds = self.node.stop()
        self.verdict.expect(status == 0, f"after SIGTERM the node's exit status is {status}")
        self.verdict.expect(seconds < 60, f"a clean stop took {seconds:.1f} s")

    def _check_alive(self, when):
        if not self.node.is_running:
            self.verdict.violation(f"the node died by itself {when}: {self.node.ending()}")

    def _kill_while_starting(self):
        """The second crash, at any point of a start."""
        usual = percentile(self.first_hits["killed"], 0.5) or 0.5
        self.node.launch_only()
        time.sleep(self.random.uniform(0, 1.2 * usual))
        self._check_alive("while starting")
        self.node.kill_hard()
        self.double_crash_count += 1

    def _restart(self, kind):
        """Starts the node and waits for the first hit; returns seconds."""
        key = self.newest_durable
        if key is None or self.ledger.allowed.get(key) != {1}:
            key = next(iter(reversed(self.ledger.certain())), None)
        is_block = key is not None and key[:1] == b"b"
        wanted = key if key is not None else self._preload_key(0)

        def hit(connection):
            if key is not None and not is_block:
                return connection.call("GET", wanted) is not None
            return Blocks(connection).get([wanted])[0] is not None

        limit = self.settings.clean_limit if kind == "clean" else self.settings.killed_limit
        try:
            seconds = self.node.start(timeout=3 * limit, probe=hit)
        except NodeFailed as failure:
            self.verdict.violation(f"no hit of {wanted.decode()} after a restart ({kind}): {failure}")
            if not self.node.is_running:
                raise SystemExit(self.verdict.finish(self._summary())) from None
            seconds = 3 * limit
        self.first_hits[kind].append(seconds)
        self.verdict.expect(seconds <= limit, f"first hit {seconds:.2f} s after a start ({kind}), limit {limit} s")
        if self.settings.keeps_memory:
            ready = [record for record in self.node.log_records() if record.get("message") == "ready"][-1]
            self.recoveries.append(float(ready.get("recovery_seconds", "nan")))
            self.verdict.expect(
                int(ready.get("recovered_blocks", 0)) > 0, "the memory of the run before was not taken back"
            )
        self.connection = Connection(self.node.port, timeout=60)
        self.store = Blocks(self.connection)
        return seconds

    # Verifying

    def _verify_keys(self, keys):
        """Reads the keys; what is seen must be allowed by the ledger, byte for byte."""
        batch, held = [], 0
        for key in [key for key in keys if key[:1] == b"b"]:
            batch.append(key)
            held += self.content.size(key, SMALLEST, LARGEST)
            if held > 32 * MIB or len(batch) == 256:
                self._verify_blocks(batch)
                batch, held = [], 0
        if batch:
            self._verify_blocks(batch)
        for key in [key for key in keys if key[:1] == b"p"]:
            self._judge(key, self.connection.call("GET", key))

    def _verify_blocks(self, keys):
        for key, payload in zip(keys, self.store.get(keys)):
            self._judge(key, payload)

    def _judge(self, key, payload):
        self.read_count += 1
        allowed = self.ledger.allowed.get(key, {ABSENT})
        if payload is None:
            version = ABSENT
        else:
            version = self._version(key, payload, allowed)
            if version is None:
                newest = max(allowed) or 1
                size = self.content.size(key, SMALLEST, LARGEST, newest)
                self.verdict.violation(
                    f"after a restart {key.decode()} holds no version of its own; against version {newest}: "
                    f"{self.content.fault(key, payload, size, newest)}"
                )
                return
        if not self.ledger.seen_after_restart(key, version):
            why = self.store.explain(key) if key[:1] == b"b" else ""
            self.verdict.violation(
                f"after a restart {key.decode()} holds "
                f"{'nothing' if version == ABSENT else f'version {version}'}, "
                f"allowed were {sorted(allowed)} (0 is nothing) {why}"
            )
            self.ledger.allowed[key] = {version}

    def _version(self, key, payload, allowed):
        """Which version of the key these bytes are, allowed or not; None for none that was ever written."""
        newest = 1 if key[:1] == b"b" else max(*allowed, self.ledger.acknowledged.get(key, 1), 1)
        for version in sorted(allowed - {ABSENT}, reverse=True) + list(range(newest, 0, -1)):
            size = self.content.size(key, SMALLEST, LARGEST, version)
            if size == len(payload) and self.content.make(key, size, version) == payload:
                return version
        return None

    def _verify_index(self, certain):
        """Every certain block is matched; the index alone is asked."""
        blocks = [key for key in certain if key[:1] == b"b"]
        for start in range(0, len(blocks), 4096):
            batch = blocks[start : start + 4096]
            matched = self.store.matched(batch)
            if matched != len(batch):
                self.verdict.violation(
                    f"KV.MATCH stops at {matched} of {len(batch)} blocks that must be there: "
                    f"{batch[matched].decode()} {self.store.explain(batch[matched])}"
                )

    # The small blocks

    def _preload_key(self, number):
        return b"s-%d" % number

    def _preload(self):
        say(f"preloading {self.settings.preload} blocks of {self.settings.preload_size} B")
        with Connection(self.node.port, timeout=60) as connection:
            store = Blocks(connection)
            for start in range(0, self.settings.preload, 1000):
                keys = [self._preload_key(n) for n in range(start, min(start + 1000, self.settings.preload))]
                blocks = [(key, self.content.make(key, self.settings.preload_size)) for key in keys]
                for key, outcome in zip(keys, store.put(blocks)):
                    self.verdict.expect(outcome == "stored", f"preload of {key.decode()}: {outcome}")

    def _verify_preload(self, sample=None):
        count = self.settings.preload
        numbers = range(count) if sample is None else self.random.sample(range(count), min(sample, count))
        keys = [self._preload_key(number) for number in numbers]
        for start in range(0, len(keys), 1000):
            batch = keys[start : start + 1000]
            for key, payload in zip(batch, self.store.get(batch)):
                self.read_count += 1
                if payload is None:
                    self.verdict.violation(f"{key.decode()} of the preload is lost: {self.store.explain(key)}")
                else:
                    fault = self.content.fault(key, payload, self.settings.preload_size)
                    self.verdict.expect(fault is None, f"{key.decode()} of the preload: {fault}")

    def _verify_everything(self):
        certain = self.ledger.certain()
        say(f"reading all of {len(self.ledger.allowed)} keys and {self.settings.preload} preloaded blocks")
        self._verify_keys(sorted(self.ledger.allowed))
        self._verify_preload()
        say(f"{len(certain)} keys had to be there")

    def _summary(self):
        def figures(kind):
            values = self.first_hits[kind]
            return f"{len(values)} times, median {percentile(values, 0.5):.2f} s, max {max(values, default=0):.2f} s"

        return (
            f"{self.ledger.durable_count} durable acknowledgements, {self.read_count} reads after restarts, "
            f"{self.live_read_count} reads while writing, {self.refusal_count} puts refused "
            f"{sorted(self.refusals.items()) if self.refusals else ''}, "
            f"{self.double_crash_count} crashes while starting; "
            f"{self._recovery_figures()}first hit after kill -9: {figures('killed')}; "
            f"after a clean stop: {figures('clean')}; seed {self.settings.seed}"
        )

    def _recovery_figures(self):
        if not self.recoveries:
            return ""
        return f"memory taken back {len(self.recoveries)} times, in at most {max(self.recoveries):.2f} s; "


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/crash.sh builds it)")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--preload", type=int, default=200_000, help="small blocks written once (default 200,000)")
    parser.add_argument("--preload-size", type=byte_count, default=1024, help="bytes of each (default 1KiB)")
    parser.add_argument("--disk", type=byte_count, default=byte_count("12GiB"), help="disk budget; two thirds are written")
    parser.add_argument("--memory", default="512MiB")
    parser.add_argument("--clean-every", type=int, default=10, help="each so many rounds stop in order; 0: none")
    parser.add_argument("--twice-every", type=int, default=4, help="each so many rounds crash twice; 0: none")
    parser.add_argument("--keeps-memory", action="store_true", help="with a memory file: every acknowledged change is kept")
    parser.add_argument("--sample", type=int, default=150, help="older blocks read after each restart")
    parser.add_argument("--clean-limit", type=float, default=2.0, help="seconds to the first hit after a clean stop")
    parser.add_argument("--killed-limit", type=float, default=10.0, help="seconds to the first hit after kill -9")
    parser.add_argument("--reply-limit", type=float, default=20.0, help="seconds a writer waits for a reply")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--work", default=None, help="where the temporary directory goes (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the data directory and the node's log")
    settings = parser.parse_args()
    require_linux()
    settings.seed = new_seed() if settings.seed is None else settings.seed
    budget = settings.disk * 2 // 3 - settings.preload * (settings.preload_size + 256)
    if budget < settings.rounds * MIB:
        parser.error("--disk is too small for the preload and the rounds")
    # A writer's share of what a round may write, spread over the longest life of a node.
    settings.writer_rate = budget / settings.rounds / settings.writers / 1.5
    clean_up_at_end(settings.keep)
    free = shutil.disk_usage(settings.work or os.environ.get("TMPDIR", "/tmp")).free
    if free < settings.disk * 1.1:
        raise SystemExit(f"error: needs {in_units(settings.disk * 1.1)} of free disk, there are {in_units(free)}")
    say(f"seed {settings.seed}, {settings.rounds} rounds, at most {in_units(budget)} written")
    return Run(settings).run()


if __name__ == "__main__":
    sys.exit(main())
