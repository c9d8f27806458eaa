"""Files that are whole or not there: written beside their place and renamed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossbit.errors import UserError


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
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
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
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; UserError where it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not a JSON file: {error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
