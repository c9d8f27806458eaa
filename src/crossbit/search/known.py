"""What a run knows of an index of its own data beyond the codes: whether hits fit, and how likely labels are."""

from __future__ import annotations

import os
from pathlib import Path

from crossbit.data.types import PairedData
from crossbit.index.local import LocalIndex
from crossbit.model import Model
from crossbit.search.build import Progress, index_path
from crossbit.search.calibrate import calibrate
from crossbit.search.captions import write_captions
from crossbit.search.probabilities import Probabilities, write_probabilities


def learn_from_run(
    model: Model,
    data: PairedData,
    uri: str | os.PathLike[str],
    *,
    changed: bool = False,
    progress: Progress = lambda line: None,
) -> None:
    """Write it into the index's folder; a search without it has no `fits` and no probabilities of labels.

    Args:
        model: the run's.
        data: the run's.
        uri: the folder that `index_data` made of them.
        changed: whether the data have changed since it was trained: then its rows have other numbers, and no
            probabilities are written.
        progress: called with a line.
    """
    if not changed:
        write_probabilities(model, data, Path(uri))
        for modality in model.modalities:
            with LocalIndex(index_path(uri, modality), read_only=True) as index:
                write_captions(index, Probabilities(index).of)  # without the labels that are held to be wrong
    fits = calibrate(model, data, Path(uri))
    fits.write(Path(uri))
    for kind, scale in fits.scales.items():
        progress(f"whether hits fit {kind}: learnt from {scale.queries:,} held-out queries")
