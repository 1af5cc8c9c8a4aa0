"""Random bit flips and truncations in the data directory of a stopped node.

A directory is filled once and the node stopped in order. Then, again and again, a copy of it is damaged, a node is
started on the copy, and every key is read: right, or a miss. The node must start, must answer no read with an error,
must take a new block and give it back, and must exit 0 on SIGTERM; then the copy goes. Losing much is allowed here,
and told: a table that says which older blocks were deleted or replaced takes those older ones with it when it is lost.

Damages are put several at a time into one copy, as a start costs more than a damage. In half of the copies only
tables (*.sst) are damaged, as anything may happen when the database's own MANIFEST or CURRENT is gone: it is set
aside, and then the tables are not looked at. In the other half each damage takes one of the other files half of the
time. A database that is set aside is fine and counted.
"""

import argparse
import os
import random
import shutil
import sys
import time

from node import Node, NodeFailed, clean_up_at_end, directory_byte_counts, require_linux, temporary_directory
from workload import (
    KIB, MIB, Blocks, Connection, Content, ReplyError, Verdict, byte_count, in_units, new_seed, percentile, say,
)

LARGEST = 2 * MIB


class Run:
    """One filled directory and its many damaged copies."""

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("damage")
        self.content = Content(settings.seed)
        self.work = temporary_directory(settings.work)
        self.pristine = os.path.join(self.work, "pristine")
        self.copy = os.path.join(self.work, "copy")
        self.log = os.path.join(self.work, "node.log")
        self.blocks, self.plain = [], []
        self.damage_count = self.start_count = self.right_count = self.miss_count = self.set_aside_count = 0
        self.losses = {"nothing": 0, "some": 0, "all": 0}
        self.start_seconds = []

    def run(self):
        self._fill()
        self._control()
        starts = range(self.settings.first, self._starts())
        for number in starts:
            self._damaged_start(number)
            if number % 25 == 24 or number + 1 == self._starts():
                say(
                    f"{self.damage_count}/{self.settings.damages} damages in {self.start_count} starts: "
                    f"{self.right_count} reads right, {self.miss_count} missed, "
                    f"{self.set_aside_count} databases set aside, violations {self.verdict.violations}"
                )
            if self.verdict.violations > 200:
                say("too many violations, giving up")
                break
        return self.verdict.finish(
            f"{self.damage_count} damages, {self.settings.per_start} to a copy, {self.start_count} starts; "
            f"{self.right_count} reads right, {self.miss_count} missed, none wrong unless said above; "
            f"{self.losses['nothing']} copies lost nothing, {self.losses['some']} some, {self.losses['all']} all; "
            f"{self.set_aside_count} databases set aside; "
            f"start median {percentile(self.start_seconds, 0.5):.2f} s, max {max(self.start_seconds, default=0):.2f} s; "
            f"seed {self.settings.seed}"
        )

    def _starts(self):
        return -(-self.settings.damages // self.settings.per_start)

    def _node(self, directory):
        return Node(
            self.settings.larder, directory, self.log, memory="64MiB", disk=self.settings.disk,
            arguments=["--drain-timeout", "10s"],
        )

    # Filling

    def _fill(self):
        """Several lives, so that there are several tables, tombstones and replaced keys."""
        numbers, sizes = iter(range(1 << 30)), 0
        share = self.settings.byte_count // 4
        while sizes < self.settings.byte_count:
            node = self._node(self.pristine)
            node.start()
            with Connection(node.port) as connection:
                store = Blocks(connection)
                goal = min(self.settings.byte_count, sizes + share)
                while sizes < goal:
                    keys = [b"b-%d" % next(numbers) for _ in range(8)]
                    batch = [(key, self._payload(key)) for key in keys]
                    for key, outcome in zip(keys, store.put(batch, durable=keys[0].endswith(b"0"))):
                        self.verdict.expect(outcome == "stored", f"filling: {key.decode()}: {outcome}")
                    self.blocks += keys
                    sizes += sum(len(payload) for _, payload in batch)
                    plain = b"p-%d" % len(self.plain)
                    connection.call("SET", plain, b"to be replaced")
                    connection.call("SET", plain, self._payload(plain))
                    self.plain.append(plain)
                for key in random.Random(sizes).sample(self.blocks, 4):
                    store.delete([key])
                    self.blocks.remove(key)
            status, _ = node.stop()
            self.verdict.expect(status == 0, f"filling: exit status {status} after SIGTERM")

    def _control(self):
        """Without damage everything is there; says what there is to damage."""
        right, missed = self._read_copy(None)
        self.verdict.expect(missed == 0, f"{missed} of {right + missed} keys are missing without any damage")
        tables, others = self._files(self.pristine)
        say(
            f"{len(self.blocks)} blocks and {len(self.plain)} plain keys, "
            f"{in_units(directory_byte_counts(self.pristine)[0])} in {len(tables)} tables and "
            f"{len(others)} other files: {', '.join(sorted(os.path.basename(name) for name in others))}"
        )

    def _payload(self, key):
        return self.content.make(key, self.content.size(key, 1 * KIB, LARGEST))

    # Damaging

    def _damaged_start(self, number):
        chance = random.Random(f"{self.settings.seed} {number}")
        self._make_copy()
        tables, others = self._files(self.copy)
        only_tables = chance.random() < 0.5
        count = min(self.settings.per_start, self.settings.damages - self.damage_count)
        done = []
        for _ in range(count):
            choices = tables if only_tables or not others or chance.random() < 0.5 else others
            done.append(self._damage(chance, chance.choice(choices)))
        self.damage_count += count
        right, missed = self._read_copy(f"copy {number} ({'; '.join(done)})")
        self.right_count += right
        self.miss_count += missed
        self.losses["all" if right == 0 else "some" if missed else "nothing"] += 1

    def _damage(self, chance, path):
        """One bit flip, or one truncation; returns what was done, in words."""
        name, length = os.path.relpath(path, self.copy), os.path.getsize(path)
        if length == 0:
            return f"{name}: empty, nothing to damage"
        if chance.random() < 0.7:
            # Half of the flips go to the last 64 KiB, where tables keep their metadata.
            span = min(length, 64 * KIB) if chance.random() < 0.5 else length
            place, bit = length - 1 - chance.randrange(span), chance.randrange(8)
            with open(path, "r+b") as file:
                file.seek(place)
                byte = file.read(1)[0]
                file.seek(place)
                file.write(bytes([byte ^ (1 << bit)]))
            return f"{name}: bit {bit} of byte {place} of {length}"
        cut = length - chance.randint(1, min(length, 4 * KIB)) if chance.random() < 0.5 else chance.randrange(length)
        os.truncate(path, cut)
        return f"{name}: cut from {length} to {cut} bytes"

    def _files(self, directory):
        """(tables, other files); empty files and locks are nothing to damage."""
        tables, others = [], []
        for parent, _, names in sorted(os.walk(directory)):
            for name in sorted(names):
                path = os.path.join(parent, name)
                if os.path.getsize(path) > 0:
                    (tables if name.endswith(".sst") else others).append(path)
        return tables, others

    def _make_copy(self):
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.pristine, self.copy)

    # Reading

    def _read_copy(self, what):
        """Starts a node on the copy and reads all; returns how many reads were right and how many missed."""
        if what is None:
            what = "the undamaged copy"
            self._make_copy()
        open(self.log, "w").close()
        node = self._node(self.copy)
        right = missed = 0
        try:
            self.start_seconds.append(node.start(timeout=self.settings.start_limit))
            self.start_count += 1
            with Connection(node.port) as connection:
                right, missed = self._read_all(connection, what)
                self._write_and_read(connection, what)
            status, _ = node.stop()
            self.verdict.expect(status == 0, f"{what}: exit status {status} after SIGTERM; {node.ending()}")
        except (NodeFailed, OSError) as failure:
            time.sleep(0.1)
            how = failure if isinstance(failure, NodeFailed) else f"{failure}; {node.ending()}"
            self.verdict.violation(f"{what}: {how}")
            node.kill_hard()
        self.set_aside_count += any(
            name.startswith("set-aside") for _, names, _ in os.walk(self.copy) for name in names
        )
        return right, missed

    def _read_all(self, connection, what):
        right = missed = 0
        store = Blocks(connection)
        for start in range(0, len(self.blocks), 16):
            keys = self.blocks[start : start + 16]
            try:
                payloads = store.get(keys)
            except ReplyError as error:
                self.verdict.violation(f"{what}: KV.GET answers {error}")
                continue
            for key, payload in zip(keys, payloads):
                if payload is None:
                    missed += 1
                elif self._is_right(what, key, payload):
                    right += 1
        for key in self.plain:
            try:
                payload = connection.call("GET", key)
            except ReplyError as error:
                self.verdict.violation(f"{what}: GET answers {error}")
                continue
            if payload is None:
                missed += 1
            elif self._is_right(what, key, payload):
                right += 1
        return right, missed

    def _is_right(self, what, key, payload):
        if isinstance(payload, ReplyError):
            self.verdict.violation(f"{what}: {key.decode()} answers {payload}")
            return False
        fault = self.content.fault(key, payload, self.content.size(key, 1 * KIB, LARGEST))
        return self.verdict.expect(fault is None, f"{what}: WRONG BYTES in {key.decode()}: {fault}")

    def _write_and_read(self, connection, what):
        store, payload = Blocks(connection), self._payload(b"n-1")
        outcome = store.put([(b"n-1", payload)], durable=True)[0]
        self.verdict.expect(outcome == "stored", f"{what}: a new DURABLE block is answered {outcome}")
        self.verdict.expect(store.get([b"n-1"])[0] == payload, f"{what}: the new block does not come back")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/damage.sh builds it)")
    parser.add_argument("--damages", type=int, default=1000)
    parser.add_argument("--per-start", type=int, default=4, help="damages in one copy (default 4)")
    parser.add_argument("--byte-count", type=byte_count, default=48 * MIB, help="payload to fill (default 48MiB)")
    parser.add_argument("--disk", type=byte_count, default=256 * MIB, help="disk budget; nothing is evicted")
    parser.add_argument("--start-limit", type=float, default=30.0, help="seconds a start may take")
    parser.add_argument("--first", type=int, default=0, help="begin with this copy: to see one again, with its seed")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--work", default=None, help="where the temporary directory goes (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the directory with the last copy")
    settings = parser.parse_args()
    require_linux()
    settings.seed = new_seed() if settings.seed is None else settings.seed
    clean_up_at_end(settings.keep)
    say(f"seed {settings.seed}, {settings.damages} damages, {settings.per_start} to a copy")
    return Run(settings).run()


if __name__ == "__main__":
    sys.exit(main())
