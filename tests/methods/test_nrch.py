"""NRCH against recorded values of the published code, the specification's worked values, and awkward input."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from crossbit.errors import UserError
from crossbit.methods import Task, View, get, make_settings
from crossbit.methods.nrch import (
    NrchSettings,
    class_code_loss,
    clean_posterior,
    robust_contrastive_loss,
    sample_losses,
    threshold_at,
    triplet_loss,
)

EYE = torch.eye(2, dtype=torch.float64)
U = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
V = torch.tensor([[0.8, 0.6], [0.6, 0.8], [-0.6, 0.8]], dtype=torch.float64)
LABELS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 1]], dtype=torch.float64)
W = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, -0.5]], dtype=torch.float64)


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "nrch.npz") as recorded:
        return {key: torch.from_numpy(recorded[key]) for key in recorded.files}


@pytest.mark.parametrize("balance", [0.0, 0.6, 1.0])
def test_loss_and_gradients_equal_the_published_code(golden, balance):
    keys = [key for key in golden if key.startswith("loss_lambda_") and float(key.rsplit("_", 1)[1]) == balance]
    assert len(keys) == 1
    name = keys[0].removeprefix("loss_")
    u, v = golden["u"].clone().requires_grad_(), golden["v"].clone().requires_grad_()
    loss = robust_contrastive_loss(u, v, golden["labels"].float(), balance=balance, form="official")
    loss.backward()
    torch.testing.assert_close(loss.detach(), golden[keys[0]].reshape(()), rtol=1e-4, atol=1e-6, check_dtype=False)
    torch.testing.assert_close(u.grad, golden[f"grad_u_{name}"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(v.grad, golden[f"grad_v_{name}"], rtol=1e-4, atol=1e-6)


def test_separator_and_class_codes_equal_the_published_code(golden):
    arguments = golden["u"], golden["v"], golden["labels"].float(), golden["centers"]
    torch.testing.assert_close(sample_losses(*arguments), golden["dns_sample_loss"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        class_code_loss(*arguments), golden["center_loss"].reshape(()), rtol=1e-4, atol=1e-6, check_dtype=False
    )


@pytest.mark.parametrize("form", ["paper", "official"])
@pytest.mark.parametrize(
    ("balance", "same", "value"),
    [
        (1.0, False, 0.7745681351),
        (1.0, True, 1.2892229199),
        (0.0, False, 0.5029688740),
        (0.6, False, 0.6659284307),
        (0.6, True, 0.9747213015),
    ],
)
def test_worked_values_of_two_pairs(form, balance, same, value):
    labels = torch.ones_like(EYE) if same else EYE
    loss = robust_contrastive_loss(EYE, EYE, labels, balance=balance, form=form)
    assert loss.item() == pytest.approx(value, abs=2e-10)


@pytest.mark.parametrize(
    ("form", "balance", "value"),
    [
        ("official", 1.0, 2.1743429262),
        ("paper", 1.0, 1.9899721109),
        ("official", 0.0, 0.1881726126),
        ("paper", 0.0, 0.1881726126),
        ("official", 0.6, 1.3798748008),
        ("paper", 0.6, 1.2692523116),
    ],
)
def test_worked_values_of_three_pairs(form, balance, value):
    loss = robust_contrastive_loss(U, V, LABELS, balance=balance, form=form)
    assert loss.item() == pytest.approx(value, abs=2e-10)


def loop_oracle(u, v, labels, margin, shift, temperature, balance, form):
    """Eqs. 2-10 and section 3.1 of the specification, sample by sample, in float64."""
    u, v, labels = np.tanh(u), np.tanh(v), labels
    n, bits = u.shape
    total = 0.0
    for i in range(n):
        sums = []
        for direction in range(2):
            column = direction == 1 and form == "paper"
            exponentials = 0.0
            for j in range(n):
                m = u[j] @ v[i] if column else u[i] @ v[j]
                own = u[i] @ v[i]
                e = m if m >= own - margin else m - shift
                if i == j:
                    e = max(own, 0.0)
                if i != j and (labels[i] * labels[j]).sum() > 0:
                    e = 0.0
                exponentials += np.exp(e / temperature)
            sums.append(-own + temperature * np.log(exponentials) + margin)
        q = ((np.abs(u[i]) - bits**-0.5) ** 2).mean() + ((np.abs(v[i]) - bits**-0.5) ** 2).mean()
        total += balance * sum(sums) + (1 - balance) * q
    return total / n


@pytest.mark.parametrize("form", ["paper", "official"])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_loss_equals_a_loop(form, temperature):
    rng = np.random.default_rng(1)
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, 9, 8)))
    labels = (rng.random((9, 4)) < 0.3).astype(float)
    options = {"margin": 0.3, "shift": 0.7, "temperature": temperature, "balance": 0.4, "form": form}
    loss = robust_contrastive_loss(torch.tensor(u), torch.tensor(v), torch.tensor(labels), **options)
    assert loss.item() == pytest.approx(loop_oracle(u, v, labels, *options.values()), rel=1e-12)
    live = [torch.tensor(x[:5], requires_grad=True) for x in (u, v)]
    assert torch.autograd.gradcheck(lambda *x: robust_contrastive_loss(*x, torch.tensor(labels[:5]), **options), live)


def gradient_of_the_first_row(v, labels, form):
    """Of the contrastive part, to u_0."""
    u = U.clone().requires_grad_()
    robust_contrastive_loss(u, v, labels, balance=1.0, form=form).backward()
    return u.grad[0]


@pytest.mark.parametrize("form", ["paper", "official"])
def test_pairs_that_share_a_label_are_not_pushed(form):
    """Each is drawn to its own text, and where the others' texts are does not move it."""
    shared = torch.ones(3, 1, dtype=torch.float64)
    gradient = gradient_of_the_first_row(V, shared, form)
    own = (U[0].tanh() @ V[0].tanh()).exp()
    slope = 2 * (own / (own + 2) - 1) / 3  # of 2 (log(e^M_ii + 2) - M_ii), mean over three
    torch.testing.assert_close(gradient, slope * V[0].tanh() * (1 - U[0].tanh() ** 2))
    elsewhere = torch.stack([V[0], -V[1], V[2].flip(0)])
    assert torch.equal(gradient_of_the_first_row(elsewhere, shared, form), gradient)
    alone = torch.eye(3, dtype=torch.float64)
    assert not torch.equal(*(gradient_of_the_first_row(v, alone, form) for v in (V, elsewhere)))


