"""What was found out about files, kept in the user's cache for as long as their times and sizes stay."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from crossbit.storage.cache import cache_folder

SETTLED = 2_000_000_000  # nanoseconds: a file written less than this ago may be written again within one tick of mtime
ASKED = 500  # paths in one question: SQLite takes 999
_TABLE = "CREATE TABLE IF NOT EXISTS found (path BLOB PRIMARY KEY, stamp TEXT, value BLOB)"


class FileCache:
    """Values by path, in one SQLite file of the cache folder; a cache that cannot be used is empty, and no error.

    Args:
        kind: what the values are and depend on, but for the file itself; a value of another kind is not given.
        name: of the SQLite file; it keeps one value for each path.

    >>> import tempfile; file = os.path.join(tempfile.mkdtemp(), "a"); _ = open(file, "w").write("x")
    >>> os.utime(file, (0, 0))
    >>> with FileCache("doctest") as cache:
    ...     stamps = cache.stamps([file])
    ...     cache.put(stamps, {file: b"found"})
    ...     before = cache.get(stamps)
    """

    def __init__(self, kind: str, name: str = "files.sqlite") -> None:
        self.kind, self.name = kind, name

    def __enter__(self) -> Self:
        try:
            cache_folder().mkdir(parents=True, exist_ok=True)
            self.base = sqlite3.connect(cache_folder() / self.name, timeout=10)
            self.base.execute(_TABLE)
        except (OSError, sqlite3.Error):
            self.base = sqlite3.connect(":memory:")
            self.base.execute(_TABLE)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.base.close()

    def stamps(self, paths: Sequence[str]) -> dict[str, str]:
        """By path all that must stay for a value to hold: the kind, times and size; without files that are not there,
        or were written just now."""
        found = {}
        for path in paths:
            with contextlib.suppress(OSError, ValueError):
                held = os.stat(path)
                if time.time_ns() - max(held.st_mtime_ns, held.st_ctime_ns) > SETTLED:
                    found[path] = f"{self.kind} {held.st_mtime_ns} {held.st_ctime_ns} {held.st_size}"
        return found

    def get(self, stamps: Mapping[str, str]) -> dict[str, bytes]:
        """The values that are kept for these stamps, by path."""
        keys = {_key(path): path for path in stamps}
        asked, found = list(keys), dict[str, bytes]()
        for start in range(0, len(asked), ASKED):
            some = asked[start : start + ASKED]
            question = f"SELECT path, stamp, value FROM found WHERE path IN ({','.join('?' * len(some))})"
            with contextlib.suppress(sqlite3.Error):
                rows = self.base.execute(question, some)
                found |= {keys[key]: value for key, stamp, value in rows if stamp == stamps[keys[key]]}
        return found

    def __len__(self) -> int:
        """How many values are kept, of any kind."""
        with contextlib.suppress(sqlite3.Error):
            return int(self.base.execute("SELECT count(*) FROM found").fetchone()[0])
        return 0

    def put(self, stamps: Mapping[str, str], values: Mapping[str, bytes]) -> None:
        """Keep the values of files that have a stamp."""
        rows = [(_key(path), stamps[path], value) for path, value in values.items() if path in stamps]
        with contextlib.suppress(sqlite3.Error), self.base:
            self.base.executemany("INSERT OR REPLACE INTO found VALUES (?, ?, ?)", rows)


def _key(path: str) -> bytes:
    return os.fsencode(os.path.abspath(path))
