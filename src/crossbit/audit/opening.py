"""What a queue of decisions begins with: the labelled rows of a run, and a posterior that corrections can move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from crossbit.audit.judged import Judged
from crossbit.audit.seen import Seen
from crossbit.errors import UserError
from crossbit.posterior import LEAST, estimate_posterior, labelled_alike

STEPS = 6


class Steps:
    """Says which step of an opening begins, of how many.

    >>> steps = Steps(print)
    >>> steps("reading")
    step 1 of 6: reading
    """

    def __init__(self, progress: Callable[[str], Any]) -> None:
        self._progress, self._begun = progress, 0

    def __call__(self, line: str) -> None:
        self._begun += 1
        self._progress(f"step {self._begun} of {STEPS}: {line}")


def labelled_only(seen: Seen) -> Seen:
    """What a run saw, the labelled rows alone."""
    view, labels = seen.view, seen.view.observed()
    there = labels.any(1).nonzero().squeeze(1)
    features = {modality: x[there] for modality, x in view.features.items()}
    groups = None if view.groups is None else view.groups[there.numpy()]
    rows = replace(view, features=features, labels=labels[there], rows=view.rows[there.numpy()], groups=groups)
    return replace(seen, view=rows, partner=seen.partner[there.numpy()])


def judge_to_keep(seen: Seen, progress: Callable[[str], Any] = lambda line: None) -> Judged:
    """The posterior that an audit computes, and what moves it when labels change; three steps."""
    view, labels = seen.view, seen.view.observed()
    groups = None if view.groups is None else torch.from_numpy(view.groups)
    posterior = estimate_posterior(
        view.features,
        view.labels,
        seed=view.random_seed(1),
        groups=groups,
        keep=True,
        pairs=False,
        progress=progress,
    )
    if posterior.basis is None:
        needed = f"{LEAST} at least, whose labels are not all the same"
        raise UserError(f"{seen.folder} has {len(view):,} labelled rows; a queue of decisions needs {needed}")
    together = groups is not None and labelled_alike(labels, groups)
    judged = Judged(seen, posterior, view.groups if together else None)
    judged.smoother = posterior.basis.smoother
    return judged
