"""One bench at a time in a folder: a lock on a file, which the system lets go of however the process ends."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from crossbit.errors import UserError

NAME = ".bench.lock"  # hidden: a folder that holds nothing else counts as empty


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
    with open(out / NAME, "a+", encoding="utf-8") as file:
        _take(file, fcntl.LOCK_EX, out)
        file.truncate(0)
        file.write(f"host {socket.gethostname()}, pid {os.getpid()}")
        file.flush()
        yield


def refuse_busy(out: Path) -> None:
    """Refuse a folder that a bench works in, before time is spent on it; nothing is written.

    Raises:
        UserError: as `alone_in`.
    """
    if (out / NAME).is_file():
        with open(out / NAME, encoding="utf-8") as file:
            _take(file, fcntl.LOCK_SH, out)


def _take(file: IO[str], kind: int, out: Path) -> None:
    """Lock the file until it is closed."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        who = file.read().strip() or "its process is not told"
        right = "wait until it ends, or give --out another folder"
        raise UserError(f"another bench works in {out} ({who}); {right}") from None
