"""Slots of llama.cpp's llama-server, kept on a node: what one server computed, another restores.

    python -m larder.llamacpp save    --server http://127.0.0.1:8080 --slot 0 --directory SLOTS --revision REV NAME
    python -m larder.llamacpp restore --server http://127.0.0.1:8080 --slot 0 --directory SLOTS --revision REV NAME
    python -m larder.llamacpp delete  --server http://127.0.0.1:8080 --revision REV NAME

SLOTS is the directory that llama-server was given as --slot-save-path; this command must run where it can read and
write there. `save` has the server write the slot's file and stores it, `restore` does the reverse. A file of any length
travels as a chain of chunks, and is proved by its digest before the server sees it; it appears in SLOTS whole or not at
all. Only a server of the same build, model file name and context size finds what another saved; REV tells model files
of one name apart, a digest for instance.

Prints one JSON object. Exits 0 when done, 3 when the node does not have the slot (compute it), 1 for the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import mmap
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from typing import Any

from .client import Client
from .engine_settings import DEFAULT_ADDRESS, EngineSettings
from .namespace import Namespace
from .transfers import is_held

#: Bytes of one chunk; the last one of a file has what is left.
CHUNK_BYTES = 16 << 20
#: Longest list of a file's chunks that is believed: files up to 1 TiB.
CHUNKS_MAX = 1 << 16
#: How long what was found stays readable while it is fetched, milliseconds.
LEASE_MS = 600_000
NOT_THERE = 3


class Failed(Exception):
    """What a person should read."""


class SlotStore:
    """Files under names, on a node. Chunks first, their list last: a name is there when all of its bytes are."""

    def __init__(self, client: Client, namespace: Namespace) -> None:
        self._client = client
        self._namespace = namespace

    def store(self, name: str, path: str) -> dict[str, Any]:
        """Stores a file; raises `Failed` when the node did not take all of it."""
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(path, "rb"))
            whole = stack.enter_context(memoryview(stack.enter_context(_mapped(file, mmap.ACCESS_READ))))
            starts = range(0, len(whole), CHUNK_BYTES)
            chunks = [stack.enter_context(whole[start : start + CHUNK_BYTES]) for start in starts]
            digests = [hashlib.sha256(chunk).digest() for chunk in chunks]
            keys = _chain(digests)
            held = stack.enter_context(self._client.match(self._namespace, keys, lease_ms=LEASE_MS))
            for key, chunk in list(zip(keys, chunks))[held.count :]:
                self._put(key, chunk)
            digest = hashlib.sha256(whole).hexdigest()
            listing = {"bytes": len(whole), "sha256": digest, "chunks": [item.hex() for item in digests]}
            self._replace(_name_key(name), json.dumps(listing).encode())
        return {"bytes": listing["bytes"], "chunks": len(digests), "chunks_sent": len(digests) - held.count}

    def fetch(self, name: str, path: str) -> dict[str, Any] | None:
        """Writes the file of a name; None when it is not there. What is at `path` is replaced in one step, or not."""
        listing = self._listing(name)
        if listing is None:
            return None
        byte_count, digest, digests = listing
        keys = _chain(digests)
        with self._client.match(self._namespace, keys, lease_ms=LEASE_MS, prefetch=True) as held:
            if held.count < len(keys):
                return None
            handle, temporary = tempfile.mkstemp(prefix=".larder-", dir=os.path.dirname(path) or ".")
            try:
                with os.fdopen(handle, "r+b") as file:
                    file.truncate(byte_count)
                    if not self._fill(file, keys, digests, digest):
                        return None
                    os.fsync(file.fileno())
                os.replace(temporary, path)
                temporary = ""
            finally:
                if temporary:
                    os.unlink(temporary)
        return {"bytes": byte_count, "chunks": len(keys)}

    def delete(self, name: str) -> bool:
        """Forgets a name; whether it was there. Its chunks go when the node needs their space."""
        return self._client.delete(self._namespace, [_name_key(name)]) == 1

    def _fill(self, file: Any, keys: list[bytes], digests: list[bytes], digest: str) -> bool:
        """Receives the chunks into the file; whether all came and are what they were."""
        with _mapped(file, mmap.ACCESS_WRITE) as memory, memoryview(memory) as whole:
            for index, key in enumerate(keys):
                with whole[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES] as chunk:
                    arrived = self._client.get_into(self._namespace, [key], [chunk]) == [True]
                    if not arrived or hashlib.sha256(chunk).digest() != digests[index]:
                        return False
            return hashlib.sha256(whole).hexdigest() == digest

    def _listing(self, name: str) -> tuple[int, str, list[bytes]] | None:
        """What a name's list of chunks says, if it says something that can be."""
        payload = self._client.get(self._namespace, _name_key(name))
        if payload is None:
            return None
        try:
            listing = json.loads(payload)
            byte_count, digest = listing["bytes"], listing["sha256"]
            digests = [bytes.fromhex(chunk) for chunk in listing["chunks"]]
        except (KeyError, TypeError, ValueError):
            return None
        is_sound = (
            isinstance(byte_count, int)
            and isinstance(digest, str)
            and 0 < len(digests) <= CHUNKS_MAX
            and (len(digests) - 1) * CHUNK_BYTES < byte_count <= len(digests) * CHUNK_BYTES
            and all(len(chunk) == 32 for chunk in digests)
        )
        return (byte_count, digest, digests) if is_sound else None

    def _put(self, key: bytes, payload: Any) -> None:
        result = self._client.put(self._namespace, key, payload)
        if not is_held(result):
            raise Failed(f"the node did not take the slot: {result.reason}")

    def _replace(self, key: bytes, payload: bytes) -> None:
        """Blocks are immutable: another list under the name is deleted first."""
        result = self._client.put(self._namespace, key, payload)
        if result.reason.startswith("conflict"):
            self._client.delete(self._namespace, [key])
            result = self._client.put(self._namespace, key, payload)
        if not result:
            raise Failed(f"the node did not take the slot: {result.reason}")


