"""What a run is worth on pairs that it never saw: each figure beside that of untrained features, and of chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch

from crossbit.bits import pack
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.evaluation import Report, parse_measure, score_model
from crossbit.evaluation.models import without_map
from crossbit.features.paired import features_of
from crossbit.model import Model
from crossbit.model.collapse import true_labels
from crossbit.training.floor import METHOD, Floor

QUERIES, ROWS = 1000, 5000  # looked at, at most: seconds, however large the data
CHUNK = 2048  # rows encoded together
OVERLAP, PAIR = "overlap@10(metric=reranked)", "hit@10(correct=pair, metric=reranked)"  # as a search orders them

Figures = dict[str, dict[str, float]]  # measure -> direction -> value


@dataclass(frozen=True)
class HeldOut:
    """Figures of held-out queries.

    Attributes:
        protocol: how they were measured, in a sentence.
        run, floor, chance: by measure and direction the run's figures, those of untrained features (`Floor`), and what
            a random order gives. The floor is empty for encoders that take pixels.
    """

    protocol: str
    run: Figures
    floor: Figures
    chance: Figures

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        return asdict(self)


def held_out(model: Model, data: PairedData) -> HeldOut:
    """Measure a run on its data's queries: mAP and label overlap where there are labels, and own pairs.

    Of many rows 1,000 queries, 5,000 rows of the database and 5,000 training pairs are taken, in even steps.

    Raises:
        UserError: no queries or no database.
    """
    sides = {name: _some(data.splits[name], most) for name, most in _SIZES.items()}
    for name in ("query", "retrieval"):
        if not len(sides[name]):
            raise UserError(f"{data.name}: split '{name}' has no rows")
    rows = np.unique(np.concatenate(list(sides.values())))
    at = {name: np.searchsorted(rows, of) for name, of in sides.items()}
    vectors = all(isinstance(each.dim, int) for each in model.featurisers.values())
    held: dict[str, Any] = {m: data[m][rows] for m in model.modalities}
    if vectors:
        held = {m: features_of(model.featurisers[m], data[m], rows) for m in model.modalities}
    labels = {name: true_labels(data, sides[name]) for name in ("query", "retrieval")}
    scorer = _Scorer(held, at, labels, model.modalities)
    run, chance = scorer.figures(_OfFeatures(model) if vectors else model)
    floor: Figures = {}
    for pair in combinations(model.modalities, 2) if vectors and len(at["train"]) > 1 else ():
        fitted = Floor.fit({m: held[m][at["train"]] for m in pair}, model.bits, model.metric)
        for name, of in scorer.figures(fitted, pair)[0].items():
            floor.setdefault(name, {}).update(of)
    return HeldOut(_protocol(sides, bool(floor), model), run, floor, chance)


_SIZES = {"query": QUERIES, "retrieval": ROWS, "train": ROWS}


class _OfFeatures:
    """A model that is given features."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.method, self.metric, self.bits = model.method, model.metric, model.bits

    @torch.inference_mode()
    def ordering(self, modality: str, rows: np.ndarray) -> np.ndarray:
        encoder, device = self._model.encoders[modality], self._model.device
        order, parts = getattr(encoder, "ordering", encoder), torch.from_numpy(rows).split(CHUNK)
        return np.concatenate([order(part.to(device)).float().cpu().numpy() for part in parts])

    def embed(self, modality: str, rows: np.ndarray) -> np.ndarray:
        return self.ordering(modality, rows)[:, : self.bits]

    def encode(self, modality: str, rows: np.ndarray) -> np.ndarray:
        return pack(self.embed(modality, rows))


@dataclass(frozen=True)
class _Scorer:
    """Scores whatever encodes the rows held, by the same rows and labels."""

    held: Mapping[str, Any]
    at: Mapping[str, np.ndarray]
    labels: Mapping[str, Mapping[str, np.ndarray]]
    modalities: list[str]

    def figures(self, encoder: Any, modalities: Any = None) -> tuple[Figures, Figures]:
        """The figures of an encoder and those of chance."""
        names = list(modalities or self.modalities)
        query, database = ({m: self.held[m][self.at[side]] for m in names} for side in ("query", "retrieval"))
        own, many = np.arange(len(self.at["query"])), len(self.at["query"])
        pairs = without_map(score_model(encoder, query, None, own, own, measures=[PAIR]))
        found, chance = {PAIR: _only(pairs)}, {PAIR: dict.fromkeys(_only(pairs), min(10, many) / many)}
        if any(set(names) - set(of) for of in self.labels.values()):
            return found, chance
        everything = str(parse_measure(f"overlap@{len(self.at['retrieval'])}"))  # of all items: of a random order
        sides = self.labels["query"], self.labels["retrieval"]
        try:
            report = score_model(encoder, query, database, *sides, measures=[OVERLAP, everything])
        except UserError:  # nothing is relevant to any query
            return found, chance
        overlap, expected = (report.figures[str(parse_measure(name))] for name in (OVERLAP, everything))
        return (
            {"mAP@all": report.map, OVERLAP: overlap, **found},
            {"mAP@all": report.chance, OVERLAP: expected, **chance},
        )


def _only(report: Report) -> dict[str, float]:
    (figures,) = report.figures.values()
    return figures


def _some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, in even steps, ascending."""
    rows = np.sort(rows)
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int)]


def _protocol(sides: Mapping[str, np.ndarray], floor: bool, model: Model) -> str:
    counts = {name: f"{len(of):,}" for name, of in sides.items()}
    said = (
        f"{counts['query']} held-out queries against {counts['retrieval']} of the database; own pairs among the queries"
    )
    beside = f"; floor: the same features untrained, by {METHOD} of {model.bits} bits on {counts['train']} pairs"
    return said + (beside if floor else "")
