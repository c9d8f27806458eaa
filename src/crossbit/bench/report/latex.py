"""Tables as LaTeX, for the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from crossbit.bench.report.table import Table, TableCell

SET = {"best": r"\textbf{{{}}}", "close": r"{}$^{{\dagger}}$", "untested": r"{}$^{{\ddagger}}$", "": "{}"}
HEAD = "% Put \\usepackage{booktabs} into the preamble and \\input this file.\n"
SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}"},
    **{"→": r"$\rightarrow$", "±": r"$\pm$", "×": r"$\times$", "†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$"},
    **{"–": "--", "·": r"$\cdot$", "−": "$-$", "[": "{[}", "]": "{]}", "\u00a0": "~"},
}


def latex(table: Table, label: str) -> str:
    """A table environment; title, protocol and notes are its caption.

    >>> small = Table("Toy", ["one seed"], "method", [("", "clean")], [("a_b", [TableCell("0.5 ± 0.1", "best")])])
    >>> print(latex(small, "tab:toy"))
    \\begin{table}[t]
    \\centering
    \\caption{Toy. one seed.}
    \\label{tab:toy}
    \\small
    \\begin{tabular}{lr}
    \\toprule
    method & clean \\\\
    \\midrule
    a\\_b & \\textbf{0.5 $\\pm$ 0.1} \\\\
    \\bottomrule
    \\end{tabular}
    \\end{table}
    <BLANKLINE>
    """
    caption = " ".join(_sentence(escape(part)) for part in (table.title, *table.protocol, *table.notes))
    floors = ["\\midrule", *_rows(table.floors)] if table.floors else []
    wide = len(table.columns) > 4
    lines = [
        f"\\begin{{table{'*' * wide}}}[t]",
        "\\centering",
        f"\\caption{{{caption}}}",
        f"\\label{{{label}}}",
        *(["\\scriptsize", "\\setlength{\\tabcolsep}{3pt}"] if wide else ["\\small"]),
        f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        "\\toprule",
        *_heads(table),
        "\\midrule",
        *_rows(table.rows),
        *floors,
        "\\bottomrule",
        "\\end{tabular}",
        f"\\end{{table{'*' * wide}}}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX sets as it is.

    >>> escape("50 % of a_b & {c}")
    '50 \\\\% of a\\\\_b \\\\& \\\\{c\\\\}'
    """
    return "".join(SPECIAL.get(character, character) for character in re.sub(r"\s+", " ", text))


def _heads(table: Table) -> list[str]:
    """The headings: groups over their columns, if there are any."""
    names = _line([escape(table.first), *(escape(name) for _, name in table.columns)])
    if not any(group for group, _ in table.columns):
        return [names]
    groups, rules, place = [""], [], 2
    for group, columns in groupby(group for group, _ in table.columns):
        width = len(list(columns))
        groups.append(f"\\multicolumn{{{width}}}{{c}}{{{escape(group)}}}")
        if group:
            rules.append(f"\\cmidrule(lr){{{place}-{place + width - 1}}}")
        place += width
    return [_line(groups), " ".join(rules), names]


def _rows(rows: Sequence[tuple[str, Sequence[TableCell]]]) -> list[str]:
    return [_line([escape(name), *(SET[e.mark].format(escape(e.text)) for e in entries)]) for name, entries in rows]


def _line(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _sentence(text: str) -> str:
    return text if text.endswith((".", ":", "?")) else f"{text}."
