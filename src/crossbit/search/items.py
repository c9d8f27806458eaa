"""What an index remembers of the rows of data: their ids, their items, and what they were made of."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import blake2b
from typing import Any

import numpy as np

from crossbit.data.types import PairedData
from crossbit.index import stable_ids
from crossbit.storage.picture_facts import facts_of
from crossbit.storage.picture_files import PictureFiles


def ids_of(data: PairedData, rows: np.ndarray) -> np.ndarray:
    """The ids of rows: `stable_ids` of their paths; the row numbers where the data has no paths.

    Rows of one path, such as several captions of a picture, are told apart by their order.
    """
    if data.path is None:
        return np.asarray(rows, np.int64)
    seen: Counter[str] = Counter()
    keys = []
    for path in data.path[: int(rows.max(initial=-1)) + 1].tolist():
        seen[path] += 1
        keys.append(path if seen[path] == 1 else f"{path}\n{seen[path]}")
    return stable_ids([keys[row] for row in rows])


def items_of(data: PairedData, rows: np.ndarray) -> dict[str, Any]:
    """What an index remembers of these rows, as columns: `row`, and as far as the data has them `caption` (its words,
    if it has no captions), `path`, `group`, the names of its `label` or `labels`, and its other columns."""
    columns: dict[str, Any] = {"row": rows}
    words = next((array for name, array in data.modalities.items() if data.kind(name) == "words"), None)
    for key, strings in (("caption", words if data.caption is None else data.caption), ("path", data.path)):
        if strings is not None:
            columns[key] = strings[rows].tolist()
    if data.group is not None:
        columns["group"] = _groups_of(data, data.group, rows)
    if data.label is not None:
        names = data.label_names or [str(number) for number in range(data.classes)]
        if data.label.ndim == 2:
            columns["labels"] = [[names[number] for number in np.flatnonzero(one)] for one in data.label[rows]]
        else:
            columns["label"] = [names[number] for number in data.label[rows]]
    return columns | {name: values[rows].tolist() for name, values in data.columns.items()}


def _groups_of(data: PairedData, group: np.ndarray, rows: np.ndarray) -> list[Any]:
    """The group of each row, under a name that it keeps when data grow: the path of the group's first row, None for one
    alone; its own value where the data has no paths."""
    if data.path is None:
        return list(group[rows].tolist())
    _, first, inverse, counts = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    of_rows = inverse[rows]
    names = data.path[first[of_rows]].tolist()
    return [name if many else None for name, many in zip(names, counts[of_rows] > 1, strict=True)]


def hashes_of(data: PairedData, modality: str, rows: np.ndarray) -> list[str]:
    """A hash for each row of all that is encoded and remembered of it, but for its row number, which may change; a
    column that has no value there is as one that is not."""
    columns = {name: values for name, values in items_of(data, rows).items() if name != "row"}
    content: Any = data[modality][rows]
    if isinstance(content, PictureFiles):
        content = np.array([facts.content for facts in facts_of(content)])
    content = np.ascontiguousarray(content)
    form = f"{content.dtype.kind} {content.shape[1:]}"
    hashes = []
    for at, one in enumerate(content):
        said = json.dumps([form, {name: values[at] for name, values in columns.items() if values[at] is not None}])
        state = blake2b(said.encode(), digest_size=16)
        state.update(str(one).encode("utf-8", "surrogatepass") if content.dtype.kind == "U" else one.tobytes())
        hashes.append(state.hexdigest())
    return hashes
