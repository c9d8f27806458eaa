"""`crossbit export --web`: a page that searches without a server, as files that any static file server sends.

What is in the folder: docs/export.md. Words become features in the browser (`page/words.js`), features become a code by
whole numbers (`page/integer.js`), and codes are compared there (`page/search.js`).
"""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.features import Featuriser
from crossbit.features.as_is import AsIsFeaturiser
from crossbit.features.scaled import ScaledFeaturiser
from crossbit.features.words import WordsFeaturiser
from crossbit.model import Model
from crossbit.model.card import name_of
from crossbit.runs.folder import RunFolder
from crossbit.search.journal import ADDED
from crossbit.search.opened import OpenIndex
from crossbit.search.results import labels_of
from crossbit.search.searcher import open_for_one
from crossbit.storage.thumbnails import thumbnail
from crossbit.storage.words import hidden, letter_class

OWN = ("index.html", "page.css", "page.js", "integer.js", "search.js", "words.js", "vectors.js", "tiles.js")
SERVED = ("style.css", "search.css", "theme.js", "header.js", "dom.js", "live.js", "icon.svg")  # the service's page's
FOLDER = 1000  # pictures in a folder
SHARD = 128  # rare words in a file, which is fetched when one of them is asked for
CHARACTERS = (*range(0x40000), *range(0xE0000, 0xE1000))  # beyond these are private ones and ones that are nothing yet


def check_web(model: Model) -> None:
    """UserError where no browser can encode a query of this model."""
    _asking(model)


def write_web(model: Model, new: RunFolder, data: PairedData | None, added: Path) -> dict[str, Any]:
    """Write the page of an exported folder into its folder `web`.

    Args:
        model: whose featurisers the folder has.
        new: the exported folder, with its index and its encoders in whole numbers.
        data: where pictures are looked up by the items' paths or rows; None takes those at the items' paths.
        added: the folder of the pictures that came through a service.

    Returns:
        For the card: the items, the bytes without pictures, the pictures and their bytes.
    """
    asking = _asking(model)
    found = next((name for name in model.modalities if name != asking), asking)
    page = new.web
    page.mkdir()
    for name, place in [(name, "export") for name in OWN] + [(name, "serve") for name in SERVED]:
        (page / name).write_bytes((files("crossbit") / place / "page" / name).read_bytes())
    shutil.copyfile(new.integer_file(asking), page / "encoder.safetensors")
    kind = _write_features(model.featurisers[asking], page)
    with open_for_one(new) as search:
        index = search.opened(found)
        ids, items = _write_items(index, page)
        about = {
            "data": name_of(str(model.config["data"])),
            "bits": model.bits,
            "reads": kind,
            "dim": model.featurisers[asking].dim,
            "items": len(ids),
        }
    held = _write_pictures(page, items, data, added)
    _write(page / "page.json", {**about, "pictures": held if len(held) < len(ids) else "all"})
    of_pictures = _bytes(page / "pictures")
    sizes = {"bytes": _bytes(page) - of_pictures, "pictures": len(held), "picture_bytes": of_pictures}
    return {"items": len(ids), **sizes}


def _asking(model: Model) -> str:
    """The modality of the queries: the first that reads words, or else the last of vectors."""
    kinds = {name: type(featuriser) for name, featuriser in model.featurisers.items()}
    known: Callable[[Any], list[str]] = lambda wanted: [name for name, kind in kinds.items() if kind in wanted]  # noqa: E731
    reading = [name for name, featuriser in model.featurisers.items() if featuriser.reads == "words"]
    if words := known({WordsFeaturiser}):
        return words[0]
    if reading:
        named = model.featurisers[reading[0]].name
        raise UserError(
            f"--web: no browser runs {named}, which the texts of {reading[0]} are encoded by; train with: --features "
            f"{reading[0]}=words"
        )
    if vectors := known({ScaledFeaturiser, AsIsFeaturiser}):
        return vectors[-1]
    raise UserError("--web: the page searches by words or by vectors, and this model reads neither; export without it")


