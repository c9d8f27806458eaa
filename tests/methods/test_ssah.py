"""SSAH against loops in float64, the specification's worked values, and awkward input."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.evaluation import mean_average_precision
from crossbit.methods import Task, View, get, make_settings
from crossbit.methods.ssah import (
    Fusion,
    Outputs,
    SsahSettings,
    adversarial_loss,
    discriminator_loss,
    label_loss,
    network_loss,
    normalise,
    outputs_of,
    pair_weights,
    pairwise_loss,
    quantisation_loss,
    similarity_of,
)

ROWS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
SIMILAR = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.float64)
CODES = torch.tensor([[0.5, -0.2], [0.1, 0.9]], dtype=torch.float64)


# --- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "scale", "value"),
    [("paper", 1.0, 4.3388971598), ("paper", 0.999, 4.3418971598), ("official", 1.0, 1.2071795251)],
)
def test_worked_pairs(form, scale, value):
    assert pairwise_loss(ROWS, ROWS, scale * SIMILAR, form=form).item() == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("theta", "similar", "value"),
    [(0, 0, math.log(2)), (0, 1, math.log(2)), (1, 1, 0.3132616875), (1, 0, 1.3132616875)],
)
def test_worked_likelihoods(theta, similar, value):
    one = torch.ones(1, 1, dtype=torch.float64)
    assert pairwise_loss(2 * theta * one, one, similar * one).item() == pytest.approx(value, abs=1e-9)


def test_worked_quantisation():
    assert quantisation_loss(CODES).item() == pytest.approx(1.71, abs=1e-12)
    zero = torch.zeros(1, 1, requires_grad=True)
    quantisation_loss(zero).backward()
    assert zero.grad.item() == -2  # the sign of 0 is +1, and it is held constant


def test_discriminators_that_know_nothing_and_everything():
    zero, sure = torch.zeros(4, 1, dtype=torch.float64), torch.full((4, 1), 50.0, dtype=torch.float64)
    assert discriminator_loss(zero, zero, form="official").item() == pytest.approx(math.log(2), abs=1e-12)
    assert discriminator_loss(-sure, sure, form="official").item() == pytest.approx(0, abs=1e-12)
    assert discriminator_loss(zero, zero).item() == 0.5
    assert discriminator_loss(zero, zero + 1).item() == 0


def pair_oracle(a, b, similarity, form, counted=None):
    """Section 3 of the specification, pair by pair: the value and the gradients to both sides."""
    counted = np.ones_like(similarity) if counted is None else counted
    value, grad_a, grad_b = 0.0, np.zeros_like(a), np.zeros_like(b)
    for i in range(len(a)):
        for j in range(len(b)):
            theta = sum(a[i, k] * b[j, k] for k in range(a.shape[1])) / 2
            scaled = (0.999 if form == "official" else 1) * similarity[i, j]
            likelihood = scaled * theta - math.log(1 + math.exp(theta))
            slope = scaled - 1 / (1 + math.exp(-theta))  # of the likelihood by theta
            value += counted[i, j] * (likelihood**2 / 2 if form == "official" else -likelihood)
            by_theta = counted[i, j] * (likelihood * slope if form == "official" else -slope)
            grad_a[i] += by_theta * b[j] / 2
            grad_b[j] += by_theta * a[i] / 2
    return value, grad_a, grad_b


@pytest.mark.parametrize("form", ["paper", "official"])
def test_pairs_equal_a_loop(form):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 5)), rng.normal(size=(4, 5))
    similarity = (rng.random((7, 4)) < 0.4).astype(float)
    value, *gradients = pair_oracle(a, b, similarity, form)
    x, y = (torch.tensor(z, requires_grad=True) for z in (a, b))
    loss = pairwise_loss(x, y, torch.tensor(similarity), form=form)
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-12)
    for mine, expected in zip((x.grad, y.grad), gradients, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-12)


def random_batch(n=6, b=4, classes=3, bits=8, width=5):
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    outputs = Outputs(draw(b, width).relu(), draw(b, bits).tanh(), draw(b, classes).sigmoid())
    labels = (draw(n, classes) > 0.3).double()
    return outputs, draw(n, width).relu(), draw(n, bits).tanh(), labels


def loss_oracle(outputs, feature, code, labels, s):
    """A network's loss and the gradient to its outputs, term by term and entry by entry."""
    made, paper = [x.numpy() for x in outputs], s.form == "paper"
    batch = labels[: len(made[0])]
    similarity = np.array([[float((x * y).sum() > 0) for y in batch] for x in labels])
    counted = np.ones_like(similarity)
    for kind in (0, 1):
        number = 2 * (similarity == kind).sum() if s.balanced else similarity.size
        counted[similarity == kind] = 1 / number if paper else 1
    scaled = similarity * (s.similar if paper else 1)
    value, gradients = 0.0, [np.zeros_like(x) for x in made]
    for weight, constant, live, k in ((s.alpha, feature, made[0], 0), (s.gamma, code, made[1], 1)):
        term, _, gradient = pair_oracle(constant, live, scaled, s.form, counted)
        value += weight * term
        gradients[k] += weight * gradient
    signs = np.where(made[1] >= 0, 1.0, -1.0)
    for weight, target, live, k in ((s.quantisation, signs, made[1], 1), (s.label, batch, made[2], 2)):
        divisor = live.size if paper else 2
        for index in np.ndindex(live.shape):
            value += weight * (target[index] - live[index]) ** 2 / divisor
            gradients[k][index] += weight * 2 * (live[index] - target[index]) / divisor
    return value, gradients


