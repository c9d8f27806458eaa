"""An own collection as people have it: Debian's open clip art, 8,121 drawings with titles and tags; one JSON object.

    python -m benchmarks.studies.clipart --runs FOLDER [--clipart /usr/share/openclipart] [--seeds 3] [--only-table]
    python -m benchmarks.studies.clipart --runs FOLDER --features built-in --noise swap-one:0.5

    apt-get install openclipart-svg openclipart-png    (public domain; nothing of it is in this repository)

The titles and keywords come from the drawings' own metadata. Told for each method and kind of features: mAP@all,
the overlap of labels of the first ten, the drawing's own pair among ten; and how often the name of a drawing, typed
as it stands, finds it among ten. What is done is kept in FOLDER, and not done again; what was recorded before is told,
too.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

import crossbit
from benchmarks.common.page import Section, mean_text, table
from benchmarks.common.runs import read_runs, spread
from crossbit.data import PairedData
from crossbit.errors import UserError
from crossbit.evaluation import parse_measure
from crossbit.evaluation.stats import paired_t
from crossbit.search.build import index_data
from crossbit.search.searcher import Searcher
from crossbit.training.held_out import OVERLAP, PAIR, held_out

METHODS = (
    "look",
    "look, first",
    "nrch",
    "mrl",
    "ucch",
    "ssah",
    "infonce",
    "cca-itq",
    "cca-cosine",
)  # the last: real vectors
FEATURES: dict[str, dict[str, str]] = {"built-in": {}, "pretrained": {"image": "efficientnet", "text": "e5"}}
SETTINGS = {"mrl": {"multi_label": True}}  # not by default: its paper has one label a pair
MEASURES = "mAP@all", OVERLAP, PAIR
CODES = "hit@10(correct=pair)"
WAYS = "image->text", "text->image"
CELL = "method", "features", "seed", "noise"
RECORDED = Path(__file__).parents[1] / "results" / "clipart.json"
TYPED = 500  # names that are typed, drawn from all titles
CLIPART = Path("/usr/share/openclipart")
TITLE, TEXT, TAGS = (f"{{http://purl.org/dc/elements/1.1/}}{name}" for name in ("title", "description", "subject"))
TAG = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
WORKS = "{http://web.resource.org/cc/}Work", "{http://creativecommons.org/ns#}Work"


def drawings(clipart: Path) -> Iterator[dict[str, str]]:
    """A row of the table for each drawing, by its path."""
    for picture in sorted((clipart / "png").rglob("*.png")):
        path = picture.relative_to(clipart / "png")
        drawing = ElementTree.parse(clipart / "svg" / path.with_suffix(".svg")).getroot()
        work = next(found for name in WORKS for found in drawing.iter(name))
        tags = dict.fromkeys((tag.text or "").strip().lower() for tag in work.iterfind(f"{TAGS}//{TAG}"))
        yield {
            "file": f"png/{path}",
            "title": " ".join((work.findtext(TITLE) or "").split()),
            "description": " ".join((work.findtext(TEXT) or "").split()),
            "tags": ";".join(tag for tag in tags if tag),
            "folder": "/".join(path.parts[:-1]),
        }


def collection(folder: Path, clipart: Path) -> Path:
    """A folder with `drawings.csv`, and a link to the pictures beside it."""
    if not (table := folder / "drawings.csv").exists():
        folder.mkdir(parents=True, exist_ok=True)
        os.symlink(clipart / "png", folder / "png")
        rows = list(drawings(clipart))
        with open(table, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return folder


def cells(seeds: int, features: list[str], methods: list[str], noise: str | None) -> Iterator[dict[str, Any]]:
    for seed, kind, method in product(range(seeds), features, methods):
        yield {"method": method, "features": kind, "seed": seed, "noise": noise}


def measured(cell: dict[str, Any], data: PairedData, runs: Path) -> dict[str, Any]:
    """A run, its index, its figures on held-out drawings beside the floor, and how often a name finds its own."""
    out, start = runs / "-".join(map(str, cell.values())), time.perf_counter()
    shutil.rmtree(out, ignore_errors=True)  # of a cell that was interrupted
    features, seed = FEATURES[cell["features"]], cell["seed"]
    method, _, preset = cell["method"].partition(", ")
    settings = {"preset": preset} if preset else SETTINGS.get(method, {})
    asked = {"method": method, "settings": settings, "noise": cell["noise"], "seed": seed}
    model = crossbit.train(data, features=features, out=out, progress=False, **asked)
    trained = time.perf_counter() - start
    figures = held_out(model, data)
    told = {**cell, "seconds": trained, "run": figures.run, "floor": figures.floor}
    if model.metric == "hamming":
        index_data(model, data, out / "index")
        report = crossbit.evaluate(model, data, database="query", measures=[CODES])
        told |= {"unlabelled": report.map, "codes": report.figures[str(parse_measure(CODES))]}
        told |= {"typed": typed(out, data, seed)}
    return told


def typed(run: Path, data: PairedData, seed: int) -> dict[str, float]:
    """How often a title, typed as it stands, finds one of its drawings among the first ten."""
    titles = sorted({str(title) for title in data["text"][data.splits["retrieval"]] if title})
    chosen = np.random.default_rng(seed).choice(titles, min(TYPED, len(titles)), replace=False).tolist()
    found = {}
    with crossbit.open_search(run) as search:
        for by in ("codes", "words", "both"):
            found[by] = float(np.mean([_finds(search, title, by) for title in chosen]))
    return found


def _finds(search: Searcher, title: str, by: str) -> bool:
    """Whether a drawing of that title is found; where the model knows none of its words, none is."""
    try:
        return any(hit.item["caption"] == title for hit in search(title, by=by).image)
    except UserError:
        return False


def merged(recorded: list[dict[str, Any]], done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was recorded, each run replaced by that of its cell if it was done again, and what is new."""
    held = {tuple(run.get(key) for key in CELL): {"noise": None, **run} for run in (*recorded, *done)}
    return list(held.values())


