"""UCCH against recorded values of the published code, the specification's worked values, and awkward input."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.methods import Task, View, get, make_settings
from crossbit.methods.settings import PictureSettings
from crossbit.methods.ucch import (
    UcchSettings,
    binary_keys,
    cross_modal_ranking_loss,
    initial_memory,
    max_margin_loss,
    memory_contrastive_loss,
    rate_at,
    update_memory,
)
from crossbit.training import train

EYE = torch.eye(2, dtype=torch.float64)
U = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
V = torch.tensor([[0.8, 0.6], [0.6, 0.8], [-0.6, 0.8]], dtype=torch.float64)
CLOSE = {"rtol": 1e-4, "atol": 1e-6, "check_dtype": False}


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "ucch.npz") as recorded:
        return {key: torch.from_numpy(recorded[key]) for key in recorded.files}


def unit(generator, *shape):
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


# --- recorded values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("margin", "shift", "tau"), [(0.2, 1.0, 1.0), (0.2, 0.1, 1.0), (0.0, 1.0, 1.0), (0.5, 1.0, 0.5)]
)
def test_ranking_loss_and_gradients_equal_the_published_code(golden, margin, shift, tau):
    name = f"margin{margin}_shift{shift}_tau{tau}"
    u, v = golden["u"].clone().requires_grad_(), golden["v"].clone().requires_grad_()
    loss = cross_modal_ranking_loss(u, v, margin=margin, shift=shift, temperature=tau)
    loss.backward()
    torch.testing.assert_close(loss.detach(), golden[f"crl_{name}"].reshape(()), **CLOSE)
    torch.testing.assert_close(u.grad, golden[f"crl_grad_u_{name}"], **CLOSE)
    torch.testing.assert_close(v.grad, golden[f"crl_grad_v_{name}"], **CLOSE)


def test_contrastive_loss_and_gradients_equal_the_published_code(golden):
    keys = golden["nce_memory_before"].sign()[golden["nce_key_index"]]
    u, v = golden["u"].clone().requires_grad_(), golden["v"].clone().requires_grad_()
    loss = sum(memory_contrastive_loss(h, keys[:, 0], keys[:, 1:], temperature=0.9) for h in (u, v))
    loss.backward()
    torch.testing.assert_close(loss.detach(), golden["nce_loss"].reshape(()), **CLOSE)
    torch.testing.assert_close(u.grad, golden["nce_grad_u"], **CLOSE)
    torch.testing.assert_close(v.grad, golden["nce_grad_v"], **CLOSE)


@pytest.mark.parametrize("recorded", ["nce", "warmup_nce"])
def test_the_bank_after_a_step_equals_the_recorded_bank(golden, recorded):
    before, index = golden[f"{recorded}_memory_before"], golden[f"{recorded}_batch_index"]
    momentum = 0.0 if recorded == "warmup_nce" else golden["momentum"].item()
    after = update_memory(before, index, golden["u"], golden["v"], momentum=momentum, form="official")
    torch.testing.assert_close(after, golden[f"{recorded}_memory_after"], **CLOSE)


@pytest.mark.parametrize(("recorded", "epoch"), [("warmup_nce", 0), ("nce", 1)])
def test_a_step_of_the_method_equals_the_recorded_one(golden, recorded, epoch):
    """The same through the method: keys are not gathered, and the bank is changed in place."""
    method, _ = toy(form="official", bits=16)
    method.buffers["memory"] = golden[f"{recorded}_memory_before"].clone()
    outputs = [golden[name].clone().requires_grad_() for name in "uv"]
    index, columns = golden[f"{recorded}_batch_index"], golden[f"{recorded}_key_index"]
    loss = method.contrast(outputs, index, columns[:, 1:] if epoch else None)
    loss.backward()
    torch.testing.assert_close(loss.detach(), golden[f"{recorded}_loss"].reshape(()), **CLOSE)
    if epoch:
        torch.testing.assert_close(outputs[0].grad, golden["nce_grad_u"], **CLOSE)
        torch.testing.assert_close(outputs[1].grad, golden["nce_grad_v"], **CLOSE)
    torch.testing.assert_close(method.buffers["memory"], golden[f"{recorded}_memory_after"], **CLOSE)


# --- worked values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("margin", "shift", "value"),
    [
        (0.2, 1.0, 0.6538560221),
        (0.2, 0.1, 0.9746706502),
        (0.2, 0.0, 1.0265233750),
        (0.0, 1.0, 0.2538560221),
        (1.0, 1.0, 2.6265233750),
    ],
)
def test_ranking_of_two_pairs(margin, shift, value):
    loss = cross_modal_ranking_loss(EYE, EYE, margin=margin, shift=shift)
    assert loss.item() == pytest.approx(value, abs=2e-10)


@pytest.mark.parametrize(
    ("shift", "kappa", "value"), [(1.0, 1.0, 1.6752823220), (0.1, 1.0, 2.0935646546), (1.0, 0.5, 0.9015021367)]
)
def test_ranking_of_three_pairs(shift, kappa, value):
    loss = cross_modal_ranking_loss(U, V, margin=0.2, shift=shift, temperature=kappa)
    assert loss.item() == pytest.approx(value, abs=2e-10)


def test_ranking_of_outputs_that_coincide():
    same = EYE[:1].expand(4, 2)
    assert cross_modal_ranking_loss(same, same).item() == pytest.approx(3.1725887222, abs=2e-10)


def test_ranking_bound_becomes_the_largest_negative():
    assert cross_modal_ranking_loss(EYE, EYE, temperature=1e-6).item() == pytest.approx(0.4, abs=1e-9)


def test_a_pair_on_the_margin_is_inside():
    u = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    v = torch.tensor([[1.0, 0.0], [0.5, 1.0]], dtype=torch.float64)  # M_11 - M_12 is the margin
    inside, outside = (cross_modal_ranking_loss(u, v, margin=m) for m in (0.5, 0.5 - 1e-9))
    assert inside.item() - outside.item() > 0.2


def test_max_margin_of_three_pairs():
    assert max_margin_loss(U, V, margin=0.2).item() == pytest.approx(0.08, abs=2e-10)


def ranking_loop(u, v, margin, shift, kappa):
    """Eqs. 8-14, pair by pair."""
    n, total = len(u), 0.0
    for a, b in ((u, v), (v, u)):
        for i in range(n):
            own = a[i] @ b[i]
            s = [a[i] @ b[j] - (shift if own - a[i] @ b[j] > margin else 0) for j in range(n)]
            total += (margin + kappa * np.log(sum(np.exp(x / kappa) for x in s)) - s[i]) / n
    return total


@pytest.mark.parametrize(("margin", "shift", "kappa"), [(0.2, 1.0, 1.0), (0.3, 0.7, 0.25), (0.05, 7.0, 2.0)])
def test_ranking_equals_a_loop_and_bounds_the_triplet_loss(margin, shift, kappa):
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        u, v = unit(generator, 9, 8), unit(generator, 9, 8)
        loss = cross_modal_ranking_loss(u, v, margin=margin, shift=shift, temperature=kappa).item()
        assert loss == pytest.approx(ranking_loop(u.numpy(), v.numpy(), margin, shift, kappa), rel=1e-12)
        assert max_margin_loss(u, v, margin=margin).item() <= loss


def contrast_with(h, positive, negatives, temperature=0.9):
    keys = [torch.as_tensor(x, dtype=torch.float64) for x in (h, positive, negatives)]
    return memory_contrastive_loss(*keys, temperature=temperature)


@pytest.mark.parametrize(("negatives", "value"), [(2, 0.5058448255), (4096, 7.2073964145)])
def test_contrast_with_orthogonal_negatives(negatives, value):
    key = [[1.0, 1.0]]
    loss = contrast_with([[0.5**0.5, 0.5**0.5]], key, [[[1.0, -1.0]] * negatives])
    assert loss.item() == pytest.approx(value, abs=2e-10)


def test_contrast_with_opposite_and_with_equal_negatives():
    h, key = [[0.5**0.5, 0.5**0.5]], [[1.0, 1.0]]
    assert contrast_with(h, key, [[[-1.0, -1.0]] * 2]).item() == pytest.approx(0.1961719018, abs=2e-10)
    assert contrast_with(h, key, [[[1.0, 1.0]] * 4096]).item() == pytest.approx(8.3180102775, abs=2e-10)


def test_contrast_of_the_tiny_example():
    sides = ([[0.6, 0.8]], [[0.8, 0.6]])
    loss = sum(contrast_with(h, [[1.0, 1.0]], [[[1.0, -1.0], [-1.0, -1.0]]]) for h in sides)
    assert loss.item() == pytest.approx(0.7388059310, abs=2e-10)


def test_order_of_negatives_does_not_matter():
    generator = torch.Generator().manual_seed(0)
    h, keys = unit(generator, 5, 8), torch.randn(5, 8, 8, generator=generator).sign().double()
    shuffled = keys[:, 1:][:, torch.randperm(7, generator=generator)]
    one, other = (memory_contrastive_loss(h, keys[:, 0], negatives) for negatives in (keys[:, 1:], shuffled))
    assert one.item() == pytest.approx(other.item(), rel=1e-12)


def test_a_high_temperature_makes_all_keys_alike():
    generator = torch.Generator().manual_seed(0)
    h = unit(generator, 5, 8).requires_grad_()
    keys = torch.randn(5, 8, 8, generator=generator).sign().double()
    loss = memory_contrastive_loss(h, keys[:, 0], keys[:, 1:], temperature=1e9)
    loss.backward()
    assert loss.item() == pytest.approx(np.log(8), abs=1e-8)
    assert h.grad.abs().max() < 1e-8


# --- memory -----------------------------------------------------------------------------------------------------------

H = torch.tensor([[0.6, 0.8]], dtype=torch.float64), torch.tensor([[0.8, 0.6]], dtype=torch.float64)
MEMORY = torch.tensor([[0.0, 1.0], [0.6, -0.8], [1.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("form", "momentum", "row"),
    [
        ("official", 0.4, (0.9879045438, 0.1550632528)),
        ("paper", 0.4, (0.66, 0.10)),
        ("official", 0.0, (0.5**0.5, 0.5**0.5)),
        ("paper", 0.0, (0.7, 0.7)),
    ],
)
def test_worked_updates_and_rows_outside_the_batch(form, momentum, row):
    before = MEMORY.clone()
    after = update_memory(before, torch.tensor([1]), *H, momentum=momentum, form=form)
    np.testing.assert_allclose(after[1], row, atol=2e-10)
    assert torch.equal(after[[0, 2]], MEMORY[[0, 2]])
    assert torch.equal(before, MEMORY)


def test_a_bit_may_flip():
    after = update_memory(MEMORY, torch.tensor([1]), *H, form="official")
    assert binary_keys(MEMORY)[1, 1] < 0 < binary_keys(after)[1, 1]


def test_of_a_repeated_row_the_last_one_counts():
    generator = torch.Generator().manual_seed(0)
    index = torch.tensor([2, 0, 2, 0, 2])
    u, v = unit(generator, 5, 2), unit(generator, 5, 2)
    after = update_memory(MEMORY, index, u, v)
    alone = update_memory(MEMORY, index[3:], u[3:], v[3:])
    assert torch.equal(after, alone)


def test_keys_are_signs_of_unit_length():
    keys = binary_keys(torch.tensor([[0.0, -0.0, 3.0, -1e-30]]))
    assert keys.tolist() == [[0.5, 0.5, 0.5, -0.5]]


@pytest.mark.parametrize(
    ("settings", "share"), [({}, 0.5), ({"form": "official"}, 0.691), ({"memory": "biased"}, 0.691)]
)
def test_first_memory(settings, share):
    method, view = toy(n=2000, **settings)
    method.remember(view)
    memory = method.buffers["memory"]
    assert (memory < 0).float().mean().item() == pytest.approx(share, abs=0.01)
    torch.testing.assert_close(memory.norm(dim=1), torch.ones(2000))
    assert torch.equal(initial_memory(9, 8, 4), initial_memory(9, 8, 4))


def test_no_gradient_reaches_memory_or_keys():
    generator = torch.Generator().manual_seed(0)
    h, keys = unit(generator, 5, 8).requires_grad_(), unit(generator, 5, 4, 8).requires_grad_()
    memory_contrastive_loss(h, keys[:, 0], keys[:, 1:]).backward()
    assert keys.grad is None
    memory = MEMORY.clone().requires_grad_()
    u = H[0].clone().requires_grad_()
    assert not update_memory(memory, torch.tensor([1]), u, H[1]).requires_grad
    method, view = toy()
    method.remember(view)
    method.step(view, torch.arange(8), torch.arange(24).view(8, 3))
    assert not method.buffers["memory"].requires_grad
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.networks.parameters())


# --- the method -------------------------------------------------------------------------------------------------------


def toy(n=40, bits=16, seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(3, (n,), generator=generator)
    features = {
        m: torch.nn.functional.one_hot(label, 3) + 0.1 * torch.randn(n, 3, generator=generator)
        for m in ("image", "text")
    }
    cls = get("ucch")
    torch.manual_seed(seed)
    small = {"width": 16, "batch": 16, "negatives": 30, "lr": 1e-3}
    method = cls(make_settings(cls, {**small, **settings}), Task({"image": 3, "text": 3}, 3, bits))
    method.optimizers = method.build_optimizers()
    return method, View(features, None, np.arange(n), epochs=5, seed=seed)


@torch.no_grad()
def outputs(method, view):
    return method.forward(view, torch.arange(len(view)))


def contrast_of(u, v, memory, rows, negatives):
    """L_c of a step with its keys gathered; without `negatives` they are the batch's own (warm-up)."""
    if negatives is None:
        signs, size = binary_keys((u + v) / 2) * u.shape[1] ** 0.5, len(u)
        others = torch.stack([signs[torch.arange(size) != i] for i in range(size)])
        return sum(memory_contrastive_loss(h, signs, others, temperature=0.9) for h in (u, v))
    signs = binary_keys(memory) * u.shape[1] ** 0.5
    return sum(memory_contrastive_loss(h, signs[rows], signs[negatives], temperature=0.9) for h in (u, v))


