"""``python -m larder``, as a person uses it."""

import contextlib
import io
import json
import os
import subprocess
import sys
import unittest
from unittest import mock

from support import NodeCase

import larder
from larder.__main__ import main

NAMESPACE = '{"model":"m"}'


class Command(NodeCase):
    settings = {"memory": "64MiB", "unix": True, "options": ["--shared-writes", "true"]}

    def run_larder(self, *arguments, status=0, data=b""):
        """What it says: on its output if it says anything there, else on its error output."""
        streams = [io.TextIOWrapper(io.BytesIO(content)) for content in (data, b"", b"")]
        settings = {"LARDER_NODE": self.node.endpoint, "LARDER_USER": "", "LARDER_PASSWORD_FILE": ""}
        with (
            mock.patch.object(sys, "stdin", streams[0]),
            contextlib.redirect_stdout(streams[1]),
            contextlib.redirect_stderr(streams[2]),
            mock.patch.dict(os.environ, settings),
        ):
            done = main(arguments)
        for stream in streams:
            stream.flush()
        _, output, errors = (stream.buffer.getvalue() for stream in streams)
        self.assertEqual(done, status, output + errors)
        return output or errors

    def test_it_is_a_command_with_a_help_that_teaches(self):
        path = os.path.dirname(os.path.dirname(larder.__file__))
        done = subprocess.run(
            [sys.executable, "-m", "larder", "--help"],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            check=True,
        )
        self.assertIn(b"python -m larder put", done.stdout)

    def test_a_block_goes_in_and_comes_out(self):
        said = self.run_larder("put", "--ns", NAMESPACE, "hex:00ff", "-", "--tokens", "16", data=b"payload")
        self.assertEqual(said, b"stored\n")
        said = self.run_larder("put", "--ns", NAMESPACE, "hex:00ff", "-", data=b"other", status=1)
        self.assertTrue(said.startswith(b"refused: conflict"), said)
        self.assertEqual(self.run_larder("get", "--ns", NAMESPACE, "hex:00ff"), b"payload")
        path = str(self.node.directory / "copy")
        self.run_larder("get", "--ns", NAMESPACE, "hex:00ff", path)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"payload")
        said = self.run_larder("match", "--ns", NAMESPACE, "hex:00ff", "absent", status=1)
        self.assertEqual(said, b"1 of 2\n  memory  hex:00ff\n")
        said = self.run_larder("get", "--ns", NAMESPACE, "absent", status=1)
        self.assertTrue(said.startswith(b"absent: "), said)

    def test_describe_needs_no_node_and_says_what_the_node_says(self):
        path = self.node.directory / "namespace.json"
        path.write_text(' {"tokens_per_block":16, "model":"\\u006d", "dtype":"bfloat16"} ')
        said = self.run_larder("describe", f"@{path}").decode()
        self.assertEqual(said.split(" ")[0], "c5a0515cc687ac07c657e39fc6a6e5a2357b28779e4d0b444e4c58d85737f419")
        for wrong in ("{", "[]", '{"a":1.5}', '{"a":1,"a":2}', '{"a":null}'):
            self.run_larder("describe", wrong, status=64)

    def test_stats_and_bench(self):
        figures = json.loads(self.run_larder("stats", "--json"))
        self.assertIn("leases", figures)
        self.assertIn(b"leases", self.run_larder("stats"))
        small = ["--size", "0.5", "--count", "8", "--batch", "4", "--rounds", "1"]
        self.assertEqual(self.run_larder("bench", *small).count(b"by the socket"), 2)
        said = self.run_larder("bench", "--node", f"unix:{self.node.socket_path}", *small)
        self.assertEqual(said.count(b"by the node's memory"), 2)

    def test_what_is_wrong_is_said(self):
        said = self.run_larder("get", "--node", "127.0.0.1:1", "--ns", NAMESPACE, "k", status=69)
        self.assertIn(b"larder serve", said)
        self.run_larder("get", "--node", "rediss://h", "--ns", NAMESPACE, "k", status=64)
        self.run_larder("put", "--ns", NAMESPACE, "k", "/nowhere/at/all", status=74)
        self.run_larder("stats", "--user", "name", status=64)


if __name__ == "__main__":
    unittest.main()
