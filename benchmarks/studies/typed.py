"""What typed words find: by codes, by the words of captions and labels, or by both; one JSON object out.

    python -m benchmarks.studies.typed NAME=RUN[,DATA] ...

An index is made of each RUN's data with the labels that training saw, wrong ones included; what is found is judged by
the true labels. 150 of each are typed, drawn with one seed:

- label: the name of a label that ten items and more have; right is what has it.
- its plural: the same names of one word, such as *foxes* for *fox*, or *cat* where the label is *cats*.
- two labels: those of an item; right is what has both.
- caption: of a held-out query; right is what is of its kind by labels (`crossbit.search.calibrate`).
- own caption: of an item; right is what says the same.

Told are the share of right hits among the first ten, and whether the first is right.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.page import Section, table
from benchmarks.common.runs import tell_of_runs
from crossbit.bits.labels import as_matrix
from crossbit.data import PairedData
from crossbit.errors import UserError
from crossbit.model import load_model
from crossbit.runs.folder import RunFolder
from crossbit.search.build import index_data
from crossbit.search.calibrate import Kinds, varied
from crossbit.search.known import learn_from_run
from crossbit.search.searcher import Searcher

WAYS = "codes", "words", "both"
TYPED, FIRST, HOLDERS = 150, 10, 10
Asked = tuple[str, np.ndarray]  # words, and which of the database's rows are right, bool (n,)


def asked(data: PairedData, truth: np.ndarray) -> Iterator[tuple[str, list[Asked]]]:
    """What is typed, by kind; `truth` are the labels of all rows, bool (rows, classes)."""
    random, names = np.random.default_rng(0), data.label_names or []
    database = np.sort(data.splits["retrieval"])
    has = truth[database]
    common = [
        c for c in np.flatnonzero(has.sum(0) >= HOLDERS).tolist() if names[c].isascii() and "hash" not in names[c]
    ]
    drawn = random.permutation(common)[:TYPED].tolist()
    yield "label", [(names[c], has[:, c]) for c in drawn]
    yield "its plural", [(other, has[:, c]) for c in drawn if (other := in_other_number(names[c]))]
    pairs = []
    for row in random.permutation(len(database)).tolist():
        own = [c for c in common if has[row, c]]
        if len(own) > 1 and len(pairs) < TYPED:
            one, other = random.choice(own, 2, replace=False)
            pairs.append((f"{names[one]} {names[other]}", has[:, one] & has[:, other]))
    yield "two labels", pairs
    text = next(name for name in data.modalities if data.kind(name) == "words")
    kinds, said = Kinds(has.astype(np.uint8)), data[text][database]
    rows = random.permutation(varied(data, text, data.splits["query"]))
    held = [(str(data[text][row]), kinds.of(truth[row].astype(np.uint8))) for row in rows]
    yield "caption", [(words, right) for words, right in held if right.any()][:TYPED]
    yield "own caption", [(str(said[row]), said == said[row]) for row in random.permutation(len(database))[:TYPED]]


def in_other_number(name: str) -> str | None:
    """The plural of an English word, or the singular of one that ends in s; None of other names.

    >>> [in_other_number(name) for name in ("fox", "berry", "toy", "cats", "grass", "red fox", "f1")]
    ['foxes', 'berries', 'toys', 'cat', 'grasses', None, None]
    """
    if not (name.isalpha() and name.islower() and len(name) > 2):
        return None
    if re.search("[^s]s$", name):
        return name[:-1]
    if re.search("[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return name + ("es" if re.search("(s|x|z|ch|sh)$", name) else "s")


def figures(run: str, source: str | None) -> dict[str, dict[str, Any]]:
    """By what is typed, and by way."""
    folder, model = RunFolder(run), load_model(run)
    data = folder.data(source)
    truth = as_matrix(np.asarray(data.label), data.classes) > 0
    database, observed, told = np.sort(data.splits["retrieval"]), truth.copy(), {}
    with np.load(folder.arrays_file) as held:
        seen_labels, rows = as_matrix(held["observed_label"], data.classes) > 0, data.splits["train"]
    observed[rows] = seen_labels[rows]
    with tempfile.TemporaryDirectory() as place:
        uri, seen = Path(place) / "index", data.replace(label=observed.astype(np.uint8), observed_label=None)
        index_data(model, seen, uri)
        learn_from_run(model, seen, uri)
        with Searcher(model, uri, folder.path) as search:
            for kind, queries in asked(data, truth):
                told[kind] = {"typed": len(queries)} | {way: found(search, way, queries, database) for way in WAYS}
    return told


def found(search: Searcher, way: str, queries: list[Asked], database: np.ndarray) -> dict[str, float]:
    """The share of right hits, and of right first ones."""
    shares = []
    for words, right in queries:
        try:
            (hits,) = search(words, by=way, k=FIRST).hits.values()
        except UserError:  # the model knows no word of it
            hits = ()
        good = [bool(right[np.searchsorted(database, hit.item["row"])]) for hit in hits]
        shares.append((sum(good) / FIRST, bool(good) and good[0]))
    of_ten, first = np.mean(shares, axis=0)
    return {"of ten": float(of_ten), "first": float(first)}


def section(result: dict[str, Any]) -> str:
    """A row for each run and kind of query."""
    rows = [
        [run, kind, str(of["typed"]), *(f"{of[way][name]:.3f}" for name in ("of ten", "first") for way in WAYS)]
        for run, kinds in result.items()
        for kind, of in kinds.items()
    ]
    head = [f"{name}, {way}" for name in ("of ten", "first") for way in WAYS]
    return table(["", "typed", "how many", *head], rows)


ABOUT = (
    "Typed words are compared with the codes of pictures, with the words of captions and labels, or with both. Labels "
    "are those that training saw; what is right is judged by the true ones. *Of ten*: the share of right hits among "
    "the first ten, less than 1 at best where fewer are right. *First*: the share of searches whose first hit is right."
)
SECTIONS = {"typed": Section("What typed words find", ABOUT, section)}


if __name__ == "__main__":
    tell_of_runs(__doc__, figures)
