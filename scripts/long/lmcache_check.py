"""Unmodified LMCache against a node, by each way it can use a remote server.

  redis, resp, valkey, lm    the connectors behind RemoteBackend, as LMCache's in-process engine uses them
  l2resp, l2valkey           the L2 adapters of its multi-process mode
  plugin, l2plugin           the same two places with the plugins of the Python package larder

For chunks of 1 to 32 MiB: put, look up, get with equal bytes, batches, prefixes with a hole, overwrite, missing keys,
a storm of misses. Then the node is stopped in order and started again, and a fresh client must find all chunks again,
with equal bytes, from disk.

The plugins also meet a node with users: who has the right password shares chunks, everyone else has misses, a line in
the log that says why, and no password in it.

Each way runs in a process of its own under a watchdog, since LMCache's native client (resp, l2resp) can lose a
completion of its own and then waits for ever (it submits, and registers what to wake afterwards): such a call is
repeated a few times and counted as "lost completion". The same client hangs on the plain nil that an in-process key
gets for a GET of a missing key; LMCache's own time limit ends that call with a miss, and one of its 8 threads is gone.
It is asked only once, at the very end. Multi-process keys get a nil of the length that the client reads, so that a
miss is a miss.

--control runs the same against redis-server (and skips lm): what Redis itself passes of these checks.
"""

import argparse
import concurrent.futures
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

from node import Node, NodeFailed, Redis, clean_up_at_end, free_port, require_linux, temporary_directory
from workload import MIB, Content, Verdict, new_seed, say

PYTHON = pathlib.Path(__file__).resolve().parents[2] / "python"
sys.path.insert(0, str(PYTHON))

WAYS = ["redis", "resp", "valkey", "lm", "l2resp", "l2valkey", "plugin", "l2plugin"]
SIZES = [1, 2, 4, 8, 16, 32]
MODEL = "check/llama-8b"
USER, PASSWORD, WRONG = "engine", "Open:Sesame/1", "Sesame/2"


