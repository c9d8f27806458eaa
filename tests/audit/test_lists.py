"""Lists of labels that hold together, and what they say of changes that a posterior proposes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crossbit.audit.lists import WORTH, Belief, Lists, believe
from crossbit.posterior.confusion import Confusion
from crossbit.posterior.noise import NoiseModel

TOPICS, EACH, N = 12, 5, 600
CLASSES = TOPICS * EACH
SURE = 1e-6


def lists_of(random: int) -> np.ndarray:
    """Labels (n, c): three of one topic each, and of the first rows three at random."""
    rng = np.random.default_rng(0)
    y = np.zeros((N, CLASSES), bool)
    for row in range(N):
        topic = int(rng.integers(TOPICS))
        among = np.arange(CLASSES) if row < random else np.arange(topic * EACH, (topic + 1) * EACH)
        y[row, rng.choice(among, 3, replace=False)] = True
    return y


def noise(resample: float, confusion: Confusion | None = None) -> NoiseModel:
    shares = {"none": 0.9 - resample, "resample": resample, "swap-one": 0.1}
    return NoiseModel(False, 1.0, torch.zeros(CLASSES), shares, confusion)


def believed(y: np.ndarray, struck: np.ndarray, model: NoiseModel, p: np.ndarray | None = None) -> Belief:
    """Where a posterior is sure that all labels of the rows `struck` are wrong."""
    if p is None:
        p = np.where(y, 1 - SURE, SURE)
        p[struck] = SURE
    corrupted = np.abs(y - p).max(1)
    lists = Lists(y, np.arange(len(y)))
    return believe(lists, y, lambda rows: p[rows].copy(), corrupted, np.log(corrupted / (1 - corrupted)), model)


@pytest.mark.parametrize("random", [0, 3, 60])
def test_lists_that_hold_together_stay_and_random_ones_go_where_there_are_any(random):
    y, struck = lists_of(random), np.r_[:random, 500:540]
    found = believed(y, struck, noise(0.1))
    assert (found.right[500:540] > 0.9).all() and (found.corrupted[500:540] < WORTH).all()
    assert (found.evidence[500:540] < 0).all()
    few = random < 0.01 * N  # so few can be feigned by weak features
    if few:
        assert (found.right[:random] > 0.9).all()
    else:  # one or two of them hold together by chance
        assert np.mean(found.right[:random]) < 0.1 and np.quantile(found.right[:random], 0.9) < 0.3
    others = np.setdiff1d(np.arange(N), struck)
    assert not found.right[others].any() and (found.corrupted[others] < 1e-5).all()


def test_believed_lists_keep_their_labels_and_the_rest_is_as_it_was():
    y = lists_of(60)
    found = believed(y, np.r_[:60, 500:540], noise(0.1))
    p, rows = np.full((3, CLASSES), 0.25), np.array([599, 500, 7])
    after = found.apply(p.copy(), y[rows], rows)
    assert np.array_equal(after[0], p[0])
    assert np.allclose(after[1], y[500], atol=0.1)
    assert np.allclose(after[2], p[2] + found.right[7] * (y[7] - p[2]))


def test_one_struck_label_is_no_matter_of_lists():
    y = lists_of(60)
    p = np.where(y, 1 - SURE, SURE)
    p[550, np.flatnonzero(y[550])[0]] = SURE
    p[:60] = SURE
    found = believed(y, np.arange(0), noise(0.1), p)
    assert found.right[550] < 1e-5 and found.corrupted[550] > 0.99


def test_an_only_label_goes_with_nothing_and_stays_as_doubtful_as_it_is():
    y = lists_of(60)
    only = np.arange(300, 500)
    y[only] = False
    y[only, only % CLASSES] = True
    found = believed(y, np.r_[:60, 400:500], noise(0.1))
    assert not found.right[only].any() and (found.corrupted[400:500] > 0.99).all()


@pytest.mark.parametrize("truth", ["of the topic", "of another topic"])
def test_a_confusion_is_believed_where_the_rest_of_the_lists_goes_with_the_truth(truth):
    y = lists_of(0)
    label = CLASSES - 1
    rows = np.flatnonzero(y[:, :EACH].any(1))[:15]  # of the first topic, with a label of the last in the place of one
    first = [int(np.flatnonzero(y[row])[0]) for row in rows]
    y[rows, first], y[rows, label] = False, True
    k = first[0] if truth == "of the topic" else EACH + 1
    rows = rows[~y[rows, k]]
    p = np.where(y, 1 - SURE, SURE)
    p[rows, label], p[rows, k] = SURE, 1 - SURE
    pair = Confusion(torch.tensor([k]), torch.tensor([label]), torch.tensor([0.3]).double().log(), CLASSES)
    found = believed(y, np.arange(0), noise(0.0, pair), p)
    after = found.apply(p.copy(), y, np.arange(N))
    if truth == "of the topic":
        assert found.believed.all() and np.array_equal(after, p) and (found.corrupted[rows] > 0.9).all()
    else:
        assert not found.believed.any() and np.array_equal(after[rows][:, [label, k]], y[rows][:, [label, k]])
        assert (found.corrupted[rows] < 0.01).all() and (found.evidence[rows] < 0).all()


def test_a_family_does_not_speak_for_itself():
    y = lists_of(0)
    y[:4] = False
    y[:4, [0, 1 * EACH, 2 * EACH]] = True  # four copies of one list that nobody else has
    labels = np.flatnonzero(y[0])
    alone, copies = Lists(y, np.arange(N)), Lists(y, np.r_[[0] * 4, 4:N])
    assert copies.likelier(0, labels) < alone.likelier(0, labels) - 2
