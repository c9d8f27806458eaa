"""One process at a time works in a folder: a lock on a file, which the system lets go of however the process ends."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from crossbit.errors import UserError


@contextmanager
def alone_in(out: Path, work: str) -> Iterator[None]:
    """Hold a folder, which is made if it is not there.

    What is written for it is hidden, and removed at the end; so is a folder that was made and holds nothing then.

    Args:
        out: the folder.
        work: what is done in it, in one word; other work may go on there.

    Raises:
        UserError: the same work is done there; host and process are named.

    >>> import tempfile
    >>> with alone_in(Path(tempfile.mkdtemp()) / "out", "bench"):
    ...     pass
    """
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with _held(out, work):
            _holder(out, work).write_text(f"host {socket.gethostname()}, pid {os.getpid()}", encoding="utf-8")
            try:
                yield
            finally:
                _holder(out, work).unlink(missing_ok=True)
                _lock(out, work).unlink(missing_ok=True)
    finally:
        if made:
            with suppress(OSError):  # it holds something
                out.rmdir()


def refuse_busy(out: Path, work: str) -> None:
    """Refuse a folder that is worked in, before time is spent on it; nothing is written.

    Raises:
        UserError: as `alone_in`.
    """
    if _lock(out, work).is_file():
        with _held(out, work):
            pass


@contextmanager
def _held(out: Path, work: str) -> Iterator[None]:
    lock = FileLock(_lock(out, work))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        right = "wait until it ends, or give --out another folder"
        raise UserError(f"another {work} works in {out} ({_said(out, work)}); {right}") from None
    try:
        yield
    finally:
        lock.release()


def _lock(out: Path, work: str) -> Path:
    return out / f".{work}.lock"  # hidden: a folder that holds nothing else counts as empty


def _holder(out: Path, work: str) -> Path:
    return out / f".{work}.holder"  # apart from the lock, which others may not read on every system


def _said(out: Path, work: str) -> str:
    try:
        return _holder(out, work).read_text(encoding="utf-8")
    except OSError:  # it took the folder this very moment
        return "its process is not told"
