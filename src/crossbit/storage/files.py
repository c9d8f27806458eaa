"""Files that are whole or not there: written beside their place and renamed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossbit.errors import UserError
from crossbit.storage.kinds import damage_of, what_is


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it is flushed to disk and renamed to `path`, else removed.

    Raises:
        UserError: the folder cannot be made or written.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "x.txt"
    >>> with writing(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    target = Path(path)
    temporary = beside(target)
    if target.is_dir():
        raise UserError(f"cannot write {target}: it is a folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)  # made now, so that a place that cannot be written is told before the work
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As `writing`, for a new folder: give an empty one, whose files become those of `path`.

    Raises:
        UserError: `path` exists already, or cannot be written.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "x"
    >>> with writing_folder(target) as temporary:
    ...     _ = (temporary / "y.txt").write_text("whole")
    >>> [file.name for file in target.iterdir()]
    ['y.txt']
    """
    target = refuse_existing(path)
    temporary = beside(target)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error
    try:
        yield temporary
        synced(temporary)
        os.rename(temporary, refuse_existing(target))
        sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def synced(folder: Path) -> None:
    """Make a folder and all below it survive a power cut."""
    for below, _, names in os.walk(folder):
        for name in names:
            _sync(Path(below, name))
        sync_folder(Path(below))


def link_or_copy(source: str, target: str) -> str:
    """Give a file a second name, or copy it where the disk knows none; returns the target, as `copytree` asks."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def leftovers(path: str | os.PathLike[str], *, folders: bool = False) -> list[Path]:
    """The temporary files that `writing(path)` left beside it when the process was killed; or folders, as
    `writing_folder(path)` leaves them.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in (".x.0123abcd.txt", ".x.swp", ".y.0123abcd.txt", "x.txt"):
    ...     (folder / name).touch()
    >>> [left.name for left in leftovers(folder / "x.txt")]
    ['.x.0123abcd.txt']
    """
    target = Path(path)
    name = re.compile(rf"\.{re.escape(target.stem)}\.[0-9a-f]{{8}}{re.escape(target.suffix)}")  # as `beside` makes it
    held = target.parent.iterdir() if target.parent.is_dir() else []
    return [each for each in held if name.fullmatch(each.name) and (each.is_dir() if folders else each.is_file())]


def beside(target: Path) -> Path:
    """A hidden path in the same folder that nobody else uses."""
    return target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")


def _sync(file: Path) -> None:
    with open(file, "rb+") as written:
        os.fsync(written.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut, where the system can open and flush a folder."""
    with contextlib.suppress(OSError):  # Windows opens none, some network folders flush none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def refuse_existing(path: str | os.PathLike[str]) -> Path:
    """Return `path` if nothing is there, else raise UserError: nothing is ever overwritten silently."""
    target = Path(path)
    if target.exists() or target.is_symlink():
        raise UserError(f"{target} exists already; choose another path or remove it first")
    return target


def refuse_file(path: str | os.PathLike[str], right: str) -> None:
    """Raise UserError where a file is in the place of a folder: what it is, and what is `right`."""
    if os.path.isfile(path):
        raise UserError(f"{path} is no folder but a file ({what_is(Path(path))}); {right}")


def check_new(path: str | os.PathLike[str]) -> Path:
    """Return `path` if nothing is there and something could be; asked before long work, so that it is not done in vain.

    Raises:
        UserError: something is there already, or the nearest folder above it cannot be written.
    """
    target = refuse_existing(path)
    above = next(folder for folder in target.absolute().parents if folder.exists() or folder.is_symlink())
    try:
        tempfile.TemporaryFile(dir=above).close()
    except OSError as error:
        why = "nothing can be made there" if isinstance(error, FileNotFoundError) else error.strerror or error  # /proc
        raise UserError(f"cannot write {target}: {above}: {why}; choose another path") from error
    return target


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with writing(path) as temporary:
        text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))  # a file's name may hold what is no UTF-8


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; UserError where it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path}, which must be JSON, {damage_of(Path(path), error)}") from error
