"""Data sets that Hugging Face's `datasets` saved on disk, read by that package where it is installed."""

from __future__ import annotations

import hashlib
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from crossbit.data.collection.tables import Table, rows_named, together
from crossbit.errors import UserError
from crossbit.storage.cache import cache_folder


def is_dataset(folder: Path) -> bool:
    """Whether `datasets` has saved this folder, one data set or one for each split."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def read_dataset(folder: Path) -> Table:
    """The rows of a saved data set. Pictures inside it are written into the user's cache, once.

    Raises:
        UserError: `datasets` is not installed, or cannot read the folder.
    """
    try:
        datasets: Any = import_module("datasets")
    except ImportError as error:
        right = "to read it, type: pip install datasets"
        raise UserError(f"{folder} is a data set that Hugging Face's datasets saved; {right}") from error
    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # of any kind, from a package that may not be imported here
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{folder} is a data set that datasets cannot read: {why}") from error
    splits = loaded if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    return together(
        [_part(datasets, part, name) for name, part in splits.items()], folder, "a data set of Hugging Face"
    )


def _part(datasets: Any, part: Any, split: str) -> Table:
    """One split as a table."""
    own = hashlib.blake2b(f"{part._fingerprint} {split}".encode(), digest_size=16).hexdigest()
    place, columns = cache_folder() / "datasets" / own, dict[str, list[Any]]()
    for name, feature in part.features.items():
        if isinstance(feature, datasets.Image):
            pictures = part.select_columns([name]).cast_column(name, datasets.Image(decode=False))
            columns[name] = [_file(row[name], place / f"{number:07d}") for number, row in enumerate(pictures)]
        else:
            columns[name] = [_named(datasets, feature, value) for value in part[name]]
    if split:
        columns.setdefault("split", [split] * len(part))
    where = rows_named(len(part))
    return Table(place, place, columns, [f"{split}, {row}" if split else row for row in where])


def _file(held: dict[str, Any] | None, target: Path) -> str | None:
    """The picture's own file, or one with the bytes that the data set holds of it."""
    if held is None or held.get("bytes") is None:
        return None if held is None else held.get("path")
    target = target.with_suffix(os.path.splitext(held.get("path") or "")[1])
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}")
        beside.write_bytes(held["bytes"])
        os.replace(beside, target)
    return str(target)


def _named(datasets: Any, feature: Any, value: Any) -> Any:
    """A value as it is, but classes by their names."""
    inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) else None)
    if isinstance(value, list):
        return [_named(datasets, inner, one) for one in value]
    return feature.int2str(value) if isinstance(feature, datasets.ClassLabel) and value is not None else value
