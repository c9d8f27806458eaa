"""Evaluate a model: encode queries and database once per modality, and score them as its method ranks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.evaluation.measure import Empty, Measure, check_choice
from crossbit.evaluation.measures import MeanAveragePrecision
from crossbit.evaluation.passes import as_measure
from crossbit.evaluation.quality import code_quality
from crossbit.evaluation.rankings import Array, Metric
from crossbit.evaluation.report import DATABASES, Protocol, Report
from crossbit.evaluation.scoring import Labels, score_codes, score_vectors
from crossbit.evaluation.ties.counts import Cutoff, Ties


def score_model(
    model: Any,
    query: Mapping[str, Any],
    retrieval: Mapping[str, Any] | None,
    query_labels: Labels,
    retrieval_labels: Labels,
    *,
    measures: Sequence[str | Measure] = (),
    curves: bool = False,
    per_query: bool = False,
    quality: bool = False,
    **options: Any,
) -> Report:
    """Encode rows of every modality once and score them as the model's method ranks: by codes, or by real vectors.

    Args:
        model: as for `evaluate`.
        query, retrieval: by modality what the model encodes; `retrieval` None: the queries against themselves.
        query_labels, retrieval_labels, options: as for `score_codes`.
        measures, curves, per_query: as for `score_codes`. Of a method that ranks by real vectors the curves and single
            queries are those of the vectors; a measure with a metric is taken of what is ranked by it.
        quality: whether the report is to have the `code_quality` of the database.
    """
    options["database"] = "query" if retrieval is None else "retrieval"
    further = [as_measure(measure) for measure in measures]
    real = getattr(model, "metric", "hamming") == "cosine"
    make: Callable[..., Array] = model.embed if real else model.encode
    start = time.perf_counter()
    made = {modality: make(modality, rows) for modality, rows in query.items()}
    other = made if retrieval is None else {modality: make(modality, rows) for modality, rows in retrieval.items()}
    seconds = time.perf_counter() - start
    sides = query_labels, retrieval_labels
    more: dict[str, Any] = {**options, "curves": curves, "per_query": per_query}
    if real:
        report = score_vectors(made, other, *sides, measures=_ranked_by(further, "cosine"), **more)
        signs, others = ({modality: pack(vectors) for modality, vectors in of.items()} for of in (made, other))
        codes = score_codes(signs, others, *sides, measures=_ranked_by(further, "hamming"), **options)
        report = replace(report, bits=codes.bits, codes_map=codes.map, codes_figures=codes.figures)
        report = replace(report, codes_figures_empty_queries=codes.figures_empty_queries)
    else:
        report = score_codes(made, other, *sides, measures=further, **more)
    of_database = {modality: code_quality(codes) for modality, codes in other.items()} if quality else {}
    return replace(report, seconds={"encode": seconds, **report.seconds}, quality=of_database)


def _ranked_by(measures: list[Measure], metric: Metric) -> list[Measure]:
    return [measure for measure in measures if measure.metric in (None, metric)]


def evaluate(
    model: Any,
    data: Any,
    *,
    database: str = "retrieval",
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
    measures: Sequence[str | Measure] = (),
    curves: bool = False,
    per_query: bool = False,
) -> Report:
    """Encode the queries and the database of `data` with `model`, each modality once, and score the codes.

    Args:
        model: anything with `encode(modality, rows) -> packed codes` and a name `method`; `modalities` where it
            knows other ones than the data, `selection` where it says how its epoch was chosen; `metric` "cosine"
            and `embed(modality, rows) -> real vectors` where those are what it ranks by.
        data: PairedData. Evaluation uses its true labels, never the observed ones.
        database: "retrieval": the retrieval rows; "query": the queries against themselves, own pair included.
        k, cutoff, ties, empty: as for `mean_average_precision`.
        measures, curves, per_query: as for `score_model`.

    Raises:
        UserError: data without labels, queries or database rows; an unknown database or measure; see
            `mean_average_precision`.
    """
    if not hasattr(model, "encode") or not hasattr(data, "query"):
        given = f"{type(model).__name__} and {type(data).__name__}"
        raise UserError(f"evaluate takes a model and then data, got {given}; write evaluate(model, data)")
    check_choice("database", database, DATABASES)
    MeanAveragePrecision(k, cutoff, ties=ties, empty=empty)  # refuses an unknown choice before the work
    options: dict[str, Any] = {"k": k, "cutoff": cutoff, "ties": ties, "empty": empty}
    wanted: dict[str, Any] = {"curves": curves, "per_query": per_query, "quality": True}
    wanted["measures"] = [as_measure(measure) for measure in measures]
    modalities = list(getattr(model, "modalities", data.modalities))  # it may know fewer than the data holds
    labels, other = (_true_labels(data, split, modalities) for split in ("query", database))
    query = {modality: data.query[modality] for modality in modalities}
    retrieval = {m: data.retrieval[m] for m in modalities} if database == "retrieval" else None
    options |= {"data": data.name, "method": model.method}
    report = score_model(model, query, retrieval, labels, other, **wanted, **options)
    selection: Any = {"selection": model.selection} if hasattr(model, "selection") else {}
    protocol: Protocol = {**report.protocol, **selection}
    return replace(report, protocol=protocol)


def _true_labels(data: Any, split: str, modalities: list[str]) -> dict[str, Array]:
    """The truth for a split's rows, per modality."""
    rows = getattr(data, split)
    if not len(rows):
        raise UserError(f"{data.name}: split '{split}' has no rows; evaluation needs queries and a database")
    labels = {modality: data.modality_label.get(modality, data.label) for modality in modalities}
    if missing := [modality for modality, label in labels.items() if label is None]:
        raise UserError(
            f"{data.name} has no labels for {', '.join(missing)}; evaluation needs them to tell what is relevant"
        )
    return {modality: label[rows.index] for modality, label in labels.items()}
