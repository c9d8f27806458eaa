"""What a run saw: its data found again, with the labels that training was shown and the pairs it was given."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crossbit.data.described import fingerprint
from crossbit.data.observed import training_labels, unlabelled
from crossbit.data.split import group_numbers
from crossbit.data.types import PairedData, Rows
from crossbit.errors import UserError
from crossbit.features.paired import features_of, vectors_of
from crossbit.methods.base import View
from crossbit.model import Model, load_model
from crossbit.runs.again import Again
from crossbit.runs.folder import RunFolder, named


@dataclass
class Seen:
    """What a run saw.

    Attributes:
        folder, model: the run.
        data: the run's data, with the observed labels that the run stored.
        view: features, observed labels (zeros for rows that nobody labelled for training) and groups of the rows that
            are judged: those that the run trained on, and training rows that it left out for validation.
        partner: (rows,) row numbers in the data that the other modalities were taken from: the rows themselves, unless
            the run shuffled pairs.
        place: (n of then,) the row of the data of each row of a collection that has changed; None where none has.
        changed: whether the run's noise changed the label of each row of the data, bool (n,), under "pair" or by
            modality; empty where it changed none.
    """

    folder: Path
    model: Model
    data: PairedData
    view: View
    partner: np.ndarray
    changed: dict[str, np.ndarray]
    place: np.ndarray | None = None

    @property
    def fingerprint(self) -> str:
        """Of the data: that of the run, where they are as they were."""
        config = self.model.config
        if self.place is None:
            return str(config["fingerprint"])
        return fingerprint(self.data, config["features"], labels=config["multi_label"] is not None)

    def row_now(self, row: int, of: str) -> int | None:
        """The number of a row of data of this fingerprint; -1 where it is gone, None in other data."""
        if of == self.fingerprint:
            return row
        if self.place is None or of != self.model.config["fingerprint"]:
            return None
        return int(self.place[row]) if 0 <= row < len(self.place) else -1

    @property
    def names(self) -> list[str]:
        """A name for each class; its number where the data has no names."""
        return self.data.label_names or [str(c) for c in range(self.data.classes)]


def read_seen(
    run: str | os.PathLike[str],
    data: str | os.PathLike[str] | PairedData | None = None,
    progress: Callable[[str], Any] = lambda line: None,
    *,
    labelled: bool = False,
) -> Seen:
    """Find out what a run saw.

    Args:
        run: the folder of a finished run.
        data: what it was trained on, or its name or path; None finds it under the name that the run has kept.
        progress: called with a line before what takes time.
        labelled: of the rows that have labels alone.

    Raises:
        UserError: no run folder, an unfinished one, or a model saved alone; data that are not there, that are others
            than the run's, or that have no labels.
    """
    folder = RunFolder(run)
    model, held = load_model(folder), folder.arrays()
    data, again = folder.found(data)
    data = _with_seen_labels(data, folder, again)
    if again is not None:
        held = again.arrays(held)
    if without := unlabelled(data.only(model.modalities)):
        some = "" if len(without) == len(model.modalities) else f" of {' and '.join(without)}"
        compared = "an audit compares labels with those of their neighbours"
        raise UserError(f"data '{data.name}' has no labels{some} in its training rows; {compared}, so give it some")
    progress("computing the features of the run's rows")
    rows = np.concatenate([held["rows"], np.setdiff1d(data.splits["train"], held["rows"])])
    partner = rows.copy()
    partner[: len(held["rows"])] = held["rows"][held["pairing"]]
    if labelled:
        there = np.any([y.any(1).numpy() for y in _observed(model, data, rows, partner).values()], axis=0)
        rows, partner = rows[there], partner[there]
    view = _view(model, data, rows, partner)
    changed = named(held, "changed_label")
    return Seen(folder.path, model, data, view, partner, changed, None if again is None else again.place)


def _with_seen_labels(data: PairedData, run: RunFolder, again: Again | None) -> PairedData:
    """The data with the observed labels that the run stored; a method that sees none stored none."""
    seen = run.observed()
    if not len(seen) or (again is not None and data.label is None):
        return data
    if again is not None and isinstance(seen, np.ndarray):
        return again.with_observed(data, seen, run.config["label_names"])
    return data.with_observed(seen)


def _view(model: Model, data: PairedData, rows: np.ndarray, partner: np.ndarray) -> View:
    """As training makes it, of these rows; pixels become the vectors that others train on."""
    first, modalities = model.modalities[0], model.modalities
    of = {modality: rows if modality == first else partner for modality in modalities}
    features = {m: vectors_of(torch.from_numpy(features_of(model.featurisers[m], data[m], of[m]))) for m in modalities}
    group = Rows(data, rows).group
    groups = None if group is None else group_numbers(group, len(rows))
    labels = _observed(model, data, rows, partner)
    return View(features, labels, rows, epochs=1, seed=int(model.config["seed"]), groups=groups)


def _observed(model: Model, data: PairedData, rows: np.ndarray, partner: np.ndarray) -> dict[str, torch.Tensor]:
    """Observed labels (rows, classes) by modality; one array for all where they share it."""
    first, modalities = model.modalities[0], model.modalities
    if data.modality_label or data.modality_observed_label:  # a modality's label goes with its row
        return {m: _labels(data, modalities, rows if m == first else partner)[m] for m in modalities}
    return dict.fromkeys(modalities, _labels(data, modalities, rows)[first])


def _labels(data: PairedData, modalities: list[str], rows: np.ndarray) -> dict[str, torch.Tensor]:
    """Observed labels (rows, classes) by modality, zeros for rows outside the training split."""
    labels = training_labels(data, modalities, rows)
    return {modality: torch.from_numpy(array) for modality, array in labels.items()}
