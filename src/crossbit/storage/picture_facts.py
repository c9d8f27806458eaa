"""What is found out by looking once into a picture file: a hash of its bytes, its size, how it looks, or what is wrong.

Facts of sound files are kept in the user's cache, so that a collection is looked through once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from crossbit.storage.file_cache import FileCache
from crossbit.storage.look_ahead import MANY, looking_ahead
from crossbit.storage.pictures import HINT, LIMIT_NAME, PictureError, look
from crossbit.storage.threads import over_files

BLOCK = 1000  # files between two writes to the cache
VERSION = 4  # of what is kept
_CONTENT, _SIZE = 16, 8  # bytes


@dataclass(frozen=True)
class PictureFacts:
    """What one file holds.

    Attributes:
        content: a hash of the file's bytes; empty where it cannot be opened.
        height, width: as `read_picture` gives it; 0 where it cannot be read.
        look: how it looks, as `crossbit.storage.pictures.look` says; empty where it cannot be read.
        problem: why it cannot be read, in a word or two: "missing", "damaged", ...; empty where it can.
        said: the same as the end of a sentence: "is damaged: ...".
    """

    content: str
    height: int = 0
    width: int = 0
    look: bytes = b""
    problem: str = ""
    said: str = ""


def facts_of(
    paths: Iterable[str | os.PathLike[str]], *, progress: Callable[[int, int], Any] = lambda done, of: None
) -> list[PictureFacts]:
    """The facts of picture files, in their order; nothing is raised for a file that cannot be read.

    `progress` is called with how many are done, of how many.
    """
    asked = [os.fspath(path) for path in paths]
    if len(asked) < MANY or not _new(asked[-BLOCK:]):
        return look_into(asked, progress)
    with looking_ahead(asked):
        return look_into(asked, progress)


def look_into(paths: Sequence[str], progress: Callable[[int, int], Any] = lambda done, of: None) -> list[PictureFacts]:
    """As `facts_of`, in this process alone."""
    with _cache() as cache:
        found: list[PictureFacts] = []
        for start in range(0, len(paths), BLOCK):
            found += _facts_of_some(paths[start : start + BLOCK], cache)
            progress(len(found), len(paths))
        return found


def _cache() -> FileCache:
    return FileCache(f"pictures {VERSION} {os.environ.get(LIMIT_NAME, '')}")


def _new(paths: Sequence[str]) -> bool:
    """Whether most of these files have not been looked into."""
    with _cache() as cache:
        return len(cache.get(cache.stamps(paths))) < len(paths) / 2


def _facts_of_some(paths: Sequence[str], cache: FileCache) -> list[PictureFacts]:
    stamps = cache.stamps(paths)  # before they are read: what changes meanwhile is looked at again
    kept = {path: _unpacked(value) for path, value in cache.get(stamps).items()}
    new = [path for path in dict.fromkeys(paths) if path not in kept]
    looked = dict(zip(new, over_files(facts_of_file, new), strict=True))
    cache.put(stamps, {path: _packed(facts) for path, facts in looked.items() if not facts.problem})
    return [kept.get(path) or looked[path] for path in paths]


def facts_of_file(path: str) -> PictureFacts:
    """Look into one file."""
    try:
        with open(path, "rb", buffering=0) as file:
            held = file.read()
    except OSError as error:
        problem = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
        return PictureFacts(
            "", problem=problem, said="does not exist" if problem == "missing" else f"cannot be read: {error.strerror}"
        )
    content = hashlib.blake2b(held, digest_size=_CONTENT).hexdigest()
    try:
        height, width, seen = look(held)
    except PictureError as error:
        return PictureFacts(content, problem=error.kind, said=_said(error))
    return PictureFacts(content, height, width, seen)


def _said(error: PictureError) -> str:
    """What is wrong, without the name and without advice for one who asked for this one file."""
    return str(error).removeprefix("the picture ").removesuffix(f"; {HINT}")


def _packed(facts: PictureFacts) -> bytes:
    size = facts.height.to_bytes(_SIZE // 2) + facts.width.to_bytes(_SIZE // 2)
    return bytes.fromhex(facts.content) + size + facts.look


def _unpacked(value: bytes) -> PictureFacts:
    content, size, seen = value[:_CONTENT], value[_CONTENT : _CONTENT + _SIZE], value[_CONTENT + _SIZE :]
    half = _SIZE // 2
    return PictureFacts(content.hex(), int.from_bytes(size[:half]), int.from_bytes(size[half:]), seen)
