"""Label posterior without a network: which labels are probably right, of rows with labels and of rows without.

Kernel ridge regression predicts the labels of each row from all other rows, a model of the noise is fitted to how these
predictions and the observed labels disagree, and Bayes' rule joins the two. Everything is chosen by leave-one-out error
or likelihood of the observed labels; docs/look.md has the formulas.

Shapes: n rows, c classes. Row numbers are positions in the arrays given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from crossbit.errors import UserError
from crossbit.posterior.choice import choose, near_ridges
from crossbit.posterior.fitting import fit_noise
from crossbit.posterior.noise import NoiseModel
from crossbit.posterior.pairs import judge_alone, mixed, right_pairs
from crossbit.posterior.regression import CHUNK, Fit, RbfKernel, fit_exact, fit_landmarks
from crossbit.posterior.relabel import Basis, Witnesses, mean_labels

__all__ = ["Posterior", "estimate_posterior", "labelled_alike", "left_out_and_predicted"]

LEAST = 10  # labelled rows below which nothing is estimated: observed labels are taken to be right
EXACT = 10_000  # labelled rows up to which the regression is exact
LANDMARKS = 2_000  # of the Nystrom approximation above
ALIKE = 0.9  # share of neighbours in a group with the same labels from which these may be wrong together
WRONG_PAIRS = 0.15  # share of wrong pairs below which all are taken to be right: weak features alone can feign less


@dataclass
class Posterior:
    """What the labels of n rows probably are.

    Attributes:
        labels: (n, c) probability of each label.
        prior: (n, c) the same before the row's own labels were looked at.
        corrupted: by modality (n,), the probability that the labels observed there are not the true ones; NaN for a row
            without labels. The modalities share one array unless each has its own labels.
        evidence: by modality (n,), log-odds of the same; empty where too few rows have labels.
        single: every labelled row has one label, so probabilities of a row sum to 1.
        noise: by modality, how labels went wrong; empty where too few rows have labels.
        kernel, ridge: what was chosen; None where too few rows have labels.
        right: (n,) probability that a row's modalities belong together; 1 where next to nothing speaks against it.
        alone: by modality (n, c) as `prior`, from that modality alone; empty where only one was given or too few rows
            have labels.
        of_modality: (n, c) as `labels`, of each modality of its own; empty where all pairs look right.
        basis: what `relabel` needs; None unless it was to be kept.
    """

    labels: Tensor
    prior: Tensor
    corrupted: dict[str, Tensor]
    single: bool
    noise: dict[str, NoiseModel] = field(default_factory=dict)
    kernel: RbfKernel | None = None
    ridge: float | None = None
    right: Tensor | None = None
    alone: dict[str, Tensor] = field(default_factory=dict)
    of_modality: dict[str, Tensor] = field(default_factory=dict)
    evidence: dict[str, Tensor] = field(default_factory=dict)
    basis: Basis | None = field(default=None, repr=False)

    def relabel(self, rows: Tensor, labels: Mapping[str, Tensor]) -> Posterior:
        """The posterior after the labels of some rows were corrected, in closed form; this one stays as it is.

        It is what refitting with the same kernel, ridge and groups gives, and of all rows. The model of the noise stays
        the same, and so does what each modality says alone and which pairs look right: estimate the posterior anew
        after many corrections.

        Args:
            rows: (k,) row numbers.
            labels: by modality (k, c), all labels that the rows have from now on. Modalities that share their labels
                get them together; one that is not named keeps its own.

        Raises:
            UserError: the posterior has not kept its basis; a row that had no labels, that would have none, or that
                would have several where every row has one; a modality that is not there; labels that are not 0 or 1.

        >>> x = torch.arange(20.0).unsqueeze(1)
        >>> y = torch.eye(2)[(x[:, 0] >= 10).long()]
        >>> wrong = y.index_copy(0, torch.tensor([3, 4]), y[[10, 11]])
        >>> first = estimate_posterior({"x": x}, {"x": wrong}, keep=True)
        >>> second = first.relabel(torch.tensor([3]), {"x": y[[3]]})
        >>> bool(second.evidence["x"][4] > first.evidence["x"][4])  # one of its neighbours agrees with it no more
        True
        """
        if self.basis is None:
            raise UserError(
                "this posterior has kept no basis: give estimate_posterior keep=True, and 10 rows whose labels differ"
            )
        basis = self.basis.changed(rows, labels)
        found = replace(self, **_judged(basis.predicted, basis.witnesses, self.noise), basis=basis)
        if self.right is not None:
            more = self.right.unsqueeze(1) * (found.labels - self.labels)
            found.of_modality = {modality: p + more for modality, p in self.of_modality.items()}
        return found

    @property
    def shown(self) -> Tensor:
        """(c,) bool, classes of which the features say something; labels of others cannot be judged."""
        models = {id(model): model for model in self.noise.values()}.values()
        every = torch.ones(self.labels.shape[1], dtype=torch.bool, device=self.labels.device)
        seen = [every if model.shown is None else model.shown for model in models]
        return torch.stack(seen).any(0) if seen else every

    @property
    def wrong_pairs(self) -> float:
        """Estimated share of rows whose modalities do not belong together."""
        return 0.0 if self.right is None else float(1 - self.right.mean())

    @property
    def rate(self) -> float:
        """Estimated share of labelled rows whose labels are wrong (mean of the modalities); 0 without any label."""
        shares = [float(p[~p.isnan()].mean()) for p in self.corrupted.values() if not p.isnan().all()]
        return sum(shares) / len(shares) if shares else 0.0


def estimate_posterior(
    features: Mapping[str, Tensor],
    observed: Mapping[str, Tensor],
    *,
    seed: int = 0,
    groups: Tensor | None = None,
    exact: int = EXACT,
    landmarks: int = LANDMARKS,
    keep: bool = False,
    pairs: bool = True,
    progress: Callable[[str], Any] = lambda line: None,
) -> Posterior:
    """Estimate the posterior of every row from the rows that have labels.

    Args:
        features: by modality (n, dim), any number of modalities.
        observed: by modality (n, c) observed labels 0/1, a row of zeros for a row without labels. Where the modalities
            share one array, or have equal ones, it counts once; others are so many witnesses of the same truth. One
            that nobody labelled has the labels of the first that somebody did.
        seed: of the rows and landmarks that are drawn where there are many.
        groups: (n,) near-duplicates by number. Where nearly all rows of a group were given the same labels these may
            be wrong together, so the group is left out together; else its rows are so many witnesses.
        exact: labelled rows up to which the regression is exact.
        landmarks: of the approximation above.
        keep: what `Posterior.relabel` needs: 8 bytes for each row and each labelled row, or landmark.
        pairs: judge them, too; else `right`, `alone` and `of_modality` are left out.
        progress: called with a line before each of the three steps that take long.

    Returns:
        The posterior, in float64 on the device of the labels.

    >>> x = torch.cat([torch.zeros(20, 1), torch.ones(20, 1)]) + 0.01 * torch.arange(40).unsqueeze(1) / 40
    >>> y = torch.eye(2)[(x[:, 0] > 0.5).long()]
    >>> y[[0, 39]] = y[[39, 0]]  # two wrong labels
    >>> posterior = estimate_posterior({"x": x}, {"x": y})
    >>> (posterior.corrupted["x"] > 0.5).nonzero().squeeze(1).tolist(), posterior.labels[0].argmax().item()
    ([0, 39], 0)
    """
    some = next((y for y in observed.values() if y.any()), None)
    if some is not None:
        observed = {modality: y if y.any() else some for modality, y in observed.items()}
    witnesses = witnesses_of(observed)
    together = torch.stack([y.double() for y, _ in witnesses])  # (witnesses, n, c)
    counted = together.any(2)  # (witnesses, n)
    labelled = counted.any(0).nonzero().squeeze(1)
    single = bool((together.sum(2)[counted] == 1).all()) and together.shape[2] > 1
    mean = mean_labels([y for y, _ in witnesses])  # (n, c)
    if len(labelled) < LEAST or (mean[labelled].var(0, correction=0) == 0).all():
        return _as_observed(mean, labelled, counted, witnesses, single)
    together_out = groups if groups is not None and labelled_alike(mean[labelled], groups[labelled]) else None
    how = exact, landmarks, keep, progress
    fit, predicted = left_out_and_predicted(features, mean, labelled, seed, together_out, *how)
    progress("finding how labels went wrong")
    noise: dict[str, NoiseModel] = {}
    for (y, modalities), rows in zip(witnesses, counted, strict=True):
        noise |= dict.fromkeys(modalities, fit_noise(predicted[rows], y[rows], single=single, seed=seed))
    judged = _judged(predicted, witnesses, noise)
    found = Posterior(**judged, single=single, noise=noise, kernel=fit.kernel, ridge=fit.ridge)
    if fit.smoother is not None:
        found.basis = Basis.of(fit.smoother, features, witnesses, predicted, single)
    if pairs and len(features) > 1:
        _judge_pairs(found, features, observed, mean, labelled, seed, together_out)
    return found


def of_basis(basis: Basis, noise: Mapping[str, NoiseModel], kernel: RbfKernel, ridge: float) -> Posterior:
    """The posterior that follows from its basis and the noise; pairs are not judged."""
    judged = _judged(basis.predicted, basis.witnesses, noise)
    return Posterior(**judged, single=basis.single, noise=dict(noise), kernel=kernel, ridge=ridge, basis=basis)


def labelled_alike(labels: Tensor, groups: Tensor) -> bool:
    """Whether nearly all rows (n, c) that share a group (n,) have the same labels; False where no two rows share one,
    or all do: without them nothing is left to predict them from.

    >>> labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> labelled_alike(labels, torch.tensor([7, 7, 8])), labelled_alike(labels, torch.tensor([7, 8, 8]))
    (True, False)
    """
    order = groups.argsort(stable=True)
    beside = groups[order[1:]] == groups[order[:-1]]
    same = (labels[order[1:]] == labels[order[:-1]]).all(1)[beside]
    return 0 < len(same) < len(groups) - 1 and same.double().mean().item() >= ALIKE


def _judge_pairs(
    found: Posterior,
    features: Mapping[str, Tensor],
    observed: Mapping[str, Tensor],
    labels: Tensor,
    labelled: Tensor,
    seed: int,
    groups: Tensor | None,
) -> None:
    """Put `alone` into a posterior, and `right` and `of_modality` where some pairs look wrong."""
    assert found.kernel is not None
    gamma, single = found.kernel.gamma, found.single
    alone = {
        m: judge_alone(x, observed[m], labels, labelled, gamma, single=single, seed=seed, groups=groups)
        for m, x in features.items()
    }
    found.alone = {m: one.prior for m, one in alone.items()}
    right, share = right_pairs(list(found.alone.values()), single=single, seed=seed)
    if share >= WRONG_PAIRS:
        found.right, found.of_modality = right, mixed(found.labels, alone, right)


def left_out_and_predicted(
    features: Mapping[str, Tensor],
    labels: Tensor,
    labelled: Tensor,
    seed: int,
    groups: Tensor | None = None,
    exact: int = EXACT,
    landmarks: int = LANDMARKS,
    keep: bool = False,
    progress: Callable[[str], Any] = lambda line: None,
) -> tuple[Fit, Tensor]:
    """The regression on the `labelled` rows, and predictions (n, c): without the row itself, where it has labels."""
    own, y = {modality: x[labelled] for modality, x in features.items()}, labels[labelled]
    together = None if groups is None else groups[labelled]
    progress("choosing how rows are compared")
    kernel, ridge = choose(own, y, seed, together)
    progress(f"predicting the labels of {len(y):,} rows from one another")
    if len(y) <= exact:
        fit = fit_exact(own, y, kernel, ridge, together, keep=keep)
    else:
        drawn = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))[:landmarks].to(y.device)
        fit = fit_landmarks(own, y, kernel, near_ridges(ridge), drawn, together, keep=keep)
    predicted = labels.new_empty(labels.shape)
    predicted[labelled] = fit.left_out
    others = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    others[labelled] = False
    predicted[others] = fit.predict({modality: x[others] for modality, x in features.items()})
    return fit, predicted


def witnesses_of(observed: Mapping[str, Tensor]) -> Witnesses:
    """Each label array that there is, with the modalities that it belongs to."""
    found: Witnesses = []
    for modality, labels in observed.items():
        same = next((held for array, held in found if array is labels or torch.equal(array, labels)), None)
        if same is None:
            found.append((labels, [modality]))
        else:
            same.append(modality)
    return found


def _as_observed(mean: Tensor, labelled: Tensor, counted: Tensor, witnesses: Witnesses, single: bool) -> Posterior:
    """Observed labels as they are; a row without any has the frequencies of the classes, 0 if nobody has one."""
    frequency = mean[labelled].mean(0) if len(labelled) else torch.zeros_like(mean[:1].sum(0))
    labels = frequency.expand(mean.shape).clone()
    labels[labelled] = mean[labelled]
    corrupted: dict[str, Tensor] = {}
    for (_, modalities), rows in zip(witnesses, counted, strict=True):
        corrupted |= dict.fromkeys(modalities, torch.where(rows, 0.0, torch.nan).double())
    return Posterior(labels, frequency.expand(mean.shape), corrupted, single and len(labelled) > 0)


def _judged(predicted: Tensor, witnesses: Witnesses, noise: Mapping[str, NoiseModel]) -> dict[str, Any]:
    """Attributes of a posterior that follow from the predictions (n, c), the labels and their noise."""
    heard = _heard(witnesses, noise)
    z = torch.zeros_like(predicted)
    for k in heard:
        z += noise[witnesses[k][1][0]].logits(predicted) / len(heard)
    labels, corrupted, evidence = _judge(z, witnesses, noise, heard)
    prior = next(iter(noise.values())).prior(z)
    return {"labels": labels, "prior": prior, "corrupted": corrupted, "evidence": evidence}


def _heard(witnesses: Witnesses, noise: Mapping[str, NoiseModel]) -> list[int]:
    """Numbers of the witnesses whose labels the features show; of all where they show none's."""
    models = [noise[modalities[0]] for _, modalities in witnesses]
    heard = [k for k, model in enumerate(models) if model.shown is None or model.shown.any()]
    return heard or list(range(len(witnesses)))


def _judge(
    z: Tensor, witnesses: Witnesses, noise: Mapping[str, NoiseModel], heard: list[int]
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """The posterior after all witnesses (n, c), and of each of them whether it is wrong, given the others, and the
    log-odds of that."""
    corrupted: dict[str, Tensor] = {}
    evidence: dict[str, Tensor] = {}
    for number, (_, modalities) in enumerate(witnesses):
        others = [k for k in heard if k != number]
        after, wrong, odds = z, *(z.new_full((len(z),), torch.nan) for _ in range(2))
        for k in [*others, number]:
            model = noise[witnesses[k][1][0]]
            y = witnesses[k][0].double()
            for rows in y.any(1).nonzero().squeeze(1).split(CHUNK):
                labels, changed, doubt = model.posterior(after[rows], y[rows])
                if k == number:
                    wrong[rows], odds[rows] = changed, doubt
                if k in heard:
                    after = after.index_copy(0, rows, model.to_logits(labels))
        corrupted |= dict.fromkeys(modalities, wrong)
        evidence |= dict.fromkeys(modalities, odds)
    return model.prior(after), corrupted, evidence