@pytest.mark.parametrize("form", ["paper", "official"])
@pytest.mark.parametrize("warming", [True, False])
@pytest.mark.parametrize("clip", [0.05, 0.0])
def test_steps_are_the_formula_and_adam(form, warming, clip):
    """Three of them against the losses, clipping and PyTorch's plain Adam, in float64."""
    settings = {"form": form, "clip": clip, "lr": 0.01, "weight_decay": 0.1}
    ranking = {"margin": 0.01, "shift": 0.7}
    (method, view), (twin, _) = (toy(smoothing=0.5, **settings, **ranking) for _ in range(2))
    for own in (method, twin):
        own.networks.double()
        own.optimizers = own.build_optimizers()
    view.features = {m: x.double() for m, x in view.features.items()}
    method.remember(view)
    memory, momentum = method.buffers["memory"].clone(), 0.0 if warming else 0.4
    plain = torch.optim.Adam(twin.networks.parameters(), lr=0.01, weight_decay=0.1, fused=False)
    for number, rows in enumerate(view.batches(16)):
        generator = torch.Generator().manual_seed(number)
        negatives = None if warming else torch.randint(40, (len(rows), 30), generator=generator)
        u, v = (twin.networks[m](view.features[m][rows]) for m in ("image", "text"))
        loss = 0.9 * contrast_of(u, v, memory, rows, negatives)
        loss = loss + 0.1 * cross_modal_ranking_loss(u, v, temperature=0.5, **ranking)
        plain.zero_grad()
        loss.backward()
        if clip:
            assert torch.nn.utils.clip_grad_norm_(twin.networks.parameters(), clip) > 2 * clip
        plain.step()
        memory = update_memory(memory, rows, u.detach(), v.detach(), momentum=momentum, form=form)
        assert method.step(view, rows, negatives)[0].item() == pytest.approx(loss.item(), rel=1e-6)
    torch.testing.assert_close(method.buffers["memory"], memory, rtol=1e-5, atol=1e-7)
    for mine, other in zip(method.networks.parameters(), twin.networks.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("count", [30, 1])  # 31 * 16 numbers are more than the bank's 40 rows, 2 * 16 are fewer
@pytest.mark.parametrize("keys", ["binary", "real"])
def test_keys_of_a_large_bank_are_gathered_those_of_a_small_one_are_not(keys, count):
    method, view = toy(keys=keys)
    method.remember(view)
    rows, negatives = torch.tensor([3, 1, 7]), torch.randint(40, (3, count), generator=torch.Generator().manual_seed(1))
    u, v = (h[rows] for h in outputs(method, view))
    memory = method.buffers["memory"]
    key = memory.sign() if keys == "binary" else F.normalize(memory, dim=1) * 4  # 4 = sqrt(bits)
    expected = sum(memory_contrastive_loss(h, key[rows], key[negatives], temperature=0.9) for h in (u, v))
    assert method.contrast([u, v], rows, negatives).item() == pytest.approx(expected.item(), rel=1e-5)


def test_row_i_of_the_bank_belongs_to_pair_i():
    """After a warm-up epoch without training, every row is its own pair's mean output, in whatever order they came."""
    method, view = toy(lr=1e-30, weight_decay=0)
    method.train_epoch(view)
    u, v = outputs(method, view)
    torch.testing.assert_close(method.buffers["memory"], (u + v) / 2)


def test_after_the_warm_up_the_bank_keeps_a_part():
    method, view = toy(lr=1e-30, weight_decay=0, warmup=0)
    method.remember(view)
    before = method.buffers["memory"].clone()
    method.train_epoch(view)
    u, v = outputs(method, view)
    torch.testing.assert_close(method.buffers["memory"], 0.4 * before + 0.6 * (u + v) / 2)


def test_negatives_are_drawn_from_the_whole_bank_and_differ_between_steps():
    method, view = toy(warmup=0)
    drawn = []
    method.step = lambda view, rows, negatives: drawn.append(negatives) or torch.zeros(3)
    method.train_epoch(view)
    assert [tuple(x.shape) for x in drawn] == [(16, 30), (16, 30), (8, 30)]
    assert torch.cat(drawn).unique().tolist() == list(range(40))
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    ("form", "n", "sizes"),
    [("paper", 40, [16, 16, 8]), ("official", 40, [16, 16]), ("official", 9, [9]), ("official", 32, [16, 16])],
)
def test_the_code_drops_an_incomplete_batch_unless_it_is_the_only_one(form, n, sizes):
    method, view = toy(n=n, form=form)
    assert [len(rows) for rows in method.batches(view)] == sizes
    assert method.train_epoch(view)["steps"] == len(sizes)


