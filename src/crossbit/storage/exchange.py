"""A folder changed as a whole: a copy beside it is changed, and takes its place in one step."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from crossbit.errors import UserError
from crossbit.storage.files import beside, leftovers, link_or_copy, sync_folder, synced

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


@contextmanager
def alone_with(folder: Path) -> Iterator[None]:
    """Hold a folder that is to be made or changed, after clearing up what a killed process left beside it.

    Raises:
        UserError: another process holds it.
    """
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process changes {folder}; wait until it ends") from None
    try:
        _clear_up(folder)
        yield
    finally:
        lock.release()


@contextmanager
def copy_beside(folder: Path, *linked: str) -> Iterator[Path]:
    """Give a copy of a folder, to be changed and put in its place by `take_place`; what is left of it is removed.

    A process that is killed leaves the folder as it was, and its copy to the next `alone_with`.

    Args:
        folder: held by `alone_with`.
        linked: endings of files that are never changed in place: they are linked where the disk can.
    """
    copy = beside(folder)
    try:
        shutil.copytree(
            folder, copy, copy_function=lambda a, b: (link_or_copy if a.endswith(linked) else shutil.copy2)(a, b)
        )
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def take_place(copy: Path, folder: Path) -> None:
    """Put a copy in the place of a folder; the folder is where the copy was.

    On Linux this is one step. Elsewhere there are two, and what is killed between them is mended by the next
    `alone_with`.
    """
    synced(copy)
    if not _exchanged(copy, folder):
        old = beside(_moved(folder))
        os.rename(folder, old)
        os.rename(copy, folder)
        os.rename(old, copy)
    sync_folder(folder.parent)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system could exchange two names in one step."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    return rename is not None and rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


def _moved(folder: Path) -> Path:
    """The name from which that of a folder is made while it is moved away: unlike that of one half made, and such as
    nobody gives a folder beside it, as `x.old` may be a copy of x that is being changed itself."""
    return folder.with_name(f"{folder.name}.moved-away")


def _clear_up(folder: Path) -> None:
    """Put back what was moved away by a process that was killed before it put another in its place; remove the rest."""
    for left in leftovers(_moved(folder), folders=True):
        if not folder.exists():
            os.rename(left, folder)
        shutil.rmtree(left, ignore_errors=True)
    for left in leftovers(folder, folders=True):
        shutil.rmtree(left, ignore_errors=True)
