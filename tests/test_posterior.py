"""The label posterior against slow oracles: refitting, and enumeration of all label sets."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from crossbit.data.noise import corrupt, shuffle_pairs
from crossbit.posterior import estimate_posterior, fitting, labelled_alike
from crossbit.posterior.choice import choose, simplex
from crossbit.posterior.fitting import fit_noise
from crossbit.posterior.kinds import SEVERAL, SINGLE, Observed
from crossbit.posterior.noise import SURE, NoiseModel
from crossbit.posterior.pairs import right_pairs
from crossbit.posterior.regression import RbfKernel, fit_exact, fit_landmarks
from crossbit.posterior.sharing import share_probability
from crossbit.posterior.sums import ClassSums
from crossbit.posterior.words import in_words, noise_kind, summary, wrong_shares


def scattered(n: int = 14, classes: int = 3, seed: int = 0) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Rows without any order, and labels of no meaning."""
    rng = np.random.default_rng(seed)
    features = {"image": torch.from_numpy(rng.normal(size=(n, 4))), "text": torch.from_numpy(rng.normal(size=(n, 3)))}
    return features, torch.from_numpy((rng.random((n, classes)) < 0.4).astype(np.float64))


def clusters(
    n: int = 300, classes: int = 5, *, several: bool = False, spread: float = 0.5, seed: int = 0
) -> tuple[dict[str, torch.Tensor], np.ndarray]:
    """Two modalities that show the labels, one for each row or several."""
    rng = np.random.default_rng(seed)
    label = np.eye(classes, dtype=np.uint8)[rng.integers(classes, size=n)]
    if several:
        label = np.maximum(label, (rng.random((n, classes)) < 0.3).astype(np.uint8))
        label[label.all(1), 0] = 0
    features = {}
    for modality, dim in (("image", 8), ("text", 6)):
        x = label @ rng.normal(size=(classes, dim)) + spread * rng.normal(size=(n, dim))
        features[modality] = torch.from_numpy(x.astype(np.float32))
    return features, label


def of(observed: np.ndarray) -> dict[str, torch.Tensor]:
    """The same labels for both modalities."""
    return dict.fromkeys(("image", "text"), torch.from_numpy(observed).float())


KERNEL = RbfKernel({"image": 0.3, "text": 0.7}, 0.5, {"image": 4.0, "text": 3.0})
RIDGE = 0.7


# --- regression -----------------------------------------------------------------------------------------------------


def refitted(features, y, rows: list[int], left: list[int]) -> np.ndarray:
    """Predictions for `left` of the regression on `rows`, from its saddle-point equations."""
    x = {m: values[rows] for m, values in features.items()}
    n = len(rows)
    system = np.zeros((n + 1, n + 1))
    system[:n, :n] = KERNEL(x, x).numpy() + RIDGE * np.eye(n)
    system[:n, n] = system[n, :n] = 1
    solved = np.linalg.solve(system, np.vstack([y[rows].numpy(), np.zeros((1, y.shape[1]))]))
    return KERNEL({m: values[left] for m, values in features.items()}, x).numpy() @ solved[:n] + solved[n]


def test_left_out_is_what_refitting_without_the_row_gives():
    features, y = scattered()
    fit = fit_exact(features, y, KERNEL, RIDGE)
    expected = [refitted(features, y, [j for j in range(14) if j != i], [i])[0] for i in range(14)]
    np.testing.assert_allclose(fit.left_out, expected, atol=1e-10)
    assert fit.error == pytest.approx(np.square(y.numpy() - np.array(expected)).sum(1).mean())
    other = scattered(seed=1)[0]
    joined = {m: torch.cat([features[m], other[m]]) for m in features}
    np.testing.assert_allclose(
        fit.predict(other), refitted(joined, y, list(range(14)), list(range(14, 28))), atol=1e-10
    )


