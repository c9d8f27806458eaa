"""Statements that change an index file, over arrays that they read as the table `given`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import duckdb
import numpy.typing as npt

from crossbit.index.columns import Column

DELETE = "DELETE FROM items WHERE id IN (SELECT id FROM given)"


def transaction(
    connection: duckdb.DuckDBPyConnection, values: dict[str, npt.NDArray[Any]], statements: list[str]
) -> None:
    """Run statements over the table `given`, whose columns are arrays: all of them or, on an error, none."""
    connection.register("given", values)
    try:
        if len(statements) == 1:  # a transaction of its own
            connection.execute(statements[0])
        else:
            _together(connection, statements)
    finally:
        connection.unregister("given")


def _together(connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
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
    names = ", ".join([*rows, *map(quoted, columns)])
    return values, f"INSERT INTO items ({names}) SELECT {', '.join(chosen)} FROM given"


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'
