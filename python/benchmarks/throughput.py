#!/usr/bin/env python3
"""GET and PUT through this client, redis-py, and LMCache's native RESP client, against one node, in one run.

Each round does every client's turn once, in an order that changes, so that a slow moment of the machine meets all. What
is printed is the median over the rounds, and for comparisons the median of the rounds' ratios; then what client and node
together cost of the processor. Every byte that is read is compared once, before the rounds. A client that is not
installed is left out, and the command says so.

    LARDER_BIN=.build/release/larder python3 python/benchmarks/throughput.py

redis-py comes from pip. LMCache's client is taken from the environment that LMCACHE_VENV names, or from the Python that
runs this; it must be of the same Python version.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import select
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from node import Node  # noqa: E402

import larder  # noqa: E402

MIB = 1 << 20


class LarderWay:
    """This client: get_into and put_from."""

    def __init__(self, name, endpoint, **options):
        self.name = name
        self.client = larder.Client(endpoint, deadline=60, breaker=None, **options)
        self.ns = self.client.describe({"model": "throughput", "dtype": "uint8", "way": name})
        self.client.hello()

    def put(self, keys, payloads, batch):
        for start in range(0, len(keys), batch):
            results = self.client.put_from(
                self.ns, keys[start : start + batch], payloads[start : start + batch]
            )
            assert all(result.status == "stored" for result in results), results

    def get(self, keys, buffers, batch):
        for start in range(0, len(keys), batch):
            assert all(
                self.client.get_into(self.ns, keys[start : start + batch], buffers[start : start + batch])
            )
        return buffers

    def delete(self, keys):
        assert self.client.delete(self.ns, keys) == len(keys)

    def close(self):
        self.client.close()


class RedisPyWay:
    """redis-py: get and set, or a pipeline of them. Its replies are new bytes objects; it has no other form."""

    name = "redis-py"

    def __init__(self, port):
        import redis

        self.client = redis.Redis(port=port)
        self.client.ping()

    def put(self, keys, payloads, batch):
        if batch == 1:
            for key, payload in zip(keys, payloads):
                assert self.client.set(key, payload)
            return
        for start in range(0, len(keys), batch):
            with self.client.pipeline(transaction=False) as pipeline:
                for key, payload in zip(keys[start : start + batch], payloads[start : start + batch]):
                    pipeline.set(key, payload)
                assert all(pipeline.execute())

    def get(self, keys, buffers, batch):
        if batch == 1:
            return [self.client.get(key) for key in keys]
        values = []
        for start in range(0, len(keys), batch):
            with self.client.pipeline(transaction=False) as pipeline:
                for key in keys[start : start + batch]:
                    pipeline.get(key)
                values += pipeline.execute()
        assert None not in values
        return values

    def delete(self, keys):
        assert self.client.delete(*keys) == len(keys)

    def close(self):
        self.client.close()


class NativeWay:
    """LMCache's C++ client with 8 threads of its own, as LMCache uses it: batches, and one event for each."""

    name = "native"

    def __init__(self, port, module):
        self.client = module.LMCacheRedisClient("127.0.0.1", port, 8)
        self.events = select.poll()
        self.events.register(self.client.event_fd(), select.POLLIN)

    def _wait(self, future):
        while True:
            self.events.poll(60_000)
            os.eventfd_read(self.client.event_fd())
            for done, ok, error, results in self.client.drain_completions():
                if done == future:
                    assert ok and all(results or [True]), error
                    return

    def put(self, keys, payloads, batch):
        for start in range(0, len(keys), batch):
            names = [key.decode() for key in keys[start : start + batch]]
            self._wait(self.client.submit_batch_set(names, payloads[start : start + batch]))

    def get(self, keys, buffers, batch):
        for start in range(0, len(keys), batch):
            names = [key.decode() for key in keys[start : start + batch]]
            self._wait(self.client.submit_batch_get(names, buffers[start : start + batch]))
        return buffers

    def delete(self, keys):
        self._wait(self.client.submit_batch_delete([key.decode() for key in keys]))

    def close(self):
        self.client.close()