def chunk_count(mebibytes):
    """Chunks of a size: fewer of the large ones."""
    return max(3, min(8, 64 // mebibytes))


def recipe_of(name, port):
    """A file of python/recipes, with the address of this check's node in it."""
    import yaml

    text = (PYTHON / "recipes" / name).read_text()
    for written in ("7379", "7380"):
        text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}").replace(f'"port": {written}', f'"port": {port}')
    return yaml.safe_load(text)


class LostCompletion(Exception):
    """A call did not return in time."""


def within(seconds, call, attempts=1, note=None):
    """Runs a call that may never return on a thread of its own; repeats it when it does not."""
    for _ in range(attempts):
        result = {}

        def run():
            try:
                result["value"] = call()
            except BaseException as error:  # handed to the caller below
                result["error"] = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(seconds)
        if not thread.is_alive():
            if "error" in result:
                raise result["error"]
            return result["value"]
        if note is not None:
            note()
    raise LostCompletion(f"no return within {seconds} s, {attempts} times")


class Report:
    """Lines to the parent: one a check."""

    def __init__(self, way):
        self.way = way
        self.lost = 0

    def check(self, name, holds, detail=""):
        print(f"CHECK\t{'ok' if holds else 'FAIL'}\t{self.way}: {name}\t{detail}", flush=True)

    def lost_completion(self):
        self.lost += 1
        print(f"NOTE\t{self.way}: lost completion {self.lost} (LMCache's client)", flush=True)


class InProcess:
    """RemoteBackend with one of the connectors, for one chunk size."""

    def __init__(self, way, port, mebibytes, content, report, credentials=None):
        import asyncio

        import torch
        from lmcache.utils import CacheEngineKey
        from lmcache.v1.config import LMCacheEngineConfig
        from lmcache.v1.metadata import LMCacheMetadata
        from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend
        from lmcache.v1.storage_backend.remote_backend import RemoteBackend

        self.way, self.mebibytes, self.content, self.report = way, mebibytes, content, report
        self.asyncio, self.torch, self.key_type = asyncio, torch, CacheEngineKey
        self.attempts = 4 if way == "resp" else 1
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        # No recipe for resp: its in-process form is not to be used.
        recipe = {"remote_url": f"resp://127.0.0.1:{port}"} if way == "resp" else recipe_of(f"lmcache-{way}.yaml", port)
        if way == "plugin":
            recipe["extra_config"]["larder"].update(credentials or {})
        here = {
            "local_cpu": False, "max_local_cpu_size": max(0.25, mebibytes * 24 / 1024), "save_unfull_chunk": False,
            "extra_config": {"save_chunk_meta": False, **recipe.get("extra_config", {})}, "blocking_timeout_secs": 10,
        }
        configuration = LMCacheEngineConfig.from_defaults(**{**recipe, **here})
        # [2, layers, 256, 128] of bf16 is 128 KiB a layer.
        self.model = f"{MODEL}-{way}"  # the ways share a key space
        self.metadata = LMCacheMetadata(self.model, 1, 1, 0, 0, torch.bfloat16, (8 * mebibytes, 2, 256, 1, 128))
        self.local = LocalCPUBackend(configuration, self.metadata, "cpu")
        named = {"plugin_name": "larder"} if way == "plugin" else {}
        self.backend = within(
            60, lambda: RemoteBackend(configuration, self.metadata, self.loop, self.local, "cpu", **named)
        )
        if self.backend.connection is None:
            raise RuntimeError("LMCache could not connect")

    def key(self, name):
        number = int.from_bytes(f"{self.mebibytes}/{name}".encode(), "big") & ((1 << 63) - 1)
        return self.key_type(self.model, 1, 0, number, self.torch.bfloat16)

    def payload(self, name, version=1):
        return self.content.make(f"{self.way} {self.mebibytes}/{name}".encode(), self.mebibytes * MIB, version)

    def chunk(self, name, version=1):
        chunk = self.local.allocate(self.metadata.get_shapes(), self.metadata.get_dtypes())
        memoryview(chunk.byte_array).cast("B")[:] = self.payload(name, version)
        return chunk

    def _call(self, call, seconds=30):
        return within(seconds, call, self.attempts, self.report.lost_completion)

    def _wait(self, coroutine, seconds=30):
        return self._call(
            lambda: self.asyncio.run_coroutine_threadsafe(coroutine(), self.loop).result(seconds), seconds + 1
        )

    def _equal(self, chunk, name, version=1):
        """Whether a chunk that was got is right; gives it back."""
        if chunk is None:
            return False
        right = memoryview(chunk.byte_array).cast("B") == self.payload(name, version)
        shaped = list(chunk.get_shape()) == list(self.metadata.get_shapes()[0]) and chunk.get_dtype() == self.torch.bfloat16
        chunk.ref_count_down()
        return right and shaped

    def _check(self, name, call):
        """Runs one check; what it raises is a failure."""
        try:
            seen = call()
            self.report.check(f"{self.mebibytes} MiB: {name}", seen is True, "" if seen is True else f"got {seen!r}")
        except Exception as error:
            self.report.check(f"{self.mebibytes} MiB: {name}", False, f"{type(error).__name__}: {error}")

    def first(self):
        """Everything before the restart."""
        names = [f"c{number}" for number in range(chunk_count(self.mebibytes))]
        keys = [self.key(name) for name in names]
        missing = self.key("missing")
        call, check = self._call, self._check
        check("missing key is not there", lambda: call(lambda: self.backend.contains(missing)) is False)
        check("put", lambda: self._put(names[0]))
        check("look up", lambda: self._appears(keys[0]))
        check("get, equal bytes", lambda: self._equal(call(lambda: self.backend.get_blocking(keys[0])), names[0]))
        check("batched put", lambda: self._put_batch(names[1:]))
        check("batched put is there", lambda: all(self._appears(key) for key in keys[1:]))
        check("batched look up", lambda: call(lambda: self.backend.batched_contains(keys)) == len(keys))
        check("batched look up, hole at 2",
              lambda: call(lambda: self.backend.batched_contains(keys[:2] + [missing] + keys[2:])) == 2)
        check("asynchronous look up, hole at 1", lambda: self._wait(
            lambda: self.backend.batched_async_contains("l1", keys[:1] + [missing] + keys[1:])) == 1)
        check("batched get, equal bytes", lambda: self._get_batch(keys, names))
        check("asynchronous batched get", lambda: self._get_without_blocking(keys, names))
        check("overwrite", lambda: self._put(names[0], version=2))
        check("get what overwrote", lambda: self._comes(keys[0], names[0], 2))
        if self.way != "resp":
            check("get of a missing key", lambda: call(lambda: self.backend.get_blocking(missing)) is None)
            check("batched get with a hole", lambda: self._get_with_hole(keys, names, missing))
            check("storm of misses", lambda: all(
                call(lambda key=self.key(f"miss{number}"): self.backend.get_blocking(key)) is None
                for number in range(24)))
        check("concurrent use", lambda: self._concurrently([f"t{number}" for number in range(4)]))
        check("looked-up misses", lambda: not any(
            call(lambda key=self.key(f"miss{number}"): self.backend.contains(key)) for number in range(24)))
        check("alive at the end", lambda: self._equal(call(lambda: self.backend.get_blocking(keys[1])), names[1]))

    def second(self):
        """After the restart, with a fresh client."""
        names = [f"c{number}" for number in range(chunk_count(self.mebibytes))]
        keys = [self.key(name) for name in names]
        call, check = self._call, self._check
        check("after a restart: look up", lambda: call(lambda: self.backend.batched_contains(keys)) == len(keys))
        check("after a restart: the overwritten one", lambda: self._equal(
            call(lambda: self.backend.get_blocking(keys[0])), names[0], 2))
        check("after a restart: batched get", lambda: self._get_batch(keys[1:], names[1:]))
        check("after a restart: put", lambda: self._put("new"))
        check("after a restart: get", lambda: self._comes(self.key("new"), "new"))
        missing = self.key("missing")
        check("after a restart: missing key", lambda: call(lambda: self.backend.contains(missing)) is False)

    def last(self):
        """The GET of a missing key that costs LMCache's native client a thread: a miss by its own time limit."""
        self._check("get of a missing key ends as a miss",
                    lambda: within(15, lambda: self.backend.get_blocking(self.key("missing"))) is None)
        self._check("alive after it", lambda: self._equal(
            self._call(lambda: self.backend.get_blocking(self.key("c1"))), "c1"))

    @property
    def adapter_of_larder(self):
        return getattr(self.backend.connection, "_connector", self.backend.connection)

    def as_user(self, who, is_let_in):
        """At a node with users: `who` is let in, or has misses."""
        names = ["c0", "c1"]
        keys = [self.key(name) for name in names]
        call, check = self._call, self._check
        if is_let_in:
            check(f"{who}: put", lambda: self._put_batch(names))
            check(f"{who}: look up", lambda: all(self._appears(key) for key in keys))
            check(f"{who}: get", lambda: self._get_batch(keys, names))
            return
        check(f"{who}: look up misses", lambda: call(lambda: self.backend.batched_contains(keys)) == 0)
        check(f"{who}: put ends", lambda: (self._put("c2"), True)[1])
        check(f"{who}: get misses", lambda: [call(lambda key=key: self.backend.get_blocking(key)) for key in keys]
              == [None] * 2)

    def _put(self, name, version=1):
        self._call(lambda: self.backend.submit_put_task(self.key(name), self.chunk(name, version)).result(30), 31)
        return self.backend.put_failed_count == 0

    def _put_batch(self, names):
        self.backend.batched_submit_put_task([self.key(name) for name in names], [self.chunk(name) for name in names])
        return True

    def _appears(self, key):
        """Puts of a batch are asynchronous, and the lm protocol answers none: wait a little."""
        for _ in range(200):
            if self._call(lambda: self.backend.contains(key)):
                return True
            time.sleep(0.02)
        return False

    def _comes(self, key, name, version=1):
        for _ in range(50):
            if self._equal(self._call(lambda: self.backend.get_blocking(key)), name, version):
                return True
            time.sleep(0.02)
        return False

    def _concurrently(self, names):
        """Puts and gets from several threads at once."""
        with concurrent.futures.ThreadPoolExecutor(len(names)) as threads:
            return all(threads.map(lambda name: self._put(name) and self._comes(self.key(name), name), names))

    def _get_batch(self, keys, names):
        chunks = self._call(lambda: self.backend.batched_get_blocking(keys), 60)
        return all([self._equal(chunk, name) for chunk, name in zip(chunks, names)]) and len(chunks) == len(keys)

    def _get_without_blocking(self, keys, names):
        chunks = self._wait(lambda: self.backend.batched_get_non_blocking("l2", keys), 60)
        return all([self._equal(chunk, name) for chunk, name in zip(chunks, names)]) and len(chunks) == len(keys)

    def _get_with_hole(self, keys, names, missing):
        chunks = self._call(lambda: self.backend.batched_get_blocking([keys[1], missing, keys[2]]), 60)
        return (self._equal(chunks[0], names[1]), chunks[1] is None, self._equal(chunks[2], names[2])) == (True,) * 3


class MultiProcess:
    """An L2 adapter, for one chunk size."""

    def __init__(self, way, port, mebibytes, content, report, credentials=None):
        import select

        import torch
        from lmcache.v1.distributed.api import ObjectKey
        from lmcache.v1.distributed.internal_api import L1MemoryDesc
        from lmcache.v1.distributed.l2_adapters import create_l2_adapter
        from lmcache.v1.memory_management import MemoryFormat, MemoryObjMetadata, TensorMemoryObj
        from lmcache.v1.platform import consume_fd

        self.way, self.mebibytes, self.content, self.report = way, mebibytes, content, report
        self.select, self.torch, self.consume = select, torch, consume_fd
        self.key_type, self.chunk_types = ObjectKey, (MemoryObjMetadata, TensorMemoryObj, MemoryFormat)
        from lmcache.v1.distributed.l2_adapters.plugin_l2_adapter import PluginL2AdapterConfig
        from lmcache.v1.distributed.l2_adapters.resp_l2_adapter import RESPL2AdapterConfig
        from lmcache.v1.distributed.l2_adapters.valkey_l2_adapter import ValkeyL2AdapterConfig

        kinds = {"l2resp": RESPL2AdapterConfig, "l2valkey": ValkeyL2AdapterConfig, "l2plugin": PluginL2AdapterConfig}
        recipe = recipe_of(f"lmcache-{way.replace('l2', 'l2-')}.json", port)
        if way == "l2plugin":
            recipe["adapter_params"].update(credentials or {})
        configuration = kinds[way].from_dict(recipe)
        buffer = torch.empty(MIB, dtype=torch.uint8)
        memory = L1MemoryDesc(ptr=buffer.data_ptr(), size=MIB, align_bytes=1)
        self.buffer = buffer
        self.adapter = within(60, lambda: create_l2_adapter(configuration, l1_memory_desc=memory))

    def key(self, name):
        digest = self.content.make(f"hash {self.mebibytes}/{name}".encode(), 32)
        return self.key_type(chunk_hash=digest, model_name=f"{MODEL}-{self.way}-{self.mebibytes}", kv_rank=0x08050401)

    def payload(self, name, version=1):
        return self.content.make(f"{self.way} {self.mebibytes}/{name}".encode(), self.mebibytes * MIB, version)

    def chunk(self, filled=None, version=1):
        metadata_type, chunk_type, formats = self.chunk_types
        data = self.torch.zeros(self.mebibytes * MIB // 2, dtype=self.torch.bfloat16)
        metadata = metadata_type(
            shape=data.shape, dtype=data.dtype, address=data.data_ptr(), phy_size=self.mebibytes * MIB,
            fmt=formats.KV_2LTD, ref_count=1,
        )
        chunk = chunk_type(data, metadata, parent_allocator=None)
        if filled is not None:
            memoryview(chunk.byte_array).cast("B")[:] = self.payload(filled, version)
        return chunk

    def _check(self, name, call):
        try:
            seen = call()
            self.report.check(f"{self.mebibytes} MiB: {name}", seen is True, "" if seen is True else f"got {seen!r}")
        except Exception as error:
            self.report.check(f"{self.mebibytes} MiB: {name}", False, f"{type(error).__name__}: {error}")

    def _wait(self, descriptor, query, seconds=30):
        """Waits for an event and its result."""
        poll, end = self.select.poll(), time.monotonic() + seconds
        poll.register(descriptor, self.select.POLLIN)
        while time.monotonic() < end:
            if poll.poll(200):
                try:
                    self.consume(descriptor)
                except BlockingIOError:
                    pass
            result = query()
            if result is not None:
                return result
        raise LostCompletion(f"no completion within {seconds} s")

    def store(self, names, version=1):
        chunks = [self.chunk(name, version) for name in names]  # the adapter borrows their memory until it is done
        task = self.adapter.submit_store_task([self.key(name) for name in names], chunks)
        result = self._wait(
            self.adapter.get_store_event_fd(), lambda: self.adapter.pop_completed_store_tasks().get(task)
        )
        return bool(chunks) and result.is_successful()

    def look_up(self, names):
        keys = [self.key(name) for name in names]
        task = self.adapter.submit_lookup_and_lock_task(keys, {})
        found = self._wait(
            self.adapter.get_lookup_and_lock_event_fd(), lambda: self.adapter.query_lookup_and_lock_result(task)
        )
        bits = [bool(found.test(index)) for index in range(len(keys))]
        self.adapter.submit_unlock([key for key, bit in zip(keys, bits) if bit])
        return bits

    def load(self, names, version=1):
        """For each name: True when loaded with right bytes, None when missed, False when wrong."""
        chunks = [self.chunk() for _ in names]
        task = self.adapter.submit_load_task([self.key(name) for name in names], chunks)
        loaded = self._wait(self.adapter.get_load_event_fd(), lambda: self.adapter.query_load_result(task))
        return [
            (memoryview(chunk.byte_array).cast("B") == self.payload(name, version)) if loaded.test(index) else None
            for index, (name, chunk) in enumerate(zip(names, chunks))
        ]

    def store_while_loading(self, names):
        """LMCache stores from one thread and loads from another."""
        with concurrent.futures.ThreadPoolExecutor(1) as stores:
            stored = stores.submit(lambda: all(self.store([f"t{number}"]) for number in range(4)))
            loaded = all(self.load(names) == [True] * len(names) for _ in range(4))
            return stored.result() and loaded and self.load([f"t{number}" for number in range(4)]) == [True] * 4

    def first(self):
        names = [f"c{number}" for number in range(chunk_count(self.mebibytes))]
        count, check = len(names), self._check
        check("missing keys are not there", lambda: self.look_up(["m1", "m2"]) == [False, False])
        check("store", lambda: self.store(names))
        check("look up", lambda: self.look_up(names) == [True] * count)
        check("look up with holes",
              lambda: self.look_up(["m1", names[0], "m2", names[1]]) == [False, True, False, True])
        check("load, equal bytes", lambda: self.load(names) == [True] * count)
        check("load of a missing key", lambda: self.load(["m1"]) == [None])
        check("load with a hole", lambda: self.load([names[0], "m1", names[1]]) == [True, None, True])
        check("storm of misses", lambda: self.load([f"miss{number}" for number in range(24)]) == [None] * 24)
        check("alive after the storm", lambda: self.load(names) == [True] * count)
        check("stores while it loads", lambda: self.store_while_loading(names))
        check("store again", lambda: self.store(names[:1], version=2))
        check("load what was stored again", lambda: self.load(names[:1], version=2) == [True])
        check("delete", lambda: (self.adapter.delete([self.key(names[1])]), self.look_up(names[:2]))[1] == [True, False])
        check("load of the deleted key", lambda: self.load([names[1]]) == [None])
        check("store of the deleted key", lambda: self.store([names[1]]))

    @property
    def adapter_of_larder(self):
        return self.adapter

    def as_user(self, who, is_let_in):
        """At a node with users: `who` is let in, or has misses."""
        names, check = ["c0", "c1"], self._check
        if is_let_in:
            check(f"{who}: store", lambda: self.store(names))
            check(f"{who}: look up", lambda: self.look_up(names) == [True] * 2)
            check(f"{who}: load", lambda: self.load(names) == [True] * 2)
            return
        check(f"{who}: look up misses", lambda: self.look_up(names) == [False] * 2)
        check(f"{who}: store fails and ends", lambda: self.store(["c2"]) is False)
        check(f"{who}: load misses", lambda: self.load(names) == [None] * 2)

    def second(self):
        names = [f"c{number}" for number in range(chunk_count(self.mebibytes))]
        check = self._check
        check("after a restart: look up", lambda: self.look_up(names + ["m1"]) == [True] * len(names) + [False])
        check("after a restart: the one stored again", lambda: self.load(names[:1], version=2) == [True])
        check("after a restart: load", lambda: self.load(names[1:]) == [True] * (len(names) - 1))
        check("after a restart: load with a hole", lambda: self.load([names[1], "m1", names[2]]) == [True, None, True])
        check("after a restart: store and load", lambda: self.store(["new"]) and self.load(["new"]) == [True])

    def last(self):
        pass


class Lines(logging.Handler):
    """What the package larder logs."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


def meet_users(kind, settings, content, report):
    """A plugin with the right credentials, and with several that are not."""
    log = logging.getLogger("larder")
    log.setLevel(logging.DEBUG)
    patient = {"lookup_deadline_ms": 60_000, "transfer_deadline_ms": 60_000}
    everyone = {
        "right password": {"username": USER, "password": PASSWORD},
        "wrong password": {"username": USER, "password": WRONG},
        "unknown user": {"username": "nobody", "password": PASSWORD},
        "nobody": {},
        "right password, again": {"username": USER, "password": PASSWORD},
    }
    for who, credentials in everyone.items():
        lines, is_let_in = Lines(), who.startswith("right")
        log.addHandler(lines)
        subject = kind(settings.way, settings.port, settings.sizes[0], content, report, {**credentials, **patient})
        subject.as_user(who, is_let_in)
        log.removeHandler(lines)
        text = "\n".join(lines.lines)
        report.check(f"{who}: the log says why", ("refuses this client" in text) is not is_let_in, text[-300:])
        shown = text + repr(subject.adapter_of_larder) + repr(vars(subject.adapter_of_larder).get("_settings"))
        report.check(f"{who}: no password is shown", "Sesame" not in shown and "Traceback" not in text)


def client(settings):
    """The process that has LMCache in it: one way, one phase, all sizes."""
    os.environ["LMCACHE_LOG_LEVEL"] = "ERROR"
    report = Report(settings.way)
    content = Content(settings.seed)
    kind = MultiProcess if settings.way.startswith("l2") else InProcess
    if settings.phase == "users":
        meet_users(kind, settings, content, report)
        settings.sizes = []
    for mebibytes in settings.sizes:
        subject = kind(settings.way, settings.port, mebibytes, content, report)
        getattr(subject, settings.phase)()
        if settings.phase == "second" and settings.way == "resp" and mebibytes == settings.sizes[0]:
            subject.last()
    sys.stdout.flush()
    # Closing LMCache's backends can wait for ever for their own event loop.
    os._exit(0)


class Run:
    """The node, and a client process for each way and phase."""

    def __init__(self, settings):
        self.settings = settings
        self.verdict = Verdict("lmcache")
        self.counts = {}
        self.notes = 0

    def run(self):
        work = temporary_directory()
        if self.settings.control:
            node, lm_port = Redis(os.path.join(work, "redis.log")), None
            node.start()
        else:
            lm_port = free_port()
            node = Node(
                self.settings.larder, os.path.join(work, "data"), os.path.join(work, "node.log"),
                memory=self.settings.memory, disk=self.settings.disk, arguments=["--lm-port", str(lm_port)],
            )
            node.start()
        ways = [way for way in self.settings.ways if way != "lm" or lm_port is not None]
        for way in ways:
            self._client(way, "first", lm_port if way == "lm" else node.port)
        if not self.settings.control:
            status, seconds = node.stop()
            self.verdict.expect(status == 0, f"exit status {status} after SIGTERM; {node.ending()}")
            say(f"node stopped in {seconds:.1f} s and started again in {node.start():.1f} s")
            for way in ways:
                self._client(way, "second", lm_port if way == "lm" else node.port)
            status, _ = node.stop()
            self.verdict.expect(status == 0, f"exit status {status} after SIGTERM; {node.ending()}")
            self._meet_users([way for way in ways if way.endswith("plugin")], work)
        counts = ", ".join(f"{way} {passed}/{total}" for way, (passed, total) in self.counts.items())
        return self.verdict.finish(
            f"{counts}; {self.notes} completions lost within LMCache's client; seed {self.settings.seed}"
        )

    def _meet_users(self, ways, work):
        if not ways:
            return
        users = os.path.join(work, "users.txt")
        subprocess.run(
            [self.settings.larder, "user", "add", users, USER, "--tenant", "team-a", "--password-file", "-"],
            input=PASSWORD + "\n", text=True, check=True, capture_output=True,
        )
        node = Node(self.settings.larder, None, os.path.join(work, "guarded.log"), arguments=["--users", users])
        node.start(probe=lambda connection: connection.call("AUTH", USER, PASSWORD) in (b"OK", "OK"))
        for way in ways:
            self._client(way, "users", node.port)
        status, _ = node.stop()
        self.verdict.expect(status == 0, f"exit status {status} after SIGTERM; {node.ending()}")

    def _client(self, way, phase, port):
        started = time.monotonic()
        command = [
            sys.executable, "-u", os.path.abspath(__file__), "--client", "--way", way, "--phase", phase,
            "--port", str(port), "--seed", str(self.settings.seed), "--sizes", *map(str, self.settings.sizes),
        ]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=self.settings.time_limit, errors="replace",
            )
            output, status = done.stdout, done.returncode
        except subprocess.TimeoutExpired as expired:
            output, status = (expired.stdout or b"").decode(errors="replace"), "time limit"
        passed, total = self.counts.get(way, (0, 0))
        for line in output.splitlines():
            fields = line.split("\t")
            if fields[0] == "CHECK":
                total += 1
                passed += fields[1] == "ok"
                self.verdict.expect(fields[1] == "ok", f"{fields[2]} {fields[3]}")
            elif fields[0] == "NOTE":
                self.notes += 1
                say(f"note: {fields[1]}")
        self.counts[way] = (passed, total)
        if status != 0:
            tail = "\n".join("    " + line for line in output.splitlines()[-8:])
            self.verdict.violation(f"{way}, {phase}: the client ended with {status}:\n{tail}")
        say(f"{way}, {phase} phase: {passed}/{total} so far [{time.monotonic() - started:.0f} s]")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", help="the larder program (scripts/long/lmcache.sh builds it)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="MiB of a chunk (default 1 to 32)")
    parser.add_argument("--memory", default="1GiB")
    parser.add_argument("--disk", default="8GiB")
    parser.add_argument("--time-limit", type=float, default=420.0, help="seconds for one client process")
    parser.add_argument("--control", action="store_true", help="check redis-server instead of larder")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true", help="keep the data directory and the node's log")
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--phase", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.client:
        return client(settings)
    if not settings.larder and not settings.control:
        parser.error("--larder PATH is needed")
    if settings.control and shutil.which("redis-server") is None:
        parser.error("--control needs redis-server: scripts/install.sh --with-redis-server")
    require_linux()
    settings.seed = new_seed() if settings.seed is None else settings.seed
    clean_up_at_end(settings.keep)
    say(f"seed {settings.seed}; ways {' '.join(settings.ways)}; {' '.join(map(str, settings.sizes))} MiB")
    return Run(settings).run()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NodeFailed as failure:
        say(f"FAIL: lmcache: {failure}")
        sys.exit(1)
