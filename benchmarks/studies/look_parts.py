"""What each part of LOOK is worth, and code lengths: LOOK without one part at a time; one JSON object.

    crossbit bench parts --data-root DIR --out OUT
    crossbit bench cells --data-root DIR --out CELLS
    python -m benchmarks.studies.look_parts OUT CELLS

Told are means of both directions, their deviation over the seeds, and what LOOK is ahead of each, paired over seeds: of
the runs that OUT and CELLS hold, and of those that were recorded before.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.common.page import Section, mean_text, table
from benchmarks.common.runs import spread
from benchmarks.studies.look_pairs import MEASURES, RECORDED, figures_of
from crossbit.bench.work.store import Result, load_results
from crossbit.evaluation.stats import paired_t

COMPARED = "mAP@all", "mAP@all, unlabelled", "own pair@10, re-ranked", "overlap@10, re-ranked"


def told(results: list[Result], recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each data set, length and variant: every measure over the seeds, and what whole LOOK is ahead of it."""
    groups: dict[tuple[str, int, str], dict[int, dict[str, float]]] = {}
    for old in recorded:
        if "seeds" in old:
            groups[old["data"], old["bits"], old["variant"]] = {int(seed): of for seed, of in old["seeds"].items()}
    for one in results:
        if one.status == "done" and one.method == "look" and (one.noise, one.rate) == ("swap-one", 0.5):
            groups.setdefault((one.data, one.bits, one.variant or ""), {})[one.seed] = figures_of(one)
    rows = []
    for (data, bits, variant), of in sorted(groups.items()):
        whole = {seed: figures for seed, figures in groups.get((data, bits, ""), {}).items() if seed in of}
        row: dict[str, Any] = {"data": data, "bits": bits, "variant": variant, "seeds": of}
        row["figures"] = {title: spread(one[title] for one in of.values()) for title in MEASURES}
        if variant and whole:
            pairs = {t: [{seed: one[t] for seed, one in each.items()} for each in (whole, of)] for t in COMPARED}
            tests = {title: paired_t(*both) for title, both in pairs.items()}
            row["ahead"] = {title: {"difference": test.difference, "p": test.p} for title, test in tests.items()}
        rows.append(row)
    asked = {row["data"] for row in rows if row["variant"] or row["bits"] != 64}
    return [row for row in rows if row["data"] in asked]


def section(result: dict[str, Any]) -> str:
    """A row for each data set, length and variant."""
    rows = [
        [
            f"{one['data']}, {one['bits']} bits, {one['variant'] or 'whole'}",
            str(one["figures"]["mAP@all"]["n"]),
            *(mean_text(one["figures"][title], 3) for title in MEASURES),
            *(
                f"{one['ahead'][t]['difference']:+.3f} ({one['ahead'][t]['p']:.2g})" if "ahead" in one else ""
                for t in COMPARED
            ),
        ]
        for one in result["rows"]
    ]
    return table(["", "seeds", *MEASURES, *(f"whole less this: {title} (p)" for title in COMPARED)], rows)


ABOUT = (
    "Half of the labels wrong (`swap-one:0.5`); means of both directions and deviations over seeds. *p*: of a t-test "
    "paired over the seeds."
)
SECTIONS = {"look-parts": Section("LOOK: code lengths, and what each part is worth", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="+")
    args = parser.parse_args()
    results = list({result.id: result for out in args.out for result in load_results(out)}.values())
    kept = RECORDED.with_name("look-parts.json")
    recorded = json.loads(kept.read_text())["result"]["rows"] if kept.exists() else []
    rows = *recorded, *told(results, recorded)
    every = {(row["data"], row["bits"], row["variant"]): row for row in rows}
    print(json.dumps({"rows": [row for _, row in sorted(every.items())]}, indent=1))


if __name__ == "__main__":
    main()
