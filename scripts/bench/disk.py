"""Sections of the disk tier: puts for 20 GiB, and cold gets beside what fio reads."""

import json
import os
import shutil
import subprocess
import time

from figures import Spread, at_least, at_most
from node import Node, NodeFailed, temporary_directory
from servers import start_claimed
from workload import GIB, say

BLOCK = 2 << 20


def put(run):
    """2 MiB that no codec makes smaller, one connection, as fast as they are taken; the time until all are on disk."""
    total = run.put_byte_count
    work = temporary_directory(run.work)
    if shutil.disk_usage(work).free < 12 * GIB:
        return run.results.absent("disk: put 2 MiB", "less than 12 GiB of disk are free")
    for in_flight in ("1", "4") if run.is_thorough else ("1",):
        data = os.path.join(work, f"put{in_flight}")
        node = Node(run.larder, data, os.path.join(work, "node.log"), memory="2GiB", disk="8GiB")
        start_claimed(node, 2 * GIB)
        before, started = node.written_byte_count(), time.monotonic()
        row = run.bench.server(
            f"127.0.0.1:{node.port}", "--op", "kvput", "--size", "2MiB", "--inflight", in_flight, "--keys", "256",
            "--count", str(total // BLOCK), "--warmup", "0ms", "--keep", "--unverified", rounds=1,
        )[0]
        acknowledged = time.monotonic() - started
        settled = _until_written(node)
        written = node.written_byte_count() - before
        what = f"disk: put 2 MiB, {in_flight} in flight, {total / GIB:.0f} GiB"
        speed = total / (settled - started) / 1e9
        run.results.figure(
            f"{what}, until all is on disk", Spread([speed]), at_least(1.0, "1.0 GB/s"),
            unit="GB/s", against=f"acknowledged at {total / acknowledged / 1e9:.2f} GB/s",
        )
        run.results.figure(
            f"{what}, written / payload", Spread([written / total]), at_most(1.05, "1.05"), digits=3
        )
        run.results.figure(
            f"{what}, p99 of acknowledgements", Spread([row["p99_us"]["median"] / 1e3]), at_most(5, "5 ms"), unit="ms",
            against=f"p50 {row['p50_us']['median'] / 1e3:.2f} ms, max {row['max_us']['median'] / 1e3:.0f} ms",
        )
        node.stop()
        shutil.rmtree(data, ignore_errors=True)
        if shutil.which("fio"):
            direct = _fio(os.path.join(work, "fio"), 4 * GIB, "write", 1, direct=True)
            run.results.ratio(f"{what}, until all is on disk", Spread([speed]), Spread([direct]), "fio, direct, 4 GiB")


def _until_written(node):
    """When the node wrote its last byte: nothing more for a second."""
    last, since = -1, time.monotonic()
    limit = since + 60
    while time.monotonic() < limit:
        now = node.written_byte_count()
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > 1:
            break
        time.sleep(0.02)
    return since


def cold_get(run):
    """2 MiB blocks in random order, each once, after a restart with nothing in the page cache; fio in between."""
    if shutil.which("fio") is None:
        return run.results.absent("disk: cold get 2 MiB", "no fio")
    count = run.cold_byte_count // BLOCK
    work = temporary_directory(run.work)
    data = os.path.join(work, "cold")
    node = Node(run.larder, data, os.path.join(work, "node.log"), memory="1GiB", disk="6GiB")
    start_claimed(node, GIB)
    keys = ("--op", "kvget", "--size", "2MiB", "--keys", str(count), "--name", "cold", "--keep")
    run.bench.server(f"127.0.0.1:{node.port}", *keys, "--count", "1", "--warmup", "0ms", "--unverified", rounds=1)
    node.stop()
    fio_file = os.path.join(work, "fio")
    _fio(fio_file, run.cold_byte_count, "write", 1, direct=True)
    mine = {"1": [], "4": []}
    direct, buffered = {"1": [], "4": []}, {"1": [], "4": []}
    for _ in range(run.few):
        for in_flight in mine:
            start_claimed(node, GIB)
            how = _forget(data)
            row = run.bench.server(
                f"127.0.0.1:{node.port}", *keys, "--stored", "--once", "--unverified", "--inflight", in_flight,
                "--seed", "1", rounds=1,
            )[0]
            mine[in_flight].append(row["gb_per_second"]["median"])
            node.stop()
            direct[in_flight].append(_fio(fio_file, run.cold_byte_count, "randread", int(in_flight), direct=True))
            _forget(work)
            buffered[in_flight].append(_fio(fio_file, run.cold_byte_count, "randread", int(in_flight), direct=False))
    for in_flight, figures in mine.items():
        what = f"disk: cold get 2 MiB, {in_flight} in flight"
        run.results.ratio(
            what, Spread(figures), Spread(direct[in_flight]), "fio, direct", at_least(0.8, "0.8 x fio, direct")
        )
        run.results.ratio(what, Spread(figures), Spread(buffered[in_flight]), f"fio, buffered, after {how}")
    node.start()
    row = run.bench.server(f"127.0.0.1:{node.port}", *keys, "--stored", "--count", "64", "--warmup", "0ms", rounds=1)[0]
    say(f"    {row['verified']} blocks compared with what was stored")
    node.stop()


def _forget(directory):
    """Empties the page cache; without the right to, at least of the files of one directory. Says which."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3\n")
        return "drop_caches"
    except OSError:
        for parent, _, names in os.walk(directory):
            for name in names:
                file = os.open(os.path.join(parent, name), os.O_RDONLY)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)
        return "fadvise"


def _fio(path, byte_count, how, jobs, direct):
    """GB/s of `how` over the whole file in pieces of 2 MiB, by `jobs` threads that share it."""
    share = byte_count // jobs // BLOCK * BLOCK
    command = [
        "fio", "--name=bench", f"--filename={path}", f"--rw={how}", "--bs=2m", f"--size={share}", f"--numjobs={jobs}",
        f"--offset_increment={share}", "--thread", "--ioengine=psync", f"--direct={int(direct)}", "--group_reporting",
        "--invalidate=1", "--refill_buffers", "--output-format=json", "--end_fsync=1",
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise NodeFailed(f"fio: {done.stderr.strip() or done.stdout[-300:]}")
    job = json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]
    return job["write" if how == "write" else "read"]["bw_bytes"] / 1e9
