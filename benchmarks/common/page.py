"""What a script tells the page: `SECTIONS`, by the name of a result in benchmarks/results/."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Section:
    """A part of BENCHMARKS.md.

    Attributes:
        title: its heading.
        text: what was measured, and how its figures are to be read.
        body: from a result to Markdown.
    """

    title: str
    text: str
    body: Callable[[Any], str]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def mean_text(entry: dict[str, Any], digits: int) -> str:
    """A mean with its deviation, where there is one.

    >>> mean_text({"mean": 0.5, "sd": 0.01}, 3), mean_text({"mean": 0.5, "sd": None}, 2)
    ('0.500 ± 0.010', '0.50')
    """
    return f"{entry['mean']:.{digits}f}" + ("" if entry["sd"] is None else f" ± {entry['sd']:.{digits}f}")


def compared_table(result: dict[str, Any], other: str, aims: Sequence[str]) -> str:
    """What `timing.report` printed, as a table and the settings."""
    rows = []
    for (name, row), aim in zip(result["results"].items(), aims, strict=True):
        low, high = row["ratio_range"]
        if "same_distances" in row:
            check = "same distances" if row["same_distances"] else "DISTANCES DIFFER"
        else:
            check = f"oracle within {row['largest_difference_from_oracle']:.0e}"
        seconds = [f"{row['seconds']:.4f}", f"{row['other_seconds']:.4f}"]
        rows.append([name, *seconds, f"**{row['ratio']:.1f}**", f"{low:.1f} - {high:.1f}", aim, check])
    settings = ", ".join(f"{key} {value}" for key, value in result["settings"].items())
    head = ["", "crossbit, s", f"{other}, s", "times faster", "range", "aim", "checked"]
    return table(head, rows) + f"\n\n{settings}"


def between(page: Path, marks: tuple[str, str], text: str) -> None:
    """Put text between the marks of a page; ValueError where one of them is missing."""
    before, start, rest = page.read_text(encoding="utf-8").partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not (start and end):
        raise ValueError(f"{page} has no marks {marks[0]} and {marks[1]}")
    page.write_text(f"{before}{marks[0]}\n\n{text}\n\n{marks[1]}{after}", encoding="utf-8")
