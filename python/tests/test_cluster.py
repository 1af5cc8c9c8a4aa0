"""A cluster of real nodes: payloads go to their owners, and what could not be asked is told."""

import asyncio
import os
import signal
import socket
import threading
import unittest

from fake import FakeServer
from support import DESCRIPTION, Node, eventually, payload

import larder
import larder.engine_settings
from larder.slots import slot_of

NAMES = ("a", "b", "c")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


class ClusterCase(unittest.TestCase):
    """Tests against three live nodes with a fixed list of members."""

    def setUp(self):
        ports = free_ports(len(NAMES))
        members = ",".join(f"{name}=127.0.0.1:{port}" for name, port in zip(NAMES, ports))
        self.nodes = {}
        for name, port in zip(NAMES, ports):
            node = Node(port=port, options=["--cluster", f"static:{members}", "--node-name", name])
            self.nodes[name] = node
            self.addCleanup(node.stop)
        for name in NAMES:
            client = larder.Client(self.nodes[name].endpoint, deadline=30)
            self.addCleanup(client.close)
            eventually(lambda: self.states(client) == {"active"})

    @staticmethod
    def states(client):
        """What all three are, as one of them sees it; a node that is away is `down`."""
        _, _, members = client._link.tool(None, larder.wire.request(b"KV.CLUSTER", b"VIEW"), 30)
        return {larder.wire.text(member[5]) if member[6] == 1 else "down" for member in members}

    def cluster(self, seeds=NAMES, **options):
        options.setdefault("deadline", 30)
        client = larder.ClusterClient([self.nodes[name].endpoint for name in seeds], **options)
        self.addCleanup(client.close)
        return client

    def namespace(self, client):
        return client.describe({**DESCRIPTION, "test": self.id()})

    def node_client(self, name, **options):
        options.setdefault("deadline", 30)
        client = larder.Client(self.nodes[name].endpoint, **options)
        self.addCleanup(client.close)
        return client


