"""Clusters as processes, on loopback or each node in a network namespace, and loads on them whose every byte is checked.

Only the standard library. Times are seconds, sizes bytes, moments time.monotonic(), which all processes share.
"""

import binascii
import ctypes
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time

from node import NodeFailed, ServerProcess, free_port
from workload import KIB, Blocks, Connection, ReplyError, percentile, say

USER, PASSWORD = "check", "only-for-this-check"
_libc = ctypes.CDLL(None, use_errno=True)


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("LARDER_")}


def enter_network(path):
    """Moves this process, which has one thread, to a network namespace; None stays."""
    if path is None:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(descriptor, 0) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {path}")
    finally:
        os.close(descriptor)


def slot_of(key):
    """The slot of a key, as in Redis Cluster."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return binascii.crc_hqx(key, 0) & 0x3FFF


def knows_etcd(larder):
    """Whether this larder can keep its membership in etcd."""
    done = subprocess.run([larder, "serve", "--help"], stdout=subprocess.PIPE, text=True, env=environment(), check=True)
    return "--member-ttl" in done.stdout


class Etcd(ServerProcess):
    """An etcd of one member, that is killed, stopped and started again."""

    def __init__(self, work, host="127.0.0.1", network=None):
        super().__init__(os.path.join(work, "etcd.log"))
        self.host, self.network = host, network
        self._directory = os.path.join(work, "etcd")
        self._peer_port = free_port()

    def before_exec(self):
        super().before_exec()
        enter_network(self.network)

    def start(self, timeout=30.0):
        """Starts it; returns when it is healthy."""
        for program in ("etcd", "etcdctl"):
            if shutil.which(program) is None:
                raise NodeFailed(f"no {program}: scripts/install.sh --with-etcd")
        here, peers = f"http://{self.host}:{self.port}", f"http://127.0.0.1:{self._peer_port}"
        started = self.launch([
            "etcd", "--name", "check", "--data-dir", self._directory, "--listen-client-urls", here,
            "--advertise-client-urls", here, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
            "--initial-cluster", f"check={peers}", "--log-level", "error",
        ], {**environment(), "ETCD_UNSUPPORTED_ARCH": os.uname().machine})
        while not self.is_healthy():
            if not self.is_running or time.monotonic() - started > timeout:
                raise NodeFailed(f"etcd is not healthy: {self.ending()}")
            time.sleep(0.05)

    def is_healthy(self):
        done = subprocess.run(
            ["etcdctl", "--endpoints", f"http://{self.host}:{self.port}", "--command-timeout", "1s", "endpoint", "health"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**environment(), "ETCDCTL_API": "3"}, preexec_fn=lambda: enter_network(self.network),
        )
        return done.returncode == 0


class ClusterNode(ServerProcess):
    """One `larder serve --cluster`. Clients use `address`; this program asks it by a Unix socket, whatever its network."""

    def __init__(self, cluster, name, host, network):
        super().__init__(os.path.join(cluster.work, f"{name}.log"))
        self.name, self.host, self.network, self._cluster = name, host, network, cluster
        self.unix = os.path.join(cluster.work, f"{name}.sock")
        self.data_directory = os.path.join(cluster.work, name) if cluster.disk else None
        self._observer = None

    @property
    def address(self):
        return (self.host, self.port)

    def before_exec(self):
        super().before_exec()
        enter_network(self.network)

    def connect(self, timeout):
        return self._cluster.greet(Connection(self.unix, timeout=timeout))

    def launch_only(self):
        """Starts the process and waits for nothing."""
        self.forget()
        return self.launch(self._cluster.command(self), environment())

    def start(self, timeout=60.0):
        """Starts the node; returns seconds until it answered."""
        return self.wait_until_answering(timeout, started=self.launch_only())

    def ask(self, *parts, timeout=10.0):
        """One command by a connection that is kept for this."""
        try:
            if self._observer is None:
                self._observer = self.connect(timeout)
            return self._observer.call(*parts)
        except OSError:
            self.forget()
            raise

    def forget(self):
        """Drops the connection of `ask`."""
        if self._observer is not None:
            self._observer.close()
        self._observer = None

    def members(self):
        """What the node thinks of each member: (state, whether it is up), by name."""
        return {
            bytes(row[0]).decode(): (bytes(row[5]).decode(), row[6] == 1) for row in self.ask("KV.CLUSTER", "VIEW")[2]
        }

    def figures(self):
        """All figures of KV.STATS and KV.CLUSTER STATUS; whole numbers as int."""
        figures = {}
        for command in (("KV.STATS",), ("KV.CLUSTER", "STATUS")):
            words = [word if isinstance(word, int) else bytes(word).decode() for word in self.ask(*command)]
            figures.update(zip(words[::2], words[1::2]))
        return {name: int(text) if str(text).lstrip("-").isdigit() else text for name, text in figures.items()}

    def wait_ended(self, timeout=120.0):
        """The exit status of a node that was told to end; one that does not is killed and counts as -9."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
        super().kill_hard()
        return self.process.returncode

    def kill_hard(self):
        self.forget()
        super().kill_hard()

    def stop(self, timeout=120.0):
        self.forget()
        return super().stop(timeout)


