"""A node's memory as this process sees it."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import stat
import threading
import weakref
from typing import Any

from . import memory

_GET_SEALS = 1034
_SEAL_SHRINK = 2

#: What the offsets and replies of shared memory mean; with another number none is used.
VERSION = 1


class Arena:
    """The mapping; it stays for as long as anything refers to it, a view of a part included."""

    def __init__(self, descriptor: int, byte_count: int, writable: bool) -> None:
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        self._mapping = mmap.mmap(descriptor, byte_count, flags=mmap.MAP_SHARED, prot=access)
        self._view = memoryview(self._mapping)

    def part(self, offset: int, byte_count: int) -> memoryview | None:
        """A part; None when it does not lie inside."""
        size = len(self._view)
        if offset < 0 or byte_count <= 0 or offset > size or byte_count > size - offset:
            return None
        return self._view[offset : offset + byte_count]

    def lend(self, offset: int, byte_count: int) -> tuple[memoryview, weakref.ref[Any]] | None:
        """A part for reading, and what tells whether anything still refers to it: a slice and an array made of a view
        live on when the view itself is released. None when it does not lie inside."""
        part = self.part(offset, byte_count)
        if part is None:
            return None
        with memory.Address(part) as start:
            block = (ctypes.c_char * byte_count).from_address(start)
        # Whoever refers to the block keeps the mapping.
        block.arena = self  # type: ignore[attr-defined]
        return memoryview(block).cast("B").toreadonly(), weakref.ref(block)


class ArenaTable:
    """The mappings that connections share: one for each memory and access, however many descriptors of it come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arenas: weakref.WeakValueDictionary[tuple[int, int, bool], Arena] = weakref.WeakValueDictionary()

    def map(self, descriptor: int, byte_count: int, writable: bool) -> Arena | None:
        """Maps what a node passed, or finds it mapped; None when that is not what it should be. Keeps no descriptor."""
        status = os.fstat(descriptor)
        # A length that the file does not have, or does not keep, would make reads end the process.
        if byte_count <= 0 or status.st_size < byte_count or not _keeps_its_length(descriptor, status):
            return None
        identity = (status.st_dev, status.st_ino, writable)
        with self._lock:
            arena = self._arenas.get(identity)
            if arena is None:
                try:
                    arena = Arena(descriptor, byte_count, writable)
                except (OSError, ValueError):
                    return None
                self._arenas[identity] = arena
            return arena


def _keeps_its_length(descriptor: int, status: os.stat_result) -> bool:
    """Whether nobody can take pages away from under a reader: sealed memory, or a file of this user's alone, as a node has
    that keeps its memory for its next start."""
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077:
        return True
    try:
        return bool(fcntl.fcntl(descriptor, _GET_SEALS) & _SEAL_SHRINK)
    except OSError:
        return False
