"""LOOK in every cell of noise, beside the first LOOK and the four papers' methods; one JSON object.

    crossbit bench cells --data-root DIR --out OUT
    python -m benchmarks.studies.look_cells OUT ...

LOOK's figures are of the runs in OUT, and of those that were recorded before: a run in OUT replaces the recorded one of
its cell and seed. So do those of its rivals, of which all others are of the study, benchmarks/results/look.parquet; the
first LOOK is the variant "look, first". The same seeds draw the same noise. Methods that see no labels have their
figure of clean labels wherever labels are wrong.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.common.page import Section, table
from benchmarks.common.runs import spread
from benchmarks.studies.comparison import CODES, FOUR
from benchmarks.studies.look_pairs import MEASURES, figures_of
from benchmarks.studies.look_study import KEPT
from crossbit.bench.work.store import Result, load_results
from crossbit.evaluation.stats import paired_t
from crossbit.methods import get

UNLABELLED = ("ucch", "infonce", "cca-itq")
Cell = tuple[str, str, float]  # data, noise, rate
Scores = dict[int, float]  # by seed
Held = dict[tuple[str, str, Cell], Scores]  # by database and method
RECORDED = KEPT.with_name("look-cells.json")
RIVALS = {"first": ("look",), "four": FOUR, "unlabelled": UNLABELLED}
MAP = {"retrieval": "mAP@all", "query": "mAP@all, unlabelled"}


def others(kept: Path = KEPT) -> Held:
    """By database, method and cell: the mean mAP of both directions of each seed, 64 bits, no variants."""
    question = f"""select "database", method, data, noise, coalesce(rate, 0), seed, avg(value) from '{kept}'
        where bits = 64 and status = 'done' and not "each" and not grouped and coalesce(variant, '') = ''
        and measure = '{CODES}' group by all"""
    found: Held = {}
    for database, method, data, noise, rate, seed, value in duckdb.sql(question).fetchall():
        found.setdefault((database, method, (data, noise, round(rate, 3))), {})[seed] = value
    return found


def new_rivals(results: list[Result]) -> Held:
    """The same of runs of a bench; the first LOOK is called as it is."""
    found: Held = {}
    for one in results:
        if one.status == "done" and (one.method != "look" or one.variant == "look, first"):
            figures, cell = figures_of(one), place(one.method, cell_of(one))
            for database, title in MAP.items():
                found.setdefault((database, one.method, cell), {})[one.seed] = figures[title]
    return found


def cell_of(result: Result) -> Cell:
    return result.data, result.noise, round(result.rate or 0.0, 3)


def place(method: str, cell: Cell) -> Cell:
    """Where a method's figures in a cell are held: wrong labels change nothing for one that sees none."""
    return cell if get(method).sees_labels or cell[1] == "shuffle-pairs" else (cell[0], "none", 0.0)


def beside(held: Held, database: str, method: str, cell: Cell) -> Scores:
    """A method's figures in a cell."""
    return held.get((database, method, place(method, cell)), {})


def told(results: list[Result], recorded: list[dict[str, Any]], held: Held) -> list[dict[str, Any]]:
    """A row for each cell: LOOK by every measure; by mAP also the first LOOK, the best of the four, and the best of
    those that see no labels, each on the seeds that LOOK has."""
    cells: dict[Cell, dict[int, dict[str, float]]] = {}
    for old in recorded:
        cells[old["data"], old["noise"], old["rate"]] = {int(seed): of for seed, of in old["seeds"].items()}
    for result in results:
        if result.status == "done" and result.method == "look" and not result.variant:
            cells.setdefault(cell_of(result), {})[result.seed] = figures_of(result)
    rows = []
    for cell, by_seed in sorted(cells.items()):
        row: dict[str, Any] = {"data": cell[0], "noise": cell[1], "rate": cell[2], "seeds": by_seed}
        row["look"] = {title: spread(one[title] for one in by_seed.values()) for title in MEASURES}
        for database, title in MAP.items():
            mine = {seed: one[title] for seed, one in by_seed.items()}
            row[database] = {
                name: compared(mine, {m: beside(held, database, m, cell) for m in among})
                for name, among in RIVALS.items()
            }
        rows.append(row)
    return rows


