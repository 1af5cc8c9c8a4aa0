"""Blocks through a live node: the same tests by TCP, by its Unix socket, and by its memory for reading and for both."""

import array
import unittest

from support import DESCRIPTION, NodeCase, payload

import larder
from larder import limits, wire
from larder.deadline import Deadline

SIZES = [1, 2, 17, 1000, (16 << 10) - 1, 16 << 10, 64 << 10, (64 << 10) + 1, 1 << 20, (2 << 20) + 3, 64 << 20]


class Blocks:
    """The tests; how the client reaches the node is the subclasses' matter."""

    settings = {"memory": "512MiB", "unix": True}

    def connected(self, **options):
        return self.client(self.node.endpoint, **options)

    def setUp(self):
        self.larder = self.connected()
        self.ns = self.namespace(self.larder)
        self.addCleanup(self.larder.clear, self.ns)

    def put(self, count, size=1000, **options):
        keys = [b"key-%d" % index for index in range(count)]
        payloads = [payload(size, index) for index in range(count)]
        results = self.larder.put_from(self.ns, keys, payloads, **options)
        self.assertEqual({result.status for result in results}, {"stored"}, results)
        return keys, payloads

    def test_payloads_of_every_size_come_back(self):
        keys = [b"%d" % size for size in SIZES]
        payloads = [payload(size, size) for size in SIZES]
        results = self.larder.put_from(self.ns, keys, payloads, tokens=16)
        self.assertEqual([result.status for result in results], ["stored"] * len(SIZES))
        buffers = [bytearray(size) for size in SIZES]
        self.assertEqual(self.larder.get_into(self.ns, keys, buffers), [True] * len(SIZES))
        self.assertTrue(all(buffer == expected for buffer, expected in zip(buffers, payloads)))
        self.assertTrue(all(a == b for a, b in zip(self.larder.get_many(self.ns, keys), payloads)))
        with self.larder.borrow(self.ns, keys) as blocks:
            self.assertEqual(blocks.count, len(SIZES))
            self.assertTrue(all(view == expected for view, expected in zip(blocks, payloads)))
            self.assertTrue(all(view.readonly for view in blocks))
            self.assertTrue(blocks.live)

    def test_what_is_not_there_is_a_miss_and_leaves_its_buffer_alone(self):
        keys, payloads = self.put(2, 100_000)
        wanted = [keys[0], b"absent", keys[1]]
        buffers = [bytearray(100_000) for _ in wanted]
        self.assertEqual(self.larder.get_into(self.ns, wanted, buffers), [True, False, True])
        self.assertEqual(buffers[1], bytes(100_000))
        self.assertEqual(self.larder.get_many(self.ns, wanted), [payloads[0], None, payloads[1]])
        self.assertIsNone(self.larder.get(self.ns, b"absent"))
        with self.larder.borrow(self.ns, wanted) as blocks:
            self.assertEqual(blocks.count, 1)
            self.assertIsNone(blocks[1])
        self.assertEqual(self.larder.counters["misses"], 4)

    def test_a_payload_of_another_length_is_a_miss_and_is_reported(self):
        for size in (1000, 100_000):
            with self.subTest(size=size):
                keys = [b"%d-%d" % (size, index) for index in range(3)]
                payloads = [payload(size, index) for index in range(3)]
                self.larder.put_from(self.ns, keys, payloads)
                before = self.larder.counters["length_mismatches"]
                buffers = [bytearray(size - 1), bytearray(size), bytearray(size + 1)]
                self.assertEqual(self.larder.get_into(self.ns, keys, buffers), [False, True, False])
                self.assertEqual(buffers[1], payloads[1])
                self.assertEqual(self.larder.counters["length_mismatches"] - before, 2)
                # The stream is where it should be.
                self.assertEqual(self.larder.get(self.ns, keys[2]), payloads[2])

    def test_the_first_writer_wins(self):
        keys, payloads = self.put(1, 200_000)
        self.assertEqual(self.larder.put(self.ns, keys[0], payloads[0]).status, "exists")
        other = self.larder.put(self.ns, keys[0], payload(200_000, 99))
        self.assertEqual(self.larder.get(self.ns, keys[0]), payloads[0])
        # Where the bytes are written in place, the node has not seen them when it says that it has the key.
        if self.larder.counters["shared_stores"] == 0:
            self.assertEqual(other.status, "refused")
            self.assertIn("conflict", other.reason)
            self.assertFalse(other)

    def test_a_match_counts_the_leading_keys_and_leases_them(self):
        keys, _ = self.put(5)
        with self.larder.match(self.ns, [*keys[:3], b"hole", keys[4]], lease_ms=60_000) as match:
            self.assertEqual((match.count, match.tiers), (3, ("memory",) * 3))
            self.until_leases_are(1)
            self.assertEqual(self.larder.get_into(self.ns, keys[:1], [bytearray(1000)], match.lease), [True])
        self.assertEqual(self.larder.match(self.ns, keys).lease, None)
        self.assertEqual(self.larder.exists(self.ns, keys), 5)
        self.assertEqual(self.larder.exists(self.ns, [b"hole", *keys]), 0)
        self.assertEqual(self.larder.exists(self.ns, []), 0)
        self.until_leases_are(0)

    def test_calls_beyond_the_limits_of_one_request_are_cut(self):
        keys, payloads = self.put(1500, 300)
        many = keys + [b"absent-%d" % index for index in range(limits.REQUEST_KEYS_MAX)]
        self.assertEqual(self.larder.match(self.ns, many).count, 1500)
        again = (keys * 23)[:33_000]
        match = self.larder.match(self.ns, again, lease_ms=60_000)
        self.assertEqual((match.count, len(match.lease.ids)), (33_000, 3))
        match.lease.release()
        self.until_leases_are(0)
        buffers = [bytearray(300) for _ in keys]
        self.assertTrue(all(self.larder.get_into(self.ns, keys, buffers)))
        self.assertEqual([bytes(buffer) for buffer in buffers], payloads)
        self.assertEqual(self.larder.delete(self.ns, many), 1500)

    def test_a_large_call_goes_over_several_connections(self):
        keys, payloads = self.put(24, 1 << 20)
        buffers = [bytearray(1 << 20) for _ in keys]
        self.assertEqual(self.larder.get_into(self.ns, keys, buffers), [True] * 24)
        self.assertEqual([bytes(buffer) for buffer in buffers], payloads)

    def test_buffers_of_other_kinds_are_bytes_all_the_same(self):
        numbers = array.array("d", range(4096))
        self.assertTrue(self.larder.put(self.ns, b"numbers", numbers))
        target = array.array("d", bytes(8 * 4096))
        self.assertEqual(self.larder.get_into(self.ns, [b"numbers"], [target]), [True])
        self.assertEqual(target, numbers)
        part = memoryview(bytearray(3 * 32768))[32768:65536]
        self.assertEqual(self.larder.get_into(self.ns, [b"numbers"], [part]), [True])
        self.assertEqual(part, numbers.tobytes())

    def test_options_reach_the_node(self):
        keys, _ = self.put(2, 100_000, ttl_ms=600_000, tokens=7, pin=True)
        figures = self.larder.stats(self.ns)
        self.assertEqual(figures["blocks"], 2)
        self.assertEqual(self.larder.pin(self.ns, keys), 2)
        self.assertEqual(self.larder.unpin(self.ns, [*keys, b"absent"]), 2)
        self.assertEqual(self.larder.prefetch(self.ns, keys), 0)
        here, never = self.larder.explain(self.ns, [keys[0], b"absent"])
        self.assertTrue(here.startswith("memory"), here)
        self.assertNotEqual(here, never)
        self.assertEqual(self.larder.delete(self.ns, keys), 2)
        self.assertTrue(self.larder.ping())

    def test_a_callers_mistake_is_an_error(self):
        client, ns = self.larder, self.ns
        for mistake in (
            lambda: client.get(ns, b""),
            lambda: client.get(ns, b"k" * 513),
            lambda: client.put(ns, b"k", b""),
            lambda: client.get_into(ns, [b"k"], []),
            lambda: client.get_into(ns, [b"k"], [b"read-only"]),
            lambda: client.get_into(ns, [b"k"], [memoryview(bytearray(8))[::2]]),
            lambda: client.match(ns, [b"k"], lease_ms=0),
            lambda: client.match(ns, [b"k"], lease_ms=600_001),
            lambda: client.put(ns, b"k", b"p", ttl_ms=0),
            lambda: client.put(ns, b"k", b"p", tokens=-1),
            lambda: client.get(ns, b"k", deadline=0),
            lambda: larder.Client("rediss://host"),
            lambda: larder.Client("127.0.0.1:1", shared_memory=True),
            lambda: larder.Client("127.0.0.1:1", username="only"),
            lambda: larder.Client("127.0.0.1:1", connections=0),
        ):
            self.assertRaises(ValueError, mistake)
        for mistake in (
            lambda: client.get("not a namespace", b"k"),
            lambda: client.get(ns, "text"),
            lambda: client.get_many(ns, b"one key"),
            lambda: client.put(ns, b"k", 5),
        ):
            self.assertRaises(TypeError, mistake)
        self.assertTrue(client.ping())


