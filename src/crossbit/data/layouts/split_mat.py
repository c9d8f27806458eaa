"""UCCH's MIRFlickr-25K and NUS-WIDE: three .mat for images, texts and labels."""

from __future__ import annotations

import re
from pathlib import Path

from crossbit.data.layouts.parts.base import Layout, LayoutFile, Reading, absent
from crossbit.data.layouts.parts.common import split_by_rule
from crossbit.data.layouts.parts.pictures import pictures
from crossbit.data.layouts.parts.rules import Split
from crossbit.data.layouts.parts.sizes import pairs_of
from crossbit.errors import UserError
from crossbit.storage.matlab import Container, open_container

FILE = re.compile(r"(?P<set>.+)-(?P<what>[ixyl])all(?P<kind>(-vgg)?(-clean)?)\.mat", re.IGNORECASE)
KEYS = {"image": ("XAll", "IAll"), "text": ("YAll",), "label": ("LAll",)}


class SplitMat(Layout):
    """`SET-iall.mat` (raw pictures, `IAll`) or `SET-xall-vgg.mat` (`XAll`), `SET-yall.mat` (`YAll`), `SET-lall.mat`
    (`LAll`) in one folder. The rules: UCCH takes the last rows as queries and NRCH the first."""

    name = "split-mat"
    rules = ("ucch", "nrch", "random")

    def find(self, path: Path, held: Container | None) -> LayoutFile | None:
        if held is None:
            return self._in_folder(path) if path.is_dir() else None
        named = FILE.fullmatch(path.name)
        if named is None or not held.entries.keys() & {key for keys in KEYS.values() for key in keys}:
            return None
        beside = {file: match for file, match in _named(path.parent) if match["set"] == named["set"]}
        image = path if named["what"].lower() in "ix" else None
        return self._collect(path, named["set"], beside, image)

    def _in_folder(self, folder: Path) -> LayoutFile | None:
        files = dict(_named(folder))
        sets = sorted({match["set"] for match in files.values()})
        if len(sets) > 1:
            raise UserError(f"{folder} holds several sets: {', '.join(sets)}; give the path of one set's image file")
        return self._collect(folder, sets[0], files, None) if sets else None

    def _collect(self, path: Path, name: str, files: dict[Path, re.Match[str]], image: Path | None) -> LayoutFile:
        entries, missing = {}, []
        for role, letters in (("image", "ix"), ("text", "y"), ("label", "l")):
            these = [file for file, match in files.items() if match["what"].lower() in letters]
            if role == "image" and image is not None:
                these = [image]
            if len(these) > 1:
                listed = ", ".join(file.name for file in these)
                raise UserError(
                    f"{path} has several files of {role}s: {listed}; give the path of the one that is meant"
                )
            held = open_container(these[0]) if these else None
            key = next((key for key in KEYS[role] if held and key in held.entries), None)
            if held is None or key is None:
                default = f"{name}-{letters[-1]}all{'-vgg' if role == 'image' else ''}.mat"
                lacks = f"{' or '.join(KEYS[role])} in {default}"
                missing.append(absent(these[0], held, KEYS[role]) if these else lacks)
            else:
                entries[role] = held.entries[key]
        return LayoutFile(self, path, name, entries, missing)

    def read(self, found: LayoutFile, split: Split, transposed: bool | None) -> Reading:
        image = found.entries["image"]
        if len(image.shape) != 4:
            return split_by_rule(found, [found.entries], split, transposed)
        sides = pairs_of({entry.key: entry.shape for entry in found.entries.values()}, transposed)
        drawn = pictures(image, sides[image.key])
        return split_by_rule(found, [found.entries], split, transposed, images=drawn)


def _named(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    """The files of a folder whose names are in this layout."""
    matches = ((file, FILE.fullmatch(file.name)) for file in sorted(folder.glob("*.mat")))
    return [(file, match) for file, match in matches if match is not None]
