"""What a bench found, for BENCHMARKS.md and a page: mAP averaged over both directions, by seed, then over the seeds.

    crossbit bench comparison --data-root DIR --out OUT
    python -m benchmarks.studies.comparison OUT [--page docs/tables/results.md] [--plots docs/images]

--page gets the bench's own tables of mAP between its marks, --plots its plots against noise and code length;
benchmarks/results/comparison.parquet keeps every single figure.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.page import Section, between, mean_text, table
from benchmarks.common.runs import spread
from crossbit.bench.report.cells import cell_of, row_of
from crossbit.bench.work.store import Result, load_results

CODES, VECTORS = "mAP@all(ties=expected, empty=skip)", "mAP@all(ties=expected, empty=skip, metric=cosine)"
DATABASES = {"retrieval": "the database searched", "query": "the queries searched themselves"}
TABLES = "<!-- tables -->", "<!-- end of tables -->"
KEPT = Path(__file__).parents[1] / "results" / "comparison.parquet"
PLOTS = "map-against-noise-*-retrieval-64.png", "map-against-bits-*-retrieval-*.png"
FOUR, LINEAR = ("nrch", "mrl", "ucch", "ssah"), ("classifier", "cca-itq", "cca-rotation", "cca-sign", "cca-cosine")
BITS = 64  # of the tables of noise and of ablations


def mean_map(result: Result, database: str, measure: str) -> float | None:
    """The mean over the directions; None where the method has no such figure."""
    wanted = database, measure
    values = [f["value"] for f in result.figures if (f["database"], f["measure"]) == wanted]
    return float(np.mean(values)) if values else None


def sheet(title: str, results: list[Result], database: str, column: Callable[[Result], str]) -> dict[str, Any]:
    """A table: a row for each method, and one more for its real vectors; a column for each cell."""
    rows: dict[str, dict[str, list[float]]] = {}
    for result in results:
        for measure, suffix in ((CODES, ""), (VECTORS, ", real vectors")):
            value = mean_map(result, database, measure)
            if value is not None:
                rows.setdefault(row_of(result).label + suffix, {}).setdefault(column(result), []).append(value)
    columns = list(dict.fromkeys(column(result) for result in results))
    cells = {name: {place: spread(values) for place, values in found.items()} for name, found in rows.items()}
    return {"title": title, "columns": sorted(columns, key=_order), "rows": cells}


def _order(name: str) -> tuple[bool, str, float]:
    """Clean first, then by rule and rate; code lengths by number."""
    numbers = re.findall(r"[\d.]+", name)
    return name != "clean", re.sub(r"[\d.]+", "", name), float(numbers[0]) if numbers else 0.0


def sheets(results: list[Result]) -> list[dict[str, Any]]:
    """All tables: noise at one code length, for each data set and database; code lengths; ablations; time."""
    plain = [r for r in results if not r.variant]
    made = []
    for data in dict.fromkeys(r.data for r in results):
        here = [r for r in plain if r.data == data and r.bits == BITS]
        for database, words in DATABASES.items():
            made.append(sheet(f"{data}, {BITS} bits, {words}", here, database, lambda r: cell_of(r).noise_name))
        lengths = [r for r in plain if r.data == data and (r.bits != BITS or (r.noise == "swap-one" and r.rate == 0.5))]
        if len({r.bits for r in lengths}) > 1:
            title = f"{data}, swap-one 0.5, by code length, the database searched"
            made.append(sheet(title, lengths, "retrieval", lambda r: f"{r.bits} bits"))
        parts = {r.method for r in results if r.variant and r.data == data}
        parted = [
            r
            for r in results
            if r.method in parts and (r.data, r.bits, r.noise, r.rate) == (data, BITS, "swap-one", 0.5)
        ]
        if parts:
            title = f"{data}, swap-one 0.5, without a part, the database searched"
            made.append(sheet(title, sorted(parted, key=lambda r: r.method), "retrieval", lambda _: "mAP"))
        made.append(times(data, here))
    return made


def times(data: str, results: list[Result]) -> dict[str, Any]:
    """Processor seconds by part; runs that only repeat another's training are left out."""
    rows: dict[str, dict[str, list[float]]] = {}
    for result in results:
        if "same_training_as" not in result.machine:
            for part in ("train", "encode", "search", "evaluate"):
                rows.setdefault(result.method, {}).setdefault(part, []).append(result.seconds[f"{part}_processor"])
    cells = {name: {part: spread(values) for part, values in found.items()} for name, found in rows.items()}
    return {
        "title": f"{data}, {BITS} bits, processor seconds",
        "columns": ["train", "encode", "search", "evaluate"],
        "rows": cells,
    }


