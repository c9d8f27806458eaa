"""Tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from crossbit.bench.report.table import Table, TableCell

SET = {"best": "**{}**", "close": "{} †", "untested": "{} ‡", "": "{}"}


def markdown(table: Table, level: int = 2) -> str:
    """A table under its title, a heading of that level.

    >>> small = Table("Toy", ["one seed"], "method", [("", "clean")], [("a", [TableCell("0.5", "best")])])
    >>> print(markdown(small))
    ## Toy
    <BLANKLINE>
    one seed
    <BLANKLINE>
    | method | clean |
    | :-- | --: |
    | a | **0.5** |
    <BLANKLINE>
    """
    heads = [table.first, *(escape(": ".join(filter(None, column))) for column in table.columns)]
    lines = [_line(heads), _line([":--", *["--:"] * len(table.columns)])]
    lines += [_row(name, entries) for name, entries in table.rows]
    lines += [_row(f"*{escape(name)}*", entries, escaped=True) for name, entries in table.floors]
    protocol = [f"{escape(line)}  " for line in table.protocol[:-1]] + [escape(line) for line in table.protocol[-1:]]
    notes = ["", *(f"- {escape(note)}" for note in table.notes)] if table.notes else []
    return "\n".join([f"{'#' * level} {escape(table.title)}", "", *protocol, "", *lines, *notes, ""])


def escape(text: str) -> str:
    """Text that Markdown shows as it is.

    >>> escape("a_b | 2*3 <i>")
    'a\\\\_b \\\\| 2\\\\*3 \\\\<i>'
    """
    return re.sub(r"([\\`*_|<\[\]#~])", r"\\\1", re.sub(r"\s+", " ", text))


def _row(name: str, entries: Sequence[TableCell], *, escaped: bool = False) -> str:
    return _line(
        [name if escaped else escape(name), *(SET[entry.mark].format(escape(entry.text)) for entry in entries)]
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
