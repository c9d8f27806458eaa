"""Features that take long to compute, kept by content in the user's cache: append-only, shared by all runs.

A folder for each network holds segments. A process that computes something new begins a segment of its own and only
ever appends to it: first the vectors, then their keys. So a kill at any moment costs the rows of one batch at most, and
processes do not get in one another's way.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossbit.errors import UserError
from crossbit.storage.cache import cache_folder
from crossbit.storage.files import read_json, write_json
from crossbit.storage.squares import kept_squares, squares_file

KEY = 16  # bytes of a row's key
RECORD = np.dtype([("key", f"V{KEY}"), ("check", "<u4")])


class FeatureCache:
    """Vectors float32 (width,) by key. A cache that cannot be read or written is empty, and no error.

    Args:
        name: of the network; its folder is called so.
        about: what is written into the folder for people, such as the features' name.
    """

    def __init__(self, name: str, about: str) -> None:
        self.folder, self.about = features_folder() / name, about
        self.kept: dict[bytes, NDArray[np.float32]] = {}
        self.segment = self.folder / secrets.token_hex(8)
        self.lock = threading.Lock()
        for keys in sorted(self.folder.glob("*.keys")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, UserError):  # damaged: it is left alone
                self._read(keys)

    def _read(self, keys: Path) -> None:
        """Take over a segment: of each vector only where it lies, as the file is mapped."""
        records = np.frombuffer(keys.read_bytes()[: keys.stat().st_size // RECORD.itemsize * RECORD.itemsize], RECORD)
        values = keys.with_suffix(".values")
        width = int(read_json(self.folder / "about.json")["width"])
        whole = min(len(records), values.stat().st_size // (4 * width))
        if whole:
            vectors = np.asarray(np.memmap(values, "<f4", "r", shape=(whole, width)))
            found = zip(records["key"][:whole], records["check"][:whole], vectors, strict=True)
            self.kept |= {bytes(key): vector for key, check, vector in found if zlib.crc32(vector) == check}

    def get(self, key: bytes) -> NDArray[np.float32] | None:
        """The vector of that key, where it is kept."""
        return self.kept.get(key)

    def put(self, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Keep vectors (n, width) under their keys."""
        vectors = np.ascontiguousarray(vectors, "<f4")
        with self.lock:
            self.kept |= dict(zip(keys, vectors, strict=True))
            try:
                self._append(keys, vectors)
            except (OSError, UserError):  # no space, or not writable; what was half written is left alone
                self.segment = self.folder / secrets.token_hex(8)

    def _append(self, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        about = self.folder / "about.json"
        if not about.exists():
            write_json(about, {"features": self.about, "width": vectors.shape[1]})
        records = np.array([(key, zlib.crc32(vector)) for key, vector in zip(keys, vectors, strict=True)], RECORD)
        for suffix, content in ((".values", vectors), (".keys", records)):
            with open(self.segment.with_suffix(suffix), "ab") as file:
                file.write(content.tobytes())


@dataclass(frozen=True)
class KeptFeatures:
    """What is kept of one network.

    Attributes:
        features: their name, as written in `--features`.
        rows: how many vectors.
        size: bytes on disk.
        folder: where.
    """

    features: str
    rows: int
    size: int
    folder: Path


def features_folder() -> Path:
    """Where features are kept."""
    return cache_folder() / "features"


def kept_features() -> list[KeptFeatures]:
    """What is kept of every network, by name; and the small pictures that built-in features are made of."""
    found = []
    for about in sorted(features_folder().glob("*/about.json")):
        files = [file for file in about.parent.iterdir() if file.is_file()]
        rows = sum(file.stat().st_size // RECORD.itemsize for file in files if file.suffix == ".keys")
        name = about.parent.name
        with contextlib.suppress(UserError, KeyError, TypeError):
            name = str(read_json(about)["features"])
        found.append(KeptFeatures(name, rows, sum(file.stat().st_size for file in files), about.parent))
    found.sort(key=lambda kept: kept.features)
    small = kept_squares()
    return (
        [*found, KeptFeatures("pictures, made small", small.rows, small.size, squares_file())] if small.rows else found
    )


def clear_features() -> None:
    """Remove all that `kept_features` names; a process that goes on computing keeps what it has.

    Raises:
        UserError: it cannot be removed.
    """
    for path, remove in ((features_folder(), shutil.rmtree), (squares_file(), os.unlink)):
        try:
            if path.exists():
                remove(path)
        except OSError as error:
            raise UserError(f"cannot remove {error.filename}: {error.strerror}") from error