def test_the_ablations_leave_out_a_term():
    ranking = {name: toy(**settings)[0].settings for name, settings in get("ucch").ablations.items()}
    assert len(ranking) == 4
    for settings, missing in (({"beta": 1.0}, "ranking"), ({"beta": 0.0}, "contrast")):
        method, view = toy(**settings)
        figures = method.train_epoch(view)
        assert missing not in figures
        assert figures["loss"] == pytest.approx(figures[{"ranking": "contrast", "contrast": "ranking"}[missing]])
    method, view = toy(beta=0.0, ranking="max-margin", margin=0.5)
    u, v = (h[:8] for h in outputs(method, view))
    loss, _, ranking = method.step(view, torch.arange(8), None)
    assert loss.item() == ranking.item() == pytest.approx(max_margin_loss(u, v, margin=0.5).item(), rel=1e-5)


@pytest.mark.parametrize("epoch", [0, 1])
def test_without_contrast_there_is_no_memory_to_keep(epoch):
    method, view = toy(beta=0.0)
    view.epoch = epoch
    drawn, step = [], method.step
    method.step = lambda view, rows, negatives: drawn.append(negatives) or step(view, rows, negatives)
    method.train_epoch(view)
    assert drawn == [None] * 3
    assert not method.buffers


def test_the_trade_off_weighs_both_terms():
    method, view = toy(beta=0.7)
    method.remember(view)
    loss, contrast, ranking = method.step(view, torch.arange(16), None)
    assert loss.item() == pytest.approx(0.7 * contrast.item() + 0.3 * ranking.item(), rel=1e-6)
    assert contrast.item() != pytest.approx(ranking.item(), rel=0.01)


