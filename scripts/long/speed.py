"""Ratios of Larder to Redis 7.0, by `larder bench --versus` alone.

Both servers run at once and are measured in turn (A B A B ...); a figure is the median over the rounds with the
smallest and the largest round in brackets, and a ratio is the median of the rounds' ratios: 1.20 means that Larder does
1.2 times what Redis does. Redis keeps nothing on disk (save "", appendonly no), and neither does this node; --disk adds
the same with a disk tier under the node, where every SET is also written behind. Every payload is read once more after
the timed part and compared.
"""

import argparse
import json
import os
import subprocess
import sys

from node import Node, NodeFailed, Redis, clean_up_at_end, require_linux, temporary_directory
from workload import Verdict, say, table


class Run:
    """The two servers and the cases."""

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("speed")
        self.rows = [("case", "larder", "redis", "unit", "ratio", "rounds' ratios", "larder p50/p99 us", "redis p50/p99 us")]
        self.ratios = []

    def run(self):
        work = temporary_directory()
        redis = Redis(os.path.join(work, "redis.log"))
        redis.start()
        self._measure("", Node(
            self.settings.larder, None, os.path.join(work, "node.log"), memory=self.settings.memory
        ), redis, decides=True)
        if self.settings.disk:
            self._measure("disk tier: ", Node(
                self.settings.larder, os.path.join(work, "data"), os.path.join(work, "node-disk.log"),
                memory=self.settings.memory, disk="4GiB",
            ), redis, decides=False)
        redis.stop()
        table(self.rows)
        return self.verdict.finish("; ".join(self.ratios))

    def _measure(self, title, node, redis, decides):
        node.start()
        for name, arguments, must_be_level in (
            ("GET 2 MiB", ["--op", "get", "--size", "2MiB", "--inflight", "1,4"], True),
            ("SET 2 MiB", ["--op", "set", "--size", "2MiB", "--inflight", "1,4"], True),
            # Told, not judged: EXISTS neither learns what is used nor says which tier has it.
            ("MATCH of 1000 keys", ["--op", "match", "--keys", "1000"], False),
        ):
            rows = self._bench(node, redis, arguments)
            for ours, theirs in zip(rows[::2], rows[1::2]):
                self._judge(f"{title}{name}, {ours['in_flight']} in flight", ours, theirs, decides and must_be_level)
        status, _ = node.stop()
        self.verdict.expect(status == 0, f"exit status {status} after SIGTERM; {node.ending()}")

    def _bench(self, node, redis, arguments):
        command = [
            self.settings.larder, "bench", "--node", f"127.0.0.1:{node.port}", "--versus", f"127.0.0.1:{redis.port}",
            "--rounds", str(self.settings.rounds), "--seconds", str(self.settings.seconds), "--output", "json", *arguments,
        ]
        say(f"larder bench {' '.join(arguments)}")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LARDER_")}
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment, timeout=120 + 40 * self.settings.rounds * (self.settings.seconds + 2),
        )
        if done.stderr.strip():
            say(f"    {done.stderr.strip()}")
        if done.returncode != 0:
            self.verdict.violation(f"larder bench {' '.join(arguments)}: exit status {done.returncode}")
        try:
            rows = json.loads(done.stdout)
        except ValueError:
            self.verdict.violation(f"no JSON from larder bench: {done.stdout[:300]!r}")
            return []
        return rows if isinstance(rows, list) else rows.get("rows", [])

    def _judge(self, name, ours, theirs, decides):
        moves_payloads = ours.get("gb_per_second") is not None
        figure, unit = ("gb_per_second", "GB/s") if moves_payloads else ("keys_per_second", "keys/s")
        ratio = ours.get("ratio") or {}
        median = ratio.get("median", 0.0)
        digits = 2 if moves_payloads else 0
        self.rows.append((
            name, self._spread(ours[figure], digits), self._spread(theirs[figure], digits), unit, f"{median:.2f}",
            f"{ratio.get('min', 0):.2f}-{ratio.get('max', 0):.2f}", self._latency(ours), self._latency(theirs),
        ))
        self.ratios.append(f"{name} {median:.2f}")
        for side, row in (("larder", ours), ("redis", theirs)):
            self.verdict.expect(
                row.get("errors") == 0 and row.get("wrong") == 0 and row.get("misses") == 0,
                f"{name}, {side}: {row.get('errors')} errors, {row.get('wrong')} wrong, {row.get('misses')} misses",
            )
        if decides:
            self.verdict.expect(median >= self.settings.at_least,
                                f"{name}: {median:.2f} times Redis, wanted at least {self.settings.at_least:.2f}")

    @staticmethod
    def _spread(spread, digits):
        return f"{spread['median']:.{digits}f} [{spread['min']:.{digits}f}-{spread['max']:.{digits}f}]"

    @staticmethod
    def _latency(row):
        return f"{row['p50_us']['median']:.0f}/{row['p99_us']['median']:.0f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/speed.sh builds it)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each server in each case (default 7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of a round (default 2)")
    parser.add_argument("--memory", default="1GiB", help="the node's RAM")
    parser.add_argument("--at-least", type=float, default=0.95, help="the smallest ratio that counts as level (default 0.95: noise)")
    parser.add_argument("--disk", action="store_true", help="measure a node with a disk tier as well")
    parser.add_argument("--keep", action="store_true", help="keep the servers' logs")
    settings = parser.parse_args()
    require_linux()
    clean_up_at_end(settings.keep)
    return Run(settings).run()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NodeFailed as failure:
        say(f"FAIL: speed: {failure}")
        sys.exit(1)
