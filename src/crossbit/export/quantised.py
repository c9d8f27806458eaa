"""An encoder as whole numbers (`crossbit.model.integer`), made of the steps that `traced` wrote for numpy.

Only the signs of an encoder's outputs are codes. So what leaves signs alone is dropped at the end (tanh, division by a
row's length), and all between two operations that are not linear is one matrix, found by asking the steps for the rows
of an identity. Each matrix becomes two of int8, one scale an output: weights, and a second digit of each; with one
digit LOOK lost .06 mAP on glyphs, where few large weights set the scale. Each value in between gets as many bits as its
largest one on training rows needs: its unit is multiplied into the next matrix, so that shifts are all that is left.

Source of the scheme: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference (2018); with more bits for values than for weights, as TensorFlow Lite's "16x8".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbit.errors import UserError
from crossbit.model.integer import HALF, HALF_REST, PLACES, REST, IntegerEncoder, layer, quantise, response, sums, unit
from crossbit.model.plain import OPERATIONS

Array = NDArray[Any]

LARGEST = 2**31 - 1  # of a sum
WEIGHT = 127
BITS = range(12, 5, -1)  # of a value between two layers: the most with which no sum can overflow
LONG = 2**15 - 1  # of a feature whose row is divided by its length
ENTRIES = 1024  # of a response's table
BLOCK = 1024  # rows of an identity that steps are asked for together
FARTHEST = 60  # exponents of two, so that float32 holds them
LINEAR = {
    *("linear", "matmul", "bmm", "einsum", "add", "sub", "mul", "div", "sum", "cat", "stack", "unbind", "getitem"),
    *("expand", "unsqueeze", "squeeze", "select", "slice", "pad", "unfold", "avg_pool1d", "upsample_linear1d"),
}
PRODUCTS = {"matmul", "bmm", "mul", "linear", "einsum"}  # linear while one of what they take is fixed


class Node(NamedTuple):
    """An operation that is not linear, and the matrix before it.

    Attributes:
        op: "relu", "unit", "response", or "codes": the end.
        of: the numbers of the nodes whose values it takes side by side; 0 are the features.
        weights, bias: float64 (k, m) and (m,).
        told: what else it needs.
    """

    op: str
    of: list[int]
    weights: Array
    bias: Array
    told: dict[str, Any]


def quantised(
    traced: Mapping[str, Any], weights: Mapping[str, Array], features: Array, what: str
) -> tuple[IntegerEncoder, int]:
    """The encoder in whole numbers, and the largest sum that any features can give.

    Args:
        traced: steps and outputs, of `crossbit.export.traced`.
        weights: by name.
        features: float32 (n, dim) of training rows, which scales are taken from.
        what: has the encoder, for the error.

    Raises:
        UserError: a step in the middle has no form in whole numbers.
    """
    nodes = _Graph(traced["steps"], weights, features.shape[1], what).nodes(traced["outputs"]["embed"])
    for bits in BITS:
        with suppress(_TooWide):
            made = _Scaled(nodes, features, 2**bits - 1)
            return IntegerEncoder(made.steps, made.arrays), made.most
    raise UserError(f"{what} has no form in whole numbers: its layers are so wide that sums could overflow 32 bits")


class _Graph:
    """The steps of an encoder as nodes."""

    def __init__(self, steps: Sequence[Sequence[Any]], weights: Mapping[str, Array], dim: int, what: str) -> None:
        self.steps, self.dim, self.what = steps, dim, what
        self.weights = {name: array.astype(np.float64) for name, array in weights.items() if array.dtype.kind == "f"}
        self.found: dict[int, int] = {0: 0}  # by step the number of its node
        self.widths: dict[int, int] = {0: dim}  # by step
        self.made: list[Node] = []

    def nodes(self, output: int) -> list[Node]:
        """All of them in their order; the first one's number is 1."""
        last = self._signs(output)
        for step in sorted(self._needed(last)):
            if cut := self._cut(step):
                op, taken, told = cut
                node = self._node(op, taken, told)
                self.made.append(node)
                self.found[step], self.widths[step] = len(self.made), len(node.bias)
        return [*self.made, self._node("codes", last, {})]

    def _signs(self, step: int) -> int:
        """The first step that has the signs of this one."""
        while step:
            name, *given = self.steps[step - 1]
            scaled = name == "mul" and isinstance(given[1], int | float) and given[1] > 0
            if name != "tanh" and not scaled and not (name == "div" and self._length(given[1]) is not None):
                break
            step = given[0]["step"]
        return step

    def _cut(self, step: int) -> tuple[str, int, dict[str, Any]] | None:
        """What a step is, if it is no linear one: its operation, the step it takes, and what else it needs."""
        name, *given = self.steps[step - 1]
        if name == "relu":
            return "relu", given[0]["step"], {}
        if name == "div" and self._length(given[1]) == given[0]["step"]:
            return "unit", given[0]["step"], {}
        if name == "div" and (told := self._response(given)):
            return "response", given[0]["step"], told
        return None

    def _length(self, given: Any) -> int | None:
        """The step whose rows' lengths these are; None where they are none."""
        while isinstance(given, Mapping) and "step" in given and given["step"]:
            name, *taken = self.steps[given["step"] - 1]
            if name == "linalg_vector_norm":
                return int(taken[0]["step"])
            if name not in ("expand", "clamp_min", "masked_fill"):
                return None
            given = taken[0]
        return None

    def _response(self, given: Sequence[Any]) -> dict[str, Any] | None:
        """Window, factor, offset and power where it is x / (offset + factor (sum of neighbours' squares))^power."""
        numbers, step = [], given[1]
        for expected in ("pow", "add", "mul", "sum", "unfold", "pad", "square"):
            if not isinstance(step, Mapping) or not step.get("step"):
                return None
            name, step, *rest = self.steps[step["step"] - 1]
            if name != expected:
                return None
            numbers.append(rest)
        if step != given[0]:
            return None
        (power,), (offset,), (factor,), _, (_, window, _), _, _ = numbers
        return {"window": window, "factor": factor, "offset": offset, "power": power}

    def _node(self, op: str, step: int, told: dict[str, Any]) -> Node:
        """The node whose operation takes what `step` gives."""
        sources = sorted(self._sources(step))
        if (op in ("unit", "response") and sources != [step]) or (op == "unit" and step != 0):
            raise UserError(f"{self.what} has no form in whole numbers: it divides by lengths in the middle")
        bias = self._asked(step, {source: np.zeros((1, self.widths[source])) for source in sources})[0]
        rows = []
        for source in sources:
            width = self.widths[source]
            for start in range(0, width, BLOCK):
                many = min(BLOCK, width - start)
                given = {other: np.zeros((many, self.widths[other])) for other in sources}
                rows.append(self._asked(step, given | {source: np.eye(many, width, start)}) - bias)
        return Node(op, [self.found[source] for source in sources], np.concatenate(rows), bias, told)

    def _asked(self, step: int, given: Mapping[int, Array]) -> Array:
        """What a step gives where these steps give that."""
        many = len(next(iter(given.values())))
        made: dict[int, Any] = {0: np.zeros((many, self.dim)), **given}

        def value(part: Any) -> Any:
            if isinstance(part, list):
                return [value(each) for each in part]
            if not isinstance(part, dict):
                return part
            return made[part["step"]] if "step" in part else self.weights[part["weight"]]

        for number in sorted(self._needed(step, given)):
            if number not in made:
                name, *taken = self.steps[number - 1]
                made[number] = OPERATIONS[name](*map(value, taken))
        return np.asarray(made[step], np.float64)

    def _sources(self, step: int) -> set[int]:
        """The steps with a node of their own that a step is a linear map of.

        Raises:
            UserError: it is no linear one.
        """
        if step in self.found:
            return {step}
        name, *given = self.steps[step - 1]
        moving = [self._of(each) for each in given] if name != "sym_size" else []
        if name == "einsum":
            moving = [self._of(each) for each in given[1]]
        moving = [each for each in moving if each]
        divides = name == "div" and bool(self._of(given[1]))
        if moving and (name not in LINEAR or divides or (name in PRODUCTS and len(moving) > 1)):
            raise UserError(
                f"{self.what} has no form in whole numbers: it computes {name} in the middle; export it without "
                "--integer, or train another method, such as --method look"
            )
        return set().union(*moving)

    def _of(self, given: Any) -> set[int]:
        if isinstance(given, list):
            return set().union(*map(self._of, given))
        return self._sources(given["step"]) if isinstance(given, dict) and "step" in given else set()

    def _needed(self, last: int, ends: Mapping[int, Any] | None = None) -> set[int]:
        """The steps that a step needs, itself among them, back to those that are given."""
        needed, waiting = set(), [last]
        while waiting:
            step = waiting.pop()
            if step in needed or step == 0:
                continue
            needed.add(step)
            if ends is None or step not in ends:
                waiting += _steps_in(self.steps[step - 1][1:])
        return needed


