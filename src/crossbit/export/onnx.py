"""An encoder as an ONNX graph that ends in packed codes."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossbit.errors import UserError
from crossbit.storage.packages import is_installed, optional

WHAT, INSTALL = "--onnx", '"crossbit[onnx]"'


class Packed(nn.Module):
    """Features float32 (n, dim) -> codes uint8 (n, bits // 8), as `crossbit.bits.pack` packs them."""

    places: Tensor

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("places", torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.int32))

    def forward(self, features: Tensor) -> Tensor:
        signs = (self.encoder(features) >= 0).to(torch.int32)
        return (signs.unflatten(1, (-1, 8)) * self.places).sum(2, dtype=torch.int32).to(torch.uint8)


def check_installed() -> None:
    """UserError where a package is missing that writes a graph."""
    optional("onnxscript", WHAT, INSTALL)


def write_onnx(encoder: nn.Module, dim: int, path: Path) -> None:
    """Write the graph: "features", float32 (n, dim), to "codes", uint8 (n, bits // 8).

    Raises:
        UserError: PyTorch cannot write this encoder so.
    """
    check_installed()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it tells of itself
            warnings.simplefilter("ignore")
            torch.onnx.export(
                Packed(encoder).eval(),
                (torch.zeros(3, dim),),
                path,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("rows")},),
                input_names=["features"],
                output_names=["codes"],
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # many kinds
        raise UserError(
            f"--onnx: PyTorch cannot write {path.stem}'s encoder as ONNX ({type(error).__name__})"
        ) from error


def bytes_that_differ(path: Path, features: np.ndarray, codes: np.ndarray) -> int | None:
    """How many bytes ONNX runtime gives otherwise than `codes`; None where it is not installed."""
    if not is_installed("onnxruntime"):
        return None
    runtime: Any = optional("onnxruntime", WHAT, INSTALL)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return int((session.run(["codes"], {"features": features})[0] != codes).sum())
