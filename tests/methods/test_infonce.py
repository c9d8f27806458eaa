"""InfoNCE against a loop, and that it is UCCH without its ideas."""

import numpy as np
import pytest
import torch

from crossbit.errors import UserError
from crossbit.methods import Task, View, get, make_settings
from crossbit.methods.infonce import info_nce_loss


def unit(*shape, seed=0):
    return torch.nn.functional.normalize(
        torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)), dim=-1
    )


@pytest.mark.parametrize("temperature", [1.0, 0.07])
def test_loss_equals_a_loop(temperature):
    u, v = unit(2, 7, 5)
    total = 0.0
    for i in range(7):
        for one, other in ((u, v), (v, u)):
            exponentials = [float(torch.exp(one[i] @ other[j] / temperature)) for j in range(7)]
            total -= np.log(exponentials[i] / sum(exponentials))
    assert info_nce_loss(u, v, temperature=temperature).item() == pytest.approx(total / 14, rel=1e-12)


def test_one_pair_alone_has_nothing_to_tell_apart():
    u, v = unit(2, 1, 5)
    u.requires_grad_()
    loss = info_nce_loss(u, v)
    loss.backward()
    assert loss.item() == 0
    assert (u.grad == 0).all()


def test_it_has_the_rows_settings_encoders_and_optimiser_of_ucch():
    mine, ucch = (make_settings(get(name), {"preset": "paper"}) for name in ("infonce", "ucch"))
    assert get("infonce").rows == get("ucch").rows == "retrieval"
    assert get("infonce").sees_labels is get("ucch").sees_labels is False
    for key in ("epochs", "batch", "width", "image_layers", "text_layers", "lr", "weight_decay", "clip"):
        assert getattr(mine, key) == getattr(ucch, key), key
    task, small = Task({"image": 6, "text": 4}, 0, 16), {"preset": "paper", "width": 8}
    made = []
    for name in ("infonce", "ucch"):
        cls = get(name)
        torch.manual_seed(0)
        method = cls(make_settings(cls, small), task)
        made.append((method.networks, method.build_optimizers()))
    weights = zip(made[0][0].parameters(), made[1][0].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    assert [type(o) for o in made[0][1].values()] == [type(o) for o in made[1][1].values()]
    assert [o.defaults for o in made[0][1].values()] == [o.defaults for o in made[1][1].values()]


def toy(**settings):
    cls = get("infonce")
    torch.manual_seed(0)
    made = cls(make_settings(cls, {"width": 16, "batch": 16, **settings}), Task({"image": 6, "text": 4}, 0, 16))
    made.optimizers = made.build_optimizers()
    features = {"image": unit(60, 6).float(), "text": unit(60, 6).float()[:, :4]}
    return made, View(features, None, np.arange(60), epochs=8, seed=0)


@pytest.mark.parametrize("clip", [0.05, 0.0])
def test_steps_are_the_formula_and_adam(clip):
    """Four of them against the loss, clipping and PyTorch's plain Adam, in float64."""
    settings = {"clip": clip, "lr": 0.01, "weight_decay": 0.1, "temperature": 0.5}
    (method, view), (twin, _) = (toy(**settings) for _ in range(2))
    for own in (method, twin):
        own.networks.double()
        own.optimizers = own.build_optimizers()
    view.features = {m: x.double() for m, x in view.features.items()}
    plain = torch.optim.Adam(twin.networks.parameters(), lr=0.01, weight_decay=0.1, fused=False)
    for rows in view.batches(16):
        u, v = (twin.networks[m](view.features[m][rows]) for m in ("image", "text"))
        loss = info_nce_loss(u, v, temperature=0.5)
        plain.zero_grad()
        loss.backward()
        if clip:
            assert torch.nn.utils.clip_grad_norm_(twin.networks.parameters(), clip) > 2 * clip
        plain.step()
        assert method.step(view, rows).item() == pytest.approx(loss.item(), rel=1e-6)
    for mine, other in zip(method.networks.parameters(), twin.networks.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)


def test_an_epoch_takes_every_row_once():
    method, view = toy()
    seen = []
    method.step = lambda view, rows: seen.append(rows) or torch.tensor(0.0)
    assert method.train_epoch(view)["steps"] == 4
    assert sorted(torch.cat(seen).tolist()) == list(range(60))
    assert torch.cat(seen).tolist() != list(range(60))


def test_an_epoch_lowers_the_loss_with_clipping_and_without():
    for clip in (1.0, 0.0):
        method, view = toy(lr=1e-2, clip=clip)
        losses = []
        for view.epoch in range(8):
            losses.append(method.train_epoch(view)["loss"])
        assert losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"lr": -1}, {"batch": 0}, {"clip": -1}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(UserError, match="must be a"):
        make_settings(get("infonce"), settings)
