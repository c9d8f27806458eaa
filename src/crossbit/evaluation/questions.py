"""What a person asks of a search: a measure for each question, by codes and by the order that a search shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np

from crossbit.evaluation.measure import Empty, Measure
from crossbit.evaluation.measures import P, hit, mAP, overlap
from crossbit.evaluation.passes import figures_of
from crossbit.evaluation.rankings import HammingRanking, Metric
from crossbit.evaluation.report import Report
from crossbit.evaluation.scoring import Labels, labels_of

QUESTIONS: dict[Measure, str] = {
    mAP @ "all": "does all that shares a label come before the rest?",
    overlap @ 10: "have the first ten its labels, and no others?",
    P @ 10: "how many of the first ten share a label?",
    hit(correct="pair") @ 10: "is its own pair among the first ten?",
}


class Answer(TypedDict):
    """What is known of a question."""

    asks: str
    database: str  # "retrieval"; or "query": own pairs are looked for among the queries
    queries: int
    database_size: int
    figures: dict[str, dict[str, float]]  # by what ranks ("hamming", "reranked", "cosine") and direction
    chance: dict[str, float]  # by direction


def questions(empty: Empty, *, labels: bool = True) -> list[Measure]:
    """The measures that are asked of every model; without labels those of own pairs.

    >>> [str(measure) for measure in questions("skip", labels=False)]
    ['hit@10(correct=pair, ties=expected, empty=zero)']
    """
    asked = [measure for measure in QUESTIONS if labels or measure.own_pair]
    return [replace(measure, empty="zero") if empty == "zero" else measure for measure in asked]


def answers(
    measures: Sequence[Measure], reports: Mapping[Metric, Report], query_labels: Labels, database_labels: Labels
) -> dict[str, Answer]:
    """The answers that reports hold, by the measures' names, with what a random order would give.

    Args:
        measures: of `questions`, those that the reports have figures of.
        reports: by what ranks.
        query_labels, database_labels: what the reports were made with.
    """
    report = next(iter(reports.values()), None)
    if report is None or not measures:
        return {}
    chance = _chance(measures, report.directions, query_labels, database_labels)
    return {
        str(measure): {
            "asks": asks_of(measure),
            "database": report.protocol["database"],
            "queries": report.protocol["queries"],
            "database_size": report.protocol["database_size"],
            "figures": {metric: of.figures[str(measure)] for metric, of in reports.items()},
            "chance": {way: values[str(measure)] for way, values in chance.items()},
        }
        for measure in measures
    }


def _chance(
    measures: Sequence[Measure], ways: Sequence[str], query_labels: Labels, database_labels: Labels
) -> dict[str, dict[str, float]]:
    """By direction the figures of codes that are all alike, by name; directions of the same labels are counted once."""
    known: dict[tuple[int, int], dict[str, float]] = {}
    found = {}
    for way in ways:
        source, target = way.split("->")
        labels, other = labels_of(query_labels, source), labels_of(database_labels, target)
        if (key := (id(labels), id(other))) not in known:
            alike, same = (np.zeros((len(np.asarray(side)), 1), np.uint8) for side in (labels, other))
            known[key] = figures_of(HammingRanking.of(alike, same, labels, other), {str(m): m for m in measures})
        found[way] = known[key]
    return found


def asks_of(measure: Measure) -> str:
    """What a measure of `questions` asks, in plain words."""
    return next(asks for known, asks in QUESTIONS.items() if known in (measure, replace(measure, empty=known.empty)))
