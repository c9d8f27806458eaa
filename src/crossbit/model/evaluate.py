"""`crossbit.evaluate`: as `crossbit.evaluation.evaluate`, and a run or data may be given by name or path."""

from __future__ import annotations

import os
from typing import Any

from crossbit.data import load_data
from crossbit.evaluation import Report
from crossbit.evaluation import evaluate as evaluate_model
from crossbit.model.model import load_model


def evaluate(model: Any, data: Any, **options: Any) -> Report:
    """Encode the queries and the database of `data` with `model` and score them.

    Args:
        model: a model, or the path of its run folder.
        data: PairedData, a built-in name, or a path. Evaluation uses its true labels, never the observed ones.
        options: as for `crossbit.evaluation.evaluate`: database, k, cutoff, ties, empty, measures, curves, per_query.

    Raises:
        UserError: no such run or data; or as `crossbit.evaluation.evaluate`.
    """
    model = load_model(model) if isinstance(model, str | os.PathLike) else model
    return evaluate_model(model, load_data(os.fspath(data)) if isinstance(data, str | os.PathLike) else data, **options)
