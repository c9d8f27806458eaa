"""What a method that repairs labels found wrong about them, from what its run has kept of each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossbit.data.types import PairedData
from crossbit.demo.queries import label_names, modality_of
from crossbit.model import Model
from crossbit.runs.folder import RunFolder

SHOWN = 6  # rows, with their pictures
LIKELY = 0.5  # probability from which labels are said to look wrong


@dataclass(frozen=True)
class Doubt:
    """One row whose labels look wrong.

    Attributes:
        row: in the data.
        given: names of the labels that it was given.
        wrong, missing: those that it probably should not have, and those that it lacks.
        changed: whether noise had changed it.
    """

    row: int
    given: list[str]
    wrong: list[str]
    missing: list[str]
    changed: bool


@dataclass(frozen=True)
class Doubts:
    """What looks wrong.

    Attributes:
        words: of the noise, as the training said them.
        labelled: rows that have labels.
        changed: how many of them noise has changed.
        found: how many of those look wrong.
        others: how many look wrong that noise has not changed.
        first: the strongest of all that look wrong, each name once, as the run has them: the audit asks the lists of
            other rows, too. Empty where the run has kept none, as of labels that each modality has for itself.
    """

    words: list[str]
    labelled: int
    changed: int
    found: int
    others: int
    first: list[Doubt]


def read_doubts(data: PairedData, model: Model, run: RunFolder) -> Doubts:
    """What the run's method said of the labels that it was given.

    Args:
        data: of the run.
        model: of the run, with its figures of each row.
        run: its folder.
    """
    held, trained = model.rows, run.arrays()["rows"]
    labelled, observed = np.isin(trained, data.splits["train"]), run.observed()
    if isinstance(observed, np.ndarray) and observed.ndim == 2:
        labelled &= (observed[trained] > 0).any(1)
    rows, noisy = trained[labelled], run.noise_masks()["pair"][labelled]
    wrong, first = np.zeros(len(rows), bool), []
    if "evidence" in held and isinstance(observed, np.ndarray):
        wrong = held["corrupted"][labelled] >= LIKELY
        ranked = np.argsort(-held["evidence"][labelled], kind="stable")
        places = _different(data, rows, ranked[wrong[ranked]])
        given, p = observed[rows[places]] > 0, held["probability"][labelled][places] >= LIKELY
        first = [_doubt(data, *one) for one in zip(rows[places], given, p, noisy[places], strict=True)]
    said = str(model.history[0].get("note", ""))
    found, others = int((wrong & noisy).sum()), int((wrong & ~noisy).sum())
    return Doubts(said.split("; ") if said else [], len(rows), int(noisy.sum()), found, others, first)


def _different(data: PairedData, rows: np.ndarray, places: np.ndarray) -> list[int]:
    """The first of these places, each name once."""
    names, first = data[modality_of(data, "words")][rows], dict[str, int]()
    for place in places.tolist():
        first.setdefault(str(names[place]), place)
    return list(first.values())[:SHOWN]


def _doubt(data: PairedData, row: int, given: np.ndarray, likely: np.ndarray, changed: bool) -> Doubt:
    def named(mask: np.ndarray) -> list[str]:
        return [label_names(data)[c] for c in np.flatnonzero(mask)]

    return Doubt(int(row), named(given), named(given & ~likely), named(~given & likely), bool(changed))
