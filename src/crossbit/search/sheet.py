"""Sheets of pictures: one HTML file with everything inside, for a person to see at once what a search finds."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from crossbit.data.types import PairedData
from crossbit.index.embeddings import cosines, shortlist
from crossbit.model import Model
from crossbit.search.fusion import fused, thing_of
from crossbit.search.items import items_of
from crossbit.search.results import SearchHit, SearchResults, labels_of
from crossbit.storage.files import writing
from crossbit.storage.picture_files import PictureFiles

SIDE = 96  # pixels of a thumbnail, at most
LABELS = 4  # that are shown of a hit, at most
QUERIES, SHOWN = 10, 6  # in the sheet of a run: queries of each direction, hits of each
DATABASE = 5000  # rows that are searched for it, at most: it is to cost seconds


@dataclass(frozen=True)
class Card:
    """What is shown of a thing: its picture as a data address (empty for none), what it is, further lines, and whether
    it is marked as right."""

    picture: str
    said: str
    more: Sequence[str] = ()
    right: bool = False


@dataclass(frozen=True)
class Asked:
    """A query and what it found."""

    asked: Card
    hits: Sequence[Card]


@dataclass(frozen=True)
class Section:
    """Queries of one kind."""

    title: str
    queries: Sequence[Asked]


def write_page(path: str | os.PathLike[str], title: str, lines: Sequence[str], sections: Sequence[Section]) -> None:
    """Write a sheet."""
    text = _rendered("sheet.html", title=title, lines=lines, sections=sections)
    with writing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def show(results: SearchResults, data: PairedData | None = None) -> Shown:
    """Results as a notebook shows them: a grid of pictures with captions, labels and what they share with the query.

    Args:
        results: what was found.
        data: where the pictures are looked up by the items' paths or rows; None takes those at the items' paths.

    >>> hit = SearchHit(7, "image", 3, 0.5, {"caption": "a <b>red</b> fox"}, why=("fox",))
    >>> shown = show(SearchResults("fox", {"image": (hit,)}, seconds=0.002, compared=90, exact=True, fits=0.08))
    >>> shown
    <SearchResults for fox: 1 of 90 codes in 2.0 ms
     image  id 7  distance 3  cosine 0.500  a <b>red</b> fox>
    >>> html = shown._repr_html_()
    >>> "a &lt;b&gt;red&lt;/b&gt; fox" in html, "in common: fox" in html, "Nothing here seems to fit (8 %)" in html
    (True, True, True)
    """
    return Shown(results, data)


@dataclass(frozen=True)
class Shown:
    """What `show` gives: HTML in a notebook, and the results' own text elsewhere."""

    results: SearchResults
    data: PairedData | None = None

    def __repr__(self) -> str:
        return repr(self.results)

    def _repr_html_(self) -> str:
        return _rendered("results.html", lines=_lines(self.results), sections=_sections(self.results, self.data))


def write_results(
    path: str | os.PathLike[str], results: SearchResults, data: PairedData | None, picture: Any = None
) -> None:
    """Write a sheet of what a search found.

    Args:
        path: the file.
        results: what was found.
        data: where the pictures are looked up by the items' paths or rows; None leaves them out.
        picture: the query's, whatever `read_picture` takes.
    """
    write_page(path, f"Found for {results.query}", _lines(results), _sections(results, data, picture))


def _lines(results: SearchResults) -> list[str]:
    said = results.nothing_fits
    return [*([said] if said else []), *results.notes]


def _sections(results: SearchResults, data: PairedData | None, picture: Any = None) -> list[Section]:
    """A section for each modality, with the query in front."""
    from crossbit.storage.pictures import read_picture

    asked = Card("" if picture is None else thumbnail(read_picture(picture)), results.query)
    pictures = Pictures(data)
    return [
        Section(
            f"{modality}: {len(hits)} found", [Asked(asked, [hit_card(hit, pictures.of(hit.item)) for hit in hits])]
        )
        for modality, hits in results.hits.items()
    ]


def _rendered(template: str, **values: Any) -> str:
    page = Environment(loader=PackageLoader("crossbit.search"), autoescape=True, undefined=StrictUndefined)
    return page.get_template(template).render(**values)


def write_sheet(run_folder: str | os.PathLike[str], data: PairedData, model: Model) -> Path | None:
    """Write `sheet.html` into a run: ten held-out queries of each direction, drawn by the run's seed.

    Only pairs of pictures and words have one. Codes alone are searched, and re-ranked by cosine as in a search.

    Returns:
        The file; None where the data has no pictures and words, no queries or no database.
    """
    kinds: dict[str, str] = {data.kind(name): name for name in model.modalities}
    if not {"pictures", "words"} <= kinds.keys() or not len(data.query) or not len(data.retrieval):
        return None
    random = np.random.default_rng([model.config.get("seed", 0), 7])
    queries = np.sort(random.permutation(data.splits["query"])[:QUERIES])
    database = np.sort(random.permutation(data.splits["retrieval"])[:DATABASE])
    directions = (("words", "pictures", "Words find pictures"), ("pictures", "words", "A picture finds words"))
    sections = [
        Section(title, _found(data, model, kinds[given], kinds[sought], queries, database))
        for given, sought, title in directions
    ]
    lines = [
        f"{len(queries)} queries that were held out of training, among {len(database):,} pairs"
        + (f" drawn from the {len(data.retrieval):,} of the database" if len(database) < len(data.retrieval) else "")
        + ". The first of each line is the query with its own pair; then what it found, the best first.",
        "A green frame: it shares a label with the query." if data.label is not None else "The data has no labels.",
    ]
    target = Path(run_folder) / "sheet.html"
    write_page(target, f"What {Path(run_folder).resolve().name} finds", lines, sections)
    return target


