"""LOOK: its losses against loops, its schedule, and what it does with labels that are missing, wrong or not there."""

import itertools
import math

import numpy as np
import pytest
import torch

from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.methods.base import Task
from crossbit.methods.look import (
    Look,
    LookSettings,
    kin_loss,
    most_likely,
    partner_loss,
    rate_at,
    share_probability,
    similarity_loss,
    usual,
)
from crossbit.posterior import Posterior, estimate_posterior
from crossbit.training import train


def toy(n: int = 120, classes: int = 3, seed: int = 0, modalities: tuple[str, ...] = ("image", "text")) -> PairedData:
    """Modalities that show a class each; 20 queries, 60 training pairs, 40 pairs that nobody labelled."""
    rng = np.random.default_rng(seed)
    label = np.eye(classes, dtype=np.uint8)[rng.integers(classes, size=n)]
    held = {}
    for dim, modality in enumerate(modalities, 6):
        x = label @ rng.normal(size=(classes, dim)) + 0.4 * rng.normal(size=(n, dim))
        held[modality] = x.astype(np.float32)
    return PairedData(
        "toy", held, label, {"query": np.arange(20), "train": np.arange(20, 80), "retrieval": np.arange(20, n)}
    )


def small(data: PairedData, **options):
    settings = {"width": 16, "batch": 32, "steps": 4} | options.pop("settings", {})
    return train(data, **({"method": "look", "bits": 16, "epochs": 2, "progress": False} | options), settings=settings)


def codes(model, data: PairedData) -> list[np.ndarray]:
    return [model.embed(modality, data.query[modality]) for modality in model.modalities]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# --- losses ---------------------------------------------------------------------------------------------------------


