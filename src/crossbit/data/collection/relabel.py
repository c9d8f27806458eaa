"""Labels of a collection read from a table like its own, and written into a copy of its table."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crossbit.data.collection.columns import Columns, Roles, bit, choose_columns
from crossbit.data.collection.labels import as_written, bit_name, label_lists
from crossbit.data.collection.look import find_files
from crossbit.data.collection.places import LABEL, PICTURE, read_place
from crossbit.data.collection.separators import IN_NAMES, USUAL
from crossbit.data.collection.tables import PARQUET, Table, csv_form, parquet_pattern, read_table
from crossbit.storage.files import writing
from crossbit.storage.lines import mark_of, read_text

if TYPE_CHECKING:
    import duckdb

Cells = dict[str, Any]  # new values by column


def labels_by_picture(path: Path, place: Path, asked: Columns) -> dict[str, list[str]]:
    """The labels of each picture, by its path, as a table has them.

    Args:
        path: the table, whose file names are those of the collection's.
        place: of the collection.
        asked: the columns that the user named.
    """
    table = read_table(path)
    table.folder = read_place(place).folder
    roles = choose_columns(table, asked)
    names, _ = label_lists(table, roles, asked.separator)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row, picture in find_files(table, roles)[0].items():
        found[picture] += [name for name in names[row] if name not in found[picture]]
    return dict(found)


def write_corrected(place: Path, asked: Columns, labels: Mapping[str, list[str]], out: Path) -> int:
    """Write a copy of a collection's table in which some pictures have other labels, and return how many rows differ.

    It has the columns, the separator and the encoding of the table; all but the labels stays as it is. A collection
    that is folders gets a table of its files and their labels.

    Args:
        place: of the collection, a table or a folder.
        asked: the columns that the user named.
        labels: by path of a picture.
        out: the new file.
    """
    table = read_place(place)
    roles = choose_columns(table, asked)
    names, _ = label_lists(table, roles, asked.separator)
    rows_of: defaultdict[str, list[int]] = defaultdict(list)
    for row, picture in find_files(table, roles)[0].items():
        rows_of[picture].append(row)
    after = dict[int, list[str]]()
    for picture, wanted in labels.items():
        after |= _shared(wanted, {row: names[row] for row in rows_of.get(picture, ())})
    if not table.path.is_file():
        _write_plain(table, roles, names, after, out)
        return len(after)
    cells = {row: _cells(table, roles, asked.separator, names[row], wanted) for row, wanted in after.items()}
    WRITERS[table.path.suffix.lower()](table, cells, out)
    return len(cells)


def has_column_each(place: Path, asked: Columns) -> bool:
    """Whether a collection's table has a column of 0 and 1 for each label."""
    return bool(choose_columns(read_place(place), asked).bits)


def table_ending(place: Path) -> str:
    """The ending that a corrected table has: that of the collection's table, or `.csv`."""
    path = read_place(place).path
    return path.suffix.lower() if path.is_file() else ".csv"


def _shared(wanted: Sequence[str], before: Mapping[int, list[str]]) -> dict[int, list[str]]:
    """New labels of the rows of one picture: each keeps what is still wanted, and gets what none of them has."""
    held = {name for names in before.values() for name in names}
    new = [name for name in wanted if name not in held]
    after = {row: [name for name in names if name in wanted] + new for row, names in before.items()}
    return {row: names for row, names in after.items() if names != before[row]}


def _cells(table: Table, roles: Roles, separator: str | None, before: Sequence[str], wanted: Sequence[str]) -> Cells:
    """The cells of one row that change."""
    if roles.bits:
        changed = {column: bit_name(column) in wanted for column in roles.labels}
        return {
            column: _bit_as_written(table.columns[column], on)
            for column, on in changed.items()
            if on != (bit_name(column) in before)
        }
    first, *others = roles.labels
    if not others:
        return {first: as_written(table.columns[first], wanted, separator)}
    elsewhere = {column: [n for n in wanted if n in _parts(table, column, separator, before)] for column in others}
    kept = [name for name in wanted if not any(name in names for names in elsewhere.values())]
    after = {first: kept, **elsewhere}
    return {column: as_written(table.columns[column], names, separator) for column, names in after.items()}


def _parts(table: Table, column: str, separator: str | None, before: Sequence[str]) -> list[str]:
    """Labels among `before` that some cell of a column has."""
    roles = Roles("", [], [column], False, "")
    return [name for name in before if name in {n for names in label_lists(table, roles, separator)[0] for n in names}]


def _bit_as_written(values: Sequence[Any], on: bool) -> Any:
    """0 or 1 as a column has it: `TRUE`, `1.0` or a number."""
    plain = str(int(on)) if any(isinstance(value, str) for value in values) else int(on)
    return next((value for value in values if value is not None and bit(value) == on), plain)


