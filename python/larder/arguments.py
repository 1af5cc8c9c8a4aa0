"""What callers give, checked before anything is done with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Union

from .limits import KEY_BYTES_MAX, PAYLOAD_BYTES_MAX
from .namespace import Namespace

Key = Union[bytes, bytearray, memoryview]


def keys_of(ns: Namespace, keys: Iterable[Key]) -> list[bytes]:
    """Keys as they are sent; raises ``ValueError`` or ``TypeError`` for what can be no key, or no namespace."""
    if not isinstance(ns, Namespace):
        raise TypeError("a namespace is what describe() returns")
    if isinstance(keys, (bytes, bytearray, memoryview, str)):
        raise TypeError("keys are a list of bytes, not one key")
    checked = []
    for key in keys:
        if type(key) is not bytes:
            if not isinstance(key, (bytes, bytearray, memoryview)):
                raise TypeError(f"a key is bytes, not {type(key).__name__}")
            key = bytes(key)
        if not 1 <= len(key) <= KEY_BYTES_MAX:
            raise ValueError(f"a key has 1 to {KEY_BYTES_MAX} bytes, not {len(key)}")
        checked.append(key)
    return checked


def view_of(buffer: Any, writable: bool) -> memoryview:
    """A buffer's bytes, which can be a payload; raises ``ValueError`` or ``TypeError`` where they cannot."""
    view = memoryview(buffer)
    if not view.contiguous:
        raise ValueError("a buffer must be contiguous")
    if writable and view.readonly:
        raise ValueError("a buffer to load into must be writable")
    if not 1 <= view.nbytes <= PAYLOAD_BYTES_MAX:
        raise ValueError(f"a payload has 1 to {PAYLOAD_BYTES_MAX} bytes, not {view.nbytes}")
    return view.cast("B")


def check_counts(keys: Sequence[bytes], views: Sequence[memoryview]) -> None:
    """Raises ``ValueError`` unless there is one buffer for each key."""
    if len(keys) != len(views):
        raise ValueError(f"{len(keys)} keys and {len(views)} buffers")
