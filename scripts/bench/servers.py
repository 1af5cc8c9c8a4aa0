"""The other servers: bare sockets, LMCache's lm server, Mooncake Store with its own client."""

import json
import os
import select
import socket
import subprocess
import sys
import time

from node import NodeFailed, ServerProcess, free_port

_here = os.path.dirname(os.path.abspath(__file__))


def start_claimed(node, memory):
    """Starts a node and waits until it has claimed its memory: it answers before, and goes on claiming."""
    node.start()
    limit = time.monotonic() + 60
    while node.resident_byte_count() < memory and time.monotonic() < limit:
        time.sleep(0.05)


class BareServer(ServerProcess):
    """`larder bench bare`: what the machine could give at best."""

    def start(self, larder):
        started = self.launch([larder, "bench", "bare", "--port", str(self.port)])
        return self.wait_until_answering(20, started=started)


class LMServer(ServerProcess):
    """LMCache's own lm server, memory on the host."""

    def start(self, python, timeout=120):
        self.launch([python, "-m", "lmcache.v1.server", "127.0.0.1", str(self.port)], dict(os.environ, LMCACHE_LOG_LEVEL="WARNING"))
        limit = time.monotonic() + timeout
        while True:
            if not self.is_running:
                raise NodeFailed(f"LMCache's lm server: {self.ending()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > limit:
                    raise NodeFailed(f"LMCache's lm server listens not within {timeout} s") from None
                time.sleep(0.05)


class Driver(ServerProcess):
    """A Python program that is told what to do by lines of JSON, and answers with lines of JSON."""

    def __init__(self, log, command):
        super().__init__(log)
        self._command = command
        self._pipe = None

    def start(self, timeout=60):
        import node  # the register of running processes

        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                preexec_fn=node._die_with_parent, start_new_session=True,
            )
        node._running.add(self)
        return self._answer(timeout)

    def tell(self, timeout=120, **what):
        """Sends one order; returns the answer."""
        try:
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()
        except OSError:
            raise NodeFailed(f"{self._command[1]}: {self.ending()}") from None
        return self._answer(timeout)

    def _answer(self, timeout):
        """The next line that is JSON: libraries print to standard output as well."""
        limit = time.monotonic() + timeout
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, limit - time.monotonic()))
            line = self.process.stdout.readline() if ready else ""
            if not line:
                raise NodeFailed(f"{os.path.basename(self._command[1])} says nothing: {self.ending()}")
            if line.startswith("{"):
                answer = json.loads(line)
                if "error" in answer:
                    raise NodeFailed(f"{os.path.basename(self._command[1])}: {answer['error']}")
                return answer


def larder_driver(packages, address, log):
    """Larder's Python client, started."""
    driver = Driver(log, [sys.executable, os.path.join(_here, "larder_driver.py"), packages, address])
    driver.start()
    return driver


class Mooncake:
    """Mooncake Store over TCP: master, a node with memory, and a client in another process."""

    def __init__(self, python, work, segment_byte_count):
        binary = os.path.join(os.path.dirname(python), "mooncake_master")
        ports = {name: free_port() for name in ("rpc", "http", "metrics")}
        self.master = ServerProcess(os.path.join(work, "mooncake-master.log"))
        self._master_command = [
            binary, f"--rpc_port={ports['rpc']}", "--rpc_address=127.0.0.1", "--enable_http_metadata_server=true",
            "--http_metadata_server_host=127.0.0.1", f"--http_metadata_server_port={ports['http']}",
            f"--metrics_port={ports['metrics']}", "--default_kv_lease_ttl=500", "--logtostderr=true",
        ]
        self._addresses = [f"127.0.0.1:{ports['rpc']}", f"http://127.0.0.1:{ports['http']}/metadata"]
        self._ports = ports
        script = os.path.join(_here, "mooncake_driver.py")
        self.node = Driver(
            os.path.join(work, "mooncake-node.log"),
            [python, script, "node", *self._addresses, str(segment_byte_count)],
        )
        self.client = Driver(os.path.join(work, "mooncake-client.log"), [python, script, "client", *self._addresses, "0"])

    def start(self):
        self.master.launch(self._master_command)
        limit = time.monotonic() + 20
        for name in ("rpc", "http"):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", self._ports[name]), 1).close()
                    break
                except OSError:
                    if not self.master.is_running or time.monotonic() > limit:
                        raise NodeFailed(f"mooncake_master: {self.master.ending()}") from None
                    time.sleep(0.05)
        self.node.start()
        self.client.start()

    def stop(self):
        for process in (self.client, self.node, self.master):
            process.kill_hard()