def _steps_in(given: Any) -> list[int]:
    if isinstance(given, list):
        return [step for each in given for step in _steps_in(each)]
    return [given["step"]] if isinstance(given, dict) and "step" in given else []


class _TooWide(Exception):
    """Values of so many bits could let a sum overflow."""


class _Scaled:
    """Nodes in whole numbers. `whole` holds what each step gives on the training rows, `real` what it should be, and
    `units` what one is worth in each column."""

    def __init__(self, nodes: Sequence[Node], features: Array, top: int) -> None:
        self.top, self.most = top, 0
        self.steps: list[dict[str, Any]] = []
        self.arrays: dict[str, Array] = {}
        self.real: list[Array] = [features.astype(np.float64)]
        self.whole: list[Array] = []
        self.units: list[Array] = []
        self._first(features, together=any(node.op == "unit" for node in nodes))
        for node in nodes:
            getattr(self, f"_{node.op}")(node)

    def _add(self, step: dict[str, Any], **arrays: Array) -> None:
        self.arrays |= {f"{len(self.steps)}.{name}": array for name, array in arrays.items()}
        self.steps.append(step)

    def _first(self, features: Array, together: bool) -> None:
        """Exponents of the features: the largest ones with which no training row is cut off."""
        top, largest = LONG if together else self.top, np.abs(features).max(0, initial=0).astype(np.float64)
        whole = float(largest.max(initial=0)) or 1.0
        largest = np.full_like(largest, whole) if together else np.where(largest > 0, largest, whole)
        exponents = np.clip(np.floor(np.log2(top / largest)), -FARTHEST, FARTHEST).astype(np.int8)
        self._add({"op": "quantise", "of": [], "top": top}, exponents=exponents)
        self.whole.append(quantise(features, exponents, top))
        self.units.append(np.exp2(-exponents.astype(np.float64)))

    def _matrix(self, node: Node) -> tuple[Array, dict[str, Array], Array, Array]:
        """What a node takes, its matrix as int8, the sums that it should have, and what one of these is worth."""
        taken = np.concatenate([self.whole[each] for each in node.of], 1)
        real = np.concatenate([self.real[each] for each in node.of], 1) @ node.weights + node.bias
        exact = node.weights * np.concatenate([self.units[each] for each in node.of])[:, None]
        scale = np.maximum(np.abs(exact).max(0) / WEIGHT, np.abs(node.bias) / 2**29)
        scale = np.where(scale > 0, scale, 1.0)
        weights = np.rint(exact / scale)
        rest = np.rint((exact / scale - weights) * 2**REST)
        matrix = {"weights": weights.astype(np.int8), "rest": rest.astype(np.int8)}
        self._bound(node, matrix, np.zeros(1))
        return taken, matrix, real / scale, scale

    def _bias(self, sums: Array, should: Array) -> Array:
        """With which sums are right in the mean over the training rows."""
        return np.asarray((should - sums).mean(0))

    def _bound(self, node: Node, matrix: Mapping[str, Array], offset: Array) -> None:
        """Remember the largest sum, of whatever is within the values' bounds; partial sums are no larger.

        Raises:
            _TooWide: int32 does not hold it.
        """
        tops = np.concatenate([np.full(self.whole[each].shape[1], self._most_of(each)) for each in node.of])
        whole, rest = (tops @ np.abs(matrix[name].astype(np.int64)) for name in ("weights", "rest"))
        if rest.max() >= LARGEST // 2 - HALF_REST:  # half: see `integer_onnx`
            raise _TooWide
        self.most = max(self.most, int((whole + (rest >> REST) + 1 + np.abs(offset)).max()), int(rest.max()))
        if self.most > LARGEST:
            raise _TooWide

    def _most_of(self, number: int) -> int:
        step = self.steps[number]
        return int(step["top"]) if "top" in step else self._most_of(step["of"][0])

    def _relu(self, node: Node) -> None:
        taken, matrix, should, scale = self._matrix(node)
        found = sums(taken, **matrix)
        bias = np.rint(self._bias(found, should)).astype(np.int64)
        peaks = np.where((found + bias > 0).any(0), (found + bias).max(0), np.abs(found + bias).max(0))
        shifts = np.maximum(np.ceil(np.log2((np.maximum(peaks, 1) + 0.5) / (self.top + 0.5))), 0).astype(np.int64)
        bias = bias + (1 << shifts >> 1)  # so that a shift rounds to the nearest
        self._bound(node, matrix, bias)
        arrays = {**matrix, "bias": bias.astype(np.int32), "shifts": shifts.astype(np.int32)}
        self._add({"op": "layer", "of": node.of, "top": self.top}, **arrays)
        self.whole.append(layer(taken, **arrays, top=self.top))
        self.real.append(np.maximum(should * scale, 0))
        self.units.append(scale * np.exp2(shifts))

    def _unit(self, node: Node) -> None:
        (before,) = node.of
        real, width = self.real[before], self.real[before].shape[1]
        if width * LONG**2 >= 2**52:  # beyond it, a float64's square root is not exact
            raise _TooWide
        lengths = np.linalg.norm(real, axis=1, keepdims=True)
        real = real / np.where(lengths > 0, lengths, 1)
        shift = int(np.floor(np.log2(self.top / max(np.abs(real).max(initial=0), 2.0**-20))))
        self._add({"op": "unit", "of": node.of, "top": self.top, "shift": shift})
        self.whole.append(unit(self.whole[before], shift, self.top))
        self.real.append(real)
        self.units.append(np.full(width, 2.0**-shift))

    def _response(self, node: Node) -> None:
        (before,), told = node.of, node.told
        real, units, window = self.real[before], self.units[before], told["window"]
        squares = np.pad(real**2, [(0, 0), (window // 2, window // 2)])
        near = np.sum([squares[:, start : start + real.shape[1]] for start in range(window)], axis=0)
        share = (units / units.max()) ** 2
        factors = np.rint(share * WEIGHT).astype(np.int32)
        one = units.max() ** 2 / WEIGHT  # what one of the weighted squares is worth
        shift = max(3, int(np.ceil(np.log2(max(near.max(initial=0) / one, 1) / (ENTRIES - 1)))))
        at = (np.arange(ENTRIES) + 0.5 * window) * one * 2.0**shift  # each of the neighbours is rounded down
        at[0] = 0
        shape = (told["offset"] + told["factor"] * at) ** -told["power"]
        table = np.rint(shape / shape.max() * (2 * HALF - 1)).astype(np.int32)
        self._add({"op": "response", "of": node.of, "shift": shift, "window": window}, factors=factors, table=table)
        self.whole.append(response(self.whole[before], factors, table, shift, window))
        self.real.append(real * (told["offset"] + told["factor"] * near) ** -told["power"])
        self.units.append(units * shape.max() * 2.0**PLACES / (2 * HALF - 1))

    def _codes(self, node: Node) -> None:
        taken, matrix, should, _ = self._matrix(node)
        thresholds = np.ceil(-self._bias(sums(taken, **matrix), should)).astype(np.int64)
        self._bound(node, matrix, thresholds)
        self._add({"op": "codes", "of": node.of}, **matrix, thresholds=thresholds.astype(np.int32))
