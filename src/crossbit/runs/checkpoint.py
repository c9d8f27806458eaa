"""The state of an unfinished training: one file, so that it is there or not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from crossbit.errors import UserError
from crossbit.runs.building import building_from
from crossbit.runs.folder import RunFolder
from crossbit.storage.files import leftovers
from crossbit.storage.tensors import read_tensors, write_tensors

REMEDY = "remove its folder to begin again"
META = ("numbers", "history", "best_score")


@dataclass
class Checkpoint:
    """Tensors by flat name, and JSON beside them: "numbers" of the method, "history", "best_score"."""

    tensors: dict[str, Tensor]
    meta: dict[str, Any]


def save_checkpoint(run: RunFolder, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write the checkpoint of a run, in place of the one before, whole or not at all."""
    write_tensors(run.checkpoint_file, tensors, {"crossbit": json.dumps(meta)})


def read_checkpoint(run: RunFolder) -> Checkpoint | None:
    """The checkpoint of a run; None where there is none.

    Raises:
        UserError: it is damaged, or another version of crossbit wrote it.
    """
    if not run.checkpoint_file.exists():
        return None
    what = f"checkpoint {run.checkpoint_file}"
    try:
        tensors, notes = read_tensors(run.checkpoint_file)
    except UserError as error:
        raise UserError(f"{what} is damaged; {REMEDY}") from error
    with building_from(what, REMEDY):
        meta = json.loads(notes["crossbit"])
        return Checkpoint(tensors, {name: meta[name] for name in META})


def remove_checkpoint(run: RunFolder) -> None:
    """Remove the checkpoint of a finished run, and its folder if nothing else is in it."""
    run.checkpoint_file.unlink(missing_ok=True)
    for left in leftovers(run.checkpoint_file):
        left.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it is not there, or somebody keeps a file in it
        run.checkpoint_file.parent.rmdir()
