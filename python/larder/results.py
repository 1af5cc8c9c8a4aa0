"""What calls return."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import LarderError

if TYPE_CHECKING:
    from .connection import Connection
    from .link import NodeLink


class KeyCount(int):
    """For how many of a call's keys something was done: a number, and why it may be too small.

    A call that failed counts what is known to be done. `is_complete` tells a 0 that means "nothing was there" from one
    that means "nobody answered".
    """

    #: Why the call, or a part of it, was not answered; None when all was.
    error: LarderError | None

    def __new__(cls, count: int, error: LarderError | None = None) -> KeyCount:
        self = super().__new__(cls, count)
        self.error = error
        return self

    @property
    def is_complete(self) -> bool:
        """Whether every node that had to be asked has answered."""
        return self.error is None

    @property
    def silent_nodes(self) -> tuple[str, ...]:
        """Names of the nodes of the cluster that did not answer; empty also when the node that was asked did not."""
        return self.error.silent_nodes if self.error else ()

    def __repr__(self) -> str:
        return f"KeyCount({int(self)})" if self.error is None else f"KeyCount({int(self)}, {self.error})"


@dataclass(frozen=True)
class PutResult:
    """What became of one block that was offered to a node. True where the node holds it now."""

    #: `stored`, `exists` (the node had it already) or `refused`.
    status: str
    #: Why it was refused; a reason of the node, or the code of a `LarderError`.
    reason: str = ""

    def __bool__(self) -> bool:
        return self.status != "refused"


class Lease:
    """What a match found stays readable until the lease ends: by `release`, by its time, or with the connection."""

    __slots__ = ("ids", "_link", "_connection")

    def __init__(self, link: NodeLink, connection: Connection, ids: list[int]) -> None:
        self.ids = ids
        self._link = link
        self._connection = connection

    def release(self) -> None:
        """Ends the lease. Does not wait for the node, never fails; once more does nothing."""
        ids, self.ids = self.ids, []
        if ids:
            self._link.give_back(self._connection, ids)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"Lease({', '.join(map(str, self.ids)) or 'ended'})"


@dataclass(frozen=True)
class Match:
    """What a node holds of a sequence of blocks. As a context manager it ends its lease, if it has one."""

    #: Blocks held, from the first on, without a hole.
    count: int
    #: What keeps them readable; None without one.
    lease: Lease | None
    #: `memory` or `disk` (or what newer nodes say) for each block that is held.
    tiers: tuple[str, ...]
    #: Why nothing is known of the blocks, when the node did not answer; None when it did.
    error: LarderError | None = None

    def __enter__(self) -> Match:
        return self

    def __exit__(self, *_: object) -> None:
        if self.lease:
            self.lease.release()


class Blocks:
    """Borrowed blocks: for each key a read-only view of its payload, or None where the node does not have it.

    Views of the node's own memory are good until this is released, and for as long as `live`. Leaving the `with` block
    releases the views: a later use raises ``ValueError`` instead of reading another block's bytes. What still refers
    to a block then, a slice or a numpy array for instance, makes leaving raise ``BufferError``, and the loan stays for
    as long as that does: nothing reads what is no longer lent.
    """

    def __init__(
        self,
        link: NodeLink,
        connection: Connection | None,
        loan: int | None,
        views: list[memoryview | None],
        lent: list[weakref.ref[Any] | None],
    ) -> None:
        self._link = link
        self._connection = connection
        self._loan = loan
        self._views = views
        self._lent = lent
        #: For each key whether its view is of the node's memory; the others are copies.
        self.in_place = [block is not None for block in lent]

    def __getitem__(self, index: int) -> memoryview | None:
        return self._views[index]

    def __len__(self) -> int:
        return len(self._views)

    def __iter__(self) -> Iterator[memoryview | None]:
        return iter(self._views)

    @property
    def count(self) -> int:
        """How many of the first blocks are here, without a hole."""
        for index, view in enumerate(self._views):
            if view is None:
                return index
        return len(self._views)

    @property
    def live(self) -> bool:
        """Whether the loan still holds. Ask *after* using the views, and throw away what was made of them when it does
        not: the node may have used their memory for other blocks."""
        if self._loan is None:
            return True
        return self._connection is not None and self._connection.is_live

    def release(self) -> None:
        """Ends the loan; every view is invalid. Does not wait for the node. Raises ``BufferError``, and keeps the loan,
        while something refers to a block; call it again when that is gone."""
        self._release_views()
        loan, self._loan = self._loan, None
        if loan is not None and self._connection is not None:
            self._link.give_back(self._connection, [loan])
        self._connection = None

    def _release_views(self) -> None:
        for view in self._views:
            if view is not None:
                view.release()
        if any(block is not None and block() is not None for block in self._lent):
            raise BufferError("something still refers to a borrowed block: copy what outlives the loan")

    def __enter__(self) -> Blocks:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self.release()
        except BufferError:
            # The traceback of an error on its way may be what refers to the block.
            if kind is None:
                raise

    def __del__(self) -> None:
        # May run anywhere, in the middle of the pool's own code too: takes no lock, sends nothing.
        if self._loan is None or self._connection is None:
            return
        try:
            self._release_views()
        except BufferError:
            return
        self._connection.to_release.append(self._loan)