@pytest.mark.parametrize(("form", "balanced"), [("paper", True), ("paper", False), ("official", True)])
def test_network_loss_equals_a_loop(form, balanced):
    outputs, feature, code, labels = random_batch()
    settings = SsahSettings(
        form=form, alpha=0.7, gamma=1.3, quantisation=0.2, label=0.4, similar=0.99, balanced=balanced
    )
    live = Outputs(*(x.clone().requires_grad_() for x in outputs))
    batch = labels[: len(outputs.code)]
    loss = network_loss(live, feature, code, similarity_of(labels, batch), batch, settings)
    loss.backward()
    value, gradients = loss_oracle(outputs, feature.numpy(), code.numpy(), labels.numpy(), settings)
    assert loss.item() == pytest.approx(value, rel=1e-12)
    for x, expected in zip(live, gradients, strict=True):
        np.testing.assert_allclose(x.grad, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("similarity", "weight"), [(torch.ones(3, 4), 1 / 12), (torch.zeros(3, 4), 1 / 12)])
def test_pairs_of_one_kind_count_alike(similarity, weight):
    assert (pair_weights(similarity) == weight).all()


@pytest.mark.parametrize("form", ["paper", "official"])
@pytest.mark.parametrize("real", [True, False])
def test_adversary_equals_a_loop(form, real):
    scores = torch.tensor([[0.3], [-1.2], [2.0]], dtype=torch.float64, requires_grad=True)
    loss = adversarial_loss(scores, real, form=form)
    loss.backward()
    value, gradient = 0.0, []
    for x in scores.detach().flatten().tolist():
        share = 1 / (1 + math.exp(-x))
        value += (x - real) ** 2 / 3 if form == "paper" else -math.log(share if real else 1 - share) / 3
        gradient.append(2 * (x - real) / 3 if form == "paper" else (share - real) / 3)
    assert loss.item() == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(scores.grad.flatten(), gradient, rtol=1e-10)


@pytest.mark.parametrize("form", ["paper", "official"])
@pytest.mark.parametrize("sign", [1, -1])
def test_nothing_overflows(form, sign):
    a = torch.full((2, 2), 100.0, requires_grad=True)
    loss = pairwise_loss(sign * a, torch.full((2, 2), 100.0), torch.eye(2), form=form)  # theta is 1e4
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(a.grad).all()


