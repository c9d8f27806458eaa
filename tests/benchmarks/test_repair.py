"""The study of repaired labels: figures of changes that can be told by hand, one cell, and the page it makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies import repair
from test_audit import toy


def test_precision_and_recall_are_of_single_labels() -> None:
    truth = np.array([[1, 0, 0], [0, 1, 1]])
    before = np.array([[0, 1, 0], [0, 1, 1]])
    assert repair.changes(before, truth, truth) == {"changed": 2, "precision": 1.0, "recall": 1.0}
    assert repair.changes(before, before, truth) == {"changed": 0, "precision": 0.0, "recall": 0.0}
    after = np.array([[1, 1, 0], [0, 1, 0]])
    assert repair.changes(before, after, truth) == {"changed": 2, "precision": 0.5, "recall": 0.5}


@pytest.mark.slow
def test_a_cell_and_its_page(tmp_path: Path) -> None:
    data = toy(several=True)
    x = np.concatenate([data[m][data.splits["train"]] for m in ("image", "text")], axis=1)
    told = repair.cell(data, x, "swap-one:0.3", 0, "cca-itq")
    assert told["audit"]["precision"] > 0.9 and told["audit"]["recall"] > 0.8
    kept = [
        {"data": "toy", "method": "cca-itq", "noise": "swap-one:0.3", "seed": seed, "told": told} for seed in (0, 1)
    ]
    page = repair.section({"cells": repair.table(kept)})
    assert "| toy, cca-itq, swap-one:0.3, audit |" in page and "true labels" in page
