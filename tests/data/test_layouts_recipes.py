"""What `crossbit data show` says of a published set: all its recipes, and sizes that are not its own."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest

from crossbit.data import PairedData
from crossbit.data.layouts.parts.recipes import OTHERS, recipes_of, unlike_published
from crossbit.data.layouts.parts.rules import PUBLISHED
from tiny import Command, runner

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SOURCES = {
    file.stem: {data["source"] for data in tomllib.loads(file.read_text(encoding="utf-8"))["data"].values()}
    for file in RECIPES.glob("*-*.toml")
}


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


@pytest.mark.parametrize("main", OTHERS)
def test_the_table_is_what_the_recipes_say(main: str) -> None:
    family = {stem: sources for stem, sources in SOURCES.items() if stem.split("-")[0] == main.split("-")[0]}
    files = [source for source in family[main] if "." in source]  # the others are neutral, in no layout
    assert files
    for source in files:
        assert sorted(recipes_of(main, Path(source).stem)) == sorted(s for s in family if source in family[s])


def test_show_names_all_recipes_of_the_set_and_sizes_that_are_not_its_own(small: Path, command: Command) -> None:
    told = json.loads(command("data", "show", small, "--json").out)
    assert told["recipes"] == {"file": "nrch-main"}
    assert len(told["further_recipes"]["file"]) == 4
    shown = command("data", "show", small).out
    assert (
        "recipes/nrch-main.toml, split 'file'; also nrch-curves, nrch-sensitivity, nrch-ablation, nrch-efficiency"
        in shown
    )
    sizes = "200 pairs, it has 20,015; 20 query rows, it has 2,000; 100 train rows, it has 10,000"
    assert f"not the published set: {sizes}; figures do not compare with the paper's" in " ".join(shown.split())


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