def test_gradients_are_finite_where_an_entry_is_zero():
    u = EYE.clone().requires_grad_()
    robust_contrastive_loss(u, EYE, EYE, balance=0.0).backward()
    assert torch.isfinite(u.grad).all()


def test_worked_separator_values():
    losses = sample_losses(U, V, LABELS, W)
    np.testing.assert_allclose(losses, [0.2095031183, 0.3053315437, 4.8502770653], atol=2e-10)
    assert class_code_loss(U, V, LABELS, W).item() == pytest.approx(2.9475052951, abs=2e-10)


def test_class_code_loss_trains_the_class_codes_only():
    u, v, w = (x.clone().requires_grad_() for x in (U, V, W))
    class_code_loss(u, v, LABELS, w).backward()
    assert u.grad is None
    assert v.grad is None
    assert w.grad.abs().sum() > 0


def test_a_sample_without_labels_has_loss_zero():
    assert sample_losses(U, V, torch.zeros(3, 3, dtype=torch.float64), W).tolist() == [0, 0, 0]


def test_separator_splits_two_clusters_in_whatever_order_the_mixture_finds_them(monkeypatch):
    orders, fit = set(), GaussianMixture.fit

    def recorded(mixture, *arguments):
        fit(mixture, *arguments)
        orders.add(tuple(mixture.means_[:, 0].argsort()))
        return mixture

    monkeypatch.setattr(GaussianMixture, "fit", recorded)
    rng = np.random.default_rng(0)
    losses = np.concatenate([rng.normal(0.8, 0.05, 300), rng.normal(0.1, 0.05, 700)])
    for seed in range(10):
        posterior, mixture = clean_posterior(losses, seed)
        assert posterior[:300].max() < 0.01
        assert posterior[300:].min() > 0.99
        assert mixture["means"][0] < mixture["means"][1]
        assert mixture["weights"][0] == pytest.approx(0.7, abs=0.02)
    assert orders == {(0, 1), (1, 0)}


@pytest.mark.parametrize("losses", [np.full(50, 0.7), np.zeros(50), np.array([0.3])])
def test_losses_that_do_not_differ_are_all_trusted(losses):
    posterior, mixture = clean_posterior(losses, seed=0)
    assert (posterior == 1).all()
    assert mixture is None


def test_two_distinct_losses_give_no_nan():
    posterior, _ = clean_posterior(np.array([0.1] * 40 + [0.9]), seed=0)
    assert np.isfinite(posterior).all()
    assert posterior[:40].min() > 0.5


