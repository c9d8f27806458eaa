"""Statements that change an index file, over arrays that they read as the table `given`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.index.columns import Column

BY_ID = "CREATE INDEX IF NOT EXISTS items_by_id ON items (id)"  # else each look at an item would read all ids
NOT_BY_ID = "DROP INDEX IF EXISTS items_by_id"  # a table that has an index takes no new columns
AT_ONCE = 10_000  # rows between two calls of a progress function

Values = dict[str, npt.NDArray[Any]]
Progress = Callable[[int, int], Any]  # rows done, rows in all; False cancels


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Begin a transaction, which the body commits; an error rolls it back."""
    connection.begin()
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # a commit, even one that failed, has ended the transaction
            connection.rollback()
        raise


def fill(
    connection: duckdb.DuckDBPyConnection,
    values: Values,
    statements: Sequence[str],
    insert: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Run statements over the table `given`, whose columns are arrays, then an insertion of its rows.

    Raises:
        UserError: `progress` said False.
    """
    _over(connection, values, statements)
    if insert:
        _insert(connection, values, insert, progress)
        connection.execute(BY_ID)


def insertion(rows: Values, columns: dict[str, Column]) -> tuple[Values, str]:
    """The arrays of the table `given` and the statement that inserts them; c0, c1, ... are the items' columns."""
    values, chosen = dict(rows), list(rows)
    for i, column in enumerate(columns.values()):
        values[f"c{i}"] = column.values
        if column.empty is not None:
            values[f"e{i}"] = column.empty
        chosen.append(f"c{i}" if column.empty is None else f"CASE WHEN e{i} THEN [] ELSE c{i} END")
    names = ", ".join([*rows, *map(quoted, columns)])
    return values, f"INSERT INTO items ({names}) SELECT {', '.join(chosen)} FROM given"


def in_segment(number: int, n: int) -> tuple[Values, str]:
    """Where the embeddings of n rows are, all those of a new segment, as columns; and the statement that names it."""
    columns = {"_segment": np.full(n, number, np.int32), "_row": np.arange(n, dtype=np.int32)}
    return columns, f"INSERT INTO segments VALUES ({number}, {n})"


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def _insert(connection: duckdb.DuckDBPyConnection, values: Values, insert: str, progress: Progress | None) -> None:
    n = len(values["id"])
    step = n if progress is None else AT_ONCE
    for start in range(0, n, step or 1):
        _over(connection, {name: array[start : start + step] for name, array in values.items()}, [insert])
        done = min(start + step, n)
        if progress is not None and progress(done, n) is False:
            raise UserError(f"cancelled after {done:,} of {n:,} rows; nothing was added")


def _over(connection: duckdb.DuckDBPyConnection, values: Values, statements: Sequence[str]) -> None:
    connection.register("given", values)
    for statement in statements:
        connection.execute(statement)
    connection.unregister("given")  # after an error the rollback does
