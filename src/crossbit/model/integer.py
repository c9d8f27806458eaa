"""An encoder in whole numbers: int8 weights, int32 sums, shifts and thresholds. Every engine gives the same bytes.

A matrix is two of int8: weights, and in `rest` what they leave over, in units of 2^-7 of a weight.

docs/export.md has this arithmetic in words. `crossbit.export.quantised` makes the numbers; the same steps stand in
`export/integer_torch.py`, in `export/integer_onnx.py` and in `export/page/integer.js`.

Shapes: n rows, k values of the steps that a step takes side by side, m values that it gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.runs.building import building_from
from crossbit.storage.arrays import read_arrays
from crossbit.storage.files import writing

Array = NDArray[Any]
Whole = NDArray[np.int32]

FORMAT = 1
CHUNK = 2048  # rows computed at a time
HALF, PLACES = 1 << 14, 15  # a response's table holds factors in units of 2^-15
HALF_REST, REST = 1 << 6, 7  # one of `rest` is worth 2^-7 of a weight


def quantise(x: Array, exponents: Array, top: int) -> Whole:
    """Features float32 (n, m) to whole numbers: x 2^e, which no rounding changes, held within -top and top, and rounded
    to the nearest, halves to the even one.

    >>> quantise(np.array([[0.75, -0.625, 9.0]], np.float32), np.array([2, 2, 2]), 7)
    array([[ 3, -2,  7]], dtype=int32)
    """
    with np.errstate(over="ignore"):
        scaled = np.ldexp(np.asarray(x, np.float32), exponents.astype(np.int32))
    return np.rint(np.clip(scaled, -top, top)).astype(np.int32)


def unit(x: Whole, shift: int, top: int) -> Whole:
    """Rows (n, m) divided by their lengths: abs(x) 2^shift / floor(length), rounded down, with the sign of x.

    >>> unit(np.array([[3, -4]]), 4, 99)  # 3 x 16 / 5 and 4 x 16 / 5
    array([[  9, -12]], dtype=int32)
    """
    long = x.astype(np.int64)
    lengths = np.maximum(root((long * long).sum(1, keepdims=True)), 1)
    return np.asarray(np.sign(long) * np.minimum((np.abs(long) << shift) // lengths, top), np.int32)


def root(squares: NDArray[np.int64]) -> NDArray[np.int64]:
    """The whole part of the square root, of numbers below 2^52; exact, whatever a processor's square root is.

    >>> root(np.array([8, 9, 2**52 - 1])).tolist()
    [2, 3, 67108863]
    """
    found = np.sqrt(squares.astype(np.float64)).astype(np.int64)
    found -= found * found > squares
    return np.asarray(found + ((found + 1) * (found + 1) <= squares))


def sums(x: Whole, weights: Array, rest: Array) -> Whole:
    """x (n, k) times weights (k, m), and a 128th of x times `rest` (k, m), rounded: what int8 weights leave over.

    The sums are exact: all partial ones are below 2^31, and float64 holds them without rounding, whatever their order
    is. (numpy multiplies matrices of whole numbers slowly.)

    >>> sums(np.array([[3, 100]]), np.array([[2], [1]]), np.array([[0], [-64]]))  # 106 - 6400 / 128
    array([[56]], dtype=int32)
    """
    whole, further = (x.astype(np.float64) @ each.astype(np.float64) for each in (weights, rest))
    return np.asarray(whole.astype(np.int32) + ((further.astype(np.int32) + HALF_REST) >> REST), np.int32)


def layer(x: Whole, weights: Array, rest: Array, bias: Array, shifts: Array, top: int) -> Whole:
    """Sums, the bias added, shifted to the right - which rounds down - and held within 0 and top.

    >>> weights, none = np.array([[3, -1], [4, -1]]), np.zeros((2, 2))
    >>> layer(np.array([[1, 2]]), weights, none, np.array([1, 0]), np.array([2, 0]), 7)
    array([[3, 0]], dtype=int32)
    """
    return np.asarray(np.clip((sums(x, weights, rest) + bias) >> shifts, 0, top), np.int32)


def response(x: Whole, factors: Array, table: Array, shift: int, window: int) -> Whole:
    """Each value times a factor from a table, which the weighted squares of it and its neighbours choose (n, m).

    >>> response(np.array([[4, 0, 0]]), np.array([1, 1, 1]), np.array([32768, 16384]), 3, 3)  # 16 >> 3 is past the end
    array([[2, 0, 0]], dtype=int32)
    """
    parts = np.pad((x * x * factors) >> shift, [(0, 0), (window // 2, window // 2)])
    width = x.shape[1]
    near = sum(parts[:, start : start + width] for start in range(window))
    found = table[np.minimum(near, len(table) - 1)]
    return np.asarray((x * found + HALF) >> PLACES, np.int32)


def over(x: Whole, weights: Array, rest: Array, thresholds: Array) -> NDArray[np.uint8]:
    """Codes, packed: a bit is 1 where its sum is at least its threshold.

    >>> over(np.array([[1, 2]]), np.array([[3] * 8, [4] * 8]), np.zeros((2, 8)), np.array([11, 12] * 4)).tolist()
    [[170]]
    """
    return pack(np.where(sums(x, weights, rest) >= thresholds, 1.0, -1.0))


OPERATIONS = {"quantise": quantise, "unit": unit, "layer": layer, "response": response, "codes": over}


class IntegerEncoder:
    """Features float32 (n, dim) -> packed codes uint8 (n, bits // 8), by whole numbers alone.

    Args:
        steps: each with its operation, under "op", the numbers of the steps that it takes side by side, under "of", and
            what else the operation takes. The first quantises the features, the last gives the codes.
        arrays: by the number of their step and their name, such as "1.weights".

    >>> steps = [{"op": "quantise", "of": [], "top": 7}, {"op": "codes", "of": [0]}]
    >>> arrays = {"0.exponents": np.array([0]), "1.weights": np.ones((1, 8)), "1.rest": np.zeros((1, 8))}
    >>> arrays["1.thresholds"] = np.arange(8)
    >>> IntegerEncoder(steps, arrays)(np.array([[2.5], [-1.0]], np.float32)).tolist()
    [[224], [0]]
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]], arrays: Mapping[str, Array]) -> None:
        self.steps, self.arrays = steps, dict(arrays)

    @property
    def dim(self) -> int:
        """Numbers of a row."""
        return len(self.arrays["0.exponents"])

    def __call__(self, features: Array) -> NDArray[np.uint8]:
        parts = [features[start : start + CHUNK] for start in range(0, max(1, len(features)), CHUNK)]
        return np.concatenate([self.values(part)[-1] for part in parts])

    def values(self, features: Array) -> list[Array]:
        """What each step gives; the last the codes."""
        made: list[Array] = []
        for number, step in enumerate(self.steps):
            taken = np.concatenate([made[each] for each in step["of"]], 1) if step["of"] else features
            made.append(OPERATIONS[step["op"]](taken, **self.given(number)))  # type: ignore[operator]
        return made

    def given(self, number: int) -> dict[str, Any]:
        """What the operation of a step takes beside its values: numbers, and arrays."""
        first = f"{number}."
        arrays = {name[len(first) :]: array for name, array in self.arrays.items() if name.startswith(first)}
        return arrays | {name: value for name, value in self.steps[number].items() if name not in ("op", "of")}


