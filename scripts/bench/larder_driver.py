"""Larder's Python client, told by lines of JSON what to do (batches.py).

  larder_driver.py PACKAGES ADDRESS    PACKAGES is the directory that has the package larder
"""

import sys

from batches import BatchClient


class LarderClient(BatchClient):
    """put_from and get_into."""

    def __init__(self, larder, address):
        super().__init__()
        self._client = larder.Client(address, deadline=60, breaker=None)
        self._namespace = self._client.describe({"model": "bench", "dtype": "uint8", "client": "python"})
        self._client.hello()
        self._source, self._target = memoryview(self.source), memoryview(self.target)

    def put_batch(self, keys, offsets, size):
        payloads = [self._source[offset : offset + size] for offset in offsets]
        results = self._client.put_from(self._namespace, [key.encode() for key in keys], payloads)
        if any(result.status != "stored" for result in results):
            raise RuntimeError(f"put_from gave {results[:3]}")

    def get_batch(self, keys, offsets, size):
        places = [self._target[offset : offset + size] for offset in offsets]
        if not all(self._client.get_into(self._namespace, [key.encode() for key in keys], places)):
            raise RuntimeError("get_into missed")

    def remove_all(self):
        self._client.clear(self._namespace)


sys.path.insert(0, sys.argv[1])
import larder  # noqa: E402

LarderClient(larder, sys.argv[2]).serve()
