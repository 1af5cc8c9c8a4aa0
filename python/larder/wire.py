"""Requests as bytes, and what a small reply can be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from .errors import LarderError


#: How a node names those of its cluster that did not answer; a node's name has no space and no comma.
_SILENT = re.compile(r"^CLUSTERDOWN .*?\bbut (\S+(?:, \S+)*) did not answer")


class ErrorReply:
    """An error that the node answered with; a value, because one reply may hold several."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def is_refusal(self) -> bool:
        """Whether the node does not accept who asks, rather than what is asked."""
        return self.text.startswith(("NOAUTH", "WRONGPASS", "NOPERM"))

    def error(self) -> LarderError:
        """What to raise for it."""
        if self.text.startswith("CLUSTERDOWN"):
            silent = _SILENT.match(self.text)
            return LarderError("incomplete", self.text, tuple(silent[1].split(", ")) if silent else ())
        return LarderError("unauthorized" if self.is_refusal else "answered_with_error", self.text)

    def __repr__(self) -> str:
        return f"ErrorReply({self.text!r})"


def text(value: Any) -> Any:
    """A reply that may be text, as str; anything else as it is."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def bulk(argument: bytes) -> bytes:
    """One argument."""
    return b"$%d\r\n%b\r\n" % (len(argument), argument)


def request(*arguments: bytes) -> bytes:
    """A whole request of small arguments."""
    return b"*%d\r\n" % len(arguments) + b"".join(map(bulk, arguments))


def keys_request(name: bytes, namespace: bytes, options: Sequence[bytes], keys: Sequence[bytes]) -> bytes:
    """`NAME namespace options KEYS n key...`"""
    start = request_start(name, namespace, options, b"KEYS", len(keys), len(keys))
    return start + b"".join(map(bulk, keys))


def request_start(
    name: bytes, namespace: bytes, options: Iterable[bytes], list_word: bytes, count: int, arguments: int
) -> bytes:
    """`NAME namespace options WORD count`, of a request that `arguments` more arguments follow."""
    words = (name, namespace, *options, list_word, b"%d" % count)
    return b"*%d\r\n" % (len(words) + arguments) + b"".join(map(bulk, words))


def payloads_request(
    start: bytes, keys: Sequence[bytes], payloads: Sequence[memoryview]
) -> list[bytes | memoryview]:
    """A request with payloads in pieces for sendmsg: the payloads are not copied."""
    pieces: list[bytes | memoryview] = []
    for key, payload in zip(keys, payloads):
        pieces.append(b"%b$%d\r\n%b\r\n$%d\r\n" % (start, len(key), key, len(payload)))
        pieces.append(payload)
        start = b"\r\n"
    pieces.append(start)
    return pieces