def test_the_probability_to_share_a_label_is_that_of_drawing_them():
    p, q = (torch.rand(2, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    sets = list(itertools.product((0, 1), repeat=3))

    def chance(x, y):
        return math.prod(float(v if k else 1 - v) for v, k in zip(x, y, strict=True))

    for i, j in itertools.product(range(2), repeat=2):
        both = [chance(p[i], a) * chance(q[j], b) for a in sets for b in sets if any(map(min, a, b))]
        assert share_probability(p, q)[i, j].item() == pytest.approx(sum(both), abs=1e-6)
    one, other = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    expected = sum(float(one[0, c] * other[1, c]) for c in range(3))
    assert share_probability(one, other, single=True)[0, 1].item() == pytest.approx(expected)


def test_losses_are_what_loops_give():
    u, v = (torch.randn(3, 4, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    target = torch.tensor([[1.0, 0.2, 0.0], [0.2, 1.0, 0.7], [0.0, 0.7, 1.0]])

    def cosine(i, j):
        return float(u[i] @ v[j] / u[i].norm() / v[j].norm())

    total = 0.0
    for i, j in itertools.product(range(3), repeat=2):
        s, x = float(target[i, j]), 5.0 * cosine(i, j)
        total += s * math.log1p(math.exp(-x)) + (1 - s) * math.log1p(math.exp(x))
    assert similarity_loss(u, v, target, sharpness=5.0).item() == pytest.approx(total / 9, rel=1e-5)
    total = 0.0
    for i, j in itertools.product(range(3), repeat=2):
        s, x = float(target[i, j]), 5.0 * cosine(i, j) - 0.7
        total += s * math.log1p(math.exp(-x)) + (1 - s) * math.log1p(math.exp(x))
    assert similarity_loss(u, v, target, sharpness=5.0, offset=-0.7).item() == pytest.approx(total / 9, rel=1e-5)
    weight, total = torch.tensor([1.0, 0.5, 0.0]), 0.0
    for i in range(3):
        there = sum(math.exp(2 * cosine(i, j)) for j in range(3))
        back = sum(math.exp(2 * cosine(j, i)) for j in range(3))
        total += float(weight[i]) * (math.log(there) + math.log(back) - 4 * cosine(i, i))
    assert partner_loss(u, v, weight).item() == pytest.approx(total / 1.5, rel=1e-5)


def test_the_rate_rises_and_falls_once():
    rates = [rate_at(step / 100) for step in range(101)]
    top = int(np.argmax(rates))
    assert (rates[0], rates[top], rates[-1]) == (pytest.approx(0.04), 1, pytest.approx(0))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_the_likeliest_labels():
    p = torch.tensor([[0.4, 0.3, 0.3], [0.6, 0.7, 0.1]])
    assert most_likely(p, single=True).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert most_likely(p, single=False).tolist() == [[0, 0, 0], [1, 1, 0]]


# --- training -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "n"), [(32, 120), (1000, 120), (7, 50)])
def test_an_epoch_has_so_many_steps_whatever_the_number_of_pairs(batch, n):
    data = toy()
    data = data.replace(splits={**data.splits, "train": np.arange(20, 40), "retrieval": np.arange(20, n)})
    model = small(data, settings={"batch": batch, "steps": 5}, epochs=3)
    assert [line["steps"] for line in model.history] == [5, 5, 5]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "sweeps", "steps"), [(32, 1.0, 50), (2, 1.0, 100), (1, 1.0, 150), (2, 1.6, 160), (32, 0.3, 15)]
)
def test_an_epoch_has_sweeps_of_bounded_steps_where_steps_are_not_set(batch, sweeps, steps):
    model = small(toy(220), settings={"batch": batch, "steps": 0, "sweeps": sweeps}, epochs=1)
    assert [line["steps"] for line in model.history] == [steps]


@pytest.mark.slow
def test_labels_of_rows_outside_the_training_split_are_not_seen():
    data = toy()
    other = data.label.copy()
    other[80:] = np.roll(other[80:], 1, axis=1)
    assert same(codes(small(data), data), codes(small(data.replace(label=other)), data))
    other[30] = np.roll(other[30], 1)
    assert not same(codes(small(data), data), codes(small(data.replace(label=other)), data))


@pytest.mark.slow
def test_the_run_says_what_looks_wrong_and_keeps_it_by_row(tmp_path, capfd):
    data = toy()
    small(data, noise="flip:0.4", out=tmp_path / "run", progress=True)
    model = small(data, noise="flip:0.4")
    first, second = model.history
    assert "labelled rows look wrong" in first["note"]
    said = capfd.readouterr().err.splitlines()
    assert "estimating the labels of" in said[said.index(first["note"]) - 1]
    assert "note" not in second
    with np.load(tmp_path / "run" / "rows.npz") as rows, np.load(tmp_path / "run" / "data.npz") as stored:
        assert np.array_equal(rows["row"], data.splits["retrieval"])
        labelled = rows["row"] < 80
        assert np.array_equal(np.isnan(rows["corrupted"]), ~labelled)
        assert rows["probability"].shape == (100, 3)
        wrong = stored["noise_mask"][labelled]
        corrupted = rows["corrupted"][labelled]
        assert corrupted[wrong].mean() > 2 * corrupted[~wrong].mean()
        assert np.nanmean(rows["corrupted"]) == pytest.approx(first["noise_rate"], abs=1e-4)


@pytest.mark.slow
def test_labels_of_each_modality_are_judged_apart():
    model = small(toy(), noise="flip:0.4:each")
    assert {"corrupted_image", "corrupted_text"} <= set(model.rows)
    assert not np.array_equal(model.rows["corrupted_image"], model.rows["corrupted_text"])


@pytest.mark.slow
def test_wrong_pairs_are_told_and_kept():
    data = toy(400)
    data = data.replace(splits={"query": np.arange(20), "train": np.arange(20, 400), "retrieval": np.arange(20, 400)})
    model, without = (
        small(data, noise="shuffle-pairs:0.5", epochs=1, settings={"pairs": pairs}) for pairs in (True, False)
    )
    assert model.history[0]["wrong_pairs"] > 0.2
    assert "of the pairs look wrong" in model.history[0]["note"]
    assert model.rows["right_pair"].shape == (380,)
    assert "right_pair" not in without.rows
    assert not same(codes(model, data), codes(without, data))


def judged(data: PairedData, apart: bool = False) -> tuple[dict[str, torch.Tensor], Posterior]:
    """Features, and the posterior of 100 rows: 40 nobody labelled, 20 have wrong labels, 10 lack them in the images."""
    rows = data.splits["retrieval"]
    features = {m: torch.from_numpy(data[m][rows]) for m in data.modalities}
    y = torch.from_numpy(data.label[rows]).float()
    y[60:] = 0
    y[:20] = y[:20].roll(1, 1)
    observed = {m: y.clone() for m in features}
    if apart:
        observed["image"][50:60] = 0
    return features, estimate_posterior(features, observed)


def method_of(features: dict[str, torch.Tensor], **settings: object) -> Look:
    return Look(LookSettings(**settings), Task({m: x.shape[1] for m, x in features.items()}, 3, 16))


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "share"), [({"own": 0.25}, 0.25), ({"own": 0.0}, 0), ({"labels": "hard"}, 0)])
def test_a_modality_learns_in_part_what_it_says_itself(settings, share):
    features, posterior = judged(toy())
    method = method_of(features, **settings)
    method.set_apart(posterior)
    assert set(method.buffers) == ({f"target_{m}" for m in features} if share else set())
    weight = share * (1 - posterior.corrupted["text"][:60, None])
    assert not share or (weight.min() < 0.01 and weight.max() > 0.99 * share)
    for m in features if share else ():
        target = method.buffers[f"target_{m}"].double()
        expected = posterior.labels[:60] + weight * (posterior.alone[m] - posterior.labels)[:60]
        assert torch.allclose(target[:60], expected, atol=1e-6)
        assert torch.equal(target[60:].float(), posterior.labels[60:].float())  # nobody labelled these
    assert not torch.allclose(posterior.alone["image"], posterior.alone["text"], atol=0.01)