@pytest.mark.parametrize("landmarks", [None, 14])
def test_a_group_is_left_out_together(landmarks):
    features, y = scattered()
    groups = torch.tensor([0, 1, 2, 0, 0, 1, 3, 4, 5, 5, 6, 7, 8, 9])
    if landmarks is None:
        fit = fit_exact(features, y, KERNEL, RIDGE, groups)
    else:
        fit = fit_landmarks(features, y, KERNEL, [RIDGE], torch.arange(landmarks), groups)
    for group in range(10):
        left = [i for i in range(14) if groups[i] == group]
        expected = refitted(features, y, [i for i in range(14) if i not in left], left)
        np.testing.assert_allclose(fit.left_out[left], expected, atol=1e-6)


def test_with_all_rows_as_landmarks_the_approximation_is_exact():
    features, y = scattered()
    exact = fit_exact(features, y, KERNEL, RIDGE)
    fit = fit_landmarks(features, y, KERNEL, [RIDGE, 1e3], torch.randperm(14))
    assert fit.ridge == (RIDGE if exact.error < fit_exact(features, y, KERNEL, 1e3).error else 1e3)
    fit = fit_landmarks(features, y, KERNEL, [RIDGE], torch.randperm(14))
    other = scattered(seed=1)[0]
    np.testing.assert_allclose(fit.left_out, exact.left_out, atol=1e-6)
    np.testing.assert_allclose(fit.predict(other), exact.predict(other), atol=1e-6)


def test_some_landmarks_are_close_to_exact():
    features, label = clusters()
    y = torch.from_numpy(label).double()
    kernel = RbfKernel({"image": 0.5, "text": 0.5}, 0.5, {"image": 15.0, "text": 12.0})
    exact, other = fit_exact(features, y, kernel, 1.0), clusters(seed=1)[0]
    errors = []
    for count in (10, 100):
        fit = fit_landmarks(features, y, kernel, [1.0], torch.arange(count))
        errors.append((fit.left_out - exact.left_out).abs().max().item())
        assert (fit.predict(other) - exact.predict(other)).abs().max() < errors[-1] * 5
    assert errors[1] < 0.02 < errors[0]


@pytest.mark.slow
def test_the_choice_prefers_the_modality_that_shows_the_labels():
    features, label = clusters(seed=2)
    rng = np.random.default_rng(0)
    features["text"] = torch.from_numpy(rng.normal(size=(300, 6)).astype(np.float32))
    kernel, _ = choose(features, torch.from_numpy(label).double(), 0)
    assert kernel.weights["image"] >= 0.8


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_weights_of_any_number_of_modalities_sum_to_one(count):
    points = simplex([f"m{k}" for k in range(count)])
    assert all(abs(sum(point.values()) - 1) < 1e-12 for point in points)
    assert len({tuple(point.values()) for point in points}) == len(points) >= count


# --- noise: enumeration of all label sets ---------------------------------------------------------------------------


def chances(kind: str, y: tuple[int, ...]) -> dict[tuple[int, ...], float]:
    """Probability of each set that noise of this kind makes of the true set y."""
    places, found = range(len(y)), {}
    changed = lambda *at: tuple(1 - v if k in at else v for k, v in enumerate(y))  # noqa: E731
    ones, zeros = [k for k in places if y[k]], [k for k in places if not y[k]]
    if kind == "none":
        return {y: 1.0}
    if kind == "omit-one":
        made = [changed(k) for k in ones]
    elif kind == "add-one":
        made = [changed(k) for k in zeros]
    elif kind == "resample":
        made = [z for z in itertools.product((0, 1), repeat=len(y)) if sum(z) == sum(y)]
    else:
        made = [changed(j, k) for j in ones for k in zeros]
    for z in made:
        found[z] = found.get(z, 0) + 1 / len(made)
    return found


