"""Slot files of llama.cpp through a live node.

LLAMA_SERVER names llama.cpp's own program; the tests marked so run with it, and say that they were skipped without.
LLAMA_MODEL names a model file for it, in the place of a small one with random weights. The other tests use a stand-in
for llama-server's three endpoints, which writes and reads files as it does.
"""

import contextlib
import http.server
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

import llama_model
import pytest
from conftest import until

from larder.llamacpp import CHUNK_BYTES

PYTHON = pathlib.Path(__file__).resolve().parents[2]


def sidecar(*arguments):
    """Runs the command; its exit status and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(PYTHON)}
    done = subprocess.run(
        [sys.executable, "-m", "larder.llamacpp", *map(str, arguments)], capture_output=True, text=True, env=environment
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


class StandIn(http.server.ThreadingHTTPServer):
    """llama-server's /props and /slots, as far as slots are saved and restored: a slot here is just bytes."""

    def __init__(self, directory, build="b1"):
        super().__init__(("127.0.0.1", 0), _Endpoints)
        self.directory, self.build, self.slots = pathlib.Path(directory), build, {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Endpoints(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.path == "/props"
        properties = {"build_info": self.server.build, "model_path": "/models/a.gguf"}
        self._answer(200, {**properties, "default_generation_settings": {"n_ctx": 4096}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        url = urllib.parse.urlsplit(self.path)
        slot = int(url.path.rsplit("/", 1)[1])
        action = urllib.parse.parse_qs(url.query)["action"][0]
        path = self.server.directory / body["filename"]
        if action == "save" and slot in self.server.slots:
            path.write_bytes(self.server.slots[slot])
            self._answer(200, {"id_slot": slot, "filename": body["filename"], "n_saved": 77})
        elif action == "restore" and path.exists():
            self.server.slots[slot] = path.read_bytes()
            self._answer(200, {"id_slot": slot, "filename": body["filename"], "n_restored": 77})
        else:
            self._answer(400, {"error": {"message": "no such slot or file"}})

    def _answer(self, status, body):
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_):
        pass


@pytest.fixture
def stand_ins(stack, tmp_path):
    def make(name, build="b1"):
        directory = tmp_path / name
        directory.mkdir()
        server = StandIn(directory, build)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        return server

    return make


def of(server, node, slot=0, revision="r1"):
    return ("--server", server.url, "--slot", slot, "--directory", server.directory, "--revision", revision,
            "--address", node.address)


SIZES = [1, 1_000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 12_345]


@pytest.mark.parametrize("size", SIZES)
def test_a_slot_of_a_stand_in_server_comes_back_on_another(node, stand_ins, size):
    first, second = stand_ins("first"), stand_ins("second")
    first.slots[3] = os.urandom(size)
    status, saved, _ = sidecar("save", *of(first, node, 3), "conversation")
    assert (status, saved["bytes"], saved["tokens"]) == (0, size, 77)
    status, restored, _ = sidecar("restore", *of(second, node, 5), "conversation")
    assert (status, restored["bytes"]) == (0, size)
    assert second.slots[5] == first.slots[3]
    assert not list(first.directory.iterdir()) and not list(second.directory.iterdir())


def test_a_stand_in_slot_saved_again_replaces_and_sends_only_new_chunks(node, stand_ins):
    server = stand_ins("server")
    old = os.urandom(3 * CHUNK_BYTES)
    server.slots[0] = old
    sidecar("save", *of(server, node), "conversation")
    new = old[: 2 * CHUNK_BYTES] + os.urandom(CHUNK_BYTES + 5)
    server.slots[0] = new
    _, saved, _ = sidecar("save", *of(server, node), "conversation")
    assert (saved["chunks"], saved["chunks_sent"]) == (4, 2)
    server.slots.clear()
    assert sidecar("restore", *of(server, node), "conversation")[0] == 0
    assert server.slots[0] == new


def test_what_a_stand_in_server_cannot_use_is_not_found(node, stand_ins):
    server, newer = stand_ins("server"), stand_ins("newer", build="b2")
    server.slots[0] = b"state"
    assert sidecar("save", *of(server, node), "conversation")[0] == 0
    assert sidecar("restore", *of(newer, node), "conversation")[0] == 3
    assert sidecar("restore", *of(server, node, revision="r2"), "conversation")[0] == 3
    assert sidecar("restore", *of(server, node), "another")[0] == 3
    assert sidecar("restore", *of(server, node), "conversation")[0] == 0
    delete = ("--server", server.url, "--revision", "r1", "--address", node.address, "conversation")
    assert [sidecar("delete", *delete)[0] for _ in range(2)] == [0, 3]
    assert sidecar("restore", *of(server, node), "conversation")[0] == 3


def test_a_stand_in_slot_of_which_a_chunk_is_lost_is_not_restored(node, stand_ins):
    import larder
    from larder.llamacpp import LlamaServer, SlotStore, _chain

    server = stand_ins("server")
    server.slots[0] = os.urandom(2 * CHUNK_BYTES)
    sidecar("save", *of(server, node), "conversation")
    description = {"engine": "llama.cpp", "revision": "r1", "chunk_bytes": CHUNK_BYTES}
    namespace = larder.Namespace({**description, **LlamaServer(server.url, None, 10).description()})
    with larder.Client(node.address) as client:
        store = SlotStore(client, namespace)
        _, _, digests = store._listing("conversation")
        assert client.delete(namespace, [_chain(digests)[1]]) == 1
        # Bytes that are not what the list says are as good as lost.
        assert client.put(namespace, _chain(digests)[1], bytes(CHUNK_BYTES))
    before = server.slots[0]
    assert sidecar("restore", *of(server, node), "conversation")[0] == 3
    assert server.slots[0] is before and not list(server.directory.iterdir())


def test_outages_of_node_and_stand_in_server_are_told_and_end(node, stand_ins, tmp_path):
    server = stand_ins("server")
    assert sidecar("save", *of(server, node, slot=9), "x")[0] == 1
    server.slots[0] = b"state"
    node.kill()
    status, _, error = sidecar("save", *of(server, node), "x")
    assert status == 1 and "did not take" in error
    assert sidecar("restore", *of(server, node), "x")[0] == 3
    assert not list(server.directory.iterdir())
    server.shutdown()
    server.server_close()
    status, _, error = sidecar("save", *of(server, node), "x")
    assert status == 1 and "llama-server did not answer" in error


@contextlib.contextmanager
def llama_server(model, directory):
    directory.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [os.environ["LLAMA_SERVER"], "-m", str(model), "--port", str(port), "--slot-save-path",
         str(directory), "-c", "2048", "-np", "2", "--no-webui"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )

    def is_up():
        assert process.poll() is None, "llama-server ended"
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return answer.status == 200

    try:
        until(is_up, what="llama-server")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def complete(url, tokens):
    body = {
        "prompt": tokens, "n_predict": 8, "id_slot": 0, "cache_prompt": True, "temperature": 0, "return_tokens": True
    }
    request = urllib.request.Request(
        f"{url}/completion", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


needs_llama_server = pytest.mark.skipif(
    not os.environ.get("LLAMA_SERVER"), reason="no llama-server: set LLAMA_SERVER, or have it built by name"
)


@pytest.fixture
def model(tmp_path):
    """The file of a model for llama-server."""
    if "LLAMA_MODEL" in os.environ:
        return os.environ["LLAMA_MODEL"]
    llama_model.write(tmp_path / "model.gguf")
    return tmp_path / "model.gguf"


@needs_llama_server
def test_a_real_llama_server_goes_on_where_another_stopped(node, model, tmp_path):
    tokens = [3 + (index * 37) % 200 for index in range(600)]
    common = ("--slot", 0, "--revision", "r1", "--address", node.address)
    with llama_server(model, tmp_path / "a") as url:
        first = complete(url, tokens)
        status, saved, error = sidecar("save", "--server", url, "--directory", tmp_path / "a", *common, "chat")
        assert status == 0, error
    with llama_server(model, tmp_path / "b") as url:
        status, restored, error = sidecar("restore", "--server", url, "--directory", tmp_path / "b", *common, "chat")
        assert (status, restored["tokens"]) == (0, saved["tokens"]), error
        second = complete(url, tokens)
        assert second["timings"]["prompt_n"] < 10 <= first["timings"]["prompt_n"]
        assert second["tokens"] == first["tokens"]


@needs_llama_server
def test_a_real_llama_server_without_its_slot_computes(node, model, tmp_path):
    tokens = [3 + (index * 31) % 200 for index in range(300)]
    with llama_server(model, tmp_path / "a") as url:
        of_server = ("--server", url, "--directory", tmp_path / "a", "--slot", 0, "--address", node.address)
        assert sidecar("restore", *of_server, "--revision", "r1", "chat")[0] == 3
        first = complete(url, tokens)
        assert sidecar("save", *of_server, "--revision", "r1", "chat")[0] == 0
        # Other weights have other slots.
        assert sidecar("restore", *of_server, "--revision", "r2", "chat")[0] == 3
        node.kill()
        assert sidecar("restore", *of_server, "--revision", "r1", "chat")[0] != 0
        assert sidecar("save", *of_server, "--revision", "r1", "again")[0] != 0
        again = complete(url, tokens)
        assert again["tokens"] == first["tokens"]
        assert not list((tmp_path / "a").iterdir())
