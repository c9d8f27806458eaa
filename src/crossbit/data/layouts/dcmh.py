"""DCMH's and SSAH's MIRFlickr-25K: one .mat with raw pictures, tags and labels."""

from __future__ import annotations

from pathlib import Path

from crossbit.data.layouts.parts.base import Layout, LayoutFile, Reading
from crossbit.data.layouts.parts.common import split_by_rule
from crossbit.data.layouts.parts.pictures import pictures
from crossbit.data.layouts.parts.rules import Split
from crossbit.data.layouts.parts.sizes import pairs_of
from crossbit.storage.matlab import Container

WANTED = {"image": ("images",), "text": ("YAll",), "label": ("LAll",)}


class Dcmh(Layout):
    """`images` (n, 3, 224, 224), `YAll` (n, t), `LAll` (n, c), MATLAB 7.3. The reference code draws its split anew each
    time; here rule `random` always draws the same one."""

    name = "dcmh"
    rules = ("random", "ucch", "nrch")

    def find(self, path: Path, held: Container | None) -> LayoutFile | None:
        if held is None or ("images" not in held.entries and not {"YAll", "LAll"} <= held.entries.keys()):
            return None
        return self.pick(path, held, WANTED)

    def read(self, found: LayoutFile, split: Split, transposed: bool | None) -> Reading:
        sides = pairs_of({entry.key: entry.shape for entry in found.entries.values()}, transposed)
        images = pictures(found.entries["image"], sides["images"])
        return split_by_rule(found, [found.entries], split, transposed, images=images)
