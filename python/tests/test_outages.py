"""A sick node is a miss: stalled, dripping, silent, lying, away, killed. Nothing here measures time: a call that did
not keep its deadline would never return."""

import hashlib
import io
import logging
import random
import socket
import tempfile
import threading
import unittest
from unittest import mock

from fake import FakeServer
from support import DESCRIPTION, Node, NodeCase, eventually, payload

import larder
from larder import BreakerPolicy, connecting, connection
from larder.breaker import PASS, REFUSE, REFUSE_AND_PROBE, CircuitBreaker

MIB = 1 << 20


class FakeCase(unittest.TestCase):
    def serve(self, answer, **options):
        """A client of a server that answers so."""
        server = FakeServer(answer)
        self.addCleanup(server.__exit__)
        options.setdefault("deadline", 0.2)
        options.setdefault("breaker", None)
        client = larder.Client(server.endpoint, **options)
        self.addCleanup(client.close)
        return server, client, client.describe(DESCRIPTION)

    def assert_misses(self, client, ns):
        """Every engine's call is a miss and raises nothing."""
        self.assertEqual(client.match(ns, [b"k"], lease_ms=1000).count, 0)
        self.assertEqual(client.get_into(ns, [b"k", b"l"], [bytearray(64), bytearray(64)]), [False, False])
        self.assertEqual(client.get_many(ns, [b"k"]), [None])
        result = client.put(ns, b"k", b"payload")
        self.assertEqual(result.status, "refused")
        self.assertTrue(result.reason)
        with client.borrow(ns, [b"k"]) as blocks:
            self.assertEqual(list(blocks), [None])
        self.assertEqual((client.delete(ns, [b"k"]), client.pin(ns, [b"k"]), client.ping()), (0, 0, False))
        self.assertRaises(larder.LarderError, client.stats)


class Deadlines(FakeCase):
    def test_a_node_that_never_answers(self):
        server, client, ns = self.serve(lambda link, words: server.over.wait() and None, deadline=0.1)
        self.assert_misses(client, ns)
        self.assertEqual(client.counters["timed_out"], 9)

    def test_a_node_that_stops_in_the_middle_of_a_payload(self):
        def answer(link, words):
            link.sendall(b"*2\r\n$64\r\n" + b"a" * 64 + b"\r\n$1048576\r\n" + b"b" * 1000)
            server.over.wait()

        server, client, ns = self.serve(answer)
        buffers = [bytearray(64), bytearray(MIB)]
        # What came whole before stays.
        self.assertEqual(client.get_into(ns, [b"k", b"l"], buffers), [True, False])
        self.assertEqual(buffers[0], b"a" * 64)
        self.assertEqual(client.counters["timed_out"], 1)

    def test_a_node_that_drips(self):
        for size, name in ((MIB, "into"), (MIB, "new"), (64, "line")):
            with self.subTest(name):

                def answer(link, words, size=size, name=name):
                    link.sendall(b"*1\r\n" + (b"$%d\r\n" % size if name != "line" else b"$"))
                    # Until the client hangs up, which raises.
                    while not server.over.wait(0.005):
                        link.sendall(b"0")

                server, client, ns = self.serve(answer)
                if name == "into":
                    self.assertEqual(client.get_into(ns, [b"k"], [bytearray(size)]), [False])
                else:
                    self.assertIsNone(client.get(ns, b"k"))
                self.assertTrue(client.counters["timed_out"] or client.counters["protocol_violation"])
                server.hung_up.wait()

    def test_a_node_that_does_not_read_or_drips_what_it_reads(self):
        # It is greeted, and then the system's buffers fill.
        for family in (socket.AF_INET, socket.AF_UNIX):
            for drips in (False, True):
                with (
                    self.subTest(family=family, drips=drips),
                    tempfile.TemporaryDirectory() as directory,
                    socket.socket(family) as listener,
                ):
                    is_unix = family == socket.AF_UNIX
                    listener.bind(directory + "/socket" if is_unix else ("127.0.0.1", 0))
                    listener.listen()
                    name = listener.getsockname()
                    over = threading.Event()
                    reader = threading.Thread(target=read_slowly, args=(listener, over, drips), daemon=True)
                    reader.start()
                    endpoint = f"unix://{name}" if is_unix else "127.0.0.1:%d" % name[1]
                    client = larder.Client(endpoint, deadline=0.3, shared_memory=False)
                    self.addCleanup(client.close)
                    result = client.put(client.describe(DESCRIPTION), b"k", bytes(64 * MIB))
                    self.assertEqual((result.status, result.reason), ("refused", "timed_out"))
                    over.set()
                    reader.join()

    def test_a_connection_that_nobody_accepts(self):
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        client = larder.Client("127.0.0.1:%d" % listener.getsockname()[1], deadline=0.2)
        self.addCleanup(client.close)
        self.assertFalse(client.ping())

    def test_a_name_that_nobody_resolves(self):
        over = threading.Event()
        self.addCleanup(over.set)
        look_up = connecting._look_up

        def stuck(host, port, flags):
            if flags:
                return look_up(host, port, flags)
            over.wait()
            return []

        with mock.patch.object(connecting, "_look_up", stuck):
            client = larder.Client("node.invalid:7379", deadline=0.1, breaker=None)
            self.addCleanup(client.close)
            self.assertFalse(client.ping())
            self.assertFalse(client.ping())
        self.assertEqual(client.counters["timed_out"], 2)
        # However many calls wait for it, there is one look-up.
        self.assertEqual(sum(thread.name == "larder-resolver" for thread in threading.enumerate()), 1)

    def test_a_call_that_finds_all_connections_busy(self):
        arrived = threading.Event()

        def answer(link, words):
            arrived.set()
            server.over.wait()

        server, client, ns = self.serve(answer, deadline=30, connections=1)
        busy = threading.Thread(target=lambda: client.get(ns, b"k"), daemon=True)
        busy.start()
        arrived.wait()
        self.assertEqual(client.match(ns, [b"k"], deadline=0.1).count, 0)
        self.assertEqual(client.counters["overloaded"], 1)
        server.__exit__()
        busy.join()

    def test_a_look_up_does_not_wait_behind_payloads(self):
        arrived = threading.Event()

        def answer(link, words):
            if words[0] == b"PING":
                return b"+PONG\r\n"
            arrived.set()
            server.over.wait()

        server, client, ns = self.serve(answer, deadline=30, connections=2)
        busy = threading.Thread(target=lambda: client.get(ns, b"k"), daemon=True)
        busy.start()
        arrived.wait()
        self.assertTrue(client.ping())
        server.__exit__()
        busy.join()


