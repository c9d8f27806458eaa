"""What `crossbit data show` says of a published set: all its recipes, and sizes that are not its own."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from crossbit.bench.recipe.fitting import fitting_recipes, recipes_of
from crossbit.bench.recipe.shipped import shipped
from crossbit.data import PairedData
from crossbit.data.layouts import layouts
from crossbit.data.layouts.parts.base import LayoutFile
from crossbit.data.layouts.parts.published import unlike_published
from crossbit.data.layouts.parts.rules import PUBLISHED
from tiny import Command, runner


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("COLUMNS", "200")
    return runner(capsys)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """NRCH's MIRFlickr-25K with 200 rows: 20 queries, 100 training rows, which are in the database of 180."""
    rng = np.random.default_rng(0)
    rows = {"Query": slice(0, 20), "Train": slice(20, 120), "DataBase": slice(20, 200)}
    with h5py.File(tmp_path / "MIRFlickr.h5", "w") as file:
        for key, width in (("Img", 6), ("Tag", 5), ("Lab", 3)):
            array = rng.integers(2, size=(200, width)).astype("f4") + (key == "Img") * rng.random((200, width))
            for part, at in rows.items():
                file[f"{key}{part}"] = array[at]
    return tmp_path / "MIRFlickr.h5"


def folder_of(layout: str, name: str) -> LayoutFile:
    return LayoutFile(layouts()[layout], Path(name), name, {})


@pytest.mark.parametrize("paper", ["nrch", "ucch", "mrl"])
def test_every_file_that_a_recipe_names_leads_back_to_it(paper: str) -> None:
    family = {stem: recipe["data"] for stem, recipe in shipped().items() if stem.startswith(f"{paper}-")}
    files = {stem: {table["source"] for table in data.values()} for stem, data in family.items()}
    for file in files[f"{paper}-main"]:
        named = recipes_of(paper, Path(file).stem)
        assert sorted(named) == sorted(stem for stem in family if file in files[stem])
        assert named[0] == f"{paper}-main"


@pytest.mark.parametrize(
    ("layout", "name", "mains"),
    [
        ("split-mat", "mirflickr25k", {"ucch": "ucch-main", "nrch": "nrch-main"}),
        ("split-mat", "nus-wide-tc10", {"ucch": "ucch-main"}),
        ("split-mat", "nus-wide-tc21", {"nrch": "nrch-main"}),
        ("coco-h5", "mine", {"ucch": "ucch-main", "nrch": "nrch-main"}),
        ("nrch-h5", "IAPR", {"file": "nrch-main"}),
        ("mrl-mat", "INRIA-Websearch", {"mrl": "mrl-main"}),
        ("dcmh", "FLICKR-25K", {"random": "ssah-main"}),
        ("dcmht", "coco", {}),
    ],
)
def test_the_main_recipe_is_the_one_whose_split_it_is(layout: str, name: str, mains: dict[str, str]) -> None:
    fitting = fitting_recipes(folder_of(layout, name))
    assert {rule: recipes[0] for rule, recipes in fitting.items()} == mains


def test_a_set_of_no_paper_is_in_the_main_recipe_alone() -> None:
    assert recipes_of("nrch", "mine") == ["nrch-main"]


@pytest.mark.parametrize("name", layouts())
def test_every_layout_leads_to_recipes_that_are_there(name: str) -> None:
    for rule, recipes in fitting_recipes(folder_of(name, "iapr")).items():
        assert rule in layouts()[name].rules and set(recipes) <= set(shipped())


@pytest.mark.slow
def test_show_names_all_recipes_of_the_set_and_sizes_that_are_not_its_own(small: Path, command: Command) -> None:
    told = json.loads(command("data", "show", small, "--json").out)
    assert told["recipes"] == {"file": "nrch-main"}
    assert len(told["further_recipes"]["file"]) == 4
    shown = command("data", "show", small).out
    assert "nrch-main, split 'file'; also nrch-ablation, nrch-curves, nrch-efficiency, nrch-sensitivity" in shown
    sizes = "200 pairs, it has 20,015; 20 query rows, it has 2,000; 100 train rows, it has 10,000"
    assert f"not the published set: {sizes}; figures do not compare with the paper's" in " ".join(shown.split())


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_are_not_remarked_on(name: str) -> None:
    known = PUBLISHED[name]
    for n in known.pairs:
        rest = np.arange(known.queries, n)
        splits = {"query": np.arange(known.queries), "train": rest[: known.train], "retrieval": rest}
        data = PairedData(name, {"x": np.zeros((n, 1), np.float32)}, None, splits)
        assert unlike_published(data, fixed=True) == []
        assert unlike_published(data.replace(name="mine"), fixed=True) == []
        splits["train"] = splits["train"][1:]
        assert [len(unlike_published(data.replace(splits=splits), fixed=fixed)) for fixed in (True, False)] == [1, 0]
