"""Random operations and faults against a cluster of three, held to a model of what may be answered.

One client after the other, at nodes picked at random, puts blocks (plain, durable, pinned, with a time to live), deletes
and clears them, matches with leases and reads, and sets, reads and deletes plain Redis keys. Between the operations a node
is killed with kill -9, stopped with SIGSTOP for some seconds, or ended with SIGTERM, and started again, while the others
go on. The model knows for each key what was answered; an operation without an answer widens what is allowed.

Expected:

  no wrong byte: each payload follows from its key and its version
  a block whose deletion was answered is not read again at any node, before it is put again: not from a transfer, a copy, a
  node that was away, or a disk
  a block that was answered to be durable is read at every node once all nodes are back, unless it was deleted
  a plain key never shows an older value than the last one that was answered; a node's death may cost the key
  what a match with a lease reported is read within the lease by way of the same node, unless a node was away meanwhile
  every node that should run does

A violation prints the round, the key's history and the seed; `--seed N` repeats the operations.
"""

import argparse
import random
import re
import signal
import subprocess
import sys
import time

from cluster import Cluster, Etcd, describe_source, knows_etcd, wait_for
from node import NodeFailed, clean_up_at_end, require_linux, temporary_directory
from workload import KIB, MIB, NAMESPACE, Blocks, Content, ReplyError, Verdict, new_seed, say

NAMES = ("a", "b", "c")
PRESENT, ABSENT, EITHER = "present", "absent", "either"


class Key:
    """What may be answered for one block."""

    def __init__(self, name):
        self.name = name
        self.state = ABSENT
        #: Answered to be on disk, and nothing since that could have taken it.
        self.is_durable = False
        self.expires_at = None
        self.history = []

    def note(self, number, what):
        self.history.append(f"{number}: {what}")
        del self.history[:-12]


class Plain:
    """What may be answered for one plain key: the versions that may be read, None for nothing."""

    def __init__(self, name):
        self.name = name
        self.version = 0
        self.allowed = {None}
        self.history = []

    note = Key.note


