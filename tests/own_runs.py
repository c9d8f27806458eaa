"""Runs on small own collections: every form of table, every kind of features, through the command line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.cli import main
from crossbit.features.e5 import E5Featuriser
from crossbit.features.efficientnet import EfficientNetFeaturiser
from shape_collection import Row, make_collection, write_table

PICTURES = 24  # of each collection; a fifth are queries
FEW = ("--bits", "16", "--quiet")
ITQ = ("--method", "cca-itq", *FEW)
NAMED = ("--picture-column", "Datei", "--caption-column", "Titel", "--label-column", "Stichworte")


def renamed(folder: Path, **names: str) -> None:
    """Other names for the columns of `table.csv`."""
    table = folder / "table.csv"
    head, _, rest = table.read_text(encoding="utf-8").partition("\n")
    table.write_text(
        ",".join(names.get(name, name) for name in head.strip().split(",")) + "\n" + rest, encoding="utf-8"
    )


def called(folder: Path, name: str) -> None:
    """Another name for the only table."""
    (table,) = folder.glob("table.*")
    table.rename(folder / name)


def with_columns(change: Callable[[int, Row], Row]) -> Callable[[Path], None]:
    """The table once more, each row changed."""

    def rewrite(folder: Path) -> None:
        rows = make_collection(folder, PICTURES)
        write_table(folder, [change(number, row) for number, row in enumerate(rows)], "jsonl")
        (folder / "table.csv").unlink()

    return rewrite


def as_bits(number: int, row: Row) -> Row:
    names = row.pop("labels")
    return row | {name: int(name in names) for name in ("red", "green", "circle", "square")}


def as_said(number: int, row: Row) -> Row:
    return row | {"split": "test" if number % 5 == 0 else "train"}


# name: (what `make_collection` is told, what is done to the folder then, options of every command that reads a table)
FORMS: dict[str, tuple[dict[str, Any], Callable[[Path], None] | None, tuple[str, ...]]] = {
    "csv": ({}, None, ()),
    "tsv": ({"table": "tsv"}, None, ()),
    "semicolons": ({"table": "semicolons", "labelled": 0.6}, None, ()),
    "jsonl": ({"table": "jsonl", "captions": 3}, None, ()),  # several captions in a list
    "parquet": ({"table": "parquet", "labels": "one"}, None, ()),
    "rows": ({"captions": 2}, None, ()),  # a row for each caption
    "folders": ({"table": "folders"}, None, ()),
    "metadata.csv": ({}, lambda folder: called(folder, "metadata.csv"), ()),
    "metadata.jsonl": ({"table": "jsonl"}, lambda folder: called(folder, "metadata.jsonl"), ()),
    "unlabelled": ({"labels": None}, None, ()),
    "uncaptioned": ({"captions": 0}, None, ()),
    "named": ({}, lambda at: renamed(at, file_name="Datei", caption="Titel", labels="Stichworte"), NAMED),
    "bits": ({}, with_columns(as_bits), ()),
    "split": ({}, with_columns(as_said), ()),
}

# name: (form, options of `train`)
RUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "csv": ("csv", ITQ),
    "look": ("csv", ("--method", "look", *FEW, "--epochs", "2", "--noise", "swap-one:0.3")),
    "tsv": ("tsv", (*ITQ, "--noise", "swap-one:0.3")),
    "semicolons": ("semicolons", ("--method", "look", *FEW, "--epochs", "1")),
    "jsonl": ("jsonl", ITQ),
    "parquet": ("parquet", (*ITQ, "--noise", "flip:0.3")),
    "rows": ("rows", ITQ),
    "folders": ("folders", ITQ),
    "metadata.csv": ("metadata.csv", ("--method", "cca-cosine", *FEW)),
    "metadata.jsonl": ("metadata.jsonl", ("--method", "ucch", *FEW, "--epochs", "1", "--set", "width=16")),
    "unlabelled": ("unlabelled", ITQ),
    "uncaptioned": ("uncaptioned", ITQ),
    "named": ("named", (*ITQ, "--noise", "shuffle-pairs:0.2")),
    "bits": ("bits", ("--method", "nrch", *FEW, "--epochs", "1", "--set", "width=16", "--validation", "0.2")),
    "split": ("split", ITQ),
    "networks": ("jsonl", (*ITQ, "--features", "image=efficientnet", "--features", "text=e5")),
    "half": ("csv", (*ITQ, "--features", "text=e5")),
    "auto": ("named", (*ITQ, "--features", "auto")),
    "scaled": ("vectors", (*ITQ, "--features", "text=scaled", "--features", "image=as-is")),
    "as-is": ("vectors", (*ITQ, "--features", "text=as-is")),
}
QUICK = ("named",)


def chosen(names: Any = RUNS) -> list[Any]:
    """Parameters of a test: a few runs are for every time, the others slow."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


def tiny_networks(patched: pytest.MonkeyPatch, weights: Path) -> None:
    """Small functions in the place of the two networks that `auto` takes; all else about them stays."""
    weights.write_text("weights")
    for network in (EfficientNetFeaturiser, E5Featuriser):
        patched.setattr(network, "wanting", classmethod(lambda cls: ""))
        patched.setattr(network, "files", classmethod(lambda cls, argument, *, fetch=False: [weights]))
    patched.setattr(EfficientNetFeaturiser, "side", 16)
    patched.setattr(EfficientNetFeaturiser, "network", lambda self: lambda picture: _blocks(picture))
    patched.setattr(E5Featuriser, "network", lambda self: lambda text: _letters(text))


def _blocks(picture: np.ndarray) -> np.ndarray:
    return picture.reshape(4, 4, 4, 4, 3).mean((1, 3)).ravel().astype(np.float32)


def _letters(text: str) -> np.ndarray:
    counts = Counter(text)
    return np.array([counts[letter] for letter in "abcdefghijklmnopqrstuvwxyz0123456789"], np.float32)


def made(place: Path, form: str) -> Path:
    """A collection of that form, or the vectors of one; made when it is first asked for."""
    if form == "vectors":
        if not (file := place / "vectors.npz").exists():
            assert main(["data", "convert", str(made(place, "csv")), str(file), "--vectors"]) == 0
        return file
    if not (folder := place / f"my {form}").exists():
        options, then, _ = FORMS[form]
        if form not in ("bits", "split"):
            make_collection(folder, PICTURES, **options)
        if then is not None:
            then(folder)
    return folder


def columns_of(name: str) -> tuple[str, ...]:
    """The options that name the columns of a run's data."""
    return FORMS.get(RUNS[name][0], ({}, None, ()))[2]


def trained(place: Path, name: str) -> Path:
    """The folder of a run, trained by the command line when it is first asked for."""
    form, options = RUNS[name]
    if not (run := place / "runs" / name).exists():
        assert main(["train", str(made(place, form)), *columns_of(name), "--out", str(run), *options]) == 0, name
    return run


def indexed(place: Path, name: str) -> Path:
    """The folder of a run with an index."""
    run = trained(place, name)
    if not (run / "index").exists():
        assert main(["index", str(run)]) == 0, name
    return run


def config(run: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((run / "config.json").read_text())
    return held


@contextmanager
def own_place(folder: Path) -> Iterator[Path]:
    """The folder, with a cache of its own, and tiny networks in place of the pretrained ones."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CROSSBIT_CACHE", str(folder / "cache"))
        tiny_networks(patched, folder / "weights")
        yield folder
