"""Wrong pairs: rows whose modalities predict different labels.

Each modality alone predicts a row's labels; two that show the same thing agree more often than two that were put
together at random. Random pairs are there for the asking, by shuffling, so the ratio of the two densities can be fitted
without a wrong pair being known.

Shapes: n rows, c classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from crossbit.posterior.choice import median_distance, ridges_for
from crossbit.posterior.fitting import fit_noise
from crossbit.posterior.kinds import SINGLE
from crossbit.posterior.noise import TINY, NoiseModel
from crossbit.posterior.regression import CHUNK, RbfKernel, fit_landmarks

LANDMARKS = 600  # of each modality's regression
POWERS = 0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0  # to which the agreement is taken; 0: it says nothing
ROUNDS = 200  # of the share's fixed point
FEW = 5.0  # right pairs that were seen before any was: keeps the share at 0 where nothing speaks against it


@dataclass
class Alone:
    """What one modality says by itself of each row.

    Attributes:
        prior: (n, c) probability of each label, own labels not looked at.
        labels: (n, c) after they were; as `prior` where there are none.
        noise: how its predictions and the labels disagree.
    """

    prior: Tensor
    labels: Tensor
    noise: NoiseModel


def judge_alone(
    features: Tensor,
    observed: Tensor,
    labels: Tensor,
    labelled: Tensor,
    gamma: float,
    *,
    single: bool,
    seed: int,
    groups: Tensor | None = None,
) -> Alone:
    """One modality's own regression, on landmarks, and its own noise.

    Args:
        features: (n, dim).
        observed: (n, c) labels that were observed with this modality, rows of zeros where there are none.
        labels: (n, c) what the regression learns from, and `labelled` (rows,) the rows that it is fitted to.
        gamma: of the kernel.
        single: whether rows have one label.
        groups: (n,) rows with the same number are left out together.
    """
    own, y = features[labelled], labels[labelled]
    draw = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed)).to(y.device)
    kernel = RbfKernel({"own": 1.0}, gamma, {"own": median_distance(own[draw[:1000]])})
    together = None if groups is None else groups[labelled]
    ridges = ridges_for(kernel, {"own": own}, y, draw, seed)
    fit = fit_landmarks({"own": own}, y, kernel, ridges, draw[:LANDMARKS], together)
    predicted = labels.new_empty(labels.shape)
    predicted[labelled] = fit.left_out
    others = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    others[labelled] = False
    predicted[others] = fit.predict({"own": features[others]})
    judged = observed.any(1)
    kinds = list(SINGLE) if single else ["none", "swap-one"]
    noise = fit_noise(predicted[judged], observed[judged], single=single, seed=seed, kinds=kinds, confused=single)
    z = noise.logits(predicted)
    prior = noise.prior(z)
    after = prior.clone()
    for rows in judged.nonzero().squeeze(1).split(CHUNK):
        after[rows] = noise.posterior(z[rows], observed[rows].to(z))[0]
    return Alone(prior, after, noise)


def agreement(priors: list[Tensor], *, single: bool) -> Tensor:
    """Log of how much likelier these predictions (n, c) of the modalities are for one thing than for several. (n,)

    sum_k prod_m p^m_k / mu_k^(M-1), over the classes k of a row with one label; else over having a label and not having
    it, summed in logarithms over the labels. mu is the mean of all predictions.

    >>> p = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    >>> agreement([p, p], single=True).exp()  # (.81 + .01) / .5
    tensor([1.6400, 1.6400])
    >>> agreement([p, p.flip(0)], single=True).exp()
    tensor([0.3600, 0.3600])
    """
    mean = torch.stack(priors).mean((0, 1)).clamp(TINY, 1 - TINY)
    logs = torch.stack([p.clamp(TINY, 1 - TINY).log() for p in priors]).sum(0) - (len(priors) - 1) * mean.log()
    if single:
        return logs.logsumexp(1)
    nots = torch.stack([(1 - p).clamp(TINY, 1 - TINY).log() for p in priors]).sum(0)
    nots = nots - (len(priors) - 1) * (1 - mean).log()
    return torch.logaddexp(logs, nots).sum(1)


def right_pairs(priors: list[Tensor], *, single: bool, seed: int) -> tuple[Tensor, float]:
    """Probability (n,) that a row's modalities belong together, and the share of rows where they do not.

    The density of a right pair is that of a random one times B^t / E[B^t], B the agreement and E over random pairs;
    power t and share w have the largest likelihood of the rows as they are.

    Args:
        priors: of each modality (n, c), which have not seen the row's own labels.
        single: whether rows have one label.
        seed: of the random pairs.
    """
    generator = torch.Generator().manual_seed(seed)
    order = [torch.randperm(len(p), generator=generator).to(p.device) for p in priors]
    found = agreement(priors, single=single)
    random = agreement([p[rows] for p, rows in zip(priors, order, strict=True)], single=single)
    best = (-math.inf, torch.ones_like(found), 0.0)
    for power in POWERS:
        ratio = (power * found - (power * random).logsumexp(0) + math.log(len(random))).exp()
        share = _share(ratio)
        fit = ((1 - share) * ratio + share).log().sum() + FEW * math.log(1 - share)
        if fit.item() > best[0]:
            best = (fit.item(), (1 - share) * ratio / ((1 - share) * ratio + share), share)
    return best[1], best[2]


def _share(ratio: Tensor) -> float:
    """w that maximises sum log((1 - w) ratio + w) + FEW log(1 - w), by its fixed point."""
    share = 0.1
    for _ in range(ROUNDS):
        wrong = share / ((1 - share) * ratio + share)
        share = min(0.999, (wrong.sum() / (len(ratio) + FEW)).item())
        if share < 1e-6:
            return 0.0
    return share


def mixed(labels: Tensor, alone: Mapping[str, Alone], right: Tensor) -> dict[str, Tensor]:
    """Labels (n, c) of each modality: those of the pair as far as it is right, else what it says alone."""
    together = right.unsqueeze(1)
    return {modality: together * labels + (1 - together) * one.labels for modality, one in alone.items()}
