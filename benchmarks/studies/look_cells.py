"""LOOK in every cell of noise, beside the first LOOK and the four papers' methods; one JSON object.

    crossbit bench cells --data-root DIR --out OUT
    python -m benchmarks.studies.look_cells OUT ...

LOOK's figures are of the runs in OUT, and of those that were recorded before: a run in OUT replaces the recorded one of
its cell and seed. Those of all others are of benchmarks/results/look.parquet. The same seeds draw the same noise.
Methods that see no labels have their figure of clean labels wherever labels are wrong.
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
RECORDED = KEPT.with_name("look-cells.json")
MAP = {"retrieval": "mAP@all", "query": "mAP@all, unlabelled"}


def others(kept: Path = KEPT) -> dict[tuple[str, str, Cell], Scores]:
    """By database, method and cell: the mean mAP of both directions of each seed, 64 bits, no variants."""
    question = f"""select "database", method, data, noise, coalesce(rate, 0), seed, avg(value) from '{kept}'
        where bits = 64 and status = 'done' and not "each" and not grouped and coalesce(variant, '') = ''
        and measure = '{CODES}' group by all"""
    found: dict[tuple[str, str, Cell], Scores] = {}
    for database, method, data, noise, rate, seed, value in duckdb.sql(question).fetchall():
        found.setdefault((database, method, (data, noise, round(rate, 3))), {})[seed] = value
    return found


def beside(held: dict[tuple[str, str, Cell], Scores], database: str, method: str, cell: Cell) -> Scores:
    """A method's figures in a cell."""
    if not get(method).sees_labels and cell[1] != "shuffle-pairs":
        cell = (cell[0], "none", 0.0)
    return held.get((database, method, cell), {})


def told(results: list[Result], recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each cell: LOOK by every measure; by mAP also the first LOOK, the best of the four, and the best of
    those that see no labels, each on the seeds that LOOK has."""
    cells: dict[Cell, dict[int, dict[str, float]]] = {}
    whole: dict[Cell, dict[str, Any]] = {}  # recorded before the figures of each seed were kept
    for old in recorded:
        cell = old["data"], old["noise"], old["rate"]
        cells[cell] = {int(seed): of for seed, of in old.get("seeds", {}).items()}
        if "seeds" not in old:
            whole[cell] = old
    for result in results:
        if result.status == "done" and result.method == "look" and not result.variant:
            cell = (result.data, result.noise, round(result.rate or 0.0, 3))
            cells.setdefault(cell, {})[result.seed] = figures_of(result)
    held = others()
    rows = []
    for cell, by_seed in sorted(cells.items()):
        if cell in whole and len(by_seed) < whole[cell]["look"]["mAP@all"]["n"]:
            rows.append(whole[cell])
            continue
        row: dict[str, Any] = {"data": cell[0], "noise": cell[1], "rate": cell[2], "seeds": by_seed}
        row["look"] = {title: spread(one[title] for one in by_seed.values()) for title in MEASURES}
        for database, title in MAP.items():
            mine = {seed: one[title] for seed, one in by_seed.items()}
            row[database] = {
                name: compared(mine, {m: beside(held, database, m, cell) for m in among})
                for name, among in {"first": ("look",), "four": FOUR, "unlabelled": UNLABELLED}.items()
            }
        rows.append(row)
    return rows


def compared(mine: Scores, theirs: dict[str, Scores]) -> dict[str, Any] | None:
    """The best of some methods on the same seeds, and LOOK less it; None where none was run."""
    means = {m: np.mean([of[s] for s in mine if s in of]) for m, of in theirs.items() if mine.keys() & of.keys()}
    if not means:
        return None
    best = max(means, key=lambda m: float(means[m]))
    test = paired_t(mine, theirs[best])
    return {"method": best, "mean": float(means[best]), "less": test.difference, "p": test.p, "seeds": test.n}


def section(result: dict[str, Any]) -> str:
    """A row for each cell."""
    rows = []
    for one in result["rows"]:
        noise = one["noise"] if one["noise"] == "none" else f"{one['noise']} {one['rate']:g}"
        figures = [f"{one['look'][title]['mean']:.3f}" for title in MEASURES]
        against = [one[database][name] for database in MAP for name in ("first", "four")] + [one["query"]["unlabelled"]]
        rows.append(
            [f"{one['data']}, {noise}", str(one["look"]["mAP@all"]["n"]), *figures]
            + [
                "" if a is None else f"{a['less']:+.3f}" + f" ({a['method']})" * (a["method"] != "look")
                for a in against
            ]
        )
    head = ["", "seeds", *MEASURES, "mAP less the first LOOK's", "less the best of the four's"]
    head += ["unlabelled, less the first's", "less the best of the four's", "less the best that sees no labels"]
    return table(head, rows)


ABOUT = (
    "64 bits. Means of both directions. LOOK as it is now; the first LOOK, the four papers' methods and those that see "
    "no labels were run before, with the same seeds, and have mAP alone."
)
SECTIONS = {"look-cells": Section("LOOK in every cell of noise", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="+")
    args = parser.parse_args()
    results = {result.id: result for out in args.out for result in load_results(out)}  # of two of one name the later
    recorded = json.loads(RECORDED.read_text())["result"]["rows"] if RECORDED.exists() else []
    print(json.dumps({"rows": told(list(results.values()), recorded)}, indent=1))


if __name__ == "__main__":
    main()
