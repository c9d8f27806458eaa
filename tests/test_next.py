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


def test_a_run_on_vectors_is_offered_no_search(tmp_path: Path, command: Command) -> None:
    np.savez(tmp_path / "vectors.npz", **vectors())
    ran = command("train", tmp_path / "vectors.npz", "--out", tmp_path / "run", *TRAIN)
    assert offered(ran.out) == ["evaluate", "index"]
    assert command("search", tmp_path / "run", "some words").code == 2  # which is why
    ran = command("index", tmp_path / "run")
    assert (ran.code, "next:" in ran.out) == (0, False)


def test_a_run_on_pictures_and_words_is_offered_both(tmp_path: Path, command: Command) -> None:
    np.savez(tmp_path / "toy.npz", **arrays())
    ran = command("train", tmp_path / "toy.npz", "--out", tmp_path / "run", *TRAIN)
    assert offered(ran.out) == ["evaluate", "index", "search"]
    assert offered(command("index", tmp_path / "run").out) == ["search", "search --image"]


def test_words_alone(tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    given = arrays() | {"image": vectors(90)["image"]}
    np.savez(tmp_path / "words.npz", **given)
    ran = command("train", tmp_path / "words.npz", "--out", tmp_path / "run", *TRAIN)
    assert offered(ran.out) == ["evaluate", "index", "search"]
    capsys.readouterr()
    say_next(["search", tmp_path / "run", "--image", "some.png"], ["search", tmp_path / "run", "bar"])
    assert offered(capsys.readouterr().out) == ["search"]
