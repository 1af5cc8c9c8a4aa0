"""Runs `larder bench` and reads what it says."""

import json
import os
import subprocess

from node import NodeFailed


class BenchProgram:
    """`larder bench server` and `larder bench shared` with settings that a whole run shares."""

    def __init__(self, larder, results, rounds, seconds):
        self.larder = larder
        self.results = results
        self.rounds = rounds
        self.seconds = seconds

    def server(self, address, *arguments, versus=(), rounds=None, seconds=None):
        """Rows of one call, in the order of its cases and servers; errors and wrong bytes become rows of the table."""
        command = ["server", "--node", address, "--rounds", str(rounds or self.rounds)]
        if "--once" not in arguments and "--count" not in arguments:
            command += ["--seconds", str(seconds or self.seconds), "--warmup", "300ms"]
        if versus:
            command += ["--versus", ",".join(versus)]
        rows = self.call(*command, *arguments)
        for row in rows:
            # Keys are set in random order: a short round does not come to all of them.
            misses = 0 if row["op"] == "set" else row["misses"]
            if row["errors"] or row["wrong"] or misses:
                self.results.fault(
                    f"{row['op']} at {row['server']}",
                    f"{row['errors']} errors, {row['wrong']} wrong, {row['misses']} misses",
                )
        return rows

    def call(self, *arguments, timeout=300):
        """The rows of `larder bench ARGUMENTS --output json`."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LARDER_")}
        done = subprocess.run(
            [self.larder, "bench", *arguments, "--output", "json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=environment, timeout=timeout,
        )
        try:
            rows = json.loads(done.stdout)
        except ValueError:
            raise NodeFailed(f"larder bench {' '.join(arguments)}: {done.stderr.strip() or done.stdout[:300]}") from None
        return rows if isinstance(rows, list) else rows["rows"]
