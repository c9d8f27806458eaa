"""The small table: four measures of what a person asks, words to pictures and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crossbit.data.types import PairedData
from crossbit.demo.queries import modality_of
from crossbit.demo.ways import Way
from crossbit.evaluation import Report

# The measures by what they are called on the page; all but the first of the order that a search shows.
MEASURES = {
    "mAP@all": "mAP@all",
    "hit@10": "own pair among ten",
    "overlap@10": "labels in common",
    "P@10": "share a label",
}
Cells = dict[str, list[float]]  # by measure: words to pictures, and back


def table(ways: Sequence[Way], data: PairedData) -> dict[str, Cells]:
    """The figures of each way, and what a random order gives under "chance"."""
    return {way.name: _cells(way.report, data) for way in ways} | {"chance": _cells(ways[0].report, data, chance=True)}


def columns(report: Report) -> dict[str, dict[str, str]]:
    """By measure its heading, and what it asks."""
    answers = _answers(report)
    return {name: {"heading": heading, "asks": answers[name]["asks"]} for name, heading in MEASURES.items()}


def _cells(report: Report, data: PairedData, *, chance: bool = False) -> Cells:
    words, pictures = modality_of(data, "words"), modality_of(data, "pictures")
    cells = {}
    for name in MEASURES:
        answer = _answers(report)[name]
        of = answer["chance"] if chance else answer["figures"]["hamming" if name == "mAP@all" else "reranked"]
        cells[name] = [of[f"{words}->{pictures}"], of[f"{pictures}->{words}"]]
    return cells


def _answers(report: Report) -> dict[str, Any]:
    return {name.partition("(")[0]: answer for name, answer in report.questions.items()}
