"""Classes that are taken for one another, and classes that nothing shows."""

import itertools

import numpy as np
import pytest
import torch

from crossbit.posterior import estimate_posterior
from crossbit.posterior.confusion import Confusion, suspects
from crossbit.posterior.fitting import fit_noise, shown
from crossbit.posterior.noise import NoiseModel
from crossbit.posterior.words import in_words, noise_kind, summary

pytestmark = pytest.mark.slow

RATES = {(0, 1): 0.3, (0, 2): 0.1, (2, 1): 0.2}  # truth, label: share


def model(single: bool) -> NoiseModel:
    truth, label = torch.tensor(list(RATES)).t()
    rate = torch.tensor(list(RATES.values()), dtype=torch.float64)
    kinds = {"none": 0.8, "flip": 0.2} if single else {"none": 0.8, "swap-one": 0.2}
    return NoiseModel(single, 1.0, torch.zeros(3).double(), kinds, Confusion(truth, label, rate.log(), 3))


def given(truth: tuple[int, ...]) -> dict[tuple[int, ...], float]:
    """Chances of observed labels where only confusions befall the true ones, one label at most."""
    kept = [1 - sum(rate for (k, _), rate in RATES.items() if k == c) for c in range(3)]
    own = [c for c in range(3) if truth[c]]
    chances = {truth: float(np.prod([kept[c] for c in own]))}
    for (k, j), rate in RATES.items():
        if truth[k] and not truth[j]:
            seen = tuple(int(c == j or (truth[c] and c != k)) for c in range(3))
            chances[seen] = chances.get(seen, 0) + rate * float(np.prod([kept[c] for c in own if c != k]))
    return chances


def damaged(truth: tuple[int, ...], single: bool) -> dict[tuple[int, ...], float]:
    """Chances where one label was exchanged for any other."""
    swaps = [(j, k) for j in range(3) if truth[j] for k in range(3) if not truth[k]]
    if not swaps:
        return {truth: 1.0}
    return {tuple(int(c == k or (truth[c] and c != j)) for c in range(3)): 1 / len(swaps) for j, k in swaps}


@pytest.mark.parametrize("single", [True, False])
def test_likelihood_and_posterior_are_those_of_enumeration(single):
    noise = model(single)
    z = torch.tensor([[0.3, -1.0, 0.8]], dtype=torch.float64)
    sets = [y for y in itertools.product((0, 1), repeat=3) if sum(y) == 1 or (not single and sum(y) in (1, 2))]
    p = noise.prior(z)[0].numpy()
    prior = {y: float(p @ y) if single else float(np.prod(np.where(y, p, 1 - p))) for y in sets}
    for observed in sets:
        joint = {
            y: prior[y] * (0.8 * given(y).get(observed, 0) + 0.2 * damaged(y, single).get(observed, 0)) for y in sets
        }
        seen = torch.tensor([observed], dtype=torch.float64)
        total = sum(joint.values())
        assert noise.log_likelihood(z, seen).exp().item() == pytest.approx(total)
        labels, corrupted, _ = noise.posterior(z, seen)
        np.testing.assert_allclose(labels[0], sum(np.array(y) * v for y, v in joint.items()) / total, atol=1e-9)
        assert corrupted.item() == pytest.approx(1 - joint[observed] / total)


