"""What the tests share: the package beside them, nodes that live as long as a test case, and bytes."""

from __future__ import annotations

import logging
import os
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from node import Node  # noqa: E402

import larder  # noqa: E402

# Outages are what these tests are about; nobody needs to read of them.
logging.getLogger("larder").addHandler(logging.NullHandler())
logging.getLogger("larder").propagate = False

DESCRIPTION = {"model": "m", "dtype": "bfloat16", "tokens_per_block": 16}
_PATTERN = os.urandom(1 << 16)


def payload(size, seed):
    """`size` bytes that are not those of another seed."""
    pattern = _PATTERN[seed % 251 :] + _PATTERN[: seed % 251]
    whole = (pattern * (size // len(pattern) + 1))[:size]
    mark = seed.to_bytes(8, "big")
    return (mark + whole[8:] + mark)[:size] if size > 16 else whole[:size]


def eventually(condition):
    """Asks until it is so. What is given back travels on its own connection, and arrives when it arrives."""
    patience = time.monotonic() + 60
    while not condition():
        if time.monotonic() > patience:
            raise AssertionError("it never came to be so")
        time.sleep(0.001)


class NodeCase(unittest.TestCase):
    """Tests against one live node; `settings` are `Node`'s."""

    settings: dict = {}

    @classmethod
    def setUpClass(cls):
        cls.node = Node(**cls.settings)
        cls.addClassCleanup(cls.node.stop)

    def client(self, endpoint=None, **options):
        """A client that is closed with the test. Its deadline is generous: the machine may be slow."""
        options.setdefault("deadline", 30)
        client = larder.Client(endpoint or self.node.endpoint, **options)
        self.addCleanup(client.close)
        return client

    def until_leases_are(self, count):
        """Waits until the node holds so many leases and loans."""
        client = self.client()
        eventually(lambda: client.stats()["leases"] == count)

    def namespace(self, client):
        """A namespace of this test alone."""
        return client.describe({**DESCRIPTION, "test": self.id()})
