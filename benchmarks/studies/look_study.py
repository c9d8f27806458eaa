"""What the recipe `look` found: LOOK beside the four papers' methods over all noisy cells, and the rates it estimated.

    crossbit bench look --data-root DIR --out OUT --workers 2
    python -m benchmarks.studies.look_study OUT [--page docs/look.md --tables docs/tables/look.md]

For each data set and database: the mean over the cells of wrong labels (wrong pairs are not among them) of the mean mAP
of both directions, for each seed that has all of these cells; LOOK less the best of the four that has all of the cells
(MRL by its codes, and by its real vectors, by which it ranks) by a paired t-test over seeds. A method that sees no
labels has the same figure in all of them. Then the same beside the baselines, each cell by itself, the rates that LOOK
estimated beside the true ones, code lengths, and LOOK without a part, less the whole, paired over seeds: Holm's
correction over each column. One JSON object out. The means go between the marks of --page, all other tables between
those of --tables; benchmarks/results/look.parquet keeps every single figure.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.page import between, table
from benchmarks.common.runs import spread
from benchmarks.studies.comparison import CODES, DATABASES, FOUR, LINEAR, TABLES, VECTORS, mean_map, sheet
from crossbit.bench.report.cells import Cell, cell_of
from crossbit.bench.work.store import Result, load_results, run_folder
from crossbit.evaluation.stats import holm, paired_t
from crossbit.methods import get

MARKS = "<!-- study -->", "<!-- end of study -->"
KEPT = Path(__file__).parents[1] / "results" / "look.parquet"
BITS, SEEDS, LOOK, PAIRS = 64, 5, "look", "shuffle-pairs"
REAL = ", real vectors"
RIVALS = [*FOUR, "mrl" + REAL]
BASELINES = [*(name + REAL if name == "cca-cosine" else name for name in LINEAR), "infonce", "random"]
OWN = "nothing of what a modality says itself"
NO_OWN = ("labels as observed, no repair", "most likely labels, no probabilities", "labels repaired from images only")
Scores = dict[str, dict[Cell, dict[int, float]]]  # of a method, in a cell, by seed


def scores_of(results: list[Result], data: str, database: str) -> Scores:
    """The mean mAP of both directions, of codes; a method that sees no labels has its clean one in all label noise."""
    held: Scores = {}
    cells = {cell_of(r) for r in results if r.data == data}
    for result in results:
        for measure, name in ((CODES, result.method), (VECTORS, result.method + REAL)):
            if result.data == data and (value := mean_map(result, database, measure)) is not None:
                held.setdefault(name, {}).setdefault(cell_of(result), {})[result.seed] = value
    for method, by_cell in held.items():
        if not get(method.removesuffix(REAL)).sees_labels:
            clean = next((of for cell, of in by_cell.items() if not cell.noisy), {})
            by_cell |= {cell: clean for cell in cells if cell.noisy and cell.noise != PAIRS}
    return held


def over_cells(by_cell: dict[Cell, dict[int, float]], cells: list[Cell]) -> dict[int, float]:
    """By seed the mean over the cells; seeds that lack a cell are left out."""
    seeds = set.intersection(*(set(by_cell.get(cell, {})) for cell in cells)) if cells else set()
    return {seed: float(np.mean([by_cell[cell][seed] for cell in cells])) for seed in sorted(seeds)}


def beside(scores: Scores, cells: list[Cell], among: Sequence[str] = RIVALS) -> dict[str, Any]:
    """Means by method, and LOOK less the best of some, the four papers' methods; who lacks a cell has no mean."""
    means = {method: of for method, by_cell in scores.items() if (of := over_cells(by_cell, cells))}
    told: dict[str, Any] = {"cells": len(cells), "methods": {m: spread(of.values()) for m, of in means.items()}}
    rivals = [m for m in among if m in means]
    if LOOK in means and rivals:
        best = max(rivals, key=lambda m: float(np.mean(list(means[m].values()))))
        test = paired_t(means[LOOK], means[best])
        told |= {"best": best, "difference": test.difference, "low": test.low, "high": test.high, "p": test.p}
        told |= {"pairs": test.n, "test": test.name}
    return told


def rates(results: list[Result], out: Path) -> list[dict[str, Any]]:
    """LOOK's estimated and the true share of rows with wrong labels, by data set and noise."""
    found: dict[tuple[str, Cell], list[tuple[float, float]]] = {}
    for result in results:
        if result.noise != PAIRS:
            with np.load(run_folder(out, result.id) / "data.npz") as arrays:
                labelled = np.isin(arrays["rows"], arrays["train"])
                true = float(arrays["noise_mask"][labelled].mean())
            found.setdefault((result.data, cell_of(result)), []).append((result.history[0]["noise_rate"], true))
    rows = []
    for (data, cell), pairs in sorted(found.items()):
        estimated, true = (list(values) for values in zip(*pairs, strict=True))
        off = max(abs(a - b) for a, b in pairs)
        rows.append(
            {"data": data, "noise": cell.noise_name, "estimated": spread(estimated), "true": spread(true), "off": off}
        )
    return rows


