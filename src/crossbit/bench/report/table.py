"""A table as it is meant, before it is written as Markdown or LaTeX."""

from __future__ import annotations

from dataclasses import dataclass, field

from crossbit.bench.report.marks import Mark


@dataclass(frozen=True)
class TableCell:
    """What is in a table's field; `mark` says how it is set."""

    text: str
    mark: Mark = ""


@dataclass(frozen=True)
class Table:
    """A table, its protocol above and its notes underneath.

    Attributes:
        title: what it shows.
        protocol: how that was measured; a line each.
        first: the heading of the first column, which names the rows.
        columns: (group, name) of each further column; neighbours of one group share a heading.
        rows: name and fields of each row.
        floors: the same, set apart below: random codes, the level of chance.
        notes: what has to be known to read it: the marks, what is missing and why.
    """

    title: str
    protocol: list[str]
    first: str
    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[TableCell]]]
    floors: list[tuple[str, list[TableCell]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
