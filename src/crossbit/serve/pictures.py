"""The pictures of items, found by what the index says and never by a path of a request; and small ones of them."""

from __future__ import annotations

import io
import logging
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.runs.folder import RunFolder
from crossbit.search.journal import ADDED
from crossbit.serve.replies import Refused
from crossbit.storage.picture_files import PictureFiles
from crossbit.storage.pictures import read_picture

ADDED_PATH = re.compile(rf"{ADDED}/[0-9a-f]{{32}}\.[a-z]+")
SHOWN = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}  # by how a file begins
ENDINGS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp"}
LARGEST = 30_000_000  # bytes of a file that is sent as it is

log = logging.getLogger("crossbit.serve")


class Read(NamedTuple):
    """The data as they were read, and the row of each path; no data where they could not be read."""

    data: PairedData | None
    rows: dict[str, int]

    def row(self, item: Mapping[str, Any]) -> int | None:
        """Of the picture of an item; None where there is none."""
        if self.data is None or not _pictures_of(self.data):
            return None
        path = item.get("path")
        row = item.get("row") if path is None else self.rows.get(str(path))
        return row if isinstance(row, int) and 0 <= row < self.data.n else None


class Pictures:
    """The pictures of a run's data, which are read in the background, and of what was added."""

    def __init__(self, run: RunFolder, can_show: bool) -> None:
        self.run, self.can_show = run, can_show
        self._lock, self._has_grown = threading.Lock(), False
        self._now = self._begin()
        self._next: Future[Read] | None = None

    def has_grown(self) -> None:
        """Tell that the index has changed: what is not known is looked for in the data as they are by then."""
        self._has_grown = True

    def is_there(self, item: Mapping[str, Any]) -> bool:
        """Whether an item may have a picture; what the data hold is known once they are read."""
        path = item.get("path")
        if ADDED_PATH.fullmatch(str(path)):
            return True
        if not self.can_show or (path is None and item.get("row") is None):
            return False
        read = self._read_for(item)
        return not read.done() or read.result().row(item) is not None

    def of(self, item: Mapping[str, Any], seconds: float) -> str | np.ndarray:
        """The file, or uint8 (h, w, 3), of an item's picture.

        Raises:
            Refused: 404 where there is none, 503 while the data are read.
        """
        path = item.get("path")
        if ADDED_PATH.fullmatch(str(path)):
            return str(self.run.path / str(path))
        try:
            read = self._read_for(item).result(timeout=seconds)
        except TimeoutError:
            raise Refused(503, "the pictures are still being read; try again", {"Retry-After": "2"}) from None
        row = read.row(item)
        if read.data is None or row is None:
            raise Refused(404, "this item has no picture")
        rows: Any = read.data[_pictures_of(read.data)]
        return str(rows[row]) if isinstance(rows, PictureFiles) else np.asarray(rows[row])

    def _read_for(self, item: Mapping[str, Any]) -> Future[Read]:
        """The data that hold an item: those that were read, or those that are read anew as it is not among them."""
        with self._lock:
            if self._next is not None and self._next.done():
                if self._next.result().data is not None:  # what cannot be read takes nobody's place
                    self._now = self._next
                self._next = None
            if not self._now.done() or self._now.result().row(item) is not None:
                return self._now
            if self._next is None and self._has_grown:
                self._has_grown, self._next = False, self._begin()
            return self._next or self._now

    def _begin(self) -> Future[Read]:
        done: Future[Read] = Future()
        threading.Thread(target=lambda: done.set_result(self._read()), daemon=True, name="crossbit-data").start()
        return done

    def _read(self) -> Read:
        try:
            data = _data_of(self.run) if self.can_show else None
            paths = [] if data is None or data.path is None else data.path.tolist()
            return Read(data, {path: row for row, path in enumerate(paths)})
        except UserError as error:
            log.warning("no pictures are shown: %s", error)
        except Exception:
            log.exception("no pictures are shown: the run's data could not be read")
        return Read(None, {})


class Thumbnails:
    """Small pictures by their items' ids, the last used of them in memory.

    Args:
        limit: bytes of all that are kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0
        self._kept: OrderedDict[Any, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, key: Any, make: Callable[[], bytes]) -> bytes:
        """The picture under a key, made where it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self.held += len(made) - len(self._kept.pop(key, b""))
            self._kept[key] = made
            while self.held > self.limit:
                self.held -= len(self._kept.popitem(last=False)[1])
        return made


def written(path: str) -> tuple[str, int]:
    """A file and when it was written, so that another file of its name is another picture.

    Raises:
        Refused: 404 where it is gone.
    """
    try:
        return path, os.stat(path).st_mtime_ns
    except OSError:
        raise Refused(404, "the file of this picture is gone") from None


def whole(picture: str | np.ndarray) -> tuple[bytes, str]:
    """A picture and what it is: the bytes of its file, where every browser can show them."""
    if isinstance(picture, str):
        try:
            with open(picture, "rb") as file:
                content = file.read(LARGEST + 1)
        except OSError:
            raise Refused(404, "the file of this picture is gone") from None
        kind = next((kind for start, kind in SHOWN.items() if content.startswith(start)), None)
        if kind and len(content) <= LARGEST:
            return content, kind
    held = io.BytesIO()
    Image.fromarray(read_picture(picture)).save(held, "PNG")
    return held.getvalue(), "image/png"


def _data_of(run: RunFolder) -> PairedData:
    """The run's data: as they are now where items are found by their paths, else those that it was trained on."""
    data = run.load(str(run.config["data"]))
    return data if data.path is not None else run.data(data)


def _pictures_of(data: PairedData) -> str:
    """The modality that holds pictures; empty where none does."""
    return next((name for name in data.modalities if data.kind(name) == "pictures"), "")