@pytest.mark.slow
def test_a_row_labelled_in_one_modality_is_believed_in_both():
    features, posterior = judged(toy(), apart=True)
    method = method_of(features)
    method.set_apart(posterior)
    assert posterior.corrupted["image"][50:60].isnan().all()
    for m in features:
        moved = (method.buffers[f"target_{m}"].double() - posterior.labels)[50:60]
        weight = 0.3 * (1 - posterior.corrupted["text"][50:60, None])
        assert torch.allclose(moved, weight * (posterior.alone[m] - posterior.labels)[50:60], atol=1e-6)


@pytest.mark.slow
def test_each_modality_is_held_to_its_own_target():
    features, posterior = judged(toy())
    method = method_of(features, own=0.5, sharpness=5.0, head=2.0)
    method.set_apart(posterior)
    rows, right = torch.arange(30, 70), torch.ones(40)
    method.buffers |= {"single": torch.tensor(True), "usual": torch.tensor(0.25), "target": posterior.labels.float()}
    u = {m: torch.randn(40, 16, generator=torch.Generator().manual_seed(k)) for k, m in enumerate(features)}
    p = {m: method.buffers[f"target_{m}"][rows] for m in features}
    expected = torch.zeros(())
    for a, b, weight in (("image", "text", 1.0), ("image", "image", 0.5), ("text", "text", 0.5)):
        target = (p[a] @ p[b].t()).fill_diagonal_(1)
        offset = 0.5 * math.log(0.25 / 0.75)
        expected = expected + weight * similarity_loss(u[a], u[b], target, sharpness=5.0, offset=offset)
    for m in features:
        logits = method.networks["classifier"](u[m])
        expected = expected + 2.0 * torch.nn.functional.binary_cross_entropy_with_logits(logits, p[m])
    assert method.label_loss(u, rows, right).item() == pytest.approx(expected.item(), rel=1e-5)


def test_what_is_usual_does_not_depend_on_the_batch():
    p = torch.rand(30, 4, generator=torch.Generator().manual_seed(0))
    pairs = [share_probability(p[[i]], p[[j]]).item() for i, j in itertools.permutations(range(30), 2)]
    assert usual(p) == pytest.approx(np.mean(pairs), rel=1e-4)
    assert 0 < usual(torch.eye(3), single=True) < 1e-3 and 0.999 < usual(torch.ones(3, 1)) < 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["no labels", "zeros"])
def test_without_labels_codes_are_learnt_from_pairs(how):
    data = toy()
    data = data.replace(label=None, observed_label=None) if how == "no labels" else data.with_observed(0 * data.label)
    model = small(data, epochs=5, settings={"steps": 60, "dropout": 0.0})
    u, v = (model.embed(m, data.query[m]) for m in model.modalities)
    cosines = (u / np.linalg.norm(u, axis=1, keepdims=True)) @ (v / np.linalg.norm(v, axis=1, keepdims=True)).T
    alike = (toy().label[:20] @ toy().label[:20].T).astype(bool)
    assert cosines[alike].mean() > cosines[~alike].mean() + 0.3  # pairs of one class look alike, so their codes do
    assert model.history[0].get("noise_rate", 0) == 0
    assert "held-out pairs tell rows apart" in model.history[0]["note"]


@pytest.mark.slow
def test_the_shared_directions_are_seen_and_order_the_shortlist():
    data = toy()
    model, without = small(data), small(data, settings={"directions": 0})
    for modality in model.modalities:
        whole, u = model.ordering(modality, data.query[modality]), model.embed(modality, data.query[modality])
        assert whole.shape == (20, 16 + 6)  # the narrower modality has 6 columns
        assert np.array_equal(whole[:, :16] >= 0, u >= 0)
        assert np.allclose((whole[:, :16] ** 2).sum(1), 0.5, atol=1e-6) and np.allclose((whole**2).sum(1), 1, atol=1e-6)
        assert np.array_equal(
            without.ordering(modality, data.query[modality]), without.embed(modality, data.query[modality])
        )


