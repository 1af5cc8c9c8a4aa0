"""Copies and checksums of memory that let other threads of Python run meanwhile."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable

_BYTE = ctypes.c_char


class _PyBuffer(ctypes.Structure):
    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


# Functions of our own: those that `ctypes.pythonapi` hands out belong to the whole process, and whoever else uses them
# gives them other argument types.
_get_buffer = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int)(
    ("PyObject_GetBuffer", ctypes.pythonapi)
)
_release_buffer = ctypes.PYFUNCTYPE(None, ctypes.POINTER(_PyBuffer))(("PyBuffer_Release", ctypes.pythonapi))


class Address:
    """Where an object's memory lies, for as long as the `with` block; that long it cannot be resized or freed."""

    __slots__ = ("_buffer",)

    def __init__(self, memory: memoryview) -> None:
        self._buffer = _PyBuffer()
        _get_buffer(memory, ctypes.byref(self._buffer), 0)

    def __enter__(self) -> int:
        return self._buffer.buf or 0

    def __exit__(self, *_: object) -> None:
        _release_buffer(ctypes.byref(self._buffer))


def copy(target: int, source: int, count: int) -> None:
    """Copies `count` bytes from one address to another, without holding Python's lock."""
    ctypes.memmove(target, source, count)


def _from_library() -> Callable[[int, int], int] | None:
    for name in ("libxxhash.so.0", ctypes.util.find_library("xxhash")):
        if not name:
            continue
        try:
            function = ctypes.CDLL(name).XXH3_64bits
        except (OSError, AttributeError):
            continue
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        function.restype = ctypes.c_uint64
        return function
    return None


def _from_package() -> Callable[[int, int], int] | None:
    try:
        from xxhash import xxh3_64_intdigest
    except ImportError:
        return None

    def function(address: int, count: int) -> int:
        return int(xxh3_64_intdigest((_BYTE * count).from_address(address)))

    return function


#: XXH3, 64 bits, of `count` bytes at an address; None where this system has neither libxxhash nor the package.
xxh3: Callable[[int, int], int] | None = _from_library() or _from_package()
