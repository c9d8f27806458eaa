"""The rows of an audit: what looks wrong about each, ranked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crossbit.audit.alike import Neighbour
from crossbit.audit.families import together
from crossbit.audit.judged import Judged, item_of
from crossbit.audit.lists import WORTH
from crossbit.audit.neighbours import Counts, label_reason, pair_reason


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


def rank(judged: Judged) -> list[SuspectRow]:
    """All labelled rows, the likeliest wrong first; then rows without labels whose pair is worth a look."""
    entries: list[SuspectRow] = []
    for modality, (observed, corrupted) in judged.witnesses.items():
        labelled = np.flatnonzero(observed.any(1))
        entries += entries_of(judged, modality, observed, corrupted, labelled)
    entries = _together(entries)
    labelled = judged.seen.view.observed().any(1).numpy()
    others = np.flatnonzero(~labelled & (judged.wrong_pair >= WORTH))
    nothing = np.zeros_like(judged.p)
    more = entries_of(judged, None, nothing, np.full(len(nothing), np.nan), others)
    entries += sorted(more, key=lambda e: (-e.wrong_pair, e.row))
    return [replace(entry, rank=number) for number, entry in enumerate(entries, start=1)]


def _together(entries: list[SuspectRow]) -> list[SuspectRow]:
    """By evidence, the strongest first; suspects of one family follow the first of them, which names the family."""
    entries = sorted(entries, key=lambda e: (-(e.evidence or 0.0), e.row, e.modality or ""))
    suspects = [number for number, entry in enumerate(entries) if entry.suspect]
    others = [number for number, entry in enumerate(entries) if not entry.suspect]
    order = together(np.array(suspects, np.int64), np.array([entry.family for entry in entries], np.int64))
    first: dict[int, int] = {}
    for number in order:
        first.setdefault(entries[number].family, entries[number].row)
    ranked = [replace(entries[n], family=first[entries[n].family]) for n in order]
    return ranked + [replace(entries[n], family=entries[n].row) for n in others]


def entries_of(
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
            **item_of(judged.seen, modality, row),
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
