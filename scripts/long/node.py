"""Nodes as processes: start, wait, kill, stop; temporary directories; nothing is left behind, also after Ctrl-C."""

import atexit
import concurrent.futures
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from workload import Connection, ReplyError, say

_running = set()
_directories = set()
_owner = os.getpid()
_libc = ctypes.CDLL(None, use_errno=True)
_SET_PARENT_DEATH_SIGNAL = 1


# Starts every process. The kernel ties "die with the parent" to the thread that forked: a thread that ends while the
# program goes on, one that changes something in the middle of a run for instance, would take its process with it.
_starter = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="starter")


class NodeFailed(Exception):
    """The process did not do what it was told."""


def clean_up_at_end(keep=False):
    """Makes Ctrl-C, SIGTERM and SIGHUP end the program in order, with processes killed and directories removed."""

    def end(number, _):
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    atexit.register(_clean_up, keep)


def _clean_up(keep):
    if os.getpid() != _owner:
        return
    for process in list(_running):
        process.kill_hard()
    for directory in list(_directories):
        if keep:
            say(f"kept {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def temporary_directory(parent=None):
    """A fresh directory that goes when the program ends; under `parent`, else TMPDIR, else /tmp."""
    directory = tempfile.mkdtemp(prefix="larder-check-", dir=parent)
    _directories.add(directory)
    return directory


def remove_directory(directory):
    shutil.rmtree(directory, ignore_errors=True)
    _directories.discard(directory)


def free_port():
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    """In a process that was just forked: it ends when the thread that forked it does."""
    _libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


class ServerProcess:
    """A server program that is started, watched and ended."""

    def __init__(self, log):
        self.log = log
        self.port = free_port()
        self.process = None
        #: Whether it was started and nobody has ended it since: it must be running.
        self.is_wanted = False

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def launch(self, arguments, environment=None):
        """Starts the process; returns the monotonic time at which it was started."""
        started = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = _starter.submit(
                subprocess.Popen,
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                preexec_fn=self.before_exec,
                start_new_session=True,
            ).result()
        _running.add(self)
        self.is_wanted = True
        return started

    def before_exec(self):
        """Runs in the new process before it becomes the program."""
        die_with_parent()

    def connect(self, timeout):
        """A connection to the server."""
        return Connection(self.port, timeout=timeout)

    def wait_until_answering(self, timeout=60.0, probe=None, started=None):
        """Waits until PING, or `probe(connection)`, succeeds; returns seconds since `started`."""
        started = time.monotonic() if started is None else started
        probe = probe or (lambda connection: connection.call("PING") == b"PONG")
        while True:
            if not self.is_running:
                raise NodeFailed(f"ended while starting: {self.ending()}")
            try:
                with self.connect(timeout) as connection:
                    while True:
                        if probe(connection):
                            return time.monotonic() - started
                        self._pause(started, timeout)
            except (OSError, ReplyError):
                self._pause(started, timeout)

    def kill_hard(self):
        """kill -9; returns when the process is gone."""
        self.is_wanted = False
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
        _running.discard(self)

    def stop(self, timeout=120.0):
        """SIGTERM; returns (exit status, seconds). A process that does not end is killed and counts as status -9."""
        started = time.monotonic()
        self.is_wanted = False
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill_hard()
        _running.discard(self)
        return self.process.returncode, time.monotonic() - started

    def ending(self):
        """How the process ended and the end of its log, for messages."""
        status = self.process.poll() if self.process else None
        if status is None:
            how = "still running"
        elif status < 0:
            how = f"ended by {signal.Signals(-status).name}"
        else:
            how = f"exit status {status}"
        return f"{how}; its log ends:\n{self.log_end()}"

    def stacks(self):
        """Where the threads of a process that hangs are, when gdb is installed; else nothing."""
        if not self.is_running or shutil.which("gdb") is None:
            return ""
        command = ["gdb", "-p", str(self.pid), "-batch", "-ex", "thread apply all backtrace 12"]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                errors="replace", timeout=60,
            )
        except subprocess.TimeoutExpired:
            return ""
        frames = [line for line in done.stdout.splitlines() if line.startswith(("#", "Thread"))]
        return "\n" + "\n".join("    " + line[:160] for line in frames)

    def log_end(self, lines=12):
        try:
            with open(self.log, errors="replace") as log:
                return "".join("    " + line for line in log.readlines()[-lines:]) or "    (empty)"
        except OSError:
            return "    (none)"

    def resident_byte_count(self):
        """VmRSS: anonymous, file and shared pages."""
        return self._status_kib("VmRSS") << 10

    def written_byte_count(self):
        """Bytes the process caused to be sent to a disk (write_bytes)."""
        with open(f"/proc/{self.pid}/io") as figures:
            return next(int(line.split()[1]) for line in figures if line.startswith("write_bytes:"))

    def _status_kib(self, name):
        with open(f"/proc/{self.pid}/status") as figures:
            return next(int(line.split()[1]) for line in figures if line.startswith(name + ":"))

    def _pause(self, started, timeout):
        if time.monotonic() - started > timeout:
            raise NodeFailed(f"no answer within {timeout} s: {self.ending()}{self.stacks()}")
        time.sleep(0.002)


class Node(ServerProcess):
    """A `larder serve` on a data directory of its own."""

    def __init__(self, larder, data_directory, log, memory="512MiB", disk="10GiB", arguments=(), memory_file="off"):
        super().__init__(log)
        self.data_directory = data_directory
        self._command = [
            larder, "serve", "--host", "127.0.0.1", "--memory", str(memory), "--log-format", "json",
            "--memory-file", memory_file,
        ]
        if data_directory is not None:
            self._command += ["--data-dir", data_directory, "--disk", str(disk)]
        self._arguments = list(arguments)

    def start(self, timeout=60.0, probe=None):
        """Starts the node; returns seconds until it answered, or until `probe` held."""
        return self.wait_until_answering(timeout, probe, self.launch_only())

    def launch_only(self):
        """Starts the process and waits for nothing."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LARDER_")}
        return self.launch(self._command + ["--port", str(self.port)] + self._arguments, environment)

    def log_records(self):
        """The node's log lines as dictionaries."""
        with open(self.log, errors="replace") as log:
            for line in log:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue


class Redis(ServerProcess):
    """A redis-server without persistence: the other side of comparisons and controls."""

    def start(self, timeout=30.0, arguments=()):
        program = shutil.which("redis-server")
        if program is None:
            raise NodeFailed("no redis-server: scripts/install.sh --with-redis-server")
        started = self.launch(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--daemonize", "no", *arguments]
        )
        return self.wait_until_answering(timeout, started=started)


def directory_byte_counts(directory):
    """(apparent, allocated) bytes of all files below; files that vanish meanwhile do not count."""
    apparent = allocated = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                status = os.lstat(os.path.join(parent, name))
            except OSError:
                continue
            apparent += status.st_size
            allocated += status.st_blocks * 512
    return apparent, allocated


def require_linux():
    if not sys.platform.startswith("linux"):
        raise SystemExit("the long checks read /proc: they run on Linux")
