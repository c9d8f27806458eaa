"""Pictures that stand in the cells of a Parquet file: bytes, or bytes and a path as Hugging Face writes them.

They are unpacked into the user's cache, once, and are files from there on. A file is called by what it holds, so it is
the same one when the table grows.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from crossbit.storage.cache import cache_folder
from crossbit.storage.pictures import PictureError, picture_size

Row = tuple[Any, ...]


def with_files(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows as they come, with the path of a file in the place of each picture.

    A column holds pictures if its first value is one.
    """
    holds: dict[int, bool] = {}
    for row in rows:
        for at, value in enumerate(row):
            if at not in holds and value is not None:
                holds[at] = _is_picture(value)
        yield tuple(_file(value) if holds.get(at) else value for at, value in enumerate(row))


def _is_picture(value: Any) -> bool:
    if isinstance(value, dict):
        return "bytes" in value and value.keys() <= {"bytes", "path"}
    try:
        return isinstance(value, bytes) and picture_size(value) > (0, 0)
    except PictureError:
        return False


def _file(value: Any) -> str | None:
    """Where a picture of a cell is; as Hugging Face has it, one without bytes is at its path."""
    held = value if isinstance(value, dict) else {"bytes": value}
    content, path = held.get("bytes"), held.get("path") or ""
    if content is None:
        return path or None
    name = hashlib.blake2b(content, digest_size=16).hexdigest() + os.path.splitext(path)[1].lower()
    target = cache_folder() / "cells" / name[:2] / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{name}.{os.getpid()}")
        beside.write_bytes(content)
        os.replace(beside, target)
    return str(target)
