"""The local index: one DuckDB file, searched by the Hamming kernels."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import duckdb
import numpy as np
import numpy.typing as npt

from crossbit import bits
from crossbit.errors import UserError
from crossbit.index.base import Hits, Index, Item, Items, check_ids, check_k
from crossbit.index.columns import Column, fit, typed_columns
from crossbit.index.duckfile import busy, open_file, trouble, word_columns
from crossbit.index.runs import Codes, SortedCodes, ordered
from crossbit.index.where import matching_ids

SCHEME = "file"
DELETE = "DELETE FROM items WHERE id IN (SELECT id FROM given)"

_writers: WeakValueDictionary[str, LocalIndex] = WeakValueDictionary()  # DuckDB would let one process open twice
_opening = threading.Lock()


def open_uri(uri: str, *, bits: int | None = None, read_only: bool = False) -> LocalIndex:
    """Open `file://PATH`."""
    return LocalIndex(uri.removeprefix(f"{SCHEME}://"), bits=bits, read_only=read_only)


class LocalIndex(Index):
    """Codes and items in one file, searched exactly and in memory.

    Every `add` and `remove` is one durable transaction: once it returns, the rows survive the end of the process at any
    moment. One process may write, or many may read. Within a process an index may be used by many threads. The codes
    are loaded when they are first needed, ordered by id (8 bytes per 64 bits of code, 8 more per id).

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
        self.path = Path(path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._codes: Codes | None = None
        self._kinds: dict[str, str] | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self.bits = 0
        self._awaited = bits is None and not read_only and not self.path.exists()  # the first add makes it
        if not self._awaited:
            self._attach(bits)

    def _attach(self, bits: int | None) -> None:
        """Open the file, or make it."""
        with _opening:
            self._place = os.path.realpath(self.path)
            if self._place in _writers:
                raise busy(self.path)
            self._connection, self.bits = open_file(self.path, bits, self.read_only)
            if not self.read_only:
                _writers[self._place] = self
        self._words, self._awaited = word_columns(self.bits), False

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
        with self._lock:
            if self._awaited:
                self._attach(8 * packed.shape[1])
            words = bits.planes(self.check_length(packed))
            new, columns = self._fit(columns)
            held, batch = self._loaded(), ordered(wanted, words)
            there = batch.ids[held.has(batch.ids)]
            if len(there) and not replace:
                raise UserError(f"id {there[0]} is in {self.path} already ({len(there)} such); replace=True overwrites")
            values, insert = insertion({"id": wanted, **dict(zip(self._words, words, strict=True))}, columns)
            alter = [f"ALTER TABLE items ADD COLUMN {_quoted(name)} {kind}" for name, kind in new.items()]
            with self._change(values, [*alter, *([DELETE] if len(there) else []), insert]):
                if len(there):
                    held.remove(there)
                held.add(batch)
                self._kinds = self._columns() | new

    def remove(self, ids: npt.ArrayLike, *, missing_ok: bool = False) -> None:
        """See `Index.remove`."""
        wanted = check_ids(ids)
        with self._lock:
            held = self._loaded()
            absent = wanted[~held.has(wanted)]
            if len(absent) and not missing_ok:
                raise UserError(
                    f"id {absent[0]} is not in {self.path} ({len(absent)} such); missing_ok=True passes over them"
                )
            with self._change({"id": wanted}, [DELETE]):
                held.remove(wanted)

    def search(self, codes: npt.ArrayLike, k: int = 10, where: str | None = None) -> Hits:
        """See `Index.search`; exact, ordered by (distance, id)."""
        with self._lock:
            run = self._loaded().merged()
            queries, k = self.check_length(codes, "query codes"), check_k(k)
            mask = None if where is None else self._mask(run, where)
        distances, positions = bits.top_k(queries, run.planes, k, mask=mask)
        ids = np.full(positions.shape, -1, np.int64)
        found = positions >= 0
        ids[found] = run.ids[positions[found]]
        return Hits(distances, ids, self._items)

    def __len__(self) -> int:
        with self._lock:
            return 0 if self._awaited else int(self._fetch("SELECT count(*) FROM items")[0][0])

    def __contains__(self, id: object) -> bool:
        if isinstance(id, bool) or not isinstance(id, int | np.integer) or not -(2**63) <= id < 2**63:
            return False
        with self._lock:
            return not self._awaited and bool(self._loaded().has(np.array([id], np.int64))[0])

    def __getitem__(self, id: int) -> tuple[npt.NDArray[np.uint8], Item]:
        """See `Index.__getitem__`."""
        with self._lock:
            if id not in self:
                raise KeyError(id)
            run = self._loaded().merged()
            at = run.find(np.array([id], np.int64))
            return bits.from_planes(np.take(run.planes, at, axis=1), self.bits)[0], self._items([int(id)])[int(id)]

    def close(self) -> None:
        """Give up the file; others may open it then."""
        with self._lock, _opening:
            if self._connection is not None:
                self._connection.close()
                if not self.read_only:
                    del _writers[self._place]
            self._connection = self._codes = self._kinds = None
            self._awaited = False

    # What is in the file.

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._awaited:
            raise UserError(f"there is no index at {self.path} yet; the first add makes it")
        if self._connection is None:
            raise UserError(f"the index {self.path} is closed; open it again")
        return self._connection

    def _fetch(self, query: str) -> list[Any]:
        with trouble(self.path, "read"):
            return self._open().execute(query).fetchall()

    def _loaded(self) -> Codes:
        """All codes, from memory after the first time."""
        if self._codes is None:
            connection = self._open()
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

    def _mask(self, run: SortedCodes, where: str) -> npt.NDArray[np.bool_]:
        mask = np.zeros(len(run), bool)
        with trouble(self.path, "read"):
            mask[run.find(matching_ids(self._open(), where, self._columns()))] = True
        return mask

    def _items(self, ids: list[int]) -> dict[int, Item]:
        with self._lock:
            names = list(self._columns())
            chosen = ", ".join(["id", *map(_quoted, names)])
            with self._given({"id": np.array(ids, np.int64)}):
                rows = self._fetch(f"SELECT {chosen} FROM items WHERE id IN (SELECT id FROM given)")
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
    def _given(self, values: dict[str, npt.NDArray[Any]]) -> Iterator[None]:
        """Let statements read arrays as the table `given`, without copies; around a transaction, not within."""
        connection = self._open()
        connection.register("given", values)
        try:
            yield
        finally:
            connection.unregister("given")

    @contextmanager
    def _change(self, values: dict[str, npt.NDArray[Any]], statements: list[str]) -> Iterator[None]:
        """One transaction over the table `given`, then, in the body, the same change in memory.

        An error in either makes memory be read from the file again, which is always right.
        """
        if self.read_only:
            raise UserError(f"{self.path} is open read-only; open it to write (without read_only)")
        connection = self._open()
        try:
            with self._given(values), trouble(self.path, "write"):
                _run(connection, statements)
            yield
        except BaseException:
            self._codes = self._kinds = None
            raise


def _run(connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    if len(statements) == 1:  # a transaction of its own
        connection.execute(statements[0])
        return
    connection.begin()
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    except BaseException:
        with suppress(duckdb.Error):  # a failed commit has ended the transaction itself
            connection.rollback()
        raise


def insertion(rows: dict[str, npt.NDArray[Any]], columns: dict[str, Column]) -> tuple[dict[str, npt.NDArray[Any]], str]:
    """The arrays of the table `given` and the statement that inserts them; c0, c1, ... are the items' columns."""
    values, chosen = dict(rows), list(rows)
    for i, column in enumerate(columns.values()):
        values[f"c{i}"] = column.values
        if column.empty is not None:
            values[f"e{i}"] = column.empty
        chosen.append(f"c{i}" if column.empty is None else f"CASE WHEN e{i} THEN [] ELSE c{i} END")
    names = ", ".join([*rows, *map(_quoted, columns)])
    return values, f"INSERT INTO items ({names}) SELECT {', '.join(chosen)} FROM given"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
