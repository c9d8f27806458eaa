"""Measures of retrieval, exact under ties, and reports that carry their protocol.

It needs arrays only, so it scores anyone's codes, and a model while it trains.
"""

from crossbit.evaluation.codes_file import score_file
from crossbit.evaluation.metrics import (
    average_precision,
    chance_level,
    mean_average_precision,
    precision_at,
    precision_recall_by_radius,
)
from crossbit.evaluation.report import Protocol, Report, evaluate, score_codes, score_model, score_vectors

__all__ = [
    "Protocol",
    "Report",
    "average_precision",
    "chance_level",
    "evaluate",
    "mean_average_precision",
    "precision_at",
    "precision_recall_by_radius",
    "score_codes",
    "score_file",
    "score_model",
    "score_vectors",
]
