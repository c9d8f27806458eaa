"""An index after `crossbit add`: filters, captions, audit, evaluate and the check say what is right of old and new."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.runs.folder import RunFolder
from own_runs import ITQ, NAMED, renamed
from shape_collection import Row, draw, make_collection, write_table
from tiny import Command, done, runner

OLD, NEW = 30, 4
ANIMALS = ("walrus", "okapi", "ibis", "zebu")
NEWCOMERS = {f"new {number}.png" for number in range(NEW)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(place: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def later(folder: Path, rows: list[Row]) -> list[Row]:
    """The rows of the next day: the first is gone, the second has another caption, some are new, and so is a column."""
    rng, added = np.random.default_rng(9), []
    for number, animal in enumerate(ANIMALS):
        name = f"pictures/new {number}.png"
        draw("circle", "blue", rng).save(folder / name)
        caption, labels = f"the {animal} of Turin", ["circle", "blue"]
        added.append({**rows[0], "file_name": name, "year": 1990 + number, "caption": caption, "labels": labels})
    changed = rows[1] | {"caption": "a hippopotamus, after all"}
    return [row | {"town": ""} for row in (changed, *rows[2:])] + [row | {"town": "Turin"} for row in added]


def found(command: Command, *words: str) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = json.loads(done(command, "search", "run", *words, "-k", "99", "--json"))["hits"][
        "image"
    ]
    return hits


def names(hits: list[dict[str, Any]]) -> list[str]:
    return [Path(hit["item"]["path"]).name for hit in hits]


def figures(command: Command, words: str) -> Any:
    told = json.loads(done(command, words, "run", "--json"))
    return {name: value for name, value in told.items() if name != "seconds"}


def retrieved() -> list[int]:
    rows: list[int] = RunFolder("run").splits["retrieval"].tolist()
    return rows


@pytest.mark.slow
def test_what_was_added_is_searched_like_the_rest(place: Path, command: Command) -> None:
    """The run's data stay where they were; the next day's are a table beside theirs, named in another way."""
    rows = make_collection(place / "c", OLD)
    done(command, "train", place / "c" / "table.csv", "--out", "run", *ITQ)
    done(command, "index", "run")
    before = [figures(command, words) for words in ("evaluate", "audit")]
    write_table(place / "c", later(place / "c", rows), "tsv")
    queries = [row for row in range(OLD) if row not in retrieved()]
    added = NEW + len([row for row in queries if row > 1])
    unchanged = OLD - 2 - len([row for row in queries if row > 1])
    told = f"{added} added, {1 not in queries:d} changed, {unchanged} unchanged"
    assert done(command, "add", "run", "c/table.tsv").count(told) == 2
    done(command, "index", "run", "--check")
    for animal, name in zip(ANIMALS, sorted(NEWCOMERS), strict=True):
        assert names(found(command, animal, "--by", "words")) == names(found(command, animal))[:1] == [name]
    filters = {
        "town = 'Turin'": NEWCOMERS,
        "year < 2000 AND list_contains(labels, 'blue')": NEWCOMERS,
        "year < 1992": {"new 0.png", "new 1.png"},
    }
    for where, expected in filters.items():
        assert {*names(found(command, "blue circle", "--where", where))} == expected
    assert not NEWCOMERS & {*names(found(command, "blue circle", "--where", "town IS NULL"))}
    assert names(found(command, "hippopotamus", "--by", "words")) == [Path(rows[1]["file_name"]).name]
    assert before == [figures(command, words) for words in ("evaluate", "audit")]
    again = done(command, "add", "run", place / "c" / "table.tsv", "--drop-missing")
    assert again.count(f"0 added, 0 changed, {OLD - 1 + NEW} unchanged") == 2
    assert Path(rows[0]["file_name"]).name not in names(found(command, "red circle"))


@pytest.mark.slow
def test_a_folder_that_grew(place: Path, command: Command) -> None:
    """Named columns are taken for the same; pictures of old and new rows are on the sheet; what is measured is said."""
    rows = make_collection(place / "c", OLD)
    renamed(place / "c", file_name="Datei", caption="Titel", labels="Stichworte")
    done(command, "train", "c", *NAMED, "--out", "run", *ITQ)
    done(command, "index", "run")
    write_table(place / "c", later(place / "c", rows), "csv")
    renamed(place / "c", file_name="Datei", caption="Titel", labels="Stichworte")
    assert ("items of the index are not in c" in done(command, "add", "run", "c")) == (0 in retrieved())
    done(command, "search", "run", "walrus circle", "-k", "9", "--html", "sheet.html")
    assert Path("sheet.html").read_text().count("data:image") == 9
    for words in (["evaluate", "run"], ["audit", "run"]):
        ran = command(*words)
        assert ran.code == 0 and f"pairs new and left out: {NEW + 1}; gone: 2" in ran.errors[0]
    assert json.loads(done(command, "evaluate", "run", "--data", "c", "--json"))["map"]


@pytest.mark.slow
def test_a_column_of_another_type_is_told_with_the_value_that_makes_it_so(place: Path, command: Command) -> None:
    rows = make_collection(place / "c", OLD)
    done(command, "train", "c", "--out", "run", *ITQ)
    done(command, "index", "run")
    rows[7]["year"] = "about 1990"
    write_table(place / "c", rows, "csv")
    ran = command("add", "run", "c")
    assert ran.code == 2 and "'year' holds int, got str: 'about 1990'; a column keeps its type" in ran.errors[-1]
    done(command, "index", "run", "--check")
