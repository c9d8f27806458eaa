"""Where a collection keeps what: one table and pictures, folders that are classes, folders that are splits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from crossbit.data.collection.hub import is_dataset, read_dataset
from crossbit.data.collection.skipped import Skipped
from crossbit.data.collection.tables import READERS, Table, read_table, together
from crossbit.errors import UserError
from crossbit.storage.pictures import has_picture_name
from crossbit.storage.walk import LeftOut, files_below

# What a split's folder or cell may be called, and what it is here.
SPLITS = {
    "train": "train",
    "training": "train",
    "test": "query",
    "testing": "query",
    "query": "query",
    "queries": "query",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "database": "database",
    "retrieval": "database",
    "gallery": "database",
}
PICTURE, LABEL, SPLIT = "file_name", "label", "split"  # columns of a folder that is read as a table


def is_place(path: Path) -> bool:
    """Whether a path is a table, or a folder with a table or pictures; reads names alone."""
    if path.is_file():
        return path.suffix.lower() in READERS
    if not path.is_dir() or any(path.glob("*.npy")):
        return False
    return (
        is_dataset(path)
        or bool(_tables(path))
        or any(
            has_picture_name(name) or Path(name).suffix.lower() in READERS
            for _, _, names in os.walk(path)
            for name in names
        )
    )


def has_words(folder: Path) -> bool:
    """Whether a folder of pictures has a table in it, or folders whose names are labels."""
    return bool(_tables(folder) or _folders(folder))


def read_place(path: Path) -> Table:
    """The rows of a collection, as its table or its folders tell them.

    Raises:
        UserError: several tables, none of any use, or a table that cannot be read.
    """
    if path.is_file():
        return read_table(path)
    if (path / "history.jsonl").is_file() and (path / "config.json").is_file():
        raise UserError(f"{path} is a run folder, not data; for example: crossbit evaluate {path}")
    if is_dataset(path):
        return read_dataset(path)
    if (file := _table_in(path)) is not None:
        return read_table(file)
    folders = _folders(path)
    if folders and all(folder.name.casefold() in SPLITS for folder in folders):
        return together([_as_split(path, folder) for folder in folders], path, "folders that are splits")
    return _classes(path)


def _tables(folder: Path) -> list[Path]:
    held = (Path(each.path) for each in os.scandir(folder) if each.is_file() and not each.name.startswith("."))
    return sorted(file for file in held if file.suffix.lower() in READERS)


def _table_in(folder: Path) -> Path | None:
    """The one table of a folder; of several that which is called metadata, as Hugging Face has it."""
    found = _tables(folder)
    named = [file for file in found if file.stem.casefold() == "metadata"]
    if len(found) > 1 and len(named) != 1:
        names = ", ".join(file.name for file in found)
        raise UserError(f"{folder} holds several tables: {names}; give the path of one, such as {found[0]}")
    return next(iter(named or found), None)


def _folders(folder: Path) -> list[Path]:
    held = (Path(each.path) for each in os.scandir(folder) if each.is_dir() and not each.name.startswith("."))
    return sorted(held)


def _as_split(root: Path, folder: Path) -> Table:
    """The rows of a split's folder, their pictures named from the folder above it."""
    part = read_place(folder)
    names = next((part.columns[name] for name in part.columns if name.casefold() == PICTURE), None)
    if names is None:
        raise UserError(f"{part.path} has no column '{PICTURE}', which tables in folders that are splits need")
    place = os.path.relpath(part.folder, root)
    part.columns[PICTURE] = [None if name is None else os.path.join(place, str(name)) for name in names]
    part.columns[SPLIT] = [folder.name] * len(part)
    part.places = [f"{folder.name}, {place}" if place else "" for place in part.places]
    return part


def _classes(folder: Path) -> Table:
    """A row for each file below a folder, whose labels are the names of the folders on the way to it."""
    left_out = LeftOut()
    files = [file.relative_to(folder) for file in files_below(folder, left_out)]
    labels = [list(file.parts[:-1]) for file in files]
    if not any(labels):
        other = [file.name for file in files if not has_picture_name(file) and not file.name.startswith(".")]
        known = ", ".join(READERS)
        beside = f" (as a table one of {known} is read, and not {other[0]})" if other else ""
        raise UserError(
            f"{folder} holds pictures without captions or labels; put a table beside them with the columns "
            f"file_name and caption{beside}, or the pictures into a folder for each class"
        )
    skipped = [
        Skipped("", name, reason, f"is left out: {reason}") for reason, all_ in left_out.names.items() for name in all_
    ]
    strangers = {str(file) for file in files if len(file.parts) == 1 and not has_picture_name(file)}
    said = f"is neither a picture nor a table that can be read ({', '.join(READERS)})"
    skipped += [Skipped("", name, "no table", said) for name in sorted(strangers)]
    kept = [(str(file), names) for file, names in zip(files, labels, strict=True) if str(file) not in strangers]
    columns: dict[str, list[Any]] = {PICTURE: [name for name, _ in kept], LABEL: [names for _, names in kept]}
    return Table(folder, folder, columns, [""] * len(kept), skipped, "folders that are classes")
