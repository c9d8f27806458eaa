"""Evaluate a model: encode queries and database once per modality, and score them as its method ranks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.evaluation.encoded import Encoded, score_encoded
from crossbit.evaluation.measure import Empty, Measure, check_choice
from crossbit.evaluation.measures import Hit, MeanAveragePrecision
from crossbit.evaluation.passes import as_measure
from crossbit.evaluation.quality import code_quality
from crossbit.evaluation.questions import questions
from crossbit.evaluation.rankings import Array
from crossbit.evaluation.report import DATABASES, Protocol, Report
from crossbit.evaluation.scoring import Labels
from crossbit.evaluation.ties.counts import Cutoff, Ties


def score_model(
    model: Any,
    query: Mapping[str, Any],
    retrieval: Mapping[str, Any] | None,
    query_labels: Labels,
    retrieval_labels: Labels,
    *,
    measures: Sequence[str | Measure] = (),
    questions: Sequence[Measure] = (),
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
        questions: of `questions.questions`, those that the report is to answer.
        quality: whether the report is to have the `code_quality` of the database.
    """
    start = time.perf_counter()
    made = encoded(model, query)
    other = None if retrieval is None else encoded(model, retrieval)
    seconds = time.perf_counter() - start
    options |= {"measures": [as_measure(measure) for measure in measures], "questions": questions}
    options |= {"curves": curves, "per_query": per_query}
    report = score_encoded(made, other, query_labels, retrieval_labels, **options)
    database = other or made
    held = database.vectors or database.codes
    of_database = {modality: code_quality(codes) for modality, codes in held.items()} if quality else {}
    return replace(report, seconds={"encode": seconds, **report.seconds}, quality=of_database)


def encoded(model: Any, rows: Mapping[str, Any]) -> Encoded:
    """Rows by modality as a model gives them, each modality encoded once."""
    if not hasattr(model, "embed"):
        return Encoded({modality: model.encode(modality, given) for modality, given in rows.items()})
    wide = hasattr(model, "ordering")
    order = {modality: (model.ordering if wide else model.embed)(modality, given) for modality, given in rows.items()}
    vectors = {modality: whole[:, : model.bits] if wide else whole for modality, whole in order.items()}
    codes = {modality: pack(signed) for modality, signed in vectors.items()}
    return Encoded(codes, vectors if getattr(model, "metric", "hamming") == "cosine" else {}, order)


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
            knows other ones than the data, `selection` where it says how its epoch was chosen; `embed(modality, rows)
            -> real vectors` where codes are the signs of such, `metric` "cosine" where those are what it ranks by;
            `ordering(modality, rows) -> real
            vectors` where these have further columns, which order a shortlist; then `bits`, too.
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
    wanted["questions"] = questions(empty)
    wanted["measures"] = [as_measure(measure) for measure in measures]
    modalities = list(getattr(model, "modalities", data.modalities))  # it may know fewer than the data holds
    check_rows(data, "query", database)
    query = {modality: data.query[modality] for modality in modalities}
    options |= {"data": data.name, "method": model.method}
    if without := [modality for modality in modalities if modality not in _true_labels(data, "query")]:
        wanted["measures"] = _of_pairs(f"{data.name} has no labels for {', '.join(without)}", wanted, options)
        wanted["questions"] = questions(empty, labels=False)
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
