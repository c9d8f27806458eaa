"""`crossbit data` on public files: what they are, what is missing, which recipe fits, and what they become."""

import json
import re

import h5py
import numpy as np
import pytest
import scipy.io

from crossbit.data import load_data
from crossbit.data.layouts import about, layouts
from tiny import runner

RNG = np.random.default_rng(3)


@pytest.fixture
def command(capsys):
    return runner(capsys)


@pytest.fixture
def flickr(tmp_path):
    """MIRFlickr-25K as three small MATLAB files; 2,050 pairs."""
    folder = tmp_path / "flickr"
    folder.mkdir()
    for letter, width in (("x", 6), ("y", 9), ("l", 4)):
        array = RNG.integers(0, 2, (2050, width)).astype("f4") + (letter == "x") * RNG.normal(
            size=(2050, width)
        ).astype("f4")
        scipy.io.savemat(
            folder / f"mirflickr25k-{letter}all{'-vgg' * (letter == 'x')}.mat", {f"{letter.upper()}All": array}
        )
    return folder


def shown(ran):
    assert ran.code == 0, ran.errors
    return json.loads(ran.out)


def test_list_names_every_layout_and_its_rules(command):
    said = re.sub(r"\s+", " ", command("data", "list").out)
    for name, layout in layouts().items():
        assert name in said and layout.rules[0] in said and len(about(layout)) > 20


def test_show_says_what_it_is_and_which_recipe_fits(flickr, command):
    told = shown(command("data", "show", flickr, "--json"))
    assert (told["layout"], told["missing"], told["problem"]) == ("split-mat", [], None)
    assert told["recipes"] == {"ucch": "ucch-main", "nrch": "nrch-main"}
    assert told["splits"] == {"train": 50, "query": 2000, "retrieval": 50}
    assert told["modalities"]["text"] == {"kind": "vectors", "shape": [2050, 9], "dtype": "float32"}
    assert any("the default; others: nrch" in note for note in told["notes"])
    text = re.sub(r"\s+", " ", command("data", "show", flickr).out)
    assert "split-mat: UCCH's MIRFlickr-25K" in text and "nrch-main, split 'nrch'" in text and "2,000 rows" in text


def test_show_says_what_is_missing(flickr, command):
    (flickr / "mirflickr25k-lall.mat").unlink()
    told = shown(command("data", "show", flickr, "--json"))
    assert (told["layout"], told["missing"]) == ("split-mat", ["LAll in mirflickr25k-lall.mat"])
    assert "pairs" not in told
    assert "LAll in mirflickr25k-lall.mat" in command("data", "show", flickr).out
    for verb in (["data", "convert", flickr, flickr / "out"], ["train", flickr, "--out", flickr / "run"]):
        ran = command(*verb)
        assert ran.code == 2 and "lacks: LAll in mirflickr25k-lall.mat" in ran.errors[-1]


def test_show_says_what_it_is_where_a_rule_does_not_fit(tmp_path, command):
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["XAll"], file["YAll"], file["LAll"] = np.eye(9, 4), np.eye(9), np.eye(9, 2)
    told = shown(command("data", "show", tmp_path / "mine.h5", "--json"))
    assert told["layout"] == "coco-h5" and "YAll is square, (9, 9)" in told["problem"]
    assert (
        shown(command("data", "show", tmp_path / "mine.h5", "--no-transposed", "--split", "ucch:2", "--json"))[
            "splits"
        ]["query"]
        == 2
    )
    assert command("data", "show", tmp_path / "mine.h5", "--no-transposed", "--split", "ucch:20").code == 2


def test_convert_writes_what_the_rule_says_and_says_so(flickr, tmp_path, command):
    ran = command("data", "convert", flickr, tmp_path / "out", "--split", "nrch:40:60")
    assert ran.code == 0 and "queries are the first 40 of 2,050 rows" in " ".join(ran.errors)
    data = load_data(tmp_path / "out")
    assert (data.splits["query"].tolist(), len(data.train), len(data.retrieval)) == (list(range(40)), 60, 2010)
    assert isinstance(data["image"], np.memmap)
    assert command("data", "convert", flickr, tmp_path / "out").code == 2  # nothing is overwritten
    assert command("data", "convert", flickr, tmp_path / "v.npz", "--split", "ucch:9", "--vectors").code == 0
    assert len(load_data(tmp_path / "v.npz").query) == 9


@pytest.mark.slow
def test_training_takes_a_layout_as_it_is(flickr, tmp_path, command):
    words = ["--method", "random", "--bits", "8", "--out", tmp_path / "run", "--quiet"]
    assert command("train", flickr, *words).code == 0
    assert command("evaluate", tmp_path / "run").code == 0


def test_a_file_that_is_none_of_them(tmp_path, command):
    scipy.io.savemat(tmp_path / "x.mat", {"banana": np.eye(3)})
    ran = command("data", "show", tmp_path / "x.mat")
    assert ran.code == 2 and "holds banana, which is none of the known layouts: coco-h5" in ran.errors[0]
