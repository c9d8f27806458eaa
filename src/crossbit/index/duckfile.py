"""The file behind a local index: made whole or not at all, and opened only when it is what it should be.

Tables: `crossbit_index(format, bits, encoder_name, encoder_hash)`, one row; `segments(number, rows)`, the files of
embeddings beside it; and `items(id, _word0, _word1, ..., _segment, _row, _hash, the items' columns)`, with an index of
`id`, which files of before lack.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from crossbit.bits import check_bits
from crossbit.errors import UserError
from crossbit.index.columns import PREFIX
from crossbit.index.paths import check_kind
from crossbit.storage.cores import usable_cores
from crossbit.storage.files import sync_folder

FORMAT = 2
Encoder = Mapping[str, str]  # "name" and "hash" of what made the codes
# Nothing beyond this file can be reached through its connection, and no statement can change that.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,  # nothing is ever fetched or loaded
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "pandas_analyze_sample": 1,  # our columns hold one type each: the first value tells it
    "max_expression_depth": 100,  # deeper filters would overflow whatever walks their tree
    "threads": max(1, usable_cores() - 1),  # however slow a filter is, one core is left for other searches
    "lock_configuration": True,
}


def open_file(
    path: Path, bits: int | None, read_only: bool, encoder: Encoder | None = None, *, is_open: bool = False
) -> tuple[duckdb.DuckDBPyConnection, int, Encoder | None]:
    """Connect to an index file, making it first where there is none; returns the connection, the code length and what
    made the codes.

    Args:
        path: the file.
        bits: the code length; None for that of a file that is there.
        read_only: many may read.
        encoder: what makes the codes; None where it does not matter.
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
        _create(path, wanted, encoder)
    elif not is_open:
        check_kind(path)
    connection = _connect(path, read_only)
    try:
        stored, made_by = _stored(connection, path)
        if wanted not in (None, stored):
            raise UserError(f"{path} holds codes of {stored} bits, not {wanted}; use {stored}, or another file")
        check_encoder(path, made_by, encoder)
    except BaseException:
        connection.close()
        raise
    return connection, stored, made_by


def check_encoder(path: object, stored: Encoder | None, given: Encoder | None) -> None:
    """UserError where the codes were made by another encoder than the one that is given."""
    if given is not None and not all(isinstance(given.get(key), str) and given.get(key) for key in ("name", "hash")):
        raise UserError(f"an encoder is its name and its hash, {{'name': ..., 'hash': ...}}; got {given!r}")
    if stored is not None and given is not None and stored["hash"] != given["hash"]:
        names = [f"{encoder['name']} ({encoder['hash'][:12]})" for encoder in (stored, given)]
        raise UserError(f"{path} holds codes of {names[0]}, not of {names[1]}; use that model, or index anew")


def word_columns(bits: int) -> list[str]:
    """Names of the columns that hold the 64-bit words of a code.

    >>> word_columns(72)
    ['_word0', '_word1']
    """
    return [f"{PREFIX}{word}" for word in range(-(-bits // 64))]


def _create(path: Path, bits: int, encoder: Encoder | None = None) -> None:
    """Build an empty index beside `path` and move it there, unless somebody else has made one meanwhile."""
    log = path.with_name(path.name + ".wal")
    if log.exists():
        raise UserError(f"{log} is left of an index that is gone; put {path.name} back beside it, or remove it")
    words = ", ".join(f"{name} UBIGINT NOT NULL" for name in word_columns(bits))
    try:
        with trouble(path, "make"), tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
            new = Path(folder) / "new"
            with duckdb.connect(os.path.abspath(new), config=CONFIG) as connection:
                about = "format INTEGER NOT NULL, bits INTEGER NOT NULL, encoder_name VARCHAR, encoder_hash VARCHAR"
                connection.execute(f"CREATE TABLE crossbit_index ({about})")
                known = [encoder["name"], encoder["hash"]] if encoder else [None, None]
                connection.execute("INSERT INTO crossbit_index VALUES (?, ?, ?, ?)", [FORMAT, bits, *known])
                connection.execute("CREATE TABLE segments (number INTEGER NOT NULL, rows BIGINT NOT NULL)")
                hidden = "_segment INTEGER, _row INTEGER, _hash VARCHAR"
                connection.execute(f"CREATE TABLE items (id BIGINT NOT NULL, {words}, {hidden})")
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


def _stored(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[int, Encoder | None]:
    try:
        with trouble(path, "read"):
            rows = connection.execute("SELECT format, * EXCLUDE (format) FROM crossbit_index").fetchall()
    except duckdb.CatalogException as error:
        raise UserError(f"{path} is not an index: it is a DuckDB file, but not one that crossbit made") from error
    except duckdb.BinderException:  # another version's columns
        rows = []
    if len(rows) != 1 or len(rows[0]) != 4 or rows[0][0] != FORMAT:
        found = rows[0][0] if rows and len(rows[0]) in (2, 4) else "unknown"
        raise UserError(f"{path} is an index of format {found}, crossbit reads format {FORMAT}; make the index anew")
    _, bits, name, hash_ = rows[0]
    return int(bits), None if name is None else {"name": name, "hash": hash_}


def busy(path: Path) -> UserError:
    """The error for an index that is open elsewhere."""
    return UserError(
        f"{path} is open elsewhere; one may write, or many may read (read_only), but not at the same time: "
        "close it there, or wait until that is done"
    )
