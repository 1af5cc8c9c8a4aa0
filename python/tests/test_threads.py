"""Many threads, children and tasks share a client, and every byte is the right one."""

import asyncio
import os
import random
import threading
import unittest
from unittest import mock

from fake import FakeServer
from support import DESCRIPTION, NodeCase, payload

import larder
from larder.batches import share
from larder.endpoint import Endpoint, parse_endpoint


class Streams(unittest.TestCase):
    """How a large call is dealt out to several connections."""

    def test_each_gets_about_as_much_and_what_leads_is_under_way_first(self):
        shares = share([2 << 20] * 32, 3)
        self.assertEqual([len(indices) for indices in shares], [11, 11, 10])
        self.assertEqual([indices[0] for indices in shares], [0, 1, 2])
        self.assertEqual(sorted(sum(shares, [])), list(range(32)))
        self.assertEqual(share([100, 1, 1, 1, 1], 2), [[0], [1, 2, 3, 4]])
        self.assertEqual(share([5, 5], 1), [[0, 1]])

    def test_what_is_on_this_host_is_known_by_its_address(self):
        for text, is_here in (
            ("127.0.0.1:7379", True), ("localhost", True), ("[::1]:7379", True), ("unix:///run/larder.sock", True),
            ("10.0.0.1:7379", False), ("larder.example:7379", False), ("[2001:db8::1]:7379", False),
        ):
            self.assertIs(parse_endpoint(text).is_on_this_host, is_here, text)


class LargeCalls(NodeCase):
    settings = {"memory": "256MiB"}

    def test_one_goes_over_several_connections_to_a_node_elsewhere(self):
        for is_here in (False, True):
            with self.subTest(is_here), mock.patch.object(Endpoint, "is_on_this_host", is_here):
                client = self.client(deadline=120)
                ns = self.namespace(client)
                client.clear(ns)
                keys = [b"%d" % index for index in range(24)]
                payloads = [payload((3 << 20) + index, index) for index in range(24)]
                self.assertTrue(all(client.put_from(ns, keys, payloads)))
                buffers = [bytearray(len(block)) for block in payloads]
                self.assertTrue(all(client.get_into(ns, keys, buffers)))
                self.assertEqual(buffers, payloads)
                self.assertEqual(client.get_many(ns, keys), payloads)
                if not is_here:
                    self.assertGreater(client.counters["connects"], 1)


