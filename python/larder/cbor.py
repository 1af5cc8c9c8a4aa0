"""The part of canonical CBOR (RFC 8949, 4.2) that block names are made of: integers, bytes, text, arrays, null."""

from __future__ import annotations

from typing import Any


def head(kind: int, argument: int) -> bytes:
    """The first bytes of an item: its kind (0 to 7) and its number in the shortest form."""
    kind <<= 5
    if argument < 24:
        return bytes((kind | argument,))
    if argument < 1 << 8:
        return bytes((kind | 24, argument))
    if argument < 1 << 16:
        return bytes((kind | 25,)) + argument.to_bytes(2, "big")
    if argument < 1 << 32:
        return bytes((kind | 26,)) + argument.to_bytes(4, "big")
    return bytes((kind | 27,)) + argument.to_bytes(8, "big")


def encode(value: Any) -> bytes:
    """The canonical form of None, an int of at most 64 bits, bytes, str, list or tuple."""
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        argument = value if value >= 0 else -1 - value
        if argument >> 64:
            raise ValueError("an integer of more than 64 bits")
        return head(0 if value >= 0 else 1, argument)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return head(2, len(value)) + bytes(value)
    if isinstance(value, str):
        text = value.encode("utf-8")
        return head(3, len(text)) + text
    if isinstance(value, (list, tuple)):
        return head(4, len(value)) + b"".join(map(encode, value))
    raise TypeError(f"no CBOR is written for {type(value).__name__}")
