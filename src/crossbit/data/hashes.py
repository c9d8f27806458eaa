"""Hashes of arrays over every value; those of mapped files are kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

import numpy as np

from crossbit.errors import UserError
from crossbit.storage.cache import cache_folder
from crossbit.storage.files import read_json, write_json
from crossbit.storage.lazy import of_array
from crossbit.storage.picture_facts import facts_of
from crossbit.storage.picture_files import PictureFiles

SETTLED = 2_000_000_000  # nanoseconds: a file written less than this ago may be written again within one tick of mtime


def hash_of(array: np.ndarray | PictureFiles) -> str:
    """A hash of the array's type, shape and all values, read in blocks; of picture files, one of what the files hold.

    That of a mapped file, or of a picture's, is kept for as long as the file's times and size stay.

    >>> hash_of(np.zeros(3)) == hash_of(np.zeros(3)), hash_of(np.zeros(3)) == hash_of(np.zeros(3, np.float32))
    (True, False)
    """
    if isinstance(array, PictureFiles):
        contents = [facts.content for facts in facts_of(array)]
        return hashlib.blake2b("\n".join(contents).encode(), digest_size=16).hexdigest()
    stamp = getattr(array, "stamp", None)  # a part or a copy of a mapped file has none
    if stamp is None or not isinstance(array, np.memmap):
        return _computed(array)
    file = os.path.abspath(str(array.filename))
    kept = cache_folder() / "hashes" / f"{hashlib.blake2b(os.fsencode(file), digest_size=16).hexdigest()}.json"
    with contextlib.suppress(UserError, KeyError, TypeError):  # not there yet, or damaged
        held = read_json(kept)
        if held["stamp"] == stamp:
            return str(held["hash"])
    computed = _computed(array)
    if time.time_ns() - stamp[0] > SETTLED:
        with contextlib.suppress(UserError, OSError):  # a cache that cannot be written is none
            write_json(kept, {"file": file, "stamp": stamp, "hash": computed})
    return computed


def map_file(path: Path) -> np.ndarray:
    """An .npy file mapped to be read; the array remembers the file's times and size, by which its hash is kept.

    The time of the last write alone would not do: what unpacks an archive sets it to that of the packed file.
    """
    stat = path.stat()
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(array, np.memmap):
        array.stamp = [stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size]  # type: ignore[attr-defined]
    return array


def _computed(array: np.ndarray) -> str:
    digest = hashlib.blake2b(f"{array.dtype.newbyteorder('=').str} {array.shape}".encode(), digest_size=16)
    for block in of_array(array).blocks():
        digest.update(block.tobytes())
    return digest.hexdigest()
