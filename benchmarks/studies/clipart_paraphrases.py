"""Words that stand in no title: tags typed as queries, in open clip art, by codes alone; one JSON object.

    python -m benchmarks.studies.clipart_paraphrases --runs FOLDER --run NAME [--run NAME ...]

FOLDER is that of `benchmarks.studies.clipart`, NAME a run in it, with its index. A tag is typed where at least five
indexed drawings have it and no word of it in their titles: these can only be found by what their pictures have in
common with the word. Told are, over the tags, the share of the first ten drawings that have the tag without the word,
how often there is one among them, and the share of tags that the model knows a word of.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import crossbit
from benchmarks.common.page import Section, table
from crossbit.data import PairedData, load_data
from crossbit.errors import UserError
from crossbit.search.searcher import Searcher

FEWEST = 5  # drawings that have the tag, and no word of it in their titles
K = 10


def words(text: str) -> set[str]:
    return set(text.lower().replace("_", " ").replace("-", " ").split())


def untitled(data: PairedData) -> dict[str, set[int]]:
    """Of each tag, the indexed rows that have it and no word of it in their titles."""
    rows = data.splits["retrieval"]
    titles, names = [words(str(title)) for title in data["text"][rows]], list(data.label_names)
    found: dict[str, set[int]] = {}
    for row, title, tags in zip(rows.tolist(), titles, np.asarray(data.label)[rows], strict=True):
        for tag in np.flatnonzero(tags):
            if not words(names[tag]) & title:
                found.setdefault(names[tag], set()).add(row)
    return {tag: rows for tag, rows in found.items() if len(rows) >= FEWEST}


def asked(search: Searcher, tags: dict[str, set[int]]) -> dict[str, float]:
    """What typed tags find by codes; a tag that the model knows no word of finds nothing."""
    shares = []
    for tag, rows in tags.items():
        try:
            hits = search(tag.replace("_", " "), by="codes", k=K).image
        except UserError:
            hits = None
        shares.append(np.nan if hits is None else sum(hit.item["row"] in rows for hit in hits) / K)
    share = np.array(shares)
    every = np.nan_to_num(share)
    return {
        "tags": len(tags),
        "known": float((~np.isnan(share)).mean()),
        "share": float(every.mean()),
        "found": float((every > 0).mean()),
    }


def section(result: dict[str, Any]) -> str:
    """A row for each run."""
    rows = [
        [run, f"{of['tags']:,}", f"{of['known']:.2f}", f"{of['share']:.3f}", f"{of['found']:.3f}"]
        for run, of in result["runs"].items()
    ]
    chance = f"{result['chance']:.3f}"
    return table(["", "tags", "known", "of the first ten", "one among ten"], [*rows, ["chance", "", "", chance, ""]])


ABOUT = (
    "Tags typed as queries, by codes alone, and the drawings that have them without the word in their titles. *Of the "
    "first ten*: the share that does; a tag of which the model knows no word counts as 0. One seed."
)
SECTIONS = {"clipart-paraphrases": Section("Words that stand in no title", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--run", action="append", required=True)
    args = parser.parse_args()
    data = load_data(str(args.runs / "collection"))
    tags, told = untitled(data), {}
    for run in args.run:
        with crossbit.open_search(args.runs / run) as search:
            told[run] = asked(search, tags)
    chance = float(np.mean([len(rows) for rows in tags.values()]) / len(data.splits["retrieval"]))
    print(json.dumps({"chance": chance, "runs": told}, indent=1))


if __name__ == "__main__":
    main()
