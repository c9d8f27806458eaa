"""UCCH's IAPR TC-12: one .mat with the database's and the test set's arrays."""

from __future__ import annotations

from pathlib import Path

from crossbit.data.layouts.parts.base import Layout, LayoutFile, Reading
from crossbit.data.layouts.parts.common import split_by_rule, turned
from crossbit.data.layouts.parts.rules import Split
from crossbit.storage.matlab import Container

DATABASE = {"image": "VDatabase", "text": "YDatabase", "label": "databaseL"}
TEST = {"image": "VTest", "text": "YTest", "label": "testL"}


class IaprMat(Layout):
    """`VDatabase`, `YDatabase`, `databaseL`, then `VTest`, `YTest`, `testL`, which both papers stack in this order:
    UCCH's queries are the test set's rows, NRCH's the first rows of the database."""

    name = "iapr-mat"
    rules = ("ucch", "nrch")

    def find(self, path: Path, held: Container | None) -> LayoutFile | None:
        wanted = {key: (key,) for part in (DATABASE, TEST) for key in part.values()}
        return None if held is None else self.pick(path, held, wanted)

    def read(self, found: LayoutFile, split: Split, transposed: bool | None) -> Reading:
        parts = [{role: found.entries[key] for role, key in part.items()} for part in (DATABASE, TEST)]
        if split.rule == "ucch" and not split.numbers:  # the file's own test set, however large
            label = parts[1]["label"]
            queries = label.shape[-1 if turned(parts[1], transposed)["label"] else 0]
            split = Split(split.rule, (queries,), split.chosen)
        return split_by_rule(found, parts, split, transposed)
