"""An open index file: its connection, the cursors on it, and what becomes of both in a forked process.

A forked child has its parent's connections without the threads and locks behind them: a change there is lost, and
closing one may harm the parent's file. So a child lets go of them, unclosed, and refuses to use them.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

import duckdb

from crossbit.errors import UserError
from crossbit.index.duckfile import Encoder, busy, open_file, trouble
from crossbit.index.filters import define_functions
from crossbit.index.paths import check_path

FORKED = "open it in the process that uses it, or start processes by multiprocessing's spawn"
PAUSE = 0.005  # seconds between two looks whether the last cursor is closed


class Handle:
    """The connection to one index file; `attach` opens it.

    Attributes:
        path: the file.
        read_only: whether changes are refused.
        writing: held around a change from its first look to its end; taken before `lock`.
        lock: held for moments, around what must be seen or become true at once.
        bits: the code length; 0 before the file is open.
        encoder: what made the codes, where that is known.
        awaited: no file is there yet, and `attach` will make it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        read_only: bool,
        encoder: Encoder | None = None,
        opener: Callable[..., Any] = open_file,
    ) -> None:
        self.path = check_path(path)
        self.read_only = read_only
        self.encoder = encoder
        self._opener = opener
        self.writing, self.lock = threading.RLock(), threading.RLock()
        self.bits, self.place, self.gone = 0, "", ""
        self.awaited = not read_only and not self.path.exists()
        self.cursors: set[duckdb.DuckDBPyConnection] = set()
        self._root: duckdb.DuckDBPyConnection | None = None  # runs nothing itself, so it is free to give cursors
        self._connection: duckdb.DuckDBPyConnection | None = None
        _handles.add(self)

    def attach(self, bits: int | None) -> None:
        """Open the file, or make it."""
        with _opening:
            place = os.path.realpath(self.path)
            if place in _inherited:
                raise UserError(f"{self.path} was open when this process was forked from another; {FORKED}")
            here = [handle for handle in _handles if handle.place == place]
            if any(not handle.read_only for handle in here):  # DuckDB would let one process open twice
                raise busy(self.path)
            opened = self._opener(self.path, bits, self.read_only, self.encoder, is_open=bool(here))
            self._root, self.bits, self.encoder = opened
            define_functions(self._root)
            self._connection = self._root.cursor()
            self.place, self.awaited = place, False

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """What a change runs on, while `writing` is held; UserError where there is none."""
        self.check_open()
        assert self._connection is not None
        return self._connection

    def check_open(self) -> duckdb.DuckDBPyConnection:
        """What gives cursors; UserError where there is none."""
        if self._root is None:
            raise UserError(self.gone or f"there is no index at {self.path} yet; the first add makes it")
        return self._root

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own for reading, without the lock, while others read and write.

        Do not wait for the lock inside: `close` holds it while it waits for the cursors.
        """
        with self.lock:
            cursor = self.check_open().cursor()
            self.cursors.add(cursor)
        try:
            with trouble(self.path, "read"):
                yield cursor
        except duckdb.InterruptException as error:
            if not self.gone:
                raise
            raise UserError(self.gone) from error  # another thread has closed it
        finally:
            cursor.close()
            self.cursors.discard(cursor)

    def close(self) -> None:
        """Give up the file, and end what other threads read from it."""
        with self.writing, self.lock, _opening:
            connections, self._connection, self._root = (self._connection, self._root), None, None
            self.awaited, self.gone = False, self.gone or f"the index {self.path} is closed; open it again"
            while self.cursors:
                for cursor in list(self.cursors):
                    with suppress(duckdb.Error):  # closed meanwhile
                        cursor.interrupt()
                time.sleep(PAUSE)
            for connection in filter(None, connections):
                connection.close()
            self.place = ""

    def _forked(self) -> None:
        """In a forked child: let go of the connection, unclosed, and never use it again."""
        self.writing, self.lock = threading.RLock(), threading.RLock()  # another thread may have held them
        if self._root is not None:
            for connection in (self._root, self._connection, *self.cursors):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))  # nothing destroys it, not even the exit
            _inherited.add(self.place)
            self.gone = f"the index {self.path} was opened before this process was forked; {FORKED}"
            self._root, self._connection, self.cursors, self.place = None, None, set(), ""


_handles: WeakSet[Handle] = WeakSet()  # of this process
_inherited: set[str] = set()  # real paths of what was open when this process was forked
_opening = threading.Lock()


def _in_child() -> None:
    global _opening
    _opening = threading.Lock()
    for handle in list(_handles):
        handle._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
