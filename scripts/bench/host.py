"""Sections on the node's host: Unix sockets and shared memory; allocations of a hit."""

import mmap
import os
import shutil
import struct
import subprocess

from bench_program import BenchProgram
from figures import Spread, at_least
from node import Node, NodeFailed, temporary_directory
from servers import start_claimed
from workload import MIB

_here = os.path.dirname(os.path.abspath(__file__))


def unix(run):
    """GET and SET of 2 MiB over Unix sockets."""
    rows = run.bench.server(
        f"unix:{run.node_socket}", "--op", "get,set", "--size", "2MiB", versus=[f"unix:{run.redis_socket}"],
        rounds=run.few,
    )
    for larder, redis in zip(rows[::2], rows[1::2]):
        run.results.ratio(
            f"{larder['op'].upper()} 2 MiB, Unix socket", Spread.of(larder, "gb_per_second"),
            Spread.of(redis, "gb_per_second"), "Redis",
        )


def shared(run):
    """Blocks of 2 MiB in the node's memory: read in place, copied out, and borrowed without being read."""
    rows = run.bench.call(
        "shared", "--unix", run.node_socket, "--versus", f"unix:{run.redis_socket}", "--rounds", str(run.rounds),
        "--seconds", str(run.short / 2), "--batch", "1,8,64",
    )
    for batch in (1, 8, 64):
        ways = {row["way"]: row for row in rows if row["batch"] == batch}

        def speed(way):
            return Spread.of(ways[way], "gb_per_second")

        blocks = f"2 MiB, {batch} a call"
        run.results.ratio(
            f"borrow and read in place, {blocks}", speed("in-place"), speed("lent-copy"), "memcpy out of the same memory",
            at_least(0.8, "0.8 x memcpy"),
        )
        run.results.ratio(f"borrow and read in place, {blocks}", speed("in-place"), speed("lent-read"), "only read, lent before")
        run.results.ratio(
            f"borrow and read in place, {blocks}", speed("in-place"), speed("redis"), "Redis, Unix socket",
            at_least(2, "2 x Redis"),
        )
        run.results.ratio(f"borrow and copy out, {blocks}", speed("copied"), speed("memcpy"), "memcpy in one process")
        run.results.figure(
            f"borrow without reading, {blocks}", Spread.of(ways["borrowed"], "blocks_per_second"),
            at_least(500_000, "500,000 blocks/s") if batch == 64 else None, unit="blocks/s", digits=0,
        )


def processor(run):
    """Processor time that a server spends on a GET, a SET and a look-up: steadier than speed where others run too."""
    counts = {"get": 1_000, "set": 1_000, "match": 2_000}
    for operation, title in (("get", "GET 2 MiB"), ("set", "SET 2 MiB"), ("match", "1,000 keys looked up")):
        spent = {name: [] for name in ("node", "redis", "bare")}
        for _ in range(run.few):
            for name in spent:
                if name == "bare" and operation == "match":
                    continue
                spent[name].append(_processor_microseconds(run, getattr(run, name), operation, counts[operation]))
        what = f"processor time of the server: {title}"
        mine = Spread(spent["node"])
        run.results.ratio(what, mine, Spread(spent["redis"]), "Redis", unit="us", digits=0, inverse=True)
        if spent["bare"]:
            run.results.ratio(what, mine, Spread(spent["bare"]), "bare sockets", unit="us", digits=0, inverse=True)


def _processor_microseconds(run, server, operation, count):
    """Of one operation, without what storing and connecting cost: a long run less a short one."""
    arguments = ["--op", operation, "--name", f"cpu-{operation}", "--warmup", "0ms", "--keep", "--unverified"]
    address = f"127.0.0.1:{server.port}"
    run.bench.server(address, *arguments, "--count", "20", rounds=1)
    spent = []
    for length in (count // 10, count):
        before = _processor_seconds(server.pid)
        run.bench.server(address, *arguments, "--stored", "--count", str(length), rounds=1)
        spent.append(_processor_seconds(server.pid) - before)
    return 1e6 * (spent[1] - spent[0]) / (count - count // 10)


def _processor_seconds(pid):
    """User and system time of all threads, those that ended included."""
    with open(f"/proc/{pid}/stat") as file:
        user, system = file.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Counter:
    """A node under malloc_counter.c."""

    def __init__(self, run):
        work = temporary_directory()
        library = os.path.join(work, "malloc_counter.so")
        compiler = shutil.which("cc") or shutil.which("clang")
        if compiler is None:
            raise NodeFailed("no C compiler")
        subprocess.run(
            [compiler, "-O2", "-shared", "-fPIC", "-o", library, os.path.join(_here, "malloc_counter.c")], check=True
        )
        self._path = os.path.join(work, "counts")
        self.node = Node(run.larder, None, os.path.join(work, "node.log"), memory="512MiB", arguments=["--unix", os.path.join(work, "node.sock")])
        os.environ.update(LD_PRELOAD=library, MALLOC_COUNTS=self._path)
        try:
            start_claimed(self.node, 512 * MIB)
        finally:
            del os.environ["LD_PRELOAD"], os.environ["MALLOC_COUNTS"]
        # `larder bench shared` and the like are not counted: the library is the node's alone.
        self.bench = BenchProgram(run.larder, run.results, 1, 1.0)

    def counts(self):
        with open(self._path, "r+b") as file, mmap.mmap(file.fileno(), 24) as place:
            return struct.unpack("<3Q", place[:24])

    def per_operation(self, *arguments, few=200, many=2_200):
        """(calls, bytes) an operation: a long run less a short one, so that connecting does not count."""
        spent = []
        for count in (few, few, many):  # the first is the warm-up
            before = self.counts()
            self.bench.server(
                f"127.0.0.1:{self.node.port}", *arguments, "--count", str(count), "--warmup", "0ms", "--stored", "--keep",
                "--unverified",
            )
            spent.append([after - old for old, after in zip(before, self.counts())])
        return [(long - short) / (many - few) for short, long in zip(spent[1], spent[2])]


def allocations(run):
    """Calls of the C allocator on a hit in RAM, after a warm-up."""
    try:
        counter = Counter(run)
    except (NodeFailed, OSError, subprocess.CalledProcessError) as failure:
        return run.results.absent("allocations of a hit", str(failure))
    address = f"127.0.0.1:{counter.node.port}"
    for what, blocks, arguments in (
        ("GET 2 MiB", 1, ("--op", "get", "--size", "2MiB", "--keys", "32")),
        ("GET 64 KiB", 1, ("--op", "get", "--size", "64KiB", "--keys", "32")),
        ("block of a KV.GET of 32, 2 MiB", 32, ("--op", "kvget", "--size", "2MiB", "--keys", "64", "--batch", "32")),
        ("block of a KV.GET of 32, 64 KiB", 32, ("--op", "kvget", "--size", "64KiB", "--keys", "64", "--batch", "32")),
        ("key of a KV.MATCH of 1,000", 1_000, ("--op", "match", "--keys", "1000")),
    ):
        # A block cannot be put again with other bytes: each case has keys of its own.
        arguments += ("--name", f"{arguments[1]}-{arguments[3]}")
        counter.bench.server(address, *arguments, "--count", "1", "--warmup", "0ms", "--keep", "--unverified")
        few, many = (10, 60) if blocks > 1 else (200, 1_200)
        calls, byte_count, _ = counter.per_operation(*arguments, few=few, many=many)
        run.results.figure(
            f"allocations: {what}", Spread([calls / blocks]), unit="calls", digits=2,
            against=f"{byte_count / blocks:,.0f} bytes",
        )
    counter.node.stop()
