"""`where` expressions: SQL that can read the items of an index and nothing else.

An expression may come from a stranger (through a service), so it is parsed first and refused unless every part of it
is known to be harmless: columns of the items, values, comparisons, and functions whose work grows with the length of
their arguments only. No subqueries, so no other table, no table function, no file; no functions that could fill the
memory (`range`, `repeat`) or run for minutes in one step (regular expressions, edit distances). What is left is ended
after `TIME_LIMIT`. The connection it runs on has no external access and a locked configuration besides.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError, unknown

TIME_LIMIT = 10.0  # seconds
INTERRUPT_AGAIN = 0.05  # seconds
LENGTH_LIMIT = 100_000  # characters: room for thousands of ids in a list
CALLS_LIMIT = 100  # functions: they all run on a block of rows before the time is looked at

OPERATORS = {
    *("+", "-", "*", "/", "//", "%", "~~", "!~~", "~~*", "!~~*", "~~~"),  # ~~ is LIKE, ~~* ILIKE, ~~~ GLOB
    *("like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape", "list_value"),
}
FUNCTIONS = {
    *("lower", "upper", "trim", "ltrim", "rtrim", "left", "right", "substring", "strip_accents", "length", "len"),
    *("contains", "starts_with", "ends_with", "prefix", "suffix"),
    *("list_contains", "list_has", "list_has_any", "list_has_all", "array_contains"),
    *("abs", "round", "floor", "ceil", "sign", "sqrt", "ln", "mod", "greatest", "least", "isnan", "isfinite"),
    *("coalesce", "nullif", "ifnull"),
}
TYPES = {
    *("boolean", "bool", "tinyint", "smallint", "integer", "int", "bigint", "hugeint", "real", "float", "double"),
    *("decimal", "numeric", "varchar", "text", "string", "date", "time", "timestamp"),
}
PARTS = {
    "COLUMN_REF",
    "CONSTANT",
    "COMPARISON",
    "CONJUNCTION",
    "OPERATOR",
    "BETWEEN",
    "CASE",
    "CAST",
    "TYPE",
    "FUNCTION",
}


def matching_ids(connection: duckdb.DuckDBPyConnection, where: str, columns: Iterable[str]) -> npt.NDArray[np.int64]:
    """The ids of the items for which `where` is true, ascending.

    Raises:
        UserError: the expression is wrong, or does what it may not.
    """
    columns = ["id", *columns]
    query = _query(where)
    _check(connection, where, query, columns)
    cursor = connection.cursor()  # its own, so that a late interrupt hits nothing else
    try:
        with _ended_after(TIME_LIMIT, cursor):
            return np.asarray(cursor.execute(query).fetchnumpy()["id"], np.int64)
    except duckdb.InterruptException as error:
        raise UserError(f"the filter {_short(where)} took more than {TIME_LIMIT:g} s; make it simpler") from error
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        raise _wrong(where, str(error), columns) from error
    finally:
        cursor.close()


@contextmanager
def _ended_after(seconds: float, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Interrupt what runs on `cursor` after so many seconds, and again until it stops: planning may miss the first."""
    done = threading.Event()

    def watch() -> None:
        waiting = seconds
        while not done.wait(waiting):
            cursor.interrupt()
            waiting = INTERRUPT_AGAIN

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _query(where: str) -> str:
    return f"SELECT id FROM items WHERE (\n{where}\n) ORDER BY id"


def _check(connection: duckdb.DuckDBPyConnection, where: str, query: str, columns: list[str]) -> None:
    """Refuse everything but one expression made of known parts."""
    if not isinstance(where, str) or not where.strip() or "\0" in where:
        raise UserError(f"a filter is an SQL expression over the items' columns, got {where!r}")
    if len(where) > LENGTH_LIMIT:
        raise UserError(f"a filter has at most {LENGTH_LIMIT:,} characters, this one has {len(where):,}")
    parsed, plain = (_parsed(connection, where, text, columns) for text in (query, _query("true")))
    expression = parsed["statements"][0]["node"].pop("where_clause", None)
    parts = list(_parts(expression))
    for part in parts:
        _check_part(part, where, columns)
    if sum(part["class"] == "FUNCTION" for part in parts) > CALLS_LIMIT:
        raise UserError(f"the filter {_short(where)} has over {CALLS_LIMIT} functions and operators; make it simpler")
    plain["statements"][0]["node"].pop("where_clause")
    if parsed != plain:  # it closed the bracket and went on: another clause, a union
        raise UserError(
            f"the filter {_short(where)} is not one expression; it may hold a condition and nothing after it"
        )


def _parsed(connection: duckdb.DuckDBPyConnection, where: str, query: str, columns: list[str]) -> dict[str, Any]:
    """DuckDB's syntax tree of a query, without the places in the text."""
    try:
        text = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0]
    except (duckdb.Error, UnicodeEncodeError) as error:
        raise _wrong(where, str(error), columns) from error
    tree: dict[str, Any] = json.loads(text, object_hook=_without_places)
    if tree["error"]:
        raise _wrong(where, tree["error_message"], columns)
    return tree


def _without_places(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if not key.startswith("query_location")}


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every node below `tree` that stands for a part of an expression."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "class" in node:
                yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _check_part(part: dict[str, Any], where: str, columns: list[str]) -> None:
    match part["class"]:
        case "COLUMN_REF":
            name = ".".join(part["column_names"])
            if name.casefold() not in {column.casefold() for column in columns}:
                raise unknown("column", name, columns)
        case "FUNCTION":
            name = part["function_name"].casefold()
            if name not in OPERATORS | FUNCTIONS or part["schema"] or part["catalog"]:
                raise unknown("filter function", name, FUNCTIONS)
        case "TYPE":
            if part["type_name"].casefold() not in TYPES or part["schema"] or part["catalog"]:
                raise unknown("filter type", part["type_name"], TYPES)
        case other if other not in PARTS:
            kind = other.lower().replace("_", " ")
            raise UserError(
                f"the filter {_short(where)} holds a {kind}; it may hold columns, values, comparisons, AND, OR, NOT, "
                f"IN, BETWEEN, LIKE, CASE, casts and these functions: {', '.join(sorted(FUNCTIONS))}"
            )


def _wrong(where: str, message: str, columns: Iterable[str]) -> UserError:
    if "expression depth" in message:
        return UserError(f"the filter {_short(where)} is nested too deeply")
    reason = message.strip().splitlines()[0] if message.strip() else "it cannot be read"
    return UserError(f"the filter {_short(where)} is wrong: {reason}; known columns: {', '.join(columns)}")


def _short(where: str) -> str:
    text = repr(where)
    return text if len(text) <= 80 else text[:77] + "...'"
