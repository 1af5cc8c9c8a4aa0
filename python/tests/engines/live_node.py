"""A node as a process: started, killed, started again on the same port with the same data."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

PROGRAM = os.environ.get("LARDER_BIN") or shutil.which("larder")


class LiveNode:
    """`larder serve`, and what a test does to it. `directory` None keeps blocks in RAM only."""

    def __init__(self, directory=None, memory="512MiB", arguments=(), users=()):
        """`users`: name, tenant, scopes and password of each; needs a directory."""
        if not PROGRAM:
            raise RuntimeError("no larder: set LARDER_BIN to the program")
        self.port = _free_port()
        self._directory = directory
        self._arguments = ["--memory", memory, *arguments]
        if directory is not None:
            # Nothing of a test outlives it in memory.
            self._arguments += ["--data-dir", directory, "--disk", "4GiB", "--memory-file", "off"]
        if users:
            self._arguments += ["--users", _users_file(directory, users)]
        self._process = None
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        """Starts the node and waits until it says that it is ready."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LARDER_")}
        self._process = subprocess.Popen(
            [PROGRAM, "serve", "--port", str(self.port), "--log-format", "json", *self._arguments],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            try:
                if json.loads(line).get("message") == "ready":
                    break
            except ValueError:
                continue
        else:
            raise RuntimeError("the node did not start:\n" + "".join(lines))
        # Nobody reads on, and a full pipe would stop the node.
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    def kill(self):
        """kill -9; returns when the process is gone."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        """SIGTERM, as an operator would; returns when the process is gone."""
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        self._process.wait()

    def freeze(self):
        """SIGSTOP: connections stay open, nobody answers; returns when all of its threads stand still."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def close(self):
        if self._process.poll() is None:
            self.thaw()
            self.kill()


def temporary_node(stack, with_disk=False, **options):
    """A node that goes, with its data, when `stack` (an ExitStack) ends."""
    directory = None
    if with_disk:
        directory = tempfile.mkdtemp(prefix="larder-engines-")
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
    node = LiveNode(directory, **options)
    stack.callback(node.close)
    return node


def _users_file(directory, users):
    path = os.path.join(directory, "users.txt")
    for name, tenant, scopes, password in users:
        command = [PROGRAM, "user", "add", path, name, "--tenant", tenant, "--scopes", scopes, "--password-file", "-"]
        subprocess.run(command, input=password + "\n", text=True, check=True, capture_output=True)
    return path


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
