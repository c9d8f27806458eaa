"""Small collections as people keep them: pictures of coloured shapes, a table beside them, captions and labels."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 220), "yellow": (235, 200, 30)}
SHAPES = ("circle", "square", "triangle", "cross")
TABLES = {"csv": ",", "tsv": "\t", "semicolons": ";"}

Row = dict[str, Any]


def make_collection(
    folder: Path,
    n: int = 60,
    *,
    labels: Literal["many", "one"] | None = "many",
    captions: int = 1,
    table: Literal["csv", "tsv", "semicolons", "jsonl", "parquet", "folders"] = "csv",
    labelled: float = 1.0,
    seed: int = 0,
) -> list[Row]:
    """Make a collection of n pictures in a new folder, and return its rows as they stand in the table.

    Args:
        folder: where; `pictures/` and the table `table.csv` (`.tsv`, `.jsonl`, `.parquet`) come into it.
        n: how many pictures; no two are alike.
        labels: colour and shape ("many"), the shape ("one"), or no column for them.
        captions: how many a picture; several are a list, and rows of the same picture in a table that has no lists.
        table: its kind; "folders" puts each picture into a folder called as its shape, without a table.
        labelled: the share of the rows that have labels.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        colour, shape = list(COLOURS)[number % 4], SHAPES[number // 4 % 4]
        name = f"{shape if table == 'folders' else 'pictures'}/{number:04d} {colour}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        draw(shape, colour, rng).save(folder / name)
        row: Row = {"file_name": name, "year": 2000 + number % 20, "artist": f"person {number % 5}"}
        said = [f"a {colour} {shape} number {number}", f"{shape} in {colour}, seen {number} times", f"shape {number}"]
        row |= {"caption": said[:captions] if captions > 1 else said[0]} if captions else {}
        named = [] if rng.random() >= labelled else [shape] if labels == "one" else [colour, shape]
        rows.append(row | ({"labels": named} if labels else {}))
    if table != "folders":
        write_table(folder, rows, table)
    return rows


def draw(shape: str, colour: str, rng: np.random.Generator, side: int = 48) -> Image.Image:
    """A shape of any size and place on a grey ground."""
    picture = Image.new("RGB", (side, side), tuple(rng.integers(190, 255, 3).tolist()))
    pen, ink = ImageDraw.Draw(picture), COLOURS[colour]
    size = int(rng.integers(side // 3, side * 2 // 3))
    x, y = rng.integers(0, side - size, 2).tolist()
    box = (x, y, x + size, y + size)
    if shape == "circle":
        pen.ellipse(box, fill=ink)
    elif shape == "square":
        pen.rectangle(box, fill=ink)
    elif shape == "triangle":
        pen.polygon([(x, y + size), (x + size, y + size), (x + size // 2, y)], fill=ink)
    else:
        pen.line([(x, y), (x + size, y + size)], fill=ink, width=6)
        pen.line([(x + size, y), (x, y + size)], fill=ink, width=6)
    return picture


def write_table(folder: Path, rows: list[Row], table: str) -> None:
    """The rows as a table; where it has no lists, labels are joined by `;` and a row is written for each caption."""
    if table in TABLES:
        flat = [_flat(row, caption) for row in rows for caption in _list(row.get("caption"))]
        with open(folder / f"table.{'tsv' if table == 'tsv' else 'csv'}", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(flat[0]), delimiter=TABLES[table])
            writer.writeheader()
            writer.writerows(flat)
        return
    lines = folder / "table.jsonl"
    lines.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    if table == "parquet":
        duckdb.sql(f"COPY (FROM read_json('{lines}')) TO '{folder / 'table.parquet'}' (FORMAT parquet)")
        lines.unlink()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _flat(row: Row, caption: str | None) -> Row:
    flat = row | ({"caption": caption} if "caption" in row else {})
    return flat | ({"labels": ";".join(row["labels"])} if "labels" in row else {})
