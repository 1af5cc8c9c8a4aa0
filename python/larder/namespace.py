"""What must be equal for two KV blocks to be interchangeable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from .canonical import canonical_json

_STRINGS = ("model", "revision", "dtype", "layout", "adapter", "cache_salt", "engine")
_INTEGERS = {
    "tokens_per_block": 1,
    "tensor_parallel_size": 1,
    "tensor_parallel_rank": 0,
    "pipeline_parallel_size": 1,
    "pipeline_parallel_rank": 0,
}


class Namespace:
    """A description of blocks, and the identifier that follows from it: SHA-256 of its canonical JSON.

    Every name is part of the identity, known or not. Known ones have a kind that is checked: `model`, `revision`,
    `dtype`, `layout`, `adapter`, `cache_salt` and `engine` are strings; `tokens_per_block`, `tensor_parallel_size`,
    `tensor_parallel_rank`, `pipeline_parallel_size` and `pipeline_parallel_rank` are integers, sizes from 1, ranks
    from 0. The node chooses its disk codec by `dtype`.

    >>> Namespace({"dtype": "bfloat16", "model": "m", "tokens_per_block": 16}).id
    'c5a0515cc687ac07c657e39fc6a6e5a2357b28779e4d0b444e4c58d85737f419'
    """

    __slots__ = ("id", "canonical", "description", "wire_id")

    #: 64 lower-case hexadecimal digits.
    id: str
    #: The canonical JSON text.
    canonical: bytes
    #: The names and values, as given.
    description: Mapping[str, Any]
    #: The identifier as it is sent.
    wire_id: bytes

    def __init__(self, description: Mapping[str, Any]) -> None:
        """Takes names and values; ``ValueError`` or ``TypeError`` for what cannot be described."""
        if not isinstance(description, Mapping):
            raise TypeError("a namespace is described by a dict")
        description = dict(description)
        for name, value in description.items():
            _check(name, value)
        self.canonical = canonical_json(description)
        self.id = hashlib.sha256(self.canonical).hexdigest()
        self.wire_id = self.id.encode("ascii")
        self.description = description

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Namespace) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Namespace({self.id[:12]}...)"


def _check(name: Any, value: Any) -> None:
    if name in _STRINGS and not isinstance(value, str):
        raise ValueError(f"a namespace's {name} must be a string")
    minimum = _INTEGERS.get(name)
    if minimum is not None and (isinstance(value, bool) or not isinstance(value, int) or value < minimum):
        raise ValueError(f"a namespace's {name} must be an integer from {minimum} on")
