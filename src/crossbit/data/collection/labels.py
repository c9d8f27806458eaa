"""Labels as a table holds them - names in one cell, lists, a column of 0 and 1 each - as lists of names."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from crossbit.data.collection.columns import Roles, bit
from crossbit.data.collection.separators import parted, separators_of
from crossbit.data.collection.tables import Table

MOST = 1000  # labels that are trained on: each is a column of the label matrix
# NumPy's arrays as text have no commas: between texts, and between numbers where there is no text.
TEXTS_APART, NUMBERS_APART = re.compile(r"""(['"])\s+(?=['"])"""), re.compile(r"(?<=\d)\s+(?=[-\d])")


def label_lists(table: Table, roles: Roles, separator: str | None = None) -> tuple[list[list[str]], str]:
    """The labels of each row, and how they are written in the table; `separator` is what the user asked for."""
    if not roles.labels:
        return [[] for _ in range(len(table))], ""
    if roles.bits:
        held = [(bit_name(name), table.columns[name]) for name in roles.labels]
        rows = [[name for name, values in held if bit(values[row])] for row in range(len(table))]
        return rows, f"{len(held)} columns of 0 and 1"
    parts = [_lists(table.columns[name], separator) for name in roles.labels]
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
    at = [(row, place[name]) for row, labels in enumerate(rows) for name in labels if name in place]
    label[tuple(np.array(at, np.int64).reshape(-1, 2).T)] = 1
    return label, kept, sorted(counts.keys() - place.keys())


def _lists(values: Sequence[Any], separator: str | None = None) -> tuple[list[list[str]], str]:
    texts = [value for value in values if isinstance(value, str)]
    if any(isinstance(value, list) for value in values):
        return [_distinct(_names(value)) for value in values], "lists"
    if lists := _lists_in(texts):
        return [_distinct(_names(lists.get(v, v) if isinstance(v, str) else v)) for v in values], "lists"
    different = set(texts)
    marks = separators_of(different, separator)
    cut = {text: _distinct(_names(parted(text, marks))) for text in different}
    shown = {"\n": "line breaks", "\t": "tabs"}.get(marks, f"'{marks if separator else marks[:1]}'")
    written = f"joined by {shown}" if marks else "one a row"
    return [cut[v] if isinstance(v, str) else _distinct(_names(v)) for v in values], written


def as_written(values: Sequence[Any], names: Sequence[str], separator: str | None = None) -> Any:
    """Labels in the form in which a column has them; `separator` is what the user asked for.

    >>> as_written(["tree; river", "fox"], ["fox", "tree"]), as_written(["['tree']"], ["fox", "tree"])
    ('fox; tree', '["fox", "tree"]')
    """
    if any(isinstance(value, list) for value in values):
        return list(names)
    texts = [value for value in values if isinstance(value, str)]
    if _lists_in(texts):
        return json.dumps(list(names), ensure_ascii=False)
    if not texts and len(names) == 1 and names[0].isdecimal():
        return int(names[0])
    marks = separators_of(set(texts), separator)
    mark = next((mark for mark in marks if any(mark in text for text in texts)), (marks or ";")[0])
    before, after = (" " * any(form in text for text in texts) for form in (f" {mark}", f"{mark} "))
    return f"{before}{mark}{after}".join(names)


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
    return list(dict.fromkeys(names))


def _lists_in(texts: Iterable[str]) -> dict[str, list[Any]]:
    """The texts that are lists, as JSON, Python or NumPy write them; none where one in square brackets is no list."""
    read = {text: _list(text) for text in set(texts) if text.startswith(("[", "(", "{"))}
    if any(found is None for text, found in read.items() if text.startswith("[")):
        return {}
    return {text: found for text, found in read.items() if found is not None}


def _list(text: str) -> list[Any] | None:
    parted = TEXTS_APART.sub(r"\1, ", text) if "'" in text or '"' in text else NUMBERS_APART.sub(", ", text)
    for parsed, form in ((json.loads, text), (ast.literal_eval, parted)):
        try:
            found = parsed(form)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        return list(found) if isinstance(found, list | tuple | set) else None
    return None


def bit_name(column: str) -> str:
    """A label's name of its column: `label_tree` and `label: tree` are tree."""
    column = unicodedata.normalize("NFC", column)
    for prefix in ("label_", "labels_", "label:", "is_"):
        if column.casefold().startswith(prefix) and len(column) > len(prefix):
            return column[len(prefix) :].strip()
    return column
