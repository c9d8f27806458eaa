"""The shared CCA space against scikit-learn's and a slow version, ITQ's promises, and the methods on awkward data."""

import re

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.cross_decomposition import CCA

from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.evaluation import evaluate
from crossbit.methods import Task, View, get, make_settings
from crossbit.methods.canonical import canonical_correlation
from crossbit.methods.cca import iterative_quantisation, own_first
from crossbit.methods.linear import random_rotation
from crossbit.training import train

METHODS = ["cca-sign", "cca-rotation", "cca-itq", "cca-cosine"]


def related(n=200, d=7, e=5, noise=0.5, seed=0):
    """Two modalities (n, d), (n, e) that show three hidden numbers, off centre and on different scales."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 3))
    x, y = (hidden @ rng.normal(size=(3, width)) + noise * rng.normal(size=(n, width)) for width in (d, e))
    return torch.tensor(3 + 10 * x, dtype=torch.float32), torch.tensor(y - 2, dtype=torch.float32)


def correlations(one, other):
    return [np.corrcoef(a, b)[0, 1] for a, b in zip(one.T, other.T, strict=True)]


def test_correlations_equal_those_of_scikit_learn():
    x, y = related()
    space = canonical_correlation(x, y, directions=5)
    theirs = CCA(5, max_iter=10_000, tol=1e-12).fit_transform(x.double().numpy(), y.double().numpy())
    np.testing.assert_allclose(space.correlations, correlations(*theirs), atol=1e-6)
    mine = [((a.double() - m) @ w).numpy() for a, m, w in zip((x, y), space.means, space.maps, strict=True)]
    np.testing.assert_allclose(space.correlations, correlations(*mine), rtol=1e-9)
    for variates in mine:  # unit variance, no correlation between the directions
        np.testing.assert_allclose(np.cov(variates.T, bias=True), np.eye(5), atol=1e-9)


@pytest.mark.parametrize("regularisation", [0.0, 0.3, 3.0])
def test_correlations_equal_a_generalised_eigenproblem(regularisation):
    x, y = related(seed=1)
    a, b = (z.double().numpy() - z.double().numpy().mean(0) for z in (x, y))
    xx, yy, xy = a.T @ a / len(a), b.T @ b / len(b), a.T @ b / len(a)
    xx, yy = (c + regularisation * np.trace(c) / len(c) * np.eye(len(c)) for c in (xx, yy))
    squares = scipy.linalg.eigh(xy.T @ np.linalg.solve(xx, xy), yy, eigvals_only=True)[::-1]
    space = canonical_correlation(x, y, directions=4, regularisation=regularisation)
    np.testing.assert_allclose(space.correlations, np.sqrt(squares[:4]), rtol=1e-8)


def test_power_weights_the_directions():
    x, y = related()
    plain, weighted = (canonical_correlation(x, y, directions=4, regularisation=0.1, power=p) for p in (0.0, 2.0))
    for one, other in zip(plain.maps, weighted.maps, strict=True):
        torch.testing.assert_close(one * plain.correlations**2, other)


def test_rows_beyond_a_chunk_count(monkeypatch):
    x, y = related()
    whole = canonical_correlation(x, y, directions=3)
    monkeypatch.setattr("crossbit.methods.canonical.CHUNK", 30)
    torch.testing.assert_close(canonical_correlation(x, y, directions=3).correlations, whole.correlations)


@pytest.mark.parametrize("regularisation", [0.0, 1.0])
def test_constant_columns_and_fewer_rows_than_columns(regularisation):
    x, y = related(n=4)
    x[:, 2] = 0.1
    space = canonical_correlation(x, y, directions=5, regularisation=regularisation)
    assert all(torch.isfinite(m).all() for m in space.maps)
    assert space.correlations.max() <= 1
    real = space.correlations > 1e-9
    assert 0 < real.sum() <= 3  # four rows
    assert (space.maps[0][2, real].abs() < 1e-12).all()  # nothing varies along that column


def embeddings(n=400, k=6, seed=0):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.normal(size=(n, k)) * np.linspace(2, 0.2, k), dtype=torch.float32)


@pytest.mark.parametrize("bits", [6, 16])
def test_itq_only_improves_and_stays_a_rotation(bits):
    z = embeddings()
    rotation, errors = iterative_quantisation(z, random_rotation(6, bits, seed=1), 100)
    torch.testing.assert_close(rotation @ rotation.t(), torch.eye(6), atol=1e-5, rtol=0)
    assert (np.diff(errors) <= 1e-7).all()
    assert errors[-1] < errors[0] - 0.005
    turned = z @ rotation
    assert errors[-1] == pytest.approx(((turned.sign() - turned) ** 2).mean().item(), rel=1e-5)


def test_itq_ends_where_no_code_changes():
    z = embeddings(n=30)
    rotation, errors = iterative_quantisation(z, random_rotation(6, 6, seed=1), 1000)
    assert len(errors) < 100
    assert iterative_quantisation(z, rotation, 5)[1][-1] == pytest.approx(errors[-1], rel=1e-5)


def test_itq_finds_a_rotated_cube():
    codes = torch.tensor(np.random.default_rng(0).choice([-1.0, 1.0], size=(300, 4)), dtype=torch.float32)
    turned = codes @ random_rotation(4, 4, seed=3).float()
    errors = [iterative_quantisation(turned, random_rotation(4, 4, seed=seed))[1][-1] for seed in range(6)]
    assert min(errors) < 1e-10  # it is a local search: not from every start
    assert max(iterative_quantisation(turned, random_rotation(4, 4, seed=seed))[1][0] for seed in range(6)) > 0.05


def toy(n=700, classes=12, noise=0.8):
    """Two modalities that show a class each."""
    rng = np.random.default_rng(0)
    label = rng.integers(classes, size=n)
    image, text = (
        rng.normal(size=(classes, d))[label] + noise * rng.normal(size=(n, d)).astype(np.float32) for d in (20, 16)
    )
    splits = {"query": np.arange(100), "train": np.arange(100, n), "retrieval": np.arange(100, n)}
    return PairedData("toy", {"image": image.astype(np.float32), "text": text.astype(np.float32)}, label, splits)


def score(method, data, bits=8, **settings):
    report = evaluate(train(data, method=method, bits=bits, settings=settings, progress=False), data)
    return min(report.map.values())


def test_cosine_is_above_the_codes_and_all_above_chance():
    data = toy()
    maps = {method: score(method, data) for method in METHODS}
    assert maps.pop("cca-cosine") > max(maps.values()) + 0.05
    assert min(maps.values()) > 2 / 12


def method_on(name, x, y, bits, seed=0, **settings):
    cls = get(name)
    made = cls(make_settings(cls, settings), Task({"image": x.shape[1], "text": y.shape[1]}, 0, bits))
    view = View({"image": x, "text": y}, None, np.arange(len(x)), epochs=1, seed=seed)
    return made, view, made.train_epoch(view)


def test_more_bits_than_directions_keep_lengths_and_angles():
    x, y = related()
    few, _, _ = method_on("cca-cosine", x, y, 5, regularisation=0.5)
    many, _, _ = method_on("cca-cosine", x, y, 64, regularisation=0.5)
    for modality, features in (("image", x), ("text", y)):
        grams = [(z @ z.t()) for z in (few.networks[modality](features), many.networks[modality](features))]
        torch.testing.assert_close(*grams, atol=1e-4, rtol=1e-4)


def test_the_sign_is_of_the_variates_themselves():
    x, y = related()
    method, _, figures = method_on("cca-sign", x, y, 4)
    settings = method.settings
    space = canonical_correlation(x, y, directions=4, regularisation=settings.regularisation, power=settings.power)
    expected = (y.double() - space.means[1]) @ space.maps[1]
    torch.testing.assert_close(method.networks["text"](y).double(), expected, atol=1e-4, rtol=1e-4)
    assert figures["loss"] == pytest.approx(1 - space.correlations.mean().item())


@pytest.mark.parametrize("name", METHODS)
def test_more_epochs_and_the_seed(name):
    x, y = related()
    method, view, figures = method_on(name, x, y, 32)
    first = method.networks["image"](x)
    view.epoch = 1
    assert method.train_epoch(view) == figures
    assert torch.equal(method.networks["image"](x), first)
    assert not torch.equal(method_on(name, x, y, 32, seed=1)[0].networks["image"](x), first)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("n", [1, 2, 40])
def test_constant_features_and_hardly_any_rows(name, n):
    x, y = torch.full((n, 6), 0.1), related(n)[1]
    method, _, figures = method_on(name, x, y, 16)
    assert np.isfinite(figures["loss"])
    for modality, features in (("image", x), ("text", y)):
        assert torch.isfinite(method.networks[modality](features)).all()
    codes = method.networks["image"](x)
    assert (codes == codes[0]).all()


def test_own_first_with_loops():
    rng = np.random.default_rng(0)
    x, y, groups = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)), rng.integers(15, size=40)
    y[:20] += 2 * x[:20]
    y[5] = y[6]  # a tie: neither is first, unless they are of one group
    cosine = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (y / np.linalg.norm(y, axis=1, keepdims=True)).T
    first = []
    for similar in (cosine, cosine.T):
        for i in range(40):
            first.append(all(similar[i, i] > similar[i, j] for j in range(40) if groups[j] != groups[i]))
    assert 0 < np.mean(first) < 1
    assert own_first(torch.tensor(x), torch.tensor(y), groups) == pytest.approx(np.mean(first))


def items(n=600, seed=0):
    """Two modalities that show twelve hidden numbers, a few of them much more than the others."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 12)) * np.geomspace(1, 0.1, 12)
    x, y = (hidden @ rng.normal(size=(12, width)) + 0.02 * rng.normal(size=(n, width)) for width in (20, 16))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)


