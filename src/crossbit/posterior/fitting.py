"""Calibration of the predictions and shares of the kinds of noise, fitted together by maximum likelihood.

Shapes: n rows, c classes; f (n, c) predictions, y (n, c) observed labels 0/1.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from crossbit.posterior.confusion import suspects
from crossbit.posterior.kinds import SEVERAL, SINGLE, Likelihood, log_ways
from crossbit.posterior.noise import NoiseModel
from crossbit.posterior.search import CLEAR, ConfusedSearch, Given, Search
from crossbit.posterior.sizes import log_size

FITTED = 2500  # rows that calibration and shares are fitted to, at most: they are few numbers
ITERATIONS = 40  # of L-BFGS
FIRST = 12  # of them from each start; the better one is continued
BEGUN = 600  # rows that the starts are compared on, at most
STARTS = (5.0, -3.0), (10.0, 1.5)  # slope where nothing is wrong, and log-odds of each kind: little noise, and much
ROUNDS = 2  # of fits before the last, after each of which the sizes of resampled sets are told anew
WORTH = 0.01  # log-likelihood a row by which several kinds must fit better than one, over BIC's penalty for them
SHOWN = 1.5  # deviations from which predictions and labels of a class have something in common; chance does no harm
SHOWN_CLEARLY = 4.0  # the same of one class at least, or chance alone may have shown any
SHOWN_TOGETHER = 3.5  # the same of several classes together
BELIEVED = 0.01, 0.03, 0.08  # rates below which confusions are left out, in turn: the best is taken


def fit_noise(
    predicted: Tensor,
    y: Tensor,
    *,
    single: bool,
    seed: int = 0,
    kinds: list[str] | None = None,
    confused: bool = True,
) -> NoiseModel:
    """Calibration and shares of noise with the largest likelihood of the observed labels.

    Args:
        predicted: (n, c) predictions of each row's labels that did not see them.
        y: (n, c) observed labels.
        single: whether every row has one label.
        seed: of the rows it is fitted to, where there are many.
        kinds: of noise that may be found; all of them if None.
        confused: whether classes may be found to be taken for one another.
    """
    seen = shown(predicted, y, single=single)
    if seen.all():
        return _fitted(predicted, y, single, seed, kinds, confused)
    frequency = y.to(predicted).mean(0).clamp(1e-4, 1 - 1e-4)
    offset = frequency.log() if single else frequency.logit()
    if not seen.any():
        return NoiseModel(single, 0.0, offset, {"none": 1.0}, shown=seen)
    rows = y[:, seen].any(1)
    judged = y[rows][:, seen]
    if not single and (single := bool((judged.sum(1) == 1).all()) and judged.shape[1] > 1):
        kinds = None
    model = _fitted(predicted[rows][:, seen], judged, single, seed, kinds, confused)
    offset[seen] = model.offset
    return replace(model, offset=offset, shown=seen)


def shown(f: Tensor, y: Tensor, *, single: bool = False) -> Tensor:
    """Whether predictions f (n, c), which have not seen the row's own labels y (n, c), say anything of a class. (c,)

    By the correlation of both, in standard deviations where nothing is said (Fisher's transform). Classes that are too
    faint by themselves are tried together: where nearly all labels are wrong, each is. Those of rows with one label
    stand or fall together.

    >>> y = torch.eye(2).repeat(20, 1)
    >>> shown(torch.stack([y[:, 0], torch.zeros(40)], 1), y)
    tensor([ True, False])
    """
    f, y = f - f.mean(0), y.to(f) - y.to(f).mean(0)
    product = (f * y).sum(0)
    correlation = product / (f.square().sum(0) * y.square().sum(0)).sqrt().clamp(min=1e-12)
    score = correlation.clamp(-1 + 1e-6, 1 - 1e-6).atanh() * max(len(y) - 3, 0) ** 0.5
    none = single or score.max() < SHOWN_CLEARLY
    faint = torch.ones_like(score, dtype=torch.bool) if none else score < SHOWN
    together = score[faint].clamp(min=-SHOWN).sum()  # predictions that are means without the row are far below 0
    return ~faint | (together >= SHOWN_TOGETHER * int(faint.sum()) ** 0.5)


def _fitted(
    predicted: Tensor, y: Tensor, single: bool, seed: int, kinds: list[str] | None, confused: bool
) -> NoiseModel:
    """The model of classes that are shown."""
    known = SINGLE if single else SEVERAL
    chosen = {name: known[name] for name in (kinds or known)}
    rows = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))[:FITTED].to(y.device)
    f, y = predicted[rows], y[rows].to(predicted)
    given = Given.of(f, y, single)
    if "resample" not in chosen:
        return _confused(given, chosen, _fewest(given, chosen)) if confused else _fewest(given, chosen)
    # Independent labels vary more in number than real ones do; where most rows are resampled, calibration would bend
    # until the numbers fit. So what the size of a resampled set says is held still while z is fitted.
    ways, size = log_ways(y.sum(1), y.shape[1]), y.sum(1).long()
    of_size = frequent = (torch.bincount(size).to(f) / len(y)).log()[size]
    model = None
    for _ in range(ROUNDS):
        model = _best(given, {**chosen, "resample": _still(of_size - ways)}, model)[1]
        of_size = torch.logaddexp(frequent, log_size(model.logits(f), size)) - math.log(2)
    chosen["resample"] = _still(of_size - ways)
    model = _fewest(given, chosen, model)
    return _confused(given, chosen, model) if confused else model


def _confused(given: Given, kinds: dict[str, Likelihood], model: NoiseModel) -> NoiseModel:
    """The model with the confusions of classes that extended BIC (Chen and Chen, 2008) believes in, if any.

    Where rows of two classes look alike, labels are in doubt; where a share of one is labelled as the other, even its
    clearest rows are. Both fit such labels, and doubt needs no further numbers.
    """
    truth, label, share = suspects(given.apart + given.mean, given.y)
    if not len(truth):
        return model
    few = {name: kinds[name] for name in model.shares}
    best, n = (Search.near(given, few, model).value().item(), model), len(given.y)
    start = Search(given, kinds, CLEAR, STARTS[0][1])
    found = ConfusedSearch(given, start, truth, label, share.log())
    each = math.log(n) / 2 + math.log(given.y[0].numel() * (given.y[0].numel() - 1))  # a rate, and which it is
    rate, kept = found.run(ITERATIONS).confusion.log_rate.exp().detach(), None
    for least in BELIEVED:
        some = rate > least
        if not some.any() or (kept is not None and torch.equal(some, kept)):
            continue
        kept = some
        search = ConfusedSearch(given, found, truth[some], label[some], found.logits[some]).run(ITERATIONS)
        loss = search.loss + (int(some.sum()) * each + (len(kinds) - len(few)) * math.log(n) / 2) / n
        best = min(best, (loss, search.model()), key=lambda one: one[0])
    return best[1]


def _still(known: Tensor) -> Likelihood:
    """A likelihood (n,) that does not depend on z; of the first rows alone where there are fewer."""
    return lambda rows: known[: len(rows.kept)]


def _fewest(given: Given, kinds: dict[str, Likelihood], near: NoiseModel | None = None) -> NoiseModel:
    """The best model; or of one kind of noise, where that is hardly less likely.

    One kind is a case of all of them, so it cannot be much likelier: where it is, the search among all of them ended
    too early, as it does with hundreds of classes. Then, and where the most frequent kind will not do, each is tried.
    """
    loss, model = _best(given, kinds, near)
    names = sorted((name for name in kinds if name != "none"), key=model.shares.__getitem__, reverse=True)
    if len(names) == 1:
        return model
    worth = WORTH + (len(names) - 1) * math.log(len(given.y)) / (2 * len(given.y))
    simpler, other = _alone(given, kinds, names[0])
    if abs(simpler - loss) >= worth:
        tried = [(simpler, other), *(_alone(given, kinds, name) for name in names[1:])]
        simpler, other = min(tried, key=lambda one: one[0])
    return other if simpler - loss < worth else model


def _alone(given: Given, kinds: dict[str, Likelihood], name: str) -> tuple[float, NoiseModel]:
    """The loss and the model of one kind of noise."""
    return _best(given, {"none": kinds["none"], name: kinds[name]})


def _best(given: Given, kinds: dict[str, Likelihood], near: NoiseModel | None = None) -> tuple[float, NoiseModel]:
    """The smaller loss, and its model: from a model that is near, or from two starts, of which the better is continued.

    Args:
        given: the rows.
        kinds: of noise.
        near: the model of the same kinds that a search may begin with.
    """
    if near is not None:
        found = Search.near(given, kinds, near)
    else:
        both = [Search(given.some(BEGUN), kinds, *start).run(FIRST) for start in STARTS]
        found = min(both, key=lambda one: one.loss).on(given)
    found.run(ITERATIONS)
    return found.loss, found.model()
