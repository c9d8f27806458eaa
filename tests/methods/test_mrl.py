"""MRL against recorded values of the published code, the specification's worked values, loops, and awkward input."""

import math

import numpy as np
import pytest
import torch

from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.methods import Task, View, get, make_settings
from crossbit.methods.mrl import (
    MrlSettings,
    UnitEncoder,
    cross_entropy_loss,
    first_centres,
    multimodal_contrastive_loss,
    rate_at,
    robust_clustering_loss,
)
from crossbit.training import train

EYE = torch.eye(3, dtype=torch.float64)
Z, TARGET = EYE[:2], torch.tensor([0, 2])
IMAGE = torch.eye(2, dtype=torch.float64)
TEXT = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
FORMS = ("paper", "official")


def unit(generator, *shape, dim=-1):
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=dim)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# --- recorded values of the published code ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "mrl.npz") as recorded:
        return {key: torch.from_numpy(recorded[key]) for key in recorded.files}


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_losses_and_gradients_equal_the_published_code(golden, temperature, views):
    name = f"tau{temperature}_views{views}"
    z = [golden[f"z{view}"].clone().requires_grad_() for view in range(views)]
    centres = golden["centers"].clone().requires_grad_()
    terms = [
        robust_clustering_loss(x, golden[f"target{view}"], centres, temperature=temperature) for view, x in enumerate(z)
    ]
    clustering = torch.stack(terms).sum()
    contrast = multimodal_contrastive_loss(z, temperature=temperature, form="official")
    total = 0.7 * clustering + 0.3 * contrast
    total.backward()
    close = {"rtol": 1e-5, "atol": 1e-6}
    for key, value in (("clustering", clustering), ("contrastive", contrast), ("total_beta0.7", total)):
        torch.testing.assert_close(value.detach().double(), golden[f"{name}_{key}"], **close)
    for view, x in enumerate(z):
        torch.testing.assert_close(x.grad, golden[f"{name}_grad_z{view}"], **close)
    torch.testing.assert_close(centres.grad, golden[f"{name}_grad_centers"], **close)


# --- robust clustering and its baseline -------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "value"), [(10, -0.1053605157), (2, -0.6931471806)])
def test_clustering_where_every_class_is_as_likely(classes, value):
    z, centres = torch.zeros(4, 5, dtype=torch.float64), torch.ones(5, classes, dtype=torch.float64)
    loss = robust_clustering_loss(z, torch.zeros(4, dtype=torch.int64), centres)
    assert loss.item() == pytest.approx(value, abs=1e-10)


@pytest.mark.parametrize(("temperature", "value"), [(1.0, -0.5482402799), (0.5, -0.8295071704)])
def test_worked_clustering(temperature, value):
    loss = robust_clustering_loss(Z, TARGET, EYE, temperature=temperature)
    assert loss.item() == pytest.approx(value, abs=1e-10)


def test_worked_terms_and_cross_entropy():
    terms = [robust_clustering_loss(Z[i : i + 1], TARGET[i : i + 1], EYE).item() for i in range(2)]
    np.testing.assert_allclose(terms, [-0.8582975334, -0.2381830264], atol=1e-10)
    assert cross_entropy_loss(Z, TARGET, EYE).item() == pytest.approx(1.0514447139, abs=1e-10)


def test_worked_gradient_with_respect_to_the_logits():
    z = Z[:1].clone().requires_grad_()  # the centres are the identity: z are the logits
    robust_clustering_loss(z, TARGET[:1], EYE).backward()
    np.testing.assert_allclose(z.grad[0], [-0.5761168848, 0.2880584424, 0.2880584424], atol=1e-10)
    other = Z[:1].clone().requires_grad_()
    cross_entropy_loss(other, TARGET[:1], EYE).backward()
    np.testing.assert_allclose(other.grad[0], [0.5761168848 - 1, 0.2119415576, 0.2119415576], atol=1e-10)


def test_the_bound_of_unit_vectors():
    centres = torch.eye(10, dtype=torch.float64)
    loss = robust_clustering_loss(centres, torch.arange(10), centres)
    assert loss.item() == pytest.approx(-0.2639255944, abs=1e-10)


