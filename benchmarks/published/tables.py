"""Accuracy runs as a table: means, and the difference to the published code."""

from __future__ import annotations

from typing import Any

import numpy as np

SETUP = ("data", "modalities", "scale", "bits", "width", "epochs", "lr")  # runs that differ in one are not compared


def setup_of(run: dict[str, Any]) -> dict[str, Any]:
    """What a run was made with; lines of an earlier form lack what had no choice then."""
    chosen = {key: run[key] for key in SETUP if run.get(key) is not None}
    return {"modalities": ["image", "text"], "scale": False} | chosen


def table(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation per variant and direction; the difference to the published code and its standard error.

    Where the runs are of several setups, a variant's name is followed by what it does not share with the others.
    """
    setups = [setup_of(run) for run in runs]
    varying = [key for key in SETUP if len({str(setup.get(key)) for setup in setups}) > 1]
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for run, setup in zip(runs, setups, strict=True):
        precision = run.get("precision", "32")
        variant = run["variant"] if precision == "32" else f"{run['variant']}, {precision}"
        suffix = "".join(f", {key} {setup.get(key)}" for key in varying)
        for direction, value in run["map"].items():
            values.setdefault((variant, suffix), {}).setdefault(direction, []).append(value)
    return {
        variant + suffix: {
            d: summary(x, base.get(d, []) if base is not directions else []) for d, x in directions.items()
        }
        for (variant, suffix), directions in values.items()
        for base in [values.get(("published", suffix), {})]
    }


def summary(values: list[float], base: list[float]) -> dict[str, Any]:
    """Mean and deviation; against the published code's values, the difference, its error, and whether it holds."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    entry: dict[str, Any] = {"mean": float(np.mean(values)), "sd": spread, "seeds": len(values)}
    if min(len(values), len(base)) > 1:
        error = float(np.sqrt(np.var(values, ddof=1) / len(values) + np.var(base, ddof=1) / len(base)))
        difference = float(np.mean(values) - np.mean(base))
        holds = difference >= -max(0.005, 2 * error)
        entry |= {"minus_published": difference, "standard_error": error, "not_below": holds}
    return entry
