"""The methods at their papers' widths and epochs beside the narrow ones: is their order the same?

    crossbit bench wide --data-root DIR --out OUT
    python -m benchmarks.studies.wide OUT [--page docs/results.md]

Narrow figures are those that benchmarks/results/ has kept of the same cell of LOOK's study. --page gets the table
between its marks, and benchmarks/results/wide.parquet every single figure.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.common.page import Section, between, mean_text, table
from benchmarks.common.runs import spread
from benchmarks.studies.comparison import CODES, DATABASES, FOUR, VECTORS, ranked
from crossbit.bench.report.cells import cell_of
from crossbit.bench.work.store import Result, load_results

MARKS = "<!-- wide -->", "<!-- end of wide -->"
RESULTS = Path(__file__).parents[1] / "results"
NARROW = "look.parquet"


def narrow(result: Result, database: str) -> dict[str, Any] | None:
    """Mean, deviation and number of seeds of the method's narrow runs of this cell, as it ranks; None without any."""
    where = "method = ? and data = ? and bits = ? and noise = ? and rate = ? and each = ? and grouped = ?"
    of = (result.method, result.data, result.bits, result.noise, result.rate, result.each, result.grouped)
    found = duckdb.execute(
        f"""select seed, measure, avg(value) from '{RESULTS / NARROW}'
        where {where} and variant = '' and database = ? group by seed, measure""",
        [*of, database],
    ).fetchall()
    for measure in (VECTORS, CODES):
        values = [value for _, name, value in found if name == measure]
        if values:
            return spread(values)
    return None


def rows_of(results: list[Result]) -> list[dict[str, Any]]:
    """For each wide run what it reached, and what the narrow ones did."""
    return [
        {
            "data": result.data,
            "noise": cell_of(result).noise_name,
            "method": result.method,
            "width": result.settings["width"],
            "epochs": result.epochs,
            "minutes": result.seconds["train_processor"] / 60,
            "wide": {database: ranked(result, database) for database in DATABASES},
            "narrow": {database: narrow(result, database) for database in DATABASES},
        }
        for result in results
    ]


def orders(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By cell and database: the four methods, best first, wide and narrow; where all of them are there."""
    found = []
    for data, noise in dict.fromkeys((row["data"], row["noise"]) for row in rows):
        cell = [row for row in rows if (row["data"], row["noise"]) == (data, noise)]
        here = [row for row in cell if row["method"] in FOUR and all(row["narrow"].values())]
        for database in DATABASES if len(here) == len(FOUR) else ():
            by_wide = sorted(here, key=lambda row: -row["wide"][database])
            by_narrow = sorted(here, key=lambda row: -row["narrow"][database]["mean"])
            told = {"wide": _names(by_wide), "narrow": _names(by_narrow)}
            found.append({"data": data, "noise": noise, "database": database, **told})
    return found


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["method"] for row in rows]


def section(result: dict[str, Any]) -> str:
    """What each method reached at its paper's width and epochs, and narrow; and whether the order is the same."""
    heads = ["data, noise", "method", "wide", "epochs", "minutes"]
    heads += [f"{database}, {how}" for database in DATABASES for how in ("wide", "narrow")]
    rows = []
    for row in result["rows"]:
        cell = f"{row['data']}, {row['noise']}"
        cells = [cell, row["method"], f"{row['width']:,}", str(row["epochs"]), f"{row['minutes']:.0f}"]
        for database in DATABASES:
            held = row["narrow"][database]
            cells += [f"{row['wide'][database]:.4f}", "" if held is None else f"{mean_text(held, 4)} ({held['n']})"]
        rows.append(cells)
    told = [
        f"- {order['data']}, {order['noise']}, {DATABASES[order['database']]}: wide {', '.join(order['wide'])}; "
        + ("narrow the same." if order["wide"] == order["narrow"] else f"narrow {', '.join(order['narrow'])}.")
        for order in result["orders"]
    ]
    return "\n\n".join([table(heads, rows), *(["The four, best first:\n\n" + "\n".join(told)] if told else [])])


ABOUT = (
    "One seed, 64 bits: the mean mAP of both directions, as each method ranks (MRL by real vectors); LOOK as wide "
    "as MRL. *narrow*: the mean ± deviation of the narrow runs of the same cell (seeds). *minutes* of one core."
)
SECTIONS = {"wide": Section("Methods at their papers' widths and epochs", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--page", type=Path)
    args = parser.parse_args()
    rows = rows_of([r for r in load_results(args.out) if r.status == "done"])
    found = {"rows": rows, "orders": orders(rows)}
    if args.page is not None:
        between(args.page, MARKS, section(found))
        shutil.copyfile(args.out / "results.parquet", RESULTS / "wide.parquet")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