class Lies(FakeCase):
    def test_whatever_comes_is_a_miss(self):
        for reply in (
            b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100, b"\r\n\r\n", b"*1\r\n*1\r\n*1\r\n", b"$5\r\nabc\r\n\r\n",
            b"*-2\r\n", b"*2\r\n*0\r\n:1\r\n", b"*99999999999999999999999\r\n",
            b"*1\r\n$-2\r\n", b"*1\r\n$99999999999\r\n",
            b"*1\r\n$536870913\r\n", b"*1\r\n$0x10\r\n", b"*1\r\n$1_0\r\n", b"*1\r\n$ 8\r\n", b"*2000000000\r\n",
            b"%2000000000\r\n", b"*1\r\n" * 100, b":" + b"1" * 70_000, b"+" + b"x" * 70_000, b":\r\n", b"#x\r\n",
            b",nonsense\r\n", b"_x\r\n", b"*3\r\n:7\r\n:1\r\n*0\r\n", b"*3\r\n:-1\r\n_\r\n*0\r\n",
            b"*3\r\n:1\r\n+x\r\n*1\r\n+memory\r\n", b"!5\r\nERR x\r\n", b"$2000000\r\n", b"%1\r\n*0\r\n:1\r\n",
            b"*1\r\n$8\r\nabcdefghXX",
        ):  # fmt: skip
            with self.subTest(reply=reply[:40]):
                # It hangs up after its lie, so that no test waits for a deadline.
                def answer(link, words, reply=reply):
                    link.sendall(reply)

                server, client, ns = self.serve(answer, deadline=30)
                self.assert_misses(client, ns)
                client.close()
                server.__exit__()

    def test_random_replies_to_anything_are_misses(self):
        pieces = [
            b"*", b"$", b":", b"%", b"~", b">", b"_", b"#", b",", b"=", b"!", b"+", b"-", b"-1", b"0", b"1", b"2", b"3",
            b"64", b"7", b"1.5", b"t", b"OK",
            b"stored", b"held", b"exists", b"memory", b"\r\n", b"\r\n", b"\r\n", b"\r\n",
            b"*2\r\n", b"*3\r\n", b"$1\r\nx\r\n", b":1\r\n", b":-5\r\n", b"_\r\n", b"+memory\r\n", b"$-1\r\n", b"\0",
        ]  # fmt: skip
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)

        def answer(link, words):
            if words[0] in (b"HELLO", b"KV.DESCRIBE") and chance.random() < 0.9:
                return b"$64\r\n%b\r\n" % hashlib.sha256(words[-1]).hexdigest().encode()
            link.sendall(b"".join(chance.choices(pieces, k=chance.randrange(1, 12))))

        server = FakeServer(answer, greets=False)
        self.addCleanup(server.__exit__)
        with self.subTest(seed=seed):
            for _ in range(60):
                with larder.Client(server.endpoint, deadline=30, breaker=None) as client:
                    ns = client.describe(DESCRIPTION)
                    client.match(ns, [b"k", b"l"], lease_ms=1000)
                    client.get_into(ns, [b"k", b"l"], [bytearray(1), bytearray(64)])
                    client.get_many(ns, [b"k", b"l"])
                    client.put_from(ns, [b"k", b"l"], [b"p", b"q"])
                    client.borrow(ns, [b"k"]).release()
                    client.delete(ns, [b"k"])
                    client.pin(ns, [b"k"])
                    client.ping()
                    for tool in (client.stats, client.hello, lambda: client.explain(ns, [b"k"])):
                        try:
                            tool()
                        except larder.LarderError:
                            pass

    def test_an_announced_length_takes_no_memory(self):
        # 32 payloads of 512 MiB are announced on each of many connections; none comes.
        def answer(link, words):
            link.sendall(b"*32\r\n$536870912\r\nshort")

        server, client, ns = self.serve(answer, deadline=30)
        before = resident_bytes()
        for _ in range(20):
            self.assertEqual(client.get_many(ns, [b"k"] * 32), [None] * 32)
        self.assertLess(resident_bytes() - before, 64 * MIB)

    def test_a_node_that_names_a_namespace_otherwise_is_not_believed(self):
        server, client, ns = self.serve(lambda link, words: b"*1\r\n$1\r\nx\r\n")
        self.assertEqual(client.get(ns, b"k"), b"x")
        with mock.patch("fake.hashlib.sha256", return_value=mock.Mock(hexdigest=lambda: "0" * 64)):
            other = larder.Client(server.endpoint)
            self.addCleanup(other.close)
            self.assertIsNone(other.get(ns, b"k"))
        self.assertEqual(other.counters["protocol_violation"], 1)

    def test_an_error_is_a_miss_and_the_connection_goes_on(self):
        server, client, ns = self.serve(lambda link, words: b"-ERR no\r\n", deadline=30)
        self.assert_misses(client, ns)
        self.assertEqual(client.counters["answered_with_error"], 9)
        self.assertEqual(server.connection_count, 1)


