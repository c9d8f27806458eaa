"""Tables as people keep them, read into columns: CSV with any separator, TSV, JSON lines, Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossbit.data.collection.cells import with_files
from crossbit.data.collection.skipped import Skipped
from crossbit.errors import UserError
from crossbit.storage.kinds import what_is
from crossbit.storage.lines import read_text, split_lines

SEPARATORS = ",;\t|"
PARQUET = "read_parquet($1, hive_partitioning = false)"  # a folder's name, such as year=2020, is no column
LONGEST = 1 << 24  # characters of a cell
BLOCK = 200  # rows of a Parquet file in memory at a time: they may hold pictures


@dataclass
class Table:
    """Rows of a table, or of a folder that is read as one.

    Attributes:
        path: the file or folder.
        folder: what the names of pictures are relative to.
        columns: by name as many values as there are rows; None where there is none.
        places: where each row stands, such as "line 7".
        skipped: rows that could not be read.
        said: what kind of table it is.
        decimal_comma: whether its numbers may have one, as a table's that is separated by something else.
    """

    path: Path
    folder: Path
    columns: dict[str, list[Any]]
    places: list[str]
    skipped: list[Skipped] = field(default_factory=list)
    said: str = ""
    decimal_comma: bool = False

    def __len__(self) -> int:
        return len(self.places)


def read_table(path: Path) -> Table:
    """A table; a row that cannot be read is among those skipped.

    Raises:
        UserError: the file cannot be read, has no rows, or two columns of one name.
    """
    table = READERS[path.suffix.lower()](path)
    if not len(table):
        raise UserError(f"{path} has no rows{f': {table.skipped[0]}' if table.skipped else ''}")
    return table


def _read_csv(path: Path) -> Table:
    text = read_text(path)
    separator, before = csv_form(path, text)
    csv.field_size_limit(LONGEST)
    lines = list(io.StringIO(text, newline=""))[before:]
    reader = csv.reader(lines, delimiter=separator)
    rows, places, skipped = [], list[str](), list[Skipped]()
    try:
        names = [name.strip() for name in next(reader, [])]
        start = reader.line_num
        for cells in reader:
            place, record, start = f"line {start + 1 + before}", lines[start : reader.line_num], reader.line_num
            if len(record) > 1 and not _well_quoted(record, separator):
                right = "close it, or leave it out"
                raise UserError(f"{path}: {place} opens a quotation mark that swallows the lines after it; {right}")
            if len(cells) > len(names) and any(cells[len(names) :]):
                right = f"put quotes around a cell with '{separator}'"
                said = f"has {len(cells)} cells, and the table {len(names)} columns; {right}"
                skipped.append(Skipped(place, "", "too many cells", said))
            elif any(cell.strip() for cell in cells):
                rows.append([cell.strip() or None for cell in cells])
                places.append(place)
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num + before}: {error}") from error
    columns = _named(path, names, rows)
    shown = {"\t": "tabs"}.get(separator, f"'{separator}'")
    return Table(path, path.parent, columns, places, skipped, f"columns separated by {shown}", separator != ",")


def _well_quoted(record: Sequence[str], separator: str) -> bool:
    """Whether quotation marks open and close cells, as they do where a cell has line breaks of its own."""
    spaces = rf'" +(?={re.escape(separator)}|[\r\n]|$)'  # behind a cell, which do no harm
    try:
        return bool(list(csv.reader([re.sub(spaces, '"', line) for line in record], delimiter=separator, strict=True)))
    except csv.Error:
        return False


def csv_form(path: Path, text: str) -> tuple[str, int]:
    """What separates the columns of a CSV file, and how many lines stand before its header."""
    told = re.match(r'"?sep=(.)"?\r?\n', text)  # what Excel writes before a table
    if told:
        return told[1], 1
    return "\t" if path.suffix.lower() == ".tsv" else _separator(text), 0


def _separator(text: str) -> str:
    """What parts the header into most names.

    >>> _separator('file;caption\\na.png;"red, or so"')
    ';'
    """
    header = next((line for line in split_lines(text[: 1 << 16]) if line.strip()), "")
    return max(SEPARATORS, key=lambda each: len(next(csv.reader([header], delimiter=each), [])))


def _named(path: Path, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Columns by name; those without a name must be empty, and are left out."""
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise UserError(f"{path} has two columns called '{twice[0]}'; rename one")
    columns = {name: [row[at] if at < len(row) else None for row in rows] for at, name in enumerate(names) if name}
    return {name: values for name, values in columns.items() if any(value is not None for value in values)}


def _read_lines(path: Path) -> Table:
    rows, places, skipped = [], [], []
    for number, line in enumerate(split_lines(read_text(path)), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError('it is no object such as {"file_name": "a.png"}')
        except (ValueError, RecursionError) as error:
            skipped.append(Skipped(f"line {number}", "", "not JSON", f"is not JSON: {error}"))
            continue
        rows.append(row)
        places.append(f"line {number}")
    names = dict.fromkeys(str(name) for row in rows for name in row)
    columns = _named(path, list(names), [[_plain(row.get(name)) for name in names] for row in rows])
    return Table(path, path.parent, columns, places, skipped, "JSON lines")


def _read_parquet(path: Path) -> Table:
    import duckdb

    try:
        with duckdb.connect() as base:
            found = base.execute(f"FROM {PARQUET}", [parquet_pattern(path)])
            names = [name for name, *_ in found.description or []]
            blocks = itertools.takewhile(bool, (found.fetchmany(BLOCK) for _ in itertools.count()))
            rows = [[_plain(v) for v in row] for row in with_files(itertools.chain.from_iterable(blocks))]
    except OSError as error:
        raise UserError(f"the pictures in {path} cannot be unpacked into the cache: {error}") from error
    except duckdb.Error as error:
        kind = what_is(path)
        why = str(error).splitlines()[0] if kind == "a Parquet file" else f"it is {kind}"
        raise UserError(f"{path} is no Parquet file that can be read: {why}") from error
    return Table(path, path.parent, _named(path, names, rows), rows_named(len(rows)), said="Parquet")


def parquet_pattern(path: Path) -> str:
    """The pattern by which DuckDB reads this file and no other."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def rows_named(n: int) -> list[str]:
    """Places of rows that have no lines."""
    return [f"row {number}" for number in range(1, n + 1)]


def _plain(value: Any) -> Any:
    """A text without the space around it, None where nothing is left, and for NaN; all else as it is."""
    if isinstance(value, list):
        return [None if _is_nan(one) else one for one in value]
    return (value.strip() or None) if isinstance(value, str) else None if _is_nan(value) else value


def _is_nan(value: Any) -> bool:
    """Whether it is what pandas writes where there is nothing."""
    return isinstance(value, float) and math.isnan(value)


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_lines,
    ".parquet": _read_parquet,
}


def together(tables: Iterable[Table], path: Path, said: str) -> Table:
    """Tables below one another; a column that one lacks is empty there."""
    parts = list(tables)
    names = dict.fromkeys(name for part in parts for name in part.columns)
    return Table(
        path,
        path,
        {name: [v for part in parts for v in part.columns.get(name, [None] * len(part))] for name in names},
        [place for part in parts for place in part.places],
        [one for part in parts for one in part.skipped],
        said,
    )
