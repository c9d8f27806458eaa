"""NRCH's four sets: one HDF5 file with training, query and database arrays, and files of noisy labels beside it."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.data.layouts.parts.base import Layout, LayoutFile, Reading
from crossbit.data.layouts.parts.common import Part, consecutive, features, matrix, turned
from crossbit.data.layouts.parts.labels import multi_hot
from crossbit.data.layouts.parts.rules import Split
from crossbit.errors import UserError
from crossbit.storage.lazy import Lazy
from crossbit.storage.matlab import Container, MatArray, open_container

ROLES = {"image": "Img", "text": "Tag", "label": "Lab"}
PARTS = ("Query", "Train", "DataBase")
NOISE = re.compile(r"(?P<set>.+)-lall?-noise_(?P<rate>[0-9.]+)\.(h5|hdf5|h5py)", re.IGNORECASE)


class NrchH5(Layout):
    """`ImgTrain`, `TagTrain`, `LabTrain`, and the same for `Query` and `DataBase`; beside it `SET-lall-noise_RATE.h5`
    has the labels to train on (`result`) and the clean ones (`True`). Give that file's path to train on its labels."""

    name = "nrch-h5"
    rules = ("file",)

    def find(self, path: Path, held: Container | None) -> LayoutFile | None:
        if held is None:
            return None
        if {"result", "True"} <= held.entries.keys():
            return self._of_noise(path, held)
        wanted = {f"{part} {role}": (f"{key}{part}",) for part in PARTS for role, key in ROLES.items()}
        found = self.pick(path, held, wanted)
        if found is not None and (beside := sorted(file.name for file in _noise_files(path))):
            found.notes.append(f"noisy labels beside it, to be given in its place: {', '.join(beside)}")
        return found

    def _of_noise(self, path: Path, held: Container) -> LayoutFile:
        named = NOISE.fullmatch(path.name)
        noise = {"result": held.entries["result"], "clean": held.entries["True"]}
        bases = [(file, found) for file in _places(path.parent) if (found := self._base(file)) is not None]
        same = [(file, found) for file, found in bases if named and _alike(named["set"], file.stem)]
        if len(same or bases) != 1:
            listed = ", ".join(file.name for file, _ in same or bases) or "none"
            missing = (
                f"the one feature file (MIRFlickr.h5, ...) that these labels belong to; beside it there are: {listed}"
            )
            return LayoutFile(self, path, path.stem, noise, [missing])
        base = (same or bases)[0][1]
        name = f"{base.name}-noise_{named['rate']}" if named else path.stem
        return LayoutFile(self, path, name, base.entries, base.missing, extra=noise)

    def _base(self, path: Path) -> LayoutFile | None:
        held = open_container(path)
        return None if held is None or {"result", "True"} <= held.entries.keys() else self.find(path, held)

    def read(self, found: LayoutFile, split: Split, transposed: bool | None) -> Reading:
        if split.numbers:
            raise UserError(f"split is '{split.rule}' with numbers; the rows are split in the file, so it takes none")
        parts = {name: {role: found.entries[f"{name} {role}"] for role in ROLES} for name in PARTS}
        label = {name: matrix(part, "label", transposed) for name, part in parts.items()}
        places = _places_of(parts["Train"], parts["DataBase"], transposed)
        notes = [_said(len(label["Train"]), len(label["DataBase"]), places)]
        kept = PARTS if places is None else ("Query", "DataBase")
        rows = dict(zip(kept, consecutive([len(label[name]) for name in kept]), strict=True))
        train = rows["Train"] if places is None else rows["DataBase"][places]
        stacked = [parts[name] for name in kept]
        rest: dict[str, Any] = {
            "label": np.concatenate([label[name] for name in kept]),
            "splits": {"query": rows["Query"], "retrieval": rows["DataBase"], "train": train},
        }
        if found.extra:
            rest["observed_label"], said = _observed(found, label["Train"], rest["label"], train)
            notes.append(said)
        held = {role: features(stacked, role, transposed) for role in ("image", "text")}
        return Reading(found, held, rest, notes)


