"""The blocks that methods share, against PyTorch's own."""

import pytest
import torch

from crossbit.networks import clip_in_step, rmsprop


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_rmsprop_is_that_of_pytorch(weight_decay):
    """Twelve steps in float64, with gradients of very different sizes and a parameter that gets none."""
    generator = torch.Generator().manual_seed(0)
    first = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((6, 5), (7,), (3,))]
    mine, theirs = ([torch.nn.Parameter(x.clone()) for x in first] for _ in range(2))
    options = {"lr": 0.01, "weight_decay": weight_decay}
    optimizers = rmsprop(mine, **options), torch.optim.RMSprop(theirs, alpha=0.99, eps=1e-8, **options)
    for step in range(12):
        for one, other in list(zip(mine, theirs, strict=True))[:2]:
            one.grad = 10.0 ** (step % 4 - 2) * torch.randn(one.shape, generator=generator, dtype=torch.float64)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
        for one, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    assert [torch.equal(x, y) for x, y in zip(first, mine, strict=True)] == [False, False, True]


def test_clipping_in_the_fused_step_equals_clipping_before_it():
    weights = []
    for fused in (True, False):
        torch.manual_seed(0)
        parameters = [torch.randn(30, 20), torch.randn(7)]
        for p in parameters:
            p.grad = torch.randn_like(p)
        optimizer = torch.optim.Adam(parameters, lr=0.1, weight_decay=0.3, fused=fused)
        for scale in (1.0, 5.0, 1e-3):  # the last one is not clipped
            for p in parameters:
                p.grad = torch.randn_like(p) * scale
            if fused:
                clip_in_step(optimizer, 1.0)
            else:
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
        weights.append(parameters)
    for one, other in zip(*weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
