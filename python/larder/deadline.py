"""How long a call may still take."""

from __future__ import annotations

import time

from .errors import TimedOut


class Deadline:
    """The end of one call, on the monotonic clock; every wait of the call is bounded by it."""

    __slots__ = ("seconds", "end", "moved")

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError("a deadline is more than 0 seconds")
        self.seconds = seconds
        self.end = time.monotonic() + seconds
        #: Whether the node has sent anything since the call began.
        self.moved = False

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self.end

    def within(self, share: float) -> Deadline:
        """A deadline at `share` of the time that is left."""
        part = self.copy()
        part.end = time.monotonic() + max(0.0, self.end - time.monotonic()) * share
        return part

    def copy(self) -> Deadline:
        """The same end, for another connection."""
        copy = Deadline(self.seconds)
        copy.end = self.end
        return copy

    def remaining(self) -> float:
        """Seconds left, more than 0; raises `TimedOut` when there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimedOut("the node did not answer in time", silent=not self.moved)
        return left
