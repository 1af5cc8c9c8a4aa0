"""The node's memory: what is lent stays, what is not proved is not given, and what a dead client held comes back."""

import ctypes
import gc
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from support import Node, NodeCase, payload

import larder
from larder import memory, sharing
from larder.deadline import Deadline

MIB = 1 << 20

_BORROWER = """
import sys, larder
client = larder.Client(sys.argv[1], shared_memory=True, deadline=60)
ns = client.describe({"model": "held"})
blocks = client.borrow(ns, [b"%d" % index for index in range(int(sys.argv[2]))])
match = client.match(ns, [b"0"], lease_ms=600_000)
print(sum(blocks.in_place), flush=True)
sys.stdin.read()
"""


def taken(view):
    """Something that takes the view's memory by the buffer protocol."""
    return pickle.PickleBuffer(view)


class Lending(NodeCase):
    settings = {"memory": "64MiB", "unix": True}

    def setUp(self):
        self.larder = self.client(self.node.unix_endpoint, shared_memory=True)
        self.ns = self.namespace(self.larder)
        self.addCleanup(lambda: self.client().clear(self.ns))

    def put(self, count, size=MIB):
        keys = [b"%d" % index for index in range(count)]
        payloads = [payload(size, index) for index in range(count)]
        self.assertTrue(all(self.larder.put_from(self.ns, keys, payloads)))
        return keys, payloads

    def test_views_are_of_the_nodes_memory_and_end_with_the_loan(self):
        keys, payloads = self.put(3)
        with self.larder.borrow(self.ns, keys) as blocks:
            self.assertEqual(blocks.in_place, [True] * 3)
            self.until_leases_are(1)
            self.assertEqual([bytes(view) for view in blocks], payloads)
            view = blocks[0]
            with self.assertRaises(TypeError):
                view[0] = 1
        self.assertRaises(ValueError, lambda: view[0])
        self.until_leases_are(0)

    def test_what_is_lent_outlives_its_deletion_and_pressure(self):
        keys, payloads = self.put(8)
        with self.larder.borrow(self.ns, keys) as blocks:
            self.assertEqual(self.larder.delete(self.ns, keys), 8)
            for round_number in range(20):
                more = [b"%d-%d" % (round_number, index) for index in range(8)]
                self.larder.put_from(self.ns, more, [payload(MIB, 100 + index) for index in range(8)])
            self.assertEqual([bytes(view) for view in blocks], payloads)
            self.assertTrue(blocks.live)

    def test_what_still_refers_to_a_block_keeps_the_loan(self):
        keys, payloads = self.put(2)
        for refer in (lambda view: view[10:20], lambda view: memoryview(view), taken):
            with self.assertRaises(BufferError):
                with self.larder.borrow(self.ns, keys) as blocks:
                    part = refer(blocks[1])
                    expected = bytes(part)
            self.until_leases_are(1)
            self.assertEqual(bytes(part), expected)
            self.assertRaises(BufferError, blocks.release)
            del part
            blocks.release()
            self.until_leases_are(0)
        del payloads

    def test_a_loan_that_is_forgotten_is_given_back(self):
        keys, _ = self.put(1)
        self.assertEqual(self.larder.borrow(self.ns, keys).count, 1)
        gc.collect()
        self.assertEqual(self.larder.exists(self.ns, keys), 1)
        self.until_leases_are(0)

    def test_an_error_inside_the_block_is_the_one_that_is_seen(self):
        keys, _ = self.put(1)
        with self.assertRaises(KeyError):
            with self.larder.borrow(self.ns, keys) as blocks:
                part = blocks[0][1:]
                raise KeyError(len(part))

    def test_a_view_outlives_the_client_without_harm(self):
        client = self.client(self.node.unix_endpoint)
        keys, payloads = self.put(1)
        blocks = client.borrow(self.ns, keys)
        part = blocks[0][:]
        client.close()
        del client, blocks
        self.doCleanups()
        gc.collect()
        # Not the block's any more, perhaps; but memory that is there.
        self.assertEqual(len(bytes(part)), MIB)

    def test_loads_by_memory_give_everything_back(self):
        keys, payloads = self.put(20)
        for _ in range(5):
            buffers = [bytearray(MIB) for _ in keys]
            self.assertTrue(all(self.larder.get_into(self.ns, keys, buffers)))
            self.assertEqual([bytes(buffer) for buffer in buffers], payloads)
        self.assertEqual(self.larder.counters["shared_loads"], 100)
        self.until_leases_are(0)

    def test_what_is_not_lent_is_fetched(self):
        # Loans hold half of the memory at most: 32 MiB here.
        keys, payloads = self.put(40)
        with self.larder.borrow(self.ns, keys) as blocks:
            self.assertLess(sum(blocks.in_place), 40)
            self.assertGreater(sum(blocks.in_place), 20)
            self.assertEqual([bytes(view) for view in blocks], payloads)
            buffers = [bytearray(MIB) for _ in keys]
            self.assertTrue(all(self.larder.get_into(self.ns, keys, buffers)))
            self.assertEqual([bytes(buffer) for buffer in buffers], payloads)

    def test_over_tcp_the_views_are_copies(self):
        keys, payloads = self.put(2)
        client = self.client()
        with client.borrow(self.ns, keys) as blocks:
            self.assertEqual(blocks.in_place, [False] * 2)
            self.assertEqual([bytes(view) for view in blocks], payloads)
            self.assertTrue(blocks.live)

    def test_a_loan_ends_with_its_connection(self):
        keys, _ = self.put(1)
        blocks = self.larder.borrow(self.ns, keys)
        self.assertTrue(blocks.live)
        self.larder.close()
        self.assertFalse(blocks.live)
        blocks.release()
        other = self.client(self.node.unix_endpoint)
        self.until_leases_are(0)
        other.clear(self.ns)

    def test_a_killed_client_gives_back_what_it_held(self):
        ns = self.larder.describe({"model": "held"})
        keys = [b"%d" % index for index in range(31)]
        self.assertTrue(all(self.larder.put_from(ns, keys, [payload(MIB, index) for index in range(31)])))
        borrower = subprocess.Popen(
            [sys.executable, "-c", _BORROWER, self.node.unix_endpoint, "31"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(larder.__file__))},
        )
        held = int(borrower.stdout.readline())
        self.assertGreater(held, 20)
        with self.larder.borrow(ns, keys) as blocks:
            self.assertLess(sum(blocks.in_place), 20)
        borrower.send_signal(signal.SIGKILL)
        borrower.wait()
        borrower.stdin.close()
        borrower.stdout.close()
        self.until_leases_are(0)
        with self.larder.borrow(ns, keys) as blocks:
            self.assertEqual(sum(blocks.in_place), held)
        self.larder.clear(ns)

    def test_without_a_proof_no_memory_is_shared(self):
        with mock.patch.object(memory, "xxh3", None):
            self.assertRaises(ValueError, larder.Client, self.node.unix_endpoint, shared_memory=True)
            client = self.client(self.node.unix_endpoint)
        keys, payloads = self.put(1)
        self.assertEqual(client.get_many(self.ns, keys), payloads)
        buffers = [bytearray(MIB)]
        self.assertEqual(client.get_into(self.ns, keys, buffers), [True])
        self.assertEqual(client.counters["shared_loads"], 0)

    def test_the_checksum_is_the_nodes(self):
        for size in (1, 3, 16, 100, 200, 1000, 100_000):
            with self.subTest(size=size):
                keys = [b"%d" % size]
                self.larder.put(self.ns, keys[0], payload(size, size))
                with self.larder.borrow(self.ns, keys) as blocks:
                    self.assertEqual(blocks.in_place, [True])
                    self.assertEqual(bytes(blocks[0]), payload(size, size))

    def test_others_may_use_the_interpreters_functions_as_they_like(self):
        function = ctypes.pythonapi.PyObject_GetBuffer
        before = function.argtypes
        function.argtypes = [ctypes.c_int]
        self.addCleanup(setattr, function, "argtypes", before)
        keys, payloads = self.put(1)
        buffers = [bytearray(MIB)]
        self.assertEqual(self.larder.get_into(self.ns, keys, buffers), [True])
        self.assertEqual(buffers, payloads)

    def test_shared_memory_can_be_done_without(self):
        node = Node(
            memory="16MiB", unix=True, users=[("a", "a", "read,write", "x"), ("b", "b", "read,write", "y")]
        )
        self.addCleanup(node.stop)
        # A node of several tenants shares nothing.
        client = self.client(node.unix_endpoint, username="a", password="x", shared_memory=True)
        ns = self.namespace(client)
        self.assertTrue(client.put(ns, b"k", payload(MIB, 1)))
        buffer = bytearray(MIB)
        self.assertEqual(client.get_into(ns, [b"k"], [buffer]), [True])
        self.assertEqual(buffer, payload(MIB, 1))
        with client.borrow(ns, [b"k"]) as blocks:
            self.assertEqual((blocks.in_place, bytes(blocks[0])), ([False], payload(MIB, 1)))