class Cluster:
    """Nodes by name. With `networks`, (host, namespace path) by name, they have users and a secret."""

    def __init__(self, larder, work, names, memory, disk=0, arguments=(), etcd=None, networks=None):
        self.larder, self.work, self.memory, self.disk = larder, work, memory, disk
        self.arguments, self.etcd = list(arguments), etcd
        self.has_users = networks is not None
        if self.has_users:
            self._make_users()
        self.nodes = {}
        for name in names:
            host, network = networks[name] if networks else ("127.0.0.1", None)
            self.nodes[name] = ClusterNode(self, name, host, network)

    def __getitem__(self, name):
        return self.nodes[name]

    def _make_users(self):
        secret, password = os.path.join(self.work, "secret"), os.path.join(self.work, "password")
        for path, text in ((secret, os.urandom(24).hex()), (password, PASSWORD)):
            with open(path, "w") as file:
                file.write(text + "\n")
        subprocess.run(
            [self.larder, "user", "add", os.path.join(self.work, "users"), USER, "--scopes", "read,write,admin",
             "--password-file", password],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, env=environment(),
        )

    def greet(self, connection):
        """Authenticates a connection where there are users."""
        if self.has_users:
            connection.call("AUTH", USER, PASSWORD)
        return connection

    @property
    def source(self):
        """The value of --cluster."""
        if self.etcd:
            return f"etcd://{self.etcd.host}:{self.etcd.port}/check"
        return "static:" + ",".join(f"{node.name}={node.host}:{node.port}" for node in self.nodes.values())

    def command(self, node):
        command = [
            self.larder, "serve", "--host", node.host, "--port", str(node.port), "--unix", node.unix,
            "--cluster", self.source, "--node-name", node.name, "--memory", str(self.memory), "--memory-file", "off",
            "--log-format", "json",
        ]
        if node.data_directory:
            command += ["--data-dir", node.data_directory, "--disk", str(self.disk)]
        if self.has_users:
            command += ["--users", os.path.join(self.work, "users")]
            command += ["--cluster-secret", os.path.join(self.work, "secret")]
        return command + self.arguments

    def start(self, *names):
        """Starts the named nodes, or all, and returns when all that run see each other, active."""
        nodes = [self.nodes[name] for name in names] or list(self.nodes.values())
        for node in nodes:
            node.launch_only()
        for node in nodes:
            node.wait_until_answering()
        self.wait_settled()

    def views(self):
        """What each node that runs thinks of all, for messages."""
        views = []
        for node in self.running():
            try:
                seen = " ".join(f"{name}={state}{'' if up else ',down'}" for name, (state, up) in node.members().items())
            except (OSError, ReplyError) as error:
                seen = f"no answer: {error}"
            views.append(f"{node.name} sees {seen}")
        return "; ".join(views)

    def running(self):
        return [node for node in self.nodes.values() if node.is_running]

    def is_settled(self, nodes=None):
        """Whether all these nodes see each other up and active."""
        nodes = nodes or self.running()
        for node in nodes:
            try:
                members = node.members()
            except (OSError, ReplyError):
                return False
            if any(members.get(other.name) != ("active", True) for other in nodes):
                return False
        return True

    def wait_settled(self, timeout=60.0, nodes=None):
        """Seconds until all see each other, up and active."""
        return wait_for(lambda: self.is_settled(nodes), timeout, "the nodes do not see each other")

    def owners(self):
        """The name of the node that owns each slot, as the nodes tell it."""
        by_port = {(node.host, node.port): node.name for node in self.nodes.values()}
        owners = [None] * 16384
        for first, last, place in self.running()[0].ask("CLUSTER", "SLOTS"):
            owners[first : last + 1] = [by_port[bytes(place[0]).decode(), place[1]]] * (last + 1 - first)
        return owners

    def blocks(self, name, timeout=30.0, description=None):
        """The KV verbs at one node."""
        connection = self.nodes[name].connect(timeout)
        return Blocks(connection) if description is None else Blocks(connection, description)

    def stop(self):
        """SIGTERM to all that run, at once; the exit statuses by name, also of those that should run and have ended."""
        lost = {node.name: node.process.returncode for node in self.nodes.values() if node.is_wanted and not node.is_running}
        running = self.running()
        for node in running:
            node.process.terminate()
        # Not SIGTERM again: the second one ends a node at once.
        for node in self.nodes.values():
            node.is_wanted = False
        return {**{node.name: node.wait_ended() for node in running}, **lost}

    def check_alive(self, verdict, when):
        """Every node that should run does."""
        for node in self.nodes.values():
            if node.is_wanted and not node.is_running:
                verdict.violation(f"{when}: node {node.name} is gone: {node.ending()}")


