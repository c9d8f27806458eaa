"""The neutral data file: an .npz without pickle, or a folder of .npy with the same names, which is memory-mapped.

Arrays: one per modality under its own name; `label`; `train`, `query`, `retrieval`, optionally `validation`; optionally
`observed_label`, `label_<modality>`, `observed_label_<modality>`, `label_names`, `caption`, `path`, `group`.
"""

from __future__ import annotations

import difflib
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.data.checks import RESERVED, SPLITS
from crossbit.data.hashes import map_file
from crossbit.data.ids import numbered
from crossbit.data.types import PairedData
from crossbit.data.written import write_arrays
from crossbit.errors import UserError
from crossbit.storage.files import refuse_existing
from crossbit.storage.lazy import Lazy
from crossbit.storage.npz import read_array, read_npz
from crossbit.storage.picture_files import PictureFiles

_LOG = logging.getLogger(__name__)
HINT = "give a table with pictures beside it (docs/your-own-collection.md), an .npz or a folder of .npy (docs/data.md)"
SIDE = 224  # pixels of a picture that was a file
_OBSERVED, _TRUTH = "observed_label_", "label_"


def load_neutral(path: str | os.PathLike[str]) -> PairedData:
    """Read a neutral `.npz` into memory, or memory-map a folder of `.npy`; the data is called after it.

    Where there is a `caption` and no `text`, the captions are the text.

    Raises:
        UserError: the file is missing, damaged, not a data file, holds pickled objects, or its arrays do not fit.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.savez(folder / "toy.npz", image=np.eye(3), caption=["a", "b", "c"], label=[0, 1, 1],
    ...          train=[1, 2], query=[0], retrieval=[1, 2])
    >>> data = load_neutral(folder / "toy.npz")
    >>> data.name, list(data.modalities)
    ('toy', ['image', 'text'])
    """
    source = Path(path)
    arrays = _read_folder(source) if source.is_dir() else read_npz(source, "a data file", HINT)
    if "caption" in arrays:
        arrays.setdefault("text", arrays["caption"])
    try:
        return _assemble(source.resolve().name.removesuffix(".npz"), arrays)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error


def save_neutral(data: PairedData, path: str | os.PathLike[str]) -> None:
    """Write data whole or not at all: `.npz` gives a file, no ending a folder of `.npy`. Names, notes and a
    collection's other columns are not kept; pictures in files become 224 by 224 pixels.

    Raises:
        UserError: something is there already, it cannot be written, or the path has another ending.

    >>> import tempfile
    >>> data = PairedData("toy", {"image": np.eye(3)}, np.array([0, 1, 1]),
    ...                   {"train": [1, 2], "query": [0], "retrieval": [1, 2]})
    >>> target = Path(tempfile.mkdtemp()) / "toy.npz"
    >>> save_neutral(data, target)
    >>> load_neutral(target).query["image"]
    array([[1., 0., 0.]])
    """
    target = refuse_existing(path)
    if target.suffix not in ("", ".npz"):
        raise UserError(
            f"{target} ends in '{target.suffix}'; end it in .npz for a file, or give no ending for a folder"
        )
    try:
        write_arrays(target, _arrays(data))
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error


def _assemble(name: str, arrays: dict[str, np.ndarray]) -> PairedData:
    def named(prefix: str) -> dict[str, np.ndarray]:
        return {key.removeprefix(prefix): array for key, array in arrays.items() if _prefix(key) == prefix}

    for key in arrays:
        if not key.isidentifier():
            raise UserError(f"an array is called {key!r}; its name must be a plain word, such as 'image'")
        if near := _misspelt(key, arrays):
            raise UserError(f"an array is called '{key}'; did you mean '{near}'? a modality needs a name less like it")
    notes: tuple[str, ...] = ()
    labels = {key: array for key, array in arrays.items() if key in ("label", "observed_label") or _prefix(key)}
    if "label_names" not in arrays and (found := numbered(labels)) is not None:
        anew, names, said = found
        arrays, notes = arrays | anew | {"label_names": np.array(names)}, (said,)
        _LOG.info("%s: %s", name, said)
    return PairedData(
        name,
        notes=notes,
        modalities={key: array for key, array in arrays.items() if key not in RESERVED and not _prefix(key)},
        label=arrays.get("label"),
        splits={key: arrays[key] for key in SPLITS if key in arrays},
        observed_label=arrays.get("observed_label"),
        modality_label=named(_TRUTH),
        modality_observed_label=named(_OBSERVED),
        label_names=arrays.get("label_names"),  # type: ignore[arg-type]  # made a list there
        caption=arrays.get("caption"),
        path=arrays.get("path"),
        group=arrays.get("group"),
    )


def _arrays(data: PairedData) -> dict[str, Lazy | np.ndarray]:
    single = {key: getattr(data, key) for key in ("label", "observed_label", "label_names", "caption", "path", "group")}
    arrays: dict[str, Any] = {
        **data.modalities,
        **data.splits,
        **{key: value for key, value in single.items() if value is not None},
    }
    arrays |= {_TRUTH + modality: array for modality, array in data.modality_label.items()}
    arrays |= {_OBSERVED + modality: array for modality, array in data.modality_observed_label.items()}
    return {key: x.lazy(SIDE) if isinstance(x, PictureFiles) else np.asarray(x) for key, x in arrays.items()}


def _misspelt(key: str, arrays: dict[str, np.ndarray]) -> str | None:
    """The array's name that `key` nearly is and that is not there; captions and paths may well be modalities."""
    missing = RESERVED - {"caption", "path"} - arrays.keys()
    near = difflib.get_close_matches(key, sorted(missing), n=1, cutoff=0.7)
    return near[0] if near and key not in RESERVED and not _prefix(key) else None


def _prefix(key: str) -> str:
    if key in RESERVED:
        return ""
    return next((prefix for prefix in (_OBSERVED, _TRUTH) if key.startswith(prefix)), "")


def _read_folder(path: Path) -> dict[str, np.ndarray]:
    files = sorted(path.glob("*.npy"))
    if not files:
        raise UserError(f"{path} is a folder without .npy arrays; {HINT}")
    return {file.stem: read_array(str(file), lambda file=file: _map(file), file) for file in files}  # type: ignore[misc]


def _map(file: Path) -> np.ndarray:
    """Map features and strings; read what is small and may be empty, as an empty file cannot be mapped."""
    with open(file, "rb") as opened:
        np.lib.format.read_magic(opened)  # else numpy takes any other file for a pickle
    return np.load(file, allow_pickle=False) if file.stem in SPLITS else map_file(file)
