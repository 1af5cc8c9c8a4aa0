"""Real Redis clients against a node.

  redis-py        RESP2 and RESP3: every supported standard command, pipelines, SCAN, expiry, missing keys, values from
                  64 KiB to 32 MiB with equal bytes
  replies         the same raw requests to the node and to a redis-server, replies compared byte for byte, in RESP2 and
                  RESP3 (skipped, and said so, where no redis-server is installed)
  redis-cli       values from standard input, --scan, INFO, both protocols
  redis-benchmark SET, GET and MGET of 64 KiB to 32 MiB; operations a second, for orientation: bench.sh measures

--control runs redis-py, redis-cli and redis-benchmark against redis-server instead, to check the checks.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import warnings

from node import Node, NodeFailed, Redis, clean_up_at_end, require_linux, temporary_directory
from workload import KIB, MIB, Connection, Content, Verdict, in_units, new_seed, say, table

BIG_SIZES = [64 * KIB, 256 * KIB, 1 * MIB, 2 * MIB, 8 * MIB, 32 * MIB]


class RedisPy:
    """Everything that redis-py is asked to do, in one protocol version."""

    def __init__(self, port, protocol, content, verdict):
        import redis

        self.redis, self.port = redis, port
        self.client = redis.Redis(
            host="127.0.0.1", port=port, protocol=protocol, socket_timeout=30, client_name=f"check-{protocol}"
        )
        self.protocol, self.content, self.verdict = protocol, content, verdict
        self.count = 0

    def run(self):
        self.client.flushdb()
        for part in (
            self._connection, self._strings, self._several, self._expiry, self._set_options, self._ranges,
            self._scan, self._pipelines, self._databases, self._errors, self._server, self._big_values,
        ):
            try:
                part()
            except Exception as error:  # any surprise of the client is a finding, and the next part still runs
                self.verdict.violation(f"redis-py RESP{self.protocol}, {part.__name__[1:]}: {error!r}")
        self.client.flushdb()
        self._is("flushdb empties", self.client.dbsize(), 0)
        say(f"redis-py {self.redis.__version__}, RESP{self.protocol}: {self.count} replies checked")

    def _is(self, what, seen, wanted):
        self.count += 1
        shown = repr(seen)
        self.verdict.expect(
            seen == wanted and isinstance(seen, bool) == isinstance(wanted, bool),
            f"redis-py RESP{self.protocol}, {what}: {shown[:200]} instead of {repr(wanted)[:200]}",
        )

    def _connection(self):
        client = self.client
        self._is("ping", client.ping(), True)
        self._is("echo", client.echo(b"some bytes \x00\xff"), b"some bytes \x00\xff")
        self._is("client name", client.client_getname() in ("check-2", "check-3", b"check-2", b"check-3"), True)
        self._is("client id", client.client_id() > 0, True)
        self._is("client setname", client.client_setname("other"), True)

    def _strings(self):
        client = self.client
        self._is("set", client.set("a", b"\x00\x01\xff\r\n$5\r\n"), True)
        self._is("get", client.get("a"), b"\x00\x01\xff\r\n$5\r\n")
        self._is("get missing", client.get("missing"), None)
        self._is("strlen", client.strlen("a"), 9)
        self._is("strlen missing", client.strlen("missing"), 0)
        self._is("exists", client.exists("a"), 1)
        self._is("type", client.type("a"), b"string")
        self._is("type missing", client.type("missing"), b"none")
        self._is("set replaces", (client.set("a", b"2"), client.get("a")), (True, b"2"))
        self._is("getset form", client.set("a", b"3", get=True), b"2")
        self._is("get form missing", client.set("fresh", b"1", get=True), None)
        self._is("touch", client.touch("a", "fresh", "missing"), 2)
        self._is("memory usage", client.memory_usage("a") > 0, True)
        self._is("memory usage missing", client.memory_usage("missing"), None)
        self._is("delete", client.delete("a", "missing"), 1)
        self._is("unlink", client.unlink("fresh", "missing"), 1)
        self._is("get deleted", client.get("a"), None)

    def _several(self):
        client = self.client
        values = {f"m{i}": self.content.make(b"m%d" % i, 1000 * i + 1) for i in range(20)}
        self._is("mset", client.mset(values), True)
        names = list(values)
        self._is("mget", client.mget(names), list(values.values()))
        self._is("mget with holes", client.mget("m1", "missing", "m2"), [values["m1"], None, values["m2"]])
        self._is("exists counts twice", client.exists("m1", "m1", "missing", "m2"), 3)
        self._is("delete several", client.delete(*names), 20)

    def _expiry(self):
        client = self.client
        client.set("t", b"1")
        self._is("ttl without", client.ttl("t"), -1)
        self._is("ttl missing", client.ttl("missing"), -2)
        self._is("pttl missing", client.pttl("missing"), -2)
        self._is("expire", client.expire("t", 100), True)
        self._is("ttl", client.ttl("t") in (99, 100), True)
        self._is("pttl", 98_000 < client.pttl("t") <= 100_000, True)
        self._is("persist", client.persist("t"), True)
        self._is("persist again", client.persist("t"), False)
        self._is("expire missing", client.expire("missing", 100), False)
        self._is("setex", client.setex("t", 50, b"2"), True)
        self._is("ttl of setex", client.ttl("t") in (49, 50), True)
        self._is("pexpire", client.pexpire("t", 60_000), True)
        self._is("expireat", client.expireat("t", int(time.time()) + 30), True)
        self._is("ttl of expireat", 28 <= client.ttl("t") <= 30, True)
        self._is("set keeps no ttl", (client.set("t", b"3"), client.ttl("t")), (True, -1))
        client.set("t", b"4", px=40)
        client.set("u", b"5", ex=1)
        self._is("before it ends", client.get("t"), b"4")
        time.sleep(0.06)
        self._is("after it ended", client.get("t"), None)
        self._is("expired exists", client.exists("t"), 0)
        time.sleep(1.0)
        self._is("after a second", client.get("u"), None)
        self._is("expire in the past deletes", (client.set("t", b"6"), client.expire("t", -1)), (True, True))
        self._is("and it is gone", client.get("t"), None)

    def _set_options(self):
        client = self.client
        client.delete("o")
        self._is("xx on nothing", client.set("o", b"1", xx=True), None)
        self._is("nx on nothing", client.set("o", b"1", nx=True), True)
        self._is("nx on something", client.set("o", b"2", nx=True), None)
        self._is("xx on something", client.set("o", b"2", xx=True, ex=100), True)
        self._is("keepttl", (client.set("o", b"3", keepttl=True), client.ttl("o") > 90), (True, True))
        self._is("setnx", client.setnx("o", b"4"), False)
        self._is("value", client.get("o"), b"3")
        client.delete("o")

    def _ranges(self):
        client = self.client
        client.set("r", b"0123456789")
        for start, end in ((0, 3), (-3, -1), (0, -1), (5, 100), (100, 200), (-100, 2), (3, 1)):
            wanted = self._range(b"0123456789", start, end)
            self._is(f"getrange {start} {end}", client.getrange("r", start, end), wanted)
        self._is("getrange missing", client.getrange("missing", 0, -1), b"")
        client.delete("r")

    @staticmethod
    def _range(value, start, end):
        start = max(0, start + len(value) if start < 0 else start)
        end = end + len(value) if end < 0 else end
        return value[start : end + 1] if start <= end else b""

    def _scan(self):
        client = self.client
        wanted = {b"scan:%d" % number for number in range(1000)}
        with client.pipeline(transaction=False) as pipeline:
            for key in wanted:
                pipeline.set(key, b"x" + key)
            pipeline.execute()
        client.set("else", b"1")
        self._is("dbsize", client.dbsize(), 1001)
        self._is("scan all", set(client.scan_iter(count=17)), wanted | {b"else"})
        self._is("scan match", set(client.scan_iter(match="scan:*", count=100)), wanted)
        self._is("scan no match", list(client.scan_iter(match="nothing*")), [])
        self._is("scan one", set(client.scan_iter(match="scan:99?")), {b"scan:%d" % n for n in range(990, 1000)})
        self._is("scan type", set(client.scan_iter(_type="string")) == wanted | {b"else"}, True)
        client.flushdb()

    def _pipelines(self):
        client = self.client
        with client.pipeline(transaction=False) as pipeline:
            for number in range(500):
                pipeline.set(f"p{number}", self.content.make(b"p%d" % number, 200 + number))
                pipeline.get(f"p{number}")
                pipeline.get(f"missing{number}")
            replies = pipeline.execute()
        wanted = []
        for number in range(500):
            wanted += [True, self.content.make(b"p%d" % number, 200 + number), None]
        self._is("pipeline of 1500", replies == wanted, True)
        with client.pipeline(transaction=False) as pipeline:
            pipeline.set("p0", b"1").execute_command("NOSUCHVERB").get("p0")
            replies = pipeline.execute(raise_on_error=False)
        self._is("an error within", (replies[0], isinstance(replies[1], self.redis.ResponseError), replies[2]),
                 (True, True, b"1"))
        client.flushdb()

    def _databases(self):
        client = self.client
        client.set("d", b"zero")
        other = self.redis.Redis(host="127.0.0.1", port=self.port, protocol=self.protocol, db=3, socket_timeout=30)
        self._is("another database is apart", other.get("d"), None)
        other.set("d", b"three")
        self._is("both", (client.get("d"), other.get("d")), (b"zero", b"three"))
        other.flushdb()
        self._is("flushdb is one database's", (client.get("d"), other.get("d")), (b"zero", None))
        other.close()
        client.delete("d")

    def _errors(self):
        for command in (["NOSUCHVERB", "a"], ["GET"], ["SET", "a"], ["SET", "a", "b", "EX", "0"], ["SELECT", "99"],
                        ["SET", "a", "b", "NX", "XX"], ["EXPIRE", "a", "soon"], ["SCAN", "x"]):
            try:
                reply = self.client.execute_command(*command)
            except self.redis.ResponseError:
                reply = "error"
            self._is(f"error for {' '.join(command)}", reply, "error")
        self._is("usable after errors", self.client.ping(), True)

    def _server(self):
        information = self.client.info()
        for name in ("redis_version", "uptime_in_seconds", "connected_clients", "used_memory"):
            self._is(f"INFO names {name}", name in information, True)
        self._is("INFO replication", self.client.info("replication").get("role"), "master")
        self._is("CONFIG GET", "maxmemory" in self.client.config_get("maxmemory"), True)
        self._is("COMMAND COUNT", self.client.command_count() > 40, True)

    def _big_values(self):
        for size in BIG_SIZES:
            key = f"big{size}"
            payload = self.content.make(key.encode(), size)
            self._is(f"set {in_units(size)}", self.client.set(key, payload), True)
            self._is(f"get {in_units(size)}", self.client.get(key) == payload, True)
            self._is(f"mget {in_units(size)}", self.client.mget(key, "missing", key) == [payload, None, payload], True)
            self._is(f"strlen {in_units(size)}", self.client.strlen(key), size)
            self._is(f"getrange {in_units(size)}", self.client.getrange(key, size - 5, -1) == payload[-5:], True)
        with self.client.pipeline(transaction=False) as pipeline:
            for size in BIG_SIZES:
                pipeline.get(f"big{size}")
            replies = pipeline.execute()
        wanted = [self.content.make(f"big{size}".encode(), size) for size in BIG_SIZES]
        self._is("pipeline of big values", replies == wanted, True)


# What a Redis user could send. Each line is one command; \xNN as in Python. Order matters: state is shared.
SCRIPT = r"""
PING
PING hello
ping hello
ECHO hello
ECHO
GET missing
SET k v
GET k
set k v2
SET k v3 GET
SET k2 v NX
SET k2 v NX
SET k2 v XX GET
SET k3 v XX
SET k3 v XX GET
SET k3 v NX GET
SET k v NX XX
SET k v EX
SET k v EX 0
SET k v EX -1
SET k v EX abc
SET k v PX 0
SET k v EX 10 PX 10
SET k v EX 10 KEEPTTL
SET k v NOSUCH
SET k v EX 9223372036854775807
SET k v EXAT 0
SET k v EX 100
TTL k
SET k v KEEPTTL
TTL k
SET k v
TTL k
PTTL k
TTL missing
PTTL missing
EXPIRETIME k
PEXPIRETIME missing
SETEX s 100 v
TTL s
SETEX s 0 v
SETEX s -5 v
SETEX s abc v
PSETEX s 100000 v
TTL s
PSETEX s 0 v
SETNX s w
SETNX n w
GET n
EXPIRE k 100
EXPIRE k 100 NX
EXPIRE k 50 GT
EXPIRE k 50 LT
EXPIRE k 100 XX
EXPIRE k 100 NX XX
EXPIRE k 100 GT LT
EXPIRE k 100 FOO
EXPIRE missing 100
EXPIRE k abc
EXPIRE k 9223372036854775807
TTL k
PERSIST k
PERSIST k
PERSIST missing
PEXPIRE k 100000
EXPIREAT k 32503680000
EXPIRETIME k
PEXPIREAT k 32503680000000
PEXPIRETIME k
EXPIREAT k 1
GET k
MSET a 1 b 2 c 3
MSET a 1 b
MSET
MGET a b c missing
MGET
EXISTS a b missing a
EXISTS
STRLEN a
STRLEN missing
STRLEN
SET long 0123456789
GETRANGE long 0 3
GETRANGE long -3 -1
GETRANGE long 0 -1
GETRANGE long 5 100
GETRANGE long 100 200
GETRANGE long -100 2
GETRANGE long 3 1
GETRANGE long -1 -3
GETRANGE long a b
GETRANGE long 9223372036854775807 9223372036854775807
GETRANGE long -9223372036854775808 -1
GETRANGE missing 0 -1
TYPE a
TYPE missing
TOUCH a b missing
TOUCH
DEL a missing
DEL
UNLINK b b missing
UNLINK
DBSIZE
DBSIZE x
SELECT 1
DBSIZE
GET long
SELECT 0
SELECT 16
SELECT -1
SELECT abc
SELECT
SCAN abc
SCAN 0 COUNT 0
SCAN 0 COUNT abc
SCAN 0 MATCH
SCAN 0 FOO bar
SCAN 0 TYPE string COUNT 1000 MATCH nothing*
SCAN
CLIENT GETNAME
CLIENT SETNAME me
CLIENT GETNAME
CLIENT SETNAME two\x20words
CLIENT SETNAME
CLIENT NOSUCH
CLIENT
CLIENT SETINFO LIB-NAME x
CLIENT REPLY OFFSIDE
CLIENT NO-EVICT maybe
CONFIG GET nosuchparameter
CONFIG GET
CONFIG NOSUCH
CONFIG
COMMAND NOSUCH
COMMAND INFO nosuchverb
COMMAND DOCS nosuchverb
MEMORY USAGE missing
MEMORY USAGE
MEMORY NOSUCH
NOSUCH
NOSUCH with some arguments
GET
GET a b
SET
SET a
TTL
EXPIRE
EXPIRE a
HELLO 4
HELLO abc
HELLO 2 AUTH
HELLO 3 SETNAME
AUTH password
AUTH user password
AUTH
AUTH a b c
PING a b
FLUSHDB SYNC
FLUSHDB ASYNC
FLUSHDB FOO
DBSIZE
SET bin \x00\xff\r\n
GET bin
SET \x00key 1
GET \x00key
EXISTS \x00key
RESET
PING
QUIT
"""

# Where the node answers otherwise on purpose: the command's beginning, and why.
DEVIATIONS = {
    "SCAN 0 TYPE": "the cursor goes through two tiers: an empty page is not the end",
    "CLIENT SETINFO": "Redis 7.0 does not know it yet, later ones do",
    "CLIENT NOSUCH": "the list of subcommands to try is in HELP, which differs",
    "CLIENT NO-EVICT": "not offered",
    "CLIENT REPLY": "not offered",
    "CONFIG NOSUCH": "HELP differs",
    "COMMAND NOSUCH": "HELP differs",
    "MEMORY NOSUCH": "HELP differs",
}


class Replies:
    """The same requests to the node and to redis-server."""

    def __init__(self, node_port, redis_port, verdict):
        self.node_port, self.redis_port, self.verdict = node_port, redis_port, verdict

    def run(self):
        for protocol in (2, 3):
            same = different = 0
            sides = [Connection(self.node_port), Connection(self.redis_port)]
            for side in sides:
                side.send(["FLUSHALL"])
                side.receive_available(0.3)
                if protocol == 3:
                    side.send(["HELLO", "3"])
                    side.receive_available(0.3)
            for line in SCRIPT.strip().splitlines():
                words = [self._unescape(word) for word in line.split(" ")]
                replies = []
                for side in sides:
                    side.send(words)
                    replies.append(read_reply(side))
                if replies[0] == replies[1]:
                    same += 1
                    continue
                different += 1
                known = next((why for begin, why in DEVIATIONS.items() if line.startswith(begin)), None)
                if known is None:
                    self.verdict.violation(
                        f"RESP{protocol} reply to {line!r}: {replies[0][:200]!r}, Redis: {replies[1][:200]!r}"
                    )
            for side in sides:
                side.close()
            say(f"replies in RESP{protocol}: {same} byte for byte as Redis, {different} different")
        self._shapes()

    @staticmethod
    def _unescape(word):
        return word.encode().decode("unicode_escape").encode("latin-1")

    def _shapes(self):
        """Inline commands, empty requests and broken frames."""
        for data in (b"PING\r\n", b"\r\n\r\nPING\r\n", b"*0\r\n*1\r\n$4\r\nPING\r\n", b"*-1\r\nPING\r\n",
                     b"GET nothing\r\nPING\r\n", b"SET 'a b' \"c\\x41\"\r\nGET 'a b'\r\n", b"SET 'a\r\n",
                     b"*1\r\n+PING\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$abc\r\n", b"*abc\r\n",
                     b"*99999999999\r\n", b"*1\r\n$99999999999\r\n", b"PING\nPING\n"):
            replies = []
            for port in (self.node_port, self.redis_port):
                with Connection(port) as connection:
                    connection.send_raw(data)
                    replies.append(connection.receive_available(0.3))
            self.verdict.expect(replies[0] == replies[1], f"to {data!r}: {replies[0]!r}, Redis: {replies[1]!r}")


def read_reply(connection):
    """The raw bytes of one reply, RESP2 or RESP3; b'(closed)' when there is none."""
    try:
        line = bytes(connection._line())
    except OSError:
        return b"(closed)"
    taken = line + b"\r\n"
    kind = line[:1]
    if kind in b"$=!" and line[1:2] != b"-":
        taken += bytes(connection._bulk(int(line[1:]))) + b"\r\n"
    elif kind in b"*~>%|" and line[1:2] != b"-":
        for _ in range(int(line[1:]) * (2 if kind in b"%|" else 1)):
            taken += read_reply(connection)
    return taken


class CommandLine:
    """redis-cli as people use it."""

    def __init__(self, port, content, verdict):
        self.port, self.content, self.verdict = port, content, verdict

    def run(self):
        for flags in ([], ["-3"]):
            self._is(flags, ["PING"], b"PONG\n")
            self._is(flags, ["SET", "cli", "value"], b"OK\n")
            self._is(flags, ["GET", "cli"], b"value\n")
            self._is(flags, ["GET", "nothing"], b"\n")
            self._is(flags, ["EXISTS", "cli", "nothing"], b"1\n")
            for size in BIG_SIZES:
                payload = self.content.make(b"cli%d" % size, size)
                self._is(flags, ["-x", "SET", f"cli{size}"], b"OK\n", payload)
                self._is(flags, ["GET", f"cli{size}"], payload + b"\n")
            seen = set(self._output(flags + ["--scan", "--pattern", "cli*"]).split())
            wanted = {b"cli"} | {b"cli%d" % size for size in BIG_SIZES}
            self.verdict.expect(seen == wanted, f"redis-cli {flags} --scan: {seen} instead of {wanted}")
            self._is(flags, ["DEL", *sorted(key.decode() for key in wanted)], b"%d\n" % len(wanted))
            information = self._output(flags + ["INFO"])
            self.verdict.expect(b"redis_version:" in information, f"redis-cli {flags} INFO: {information[:200]!r}")
        say("redis-cli: RESP2 and RESP3, values from standard input up to 32 MiB")

    def _is(self, flags, arguments, wanted, standard_input=None):
        seen = self._output(flags + arguments, standard_input)
        self.verdict.expect(
            seen == wanted, f"redis-cli {' '.join(flags + arguments)}: {seen[:100]!r} ({len(seen)} bytes) instead of "
            f"{wanted[:100]!r} ({len(wanted)} bytes)"
        )

    def _output(self, arguments, standard_input=None):
        done = subprocess.run(
            ["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), *arguments],
            input=standard_input, stdin=subprocess.DEVNULL if standard_input is None else None,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )
        return done.stdout


class Benchmark:
    """redis-benchmark with large values."""

    def __init__(self, port, verdict, budget, redis_port=None):
        self.verdict, self.budget = verdict, budget
        self.ports = [port] + ([redis_port] if redis_port else [])

    def run(self):
        say("redis-benchmark, 4 clients, operations a second (larder / redis-server):")
        rows = [("size", "SET", "GET", "MGET of 4")]
        for size in BIG_SIZES:
            count = max(8, min(2000, self.budget // size))
            cells = []
            for test in ("SET", "GET", "MGET"):
                figures = [self._measure(port, test, size, count) for port in self.ports]
                cells.append(" / ".join("failed" if figure is None else f"{figure:.1f}" for figure in figures))
                self.verdict.expect(figures[0] is not None, f"redis-benchmark {test} of {in_units(size)} failed")
            rows.append((in_units(size), *cells))
        table(rows)

    def _measure(self, port, test, size, count):
        keys = [f"bench:{number}" for number in range(4)]
        common = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", "4", "--csv"]
        if test == "MGET":
            for key in keys:
                subprocess.run(
                    ["redis-cli", "-h", "127.0.0.1", "-p", str(port), "-x", "SET", key],
                    input=os.urandom(size), stdout=subprocess.DEVNULL, timeout=120, check=False,
                )
            command = common + ["-n", str(max(4, count // 4)), "MGET", *keys]
        else:
            command = common + ["-n", str(count), "-d", str(size), "-r", "8", "-t", test.lower()]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            self.verdict.violation(f"redis-benchmark {test} of {in_units(size)} did not end")
            return None
        for line in reversed(done.stdout.splitlines()):
            fields = [field.strip('"') for field in line.split('","')]
            if len(fields) > 1 and fields[0].startswith(test):
                if done.returncode == 0 and "Error" not in done.stdout:
                    return float(fields[1])
        say(f"    {' '.join(command)}: exit status {done.returncode}: {done.stdout[-300:]}")
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (redis-clients.sh builds it)")
    parser.add_argument("--only", choices=["redis-py", "replies", "redis-cli", "redis-benchmark"], default=None)
    parser.add_argument("--memory", default="1GiB")
    parser.add_argument("--disk", default="4GiB")
    parser.add_argument("--bench-bytes", type=int, default=512 * MIB, help="bytes moved by each benchmark at most")
    parser.add_argument("--control", action="store_true", help="check redis-server instead of larder")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true", help="keep the data directory and the node's log")
    settings = parser.parse_args()
    require_linux()
    seed = new_seed() if settings.seed is None else settings.seed
    clean_up_at_end(settings.keep)
    warnings.simplefilter("ignore", DeprecationWarning)  # redis-py on SETEX and SETNX, which users still send
    say(f"seed {seed}")
    verdict, content = Verdict("redis-clients"), Content(seed)
    work = temporary_directory()
    redis = Redis(os.path.join(work, "redis.log")) if shutil.which("redis-server") else None
    if redis is not None:
        redis.start()
    if settings.control:
        if redis is None:
            raise SystemExit("error: --control needs redis-server: scripts/install.sh --with-redis-server")
        node = redis
    else:
        node = Node(settings.larder, os.path.join(work, "data"), os.path.join(work, "node.log"),
                    memory=settings.memory, disk=settings.disk)
        node.start()

    def wanted(part):
        return settings.only in (None, part)

    if wanted("redis-py"):
        for protocol in (2, 3):
            RedisPy(node.port, protocol, content, verdict).run()
    if wanted("replies"):
        if redis is None or settings.control:
            say("replies: skipped, there is no redis-server to compare with (scripts/install.sh --with-redis-server)")
        else:
            Replies(node.port, redis.port, verdict).run()
    if wanted("redis-cli"):
        CommandLine(node.port, content, verdict).run()
    if wanted("redis-benchmark"):
        Benchmark(node.port, verdict, settings.bench_bytes, redis.port if redis and not settings.control else None).run()
    verdict.expect(node.is_running, f"the server died: {node.ending()}")
    if not settings.control:
        status, _ = node.stop()
        verdict.expect(status == 0, f"exit status {status} after SIGTERM; {node.ending()}")
    return verdict.finish(f"seed {seed}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NodeFailed as failure:
        say(f"FAIL: redis-clients: {failure}")
        sys.exit(1)
