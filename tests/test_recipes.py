"""The papers' recipes: they name what there is, plan without a mistake, and published figures find their cells."""

import contextlib
import json
import re
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

import tiny
from crossbit.bench.recipe.grid import expand
from crossbit.bench.recipe.parse import read_recipe
from crossbit.bench.recipe.shipped import FOLDER, recipe_path, shipped
from crossbit.bench.report.published import compare_published
from crossbit.bench.work.store import Result
from crossbit.cli import main
from crossbit.data import load_data
from crossbit.data.noise import parse_noise
from crossbit.evaluation import parse_measure
from crossbit.methods import available, get

PAPERS = [name for name in shipped() if "-" in name]
OURS = [name for name in shipped() if "-" not in name]
PUBLISHED = json.loads((FOLDER / "published.json").read_text(encoding="utf-8"))
FIELDS = {
    **dict.fromkeys(("paper", "table", "where", "data", "method", "variant", "noise"), str),
    **dict.fromkeys(("direction", "database", "measure", "protocol"), str),
    **{"recipes": list, "bits": int, "rate": float, "value": float},
}
DIRECTIONS = {"image->text", "text->image", "average", ""}
MOST_RUNS = 9  # of a recipe in its reduced form
H5_KEYS = {"image": "imgs_deep", "text": "text", "image label": "imgs_labels", "text label": "texts_labels"}
MAT_KEYS = {"image": "img", "text": "txt", "image label": "img_lab", "text label": "txt_lab"}


@cache  # a recipe does not change, and several tests read it
def read(stem):
    return read_recipe(recipe_path(stem))


def pairs(n, classes=4):
    """Features (n, 3), texts (n, 2) and one-class 0/1 labels (n, 4) of n pairs."""
    rng = np.random.default_rng(n)
    return rng.random((n, 3)), rng.random((n, 2)), np.eye(classes)[rng.integers(classes, size=n)]


def write_h5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def write_nrch(path):
    train, more = pairs(20), pairs(9)
    database = [np.concatenate(both) for both in zip(train, more, strict=True)]
    held = {"Query": pairs(8), "Train": train, "DataBase": database}
    names = "Img", "Tag", "Lab"
    write_h5(path, {f"{n}{part}": a for part, arrays in held.items() for n, a in zip(names, arrays, strict=True)})


def write_three(folder, name, image, n):
    """The layout of three files, of which the rule takes the last rows as queries."""
    files = image, f"{name}-yall.mat", f"{name}-lall.mat"
    for file, key, array in zip(files, ("XAll", "YAll", "LAll"), pairs(n), strict=True):
        scipy.io.savemat(folder / file, {key: array})


def classes_apart(keys, parts):
    """MRL's arrays: train, validation and test rows with a class in each modality."""
    arrays = {}
    for part, n in parts.items():
        image, text, label = pairs(n)
        held = {"image": image, "text": text} | dict.fromkeys(("image label", "text label"), label.argmax(axis=1))
        arrays |= {f"{part}_{keys[role]}": array for role, array in held.items()}
    return arrays


