"""What a queue of decisions begins with: the labelled rows of a run, and a posterior that corrections can move."""

from __future__ import annotations

from dataclasses import replace

import torch

from crossbit.audit.judged import Judged
from crossbit.audit.seen import Seen
from crossbit.errors import UserError
from crossbit.posterior import LEAST, estimate_posterior, labelled_alike


def labelled_only(seen: Seen) -> Seen:
    """What a run saw, the labelled rows alone."""
    view, labels = seen.view, seen.view.observed()
    there = labels.any(1).nonzero().squeeze(1)
    features = {modality: x[there] for modality, x in view.features.items()}
    groups = None if view.groups is None else view.groups[there.numpy()]
    rows = replace(view, features=features, labels=labels[there], rows=view.rows[there.numpy()], groups=groups)
    return replace(seen, view=rows, partner=seen.partner[there.numpy()])


def judge_to_keep(seen: Seen) -> Judged:
    """The posterior that an audit computes, and what moves it when labels change."""
    view, labels = seen.view, seen.view.observed()
    groups = None if view.groups is None else torch.from_numpy(view.groups)
    posterior = estimate_posterior(
        view.features, view.labels, seed=view.random_seed(1), groups=groups, keep=True, pairs=False
    )
    if posterior.basis is None:
        needed = f"{LEAST} at least, whose labels are not all the same"
        raise UserError(f"{seen.folder} has {len(view):,} labelled rows; a queue of decisions needs {needed}")
    together = groups is not None and labelled_alike(labels, groups)
    judged = Judged(seen, posterior, view.groups if together else None)
    judged.smoother = posterior.basis.smoother
    return judged
