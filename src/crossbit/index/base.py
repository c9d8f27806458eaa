"""What every index can do, and what a search gives back."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from crossbit.bits import check_codes
from crossbit.errors import UserError
from crossbit.index.ids import LARGEST

if TYPE_CHECKING:
    from crossbit.index.embeddings import Embeddings

Array = npt.NDArray[Any]
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
        compared: how many codes each query was compared with: all, or those that a filter lets through.
        exact: whether this search can have missed no nearer code.

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
        *,
        compared: int = 0,
        exact: bool = True,
    ) -> None:
        self.distances, self.ids = _read_only(distances), _read_only(ids)
        self.cosines = None if cosines is None else _read_only(cosines)
        self.compared, self.exact = compared, exact
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
        ids = np.take_along_axis(self.ids, columns, axis=1)
        return Hits(distances, ids, self._fetch, cosines, compared=self.compared, exact=self.exact)

    def _block(self, start: int) -> dict[int, Item | None]:
        """The items of a block of rows; only the last block is kept, so memory stays bounded."""
        wanted = sorted(set(self._found(slice(start, start + ROWS_AT_ONCE))))
        return dict.fromkeys(wanted) | dict(self._fetch(wanted))

    def _found(self, rows: slice) -> list[int]:
        ids: list[int] = self.ids[rows][self.distances[rows] >= 0].tolist()
        return ids


class Changed(UserError):
    """What was found a moment ago is not there any more, or is another: somebody has changed the index meanwhile."""


class Index(ABC):
    """Codes under ids, each with an item: what `open_index` returns, whatever is behind it.

    Attributes:
        bits: the code length.
        exact: whether no search can miss a nearer code; `Hits.exact` says it of one.
        largest_id: that it can hold.
    """

    exact: bool = True
    largest_id: int = LARGEST

    @property
    @abstractmethod
    def bits(self) -> int: ...

    @property
    def embeddings(self) -> Embeddings | None:
        """What orders a shortlist by cosine; None where there are only codes."""
        return None

    @abstractmethod
    def add(
        self,
        ids: npt.ArrayLike | None = None,
        codes: npt.ArrayLike | None = None,
        items: Items | None = None,
        *,
        replace: bool = False,
        embeddings: npt.ArrayLike | None = None,
        hashes: Sequence[str | None] | None = None,
        progress: Callable[[int, int], Any] | None = None,
    ) -> npt.NDArray[np.int64]:
        """Add codes under ids: all of them or, on an error, none; once it returns they are there for good.

        Args:
            ids: int64 (n,), all different; None numbers them on after the largest id.
            codes: packed uint8 (n, bits // 8).
            items: a dict (or None) for each row, or a dict of columns with n values each, which is faster. Values are
                int, float, bool, str, list of str; None (and NaN) is a missing value. New columns may come at any time.
            replace: replace codes and items under ids that are there already, instead of refusing.
            embeddings: real (n, bits) of which the codes are the signs; they re-rank what is found. Further columns
                count in the cosine alone.
            hashes: text for each row that tells whether it has changed; see `hashes`.
            progress: called now and then with the rows done and in all; if it returns False, nothing is added.

        Returns:
            The ids, int64 (n,).

        Raises:
            UserError: ids that are there already or twice in the call; codes of another length; values of another type
                than their column's; embeddings of other signs than the codes; cancelled.
        """

    @abstractmethod
    def remove(self, ids: npt.ArrayLike, *, missing_ok: bool = False) -> int:
        """Remove codes and items, all or, on an error, none; returns how many were there.

        Raises:
            UserError: ids that are not there, unless `missing_ok`.
        """

    def search(
        self,
        codes: npt.ArrayLike,
        k: int | None = None,
        where: str | None = None,
        *,
        radius: int | None = None,
        time_limit_ms: float = 10_000,
    ) -> Hits:
        """Find the k nearest codes of every query, ordered by (distance, id).

        Args:
            codes: packed uint8 (m, bits // 8), or one code (bits // 8,), which is one query.
            k: how many at most; 10 if not given, or with a radius all within it.
            where: only among items for which this expression over `id` and the items' columns is true.
            radius: only codes at this Hamming distance or nearer.
            time_limit_ms: the filter is ended after so many milliseconds.

        Raises:
            UserError: codes of another length, k below 1, an expression that is wrong, not allowed or takes too long.
        """
        return self.search_places(codes, k, where, radius=radius, time_limit_ms=time_limit_ms)[0]

    @abstractmethod
    def keys(self) -> npt.NDArray[np.int64]:
        """All ids, int64 (n,), ascending."""

    @property
    @abstractmethod
    def columns(self) -> dict[str, str]:
        """The items' columns and their DuckDB types, such as `VARCHAR[]`."""

    @abstractmethod
    def search_places(
        self,
        codes: npt.ArrayLike,
        k: int | None = None,
        where: str | None = None,
        *,
        radius: int | None = None,
        time_limit_ms: float = 10_000,
        without: npt.NDArray[np.int64] | None = None,
    ) -> tuple[Hits, npt.NDArray[np.int64]]:
        """As `search`, as if the ids `without` were not there; and where `embeddings` finds what belongs to each hit,
        int64 (m, k)."""

    @abstractmethod
    def matching(self, where: str, *, time_limit_ms: float = 10_000) -> npt.NDArray[np.int64]:
        """The ids of the items for which a filter is true, ascending; see `search` for the filter."""

    @abstractmethod
    def items(self, ids: npt.ArrayLike) -> dict[int, Item]:
        """The items of some ids, as far as they are there."""

    @abstractmethod
    def codes_of(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """The codes of ids that are there, uint8 (m, bits // 8)."""

    def __iter__(self) -> Iterator[int]:
        """Over the ids, ascending, as they are now."""
        return iter(self.keys().tolist())

    @abstractmethod
    def hashes(self, ids: npt.ArrayLike) -> list[str | None]:
        """What was given as `hashes` for these ids; None for an id without one, or that is not there."""

    @abstractmethod
    def check(self, encoder: Mapping[str, str] | None = None) -> list[str]:
        """A line for each thing that is wrong with the index: ids that are there twice, embeddings that are missing,
        cannot be read or have other signs than their codes, files left over, another encoder than the one given.
        Nothing is changed."""

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

    def check_queries(self, codes: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Return query codes, or one, as uint8 (m, bits // 8)."""
        array = np.asarray(codes)
        return self.check_length(array[None] if array.ndim == 1 and array.dtype == np.uint8 else array, "query codes")

    def check_length(self, codes: npt.ArrayLike, what: str = "codes") -> npt.NDArray[np.uint8]:
        """Return `codes` as uint8 (n, bits // 8); UserError where they have another length than the index."""
        array = check_codes(codes, what)
        if 8 * array.shape[1] != self.bits:
            raise UserError(f"{what} have {8 * array.shape[1]} bits, the index has {self.bits}")
        return array


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def check_radius(radius: int) -> None:
    """UserError where a Hamming radius is not a whole number of at least 0."""
    if isinstance(radius, bool) or not isinstance(radius, int | np.integer) or radius < 0:
        raise UserError(f"radius is {radius!r}; it must be a whole number of bits, at least 0")


def check_k(k: int) -> int:
    """Return `k` as int; UserError where it is not a whole number of at least 1."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise UserError(f"k is {k!r}; it must be a whole number of at least 1")
    return int(k)
