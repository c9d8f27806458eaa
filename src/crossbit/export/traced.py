"""A PyTorch encoder as steps for numpy: what `torch.export` sees it do, of operations that `model.plain` knows.

A new method needs nothing of its own here, as long as its encoder keeps to these operations.
"""

from __future__ import annotations

import json
import operator
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from crossbit.errors import UserError
from crossbit.model.plain import OPERATIONS

SAME = {"detach", "clone", "alias", "contiguous", "dropout"}  # give what they are given
CHECKS = {"_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size"}
LAST = 2**63 - 1  # where a slice without an end ends, to PyTorch


class Both(nn.Module):
    """An encoder's output and, where it has one, its `ordering`, in one pass."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        made = self.encoder(features)
        ordering: Any = getattr(self.encoder, "ordering", None)
        return (made,) if ordering is None else (made, ordering(features))


def traced(encoder: nn.Module, dim: int, what: str) -> dict[str, Any]:
    """The steps of an encoder over vectors and the numbers of those that are its outputs; see `PlainEncoder`.

    Args:
        encoder: features (n, dim) -> (n, bits).
        dim: width of the features.
        what: has the encoder, for the error.

    Raises:
        UserError: it does something that numpy is not told here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch about itself
            rows = {0: torch.export.Dim("rows")}
            program = torch.export.export(Both(encoder), (torch.zeros(3, dim),), dynamic_shapes=(rows,))
            program = program.run_decompositions({})
    except Exception as error:  # an encoder that branches on its numbers, say: many kinds
        raise UserError(f"{what} cannot be exported: PyTorch cannot trace it ({type(error).__name__})") from error
    return _Steps(program, what).made()


class _Steps:
    """The steps of a traced program, equal ones once."""

    def __init__(self, program: Any, what: str) -> None:
        self.program, self.what = program, what
        self.steps: list[list[Any]] = []
        self.known: dict[str, int] = {}
        self.values: dict[Any, Any] = {}

    def made(self) -> dict[str, Any]:
        signature, outputs = self.program.graph_signature, []
        names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = self._given(node.name, names)
            elif node.op == "call_function":
                self._add(node)
            else:
                outputs = [self.values[each]["step"] for each in node.args[0]]
        named = dict(zip(("embed", "ordering"), outputs, strict=False))
        return {"steps": self.steps, "outputs": named}

    def _given(self, name: str, names: Mapping[str, str]) -> dict[str, Any]:
        if name in self.program.graph_signature.user_inputs:
            return {"step": 0}
        if name not in names:
            raise UserError(f"{self.what} cannot be exported: it uses a number that is not in its weights")
        return {"weight": names[name].removeprefix("encoder.")}

    def _add(self, node: Any) -> None:
        name = "getitem" if node.target is operator.getitem else str(node.target).split(".")[1]
        if name in CHECKS:
            return
        given = [self._value(each) for each in node.args]
        if name in ("_to_copy", "view", "to"):  # of a number's kind
            kinds = [each for each in (*given, self._value(node.kwargs.get("dtype"))) if isinstance(each, str)]
            given = [given[0], *kinds[:1]]
            if not kinds:
                name = "reshape"  # which no step is
        elif node.kwargs:
            name = f"{name}({', '.join(node.kwargs)})"
        if name in SAME:
            self.values[node] = given[0]
            return
        if name not in OPERATIONS:
            raise UserError(
                f"{self.what} cannot be exported: it computes {name}, which numpy is not taught; train with vectors or "
                "features, such as --set pictures=vectors"
            )
        key = json.dumps([name, *given])
        if key not in self.known:
            self.steps.append([name, *given])
            self.known[key] = len(self.steps)
        self.values[node] = {"step": self.known[key]}

    def _value(self, given: Any) -> Any:
        if isinstance(given, torch.fx.Node):
            return self.values[given]
        if isinstance(given, list | tuple):
            return [self._value(each) for each in given]
        if isinstance(given, torch.dtype):
            return str(given).removeprefix("torch.")
        return None if given == LAST else given
