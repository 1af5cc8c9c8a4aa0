"""Who is in a cluster, and which node owns which slot, as one of its nodes tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import wire
from .errors import LarderError
from .slots import SLOTS, slot_of


@dataclass(frozen=True)
class Node:
    """One node of a cluster."""

    name: str
    host: str
    port: int
    #: Whether the node that was asked can reach it.
    is_up: bool

    @property
    def endpoint(self) -> str:
        """Where it listens, as `Client` takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Members:
    """The nodes of a cluster as one of them sees them: the reply to ``KV.CLUSTER VIEW``."""

    #: Grows with every change that the asked node saw; means nothing to another node.
    epoch: int
    #: The name of the node that was asked.
    own: str
    nodes: tuple[Node, ...]

    @classmethod
    def read(cls, reply: Any) -> Members:
        """Raises `LarderError` for what is no such reply."""
        try:
            epoch, own, nodes = reply[:3]
            members = tuple(
                Node(str(wire.text(name)), str(wire.text(host)), _port(port), up == 1)
                for name, host, port, _, _, _, up, *_ in nodes
            )
            if type(epoch) is int:
                return cls(epoch, str(wire.text(own)), members)
        except (TypeError, ValueError):
            pass
        raise LarderError("protocol_violation", "KV.CLUSTER VIEW was answered by something else than it promises")


class SlotTable:
    """Which node owns each slot: the reply to ``CLUSTER SHARDS``."""

    def __init__(self, reply: Any) -> None:
        """Raises `LarderError` for what is no such reply."""
        owners: list[tuple[str, int] | None] = [None] * SLOTS
        try:
            for shard in reply:
                fields = _fields(shard)
                node = _fields(fields["nodes"][0])
                owner = str(wire.text(node["endpoint"])), _port(node["port"])
                bounds = fields["slots"]
                for first, last in zip(bounds[::2], bounds[1::2]):
                    if not 0 <= first <= last < SLOTS:
                        raise ValueError
                    owners[first : last + 1] = [owner] * (last + 1 - first)
        except (IndexError, KeyError, TypeError, ValueError):
            raise LarderError(
                "protocol_violation", "CLUSTER SHARDS was answered by something else than it promises"
            ) from None
        self._owners = owners

    def parts(self, keys: Sequence[bytes]) -> dict[tuple[str, int] | None, list[int]]:
        """The places of keys by the host and port of their owner, None where nobody is known."""
        parts: dict[tuple[str, int] | None, list[int]] = {}
        for index, key in enumerate(keys):
            parts.setdefault(self._owners[slot_of(key)], []).append(index)
        return parts


def _fields(reply: Any) -> dict[str, Any]:
    """A map, which RESP2 writes as a list of names and values."""
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2])
    return {str(wire.text(name)): value for name, value in pairs}


def _port(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 65_535:
        raise ValueError("no port")
    return value
