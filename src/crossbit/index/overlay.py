"""A local index that changes in memory alone: its file stays as it is, and so do those who read it.

DuckDB has the file attached, read-only, to a database in memory. There `changed.items` holds what is added and
`changed.removed` what is gone of the file; the views `main.items` and `main.segments` show both as one, `main.items`
from the first change on: to look for changes takes a search longer. Those who read see the views, and those who change
it the tables, as their connection looks into `changed` first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.index.duckfile import CONFIG, Encoder, open_file, trouble
from crossbit.index.handle import Handle
from crossbit.index.local import DELETE, LocalIndex
from crossbit.index.recall import Recall

HIDE = "INSERT INTO removed SELECT id FROM given"
ITEMS = (
    "CREATE OR REPLACE VIEW memory.main.items AS "
    "SELECT * FROM base.items WHERE id NOT IN (SELECT id FROM memory.changed.removed) "
    "UNION ALL BY NAME SELECT * FROM memory.changed.items"
)
UNCHANGED = "CREATE VIEW items AS SELECT * FROM base.items"
HAS_MAPPED = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'base' AND table_name = 'mapped'"
BEGIN = [
    "CREATE SCHEMA changed",
    "CREATE TABLE changed.items AS SELECT * FROM base.items LIMIT 0",
    "CREATE TABLE changed.removed (id BIGINT NOT NULL)",
    "CREATE TABLE changed.segments AS SELECT * FROM base.segments",
    "CREATE VIEW segments AS SELECT * FROM changed.segments",
    "CREATE TABLE changed.mapped (token VARCHAR NOT NULL)",
    "CREATE VIEW mapped AS SELECT * FROM changed.mapped",
    UNCHANGED,
    "SET enable_external_access = false",  # it was needed to attach the file
    "SET lock_configuration = true",
]


class Overlay(LocalIndex):
    """A `LocalIndex` of a file that is there, whose changes are lost when it is closed; the file is never changed.

    Args:
        path: the file; in one process, an overlay is the only one that has it open.
        bits, encoder, approximate: as for `LocalIndex`.

    Raises:
        UserError: as for `LocalIndex`.

    >>> import tempfile, numpy as np
    >>> path = tempfile.mkdtemp() + "/codes.duckdb"
    >>> with LocalIndex(path, bits=8) as index:
    ...     _ = index.add([1, 2], np.array([[255], [0]], np.uint8), items=[{"name": "a"}, {"name": "b"}])
    >>> with Overlay(path) as over:
    ...     _ = over.add([3], np.array([[1]], np.uint8), items=[{"name": "c"}]), over.remove([1])
    ...     over.search(np.array([[0]], np.uint8))[0]
    [(2, 0, {'name': 'b'}), (3, 1, {'name': 'c'})]
    >>> LocalIndex(path, read_only=True).keys()
    array([1, 2])
    """

    _delete = (DELETE, HIDE)
    _widened = (ITEMS,)
    _shows_changes = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        bits: int | None = None,
        encoder: Encoder | None = None,
        approximate: bool = False,
    ) -> None:
        super().__init__(path, bits=bits, read_only=True, encoder=encoder, approximate=approximate)
        self._file.connection.execute("USE memory.changed")

    def _handle(self, path: str | os.PathLike[str], read_only: bool, encoder: Encoder | None) -> Handle:
        return Handle(path, read_only, encoder, _open_over)

    def _check_writable(self) -> None:
        """Called before each change: from the first one on, readers see changes."""
        connection = self._file.connection
        if not self._shows_changes:
            connection.execute(ITEMS)
            self._shows_changes = True

    def prepare(self, least: int = 0) -> None:
        """Nothing: its changes are lost."""

    def compact(self) -> int:
        """Nothing, as `prepare`; returns 0."""
        return 0

    def make_near(self, recall: float = 0.99, queries: Mapping[str, npt.NDArray[np.uint8]] | None = None) -> Recall:
        """Refused: the tier is files beside the index.

        Raises:
            UserError: always.
        """
        raise UserError(f"an approximate tier is made of {self.path} alone, which an overlay never changes")


def _open_over(
    path: Path, bits: int | None, read_only: bool, encoder: Encoder | None, *, is_open: bool
) -> tuple[duckdb.DuckDBPyConnection, int, Encoder | None]:
    """As `open_file`: a database in memory over the file."""
    connection, stored, made_by = open_file(path, bits, read_only, encoder, is_open=is_open)
    connection.close()
    unlocked = {
        name: value for name, value in CONFIG.items() if name not in ("enable_external_access", "lock_configuration")
    }
    over = duckdb.connect(":memory:", config=unlocked)
    try:
        with trouble(path, "open"):
            place = os.path.abspath(path).replace("'", "''")
            over.execute(f"ATTACH '{place}' AS base (TYPE duckdb, READ_ONLY)")
            for statement in BEGIN:
                over.execute(statement)
            if over.execute(HAS_MAPPED).fetchall():
                over.execute("INSERT INTO changed.mapped SELECT * FROM base.mapped")
    except BaseException:
        over.close()
        raise
    return over, stored, made_by
