"""Mooncake Store's own client, told by lines of JSON what to do (batches.py); runs where its wheel is.

  mooncake_driver.py node MASTER METADATA BYTES    lends so much memory to the store, and waits
  mooncake_driver.py client MASTER METADATA 0      puts and gets batches, with registered buffers
"""

import ctypes
import sys
import time

from batches import BUFFER_BYTE_COUNT, BatchClient, answer
from mooncake.store import MooncakeDistributedStore


def connect(master, metadata, segment_byte_count):
    store = MooncakeDistributedStore()
    status = store.setup("127.0.0.1", metadata, segment_byte_count, 64 << 20, "tcp", "", master)
    if status != 0:
        answer(error=f"setup gave {status}")
        sys.exit(1)
    return store


class MooncakeClient(BatchClient):
    """batch_put_from and batch_get_into, with both stretches registered."""

    def __init__(self, store):
        super().__init__()
        self._store = store
        self._source_address, self._target_address = (
            ctypes.addressof(ctypes.c_char.from_buffer(memory)) for memory in (self.source, self.target)
        )
        for address in (self._source_address, self._target_address):
            status = store.register_buffer(address, BUFFER_BYTE_COUNT)
            if status != 0:
                answer(error=f"register_buffer gave {status}")
                sys.exit(1)

    def put_batch(self, keys, offsets, size):
        places = [self._source_address + offset for offset in offsets]
        results = self._store.batch_put_from(keys, places, [size] * len(keys))
        if any(result != 0 for result in results):
            raise RuntimeError(f"batch_put_from gave {[result for result in results if result != 0][:3]}")

    def get_batch(self, keys, offsets, size):
        places = [self._target_address + offset for offset in offsets]
        results = self._store.batch_get_into(keys, places, [size] * len(keys))
        if any(result != size for result in results):
            raise RuntimeError(f"batch_get_into gave {[result for result in results if result != size][:3]}")

    def remove_all(self):
        # What was read lately has a lease of half a second.
        limit = time.monotonic() + 10
        while self._store.remove_all() != 0 and time.monotonic() < limit:
            time.sleep(0.1)


def main():
    role, master, metadata, byte_count = sys.argv[1:5]
    store = connect(master, metadata, int(byte_count))
    if role == "client":
        MooncakeClient(store).serve()
        return
    answer(ok=True)
    sys.stdin.read()


main()
