"""An audit after the lists of labels have been asked what they say of its proposals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from crossbit.audit.judged import Judged
from crossbit.audit.lists import Belief, Lists, believe
from crossbit.posterior.noise import NoiseModel


def weighed(judged: Judged) -> Judged:
    """An audit whose probabilities and noise are those that the lists leave; the same where rows have one label, or
    the modalities have labels of their own."""
    posterior, labels = judged.posterior, judged.seen.view.observed().numpy() > 0
    if posterior.single or len(judged.witnesses) > 1 or not posterior.noise:
        return judged
    _, corrupted = next(iter(judged.witnesses.values()))
    noise, whole = next(iter(posterior.noise.values())), posterior.labels.cpu().numpy()
    evidence = judged.evidence(None, corrupted)
    belief = believe(Lists(labels, judged.family), labels, lambda rows: whole[rows], corrupted, evidence, noise)
    p = torch.from_numpy(belief.apply(whole.copy(), labels, np.arange(len(whole))))
    every = posterior.noise.keys()
    left = replace(
        posterior,
        labels=p,
        corrupted=dict.fromkeys(every, torch.from_numpy(belief.corrupted)),
        evidence=dict.fromkeys(every, torch.from_numpy(belief.evidence)),
        noise=dict.fromkeys(every, _believed(noise, belief)),
    )
    found = Judged(judged.seen, left, judged.alike)
    found.family = judged.family
    return found


def _believed(noise: NoiseModel, belief: Belief) -> NoiseModel:
    """The noise with those confusions alone that are believed."""
    if noise.confusion is None or belief.believed.all():
        return noise
    held, some = noise.confusion, torch.from_numpy(belief.believed)
    some_left = replace(held, truth=held.truth[some], label=held.label[some], log_rate=held.log_rate[some])
    return replace(noise, confusion=some_left if len(some_left.truth) else None)
