"""The state of an unfinished training: one file, so that it is there or not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from crossbit.errors import UserError
from crossbit.files import writing


@dataclass
class Checkpoint:
    """Tensors by flat name, and JSON beside them."""

    tensors: dict[str, Tensor]
    meta: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix`, without it."""
        return {key[len(prefix) :]: value for key, value in self.tensors.items() if key.startswith(prefix)}


def _file(folder: Path) -> Path:
    return folder / "checkpoint" / "state.safetensors"


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write the checkpoint of the run in `folder`, in place of the one before, whole or not at all."""
    with writing(_file(folder)) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, {"crossbit": json.dumps(meta)})


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint of the run in `folder`; None where there is none.

    Raises:
        UserError: it is damaged.
    """
    path = _file(folder)
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads(file.metadata()["crossbit"])
            return Checkpoint({key: file.get_tensor(key) for key in file.keys()}, meta)  # noqa: SIM118 (no dict)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"checkpoint {path} is damaged ({error}); remove its folder to begin again") from error


def remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a finished run."""
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
