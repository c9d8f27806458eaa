"""The hard glyph set: the glyph set's pairs, captions in which no word of a label is left, every door that takes it."""

import json
import re

import numpy as np
import pytest

from crossbit.bench.bench import prepare
from crossbit.bench.work.estimate import Estimate
from crossbit.data import builtins, glyphs, glyphs_hard, load_data
from crossbit.features.paired import fit_featurisers
from tiny import TRAIN, Command, runner

INFLECTED = ("", "s", "es", "d", "ed", "ing", "r", "er", "wards")


@pytest.fixture(scope="module")
def easy():
    return glyphs.build()


@pytest.fixture(scope="module")
def hard(easy):
    return glyphs_hard.harden(easy)


def label_words() -> set[str]:
    """Every word of the labels' names and rules, `digits?` as digit and digits."""
    words = set()
    for name, rule in glyphs.LABELS.items():
        for word in re.findall(r"[a-z]+\??", f"{name} {rule}"):
            words |= {word[:-2], word[:-1]} if word.endswith("?") else {word}
    return words


@pytest.mark.slow
def test_no_label_word_is_left_in_any_inflection(hard) -> None:
    left = {word for caption in set(hard["text"]) for word in re.findall(r"\w+", caption)}
    words = label_words()
    assert {"greek", "digit", "digits", "letter", "with", "dot", "circled", "filled"} < words
    bare = {re.sub(r"(ed|ing|e|s)$", "", word) for word in words if len(word) > 5}  # of "circled": circle, circles, ...
    forms = {word + ending for word in words | bare for ending in INFLECTED}
    assert left & forms == set()
    known = {
        "dotted",
        "dotless",
        "dashed",
        "squared",
        "equals",
        "diamonds",
        "strokes",
        "accent",
        "shaped",
        "questioned",
    }
    assert left & known == set()  # these are in the names


@pytest.mark.slow
def test_the_rules_of_the_labels_find_nothing(hard) -> None:
    assert not glyphs.label_matrix(hard["text"].tolist()).any()
    assert hard.label.any(axis=1).all()


@pytest.mark.slow
def test_the_other_words_stay_in_their_order(easy) -> None:
    names = np.unique(easy["text"])
    captions = glyphs_hard.without_label_words(names)
    stems = {glyphs_hard.stem(word) for word in label_words()}
    for name, caption in zip(names, captions, strict=True):
        words, kept = re.findall(r"\w+", name), caption.split()
        rest = iter(words)
        assert all(word in rest for word in kept)
        for word in set(words) - set(kept):
            assert any(word.startswith(stem) for stem in stems)
    caption = dict(zip(names, captions, strict=True))
    assert caption["greek small letter alpha with tonos"] == "alpha"
    assert caption["latin small letter a"] == "a"
    assert caption["white circle with lower left quadrant"] == "white lower"
    assert caption["exclamation mark"] == ""


@pytest.mark.slow
def test_it_is_the_glyph_set_without_the_pairs_that_have_no_caption(easy, hard) -> None:
    captions = glyphs_hard.without_label_words(easy["text"])
    kept = np.flatnonzero(captions != "")
    assert 0.95 * easy.n < hard.n == len(kept) < easy.n
    np.testing.assert_array_equal(hard["text"], captions[kept])
    np.testing.assert_array_equal(hard["image"], easy["image"][kept])
    np.testing.assert_array_equal(hard.label, easy.label[kept])
    np.testing.assert_array_equal(hard.group, easy.group[kept])
    assert (hard.name, hard.label_names) == ("glyphs-hard", easy.label_names)
    for name, rows in easy.splits.items():
        expected = [row for row in rows if captions[row] != ""]
        np.testing.assert_array_equal(kept[hard.splits[name]], expected)
    assert not np.intersect1d(hard.query.group, hard.retrieval.group).size
    assert hard.query.label.any(axis=0).all()
    assert hard.label.sum(axis=0).min() > 200


@pytest.mark.slow
def test_features_know_the_new_captions_only(easy, hard) -> None:
    vocabularies = [
        fit_featurisers(data, {"text": "words"}, seed=0)["text"].vocabularies["words"] for data in (easy, hard)
    ]
    words = label_words()
    assert len(words & set(vocabularies[0])) > 50
    assert not words & set(vocabularies[1])
    assert "omega" in vocabularies[1]


RECIPE = """
[[grid]]
data = "glyphs-hard"
methods = "nrch"
bits = 16
noise = "swap-one:0.5:group"
epochs = 1
seeds = 1
[grid.settings]
width = 16
"""


@pytest.fixture
def few(easy, tmp_path, monkeypatch):
    """The built-in glyph set is 600 of its pairs, so that they can be trained on in no time; an empty cache."""
    rows = np.sort(np.random.default_rng(0).choice(easy.n, 600, replace=False))
    small = easy.take(rows)
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(glyphs, "build", lambda: small)
    return small


@pytest.fixture
def command(capsys) -> Command:
    return runner(capsys)


@pytest.mark.slow
def test_every_door_that_takes_glyphs(few, tmp_path, command) -> None:
    assert builtins().keys() >= {"glyphs", "glyphs-hard"}
    assert load_data("glyphs-hard").n < load_data("glyphs").n == 600
    assert "glyphs-hard" in command("data", "list").out
    shown = json.loads(command("data", "show", "glyphs-hard", "--json").out)
    assert (shown["name"], shown["pairs"]) == ("glyphs-hard", load_data("glyphs-hard").n)
    assert command("data", "noise", "glyphs-hard", "swap-one:0.5:group", tmp_path / "noisy.npz").code == 0
    assert command("train", "glyphs-hard", "--out", tmp_path / "run", *TRAIN).code == 0
    report = json.loads(command("evaluate", tmp_path / "run", "--json").out)
    assert report["data"] == "glyphs-hard"
    assert command("index", tmp_path / "run").code == 0
    assert command("search", tmp_path / "run", "omega").code == 0
    (tmp_path / "r.toml").write_text(RECIPE)
    bench = prepare(tmp_path / "r.toml", tmp_path / "out", data_root=tmp_path)
    (result,) = bench.go(Estimate({}, "no guess"), lambda *_: None)
    assert (result.status, result.data, result.grouped) == ("done", "glyphs-hard", True)
