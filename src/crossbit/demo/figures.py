"""The report's plots of the training, drawn from a `Story`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from crossbit.demo import plots
from crossbit.demo.work import Story


def training_plots(story: Story) -> dict[str, Markup | None]:
    """The loss by epoch; for a method that trusts some samples, which; the last epoch's loss of each sample."""
    warmup = story.model.config["settings"].get("warmup")
    return {"loss": losses(story, warmup), "trust": trust(story, warmup), "samples": histogram(story)}


def losses(story: Story, warmup: int | None) -> Markup:
    """Loss by epoch, with and without the part that is left out."""
    curves = {"loss": curve(story.model.history, "loss")}
    if story.without is not None:
        curves = {story.model.method: curves["loss"], story.without.ablation: curve(story.without.history, "loss")}
    return plots.loss_curves({name: points for name, points in curves.items() if points[0]}, warmup)


def trust(story: Story, warmup: int | None) -> Markup | None:
    """Share, precision and recall of the trusted samples."""
    names = {"trusted": "trusted", "trusted_precision": "precision", "trusted_recall": "recall"}
    curves = {label: curve(story.model.history, key) for key, label in names.items()}
    curves = {label: points for label, points in curves.items() if points[0]}
    if "trusted" not in curves:
        return None
    level = ("clean pairs", 1 - float(story.noisy.mean())) if story.noisy.any() else None
    return plots.share_curves(curves, level, warmup)


def histogram(story: Story) -> Markup | None:
    """Losses of the last epoch's samples, and where trust ends if there is one such loss."""
    rows = story.model.rows
    if "sample_loss" not in rows:
        return None
    values, trusted = rows["sample_loss"].astype(float), rows.get("trusted")
    clean = ~story.noisy if story.noisy.any() else None
    cut = None
    if trusted is not None and 0 < trusted.sum() < len(trusted) and values[trusted].max() < values[~trusted].min():
        cut = float(values[trusted].max())
    return plots.loss_histogram(values, clean, story.model.history[-1].get("mixture"), cut)


def curve(history: Sequence[Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Epochs and values of a figure, where it is a number."""
    points = [(line["epoch"], line[key]) for line in history if isinstance(line.get(key), (int, float))]
    return [epoch for epoch, _ in points], [value for _, value in points]