class ByTCP(Blocks, NodeCase):
    def test_the_nodes_name_for_a_namespace_is_ours(self):
        connection = self.larder._link.pool.acquire(False, Deadline(30))
        for description in (
            {},
            DESCRIPTION,
            {"\u20ac\ufb33\U0001f600": ["\x00\x7f\u00e9/", -1, {"b": True, "a": []}]},
        ):
            ns = self.larder.describe(description)
            connection.stream.send([wire.request(b"KV.DESCRIBE", ns.canonical)], Deadline(30))
            self.assertEqual(connection.stream.reply(Deadline(30)), ns.wire_id)
        self.larder._link.pool.give_back(connection, False)


class BySocket(Blocks, NodeCase):
    def connected(self):
        return self.client(self.node.unix_endpoint, shared_memory=False)


class ByMemory(Blocks, NodeCase):
    def connected(self):
        return self.client(self.node.unix_endpoint, shared_memory=True)

    def tearDown(self):
        self.assertEqual(self.larder.counters["shared_stores"], 0)


class ByWritableMemory(ByMemory):
    settings = {**Blocks.settings, "options": ["--shared-writes", "true"]}

    def tearDown(self):
        pass

    def test_what_can_be_written_in_place_is(self):
        keys, payloads = self.put(20, 1 << 20)
        self.assertEqual(self.larder.counters["shared_stores"], 20)
        self.assertEqual(self.larder.get_many(self.ns, keys), payloads)

    def test_what_has_no_place_is_sent(self):
        # Places that clients hold are a quarter of the memory at most: 128 MiB here.
        large = payload(200 << 20, 1)
        self.assertTrue(self.larder.put(self.ns, b"large", large))
        self.assertEqual(self.larder.counters["shared_stores"], 0)
        self.assertTrue(self.larder.get(self.ns, b"large") == large)


if __name__ == "__main__":
    unittest.main()
