"""MRL's INRIA-Websearch and XMediaNet with several views: one .mat with a split and a label for each view."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crossbit.data.layouts.parts.base import Layout, LayoutFile, Reading, whole_note
from crossbit.data.layouts.parts.common import consecutive, features, labels_apart, read_classes
from crossbit.data.layouts.parts.labels import whole_numbers
from crossbit.data.layouts.parts.rules import Split
from crossbit.data.layouts.parts.sizes import pairs_of
from crossbit.errors import UserError
from crossbit.storage.lazy import Lazy, stack, vectors
from crossbit.storage.matlab import Container
from crossbit.storage.matlab_cells import read_cells

PARTS = {"train": ("tr", "train"), "test": ("te", "test"), "valid": ("val", "valid")}
FLAT = {"image": "img", "text": "txt", "image label": "img_lab", "text label": "txt_lab"}


class MrlMat(Layout):
    """`tr_img`, `tr_txt`, `tr_img_lab`, `tr_txt_lab` and the same with `val_` and `te_`; or cell arrays `train`,
    `train_labels`, `valid`, `valid_labels`, `test`, `test_labels` with a cell per view, called view1, view2, ..."""

    name = "mrl-mat"
    rules = ("mrl",)

    def find(self, path: Path, held: Container | None) -> LayoutFile | None:
        if held is None:
            return None
        flat = {
            f"{part} {role}": (f"{short}_{key}",) for part, (short, _) in PARTS.items() for role, key in FLAT.items()
        }
        if any(key in held.entries for (key,) in flat.values()):
            return self.pick(path, held, flat)
        cells = {long: (long,) for _, long in PARTS.values()} | {
            f"{long} label": (f"{long}_labels",) for _, long in PARTS.values()
        }
        if not any(f"{long}_labels" in held.entries for _, long in PARTS.values()):
            return None
        return self.pick(path, held, cells)

    def read(self, found: LayoutFile, split: Split, transposed: bool | None) -> Reading:
        if split.numbers:
            raise UserError(f"split is '{split.rule}:{split.numbers[0]}', but the file has its own validation set")
        read = _read_flat if "train image" in found.entries else _read_views
        held, classes = read(found, transposed)
        rest, notes = labels_apart(classes)
        rows = dict(zip(PARTS, consecutive([len(array) for array in next(iter(classes.values()))]), strict=True))
        rest["splits"] = {
            "train": rows["train"],
            "query": rows["test"],
            "validation": rows["valid"],
            "retrieval": rows["train"],
        }
        return Reading(found, held, rest, [*notes, *whole_note(list(found.entries.values()))])


Views = tuple[dict[str, Lazy | np.ndarray], dict[str, list[np.ndarray]]]


def _read_flat(found: LayoutFile, transposed: bool | None) -> Views:
    parts = [{role: found.entries[f"{part} {role}"] for role in FLAT} for part in PARTS]
    classes = {m: [read_classes(part[f"{m} label"]) for part in parts] for m in ("image", "text")}
    return {m: features(parts, m, transposed) for m in ("image", "text")}, classes


def _read_views(found: LayoutFile, transposed: bool | None) -> Views:
    views: dict[str, list[Lazy]] = {}
    classes: dict[str, list[np.ndarray]] = {}
    for part in PARTS:
        arrays, labels = read_cells(found.entries[part]), read_cells(found.entries[f"{part} label"])
        if len(arrays) != len(labels) or len(arrays) < 2:
            counts = f"{len(arrays)} views and {len(labels)} arrays of labels"
            raise UserError(f"'{part}' has {counts}; there must be two or more views, and labels for each")
        of_views = [whole_numbers(flat.read(), name) for name, flat, _ in labels]
        _check_rows(part, of_views)
        shapes = {name: stored.shape for name, stored, _ in arrays}
        sides = pairs_of({**shapes, f"{part}_labels": (len(of_views[0]),)}, transposed)
        for number, ((name, stored, other), label) in enumerate(zip(arrays, of_views, strict=True), 1):
            views.setdefault(f"view{number}", []).append(other if sides[name] else stored)
            classes.setdefault(f"view{number}", []).append(label)
    if uneven := [name for name, lazies in views.items() if len(lazies) != len(PARTS)]:
        raise UserError(f"{uneven[0]} is not in all of train, valid and test; each must have the same views")
    return {name: vectors(stack(lazies, name), name) for name, lazies in views.items()}, classes


def _check_rows(part: str, labels: Sequence[np.ndarray]) -> None:
    if len({len(label) for label in labels}) > 1:
        sizes = ", ".join(f"view{number} {len(label)}" for number, label in enumerate(labels, 1))
        raise UserError(
            f"the views of '{part}' have different numbers of rows: {sizes}; row i of every view must be pair i"
        )
