"""Ways to a node's address that keep a deadline."""

from __future__ import annotations

import errno
import ipaddress
import os
import select
import socket
import threading
from typing import Any

from .deadline import Deadline
from .endpoint import Endpoint
from .errors import ConnectionLost
from .limits import LOCAL_SEND_BYTES


class Resolver:
    """Finds a host's addresses. Nothing bounds the system's resolver, so a thread of its own waits for it, and there is
    never more than one."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._lock = threading.Lock()
        self._running: _Lookup | None = None

    def addresses(self, deadline: Deadline) -> list[Any]:
        """What getaddrinfo gives; raises `ConnectionLost` when that is nothing."""
        try:
            return _look_up(self._host, self._port, socket.AI_NUMERICHOST)
        except OSError:
            pass
        with self._lock:
            lookup = self._running
            if lookup is None or lookup.done.is_set():
                lookup = self._running = _Lookup(self._host, self._port)
        if not lookup.done.wait(deadline.remaining()):
            deadline.remaining()
        if not lookup.found:
            raise ConnectionLost("unreachable", f"no address of {self._host} is known")
        return lookup.found


class _Lookup:
    def __init__(self, host: str, port: int) -> None:
        self.done = threading.Event()
        self.found: list[Any] = []
        thread = threading.Thread(target=self._run, args=(host, port), name="larder-resolver", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No thread is to be had: no address either.
            self.done.set()

    def _run(self, host: str, port: int) -> None:
        try:
            self.found = _look_up(host, port, 0)
        except (OSError, UnicodeError):
            pass
        finally:
            self.done.set()


def _look_up(host: str, port: int, flags: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)


def connect(endpoint: Endpoint, resolver: Resolver | None, deadline: Deadline) -> socket.socket:
    """A connected socket; raises `ConnectionLost` or `TimedOut`."""
    if endpoint.is_unix:
        candidates = [(socket.AF_UNIX, endpoint.path)]
    else:
        assert resolver is not None
        candidates = [(entry[0], entry[4]) for entry in resolver.addresses(deadline)]
    problem = "no address"
    for place, (family, address) in enumerate(candidates):
        # An address that swallows packets leaves time for those after it.
        share = deadline.remaining() / (len(candidates) - place)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            problem = _try(sock, address, share)
            if not problem:
                _tune(sock)
                return sock
        except OSError as error:
            problem = os.strerror(error.errno) if error.errno else str(error)
        sock.close()
    deadline.remaining()
    raise ConnectionLost("unreachable", f"no node answers at {endpoint}: {problem}")


def _tune(sock: socket.socket) -> None:
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        address = ipaddress.ip_address(sock.getpeername()[0].partition("%")[0])
        if not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
            return
        # Where BBR is the system's default it paces by timers, on loopback too, where there is nothing to congest.
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        except OSError:
            # A kernel that refuses keeps its default: slower, not wrong.
            pass
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LOCAL_SEND_BYTES)


def _try(sock: socket.socket, address: Any, seconds: float) -> str:
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code == 0:
        return ""
    if code != errno.EINPROGRESS:
        return os.strerror(code)
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    if not poll.poll(seconds * 1000):
        return "no answer"
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return os.strerror(code) if code else ""
