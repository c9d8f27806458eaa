"""An audit as files: Parquet, CSV, and rows of small JSON values."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from crossbit.audit.alike import Neighbour
from crossbit.audit.entries import SuspectRow
from crossbit.storage.files import writing

NEIGHBOURS = "STRUCT(row BIGINT, name VARCHAR, labels VARCHAR[], weight DOUBLE)[]"
LABELS = "STRUCT(label VARCHAR, probability DOUBLE)[]"
COLUMNS = {  # of audit.parquet and of the CSV file; `SuspectRow` says what they mean
    **{"rank": "BIGINT", "row": "BIGINT", "modality": "VARCHAR", "probability": "DOUBLE"},
    **{"evidence": "DOUBLE", "family": "BIGINT"},
    **{"observed": "VARCHAR[]", "suggested": "VARCHAR[]", "wrong": LABELS, "missing": LABELS},
    **{"wrong_pair": "DOUBLE", "reason": "VARCHAR", "pair_reason": "VARCHAR", "partner": "BIGINT"},
    **{"injected": "BOOLEAN", "neighbours": NEIGHBOURS, "caption": "VARCHAR", "path": "VARCHAR"},
}


def as_rows(entries: Iterable[SuspectRow]) -> list[dict[str, Any]]:
    """The entries as mappings by column."""
    rows = []
    for entry in entries:
        row = {name: getattr(entry, name) for name in COLUMNS}
        for name in ("wrong", "missing"):
            row[name] = [{"label": label, "probability": p} for label, p in row[name]]
        row["neighbours"] = [vars(one) for one in row["neighbours"]]
        rows.append(row)
    return rows


def write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows, whole or not at all, over what was there."""
    import duckdb

    with writing(path) as temporary, tempfile.TemporaryDirectory(dir=path.parent, prefix=".audit.") as beside:
        lines = Path(beside) / "rows.json"
        with open(lines, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        with duckdb.connect() as connection:
            read = connection.read_json(str(lines), columns=COLUMNS, format="newline_delimited")
            read.write_parquet(str(temporary))


def write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write the rows, whole or not at all: labels joined by "; ", those in doubt with their probability.

    The file begins with the mark by which Excel knows UTF-8.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "x.csv"
    >>> row = {"rank": 1, "observed": ["a", "b"], "wrong": [{"label": "a", "probability": 0.9}]}
    >>> write_csv(file, [dict.fromkeys(COLUMNS) | row])
    >>> file.read_text().splitlines()[1]
    '1,,,,,,a; b,,a 0.9000,,,,,,,,,'
    """
    with writing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows({name: _text(value) for name, value in row.items()} for row in rows)


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return "; ".join(map(_part, value))
    return value


def _part(one: Any) -> str:
    if isinstance(one, str):
        return one
    return str(Neighbour(**one)) if "weight" in one else f"{one['label']} {one['probability']:.4f}"
