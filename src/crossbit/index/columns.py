"""Items as typed columns: what kind each column is, and its values in a form that DuckDB scans directly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.index.base import Items

INTEGER, REAL, TRUTH, TEXT, TEXTS = "BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR", "VARCHAR[]"  # DuckDB's names
WORDS = {INTEGER: "int", REAL: "float", TRUTH: "bool", TEXT: "str", TEXTS: "list of str"}
ARRAY_KINDS = {"i": (INTEGER, np.int64), "f": (REAL, np.float64), "b": (TRUTH, np.bool_)}  # numpy's dtype.kind
PREFIX = "_word"  # of the columns that hold codes
HIDDEN = ("_segment", "_row", "_hash")  # of every row: where its embedding is, what it was made of
EXACT = 2**53  # the largest whole number up to which floats hold every one


NEVER_MISSING = {int, bool, str, list, tuple}


class Column(NamedTuple):
    """Values of one kind, n of them.

    Attributes:
        kind: DuckDB's type; None where all values are missing.
        values: an array that DuckDB scans: numbers (masked, or NaN, where missing), or objects.
        empty: bool (n,) where lists are empty, if any are. DuckDB takes a column's type from its first value, which an
            empty list does not have, so `values` holds [""] there.
    """

    kind: str | None
    values: npt.NDArray[Any]
    empty: npt.NDArray[np.bool_] | None = None


def typed_columns(items: Items | None, n: int) -> dict[str, Column]:
    """The columns of n items, each of one kind inferred from its values.

    Args:
        items: n dicts or None; or a dict of columns with n values each; or nothing.
        n: how many rows there must be.

    Raises:
        UserError: another number of rows; a column name that cannot be; values of no kind or of several.

    >>> columns = typed_columns([{"name": "a", "size": 1}, {"size": 2.5}], 2)
    >>> columns["name"].kind, columns["name"].values, columns["size"].values
    ('VARCHAR', array(['a', None], dtype=object), array([1. , 2.5]))
    """
    lists = _as_lists(items, n)
    _check_names(lists)
    return {name: _column(name, values) for name, values in lists.items()}


def fit(name: str, column: Column, kind: str) -> Column:
    """The column as values of `kind`, which its table already has.

    Raises:
        UserError: it holds something else; whole numbers fit into a column of floats, nothing else fits.
    """
    if column.kind in (kind, None):
        return column
    if (kind, column.kind) == (REAL, INTEGER):
        _check_exact(name, column.values.tolist())
        return Column(REAL, np.ma.filled(column.values.astype(np.float64), np.nan))
    told = f"column '{name}' holds {WORDS[kind]}, got {WORDS[column.kind]}: {_example(column.values)}"
    raise UserError(f"{told}; a column keeps its type: mend the value, or make the index anew")


def fit_all(columns: dict[str, Column], kinds: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Column]]:
    """Columns that a table lacks, with their types, and all values in the table's types.

    Args:
        columns: from `typed_columns`.
        kinds: the table's columns and their types.

    Raises:
        UserError: values that do not fit their column; a name that differs from a column's only by case.
    """
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


def _as_lists(items: Items | None, n: int) -> dict[str, Any]:
    if items is None:
        return {}
    if isinstance(items, Mapping):
        for name, values in items.items():
            if isinstance(values, str) or not hasattr(values, "__len__") or len(values) != n:
                size = f"{len(values)} values" if hasattr(values, "__len__") else type(values).__name__
                raise UserError(f"items: column '{name}' must have {n} values, one for each id; got {size}")
        return dict(items)
    if len(items) != n:
        raise UserError(f"items: {len(items)} of them for {n} ids; give one dict (or None) for each id")
    wrong = next((item for item in items if not (item is None or isinstance(item, Mapping))), None)
    if wrong is not None:
        raise UserError(f"items: each is a dict of values or None, got {_short(wrong)}")
    rows: list[Mapping[str, Any]] = [item or {} for item in items]
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(chain.from_iterable(rows))}


def _check_names(names: Iterable[Any]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise UserError(f"items: a column's name is printable text, got {name!r}")
        if name.casefold() in ("id", *HIDDEN) or name.casefold().startswith(PREFIX):
            raise UserError(f"items: the column name '{name}' is taken by the index itself; choose another")
        if seen.setdefault(name.casefold(), name) != name:
            raise UserError(f"items: columns '{seen[name.casefold()]}' and '{name}' differ only by case; choose one")


def _column(name: str, values: Any) -> Column:
    if isinstance(values, np.ndarray):
        if values.ndim == 1 and values.dtype.kind in ARRAY_KINDS and not np.ma.isMaskedArray(values):
            return _of_array(values)
        values = values.tolist()
    if not set(map(type, values)) <= NEVER_MISSING:
        values = [None if _is_missing(value) else value for value in values]
    kinds = {_kind(name, value) for value in dict(zip(map(type, values), values, strict=True)).values()}  # one a type
    missing = None in kinds
    kinds -= {None}
    if kinds == {INTEGER, REAL}:
        _check_exact(name, values)
        kinds = {REAL}
    if len(kinds) > 1:
        found = " and ".join(sorted(WORDS[kind] for kind in kinds if kind))
        raise UserError(f"items: column '{name}' mixes {found}; a column holds values of one type")
    kind = kinds.pop() if kinds else None
    if kind is None:
        return _nothing(len(values))
    if kind == TEXT:
        _check_text(name, values)
        return Column(kind, np.fromiter(values, object, len(values)))
    return _lists(name, values) if kind == TEXTS else Column(kind, _numbers(name, values, kind, missing))


def _of_array(values: npt.NDArray[Any]) -> Column:
    kind, dtype = ARRAY_KINDS[values.dtype.kind]
    if kind == REAL and np.isnan(values).all():  # as pandas has a column without values
        return _nothing(len(values))
    return Column(kind, values.astype(dtype))


def _nothing(n: int) -> Column:
    return Column(None, np.full(n, None, object))


def _is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, NaT, and what pandas and masked arrays have for them."""
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType")


