"""Measures of retrieval, exact under ties, and reports that carry their protocol.

It needs arrays only, so it scores anyone's codes, and a model while it trains.
"""

from crossbit.evaluation.files.codes_file import score_file
from crossbit.evaluation.measure import Measure
from crossbit.evaluation.measures import NDCG, P, P_radius, hit, known_measures, mAP, overlap, parse_measure, recall
from crossbit.evaluation.metrics import (
    average_precision,
    chance_level,
    mean_average_precision,
    precision_at,
    precision_recall_by_radius,
    precision_recall_by_rank,
)
from crossbit.evaluation.models import evaluate, score_model
from crossbit.evaluation.passes import figure
from crossbit.evaluation.quality import code_quality
from crossbit.evaluation.report import Protocol, Report
from crossbit.evaluation.scoring import score_codes, score_reranked, score_vectors

__all__ = [
    "NDCG",
    "Measure",
    "P",
    "P_radius",
    "Protocol",
    "Report",
    "average_precision",
    "chance_level",
    "code_quality",
    "evaluate",
    "figure",
    "hit",
    "known_measures",
    "mAP",
    "mean_average_precision",
    "overlap",
    "parse_measure",
    "precision_at",
    "precision_recall_by_radius",
    "precision_recall_by_rank",
    "recall",
    "score_codes",
    "score_file",
    "score_model",
    "score_reranked",
    "score_vectors",
]
