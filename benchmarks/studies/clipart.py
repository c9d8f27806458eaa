"""An own collection as people have it: Debian's open clip art, 8,121 drawings with titles and tags; one JSON object.

    python -m benchmarks.studies.clipart --runs FOLDER [--clipart /usr/share/openclipart] [--seeds 3] [--only-table]

    apt-get install openclipart-svg openclipart-png    (public domain; nothing of it is in this repository)

The titles and keywords come from the drawings' own metadata. Told for each method and kind of features: mAP@all,
the overlap of labels of the first ten, the drawing's own pair among ten; and how often the name of a drawing, typed
as it stands, finds it among ten. What is done is kept in FOLDER, and not done again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

import crossbit
from benchmarks.common.page import Section, mean_text, table
from benchmarks.common.runs import read_runs, spread
from crossbit.data import PairedData
from crossbit.errors import UserError
from crossbit.search.build import index_data
from crossbit.search.searcher import Searcher
from crossbit.training.held_out import OVERLAP, PAIR, held_out

METHODS = "look", "nrch", "ucch", "infonce", "cca-itq"
FEATURES: dict[str, dict[str, str]] = {"built-in": {}, "pretrained": {"image": "efficientnet", "text": "e5"}}
MEASURES = "mAP@all", OVERLAP, PAIR
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


def cells(seeds: int) -> Iterator[dict[str, Any]]:
    for seed in range(seeds):
        for features in FEATURES:
            for method in METHODS:
                yield {"method": method, "features": features, "seed": seed}


def measured(cell: dict[str, Any], data: PairedData, runs: Path) -> dict[str, Any]:
    """A run, its index, its figures on held-out drawings beside the floor, and how often a name finds its own."""
    out, start = runs / "-".join(map(str, cell.values())), time.perf_counter()
    shutil.rmtree(out, ignore_errors=True)  # of a cell that was interrupted
    features, seed = FEATURES[cell["features"]], cell["seed"]
    model = crossbit.train(data, method=cell["method"], features=features, seed=seed, out=out, progress=False)
    trained = time.perf_counter() - start
    index_data(model, data, out / "index")
    figures = held_out(model, data)
    return {**cell, "seconds": trained, "run": figures.run, "floor": figures.floor, "typed": typed(out, data, seed)}


def typed(run: Path, data: PairedData, seed: int) -> dict[str, float]:
    """How often a title, typed as it stands, finds one of its drawings among the first ten."""
    titles = sorted({str(title) for title in data["text"][data.splits["retrieval"]] if title})
    chosen = np.random.default_rng(seed).choice(titles, min(TYPED, len(titles)), replace=False).tolist()
    found = {}
    with crossbit.open_search(run) as search:
        for by in ("codes", "captions", "both"):
            found[by] = float(np.mean([_finds(search, title, by) for title in chosen]))
    return found


def _finds(search: Searcher, title: str, by: str) -> bool:
    """Whether a drawing of that title is found; where the model knows none of its words, none is."""
    try:
        return any(hit.item["caption"] == title for hit in search(title, by=by).image)
    except UserError:
        return False


def section(result: dict[str, Any]) -> str:
    """A row for each method and kind of features: the mean over seeds of each figure, and the untrained floor's."""
    rows = []
    for features in FEATURES:
        for method in METHODS:
            some = [run for run in result["results"] if (run["method"], run["features"]) == (method, features)]
            if some:
                rows.append([f"{method}, {features}", *_figures(some, "run"), *_names(some)])
        if held := [run for run in result["results"] if run["features"] == features and run["floor"]]:
            rows.append([f"untrained floor, {features}", *_figures(held, "floor"), "", ""])
    ways = [f"{name} {way}" for name in ("mAP", "overlap@10", "own pair@10") for way in ("i→t", "t→i")]
    return table(["", *ways, "name found, codes", "name found"], rows)


def _figures(runs: list[dict[str, Any]], of: str) -> list[str]:
    ways = [(name, way) for name in MEASURES for way in ("image->text", "text->image")]
    return [mean_text(spread(run[of][name][way] for run in runs), 3) for name, way in ways]


def _names(runs: list[dict[str, Any]]) -> list[str]:
    return [mean_text(spread(run["typed"][by] for run in runs), 2) for by in ("codes", "both")]


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
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only-table", action="store_true", help="of what is done")
    args = parser.parse_args()
    folder, kept = collection(args.runs / "collection", args.clipart), args.runs / "cells.jsonl"
    done = read_runs([kept])
    data: PairedData | None = None
    for cell in [] if args.only_table else cells(args.seeds):
        if not any(cell.items() <= run.items() for run in done):
            data = data or crossbit.load_data(folder)
            done.append(measured(cell, data, args.runs))
            with open(kept, "a") as file:
                file.write(json.dumps(done[-1]) + "\n")
    print(json.dumps({"settings": {"seeds": args.seeds}, "results": done}, indent=1))


if __name__ == "__main__":
    main()