def read_slowly(listener, over, drips):
    """Greets one client, and then reads nothing, or 64 KiB every few milliseconds."""
    link, _ = listener.accept()
    with link:
        link.recv(1024)
        link.sendall(b"+OK\r\n")
        while not over.wait(0.005):
            if drips:
                link.recv(64 << 10)


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


class Breaker(unittest.TestCase):
    def setUp(self):
        self.now = 0.0
        self.breaker = CircuitBreaker(BreakerPolicy(3, 1.0, 4.0), clock=lambda: self.now)

    def test_it_opens_after_failures_in_a_row(self):
        for _ in range(2):
            self.assertFalse(self.breaker.failed(silent=False))
        self.breaker.succeeded()
        for expected in (False, False, True):
            self.assertEqual(self.breaker.admit(), PASS)
            self.assertEqual(self.breaker.failed(silent=False), expected)
        self.assertEqual(self.breaker.admit(), REFUSE)

    def test_one_silent_timeout_opens_it(self):
        self.assertTrue(self.breaker.failed(silent=True))
        self.assertFalse(self.breaker.is_closed)

    def test_one_probe_at_a_time_closes_it_or_opens_it_for_longer(self):
        self.breaker.failed(silent=True)
        for opening in range(6):
            longest = min(1.0 * 2**opening, 4.0)
            self.now += longest / 2 - 0.01
            self.assertEqual(self.breaker.admit(), REFUSE)
            self.now += longest / 2 + 0.02
            self.assertEqual(self.breaker.admit(), REFUSE_AND_PROBE)
            self.assertEqual(self.breaker.admit(), REFUSE)
            self.breaker.probe_failed()
        self.now += 4.0
        self.assertEqual(self.breaker.admit(), REFUSE_AND_PROBE)
        self.breaker.succeeded()
        self.assertEqual(self.breaker.admit(), PASS)

    def test_calls_that_were_under_way_when_it_opened_say_nothing_new(self):
        self.breaker.failed(silent=True)
        self.assertFalse(self.breaker.failed(silent=True))

    def test_without_a_policy_it_never_opens(self):
        breaker = CircuitBreaker(None)
        for _ in range(100):
            self.assertFalse(breaker.failed(silent=True))
        self.assertEqual(breaker.admit(), PASS)


