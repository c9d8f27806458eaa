"""The comparison with cleanlab: its figures on cases that can be told by hand, and the page it makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.studies import audit


def test_calibration_error() -> None:
    truth = np.array([1, 0, 1, 1, 0, 0])
    assert audit.calibration_error(np.array([1.0, 0, 1, 1, 0, 0]), truth) == 0
    assert audit.calibration_error(np.full(6, 0.5), truth) == 0
    p = np.array([0.95, 0.95, 0.95, 0.15, 0.15, 0.15])  # frequencies 2/3 and 1/3
    assert audit.calibration_error(p, truth) == pytest.approx(0.5 * (0.95 - 2 / 3) + 0.5 * (1 / 3 - 0.15))


def test_probabilities_have_not_seen_the_row() -> None:
    rng = np.random.default_rng(0)
    x = np.eye(60, 60) + 0.01 * rng.normal(size=(60, 60))  # each row its own direction: memory would be perfect
    y = np.eye(3)[rng.integers(3, size=60)]
    p = audit.out_of_fold(x, y, True, 0)
    assert p.sum(1) == pytest.approx(np.ones(60))
    assert (p.argmax(1) == y.argmax(1)).mean() < 0.6


@pytest.mark.parametrize("single", [True, False])
def test_probabilities_out_of_fold_follow_the_features(single: bool) -> None:
    rng = np.random.default_rng(1)
    y = np.eye(3)[rng.integers(3, size=90)]
    if not single:
        y[:, 0] = rng.integers(2, size=90)
    p = audit.out_of_fold(y @ rng.normal(size=(3, 5)) + 0.1 * rng.normal(size=(90, 5)), y, single, 0)
    assert ((p > 0.5) == (y > 0.5)).mean() > 0.9


def test_the_table_has_mean_and_deviation_and_is_rendered() -> None:
    figures = dict.fromkeys(("area", "brier", "calibration_error", "label_brier", "rate"), 0.25)
    kept: list[dict[str, Any]] = [
        {
            **{"data": "toy", "noise": "flip:0.5", "seed": seed, "rows": 10, "true_rate": rate},
            **{"frequencies_label_brier": 0.9, "crossbit": figures | {"area": rate}, "cleanlab": figures},
        }
        for seed, rate in enumerate((0.5, 0.7))
    ]
    (row,) = audit.table(kept)
    assert row["seeds"] == 2 and row["true_rate"]["mean"] == pytest.approx(0.6)
    assert row["crossbit"]["area"]["sd"] == pytest.approx(np.sqrt(0.02))
    page = audit.section({"cleanlab": "1.0", "cells": [row]})
    assert "toy, 10 rows, 2 seeds" in page and "| flip:0.5, crossbit | 0.600 ± 0.141 |" in page
