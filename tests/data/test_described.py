"""What `crossbit data show` says of labels, of the pair and of each modality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tiny import Command, runner, vectors

LABEL = vectors()["label"]
OTHER = np.where(np.arange(60) % 4 == 0, (LABEL + 1) % 3, LABEL)  # differs in 15 of 60 rows
HOT = np.eye(3, dtype=np.uint8)[LABEL] * (np.arange(60) % 3 > 0)[:, None].astype(np.uint8)  # 40 labelled


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("COLUMNS", "160")
    return runner(capsys)


def shown(command: Command, folder: Path, **changes: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """The lines of `show` by what they are of, and its JSON."""
    np.savez(folder / "mine.npz", **vectors(**changes))
    text, told = (command("data", "show", folder / "mine.npz", *more) for more in ((), ("--json",)))
    assert text.code == told.code == 0
    lines = [" ".join(line.split()) for line in text.out.splitlines()]
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}, json.loads(told.out)


def test_labels_of_each_modality_alone(tmp_path: Path, command: Command) -> None:
    lines, told = shown(command, tmp_path, label=None, label_image=LABEL, label_text=OTHER)
    assert lines["classes"] == "3; the pair as a whole has no label"
    assert lines["label_image"] == "3 classes, 60 of 60 rows labelled, differs from label_text in 15 rows"
    assert lines["label_text"] == "3 classes, 60 of 60 rows labelled, differs from label_image in 15 rows"
    assert told["labels"]["label_text"] == {"classes": 3, "labelled": 60, "differs": {"label_image": 15}}


def test_labels_of_a_modality_beside_those_of_the_pair(tmp_path: Path, command: Command) -> None:
    hot = np.eye(3, dtype=np.uint8)[LABEL]
    lines, told = shown(command, tmp_path, label=hot, label_text=HOT)
    assert lines["classes"].startswith("3; ")
    assert lines["label_text"] == "3 classes, 40 of 60 rows labelled, differs from label in 20 rows"
    assert list(told["labels"]) == ["label_text"]


def test_observed_labels_differ_from_the_truth_or_from_each_other(tmp_path: Path, command: Command) -> None:
    train = vectors()["train"]
    wrong = int((OTHER != LABEL)[train].sum())
    assert 0 < wrong < 15
    lines, _ = shown(command, tmp_path, observed_label=OTHER, observed_label_text=LABEL)
    told = "3 classes, 60 of 60 rows labelled, differs from the truth in"
    assert lines["observed_label"] == f"{told} {wrong} training rows"
    assert lines["observed_label_text"] == f"{told} 0 training rows"
    lines, _ = shown(command, tmp_path, label=None, observed_label_image=OTHER, observed_label_text=LABEL)
    assert lines["observed_label_image"].endswith("labelled, differs from observed_label_text in 15 rows")


def test_no_labels_at_all(tmp_path: Path, command: Command) -> None:
    lines, told = shown(command, tmp_path, label=None)
    assert lines["classes"] == "none: no labels"
    assert told["labels"] == {}
