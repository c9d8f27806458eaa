"""What a picture finds: by the texts of the items, by their pictures, or by both; one JSON object out.

    python -m benchmarks.studies.by_picture NAME=RUN[,DATA] ...

Each RUN has an index of its own data. Held-out pictures are searched for, and pictures that the index holds.

- first: the share of held-out pictures whose best hit is of their kind (`crossbit.search.calibrate`); those whose kind
  is in the index.
- of ten: how many of the first ten are of the kind, as a share.
- itself first, itself in ten: the share of the pictures of the index that find their own item there, or another of its
  group.
- copies: the same for up to 150 of these pictures after each of `CHANGES`, as `first` and `in ten`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageOps

import crossbit
from benchmarks.common.page import Section, table
from benchmarks.common.runs import tell_of_runs
from crossbit.data import PairedData
from crossbit.model.collapse import true_labels
from crossbit.runs.folder import RunFolder
from crossbit.search.calibrate import Kinds, said, varied
from crossbit.search.fusion import thing_of
from crossbit.search.items import ids_of
from crossbit.search.results import SearchHit
from crossbit.search.searcher import Searcher
from crossbit.storage.pictures import read_picture

WAYS = {"codes": "texts", "pictures": "pictures", "both": "both"}
HELD = 500  # pictures of the index that are searched for
FIRST = 10
COPIES = 150  # of these pictures that are changed


def jpeg(picture: Image.Image, quality: int = 75) -> Image.Image:
    """As a JPEG file gives it back."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def scaled(picture: Image.Image, by: float) -> Image.Image:
    """Of another size, at least one pixel wide and high."""
    return picture.resize((max(1, round(by * picture.width)), max(1, round(by * picture.height))))


def cropped(picture: Image.Image) -> Image.Image:
    """Without a tenth of its width and height at each side."""
    aside, above = picture.width // 10, picture.height // 10
    return picture.crop((aside, above, picture.width - aside, picture.height - above))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 75": jpeg,
    "half as wide and high": lambda picture: scaled(picture, 0.5),
    "128 pixels at most": lambda picture: scaled(picture, 128 / max(picture.size)),
    "in grey": lambda picture: picture.convert("L").convert("RGB"),
    "a tenth cut off at each side": cropped,
    "a tenth of white at each side": lambda picture: ImageOps.expand(picture, max(picture.size) // 10, "white"),
}


def figures(run: str, source: str | None) -> dict[str, dict[str, float]]:
    """By way."""
    with crossbit.open_search(run) as search:
        return by_ways(search, RunFolder(run).data(source))


def by_ways(search: Searcher, data: PairedData) -> dict[str, dict[str, float]]:
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
        copies: dict[str, dict[str, float]] = {}
        for name, change in CHANGES.items():
            known = []
            for at in range(0, len(held), max(1, len(held) // COPIES)):
                copy = np.asarray(change(Image.fromarray(read_picture(data[image][database[held[at]]]))))
                things = [thing_of(hit.id, hit.item) for hit in search(picture=copy, k=FIRST, by=by)[text]]
                own = thing_of(int(ids[held[at]]), items[int(ids[held[at]])])
                known.append([own in things[:most] for most in (1, FIRST)])
            copies[name] = dict(zip(("first", "in ten"), np.mean(known, axis=0).tolist(), strict=True))
        first, ten = np.mean(itself, axis=0)
        found[by] = {
            "queries": len(queries),
            "first": float(of_kind[:, 0].mean()),
            "of ten": float(of_kind[:, 1:].mean()),
            "held": len(held),
            "itself first": float(first),
            "itself in ten": float(ten),
            "copies": copies,
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
    told = table(["", "compared with", "held-out", *SHOWN[:2], "in the index", *SHOWN[2:]], rows)
    copies = [
        [
            run,
            WAYS[by],
            *(f"{of['copies'][name]['first']:.2f} / {of['copies'][name]['in ten']:.2f}" for name in CHANGES),
        ]
        for run, ways in result.items()
        for by, of in ways.items()
        if "copies" in of  # not in what was recorded before
    ]
    if not copies:
        return told
    said = f"The same of copies, {COPIES} or a few more: first / in ten."
    return "\n\n".join([told, said, table(["", "compared with", *CHANGES], copies)])


SHOWN = ["first", "of ten", "itself first", "itself in ten"]
ABOUT = (
    "A picture is compared with the texts of the items, as in the papers, with their pictures, or with both. *First*: "
    "the share of held-out pictures whose best hit is of their kind; *of ten*: the share of the first ten that are. "
    "*Itself*: the share of pictures of the index that find their own item, or another of its group, "
    "first or among ten."
)
SECTIONS = {"by-picture": Section("What a picture finds", ABOUT, section)}


if __name__ == "__main__":
    tell_of_runs(__doc__, figures)