def write_integer(encoder: IntegerEncoder, path: Path) -> None:
    """Write an encoder as one file of arrays (safetensors), with its steps in the header under "network"."""
    from safetensors.numpy import save_file

    notes = {"network": json.dumps({"format": FORMAT, "steps": encoder.steps})}
    with writing(path) as temporary:
        mode = temporary.stat().st_mode
        save_file({name: np.ascontiguousarray(array) for name, array in encoder.arrays.items()}, temporary, notes)
        temporary.chmod(mode)  # safetensors puts a file of its own in the place, which nobody else may read


def read_integer(path: Path) -> IntegerEncoder:
    """An encoder that `write_integer` wrote.

    Raises:
        UserError: no such file, a damaged one, or one of another version.
    """
    if not path.exists():
        raise UserError(f"no encoder in whole numbers at {path}; make it with: crossbit export RUN --out DIR --integer")
    arrays, notes = read_arrays(path)
    with building_from(str(path), "export the run again: crossbit export RUN --out DIR --integer"):
        network = json.loads(notes["network"])
        if network["format"] != FORMAT:
            raise UserError(f"it has format {network['format']!r}, this one reads format {FORMAT}")
        if unknown := sorted({step["op"] for step in network["steps"]} - {*OPERATIONS}):
            raise UserError(f"it uses {', '.join(unknown)}")
        return IntegerEncoder(network["steps"], arrays)
