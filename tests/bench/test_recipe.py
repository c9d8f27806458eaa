"""Recipes: what a key means, and that every mistake is found at once."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from crossbit.bench.recipe.parse import parse_recipe, read_recipe, setting_names
from crossbit.bench.recipe.recipe import BenchProtocol, Source
from crossbit.data import Columns
from crossbit.errors import UserError
from crossbit.methods import get

ROOT = Path(__file__).resolve().parents[2]
GRID: dict[str, Any] = {"data": "glyphs", "methods": "nrch", "bits": 64}


def documented() -> dict[str, Any]:
    """The recipe in docs/bench.md, which shows every key."""
    return tomllib.loads(re.findall(r"```toml\n(.*?)```", (ROOT / "docs/bench.md").read_text("utf-8"), re.S)[0])


def mistakes_of(**changes: Any) -> list[str]:
    """The mistakes of a recipe with one grid, after changes to that grid."""
    return parse_recipe({"grid": [GRID | changes]}, "r")[1]


def test_the_documented_recipe_is_right() -> None:
    recipe, mistakes = parse_recipe(documented(), "r")
    assert mistakes == []
    assert (recipe.name, recipe.title) == ("noise-study", "Noisy labels on glyphs")
    protocol = recipe.protocol
    assert (protocol.seeds, protocol.databases, protocol.validation) == ((0, 1, 2), ("retrieval", "query"), None)
    assert [name.partition("(")[0] for name in protocol.measures] == ["P@100", "NDCG@50"]
    assert recipe.data == {
        "wikipedia": Source(
            "wikipedia",
            "wikipedia.npz",
            standardise=True,
            modalities=("image", "text"),
            features=(("image", "as-is"),),
        ),
        "flickr": Source("flickr", "mirflickr25k-iall-vgg.mat", split="nrch:2000:10000"),
        "photos": Source("photos", "photos/", columns=Columns(caption="Titel")),
    }
    (grid,) = recipe.grids
    assert (grid.data, grid.methods, grid.bits) == (("glyphs", "wikipedia"), ("nrch", "ucch"), (16, 64))
    assert (grid.noise, grid.seeds) == (("none", "swap-one:0.5"), (0, 1))
    assert grid.settings[0] | {"preset": ""} == {"width": 512, "epochs": 20, "preset": ""}
    assert grid.method_settings == ({"nrch": {"warmup": 4, "epochs": 32}},)
    assert [(v.label, v.method, v.settings) for v in grid.variants] == [
        ("no separator", "nrch", {"threshold": 0.0}),
        ("beta 0.5", "ucch", {"beta": 0.5}),
    ]


def test_a_short_recipe_takes_the_defaults() -> None:
    recipe, mistakes = parse_recipe({"grid": [GRID]}, "short")
    assert mistakes == []
    assert (recipe.name, recipe.title, recipe.protocol, recipe.quick) == ("short", "short", BenchProtocol(), None)
    assert (recipe.grids[0].noise, recipe.grids[0].seeds) == (("none",), (0, 1, 2))


def test_quick_replaces_what_it_names() -> None:
    recipe, _ = parse_recipe(documented(), "r")
    (grid,) = recipe.reduced().grids
    assert (grid.data, grid.seeds, grid.bits, grid.noise) == (("glyphs",), (0,), (16, 64), ("none", "swap-one:0.5"))
    assert grid.settings[1] == {"width": 128, "epochs": 2}
    assert grid.method_settings[1] == {"mrl": {"multi_label": True}}
    assert len(grid.variants) == 2


def test_quick_may_keep_some_methods_only() -> None:
    document = documented()
    document["quick"] |= {"methods": ["ucch"], "noise": "none", "bits": 8}
    (grid,) = parse_recipe(document, "r")[0].reduced().grids
    assert (grid.methods, [variant.label for variant in grid.variants]) == (("ucch",), ["beta 0.5"])
    assert (grid.noise, grid.bits) == (("none",), (8,))


def test_without_quick_there_is_no_reduced_form() -> None:
    with pytest.raises(UserError, match=r"no \[quick\]"):
        parse_recipe({"grid": [GRID]}, "r")[0].reduced()


def test_one_data_set_of_the_recipe_or_another_in_the_place_of_all() -> None:
    document = documented()
    document["grid"].append(GRID | {"data": "wikipedia"})
    recipe, _ = parse_recipe(document, "r")
    assert [grid.data for grid in recipe.on("wikipedia").grids] == [("wikipedia",), ("wikipedia",)]
    elsewhere = recipe.on("folder/other.npz")
    assert [grid.data for grid in elsewhere.grids] == [("other",), ("other",)]
    assert elsewhere.data == {"other": Source("other", "folder/other.npz")}


WRONG = """
titel = "x"
[protocol]
seeds = [0, 1.5, "a", -1]
databases = ["retrieval", "quary"]
measures = ["mAP@5", "precison@5"]
keep_models = 1
validation = 1.0
[data.mine]
standardize = true
split = 2000
[[grid]]
data = ["mine"]
methods = ["nrhc", "ucch"]
bits = [12, 64, "x"]
noise = ["none", "swapone:0.5", "swap-one:2"]
seeds = 0
variants = [
    { label = "a", method = "nrch", ablation = "no separator" },
    { label = "b" },
    { label = "c", method = "ucch" },
    { label = "d", method = "ucch", settings = { bta = 1 } },
]
[grid.settings]
widht = 1
balance = 0.5
multi_label = true
[grid.settings.nrch]
lrr = 2
batch = "x"
[grid.settings.nope]
a = 1
[[grid]]
methods = []
[quick]
seeds = true
"""
EXPECTED = [
    r"recipe: unknown key 'titel'; did you mean 'title'",
    r"\[protocol\]: seeds: a seed must be a whole number from 0, got 1.5",
    r"\[protocol\]: seeds: a seed must be a whole number from 0, got 'a'",
    r"\[protocol\]: seeds: a seed must be a whole number from 0, got -1",
    r"\[protocol\]: databases: unknown database 'quary'; did you mean 'query'",
    r"\[protocol\]: measures: .*precison",
    r"\[protocol\]: keep_models: must be true or false, got 1",
    r"\[protocol\]: validation: must be a share of the training rows",
    r"\[data.mine\]: unknown key 'standardize'; did you mean 'standardise'",
    r"\[data.mine\]: split: must be text, got 2000",
    r"grid 1: methods: unknown method 'nrhc'; did you mean 'nrch'",
    r"grid 1: bits: the code length is 12 bits",
    r"grid 1: bits: must be a whole number, got 'x'",
    r"grid 1: noise: unknown noise rule 'swapone'; did you mean 'swap-one'",
    r"grid 1: noise: noise rate is 2.0",
    r"grid 1: seeds: must be a whole number from 1 to 1,000",
    r"grid 1: variant 'a': unknown ablation of nrch 'no separator'; did you mean 'no noise separator'",
    r"grid 1: variant 'b': it has no method",
    r"grid 1: variant 'c': it changes nothing",
    r"grid 1: variant 'd': settings: unknown setting of ucch 'bta'; did you mean 'beta'",
    r"grid 1: settings: unknown setting 'widht'; did you mean 'width'",
    r"grid 1: settings: no method of this grid has the setting 'multi_label'",
    r"grid 1: settings: unknown setting of nrch 'lrr'; did you mean 'lr'",
    r"grid 1: settings: nrch: setting batch is 'x'",
    r"grid 1: settings: unknown method 'nope'",
    r"grid 2: it has no data",
    r"grid 2: it has no bits",
    r"grid 2: methods: the list is empty",
    r"\[quick\]: seeds: must be a whole number from 1 to 1,000",
]


def test_every_mistake_is_found_at_once_and_nothing_else() -> None:
    _, mistakes = parse_recipe(tomllib.loads(WRONG), "r")
    for expected in EXPECTED:
        assert sum(bool(re.match(expected, line)) for line in mistakes) == 1, expected
    assert len(mistakes) == len(EXPECTED), [line for line in mistakes if not any(re.match(e, line) for e in EXPECTED)]


@pytest.mark.parametrize(
    ("document", "mistake"),
    [
        ({}, "recipe: it has no [[grid]], so there is nothing to run; add one (docs/bench.md)"),
        ({"grid": {"data": "x"}}, "recipe: grid: it is {'data': 'x'}; it must be a list of tables, [[grid]]"),
        ({"grid": [GRID], "protocol": 3}, "recipe: protocol: it is 3; it must be a table of keys and values"),
        ({"grid": [GRID], "data": {"a": 1}}, "[data.a]: it is 1; it must be a table of keys and values"),
        ({"grid": [GRID | {"methods": []}]}, "grid 1: methods: the list is empty"),
        ({"grid": [{"data": "glyphs", "bits": 8}]}, "grid 1: it has no methods and no variants"),
        ({"grid": [GRID], "name": " "}, "recipe: name: must be text, got ' '"),
    ],
)
def test_a_table_of_another_form(document: dict[str, Any], mistake: str) -> None:
    assert mistake in parse_recipe(document, "r")[1]


def test_settings_of_methods_that_are_not_there() -> None:
    assert mistakes_of(settings={"mrl": {"beta": 0.5}}) == [
        "grid 1: settings: mrl is not among the methods of this grid"
    ]
    (line,) = mistakes_of(methods=["nrch", "ssah"], settings={"preset": "papre"})
    assert "unknown preset 'papre'; did you mean 'paper'" in line
    assert mistakes_of(methods=["nrch", "ssah"], settings={"preset": "paper"}) == []


def test_an_unknown_setting_is_told_with_the_nearest_or_with_those_of_the_grids_methods() -> None:
    near = "settings: unknown setting 'widht'; did you mean 'width'?"
    assert mistakes_of(settings={"widht": 1}) == [f"grid 1: {near}"]
    own = sorted(setting_names(get("ucch")) | setting_names(get("random")))
    variant = {"label": "v", "method": "random", "settings": {"epochs": 1}}
    far = f"settings: unknown setting 'zzz'; known: {', '.join(own)}"
    assert mistakes_of(methods="ucch", variants=[variant], settings={"zzz": 1}) == [f"grid 1: {far}"]
    grids = [GRID | {"methods": ["ucch", "random"]}]
    assert parse_recipe({"grid": grids, "quick": {"settings": {"zzz": 1}}}, "r")[1] == [f"[quick]: {far}"]
    assert parse_recipe({"grid": grids, "quick": {"settings": {"widht": 1}}}, "r")[1] == [f"[quick]: {near}"]
    for odd in ({"methods": 3}, {"methods": [["ucch"]]}, {"variants": [1, {"method": []}]}):
        assert any(line.startswith(f"grid 1: {near}") for line in mistakes_of(**odd, settings={"widht": 1}))


def test_settings_that_hold_only_beside_others() -> None:
    both = {"weights": "cnn-f.mat", "pictures": "cnn-f"}  # weights alone are refused
    assert mistakes_of(methods="ssah", settings=both) == []
    assert mistakes_of(methods="ssah", settings={"ssah": both}) == []
    assert mistakes_of(methods="ssah", settings={"pictures": "cnn-f", "ssah": {"weights": "cnn-f.mat"}}) == []
    below = {"variants": [{"label": "pretrained", "method": "ssah", "settings": {"weights": "cnn-f.mat"}}]}
    assert mistakes_of(settings={"pictures": "cnn-f"}, **below) == []
    assert mistakes_of(settings={"ssah": {"pictures": "cnn-f"}}, **below) == []
    for alone in ({"settings": {"ssah": {"weights": "cnn-f.mat"}}, "methods": "ssah"}, below):
        (line,) = mistakes_of(**alone)
        assert "weights 'cnn-f.mat' need a network that takes them: set pictures=cnn-f" in line


def test_common_settings_are_tried_without_the_data() -> None:
    changes = {"methods": ["nrch", "ucch"], "data": "gone", "epochs": -3, "settings": {"width": 8, "lr": "fast"}}
    recipe, mistakes = parse_recipe({"grid": [GRID | changes]}, "r")
    assert mistakes == [
        "grid 1: settings: nrch: setting lr is 'fast'; it must be a number, such as 0.0005",
        "grid 1: settings: nrch: setting epochs is -3; it must be at least 1",
    ]
    assert recipe.grids[0].settings == ({"width": 8},)  # what is wrong is left out, and told once


@pytest.mark.parametrize("seeds", [1001, 10**12])
def test_seeds_by_the_million_are_a_slip(seeds: int) -> None:
    assert mistakes_of(seeds=seeds) == [
        f"grid 1: seeds: must be a whole number from 1 to 1,000, or a list of seeds; got {seeds}"
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot read"), (b"grid = [", "not a TOML file"), (b"\xff", "line 1 holds byte 0xff, which is not UTF-8")],
)
def test_a_file_that_is_no_recipe(content: bytes | None, told: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "r.toml").write_bytes(content)
    with pytest.raises(UserError, match=told):
        read_recipe(tmp_path / "r.toml")
