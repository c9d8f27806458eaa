"""The layout of the CLIP-era papers: a folder with index.mat (pictures), caption.mat (texts) and label.mat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from crossbit.data.layouts.parts.base import Layout, LayoutFile, Reading, absent
from crossbit.data.layouts.parts.labels import multi_hot
from crossbit.data.layouts.parts.pictures import picture_files
from crossbit.data.layouts.parts.rules import Split, apply_rule
from crossbit.data.layouts.parts.sizes import pairs_of
from crossbit.errors import UserError
from crossbit.storage.lines import read_lines
from crossbit.storage.matlab import Container, open_container
from crossbit.storage.matlab_cells import read_strings

FILES = {
    "index": ("index.mat", ("index",)),
    "caption": ("caption.mat", ("caption", "tags")),
    "label": ("label.mat", ("category", "label", "LAll")),
}
LINES = "caption.txt"  # a line a picture, in the place of caption.mat


class Dcmht(Layout):
    """`index.mat` (`index`: paths of pictures), `caption.mat` (`caption`) or `caption.txt` (a line a picture),
    `label.mat` (`category`, also `label`). Paths are looked for as they are, then under the folder, by ever shorter
    ends: `/old/place/images/im1.jpg` is found as `images/im1.jpg` or `im1.jpg`."""

    name = "dcmht"
    rules = ("random", "ucch", "nrch")

    def find(self, path: Path, held: Container | None) -> LayoutFile | None:
        folder = path if held is None else path.parent
        names = [name for name, _ in FILES.values()]
        there = [name for name in names if (folder / name).is_file()]
        if (
            not folder.is_dir()
            or (not path.is_dir() and path.name not in names)
            or len(there) < (2 if held is None else 1)
        ):
            return None
        entries, missing = {}, []
        lines = folder / LINES if "caption.mat" not in there and (folder / LINES).is_file() else None
        for role, (name, keys) in FILES.items():
            opened = open_container(folder / name) if name in there else None
            key = next((key for key in keys if opened and key in opened.entries), None)
            if role == "caption" and lines:
                continue
            if opened is None or key is None:
                missing.append(absent(folder / name, opened, keys))
            else:
                entries[role] = opened.entries[key]
        extra = {"folder": folder, "lines": lines}
        return LayoutFile(self, path, folder.absolute().name, entries, missing, extra=extra)

    def read(self, found: LayoutFile, split: Split, transposed: bool | None) -> Reading:
        names, captions = read_strings(found.entries["index"]).ravel(), _captions(found)
        entry = found.entries["label"]
        shapes = {entry.key: entry.shape, "index": (len(names),), "caption": captions.shape}
        sides = pairs_of(shapes, transposed)
        captions = captions.T if sides["caption"] else captions
        if captions.ndim > 1:  # a caption a column
            captions = np.array(["\n".join(row).rstrip("\n") for row in captions], dtype=np.str_)
        label = multi_hot(entry.lazy(sides[entry.key]).read(), entry.key)
        splits, said = apply_rule(split, len(label), found.name, self.rules)
        images, sized = picture_files(_pictures(found.extra["folder"], names))
        rest = {"label": label, "splits": splits, "caption": captions, "path": names}
        return Reading(found, {"image": images, "text": captions}, rest, [said, sized])


def _captions(found: LayoutFile) -> np.ndarray:
    """Unicode (n,), or (n, m) with m captions a picture, perhaps transposed."""
    if (lines := found.extra["lines"]) is None:
        return read_strings(found.entries["caption"])
    return np.array([line.strip() for line in read_lines(lines)], dtype=np.str_)


def _pictures(folder: Path, names: Sequence[str] | np.ndarray) -> list[Path]:
    """Where each picture is; UserError that counts those which are nowhere."""
    found = [_place(folder, str(name)) for name in names]
    if missing := [str(name) for name, place in zip(names, found, strict=True) if place is None]:
        right = f"put them under {folder}, as their paths say"
        raise UserError(f"{len(missing):,} of {len(names):,} pictures are missing, such as {missing[0]}; {right}")
    return [place for place in found if place is not None]


def _place(folder: Path, name: str) -> Path | None:
    parts = [part for part in PurePosixPath(name.strip().replace("\\", "/")).parts if part not in ("/", "..")]
    tried = [Path(name.strip()), *(folder.joinpath(*parts[start:]) for start in range(len(parts)))]
    return next((path for path in tried if path.is_absolute() and path.is_file()), None) or next(
        (path for path in tried[1:] if path.is_file()), None
    )
