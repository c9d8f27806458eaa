"""One bench at a time in a folder: a lock on a file, which the system lets go of however the process ends."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from crossbit.errors import UserError

NAME = ".bench.lock"  # hidden: a folder that holds nothing else counts as empty
HOLDER = ".bench.holder"  # apart from the lock, which others may not read on every system


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Hold a bench's folder, which is made if it is not there.

    Raises:
        UserError: another bench works there; its host and process are told.

    >>> import tempfile
    >>> with alone_in(Path(tempfile.mkdtemp()) / "out"):
    ...     pass
    """
    out.mkdir(parents=True, exist_ok=True)
    with _held(out):
        (out / HOLDER).write_text(f"host {socket.gethostname()}, pid {os.getpid()}", encoding="utf-8")
        yield


def refuse_busy(out: Path) -> None:
    """Refuse a folder that a bench works in, before time is spent on it; nothing is written.

    Raises:
        UserError: as `alone_in`.
    """
    if (out / NAME).is_file():
        with _held(out):
            pass


@contextmanager
def _held(out: Path) -> Iterator[None]:
    lock = FileLock(out / NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        right = "wait until it ends, or give --out another folder"
        raise UserError(f"another bench works in {out} ({_holder(out)}); {right}") from None
    try:
        yield
    finally:
        lock.release()


def _holder(out: Path) -> str:
    try:
        return (out / HOLDER).read_text(encoding="utf-8")
    except OSError:  # it took the folder this very moment
        return "its process is not told"