class LlamaServer:
    """What is asked of a llama-server."""

    def __init__(self, url: str, api_key: str | None, timeout: float) -> None:
        if not url.startswith(("http://", "https://")):
            raise Failed("--server is an http:// address")
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout

    def description(self) -> dict[str, Any]:
        """What must be equal for a slot's file to fit."""
        properties = self._ask("/props")
        settings = properties.get("default_generation_settings") or {}
        return {
            "build": str(properties.get("build_info", "")),
            "model": os.path.basename(str(properties.get("model_path", ""))),
            "context_tokens": int(settings.get("n_ctx") or 0),
        }

    def act(self, slot: int, action: str, filename: str) -> dict[str, Any]:
        """POST /slots/SLOT?action=ACTION"""
        return self._ask(f"/slots/{slot}?action={action}", {"filename": filename})

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            self._url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        if self._api_key:
            request.add_header("Authorization", f"Bearer {self._api_key}")
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise Failed(f"llama-server answered {path} with {error.code}: {_first_line(error)}") from None
        except (OSError, ValueError) as error:
            raise Failed(f"llama-server did not answer {path}: {error}") from None
        if not isinstance(answer, dict):
            raise Failed(f"llama-server answered {path} with something else than an object")
        return answer


def save(store: SlotStore, server: LlamaServer, slot: int, directory: str, name: str, keep: bool) -> dict[str, Any]:
    """From a slot to the node."""
    filename = _filename()
    path = os.path.join(directory, filename)
    try:
        answer = server.act(slot, "save", filename)
        if not os.path.isfile(path):
            raise Failed(f"llama-server saved the slot, but not in {directory}: is it its --slot-save-path?")
        if os.path.getsize(path) == 0:
            raise Failed("llama-server saved an empty file")
        return {**store.store(name, path), "tokens": answer.get("n_saved")}
    finally:
        if not keep and os.path.exists(path):
            os.unlink(path)


def restore(
    store: SlotStore, server: LlamaServer, slot: int, directory: str, name: str, keep: bool
) -> dict[str, Any] | None:
    """From the node to a slot; None when the node does not have it."""
    filename = _filename()
    path = os.path.join(directory, filename)
    try:
        fetched = store.fetch(name, path)
        if fetched is None:
            return None
        return {**fetched, "tokens": server.act(slot, "restore", filename).get("n_restored")}
    finally:
        if not keep and os.path.exists(path):
            os.unlink(path)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    settings = _parser().parse_args(arguments)
    began = time.monotonic()
    try:
        server = LlamaServer(settings.server, settings.api_key, settings.timeout)
        namespace = Namespace(
            {"engine": "llama.cpp", "revision": settings.revision, "chunk_bytes": CHUNK_BYTES, **server.description()}
        )
        reach = EngineSettings.take({"address": settings.address, "username": settings.username})
        with reach.client() as client:
            store = SlotStore(client, namespace)
            if settings.command == "delete":
                done: dict[str, Any] | None = {} if store.delete(settings.name) else None
            else:
                move = save if settings.command == "save" else restore
                done = move(store, server, settings.slot, settings.directory, settings.name, settings.keep)
    except (Failed, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    result = {"name": settings.name, "found": done is not None, **(done or {})}
    print(json.dumps({**result, "seconds": round(time.monotonic() - began, 3)}))
    return 0 if done is not None else NOT_THERE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m larder.llamacpp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("save", "restore", "delete"):
        parts = commands.add_parser(command)
        parts.add_argument("name", help="what the slot is called on the node: a user, a conversation")
        parts.add_argument("--server", required=True, help="llama-server's address, http://HOST:PORT")
        parts.add_argument("--api-key", default=os.environ.get("LLAMA_API_KEY"), help="or the variable LLAMA_API_KEY")
        parts.add_argument("--revision", required=True, help="tells model files of one name apart")
        parts.add_argument("--address", default=DEFAULT_ADDRESS, help="the node's (default %(default)s)")
        parts.add_argument("--username", help="the node's user; the password is the variable LARDER_PASSWORD")
        parts.add_argument("--timeout", type=float, default=120.0, help="seconds for one answer of llama-server")
        if command != "delete":
            parts.add_argument("--slot", type=int, required=True, help="the slot's number")
            parts.add_argument("--directory", required=True, help="llama-server's --slot-save-path")
            parts.add_argument("--keep", action="store_true", help="leave the slot's file there")
    return parser


def _chain(digests: list[bytes]) -> list[bytes]:
    """The chunks' keys: each names the file up to its chunk's end."""
    keys = []
    parent = b""
    for digest in digests:
        parent = hashlib.sha256(parent + digest).digest()
        keys.append(b"chunk:" + parent)
    return keys


def _name_key(name: str) -> bytes:
    return b"name:" + hashlib.sha256(name.encode()).digest()


def _filename() -> str:
    # Two commands for one name must not share a file.
    return f"larder-{os.getpid()}-{os.urandom(8).hex()}.slot"


def _mapped(file: Any, access: int) -> mmap.mmap:
    return mmap.mmap(file.fileno(), 0, access=access)


def _first_line(error: urllib.error.HTTPError) -> str:
    try:
        return error.read(400).decode(errors="replace").strip().partition("\n")[0]
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