def chosen(x, y, groups=None, **settings):
    """The regularisation that is used, and what was said of it."""
    cls, said = get("cca-sign"), []
    made = cls(make_settings(cls, settings), Task({"image": x.shape[1], "text": y.shape[1]}, 0, 16))
    view = View({"image": x, "text": y}, None, np.arange(len(x)), epochs=1, seed=0, groups=groups, say=said.append)
    return made.train_epoch(view)["regularisation"], said


def test_regularisation_is_lighter_where_held_out_pairs_are_told_apart():
    x, y = items()
    used, said = chosen(x, y)
    assert used == 0.3
    told = "of 120 held-out pairs .*% then find their own partner first, not .*%"
    assert re.fullmatch(f"regularisation 0.3 in place of 3: {told}", said[0])
    assert chosen(x, y, lighter=False) == (3.0, [])
    assert chosen(x, y, regularisation=1e-4) == (1e-4, [])  # a lighter one is hardly better


def test_regularisation_stays_where_they_are_not():
    x, y = items()
    mixed = y.clone()
    mixed[:300] = y[torch.randperm(300, generator=torch.Generator().manual_seed(0))]  # half of the pairs are wrong
    assert chosen(x, mixed) == (3.0, [])
    assert chosen(x[:400], y[:400]) == (3.0, [])  # too few to say
    data = toy()
    assert chosen(*(torch.tensor(data[m], dtype=torch.float32) for m in ("image", "text"))) == (3.0, [])  # kinds only


def test_pairs_of_one_group_are_no_rivals_and_are_held_out_together():
    x, y = (one.repeat(5, 1) for one in items())  # five pairs show the same thing
    things = np.tile(np.arange(600), 5)
    assert chosen(x, y)[0] == 3.0
    assert chosen(x, y, groups=things)[0] == 0.03
    assert chosen(x, y, groups=things % 300)[0] == 3.0  # 60 groups are too few


def test_wrong_pairs_are_not_related():
    x, y = related()
    wrong = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]
    assert method_on("cca-sign", x, wrong, 4)[2]["loss"] > method_on("cca-sign", x, y, 4)[2]["loss"] + 0.1


@pytest.mark.parametrize(("name", "settings"), [("cca-sign", {"regularisation": -1}), ("cca-itq", {"iterations": 0})])
def test_bad_settings_are_refused(name, settings):
    with pytest.raises(UserError, match="must be at least"):
        make_settings(get(name), settings)