@pytest.mark.parametrize("single", [False, True])
def test_likelihood_posterior_and_corruption_are_bayes_rule(single):
    rng = np.random.default_rng(0)
    z = torch.from_numpy(rng.normal(size=(1, 4)))
    kinds = list(SINGLE if single else SEVERAL)
    shares = dict(zip(kinds, rng.dirichlet(np.ones(len(kinds))).tolist(), strict=True))
    model = NoiseModel(single, 1.0, torch.zeros(4), shares)
    sets = [y for y in itertools.product((0, 1), repeat=4) if not single or sum(y) == 1]
    p = (z.softmax(1) if single else z.sigmoid()).numpy()[0]
    prior = {
        y: float(p @ np.array(y)) if single else math.prod(p[k] if v else 1 - p[k] for k, v in enumerate(y))
        for y in sets
    }
    for observed in [y for y in sets if sum(y) in (1, 2)]:
        joint = {
            y: prior[y] * sum(share * chances(kind, y).get(observed, 0.0) for kind, share in shares.items())
            for y in sets
        }
        total = sum(joint.values())
        seen = torch.tensor([observed], dtype=torch.float64)
        labels, corrupted, _ = model.posterior(z, seen)
        assert model.log_likelihood(z, seen).exp().item() == pytest.approx(total)
        np.testing.assert_allclose(labels[0], sum(np.array(y) * v for y, v in joint.items()) / total, atol=1e-9)
        assert corrupted.item() == pytest.approx(1 - joint[observed] / total)


@pytest.mark.parametrize("slope", [1.0, 30.0])  # 30: some logits are beyond what they are kept within
def test_sums_over_classes_and_their_gradients_are_those_of_automatic_differentiation(slope):
    rng = torch.Generator().manual_seed(0)
    f = torch.randn(50, 3001, generator=rng, dtype=torch.float64)
    y = torch.rand(f.shape, generator=rng) < 0.002
    y[0], y[1] = False, True
    start = torch.tensor(slope, dtype=torch.float64), torch.randn(3001, generator=rng).double() - 5
    ours, theirs = ([x.clone().requires_grad_() for x in start] for _ in range(2))
    found = ClassSums.apply(*ours, f, *y.nonzero(as_tuple=True), SURE)
    rows = Observed((theirs[1] + theirs[0] * f).clamp(-SURE, SURE), y.double())
    expected = rows.kept, rows.out, rows.into
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    weight = torch.randn(3, 50, generator=rng, dtype=torch.float64)
    for parts in (found, expected):
        sum((w * part).sum() for w, part in zip(weight, parts, strict=True)).backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-9, atol=1e-9 * other.grad.abs().max().item())


# --- the posterior --------------------------------------------------------------------------------------------------


def expected_calibration_error(p: np.ndarray, truth: np.ndarray, bins: int = 10) -> float:
    parts = np.array_split(np.argsort(p), bins)
    return sum(len(rows) * abs(p[rows].mean() - truth[rows].mean()) for rows in parts) / len(p)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "several", "kind"),
    [
        ("flip:0.2", False, "flip"),
        ("flip:0.5", False, "flip"),
        ("swap-one:0.4", False, "flip"),
        ("swap-one:0.5", True, "swap-one"),
        ("resample:0.5", True, "resample"),
    ],
)
def test_rate_and_kind_are_found_and_the_posterior_is_calibrated(noise, several, kind):
    features, label = clusters(500, several=several, spread=0.5)
    observed, changed = corrupt(label, noise, seed=1)
    found = estimate_posterior(features, of(observed))
    p, wrong = found.labels.numpy(), found.corrupted["image"].numpy()
    assert abs(found.rate - changed.mean()) < 0.07
    assert noise_kind(found) == kind
    assert roc_auc_score(changed, wrong) > 0.9
    assert expected_calibration_error(wrong, changed) < 0.05
    brier = np.square(p - label).sum(1).mean()
    assert brier < 0.5 * np.square(label - label.mean(0)).sum(1).mean()
    assert brier < 0.5 * np.square(observed - label.astype(float)).sum(1).mean()
    assert f"about {100 * found.rate:.0f} %" in in_words(found, of(observed)["image"])[0]


