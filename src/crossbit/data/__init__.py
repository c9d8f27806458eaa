"""Paired data: the type, its files, the built-in sets, splits and noise."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crossbit.data.collection import Columns, look_through
from crossbit.data.collection.places import is_place
from crossbit.data.described import describe
from crossbit.data.layouts import LayoutFile, find_layout
from crossbit.data.neutral import load_neutral, save_neutral
from crossbit.data.types import PairedData, Rows
from crossbit.errors import UserError, unknown

__all__ = [
    "Columns",
    "LayoutFile",
    "PairedData",
    "Rows",
    "builtins",
    "describe",
    "find_data",
    "is_collection",
    "load_data",
    "load_neutral",
    "look_through",
    "save_neutral",
]

# The built-in sets: a module of that name here, - for _, whose `load` gives the data; it is imported when it is used.
BUILTINS = {
    "glyphs": "Pictures of characters and their Unicode names, from fonts and names that are installed anyway.",
    "glyphs-hard": "The glyphs with captions that do not name their labels, so that no modality gives the labels away.",
}
_LOG = logging.getLogger(__name__)


def load_data(
    name_or_path: str | Path,
    *,
    split: str | None = None,
    transposed: bool | None = None,
    picture_column: str | None = None,
    caption_column: str | None = None,
    label_column: str | None = None,
    label_separator: str | None = None,
    progress: Callable[[int, int], Any] = lambda done, of: None,
) -> PairedData:
    """Data by the name of a built-in set, or by a path: a neutral `.npz` or folder of `.npy`, a public layout, or an
    own collection (a table and pictures, or folders that are classes).

    What was decided in reading a public layout or a collection (its split, what is left out, ...) is in the data's
    `notes`, and is logged.

    Args:
        name_or_path: such as "glyphs", "mine.npz", "photos/", "photos/table.csv", "mirflickr25k/", "MIRFlickr.h5";
            docs/your-own-collection.md and docs/layouts.md say what is read.
        split: for a public layout, which rows are queries: RULE[:QUERIES[:TRAIN]], such as "ucch", "nrch" or
            "nrch:2000:10000"; None takes the layout's default.
        transposed: for a public layout, how an array is meant whose sides alone do not tell.
        picture_column, caption_column, label_column: for a collection, the columns of file names, of captions and of
            labels, where their names do not tell; several with commas between, "none" for none.
        label_separator: for a collection, the characters that stand between several labels in one cell, such as "&";
            "none" where each cell is one label.
        progress: for a collection, called with how many pictures were looked at, of how many.

    Raises:
        UserError: none of these; the file cannot be read (see `load_neutral`), or lacks something; or an option was
            given that these data do not have.

    >>> load_data("glyph")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    crossbit.errors.UserError: unknown data 'glyph'; did you mean 'glyphs'? known: ...; or give the path of ...
    """
    name = str(name_or_path)
    columns = Columns(picture_column, caption_column, label_column, label_separator)
    found = find_data(name_or_path)
    if found is None and is_collection(name):
        _refuse(name, "an own collection", split=split, transposed=transposed)
        collected = look_through(name, columns, progress=progress).data()
        for note in collected.notes:
            _LOG.info("%s: %s", collected.name, note)
        return collected.replace(source=_of_collection(Path(name)))
    _refuse(name, "no own collection", **columns.asked)
    if found is not None:
        reading = found.read(split, transposed)
        notes = (*found.notes, *reading.notes)
        for note in notes:
            _LOG.info("%s: %s", found.name, note)
        return reading.data().replace(notes=notes, source=_absolute(name_or_path))
    _refuse(name, "split already", split=split, transposed=transposed)
    if name not in BUILTINS:
        return load_neutral(name).replace(source=_absolute(name_or_path))
    data: PairedData = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").load()
    return data.replace(source=name)


def is_collection(name_or_path: str | Path) -> bool:
    """Whether it is an own collection: a table, or a folder with pictures or a table; reads names alone.

    >>> is_collection("glyphs")
    False
    """
    return str(name_or_path) not in BUILTINS and is_place(Path(name_or_path))


def _refuse(name: str, what: str, **options: object) -> None:
    """UserError where an option was given that these data do not have."""
    if given := [option for option, value in options.items() if value is not None]:
        of = "public layouts (docs/layouts.md)" if given[0] in ("split", "transposed") else "own collections"
        raise UserError(f"{name} is {what}; '{given[0]}' is for {of}")


def _of_collection(path: Path) -> str:
    """As `_absolute`, but for a table that is a link: its pictures are found from the link's folder."""
    return _absolute(path) if path.is_dir() else str(path.parent.resolve() / path.name)


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
        raise UserError(f"{unknown('data', name, BUILTINS)}; or give the path of an .npz, a table or a folder")
    return find_layout(name)


def builtins() -> dict[str, str]:
    """The built-in sets: name to one line about each. Nothing is loaded.

    >>> "glyphs" in builtins()
    True
    """
    return dict(BUILTINS)
