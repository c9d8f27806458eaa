"""Codes that tell nothing apart are said, with the reason; of sound codes nothing is said, however few they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crossbit
from crossbit.data.types import PairedData
from crossbit.evaluation.quality import collapse
from crossbit.methods import available, get
from crossbit.model.collapse import at_chance, collapsed, true_labels
from tiny import TRAIN, runner, vectors

RANDOM = np.random.default_rng(0)


def codes_of(which: np.ndarray, bits: int = 32) -> np.ndarray:
    """The same random code for the same number."""
    table = np.random.default_rng(1).integers(256, size=(int(which.max()) + 1, bits // 8), dtype=np.uint8)
    return table[which]


@pytest.mark.slow
@given(classes=st.integers(2, 50), bits=st.sampled_from([16, 64]), seed=st.integers(0, 99))
def test_one_code_a_class_is_sound(classes: int, bits: int, seed: int) -> None:
    label = np.random.default_rng(seed).permutation(np.arange(20 * classes) % classes)
    assert collapse(codes_of(label, bits), label) is None
    assert collapse(codes_of(label, bits), np.eye(classes, dtype=np.uint8)[label]) is None
    assert collapse(codes_of(label, bits)) is None


def test_classes_of_very_different_size_are_sound() -> None:
    label = np.repeat([0, 1, 2], [950, 40, 10])
    assert collapse(codes_of(label), label) is None


def test_many_label_sets_with_a_code_for_each_class_are_sound() -> None:
    hot = (RANDOM.random((500, 8)) < 0.3).astype(np.uint8)
    assert len(np.unique(hot, axis=0)) > 60
    assert collapse(codes_of(hot.argmax(1)), hot) is None


@given(classes=st.integers(2, 50), bits=st.sampled_from([16, 64]))
def test_one_code_for_all_is_said(classes: int, bits: int) -> None:
    label = np.arange(10 * classes) % classes
    told = collapse(np.ones((len(label), bits // 8), np.uint8), label)
    assert told is not None and "1 different code" in told and f"{bits} of {bits} bits are the same" in told


def test_one_code_for_nearly_all_is_said() -> None:
    label, which = np.arange(400) % 4, np.zeros(400, int)
    which[:8] = np.arange(1, 9)
    told = collapse(codes_of(which), label)
    assert told is not None and "400 rows have 9 different codes" in told


def test_a_pair_of_codes_for_many_classes_is_said() -> None:
    label = np.arange(400) % 20
    assert collapse(codes_of(label % 2), label) is not None
    assert collapse(codes_of(label), label) is None


def test_of_a_handful_of_rows_nothing_is_said() -> None:
    assert collapse(np.zeros((5, 2), np.uint8), np.arange(5)) is None


def toy(offset: float = 0) -> PairedData:
    held = vectors(200, queries=40)
    arrays = {name: held[name] + np.float32(offset) for name in ("image", "text")}
    return PairedData("toy", arrays, held["label"], {s: held[s] for s in ("train", "query", "retrieval")})


def lines(data: PairedData, **options: Any) -> list[str]:
    chosen = {"method": "nrch", "bits": 16, "epochs": 4, "settings": {"width": 32, "lr": 1e-3, "warmup": 1}, **options}
    model = crossbit.train(data, progress=False, **chosen)
    found = collapsed(model, data, data.splits["retrieval"], lambda rows: true_labels(data, rows))
    return found or at_chance(model, crossbit.evaluate(model, data))


def test_an_offset_of_vectors_as_they_are_is_the_likely_reason() -> None:
    as_is = {"image": "as-is", "text": "scaled"}
    (line,) = lines(toy(offset=100), features=as_is)
    assert line.startswith("the codes of image tell next to nothing apart: ")
    assert line.endswith("train with --features image=scaled")
    assert lines(toy(offset=100)) == []


def test_labels_that_are_all_the_same_are_the_likely_reason() -> None:
    data = toy(offset=100)
    data = data.replace(label=np.zeros(data.n, int), label_names=None)
    told = lines(data, features={"image": "as-is", "text": "as-is"})
    assert len(told) == 2 and all("all rows have the same labels" in line for line in told)


@pytest.mark.slow
@pytest.mark.parametrize("name", available())
def test_no_method_is_called_collapsed_on_sound_data(name: str) -> None:
    wanted = {"width": 32, "batch": 16, "lr": 1e-3, "warmup": 1, "passes": "5/1/4/4", "steps": 20}
    settings = {key: value for key, value in wanted.items() if hasattr(get(name).Settings(), key)}
    assert lines(toy(), method=name, epochs=4, settings=settings) == []


@pytest.mark.slow
def test_the_commands_say_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, file = runner(capsys), tmp_path / "far.npz"
    held = vectors(offset=None)
    np.savez(file, **{k: v + np.float32(1000) if k in ("image", "text") else v for k, v in held.items()})
    train = ["train", file, *TRAIN[:-1], "--features", "image=as-is", "--features", "text=as-is", "--out"]
    told = command(*train, tmp_path / "run")
    assert told.code == 0
    for ran in (told, command("evaluate", tmp_path / "run"), command("index", tmp_path / "run")):
        assert sum("tell next to nothing apart" in line for line in ran.errors) == 2, ran.errors
    assert command("train", file, *TRAIN, "--out", tmp_path / "scaled").errors == []
    assert command("evaluate", tmp_path / "scaled").errors == []