def test_the_rate_falls_an_epoch_after_the_milestone():
    settings = UcchSettings(lr=1.0)
    rates = {0: 1, 29: 1, 30: 1, 31: 0.1, 60: 0.1, 61: 0.01, 91: 0.001, 121: 0.0001, 500: 0.0001}
    for epoch, rate in rates.items():
        assert rate_at(epoch, settings) == pytest.approx(rate)
    assert rate_at(500, UcchSettings(lr=1.0, decay=1.0)) == 1
    method, view = toy()
    view.epoch = 31
    method.train_epoch(view)
    assert method.optimizers["adam"].param_groups[0]["lr"] == pytest.approx(1e-4)


def test_presets_are_the_papers_settings():
    chosen = {
        name: make_settings(get("ucch"), {"preset": name}) for name in ("mirflickr", "nus-wide", "mscoco", "iapr")
    }
    assert [(s.beta, s.shift) for s in chosen.values()] == [(0.7, 0.1), (0.7, 0.1), (0.6, 7.0), (0.9, 1.0)]
    assert {(s.epochs, s.margin, s.negatives, s.temperature, s.momentum) for s in chosen.values()} == {
        (20, 0.2, 4096, 0.9, 0.4)
    }
    assert make_settings(get("ucch"), {"preset": "mscoco", "beta": 0.5}).beta == 0.5