def native_module():
    """The compiled module alone: importing all of LMCache is not needed for it, but torch's libraries are."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return None
    roots = [Path(os.environ["LMCACHE_VENV"])] if "LMCACHE_VENV" in os.environ else [Path(sys.prefix)]
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}-"
    for root in roots:
        for path in root.glob("lib/python3*/site-packages/lmcache/lmcache_redis.*.so"):
            if tag in path.name:
                spec = importlib.util.spec_from_file_location("lmcache.lmcache_redis", path)
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    return None


def ways(node, port):
    made = [
        LarderWay("larder tcp", f"127.0.0.1:{port}"),
        LarderWay("larder unix", f"unix://{node.socket_path}", shared_memory=False),
        LarderWay("larder shared", f"unix://{node.socket_path}", shared_memory=True),
    ]
    try:
        made.append(RedisPyWay(port))
    except ImportError:
        print("redis-py is not installed: left out", file=sys.stderr)
    module = native_module()
    if module:
        made.append(NativeWay(port, module))
    else:
        print("LMCache's native client is not installed for this Python: left out", file=sys.stderr)
    return made


def processor_seconds(pid):
    """What all threads of a process have run so far; another program's turn on a busy machine does not count."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def measure(clients, node, size, count, batch, rounds):
    """For each client and operation the rounds' rates, GB/s, and the processor time of client and node, s/GB."""

    def now():
        return time.perf_counter(), processor_seconds(os.getpid()) + processor_seconds(node.pid)

    payloads = [memoryview(bytearray(os.urandom(4096) * (size // 4096))) for _ in range(count)]
    for index, payload in enumerate(payloads):
        payload[:8] = index.to_bytes(8, "big")
    buffers = [memoryview(bytearray(b"\1" * size)) for _ in range(count)]
    rates = {(client.name, what): [] for client in clients for what in ("put", "get")}
    costs = {name: [] for name in rates}
    for turn in range(-1, rounds):
        shift = turn % len(clients)
        for client in clients[shift:] + clients[:shift]:
            keys = [b"%s-%d-%d-%d" % (client.name.encode(), size, turn, index) for index in range(count)]
            start = now()
            client.put(keys, payloads, batch)
            middle = now()
            values = client.get(keys, buffers, batch)
            end = now()
            if turn < 0:
                # Not timed: connections, first touches of memory, and whether the bytes are right.
                assert all(value == payload for value, payload in zip(values, payloads)), client.name
            else:
                for what, begin, done in (("put", start, middle), ("get", middle, end)):
                    gigabytes = size * count / 1e9
                    rates[client.name, what].append(gigabytes / (done[0] - begin[0]))
                    costs[client.name, what].append((done[1] - begin[1]) / gigabytes)
            values = None
            client.delete(keys)
    return rates, costs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1,2,4", help="payload sizes, MiB (default: %(default)s)")
    parser.add_argument("--bytes", type=int, default=128, help="payload of a turn, MiB (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="keys of a batch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds (default: %(default)s)")
    settings = parser.parse_args()
    node = Node(memory="2GiB", unix=True, options=["--shared-writes", "true"])
    with node:
        clients = ways(node, node.port)
        names = [client.name for client in clients]
        print(
            f"GB/s, median of {settings.rounds} rounds; 'all' is batches of {settings.batch}, 'one' is one at a time"
        )
        print(f"{'':>14}" + "".join(f"{name:>15}" for name in names))
        table = {}
        cost = {}
        for size in map(int, settings.sizes.split(",")):
            for batch in (settings.batch, 1):
                count = max(1, settings.bytes // size)
                rates, costs = measure(clients, node, size * MIB, count, batch, settings.rounds)
                for what in ("get", "put"):
                    form = "one" if batch == 1 else "all"
                    row = table[what, size, form] = {name: rates[name, what] for name in names}
                    cost[what, size, form] = {name: costs[name, what] for name in names}
                    medians = "".join(f"{statistics.median(row[name]):>15.2f}" for name in names)
                    print(f"{what} {size:>2} MiB {form:>4}{medians}", flush=True)
        for other in names[3:]:
            print(f"\ntimes {other}")
            for (what, size, form), row in table.items():
                ratios = (
                    statistics.median(mine / theirs for mine, theirs in zip(row[name], row[other]))
                    for name in names[:3]
                )
                print(f"{what} {size:>2} MiB {form:>4}" + "".join(f"{ratio:>15.2f}" for ratio in ratios))
        print("\nprocessor time of client and node together, s/GB")
        for (what, size, form), row in cost.items():
            medians = "".join(f"{statistics.median(row[name]):>15.2f}" for name in names)
            print(f"{what} {size:>2} MiB {form:>4}{medians}")
        for client in clients:
            client.close()


if __name__ == "__main__":
    main()
