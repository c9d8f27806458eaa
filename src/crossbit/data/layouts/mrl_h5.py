"""MRL's Wikipedia, NUS-WIDE and XMediaNet: one HDF5 file with train, valid and test arrays and labels per modality."""

from __future__ import annotations

import re
from pathlib import Path

from crossbit.data.layouts.parts.base import Layout, LayoutFile, Reading
from crossbit.data.layouts.parts.common import consecutive, features, labels_apart, read_classes
from crossbit.data.layouts.parts.rules import Split
from crossbit.errors import UserError
from crossbit.storage.matlab import Container

ROLES = {
    "image": ("imgs_deep",),
    "text": ("text", "texts"),
    "image label": ("imgs_labels",),
    "text label": ("texts_labels", "text_labels"),
}
# Rows at the head of the test set that are the validation set, where the file has none, and all its test rows.
VALIDATION = {"wiki": (231, 693), "nuswide": (5000, 28_661), "xmedianet": (4000, 8000)}


class MrlH5(Layout):
    """`train_imgs_deep`, `train_text` or `train_texts`, `train_imgs_labels`, `train_texts_labels`, and the same with
    `valid_` (may be absent) and `test_`. Queries are the test rows; the database is the training rows, and MRL itself
    searches the queries among themselves (`--database query`)."""

    name = "mrl-h5"
    rules = ("mrl",)

    def find(self, path: Path, held: Container | None) -> LayoutFile | None:
        labelled = {f"{part}_{key}" for part in ("train", "test") for key in ("imgs_labels", "texts_labels")}
        if held is None or not held.entries.keys() & labelled:
            return None
        label = held.entries.get("train_imgs_labels") or held.entries.get("test_imgs_labels")
        if label is not None and len(label.shape) == 2 and 1 not in label.shape:
            return None  # 0/1 labels of the pair: layout coco-h5
        names = ["train", "test"] + ["valid"] * any(key.startswith("valid_") for key in held.entries)
        keys = {f"{part} {role}": tuple(f"{part}_{key}" for key in ROLES[role]) for part in names for role in ROLES}
        return self.pick(path, held, keys)

    def read(self, found: LayoutFile, split: Split, transposed: bool | None) -> Reading:
        parts = ["train", "test"] + ["valid"] * ("valid image" in found.entries)
        held = [{role: found.entries[f"{part} {role}"] for role in ROLES} for part in parts]
        classes = {m: [read_classes(part[f"{m} label"]) for part in held] for m in ("image", "text")}
        rest, notes = labels_apart(classes)
        train, test, *valid = consecutive([len(array) for array in classes["image"]])
        if not valid:
            size, why = (split.numbers[0], "") if split.numbers else _validation(found.name, len(test))
            if not 0 < size < len(test):
                raise UserError(
                    f"validation is {size} rows of the {len(test)} test rows; it must leave some as queries"
                )
            notes.append(f"there is no validation set: the first {size:,} of {len(test):,} test rows are it{why}")
            valid, test = [test[:size]], test[size:]
        elif split.numbers:
            raise UserError(f"split is '{split.rule}:{split.numbers[0]}', but the file has its own validation set")
        rest["splits"] = {"train": train, "query": test, "validation": valid[0], "retrieval": train}
        return Reading(found, {m: features(held, m, transposed) for m in ("image", "text")}, rest, notes)


def _validation(name: str, n: int) -> tuple[int, str]:
    """How many of `n` test rows MRL's code takes for validation, and why it is another number where it is."""
    plain = re.sub("[^a-z0-9]", "", name.lower())
    known = (sizes for part, sizes in VALIDATION.items() if part in plain or n == sizes[1])
    size, of = next(known, (None, 0))
    if size is None:
        return max(1, n // 3), " (the name tells no published set, so it is a third; mrl:ROWS takes another number)"
    if size >= n:
        return max(
            1, n * size // of
        ), f" (too few for the {size:,} of the published set; mrl:ROWS takes another number)"
    return size, ", as in MRL's code"
