"""The posterior in few numbers a row, against judging all rows and classes again."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.posterior import Posterior
from crossbit.posterior.compact import Compact, CompactSingle, compact
from crossbit.posterior.confusion import Confusion
from crossbit.posterior.noise import NoiseModel
from crossbit.posterior.regression import RbfKernel, fit_exact
from crossbit.posterior.relabel import Basis


def posterior_of(y: torch.Tensor, noise: NoiseModel, seed: int) -> Posterior:
    """Of labels (n, c), with their basis; what it says itself is left out."""
    x = {"x": torch.from_numpy(np.random.default_rng(seed).normal(size=(len(y), 2)))}
    fit = fit_exact(x, y, RbfKernel({"x": 1.0}, 0.5, {"x": 2.0}), 0.3, keep=True)
    assert fit.smoother is not None
    basis = Basis.of(fit.smoother, x, [(y, ["x"])], fit.left_out, noise.single)
    nothing = torch.zeros(len(y)).double()
    return Posterior(y.double(), y.double(), {"x": nothing}, noise.single, {"x": noise}, basis=basis)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(12, 30),
    classes=st.integers(3, 40),
    slope=st.sampled_from([2.0, 20.0, 200.0]),
    level=st.floats(-12, 2),
    kinds=st.sets(st.sampled_from(["swap-one", "resample", "omit-one", "add-one"])),
    hidden=st.booleans(),
    confused=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_it_is_what_judging_everything_again_gives(n, classes, slope, level, kinds, hidden, confused, seed):
    rng = np.random.default_rng(seed)
    y = torch.from_numpy(rng.random((n, classes)) < 0.15).float()
    y[torch.arange(n), torch.from_numpy(rng.integers(classes, size=n))] = 1
    shown = torch.from_numpy(np.arange(classes) != (1 if hidden else -1))
    s = int(shown.sum())
    confusion = Confusion(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([0.2, 0.1]).double().log(), s)
    shares = {"none": 1 - 0.1 * len(kinds), **dict.fromkeys(sorted(kinds), 0.1)}
    offset = torch.from_numpy(rng.normal(level, 2, classes))
    noise = NoiseModel(False, slope, offset, shares, confusion if confused else None, shown if hidden else None)
    check(Compact, posterior_of(y, noise, seed), rng)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(12, 30),
    classes=st.integers(3, 40),
    slope=st.sampled_from([2.0, 20.0, 200.0]),
    flipped=st.booleans(),
    confused=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_so_it_is_where_rows_have_one_label(n, classes, slope, flipped, confused, seed):
    rng = np.random.default_rng(seed)
    y = torch.eye(classes)[torch.from_numpy(rng.integers(classes, size=n))]
    confusion = Confusion(
        torch.tensor([0, 1, 2]), torch.tensor([1, 0, 1]), torch.tensor([0.2, 0.1, 0.3]).double().log(), classes
    )
    shares = {"none": 0.8, "flip": 0.2} if flipped else {"none": 1.0}
    offset = torch.from_numpy(rng.normal(0, 2, classes))
    noise = NoiseModel(True, slope, offset, shares, confusion if confused else None)
    check(CompactSingle, posterior_of(y, noise, seed), rng)


def check(kind: type[Compact | CompactSingle], first: Posterior, rng: np.random.Generator) -> None:
    """Labels change, some at a time: all is as when everything is judged again, and whatever the way."""
    found, basis, noise = compact(first), first.basis, first.noise["x"]
    assert basis is not None and type(found) is kind
    labels = basis.witnesses[0][0].numpy() > 0
    n = len(labels)
    for changes in (0, 1, 3):
        rows = rng.choice(n, changes, replace=False)
        labels[rows] = np.roll(labels[rows], 1, axis=1)
        found.relabel(labels.copy())
        now = torch.from_numpy(labels).float()
        z = noise.logits(basis.changed(torch.arange(n), {"x": now}).predicted)
        wanted, corrupted, evidence = noise.posterior(z, now.double())
        order = rng.permutation(n)
        assert np.allclose(found.of_rows(order), noise.prior(noise.to_logits(wanted))[order], rtol=0, atol=1e-9)
        assert np.allclose(found.corrupted, corrupted, rtol=0, atol=1e-9)
        told = evidence.numpy() > -10  # below, digits of 1 - 1e-5 and more are lost in both
        assert np.allclose(found.evidence[told], evidence[told], rtol=1e-9, atol=1e-9)
    fresh = kind(first)
    fresh.relabel(labels)
    assert np.array_equal(fresh.of_rows(np.arange(n)), found.of_rows(np.arange(n)))  # whatever the way
    assert np.array_equal(fresh.evidence, found.evidence)
