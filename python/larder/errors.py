"""What goes wrong, with a code for programs and a message for people."""

from __future__ import annotations


class LarderError(Exception):
    """Why a call to a node did not succeed.

    The engine's calls turn every one into a miss and count it; only the calls for tools raise it. A caller's mistake
    is a ``ValueError`` or ``TypeError`` everywhere.

    ``code`` is one of:

    ==================  =============================================================================
    unreachable         no connection could be made, or it was lost before the reply was whole
    timed_out           the call's time was over
    circuit_open        the node failed a moment ago and is not asked until a probe succeeds
    overloaded          all of the client's own connections were busy for the call's whole time
    protocol_violation  what came back is no reply, or not one to this request
    unauthorized        the node does not accept the credentials, wants some, or forbids the call
    answered_with_error the node understood the request and refused it
    incomplete          nodes of the cluster did not answer: what was asked is not done there (see `silent_nodes`)
    unavailable         the node's memory is not shared with this process
    closed              the client was closed
    ==================  =============================================================================
    """

    def __init__(self, code: str, message: str, silent: tuple[str, ...] = ()) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        #: Names of the nodes that should have answered and did not, where ``code`` is ``incomplete``.
        self.silent_nodes = silent


class ConnectionLost(LarderError):
    """The connection is of no use any more: bytes of its stream are owed, or nobody is there."""


class TimedOut(ConnectionLost):
    """The call's time was over; `silent` tells whether not one byte came in that time."""

    def __init__(self, message: str, silent: bool = False) -> None:
        super().__init__("timed_out", message)
        self.silent = silent


def violation(message: str) -> ConnectionLost:
    """A reply that breaks the protocol: the rest of the stream means nothing."""
    return ConnectionLost("protocol_violation", message)