def _write_items(index: OpenIndex, page: Path) -> tuple[list[int], list[Mapping[str, Any]]]:
    """Codes, captions and labels in the order of ids; the ids and the items."""
    assert index.lowest is not None  # an exported index is a folder
    keys, lowest = index.lowest
    ids, held = keys.tolist(), index.index.items(keys)
    items: list[Mapping[str, Any]] = [held.get(id_) or {} for id_ in ids]
    (page / "codes.bin").write_bytes(index.index.codes_of(keys).tobytes())
    labels = [sorted(labels_of(item)) for item in items]
    names = sorted({name for each in labels for name in each})
    number = {name: at for at, name in enumerate(names)}
    things = np.searchsorted(keys, lowest)
    told = {
        "ids": [str(id_) for id_ in ids],  # some are beyond 2^53
        "captions": [str(item.get("caption") or "") for item in items],
        "labels": [[number[name] for name in each] for each in labels],
        "names": names,
        "things": None if np.array_equal(things, np.arange(len(ids))) else things.tolist(),
    }
    _write(page / "items.json", told)
    return ids, items


def _write_pictures(page: Path, items: Sequence[Mapping[str, Any]], data: PairedData | None, added: Path) -> list[int]:
    """Small pictures of the items that have one; the places of these."""
    folder, held = page / "pictures", []
    for at, (picture, item) in enumerate(zip(_pictures(items, data), items, strict=True)):
        if picture is None and str(item.get("path")).startswith(f"{ADDED}/"):
            picture = str(added / Path(str(item["path"])).name)
        if picture is None:
            continue
        try:
            content = thumbnail(picture)
        except UserError:  # its file is gone or damaged
            continue
        file = folder / str(at // FOLDER) / f"{at}.webp"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        held.append(at)
    return held


def _pictures(items: Sequence[Mapping[str, Any]], data: PairedData | None) -> Iterator[Any]:
    """The picture of each item, as an array or as the path of its file; None where it has none."""
    names = [] if data is None else [name for name in data.modalities if data.kind(name) == "pictures"]
    if data is None or not names:
        yield from (str(path) if (path := item.get("path")) and Path(str(path)).is_file() else None for item in items)
        return
    rows = {} if data.path is None else {path: row for row, path in enumerate(data.path.tolist())}
    pictures: Any = data[names[0]]
    for item in items:
        path = item.get("path")
        row = item.get("row") if path is None else rows.get(str(path))
        yield pictures[row] if isinstance(row, int) and 0 <= row < data.n else None


def _write_features(featuriser: Featuriser, page: Path) -> str:
    """What makes features in the browser; how it is called."""
    if isinstance(featuriser, WordsFeaturiser):
        _write_words(featuriser, page)
        return "words"
    arrays = featuriser.state()[1]
    _write(page / "features.json", {name: array.tolist() for name, array in arrays.items()})
    return "vectors"


def _write_words(featuriser: WordsFeaturiser, page: Path) -> None:
    _, arrays = featuriser.state()
    rare = [] if featuriser.company is None else featuriser.company.words
    told = {"parts": featuriser.vocabularies, "rare": rare, "shard": SHARD, "unicode": _unicode()}
    _write(page / "features.json", told)
    weights = [arrays[f"{part}_idf"] for part in featuriser.vocabularies]
    (page / "weights.bin").write_bytes(np.concatenate(weights).astype("<f4").tobytes())
    for start in range(0, len(rare), SHARD):
        (page / "rare").mkdir(exist_ok=True)
        assert featuriser.company is not None
        means = featuriser.company.means[start : start + SHARD]
        parts = means.indptr.astype("<u4"), means.indices.astype("<u4"), means.data.astype("<f4")
        (page / "rare" / f"{start // SHARD}.bin").write_bytes(b"".join(part.tobytes() for part in parts))


def _unicode() -> dict[str, Any]:
    """What `crossbit.storage.words` asks Python's tables of characters, whose version a browser need not have: what is
    left out, the folded form of each that has one, and the class of each, as first, last and class."""
    return {
        "version": unicodedata.unidata_version,
        "hidden": _ranges(lambda code: "" if hidden(code) else " ")[""],
        "folded": {chr(code): folded for code in CHARACTERS if (folded := chr(code).casefold()) != chr(code)},
        "classes": {kind: ranges for kind, ranges in _ranges(letter_class).items() if kind != " "},
    }


def _ranges(entry: Callable[[int], str]) -> dict[str, list[int]]:
    """By entry the first and the last of each run of characters that have it, one behind the other."""
    found: dict[str, list[int]] = {}
    last, before = -2, ""
    for code in CHARACTERS:
        kind = entry(code)
        if code == last + 1 and kind == before:
            found[kind][-1] = code
        else:
            found.setdefault(kind, []).extend([code, code])
        last, before = code, kind
    return found


def _write(path: Path, told: Any) -> None:
    path.write_text(json.dumps(told, ensure_ascii=False, separators=(",", ":")), encoding="utf-8", errors="replace")


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
