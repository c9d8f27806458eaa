"""The posterior of what a run saw, and what an audit makes of it: neighbours, families, weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from crossbit.audit.alike import HEAVIEST, Neighbour, heaviest, regression
from crossbit.audit.families import families
from crossbit.audit.likely import Likely
from crossbit.audit.neighbours import NEAREST, Counts, count_neighbours, nearest
from crossbit.audit.seen import Seen
from crossbit.posterior import Posterior
from crossbit.posterior.smoother import Smoother

TINY = 1e-12  # probabilities are kept this far from 0 and 1 before their odds are taken

Find = Callable[[np.ndarray], tuple[np.ndarray, ...]]


class Kept:
    """Arrays (n, k) whose rows are found when they are first asked for, as they do not depend on labels.

    >>> kept = Kept(3, lambda rows: (rows[:, None] * 10,), 1)
    >>> kept.of(np.array([2, 0]))[0].tolist()
    [[20], [0]]
    """

    def __init__(self, n: int, find: Find, k: int) -> None:
        self._find, self._shape = find, (n, k)
        self._known = np.zeros(n, bool)
        self._arrays: tuple[np.ndarray, ...] = ()

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """The arrays of these rows (q,)."""
        new = np.unique(rows[~self._known[rows]])
        if len(new) or not self._arrays:
            found = self._find(new)
            self._arrays = self._arrays or tuple(np.zeros(self._shape, array.dtype) for array in found)
            for held, array in zip(self._arrays, found, strict=True):
                held[new] = array
            self._known[new] = True
        return tuple(array[rows] for array in self._arrays)


@dataclass
class Judged:
    """The posterior of what a run saw, and what is made of it."""

    seen: Seen
    posterior: Posterior
    alike: np.ndarray | None  # groups that are not counted as each other's neighbours
    p: np.ndarray | Likely = field(init=False)  # (n, c)
    wrong_pair: np.ndarray = field(init=False)  # (n,)

    def __post_init__(self) -> None:
        self.p = self.posterior.labels.cpu().numpy()
        right = self.posterior.right
        self.wrong_pair = np.zeros(len(self.p)) if right is None else 1 - right.cpu().numpy()

    def moved(self, p: Likely, labels: np.ndarray, evidence: np.ndarray) -> Judged:
        """The same rows with other labels (n, c), of the pairs, and what follows from these."""
        view = replace(self.seen.view, labels=torch.from_numpy(labels))
        held = dict.fromkeys(self.posterior.evidence, torch.from_numpy(evidence))
        other = Judged(replace(self.seen, view=view), replace(self.posterior, evidence=held), self.alike)
        other.p = p
        other.family, other.near, other.heavy, other.smoother = self.family, self.near, self.heavy, self.smoother
        return other

    @cached_property
    def family(self) -> np.ndarray:
        """(n,) by number, the same for rows that show the same thing."""
        view = self.seen.view
        return families({m: x.numpy() for m, x in view.features.items()}, view.groups)

    @cached_property
    def near(self) -> dict[str, Kept]:
        """The nearest labelled rows (n, `NEAREST`) by modality, found when they are asked for."""
        view = self.seen.view

        def find(modality: str) -> Find:
            labelled = np.flatnonzero(view.labels[modality].numpy().any(1))
            return lambda rows: (nearest(view.features[modality].numpy(), labelled, rows, self.alike),)

        return {modality: Kept(len(view), find(modality), NEAREST) for modality in view.features}

    @cached_property
    def heavy(self) -> Kept:
        """The rows (n, `HEAVIEST`) that weigh most in the prediction, and their weights, found when asked for."""
        view, smoother = self.seen.view, self.smoother
        labelled = np.flatnonzero(view.observed().numpy().any(1))

        def find(rows: np.ndarray) -> tuple[np.ndarray, ...]:
            assert smoother is not None
            return heaviest(smoother, view.features, labelled, rows, self.family)

        return Kept(len(view), find, HEAVIEST)

    @property
    def witnesses(self) -> dict[str | None, tuple[np.ndarray, np.ndarray]]:
        """Each label array there is, (n, c), and the probability (n,) that it is wrong, by the modalities it is of."""
        corrupted, labels = self.posterior.corrupted, self.seen.view.labels
        alike: dict[int, list[str]] = {}
        for modality, wrong in corrupted.items():
            alike.setdefault(id(wrong), []).append(modality)
        found = {
            ", ".join(ms) if len(alike) > 1 else None: (labels[ms[0]].numpy(), corrupted[ms[0]].cpu().numpy())
            for ms in alike.values()
        }
        return found

    def counts(self, rows: np.ndarray) -> dict[str, Counts]:
        """What the neighbours of these rows carry, by modality."""
        labels = self.seen.view.labels
        return {m: count_neighbours(near.of(rows)[0], labels[m].numpy()) for m, near in self.near.items()}

    def evidence(self, modality: str | None, corrupted: np.ndarray) -> np.ndarray:
        """Log-odds (n,) that the labels of these modalities are wrong."""
        held = self.posterior.evidence
        if held:
            return (
                next(iter(held.values()) if modality is None else iter([held[modality.split(", ")[0]]])).cpu().numpy()
            )
        p = np.clip(corrupted, TINY, 1 - TINY)
        return np.log(p / (1 - p))

    def neighbours(self, positions: np.ndarray) -> list[list[Neighbour]]:
        """Of each of these positions the rows that weigh most."""
        if not len(positions) or self.smoother is None:
            return [[] for _ in positions]
        observed = self.seen.view.observed().numpy()
        near, weight = self.heavy.of(positions)
        return [
            [self._neighbour(other, observed[other], value) for other, value in zip(*one, strict=True) if other >= 0]
            for one in zip(near, weight, strict=True)
        ]

    @cached_property
    def smoother(self) -> Smoother | None:
        """The regression that predicted the labels; None where too few rows have any."""
        kernel, ridge, view = self.posterior.kernel, self.posterior.ridge, self.seen.view
        if kernel is None or ridge is None:
            return None
        labels = view.observed()
        labelled = labels.any(1)
        own = {modality: view.features[modality][labelled] for modality in kernel.weights}
        groups = None if self.alike is None else torch.from_numpy(self.alike)[labelled]
        return regression(own, labels[labelled], kernel, ridge, groups, view.random_seed(1))

    def item(self, position: int) -> dict[str, Any]:
        """Caption and path of a row."""
        told = item_of(self.seen, None, position)
        return {name: told[name] for name in ("caption", "path")}

    def _neighbour(self, position: int, observed: np.ndarray, weight: float) -> Neighbour:
        item = item_of(self.seen, None, position)
        row = int(self.seen.view.rows[position])
        labels = [self.seen.names[c] for c in np.flatnonzero(observed)]
        return Neighbour(row, item["caption"] or item["path"] or f"row {row}", labels, float(weight))


def item_of(seen: Seen, modality: str | None, position: int) -> dict[str, Any]:
    """What the data say of a row, and whether the run's own noise changed its label."""
    row, partner = int(seen.view.rows[position]), int(seen.partner[position])
    changed = None
    if "pair" in seen.changed:
        changed = bool(seen.changed["pair"][row])
    elif seen.changed:
        whose = modality.split(", ") if modality else list(seen.changed)
        first = seen.model.modalities[0]
        changed = any(bool(seen.changed[m][row if m == first else partner]) for m in whose if m in seen.changed)
    caption, path = seen.data.caption, seen.data.path
    if caption is None:
        caption = next((seen.data[m] for m in seen.model.modalities if seen.data.kind(m) == "words"), None)
    return {
        "injected": changed,
        "caption": None if caption is None else str(caption[partner]),
        "path": None if path is None else str(path[row]),
    }