def over_wrong_labels(rows: list[dict[str, Any]], held: Held) -> list[dict[str, Any]]:
    """For each data set: LOOK's mean over the cells of wrong labels, and what it is ahead of others by mAP.

    The four are those that were run in all of these cells; a seed counts that both have in all of them.
    """
    means = []
    for data in dict.fromkeys(row["data"] for row in rows):
        wrong = [row for row in rows if row["data"] == data and row["noise"] not in ("none", "shuffle-pairs")]
        cells = [(row["data"], row["noise"], row["rate"]) for row in wrong]
        row = {"data": data, "cells": len(cells)}
        row["look"] = {title: spread(over_all([_of(row, title) for row in wrong]).values()) for title in MEASURES}
        for database, title in MAP.items():
            mine = over_all([_of(row, title) for row in wrong])
            row[database] = {
                name: compared(mine, {m: over_all([beside(held, database, m, cell) for cell in cells]) for m in among})
                for name, among in RIVALS.items()
            }
        means.append(row)
    return means


def over_all(each: list[Scores]) -> Scores:
    """By seed the mean over the cells, of the seeds that all have."""
    seeds = set.intersection(*(set(of) for of in each)) if each else set()
    return {seed: float(np.mean([of[seed] for of in each])) for seed in sorted(seeds)}


def _of(row: dict[str, Any], title: str) -> Scores:
    return {seed: one[title] for seed, one in row["seeds"].items()}


def compared(mine: Scores, theirs: dict[str, Scores]) -> dict[str, Any] | None:
    """The best of some methods on the same seeds, and LOOK less it; None where none was run."""
    means = {m: np.mean([of[s] for s in mine if s in of]) for m, of in theirs.items() if mine.keys() & of.keys()}
    if not means:
        return None
    best = max(means, key=lambda m: float(means[m]))
    test = paired_t(mine, theirs[best])
    return {"method": best, "mean": float(means[best]), "less": test.difference, "p": test.p, "seeds": test.n}


def section(result: dict[str, Any]) -> str:
    """A row for each data set's mean over its cells of wrong labels, and for each cell."""
    head = ["", "seeds", *MEASURES, "mAP less the first LOOK's (p)", "less the best of the four's (p)"]
    head += [
        "unlabelled, less the first's (p)",
        "less the best of the four's (p)",
        "less the best that sees no labels (p)",
    ]
    rows = [_row(f"{one['data']}, mean of {one['cells']} cells of wrong labels", one) for one in result["means"]]
    for one in result["rows"]:
        noise = one["noise"] if one["noise"] == "none" else f"{one['noise']} {one['rate']:g}"
        rows.append(_row(f"{one['data']}, {noise}", one))
    return table(head, rows)


def _row(name: str, one: dict[str, Any]) -> list[str]:
    against = [one[database][name] for database in MAP for name in ("first", "four")] + [one["query"]["unlabelled"]]
    return [
        name,
        str(one["look"]["mAP@all"]["n"]),
        *(f"{one['look'][title]['mean']:.3f}" for title in MEASURES),
        *("" if each is None else _ahead(each) for each in against),
    ]


def _ahead(against: dict[str, Any]) -> str:
    name = "" if against["method"] == "look" else f"{against['method']}, "
    return f"{against['less']:+.3f} ({name}{against['p']:.2g})"


ABOUT = (
    "64 bits. Means of both directions. LOOK as it is now; the first LOOK, the four papers' methods and those that see "
    "no labels were run with the same seeds, and have mAP alone. They are of the study (docs/look.md). On glyphs-hard, "
    "whose features are others since, and better, all were run again but for SSAH, and MRL beyond half `swap-one` and "
    "wrong pairs: these are behind what they would have today. *p*: of a t-test paired over the seeds."
)
SECTIONS = {"look-cells": Section("LOOK in every cell of noise", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="+")
    args = parser.parse_args()
    results = list({result.id: result for out in args.out for result in load_results(out)}.values())  # the later of two
    recorded = json.loads(RECORDED.read_text())["result"] if RECORDED.exists() else {"rows": []}
    new = {
        (*key[:2], tuple(key[2])): {int(seed): of for seed, of in scores.items()}
        for key, scores in recorded.get("rivals", [])
    }
    new |= new_rivals(results)
    held = others() | new
    rows = told(results, recorded["rows"], held)
    print(json.dumps({"means": over_wrong_labels(rows, held), "rows": rows, "rivals": list(new.items())}, indent=1))


if __name__ == "__main__":
    main()
