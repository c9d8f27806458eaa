"""The local index: one DuckDB file, searched by the Hamming kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit import bits
from crossbit.errors import UserError
from crossbit.index.base import Hits, Index, Item, Items, check_ids, check_k
from crossbit.index.columns import Column, fit, typed_columns
from crossbit.index.duckfile import trouble, word_columns
from crossbit.index.filters import TIME_LIMIT_MS, check_time_limit, matching_ids, parse
from crossbit.index.handle import Handle
from crossbit.index.runs import Codes, SortedCodes, ordered
from crossbit.index.statements import DELETE, insertion, quoted, transaction

SCHEME = "file"


def open_uri(uri: str, *, bits: int | None = None, read_only: bool = False) -> LocalIndex:
    """Open `file://PATH`."""
    return LocalIndex(uri.removeprefix(f"{SCHEME}://"), bits=bits, read_only=read_only)


class LocalIndex(Index):
    """Codes and items in one file, searched exactly and in memory.

    Every `add` and `remove` is one durable transaction: once it returns, the rows survive the end of the process at any
    moment. One process may write, or many may read. Within a process an index may be used by many threads: a search
    sees the codes and items of one moment, and neither a slow filter nor a fetch of items keeps others waiting. In a
    forked child it is closed; a child opens its own. The codes are loaded when they are first needed, ordered by id
    (8 bytes per 64 bits of code, 8 more per id).

    Args:
        path: the file; made where there is none.
        bits: the code length; without it a new index is made by its first `add`, which tells it.
        read_only: refuse changes, and let others read at the same time.

    Raises:
        UserError: see `crossbit.index.open_index`.

    >>> import tempfile
    >>> codes = np.array([[255, 0], [255, 3], [0, 0]], np.uint8)
    >>> index = LocalIndex(tempfile.mkdtemp() + "/codes.duckdb", bits=16)
    >>> index.add([10, 20, 30], codes, items=[{"name": "a", "size": 1}, {"name": "b", "size": 2}, None])
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

    def __init__(self, path: str | os.PathLike[str], *, bits: int | None = None, read_only: bool = False) -> None:
        self._file = Handle(path, read_only)
        self._codes: Codes | None = None
        self._kinds: dict[str, str] | None = None
        if bits is not None or not self._file.awaited:
            self._file.attach(bits)

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def bits(self) -> int:
        """The code length; 0 before the first `add` where none was given."""
        return self._file.bits

    def __repr__(self) -> str:
        return f"LocalIndex({str(self.path)!r}, bits={self.bits})"

    def add(
        self, ids: npt.ArrayLike, codes: npt.ArrayLike, items: Items | None = None, *, replace: bool = False
    ) -> None:
        """See `Index.add`."""
        wanted, packed = check_ids(ids), bits.check_codes(codes)
        if len(packed) != len(wanted):
            raise UserError(f"{len(packed)} codes for {len(wanted)} ids; give one code for each id")
        columns = typed_columns(items, len(wanted))
        with self._file.lock:
            if self._file.awaited:
                self._file.attach(8 * packed.shape[1])
            words = bits.planes(self.check_length(packed))
            new, columns = self._fit(columns)
            held, batch = self._loaded(), ordered(wanted, words)
            there = batch.ids[held.has(batch.ids)]
            if len(there) and not replace:
                raise UserError(f"id {there[0]} is in {self.path} already ({len(there)} such); replace=True overwrites")
            values, insert = insertion({"id": wanted, **dict(zip(self._words, words, strict=True))}, columns)
            alter = [f"ALTER TABLE items ADD COLUMN {quoted(name)} {kind}" for name, kind in new.items()]
            with self._change(values, [*alter, *([DELETE] if len(there) else []), insert]):
                if len(there):
                    held.remove(there)
                held.add(batch)
                self._kinds = self._columns() | new

    def remove(self, ids: npt.ArrayLike, *, missing_ok: bool = False) -> None:
        """See `Index.remove`."""
        wanted = check_ids(ids)
        with self._file.lock:
            held = self._loaded()
            absent = wanted[~held.has(wanted)]
            if len(absent) and not missing_ok:
                raise UserError(
                    f"id {absent[0]} is not in {self.path} ({len(absent)} such); missing_ok=True passes over them"
                )
            with self._change({"id": wanted}, [DELETE]):
                held.remove(wanted)

    def search(
        self,
        codes: npt.ArrayLike,
        k: int = 10,
        where: str | None = None,
        *,
        time_limit_ms: float = TIME_LIMIT_MS,
    ) -> Hits:
        """See `Index.search`; exact, ordered by (distance, id)."""
        k, limit = check_k(k), check_time_limit(time_limit_ms)
        run, mask = self._snapshot(where, limit)
        distances, positions = bits.top_k(self.check_length(codes, "query codes"), run.planes, k, mask=mask)
        ids = np.full(positions.shape, -1, np.int64)
        found = positions >= 0
        ids[found] = run.ids[positions[found]]
        return Hits(distances, ids, self._items)

    def __len__(self) -> int:
        with self._file.lock:
            return 0 if self._file.awaited else int(self._fetch("SELECT count(*) FROM items")[0][0])

    def __contains__(self, id: object) -> bool:
        if isinstance(id, bool) or not isinstance(id, int | np.integer) or not -(2**63) <= id < 2**63:
            return False
        with self._file.lock:
            return not self._file.awaited and bool(self._loaded().has(np.array([id], np.int64))[0])

    def __getitem__(self, id: int) -> tuple[npt.NDArray[np.uint8], Item]:
        """See `Index.__getitem__`."""
        with self._file.lock:
            if id not in self:
                raise KeyError(id)
            run = self._loaded().merged()
            at = run.find(np.array([id], np.int64))
            return bits.from_planes(np.take(run.planes, at, axis=1), self.bits)[0], self._items([int(id)])[int(id)]

    def close(self) -> None:
        """Give up the file; others may open it then. Filters that other threads run end with an error."""
        self._file.close()
        self._codes = self._kinds = None

    # What is in the file.

    @property
    def _words(self) -> list[str]:
        return word_columns(self.bits)

    def _fetch(self, query: str) -> list[Any]:
        with trouble(self.path, "read"):
            return self._file.connection.execute(query).fetchall()

    def _loaded(self) -> Codes:
        """All codes, from memory after the first time."""
        connection = self._file.connection  # an error where it is closed
        if self._codes is None:
            names = ", ".join(["id", *self._words])
            with trouble(self.path, "read"):
                rows = connection.execute(f"SELECT {names} FROM items").fetchnumpy()
            planes = np.stack([np.asarray(rows[name], np.uint64) for name in self._words])
            self._codes = Codes(ordered(np.asarray(rows["id"], np.int64), planes))
        return self._codes

    def _columns(self) -> dict[str, str]:
        """Names and DuckDB types of the items' columns."""
        if self._kinds is None:
            described = self._fetch("DESCRIBE items")
            self._kinds = {name: kind for name, kind, *_ in described if name not in {"id", *self._words}}
        return self._kinds

    def _snapshot(self, where: str | None, time_limit_ms: float) -> tuple[SortedCodes, npt.NDArray[np.bool_] | None]:
        """The codes of one moment and which of them may be found; a filter runs without the lock, on that moment."""
        with ExitStack() as stack:
            with self._file.lock:
                run = self._loaded().merged()
                if where is None:
                    return run, None
                columns = list(self._columns())
                cursor = stack.enter_context(self._file.cursor())
                cursor.begin()
                cursor.execute("SELECT id FROM items LIMIT 0").fetchall()  # a transaction sees what its first read saw
            ids = matching_ids(cursor, parse(where, columns, cursor), time_limit_ms)
        mask = np.zeros(len(run), bool)
        mask[run.find(ids)] = True
        return run, mask

    def _items(self, ids: list[int]) -> dict[int, Item]:
        with ExitStack() as stack:
            with self._file.lock:
                names = list(self._columns())
                cursor = stack.enter_context(self._file.cursor())
            cursor.register("given", {"id": np.array(ids, np.int64)})
            chosen = ", ".join(["id", *map(quoted, names)])
            rows = cursor.execute(f"SELECT {chosen} FROM items WHERE id IN (SELECT id FROM given)").fetchall()
        return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}

    # Changes, all under the lock.

    def _fit(self, columns: dict[str, Column]) -> tuple[dict[str, str], dict[str, Column]]:
        """Columns that the table lacks, with their types, and all values in the table's types, by the table's names."""
        kinds = self._columns()
        spelled = {name.casefold(): name for name in kinds}
        fitted, new = {}, {}
        for given, column in columns.items():
            name = spelled.get(given.casefold(), given)
            if name != given:
                raise UserError(f"column '{given}' differs from '{name}' only by case; use '{name}'")
            kind = kinds.get(name, column.kind)
            if kind is None:
                continue  # a new column without a single value
            fitted[name] = fit(name, column, kind)
            if name not in kinds:
                new[name] = kind
        return new, fitted

    @contextmanager
    def _change(self, values: dict[str, npt.NDArray[Any]], statements: list[str]) -> Iterator[None]:
        """One transaction over the table `given`, then, in the body, the same change in memory.

        An error in either makes memory be read from the file again, which is always right.
        """
        connection = self._file.connection
        if self._file.read_only:
            raise UserError(f"{self.path} is open read-only; open it to write (without read_only)")
        try:
            with trouble(self.path, "write"):
                transaction(connection, values, statements)
            yield
        except BaseException:
            self._codes = self._kinds = None
            raise
