"""Steps that several layouts take: matrices turned the right way, image, text and labels that one rule splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from crossbit.data.layouts.parts.base import LayoutFile, Reading, whole_note
from crossbit.data.layouts.parts.labels import from_zero, multi_hot, whole_numbers
from crossbit.data.layouts.parts.rules import Split, apply_rule
from crossbit.data.layouts.parts.sizes import pairs_of
from crossbit.storage.lazy import Lazy, stack, vectors
from crossbit.storage.matlab import MatArray

Part = Mapping[str, MatArray]  # what one split of a file holds, by role


def turned(part: Part, transposed: bool | None) -> dict[str, bool]:
    """Role to whether its rows are on the last axis; the errors name the keys."""
    sides = pairs_of({entry.key: entry.shape for entry in part.values()}, transposed)
    return {role: sides[entry.key] for role, entry in part.items()}


def features(parts: Sequence[Part], role: str, transposed: bool | None) -> Lazy:
    """The vectors of one role in all parts, below one another."""
    key = parts[0][role].key
    return vectors(stack([part[role].lazy(turned(part, transposed)[role]) for part in parts], key), key)


def matrix(part: Part, role: str, transposed: bool | None) -> np.ndarray:
    """A 0/1 label matrix (n, classes), in memory."""
    entry = part[role]
    array = entry.lazy(turned(part, transposed)[role]).read()
    return multi_hot(array, entry.key)


def split_by_rule(
    found: LayoutFile, parts: Sequence[Part], split: Split, transposed: bool | None, *, images: Lazy | None = None
) -> Reading:
    """Parts with "image", "text" and "label" as one set, in their order, split by a rule."""
    label = np.concatenate([matrix(part, "label", transposed) for part in parts])
    splits, said = apply_rule(split, len(label), found.name, found.layout.rules)
    held = {
        "image": features(parts, "image", transposed) if images is None else images,
        "text": features(parts, "text", transposed),
    }
    used = [entry for part in parts for role, entry in part.items() if role != "label"]
    return Reading(found, held, {"label": label, "splits": splits}, [said, *whole_note(used)])


def labels_apart(parts: Mapping[str, Sequence[np.ndarray]]) -> tuple[dict[str, Any], list[str]]:
    """What `PairedData` is told of classes (n,) that each modality has of its own, and notes about it.

    Where all modalities agree there is one label for the pair; else each keeps its own.
    """
    labels, names, said = from_zero(parts)
    notes = [said] if said else []
    first, *others = labels.values()
    if all(np.array_equal(first, other) for other in others):
        return {"label": first, "label_names": names}, notes
    differing = int(np.any([first != other for other in others], axis=0).sum())
    notes.append(f"each modality has labels of its own: in {differing:,} of {len(first):,} pairs their labels differ")
    return {"label": None, "label_names": names, "modality_label": labels}, notes


def read_classes(entry: MatArray) -> np.ndarray:
    """The classes of an entry, int64 (n,)."""
    return whole_numbers(entry.read(), entry.key)


def consecutive(sizes: Sequence[int]) -> list[np.ndarray]:
    """Row numbers of parts that lie below one another.

    >>> [rows.tolist() for rows in consecutive([2, 1])]
    [[0, 1], [2]]
    """
    ends = np.cumsum([0, *sizes])
    return [np.arange(start, stop) for start, stop in pairwise(ends)]