@pytest.mark.parametrize(
    ("losses", "kind"),
    [
        ({"omit-one": 5.001, "swap-one": 5.0005}, "omit-one"),  # the most frequent kind will do
        ({"omit-one": 6.2, "swap-one": 4.9}, "swap-one"),  # all together are not the likeliest: they ended too early
        ({"omit-one": 4.95, "swap-one": 4.9}, "swap-one"),
        ({"omit-one": 6.2, "swap-one": 5.9}, None),  # it takes several
    ],
)
def test_where_the_search_among_all_kinds_ended_too_early_each_is_tried_alone(monkeypatch, losses, kind):
    several = NoiseModel(False, 1.0, torch.zeros(3), {"none": 0.0, "swap-one": 0.4, "omit-one": 0.6})
    alone = {name: NoiseModel(False, 1.0, torch.zeros(3), {"none": 0.5, name: 0.5}) for name in losses}

    def best(given, kinds, near=None):
        if len(kinds) > 2:
            return 5.0, several
        name = list(kinds)[1]
        return losses[name], alone[name]

    monkeypatch.setattr(fitting, "_best", best)
    y = torch.eye(3).repeat(100, 1)
    found = fit_noise(y, y, single=False, kinds=["none", "swap-one", "omit-one"])
    assert found is (several if kind is None else alone[kind])


@pytest.mark.slow
def test_mostly_resampled_labels_of_one_size_do_not_bend_the_calibration():
    rng, share = np.random.default_rng(0), 1 / np.arange(1, 13)
    label = np.zeros((2000, 12), np.float32)
    for row in label:
        row[rng.choice(12, 2, replace=False, p=share / share.sum())] = 1
    x = label @ rng.normal(size=(12, 24)) + 2.5 * rng.normal(size=(2000, 24))
    observed, changed = corrupt(label, "resample:0.8", seed=0)
    found = estimate_posterior({"x": torch.from_numpy(x.astype(np.float32))}, {"x": torch.from_numpy(observed)})
    assert noise_kind(found) == "resample"
    assert abs(found.rate - changed.mean()) < 0.16  # labels that so much noise hides are not judged
    seen = found.shown.numpy()
    brier = np.square(found.labels.numpy() - label)[:, seen].sum(1).mean()
    assert brier < 0.9 * np.square(label - label.mean(0))[:, seen].sum(1).mean()  # 1.5 of it where the numbers bend it


