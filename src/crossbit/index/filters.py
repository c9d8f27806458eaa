"""`where` expressions: SQL that can read the items of an index and nothing else.

An expression may come from a stranger (through a service), so it is parsed first and refused unless every part of it
is known to be harmless: columns of the items, values, comparisons, and functions whose work grows with the length of
their arguments only. No subqueries, so no other table, no table function, no file; no functions that could fill the
memory (`range`, `repeat`) or run for minutes in one step (regular expressions, edit distances).

`parse` makes a checked `Filter` of a text, `matching_ids` runs one on a DuckDB connection, within a time limit. The
connection has no external access and a locked configuration besides.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError, unknown
from crossbit.index import mistakes
from crossbit.index.mistakes import short
from crossbit.storage.words import normal_form

TIME_LIMIT_MS = 10_000
INTERRUPT_AGAIN = 0.05  # seconds
LENGTH_LIMIT = 100_000  # characters: room for thousands of ids in a list
CALLS_LIMIT = 100  # functions: they all run on a block of rows before the time is looked at

OPERATORS = {
    *("+", "-", "*", "/", "//", "%", "||", "~~", "!~~", "~~*", "!~~*", "~~~"),  # ~~ is LIKE, ~~* ILIKE, ~~~ GLOB
    *("like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape", "list_value"),
}
FUNCTIONS = {
    *("lower", "upper", "trim", "ltrim", "rtrim", "left", "right", "substring", "strip_accents", "length", "len"),
    *("contains", "starts_with", "ends_with", "prefix", "suffix", "position"),
    *("list_contains", "list_has", "list_has_any", "list_has_all", "array_contains"),
    *("abs", "round", "floor", "ceil", "sign", "sqrt", "ln", "mod", "greatest", "least", "isnan", "isfinite"),
    *("date_part", "date_trunc", "year", "quarter", "month", "week", "day", "dayofweek", "hour", "minute", "second"),
    *("coalesce", "nullif", "ifnull", "if"),
    "normal",  # ours: see `define_functions`
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
NORMAL = (  # what is ASCII, as most texts are, needs no Python, which would keep other threads waiting
    "CREATE TEMP MACRO normal(words) AS "
    "CASE WHEN length(words) = strlen(words) THEN lower(words) ELSE normal_form(words) END"
)


@dataclass(frozen=True)
class Filter:
    """A condition on the items of an index that is known to be harmless; `parse` makes it.

    Attributes:
        text: as it was given.
        tree: its parts, each of a "class" in `PARTS`, as nested dicts (DuckDB's syntax tree); what another engine than
            DuckDB would translate.
        columns: the names that it may use.
    """

    text: str
    tree: dict[str, Any]
    columns: tuple[str, ...]


def parse(where: str, columns: Iterable[str], connection: duckdb.DuckDBPyConnection) -> Filter:
    """Check a condition.

    Args:
        where: SQL.
        columns: of the items; `id` is one more.
        connection: any connection of DuckDB, whose parser is used; nothing behind it is read.

    Raises:
        UserError: the expression is wrong, or does what it may not.

    >>> parse("size > 3", ["size"], duckdb.connect()).tree["type"]
    'COMPARE_GREATERTHAN'
    """
    if not isinstance(where, str) or not where.strip() or "\0" in where:
        raise UserError(f"a filter is an SQL expression over the items' columns, got {where!r}")
    if len(where) > LENGTH_LIMIT:
        raise UserError(f"a filter has at most {LENGTH_LIMIT:,} characters, this one has {len(where):,}")
    known = ("id", *columns)
    parsed, plain = (_parsed(connection, where, condition, known) for condition in (where, "true"))
    tree = parsed["statements"][0]["node"].pop("where_clause", None)
    plain["statements"][0]["node"].pop("where_clause")
    parts = list(_parts(tree))
    for part in parts:
        _check_part(part, where, known)
    if sum(part["class"] == "FUNCTION" for part in parts) > CALLS_LIMIT:
        raise UserError(f"the filter {short(where)} has over {CALLS_LIMIT} functions and operators; make it simpler")
    if parsed != plain:  # it closed the bracket and went on: another clause, a union
        raise UserError(
            f"the filter {short(where)} is not one expression; it may hold a condition and nothing after it"
        )
    return Filter(where, tree, known)


def matching_ids(
    cursor: duckdb.DuckDBPyConnection, condition: Filter, time_limit_ms: float = TIME_LIMIT_MS, *, small: bool = False
) -> npt.NDArray[np.integer[Any]]:
    """The ids of the items for which a condition is true, in any order: int64, or uint32 where all ids are `small`.

    Args:
        cursor: on the index; used by nothing else, so that a late interrupt hits nothing else.
        condition: from `parse`.
        time_limit_ms: it is ended after so many milliseconds.
        small: no id is below 0 or above 2^32 - 1. Handing many over then takes half the time.

    Raises:
        UserError: it took too long; values that its functions cannot take.
    """
    try:
        with ended_after(time_limit_ms / 1000, cursor) as late:
            cursor.execute(NORMAL)
            chosen = "id::UINTEGER AS id" if small else "id"
            found = cursor.execute(f"SELECT {chosen} FROM ({_query(condition.text)})").fetchnumpy()
            return np.asarray(found["id"], np.uint32 if small else np.int64)
    except duckdb.InterruptException as error:
        if not late.is_set():  # somebody else ended it
            raise
        raise UserError(
            f"the filter {short(condition.text)} took more than {time_limit_ms:g} ms; make it simpler"
        ) from error
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        raise mistakes.wrong(condition.text, str(error), condition.columns) from error


def define_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """Let conditions on this connection and its cursors use `normal(text)`: `crossbit.storage.words.normal_form`."""
    with suppress(duckdb.CatalogException):  # this process has the file open already
        connection.create_function("normal_form", normal_form, ["VARCHAR"], "VARCHAR")


def check_time_limit(milliseconds: float) -> float:
    """Return a time limit; UserError where it is not a number above 0."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float | np.number) or not milliseconds > 0:
        raise UserError(f"time_limit_ms is {milliseconds!r}; it must be a number of milliseconds above 0")
    return min(float(milliseconds), 1000 * threading.TIMEOUT_MAX)


@contextmanager
def ended_after(seconds: float, cursor: duckdb.DuckDBPyConnection) -> Iterator[threading.Event]:
    """Interrupt what runs on `cursor` after so many seconds, and again until it stops: planning may miss the first.
    Gives an event that tells whether it came to that."""
    done, late = threading.Event(), threading.Event()

    def watch() -> None:
        waiting = seconds
        while not done.wait(waiting):
            late.set()
            with suppress(duckdb.Error):  # closed meanwhile
                cursor.interrupt()
            waiting = INTERRUPT_AGAIN

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield late
    finally:
        done.set()
        watcher.join()


def _query(where: str) -> str:
    return f"{mistakes.BEFORE}{where}\n)"


def _parsed(
    connection: duckdb.DuckDBPyConnection, where: str, condition: str, columns: tuple[str, ...]
) -> dict[str, Any]:
    """DuckDB's syntax tree of the query with a condition, without the places in the text."""
    try:
        text = connection.execute("SELECT json_serialize_sql(?)", [_query(condition)]).fetchall()[0][0]
    except duckdb.InterruptException:  # the index is closed meanwhile
        raise
    except (duckdb.Error, UnicodeEncodeError) as error:
        raise mistakes.wrong(where, str(error), columns) from error
    tree: dict[str, Any] = json.loads(text, object_hook=_without_places)
    if tree["error"]:
        raise mistakes.unreadable(where, tree["error_message"], json.loads(text).get("position"), columns, connection)
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


def _check_part(part: dict[str, Any], where: str, columns: tuple[str, ...]) -> None:
    match part["class"]:
        case "COLUMN_REF":
            name = ".".join(part["column_names"])
            if name.casefold() not in {column.casefold() for column in columns}:
                raise mistakes.no_column(where, name, columns)
        case "FUNCTION":
            name = part["function_name"].casefold()
            if name == "row" and not part["arguments"] and "in" in where.casefold():
                raise UserError(f"the filter {short(where)} has an empty list, IN (); put a value into it")
            if name in FUNCTIONS and (of := part["schema"]).casefold() in {column.casefold() for column in columns}:
                right = f"{name}({of}{', ...' if part['arguments'] else ''})"
                raise UserError(f"the filter {short(where)} calls {of}.{name}(); write {right}")
            if name not in OPERATORS | FUNCTIONS or part["schema"] or part["catalog"]:
                raise unknown("filter function", name, FUNCTIONS)
        case "COMPARISON" if "DISTINCT" not in part["type"]:  # IS DISTINCT FROM NULL says something
            if any(side.get("literal", {}).get("kind") == "NULL_LITERAL" for side in (part["left"], part["right"])):
                right = "write IS NULL, or IS NOT NULL"
                raise UserError(f"the filter {short(where)} compares with NULL, which is never true; {right}")
        case "TYPE":
            if part["type_name"].casefold() not in TYPES or part["schema"] or part["catalog"]:
                raise unknown("filter type", part["type_name"], TYPES)
        case other if other not in PARTS:
            kind = other.lower().replace("_", " ")
            raise UserError(
                f"the filter {short(where)} holds a {kind}; it may hold columns, values, comparisons, AND, OR, NOT, "
                f"IN, BETWEEN, LIKE, CASE, casts and these functions: {', '.join(sorted(FUNCTIONS))}"
            )