class Check:
    """One run."""

    def __init__(self, settings, cluster, verdict, seed):
        self.settings, self.cluster, self.verdict = settings, cluster, verdict
        self.random = random.Random(seed)
        self.content = Content(f"promises-{seed}")
        self.keys = [Key(b"block-%d" % index) for index in range(settings.keys)]
        self.plain = [Plain(b"plain-%d" % index) for index in range(settings.keys // 4)]
        self.doors = {}
        self.number = 0
        self.fault = None
        self.counts = {}

    # Operations

    def door(self, name):
        if name not in self.doors:
            self.doors[name] = Blocks(self.cluster[name].connect(10.0))
        return self.doors[name]

    def drop_door(self, name):
        door = self.doors.pop(name, None)
        if door is not None:
            door.connection.close()

    def call(self, name, work):
        """The answer of a node, a ReplyError, or None where there is none."""
        try:
            return work(self.door(name))
        except ReplyError as error:
            return error
        except OSError:
            self.drop_door(name)
            return None

    def step(self):
        self.number += 1
        away = self.fault[0] if self.fault else None
        name = self.random.choice([name for name in NAMES if name != away])
        verb, work = self.random.choices(
            [
                ("put", self.put), ("delete", self.delete), ("get", self.get), ("lease", self.lease),
                ("set", self.set), ("get plain", self.get_plain), ("del plain", self.delete_plain), ("clear", self.clear),
            ],
            [30, 18, 24, 6, 10, 10, 4, 0.3],
        )[0]
        self.counts[verb] = self.counts.get(verb, 0) + 1
        work(name)

    def put(self, name):
        keys = self.random.sample(self.keys, self.random.randint(1, 8))
        kind = self.random.choice(["plain", "plain", "durable", "pin", "ttl"])
        blocks = [(key.name, self.payload(key.name)) for key in keys]
        options = {"durable": kind == "durable", "pinned": kind == "pin"}
        if kind == "ttl":
            options["milliseconds"] = 60_000
        answer = self.call(name, lambda door: door.put(blocks, **options))
        outcomes = answer if isinstance(answer, list) else [answer] * len(keys)
        for key, outcome in zip(keys, outcomes):
            key.note(self.number, f"put {kind} at {name}: {outcome!r}")
            if outcome in ("stored", "exists"):
                # A copy of a block that nobody keeps may have been found: it exists, and may go.
                key.state = PRESENT if outcome == "stored" or key.state == PRESENT else EITHER
                if kind == "durable":
                    key.is_durable, key.state = True, PRESENT
                if kind == "ttl" and outcome == "stored":
                    key.expires_at = time.monotonic() + 60
                    key.is_durable = False
            elif key.state == ABSENT:
                key.state = EITHER

    def delete(self, name):
        keys = self.random.sample(self.keys, self.random.randint(1, 6))
        answer = self.call(name, lambda door: door.delete([key.name for key in keys]))
        for key in keys:
            key.note(self.number, f"delete at {name}: {answer!r}")
            key.is_durable = False
            key.expires_at = None
            if isinstance(answer, int):
                key.state = ABSENT
            elif key.state == PRESENT:
                key.state = EITHER

    def clear(self, name):
        answer = self.call(name, lambda door: door.connection.call("KV.CLEAR", door.namespace))
        for key in self.keys:
            key.note(self.number, f"clear at {name}: {answer!r}")
            key.is_durable, key.expires_at = False, None
            if isinstance(answer, int):
                key.state = ABSENT
            elif key.state == PRESENT:
                key.state = EITHER

    def get(self, name):
        keys = self.random.sample(self.keys, self.random.randint(1, 8))
        answer = self.call(name, lambda door: door.get([key.name for key in keys]))
        if isinstance(answer, list):
            for key, payload in zip(keys, answer):
                self.judge(key, payload, f"get at {name}")

    def lease(self, name):
        keys = self.random.sample(self.keys, 6)
        names = [key.name for key in keys]
        fault = self.fault
        matched = self.call(name, lambda door: door.matched(names, lease_milliseconds=5_000))
        answer = self.call(name, lambda door: door.get(names))
        if not isinstance(matched, int) or not isinstance(answer, list) or fault is not None:
            return
        for key, payload in zip(keys[:matched], answer):
            if payload is None and key.expires_at is None:
                self.violation(key, f"round {self.number}: leased by a match at {name}, and not read within the lease")
        for key, payload in zip(keys, answer):
            self.judge(key, payload, f"leased get at {name}")

    def judge(self, key, payload, how):
        if payload is None:
            return
        if bytes(payload) != self.payload(key.name):
            self.violation(key, f"round {self.number}, {how}: WRONG BYTES")
        elif key.state == ABSENT:
            self.violation(key, f"round {self.number}, {how}: a deleted block is back")

    def set(self, name):
        key = self.random.choice(self.plain)
        key.version += 1
        version = key.version
        value = b"%b=%d" % (key.name, version)
        answer = self.call(name, lambda door: door.connection.call("SET", key.name, value))
        key.note(self.number, f"SET {version} at {name}: {answer!r}")
        if answer is not None and not isinstance(answer, ReplyError):
            key.allowed = {version}
            # Its owner may be the one that is away, or will be: then another one may have it, or nobody.
            if self.fault:
                key.allowed.add(None)
        else:
            key.allowed = key.allowed | {version}

    def delete_plain(self, name):
        key = self.random.choice(self.plain)
        answer = self.call(name, lambda door: door.connection.call("DEL", key.name))
        key.note(self.number, f"DEL at {name}: {answer!r}")
        key.allowed = {None} if isinstance(answer, int) else key.allowed | {None}

    def get_plain(self, name):
        key = self.random.choice(self.plain)
        answer = self.call(name, lambda door: door.connection.call("GET", key.name))
        if isinstance(answer, ReplyError):
            return
        if answer is None:
            # Nothing there, or no answer: with a node away that is allowed, and else checked at the end of faults.
            return
        version = int(bytes(answer).rsplit(b"=", 1)[1])
        if not bytes(answer).startswith(key.name + b"=") or version not in key.allowed:
            self.violation(key, f"round {self.number}: GET at {name} gave {bytes(answer)!r}, allowed are {key.allowed}")

    def payload(self, name):
        return self.content.make(name, self.settings.block_size)

    def violation(self, key, text):
        self.verdict.violation(f"{text}; key {key.name.decode()}: " + " | ".join(key.history))

    # Faults

    def begin_fault(self):
        name = self.random.choice(NAMES)
        kind = self.random.choice(["kill", "stop", "terminate"])
        length = self.random.randint(5, 40)
        self.drop_door(name)
        node = self.cluster[name]
        node.forget()
        if kind == "kill":
            node.kill_hard()
        elif kind == "terminate":
            status, _ = node.stop()
            self.verdict.expect(status == 0, f"round {self.number}: {name} ended with {status} after SIGTERM")
        else:
            node.process.send_signal(signal.SIGSTOP)
        self.fault = (name, kind, self.number + length)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        for key in self.plain:
            # The death of its owner may cost a key; it never brings an older value back.
            key.allowed.add(None)

    def end_fault(self):
        name, kind, _ = self.fault
        node = self.cluster[name]
        if kind == "stop":
            node.process.send_signal(signal.SIGCONT)
        else:
            node.start()
        self.cluster.wait_settled(60)
        wait_for(
            lambda: all(node.figures()["cluster_serves_held"] == 1 for node in self.cluster.running()), 30,
            "every node has asked for what it missed", 0.05,
        )
        wait_for(
            lambda: all(node.figures()["handoff_queue_blocks"] == 0 for node in self.cluster.running()), 60,
            "blocks are with their owners", 0.05,
        )
        self.fault = None
        self.cluster.check_alive(self.verdict, f"round {self.number}")
        self.check_all(f"after {kind} of {name}")

    def check_all(self, when):
        for name in NAMES:
            for start in range(0, len(self.keys), 64):
                keys = self.keys[start : start + 64]
                answer = self.call(name, lambda door: door.get([key.name for key in keys]))
                if not isinstance(answer, list):
                    self.verdict.violation(f"round {self.number}, {when}: {name} answers {answer!r}")
                    continue
                for key, payload in zip(keys, answer):
                    self.judge(key, payload, f"{when}, at {name}")
                    if payload is None and key.is_durable and key.state == PRESENT and not self.comes(key, name):
                        self.violation(key, f"round {self.number}, {when}: a durable block is missed at {name}")

    def comes(self, key, name):
        """Whether a block is read within some seconds: a node that hears that it missed a deletion serves nothing until
        it has asked which."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            answer = self.call(name, lambda door: door.get([key.name]))
            if isinstance(answer, list) and answer[0] is not None:
                self.judge(key, answer[0], f"late, at {name}")
                return True
            time.sleep(0.05)
        return False

    def run(self):
        end = time.monotonic() + self.settings.minutes * 60
        for index in range(self.settings.rounds):
            if time.monotonic() > end:
                break
            self.step()
            if self.fault is None and self.random.random() < self.settings.faults:
                self.begin_fault()
            elif self.fault is not None and self.number >= self.fault[2]:
                self.end_fault()
            if (index + 1) % 500 == 0:
                say(f"round {index + 1}: {self.verdict.violations} violations, " + self.summary())
        if self.fault is not None:
            self.end_fault()
        self.check_all("at the end")

    def summary(self):
        return ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/promises.sh builds it)")
    parser.add_argument("--rounds", type=int, default=10_000, help="operations at most (default 10000)")
    parser.add_argument("--minutes", type=float, default=60, help="minutes at most (default 60)")
    parser.add_argument("--faults", type=float, default=0.02, help="faults an operation (default 0.02)")
    parser.add_argument("--keys", type=int, default=200, help="blocks that there may be (default 200)")
    parser.add_argument("--block-size", type=int, default=16 * KIB, help="bytes of a block (default 16384)")
    parser.add_argument("--membership", choices=["static", "etcd"], default="static")
    parser.add_argument("--memory-file", choices=["auto", "off"], default="auto", help="whether RAM outlives a node")
    parser.add_argument("--seed", type=int, default=None, help="repeats the operations of a run")
    parser.add_argument("--work", default=None, help="where the temporary directory goes (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the data directories and the nodes' logs")
    settings = parser.parse_args()
    require_linux()
    clean_up_at_end(settings.keep)
    seed = new_seed() if settings.seed is None else settings.seed
    say(f"seed {seed}")
    verdict = Verdict("promises")
    work = temporary_directory(settings.work)
    etcd = None
    if settings.membership == "etcd":
        if not knows_etcd(settings.larder):
            raise NodeFailed("this larder knows no etcd")
        etcd = Etcd(work)
        etcd.start()
    cluster = Cluster(
        settings.larder, work, NAMES, 64 * MIB, 512 * MIB,
        # The last of a setting that is given twice counts.
        ["--memory-file", settings.memory_file, "--member-ttl", "2m"] if etcd else ["--memory-file", settings.memory_file],
        etcd=etcd,
    )
    check = Check(settings, cluster, verdict, seed)
    try:
        cluster.start()
        describe_source(cluster)
        check.run()
    except (NodeFailed, OSError, ReplyError) as failure:
        verdict.violation(f"round {check.number}: {failure}")
    for name, status in cluster.stop().items():
        verdict.expect(status == 0, f"node {name}: exit status {status} after SIGTERM")
    for node in cluster.nodes.values():
        # RAM that outlived its node, whose path its log tells: this run's alone.
        with open(node.log, errors="replace") as log:
            for path in set(re.findall(r'"path":"(/dev/shm/larder-[^"]+)"', log.read())):
                subprocess.run([settings.larder, "memory", "remove", path], capture_output=True, check=False)
    sys.exit(verdict.finish(f"{check.number} operations ({check.summary()}), seed {seed}"))


if __name__ == "__main__":
    main()
