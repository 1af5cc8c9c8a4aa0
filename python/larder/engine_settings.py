"""What an engine's configuration says about the node: one set of names for all engines.

Every adapter takes its own names out of its engine's configuration and hands the rest over here, where a name that is
not known is refused: a misspelt setting that is silently ignored costs more than an engine that does not start.

=====================  =========================================================================================
address                where the node listens: HOST:PORT, redis://HOST:PORT or unix:///PATH (default 127.0.0.1:7379)
username, password     as the node's users file has them; without `password` the variable LARDER_PASSWORD
lookup_deadline_ms     how long a lookup may take before it is a miss (default 250)
transfer_deadline_ms   how long one call that moves blocks may take before they are misses (default 2,000)
connections            connections to the node, of which one is kept for lookups (default 3)
cluster                whether blocks go straight to the nodes of a cluster that own them: true, or a list of other nodes'
                       addresses to turn to when the one at `address` is away (default false)
shared_memory          whether blocks on the same host go through the node's memory: "auto" (default) or false
namespace              a dict that is added to the namespace's description: `revision`, `adapter`, whatever else tells
                       two sets of weights apart that have the same name
=====================  =========================================================================================
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Mapping

from .client import Client
from .cluster import ClusterClient

DEFAULT_ADDRESS = "127.0.0.1:7379"


@dataclass(frozen=True)
class EngineSettings:
    """How an adapter reaches its node."""

    #: May hold a password.
    address: str = field(default=DEFAULT_ADDRESS, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    lookup_deadline_ms: int = 250
    transfer_deadline_ms: int = 2_000
    connections: int = 3
    cluster: Any = False
    shared_memory: Any = "auto"
    namespace: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def take(cls, config: dict[str, Any]) -> EngineSettings:
        """Removes the common names from `config` and checks them; raises ``ValueError`` for any other name in it."""
        taken = {name: config.pop(name) for name in cls.__dataclass_fields__ if name in config}
        if taken.get("username") is not None and taken.get("password") is None:
            taken["password"] = os.environ.get("LARDER_PASSWORD")
        if config:
            raise ValueError(f"larder: no setting is named {', '.join(sorted(map(str, config)))}")
        settings = cls(**taken)
        for name in ("lookup_deadline_ms", "transfer_deadline_ms", "connections"):
            value = getattr(settings, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"larder: {name} is an integer from 1 on, not {value!r}")
        others = settings.cluster
        if not isinstance(others, (bool, list, tuple)) or (
            not isinstance(others, bool) and not all(isinstance(other, str) for other in others)
        ):
            raise ValueError("larder: cluster is true, false or a list of addresses of other nodes")
        if not isinstance(settings.namespace, Mapping):
            raise ValueError("larder: namespace is an object whose names are added to the description")
        return settings

    @property
    def lookup_deadline(self) -> float:
        """Seconds."""
        return self.lookup_deadline_ms / 1_000

    @property
    def transfer_deadline(self) -> float:
        """Seconds."""
        return self.transfer_deadline_ms / 1_000

    def client(self) -> Client:
        """A client whose calls have the transfer deadline, unless they are given another."""
        options: dict[str, Any] = {
            "username": self.username,
            "password": self.password,
            "deadline": self.transfer_deadline,
            "connections": self.connections,
            "shared_memory": self.shared_memory,
        }
        if self.cluster is False:
            return Client(self.address, **options)
        others = () if self.cluster is True else self.cluster
        return ClusterClient([self.address, *others], **options)

    def described(self, description: Mapping[str, Any]) -> dict[str, Any]:
        """`description` with what the configuration adds; a name that the engine gives is not replaced."""
        clashes = sorted(set(description) & set(self.namespace))
        if clashes:
            raise ValueError(f"larder: namespace must not set what the engine knows: {', '.join(clashes)}")
        return {**description, **self.namespace}
