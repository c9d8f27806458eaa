"""What is wrong with a `where` expression, in the words of the one who wrote it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import duckdb

from crossbit.errors import UserError, unknown

BEFORE = "SELECT id FROM items WHERE (\n"  # what DuckDB reads before the expression
FORMS = {"label": ("labels", "list_contains(labels, {})"), "labels": ("label", "label = {}")}  # items have one or other
QUOTES = ('"{}"', "“{}”", "„{}“", "‘{}’", "`{}`")  # that people put around text
TEXT = re.compile(r"'(?:[^']|'')*'")


def no_column(where: str, name: str, columns: Collection[str]) -> UserError:
    """The error for a name that is no column: text in the wrong quotes, or one label where there are lists."""
    text = name.strip("“”„‘’`").replace("'", "''")
    if any(quote.format(name) in where or quote.format(text) == name for quote in QUOTES):
        return UserError(
            f"unknown column '{name}'; double quotes name a column, text goes in single quotes: '{text}'; "
            f"known columns: {', '.join(columns)}"
        )
    other, form = FORMS.get(name.casefold(), ("", ""))
    if other in columns:
        right = form.format(_text_in(where, where.casefold().find(name.casefold())))
        return UserError(f"unknown column '{name}'; take {right}; known columns: {', '.join(columns)}")
    return UserError(f"{unknown('column', name, columns)}; text goes in single quotes: '{text}'")


def unreadable(
    where: str, message: str, position: str | None, columns: Iterable[str], connection: duckdb.DuckDBPyConnection
) -> UserError:
    """The error for an expression that cannot be parsed; `position` is the byte of the query where reading ended."""
    columns = list(columns)
    for name in columns:
        if re.search(rf"(?<![\w\"']){re.escape(name)}(?![\w\"'])", where, re.IGNORECASE) and _reserved(
            name, connection
        ):
            return UserError(
                f"the filter {short(where)} cannot be read: {name} is a word of SQL; "
                f'as a column it goes in double quotes: "{name}"'
            )
    if "unterminated" in message:
        return wrong(where, "a quotation mark is missing", columns)
    if position is not None and int(position) >= len((BEFORE + where).encode()):
        return wrong(where, _ends(where), columns)
    return wrong(where, message, columns)


def _ends(where: str) -> str:
    """Why an expression ends before it is one."""
    outside = TEXT.sub("", where)
    open_ones = outside.count("(") - outside.count(")")
    if open_ones < 0:
        return "a bracket is closed that was not opened"
    return "it ends too early: a bracket is not closed" if open_ones else "it ends too early"


def wrong(where: str, message: str, columns: Iterable[str]) -> UserError:
    """The error for an expression with DuckDB's reason why it cannot be read or run."""
    if "expression depth" in message:
        return UserError(f"the filter {short(where)} is nested too deeply")
    if "VARCHAR[]" in message:
        return UserError(f"the filter {short(where)} takes a list for a text; {_in_list(where, columns)}")
    if "VARCHAR" in message and "explicit cast" in message:
        number = f"a column of numbers written as text: TRY_CAST({_column_in(where, columns)} AS DOUBLE)"
        return UserError(
            f"the filter {short(where)} compares text with a number; text goes in single quotes, "
            f"dates too: '2024-05-31'; {number}"
        )
    first = message.strip().splitlines()[0] if message.strip() else "it cannot be read"
    reason = re.sub(r"^(\w+ )?Error: ", "", first)
    return UserError(f"the filter {short(where)} is wrong: {reason}; known columns: {', '.join(columns)}")


def short(where: str) -> str:
    """The expression quoted, cut to a line."""
    text = repr(where)
    return text if len(text) <= 80 else text[:77] + "...'"


def _in_list(where: str, columns: Iterable[str]) -> str:
    """How a list is searched, by the column and the text of an expression."""
    return f"for a column of lists: list_contains({_column_in(where, columns)}, {_text_in(where)})"


def _column_in(where: str, columns: Iterable[str]) -> str:
    """The column that an expression names, or COLUMN where it names several."""
    outside = TEXT.sub("", where)
    named = [name for name in columns if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", outside, re.IGNORECASE)]
    return named[0] if len(named) == 1 else "COLUMN"


def _text_in(where: str, after: int = 0) -> str:
    """The first text of an expression behind a place, or else the first, without the marks of LIKE."""
    text = TEXT.search(where, after) or TEXT.search(where)
    return text[0].replace("%", "") if text else "'text'"


def _reserved(name: str, connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether DuckDB reads a word as its own syntax."""
    asked = "SELECT count(*) FROM duckdb_keywords() WHERE keyword_name = ? AND keyword_category = 'reserved'"
    return bool(connection.execute(asked, [name.casefold()]).fetchall()[0][0])
