"""The state of an unfinished training: one file, so that it is there or not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from crossbit.errors import UserError
from crossbit.storage.tensors import read_tensors, write_tensors


@dataclass
class Checkpoint:
    """Tensors by flat name, and JSON beside them."""

    tensors: dict[str, Tensor]
    meta: dict[str, Any]


def _file(folder: Path) -> Path:
    return folder / "checkpoint" / "state.safetensors"


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write the checkpoint of the run in `folder`, in place of the one before, whole or not at all."""
    write_tensors(_file(folder), tensors, {"crossbit": json.dumps(meta)})


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint of the run in `folder`; None where there is none.

    Raises:
        UserError: it is damaged.
    """
    if not _file(folder).exists():
        return None
    try:
        tensors, notes = read_tensors(_file(folder))
        return Checkpoint(tensors, json.loads(notes["crossbit"]))
    except (UserError, KeyError, ValueError) as error:
        raise UserError(f"checkpoint {_file(folder)} is damaged; remove its folder to begin again") from error


def remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a finished run."""
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what writing left half done when the process was killed: hidden files beside the run's own."""
    for path in [*folder.glob(".*"), *(folder / "checkpoint").glob(".*")]:
        if path.is_file():
            path.unlink(missing_ok=True)
