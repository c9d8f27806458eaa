"""What the commands offer next works on the run that they offer it for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossbit.cli.output import say_next
from tiny import Command, arrays, runner, vectors

TRAIN = ("--method", "random", "--bits", "8")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def offered(said: str) -> list[str]:
    """The commands after "next:", without how crossbit is called."""
    after = said.partition("\nnext:\n")[2].splitlines()
    return [line.split("crossbit ", 1)[-1].partition(" ")[0] + (" --image" * ("--image" in line)) for line in after]


@pytest.mark.slow
def test_a_run_on_vectors_is_offered_no_search(tmp_path: Path, command: Command) -> None:
    np.savez(tmp_path / "vectors.npz", **vectors(label=np.zeros(60, np.int64)))  # a class each, if always the first
    ran = command("train", tmp_path / "vectors.npz", "--out", tmp_path / "run", *TRAIN)
    assert offered(ran.out) == ["evaluate", "index", "audit"]
    assert command("search", tmp_path / "run", "some words").code == 2  # which is why
    ran = command("index", tmp_path / "run")
    assert (ran.code, "next:" in ran.out) == (0, False)


@pytest.mark.slow
def test_a_run_on_pictures_and_words_is_offered_both(tmp_path: Path, command: Command) -> None:
    np.savez(tmp_path / "toy.npz", **arrays())
    ran = command("train", tmp_path / "toy.npz", "--out", tmp_path / "run", *TRAIN)
    assert offered(ran.out) == ["evaluate", "index", "search", "audit"]
    assert offered(command("index", tmp_path / "run").out) == ["search", "search --image", "serve"]


def test_words_alone(tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    given = arrays() | {"image": vectors(90)["image"]}
    np.savez(tmp_path / "words.npz", **given)
    ran = command("train", tmp_path / "words.npz", "--out", tmp_path / "run", *TRAIN)
    assert offered(ran.out) == ["evaluate", "index", "search", "audit"]
    capsys.readouterr()
    say_next(["search", tmp_path / "run", "--image", "some.png"], ["search", tmp_path / "run", "bar"])
    assert offered(capsys.readouterr().out) == ["search"]


@pytest.mark.slow
def test_what_cannot_be_evaluated_is_not_offered_to_be(tmp_path: Path, command: Command) -> None:
    nobody = np.arange(0)
    np.savez(tmp_path / "asks.npz", **arrays(query=nobody, train=np.arange(90), retrieval=np.arange(90)))
    ran = command("train", tmp_path / "asks.npz", "--out", tmp_path / "one", *TRAIN)
    assert (ran.code, offered(ran.out)) == (0, ["index", "search", "audit"])
    assert any(line.startswith("not evaluated: the data has no queries") for line in ran.errors)
    label = arrays()["label"]
    label[:15] = 0
    np.savez(tmp_path / "strangers.npz", **arrays(label=label))
    ran = command("train", tmp_path / "strangers.npz", "--out", tmp_path / "two", *TRAIN)
    assert (ran.code, offered(ran.out)) == (0, ["index", "search", "audit"])
    assert any(line.startswith("not evaluated: no query") for line in ran.errors)
    assert command("evaluate", tmp_path / "two").code == 2  # which is why
    assert command("audit", tmp_path / "two").code == 0
    label = arrays()["label"]
    label[15:75] = 0
    np.savez(tmp_path / "idle.npz", **arrays(label=label))  # nobody labelled what is trained on
    ran = command("train", tmp_path / "idle.npz", "--out", tmp_path / "four", *TRAIN)
    assert (ran.code, offered(ran.out)) == (0, ["evaluate", "index", "search"])
    assert command("audit", tmp_path / "four").code == 2  # which is why
    np.savez(tmp_path / "unlabelled.npz", **arrays(label=None, label_names=None))
    ran = command("train", tmp_path / "unlabelled.npz", "--out", tmp_path / "three", *TRAIN)
    assert (ran.code, offered(ran.out)) == (0, ["evaluate", "index", "search"])