# --- files ------------------------------------------------------------------------------------------------------------


def _write_csv(table: Table, cells: Mapping[int, Cells], out: Path) -> None:
    """Rows that do not change keep every byte."""
    text = read_text(table.path)
    separator, skipped = csv_form(table.path, text)
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines[skipped:], delimiter=separator)
    names = [name.strip() for name in next(reader)]
    quoting: Literal[0, 1] = csv.QUOTE_ALL if lines[skipped].startswith('"') else csv.QUOTE_MINIMAL
    ending = "\r\n" if lines[0].endswith("\r\n") else "\n"
    row_at = {place: row for row, place in enumerate(table.places)}
    parts = lines[: skipped + reader.line_num]
    start = skipped + reader.line_num
    for values in reader:
        end = skipped + reader.line_num
        new = cells.get(row_at.get(f"line {start + 1}", -1))
        if new is None:
            parts += lines[start:end]
        else:
            values += [""] * (len(names) - len(values))
            made = io.StringIO(newline="")
            csv.writer(made, delimiter=separator, quoting=quoting, lineterminator=ending).writerow(
                [new.get(name, value) for name, value in zip(names, values, strict=False)]
            )
            parts.append(made.getvalue())
        start = end
    _write_text(table.path, "".join(parts), out)


def _write_lines(table: Table, cells: Mapping[int, Cells], out: Path) -> None:
    """Lines that do not change stay as they are."""
    row_at = {place: row for row, place in enumerate(table.places)}
    parts = []
    for number, line in enumerate(io.StringIO(read_text(table.path), newline=""), start=1):
        if (new := cells.get(row_at.get(f"line {number}", -1))) is None:
            parts.append(line)
        else:
            ending = line[len(line.rstrip("\r\n")) :]
            parts.append(json.dumps(json.loads(line) | new, ensure_ascii=line.isascii()) + ending)
    _write_text(table.path, "".join(parts), out)


def _write_text(like: Path, text: str, out: Path) -> None:
    mark, encoding = mark_of(like.read_bytes())
    with writing(out) as temporary:
        temporary.write_bytes(mark + text.encode(encoding))


def _write_parquet(table: Table, cells: Mapping[int, Cells], out: Path) -> None:
    import duckdb

    with writing(out) as temporary, duckdb.connect() as base:
        base.execute(
            f"CREATE TABLE t AS SELECT *, row_number() OVER () - 1 AS _at FROM {PARQUET}",
            [parquet_pattern(table.path)],
        )
        for row, new in cells.items():
            for column, value in new.items():
                quoted = column.replace('"', '""')
                base.execute(f'UPDATE t SET "{quoted}" = $1 WHERE _at = $2', [value, row])
        ordered = "SELECT * EXCLUDE (_at) FROM t ORDER BY _at"
        base.execute(f"COPY ({ordered}) TO {_sql(temporary)} (FORMAT parquet, {_parquet_form(base, table.path)})")


def _parquet_form(base: duckdb.DuckDBPyConnection, path: Path) -> str:
    """The size of a file's row groups, and what other programs noted in it, such as which column holds pictures."""
    pattern = [parquet_pattern(path)]
    [(rows,)] = base.execute("SELECT max(row_group_num_rows) FROM parquet_metadata($1)", pattern).fetchall()
    noted = base.execute("SELECT decode(key), decode(value) FROM parquet_kv_metadata($1)", pattern).fetchall()
    kept = ", ".join(f"{_sql(key)}: {_sql(value)}" for key, value in noted if key != "ARROW:schema")  # of its own bytes
    return f"ROW_GROUP_SIZE {rows}, KV_METADATA {{{kept}}}" if kept else f"ROW_GROUP_SIZE {rows}"


def _sql(text: str | Path) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _write_plain(table: Table, roles: Roles, names: list[list[str]], after: Mapping[int, list[str]], out: Path) -> None:
    """Files and labels; for folders, which have no table. Lists, where a name holds what would part it."""
    lists = [after.get(row, held) for row, held in enumerate(names)]
    marks = {*"".join(USUAL), *IN_NAMES}
    apart = any(name.startswith(("[", "(", "{")) or set(name) & marks for held in lists for name in held)
    with writing(out) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([PICTURE, LABEL])
        for picture, held in zip(table.columns[roles.picture], lists, strict=True):
            writer.writerow([os.fspath(picture), json.dumps(held, ensure_ascii=False) if apart else ";".join(held)])


WRITERS: dict[str, Callable[[Table, Mapping[int, Cells], Path], None]] = {
    ".csv": _write_csv,
    ".tsv": _write_csv,
    ".jsonl": _write_lines,
    ".parquet": _write_parquet,
}
