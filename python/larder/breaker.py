"""Decides whether a node is asked at all."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

PASS, REFUSE, REFUSE_AND_PROBE = range(3)


@dataclass(frozen=True)
class BreakerPolicy:
    """When a breaker opens and how long it stays open, seconds."""

    #: Failures in a row that open it.
    failures: int = 3
    #: First time to stay open.
    backoff: float = 0.1
    #: Longest time to stay open; each failed probe doubles the time up to this.
    backoff_max: float = 5.0
    #: How long a probe may take.
    probe_timeout: float = 1.0


class CircuitBreaker:
    """Closed: every call passes. After `failures` in a row, or one call whose whole time went by without a byte, it
    opens: every call is refused at once. When its backoff is over, the next refused call is told to start a probe
    beside it; the probe's result closes the breaker or opens it for longer. No caller ever waits for a probe."""

    def __init__(self, policy: BreakerPolicy | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`policy` None: it never opens."""
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until: float | None = None
        self._openings = 0
        self._probing = False

    @property
    def is_closed(self) -> bool:
        """Whether calls pass."""
        return self._open_until is None

    def admit(self) -> int:
        """PASS, REFUSE, or REFUSE_AND_PROBE: the caller starts a probe and answers a miss."""
        if self._open_until is None:
            return PASS
        with self._lock:
            if self._open_until is None:
                return PASS
            if self._probing or self._clock() < self._open_until:
                return REFUSE
            self._probing = True
            return REFUSE_AND_PROBE

    def succeeded(self) -> None:
        """A call or a probe was answered."""
        if self._failures == 0 and self._open_until is None:
            return
        with self._lock:
            self._failures, self._openings = 0, 0
            self._open_until, self._probing = None, False

    def failed(self, silent: bool) -> bool:
        """A call failed; whether that opened the breaker. `silent`: its whole time went by without one byte."""
        if self._policy is None:
            return False
        with self._lock:
            # Calls that were under way when the breaker opened say nothing new.
            if self._open_until is not None:
                return False
            self._failures += 1
            if not silent and self._failures < self._policy.failures:
                return False
            self._open(0)
            return True

    def probe_failed(self) -> None:
        """The probe failed: it stays open, for longer."""
        with self._lock:
            if self._probing:
                self._open(self._openings + 1)

    def _open(self, openings: int) -> None:
        assert self._policy is not None
        self._openings = openings
        self._probing = False
        backoff = min(
            self._policy.backoff * 2 ** min(openings, 32), max(self._policy.backoff, self._policy.backoff_max)
        )
        self._open_until = self._clock() + backoff * (1 - random.random() / 2)
