"""The log of decisions of a run: acts are added at its end, each on the disk before it counts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossbit.audit.acts import UNDO, Act, parse_acts
from crossbit.errors import UserError
from crossbit.storage.files import sync_folder
from crossbit.storage.lines import mark_of

SECONDS = 10.0  # to wait for another process that writes


class DecisionLog:
    """A file of decisions that only grows. Several processes may hold it: each reads what others have added.

    A line that a killed process left unfinished is removed when the file is read: nobody was told that it counts.

    Attributes:
        path: the file; it need not be there.
        acts: that hold, as last read.
        size: bytes, as last read; each act makes it larger.

    >>> import tempfile
    >>> log = DecisionLog(Path(tempfile.mkdtemp()) / "decisions.jsonl")
    >>> log.acts, log.has_grown()
    ([], False)
    """

    def __init__(self, path: Path, note: Callable[[str], Any] = lambda line: None) -> None:
        self.path = path
        self.acts: list[Act] = []
        self._note, self.size = note, 0
        self._lock = FileLock(path.with_name(f".{path.stem}.lock"))
        if path.exists():
            with self.alone():
                pass

    def has_grown(self) -> bool:
        """Whether another process has written since it was read."""
        return self._there() != self.size

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the file, read anew if it has grown, while nobody else writes.

        Raises:
            UserError: another process holds it and does not let go; it cannot be read or written.
        """
        try:
            with self._lock.acquire(timeout=SECONDS):
                if self.has_grown():
                    self._read()
                yield
        except Timeout:
            raise UserError(f"another process holds {self.path}; wait until it has written, and try again") from None
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from error

    def append(self, act: Act | None) -> None:
        """Add an act, or with None the undoing of the last, and return when it is on the disk; it is for the holder,
        see `alone`."""
        line, new = json.dumps(UNDO if act is None else act.to_dict()).encode() + b"\n", self.size == 0
        try:
            with open(self.path, "ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # such as a full disk: what was half written must not be before the next line
            self._cut(self.size)
            raise
        if new:
            sync_folder(self.path.parent)
        self.size += len(line)
        self.acts = self.acts[:-1] if act is None else [*self.acts, act]

    def content(self) -> bytes:
        """The whole lines of the file, as they are; nothing where there is no decision."""
        return _whole(self.path.read_bytes() if self.path.exists() else b"")

    def _there(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _read(self) -> None:
        data = self.path.read_bytes() if self.path.exists() else b""
        whole = _whole(data)
        mark, encoding = mark_of(data)
        if encoding != "utf-8":
            raise UserError(f"{self.path} is {encoding.upper()}; save it as UTF-8, or move it away to begin anew")
        try:
            text = whole[len(mark) :].decode()
        except UnicodeDecodeError as error:
            where = len(mark) + error.start
            raise UserError(f"{self.path} is not UTF-8 (byte {where}); move it away to begin anew") from error
        acts = parse_acts(text, self.path)  # before the file is touched: one that cannot be read stays as it is
        if len(whole) < len(data):
            self._cut(len(whole))
            self._note(f"the last line of {self.path} was torn and is removed: a program was killed while it wrote")
        self.acts, self.size = acts, len(whole)

    def _cut(self, size: int) -> None:
        if self.path.exists() and self._there() > size:
            with open(self.path, "r+b") as file:
                file.truncate(size)
                os.fsync(file.fileno())


def _whole(data: bytes) -> bytes:
    return data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1]  # an editor may have saved it with other breaks
