"""Paths of index files: a name is the name of a file here, whatever DuckDB would read into it."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from crossbit.errors import UserError
from crossbit.storage.kinds import what_is

SPECIAL = "?" if os.sep == "\\" else "?\\"  # DuckDB takes these for options and folders, anywhere in a path
LONGEST = 255 - len(".wal")  # bytes of a file name, with room for the ending of DuckDB's log
MAGIC = b"DUCK"  # of every DuckDB file, from its ninth byte


def check_path(path: str | os.PathLike[str]) -> Path:
    """Return `path` if DuckDB can keep a file there.

    Raises:
        UserError: a name that is too long or is not text, or holds a character that DuckDB reads as its own syntax.

    >>> check_path("sqlite:1")
    PosixPath('sqlite:1')
    """
    given = os.fspath(path)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in given):
        raise UserError(f"{given!r} cannot be the path of an index: it must be text without control characters")
    whole = os.path.abspath(given)
    for character in SPECIAL:
        if character in whole:
            raise UserError(f"an index cannot be kept at {given}: DuckDB misreads '{character}' in a path; rename it")
    if len(os.path.basename(whole).encode()) > LONGEST:
        raise UserError(f"the file name {os.path.basename(whole)[:40]}... is too long; {LONGEST} bytes are the most")
    try:
        Path(whole).exists()
    except OSError as error:  # a folder's name is too long
        raise UserError(f"cannot open {given[:80]}: {error.strerror}") from error
    return Path(path)


def check_kind(path: Path) -> None:
    """UserError where a file is not a DuckDB file; it says what it is instead.

    Reading a file ends the locks that this process holds on it, so do not ask of one that is open here.
    """
    try:
        with open(path, "rb") as file:
            if file.read(12)[8:] == MAGIC:
                return
        raise UserError(f"{path} is not an index: it is not a DuckDB file but {what_is(path)}")
    except OSError as error:
        raise UserError(f"cannot open {path}: {error.strerror or error}") from error
