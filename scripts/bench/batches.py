"""Orders for a client that puts and gets batches from Python: what mooncake_driver.py and larder_driver.py share.

Orders and answers are lines of JSON: {"do": "fill" | "get" | "put" | "verify" | "clear", "size": bytes, "batch": keys,
"batches": how many, "seconds": of a get, "count": batches of a put}; get and put answer with {"gb_per_second": ...,
"p50_us": of a batch}. Memory is touched before anything is timed.
"""

import json
import mmap
import random
import statistics
import sys
import time

BUFFER_BYTE_COUNT = 512 << 20


def answer(**figures):
    print(json.dumps(figures), flush=True)


class BatchClient:
    """Two stretches of memory: what is put, and where it comes back to. A subclass says how."""

    def __init__(self):
        self.source = mmap.mmap(-1, BUFFER_BYTE_COUNT)
        self.target = mmap.mmap(-1, BUFFER_BYTE_COUNT)
        for memory in (self.source, self.target):
            # As `larder bench` has it, so that what is compared is servers and not pages.
            memory.madvise(mmap.MADV_HUGEPAGE)
        noise = random.Random(1).randbytes(1 << 20)
        for start in range(0, BUFFER_BYTE_COUNT, len(noise)):
            # Each mebibyte has bytes of its own, so that a block at the wrong place is seen.
            self.source[start : start + len(noise)] = start.to_bytes(8, "little") + noise[8:]
            self.target[start : start + len(noise)] = bytes(len(noise))
        self._put_count = 0

    def put_batch(self, keys, offsets, size):
        """Stores from the source; raises RuntimeError unless all are stored."""
        raise NotImplementedError

    def get_batch(self, keys, offsets, size):
        """Loads into the target; raises RuntimeError unless all are there."""
        raise NotImplementedError

    def remove_all(self):
        raise NotImplementedError

    def serve(self):
        """Follows orders until standard input ends."""
        answer(ok=True)
        for line in sys.stdin:
            order = json.loads(line)
            try:
                getattr(self, "_" + order["do"])(order)
            except RuntimeError as error:
                answer(error=str(error))

    @staticmethod
    def _offsets(order, number):
        size, batch = order["size"], order["batch"]
        start = number % (BUFFER_BYTE_COUNT // (size * batch)) * size * batch
        return [start + index * size for index in range(batch)]

    def _keys(self, order, number, kind):
        return [f"{kind}-{order['size']}-{number}-{index}" for index in range(order["batch"])]

    def _put_once(self, order, number, kind):
        self.put_batch(self._keys(order, number, kind), self._offsets(order, number), order["size"])

    def _get_once(self, order, number):
        self.get_batch(self._keys(order, number, "get"), self._offsets(order, number), order["size"])

    def _fill(self, order):
        for number in range(order["batches"]):
            self._put_once(order, number, "get")
        answer(ok=True)

    def _get(self, order):
        self._timed(order, lambda number: self._get_once(order, number % order["batches"]))

    def _put(self, order):
        def once(_):
            self._put_count += 1
            self._put_once(order, self._put_count, "put")

        self._timed(order, once)

    def _timed(self, order, once):
        latencies, started, number = [], time.perf_counter(), 0
        count = order.get("count")
        while number < count if count else time.perf_counter() - started < order["seconds"]:
            before = time.perf_counter()
            once(number)
            latencies.append(time.perf_counter() - before)
            number += 1
        seconds = time.perf_counter() - started
        answer(
            gb_per_second=number * order["size"] * order["batch"] / seconds / 1e9,
            p50_us=statistics.median(latencies) * 1e6,
        )

    def _verify(self, order):
        wrong, size = 0, order["size"]
        for number in range(order["batches"]):
            self._get_once(order, number)
            for offset in self._offsets(order, number):
                wrong += self.source[offset : offset + size] != self.target[offset : offset + size]
        answer(wrong=wrong)

    def _clear(self, order):
        self.remove_all()
        answer(ok=True)
