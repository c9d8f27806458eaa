"""Encoders in whole numbers, of networks with drawn weights, for tests."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from crossbit.export.quantised import quantised
from crossbit.export.traced import traced
from crossbit.methods import Task, get, make_settings
from crossbit.model.integer import IntegerEncoder

DIMS = {"image": 40, "text": 60}


def drawn(encoder: nn.Module, rng: np.random.Generator) -> nn.Module:
    """The encoder with numbers where its method would fit some."""
    for tensor in encoder.state_dict().values():
        if tensor.dtype == torch.int64:
            tensor.copy_(torch.from_numpy(rng.integers(-(2**63), 2**63, size=tensor.shape)))
        elif tensor.dtype == torch.bool:
            tensor.fill_(True)
        elif not tensor.any():
            tensor.copy_(torch.from_numpy(rng.normal(size=tensor.shape)))
    return encoder.eval()


@cache
def encoder_of(method: str, modality: str) -> tuple[IntegerEncoder, nn.Module, np.ndarray, int]:
    """In whole numbers, as it is, the rows that its scales are of, and the largest sum that it can have."""
    rng, cls = np.random.default_rng(3), get(method)
    torch.manual_seed(3)
    modules = cls.build_encoders(make_settings(cls, {}), Task(dict(DIMS), 5, 32))
    module: Any = drawn(modules[modality], rng)
    rows = rng.standard_normal((500, DIMS[modality]), np.float32) * np.float32(3)
    rows[:, 0] = 0  # says nothing in these rows
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    encoder, most = quantised(traced(module, DIMS[modality], "it"), weights, rows, "it")
    return encoder, module, rows, most


def hard_rows(rows: np.ndarray) -> np.ndarray:
    """Rows like these, rows of other sizes, and rows at the ends of what float32 can hold."""
    rng, dim = np.random.default_rng(5), rows.shape[1]
    other = (rows * rng.lognormal(0, 3, (len(rows), 1))).astype(np.float32)
    ends = [3.4e38, -3.4e38, 0.0, -0.0, 1e-45, -1e-38]
    mixed = rng.choice(np.array([*ends, 1.0, -0.5], np.float32), size=(1, dim))
    return np.concatenate([rows, other, *(np.full((1, dim), end, np.float32) for end in ends), mixed])
