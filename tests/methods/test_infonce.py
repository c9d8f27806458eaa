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


def test_it_has_the_settings_encoders_and_optimiser_of_ucch():
    mine, ucch = (make_settings(get(name), {}) for name in ("infonce", "ucch"))
    for key in ("epochs", "batch", "width", "image_layers", "text_layers", "lr", "weight_decay", "clip"):
        assert getattr(mine, key) == getattr(ucch, key), key
    task, small = Task({"image": 6, "text": 4}, 0, 16), {"width": 8}
    made = []
    for name in ("infonce", "ucch"):
        cls = get(name)
        torch.manual_seed(0)
        method = cls(make_settings(cls, small), task)
        made.append((method.networks, method.build_optimizers()))
    weights = zip(made[0][0].parameters(), made[1][0].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    assert [type(o) for o in made[0][1].values()] == [type(o) for o in made[1][1].values()]


def test_an_epoch_lowers_the_loss_with_clipping_and_without():
    features = {"image": unit(60, 6).float(), "text": unit(60, 6).float()[:, :4]}
    for clip in (1.0, 0.0):
        cls = get("infonce")
        torch.manual_seed(0)
        settings = make_settings(cls, {"width": 16, "batch": 16, "lr": 1e-2, "clip": clip})
        method = cls(settings, Task({"image": 6, "text": 4}, 0, 16))
        method.optimizers = method.build_optimizers()
        view = View(features, None, np.arange(60), epochs=8, seed=0)
        losses = []
        for view.epoch in range(8):
            losses.append(method.train_epoch(view)["loss"])
        assert losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"lr": -1}, {"batch": 0}, {"clip": -1}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(UserError, match="must be a"):
        make_settings(get("infonce"), settings)
