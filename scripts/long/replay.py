"""A recorded trace against `larder serve`, by `larder trace replay`, one request at a time.

TRACE has a JSON object a line with hash_ids, as `larder trace simulate --help` tells. Two nodes, one after the other:

ample: --memory 1GiB and disk for every block. The share of blocks hit must be that of a cache that never evicts, within
0.1 points; no wrong byte, no block that existed under a lease and could not be loaded, no refused store.

scarce: --memory 1GiB and --disk 2GiB. The share of blocks hit is told beside what an LRU of as many blocks hits in the
simulator, once with the disk's blocks and once with the memory's added. No wrong byte, and no block that existed under
a lease and could not be loaded; refused stores are told.
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys

from node import Node, NodeFailed, clean_up_at_end, require_linux, remove_directory, temporary_directory
from workload import GIB, KIB, Verdict, byte_count, in_units, say, table


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("LARDER_")}


class Run:
    """The nodes and what they hit."""

    COLUMNS = (
        ("seconds", "seconds", 1), ("hit %", "hit_percent", 2), ("endless %", "endless_hit_percent", 2),
        ("tokens %", "tokens_hit_percent", 2), ("loaded GB/s", "loaded_gb_per_second", 3),
        ("stored GB/s", "stored_gb_per_second", 3), ("p50 us", "request_p50_us", 0), ("p99 us", "request_p99_us", 0),
        ("from disk", "disk_matches", 0), ("failed", "existed_but_failed", 0), ("refused", "refused", 0),
        ("wrong", "wrong_blocks", 0),
    )

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("replay")
        self.work = temporary_directory(settings.work)
        self.trace = self._requests()
        self.unique = self._unique_block_count()
        self.rows = [("node",) + tuple(title for title, _, _ in self.COLUMNS)]

    def ample_disk(self):
        """Bytes of disk with room for every block, its header and what is not yet reclaimed."""
        return self.unique * self.settings.block_size * 5 // 4 + GIB

    def run(self):
        settings, expect = self.settings, self.verdict.expect
        ample = self._replay("ample", self.ample_disk())
        difference = ample["hit_percent"] - ample["endless_hit_percent"]
        expect(
            abs(difference) <= settings.tolerance,
            f"ample: {ample['hit_percent']:.2f} % hit, an endless cache {ample['endless_hit_percent']:.2f} %",
        )
        expect(ample["refused"] == 0, f"ample: {ample['refused']} stores refused: {ample['refusals']}")
        scarce = self._replay("scarce", settings.scarce_disk)
        if scarce["refused"]:
            say(f"scarce: {scarce['refused']} stores refused: {scarce['refusals']}")
        counts = [settings.scarce_disk // settings.block_size]
        counts.append(counts[0] + settings.memory // settings.block_size)
        simulated = self._simulate(counts)
        table(self.rows)
        return self.verdict.finish(
            f"{ample['requests']} requests, {ample['blocks']} blocks of {in_units(settings.block_size)}, "
            f"{self.unique} different; ample: {ample['hit_percent']:.2f} % hit, endless "
            f"{ample['endless_hit_percent']:.2f} %; scarce: {scarce['hit_percent']:.2f} % hit, "
            + ", ".join(f"LRU of {count} blocks {simulated[count]:.2f} %" for count in counts)
        )

    def _requests(self):
        """The trace's path, or that of its first requests."""
        if self.settings.requests is None:
            return self.settings.trace
        path = os.path.join(self.work, "trace.jsonl")
        with open(self.settings.trace) as whole, open(path, "w") as part:
            part.writelines(itertools.islice((line for line in whole if line.strip()), self.settings.requests))
        return path

    def _unique_block_count(self):
        blocks = set()
        with open(self.trace) as lines:
            for line in lines:
                if line.strip():
                    blocks.update(json.loads(line)["hash_ids"])
        return len(blocks)

    def _replay(self, name, disk):
        settings = self.settings
        say(f"{name}: --memory {in_units(settings.memory)}, --disk {in_units(disk)}")
        data = os.path.join(self.work, name)
        node = Node(settings.larder, data, os.path.join(self.work, f"{name}.log"), memory=settings.memory, disk=disk)
        node.start()
        command = [
            settings.larder, "trace", "replay", self.trace, "--node", f"127.0.0.1:{node.port}",
            "--block-size", str(settings.block_size), "--clients", str(settings.clients),
            "--timeout", "30s", "--keep", "--output", "json",
        ]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment(), timeout=7_200,
        )
        if not node.is_running:
            raise NodeFailed(f"{name}: the node died: {node.ending()}")
        try:
            figures = json.loads(done.stdout)[0]
        except (ValueError, IndexError):
            raise NodeFailed(f"{name}: no figures from larder trace replay, exit status {done.returncode}")
        self.rows.append(
            (name,) + tuple(f"{figures[key] or 0:.{digits}f}" for _, key, digits in self.COLUMNS)
        )
        self.verdict.expect(done.returncode == 0, f"{name}: larder trace replay ended with {done.returncode}")
        self.verdict.expect(figures["wrong_blocks"] == 0, f"{name}: {figures['wrong_blocks']} blocks with wrong bytes")
        self.verdict.expect(
            figures["existed_but_failed"] == 0,
            f"{name}: {figures['existed_but_failed']} blocks existed and could not be loaded",
        )
        status, _ = node.stop()
        self.verdict.expect(status == 0, f"{name}: exit status {status} after SIGTERM; {node.ending()}")
        if not settings.keep:
            remove_directory(data)
        return figures

    def _simulate(self, counts):
        """LRU's hits in per cent by blocks of the cache."""
        done = subprocess.run(
            [self.settings.larder, "trace", "simulate", self.trace, "--policy", "lru", "--puts", "head-first",
             "--blocks", ",".join(map(str, counts)), "--output", "json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment(), timeout=600, check=True,
        )
        row = next(row for row in json.loads(done.stdout) if row["policy"] == "lru")
        return {count: row[f"hit_percent_{count}"] for count in counts}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", metavar="TRACE", help="the trace, JSON lines")
    parser.add_argument("--larder", required=True, help="the larder program (scripts/long/replay.sh builds it)")
    parser.add_argument("--block-size", type=byte_count, default=64 * KIB, help="bytes of a block (default 64KiB)")
    parser.add_argument("--requests", type=int, default=None, help="only the first requests")
    parser.add_argument("--clients", type=int, default=1, help="requests at once (default 1; more may hit less)")
    parser.add_argument("--memory", type=byte_count, default=1 * GIB)
    parser.add_argument("--scarce-disk", type=byte_count, default=2 * GIB, help="disk of the second node (default 2GiB)")
    parser.add_argument("--tolerance", type=float, default=0.1, help="points below or above the endless cache (default 0.1)")
    parser.add_argument("--work", default=None, help="where the temporary directory goes (default TMPDIR or /tmp)")
    parser.add_argument("--keep", action="store_true", help="keep the data directories and the nodes' logs")
    settings = parser.parse_args()
    require_linux()
    clean_up_at_end(settings.keep)
    run = Run(settings)
    needed = max(run.ample_disk(), settings.scarce_disk)
    free = shutil.disk_usage(run.work).free
    if free < needed:
        raise SystemExit(f"error: needs {in_units(needed)} of free disk, there are {in_units(free)}")
    return run.run()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NodeFailed as failure:
        say(f"FAIL: replay: {failure}")
        sys.exit(1)
    except OSError as failure:
        raise SystemExit(f"error: {failure}")
