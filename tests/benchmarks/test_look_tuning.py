"""LOOK's tuning: what is held out, what is read, and what is kept; on pairs made by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies import look_tuning as tuning
from crossbit.data import load_data
from tiny import vectors

SMALL = "width=8 batch=16 steps=2 epochs=1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.savez(tmp_path / "pairs.npz", **vectors())
    return tmp_path / "pairs.npz"


def test_what_is_scored_are_training_rows_and_the_labels_they_were_given(file: Path) -> None:
    data = load_data(file)
    trained, scored = tuning.cell(data, "swap-one:0.5", 0)
    rows = set(data.splits["train"].tolist())
    queries = set(scored.splits["query"].tolist())
    assert queries < rows and len(queries) == len(rows) // tuning.SHARE
    assert queries.isdisjoint(trained.splits["retrieval"].tolist()) and queries.isdisjoint(trained.splits["train"])
    assert set(scored.splits["retrieval"].tolist()) == rows - queries
    given = np.asarray(sorted(rows))
    assert (trained.label[given] != data.label[given]).any() and trained.observed_label is None


@pytest.mark.slow
def test_runs_are_kept_once_and_averaged(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = file.with_name("kept.jsonl")
    for seed in ("0", "1", "1"):
        arguments = [str(file), "none", seed, str(kept), f"small: {SMALL}", f"smaller: {SMALL} base=0"]
        monkeypatch.setattr(sys, "argv", ["look_tuning.py", *arguments])
        tuning.main()
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [(line["name"], line["seed"]) for line in lines] == [(n, s) for s in (0, 1) for n in ("small", "smaller")]
    monkeypatch.setattr(sys, "argv", ["look_tuning.py", "table", str(kept)])
    capsys.readouterr()
    tuning.main()
    told = json.loads(capsys.readouterr().out)["pairs, none"]["small"]
    values = [np.mean(list(line["map"]["query"].values())) for line in lines if line["name"] == "small"]
    assert told["n"] == 2 and told["query"] == pytest.approx(np.mean(values))
    pairs = [np.mean(list(line["own pair"].values())) for line in lines if line["name"] == "small"]
    assert told["own pair"] == pytest.approx(np.mean(pairs)) and 0 < told["overlap"] <= 1
