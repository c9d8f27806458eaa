"""Evaluate a model: encode queries and database once per modality, and score them as its method ranks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.evaluation.measure import Empty, Measure, check_choice
from crossbit.evaluation.measures import Hit, MeanAveragePrecision
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
        data: PairedData. Evaluation uses its true labels, never the observed ones. Without labels the queries are
            searched themselves, only a query's own pair is correct, and `hit@10(correct=pair)` is measured if nothing
            else is asked for; the report's `map` is empty.
        database: "retrieval": the retrieval rows; "query": the queries against themselves, own pair included.
        k, cutoff, ties, empty: as for `mean_average_precision`.
        measures, curves, per_query: as for `score_model`.

    Raises:
        UserError: data without queries or database rows; an unknown database or measure; data without labels and a
            measure that needs them; see `mean_average_precision`.
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
    check_rows(data, "query", database)
    query = {modality: data.query[modality] for modality in modalities}
    options |= {"data": data.name, "method": model.method}
    if without := [modality for modality in modalities if modality not in _true_labels(data, "query")]:
        wanted["measures"] = _of_pairs(f"{data.name} has no labels for {', '.join(without)}", wanted, options)
        own = np.arange(len(data.query))
        report = without_map(score_model(model, query, None, own, own, **wanted, **options))
    else:
        retrieval = {m: data.retrieval[m] for m in modalities} if database == "retrieval" else None
        labels, other = (_true_labels(data, split) for split in ("query", database))
        report = score_model(model, query, retrieval, labels, other, **wanted, **options)
    selection: Any = {"selection": model.selection} if hasattr(model, "selection") else {}
    protocol: Protocol = {**report.protocol, **selection}
    return replace(report, protocol=protocol)


def without_map(report: Report) -> Report:
    """The report without mAP and what belongs to it: where no labels say what is relevant, it has no meaning."""
    return replace(report, map={}, spread={}, chance={}, codes_map={}, empty_queries={}, per_query={})


def check_rows(data: Any, *splits: str) -> None:
    """UserError where one of these splits has no rows."""
    for split in splits:
        if not len(getattr(data, split)):
            raise UserError(f"{data.name}: split '{split}' has no rows; evaluation needs queries and a database")


def _of_pairs(why: str, wanted: Mapping[str, Any], options: Mapping[str, Any]) -> list[Measure]:
    """The measures for data without labels; UserError where something was asked for that needs them."""
    asked = [str(measure) for measure in wanted["measures"] if not measure.own_pair]
    asked += ["curves"] if wanted["curves"] else []
    asked += ["mAP with a cut-off"] if options["k"] is not None else []
    if asked:
        raise UserError(f"{why}, which {asked[0]} needs; without labels take measures such as hit@1(correct=pair)")
    return wanted["measures"] or [Hit(10, correct="pair", ties=options["ties"])]


def _true_labels(data: Any, split: str) -> dict[str, Array]:
    """The truth for a split's rows, of the modalities that have any."""
    labels = {modality: data.modality_label.get(modality, data.label) for modality in data.modalities}
    index = getattr(data, split).index
    return {modality: label[index] for modality, label in labels.items() if label is not None}
