"""The steps of `crossbit.model.integer` in PyTorch, on any device: the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.model.integer import HALF, HALF_REST, PLACES, REST, IntegerEncoder


class IntegerModule(nn.Module):
    """Features float32 (n, dim) -> packed codes uint8 (n, bits // 8), as the encoder that it is made of.

    >>> steps = [{"op": "quantise", "of": [], "top": 7}, {"op": "codes", "of": [0]}]
    >>> arrays = {"0.exponents": np.array([0]), "1.weights": np.ones((1, 8)), "1.rest": np.zeros((1, 8))}
    >>> arrays["1.thresholds"] = np.arange(8)
    >>> IntegerModule(IntegerEncoder(steps, arrays))(torch.tensor([[2.5], [-1.0]])).tolist()
    [[224], [0]]
    """

    def __init__(self, encoder: IntegerEncoder) -> None:
        super().__init__()
        self.steps = encoder.steps
        for number in range(len(encoder.steps)):
            for name, given in encoder.given(number).items():
                if isinstance(given, np.ndarray):
                    self.register_buffer(f"{number}_{name}", torch.from_numpy(np.array(given)))

    def forward(self, features: Tensor) -> Tensor:
        made: list[Tensor] = []
        for number, step in enumerate(self.steps):
            taken = torch.cat([made[each] for each in step["of"]], 1) if step["of"] else features
            made.append(getattr(self, f"_{step['op']}")(taken, number, step))
        return made[-1]

    def _given(self, number: int, name: str) -> Tensor:
        return self.get_buffer(f"{number}_{name}")

    def _quantise(self, x: Tensor, number: int, step: Any) -> Tensor:
        scaled = torch.ldexp(x, self._given(number, "exponents").int())
        return scaled.clamp(-step["top"], step["top"]).round().int()

    def _unit(self, x: Tensor, number: int, step: Any) -> Tensor:
        long = x.long()
        lengths = _root((long * long).sum(1, keepdim=True)).clamp(min=1)
        parts = torch.div(long.abs() << step["shift"], lengths, rounding_mode="floor")
        return (long.sign() * parts.clamp(max=step["top"])).int()

    def _sums(self, x: Tensor, number: int) -> Tensor:
        whole, further = ((x.double() @ self._given(number, name).double()).int() for name in ("weights", "rest"))
        return whole + ((further + HALF_REST) >> REST)  # exact: see `crossbit.model.integer.sums`

    def _layer(self, x: Tensor, number: int, step: Any) -> Tensor:
        moved = (self._sums(x, number) + self._given(number, "bias")) >> self._given(number, "shifts")
        return moved.clamp(0, step["top"])

    def _response(self, x: Tensor, number: int, step: Any) -> Tensor:
        parts, window = (x * x * self._given(number, "factors")) >> step["shift"], step["window"]
        near = F.pad(parts, (window // 2, window // 2)).unfold(1, window, 1).sum(-1)
        table = self._given(number, "table")
        return (x * table[near.clamp(max=len(table) - 1)] + HALF) >> PLACES

    def _codes(self, x: Tensor, number: int, step: Any) -> Tensor:
        bits = (self._sums(x, number) >= self._given(number, "thresholds")).int()
        places = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.int32, device=x.device)
        return (bits.unflatten(1, (-1, 8)) * places).sum(2).to(torch.uint8)


def _root(squares: Tensor) -> Tensor:
    found = squares.double().sqrt().long()
    found = found - (found * found > squares).long()
    return found + ((found + 1) * (found + 1) <= squares).long()
