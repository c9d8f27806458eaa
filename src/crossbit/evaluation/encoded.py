"""Score what a model, or anyone, made of some rows: codes, the vectors behind them, and what orders a shortlist."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.evaluation.measure import Measure
from crossbit.evaluation.questions import Answer, answers
from crossbit.evaluation.rankings import Metric
from crossbit.evaluation.report import Report
from crossbit.evaluation.scoring import Labels, score_codes, score_reranked, score_vectors

Arrays = Mapping[str, npt.ArrayLike]


@dataclass(frozen=True)
class Encoded:
    """The same rows of every modality, by modality; what there is not is empty.

    Attributes:
        codes: packed, uint8 (rows, bits // 8).
        vectors: real (rows, d), where a method ranks by them.
        order: real (rows, e), what orders a shortlist.
    """

    codes: Arrays = field(default_factory=dict)
    vectors: Arrays = field(default_factory=dict)
    order: Arrays = field(default_factory=dict)

    @property
    def metrics(self) -> list[Metric]:
        """By what these rows can be ranked, the method's own way first."""
        held: dict[Metric, Any] = {"cosine": self.vectors, "hamming": self.codes, "reranked": self.order}
        return [metric for metric, arrays in held.items() if arrays]

    @property
    def rows(self) -> int:
        """How many there are of each modality."""
        return len(np.asarray(next(iter((self.vectors or self.codes).values()))))


def score_encoded(
    query: Encoded,
    database: Encoded | None,
    query_labels: Labels,
    database_labels: Labels,
    *,
    measures: Sequence[Measure] = (),
    questions: Sequence[Measure] = (),
    curves: bool = False,
    per_query: bool = False,
    **options: Any,
) -> Report:
    """The report of the method's own ranking, with what the other rankings give beside it.

    Args:
        query, database: None: the queries against themselves.
        query_labels, database_labels, options: as for `score_codes`.
        measures: one that names its metric is taken of that ranking.
        questions: of `questions.questions`, those that the report is to answer.
        curves, per_query: as for `score_codes`, of the method's own ranking.
    """
    start = time.perf_counter()
    other, labels = database or query, (query_labels, database_labels)
    options["database"] = "retrieval" if database else "query"
    here = [measure for measure in questions if not measure.own_pair or database is None]
    reports: dict[Metric, Report] = {}
    for metric in query.metrics:
        asked = _ranked_by(measures, metric, query.metrics)
        if metric != "reranked" or asked or questions:
            own = {"curves": curves and not reports, "per_query": per_query and (not reports or metric == "reranked")}
            reports[metric] = _score(metric, query, other, *labels, measures=[*asked, *here], **own, **options)
    answered = answers(here, reports, *labels) | _of_pairs(query, [q for q in questions if q not in here])
    report = replace(_merged(reports, measures, query.metrics), questions=answered)
    return replace(report, seconds={"evaluate": time.perf_counter() - start})


def _of_pairs(query: Encoded, measures: Sequence[Measure]) -> dict[str, Answer]:
    """The answers of the queries among themselves: their own pairs are no part of the database."""
    own = np.arange(query.rows)
    options: dict[str, Any] = {"measures": measures, "database": "query"}
    reports = {metric: _score(metric, query, query, own, own, **options) for metric in query.metrics if measures}
    return answers(measures, reports, own, own)


def _score(metric: Metric, made: Encoded, other: Encoded, /, *labels: Labels, **options: Any) -> Report:
    if metric == "cosine":
        return score_vectors(made.vectors, other.vectors, *labels, **options)
    if metric == "hamming":
        return score_codes(made.codes, other.codes, *labels, **options)
    return score_reranked(made.codes, other.codes, made.order, other.order, *labels, **options)


def _ranked_by(measures: Sequence[Measure], metric: Metric, known: Sequence[Metric]) -> list[Measure]:
    """The measures that this ranking is asked for; the first takes those of no known metric, and refuses them."""
    own = [None, metric] if metric != "reranked" else [metric]
    return [m for m in measures if m.metric in own or (metric == known[0] and m.metric not in known)]


def _merged(reports: Mapping[Metric, Report], measures: Sequence[Measure], known: Sequence[Metric]) -> Report:
    """The first report, with what was asked of the others, and of codes beside vectors; questions left out."""
    first = _only(next(iter(reports.values())), _ranked_by(measures, known[0], known))
    if known[0] == "cosine" and "hamming" in reports:
        codes = _only(reports["hamming"], _ranked_by(measures, "hamming", known))
        first = replace(first, bits=codes.bits, codes_map=codes.map, codes_figures=codes.figures)
        first = replace(first, codes_figures_empty_queries=codes.figures_empty_queries)
    if asked := _ranked_by(measures, "reranked", known) if "reranked" in reports else []:
        other = _only(reports["reranked"], asked)
        first = replace(first, **{name: getattr(first, name) | getattr(other, name) for name in _BY_MEASURE})
    return first


_BY_MEASURE = ("figures", "figures_empty_queries", "figures_per_query")


def _only(report: Report, measures: Sequence[Measure]) -> Report:
    """The report with the figures of these measures alone."""
    names = {str(measure) for measure in measures}
    kept: dict[str, Any] = {
        of: {name: v for name, v in getattr(report, of).items() if name in names} for of in _BY_MEASURE
    }
    return replace(report, **kept)
