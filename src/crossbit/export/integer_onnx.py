"""The steps of `crossbit.model.integer` as an ONNX graph: the same bytes. All but the first step is whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.export.onnx import INSTALL, WHAT
from crossbit.model.integer import HALF, HALF_REST, PLACES, REST, IntegerEncoder
from crossbit.storage.packages import optional

ABOVE = 1 << 30  # no sum of what weights leave over is below -2^30
OPSET, IR = 17, 8  # of 2022: what reads them is widespread


def write_integer_onnx(encoder: IntegerEncoder, path: Path) -> None:
    """Write the graph: "features", float32 (n, dim), to "codes", uint8 (n, bits // 8)."""
    onnx: Any = optional("onnx", WHAT, INSTALL)
    graph = _Graph(onnx, encoder)
    made: list[str] = []
    for number, step in enumerate(encoder.steps):
        taken = [made[each] for each in step["of"]] or ["features"]
        joined = taken[0] if len(taken) == 1 else graph.add("Concat", *taken, axis=1)
        made.append(getattr(graph, f"_{step['op']}")(joined, **encoder.given(number)))
    graph.write(made[-1], path)


class _Graph:
    """Nodes by the names of what they give."""

    def __init__(self, onnx: Any, encoder: IntegerEncoder) -> None:
        self.onnx, self.encoder = onnx, encoder
        self.nodes: list[Any] = []
        self.fixed: list[Any] = []

    def add(self, op: str, *taken: str | Any, **told: Any) -> str:
        """A node over names and arrays; the name of what it gives."""
        names = [each if isinstance(each, str) else self._constant(each) for each in taken]
        name = f"v{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, names, [name], **told))
        return name

    def _constant(self, array: Any) -> str:
        name = f"c{len(self.fixed)}"
        self.fixed.append(self.onnx.numpy_helper.from_array(np.asarray(array), name))
        return name

    def _cast(self, x: str, kind: str) -> str:
        return self.add("Cast", x, to=getattr(self.onnx.TensorProto, kind))

    def _quantise(self, x: str, exponents: Any, top: int) -> str:
        scaled = self.add("Mul", x, np.exp2(exponents.astype(np.float64)).astype(np.float32))
        held = self.add("Clip", scaled, np.float32(-top), np.float32(top))
        return self._cast(self.add("Round", held), "INT32")

    def _unit(self, x: str, shift: int, top: int) -> str:
        long = self._cast(x, "INT64")
        squares = self.add("ReduceSum", self.add("Mul", long, long), np.array([1]), keepdims=1)
        found = self._cast(self.add("Sqrt", self._cast(squares, "DOUBLE")), "INT64")
        found = self.add("Sub", found, self._cast(self.add("Less", squares, self.add("Mul", found, found)), "INT64"))
        next_one = self.add("Add", found, np.int64(1))
        fits = self.add("Less", self.add("Mul", next_one, next_one), self.add("Add", squares, np.int64(1)))
        lengths = self.add("Max", self.add("Add", found, self._cast(fits, "INT64")), np.int64(1))
        parts = self.add("Div", self.add("Mul", self.add("Abs", long), np.int64(1 << shift)), lengths)
        held = self.add("Mul", self.add("Sign", long), self.add("Min", parts, np.int64(top)))
        return self._cast(held, "INT32")

    def _sums(self, x: str, weights: Any, rest: Any) -> str:
        whole, further = (self.add("MatMul", x, self._cast(self._constant(each), "INT32")) for each in (weights, rest))
        above = self.add("Add", further, np.int32(ABOVE + HALF_REST))  # division rounds down of what is not negative
        parts = self.add("Sub", self.add("Div", above, np.int32(1 << REST)), np.int32(ABOVE >> REST))
        return self.add("Add", whole, parts)

    def _layer(self, x: str, weights: Any, rest: Any, bias: Any, shifts: Any, top: int) -> str:
        summed = self.add("Add", self._sums(x, weights, rest), bias.astype(np.int32))
        above = self.add("Max", summed, np.int32(0))  # of what is not negative, division rounds down as a shift does
        return self.add("Min", self.add("Div", above, (1 << shifts.astype(np.int64)).astype(np.int32)), np.int32(top))

    def _response(self, x: str, factors: Any, table: Any, shift: int, window: int) -> str:
        squares = self.add("Mul", self.add("Mul", x, x), factors.astype(np.int32))
        parts = self.add("Div", squares, np.int32(1 << shift))
        around = self.add("Pad", parts, np.array([0, window // 2, 0, window // 2]), np.int32(0))
        near, width = "", len(factors)
        for start in range(window):
            beside = self._columns(around, start, start + width)
            near = self.add("Add", near, beside) if near else beside
        found = self.add("Gather", table.astype(np.int32), self.add("Min", near, np.int32(len(table) - 1)))
        return self.add("Div", self.add("Add", self.add("Mul", x, found), np.int32(HALF)), np.int32(1 << PLACES))

    def _columns(self, x: str, first: int, end: int) -> str:
        return self.add("Slice", x, np.array([first]), np.array([end]), np.array([1]))

    def _codes(self, x: str, weights: Any, rest: Any, thresholds: Any) -> str:
        summed = self._sums(x, weights, rest)
        bits = self._cast(self.add("GreaterOrEqual", summed, thresholds.astype(np.int32)), "INT32")
        octets = self.add("Reshape", bits, np.array([-1, len(thresholds) // 8, 8]))
        placed = self.add("Mul", octets, np.array([128, 64, 32, 16, 8, 4, 2, 1], np.int32))
        return self._cast(self.add("ReduceSum", placed, np.array([2]), keepdims=0), "UINT8")

    def write(self, output: str, path: Path) -> None:
        """Write all that leads to that output."""
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        self.nodes.append(helper.make_node("Identity", [output], ["codes"]))
        octets = len(self.encoder.arrays[f"{len(self.encoder.steps) - 1}.thresholds"]) // 8
        shape: Sequence[Any] = ["rows", self.encoder.dim]
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [helper.make_tensor_value_info("features", kinds.FLOAT, shape)],
            [helper.make_tensor_value_info("codes", kinds.UINT8, ["rows", octets])],
            self.fixed,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        self.onnx.checker.check_model(model)
        self.onnx.save_model(model, path)
