"""Paired data: the type, its files, the built-in sets, splits and noise."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

from crossbit.data.described import describe
from crossbit.data.layouts import LayoutFile, find_layout
from crossbit.data.neutral import load_neutral, save_neutral
from crossbit.data.types import PairedData, Rows
from crossbit.errors import UserError, unknown

__all__ = [
    "LayoutFile",
    "PairedData",
    "Rows",
    "builtins",
    "describe",
    "find_data",
    "load_data",
    "load_neutral",
    "save_neutral",
]

# The built-in sets: a module of that name here, - for _, whose `load` gives the data; it is imported when it is used.
BUILTINS = {
    "glyphs": "Pictures of characters and their Unicode names, from fonts and names that are installed anyway.",
    "glyphs-hard": "The glyphs with captions that do not name their labels, so that no modality gives the labels away.",
}
_LOG = logging.getLogger(__name__)


def load_data(name_or_path: str | Path, *, split: str | None = None, transposed: bool | None = None) -> PairedData:
    """Data by the name of a built-in set, or by a path: a neutral `.npz` or folder of `.npy`, or a public layout.

    What was decided in reading a public layout (its split rule, a mapping of labels, ...) is in the data's `notes`,
    and is logged.

    Args:
        name_or_path: such as "glyphs", "mine.npz", "mirflickr25k/", "MIRFlickr.h5"; docs/layouts.md lists the layouts.
        split: for a public layout, which rows are queries: RULE[:QUERIES[:TRAIN]], such as "ucch", "nrch" or
            "nrch:2000:10000"; None takes the layout's default.
        transposed: for a public layout, how an array is meant whose sides alone do not tell.

    Raises:
        UserError: none of these; the file cannot be read (see `load_neutral`), or lacks something; or `split` or
            `transposed` was given for data that is split already.

    >>> load_data("glyph")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    crossbit.errors.UserError: unknown data 'glyph'; did you mean 'glyphs'? known: ...; or give the path of ...
    """
    name = str(name_or_path)
    found = find_data(name_or_path)
    if found is not None:
        reading = found.read(split, transposed)
        notes = (*found.notes, *reading.notes)
        for note in notes:
            _LOG.info("%s: %s", found.name, note)
        return reading.data().replace(notes=notes, source=_absolute(name_or_path))
    if split is not None or transposed is not None:
        raise UserError(f"{name} is split already; 'split' and 'transposed' are for public layouts (docs/layouts.md)")
    if name not in BUILTINS:
        return load_neutral(name).replace(source=_absolute(name_or_path))
    data: PairedData = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").load()
    return data.replace(source=name)


def _absolute(path: str | Path) -> str:
    return str(Path(path).resolve())


def find_data(name_or_path: str | Path) -> LayoutFile | None:
    """The public layout that a path is in; None for a built-in name and for what only `load_neutral` may know.

    Cheap: names and headers are read, no arrays.

    Raises:
        UserError: a name that is neither built in nor a path; or as `crossbit.data.layouts.find_layout`.

    >>> find_data("glyphs") is None
    True
    """
    name = str(name_or_path)
    if name in BUILTINS:
        return None
    if not Path(name).exists() and Path(name).name == name and not Path(name).suffix:
        raise UserError(f"{unknown('data', name, BUILTINS)}; or give the path of an .npz or a folder")
    return find_layout(name)


def builtins() -> dict[str, str]:
    """The built-in sets: name to one line about each. Nothing is loaded.

    >>> "glyphs" in builtins()
    True
    """
    return dict(BUILTINS)