def _said(train: int, database: int, places: np.ndarray | None) -> str:
    if places is None:
        why = "not every training row is in the database with the same image, text and labels"
        return f"{why}, so the {train:,} training rows are kept apart from the {database:,} rows that are searched"
    return (
        f"the {train:,} training rows are stored twice: each was found in the database ({database:,}) and joined to it"
    )


def _places_of(train: Part, database: Part, transposed: bool | None) -> np.ndarray | None:
    """For each training row its own place in the database, by its content; None where one has no place there."""
    widths = [
        {role: entry.shape[0 if turn[role] else -1] for role, entry in part.items()}
        for part, turn in ((part, turned(part, transposed)) for part in (train, database))
    ]
    if widths[0] != widths[1]:
        raise UserError(
            f"training rows are {widths[0]} wide and the database {widths[1]}; all rows must have one shape"
        )
    places = defaultdict(list)
    for place, digest in enumerate(_digests(database, transposed)):
        places[digest].append(place)
    for same in places.values():
        same.reverse()  # rows that are all alike are given their places in order
    own = [places[digest].pop() if places.get(digest) else -1 for digest in _digests(train, transposed)]
    return None if -1 in own else np.array(own, np.int64)


def _digests(part: Part, transposed: bool | None) -> Iterator[bytes]:
    """A digest of each row's image, text and labels; floats are compared as the numbers they are."""
    lazies = [features([part], role, transposed) for role in ("image", "text")]
    label = matrix(part, "label", transposed)
    streams = [_rows(lazy) for lazy in lazies]
    for row in label:
        digest = hashlib.blake2b(row.tobytes(), digest_size=16)
        for stream in streams:
            digest.update((next(stream).astype(np.float64) + 0.0).tobytes())  # + 0.0: there is one zero, not two
        yield digest.digest()


def _rows(lazy: Lazy) -> Iterator[np.ndarray]:
    for block in lazy.blocks():
        yield from block


def _observed(found: LayoutFile, clean: np.ndarray, label: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, str]:
    """Labels of all rows with those of the noise file in the training rows, and a sentence about them."""
    noise: dict[str, MatArray] = found.extra
    same_way = noise["result"].shape == noise["clean"].shape
    stored = {role: multi_hot(entry.read(), entry.key) for role, entry in noise.items()}
    stored = {role: array if array.shape == clean.shape else array.T for role, array in stored.items()}
    if not same_way or not np.array_equal(stored["clean"], clean):
        other = f"'True' is {noise['clean'].shape} and LabTrain {clean.shape}"
        raise UserError(
            f"the noise file's clean labels are not those of the training rows ({other}); it is of another set"
        )
    observed = label.copy()
    observed[train] = stored["result"]
    wrong = int((stored["result"] != clean).any(axis=1).sum())
    return (
        observed,
        f"training sees the labels of {found.path.name}: {wrong:,} of {len(clean):,} rows differ from the truth",
    )


def _places(folder: Path) -> list[Path]:
    """HDF5 files where the reference code keeps them: beside the noise, above it, or in `data` beside its folder."""
    above = folder.absolute().parent
    for place in (folder, above, above / "data"):
        files = [file for file in sorted(place.glob("*.h5")) if not NOISE.fullmatch(file.name)]
        if files:
            return files
    return []


def _noise_files(path: Path) -> list[Path]:
    files = [(file, NOISE.fullmatch(file.name)) for file in path.parent.glob("*-noise_*.h5")]
    return [file for file, match in files if match and _alike(match["set"], path.stem)]


def _alike(one: str, other: str) -> bool:
    """Whether names mean one set: `mirflickr25k` and `MIRFlickr`, `nus-wide-tc21` and `NUS-WIDE`."""
    a, b = (re.sub("[^a-z0-9]", "", name.lower()) for name in (one, other))
    return a.startswith(b) or b.startswith(a)