@pytest.mark.parametrize("loss", [robust_clustering_loss, cross_entropy_loss])
def test_clustering_equals_a_loop(loss):
    g = generator()
    z, centres, target = unit(g, 9, 6), unit(g, 6, 5, dim=0), torch.randint(5, (9,), generator=g)
    terms = []
    for i in range(9):
        e = np.exp((centres.T @ z[i]).numpy() / 0.3)
        p = e[target[i]] / e.sum()
        terms.append(np.log(1 - p) if loss is robust_clustering_loss else -np.log(p))
    assert loss(z, target, centres, temperature=0.3).item() == pytest.approx(np.mean(terms), rel=1e-12)
    matrix = torch.nn.functional.one_hot(target, 5).float()
    assert loss(z, matrix, centres, temperature=0.3).item() == pytest.approx(np.mean(terms), rel=1e-12)


def test_several_classes_take_the_sum_of_their_probabilities():
    labels = torch.tensor([[1.0, 0.0, 1.0]])
    p = torch.softmax(Z[0], 0)
    loss = robust_clustering_loss(Z[:1], labels, EYE)
    assert loss.item() == pytest.approx(math.log(1 - (p[0] + p[2]).item()), rel=1e-12)


@pytest.mark.parametrize("loss", [robust_clustering_loss, cross_entropy_loss])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_temperature_is_too_small(loss, dtype):
    z = torch.cat([torch.eye(3), -torch.eye(3)]).to(dtype).requires_grad_()
    centres = torch.eye(3, dtype=dtype, requires_grad=True)
    value = loss(z, torch.arange(3).repeat(2), centres, temperature=0.01)
    value.backward()
    # z = c_y: the odds of its class are e^100 / 2; z = -c_y: e^-100 / 2
    ends = {robust_clustering_loss: -(100 - math.log(2)), cross_entropy_loss: 100 + math.log(2)}
    assert value.item() == pytest.approx(ends[loss] / 2, rel=1e-6)
    assert torch.isfinite(z.grad).all()
    assert torch.isfinite(centres.grad).all()


@pytest.mark.parametrize("loss", [robust_clustering_loss, cross_entropy_loss])
def test_samples_without_a_label_are_as_if_they_were_not_there(loss):
    g = generator()
    z, centres = unit(g, 6, 4), unit(g, 4, 3, dim=0)
    labels = torch.eye(3).repeat(2, 1)
    labels[1], labels[4] = 0.0, 1.0  # none; and all classes, which says nothing either
    kept = torch.tensor([0, 2, 3, 5])
    whole, part = z.clone().requires_grad_(), z[kept].clone().requires_grad_()
    one, other = loss(whole, labels, centres), loss(part, labels[kept], centres)
    one.backward()
    other.backward()
    assert one.item() == pytest.approx(other.item(), rel=1e-12)
    torch.testing.assert_close(whole.grad[kept], part.grad)
    assert (whole.grad[[1, 4]] == 0).all()
    numbers = torch.tensor([0, -1, 2, 0, -1, 2])
    assert loss(z, numbers, centres).item() == pytest.approx(one.item(), rel=1e-12)


@pytest.mark.parametrize("loss", [robust_clustering_loss, cross_entropy_loss])
def test_a_batch_without_labels_is_worth_nothing(loss):
    z, centres = Z.clone().requires_grad_(), EYE.clone().requires_grad_()
    value = loss(z, torch.zeros(2, 3), centres)
    value.backward()
    assert value.item() == 0
    assert z.grad.abs().sum() == 0
    assert centres.grad.abs().sum() == 0
    assert loss(Z, torch.zeros(2, dtype=torch.int64), EYE[:, :1]).item() == 0  # one class tells nobody from anybody


# --- multimodal contrast ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "temperature", "value"),
    [
        ("paper", 1.0, 0.9899333641),
        ("official", 1.0, 1.7708983005),
        ("paper", 0.5, 0.7515665555),
        ("official", 0.5, 1.5177703961),
    ],
)
def test_worked_contrast(form, temperature, value):
    loss = multimodal_contrastive_loss([IMAGE, TEXT], temperature=temperature, form=form)
    assert loss.item() == pytest.approx(value, abs=1e-10)