class Outliving(unittest.TestCase):
    def test_memory_that_the_node_keeps_for_its_next_start_is_lent_as_well(self):
        folder = tempfile.mkdtemp(prefix="larder-py-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, folder)
        node = Node(memory="64MiB", unix=True, options=("--memory-file", os.path.join(folder, "memory")))
        self.addCleanup(node.stop)
        with larder.Client(node.unix_endpoint, shared_memory=True, deadline=60) as client:
            ns = client.describe({"model": "outliving"})
            content = payload(MIB, 1)
            self.assertTrue(client.put(ns, b"key", content))
            with client.borrow(ns, [b"key"]) as blocks:
                self.assertEqual(blocks.in_place, [True])
                self.assertEqual(bytes(blocks[0]), content)


class Damaging(NodeCase):
    """Clients of a node with shared writes can write anywhere: what is damaged is a miss, never wrong bytes."""

    settings = {"memory": "64MiB", "unix": True, "options": ["--shared-writes", "true"]}

    def test_a_payload_that_was_written_over_is_a_miss(self):
        client = self.client(self.node.unix_endpoint, connections=1, shared_memory=True)
        ns = self.namespace(client)
        keys = [b"sound", b"damaged"]
        self.assertTrue(all(client.put_from(ns, keys, [payload(MIB, 1), payload(MIB, 2)])))
        connection = client._link.pool.acquire(True, Deadline(30))
        borrowed = sharing.borrow(client._link, connection, ns, keys, True, Deadline(30))
        client._link.pool.give_back(connection, True)
        place = memory.Address(borrowed[1])
        with place as start, memory.Address(connection.arena._view) as base:
            offset = start - base + 1000
        connection.writable_arena._view[offset] ^= 1
        buffers = [bytearray(MIB), bytearray(MIB)]
        self.assertEqual(client.get_into(ns, keys, buffers), [True, False])
        self.assertEqual(buffers[0], payload(MIB, 1))
        self.assertEqual(client.counters["damaged"], 1)
        with client.borrow(ns, keys) as blocks:
            self.assertIsNotNone(blocks[0])
            self.assertIsNone(blocks[1])
        borrowed.release()


if __name__ == "__main__":
    unittest.main()