@pytest.mark.slow
def test_training_learns_pairs_without_labels():
    method, view = toy(n=120, negatives=64, epochs=30)
    first = method.train_epoch(view)
    for epoch in range(1, 30):
        view.epoch = epoch
        last = method.train_epoch(view)
    assert last["ranking"] < first["ranking"] - 1
    u, v = outputs(method, view)
    assert (u.sign() == v.sign()).float().mean() > 0.9


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_batch_of_one(epoch):
    method, view = toy(n=33)
    view.epoch = epoch
    assert np.isfinite(method.train_epoch(view)["loss"])
    assert all(torch.isfinite(p).all() for p in method.networks.parameters())


def test_a_pretrained_backbone_is_frozen_in_the_warm_up_only(monkeypatch):
    cls, moved = get("ucch"), []
    monkeypatch.setattr("crossbit.methods.base.load_weights", lambda networks, settings: None)
    monkeypatch.setattr(PictureSettings, "check_pictures", lambda settings: None)  # a small network in CNN-F's place
    train_epoch = cls.train_epoch

    def watched(method, view):
        encoder = method.networks["image"]
        parts = [list(part.parameters()) for part in (encoder.backbone, encoder.head)]
        before = [[p.detach().clone() for p in part] for part in parts]
        figures = train_epoch(method, view)
        pairs = (zip(*both, strict=True) for both in zip(before, parts, strict=True))
        moved.append([{not torch.equal(*pair) for pair in part} for part in pairs])
        return figures

    monkeypatch.setattr(cls, "train_epoch", watched)
    rng = np.random.default_rng(0)
    features = {"image": rng.integers(256, size=(16, 16, 16, 3), dtype=np.uint8)}
    features["text"] = rng.normal(size=(16, 5)).astype(np.float32)
    splits = {"query": np.arange(4), "train": np.arange(4, 16), "retrieval": np.arange(4, 16)}
    settings = {"width": 8, "image_layers": 1, "text_layers": 1, "negatives": 4, "warmup": 2}
    settings |= {"pictures": "cnn", "weights": "a file"}
    train(PairedData("toy", features, None, splits), method="ucch", bits=8, epochs=3, settings=settings, progress=False)
    assert moved == [[{False}, {True}], [{False}, {True}], [{True}, {True}]]


