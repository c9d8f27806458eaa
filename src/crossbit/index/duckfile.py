"""The file behind a local index: made whole or not at all, and opened only when it is what it should be.

Tables: `crossbit_index(format, bits)`, one row, and `items(id, _word0, _word1, ..., the items' columns)`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from crossbit.bits import check_bits
from crossbit.errors import UserError
from crossbit.index.columns import PREFIX
from crossbit.index.paths import check_kind
from crossbit.storage.files import sync_folder

FORMAT = 1
# Nothing beyond this file can be reached through its connection, and no statement can change that.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,  # nothing is ever fetched or loaded
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "pandas_analyze_sample": 1,  # our columns hold one type each: the first value tells it
    "max_expression_depth": 100,  # deeper filters would overflow whatever walks their tree
    "lock_configuration": True,
}


def open_file(
    path: Path, bits: int | None, read_only: bool, *, is_open: bool = False
) -> tuple[duckdb.DuckDBPyConnection, int]:
    """Connect to an index file, making it first where there is none; returns the connection and the code length.

    Args:
        path: the file.
        bits: the code length; None for that of a file that is there.
        read_only: many may read.
        is_open: this process has it open already.

    Raises:
        UserError: see `crossbit.index.open_index`.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; an index is one file, for example {path / 'index.duckdb'}")
    wanted = None if bits is None else check_bits(bits)
    if not path.exists():
        if read_only or wanted is None:
            raise UserError(f"there is no index at {path}; to make one, open it to write and add codes")
        _create(path, wanted)
    elif not is_open:
        check_kind(path)
    connection = _connect(path, read_only)
    try:
        stored = _stored_bits(connection, path)
        if wanted not in (None, stored):
            raise UserError(f"{path} holds codes of {stored} bits, not {wanted}; use {stored}, or another file")
    except BaseException:
        connection.close()
        raise
    return connection, stored


def word_columns(bits: int) -> list[str]:
    """Names of the columns that hold the 64-bit words of a code.

    >>> word_columns(72)
    ['_word0', '_word1']
    """
    return [f"{PREFIX}{word}" for word in range(-(-bits // 64))]


def _create(path: Path, bits: int) -> None:
    """Build an empty index beside `path` and move it there, unless somebody else has made one meanwhile."""
    log = path.with_name(path.name + ".wal")
    if log.exists():
        raise UserError(f"{log} is left of an index that is gone; put {path.name} back beside it, or remove it")
    words = ", ".join(f"{name} UBIGINT NOT NULL" for name in word_columns(bits))
    try:
        with trouble(path, "make"), tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
            new = Path(folder) / "new"
            with duckdb.connect(os.path.abspath(new), config=CONFIG) as connection:
                connection.execute("CREATE TABLE crossbit_index (format INTEGER NOT NULL, bits INTEGER NOT NULL)")
                connection.execute("INSERT INTO crossbit_index VALUES (?, ?)", [FORMAT, bits])
                connection.execute(f"CREATE TABLE items (id BIGINT NOT NULL, {words})")
            _place(new, path)
    except OSError as error:
        raise UserError(f"cannot make an index at {path}: {error.strerror or error}") from error


def _place(new: Path, path: Path) -> None:
    """Give `new` its final name, which never replaces a file, as a rename would."""
    try:
        os.link(new, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            os.rename(new, path)
    sync_folder(path.parent)


def _connect(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        with trouble(path, "open"):
            # `sqlite:1` would name an extension, `/home/me/sqlite:1` is a file
            return duckdb.connect(os.path.abspath(path), read_only=read_only, config=CONFIG)
    except duckdb.ConnectionException as error:  # open in this process, in the other mode
        raise busy(path) from error


@contextmanager
def trouble(path: Path, doing: str) -> Iterator[None]:
    """Turn what is wrong with the file or its disk, not with the statement, into a UserError; `doing` is a verb."""
    try:
        yield
    except duckdb.Error as error:
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "Could not set lock" in message:
            raise busy(path) from error
        if "not a valid DuckDB" in message:
            raise UserError(f"{path} is not an index: it is not a DuckDB file") from error
        if "Corrupt" in message:
            raise UserError(f"{path} is damaged; put back a copy of it ({message})") from error
        outside = isinstance(error, duckdb.IOException | duckdb.SerializationException | duckdb.FatalException)
        if outside or "Failed to commit" in message:
            raise UserError(f"cannot {doing} {path}: {message}") from error
        raise


def _stored_bits(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    try:
        with trouble(path, "read"):
            rows = connection.execute("SELECT format, bits FROM crossbit_index").fetchall()
    except duckdb.CatalogException as error:
        raise UserError(f"{path} is not an index: it is a DuckDB file, but not one that crossbit made") from error
    except duckdb.BinderException:  # another version's columns
        rows = []
    if len(rows) != 1 or rows[0][0] != FORMAT:
        found = rows[0][0] if rows else "unknown"
        raise UserError(f"{path} is an index of format {found}; this version of crossbit reads format {FORMAT}")
    return int(rows[0][1])


def busy(path: Path) -> UserError:
    """The error for an index that is open elsewhere."""
    return UserError(f"{path} is open elsewhere; one may write, or many may read (read_only), but not at the same time")