class Threads(NodeCase):
    settings = {"memory": "256MiB", "unix": True, "options": ["--shared-writes", "true"]}

    def test_sixteen_threads_share_a_client(self):
        for endpoint in (self.node.endpoint, self.node.unix_endpoint):
            with self.subTest(endpoint):
                client = self.client(endpoint, deadline=120)
                ns = self.namespace(client)
                client.clear(ns)
                problems = []
                threads = [
                    threading.Thread(target=self.work, args=(client, ns, number, problems))
                    for number in range(16)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self.assertEqual(problems, [])
                self.assertLessEqual(client.counters["connects"], 4)
                self.assertEqual(client.counters["misses"], client.counters["length_mismatches"])
                self.until_leases_are(0)

    def work(self, client, ns, number, problems):
        try:
            chance = random.Random(number)
            for turn in range(8):
                sizes = [chance.choice([1, 100, 20_000, 70_000, 300_000]) for _ in range(8)]
                keys = [b"%d-%d-%d" % (number, turn, index) for index in range(8)]
                payloads = [
                    payload(size, number * 1000 + turn * 10 + index) for index, size in enumerate(sizes)
                ]
                assert all(client.put_from(ns, keys, payloads))
                with client.match(ns, keys, lease_ms=60_000) as match:
                    assert match.count == 8, match
                    wrong = chance.randrange(8)
                    buffers = [bytearray(size + (index == wrong)) for index, size in enumerate(sizes)]
                    results = client.get_into(ns, keys, buffers, match.lease)
                    assert results == [index != wrong for index in range(8)], results
                    assert all(
                        buffer == expected for buffer, expected, good in zip(buffers, payloads, results) if good
                    )
                    assert client.get_many(ns, keys) == payloads
                    with client.borrow(ns, keys) as blocks:
                        assert [bytes(view) for view in blocks] == payloads
        except BaseException as error:
            problems.append(repr(error))

    def test_a_child_makes_connections_of_its_own_and_leaves_the_parents_alone(self):
        for endpoint in (self.node.endpoint, self.node.unix_endpoint):
            with self.subTest(endpoint):
                client = self.client(endpoint)
                ns = self.namespace(client)
                client.clear(ns)
                client.put(ns, b"parent", payload(200_000, 1))
                match = client.match(ns, [b"parent"], lease_ms=600_000)
                blocks = client.borrow(ns, [b"parent"])
                leases = client.stats()["leases"]
                # A lock that another thread of the parent holds in this moment is held in the child too.
                with client._link.counters._lock, client._link.breaker._lock:
                    child = os.fork()
                    if child == 0:
                        os._exit(self.in_child(client, ns, match, blocks))
                _, status = os.waitpid(child, 0)
                self.assertEqual(os.waitstatus_to_exitcode(status), 0)
                self.assertEqual(client.stats()["leases"], leases)
                self.assertTrue(blocks.live)
                self.assertEqual(client.get(ns, b"child"), payload(300_000, 2))
                self.assertEqual(client.counters["unreachable"], 0)
                blocks.release()
                match.lease.release()

    def in_child(self, client, ns, match, blocks):
        try:
            assert not blocks.live or not blocks.in_place[0]
            match.lease.release()
            blocks.release()
            assert client.get(ns, b"parent") == payload(200_000, 1)
            assert client.put(ns, b"child", payload(300_000, 2))
            assert client.ping()
            return 0
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\n".encode())
            return 1


class Tasks(NodeCase):
    settings = {"memory": "256MiB", "unix": True}

    def test_the_asyncio_face_does_the_same(self):
        async def run():
            for endpoint in (self.node.endpoint, self.node.unix_endpoint):
                async with larder.AsyncClient(endpoint, deadline=60) as client:
                    ns = client.describe({**DESCRIPTION, "endpoint": endpoint[:4]})
                    await asyncio.gather(*(self.work(client, ns, number) for number in range(16)))
                    self.assertEqual(client.counters["misses"], 0)
                    self.assertGreater((await client.stats(ns))["blocks"], 0)
                    self.assertTrue(await client.ping())

        asyncio.run(run())

    def test_it_has_every_call_of_the_other(self):
        calls = {name for name in vars(larder.Client) if not name.startswith("_")}
        self.assertEqual(calls - set(vars(larder.AsyncClient)), set())

    async def work(self, client, ns, number):
        keys = [b"%d-%d" % (number, index) for index in range(4)]
        payloads = [payload(100_000 + index, number * 10 + index) for index in range(4)]
        self.assertTrue(all(await client.put_from(ns, keys, payloads)))
        with await client.match(ns, keys, lease_ms=60_000) as match:
            buffers = [bytearray(len(expected)) for expected in payloads]
            self.assertTrue(all(await client.get_into(ns, keys, buffers, match.lease)))
            self.assertEqual([bytes(buffer) for buffer in buffers], payloads)
        self.assertEqual(await client.get(ns, keys[0]), payloads[0])
        self.assertEqual((await client.get_many(ns, keys)), payloads)
        with await client.borrow(ns, keys) as blocks:
            self.assertEqual([bytes(view) for view in blocks], payloads)
        self.assertTrue(await client.put(ns, b"one-%d" % number, b"x"))
        self.assertEqual(await client.delete(ns, [b"one-%d" % number]), 1)
        self.assertEqual(await client.exists(ns, keys), 4)
        self.assertEqual((await client.pin(ns, keys), await client.unpin(ns, keys)), (4, 4))
        self.assertEqual(len(await client.explain(ns, keys)), 4)

    def test_a_cancelled_task_has_its_buffer_back_only_when_nobody_writes_to_it(self):
        arrived = threading.Event()

        def answer(link, words):
            link.sendall(b"*1\r\n$1000000\r\n" + b"a" * 1000)
            arrived.set()
            go_on.wait()
            link.sendall(b"a" * 999_000 + b"\r\n")
            return b""

        go_on = threading.Event()
        with FakeServer(answer) as server:

            async def run():
                async with larder.AsyncClient(server.endpoint, deadline=60) as client:
                    buffer = bytearray(1_000_000)
                    task = asyncio.create_task(client.get_into(client.describe({}), [b"k"], [buffer]))
                    await asyncio.to_thread(arrived.wait)
                    task.cancel()
                    await asyncio.sleep(0)
                    self.assertFalse(task.done())
                    go_on.set()
                    with self.assertRaises(asyncio.CancelledError):
                        await task
                    self.assertEqual(client.counters["hits"], 1)
                    self.assertEqual(buffer, b"a" * 1_000_000)

            asyncio.run(run())


if __name__ == "__main__":
    unittest.main()