def _found(
    data: PairedData, model: Model, given: str, sought: str, queries: np.ndarray, database: np.ndarray
) -> list[Asked]:
    """What queries of one modality find among rows of another."""
    held = model.ordering(sought, data[sought][database]).astype(np.float64)
    items, pictures = _items(data, database), Pictures(data)
    things = {at: thing_of(int(row), items[at]) for at, row in enumerate(database)}
    shown = []
    asking = model.ordering(given, data[given][queries]).astype(np.float64)
    for query, row in zip(asking, queries.tolist(), strict=True):
        (asked,) = _items(data, np.array([row]))
        near = _best(query, held, model.bits)
        best = fused({"codes": [(at, distance, None) for at, distance in near]}, things)
        hits = [
            SearchHit(int(database[at]), sought, distance, None, items[at], more=more)
            for (at, distance, _), _, more in best[:SHOWN]
        ]
        right = set(labels_of(asked))
        cards = [hit_card(hit, pictures.at(hit.id), not right.isdisjoint(labels_of(hit.item))) for hit in hits]
        labels = ", ".join(map(str, labels_of(asked)))
        shown.append(Asked(Card(pictures.at(row), str(asked.get("caption") or ""), [labels] if labels else []), cards))
    return shown


def _best(query: np.ndarray, held: np.ndarray, bits: int) -> list[tuple[int, int]]:
    """The shortlist by Hamming distance in the order of a search: rows and distances."""
    distances = ((held[:, :bits] >= 0) != (query[:bits] >= 0)).sum(axis=1)
    near = np.argsort(distances, kind="stable")
    near = near[: shortlist(distances[near].astype(np.int32), SHOWN)]
    order = near[np.argsort(-cosines(held[near], query), kind="stable")]
    return list(zip(order.tolist(), distances[order].tolist(), strict=True))


def _items(data: PairedData, rows: np.ndarray) -> list[dict[str, Any]]:
    columns = {name: list(values) for name, values in items_of(data, rows).items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def hit_card(hit: SearchHit, picture: str, right: bool = False) -> Card:
    """A hit with its picture."""
    labels = [str(label) for label in labels_of(hit.item)]
    said = str(hit.item.get("caption") or hit.item.get("path") or f"id {hit.id}")
    more = [", ".join(labels[:LABELS]) + (", ..." if len(labels) > LABELS else "")]
    more += [f"in common: {', '.join(hit.why)}" if hit.why else ""]
    more += [f"distance {hit.distance}" if hit.distance is not None else "", f"by {' and '.join(hit.by)}"]
    more += [f"{hit.more} more" if hit.more else "", Path(str(hit.item.get("path") or "")).name]
    return Card(picture, said, [line for line in more if line and line != said], right)


class Pictures:
    """The pictures of data, found by items; of items that the data do not hold, those at their paths."""

    def __init__(self, data: PairedData | None) -> None:
        self.data = data
        kinds = {} if data is None else {data.kind(name): name for name in data.modalities}
        self.modality = kinds.get("pictures")
        self._rows: dict[str, int] = {}
        if data is not None and data.path is not None:
            self._rows = {path: row for row, path in enumerate(data.path.tolist())}

    def of(self, item: Mapping[str, Any]) -> str:
        """The thumbnail of an item; empty where there is no picture of it."""
        path = item.get("path")
        row = item.get("row") if path is None else self._rows.get(path)
        if self.data is not None and row is not None and 0 <= row < self.data.n:
            return self.at(row)
        return "" if path is None or not Path(path).is_file() else _thumbnail_of(path)

    def at(self, row: int) -> str:
        """The thumbnail of a row; empty where its file cannot be read any more."""
        if self.data is None or self.modality is None:
            return ""
        rows: Any = self.data[self.modality]
        return _thumbnail_of(rows[row]) if isinstance(rows, PictureFiles) else thumbnail(np.asarray(rows[row]))


def _thumbnail_of(path: str) -> str:
    """The thumbnail of a file; empty where it cannot be read."""
    from crossbit.storage.pictures import PictureError, read_picture

    try:
        return thumbnail(read_picture(path))
    except PictureError:
        return ""


def thumbnail(pixels: np.ndarray) -> str:
    """A small picture as a data address: uint8 (h, w, 3) of any size.

    >>> thumbnail(np.zeros((4, 4, 3), np.uint8))[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    small = max(image.size) <= SIDE
    image.thumbnail((SIDE, SIDE))
    data = io.BytesIO()
    image.save(data, "PNG") if small else image.save(data, "JPEG", quality=82)
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(data.getvalue()).decode()}"
