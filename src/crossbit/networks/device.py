"""Where networks run, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from crossbit.errors import UserError, unknown

PRECISIONS = {"32": None, "bf16": torch.bfloat16}  # what products are computed in, where that is not float32
KNOWN = ("auto", "cpu", "cuda", "mps")


def device_of(name: str) -> torch.device:
    """The device of this name; "auto" takes a GPU where there is one.

    Args:
        name: "auto", "cpu", "cuda" (or "cuda:1"), "mps".

    Raises:
        UserError: an unknown name, or a device that this machine does not have.

    >>> device_of("cpu")
    device(type='cpu')
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if there[kind]))
    kind, colon, number = name.partition(":")
    if kind not in there or (colon and not number.isdecimal()):
        raise UserError(f"device '{name}' cannot be used: it is none of {', '.join(KNOWN)}; give cpu or auto")
    if not there[kind]:
        raise UserError(f"device '{name}' cannot be used: PyTorch finds none on this machine; give cpu or auto")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UserError(f"device '{name}' cannot be used: this machine has {torch.cuda.device_count()}; give cuda:0")
    return torch.device(name)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The precision of products inside this context.

    Raises:
        UserError: a precision that is none of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    dtype = PRECISIONS[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)