def test_weights_of_zero_leave_an_autoencoder_of_labels():
    outputs, feature, code, labels = random_batch()
    settings = SsahSettings(form="official", alpha=0, gamma=0, delta=0, quantisation=1)
    batch = labels[: len(outputs.code)]
    loss = network_loss(outputs, feature, code, similarity_of(labels, batch), batch, settings)
    expected = quantisation_loss(outputs.code) + label_loss(outputs.label, batch)
    assert loss.item() == pytest.approx(expected.item() / 2, rel=1e-12)


# --- networks ---------------------------------------------------------------------------------------------------------


def test_normalisation_is_the_published_one():
    small = torch.full((1, 9), 1e-3, dtype=torch.float64)
    np.testing.assert_allclose(normalise(small), 0.5946035575 * small, rtol=1e-6)
    x = torch.randn(3, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 50
    for row, column in np.ndindex(3, 12):
        squares = sum(x[row, k] ** 2 for k in range(max(0, column - 2), min(12, column + 3)))
        expected = x[row, column] / (2 + 1e-4 * squares) ** 0.75
        assert normalise(x)[row, column].item() == pytest.approx(expected.item(), rel=1e-12)


def fusion_oracle(fusion, x):
    """The block as the specification writes it: pooling, w * p, ReLU, resizing, and one layer over all of it."""
    strips = [x]
    for window, scale in zip(fusion.windows, fusion.scales, strict=True):
        count = x.shape[1] // window
        pooled = torch.stack([x[:, k * window : (k + 1) * window].mean(1) for k in range(count)], dim=1)
        strips.append(F.interpolate((scale * pooled).relu().unsqueeze(1), x.shape[1], mode="linear").squeeze(1))
    return torch.cat(strips, dim=1) @ fusion.weight.flatten(0, 1) + fusion.bias


@pytest.mark.parametrize("negative", [False, True])
def test_fusion_is_pooling_convolution_relu_and_resizing(negative):
    torch.manual_seed(0)
    fusion = Fusion(37, 6, [5, 10, 15]).double()
    fusion.scales.data = torch.tensor([0.7, -0.4, 1.3], dtype=torch.float64)
    x = torch.randn(4, 37, dtype=torch.float64) if negative else torch.rand(4, 37, dtype=torch.float64)
    gradients = []
    for outputs in (fusion(x), fusion_oracle(fusion, x)):
        gradients.append([outputs, *torch.autograd.grad(outputs.square().sum(), list(fusion.parameters()))])
    for mine, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-10)


def test_fusion_of_1386_words():
    fusion = Fusion(1386, 4, SsahSettings().windows())
    words = torch.rand(3, 1386)
    assert [pooled.shape[1] for pooled in fusion.pooled(words)] == [277, 138, 92, 46, 27]
    assert fusion.maps(words).shape == (6, 3, 1386)
    assert SsahSettings(scales="1,2,3,5,10").windows() == [5, 10, 15, 25, 50]


def test_every_scale_is_alive_at_first():
    fusion = Fusion(60, 4, SsahSettings().windows())
    fusion(torch.rand(3, 60)).square().sum().backward()
    assert fusion.scales.grad.abs().min() > 0
    assert (fusion.maps(torch.rand(3, 60)).flatten(1).amax(1) > 0).all()


@pytest.mark.parametrize(("dim", "levels"), [(3, 0), (5, 1), (14, 2), (50, 5)])
def test_levels_that_do_not_fit_are_left_out(dim, levels):
    fusion = Fusion(dim, 4, SsahSettings().windows())
    assert len(fusion.windows) == levels
    assert fusion(torch.rand(2, dim)).shape == (2, 4)


# --- the method -------------------------------------------------------------------------------------------------------


def toy(n=60, classes=3, bits=16, **settings):
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(classes, (n,), generator=generator)
    onehot = F.one_hot(label, classes).float()
    features = {
        m: onehot @ torch.randn(classes, width, generator=generator) + 0.1 * torch.randn(n, width, generator=generator)
        for m, width in (("image", 12), ("text", 14))
    }
    cls = get("ssah")
    torch.manual_seed(0)
    small = {"width": 32, "feature": 16, "batch": 16, "passes": "2,1/1/2/2"}
    method = cls(make_settings(cls, small | settings), Task({"image": 12, "text": 14}, classes, bits))
    method.optimizers = method.build_optimizers()
    return method, View(features, onehot, np.arange(n), epochs=5, seed=0)


