"""Several labels in one cell: which separators are taken, which are told of, and what an audit writes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossbit.data import Columns, load_data, look_through
from crossbit.data.collection.relabel import write_corrected
from crossbit.errors import UserError
from shape_collection import draw

PARTS_RECUR = ["cat & dog", "cat & bird", "dog&bird", "dog", "fish"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "c").mkdir()
    return tmp_path / "c"


def collection(place: Path, cells: list[str]) -> Path:
    rng = np.random.default_rng(0)
    for number in range(len(cells)):
        draw("circle", "red", rng).save(place / f"{number}.png")
    rows = [f'{number}.png,"picture {number}","{cell}"' for number, cell in enumerate(cells)]
    (place / "table.csv").write_text("\n".join(["file,caption,labels", *rows, ""]), encoding="utf-8")
    return place


@pytest.mark.parametrize("mark", ["&", "/", "+", ":"])
def test_one_that_names_hold_is_taken_where_parts_recur_beside_others(mark: str, place: Path) -> None:
    found = look_through(collection(place, [cell.replace("&", mark) for cell in PARTS_RECUR]))
    assert found.written == f"joined by '{mark}'"
    assert [name for name, _ in found.labels()] == ["dog", "cat", "bird", "fish"]
    assert not any("--label-separator" in note for note in found.notes())


@pytest.mark.parametrize(
    "cells",
    [
        ["black & white", "salt & pepper", "rock & roll", "black", "white"],
        ["animals/cat", "animals/dog", "animals/bird", "plants/oak", "plants/elm"],
        ["cat & dog", "cat + bird", "dog & bird", "bird + cat", "cat & fish"],  # two of them
        ["C++", "R&B & soul", "C++", "a+", "+b"],
    ],
    ids=["names", "folders", "two kinds", "signs"],
)
def test_names_are_never_parted_and_the_option_is_said(cells: list[str], place: Path) -> None:
    found = look_through(collection(place, cells))
    assert {name for name, _ in found.labels()} == set(cells) and found.written == "one a row"
    assert any("--label-separator '" in note for note in found.notes()) == (cells[0] != "C++")


def test_numbers_are_not_parted(place: Path) -> None:
    found = look_through(collection(place, ["1/2", "1/3", "2/3", "3/2", "3/1"]))
    assert len(found.labels()) == 5 and not any("--label-separator" in note for note in found.notes())


def test_what_is_asked_for_is_taken(place: Path) -> None:
    collection(place, ["animals/cat, black & white", "animals/dog", "plants/oak", "animals/cat"])
    [told] = [note for note in look_through(place).notes() if "--label-separator" in note]
    assert told.startswith("4 labels such as 'animals/cat' hold '/' and are taken as one each; ")
    option = told.rpartition("--label-separator ")[2].strip("'")
    data = load_data(place, label_separator=option)
    assert data.label_names == ["animals", "black & white", "cat", "dog", "oak", "plants"]
    assert data.options == {"label_separator": ",/"}
    whole = load_data(place, label_separator="none")
    assert whole.label_names is not None and "animals/cat, black & white" in whole.label_names


def test_a_separator_that_parts_words_is_refused(place: Path) -> None:
    collection(place, ["cat and dog", "cat", "dog"])
    for wrong in (" and ", ""):
        with pytest.raises(UserError, match=f"--label-separator is '{wrong}'; give the characters"):
            load_data(place, label_separator=wrong)
    assert load_data(place, label_separator=" ").label_names == ["and", "cat", "dog"]


@pytest.mark.parametrize(("separator", "mark"), [(None, " & "), ("&", " & "), ("none", None)])
def test_a_corrected_copy_is_joined_as_the_table_is(separator: str | None, mark: str | None, place: Path) -> None:
    asked = Columns(separator=separator)
    collection(place, PARTS_RECUR)
    new = {str(place / "4.png"): ["fish", "cat"] if mark else ["cat & fish"]}
    assert write_corrected(place, asked, new, place.parent / "new.csv") == 1
    last = (place.parent / "new.csv").read_text().splitlines()[-1]
    assert last == f"4.png,picture 4,{mark.join(['fish', 'cat']) if mark else 'cat & fish'}"