def ranked(result: Result, database: str) -> float | None:
    """The mean mAP of both directions as the method ranks: by real vectors, or else by codes."""
    vectors = mean_map(result, database, VECTORS)
    return mean_map(result, database, CODES) if vectors is None else vectors


def not_above(results: list[Result]) -> dict[str, Any]:
    """Which of the four methods were compared with linear baselines on clean labels, and where they are not above one.

    The mean of both directions, as each ranks, and the mean difference over the seeds that both have.
    """
    scores: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    for result in results:
        for database in DATABASES:
            value = ranked(result, database)
            if (result.noise, result.bits, result.variant) == ("none", BITS, "") and value is not None:
                by_method = scores.setdefault((result.data, database), {})
                by_method.setdefault(result.method, {})[result.seed] = value
    found, compared = [], set()
    for (data, database), by_method in scores.items():
        for method, baseline in product(FOUR, LINEAR):
            seeds = sorted(set(by_method.get(method, {})) & set(by_method.get(baseline, {})))
            if seeds:
                compared |= {method, baseline}
                by = float(np.mean([by_method[baseline][seed] - by_method[method][seed] for seed in seeds]))
                place = {"data": data, "database": database, "method": method, "baseline": baseline}
                found += [{**place, "by": by, "seeds": len(seeds)}] if by >= 0 else []
    return {"compared": sorted(compared), "found": found}


def into_page(out: Path, page: Path) -> None:
    """Put the bench's tables of mAP between the page's marks, two levels of titles down."""
    parts = re.split(r"^(?=## )", (out / "tables.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    state = next(line for line in parts[0].splitlines() if " runs" in line).partition(". ")[0]
    state += ". Every single figure: `benchmarks/results/comparison.parquet`."
    kept = [state, *(f"#{part.strip()}" for part in parts[1:] if "P@100" not in part.splitlines()[0])]
    between(page, TABLES, "\n\n".join(kept))


SEEDS = 3  # of most cells; others are said


def several(entry: dict[str, Any]) -> str:
    """A mean with its deviation and, where it is over fewer seeds than usual, their number."""
    text = mean_text(entry, 3 if entry["mean"] < 1 else 1)
    return text if entry["n"] >= SEEDS else f"{text} ({entry['n']})"


def section(result: dict[str, Any]) -> str:
    """A table for each sheet: a row for each method, a column for each cell."""
    parts = []
    for one in result["sheets"]:
        rows = [
            [name, *(several(cells[column]) if column in cells else "" for column in one["columns"])]
            for name, cells in one["rows"].items()
        ]
        parts.append(f"{one['title']}:\n\n{table(['', *one['columns']], rows)}")
    told = [
        f"- {one['data']}, {DATABASES[one['database']]}: {one['method']} under {one['baseline']} by {one['by']:.4f}"
        f" (seeds in common: {one['seeds']})"
        for one in result["not_above"]["found"]
    ]
    who = ", ".join(result["not_above"]["compared"])
    head = f"On clean labels, of {who}, each method is above every linear baseline"
    parts.append(f"{head}, but:\n\n" + "\n".join(told) if told else f"{head}.")
    if result["done"] < result["planned"]:
        parts.insert(0, f"{result['done']} of the {result['planned']} runs are done; the bench goes on where it is.")
    return "\n\n".join(parts)


ABOUT = (
    "mAP@all(ties=expected, empty=skip) of codes, and of the real vectors of methods that rank by them, the mean "
    "of both directions; mean ± deviation over three seeds, or over (so many). Wikipedia's database is the "
    "labelled training set itself. docs/results.md has each direction, the tests, and what it shows."
)
SECTIONS = {"comparison": Section("Methods and baselines under label noise", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--plots", type=Path)
    args = parser.parse_args()
    if args.page is not None:
        into_page(args.out, args.page)
        shutil.copyfile(args.out / "results.parquet", KEPT)
    for pattern in PLOTS if args.plots is not None else ():
        for plot in sorted((args.out / "plots").glob(pattern)):
            shutil.copyfile(plot, args.plots / plot.name)
    planned = json.loads((args.out / "plan.json").read_text(encoding="utf-8"))
    results = [r for r in load_results(args.out) if r.status == "done"]
    told = {"done": len(results), "planned": len(planned["runs"]), "not_above": not_above(results)}
    print(json.dumps({**told, "sheets": sheets(results)}, indent=1))


if __name__ == "__main__":
    main()
