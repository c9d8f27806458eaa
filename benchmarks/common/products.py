"""The matrix products of a piece of training, recorded and done again alone: the least time that it could take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
OPERANDS = {aten.mm.default: (0, 1), aten.bmm.default: (0, 1), aten.addmm.default: (1, 2), aten.baddbmm.default: (1, 2)}
Layout = tuple[tuple[int, ...], tuple[int, ...]]  # shape and strides


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Layout, Layout]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in OPERANDS:
            one, other = (args[i] for i in OPERANDS[func])
            self.made.append(((tuple(one.shape), one.stride()), (tuple(other.shape), other.stride())))
        return func(*args, **(kwargs or {}))


def recorded(job: Callable[[], object]) -> list[tuple[Layout, Layout]]:
    """Shapes and strides of both factors of every product, forward and backward, that the job makes."""
    with _Recorder() as recorder:
        job()
    return recorder.made


class Products:
    """Products to do again: `products()` does them all once, over factors and results that were made before.

    Equal products share their tensors, so that a whole epoch can be replayed.
    """

    def __init__(self, made: list[tuple[Layout, Layout]]) -> None:
        self.made = made
        self.tensors: dict[tuple[Layout, Layout], tuple[Tensor, Tensor, Tensor]] = {}
        for one, other in made:
            if (one, other) not in self.tensors:
                a, b = (torch.empty_strided(*layout).normal_() for layout in (one, other))
                self.tensors[one, other] = a, b, a @ b

    @property
    def operations(self) -> int:
        """Multiplications and additions of all of them."""
        return sum(2 * result.numel() * a.shape[-1] for a, _, result in (self.tensors[key] for key in self.made))

    def __call__(self) -> None:
        for key in self.made:
            a, b, result = self.tensors[key]
            torch.matmul(a, b, out=result)