@pytest.mark.parametrize(("form", "value"), [("paper", 0.6265233750), ("official", 1.1028894279)])
def test_contrast_of_perfect_pairs(form, value):
    assert multimodal_contrastive_loss([IMAGE, IMAGE], form=form).item() == pytest.approx(value, abs=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("m", "n"), [(2, 2), (2, 7), (3, 5), (4, 1)])
def test_contrast_of_equal_embeddings(form, m, n):
    value = m * math.log(n) if form == "paper" else 2 * math.log((m * n - 1) / (m - 1))
    z = [torch.ones(n, 4, dtype=torch.float64) / 2] * m
    assert multimodal_contrastive_loss(z, form=form).item() == pytest.approx(value, abs=1e-12)
    g = generator()
    hot = multimodal_contrastive_loss([unit(g, n, 4) for _ in range(m)], temperature=1e9, form=form)
    assert hot.item() == pytest.approx(value, abs=1e-8)


def test_the_recorded_numbers_of_equal_embeddings():
    values = [multimodal_contrastive_loss([torch.ones(2, 1)] * 2, form=form).item() for form in FORMS]
    np.testing.assert_allclose(values, [1.3862943611, 2.1972245773], rtol=1e-6)


def contrast_loop(z, temperature, form):
    """The sums of Eqs. 6 and 7, term by term."""
    m, n = len(z), len(z[0])
    terms = []
    for i in range(m):
        for j in range(n):
            e = {(a, t): math.exp(float(z[a][t] @ z[i][j]) / temperature) for a in range(m) for t in range(n)}
            if form == "official":
                del e[i, j]
            terms.append(-math.log(sum(v for (_, t), v in e.items() if t == j) / sum(e.values())))
    return sum(terms) / n if form == "paper" else 2 * np.mean(terms)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("m", [2, 3])
def test_contrast_equals_a_loop_and_its_gradient_a_difference(form, m):
    g = generator(m)
    z = [unit(g, 4, 3).requires_grad_() for _ in range(m)]
    loss = multimodal_contrastive_loss(z, temperature=0.4, form=form)
    assert loss.item() == pytest.approx(contrast_loop([x.detach() for x in z], 0.4, form), rel=1e-12)
    assert torch.autograd.gradcheck(lambda *x: multimodal_contrastive_loss(x, temperature=0.4, form=form), z)


def test_the_scale_beyond_two_modalities():
    """The paper sums the views' means, m times the mean of all; the code takes it twice."""
    z = [unit(generator(), 5, 8)] * 3
    paper, official = (contrast_loop(z, 1.0, form) for form in FORMS)
    values = [multimodal_contrastive_loss(z, form=form).item() for form in FORMS]
    np.testing.assert_allclose(values, [paper, official], rtol=1e-12)
    assert paper / 3 < official / 2  # the self term makes the paper's share larger


@pytest.mark.parametrize("form", FORMS)
def test_contrast_of_one_instance_is_nothing(form):
    z = [unit(generator(seed), 1, 5).requires_grad_() for seed in range(3)]
    loss = multimodal_contrastive_loss(z, temperature=0.01, form=form)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert all(x.grad.abs().max() < 1e-12 for x in z)


@pytest.mark.parametrize("form", FORMS)
def test_contrast_knows_no_order_and_no_direction(form):
    g = generator()
    z = [unit(g, 6, 5) for _ in range(3)]
    loss = multimodal_contrastive_loss(z, temperature=0.3, form=form).item()
    turn, rows = torch.linalg.qr(torch.randn(5, 5, generator=g, dtype=torch.float64))[0], torch.randperm(6, generator=g)
    for other in ([z[1], z[2], z[0]], [x @ turn for x in z], [x[rows] for x in z]):
        assert multimodal_contrastive_loss(other, temperature=0.3, form=form).item() == pytest.approx(loss, rel=1e-12)
    apart = [z[0], z[1][rows], z[2]]  # but it does know which views belong together
    assert multimodal_contrastive_loss(apart, temperature=0.3, form=form).item() != pytest.approx(loss, rel=1e-6)


def test_contrast_survives_small_temperatures():
    z = [x.float().requires_grad_() for x in (IMAGE, TEXT)]
    loss = multimodal_contrastive_loss(z, temperature=0.001)
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(torch.isfinite(x.grad).all() for x in z)