def gradient_of(network):
    return sum(float(p.grad.abs().sum()) for p in network.parameters() if p.grad is not None)


def fool(form):
    """The gradients of the adversary's part alone, by network."""
    method, view = toy(form=form)
    method.begin(view)
    outputs = outputs_of(method.networks["image"], view.features["image"])
    method.fooling_loss(view, "image", outputs.feature).backward()
    return method


def test_the_adversary_reaches_the_network_and_not_the_discriminator():
    method = fool("paper")
    assert gradient_of(method.networks["image"].layers) > 0
    assert all(p.grad is None for p in method.networks["discriminators"].parameters())
    assert all(p.requires_grad for p in method.networks["discriminators"].parameters())


def test_the_published_slip_moves_only_the_discriminator():
    method = fool("official")
    assert all(p.grad is None for p in method.networks["image"].parameters())
    assert gradient_of(method.discriminator_of("image")) > 0
    assert gradient_of(method.discriminator_of("text")) == 0


def caught(method, view):
    """The share of image and text features that their discriminators tell from LabNet's."""
    with torch.no_grad():
        features = {m: outputs_of(method.networks[m], view.features[m]).feature for m in ("image", "text")}
        return float(torch.cat([method.discriminator_of(m)(x) < 0.5 for m, x in features.items()]).float().mean())


@pytest.mark.slow
def test_networks_learn_to_fool_the_discriminators():
    method, view = toy(alpha=0.0, gamma=0.0, label=0.0, quantisation=1e-6, delta=1.0, passes="1/9/0/0", batch=8)
    method.train_epoch(view)
    assert caught(method, view) > 0.9
    method.settings = replace(method.settings, passes="0/0/5/5")
    method.train_epoch(view)
    assert caught(method, view) < 0.5


def weights(method):
    return {name: [p.detach().clone() for p in network.parameters()] for name, network in method.networks.items()}


def moved(before, after):
    return {n for n in before if not all(torch.equal(a, b) for a, b in zip(before[n], after[n], strict=True))}


@pytest.mark.parametrize(
    ("form", "passes", "expected"),
    [
        ("paper", "1/0/0/0", {"labnet"}),
        ("paper", "0/1/0/0", {"discriminators"}),
        ("paper", "0/0/1/0", {"image"}),
        ("paper", "0/0/0/1", {"text"}),
        ("official", "0/0/1/0", {"image", "discriminators"}),
    ],
)
def test_each_step_moves_its_own_network(form, passes, expected):
    method, view = toy(form=form, passes=passes)
    before = weights(method)
    method.train_epoch(view)
    assert moved(before, weights(method)) == expected


def test_the_discriminator_step_leaves_no_gradient_in_the_networks():
    method, view = toy()
    method.begin(view)
    method.discriminator_step(view, torch.arange(16), 1e-3)
    assert gradient_of(method.networks["discriminators"]) > 0
    assert all(p.grad is None for name in ("image", "text", "labnet") for p in method.networks[name].parameters())


def test_a_label_weight_of_zero_leaves_the_label_head_alone():
    method, view = toy(label=0.0, passes="1/0/1/1")
    method.train_epoch(view)
    for name in ("labnet", "image", "text"):
        assert all(p.grad is None for p in method.networks[name].label.parameters())
        assert gradient_of(method.networks[name].code) > 0


def test_the_rates_fall_by_epoch_and_by_level():
    method, view = toy(decay=10**-0.5)
    seen = []
    method.one_pass = lambda view, name, lr, number: seen.append(lr) or 0.0
    for view.epoch in (0, 1):
        method.train_network(view, "labnet", 1e-2, [1, 1, 1], iter(range(9)), every=1)
    np.testing.assert_allclose(seen, [10**-2, 10**-2.5, 10**-3, 10**-2.5, 10**-3, 10**-3.5])