def toy(rate: float, seed: int, n: int = 600, classes: int = 4):
    """Clear classes, of each of which a share is labelled as the next: features, given labels, and who is wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    wrong = rng.random(n) < rate
    x = {m: torch.tensor(np.eye(classes)[truth] + 0.25 * rng.normal(size=(n, classes))).float() for m in ("a", "b")}
    return x, torch.eye(classes)[np.where(wrong, (truth + 1) % classes, truth)], wrong, truth


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_share_of_each_class_labelled_as_the_next_is_found(rate, seed):
    x, y, wrong, _ = toy(rate, seed)
    posterior = estimate_posterior(x, dict.fromkeys(x, y))
    suspected = posterior.corrupted["a"].numpy() > 0.5
    assert suspected[wrong].mean() >= 0.95
    assert suspected[~wrong].mean() <= 0.01
    assert rate < 0.1 or noise_kind(posterior) == "confusion"  # few rows may have any other class


def test_confusions_are_said_by_name_and_kept():
    x, y, wrong, truth = toy(0.3, 0)
    y[truth != 0] = torch.eye(4)[truth[truth != 0]]  # class 0 alone
    posterior = estimate_posterior(x, dict.fromkeys(x, y))
    share = round(100 * wrong[truth == 0].mean())
    lines = in_words(posterior, y, ["wolf", "husky", "cat", "dog"])
    named = [line for line in lines if "`wolf` are labelled `husky`" in line]
    assert len(named) == 1 and abs(int(named[0].split()[1]) - share) <= 2
    assert [found[:2] for found in summary(posterior, y)["confusions"]] == [[0, 1]]


def test_several_labels_may_be_confused():
    rng = np.random.default_rng(0)
    truth = rng.random((900, 6)) < 0.3
    x = {m: torch.tensor(truth + 0.2 * rng.normal(size=truth.shape)).float() for m in ("a", "b")}
    wrong = truth[:, 0] & ~truth[:, 1] & (rng.random(900) < 0.3)
    y = torch.tensor(truth).float()
    y[wrong, 0], y[wrong, 1] = 0.0, 1.0
    kept = torch.tensor(truth.any(1))
    posterior = estimate_posterior({m: of[kept] for m, of in x.items()}, dict.fromkeys(x, y[kept]))
    suspected = posterior.corrupted["a"].numpy() > 0.5
    assert suspected[wrong[kept]].mean() >= 0.9 and suspected[~wrong[kept]].mean() <= 0.01


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5])
def test_doubt_is_no_confusion(share):
    """Rows between two classes, and two classes that look alike."""
    rng = np.random.default_rng(1)
    place = rng.random(800)
    label = (place + 0.15 * rng.normal(size=800) > 0.5).astype(int)  # one gradual change
    label[place < share] = rng.integers(0, 2, int((place < share).sum())) * 2  # where 0 and 2 look the same
    x = {"a": torch.tensor(np.column_stack([place, np.sin(9 * place)])).float()}
    posterior = estimate_posterior(x, {"a": torch.eye(3)[label]})
    assert next(iter(posterior.noise.values())).confusion is None
    assert posterior.rate < 0.05


def test_classes_whose_clearest_rows_are_the_same_are_not_suspected():
    rng = np.random.default_rng(0)
    f = np.column_stack([np.repeat([0.7, 0.0], 300), np.repeat([0.3, 0.0], 300), np.repeat([0.0, 1.0], 300)])
    y = np.eye(3)[np.r_[rng.choice(2, 300, p=[0.7, 0.3]), np.full(300, 2)]]
    noisy = torch.tensor(f + 0.01 * rng.normal(size=f.shape))
    assert not len(suspects(noisy, torch.tensor(y))[0])


@pytest.mark.parametrize("n", [200, 500])
def test_labels_that_nothing_shows_are_not_judged(n):
    rng = np.random.default_rng(n)
    visible, who = np.eye(4)[rng.integers(0, 4, n)], np.eye(3)[rng.integers(0, 3, n)]
    x = {m: torch.tensor(visible + 0.25 * rng.normal(size=visible.shape)).float() for m in ("a", "b")}
    constant, random = (dict.fromkeys(x, make) for make in (torch.ones(n, 5), torch.tensor(rng.normal(size=(n, 5)))))
    cases = [(x, who), (x, np.hstack([visible, who])), (constant, visible), (random, visible), (random, who)]
    for features, labels in cases:
        posterior = estimate_posterior(features, dict.fromkeys(features, torch.tensor(labels)))
        assert posterior.rate < 0.05 and not (posterior.corrupted["a"] > 0.5).any()
    both = np.hstack([visible, who])
    posterior = estimate_posterior(x, dict.fromkeys(x, torch.tensor(both)))
    assert posterior.shown[:4].all() and not posterior.shown[4:].all()
    hidden = ", ".join(f"`{name}`" for name, seen in zip("ABC", posterior.shown[4:], strict=True) if not seen)
    lines = in_words(posterior, torch.tensor(both), [*"abcdABC"])
    assert lines[1] == f"nothing in the data shows {hidden}: these labels are not judged"


@pytest.mark.parametrize("hidden", [3, 8, 20])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_wrong_labels_beside_some_that_nothing_shows_are_found(hidden, rate):
    x, y, _, truth = toy(0.0, 3)
    rng = np.random.default_rng(3)
    wrong = rng.random(len(y)) < rate
    y[wrong] = torch.eye(4)[(truth[wrong] + rng.integers(1, 4, wrong.sum())) % 4]  # any other class
    who = torch.eye(hidden)[np.random.default_rng(0).integers(0, hidden, len(y))]
    both = torch.cat([y, who], 1)
    posterior = estimate_posterior(x, dict.fromkeys(x, both))
    unseen = ~posterior.shown
    assert unseen[4:].sum() > hidden / 2
    assert torch.allclose(posterior.labels[:, unseen], both[:, unseen].double(), atol=1e-6)
    suspected = posterior.corrupted["a"].numpy() > 0.5
    assert not rate or suspected[wrong].mean() >= 0.95
    assert suspected[~wrong].mean() <= 0.01


def test_labels_of_one_modality_that_nothing_shows_do_not_outvote_the_others():
    x, y, wrong, truth = toy(0.3, 4)
    random = torch.eye(4)[np.random.default_rng(1).integers(0, 4, len(y))]
    posterior = estimate_posterior(x, {"a": y, "b": random})
    suspected = posterior.corrupted["a"].numpy() > 0.5
    assert suspected[wrong].mean() >= 0.95 and suspected[~wrong].mean() <= 0.01
    assert (posterior.labels.argmax(1).numpy() == truth).mean() >= 0.98
    assert not (posterior.corrupted["b"] > 0.5).any()


@pytest.mark.parametrize("sign", [1, -1])
def test_faint_classes_are_judged_together(sign):
    """Each correlates with its prediction by 1.2 standard deviations: less than one class must, more than twelve."""
    rng = torch.Generator().manual_seed(0)
    y = (torch.rand(400, 12, generator=rng) < 0.3).double()
    apart = (y - y.mean(0)) / (y - y.mean(0)).norm(dim=0)
    rest = torch.randn(400, 12, generator=rng, dtype=torch.float64)
    rest = rest - rest.mean(0)
    rest = rest - apart * (apart * rest).sum(0)
    f = sign * 0.06 * apart + rest / rest.norm(dim=0)
    assert shown(f, y).tolist() == [sign > 0] * 12
    assert (fit_noise(f, y, single=False).shares == {"none": 1.0}) == (sign < 0)
