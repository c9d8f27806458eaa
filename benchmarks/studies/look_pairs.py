"""The kind and the very item: LOOK beside the first LOOK, its rivals, and what sees no labels; one JSON object.

    crossbit bench pairs --data-root DIR --out OUT
    python -m benchmarks.studies.look_pairs OUT ...

Told are means of both directions, and their deviation over the seeds: of the runs that OUT holds, and of those that
were recorded before. LOOK's runs are those of benchmarks.studies.look_cells, and of OUT; all others are compared with
them seed by seed, each time anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.page import Section, mean_text, table
from benchmarks.common.runs import spread
from crossbit.bench.work.store import Result, load_results
from crossbit.evaluation import parse_measure
from crossbit.evaluation.stats import paired_t

MEASURES = {  # title -> database, measure
    "mAP@all": ("retrieval", "mAP@all"),
    "mAP@all, unlabelled": ("query", "mAP@all"),
    "own pair@10, codes": ("query", "hit@10(correct=pair)"),
    "own pair@10, re-ranked": ("query", "hit@10(correct=pair, metric=reranked)"),
    "overlap@10, codes": ("retrieval", "overlap@10"),
    "overlap@10, re-ranked": ("retrieval", "overlap@10(metric=reranked)"),
}
ASKED = "overlap@10, re-ranked"
RECORDED = Path(__file__).parents[1] / "results" / "look-pairs.json"
CELLS = RECORDED.with_name("look-cells.json")


def figures_of(result: Result) -> dict[str, float]:
    """The mean of both directions of each measure."""
    found = {}
    for title, (database, name) in MEASURES.items():
        whole = str(parse_measure(name))
        values = [one["value"] for one in result.figures if (one["database"], one["measure"]) == (database, whole)]
        if values:
            found[title] = float(np.mean(values))
    return found


def told(results: list[Result], cells: list[dict[str, Any]], recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each data set and method: every measure over the seeds, and what LOOK is ahead in `ASKED`."""
    groups: dict[tuple[str, str], dict[int, Mapping[str, float]]] = {}
    for old in recorded:
        groups[old["data"], old["method"]] = {int(seed): of for seed, of in old["seeds"].items()}
    for cell in cells:
        if (cell["noise"], cell["rate"]) == ("swap-one", 0.5):
            groups[cell["data"], "look"] = {int(seed): of for seed, of in cell["seeds"].items()}
    for result in results:
        if result.status == "done" and (result.noise, result.rate) == ("swap-one", 0.5):
            groups.setdefault((result.data, result.variant or result.method), {})[result.seed] = figures_of(result)
    rows = []
    for (data, method), of in sorted(groups.items()):
        figures = {
            title: spread(one[title] for one in of.values())
            for title in MEASURES
            if all(title in one for one in of.values())
        }
        row: dict[str, Any] = {"data": data, "method": method, "seeds": of, "figures": figures}
        mine = groups.get((data, "look"))
        if mine and method != "look" and ASKED in figures:
            test = paired_t(*({seed: one[ASKED] for seed, one in each.items()} for each in (mine, of)))
            row["behind"] = {"difference": test.difference, "p": test.p}
        rows.append(row)
    return rows


def section(result: dict[str, Any]) -> str:
    """A row for each data set and method."""
    rows = [
        [
            f"{one['data']}, {one['method']}",
            str(max(figure["n"] for figure in one["figures"].values())),
            *(mean_text(one["figures"][title], 3) if title in one["figures"] else "" for title in MEASURES),
            f"{one['behind']['difference']:+.3f} ({one['behind']['p']:.2g})" if "behind" in one else "",
        ]
        for one in result["rows"]
    ]
    return table(["", "seeds", *MEASURES, "LOOK ahead in the last (p)"], rows)


ABOUT = (
    "64 bits, half of the labels wrong (`swap-one:0.5`), layers 512 wide; means of both directions and deviations over "
    "seeds. *Unlabelled*: the queries search one another. *Own pair*: of queries among themselves. *p*: of a t-test "
    "paired over the seeds."
)
SECTIONS = {"look-pairs": Section("LOOK: the kind and the very item", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="+")
    args = parser.parse_args()
    cells = json.loads(CELLS.read_text())["result"]["rows"] if CELLS.exists() else []
    recorded = json.loads(RECORDED.read_text())["result"]["rows"] if RECORDED.exists() else []
    results = [result for out in args.out for result in load_results(out)]
    print(json.dumps({"rows": told(results, cells, recorded)}, indent=1))


if __name__ == "__main__":
    main()
