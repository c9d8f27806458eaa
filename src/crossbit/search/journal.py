"""What came through a service, a line a change, beside the index that it belongs to.

`RUN/added/changes.jsonl` belongs to `RUN/index`. A change is in it, and on the disk, before it is acknowledged; whoever
searches takes over what the index does not hold yet. Changes are numbered; `added.json` in the index says which is the
last that it holds. `crossbit.search.changing.fold` writes many into the index at once. Then their lines are shortened:
what is there is kept without its embeddings, so that an index that is made anew holds it, too, and what was removed is
forgotten.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from crossbit.errors import UserError
from crossbit.storage.files import read_json, sync_folder, write_json, writing

ADDED = "added"  # the folder beside an index, of this file and of the pictures that came through the service
FILE, LOCK, FOLDED = "changes.jsonl", ".added.lock", "added.json"


class Busy(UserError):
    """Another process writes changes."""


@dataclass(frozen=True)
class Encoded:
    """An item to be added.

    Attributes:
        embeddings: by modality, float32 (width,), as `Model.ordering` gives them; of every modality of the model, or
            of none where they are to be made again.
        item: what the index remembers of it.
        digest: of the model that encoded it.
    """

    embeddings: Mapping[str, np.ndarray]
    item: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class Entry:
    """A change: its number, the id of an item, and what is added under it, in place of what is there; None removes."""

    n: int
    id: int
    new: Encoded | None


class Journal:
    """The changes of one index.

    Args:
        index: its folder.

    >>> import tempfile
    >>> journal = Journal(Path(tempfile.mkdtemp(), "index"))
    >>> new = Encoded({"image": np.ones(2, np.float32)}, {"caption": "a fox"}, "digest")
    >>> with journal.alone():
    ...     journal.append([Entry(1, 7, new), Entry(2, 9, new), Entry(3, 9, None)])
    >>> [(entry.n, entry.id) for entry in journal.after(1)], journal.live()
    ([(2, 9), (3, 9)], {7})
    """

    def __init__(self, index: Path) -> None:
        self.folder = index.with_name(ADDED)
        self.file = self.folder / FILE
        self._offset, self._line, self._last = 0, b"", 0  # what was read: up to where, its last line, and its number

    @contextmanager
    def alone(self, seconds: float = 10) -> Iterator[None]:
        """Hold it, to be changed.

        Raises:
            Busy: another process holds it for so long.
        """
        lock = FileLock(self.folder.with_name(LOCK))
        try:
            lock.acquire(timeout=seconds)
        except Timeout:
            raise Busy(f"another process writes {self.file}; wait until it ends") from None
        try:
            yield
        finally:
            lock.release()

    def after(self, n: int) -> list[Entry]:
        """The changes after one, in their order; a line that was cut off is none.

        Raises:
            UserError: a line that is damaged.
        """
        try:
            with open(self.file, "rb") as file:
                start = self._offset if n >= self._last and self._is_as_read(file) else 0
                file.seek(start)
                content = file.read()
        except FileNotFoundError:
            return []
        lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        entries = [self._entry(line) for line in lines]
        if entries or not start:
            self._line, self._last = (lines[-1], entries[-1].n) if entries else (b"", 0)
        self._offset = start + sum(map(len, lines))
        return [entry for entry in entries if entry.n > n]

    def _is_as_read(self, file: Any) -> bool:
        """Whether the last line that was read is where it was: others may have shortened the file, or put back a copy,
        and a new file may have the number of an old one."""
        file.seek(self._offset - len(self._line))
        return bool(self._line) and file.read(len(self._line)) == self._line

    def append(self, entries: Iterable[Entry]) -> None:
        """Write changes; they are on the disk afterwards. `alone` is held."""
        is_new = not self.file.exists()
        self.folder.mkdir(exist_ok=True)
        with open(self.file, "ab+") as file:
            file.truncate(_whole(file))
            file.write(b"".join(_line(entry) for entry in entries))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self.folder)
            sync_folder(self.folder.parent)

    def shorten(self, n: int) -> None:
        """Write anew what is there by the changes up to one, without embeddings; later changes stay.

        Raises:
            Busy: see `alone`.
        """
        if not self.file.exists():
            return
        with self.alone():
            entries = self.after(0)
            held = {entry.id: entry for entry in entries if entry.n <= n}
            kept = [Entry(each.n, each.id, Encoded({}, each.new.item, "")) for each in held.values() if each.new]
            kept.sort(key=lambda entry: entry.n)
            with writing(self.file) as temporary:
                temporary.write_bytes(b"".join(map(_line, [*kept, *(entry for entry in entries if entry.n > n)])))

    def live(self) -> set[int]:
        """The ids of items that came through a service and are there."""
        return {id_ for id_, new in {entry.id: entry.new for entry in self.after(0)}.items() if new}

    def _entry(self, line: bytes) -> Entry:
        try:
            held = json.loads(line)
            new = None
            if "item" in held:
                embeddings = {name: _vector(text) for name, text in held["embeddings"].items()}
                new = Encoded(embeddings, dict(held["item"]), str(held["model"]))
            return Entry(int(held["n"]), int(held["id"]), new)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{self.file} has a damaged line, {line[:40]!r}; remove it, or put back a copy") from None


def folded(index: Path) -> int:
    """The number of the last change that an index holds; 0 where it holds none."""
    try:
        return int(read_json(index / FOLDED)["n"])
    except UserError:
        return 0


def write_folded(index: Path, n: int) -> None:
    """Remember the last change that an index holds."""
    write_json(index / FOLDED, {"n": n})


def _line(entry: Entry) -> bytes:
    held: dict[str, Any] = {"n": entry.n, "id": str(entry.id)}
    if entry.new is not None:
        vectors = {name: _text(vector) for name, vector in entry.new.embeddings.items()}
        held |= {"item": dict(entry.new.item), "model": entry.new.digest, "embeddings": vectors}
    return json.dumps(held).encode() + b"\n"


def _text(vector: np.ndarray) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _vector(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4")


def _whole(file: Any) -> int:
    """Where the last whole line ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65_536)
        file.seek(start)
        if (at := file.read(end - start).rfind(b"\n")) >= 0:
            return start + at + 1
        end = start
    return 0