class Payloads(ClusterCase):
    def test_go_to_their_owners_and_come_from_them_without_a_hop(self):
        client = self.cluster()
        ns = self.namespace(client)
        self.assertTrue(client.refresh())
        self.assertEqual(sorted(client.known_nodes), list(NAMES))
        keys = [b"key-%d" % index for index in range(60)]
        blocks = [payload(4096 + index, index) for index in range(60)]
        self.assertTrue(all(client.put_from(ns, keys, blocks, tokens=16)))
        buffers = [bytearray(len(block)) for block in blocks]
        self.assertEqual(client.get_into(ns, keys, buffers), [True] * 60)
        self.assertEqual(buffers, blocks)
        self.assertEqual(client.get_many(ns, keys), blocks)
        self.assertEqual(client.get(ns, keys[7]), blocks[7])
        self.assertEqual(client.match(ns, keys).count, 60)
        for name in NAMES:
            # No node had to give a block to another, or to fetch one.
            figures = self.node_client(name).stats()
            self.assertEqual((figures["handoff_blocks"], figures["peer_loads"]), (0, 0), name)
            self.assertGreater(figures["puts_stored"], 0, name)

    def test_an_owner_that_died_costs_misses_and_its_place_is_taken(self):
        client = self.cluster()
        ns = self.namespace(client)
        self.assertTrue(client.refresh())
        keys = [b"key-%d" % index for index in range(60)]
        blocks = [payload(1024, index) for index in range(60)]
        self.assertTrue(all(client.put_from(ns, keys, blocks)))
        self.nodes["c"].kill()
        # At once, while nobody knows: the door is asked for what c does not take.
        more = [b"more-%d" % index for index in range(60)]
        results = client.put_from(ns, more, blocks)
        eventually(lambda: client.refresh() and sorted(client.known_nodes) == ["a", "b"])
        self.assertTrue(all(client.put_from(ns, more, blocks)), results)
        self.assertEqual(client.get_many(ns, more), blocks)
        held = client.get_many(ns, keys)
        self.assertTrue(all(found in (None, block) for found, block in zip(held, blocks)))
        self.assertGreater(sum(found is not None for found in held), 0)

    def test_an_owner_that_hangs_leaves_half_of_the_time_to_the_door(self):
        client = self.cluster(deadline=4)
        ns = self.namespace(client)
        self.assertTrue(client.refresh())
        keys = [b"key-%d" % index for index in range(30)]
        blocks = [payload(1024, index) for index in range(30)]
        self.assertTrue(all(client.put_from(ns, keys, blocks)))
        # Near copies at the door, which it can answer from.
        door = self.node_client("a")
        self.assertEqual(door.get_many(ns, keys), blocks)
        self.nodes["b"].signal(signal.SIGSTOP)
        try:
            self.assertEqual(client.get_many(ns, keys), blocks)
        finally:
            self.nodes["b"].signal(signal.SIGCONT)

    def test_another_seed_is_the_door_when_the_first_is_away(self):
        client = self.cluster(deadline=5)
        ns = self.namespace(client)
        self.nodes["a"].kill()
        self.assertTrue(client.refresh())
        result = client.put(ns, b"key", b"payload")
        eventually(lambda: client.put(ns, b"key", b"payload") or client.refresh() is None)
        self.assertTrue(result or client.put(ns, b"key", b"payload"))
        self.assertEqual(client.match(ns, [b"key"]).count, 1)

    def test_a_node_that_is_in_no_cluster_has_everything_itself(self):
        node = Node()
        self.addCleanup(node.stop)
        client = larder.ClusterClient(node.endpoint, deadline=30)
        self.addCleanup(client.close)
        ns = self.namespace(client)
        self.assertTrue(client.refresh())
        self.assertTrue(client.put(ns, b"key", b"payload"))
        self.assertEqual((client.get(ns, b"key"), client.known_nodes), (b"payload", ()))

    def test_a_child_uses_it_after_a_fork(self):
        client = self.cluster()
        ns = self.namespace(client)
        self.assertTrue(client.refresh())
        self.assertTrue(client.put(ns, b"key", b"payload"))
        child = os.fork()
        if child == 0:
            os._exit(0 if client.refresh() and client.get(ns, b"key") == b"payload" else 1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertEqual(client.get(ns, b"key"), b"payload")

    def test_asyncio_has_the_same_calls(self):
        async def run():
            endpoints = [self.nodes[name].endpoint for name in NAMES]
            async with larder.AsyncClusterClient(endpoints, deadline=30) as client:
                ns = self.namespace(client)
                keys = [b"key-%d" % index for index in range(30)]
                blocks = [payload(512, index) for index in range(30)]
                results = await asyncio.gather(*(client.put(ns, *pair) for pair in zip(keys, blocks)))
                self.assertTrue(all(results))
                self.assertEqual(await client.get_many(ns, keys), blocks)
                self.assertEqual(await client.delete(ns, keys, strict=True), 30)

        asyncio.run(run())


class Truth(ClusterCase):
    def test_a_delete_that_did_not_reach_every_node_says_which(self):
        client = self.node_client("a")
        ns = self.namespace(client)
        keys = [b"key-%d" % index for index in range(20)]
        self.assertTrue(all(client.put_from(ns, keys, [payload(512, 1)] * 20)))
        self.assertEqual(client.delete(ns, keys[:5]), 5)
        self.nodes["c"].kill()
        eventually(lambda: self.states(client) == {"active", "down"})
        for verb, strict in ((client.delete, False), (client.unpin, False)):
            count = verb(ns, keys)
            self.assertFalse(count.is_complete, verb)
            self.assertEqual((count.silent_nodes, count.error.code), (("c",), "incomplete"))
        with self.assertRaises(larder.LarderError) as caught:
            client.delete(ns, keys, strict=True)
        self.assertEqual((caught.exception.code, caught.exception.silent_nodes), ("incomplete", ("c",)))
        with self.assertRaises(larder.LarderError):
            client.clear(ns)

    def test_a_node_that_does_not_answer_is_told_from_one_that_has_nothing(self):
        client = self.node_client("a", breaker=None)
        ns = self.namespace(client)
        nothing = client.delete(ns, [b"key"])
        self.assertEqual((nothing, nothing.is_complete, nothing.error), (0, True, None))
        self.assertIsNone(client.match(ns, [b"key"]).error)
        self.nodes["a"].kill()
        for verb in (client.delete, client.pin, client.unpin, client.prefetch):
            count = verb(ns, [b"key"])
            self.assertEqual((count, count.is_complete, count.error.code), (0, False, "unreachable"))
            self.assertRaises(larder.LarderError, verb, ns, [b"key"], strict=True)
        self.assertEqual(client.match(ns, [b"key"]).error.code, "unreachable")


class Slots(unittest.TestCase):
    def test_are_those_of_redis_cluster(self):
        # CLUSTER KEYSLOT of Redis 7.0.
        for key, slot in ((b"123456789", 12739), (b"foo", 12182), (b"{user1000}.x", 3443), (b"foo{}{bar}", 8363)):
            self.assertEqual(slot_of(key), slot, key)
        self.assertEqual(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"))
        self.assertEqual(slot_of(b"foo{bar}{zap}"), slot_of(b"bar"))


class Waiting(unittest.TestCase):
    """A call of asyncio has its deadline from where it is awaited."""

    def test_calls_that_no_thread_is_free_for_end_by_their_own_deadline(self):
        holds = threading.Event()
        asked = []

        def answer(link, words):
            asked.append(words[0])
            holds.wait(60)
            return b":1\r\n"

        server = FakeServer(answer)
        self.addCleanup(server.__exit__)
        self.addCleanup(holds.set)

        async def run():
            async with larder.AsyncClient(server.endpoint, deadline=60, connections=2, breaker=None) as client:
                ns = client.describe(DESCRIPTION)
                slow = [asyncio.ensure_future(client.delete(ns, [b"key"])) for _ in range(2)]
                while len(asked) < 2:
                    await asyncio.sleep(0.001)
                # Both threads wait for the node for up to a minute; these must not wait with them.
                late = await asyncio.gather(*(client.delete(ns, [b"key"], deadline=0.05) for _ in range(30)))
                self.assertFalse(any(task.done() for task in slow))
                self.assertEqual({count.error.code for count in late}, {"overloaded"})
                with self.assertRaises(larder.LarderError):
                    await client.stats(deadline=0.05)
                self.assertEqual(client.counters["overloaded"], 31)
                self.assertTrue(client.is_healthy)
                holds.set()
                self.assertEqual(await asyncio.gather(*slow), [1, 1])

        asyncio.run(run())
        self.assertEqual(len(asked), 2)

    def test_only_so_many_calls_wait(self):
        holds = threading.Event()
        server = FakeServer(lambda link, words: holds.wait(60) and b":1\r\n")
        self.addCleanup(server.__exit__)
        self.addCleanup(holds.set)

        async def run():
            async with larder.AsyncClient(server.endpoint, deadline=60, connections=1, breaker=None) as client:
                ns = client.describe(DESCRIPTION)
                calls = [asyncio.ensure_future(client.delete(ns, [b"key"])) for _ in range(1_100)]
                while sum(call.done() for call in calls) < 1_100 - 1_024 - 1:
                    await asyncio.sleep(0.001)
                done = [call.result().error.code for call in calls if call.done()]
                self.assertEqual(set(done), {"overloaded"})
                for call in calls:
                    call.cancel()
                holds.set()
                await asyncio.gather(*calls, return_exceptions=True)
                # Nothing is left that waits: a new call is asked.
                self.assertEqual(await client.delete(ns, [b"key"]), 1)

        asyncio.run(run())


class Settings(unittest.TestCase):
    def test_an_engine_reaches_a_cluster_by_a_setting(self):
        take = larder.engine_settings.EngineSettings.take
        self.assertIs(type(take({}).client()), larder.Client)
        for value in (True, ["127.0.0.1:1", "127.0.0.1:2"]):
            client = take({"cluster": value}).client()
            self.addCleanup(client.close)
            self.assertIs(type(client), larder.ClusterClient)
        for wrong in ("127.0.0.1:1", [1], 1):
            self.assertRaises(ValueError, take, {"cluster": wrong})
