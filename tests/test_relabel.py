"""Corrected labels: the posterior in closed form, against estimating it anew with the same kernel, ridge and noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

import crossbit.posterior as posteriors
from crossbit.errors import UserError
from crossbit.posterior import Posterior, estimate_posterior
from crossbit.posterior.noise import NoiseModel
from crossbit.posterior.regression import Fit, RbfKernel, fit_exact, fit_landmarks

KERNEL, RIDGE = RbfKernel({"image": 0.3, "text": 0.7}, 0.5, {"image": 4.0, "text": 3.0}), 0.7
FIXED = 2  # first rows, whose labels stay and differ, so that chance decides about nothing else
Labels = dict[str, Tensor]


def rows_of(n: int, seed: int) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    return {m: torch.from_numpy(rng.normal(size=(n, dim))) for m, dim in (("image", 3), ("text", 2))}


def drawn(n: int, classes: int, single: bool, rng: np.random.Generator) -> Tensor:
    """Labels of n rows, each with at least one."""
    y = np.eye(classes)[rng.integers(classes, size=n)]
    if not single:
        y = np.maximum(y, rng.random((n, classes)) < 0.3)
    return torch.from_numpy(y)


def estimated(features: Mapping[str, Tensor], observed: Labels, single: bool, **more: Any) -> Posterior:
    """With the kernel, the ridge and the noise held fixed, another noise for each label array."""
    classes = next(iter(observed.values())).shape[1]
    kinds = {"flip": 0.2} if single else {"swap-one": 0.1, "resample": 0.05, "omit-one": 0.05}
    offset = torch.linspace(-2, 1, classes, dtype=torch.float64)
    noise = iter([NoiseModel(single, slope, offset, {"none": 0.8, **kinds}) for slope in (6.0, 4.0)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posteriors, "fit_noise", lambda *args, **options: next(noise))
        patch.setattr(posteriors, "choose", lambda *args: (KERNEL, RIDGE))
        patch.setattr(posteriors, "near_ridges", lambda ridge: [ridge])
        patch.setattr(posteriors, "_judge_pairs", lambda *args: None)
        patch.setattr(posteriors, "labelled_alike", lambda *args: True)  # groups are, whatever the labels
        return estimate_posterior(features, observed, **more)


def same(found: Posterior, wanted: Posterior) -> None:
    assert torch.allclose(found.labels, wanted.labels, rtol=0, atol=1e-9)
    assert torch.allclose(found.prior, wanted.prior, rtol=0, atol=1e-9)
    for held, other in ((found.corrupted, wanted.corrupted), (found.evidence, wanted.evidence)):
        assert held.keys() == other.keys()
        for modality in held:
            assert torch.allclose(held[modality], other[modality], rtol=1e-9, atol=1e-9, equal_nan=True)


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(12, 30),
    unlabelled=st.integers(0, 5),
    classes=st.integers(2, 5),
    single=st.booleans(),
    witnesses=st.integers(1, 2),
    grouped=st.booleans(),
    exact=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_relabelled_is_estimated_anew(n, unlabelled, classes, single, witnesses, grouped, exact, seed):
    rng = np.random.default_rng(seed)
    features, differing = rows_of(n + unlabelled, seed), torch.eye(classes)[:FIXED]
    differing[0, 1] = not single
    own = [drawn(n + unlabelled, classes, single, rng) for _ in range(witnesses)]
    for y, start in zip(own, (differing, differing.flip(0)), strict=False):
        y[:FIXED], y[n:] = start, 0
    observed = {"image": own[0], "text": own[-1]}
    groups = torch.from_numpy(rng.integers(n, size=n + unlabelled)) if grouped else None
    more: dict[str, Any] = {"groups": groups, "exact": 50 if exact else 5, "landmarks": n - 4}
    first = found = estimated(features, observed, single, keep=True, **more)
    before = first.labels.clone()
    for count in (1, 4):  # corrections follow one another
        rows = torch.from_numpy(rng.choice(np.arange(FIXED, n), count, replace=False))
        new = dict.fromkeys(features if witnesses == 1 else ["text"], drawn(count, classes, single, rng))
        observed = {m: y.index_copy(0, rows, new[m]) if m in new else y for m, y in observed.items()}
        found = found.relabel(rows, new)
    same(found, estimated(features, observed, single, **more))
    assert torch.equal(first.labels, before)


def test_one_modality_may_get_labels_of_a_row_that_only_the_other_had():
    rng = np.random.default_rng(0)
    features = rows_of(15, 0)
    observed = {modality: drawn(15, 3, False, rng) for modality in features}
    observed["image"][4] = 0
    new = torch.tensor([[1.0, 0.0, 1.0]])
    found = estimated(features, observed, False, keep=True).relabel(torch.tensor([4]), {"image": new})
    assert found.corrupted["image"].isfinite().all()
    observed["image"][4] = new
    same(found, estimated(features, observed, False))


def test_labels_of_a_modality_move_as_far_as_its_pair_is_right():
    rng = np.random.default_rng(0)
    features, y = rows_of(15, 0), drawn(15, 3, False, rng)
    first = estimated(features, dict.fromkeys(features, y), False, keep=True)
    alone = torch.full_like(first.labels, 0.25)
    first.right = torch.linspace(0, 1, 15, dtype=torch.float64)
    first.of_modality = {"image": first.right.unsqueeze(1) * first.labels + (1 - first.right).unsqueeze(1) * alone}
    found = first.relabel(torch.tensor([2]), {"image": 1 - y[[2]]})
    wanted = first.right.unsqueeze(1) * found.labels + (1 - first.right).unsqueeze(1) * alone
    assert torch.allclose(found.of_modality["image"], wanted, rtol=0, atol=1e-12)


def test_rows_that_are_all_of_one_group_are_left_out_one_by_one():
    x, y = torch.arange(20.0).unsqueeze(1), torch.eye(2)[[0] * 19 + [1]]
    found, alone = (estimate_posterior({"x": x}, {"x": y}, groups=groups) for groups in (torch.zeros(20).long(), None))
    assert torch.equal(found.labels, alone.labels)


def test_what_cannot_be_relabelled_is_said_in_one_line():
    rng = np.random.default_rng(0)
    features, y = rows_of(15, 0), drawn(15, 3, True, rng)
    y[14] = 0
    row, one = torch.tensor([3]), torch.eye(3)[[1]]

    def refused(words: str, rows: Tensor, labels: Labels, keep: bool = True) -> None:
        found = estimated(features, dict.fromkeys(features, y), True, keep=keep)
        with pytest.raises(UserError, match=words) as told:
            found.relabel(rows, labels)
        assert "\n" not in str(told.value)

    refused("keep=True", row, {"image": one}, keep=False)
    refused("no labels of sound here; there are those of image, text", row, {"sound": one})
    refused("row 14 had no labels before", torch.tensor([3, 14]), {"image": one.expand(2, 3)})
    refused("named twice", torch.tensor([3, 3]), {"image": one.expand(2, 3)})
    refused(r"labels of image are no array \(1, 3\)", row, {"image": one[0]})
    refused("of 0 and 1", row, {"image": one / 2})
    refused("row 3 needs one label", row, {"image": torch.ones(1, 3)})
    refused("row 3 needs one label", row, {"image": torch.zeros(1, 3)})
    refused("image and text share their labels", row, {"image": one, "text": one.roll(1, 1)})


# --- weights --------------------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(n=st.integers(4, 16), grouped=st.booleans(), exact=st.booleans(), seed=st.integers(0, 10**6))
def test_weights_are_what_a_label_moves(n, grouped, exact, seed):
    features, others = rows_of(n, seed), rows_of(3, seed + 1)
    groups = torch.from_numpy(np.random.default_rng(seed).integers(n - 1, size=n)) if grouped else None
    assume(groups is None or len(groups.unique()) > 1)

    def fit(y: Tensor, keep: bool = False) -> Fit:
        if exact:
            return fit_exact(features, y, KERNEL, RIDGE, groups, keep=keep)
        return fit_landmarks(features, y, KERNEL, [RIDGE], torch.arange(n - 1), groups, keep=keep)

    smoother = fit(torch.eye(n), keep=True).smoother
    assert smoother is not None
    rows = torch.randperm(n)[: n - 1]
    weights, further = smoother.left_out(rows), smoother.weights(others)
    for label in range(n):
        y = torch.zeros(n, 1, dtype=torch.float64)
        y[label] = 1  # predictions of nothing are 0
        found = fit(y)
        assert torch.allclose(weights[:, label], found.left_out[rows, 0], rtol=0, atol=1e-9)
        assert torch.allclose(further[:, label], found.predict(others)[:, 0], rtol=0, atol=1e-9)
    assert torch.allclose(weights.sum(1), torch.ones(n - 1).double()) and torch.allclose(
        further.sum(1), torch.ones(3).double()
    )