class Killed(NodeCase):
    settings = {"memory": "128MiB", "unix": True}

    def test_a_node_that_is_killed_in_the_middle_of_a_payload_and_comes_back(self):
        node = Node(**self.settings)
        self.addCleanup(node.stop)
        for endpoint in (node.endpoint, node.unix_endpoint):
            with self.subTest(endpoint):
                # One connection for payloads, so that they come one after the other.
                client = self.client(endpoint, connections=2, shared_memory=False)
                ns = self.namespace(client)
                client.clear(ns)
                keys = [b"a", b"b", b"c"]
                payloads = [payload(16 * MIB, seed) for seed in range(3)]
                self.assertTrue(all(client.put_from(ns, keys, payloads)))
                receive = connection.Stream.receive_into
                calls = []

                def kill_at_the_second(stream, place, deadline):
                    calls.append(len(place))
                    if len(calls) == 2:
                        node.kill()
                    receive(stream, place, deadline)

                buffers = [bytearray(16 * MIB) for _ in keys]
                with mock.patch.object(connection.Stream, "receive_into", kill_at_the_second):
                    self.assertEqual(client.get_into(ns, keys, buffers), [True, False, False])
                self.assertEqual(buffers[0], payloads[0])
                self.assertIsNone(client.get(ns, b"a"))
                self.assertFalse(client.put(ns, b"a", payloads[0]))

                node.start()
                eventually(client.ping)
                self.assertTrue(client.is_healthy)
                self.assertEqual(client.match(ns, keys).count, 0)
                self.assertTrue(client.put(ns, b"a", payloads[1]))
                self.assertTrue(client.get(ns, b"a") == payloads[1])

    def test_a_node_that_is_killed_in_the_middle_of_a_put(self):
        node = Node(**self.settings)
        self.addCleanup(node.stop)
        client = self.client(node.endpoint, connections=2)
        ns = self.namespace(client)
        send = connection.Stream.send
        calls = []

        def kill_at_the_second(stream, pieces, deadline):
            calls.append(len(pieces))
            if len(calls) == 2:
                node.kill()
            send(stream, pieces, deadline)

        self.assertTrue(client.put(ns, b"first", payload(16 * MIB, 0)))
        with mock.patch.object(connection.Stream, "send", kill_at_the_second):
            results = client.put_from(ns, [b"a", b"b", b"c"], [payload(16 * MIB, seed) for seed in range(3)])
        self.assertEqual([result.status for result in results], ["refused"] * 3)
        self.assertEqual({result.reason for result in results}, {"unreachable"})

    def test_a_client_that_was_idle_while_the_node_restarted_notices_nothing(self):
        node = Node(**self.settings)
        self.addCleanup(node.stop)
        for shared in (False, True):
            with self.subTest(shared=shared):
                client = self.client(node.unix_endpoint, shared_memory=shared)
                ns = self.namespace(client)
                self.assertTrue(client.put(ns, b"a", payload(MIB, 1)))
                lease = client.match(ns, [b"a"], lease_ms=60_000).lease
                node.kill()
                node.start()
                self.assertTrue(client.put(ns, b"b", payload(MIB, 2)))
                self.assertIsNone(client.get(ns, b"a"))
                self.assertEqual(client.get(ns, b"b"), payload(MIB, 2))
                lease.release()
                self.assertEqual(sum(client.counters[name] for name in ("unreachable", "timed_out")), 0)

    def test_while_the_breaker_is_open_nobody_is_asked_and_a_probe_finds_the_node_again(self):
        client = self.client("127.0.0.1:1", breaker=BreakerPolicy(failures=3, backoff=60))
        ns = self.namespace(client)
        for _ in range(5):
            self.assertIsNone(client.get(ns, b"k"))
        self.assertFalse(client.is_healthy)
        self.assertEqual(client.counters["unreachable"], 3)
        self.assertEqual(client.counters["circuit_open"], 2)
        self.assertEqual(client.counters["breaker_openings"], 1)

        node = Node(memory="64MiB")
        self.addCleanup(node.stop)
        client = self.client(node.endpoint, breaker=BreakerPolicy(failures=1, backoff=0.001, backoff_max=0.01))
        self.assertTrue(client.ping())
        node.kill()
        self.assertFalse(client.ping())
        self.assertFalse(client.is_healthy)
        node.start()
        eventually(client.ping)
        self.assertTrue(client.is_healthy)

    def test_a_closed_client_misses(self):
        client = self.client()
        ns = self.namespace(client)
        self.assertTrue(client.put(ns, b"k", b"payload"))
        client.close()
        self.assertIsNone(client.get(ns, b"k"))
        self.assertEqual(client.counters["closed"], 1)