class Unreadable(PairedData):
    """Data whose labels may not be read."""

    def __getattribute__(self, name):
        if name in FORBIDDEN:
            raise AssertionError(f"labels were touched: {name}")
        return super().__getattribute__(name)


FORBIDDEN: set[str] = set()
LABELS = {"label", "observed_label", "modality_label", "modality_observed_label"}


def test_labels_are_never_touched(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    features = {m: rng.normal(size=(60, 6)).astype(np.float32) for m in ("image", "text")}
    splits = {"query": np.arange(12), "train": np.arange(12, 40), "retrieval": np.arange(12, 60)}
    data = Unreadable("toy", features, rng.integers(3, size=60), splits)
    monkeypatch.setitem(globals(), "FORBIDDEN", LABELS)
    settings = {"width": 8, "batch": 16, "negatives": 16}
    train(data, method="ucch", bits=8, epochs=3, settings=settings, out=tmp_path / "run", progress=False)
    with pytest.raises(AssertionError, match="labels were touched"):  # it would have been noticed
        _ = data.label


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "offical"}, "did you mean 'official'"),
        ({"memory": "fare"}, "did you mean 'fair'"),
        ({"keys": "sign"}, "unknown keys"),
        ({"ranking": "triplet"}, "unknown ranking"),
        ({"beta": 1.5}, "between 0 and 1"),
        ({"momentum": -1}, "between 0 and 1"),
        ({"negatives": 0}, "at least 1"),
        ({"margin": -0.1}, "at least 0"),
        ({"temperature": 0}, "above 0"),
        ({"preset": "flickr"}, "mirflickr"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make_settings(get("ucch"), settings)
