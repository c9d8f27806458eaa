"""Weights that others trained: what files hold, as tensors. The one place that reads PyTorch's own files.

Those are pickles; they are read with `weights_only`, which builds tensors and plain values and runs no code.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossbit.errors import UserError
from crossbit.storage.cache import cache_folder
from crossbit.storage.hashed import hash_of_files
from crossbit.storage.tensors import read_tensors, write_tensors


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors by name of a `.safetensors`, or of a file that PyTorch wrote (`.pth`, `.pt`, `.bin`).

    The second kind is converted to the first in the user's cache when it is first read.

    Raises:
        UserError: no such file, damaged, or not tensors by name.
    """
    if not path.is_file():
        raise UserError(f"weights {path} do not exist; give a .safetensors or .pth file")
    if path.suffix == ".safetensors":
        return read_tensors(path)[0]
    converted = cache_folder() / "weights" / f"{hash_of_files([path])}.safetensors"
    with contextlib.suppress(UserError):  # not there yet, or damaged
        return read_tensors(converted)[0]
    tensors = _tensors(_unpickled(path))
    if not tensors:
        raise UserError(f"weights {path} hold no tensors by name; give a network's state_dict")
    with contextlib.suppress(UserError, OSError):  # a cache that cannot be written is none
        write_tensors(converted, {name: tensor.clone() for name, tensor in tensors.items()})  # none share memory
    return tensors


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError, KeyError) as error:
        why = "it holds more than tensors" if isinstance(error, pickle.UnpicklingError) else "it is damaged"
        raise UserError(f"weights {path} cannot be read as PyTorch's: {why}; save the state_dict alone") from error


def _tensors(held: Any) -> dict[str, Tensor]:
    """The named tensors of a state_dict, or of one inside a checkpoint; `module.` before each name is taken off."""
    if not isinstance(held, Mapping):
        return {}
    inner = held.get("state_dict", held)
    found = {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}
    wrapped = bool(found) and all(name.startswith("module.") for name in found)
    return {name.removeprefix("module.") if wrapped else name: value for name, value in found.items()}