@pytest.mark.parametrize(
    ("losses", "every", "made"),
    [
        ([5, 4, 3, 2, 1], 1, 5),
        ([3, 4, 4, 2, 1], 1, 3),  # not before the third pass
        ([5, 4, 3, 3, 1], 1, 4),
        ([5, 4, 6, 3, 3, 3], 2, 6),  # every second: passes 2, 4, 6
        ([5, 4, 3, 4, 1, 1], 2, 4),
    ],
)
def test_a_level_is_left_early(losses, every, made):
    method, view = toy()
    told = iter(losses)
    method.one_pass = lambda *_: next(told)
    assert len(method.train_network(view, "image", 1e-3, [len(losses)], iter(range(9)), every=every)) == made


def test_the_buffers_hold_the_latest_outputs():
    method, view = toy(passes="1/0/0/0")
    method.begin(view)
    start = method.buffers["labnet.code"].clone()
    rows = torch.tensor([3, 8])
    expected = method.outputs(view, "labnet", rows)
    method.network_step(view, "labnet", rows, 1e-3)
    assert torch.equal(method.buffers["labnet.code"][rows], expected.code)
    assert torch.equal(method.buffers["labnet.feature"][rows], expected.feature)
    others = [i for i in range(60) if i not in (3, 8)]
    assert torch.equal(method.buffers["labnet.code"][others], start[others])


@pytest.mark.parametrize("form", ["paper", "official"])
def test_the_first_buffers_are_untrained_outputs_or_the_codes_noise(form):
    method, view = toy(n=400, form=form)
    method.begin(view)
    made = method.outputs(view, "labnet", torch.arange(400))
    other, _ = toy(n=400, form=form)
    other.begin(replace(view, seed=1))
    for kind, output in (("feature", made.feature), ("code", made.code)):
        buffer = method.buffers[f"labnet.{kind}"]
        if form == "paper":
            torch.testing.assert_close(buffer, output.detach())
            continue
        size = buffer.numel()
        assert abs(buffer.mean().item()) < 5 / size**0.5
        assert buffer.var().item() == pytest.approx(1, abs=5 * (2 / size) ** 0.5)
        assert (buffer.abs() > 1).float().mean().item() == pytest.approx(0.3173, abs=5 * 0.47 / size**0.5)
        assert not torch.equal(other.buffers[f"labnet.{kind}"], buffer)
    assert not torch.equal(method.buffers["labnet.feature"], method.buffers["labnet.code"])


@pytest.mark.slow
def test_the_label_network_alone_learns_codes_of_the_labels():
    method, view = toy(n=200, classes=8, passes="15/0/0/0", width=64, label_lr=3e-3)
    method.train_epoch(view)
    labels = view.observed()
    codes = pack(method.outputs(view, "labnet", torch.arange(200)).code.detach().numpy())
    found = mean_average_precision(codes, codes, labels.numpy().astype(np.uint8), labels.numpy().astype(np.uint8))
    assert found > 0.95


@pytest.mark.slow
def test_if_all_are_similar_all_codes_are_the_same():
    method, view = toy(passes="6/0/6/6", image_lr=1e-2, text_lr=1e-2, label_lr=1e-2, delta=0.0)
    view = replace(view, labels=torch.ones(60, 3))
    method.train_epoch(view)
    codes = [outputs_of(method.networks[m], view.features[m]).code.detach().sign() for m in ("image", "text")]
    assert (torch.cat(codes) == codes[0][0]).float().mean() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("form", ["paper", "official"])
def test_more_classes_than_bits_and_batches_of_one(form):
    method, view = toy(n=7, classes=20, bits=8, batch=1, form=form)
    assert np.isfinite(method.train_epoch(view)["loss"])
    assert all(torch.isfinite(p).all() for p in method.networks.parameters())


