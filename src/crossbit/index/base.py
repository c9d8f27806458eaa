"""What every index can do, and what a search gives back."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from crossbit.bits import check_codes
from crossbit.errors import UserError

Item = dict[str, Any]
Items = Sequence[Mapping[str, Any] | None] | Mapping[str, Any]
Hit = tuple[int, int, Item | None]  # id, distance, item

SHOWN = 10  # hits in a repr
ROWS_AT_ONCE = 256  # of a search, whose items are fetched together: one round trip for many queries, not one for all


class Hits:
    """The nearest codes of every query, ordered by (distance, id).

    `hits[i]` is the list of (id, distance, item) of query i; items are fetched when they are first asked for, so the
    index must still be open then, and an item removed in the meantime is None.

    Attributes:
        distances: int32 (m, k), -1 where there were fewer than k codes; a k above 8192 gives no more columns than
            there are codes.
        ids: int64 (m, k), -1 in the same places.
        cosines: float64 (m, k) of the embeddings that ordered them; None where distance did.

    >>> hits = Hits(np.array([[0, 3]]), np.array([[5, 2]]), lambda ids: {i: {"name": f"no {i}"} for i in ids})
    >>> hits[0]
    [(5, 0, {'name': 'no 5'}), (2, 3, {'name': 'no 2'})]
    >>> hits
    <Hits of 1 query, the first: id 5 at 0, id 2 at 3>
    """

    def __init__(
        self,
        distances: npt.NDArray[np.int32],
        ids: npt.NDArray[np.int64],
        items: Callable[[list[int]], Mapping[int, Item]],
        cosines: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self.distances = distances
        self.ids = ids
        self.cosines = cosines
        self._fetch = items
        self._items: dict[int, Item | None] = {}

    def __repr__(self) -> str:
        """How many queries, and the hits of the first; no item is fetched for it."""
        many = f"{len(self):,} {'query' if len(self) == 1 else 'queries'}"
        if not (first := self._found(slice(0, 1))):
            return f"<Hits of {many}{', nothing found for the first' if len(self) else ''}>"
        shown = [f"id {i} at {d}" for i, d in zip(first[:SHOWN], self.distances[0], strict=False)]
        return f"<Hits of {many}, the first: {', '.join(shown)}{', ...' if len(first) > SHOWN else ''}>"

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, query: int) -> list[Hit]:
        row = operator.index(query)
        row += len(self) if row < 0 else 0
        if not 0 <= row < len(self):
            raise IndexError(f"query {query} of {len(self)}")
        found = self._found(slice(row, row + 1))
        items = self._items
        if not items.keys() >= set(found):
            items = self._items = self._block(row - row % ROWS_AT_ONCE)
        return [(i, int(d), items[i]) for i, d in zip(found, self.distances[row], strict=False)]

    def __iter__(self) -> Iterator[list[Hit]]:
        return (self[row] for row in range(len(self)))

    def take(self, columns: npt.NDArray[np.int64], cosines: npt.NDArray[np.float64]) -> Hits:
        """Some of the hits in another order, with their cosines (m, k): columns (m, k) of `ids` and `distances`; their
        items are fetched as before."""
        distances = np.take_along_axis(self.distances, columns, axis=1)
        return Hits(distances, np.take_along_axis(self.ids, columns, axis=1), self._fetch, cosines)

    def _block(self, start: int) -> dict[int, Item | None]:
        """The items of a block of rows; only the last block is kept, so memory stays bounded."""
        wanted = sorted(set(self._found(slice(start, start + ROWS_AT_ONCE))))
        return dict.fromkeys(wanted) | dict(self._fetch(wanted))

    def _found(self, rows: slice) -> list[int]:
        ids: list[int] = self.ids[rows][self.distances[rows] >= 0].tolist()
        return ids


class Index(ABC):
    """Codes under ids, each with an item: what `open_index` returns, whatever is behind it.

    Attributes:
        bits: the code length.
    """

    @property
    @abstractmethod
    def bits(self) -> int: ...

    __iter__ = None  # ids are keys, not positions: without this, Python would try index[0], index[1], ...

    @abstractmethod
    def add(
        self, ids: npt.ArrayLike, codes: npt.ArrayLike, items: Items | None = None, *, replace: bool = False
    ) -> None:
        """Add codes under ids: all of them or, on an error, none; once it returns they are there for good.

        Args:
            ids: int64 (n,), all different.
            codes: packed uint8 (n, bits // 8).
            items: a dict (or None) for each row, or a dict of columns with n values each, which is faster. Values are
                int, float, bool, str, list of str; None (and NaN) is a missing value. New columns may come at any time.
            replace: replace codes and items under ids that are there already, instead of refusing.

        Raises:
            UserError: ids that are there already or twice in the call; codes of another length; values of another type
                than their column's.
        """

    @abstractmethod
    def remove(self, ids: npt.ArrayLike, *, missing_ok: bool = False) -> None:
        """Remove codes and items, all or, on an error, none.

        Raises:
            UserError: ids that are not there, unless `missing_ok`.
        """

    @abstractmethod
    def search(
        self,
        codes: npt.ArrayLike,
        k: int = 10,
        where: str | None = None,
        *,
        time_limit_ms: float = 10_000,
    ) -> Hits:
        """Find the k nearest codes of every query.

        Args:
            codes: packed uint8 (m, bits // 8).
            k: how many at most.
            where: only among items for which this expression over `id` and the items' columns is true.
            time_limit_ms: the filter is ended after so many milliseconds.

        Raises:
            UserError: codes of another length, k below 1, an expression that is wrong, not allowed or takes too long.
        """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __contains__(self, id: object) -> bool: ...

    @abstractmethod
    def __getitem__(self, id: int) -> tuple[npt.NDArray[np.uint8], Item]:
        """The code, uint8 (bits // 8,), and the item under `id`; KeyError where there is none."""

    def __delitem__(self, id: int) -> None:
        if id not in self:
            raise KeyError(id)
        self.remove([id])

    @abstractmethod
    def close(self) -> None:
        """Give up the file or the connection; closing twice is allowed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check_length(self, codes: npt.ArrayLike, what: str = "codes") -> npt.NDArray[np.uint8]:
        """Return `codes` as uint8 (n, bits // 8); UserError where they have another length than the index."""
        array = check_codes(codes, what)
        if 8 * array.shape[1] != self.bits:
            raise UserError(f"{what} have {8 * array.shape[1]} bits, the index has {self.bits}")
        return array


def check_ids(ids: npt.ArrayLike | Iterable[int]) -> npt.NDArray[np.int64]:
    """Return ids as int64 (n,).

    Raises:
        UserError: anything but whole numbers of 64 bits, or the same id twice.

    >>> check_ids([3, 1])
    array([3, 1])
    """
    array = np.asarray(ids)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"ids are whole numbers of 64 bits, shape (n,); got {array.dtype} of shape {array.shape}")
    if array.dtype == np.uint64 and len(array) and array.max() > np.iinfo(np.int64).max:
        raise UserError(f"ids are whole numbers below 2**63, got {array.max()}")
    array = array.astype(np.int64)
    ordered = np.sort(array)
    twice = ordered[:-1][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise UserError(
            f"id {twice[0]} is there twice in one call ({len(twice)} repeated ids); each must be given once"
        )
    return array


def check_k(k: int) -> int:
    """Return `k` as int; UserError where it is not a whole number of at least 1."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise UserError(f"k is {k!r}; it must be a whole number of at least 1")
    return int(k)
