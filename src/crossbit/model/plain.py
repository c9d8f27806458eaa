"""Encoders without PyTorch: the operations of a traced encoder, each by its name in PyTorch, computed by numpy.

`crossbit.export.traced` writes the steps. Sums are taken in another order than PyTorch's, so outputs differ in the last
bits of float32; an export counts the outputs that are so near to zero that their sign could differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[Any]


def _softmax(x: Array, dim: int) -> Array:
    powers = np.exp(x - x.max(dim, keepdims=True))
    return np.asarray(powers / powers.sum(dim, keepdims=True))


def _norm(x: Array, order: float, dims: Sequence[int], keep: bool = False) -> Array:
    assert order == 2
    return np.asarray(np.sqrt((x * x).sum(tuple(dims), keepdims=keep)))


def _expand(x: Array, shape: Sequence[int]) -> Array:
    shape = [x.shape[place - len(shape)] if size == -1 else size for place, size in enumerate(shape)]
    return np.broadcast_to(x, shape)


def _means(x: Array, window: Sequence[int], step: Sequence[int] = ()) -> Array:
    assert list(step) in ([], list(window))
    many = x.shape[-1] // window[0]
    return np.asarray(x[..., : many * window[0]].reshape(*x.shape[:-1], many, window[0]).mean(-1))


def _resized(x: Array, size: Sequence[int], *_: Any) -> Array:
    """Linear between the middles of equal parts, as `interpolate(..., mode="linear")`."""
    held = x.shape[-1]
    at = np.maximum((np.arange(size[0], dtype=np.float32) + np.float32(0.5)) * np.float32(held / size[0]) - 0.5, 0)
    low = np.minimum(at.astype(np.int64), held - 1)
    share = (at - low).astype(np.float32)
    return np.asarray(x[..., low] * (1 - share) + x[..., np.minimum(low + 1, held - 1)] * share)


def _pad(x: Array, sides: Sequence[int]) -> Array:
    pairs = [(0, 0)] * (x.ndim - len(sides) // 2) + list(zip(sides[::2], sides[1::2], strict=True))[::-1]
    return np.pad(x, pairs)


def _windows(x: Array, dim: int, size: int, step: int) -> Array:
    return sliding_window_view(x, size, axis=dim)[(slice(None),) * (dim % x.ndim) + (slice(None, None, step),)]


def _slice(x: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Array:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "linear": lambda x, weight, bias=0: x @ weight.T + bias,
    "matmul": np.matmul,
    "bmm": np.matmul,
    "einsum": lambda equation, arrays: np.einsum(equation, *arrays, optimize=True),
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softmax": _softmax,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "square": np.square,
    "abs": np.abs,
    "sign": np.sign,
    "sum": lambda x, dims, keep=False: x.sum(tuple(dims), keepdims=keep),
    "linalg_vector_norm": _norm,
    "clamp_min": np.maximum,
    "eq": np.equal,
    "lt": np.less,
    "where": np.where,
    "masked_fill": lambda x, mask, value: np.where(mask, np.asarray(value, x.dtype), x),
    "cat": lambda arrays, dim=0: np.concatenate(arrays, dim),
    "stack": lambda arrays, dim=0: np.stack(arrays, dim),
    "unbind": lambda x, dim=0: list(np.moveaxis(x, dim, 0)),
    "getitem": lambda held, place: held[place],
    "sym_size": lambda x, dim: x.shape[dim],
    "expand": _expand,
    "unsqueeze": np.expand_dims,
    "squeeze": np.squeeze,
    "select": lambda x, dim, place: np.take(x, place, dim),
    "slice": _slice,
    "pad": _pad,
    "unfold": _windows,
    "avg_pool1d": _means,
    "upsample_linear1d": _resized,
    "__rshift__": np.right_shift,
    "__and__": np.bitwise_and,
    "_to_copy": lambda x, dtype: x.astype(dtype),
    "view": lambda x, dtype: np.ascontiguousarray(x).view(dtype),
}


class PlainEncoder:
    """Features float32 (n, dim) -> float32 (n, bits), as the encoder that was traced.

    Args:
        steps: each an operation's name and what it takes: `{"step": 3}` is the result of the step before, `{"weight":
            name}` an array, and anything else is itself; step 0 is the features.
        outputs: the number of the step that gives "embed", and "ordering" where it is something else.
        weights: the arrays by name.

    >>> encoder = PlainEncoder([["tanh", {"step": 0}]], {"embed": 1}, {})
    >>> encoder(np.zeros((1, 2), np.float32))
    array([[0., 0.]], dtype=float32)
    """

    def __init__(
        self, steps: Sequence[Sequence[Any]], outputs: Mapping[str, int], weights: Mapping[str, Array]
    ) -> None:
        self.steps, self.outputs, self.weights = steps, outputs, weights
        self._order = {name: self._needed(step) for name, step in outputs.items()}

    def __call__(self, features: Array) -> Array:
        """What the signs of are codes, float32 (n, bits)."""
        return self._run("embed", features)

    def ordering(self, features: Array) -> Array:
        """What the cosine orders a shortlist by, float32 (n, bits or more); see `Model.ordering`."""
        return self._run("ordering" if "ordering" in self.outputs else "embed", features)

    def _run(self, output: str, features: Array) -> Array:
        made: dict[int, Any] = {0: features}

        def value(given: Any) -> Any:
            if isinstance(given, list):
                return [value(each) for each in given]
            if not isinstance(given, dict):
                return given
            return made[given["step"]] if "step" in given else self.weights[given["weight"]]

        with np.errstate(over="ignore"):  # a sigmoid of a large negative number is 0
            for number in self._order[output]:
                name, *given = self.steps[number - 1]
                made[number] = OPERATIONS[name](*map(value, given))
        return np.asarray(made[self.outputs[output]], np.float32)

    def _needed(self, last: int) -> list[int]:
        """The steps that a result needs, in their order."""
        needed = {last}
        for number in range(last, 0, -1):
            if number in needed:
                needed.update(_steps_in(self.steps[number - 1][1:]))
        return sorted(needed - {0})


def _steps_in(given: Any) -> list[int]:
    if isinstance(given, list):
        return [step for each in given for step in _steps_in(each)]
    return [given["step"]] if isinstance(given, dict) and "step" in given else []
