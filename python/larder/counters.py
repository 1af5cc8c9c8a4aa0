"""What became of a client's calls."""

from __future__ import annotations

import threading

NAMES = (
    "calls",  # calls made
    "hits",  # payloads that arrived whole
    "misses",  # payloads that were asked for and did not arrive, for whatever reason
    "length_mismatches",  # of those, payloads of another length than the buffer for them
    "damaged",  # of those, payloads that were not the bytes of their checksum
    "stored",  # payloads that the node took
    "exists",  # payloads that the node had already
    "refused",  # payloads that the node does not have now, for whatever reason
    "bytes_loaded",  # payload bytes that arrived whole
    "bytes_stored",  # payload bytes that the node took
    "shared_loads",  # payloads copied out of the node's memory, or lent in it
    "shared_stores",  # payloads written in the node's memory
    "connects",  # connections made
    "retries",  # calls sent again, because a connection that had been idle was lost
    "breaker_openings",  # how often the breaker opened
    # Calls that failed, by reason:
    "unreachable",
    "timed_out",
    "circuit_open",
    "overloaded",
    "protocol_violation",
    "unauthorized",
    "answered_with_error",
    "incomplete",
    "unavailable",
    "closed",
)


class Counters:
    """Counts under one lock; a snapshot is one moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values = dict.fromkeys(NAMES, 0)

    def add(self, **amounts: int) -> None:
        """Adds to several counters at once."""
        with self._lock:
            for name, amount in amounts.items():
                self._values[name] += amount

    def snapshot(self) -> dict[str, int]:
        """All values, by name."""
        with self._lock:
            return dict(self._values)

    def after_fork(self) -> None:
        """Another thread of the parent may have held the lock."""
        self._lock = threading.Lock()
