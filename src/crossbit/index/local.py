"""The local index: one DuckDB file, searched by the Hamming kernels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit import bits
from crossbit.bits.masks import from_mask_words
from crossbit.errors import UserError
from crossbit.index import compaction, mapped, near
from crossbit.index.base import Hits, Index, Item, Items, check_k, check_radius
from crossbit.index.batch import Batch, checked
from crossbit.index.check import findings
from crossbit.index.columns import fit_all
from crossbit.index.duckfile import Encoder, check_encoder
from crossbit.index.embeddings import Embeddings
from crossbit.index.filters import TIME_LIMIT_MS, check_time_limit
from crossbit.index.handle import Handle
from crossbit.index.ids import check_ids, next_ids, not_there
from crossbit.index.masks import Words
from crossbit.index.recall import Recall
from crossbit.index.runs import SortedCodes, ordered
from crossbit.index.segments import MEND, Segments
from crossbit.index.statements import NOT_BY_ID, Progress, Values, in_segment, insertion, quoted
from crossbit.index.stored import Stored

SCHEME = "file"
DELETE = "DELETE FROM items WHERE id IN (SELECT id FROM given)"


def open_uri(
    uri: str, *, bits: int | None = None, read_only: bool = False, encoder: Encoder | None = None
) -> LocalIndex:
    """Open `file://PATH`."""
    return LocalIndex(uri.removeprefix(f"{SCHEME}://"), bits=bits, read_only=read_only, encoder=encoder)


class LocalIndex(Index):
    """Codes and items in one file, searched exactly and in memory.

    Every `add` and `remove` is one durable transaction: once it returns, the rows survive the end of the process at any
    moment. One process may write, or many may read. Within a process an index may be used by many threads: a search
    sees the codes and items of one moment, and no slow filter, fetch of items or long `add` keeps others waiting. In a
    forked child it is closed; a child opens its own. The codes are loaded when they are first needed, ordered by id
    (8 bytes per 64 bits of code, 16 more per id).

    Args:
        path: the file; made where there is none.
        bits: the code length; without it a new index is made by its first `add`, which tells it.
        read_only: refuse changes, and let others read at the same time.
        encoder: "name" and "hash" of what makes the codes: a new index remembers it, one that is there refuses another.
        approximate: search by the approximate tier, where `make_near` made one. Searches with a filter, a radius, or
            for more than 512 compare all codes nonetheless; `Hits.exact` says of each whether it did.

    Raises:
        UserError: see `crossbit.index.open_index`.

    >>> import tempfile
    >>> codes = np.array([[255, 0], [255, 3], [0, 0]], np.uint8)
    >>> index = LocalIndex(tempfile.mkdtemp() + "/codes.duckdb", bits=16)
    >>> _ = index.add([10, 20, 30], codes, items=[{"name": "a", "size": 1}, {"name": "b", "size": 2}, None])
    >>> hits = index.search(codes[:1], k=2)
    >>> hits.ids, hits.distances
    (array([[10, 20]]), array([[0, 2]], dtype=int32))
    >>> index.search(codes[:1], where="size > 1")[0]
    [(20, 2, {'name': 'b', 'size': 2})]
    >>> 30 in index, len(index), index[20]
    (True, 3, (array([255,   3], dtype=uint8), {'name': 'b', 'size': 2}))
    >>> del index[30]
    >>> index.close()
    """

    _near: near.NearSearch | None
    _delete: tuple[str, ...] = (DELETE,)  # statements that remove, and those that follow new columns
    _widened: tuple[str, ...] = ()

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        bits: int | None = None,
        read_only: bool = False,
        encoder: Encoder | None = None,
        approximate: bool = False,
    ) -> None:
        check_encoder(Path(path), None, encoder)
        self._approximate, self._near = approximate, None
        self._file = self._handle(path, read_only, encoder)
        self._stored = Stored(self._file)
        if bits is not None or not self._file.awaited:
            self._attach(bits)

    def _handle(self, path: str | os.PathLike[str], read_only: bool, encoder: Encoder | None) -> Handle:
        return Handle(path, read_only, encoder)

    def _attach(self, bits: int | None) -> None:
        self._file.attach(bits)
        self._segments = Segments(self.path, self.bits, in_memory=self._file.read_only)  # an overlay alone writes then
        if not self._file.read_only:
            self._segments.remove_all_but(self._stored.segments())
            mapped.remove_all_but(self.path, self._stored.token())
        self._open_near()

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def bits(self) -> int:
        """The code length; 0 before the first `add` where none was given."""
        return self._file.bits

    @property
    def encoder(self) -> Encoder | None:
        """The "name" and "hash" of what made the codes; None where nobody said."""
        return self._file.encoder

    @property
    def columns(self) -> dict[str, str]:
        """See `Index.columns`."""
        with self._file.lock:
            return dict(self._stored.columns())

    @property
    def embeddings(self) -> Embeddings | None:
        """The embeddings of the codes; None where none was added."""
        with self._file.lock:
            return Embeddings(self, self._embeddings_of, self._segments.folder) if self._stored.segments() else None

    @property
    def memory_usage(self) -> int:
        """Bytes of the codes in memory; 0 before they are first needed."""
        return self._stored.nbytes

    @property
    def dead_rows(self) -> int:
        """Embeddings of codes that were replaced or removed: they take room on the disk until `compact`."""
        return compaction.dead_rows(self._stored)

    def __repr__(self) -> str:
        """What it holds, without reading more than the number of codes."""
        with self._file.lock:
            if not self.bits or self._file.gone:
                return f"<LocalIndex {str(self.path)!r}, {'closed' if self._file.gone else 'not made yet'}>"
            more = ", with embeddings" if self._stored.segments() else ""
            made = f", by {self.encoder['name']}" if self.encoder else ""
            return f"<LocalIndex {str(self.path)!r}: {len(self):,} codes of {self.bits} bits{more}{made}>"

    def add(
        self,
        ids: npt.ArrayLike | None = None,
        codes: npt.ArrayLike | None = None,
        items: Items | None = None,
        *,
        replace: bool = False,
        embeddings: npt.ArrayLike | None = None,
        hashes: Sequence[str | None] | None = None,
        progress: Progress | None = None,
    ) -> npt.NDArray[np.int64]:
        """See `Index.add`."""
        batch = checked(ids, codes, items, embeddings, hashes)
        with self._file.writing:
            with self._file.lock:
                if self._file.awaited:
                    self._attach(8 * batch.codes.shape[1])
                self.check_length(batch.codes)
                self._check_writable()
                held = self._stored.codes()
                wanted = next_ids(held.merged().ids, len(batch)) if batch.ids is None else batch.ids
                there = np.sort(wanted)[held.has(np.sort(wanted))]
            if len(there) and not replace:
                raise UserError(f"id {there[0]} is in {self.path} already ({len(there)} such); replace=True overwrites")
            self._write(wanted, batch, there, progress)
        return wanted

    def _write(
        self, ids: npt.NDArray[np.int64], batch: Batch, there: npt.NDArray[np.int64], progress: Progress | None
    ) -> None:
        """Add a batch under ids, in place of those that are there; its embeddings first."""
        with self._file.lock:
            (new, columns), named = fit_all(batch.columns, self._stored.columns()), self._stored.segments()
        words = bits.planes(batch.codes)
        rows: Values = {"id": ids, **dict(zip(self._stored.words, words, strict=True))}
        rows |= {} if batch.hashes is None else {"_hash": batch.hashes}
        places, statements = np.full(len(ids), -1, np.int64), [NOT_BY_ID] if new else []
        if batch.embeddings is not None and len(ids):
            number = self._segments.free(named)
            places = self._segments.write(batch.embeddings, number)
            where, naming = in_segment(number, len(ids))
            rows, statements = rows | where, [naming, *statements]
        statements += [f"ALTER TABLE items ADD COLUMN {quoted(name)} {kind}" for name, kind in new.items()]
        statements += self._widened if new else ()
        statements += self._delete if len(there) else ()
        values, insert = insertion(rows, columns)
        with self._stored.change(values, statements, insert, progress) as held:
            if len(there):
                held.remove(there)
            held.add(ordered(ids, words, places))

    def remove(self, ids: npt.ArrayLike, *, missing_ok: bool = False) -> int:
        """See `Index.remove`."""
        wanted = check_ids(ids)
        with self._file.writing:
            with self._file.lock:
                there = self._stored.codes().has(wanted)
            absent = wanted[~there]
            if len(absent) and not missing_ok:
                raise not_there(absent, self.path)
            self._check_writable()
            with self._stored.change({"id": wanted}, self._delete) as held:
                held.remove(wanted)
        return int(there.sum())

    def prepare(self, least: int = mapped.LEAST) -> None:
        """Write a large index's codes so that it opens at once: they are memory-mapped until something changes. Where
        there is an approximate tier, what has changed since comes into its cells. Where more than half of the
        embeddings are of codes that are gone, or they are in many files, `compact` is done first.

        Args:
            least: how many codes make it a large one.

        Raises:
            UserError: it is open read-only.
        """
        with self._file.writing:
            self._check_writable()
            if compaction.is_worth_it(self._stored):
                compaction.compact(self._stored, self._segments)
            there = near.read(self.path, self.bits // 8)
            if (len(self) >= least or there is not None) and not self._stored.token():
                self._stored.map()
            if there is not None and there.token != self._stored.token():
                near.renew(self._stored, there)
                self._open_near()

    def compact(self) -> int:
        """Write all embeddings into one file, without those of codes that were replaced or removed; `prepare` does it
        where it is worth it. It is one transaction: killed at any moment, the index is as before or compact.

        Returns:
            How many embeddings of codes that are gone were dropped.

        Raises:
            UserError: it is open read-only, the disk is full, or embeddings are missing or damaged.

        >>> import tempfile
        >>> real = np.array([[1.0, -2.0] * 4, [3.0, 4.0] * 4])
        >>> with LocalIndex(tempfile.mkdtemp() + "/codes.duckdb", bits=8) as index:
        ...     _ = index.add([1, 2], np.packbits(real > 0, axis=1), embeddings=real), index.remove([1])
        ...     index.dead_rows, index.compact(), index.dead_rows
        (1, 1, 0)
        """
        with self._file.writing:
            self._check_writable()
            return compaction.compact(self._stored, self._segments)

    def make_near(self, recall: float = 0.99, queries: Mapping[str, npt.NDArray[np.uint8]] | None = None) -> Recall:
        """Make, or make anew, an approximate tier: a search then looks into a part of the codes, as many as it takes to
        find this share of the nearest. It is used where the index is opened with `approximate=True`.

        Args:
            recall: the share that is wanted of the first ten and of the first hundred; 1 looks at more, and is no
                promise.
            queries: further codes by which recall is measured, by the name of what they are, uint8 (q, bits // 8).

        Returns:
            How it was measured.

        Raises:
            UserError: a recall outside 0 to 1, an index without codes, or open read-only.
        """
        if isinstance(recall, bool) or not isinstance(recall, int | float) or not 0 < recall <= 1:
            raise UserError(f"recall is {recall!r}; it must be a share above 0 and at most 1, such as 0.99")
        given = {name: self.check_length(codes, f"queries of {name}") for name, codes in (queries or {}).items()}
        with self._file.writing:
            self._check_writable()
            if not len(self):
                raise UserError(f"{self.path} has no codes; add some before an approximate tier is made of them")
            made = near.make(self._stored, float(recall), given)
            self._open_near()
        return made

    def search_places(
        self,
        codes: npt.ArrayLike,
        k: int | None = None,
        where: str | None = None,
        *,
        radius: int | None = None,
        time_limit_ms: float = TIME_LIMIT_MS,
        without: npt.NDArray[np.int64] | None = None,
    ) -> tuple[Hits, npt.NDArray[np.int64]]:
        """As `search`, as if the ids `without` were not there; and the place of each hit's embedding, int64 (m, k), -1
        where it has none."""
        count = check_k(10 if k is None else k)
        check_time_limit(time_limit_ms)
        plain = where is None and without is None and radius is None and count <= near.LARGEST_K
        tier = self._near if plain else None
        if tier is not None and (found := tier.search(self.check_queries(codes), count)) is not None:
            return found
        held, mask = self.snapshot(where, time_limit_ms=time_limit_ms, without=without)
        queries = self.check_queries(codes)
        if radius is not None:
            check_radius(radius)
            count = held.within(queries, radius) if k is None else count
        distances, ids, places = held.nearest(queries, count, mask, radius)
        compared = len(held) if mask is None else int(np.bitwise_count(mask).sum())
        return Hits(distances, ids, self._stored.items, compared=compared), places

    def snapshot(
        self,
        where: str | None = None,
        *,
        time_limit_ms: float = TIME_LIMIT_MS,
        without: npt.NDArray[np.int64] | None = None,
    ) -> tuple[SortedCodes, Words | None]:
        """The codes of one moment, and which of them a filter lets through, as `mask_words`, as if the ids `without`
        were not there; None for all. What a filter lets through is remembered until something changes."""
        held, mask = self._stored.snapshot(where, check_time_limit(time_limit_ms))
        if without is not None:
            left = bits.mask_words(held.but(np.asarray(without, np.int64)))
            mask = left if mask is None else mask & left
        return held, mask

    def matching(self, where: str, *, time_limit_ms: float = TIME_LIMIT_MS) -> npt.NDArray[np.int64]:
        """See `Index.matching`."""
        held, mask = self.snapshot(where, time_limit_ms=time_limit_ms)
        return held.ids if mask is None else held.ids[from_mask_words(mask, len(held))]

    def items(self, ids: npt.ArrayLike) -> dict[int, Item]:
        """See `Index.items`."""
        self._file.check_open()
        return self._stored.items(check_ids(ids).tolist())

    def values(
        self, column: str, part: str = "", most: int = 12, *, time_limit_ms: float = TIME_LIMIT_MS
    ) -> list[tuple[Any, int]]:
        """The values of a column that hold a text, and how many items have each: first what is or begins with that
        text, then the most frequent.

        Raises:
            UserError: there is no such column; it took too long.
        """
        return self._stored.values(column, part, most, check_time_limit(time_limit_ms))

    def lowest_alike(self, columns: Sequence[str]) -> npt.NDArray[np.int64]:
        """For each of `keys`, the lowest id that is alike: that has the same value in the first of these columns in
        which it has one. Its own id where it has none."""
        with self._file.lock:
            ids = self._stored.codes().merged().ids
            return self._stored.lowest_alike(ids, [name for name in columns if name in self._stored.columns()])

    def codes_of(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """See `Index.codes_of`."""
        held = self._stored.merged()
        return bits.from_planes(np.take(held.planes, held.find(ids), axis=1), self.bits)

    def keys(self) -> npt.NDArray[np.int64]:
        """See `Index.keys`."""
        with self._file.lock:
            return np.empty(0, np.int64) if self._file.awaited else self._stored.codes().merged().ids.copy()

    def places(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The places of the ids' embeddings, -1 where there is none."""
        held = self._stored.merged()
        at = held.find(ids)
        return np.where(at >= 0, held.places[at], -1) if len(held) else at

    def content(self) -> tuple[SortedCodes, dict[int, int]]:
        """All codes, and how many rows each file of embeddings has, as the index names them."""
        return self._stored.content()

    def hashes(self, ids: npt.ArrayLike) -> list[str | None]:
        """See `Index.hashes`."""
        return self._stored.hashes(check_ids(ids))

    def check(self, encoder: Encoder | None = None) -> list[str]:
        """See `Index.check`."""
        with self._file.lock:
            token, stored, codes = self._stored.token(), self._stored.read(), self._stored.codes()
        lost = self._stored.mapped_wrong(token, stored) if token else []
        cells = near.findings(self.path, self.bits // 8, codes)
        return [*findings(self, self._segments, encoder), *lost, *cells]

    def __len__(self) -> int:
        with self._file.lock:
            return 0 if self._file.awaited else self._stored.count()

    def __contains__(self, id: object) -> bool:
        if isinstance(id, bool) or not isinstance(id, int | np.integer) or not -(2**63) <= id < 2**63:
            return False
        with self._file.lock:
            return not self._file.awaited and bool(self._stored.codes().has(np.array([id], np.int64))[0])

    def __getitem__(self, id: int) -> tuple[npt.NDArray[np.uint8], Item]:
        """See `Index.__getitem__`."""
        with self._file.lock:
            if id not in self:
                raise KeyError(id)
            code, items = self.codes_of(np.array([id], np.int64))[0], self._stored.items([int(id)])
            return code, items[int(id)]

    def close(self) -> None:
        """Close the file, so that others may open it. Filters that other threads run end with an error."""
        self._file.close()
        self._stored.forget()

    def _embeddings_of(
        self, ids: npt.NDArray[np.int64], places: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.float64]:
        at = self.places(ids) if places is None else places
        if (at < 0).any():
            raise UserError(f"{self.path} holds no embedding for id {ids[at < 0][0]}{MEND}")
        return self._segments.read(at)

    def _check_writable(self) -> None:
        self._file.check_open()
        if self._file.read_only:
            raise UserError(f"{self.path} is open read-only; open it to write (without read_only)")

    def _open_near(self) -> None:
        """Use the approximate tier from now on, if that is asked for and there is one."""
        found = near.read(self.path, self.bits // 8) if self._approximate else None
        with self._file.lock:
            self._near = None if found is None else near.NearSearch(found, self._stored)
            self.exact = found is None
