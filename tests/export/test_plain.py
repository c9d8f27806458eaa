"""Encoders by numpy beside those by PyTorch: every method's, on 10,000 rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.export.compared import NEAR, compared
from crossbit.export.traced import traced
from crossbit.methods import Task, available, get, make_settings
from crossbit.model.plain import PlainEncoder
from integers import drawn

ROWS = 10_000
QUICK = ("nrch",)


def plain(encoder: nn.Module, dim: int) -> PlainEncoder:
    """Its steps as a file would hold them."""
    made = json.loads(json.dumps(traced(encoder, dim, "it")))
    weights = {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}
    return PlainEncoder(made["steps"], made["outputs"], weights)


@pytest.mark.parametrize(
    "method", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in available()]
)
def test_packed_bytes_of_every_method_are_pytorchs(method: str) -> None:
    rng, task, cls = np.random.default_rng(3), Task({"image": 40, "text": 60}, 5, 32), get(method)
    for modality, module in cls.build_encoders(make_settings(cls, {}), task).items():
        encoder: Any = drawn(module, rng)
        features = rng.standard_normal((ROWS, task.widths[modality]), np.float32)
        numpy_side = plain(encoder, task.widths[modality])
        with torch.inference_mode():
            expected = encoder(torch.from_numpy(features)).numpy()
            ordering = getattr(encoder, "ordering", encoder)(torch.from_numpy(features)).numpy()
        outputs = numpy_side(features)
        assert outputs.dtype == np.float32
        same = (pack(outputs) == pack(expected)).all(axis=1)
        assert same[(np.abs(expected) >= NEAR).all(axis=1)].all() and same.mean() > 0.999
        np.testing.assert_allclose(outputs, expected, atol=1e-5 * max(1.0, np.abs(expected).max()))
        np.testing.assert_allclose(
            numpy_side.ordering(features), ordering, atol=1e-5 * max(1.0, np.abs(ordering).max())
        )


def test_what_numpy_is_not_taught_is_named() -> None:
    class Strange(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features.cumsum(1)

    with pytest.raises(UserError, match="it cannot be exported: it computes cumsum"):
        traced(Strange(), 8, "it")


def test_a_branch_on_numbers_is_refused() -> None:
    class Branching(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features if features.sum() > 0 else -features

    with pytest.raises(UserError, match="PyTorch cannot trace it"):
        traced(Branching(), 8, "it")


def test_outputs_near_zero_are_counted_and_others_must_agree() -> None:
    rows = np.full((4, 8), 0.5, np.float32)
    rows[0, :3] = 1e-6
    flipped = np.where(np.abs(rows) < 1e-5, -rows, rows)
    counted = compared(lambda x: x, lambda x: flipped, rows, "it")
    assert counted == {"rows": 4, "outputs": 32, "near_zero": 3, "bytes_that_differ": 1}
    with pytest.raises(UserError, match="numpy gives other codes"):
        compared(lambda x: x, lambda x: -x, rows, "it")