def test_threshold_schedules():
    paper, official = (make_settings(get("nrch"), {"preset": "paper", "form": form}) for form in ("paper", "official"))
    assert [threshold_at(e, official) for e in (0, 18, 19, 99)] == [0, 0, 0.3, 0.3]
    np.testing.assert_allclose([threshold_at(e, paper) for e in (0, 18, 19, 99, 150)], [0, 0, 0.3 * 19 / 99, 0.3, 0.3])
    assert threshold_at(19, NrchSettings(warmup=19, schedule="step")) == 0.3


def toy(n=40, classes=3, bits=16, **settings):
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(classes, (n,), generator=generator)
    features = {
        m: torch.nn.functional.one_hot(label, classes) + 0.1 * torch.randn(n, classes, generator=generator)
        for m in ("image", "text")
    }
    cls = get("nrch")
    torch.manual_seed(0)
    method = cls(
        make_settings(cls, {"width": 16, "batch": 16, **settings}),
        Task({"image": classes, "text": classes}, classes, bits),
    )
    method.optimizers = method.build_optimizers()
    view = View(features, torch.nn.functional.one_hot(label, classes).float(), np.arange(n), epochs=5, seed=0)
    return method, view


@pytest.mark.parametrize("form", ["paper", "official"])
def test_steps_are_the_formula_and_rmsprop(form):
    """Three of them against the losses and PyTorch's plain RMSprop, in float64."""
    options = {"margin": 0.01, "shift": 0.7, "temperature": 0.5, "balance": 0.4, "form": form}
    (method, view), (twin, _) = (toy(lr=1e-3, weight_decay=0.1, **options) for _ in range(2))
    for own in (method, twin):
        own.networks.double()
        own.optimizers = own.build_optimizers()
    view.features = {m: x.double() for m, x in view.features.items()}
    view.labels = {m: x.double() for m, x in view.labels.items()}
    plain = torch.optim.RMSprop(twin.networks.parameters(), lr=1e-3, alpha=0.99, eps=1e-8, weight_decay=0.1)
    for rows in view.batches(16):
        u, v = (twin.networks[m](view.features[m][rows]) for m in ("image", "text"))
        labels = view.observed()[rows]
        loss = robust_contrastive_loss(u, v, labels, **options) + class_code_loss(u, v, labels, twin.class_codes)
        plain.zero_grad()
        loss.backward()
        plain.step()
        assert method.step(view, rows).item() == pytest.approx(loss.item(), rel=1e-9)
    for mine, other in zip(method.networks.parameters(), twin.networks.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("balance", [0.0, 0.6, 1.0])
def test_triplet_loss_equals_a_loop(balance):
    rng = np.random.default_rng(2)
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, 7, 8)))
    labels = (rng.random((7, 4)) < 0.3).astype(float)
    loss = triplet_loss(torch.tensor(u), torch.tensor(v), torch.tensor(labels), margin=0.3, balance=balance)
    a, b = np.tanh(u), np.tanh(v)
    hinges = [
        max(0.0, 0.3 + other - a[i] @ b[i])
        for i in range(7)
        for j in range(7)
        if i != j and not (labels[i] * labels[j]).any()
        for other in (a[i] @ b[j], a[j] @ b[i])
    ]
    quantisation = sum(((np.abs(x) - 8**-0.5) ** 2).mean(1).sum() for x in (a, b))
    assert 0 < len(hinges) < 2 * 42
    assert loss.item() == pytest.approx((balance * sum(hinges) + (1 - balance) * quantisation) / 7, rel=1e-12)
    live = [torch.tensor(x, requires_grad=True) for x in (u, v)]
    options = {"margin": 0.3, "balance": balance}
    assert torch.autograd.gradcheck(lambda *x: triplet_loss(*x, torch.tensor(labels), **options), live)


def contrast(name, u=U, v=V, labels=LABELS):
    """What a step of the ablation takes as its contrastive part, on three pairs."""
    method, _ = toy(**(get("nrch").ablations[name] if name else {}))
    return method.contrast(u, v, labels).item()


def test_ablations_of_the_loss_change_their_part_alone():
    options = {"labels": LABELS, "balance": 0.6}
    assert contrast(None) == robust_contrastive_loss(U, V, **options).item()
    unmasked = robust_contrastive_loss(U, V, torch.zeros_like(LABELS), balance=0.6).item()
    assert contrast("no label mask") == unmasked != contrast(None)
    assert contrast("no quantisation term") == robust_contrastive_loss(U, V, LABELS, balance=1.0).item()
    assert contrast("triplet instead of RCH") == triplet_loss(U, V, **options).item()
    for name in ("no noise separator", "static threshold"):
        assert contrast(name) == contrast(None)


