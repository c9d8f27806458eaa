"""Tiny pairs of pictures and words, and a way to run command lines, for the tests of the commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.cli import main

NAMES = ["upright", "level", "slanted"]
CAPTIONS = ["upright bar", "level bar", "slanted line"]
TRAIN = ("--method", "nrch", "--epochs", "1", "--set", "width=16", "--bits", "16", "--quiet")


def arrays(n: int = 90, queries: int = 15, **changes: Any) -> dict[str, Any]:
    """A neutral file's arrays: bars in three directions and their names; `changes` replace some, None leaves out."""
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=n)
    pictures = rng.integers(225, 250, size=(n, 16, 16, 3), dtype=np.uint8)
    line = np.arange(16)
    for picture, which in zip(pictures, kind, strict=True):
        if which == 0:
            picture[:, 6:10] = 20
        elif which == 1:
            picture[6:10, :] = 20
        else:
            picture[line, line] = 20
    label = np.eye(3, dtype=np.uint8)[kind]
    label[::7, 0] = 1
    held: dict[str, Any] = {
        "image": pictures,
        "text": np.array([f"{CAPTIONS[which]} number {row % 5}" for row, which in enumerate(kind)]),
        "label": label,
        "label_names": np.array(NAMES),
        "query": np.arange(queries),
        "train": np.arange(queries, n - 15),
        "retrieval": np.arange(queries, n),
    }
    return {name: array for name, array in (held | changes).items() if array is not None}


def vectors(n: int = 60, **changes: Any) -> dict[str, Any]:
    """The same with short vectors, single integer labels and captions."""
    rng = np.random.default_rng(1)
    label = rng.integers(3, size=n)
    held = {
        "image": np.eye(6, dtype=np.float32)[label] + rng.normal(0, 0.1, (n, 6)).astype(np.float32),
        "text": np.eye(5, dtype=np.float32)[label] + rng.normal(0, 0.1, (n, 5)).astype(np.float32),
        "label": label,
        "caption": np.array([f"number {row}" for row in range(n)]),
    }
    return arrays(n, label_names=None, **(held | changes))


@dataclass(frozen=True)
class Ran:
    """What a command line left: exit code, standard output, lines of standard error."""

    code: int
    out: str
    errors: list[str]


Command = Callable[..., Ran]


def runner(capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("train", path, ...)` runs crossbit in this process."""

    def command(*words: str | Path) -> Ran:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err.splitlines())

    return command


def done(command: Command, *words: str | Path) -> str:
    """Standard output of a command that must succeed."""
    ran = command(*words)
    assert ran.code == 0, (words, ran.errors)
    return ran.out


def refused(command: Command, *words: str | Path) -> str:
    """The one line of a command that must be refused."""
    ran = command(*words)
    assert (ran.code, ran.out, len(ran.errors)) == (2, "", 1), (words, ran)
    assert ran.errors[0].startswith("crossbit: error: ")
    return ran.errors[0]
