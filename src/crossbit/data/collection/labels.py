"""Labels as a table holds them - names in one cell, lists, a column of 0 and 1 each - as lists of names."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from crossbit.data.collection.columns import Roles
from crossbit.data.collection.tables import Table

JOINED = ";|,"  # the first that occurs in a column parts its cells
MOST = 1000  # labels that are trained on: each is a column of the label matrix
YES = {1, "1"}


def label_lists(table: Table, roles: Roles) -> tuple[list[list[str]], str]:
    """The labels of each row, and how they are written in the table."""
    if not roles.labels:
        return [[] for _ in range(len(table))], ""
    if roles.bits:
        held = [(bit_name(name), table.columns[name]) for name in roles.labels]
        rows = [[name for name, values in held if _hashable(values[row]) in YES] for row in range(len(table))]
        return rows, f"{len(held)} columns of 0 and 1"
    parts = [_lists(table.columns[name]) for name in roles.labels]
    rows = [_distinct(name for lists, _ in parts for name in lists[row]) for row in range(len(table))]
    return rows, parts[0][1]


def matrix(rows: Sequence[Sequence[str]]) -> tuple[np.ndarray, list[str], list[str]]:
    """Labels as 0/1 uint8 (n, classes), the classes' names, and the names left out because there are too many.

    >>> matrix([["tree"], [], ["river", "tree"]])[:2]
    (array([[0, 1],
           [0, 0],
           [1, 1]], dtype=uint8), ['river', 'tree'])
    """
    counts = Counter(name for labels in rows for name in labels)
    kept = sorted(name for name, _ in counts.most_common(MOST))
    place = {name: number for number, name in enumerate(kept)}
    label = np.zeros((len(rows), len(kept)), np.uint8)
    for row, labels in enumerate(rows):
        label[row, [place[name] for name in labels if name in place]] = 1
    return label, kept, sorted(counts.keys() - place.keys())


def _lists(values: Sequence[Any]) -> tuple[list[list[str]], str]:
    texts = [value for value in values if isinstance(value, str)]
    if any(isinstance(value, list) for value in values):
        return [_distinct(_names(value)) for value in values], "lists"
    lists = {text: _json(text) for text in set(texts) if text.startswith("[")}
    if lists and all(isinstance(each, list) for each in lists.values()):
        return [_distinct(_names(lists.get(v, v) if isinstance(v, str) else v)) for v in values], "JSON lists"
    mark = next((mark for mark in JOINED if any(mark in text for text in texts)), None)
    if mark is None:
        return [_distinct(_names(value)) for value in values], "one a row"
    cut = [value.split(mark) if isinstance(value, str) else value for value in values]
    return [_distinct(_names(value)) for value in cut], f"joined by '{mark}'"


def _names(value: Any) -> list[str]:
    """Names in a cell that holds one, a list, or nothing."""
    if isinstance(value, list):
        return [name for one in value for name in _names(one)]
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return []
    if isinstance(value, float) and value.is_integer():  # classes of a column with empty cells
        value = int(value)
    name = unicodedata.normalize("NFC", " ".join(str(value).split()))
    return [name] if name else []


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for one in names for name in _names(one)))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def bit_name(column: str) -> str:
    """A label's name of its column: `label_tree` and `label: tree` are tree."""
    for prefix in ("label_", "labels_", "label:", "is_"):
        if column.casefold().startswith(prefix) and len(column) > len(prefix):
            return column[len(prefix) :].strip()
    return column


def _hashable(value: Any) -> Any:
    return value if not isinstance(value, list | dict) else None
