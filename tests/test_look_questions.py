"""The two questions beside LOOK's study, on what is made by hand."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def questions() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))  # the scripts import one another
    try:
        return importlib.import_module("look_questions")
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_only_the_largest_probabilities_of_a_row_count(questions: ModuleType) -> None:
    p = torch.tensor([[0.1, 0.9, 0.3], [0.2, 0.1, 0.1]])
    assert (
        questions.largest(p, torch.tensor([[2], [1]])).tolist() == torch.tensor([[0, 0.9, 0.3], [0.2, 0, 0]]).tolist()
    )
    assert torch.equal(questions.eight(p, p), questions.share_probability(p, p))  # there are three
    few = questions.expected(p, p)  # 1.3 labels are expected of the first row, .4 of the second
    assert few[0, 0].item() == pytest.approx(1 - (1 - 0.81) * (1 - 0.09)) and few[0, 1].item() == 0


def test_the_made_set_has_a_long_tail_and_both_modalities_show_it(questions: ModuleType) -> None:
    data = questions.long_tail(0, 1.0)
    often = data.label.sum(0)
    assert often[:10].sum() > 5 * often[-10:].sum() and data.label.sum(1).min() >= 1
    assert not set(data.splits["query"]) & set(data.splits["retrieval"])
    assert set(data.splits["train"]) < set(data.splits["retrieval"])
    same, other = (data.label[:500] @ data.label[:500].T > 0), np.eye(500, dtype=bool)
    for modality in ("image", "text"):
        likeness = np.corrcoef(data[modality][:500])
        assert likeness[same & ~other].mean() > likeness[~same].mean() + 0.05
    weak = questions.long_tail(0, 2.0)
    assert np.array_equal(weak.label, data.label) and weak["image"].std() > data["image"].std()


def test_ways_are_told_with_their_deviation(questions: ModuleType) -> None:
    cells = questions.told([{"once": {"area": 0.9}}, {"once": {"area": 1.0}}], noise="none")
    assert cells == [
        {"noise": "none", "way": "once", "area": {"mean": pytest.approx(0.95), "sd": pytest.approx(0.0707, abs=1e-4)}}
    ]