def section(result: dict[str, Any]) -> str:
    """A row for each method, kind of features and noise: each figure's mean over seeds, and the untrained floor's."""
    rows, results = [], result["results"]
    noises = dict.fromkeys(run.get("noise") for run in results)
    for noise, features in product(noises, FEATURES):
        held = [run for run in results if (run.get("noise"), run["features"]) == (noise, features)]
        end = f", {noise}" if noise else ""
        for method in METHODS:
            if some := [run for run in held if run["method"] == method]:
                ahead = _ahead([run for run in held if run["method"] == "look"], some) if method != "look" else ""
                rows.append(
                    [f"{method}, {features}{end}", *_figures(some, "run"), *_queries(some), *_names(some), ahead]
                )
        if not noise and (floors := [run for run in held if run["floor"]]):
            rows.append([f"untrained floor, {features}", *_figures(floors, "floor"), *[""] * 7])
    names = "mAP", "overlap@10", "own pair@10", "own pair@10, codes", "mAP, unlabelled"
    ways = [f"{name} {way}" for name in names for way in ("i→t", "t→i")]
    return table(["", *ways, "name found, codes", "name found", "LOOK ahead in overlap@10 (p)"], rows)


def _ahead(look: list[dict[str, Any]], other: list[dict[str, Any]]) -> str:
    """How far LOOK is ahead in overlap@10, the mean of both directions, and p of a t-test paired over the seeds."""
    each = ({run["seed"]: float(np.mean(list(run["run"][OVERLAP].values()))) for run in runs} for runs in (look, other))
    test = paired_t(*each)
    return f"{test.difference:+.3f} ({test.p:.2g})"


def _figures(runs: list[dict[str, Any]], of: str) -> list[str]:
    ways = [(name, way) for name in MEASURES for way in WAYS]
    return [mean_text(spread(run[of][name][way] for run in runs), 3) for name, way in ways]


def _queries(runs: list[dict[str, Any]]) -> list[str]:
    """Own pairs by codes, and mAP of queries that search one another; not in runs of before."""
    held = [run for run in runs if "unlabelled" in run]
    told = [(name, way) for name in ("codes", "unlabelled") for way in WAYS]
    return [mean_text(spread(run[name][way] for run in held), 3) if held else "" for name, way in told]


def _names(runs: list[dict[str, Any]]) -> list[str]:
    held = [run["typed"] for run in runs if "typed" in run]
    return [mean_text(spread(one[by] for one in held), 2) if held else "" for by in ("codes", "both")]


ABOUT = (
    "Debian's open clip art as an own collection; 810 held-out drawings are the queries; means and deviations over "
    "seeds (a seed draws the weights; the queries stay). Overlap of labels and own pair are of ten as a search shows "
    "them: the shortlist of the codes, re-ranked. *Name found*: a title, typed, finds its drawing among ten."
)
SECTIONS = {"clipart": Section("An own collection: open clip art", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--clipart", type=Path, default=CLIPART)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--features", nargs="+", default=list(FEATURES), choices=FEATURES)
    parser.add_argument("--noise", help="of the training rows' tags, RULE:RATE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only-table", action="store_true", help="of what is done")
    args = parser.parse_args()
    folder, kept = collection(args.runs / "collection", args.clipart), args.runs / "cells.jsonl"
    done = read_runs([kept])
    data: PairedData | None = None
    for cell in [] if args.only_table else cells(args.seeds, args.features, args.methods, args.noise):
        if not any(cell.items() <= run.items() for run in done):
            data = data or crossbit.load_data(folder)
            done.append(measured(cell, data, args.runs))
            with open(kept, "a") as file:
                file.write(json.dumps(done[-1]) + "\n")
    recorded = json.loads(RECORDED.read_text())["result"]["results"] if RECORDED.exists() else []
    print(json.dumps({"settings": {"seeds": args.seeds}, "results": merged(recorded, done)}, indent=1))


if __name__ == "__main__":
    main()