def wait_for(holds, timeout, what, pause=0.02):
    """Seconds until `holds()`."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > timeout:
            raise NodeFailed(f"{what} within {timeout:.0f} s")
        time.sleep(pause)
    return time.monotonic() - started


class Prompts:
    """Chains of blocks that many clients ask for: keys, sizes and bytes are functions of the seed."""

    def __init__(self, content, label, count, length=8, smallest=8 * KIB, largest=128 * KIB):
        self.content, self.label, self.count, self.length = content, label, count, length
        self.smallest, self.largest = smallest, largest

    def keys(self, number):
        return [
            hashlib.blake2b(f"{self.label} {number} {index}".encode(), digest_size=32).digest()
            for index in range(self.length)
        ]

    def payload(self, key):
        return self.content.make(key, self.content.size(key, self.smallest, self.largest))

    def fault(self, key, payload):
        return self.content.fault(key, payload, self.content.size(key, self.smallest, self.largest))


class Worker:
    """One client, in a process of its own: asks one node for prompts, as an engine does, and stores what is missing.

    With `must_hit` a prompt that was stored before has to be there; misses are noted with their moments.
    """

    FRESH_COUNT_MAX = 150

    def __init__(self, number, door, cluster, prompts, seed, rate, reply_limit, must_hit, pipe):
        self.number, self.door, self.cluster, self.prompts = number, door, cluster, prompts
        self.random = random.Random(f"{seed} worker {number}")
        self.rate, self.reply_limit, self.must_hit, self.pipe = rate, reply_limit, must_hit, pipe
        self.stops = False
        self.fresh = []
        self.connection = None
        self.report = {
            "door": door.name, "times": {}, "errors": [], "disconnects": [], "refused": {}, "hits": 0, "misses": 0,
            "stored": 0, "requests": 0, "unexpected": [],
        }

    def run(self):
        signal.signal(signal.SIGUSR1, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        enter_network(self.door.network)
        started, steps = time.monotonic(), 0
        while not self.stops:
            try:
                if self.connection is None:
                    self._connect()
                self._step()
                steps += 1
            except TimeoutError:
                self._violation(f"no reply within {self.reply_limit} s")
                self._drop()
            except OSError as error:
                self.report["disconnects"].append((time.monotonic(), str(error)))
                self._drop()
                time.sleep(0.05)
            ahead = steps / self.rate - (time.monotonic() - started)
            if ahead > 0:
                time.sleep(min(ahead, 0.2))
            elif ahead < -1:
                started, steps = time.monotonic(), 0  # it was held up: do not catch up
        self.pipe.send(("report", self.report))

    def _stop(self, *_):
        self.stops = True

    def _connect(self):
        self.connection = self.cluster.greet(Connection(self.door.address, timeout=self.reply_limit))
        self.namespace = Blocks(self.connection).namespace

    def _drop(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def _step(self):
        self.report["requests"] += 1
        dice = self.random.random()
        if self.must_hit and dice < 0.1 and len(self.fresh) < self.FRESH_COUNT_MAX:
            number = f"fresh {self.number} {len(self.fresh)}"
            if self._store(self.prompts.keys(number)):
                self.fresh.append(number)
        elif dice < 0.2:
            self._plain()
        else:
            self._prompt()

    def _prompt(self):
        if self.fresh and self.random.random() < 0.3:
            number = self.random.choice(self.fresh)
        else:
            # Four of five ask for a fifth of the prompts.
            share = 5 if self.random.random() < 0.8 else 1
            number = self.random.randrange(max(1, self.prompts.count // share))
        keys = self.prompts.keys(number)
        found = self._call("match", "KV.MATCH", self.namespace, "LEASE", 5000, "KEYS", len(keys), *keys)
        if found is None:
            return
        matched, lease = found[0], found[1]
        if self.must_hit and matched < len(keys):
            self._missed(f"{matched} of {len(keys)} blocks of prompt {number} matched, all are held")
        if matched:
            options = ["LEASE", lease] if lease is not None else []
            payloads = self._call("get", "KV.GET", self.namespace, *options, "KEYS", matched, *keys[:matched])
            if lease is not None:
                self._call("release", "KV.RELEASE", lease)
            if payloads is None:
                return
            for key, payload in zip(keys, payloads):
                self._count(key, payload)
        self.report["misses"] += len(keys) - matched
        if matched < len(keys) and not self.must_hit:
            self._store(keys[matched:])

    def _count(self, key, payload):
        if payload is None or isinstance(payload, ReplyError):
            self.report["misses"] += 1
            if isinstance(payload, ReplyError):
                self._error("get", payload)
            if self.must_hit:
                self._missed(f"a block that was matched under a lease missed: {payload}")
            return
        self.report["hits"] += 1
        fault = self.prompts.fault(key, payload)
        if fault:
            self._violation(f"WRONG BYTES: {fault}")

    def _store(self, keys):
        blocks = [part for key in keys for part in (key, self.prompts.payload(key))]
        waits = self.random.random() < 0.1
        options = ["ACK", "owner"] if waits else []
        outcomes = self._call(
            "put to owner" if waits else "put", "KV.PUT", self.namespace, *options, "BLOCKS", len(keys), *blocks
        )
        if outcomes is None:
            return False
        kept = 0
        for outcome in outcomes:
            text = str(outcome) if isinstance(outcome, ReplyError) else bytes(outcome).decode()
            if text in ("stored", "exists"):
                kept += 1
            else:
                self.report["refused"][text] = self.report["refused"].get(text, 0) + 1
        self.report["stored"] += kept
        return kept == len(keys)

    def _plain(self):
        """Plain keys, which only their owner keeps: the request is relayed to it."""
        key = b"plain-%d" % self.random.randrange(200)
        if self.random.random() < 0.3:
            self._call("plain set", "SET", key, self.prompts.payload(key))
            return
        payload = self._call("plain get", "GET", key)
        if payload is not None:
            fault = self.prompts.fault(key, payload)
            if fault:
                self._violation(f"WRONG BYTES of a plain key: {fault}")

    def _call(self, verb, *parts):
        """The reply; None for an error reply, which is counted."""
        started = time.monotonic()
        try:
            return self.connection.call(*parts)
        except ReplyError as error:
            self._error(verb, error)
            return None
        finally:
            self.report["times"].setdefault(verb, []).append((time.monotonic() - started, started))

    def _error(self, verb, error):
        self.report["errors"].append((time.monotonic(), verb, str(error)))

    def _missed(self, text):
        self.report["unexpected"].append((time.monotonic(), self.door.name, text))

    def _violation(self, text):
        self.pipe.send(("violation", f"{time.monotonic():.2f} client of {self.door.name}: {text}"))


class Load:
    """Workers at some nodes, until it is stopped."""

    def __init__(self, cluster, prompts, seed, verdict, doors=None, each=2, rate=20.0, reply_limit=30.0, must_hit=False):
        self.cluster, self.verdict = cluster, verdict
        context = multiprocessing.get_context("fork")
        self._workers = []
        for number, name in enumerate((doors or list(cluster.nodes)) * each):
            receiving, sending = context.Pipe(duplex=False)
            worker = Worker(
                number, cluster[name], cluster, prompts, seed, rate, reply_limit, must_hit, sending,
            )
            process = context.Process(target=worker.run, daemon=True)
            process.start()
            sending.close()
            self._workers.append((process, receiving))
        self.reports = []

    def poll(self):
        """Takes what the workers have to say."""
        for _, pipe in self._workers:
            self._take(pipe, 0)

    def stop(self, timeout=60.0, excused=None):
        """Ends the workers; returns the sum of their reports, without calls that are `excused(node, began, seconds)`."""
        for process, _ in self._workers:
            if process.is_alive():
                os.kill(process.pid, signal.SIGUSR1)
        end = time.monotonic() + timeout
        for process, pipe in self._workers:
            before = len(self.reports)
            while len(self.reports) == before and time.monotonic() < end:
                if not self._take(pipe, 1.0):
                    break
            if len(self.reports) == before:
                self.verdict.violation("a client hangs, or has ended with an error")
                process.kill()
            process.join()
        return LoadReport(self.reports, excused)

    def _take(self, pipe, wait):
        """Returns whether the worker is still there."""
        try:
            while pipe.poll(wait):
                kind, what = pipe.recv()
                if kind == "report":
                    self.reports.append(what)
                    return True
                self.verdict.violation(what)
        except EOFError:
            return False
        return True


class LoadReport:
    """What the workers of a load saw."""

    def __init__(self, reports, excused=None):
        self.times = {}
        for report in reports:
            for verb, times in report["times"].items():
                self.times.setdefault(verb, []).extend(
                    (seconds, began) for seconds, began in times
                    if excused is None or not excused(report["door"], began, seconds)
                )
        self.errors = sorted(error for report in reports for error in report["errors"])
        self.disconnects = sorted(
            (at, report["door"], text) for report in reports for at, text in report["disconnects"]
        )
        self.unexpected = sorted(miss for report in reports for miss in report["unexpected"])
        self.hits, self.misses, self.stored, self.requests = (
            sum(report[name] for report in reports) for name in ("hits", "misses", "stored", "requests")
        )
        self.refused = {}
        for report in reports:
            for reason, count in report["refused"].items():
                self.refused[reason] = self.refused.get(reason, 0) + count

    def longest(self, verb):
        """Seconds of the longest call, and when it began."""
        return max(self.times.get(verb, []), default=(0.0, 0.0))

    def rows(self, deadlines=None):
        """A table of the verbs' latencies, milliseconds."""
        rows = [("call", "count", "p50 ms", "p99 ms", "max ms", "bound ms")]
        for verb in sorted(self.times):
            seconds = [taken for taken, _ in self.times[verb]]
            bound = (deadlines or {}).get(verb)
            rows.append((
                verb, len(seconds), f"{1e3 * percentile(seconds, 0.5):.1f}", f"{1e3 * percentile(seconds, 0.99):.1f}",
                f"{1e3 * max(seconds):.1f}", "" if bound is None else f"{1e3 * bound:.0f}",
            ))
        return rows

    def error_kinds(self):
        """Error replies by verb and first word."""
        kinds = {}
        for _, verb, text in self.errors:
            kind = f"{verb}: {text.split()[0] if text else ''}"
            kinds[kind] = kinds.get(kind, 0) + 1
        return kinds

    def summary(self):
        read = self.hits + self.misses
        return (
            f"{self.requests} requests, {read} blocks asked for, {100 * self.hits / max(1, read):.1f} % hit and compared, "
            f"{self.stored} stored, error replies {self.error_kinds() or 0}, refused {self.refused or 0}"
        )


