"""What a trained model is worth: its rows are encoded once, searched, and scored against every database asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

import numpy as np

from crossbit.bench.recipe.recipe import BenchProtocol
from crossbit.bits import pack, top_k
from crossbit.data.types import PairedData
from crossbit.evaluation import NDCG, Report, evaluate, parse_measure
from crossbit.model import Model

CHUNK = 8192  # rows fetched at a time; the arrays may be memory-mapped
NEAREST = 100  # of each query, searched for by the clock
GRADED = NDCG(gain="overlap") @ 10  # recorded beside what the recipe names and what every report answers


@dataclass
class Clock:
    """Seconds by part of the work: by the clock, and the processor's under `<part>_processor`.

    >>> clock = Clock()
    >>> with clock.over("train"):
    ...     pass
    >>> sorted(clock.seconds)
    ['train', 'train_processor']
    """

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def over(self, part: str) -> Iterator[None]:
        """Time what is done inside."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds[part] = time.perf_counter() - wall
        self.seconds[f"{part}_processor"] = time.process_time() - processor


@dataclass(frozen=True)
class Scored:
    """Figures as in `Result`; curves by database; average precision by (database, direction); codes as for a file."""

    figures: list[dict[str, Any]]
    curves: dict[str, Any]
    per_query: dict[tuple[str, str], np.ndarray]
    codes: dict[str, np.ndarray]


class Embedded:
    """A model whose outputs are the rows themselves, so that evaluating twice does not encode twice."""

    def __init__(self, model: Model) -> None:
        self.method, self.metric, self.selection = model.method, model.metric, model.selection
        self.modalities, self.bits = model.modalities, model.bits

    def ordering(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """The rows: they are the model's outputs already."""
        return rows

    def embed(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """The columns of which the codes are the signs."""
        return rows[:, : self.bits]

    def encode(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """Their signs, packed."""
        return pack(self.embed(modality, rows))


def score(model: Model, data: PairedData, protocol: BenchProtocol, clock: Clock) -> Scored:
    """Encode, search and evaluate; the seconds of each go to `clock`.

    Raises:
        UserError: as `crossbit.evaluate`, such as a measure that the data cannot give.
    """
    with clock.over("encode"):
        embedded = embed_rows(model, data)
    codes = {
        m: {s: pack(embedded[m][data.splits[s]][:, : model.bits]) for s in ("query", "retrieval")}
        for m in model.modalities
    }
    for once in (1, None):  # the first query compiles the kernels, where they are not
        with clock.over("search"):
            for a, b in permutations(codes, 2):
                top_k(codes[a]["query"][:once], codes[b]["retrieval"], NEAREST)
    vectors = [replace(GRADED, metric="cosine")] if model.metric == "cosine" else []
    measures = [*protocol.measures, GRADED, *vectors, replace(GRADED, metric="reranked")]
    more: dict[str, Any] = {"measures": measures, "curves": protocol.curves, "per_query": True}
    with clock.over("evaluate"):
        reports = {name: evaluate(Embedded(model), embedded, database=name, **more) for name in protocol.databases}
    return Scored(
        figures=_once(figure for name, report in reports.items() for figure in figures_of(name, report)),
        curves={name: report.curves for name, report in reports.items() if report.curves},
        per_query={(name, way): ap for name, report in reports.items() for way, ap in report.per_query.items()},
        codes=codes_file(model, embedded),
    )


def embed_rows(model: Model, data: PairedData) -> PairedData:
    """The data with the model's outputs, float32 (n, bits) or wider as `Model.ordering` gives them, in the place of its
    modalities; 0 where nobody looks."""
    rows = np.union1d(data.splits["query"], data.splits["retrieval"])
    made = {}
    for modality in model.modalities:
        parts = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
        outputs = np.concatenate([model.ordering(modality, data[modality][some]) for some in parts])
        made[modality] = np.zeros((data.n, outputs.shape[1]), np.float32)
        made[modality][rows] = outputs
    labels = {modality: label for modality, label in data.modality_label.items() if modality in made}
    return data.replace(modalities=made, modality_label=labels, modality_observed_label={})


def codes_file(model: Model, embedded: PairedData) -> dict[str, np.ndarray]:
    """The arrays that `crossbit score` takes: packed codes; or real vectors, where the method ranks by them."""
    label = embedded.label if embedded.label is not None else embedded.modality_label[model.modalities[0]]
    arrays = {}
    for split in ("query", "retrieval"):
        rows = embedded.splits[split]
        for modality in model.modalities:
            vectors = embedded[modality][rows][:, : model.bits]
            arrays[f"{split}_{modality}"] = vectors if model.metric == "cosine" else pack(vectors)
        arrays[f"{split}_label"] = label[rows]
    return arrays


def _once(figures: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each figure once: own pairs are in the report of every database."""
    return list(
        {tuple(figure[key] for key in ("database", "direction", "measure")): figure for figure in figures}.values()
    )


def figures_of(database: str, report: Report) -> Iterator[dict[str, Any]]:
    """Every figure of a report under its full name: mAP, its bounds by the order inside ties and its level of chance,
    further measures, and what a person asks, by codes and re-ranked."""
    measure = parse_measure(report.measure)
    named: list[tuple[str, Mapping[str, float]]] = [(report.measure, report.map)]
    for end, bound in zip(("worst", "best"), measure.bounds(), strict=True):
        named.append((str(bound), {way: ends[end] for way, ends in report.spread.items()}))
    if report.chance:
        named.append((measure.chance, report.chance))
    if report.codes_map:  # the signs of real vectors, by Hamming distance
        named.append((str(replace(measure, metric=None)), report.codes_map))
    named += [*report.figures.items(), *report.codes_figures.items()]
    places = {(database, name): values for name, values in named}
    for place, values in _answers(report):  # own pairs are always looked for among the queries
        places.setdefault(place, values)
    for (searched, name), values in places.items():
        for direction, value in values.items():
            yield {"database": searched, "direction": direction, "measure": name, "value": float(value)}


def _answers(report: Report) -> Iterator[tuple[tuple[str, str], Mapping[str, float]]]:
    """What a person asks: by database and name."""
    for name, answer in report.questions.items():
        measure = parse_measure(name)
        for metric, values in answer["figures"].items():
            named = measure if metric == "hamming" else replace(measure, metric=metric)
            yield (answer["database"], str(named)), values
        yield (answer["database"], measure.chance), answer["chance"]