@pytest.mark.slow
def test_pairs_count_as_far_as_they_tell_rows_of_a_kind_apart():
    kinds = toy(400)  # they show the kind, and nothing of their own
    rng = np.random.default_rng(1)
    shared = 3 * rng.normal(size=(400, 4))
    own = {m: (x + shared @ np.eye(4, x.shape[1])).astype(np.float32) for m, x in kinds.modalities.items()}
    told = [small(data).history[0]["pairs_told"] for data in (kinds, kinds.replace(modalities=own))]
    assert told[0] < 0.6 and told[1] > 0.75


@pytest.mark.parametrize("together", [0.0, 0.3, 1.0])
def test_the_loss_of_similarities_is_that_of_loops(together):
    u, v, x, y = (torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)) for seed in range(4))
    cosine = torch.nn.functional.cosine_similarity
    mean = torch.nn.functional.normalize(x, dim=1) + torch.nn.functional.normalize(y, dim=1)

    def squares(a, b, p, q):
        wanted = lambda i, j: (1 - together) * cosine(p[i], q[j], 0) + together * cosine(mean[i], mean[j], 0)  # noqa: E731
        return np.mean([(cosine(a[i], b[j], 0) - wanted(i, j)).item() ** 2 for i in range(4) for j in range(4)])

    expected = squares(u, v, x, y) + squares(u, u, x, x) / 2 + squares(v, v, y, y) / 2
    loss = kin_loss({"image": u, "text": v}, {"image": x, "text": y}, together)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_similarities_are_kept_as_far_as_labels_are_too_often_wrong():
    data, rng = toy(1500, classes=10), np.random.default_rng(3)
    data = data.replace(splits={**data.splits, "train": data.splits["retrieval"]})
    notes = {}
    for wrong in (0.5, 0.8):
        other = (data.label.argmax(1) + rng.integers(1, 10, size=1500)) % 10
        label = np.where(rng.random(1500) < wrong, other, data.label.argmax(1))
        notes[wrong] = small(data.replace(label=np.eye(10, dtype=np.uint8)[label])).history[0]["note"]
    assert "few labels are right" in notes[0.8] and "few labels" not in notes[0.5], notes
    believed = small(data.replace(label=np.eye(10, dtype=np.uint8)[label]), settings={"labels": "observed"})
    assert "few labels" not in believed.history[0]["note"]


@pytest.mark.parametrize("settings", [{}, {"labels": "observed"}, {"preset": "first"}])
def test_labels_that_nothing_shows_are_not_learnt(settings):
    """But where they are asked for as they are."""
    data = toy(300)
    random = np.eye(3, dtype=np.uint8)[np.random.default_rng(5).integers(3, size=300)]
    data = data.replace(label=random, splits={**data.splits, "train": data.splits["retrieval"]})
    first = small(data, settings=settings).history[0]
    assert ("labels_told" in first) == (settings.get("preset") is None)
    if not settings:
        assert first["labels_told"] == 0 and first["noise_rate"] == 0
        assert first["note"].startswith("nothing in the data shows the labels of 280 labelled rows")


@pytest.mark.parametrize("single", [True, False])
def test_labels_say_as_much_as_predictions_take_of_their_entropy(single):
    method = method_of({"image": torch.zeros(1, 8), "text": torch.zeros(1, 8)})
    assert method.informed() == 0  # nobody labelled a row
    told, sure, unsure = [], torch.eye(3).repeat(30, 1).double(), torch.full((90, 3), 1 / 3, dtype=torch.float64)
    for prior in (unsure, sure.lerp(unsure, 0.5), sure):
        method.buffers |= {"prior": prior, "single": torch.tensor(single)}
        told.append(method.informed())
    assert told[0] == pytest.approx(0, abs=1e-6) and 0.1 < told[1] < 0.9 and told[2] == pytest.approx(1, abs=1e-6)
    assert "prior" not in method.buffers


@pytest.mark.slow
def test_the_first_look_has_nothing_of_pairs_but_the_soft_contrast():
    data = toy()
    first = small(data, settings={"preset": "first"})
    assert "pairs_told" not in first.history[0] and first.ordering("text", data.query["text"]).shape == (20, 16)
    assert {name: first.config["settings"][name] for name in Look.later} == Look.later


@pytest.mark.slow
def test_three_modalities():
    data = toy(modalities=("sound", "image", "text"))
    model = small(data)
    assert model.modalities == ["image", "text", "sound"]
    assert set(model.history[0]["kernel"]) == set(model.modalities)


def test_a_kernel_of_one_modality():
    model = small(toy(), settings={"kernel": "image"})
    assert model.history[0]["kernel"] == {"image": 1.0}
    with pytest.raises(UserError, match="kernel"):
        small(toy(), settings={"kernel": "sound"})


@pytest.mark.parametrize("settings", [{"dropout": 1.5}, {"labels": "clean"}, {"steps": -1}, {"sharpness": 0.0}])
def test_settings_that_cannot_be(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        LookSettings(**settings)