@pytest.mark.parametrize("offset", [0.0, 1e5])
@pytest.mark.parametrize("precision", [torch.float16, torch.float32, torch.float64])
def test_further_rows_are_predicted_alike_in_any_precision(offset, precision):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(60, 5))) + (offset if precision != torch.float16 else 0.0)
    x, y = x.to(precision), torch.from_numpy(np.eye(3)[rng.integers(3, size=60)])
    fit = fit_exact({"x": x[:40].double()}, y[:40], RbfKernel({"x": 1.0}, 1.0, {"x": 10.0}), 0.1)
    exact = fit.predict({"x": x[40:].double()})
    np.testing.assert_allclose(fit.predict({"x": x[40:]}), exact, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_without_noise_the_posterior_is_the_observed_labels(several):
    features, label = clusters(several=several)
    found = estimate_posterior(features, of(label))
    assert found.rate < 0.02
    assert np.abs(found.labels.numpy() - label).mean() < 0.01
    assert found.right is None
    assert noise_kind(found) == "none"
    assert "look right" in in_words(found, of(label)["image"])[0]


@pytest.mark.slow
def test_rows_without_labels_are_predicted():
    features, label = clusters(400)
    observed, _ = corrupt(label, "flip:0.3", seed=1)
    observed[200:] = 0
    found = estimate_posterior(features, of(observed))
    assert found.corrupted["image"].isnan().numpy().tolist() == [row >= 200 for row in range(400)]
    assert (found.labels[200:].argmax(1).numpy() == label[200:].argmax(1)).mean() > 0.9
    np.testing.assert_allclose(found.labels.sum(1), 1, atol=1e-6)
    assert torch.equal(found.labels[200:], found.prior[200:])


@pytest.mark.parametrize("labelled", [0, 1, 9])
def test_few_labels_are_believed(labelled):
    features, label = clusters(60)
    observed = label.copy()
    observed[labelled:] = 0
    found = estimate_posterior(features, of(observed))
    assert np.array_equal(found.labels[:labelled], label[:labelled])
    frequency = label[:labelled].mean(0) if labelled else np.zeros(5)
    np.testing.assert_allclose(found.labels[labelled:], np.tile(frequency, (60 - labelled, 1)))
    assert found.rate == 0
    assert summary(found, of(observed)["image"]) == {"noise_rate": 0.0, "noise_kind": "none"}
    assert "too few" in in_words(found, of(observed)["image"])[0]


def test_labels_that_are_all_the_same_cannot_be_judged():
    features, _ = clusters(60)
    same = np.tile(np.eye(5, dtype=np.uint8)[2], (60, 1))
    found = estimate_posterior(features, of(same))
    assert np.array_equal(found.labels, same)
    assert in_words(found, of(same)["image"])[0].startswith("all 60 labelled rows have the same labels")


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_a_modality_that_nobody_labelled_has_the_labels_of_the_other(several):
    features, label = clusters(200, several=several)
    observed, _ = corrupt(label, "swap-one:0.3", seed=1)
    both, one = of(observed), {**of(observed), "text": torch.zeros(label.shape)}
    assert torch.equal(estimate_posterior(features, one).labels, estimate_posterior(features, both).labels)


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_a_few_wrong_labels_are_ranked_first_where_classes_overlap(several):
    features, label = clusters(1200, several=several, spread=1.5)
    observed, changed = corrupt(label, "swap-one:0.04", seed=1)
    found = estimate_posterior(features, of(observed))
    assert roc_auc_score(changed, found.corrupted["image"].numpy()) > 0.85
    assert abs(found.rate - changed.mean()) < 0.07


def test_ten_labels_are_enough_to_begin_with():
    features, label = clusters(200, classes=2, spread=0.1)
    observed = label.copy()
    observed[12:] = 0
    found = estimate_posterior(features, of(observed))
    assert (found.labels.argmax(1).numpy() == label.argmax(1)).mean() > 0.9


@pytest.mark.slow
def test_labels_of_each_modality_are_two_witnesses():
    features, label = clusters(400, spread=1.8)
    (one, wrong), (other, _) = (corrupt(label, "flip:0.4", seed=seed) for seed in (1, 2))
    alone = estimate_posterior(features, of(one))
    both = estimate_posterior(features, {"image": of(one)["image"], "text": of(other)["text"]})
    assert roc_auc_score(wrong, both.corrupted["image"]) > roc_auc_score(wrong, alone.corrupted["image"])
    assert np.square(both.labels.numpy() - label).sum() < np.square(alone.labels.numpy() - label).sum()
    assert not torch.equal(both.corrupted["image"], both.corrupted["text"])
    copies = estimate_posterior(features, {"image": of(one)["image"], "text": of(one)["text"].clone()})
    assert torch.equal(copies.labels, alone.labels)  # the same labels twice are one witness


@pytest.mark.slow
def test_wrong_pairs_are_found_and_say_each_its_own():
    features, label = clusters(500, spread=0.3)
    text = shuffle_pairs(500, 0.4, seed=0)
    wrong = text != np.arange(500)
    found = estimate_posterior({"image": features["image"], "text": features["text"][text]}, of(label))
    assert found.wrong_pairs == pytest.approx(wrong.mean(), abs=0.15)  # a fifth of them shows the same class
    apart = label.argmax(1) != label[text].argmax(1)
    assert roc_auc_score(apart, 1 - found.right) > 0.95
    shown = {"image": label, "text": label[text]}
    for modality, labels in found.of_modality.items():
        assert (labels.argmax(1).numpy() == shown[modality].argmax(1)).mean() > 0.9


@pytest.mark.slow
def test_one_modality_has_no_pairs_and_three_have():
    features, label = clusters(200)
    one = estimate_posterior({"image": features["image"]}, {"image": of(label)["image"]})
    assert one.right is None
    three = {**features, "sound": features["text"].flip(1)}
    found = estimate_posterior(three, dict.fromkeys(three, of(label)["image"]))
    assert set(found.kernel.weights) == set(three)
    assert (found.labels.argmax(1).numpy() == label.argmax(1)).all()


def test_modalities_that_say_nothing_make_no_pair_wrong():
    rng = np.random.default_rng(0)
    priors = [torch.from_numpy(rng.dirichlet(20 * np.ones(4), size=300)) for _ in range(2)]
    assert right_pairs(priors, single=True, seed=0)[1] < 0.03


@pytest.mark.slow
def test_wrong_labels_of_near_duplicates_are_found_only_where_they_are_left_out_together():
    features, label = clusters(150, spread=0.4)
    copies = np.repeat(np.arange(150), 3)
    observed, changed = corrupt(label, "flip:0.4", seed=1)
    rng = np.random.default_rng(0)
    near = {m: x[copies] + torch.from_numpy(0.02 * rng.normal(size=x[copies].shape)) for m, x in features.items()}
    groups = torch.from_numpy(copies)
    assert labelled_alike(torch.from_numpy(observed[copies]), groups)
    alone, together = (
        roc_auc_score(changed[copies], estimate_posterior(near, of(observed[copies]), groups=given).corrupted["text"])
        for given in (None, groups)
    )
    assert together > 0.9 > alone


@pytest.mark.slow
def test_many_rows_take_landmarks():
    features, label = clusters(300)
    observed, changed = corrupt(label, "flip:0.4", seed=1)
    found = estimate_posterior(features, of(observed), exact=100, landmarks=80)
    assert roc_auc_score(changed, found.corrupted["image"]) > 0.9
    assert abs(found.rate - changed.mean()) < 0.07


@pytest.mark.slow
def test_shares_of_wrong_and_missing_labels_by_class():
    features, label = clusters(500)
    observed, _ = corrupt(label, "flip:0.4", seed=1)
    wrong, missing = wrong_shares(estimate_posterior(features, of(observed)).labels, of(observed)["image"])
    truth = ((observed == 1) & (label == 0)).sum(0)
    np.testing.assert_allclose(wrong, truth / observed.sum(0), atol=0.1)
    np.testing.assert_allclose(missing, ((observed == 0) & (label == 1)).sum(0), atol=12)


@pytest.mark.parametrize("features", ["constant", "equal classes"])
def test_nothing_to_learn_from_is_no_error(features):
    held, label = clusters(60)
    if features == "constant":
        held = {m: torch.zeros_like(x) for m, x in held.items()}
    else:
        label = np.tile(label[:1], (60, 1))
    found = estimate_posterior(held, of(label))
    assert found.labels.isfinite().all()
    assert found.corrupted["image"].isfinite().all()


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], [1, 0, 0]])
def test_rows_with_no_label_and_with_all_of_them_in_either_precision(labels: list[int]) -> None:
    z, y = torch.tensor([[3.0, -1, 0.5], [50, -50, 50]]), torch.tensor([labels, labels]).float()
    model = NoiseModel(False, 1.0, torch.zeros(3), dict.fromkeys(SEVERAL, 1 / len(SEVERAL)))
    found, exact = model.posterior(z, y), model.posterior(z.double(), y.double())
    for one, other in zip(found, exact, strict=True):
        assert torch.allclose(one.double(), other, atol=1e-5)  # and neither is NaN


@pytest.mark.parametrize("share", [0.0, 0.01, 0.6])
@pytest.mark.parametrize("classes", [3, 64, 65, 300])
def test_sharing_a_label_is_one_less_the_product_over_classes(classes: int, share: float) -> None:
    """Few classes and many, unlikely labels and labels that are certain."""
    random = torch.Generator().manual_seed(classes)
    p, q = (torch.rand(n, classes, generator=random).pow(8) for n in (7, 5))
    for rows in (p, q):
        certain = torch.rand(rows.shape, generator=random) < share
        rows[certain] = torch.rand(int(certain.sum()), generator=random).round(decimals=1)
    expected = 1 - (1 - p.double().unsqueeze(1) * q.double()).prod(2)
    assert torch.allclose(share_probability(p, q).double(), expected, atol=2e-6, rtol=0)
    assert torch.allclose(share_probability(p.double(), q.double()), expected, atol=1e-6, rtol=0)