def preload(cluster, prompts, numbers=None, pinned=False):
    """Puts prompts by way of all nodes in turn, acknowledged by their owners; returns the count of blocks."""
    names = [node.name for node in cluster.running()]
    doors = {name: cluster.blocks(name) for name in names}
    count = 0
    for turn, number in enumerate(numbers if numbers is not None else range(prompts.count)):
        door = doors[names[turn % len(names)]]
        keys = prompts.keys(number)
        parts = ["KV.PUT", door.namespace] + (["PIN"] if pinned else []) + ["ACK", "owner", "BLOCKS", len(keys)]
        for key in keys:
            parts += [key, prompts.payload(key)]
        outcomes = door.connection.call(*parts)
        if any(isinstance(outcome, ReplyError) or bytes(outcome) not in (b"stored", b"exists") for outcome in outcomes):
            raise NodeFailed(f"a block was not taken: {outcomes}")
        count += len(keys)
    for door in doors.values():
        door.connection.close()
    return count


def evict_near_copies(cluster, content, label, bytes_each, size=64 * KIB):
    """Fills each node's RAM with blocks of its own, so that what nobody keeps leaves it; returns their namespace."""
    description = {"model": f"check/filler-{label}"}
    owners = cluster.owners()
    doors = {node.name: cluster.blocks(node.name, description=description) for node in cluster.running()}
    left = {name: bytes_each // size for name in doors}
    batches = {name: [] for name in doors}
    number = 0
    while any(count > 0 for count in left.values()):
        key = b"filler-%d" % number
        number += 1
        name = owners[slot_of(key)]
        if left.get(name, 0) <= 0:
            continue  # enough of it, or its owner does not run
        left[name] -= 1
        batches[name].append((key, content.make(key, size)))
        if len(batches[name]) == 16 or left[name] == 0:
            outcomes = doors[name].put(batches[name])
            if any(outcome not in ("stored", "exists") for outcome in outcomes):
                raise NodeFailed(f"a filler was not stored: {outcomes}")
            batches[name] = []
    namespace = next(iter(doors.values())).namespace
    for door in doors.values():
        door.connection.close()
    return namespace


def describe_source(cluster):
    say(f"nodes {', '.join(cluster.nodes)}; --cluster {'etcd://...' if cluster.etcd else 'static:...'}")