def test_samples_without_labels_change_nothing():
    method, view = toy()
    labels = view.observed().clone()
    labels[::2] = 0
    alone, _ = toy()
    rows = np.arange(60)[1::2]
    alone.train_epoch(View({m: x[rows] for m, x in view.features.items()}, labels[rows], rows, epochs=5, seed=0))
    figures = method.train_epoch(replace(view, labels=labels))
    assert figures["labelled"] == 30
    for mine, expected in zip(method.networks.parameters(), alone.networks.parameters(), strict=True):
        assert torch.equal(mine, expected)


def test_nobody_labelled():
    method, view = toy()
    before = weights(method)
    assert method.train_epoch(replace(view, labels=torch.zeros(60, 3)))["loss"] is None
    assert not moved(before, weights(method))


@pytest.mark.slow
def test_a_resumed_run_continues_to_the_bit():
    whole, view = toy()
    for view.epoch in (0, 1):
        whole.train_epoch(view)
        if view.epoch == 0:
            tensors, numbers = whole.state()
            tensors = {key: value.clone() for key, value in tensors.items()}
    resumed, _ = toy()
    resumed.load_state(tensors, numbers)
    resumed.train_epoch(view)
    for name, value in whole.state()[0].items():
        assert torch.equal(resumed.state()[0][name], value), name


@pytest.mark.slow
def test_ablations_do_what_they_say():
    ablations = get("ssah").ablations
    without = {name.split(":")[0]: toy(**settings)[0] for name, settings in ablations.items()}
    assert set(without) == {"SSAH-1", "SSAH-2", "SSAH-3"}
    assert set(without["SSAH-1"].networks) == {"image", "text"}
    assert set(without["SSAH-3"].networks) == {"image", "text", "labnet"}
    linear = [m for m in without["SSAH-2"].networks["text"].layers if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in linear] == [32, 16]  # and the heads are the third
    assert not any(isinstance(m, Fusion) for m in without["SSAH-2"].networks["text"].modules())
    for method in without.values():
        assert np.isfinite(method.train_epoch(toy()[1])["loss"])


def test_without_the_label_network_each_learns_from_the_other():
    method, view = toy(labnet=False)
    method.begin(view)
    assert set(method.buffers) == {"image.feature", "image.code", "text.feature", "text.code"}
    before = method.buffers["text.code"].clone()
    method.network_step(view, "image", torch.arange(16), 1e-3)
    assert torch.equal(method.buffers["text.code"], before)
    assert gradient_of(method.networks["image"]) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "papr"}, "did you mean 'paper'"),
        ({"passes": "3/1"}, "four steps' passes"),
        ({"passes": "3/1/x/2"}, "four steps' passes"),
        ({"scales": "1,a"}, "whole numbers"),
        ({"scales": "0"}, "whole numbers"),
        ({"width": 0}, "at least 1"),
        ({"delta": -1}, "at least 0"),
        ({"label_lr": 0}, "above 0"),
        ({"similar": 1.5}, "at most 1"),
        ({"init": -1}, "at least 0"),
        ({"alpha": 0, "gamma": 0, "quantisation": 0, "label": 0}, "all 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make_settings(get("ssah"), settings)


def test_presets_are_the_published_schedule_and_values():
    paper, official = (make_settings(get("ssah"), {"preset": name}) for name in ("paper", "official"))
    assert paper.levels() == official.levels() == [[10, 5], [1, 1], [15, 7, 5], [15, 7, 5]]
    assert paper.form == "paper"
    assert paper.decay == official.decay == pytest.approx(10**-0.5)
    weights = official.alpha, official.gamma, official.quantisation, official.label, official.delta
    assert weights == (1, 1, 1, 1, 1)
    assert official.form == "official"
    assert official.init == 0.01


def test_vectors_of_any_scale_make_the_same_image_codes():
    method, view = toy()
    x = view.features["image"]
    torch.testing.assert_close(method.networks["image"](1e-3 * x), method.networks["image"](x))
    assert torch.isfinite(method.networks["image"](0 * x)).all()


def test_no_scale_at_all_is_allowed():
    assert SsahSettings(scales="").windows() == []