def write_neutral(folder, arrays):
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with every file that the recipes ask for: a few pairs in the layouts that people hold."""
    folder = tmp_path_factory.mktemp("sets")
    for name in ("MIRFlickr", "IAPR", "NUS-WIDE", "MS-COCO"):
        write_nrch(folder / f"{name}.h5")
    write_three(folder, "mirflickr25k", "mirflickr25k-iall-vgg.mat", 2020)
    write_three(folder, "nus-wide-tc10", "nus-wide-tc10-xall-vgg.mat", 2120)
    iapr = dict(zip(("VDatabase", "YDatabase", "databaseL"), pairs(20), strict=True))
    iapr |= dict(zip(("VTest", "YTest", "testL"), pairs(8), strict=True))
    scipy.io.savemat(folder / "iapr-tc12-rand.mat", iapr)
    coco = dict(zip(("XAll", "YAll", "LAll"), pairs(5020), strict=True))
    write_h5(folder / "MSCOCO_deep_doc2vec_data_rand.h5py", coco)
    for name in ("wiki_deep_doc2vec_data_corr_ae", "nus_wide_deep_doc2vec_data_42941", "xmedianet_deep_doc2vec_data"):
        write_h5(folder / f"{name}.h5py", classes_apart(H5_KEYS, {"train": 20, "valid": 6, "test": 8}))
    scipy.io.savemat(folder / "INRIA-Websearch.mat", classes_apart(MAT_KEYS, {"tr": 20, "val": 6, "te": 8}))
    _, text, label = pairs(12001)
    images = np.zeros((len(text), 3, 5, 5), np.uint8)
    write_h5(folder / "FLICKR-25K.mat", {"images": images, "YAll": text, "LAll": label})
    for name in ("NUS-WIDE-pictures", "MS-COCO-pictures"):
        write_neutral(folder / name, tiny.arrays())
    for name in ("MIRFlickr-25K-vgg19", "NUS-WIDE-vgg19", "MS-COCO-vgg19"):
        write_neutral(folder / name, tiny.vectors())
    return folder


@pytest.fixture(scope="module")
def plans(root):
    """Of every recipe, on stand-ins of its files: what was asked, the runs, and what is wrong."""
    made = {}
    (root / "imagenet-vgg-f.mat").touch()
    with contextlib.chdir(root):  # where a recipe's weights are looked for
        for stem in PAPERS:
            recipe, mistakes = read(stem)
            runs, _, more = expand(recipe, root)
            made[stem] = recipe, runs, [*mistakes, *more]
    return made


@pytest.mark.slow
@pytest.mark.parametrize("stem", PAPERS)
def test_nothing_is_wrong_where_the_files_are(stem, plans):
    recipe, runs, mistakes = plans[stem]
    assert mistakes == []
    assert {run.data for run in runs} == set(recipe.data)  # every set is used, and read as its layout
    assert recipe.name == stem
    assert "known" in recipe.about.lower() and "--quick" in recipe.about


@pytest.mark.parametrize("stem", PAPERS)
def test_a_missing_file_is_told_of_with_the_way_out(stem, tmp_path):
    recipe, _ = read(stem)
    mistakes = expand(recipe, tmp_path)[2]
    assert len(mistakes) >= len(recipe.data)
    assert all("does not exist; --data-root" in mistake and "--data glyphs" in mistake for mistake in mistakes)


@pytest.mark.slow
@pytest.mark.parametrize("stem", OURS)
def test_nothing_is_wrong_in_our_own_recipes(stem, tmp_path, monkeypatch):
    """On stand-ins of the built-in sets and of Wikipedia's file."""
    for name, arrays in (("many", tiny.arrays(group=np.arange(90) // 2)), ("wikipedia", tiny.vectors())):
        np.savez(tmp_path / f"{name}.npz", **arrays)
    monkeypatch.setattr("crossbit.bench.recipe.sources.builtins", lambda: ["glyphs", "glyphs-hard"])
    monkeypatch.setattr(
        "crossbit.bench.recipe.grid.load_source",
        lambda source: load_data(tmp_path / ("wikipedia.npz" if source.source.endswith("npz") else "many.npz")),
    )
    recipe, mistakes = read(stem)
    runs, _, more = expand(recipe, tmp_path)
    assert [*mistakes, *more] == []
    assert {run.data for run in runs} == set().union(*(grid.data for grid in recipe.grids))


@pytest.fixture(scope="module")
def many_labels(tmp_path_factory):
    """Pairs with several labels, as glyphs has them."""
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, **tiny.arrays())
    return path


@pytest.mark.parametrize("stem", PAPERS)
def test_the_reduced_form_is_small_and_fits_data_with_several_labels(stem, many_labels):
    recipe, _ = read(stem)
    assert recipe.quick is not None and recipe.quick.data == ("glyphs",)
    runs, _, mistakes = expand(recipe.reduced().on(str(many_labels)), Path())
    assert mistakes == []
    assert 1 <= len(runs) <= MOST_RUNS
    assert all(run.settings.get("width", 0) <= 128 and run.settings.get("epochs", 1) <= 4 for run in runs)
    assert len({run.seed for run in runs}) == 1
    assert {run.method for run in runs} == {v.method for g in recipe.grids for v in g.variants} | {
        method for grid in recipe.grids for method in grid.methods
    }


def test_published_figures_are_whole():
    for told in PUBLISHED:
        other = told["method"] not in available() and told["bits"] is None  # how wide another method is, few papers say
        assert {key: type(value) for key, value in told.items()} == FIELDS | ({"bits": type(None)} if other else {}), (
            told
        )
        assert all(told[key] for key in ("paper", "table", "where", "data", "method", "protocol", "recipes")), told
        assert told["direction"] in DIRECTIONS and told["database"] in ("retrieval", "query"), told
        assert told["rate"] == (0.0 if told["noise"] == "none" else parse_noise(told["noise"]).rate), told
        if told["measure"].startswith("mAP"):
            assert 0 < told["value"] < 1 and told["direction"], told
            parse_measure(told["measure"])
        else:
            assert told["measure"].startswith("seconds of ") and told["value"] > 0, told
    places = [tuple(str(told[key]) for key in FIELDS if key not in ("value", "protocol")) for told in PUBLISHED]
    assert len(set(places)) == len(places)


@pytest.mark.slow
@pytest.mark.parametrize("told", PUBLISHED, ids=lambda told: f"{told['paper']}-{told['data']}-{told['method']}")
def test_every_published_figure_has_its_cell_in_its_recipes(told, plans):
    for stem in told["recipes"]:
        recipe, runs, _ = plans[stem]
        here = [run for run in runs if (run.data, run.noise) == (told["data"], told["noise"])]
        here = [run for run in here if told["bits"] in (run.bits, None)]
        assert here and told["database"] in recipe.protocol.databases
        if told["method"] in available():
            assert (told["method"], told["variant"]) in {(run.method, run.variant) for run in here}
            assert ("metric=cosine" in told["measure"]) == (get(told["method"]).metric == "cosine")


def result(told, value):
    """What a bench would hold where that figure was measured."""
    noise = None if told["noise"] == "none" else parse_noise(told["noise"])
    metric = ", metric=cosine" if get(told["method"]).metric == "cosine" else ""
    figure = {"measure": f"mAP@all(ties=expected, empty=skip{metric})", "value": value}
    return Result(
        **{key: told[key] for key in ("data", "method", "variant", "bits")},
        **{"id": "run", "status": "done", "reason": "", "settings": {}, "seed": 0, "epochs": 1, "selection": ""},
        **{"noise": noise.rule if noise else "none", "rate": told["rate"], "each": bool(noise and noise.each)},
        figures=[figure | {key: told[key] for key in ("database", "direction")}],
        **{"seconds": {}, "history": [], "machine": {}},
    )


@pytest.mark.slow
def test_a_bench_puts_the_published_figures_beside_its_own():
    asked = [told for told in PUBLISHED if told["method"] in available() and told["measure"].startswith("mAP")]
    alone = [told for told in asked if told["direction"] != "average"]
    found = compare_published([result(told, told["value"] + 0.5) for told in alone], PUBLISHED)
    assert [row.told for row in found] == asked
    for row in found:
        if row.told["direction"] != "average":
            assert row.difference == pytest.approx(0.5)
        elif row.told["method"] == "nrch":  # published to three digits, as both directions are
            assert row.difference == pytest.approx(0.5, abs=0.00051)


def test_published_figures_are_those_of_the_specifications(shared):
    """Every row of a table, a figure for each code length or noise rate, stands in the paper's specification."""
    rows = {}
    for told in [told for told in PUBLISHED if told["measure"].startswith("mAP")]:
        apart = "rate" if told["paper"] != "MRL" else "bits"
        key = [told[k] for k in ("paper", "table", "where", "data", "method", "variant", "direction", apart)]
        rows.setdefault(tuple(map(str, key)), []).append(told["value"])
    for key, values in rows.items():
        text = " ".join((shared / "methods" / f"{key[0].lower()}.md").read_text(encoding="utf-8").split())
        text = re.sub(r"(?<!\d)0(?=\.\d)", "", text)  # .5 and 0.5 are both written
        spelled = [f"{value:.4f}".lstrip("0").removesuffix("0") for value in values]
        joined = [sign.join(spelled) for sign in (" ", " / ", "/")]
        alone = len(set(spelled)) == 1 and spelled[0] in text
        assert alone or any(row in text for row in joined), (key, spelled)
    for told in [told for told in PUBLISHED if told["measure"].startswith("seconds")]:
        assert f"{told['value']:.2f} s" in (shared / "methods" / f"{told['paper'].lower()}.md").read_text(
            encoding="utf-8"
        )


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["ucch-main", "mrl-ablation"])
def test_the_reduced_form_leaves_tables(stem, many_labels, tmp_path):
    out = tmp_path / "out"
    words = ["bench", stem, "--quick", "--data", many_labels, "--out", out]
    assert main([str(word) for word in words]) == 0
    recipe, _ = read(stem)
    table = (out / "tables.md").read_text(encoding="utf-8").replace("\\", "")  # Markdown's escapes
    assert recipe.title in table
    assert all(variant.label in table for grid in recipe.grids for variant in grid.variants)