def study(results: list[Result], out: Path) -> dict[str, Any]:
    """Everything, as JSON values."""
    plain = [r for r in results if not r.variant and r.bits == BITS]
    parts = []
    for data in dict.fromkeys(r.data for r in plain):
        for database in DATABASES:
            scores = scores_of(plain, data, database)
            cells = sorted({cell for by_cell in scores.values() for cell in by_cell})
            wrong = [cell for cell in cells if cell.noisy and cell.noise != PAIRS]
            clean = [cell for cell in cells if not cell.noisy]
            part: dict[str, Any] = {"data": data, "database": database, "wrong labels": beside(scores, wrong)}
            part["each"] = {cell.noise_name: beside(scores, [cell]) for cell in cells}
            part["baselines"] = {
                name: beside(scores, of, BASELINES) for name, of in (("clean", clean), ("wrong labels", wrong)) if of
            }
            part["baselines"] |= {cell.noise_name: beside(scores, [cell], BASELINES) for cell in cells if cell.noisy}
            parts.append(part)
    at_half = [r for r in results if (r.noise, r.rate, r.grouped, r.each) == ("swap-one", 0.5, False, False)]
    return {
        "parts": parts,
        "rates": rates([r for r in plain if r.method == LOOK], out),
        "lengths": list(lengths([r for r in at_half if not r.variant])),
        "without": without([r for r in at_half if r.method == LOOK and r.bits == BITS]),
    }


def lengths(results: list[Result]) -> Iterator[dict[str, Any]]:
    """Tables by code length, where LOOK has several: it and the four, by the seeds that have all of these lengths."""
    for data, database in product(dict.fromkeys(r.data for r in results), DATABASES):
        here = [r for r in results if r.data == data and r.method in (LOOK, *FOUR)]
        if len(bits := {r.bits for r in here if r.method == LOOK}) > 1:
            found: dict[tuple[str, int], set[int]] = {}
            for r in here:
                found.setdefault((r.method, r.seed), set()).add(r.bits)
            whole = [r for r in here if r.bits in bits and found[r.method, r.seed] >= bits]
            title = f"{data}, swap-one 0.5, {DATABASES[database]}, by code length"
            yield sheet(title, whole, database, lambda r: f"{r.bits} bits")


def without(results: list[Result]) -> list[dict[str, Any]]:
    """By data set and database: each ablation of LOOK less the whole, paired over the seeds that both have.

    Three have no `own` either, because there is nothing to blend, so they are compared with LOOK without it.
    """
    held: dict[tuple[str, str, str], dict[int, float]] = {}
    for result, database in product(results, DATABASES):
        if (value := mean_map(result, database, CODES)) is not None:
            held.setdefault((result.data, database, result.variant), {})[result.seed] = value
    found = []
    for data, database in dict.fromkeys((data, database) for data, database, _ in held):
        column = []
        for variant in (v for d, b, v in held if (d, b) == (data, database) and v):
            beside = held.get((data, database, OWN if variant in NO_OWN else ""), {})
            if (by_seed := held[data, database, variant]).keys() & beside.keys():
                test = paired_t(by_seed, beside)
                entry = {"data": data, "database": database, "variant": variant, "difference": test.difference}
                column.append(entry | {"p": test.p, "pairs": test.n, "test": f"{test.name}, Holm over the column"})
        corrected = holm([entry["p"] for entry in column])
        found += [{**entry, "p": p} for entry, p in zip(column, corrected, strict=True)]
    return found


HEAD = [LOOK, *RIVALS, "less the best", "95 % interval", "p, seeds"]


def summary(found: dict[str, Any]) -> str:
    """The page's own tables: LOOK beside the four, mean over the cells of wrong and of clean labels."""
    tests = {of["wrong labels"]["test"] for of in found["parts"] if "test" in of["wrong labels"]}
    blocks = [f"p, and the interval of the difference: {name}, two-sided, uncorrected." for name in tests]
    for title, part in (("wrong labels", "wrong labels"), ("clean labels", "clean")):
        rows = []
        for of in found["parts"]:
            told = of[part] if part in of else of["each"].get(part, {"methods": {}})
            row = [f"{of['data']}, {of['database']}" + (f", {told['cells']} cells" if part in of else "")]
            rows.append([*row, *figures(told)])
        shown = table(["data, database", *HEAD], rows)
        blocks.append(f"Mean over the cells of {title}; empty: a cell lacks runs:\n\n{shown}")
    return "\n\n".join(blocks)


