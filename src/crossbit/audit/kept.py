"""The posterior that a run has kept of each row, where it is the one that an audit would compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from crossbit.audit.seen import Seen
from crossbit.posterior import Posterior
from crossbit.posterior.choice import median_distance
from crossbit.posterior.confusion import Confusion
from crossbit.posterior.noise import NoiseModel
from crossbit.posterior.regression import RbfKernel
from crossbit.posterior.words import CONFUSION

SCALED = 1000  # rows that the kernel's scales are taken from
OWN = {"kernel": "", "labels": "posterior", "pairs": True}  # settings that make a run's posterior another one


def kept_posterior(seen: Seen) -> Posterior | None:
    """The posterior from the run's per-row figures, in their precision; None where the run has kept none, or another:
    of other rows, of one modality only, or of labels of each modality.
    """
    if seen.place is not None:  # of a collection that has changed
        return None
    rows, config = seen.model.rows, seen.model.config
    figures = seen.model.history[0] if seen.model.history else {}
    same = all(config["settings"].get(name, value) == value for name, value in OWN.items())
    if not same or not {"probability", "corrupted", "evidence"} <= rows.keys() or "noise_shares" not in figures:
        return None
    if not np.array_equal(rows["row"], seen.view.rows):
        return None
    observed = seen.view.observed()
    single = bool((observed.sum(1)[observed.any(1)] == 1).all()) and observed.shape[1] > 1
    labels = torch.from_numpy(rows["probability"]).double()
    model = _noise(figures, single, labels.shape[1])
    return Posterior(
        labels=labels,
        prior=labels,
        corrupted=dict.fromkeys(seen.view.features, torch.from_numpy(rows["corrupted"]).double()),
        single=single,
        noise=dict.fromkeys(seen.view.features, model),
        kernel=RbfKernel(figures["kernel"], figures["gamma"], figures.get("scales") or _scales(seen)),
        ridge=figures["ridge"],
        evidence=dict.fromkeys(seen.view.features, torch.from_numpy(rows["evidence"]).double()),
        right=torch.from_numpy(rows["right_pair"]).double() if "right_pair" in rows else None,
    )


def _scales(seen: Seen) -> dict[str, float]:
    """The kernel's scales, nearly: those of other rows than it drew, for a run of a time when they were not kept."""
    labelled = seen.view.observed().any(1).nonzero().squeeze(1)[:SCALED]
    return {modality: median_distance(x[labelled]) for modality, x in seen.view.features.items()}


def _noise(figures: dict[str, Any], single: bool, classes: int) -> NoiseModel:
    """Shares of noise, confusions and what is shown, from a run's figures; without the calibration."""
    shares, confusion = dict(figures["noise_shares"]), None
    shown = torch.ones(classes, dtype=torch.bool)
    shown[figures.get("not_shown", [])] = False
    shares["none"] += shares.pop(CONFUSION, 0.0)
    if found := figures.get("confusions"):
        truth, label, rate = map(torch.tensor, zip(*found, strict=True))
        place = shown.cumsum(0) - 1
        confusion = Confusion(place[truth], place[label], rate.double().log(), int(shown.sum()))
    return NoiseModel(single, 1.0, torch.zeros(classes), shares, confusion, shown)
