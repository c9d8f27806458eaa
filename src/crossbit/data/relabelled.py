"""Labels of a table in the place of those that data have: what an audit wrote, or a person corrected."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.bits.labels import as_matrix
from crossbit.data.collection.columns import Columns
from crossbit.data.collection.places import is_place
from crossbit.data.collection.relabel import has_column_each, labels_by_picture
from crossbit.data.collection.tables import READERS, read_table
from crossbit.data.types import PairedData
from crossbit.errors import UserError, unknown

NAMED = 5  # labels that a line names
SLIP = 0.8  # from which likeness on a label may be another one, mistyped
ROW, LABELS = "row", "labels"  # columns of a table for data that have no table of their own


@dataclass(frozen=True)
class Relabelled:
    """Data with the labels of a table.

    Attributes:
        data: the data; only rows that the table names have other labels.
        changed: how many training rows have other labels than before.
        told: of how many training rows the table has the labels.
        hash: of the labels.
        strangers: of how many training rows the table names a label that the data do not have, by label.
    """

    data: PairedData
    changed: int
    told: int
    hash: str
    strangers: Mapping[str, int] = field(default_factory=dict)

    def left_out(self, known: Iterable[str]) -> str:
        """What the table names and the data do not have, in a line; empty where there is nothing of the kind.

        >>> Relabelled(None, 0, 3, "", {"fox": 2, "dogs": 1}).left_out(["cat", "dog"])
        "labels that the data do not have are left out: 'fox' (2 rows), 'dogs' (1 row; did you mean 'dog'?)"
        """
        most, names = sorted(self.strangers, key=lambda name: (-self.strangers[name], name)), list(known)
        told = []
        for name in most[:NAMED]:
            near = difflib.get_close_matches(name, names, n=1, cutoff=SLIP)
            rows = f"{self.strangers[name]} row{'' if self.strangers[name] == 1 else 's'}"
            meant = f"; did you mean '{near[0]}'?" if near else ""
            told.append(f"'{name}' ({rows}{meant})")
        more = f" and {len(most) - NAMED} more" if len(most) > NAMED else ""
        return f"labels that the data do not have are left out: {', '.join(told)}{more}" if told else ""


def relabelled(data: PairedData, path: str | os.PathLike[str]) -> Relabelled:
    """Data with the labels that a table has for their training rows.

    For an own collection it is a table like its own: pictures that it names have the labels that stand there. For other
    data it has the columns `row` (from 0) and `labels`, by name. A label that the data do not have is left out and
    told, as it is no class of theirs; a row of which none is left keeps the labels that it has.

    Args:
        data: pairs with labels of the pairs.
        path: `.csv`, `.tsv`, `.jsonl` or `.parquet`.

    Raises:
        UserError: it cannot be read; a row or a picture that the data do not have, or no label that they have; data
            without labels.
    """
    source = Path(path)
    own = own_columns(data)
    names = label_names(data)
    if source.suffix.lower() not in READERS:
        raise UserError(f"{source} is no table of labels; give a file that ends in {', '.join(READERS)}")
    if not source.is_file():
        raise UserError(f"no table of labels at {source}; `crossbit audit RUN --out {source}` writes one")
    found = _by_row(source, data) if own is None else _by_picture(source, data, own)
    train = data.splits["train"][np.isin(data.splits["train"], list(found))]
    before = label_matrix(data)
    after = before.copy()
    place = {name: number for number, name in enumerate(names)}
    known, strangers = {*names, *_others(data)}, Counter[str]()
    for row in train:
        new = [name for name in found[row] if name not in known]
        strangers.update(new)
        if new and len(new) == len(found[row]):
            continue
        after[row] = 0
        after[row, [place[name] for name in found[row] if name in place]] = 1
    if strangers and not any(name in known for row in train for name in found[row]):
        raise UserError(
            f"{source} has no label of data '{data.name}': {unknown('label', next(iter(strangers)), names)}"
        )
    changed = int((after != before)[data.splits["train"]].any(1).sum())
    digest = hashlib.blake2b(after[data.splits["train"]].tobytes(), digest_size=16).hexdigest()
    return Relabelled(_with(data, after) if changed else data, changed, len(train), digest, strangers)


def own_columns(data: PairedData) -> Columns | None:
    """What the columns of an own collection were taken for; None for other data.

    >>> own_columns(PairedData("toy", {"x": np.eye(3)}, None, {"train": [1, 2], "query": [0], "retrieval": [1, 2]}))
    """
    if not os.path.isabs(data.source) or not is_place(Path(data.source)):
        return None
    return Columns.of(data.options.get)


def has_label_columns(data: PairedData) -> bool:
    """Whether the data are an own collection whose table has a column for each label."""
    own = own_columns(data)
    return own is not None and has_column_each(Path(data.source), own)


def label_names(data: PairedData) -> list[str]:
    """A name for each class; its number where the data have no names."""
    return data.label_names or [str(number) for number in range(data.classes)]


def label_matrix(data: PairedData) -> np.ndarray:
    """The labels (n, classes) that training may see, uint8 0/1.

    Raises:
        UserError: the data have none, or have them for each modality.
    """
    labels = data.observed_label if data.observed_label is not None else data.label
    if data.modality_label or data.modality_observed_label:
        raise UserError(f"data '{data.name}' have labels for each modality; a table holds labels of pairs alone")
    if labels is None:
        raise UserError(f"data '{data.name}' have no labels that a table could correct; give the data labels first")
    return as_matrix(labels, data.classes)


def _with(data: PairedData, labels: np.ndarray) -> PairedData:
    """The data with these labels; where every row still has one class they keep their form."""
    given = data.label if data.label is not None else data.observed_label
    made: Any = labels
    if given is not None and given.ndim == 1:
        if (wrong := np.flatnonzero(labels.sum(1) != 1)).size:
            many = int(labels[wrong[0]].sum())
            raise UserError(
                f"row {wrong[0]} of data '{data.name}' gets {many} labels, and each row must have one class"
            )
        made = labels.argmax(1)
    return data.replace(label=made) if data.observed_label is None else data.with_observed(made)


def _by_row(path: Path, data: PairedData) -> dict[int, list[str]]:
    table = read_table(path)
    if ROW not in table.columns:
        raise UserError(f"{path} has no column '{ROW}' with row numbers from 0; it has: {', '.join(table.columns)}")
    names = _named(table.columns.get(LABELS), len(table), path)
    found: dict[int, list[str]] = {}
    for at, value in enumerate(table.columns[ROW]):
        row = int(value) if str(value).isdecimal() else -1
        if not 0 <= row < data.n:
            raise UserError(f"{path}: {table.places[at]}: row {value} is not in data '{data.name}' of {data.n:,} rows")
        found[row] = names[at]
    return found


def _named(values: list[Any] | None, n: int, path: Path) -> list[list[str]]:
    """Names of a column of labels; JSON lists, or names with `;` between, whatever else is in them."""
    if values is None:
        raise UserError(f"{path} has no column '{LABELS}' with any label in it")
    return [names_in(value) for value in values]


def names_in(value: Any) -> list[str]:
    """The labels of a cell that `names_text` wrote.

    >>> names_in("a; b, c"), names_in('["a;b"]'), names_in(None)
    (['a', 'b, c'], ['a;b'], [])
    """
    if isinstance(value, str) and value.startswith("["):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    parts = value if isinstance(value, list) else [] if value is None else str(value).split(";")
    names = [unicodedata.normalize("NFC", str(name)) for name in parts]
    return names if isinstance(value, list) else [name.strip() for name in names if name.strip()]


def names_text(names: Iterable[str]) -> str:
    """Labels as a cell: joined by "; ", or a JSON list where that would not be read as it was.

    >>> names_text(["a", "b, c"]), names_text(["a;b"])
    ('a; b, c', '["a;b"]')
    """
    joined = "; ".join(names := list(names))
    return joined if names_in(joined) == names else json.dumps(names, ensure_ascii=False)


def _by_picture(path: Path, data: PairedData, asked: Columns) -> Mapping[int, list[str]]:
    assert data.path is not None
    labels = labels_by_picture(path, Path(data.source), asked)
    paths = [os.path.abspath(name) for name in data.path.tolist()]
    rows = {row: labels[name] for row, name in enumerate(paths) if name in labels}
    if not rows:
        raise UserError(
            f"{path} names no picture of {data.source}; its file names must be as in the collection's table"
        )
    return rows


def _others(data: PairedData) -> list[str]:
    """Labels that the data know and do not train on, as there are too many."""
    return [name for names in data.columns.get("other_labels", ()) for name in names or ()]