def _check_exact(name: str, values: Iterable[Any]) -> None:
    """Refuse whole numbers that would be rounded as floats."""
    for value in values:
        if isinstance(value, int | np.integer) and abs(int(value)) > EXACT:
            raise UserError(f"items: column '{name}' holds floats, and {value} would be rounded; store it as text")


def _kind(name: str, value: Any) -> str | None:
    match value:
        case None:
            return None
        case bool() | np.bool_():
            return TRUTH
        case int() | np.integer():
            return INTEGER
        case float() | np.floating():
            return REAL
        case str():
            return TEXT
        case list() | tuple():
            return TEXTS
    raise UserError(f"items: column '{name}' holds {_short(value)}; values are {', '.join(WORDS.values())} or None")


def _numbers(name: str, values: Sequence[Any], kind: str | None, missing: bool) -> npt.NDArray[Any]:
    """An array, masked where values are missing; of floats, NaN there."""
    dtype, stand_in = {INTEGER: (np.int64, 0), REAL: (np.float64, np.nan), TRUTH: (np.bool_, False)}[kind or REAL]
    filled = [stand_in if value is None else value for value in values] if missing else values
    try:
        array: npt.NDArray[Any] = np.fromiter(filled, dtype, len(filled))
    except OverflowError as error:
        raise UserError(f"items: column '{name}' holds a number beyond 64 bits; store it as text") from error
    return np.ma.array(array, mask=[value is None for value in values]) if missing and kind != REAL else array


def _lists(name: str, values: Sequence[Any]) -> Column:
    flat = list(chain.from_iterable(row for row in values if row))
    if not all(issubclass(found, str) for found in set(map(type, flat))):
        wrong = next(value for value in flat if not isinstance(value, str))
        raise UserError(f"items: column '{name}' holds lists of str, one of them holds {_short(wrong)}")
    _check_text(name, flat)
    empty = np.fromiter((row is not None and not len(row) for row in values), np.bool_, len(values))
    rows = (row if row is None else list(row) or [""] for row in values)
    return Column(TEXTS, np.fromiter(rows, object, len(values)), empty if empty.any() else None)


def _check_text(name: str, values: Iterable[str | None]) -> None:
    """Refuse what cannot be stored as UTF-8 before a transaction has begun."""
    try:
        "".join(filter(None, values)).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"items: column '{name}' holds text that is not valid Unicode: {error.reason}") from error


def _example(values: npt.NDArray[Any]) -> str:
    """A value; one that is no whole number where there is one, as it is why the others are texts or floats."""
    held = [value for value in values.tolist() if not _is_missing(value)]
    whole = (str(value).removesuffix(".0").lstrip("+-").isdecimal() for value in held)
    return _short(next((value for value, plain in zip(held, whole, strict=True) if not plain), held[0]))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
