"""The other columns of a table as items of an index: numbers, truths, texts, lists of texts; one type a column."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

INTEGER = re.compile("[+-]?(0|[1-9][0-9]{0,17})")  # 007 is no number but a name
REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
COMMA = re.compile(
    r"[+-]?(0|[1-9][0-9]*|[1-9][0-9]{0,2}([. \u00a0\u202f'][0-9]{3})+),[0-9]+"
)  # as half of Europe writes numbers
DAY = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")  # with dots the day is always first
OWN = {"id", "row", "caption", "path", "label", "labels"}  # what an item has of its own
LARGEST = 2**53  # whole numbers beyond it become texts


def item_columns(columns: Mapping[str, Sequence[Any]], *, decimal_comma: bool = False) -> dict[str, np.ndarray]:
    """Columns as object arrays (n,), None where there is no value; a name that items use themselves gets `table_`.

    >>> {name: values.tolist() for name, values in item_columns({"year": ["1999", None], "id": ["007", "a"]}).items()}
    {'year': [1999, None], 'table_id': ['007', 'a']}
    """
    made: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        array = np.empty(len(values), object)
        array[:] = typed(values, decimal_comma=decimal_comma)
        made[item_name(name, made)] = array
    return made


def item_name(name: str, others: Iterable[str] = ()) -> str:
    """What a column is called in items, where names are printable and differ by more than case."""
    composed = unicodedata.normalize("NFC", name)  # as filters are typed
    plain = "".join(character if character.isprintable() else " " for character in composed).strip()
    if plain.casefold() in OWN or plain.startswith("_"):
        plain = f"table_{plain.lstrip('_')}"
    taken = {other.casefold() for other in others}
    return plain if plain.casefold() not in taken else item_name(f"{plain}_2", others)


def typed(values: Sequence[Any], *, decimal_comma: bool = False) -> list[Any]:
    """Values of one type, or None: texts that are all numbers, truths or dates become those.

    Dates become texts such as 2024-05-31, which are ordered as the dates are.

    >>> typed(["1.234,5", None, "7"], decimal_comma=True), typed(["31.05.2024", "1.6.2024"])
    ([1234.5, None, 7.0], ['2024-05-31', '2024-06-01'])
    """
    plain = [_plain(value) for value in values]
    held = [value for value in plain if value is not None]
    kinds = {type(value) for value in held}
    if kinds == {int, float} and all(abs(value) <= LARGEST for value in held):
        return [None if value is None else float(value) for value in plain]
    if kinds == {str}:
        return _of_texts(plain, held, decimal_comma)
    if len(kinds) > 1 or (kinds == {int} and any(abs(value) >= 2**63 for value in held)):
        return [None if value is None else _text(value) for value in plain]
    return plain


def _of_texts(values: list[Any], held: list[str], decimal_comma: bool) -> list[Any]:
    read: Callable[[str], Any]
    if all(INTEGER.fullmatch(text) for text in held):
        read = int
    elif all(REAL.fullmatch(text) or INTEGER.fullmatch(text) for text in held) and not any(map(_is_code, held)):
        read = float
    elif decimal_comma and _have_commas(held):
        read = lambda text: float(re.sub("[^0-9,+-]", "", text).replace(",", "."))  # noqa: E731
    elif held and all(map(_day, held)):
        read = _day
    elif {text.casefold() for text in held} <= {"true", "false"}:
        read = lambda text: text.casefold() == "true"  # noqa: E731
    else:
        return values
    return [None if value is None else read(value) for value in values]


def _have_commas(held: list[str]) -> bool:
    """Whether all are numbers, and those that are not whole have a decimal comma."""
    return any(map(COMMA.fullmatch, held)) and all(COMMA.fullmatch(text) or INTEGER.fullmatch(text) for text in held)


def _day(text: str) -> str | None:
    """A date such as 31.05.2024 as 2024-05-31; None where it is none."""
    if (found := DAY.fullmatch(text)) is None:
        return None
    day, month, year = map(int, found.groups())
    try:
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        return None


def _is_code(text: str) -> bool:
    """Whether a zero stands before its digits, as in a postal code."""
    return bool(re.match(r"[+-]?0[0-9]", text))


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case decimal.Decimal():
            return float(value)
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case list() | tuple():
            return [_text(one) for one in value if one is not None]
    return _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
