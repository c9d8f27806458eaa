"""The rows of an audit: what looks wrong about each, ranked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from crossbit.audit.alike import Neighbour, heaviest, regression
from crossbit.audit.families import families, together
from crossbit.audit.neighbours import Counts, count_neighbours, label_reason, pair_reason
from crossbit.audit.seen import Seen
from crossbit.posterior import Posterior
from crossbit.posterior.smoother import Smoother

TINY = 1e-12  # probabilities are kept this far from 0 and 1 before their odds are taken
WORTH = 0.1  # probability from which a row is worth a look, and has its reason told


@dataclass(frozen=True)
class SuspectRow:
    """One row, or one modality of it where each has its own labels; the columns of `audit.parquet`.

    Attributes:
        rank: from 1, the likeliest wrong first.
        row: its number in the data.
        modality: whose labels these are, where each modality has its own; else None.
        probability: that its observed labels are not the true ones; None where it has none.
        evidence: log-odds of that, by which rows are ranked.
        family: the first row, in this order, of those that show the same thing; it stands for all of them.
        observed: names of its labels.
        suggested: what they probably are.
        wrong: labels that it has and probably should not, with the probability of that.
        missing: labels that it lacks and probably should have, with the probability of that.
        wrong_pair: the probability that its modalities do not belong together.
        reason: in words; empty where it is not worth a look.
        pair_reason: why the pair looks wrong, in words; empty where it does not.
        partner: the row that its other modalities came from: itself, unless the run shuffled pairs.
        injected: whether the run's own noise changed its label; None where the run changed none.
        neighbours: the labelled rows that weigh most in the prediction; empty where it is not worth a look.
        caption, path: of the data, where it has them.
    """

    rank: int
    row: int
    modality: str | None
    probability: float | None
    evidence: float | None
    family: int
    observed: list[str]
    suggested: list[str]
    wrong: list[tuple[str, float]]
    missing: list[tuple[str, float]]
    wrong_pair: float
    reason: str
    pair_reason: str
    partner: int
    injected: bool | None
    neighbours: list[Neighbour]
    caption: str | None
    path: str | None

    @property
    def suspect(self) -> bool:
        """Whether its labels are worth a look."""
        return self.probability is not None and (self.probability >= WORTH or bool(self.wrong or self.missing))


@dataclass
class Judged:
    """The posterior of what a run saw, and what is made of it."""

    seen: Seen
    posterior: Posterior
    alike: np.ndarray | None  # groups that are not counted as each other's neighbours
    p: np.ndarray = field(init=False)  # (n, c)
    wrong_pair: np.ndarray = field(init=False)  # (n,)
    family: np.ndarray = field(init=False)  # (n,)

    def __post_init__(self) -> None:
        self.p = self.posterior.labels.cpu().numpy()
        right = self.posterior.right
        self.wrong_pair = np.zeros(len(self.p)) if right is None else 1 - right.cpu().numpy()
        view = self.seen.view
        self.family = families({m: x.numpy() for m, x in view.features.items()}, view.groups)

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
        view = self.seen.view
        return {
            modality: count_neighbours(x.numpy(), view.labels[modality].numpy(), rows, self.alike)
            for modality, x in view.features.items()
        }

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
        smoother = self.smoother if len(positions) else None
        if smoother is None:
            return [[] for _ in positions]
        view = self.seen.view
        observed = view.observed().numpy() > 0
        near, weight = heaviest(smoother, view.features, np.flatnonzero(observed.any(1)), positions, self.family)
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

    def _neighbour(self, position: int, observed: np.ndarray, weight: float) -> Neighbour:
        item = _item(self.seen, None, position)
        row = int(self.seen.view.rows[position])
        labels = [self.seen.names[c] for c in np.flatnonzero(observed)]
        return Neighbour(row, item["caption"] or item["path"] or f"row {row}", labels, float(weight))


def rank(judged: Judged) -> list[SuspectRow]:
    """All labelled rows, the likeliest wrong first; then rows without labels whose pair is worth a look."""
    entries: list[SuspectRow] = []
    for modality, (observed, corrupted) in judged.witnesses.items():
        labelled = np.flatnonzero(observed.any(1))
        entries += _entries(judged, modality, observed, corrupted, labelled)
    entries = _together(entries)
    labelled = judged.seen.view.observed().any(1).numpy()
    others = np.flatnonzero(~labelled & (judged.wrong_pair >= WORTH))
    nothing = np.zeros_like(judged.p)
    more = _entries(judged, None, nothing, np.full(len(nothing), np.nan), others)
    entries += sorted(more, key=lambda e: (-e.wrong_pair, e.row))
    return [dataclasses.replace(entry, rank=number) for number, entry in enumerate(entries, start=1)]


def _together(entries: list[SuspectRow]) -> list[SuspectRow]:
    """By evidence, the strongest first; suspects of one family follow the first of them, which names the family."""
    entries = sorted(entries, key=lambda e: (-(e.evidence or 0.0), e.row, e.modality or ""))
    suspects = [number for number, entry in enumerate(entries) if entry.suspect]
    others = [number for number, entry in enumerate(entries) if not entry.suspect]
    order = together(np.array(suspects, np.int64), np.array([entry.family for entry in entries], np.int64))
    first: dict[int, int] = {}
    for number in order:
        first.setdefault(entries[number].family, entries[number].row)
    ranked = [dataclasses.replace(entries[n], family=first[entries[n].family]) for n in order]
    return ranked + [dataclasses.replace(entries[n], family=entries[n].row) for n in others]


def _entries(
    judged: Judged, modality: str | None, observed: np.ndarray, corrupted: np.ndarray, rows: np.ndarray
) -> Iterator[SuspectRow]:
    """Entries of these positions, which have these labels (n, c), wrong with these probabilities (n,)."""
    p, given = judged.p[rows], observed[rows] > 0
    labelled = given.any(1)
    doubtful = ((given & (p < 0.5)) | (~given & (p > 0.5))).any(1) & labelled
    worth = doubtful | (np.nan_to_num(corrupted[rows]) >= WORTH) | (judged.wrong_pair[rows] >= WORTH)
    told = np.flatnonzero(worth)
    counts = judged.counts(rows[told]) if len(told) else {}
    place = np.full(len(rows), -1)
    place[told] = np.arange(len(told))
    near = judged.neighbours(rows[told])
    evidence = judged.evidence(modality, corrupted)
    for k, row in enumerate(rows):
        wrong_pair = float(judged.wrong_pair[row])
        reason = _reason(judged, counts, place[k], p[k], given[k]) if place[k] >= 0 and labelled[k] else ""
        why = pair_reason(judged.seen.names, counts, place[k]) if wrong_pair >= WORTH else ""
        yield SuspectRow(
            rank=0,
            row=int(judged.seen.view.rows[row]),
            modality=modality,
            probability=float(corrupted[row]) if labelled[k] else None,
            evidence=float(evidence[row]) if labelled[k] else None,
            family=int(judged.family[row]) if labelled[k] else int(judged.seen.view.rows[row]),
            **_labels(judged, p[k], given[k]),
            wrong_pair=wrong_pair,
            reason=reason,
            pair_reason=why,
            partner=int(judged.seen.partner[row]),
            neighbours=near[place[k]] if place[k] >= 0 else [],
            **_item(judged.seen, modality, row),
        )


def _labels(judged: Judged, p: np.ndarray, given: np.ndarray) -> dict[str, Any]:
    """Names of a row's labels, and of what looks wrong about them, the likeliest first."""
    names = judged.seen.names
    if judged.posterior.single:
        likely = [int(p.argmax())]
    else:
        likely = np.flatnonzero(p > 0.5).tolist() or [int(p.argmax())]
    wrong = [(names[c], float(1 - p[c])) for c in np.flatnonzero(given & (p < 0.5))]
    missing = [(names[c], float(p[c])) for c in np.flatnonzero(~given & (p > 0.5))] if given.any() else []
    return {
        "observed": [names[c] for c in np.flatnonzero(given)],
        "suggested": [names[c] for c in likely],
        "wrong": sorted(wrong, key=lambda one: -one[1]),
        "missing": sorted(missing, key=lambda one: -one[1]),
    }


def _reason(judged: Judged, counts: dict[str, Counts], place: int, p: np.ndarray, given: np.ndarray) -> str:
    """About the given label that is least likely, and the likeliest that is missing or that the neighbours have."""
    lacking = np.where(given, -1.0, p)
    other = int(lacking.argmax()) if lacking.max() > 0.5 or judged.posterior.single else None
    least = int(np.where(given, p, np.inf).argmin())
    wrong = p[least] < 0.5 or other is None or judged.posterior.single
    if other is None:
        carried = np.where(given, 0, sum(found.carry[place] for found in counts.values()))
        other = int(carried.argmax()) if carried.max() > 0 else None
    return label_reason(judged.seen.names, counts, place, least if wrong else None, other)


def _item(seen: Seen, modality: str | None, position: int) -> dict[str, Any]:
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
