"""From a recipe to runs: names, cells, and what does not fit the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from crossbit.bench.recipe.grid import BenchRun, expand
from crossbit.bench.recipe.parse import parse_recipe
from crossbit.bench.recipe.recipe import Source
from crossbit.bench.recipe.sources import load_source
from crossbit.data import builtins
from crossbit.errors import UserError
from tiny import arrays, vectors

RUN = BenchRun("toy", "nrch", "", {"width": 16}, 64, "swap-one:0.5", 0, None, "f00", {})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grid")
    np.savez(folder / "toy.npz", **arrays())
    np.savez(folder / "vectors.npz", **vectors())
    np.savez(folder / "unlabelled.npz", **arrays(label=None, label_names=None))
    np.savez(folder / "lonely.npz", **arrays(query=np.arange(0)))
    return folder


def grids(*tables: dict[str, Any], name: str = "toy.npz", **top: Any) -> dict[str, Any]:
    usual = {"data": "toy", "methods": "nrch", "bits": 16, "seeds": 1, "settings": {"width": 8}}
    return {"data": {"toy": {"source": name}}, "grid": [usual | table for table in tables], **top}


def expanded(document: dict[str, Any], root: Path) -> tuple[list[BenchRun], list[str]]:
    recipe, mistakes = parse_recipe(document, "r")
    runs, _, more = expand(recipe, root)
    return runs, mistakes + more


@pytest.mark.parametrize(
    "change",
    [
        {"data": "other"},
        {"method": "ucch"},
        {"variant": "v"},
        {"settings": {"width": 17}},
        {"settings": {"width": 16, "lr": 1.0}},
        {"bits": 32},
        {"noise": "swap-one:0.25"},
        {"noise": "swap-one:0.5:each"},
        {"seed": 1},
        {"validation": 0.1},
        {"fingerprint": "f01"},
        {"features": {"image": "as-is"}},
    ],
    ids=str,
)
def test_all_that_tells_a_run_from_others_is_in_its_name(change: dict[str, Any]) -> None:
    assert replace(RUN, **change).id != RUN.id


def test_a_name_is_readable_and_a_folder() -> None:
    assert replace(RUN, variant="no sep/ü 1", settings={"b": 1, "a": 2}).id.startswith(
        "toy-nrch-no_sep_ü_1-64-swap-one_0"
    )
    assert replace(RUN, settings={"b": 1, "a": 2}).id == replace(RUN, settings={"a": 2, "b": 1}).id


def test_every_combination_once_all_methods_before_the_next_seed(place: Path) -> None:
    table = {"methods": ["nrch", "ucch"], "bits": [16, 32], "noise": ["none", "swap-one:0.5"], "seeds": [3, 1]}
    runs, mistakes = expanded(grids(table), place)
    assert mistakes == []
    assert len({run.id for run in runs}) == len(runs) == 2 * 2 * 2 * 2
    assert [run.seed for run in runs] == [3] * 8 + [1] * 8
    assert {run.method for run in runs[:2]} == {"nrch"}


def test_settings_are_laid_over_one_another(place: Path) -> None:
    table = {
        "methods": ["nrch", "ucch"],
        "epochs": 7,
        "settings": {"width": 8, "lr": 0.5, "threshold": 0.25, "nrch": {"lr": 0.125, "epochs": 5}},
        "variants": [{"label": "v", "method": "nrch", "settings": {"width": 4}}],
    }
    document = grids(table, quick={"epochs": 2, "settings": {"width": 2, "nrch": {"batch": 3}}})
    recipe, mistakes = parse_recipe(document, "r")
    assert mistakes == []
    plain = {(run.method, run.variant): run.settings for run in expand(recipe, place)[0]}
    nrch, ucch, variant = plain["nrch", ""], plain["ucch", ""], plain["nrch", "v"]
    assert (nrch["width"], nrch["lr"], nrch["epochs"], nrch["threshold"], nrch["batch"]) == (8, 0.125, 5, 0.25, 128)
    assert (ucch["width"], ucch["lr"], ucch["epochs"]) == (8, 0.5, 7)
    assert "threshold" not in ucch
    assert variant == {**nrch, "width": 4}
    quick = {(run.method, run.variant): run.settings for run in expand(recipe.reduced(), place)[0]}
    assert quick["nrch", ""] == {**nrch, "width": 2, "epochs": 2, "batch": 3}
    assert quick["nrch", "v"]["width"] == 4
    assert quick["ucch", ""]["width"] == 2


def test_common_epochs_are_for_methods_that_iterate(place: Path) -> None:
    table = {
        "methods": ["nrch", "cca-itq", "classifier", "random", "cca-sign"],
        "epochs": 7,
        "settings": {"cca-sign": {"epochs": 3}},
        "variants": [{"label": "v", "method": "random", "settings": {"epochs": 2}}],
    }
    recipe, mistakes = parse_recipe(grids(table, quick={"epochs": 4}), "r")
    assert mistakes == []
    epochs = {run.method + run.variant: run.settings["epochs"] for run in expand(recipe, place)[0]}
    assert epochs == {"nrch": 7, "cca-itq": 1, "classifier": 1, "random": 1, "cca-sign": 3, "randomv": 2}
    quick = {run.method + run.variant: run.settings["epochs"] for run in expand(recipe.reduced(), place)[0]}
    assert quick == {**epochs, "nrch": 4}


def test_a_cell_that_two_grids_share_is_run_once(place: Path) -> None:
    runs, mistakes = expanded(grids({"bits": [16, 32]}, {"bits": 16}), place)
    assert (len(runs), mistakes) == (2, [])


def test_a_cell_has_one_set_of_settings(place: Path) -> None:
    _, (line,) = expanded(grids({}, {"settings": {"width": 9}}), place)
    assert line.startswith("grid 2: nrch on toy is in an earlier grid with other width")
    variant = {"label": "wide", "method": "nrch", "settings": {"width": 9}}
    runs, mistakes = expanded(grids({}, {"variants": [variant]}), place)
    assert ([(run.variant, run.settings["width"]) for run in runs], mistakes) == ([("", 8), ("wide", 9)], [])


def test_all_that_does_not_fit_the_data_is_told_at_once(place: Path) -> None:
    table = {"methods": ["nrch", "mrl"], "noise": ["none", "flip:0.5"], "data": ["toy", "gone", "nowhere"]}
    document = grids(table)
    document["data"]["gone"] = {"source": "gone.npz"}
    _, mistakes = expanded(document, place)
    told = "\n".join(mistakes)
    assert "[data.gone]: " in told
    assert "gone.npz does not exist; --data-root" in told
    assert f"grid 1: unknown data 'nowhere'; known: {', '.join(sorted([*builtins(), 'gone', 'toy']))}" in told
    assert "grid 1, toy: noise 'flip' is for one label per row" in told
    assert "grid 1, toy: mrl is for one class a sample" in told
    assert "the setting multi_label=true asks for" in told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("unlabelled.npz", "no true labels"),
        ("lonely.npz", "split 'query' has no rows"),
    ],
)
def test_data_that_cannot_be_scored(name: str, told: str, place: Path) -> None:
    runs, (line,) = expanded(grids({}, name=name), place)
    assert runs == []
    assert line.startswith("[data.toy]: ")
    assert told in line


def test_files_in_a_layout_are_split_as_the_recipe_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = {"XAll": rng.random((60, 5)), "YAll": rng.random((60, 4)), "LAll": rng.integers(0, 2, (60, 3))}
    for part, (key, array) in zip(("xall-vgg", "yall", "lall"), parts.items(), strict=True):
        savemat(tmp_path / f"toy-{part}.mat", {key: array})
    queries, names = [], []
    for split in ({}, {"split": "ucch:7"}, {"split": "nrch:7:20"}):
        document = grids({}, data={"toy": {"source": "toy-xall-vgg.mat", **split}})
        runs, mistakes = expanded(document, tmp_path)
        assert mistakes == []
        names.append(runs[0].id)
        recipe, _ = parse_recipe(document, "r")
        source = expand(recipe, tmp_path)[1]["toy"]
        queries.append(load_source(source).splits["query"].tolist())
    assert queries == [list(range(54, 60)), list(range(53, 60)), list(range(7))]
    assert len(set(names)) == 3
    for split, told in (("uch", "unknown split rule 'uch'; did you mean 'ucch'"), ("nrch:99", "of the 60 rows")):
        document = grids({}, data={"toy": {"source": "toy-xall-vgg.mat", "split": split}})
        _, (line,) = expanded(document, tmp_path)
        assert line.startswith("[data.toy]: ") and told in line
    np.savez(tmp_path / "toy.npz", **arrays())
    _, (line,) = expanded(grids({}, data={"toy": {"source": "toy.npz", "split": "ucch"}}), tmp_path)
    assert "is split already" in line


def test_weights_that_are_not_there_are_told_before_anything_runs(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"width": 8, "pictures": "cnn-f", "weights": "cnn-f.mat"}
    document = grids({"methods": "ssah", "bits": [16, 32], "noise": ["none", "swap-one:0.5"], "settings": settings})
    mistakes = expanded(document, place)[1]
    assert mistakes and set(mistakes) == {
        f"grid 1, toy: weights {tmp_path / 'cnn-f.mat'} do not exist; "
        "put the file there, or give its path as the setting weights"
    }
    (tmp_path / "cnn-f.mat").write_bytes(b"")
    runs, mistakes = expanded(document, place)
    assert (len(runs), mistakes) == (4, [])


def test_some_of_the_modalities(place: Path) -> None:
    source = Source("v", str(place / "vectors.npz"))
    whole = load_source(source)
    first, second, *_ = whole.modalities
    turned = load_source(replace(source, modalities=(second, first)))
    assert list(turned.modalities) == [second, first]
    alone = load_source(replace(source, modalities=(second,)))
    assert list(alone.modalities) == [second]
    np.testing.assert_array_equal(alone[second], whole[second])
    assert {whole.source, turned.source, alone.source} == {source.source}  # every command finds them by it
    with pytest.raises(UserError, match="unknown modality 'sound'"):
        load_source(replace(source, modalities=("sound",)))


def test_features_by_modality(place: Path) -> None:
    """Named ones, those of `standardise`, and the method's default where a recipe says nothing."""
    names, found = [], []
    for asked in ({}, {"standardise": True}, {"standardise": False}, {"features": {"text": "as-is"}}):
        document = grids({}, data={"toy": {"source": "vectors.npz", **asked}})
        runs, mistakes = expanded(document, place)
        assert mistakes == []
        names.append(runs[0].id)
        found.append(runs[0].features)
    both = ["scaled", "scaled"], ["scaled", "scaled"], ["as-is", "as-is"], ["scaled", "as-is"]
    assert [[each["image"], each["text"]] for each in found] == list(both)
    assert len(set(names)) == 3 and names[0] == names[1]
    _, (line,) = expanded(grids({}, data={"toy": {"source": "toy.npz", "standardise": True}}), place)
    assert "these data have none" in line


@pytest.mark.parametrize(
    ("features", "told"),
    [
        ({"image": "scalde"}, "[data.toy]: features: image: unknown kind of features 'scalde'; did you mean 'scaled'"),
        ({"sound": "scaled"}, "[data.toy]: unknown modality 'sound'"),
        ({"text": "words"}, "text=words are of words, and text holds vectors; take one of: as-is, scaled"),
        ({"image": 3}, "[data.toy]: features: image: must be text, got 3"),
        ({"image": "clip"}, "[data.toy]: features: image: features clip need a folder or a hub's name behind a colon"),
        ({"image": "clip:b32"}, "grid 1, toy: features image=clip:b32 are of pictures, and image holds vectors"),
        ("scaled", "[data.toy]: features: it is 'scaled'; it must be a table"),
    ],
)
def test_features_that_do_not_fit_are_refused(place: Path, features: Any, told: str) -> None:
    document = grids({}, data={"toy": {"source": "vectors.npz", "features": features}})
    assert told in expanded(document, place)[1][0]
