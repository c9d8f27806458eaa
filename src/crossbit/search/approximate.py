"""An approximate tier for the indexes of a run: a search then compares a part of the codes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import UserError
from crossbit.index.local import LocalIndex
from crossbit.index.near import SEED
from crossbit.index.recall import SAMPLE, Recall
from crossbit.model import Model
from crossbit.search.build import encoder_of, index_path
from crossbit.storage.exchange import alone_with, copy_beside, take_place

Progress = Callable[[str], Any]


def approximate(
    model: Model, uri: str | os.PathLike[str], recall: float = 0.99, progress: Progress = lambda line: None
) -> dict[str, Recall]:
    """Make, or make anew, an approximate tier of each modality's index: `crossbit.open_search` then uses it.

    A copy of the folder is changed and takes its place, as `crossbit.search.adding.add` does it: a process that is
    killed leaves the folder as it was.

    Args:
        model: the one that encoded what is there.
        uri: the folder that `index_data` made.
        recall: the share of the nearest that is to be found, by codes of the index's own modality and of each other.
        progress: called with a line now and then.

    Returns:
        By modality how it was measured.

    Raises:
        UserError: no index there, or one of another model; another process changes it.
    """
    folder = Path(uri)
    for modality in model.modalities:
        if not Path(path := index_path(folder, modality)).exists():
            raise UserError(f"no index at {path}; make it with: crossbit index RUN")
    found = {}
    with alone_with(folder), copy_beside(folder, ".npy", ".npz") as copy:
        queries = {modality: _some(model, copy, modality) for modality in model.modalities}
        for modality in model.modalities:
            progress(f"{modality}: codes are laid into cells, and the recall is measured")
            others = {name: codes for name, codes in queries.items() if name != modality}
            with LocalIndex(index_path(copy, modality), bits=model.bits, encoder=encoder_of(model)) as index:
                found[modality] = index.make_near(recall, others)
        take_place(copy, folder)
    return found


def _some(model: Model, folder: Path, modality: str) -> np.ndarray:
    """Some codes of an index: queries as those that come from its modality."""
    path = index_path(folder, modality)
    with LocalIndex(path, bits=model.bits, read_only=True, encoder=encoder_of(model)) as index:
        ids = index.keys()
        rng = np.random.default_rng(SEED)
        return index.codes_of(np.sort(rng.choice(ids, min(SAMPLE, len(ids)), replace=False)))
