"""The report's plots of a training that trusts some of its samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from crossbit.demo import plots
from crossbit.demo.ways import Way


def training_plots(way: Way) -> dict[str, Markup | None]:
    """The last epoch's loss of each sample; which samples are trusted, and the loss, by epoch."""
    warmup = way.model.config["settings"].get("warmup")
    loss = plots.loss_curves({"loss": curve(way.model.history, "loss")}, warmup)
    return {"samples": histogram(way), "trust": trust(way, warmup), "loss": loss}


def trust(way: Way, warmup: int | None) -> Markup:
    """Share, precision and recall of the trusted samples."""
    names = {"trusted": "trusted", "trusted_precision": "precision", "trusted_recall": "recall"}
    curves = {label: curve(way.model.history, key) for key, label in names.items()}
    curves = {label: points for label, points in curves.items() if points[0]}
    level = ("clean pairs", 1 - float(way.noisy.mean())) if way.noisy.any() else None
    return plots.share_curves(curves, level, warmup)


def histogram(way: Way) -> Markup | None:
    """Losses of the last epoch's samples, and where trust ends if there is one such loss."""
    rows = way.model.rows
    if "sample_loss" not in rows:
        return None
    values, trusted = rows["sample_loss"].astype(float), rows.get("trusted")
    clean = ~way.noisy if way.noisy.any() else None
    cut = None
    if trusted is not None and 0 < trusted.sum() < len(trusted) and values[trusted].max() < values[~trusted].min():
        cut = float(values[trusted].max())
    return plots.loss_histogram(values, clean, way.model.history[-1].get("mixture"), cut)


def curve(history: Sequence[Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Epochs and values of a figure, where it is a number."""
    points = [(line["epoch"], line[key]) for line in history if isinstance(line.get(key), (int, float))]
    return [epoch for epoch, _ in points], [value for _, value in points]