def test_contrast_of_one_modality_is_refused():
    with pytest.raises(UserError, match="at least two"):
        multimodal_contrastive_loss([IMAGE])


# --- encoders, centres, schedule --------------------------------------------------------------------------------------


def test_the_encoder_is_three_linear_layers_divided_by_the_norm():
    encoder = get("mrl").build_encoders(MrlSettings(width=40), Task({"image": 6, "text": 5}, 3, 16))["text"]
    widths = [tuple(p.shape) for name, p in encoder.named_parameters() if name.endswith("weight")]
    assert widths == [(40, 5), (40, 40), (16, 40)]
    x = torch.randn(7, 5, generator=generator())
    first, second, third = (m for m in encoder.layers if isinstance(m, torch.nn.Linear))
    outputs = third(second(first(x).relu()).relu())
    torch.testing.assert_close(encoder(x), outputs / outputs.norm(dim=1, keepdim=True))


def test_a_row_of_zeros_stays_one_and_has_no_gradient():
    encoder = UnitEncoder(4, [], 3)
    with torch.no_grad():
        encoder.layers[0].bias.zero_()
    x = torch.tensor([[0.0, 0, 0, 0], [1, 2, 3, 4]], requires_grad=True)
    z = encoder(x)
    z.pow(3).sum().backward()
    assert (z[0] == 0).all()
    assert z[1].norm().item() == pytest.approx(1, abs=1e-6)
    assert (x.grad[0] == 0).all()
    assert torch.isfinite(x.grad).all()
    assert x.grad[1].abs().sum() > 0


@pytest.mark.parametrize(("bits", "classes"), [(16, 5), (8, 8), (8, 40)])
def test_first_centres_are_unit_and_orthogonal_while_there_is_room(bits, classes):
    torch.manual_seed(0)
    centres = first_centres(bits, classes)
    gram = centres.t() @ centres
    torch.testing.assert_close(gram.diagonal(), torch.ones(classes))
    off = (gram - torch.eye(classes)).abs().max()
    assert (off < 1e-5) == (classes <= bits)


def test_the_schedule_is_one_epoch_late():
    settings = MrlSettings(epochs=30, lr=1e-4)
    rates = [rate_at(epoch, settings) for epoch in range(30)]
    assert rates[0] == rates[1] == 1e-4
    assert rates[24] == pytest.approx(1.28428e-05, rel=1e-5)  # of the published log
    np.testing.assert_allclose(rates[1:], [1e-4 * (1 + math.cos(math.pi * e / 30)) / 2 for e in range(29)])


# --- the method -------------------------------------------------------------------------------------------------------


def toy(modalities=("image", "text"), n=45, classes=3, bits=16, apart=False, **settings):
    g = generator()
    label = torch.randint(classes, (n,), generator=g)
    shown = torch.nn.functional.one_hot(label, classes).float()
    features = {m: shown + 0.1 * torch.randn(n, classes, generator=g) for m in modalities}
    labels = {m: shown[torch.randperm(n, generator=g)] for m in modalities} if apart else shown
    cls = get("mrl")
    torch.manual_seed(0)
    chosen = make_settings(cls, {"width": 16, "batch": 16, "lr": 1e-3, **settings})
    method = cls(chosen, Task(dict.fromkeys(modalities, classes), classes, bits))
    method.optimizers = method.build_optimizers()
    return method, View(features, labels, np.arange(n), epochs=5, seed=0)