def test_ablations_of_the_separator_change_the_threshold_alone():
    full = make_settings(get("nrch"), {"preset": "paper"})
    thresholds = {
        name: [
            threshold_at(epoch, make_settings(get("nrch"), {"preset": "paper", **changed}))
            for epoch in (0, 18, 19, 60, 99)
        ]
        for name, changed in get("nrch").ablations.items()
    }
    assert thresholds.pop("no noise separator") == [0] * 5
    assert thresholds.pop("static threshold") == [0, 0, 0.3, 0.3, 0.3]
    for same in thresholds.values():
        assert same == [threshold_at(epoch, full) for epoch in (0, 18, 19, 60, 99)]


def test_without_the_label_mask_class_codes_and_separator_still_read_the_labels():
    (one, view), (other, _) = toy(warmup=0, schedule="step"), toy(warmup=0, schedule="step", label_mask=False)
    np.testing.assert_array_equal(one.separate(view)[1]["sample_loss"], other.separate(view)[1]["sample_loss"])
    rows = torch.arange(40)
    for method in (one, other):
        method.step(view, rows)
    assert torch.equal(one.class_codes, other.class_codes)
    assert not torch.equal(*(next(method.networks["image"].parameters()) for method in (one, other)))


def test_every_ablation_is_of_one_setting():
    full = asdict(NrchSettings())
    for changed in get("nrch").ablations.values():
        settings = asdict(make_settings(get("nrch"), changed))
        assert [key for key in full if settings[key] != full[key]] == list(changed)


def test_an_empty_trusted_set_skips_cleanly():
    method, view = toy(warmup=0, threshold=1.0, schedule="step")
    before = [p.clone() for p in method.networks.parameters()]
    method.separate = lambda view: (torch.zeros(len(view), dtype=torch.bool), {})
    figures = method.train_epoch(view)
    assert figures["steps"] == 0
    assert figures["loss"] is None
    assert all(torch.equal(a, b) for a, b in zip(before, method.networks.parameters(), strict=True))


def test_only_trusted_rows_are_trained_on():
    method, view = toy()
    seen = []
    method.step = lambda view, rows: seen.append(rows) or torch.tensor(0.0)
    trusted = torch.arange(40) % 3 == 0
    method.separate = lambda view: (trusted, {})
    method.train_epoch(view)
    assert sorted(torch.cat(seen).tolist()) == torch.arange(40)[trusted].tolist()


@pytest.mark.parametrize(("classes", "bits"), [(40, 8), (3, 16)])
def test_first_class_codes_are_orthonormal_as_far_as_there_is_room(classes, bits):
    method, view = toy(n=80, classes=classes, bits=bits, warmup=0)
    codes = method.class_codes.detach().clone()
    gram = codes.t() @ codes if classes > bits else codes @ codes.t()
    torch.testing.assert_close(gram, torch.eye(min(classes, bits)), atol=1e-5, rtol=0)
    assert np.isfinite(method.train_epoch(view)["loss"])
    assert not torch.equal(method.class_codes, codes)


def test_samples_without_labels_train():
    method, view = toy(warmup=0, schedule="step")
    alone = View({m: x[1::2] for m, x in view.features.items()}, view.observed()[1::2], np.arange(20), epochs=5, seed=0)
    expected = method.separate(alone)[1]
    view.observed()[::2] = 0
    _, separated = method.separate(view)
    assert separated["mixture"] == expected["mixture"]  # they have loss 0, which says nothing of the others
    np.testing.assert_array_equal(separated["posterior"][1::2], expected["posterior"])
    assert (separated["posterior"][::2] == 1).all()
    figures = method.train_epoch(view)
    assert np.isfinite(figures["loss"])
    assert figures["trusted"][::2].all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "papr"}, "did you mean 'paper'"),
        ({"wdith": 3}, "did you mean 'width'"),
        ({"width": "wide"}, "must be a whole number"),
        ({"width": 0}, "at least 1"),
        ({"threshold": 1.5}, "between 0 and 1"),
        ({"lr": 0}, "above 0"),
        ({"schedule": "slow"}, "unknown schedule"),
        ({"contrast": "tripet"}, "did you mean 'triplet'"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make_settings(get("nrch"), settings)
