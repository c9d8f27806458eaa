"""The columns of an index for the chips of a page: what they hold, and the filter that takes each value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from crossbit.index import Index
from crossbit.index.columns import TEXT, TEXTS
from crossbit.index.local import LocalIndex
from crossbit.index.statements import quoted
from crossbit.search.searcher import Searcher
from crossbit.storage.words import normal_form

OWN = ("row", "caption", "path", "group")  # what items say beside the columns of the user's table
LABELS = ("labels", "label")
SHOWN, FOUND = 12, 24  # values of a column, and of those that somebody looks for
LOOKED_AT = 20_000  # items


def columns_of(search: Searcher) -> list[dict[str, Any]]:
    """The columns with their most frequent values: labels first; counted among the first 20,000 items."""
    index = search.opened(search.model.modalities[0]).index
    items = _some_items(index)
    names = dict.fromkeys(name for item in items for name in item if name not in OWN)
    ordered = sorted(names, key=lambda name: name not in LABELS)  # stable
    kinds = index.columns
    return [column for name in ordered if (column := _column(name, kinds[name], [item.get(name) for item in items]))]


def column_with(search: Searcher, column: Mapping[str, Any], part: str, time_limit_ms: float) -> dict[str, Any]:
    """One of these columns with its values that hold a text, at most `FOUND`; of all items, or of the first 20,000 of
    an index on a server.

    Raises:
        UserError: as `LocalIndex.values`.
    """
    name, index = str(column["name"]), search.opened(search.model.modalities[0]).index
    if isinstance(index, LocalIndex):
        found = index.values(name, part, FOUND + 1, time_limit_ms=time_limit_ms)
    else:
        found = _held_with([item.get(name) for item in _some_items(index)], normal_form(part))
    values = [_value(name, *one, index.columns[name] == TEXTS) for one in found[:FOUND]]
    return {**column, "values": values, "more": len(found) > FOUND}


def _held_with(values: list[Any], part: str) -> list[tuple[Any, int]]:
    """Values that hold a text, with their counts, in the order of `LocalIndex.values`."""
    flat = (one for value in values for one in (set(value) if isinstance(value, list) else [value]))
    counts = Counter(one for one in flat if one is not None and part in normal_form(str(one)))

    def place(found: tuple[Any, int]) -> tuple[Any, ...]:
        said = normal_form(str(found[0]))
        return said != part, not said.startswith(part), -found[1], found[0]

    return sorted(counts.items(), key=place)[: FOUND + 1]


def _some_items(index: Index) -> list[dict[str, Any]]:
    return list(index.items(index.keys()[:LOOKED_AT]).values())


def _column(name: str, kind: str, values: list[Any]) -> dict[str, Any] | None:
    """A column; None where each value is another, as a title's."""
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    held = [one for one in flat if one is not None and not (isinstance(one, float) and math.isnan(one))]
    counts = Counter(held)
    if not counts or (len(counts) > SHOWN and len(counts) > len(held) / 2):
        return None
    said = "labels" if name in LABELS else "text" if kind in (TEXT, TEXTS) else "number"
    shown = [_value(name, *one, kind == TEXTS) for one in counts.most_common(SHOWN)]
    return {"name": name, "kind": said, "values": shown, "more": len(counts) > SHOWN}


def _value(name: str, value: Any, count: int, is_list: bool) -> dict[str, Any]:
    return {"value": str(value), "count": count, "where": _where(name, value, is_list)}


def _where(name: str, value: Any, is_list: bool) -> str:
    literal = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value).lower()
    return f"list_contains({quoted(name)}, {literal})" if is_list else f"{quoted(name)} = {literal}"