def weights(method):
    return [p.detach().clone() for p in method.networks.parameters()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_steps_are_the_formula_and_adam():
    """Three of them against the losses, the centres and PyTorch's plain Adam, with labels that differ by modality."""
    method, view = toy(apart=True, form="official")
    twin, _ = toy(apart=True, form="official")
    plain = torch.optim.Adam(twin.networks.parameters(), lr=1e-3, betas=(0.5, 0.999), fused=False)
    for own in (method, twin):
        own.centres.data.mul_(3.0)  # the step makes them unit first
    for rows in view.batches(16):
        twin.centres.data.div_(twin.centres.data.norm(dim=0, keepdim=True))
        z = [twin.networks[m](view.features[m][rows]) for m in ("image", "text")]
        loss = 0.3 * multimodal_contrastive_loss(z, form="official")
        for x, m in zip(z, ("image", "text"), strict=True):
            loss = loss + 0.7 * robust_clustering_loss(x, view.labels[m][rows].argmax(1), twin.centres)
        plain.zero_grad()
        loss.backward()
        plain.step()
        assert method.step(view, rows).item() == pytest.approx(loss.item(), rel=1e-5)
    for mine, other in zip(weights(method), weights(twin), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_centres_are_unit_at_the_start_of_a_step_and_not_after_it():
    method, view = toy()
    seen = []
    original = method.cluster
    method.cluster = lambda z, target: seen.append(method.centres.norm(dim=0).detach()) or original(z, target)
    method.train_epoch(view)
    assert len(seen) == 6  # two modalities, three steps
    torch.testing.assert_close(torch.stack(seen), torch.ones(6, 3))
    assert (method.centres.norm(dim=0) - 1).abs().max() > 1e-6
    optimizer = method.optimizers["adam"]
    moment = optimizer.state[method.centres]["exp_avg"].clone()
    method.normalise_centres()
    assert torch.equal(optimizer.state[method.centres]["exp_avg"], moment)
    assert method.centres.grad_fn is None
    torch.testing.assert_close(method.centres.norm(dim=0).detach(), torch.ones(3))


def test_contrast_alone_needs_no_labels_and_moves_no_centre():
    method, view = toy(beta=0.0)
    other, others = toy(beta=0.0)
    others.labels = {m: x.roll(1, dims=1) for m, x in others.labels.items()}
    first = method.centres.detach().clone()
    figures = method.train_epoch(view)
    other.train_epoch(others)
    assert same(weights(method), weights(other))
    assert (method.centres.grad == 0).all()
    torch.testing.assert_close(method.centres.detach(), first)
    assert figures["loss"] == pytest.approx(figures["contrast"])


def test_clustering_alone_sees_no_pairs():
    method, view = toy(beta=1.0, batch=45)
    other, others = toy(beta=1.0, batch=45)
    rows = torch.arange(45).roll(7)
    others.features = {"image": view.features["image"], "text": view.features["text"][rows]}
    others.labels = {"image": view.labels["image"], "text": view.labels["text"][rows]}
    figures = method.train_epoch(view)
    other.train_epoch(others)
    for a, b in zip(weights(method), weights(other), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    assert figures["loss"] == pytest.approx(figures["clustering"])
    mixed, _ = toy(beta=0.5, batch=45)
    mixed.train_epoch(others)
    assert not same(weights(mixed), weights(other))


@pytest.mark.parametrize(("form", "matters"), [("paper", True), ("official", False)])
def test_the_published_cross_entropy_has_no_temperature(form, matters):
    values = []
    for temperature in (1.0, 0.2):
        method, view = toy(form=form, loss="cross-entropy", beta=1.0, temperature=temperature)
        values.append(method.step(view, torch.arange(16)).item())
    assert (values[0] != pytest.approx(values[1], rel=1e-3)) == matters


@pytest.mark.parametrize("form", FORMS)
def test_three_modalities_with_labels_of_their_own(form):
    names = ("image", "text", "sound")
    method, view = toy(names, apart=True, form=form)
    figures = method.train_epoch(view)
    assert figures["steps"] == 3
    assert math.isfinite(figures["loss"])
    loss = method.step(view, torch.arange(16)).item()
    for name in names:  # every modality's labels count
        changed = View(
            view.features, {**view.labels, name: view.labels[name].roll(1, dims=1)}, view.rows, epochs=5, seed=0
        )
        twin, _ = toy(names, apart=True, form=form)
        twin.train_epoch(view)
        assert twin.step(changed, torch.arange(16)).item() != pytest.approx(loss, rel=1e-5)


def test_the_epoch_says_its_rate_and_terms():
    method, view = toy(epochs=5, lr=1e-3)
    view.epoch = 3
    figures = method.train_epoch(view)
    assert figures["learning_rate"] == pytest.approx(1e-3 * (1 + math.cos(math.pi * 2 / 5)) / 2)
    assert method.optimizers["adam"].param_groups[0]["lr"] == figures["learning_rate"]
    assert figures["loss"] == pytest.approx(0.7 * figures["clustering"] + 0.3 * figures["contrast"], rel=1e-5)
    assert figures["clustering"] <= 0 <= figures["contrast"]


def test_an_epoch_takes_every_row_once_in_an_order_of_its_own():
    method, view = toy()
    seen = []
    method.step_terms = lambda view, rows: seen.append(rows) or torch.zeros(3)
    for epoch in range(2):
        view.epoch = epoch
        method.train_epoch(view)
    orders = torch.cat(seen).view(2, 45).tolist()
    assert [len(rows) for rows in seen] == [16, 16, 13] * 2
    assert [sorted(order) for order in orders] == [list(range(45))] * 2
    assert orders[0] != orders[1] != list(range(45)) != orders[0]


@pytest.mark.slow
def test_learns_through_wrong_labels():
    """Sixty per cent of the labels drawn anew: the loss falls, and what is learnt is the truth, not the labels."""
    method, view = toy(n=240, classes=4, batch=40, epochs=30)
    truth = view.labels["image"].argmax(1)
    g = generator(1)
    for m in view.labels:
        wrong = torch.where(torch.rand(240, generator=g) < 0.6, torch.randint(4, (240,), generator=g), truth)
        view.labels = {**view.labels, m: torch.nn.functional.one_hot(wrong, 4).float()}
    losses = []
    for epoch in range(30):
        view.epoch = epoch
        losses.append(method.train_epoch(view)["loss"])
    assert losses[-1] < losses[0]
    predicted = (method.networks["image"](view.features["image"]) @ method.centres).argmax(1)
    assert (predicted == truth).float().mean() > 0.9
    assert (view.labels["image"].argmax(1) == truth).float().mean() < 0.7


def test_all_modalities_are_taken_image_and_text_first():
    cls = get("mrl")
    assert cls.choose_modalities(["topic", "text", "image"]) == ["image", "text", "topic"]
    assert cls.choose_modalities(["a", "b", "c", "d"]) == ["a", "b", "c", "d"]
    with pytest.raises(UserError, match="two modalities"):
        cls.choose_modalities(["image"])


def paired(label):
    rng = np.random.default_rng(0)
    n = len(label)
    features = {m: rng.normal(size=(n, 6)).astype(np.float32) for m in ("image", "text", "topic")}
    splits = {"query": np.arange(8), "train": np.arange(8, n), "retrieval": np.arange(8, n)}
    return PairedData("toy", features, label, splits)


def test_several_classes_a_sample_are_refused_unless_asked_for():
    label = np.eye(3, dtype=np.uint8)[np.arange(40) % 3]
    label[20, :2] = 1
    options = {"method": "mrl", "bits": 16, "epochs": 1, "progress": False}
    with pytest.raises(UserError, match=r"one class a sample.*multi_label=true"):
        train(paired(label), settings={"width": 8}, **options)
    model = train(paired(label), settings={"width": 8, "multi_label": True}, **options)
    assert model.encode("topic", np.zeros((2, 6), np.float32)).shape == (2, 2)
    label[20] = 0  # none at all is no offence
    assert train(paired(label), settings={"width": 8}, **options).modalities == ["image", "text", "topic"]


@pytest.mark.parametrize("batch", [1, 44])
@pytest.mark.parametrize("form", FORMS)
def test_batches_of_one(form, batch):
    method, view = toy(batch=batch, form=form)  # 45 rows: one is left over
    figures = method.train_epoch(view)
    assert math.isfinite(figures["loss"])
    assert all(torch.isfinite(p).all() for p in method.networks.parameters())


def test_presets_and_ablations_are_settings():
    cls = get("mrl")
    assert make_settings(cls, {"preset": "wikipedia"}).batch == 50
    assert make_settings(cls, {"preset": "inria-websearch", "beta": 0.85}).beta == 0.85
    assert all(make_settings(cls, given) for given in cls.ablations.values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "papr"}, "did you mean 'paper'"),
        ({"loss": "cross-entropi"}, "did you mean 'cross-entropy'"),
        ({"preset": "wikipdia"}, "did you mean 'wikipedia'"),
        ({"width": 0}, "at least 1"),
        ({"beta": 1.5}, "between 0 and 1"),
        ({"beta": float("nan")}, "between 0 and 1"),
        ({"temperature": 0}, "above 0"),
        ({"multi_label": "perhaps"}, "must be true or false"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make_settings(get("mrl"), settings)
