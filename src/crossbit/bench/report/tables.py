"""What a bench found, as tables: tables.md to read, tables.tex for a paper, comparisons.csv with every test."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.bench.report.accuracy import Shown, accuracy_tables, planned
from crossbit.bench.report.cells import arrange, cell_of, row_of
from crossbit.bench.report.latex import HEAD, latex
from crossbit.bench.report.markdown import escape, markdown
from crossbit.bench.report.marks import Comparison
from crossbit.bench.report.published import PublishedFigure, compare_published, published_tables, read_published
from crossbit.bench.report.table import Table
from crossbit.bench.report.times import times_tables
from crossbit.bench.work.store import DONE, Result
from crossbit.evaluation.stats import BOOTSTRAP, LEVEL, POWER, T_TEST
from crossbit.storage.files import writing

__all__ = ["PublishedFigure", "compare_published", "make_tables", "write_tables"]
COLUMNS = ["data", "database", "measure", "direction", "bits", "noise", "best", "other", "test", "difference", "low"]
COLUMNS += ["high", "p", "p_holm", "pairs", "findable", "note"]


def write_tables(out: Path, results: Sequence[Result]) -> list[Path]:
    """Write the tables of a bench.

    Args:
        out: the bench's folder. Its recipe.toml gives the title, plan.json tells what is not finished, published.json
            holds published figures to compare with; none of them has to be there.
        results: the runs, failed ones too.
    """
    shown = [table for runs in arrange(results) for table in accuracy_tables(runs, out)]
    times = [table for runs in arrange(results) for table in times_tables(runs)]
    beside = published_tables(results, read_published(out))
    paths = [out / name for name in ("tables.md", "tables.tex", "comparisons.csv")]
    with writing(paths[0]) as temporary:
        temporary.write_text(_document(out, results, shown, times, beside), encoding="utf-8")
    with writing(paths[1]) as temporary:
        temporary.write_text(_latex([*beside, *(of.table for of in shown), *times]), encoding="utf-8")
    with writing(paths[2]) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, COLUMNS)
        lines.writeheader()
        lines.writerows(_comparisons(shown))
    return paths


def make_tables(out: Path, results: Sequence[Result]) -> list[Table]:
    """The tables themselves: published figures, accuracy, times."""
    accuracy = [of.table for runs in arrange(results) for of in accuracy_tables(runs, out)]
    times = [table for runs in arrange(results) for table in times_tables(runs)]
    return [*published_tables(results, read_published(out)), *accuracy, *times]


def _document(
    out: Path, results: Sequence[Result], shown: Sequence[Shown], times: Sequence[Table], beside: Sequence[Table]
) -> str:
    title, about = _recipe(out)
    head = [f"# {escape(title)}", "", *([escape(about), ""] if about else []), *_state(out, results), ""]
    limits = _limits([made for of in _main(shown) for column in of.columns.values() for made in column.comparisons])
    tables = [*beside, *(of.table for of in shown), *times]
    return "\n".join([*head, *limits, "", *(markdown(table) for table in tables), *_failed(results)])


def _failed(results: Sequence[Result]) -> list[str]:
    """Every run that failed, with its reason: whatever has no place in a table is told here."""
    lines: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.status != DONE:
            cell = cell_of(result)
            what = f"{row_of(result).label}, {result.data}, {cell.noise_name}, {cell.bits} bits"
            lines.setdefault((what, result.reason or "no reason was recorded"), []).append(str(result.seed))
    told = [f"{what}, seed{'s' * (len(of) > 1)} {', '.join(of)}: {why}" for (what, why), of in lines.items()]
    return ["## Failed runs", "", *(f"- {escape(line)}" for line in told), ""] if told else []


def _main(shown: Sequence[Shown]) -> list[Shown]:
    """The tables of each data set's first measure: the others spread differently."""
    first: dict[str, str] = {}
    return [of for of in shown if first.setdefault(of.data, of.measure) == of.measure]


def _latex(tables: Sequence[Table]) -> str:
    return "\n".join([HEAD, *(latex(table, f"tab:bench-{n}") for n, table in enumerate(tables, 1))])


def _recipe(out: Path) -> tuple[str, str]:
    """Title and description of the recipe, if it lies there."""
    path = out / "recipe.toml"
    told: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return str(told.get("title") or told.get("name") or "Results"), str(told.get("about") or "")


def _state(out: Path, results: Sequence[Result]) -> list[str]:
    """How much of what was planned is there."""
    done = sum(result.status == DONE for result in results)
    failed, plan = len(results) - done, planned(out)
    left = (plan or 0) - len(results)
    parts = [f"{done} runs" if done != 1 else "One run", *([f"{failed} failed"] if failed else [])]
    parts += [f"{left} of the {plan} planned are not finished"] if left > 0 else []
    return [f"{', '.join(parts)}. Every single figure is in results.csv, every comparison in comparisons.csv."]


def _limits(comparisons: Sequence[Comparison]) -> list[str]:
    """What so many seeds can and cannot show, from the spread that they have."""
    lines = ["What these figures can and cannot show:", ""]
    over_seeds = [c.test for c in comparisons if c.test.name == T_TEST and np.isfinite(c.test.findable)]
    for n in sorted({test.n for test in over_seeds}):
        of = [test for test in over_seeds if test.n == n]
        least, findable = (
            float(np.median(v)) for v in zip(*((t.high - t.difference, t.findable) for t in of), strict=True)
        )
        lines.append(
            f"- {n} seeds, {len(of)} comparisons with the best by a {T_TEST}: at their median spread, a difference "
            f"below {least:.4f} is not significant at the {LEVEL:.0%} level, a true one of {findable:.4f} is found in "
            f"{POWER:.0%} of such comparisons; Holm's correction asks for more. Not significantly worse is not as good."
        )
    if not over_seeds:
        lines.append("- There are no two seeds to compare over: how much training anew would change is not known.")
    lines.append(
        "- Seeds sample what training leaves to chance (weights, batches, which labels are corrupted), nothing else."
    )
    if any(comparison.test.name == BOOTSTRAP for comparison in comparisons):
        lines.append(
            f"- The {BOOTSTRAP} (comparisons.csv) samples the queries, nothing else: the models stay as they are."
        )
    return lines


def _comparisons(shown: Sequence[Shown]) -> Iterator[dict[str, Any]]:
    """Every test as a line."""
    for of in shown:
        for (cell, direction), column in of.columns.items():
            for made in column.comparisons:
                test = made.test
                yield {
                    **{"data": of.data, "database": of.database, "measure": of.measure, "direction": direction},
                    **{"bits": cell.bits, "noise": cell.spelled, "best": made.best.label, "other": made.other.label},
                    **{"test": test.name, "difference": test.difference, "low": test.low, "high": test.high},
                    **{"p": test.p, "p_holm": made.corrected, "pairs": test.n, "findable": test.findable},
                    "note": test.note,
                }
