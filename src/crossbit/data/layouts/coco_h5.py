"""UCCH's MS-COCO: one HDF5 file of images, texts and labels, in one piece or as train and test."""

from __future__ import annotations

from pathlib import Path

from crossbit.data.layouts.parts.base import Layout, LayoutFile, Reading
from crossbit.data.layouts.parts.common import Part, split_by_rule
from crossbit.data.layouts.parts.rules import Split
from crossbit.storage.matlab import Container

WHOLE = {"image": ("XAll",), "text": ("YAll",), "label": ("LAll",)}
ROLES = {"image": ("imgs_deep",), "text": ("text", "texts"), "label": ("imgs_labels",)}


class CocoH5(Layout):
    """`XAll`, `YAll`, `LAll`; or `train_imgs_deep`, `train_text`, `train_imgs_labels` and the same with `test_`, which
    are stacked in this order. UCCH takes the last rows as queries and NRCH the first."""

    name = "coco-h5"
    rules = ("ucch", "nrch", "random")

    def find(self, path: Path, held: Container | None) -> LayoutFile | None:
        if held is None or "images" in held.entries:
            return None
        if {"YAll", "LAll"} <= held.entries.keys() or "XAll" in held.entries:
            return self.pick(path, held, WHOLE)
        label = held.entries.get("train_imgs_labels") or held.entries.get("test_imgs_labels")
        classes = label is not None and (len(label.shape) == 1 or 1 in label.shape)
        if classes or any(key.endswith("_texts_labels") for key in held.entries):
            return None  # one class a row and modality: layout mrl-h5
        wanted = {
            f"{part} {role}": tuple(f"{part}_{name}" for name in names)
            for part in ("train", "test")
            for role, names in ROLES.items()
        }
        return self.pick(path, held, wanted)

    def read(self, found: LayoutFile, split: Split, transposed: bool | None) -> Reading:
        parts: list[Part] = [found.entries]
        if "image" not in found.entries:
            parts = [{role: found.entries[f"{part} {role}"] for role in ROLES} for part in ("train", "test")]
        return split_by_rule(found, parts, split, transposed)
