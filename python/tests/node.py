"""A live node as a process, for tests and benchmarks."""

from __future__ import annotations

import atexit
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def larder_program() -> str:
    """The node's program: LARDER_BIN, or what `swift build` made; raises FileNotFoundError."""
    named = os.environ.get("LARDER_BIN")
    if named:
        return named
    built = [ROOT / ".build" / configuration / "larder" for configuration in ("release", "debug")]
    present = [path for path in built if path.exists()]
    if not present:
        raise FileNotFoundError("no node to test with: swift build --product larder, or set LARDER_BIN")
    return str(max(present, key=lambda path: path.stat().st_mtime))


class Node:
    """A node on a free port of its own, in a directory of its own that goes with it."""

    def __init__(self, memory="64MiB", unix=False, options=(), users=(), port=0):
        """`users`: `(name, tenant, scopes, password)` of each; `port`: a free one unless given."""
        self._place = tempfile.TemporaryDirectory(prefix="larder-py-")
        self.directory = Path(self._place.name)
        self.socket_path = str(self.directory / "node.sock")
        self._options = ["--memory", memory, "--log-format", "json", *options]
        if unix:
            self._options += ["--unix", self.socket_path]
        if users:
            self._options += ["--users", str(self._write_users(users))]
        self.port = port
        self.log = []
        self._process = None
        atexit.register(self.stop)
        self.start()

    def _write_users(self, users):
        """A users file: the lines that `larder user add` makes, one call and one file for each user."""
        secret = self.directory / "password"
        lines = []
        for number, (name, tenant, scopes, password) in enumerate(users):
            path = self.directory / f"user-{number}"
            secret.write_text(password + "\n")
            secret.chmod(0o600)
            command = [larder_program(), "user", "add", str(path), name, "--tenant", tenant, "--scopes", scopes]
            subprocess.run([*command, "--password-file", str(secret)], check=True, capture_output=True)
            lines.append(path.read_text())
        path = self.directory / "users.txt"
        path.touch(0o600)
        path.write_text("".join(lines))
        return path

    def start(self):
        """Starts it, on the port that it had if it was started before, and waits until it says that it is ready."""
        command = [larder_program(), "serve", "--port", str(self.port), *self._options]
        # Settings from outside are not for this node.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LARDER_")}
        self._process = subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        ready = queue.SimpleQueue()
        reader = threading.Thread(target=self._read_log, args=(self._process.stderr, ready), daemon=True)
        reader.start()
        self.port = ready.get()
        if self.port is None:
            raise RuntimeError("the node did not start:\n" + "".join(self.log))

    def _read_log(self, stream, ready):
        """Reads the node's log for as long as it lives, so that it never waits for us; tells its port, or None."""
        with stream:
            for line in stream:
                self.log.append(line.decode("utf-8", "replace"))
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if entry.get("message") == "ready":
                    ready.put(int(entry["port"]))
        ready.put(None)

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    @property
    def unix_endpoint(self):
        return f"unix://{self.socket_path}"

    @property
    def pid(self):
        return self._process.pid

    def signal(self, number):
        """Sends a signal; the node is expected to live on, or to have been stopped by it."""
        self._process.send_signal(number)

    def kill(self):
        """SIGKILL, and waits for the end."""
        self._end(signal.SIGKILL)

    def stop(self):
        """Ends it and removes its directory."""
        self._end(signal.SIGKILL)
        self._place.cleanup()
        atexit.unregister(self.stop)

    def _end(self, number):
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
