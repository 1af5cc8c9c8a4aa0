"""The slot of a key: who owns a slot, owns its keys."""

from __future__ import annotations

import binascii

#: Slots of a cluster, whatever its size.
SLOTS = 16_384


def slot_of(key: bytes) -> int:
    """The slot of a key, as Redis Cluster's specification has it (section "Key distribution model"): CRC-16/XMODEM of the
    key, or of what stands between its first `{` and the next `}` if that is not empty, modulo 16,384.

    >>> slot_of(b"123456789")
    12739
    """
    opened = key.find(b"{")
    if opened >= 0:
        closed = key.find(b"}", opened + 1)
        if closed > opened + 1:
            key = key[opened + 1 : closed]
    return binascii.crc_hqx(key, 0) % SLOTS
