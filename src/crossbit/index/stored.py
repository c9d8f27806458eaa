"""What an index file holds: its codes in memory, its items as they are asked for, and the change of both at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.errors import unknown
from crossbit.index import mapped
from crossbit.index.base import Item
from crossbit.index.columns import HIDDEN
from crossbit.index.duckfile import trouble, word_columns
from crossbit.index.filters import matching_ids, parse
from crossbit.index.handle import Handle
from crossbit.index.masks import Words
from crossbit.index.runs import Codes, SortedCodes, ordered
from crossbit.index.segments import ROW_BITS, folder_of
from crossbit.index.statements import Progress, Values, fill, quoted, transaction
from crossbit.index.values import values_with

SMALL = 2**32 - 1  # an id that four bytes hold


class Stored:
    """The content of one open file. `change` is called with the file's `writing` held, `items`, `hashes` and `snapshot`
    without a lock, the other methods with its `lock`."""

    def __init__(self, file: Handle) -> None:
        self.file = file
        self._codes: Codes | None = None
        self._columns: dict[str, str] | None = None
        self._segments: list[int] | None = None

    def forget(self) -> None:
        """Read everything from the file again when it is needed."""
        self._codes = self._columns = self._segments = None

    @property
    def words(self) -> list[str]:
        """The columns that hold a code."""
        return word_columns(self.file.bits)

    @property
    def nbytes(self) -> int:
        """Of the codes in memory."""
        return 0 if self._codes is None else self._codes.nbytes

    def fetch(self, query: str) -> list[Any]:
        """The rows of a query."""
        with self.file.cursor() as cursor:
            return cursor.execute(query).fetchall()

    def count(self) -> int:
        """How many codes there are."""
        return int(self.fetch("SELECT count(*) FROM items")[0][0])

    def codes(self) -> Codes:
        """All codes, from memory after the first time."""
        self.file.check_open()
        if self._codes is None:
            token = self.token()
            found = mapped.read(self.file.path, token, len(self.words), self.count()) if token else None
            self._codes = Codes(self.read() if found is None else found, token)
        return self._codes

    def read(self) -> SortedCodes:
        """All codes, from the index itself."""
        place = f"coalesce((_segment::BIGINT << {ROW_BITS}) + _row, -1) AS place"
        with self.file.cursor() as cursor:
            rows = cursor.execute(f"SELECT {', '.join(['id', *self.words, place])} FROM items").fetchnumpy()
        planes = np.stack([np.asarray(rows[name], np.uint64) for name in self.words])
        ids, places = (np.asarray(rows[name], np.int64) for name in ("id", "place"))
        return ordered(ids, planes, places)

    def token(self) -> str:
        """What the codes in the file are known by (`crossbit.index.mapped`); empty where they have changed since."""
        there = self.fetch("SELECT table_name FROM duckdb_columns() WHERE table_name = 'mapped' LIMIT 1")
        rows = self.fetch("SELECT token FROM mapped") if there else []
        return str(rows[0][0]) if rows else ""

    def map(self) -> str:
        """Write all codes so that they are memory-mapped from now on; returns their token. `writing` is held."""
        token = mapped.write(self.file.path, self.merged())
        with self.file.lock, trouble(self.file.path, "write"), transaction(self.file.connection):
            for statement in (mapped.CREATE, mapped.FORGET, f"INSERT INTO mapped VALUES ('{token}')"):
                self.file.connection.execute(statement)
            self.file.connection.commit()
            self.forget()
        mapped.remove_all_but(self.file.path, token)
        return token

    def mapped_wrong(self, token: str, stored: SortedCodes) -> list[str]:
        """A line where the files of codes are there, and not those of the index."""
        if not any((folder_of(self.file.path, "codes") / f"{token}.{name}.npy").exists() for name in mapped.TYPES):
            return []
        found = mapped.read(self.file.path, token, len(self.words), len(stored))
        names = mapped.TYPES
        if found is not None and all(np.array_equal(getattr(found, name), getattr(stored, name)) for name in names):
            return []
        folder = folder_of(self.file.path, "codes")
        return [f"{folder} does not hold the codes of {self.file.path.name}; remove that folder: the index has them"]

    def columns(self) -> dict[str, str]:
        """Names and DuckDB types of the items' columns."""
        if self._columns is None:
            own = {"id", *self.words, *HIDDEN}
            self._columns = {name: kind for name, kind, *_ in self.fetch("DESCRIBE items") if name not in own}
        return self._columns

    def merged(self) -> SortedCodes:
        """All codes as one run; takes the lock."""
        with self.file.lock:
            return self.codes().merged()

    def content(self) -> tuple[SortedCodes, dict[int, int]]:
        """All codes, and how many rows each file of embeddings has, as the index names them; takes the lock."""
        with self.file.lock:
            return self.codes().merged(), dict(self.fetch("SELECT number, rows FROM segments"))

    def segments(self) -> list[int]:
        """The numbers of the files of embeddings."""
        if self._segments is None:
            self._segments = [number for (number,) in self.fetch("SELECT number FROM segments")]
        return self._segments

    def snapshot(self, where: str | None, time_limit_ms: float) -> tuple[SortedCodes, Words | None]:
        """The codes of one moment and which of them may be found, as `mask_words`; a filter runs without the lock, on
        that moment, unless these codes know what it lets through."""
        with ExitStack() as stack:
            with self.file.lock:
                held = self.codes().merged()
                known = held.masks.get(where) if isinstance(where, str) else None
                if where is None or known is not None:
                    return held, known
                columns = list(self.columns())
                cursor = stack.enter_context(self.file.cursor())
                cursor.begin()
                cursor.execute("SELECT id FROM items LIMIT 0").fetchall()  # a transaction sees what its first read saw
            small = bool(len(held) and held.ids[0] >= 0 and held.ids[-1] <= SMALL)
            ids = matching_ids(cursor, parse(where, columns, cursor), time_limit_ms, small=small)
        mask = held.among(ids)
        held.masks.put(where, mask)
        return held, mask

    def items(self, ids: list[int]) -> dict[int, Item]:
        """The items of some ids, as far as they are there."""
        with ExitStack() as stack:
            with self.file.lock:
                names = list(self.columns())
                cursor = stack.enter_context(self.file.cursor())
            chosen = ", ".join(["id", *map(quoted, names)])
            rows = cursor.execute(f"SELECT {chosen} FROM items WHERE id IN (SELECT unnest(?))", [ids]).fetchall()
        return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}

    def hashes(self, ids: npt.NDArray[np.int64]) -> list[str | None]:
        """What was given as hashes of some ids; None for one without, or that is not there."""
        with self.file.cursor() as cursor:
            cursor.register("given", {"id": ids})
            found = dict(cursor.execute("SELECT id, _hash FROM items WHERE id IN (SELECT id FROM given)").fetchall())
        return [found.get(id_) for id_ in ids.tolist()]

    def values(self, name: str, part: str, most: int, time_limit_ms: float) -> list[tuple[Any, int]]:
        """The values of a column that hold a text, and how many items have each; see `values_with`."""
        with ExitStack() as stack:
            with self.file.lock:
                kinds = self.columns()
                if name not in kinds:
                    raise unknown("column", name, kinds)
                cursor = stack.enter_context(self.file.cursor())
            return values_with(cursor, name, kinds[name], part, most, time_limit_ms)

    def lowest_alike(self, ids: npt.NDArray[np.int64], columns: list[str]) -> npt.NDArray[np.int64]:
        """For each of all ids, ascending, the lowest with the same value in the first of these columns that has one."""
        lowest, without = ids.copy(), "true"
        for name in map(quoted, columns):
            query = f"SELECT id, min(id) OVER (PARTITION BY {name}) AS lowest FROM items"
            with self.file.cursor() as cursor:
                found = cursor.execute(f"{query} WHERE {name} IS NOT NULL AND {without}").fetchnumpy()
            lowest[np.searchsorted(ids, found["id"])] = found["lowest"]
            without += f" AND {name} IS NULL"
        return lowest

    @contextmanager
    def change(
        self, values: Values, statements: Sequence[str], insert: str | None = None, progress: Progress | None = None
    ) -> Iterator[Codes]:
        """One transaction (see `statements.fill`), then, in the body, the same change of the codes in memory.

        Files of codes that are memory-mapped are not read from then on. Others read what was there before until both
        are done; they wait for the commit and the body alone. An error makes memory be read from the file again, which
        is always right.
        """
        try:
            with self.file.lock:
                connection, codes = self.file.connection, self.codes()
                unmap = [mapped.FORGET] if self.token() else []
            with trouble(self.file.path, "write"), transaction(connection):
                fill(connection, values, [*unmap, *statements], insert, progress)
                with self.file.lock:
                    connection.commit()
                    yield codes
                    self._columns = self._segments = None
        except BaseException:
            with self.file.lock:
                self.forget()
            raise
