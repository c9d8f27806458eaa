"""The values of a column that hold some text."""

from __future__ import annotations

from typing import Any

import duckdb

from crossbit.errors import UserError
from crossbit.index.columns import REAL, TEXTS
from crossbit.index.filters import NORMAL, ended_after
from crossbit.index.statements import quoted
from crossbit.storage.words import normal_form


def values_with(
    cursor: duckdb.DuckDBPyConnection, name: str, kind: str, part: str, most: int, time_limit_ms: float
) -> list[tuple[Any, int]]:
    """The values of a column that hold a text, case and form apart, each with the number of its items: first what is
    that text, then what begins with it, then the others; among these the most frequent.

    Args:
        cursor: on the index; used by nothing else, so that a late interrupt hits nothing else.
        name, kind: of the column, and DuckDB's type.
        part: the text; empty for all values.
        most: how many, at most.
        time_limit_ms: it is ended after so many milliseconds.

    Raises:
        UserError: it took too long.
    """
    value = f"unnest(list_distinct({quoted(name)}))" if kind == TEXTS else quoted(name)
    query = (
        f"SELECT value, count(*) AS many FROM (SELECT {value} AS value FROM items) "
        f"WHERE value IS NOT NULL {'AND NOT isnan(value)' if kind == REAL else ''} GROUP BY value"
    )
    said = "normal(CAST(value AS VARCHAR))"
    order = f"{said} = $1 DESC, starts_with({said}, $1) DESC, many DESC, value"
    try:
        with ended_after(time_limit_ms / 1000, cursor) as late:
            cursor.execute(NORMAL)
            found = f"SELECT * FROM ({query}) WHERE contains({said}, $1) ORDER BY {order} LIMIT {most}"
            return cursor.execute(found, [normal_form(part)]).fetchall()
    except duckdb.InterruptException as error:
        if not late.is_set():  # somebody else ended it
            raise
        raise UserError(f"finding values of '{name}' took more than {time_limit_ms:g} ms; type more of one") from error