def further(found: dict[str, Any]) -> str:
    """All other tables: baselines, rates, code lengths, ablations, each cell."""
    blocks = [
        "LOOK and the baselines; those that see no labels have one figure for clean and wrong ones:\n\n"
        + baselines(found)
    ]
    rows = [
        [r["data"], r["noise"], figure(r["true"]), figure(r["estimated"]), f"{r['off']:.3f}"] for r in found["rates"]
    ]
    blocks.append(
        "Rates, true and estimated, and the largest distance over the seeds:\n\n"
        + table(["data", "noise", "true", "estimated", "at most off"], rows)
    )
    for of in found["lengths"]:
        rows = [
            [m, *(figure(cells[c]) if c in cells else "" for c in of["columns"])] for m, cells in of["rows"].items()
        ]
        blocks.append(f"{of['title']}:\n\n{table(['', *of['columns']], rows)}")
    if found["without"]:
        blocks.append(
            "LOOK without a part, half `swap-one`, less the whole (p after Holm's correction over the column, seeds). "
            f"*: less LOOK with {OWN}, which this has not either:\n\n{ablations(found['without'])}"
        )
    return "\n\n".join([*blocks, f"Every cell by itself, at {BITS} bits:", each_cell(found)])


def each_cell(found: dict[str, Any]) -> str:
    """The tables of each cell, by data set and database."""
    blocks = []
    for of in found["parts"]:
        rows = [[cell, *figures(told)] for cell, told in of["each"].items()]
        blocks.append(f"{of['data']}, {DATABASES[of['database']]}:\n\n{table(['noise', *HEAD], rows)}")
    return "\n\n".join(blocks)


def figures(told: dict[str, Any]) -> list[str]:
    """What LOOK and each of the four reached, and LOOK less the best of them."""
    means = told["methods"]
    return [*(figure(means[m]) if m in means else "" for m in (LOOK, *RIVALS)), *difference(told)]


def baselines(found: dict[str, Any]) -> str:
    """The table of LOOK and the baselines: clean labels, the mean over cells of wrong ones, each that LOOK loses."""
    rows = []
    for of in found["parts"]:
        for name, told in of["baselines"].items():
            if name in ("clean", "wrong labels") or told.get("difference", 0) < 0:
                means = told["methods"]
                row = [figure(means[m]) if m in means else "" for m in (LOOK, *BASELINES)]
                rows.append([f"{of['data']}, {of['database']}, {name}", *row, *difference(told)])
    head = ["data, database, labels", LOOK, *BASELINES, "less the best", "95 % interval", "p, seeds"]
    return table(head, rows)


def ablations(entries: list[dict[str, Any]]) -> str:
    """The table of ablations: a row for each, a column for each data set and database."""
    columns = list(dict.fromkeys(f"{e['data']}, {e['database']}" for e in entries))
    rows: dict[str, dict[str, str]] = {}
    for e in entries:
        p = "" if np.isnan(e["p"]) else f"{e['p']:.2g}, "
        name = e["variant"] + "*" * (e["variant"] in NO_OWN)
        rows.setdefault(name, {})[f"{e['data']}, {e['database']}"] = f"{e['difference']:+.4f} ({p}{e['pairs']})"
    return table(["", *columns], [[name, *(of.get(column, "") for column in columns)] for name, of in rows.items()])


def figure(entry: dict[str, Any]) -> str:
    """Mean and deviation, and the number of seeds where it is not five."""
    text = f"{entry['mean']:.4f}" + ("" if entry["sd"] is None else f" ± {entry['sd']:.4f}")
    return text if entry["n"] == SEEDS else f"{text} ({entry['n']})"


def difference(told: dict[str, Any]) -> list[str]:
    """LOOK less the best, its interval, and p."""
    if "best" not in told:
        return ["", "", ""]
    interval = "" if np.isnan(told["low"]) else f"{told['low']:+.4f} to {told['high']:+.4f}"
    p = "" if np.isnan(told["p"]) else f"{told['p']:.2g}, "
    return [f"{told['difference']:+.4f} ({told['best']})", interval, f"{p}{told['pairs']}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--tables", type=Path)
    args = parser.parse_args()
    results = [r for r in load_results(args.out) if r.status == "done"]
    planned = json.loads((args.out / "plan.json").read_text(encoding="utf-8"))
    found = {"done": len(results), "planned": len(planned["runs"]), **study(results, args.out)}
    if args.page is not None:
        told = f"{found['done']} of the recipe's {found['planned']} runs are done."
        between(args.page, MARKS, f"{told}\n\n{summary(found)}")
        shutil.copyfile(args.out / "results.parquet", KEPT)
    if args.tables is not None:
        between(args.tables, TABLES, further(found))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
