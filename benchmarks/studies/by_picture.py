"""What a picture finds: by the texts of the items, by their pictures, or by both; one JSON object out.

    python -m benchmarks.studies.by_picture NAME=RUN[,DATA] ...

Each RUN has an index of its own data. Held-out pictures are searched for, and pictures that the index holds.

- first: the share of held-out pictures whose best hit is of their kind (`crossbit.search.calibrate`); those whose kind
  is in the index.
- of ten: how many of the first ten are of the kind, as a share.
- itself first, itself in ten: the share of the pictures of the index that find their own item there, or another of its
  group.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

import crossbit
from benchmarks.common.page import Section, table
from crossbit.data import PairedData
from crossbit.model.collapse import true_labels
from crossbit.runs.folder import RunFolder
from crossbit.search.calibrate import Kinds, said, varied
from crossbit.search.fusion import thing_of
from crossbit.search.items import ids_of
from crossbit.search.results import SearchHit
from crossbit.search.searcher import Searcher

WAYS = {"codes": "texts", "pictures": "pictures", "both": "both"}
HELD = 500  # pictures of the index that are searched for
FIRST = 10


def figures(search: Searcher, data: PairedData) -> dict[str, dict[str, float]]:
    """By way."""
    names = {data.kind(name): name for name in data.modalities}
    image, text = names["pictures"], names["words"]
    labels, words, database = true_labels(data, np.arange(data.n)), said(data), np.sort(data.splits["retrieval"])
    kinds, saying, ids = Kinds(labels[text][database]), Kinds(words[database]), ids_of(data, database)
    queries = [
        (row, ids[kinds.of(labels[image][row]) | saying.of(words[[row]].toarray()[0])])
        for row in varied(data, image, data.splits["query"])
    ]
    queries = [(row, own) for row, own in queries if len(own)]
    held = np.sort(np.random.default_rng(0).choice(len(database), min(HELD, len(database)), replace=False))
    items, found = search.opened(text).index.items(ids[held]), {}
    for by in WAYS:

        def hits(row: int, by: str = by) -> tuple[SearchHit, ...]:
            return search(picture=data[image][row], k=FIRST, by=by)[text]

        of_kind = np.array([np.isin([hit.id for hit in hits(row)], own)[[0, *range(FIRST)]] for row, own in queries])
        itself = []
        for id_, row in zip(ids[held].tolist(), database[held], strict=True):
            things = [thing_of(hit.id, hit.item) for hit in hits(row)]
            itself.append([thing_of(id_, items[id_]) in things[:most] for most in (1, FIRST)])
        first, ten = np.mean(itself, axis=0)
        found[by] = {
            "queries": len(queries),
            "first": float(of_kind[:, 0].mean()),
            "of ten": float(of_kind[:, 1:].mean()),
            "held": len(held),
            "itself first": float(first),
            "itself in ten": float(ten),
        }
    return found


def section(result: dict[str, Any]) -> str:
    """A row for each run and way."""
    rows = [
        [run, WAYS[by], f"{of['queries']}", *(f"{of[name]:.3f}" for name in SHOWN[:2]), f"{of['held']}"]
        + [f"{of[name]:.3f}" for name in SHOWN[2:]]
        for run, ways in result.items()
        for by, of in ways.items()
    ]
    return table(["", "compared with", "held-out", *SHOWN[:2], "in the index", *SHOWN[2:]], rows)


SHOWN = ["first", "of ten", "itself first", "itself in ten"]
ABOUT = (
    "A picture is compared with the texts of the items, as in the papers, with their pictures, or with both. *First*: "
    "the share of held-out pictures whose best hit is of their kind; *of ten*: the share of the first ten that are. "
    "*Itself*: the share of pictures of the index that find their own item, or another of its group, "
    "first or among ten."
)
SECTIONS = {"by-picture": Section("What a picture finds", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN[,DATA]")
    found = {}
    for each in parser.parse_args().runs:
        name, _, place = each.partition("=")
        run, _, source = place.partition(",")
        with crossbit.open_search(run) as search:
            found[name] = figures(search, RunFolder(run).data(source or None))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