class Users(unittest.TestCase):
    """Who asks, and for which tenant."""

    @classmethod
    def setUpClass(cls):
        cls.node = Node(
            users=[
                ("engine", "team-a", "read,write,admin", "p@ss:w/rd"),
                ("other", "team-b", "read,write", "second"),
                ("reader", "team-a", "read", "third"),
            ]
        )
        cls.addClassCleanup(cls.node.stop)

    def client(self, endpoint=None, **options):
        client = larder.Client(endpoint or self.node.endpoint, deadline=30, breaker=None, **options)
        self.addCleanup(client.close)
        return client

    def test_credentials_are_taken_from_the_endpoint_or_beside_it(self):
        for client in (
            self.client(f"redis://engine:p%40ss%3Aw%2Frd@{self.node.endpoint}"),
            self.client(username="engine", password="p@ss:w/rd"),
        ):
            client.hello()
            self.assertTrue(client.ping())
            self.assertNotIn("w/rd", repr(client) + repr(vars(client._link.pool.endpoint)["host"]))

    def test_a_tenant_never_sees_anothers_blocks(self):
        mine = self.client(username="engine", password="p@ss:w/rd")
        theirs = self.client(username="other", password="second")
        ns = mine.describe(DESCRIPTION)
        self.assertTrue(mine.put(ns, b"k", b"mine"))
        self.assertEqual(theirs.exists(ns, [b"k"]), 0)
        self.assertIsNone(theirs.get(ns, b"k"))
        self.assertTrue(theirs.put(ns, b"k", b"theirs"))
        self.assertEqual((mine.get(ns, b"k"), theirs.get(ns, b"k")), (b"mine", b"theirs"))

    def test_who_may_only_read_is_refused_and_the_connection_goes_on(self):
        writer = self.client(username="engine", password="p@ss:w/rd")
        reader = self.client(username="reader", password="third")
        ns = writer.describe({**DESCRIPTION, "test": "reader"})
        self.assertTrue(writer.put(ns, b"k", payload(MIB, 1)))
        result = reader.put(ns, b"l", payload(MIB, 2))
        self.assertEqual(result.status, "refused")
        self.assertTrue(result.reason.startswith("NOPERM"), result.reason)
        self.assertEqual(reader.get(ns, b"k"), payload(MIB, 1))
        self.assertEqual(reader.counters["connects"], 1)

    def test_a_wrong_or_missing_password_is_a_miss_and_no_secret_is_logged(self):
        log = io.StringIO()
        handler = logging.StreamHandler(log)
        logger = logging.getLogger("larder")
        logger.addHandler(handler)
        level = logger.level
        logger.setLevel(logging.DEBUG)
        self.addCleanup(logger.removeHandler, handler)
        self.addCleanup(logger.setLevel, level)
        for client in (
            self.client(username="engine", password="wrong-secret"),
            self.client(f"redis://engine:wrong-secret@{self.node.endpoint}"),
            self.client(),
        ):
            ns = client.describe(DESCRIPTION)
            self.assertIsNone(client.get(ns, b"k"))
            self.assertFalse(client.put(ns, b"k", b"x"))
            with self.assertRaises(larder.LarderError) as caught:
                client.stats()
            self.assertEqual(caught.exception.code, "unauthorized")
            self.assertGreater(client.counters["unauthorized"], 0)
            self.assertNotIn("wrong-secret", str(caught.exception) + repr(client))
        self.assertIn("refuses this client", log.getvalue())
        self.assertNotIn("wrong-secret", log.getvalue())


if __name__ == "__main__":
    unittest.main()
