"""The two questions beside LOOK's study, on what is made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.studies import look_questions as questions
from crossbit.data import load_data
from tiny import vectors

SMALL = {"width": "8", "batch": "16", "steps": "2", "epochs": "1"}


def test_only_the_largest_probabilities_of_a_row_count() -> None:
    p = torch.tensor([[0.1, 0.9, 0.3], [0.2, 0.1, 0.1]])
    kept = questions.largest(p, torch.tensor([[2], [1]]))
    assert torch.equal(kept, torch.tensor([[0, 0.9, 0.3], [0.2, 0, 0]]))
    few = questions.expected(p, p)  # 1.3 labels are expected of the first row, .4 of the second
    assert few[0, 0].item() == pytest.approx(1 - (1 - 0.81) * (1 - 0.09)) and few[0, 1].item() == 0
    many = torch.full((2, 10), 0.5)
    assert questions.eight(many, many)[0, 1].item() == pytest.approx(1 - 0.75**8)


@pytest.mark.slow
def test_the_made_set_has_a_long_tail_and_both_modalities_show_it() -> None:
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


def test_ways_are_told_with_their_deviation() -> None:
    cells = questions.cell([{"once": {"area": 0.9}}, {"once": {"area": 1.0}}], noise="none")
    figure = {"mean": pytest.approx(0.95), "sd": pytest.approx(0.0707, abs=1e-4), "n": 2}
    assert cells == [{"noise": "none", "way": "once", "area": figure}]


@pytest.mark.slow
def test_a_second_round_is_judged_and_its_predictions_never_saw_the_own_label(tmp_path: Path) -> None:
    np.savez(tmp_path / "pairs.npz", **vectors())
    data = questions.as_vectors(load_data(tmp_path / "pairs.npz"), questions.MODALITIES)
    found = questions.rounds(data, "swap-one:0.5", 0, **SMALL)
    assert list(found) == ["once", "again", "out of fold"] and all(0 <= of["area"] <= 1 for of in found.values())
    before = questions.unseen_predictions(data, 0, **SMALL)
    label = np.array(data.label)
    label[data.splits["train"][0]] = (label[data.splits["train"][0]] + 1) % 3
    after = questions.unseen_predictions(data.replace(label=label), 0, **SMALL)
    for modality, predicted in before.items():
        assert np.array_equal(predicted[0], after[modality][0]) and not np.array_equal(predicted, after[modality])


@pytest.mark.slow
def test_each_way_trains_on_its_own_likeness_and_on_one_posterior(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = vectors()
    np.savez(tmp_path / "pairs.npz", **(held | {"label": np.eye(3, dtype=np.uint8)[held["label"]]}))
    monkeypatch.setattr(questions, "RIVALS", {"mrl": {"batch": "16", "multi_label": "true"}})
    made: list[object] = []
    original = questions.look.estimate_posterior
    monkeypatch.setattr(questions.look, "estimate_posterior", lambda *a, **k: made.append(0) or original(*a, **k))
    monkeypatch.setitem(questions.WAYS, "nothing is alike", lambda p, q, single=False: torch.zeros(len(p), len(q)))
    found = questions.classes(load_data(tmp_path / "pairs.npz"), "none", 0, epochs="1", width="8")
    assert len(made) == 1 and found["all"] != found["nothing is alike"]
    assert {"mrl", "mrl, real vectors", "the posterior", "the truth"} < set(found)
