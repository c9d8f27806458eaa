"""What a posterior says of the labels, as numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from crossbit.posterior import LEAST, Posterior
from crossbit.posterior.noise import NoiseModel

NONE = 0.02  # share of wrong rows below which labels are said to look right
LARGEST = 20  # confusions of classes that a run keeps
CONFUSION = "confusion"
LIKE = {
    CONFUSION: "one class taken for another, always the same",
    "flip": "another class, any of them alike",
    "swap-one": "one label taken for another",
    "resample": "label sets drawn at random",
    "omit-one": "a label missing",
    "add-one": "a label too many",
}


def wrong_shares(labels: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """How many of each class's labels look wrong, and how many look missing.

    Args:
        labels: (n, c) posterior.
        observed: (n, c) observed labels 0/1; rows of zeros are rows without labels and do not count.

    Returns:
        (c,) the share of a class's observed labels that are probably wrong, NaN for a class that nobody has; and (c,)
        the expected number of labelled rows that should have the class and do not.

    >>> import torch
    >>> posterior = torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    >>> wrong, missing = wrong_shares(posterior, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    >>> round(wrong[0].item(), 3), round(missing[1].item(), 3)
    (0.4, 0.8)
    """
    observed = observed.to(labels)
    wrong = (observed * (1 - labels)).sum(0) / observed.sum(0)
    rows = observed.any(1, keepdim=True)
    return wrong, (rows * (1 - observed) * labels).sum(0)


def _models(posterior: Posterior) -> list[NoiseModel]:
    """The noise of each array of labels."""
    return list({id(model): model for model in posterior.noise.values()}.values())


def shares(posterior: Posterior) -> dict[str, float]:
    """Shares of rows by kind of noise, those of confused classes apart from those where nothing is wrong.

    The mean, where modalities have labels of their own.
    """
    models, total = _models(posterior), {"none": 0.0}
    for model in models:
        found, confusion = dict(model.shares), model.confusion
        if confusion is not None:
            labels = posterior.labels.mean(0) if model.shown is None else posterior.labels.mean(0)[model.shown]
            taken = float((labels.to(confusion.log_kept) * (1 - confusion.log_kept.exp())).sum())
            found |= {"none": found["none"] * max(0.0, 1 - taken), CONFUSION: found["none"] * min(1.0, taken)}
        for kind, share in found.items():
            total[kind] = total.get(kind, 0.0) + share / len(models)
    return total


def confusions(posterior: Posterior) -> list[tuple[int, int, float]]:
    """Class, what it is labelled as, and in what share of its rows: the largest first, at most `LARGEST`."""
    found: dict[tuple[int, int], float] = {}
    for model in _models(posterior):
        if (it := model.confusion) is not None:
            number = list(range(it.classes)) if model.shown is None else model.shown.nonzero().squeeze(1).tolist()
            for k, j, rate in zip(it.truth.tolist(), it.label.tolist(), it.log_rate.exp().tolist(), strict=True):
                pair = number[k], number[j]
                found[pair] = max(rate, found.get(pair, 0.0))
    return sorted(((k, j, rate) for (k, j), rate in found.items()), key=lambda one: -one[2])[:LARGEST]


def noise_kind(posterior: Posterior) -> str:
    """The most frequent kind of noise, "none" where next to nothing looks wrong.

    >>> import torch
    >>> noise_kind(Posterior(torch.ones(1, 1), torch.ones(1, 1), {}, single=True))
    'none'
    """
    total = shares(posterior)
    total.pop("none", None)
    return "none" if posterior.rate < NONE or not total else max(total, key=total.__getitem__)


def summary(posterior: Posterior, observed: Tensor) -> dict[str, Any]:
    """The noise as small JSON values: rate, kind, shares of each kind, confusions of classes, classes that nothing
    shows, and each class's share of wrong labels.

    Args:
        observed: (n, c) observed labels of the pairs.
    """
    if posterior.kernel is None:
        return {"noise_rate": 0.0, "noise_kind": "none"}
    wrong, _ = wrong_shares(posterior.labels, observed)
    return {
        "noise_rate": round(posterior.rate, 4),
        "noise_kind": noise_kind(posterior),
        "noise_shares": {kind: round(share, 4) for kind, share in shares(posterior).items()},
        "not_shown": (~posterior.shown).nonzero().squeeze(1).tolist(),
        "confusions": [[truth, label, round(rate, 4)] for truth, label, rate in confusions(posterior)],
        "wrong_pairs": round(posterior.wrong_pairs, 4),
        "wrong_labels": [None if share.isnan() else round(share.item(), 4) for share in wrong],
        "kernel": {modality: round(weight, 3) for modality, weight in posterior.kernel.weights.items()},
        "gamma": posterior.kernel.gamma,
        "scales": posterior.kernel.scales,
        "ridge": posterior.ridge,
    }


def in_words(posterior: Posterior, observed: Tensor, names: Sequence[str] | None = None, *, most: int = 3) -> list[str]:
    """Lines for the user: how many rows look wrong, and in what way, and of which labels nothing can be said.

    Args:
        observed: (n, c) observed labels of the pairs.
        names: of the classes; without them no class is named.
        most: how many confusions, and how many labels that nothing shows, are named at most.

    >>> import torch
    >>> from crossbit.posterior import estimate_posterior
    >>> place = torch.arange(200)
    >>> truth = place % 2
    >>> y = torch.eye(2)[(truth + (place % 10 < 2)) % 2]  # 40 wrong labels
    >>> x = truth.unsqueeze(1) + torch.sin(place.unsqueeze(1)) / 10
    >>> for line in in_words(estimate_posterior({"x": x}, {"x": y}), y, ["landscape", "portrait"]):
    ...     print(line)
    about 20 % of 200 labelled rows look wrong: another class, any of them alike
    """
    labelled = int(observed.any(1).sum())
    if posterior.kernel is None:
        if labelled >= LEAST:
            return [f"all {labelled:,} labelled rows have the same labels, so none can be judged: taken as they are"]
        return [f"too few of {len(observed):,} rows have labels to judge them: taken as they are"]
    kind, shown = noise_kind(posterior), posterior.shown
    if not shown.any():
        return [f"nothing in the data shows the labels of {labelled:,} labelled rows: they are not judged"]
    lines = [f"the labels of {labelled:,} labelled rows look right"]
    if kind != "none":
        lines = [f"about {100 * posterior.rate:.0f} % of {labelled:,} labelled rows look wrong: {LIKE[kind]}"]
    if posterior.wrong_pairs > 0:
        lines[0] += f"; about {100 * posterior.wrong_pairs:.0f} % of the pairs look wrong"
    if names is None:
        return lines
    hidden = [f"`{names[c]}`" for c in ((observed.sum(0) > 0) & ~shown).nonzero().squeeze(1).tolist()]
    if hidden:
        more = f" and {len(hidden) - most:,} more" if len(hidden) > most else ""
        lines.append(f"nothing in the data shows {', '.join(hidden[:most])}{more}: these labels are not judged")
    if kind == "none":
        return lines
    for truth, label, rate in confusions(posterior)[:most]:
        if rate >= NONE:
            lines.append(f"about {100 * rate:.0f} % of `{names[truth]}` are labelled `{names[label]}`")
    return lines
