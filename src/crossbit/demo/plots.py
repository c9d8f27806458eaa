"""The report's curves: matplotlib's SVG with the page's CSS variables for colours, which follow light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Drawn in these, written as var(--name): matplotlib knows no CSS variables.
COLOURS = {
    name: f"#0000{number:02x}" for number, name in enumerate(("ink", "muted", "rule", "good", "bad", "third"), 1)
}
SIZE = 4.3, 2.75  # inches; a point is a CSS pixel at a width of 310, so that text stays readable on a phone
BINS = 60
Curve = tuple[Sequence[float], Sequence[float]]  # epochs, values


def loss_curves(curves: Mapping[str, Curve], warmup: int | None) -> Markup:
    """Loss by epoch, a named curve a run; `warmup`: after how many epochs the samples are chosen."""
    figure, axes = _axes("epoch", "loss")
    ends = []
    for (name, (epochs, values)), colour in zip(curves.items(), ("good", "muted", "third"), strict=False):
        axes.plot(epochs, values, color=COLOURS[colour], linewidth=1.6)
        ends.append((values[-1], name, colour))
    _mark_warmup(axes, warmup)
    _label_ends(axes, ends)
    return _svg(figure, "Loss by epoch: " + ", ".join(curves))


def share_curves(curves: Mapping[str, Curve], level: tuple[str, float] | None, warmup: int | None) -> Markup:
    """Shares from 0 to 1 by epoch; `level` is a named line to compare them with."""
    figure, axes = _axes("epoch", "share")
    axes.set_ylim(0, 1.03)
    ends = []
    for (name, (epochs, values)), colour in zip(curves.items(), ("ink", "good", "third"), strict=False):
        axes.plot(epochs, values, color=COLOURS[colour], linewidth=1.6)
        ends.append((values[-1], name, colour))
    if level is not None:
        axes.axhline(level[1], color=COLOURS["muted"], linewidth=0.9, linestyle=(0, (1, 2)))
        ends.append((level[1], level[0], "muted"))
    _mark_warmup(axes, warmup)
    _label_ends(axes, ends)
    return _svg(figure, "By epoch: " + ", ".join(curves))


def loss_histogram(
    losses: np.ndarray, clean: np.ndarray | None, mixture: Mapping[str, Any] | None, cut: float | None
) -> Markup:
    """Per-sample losses, clean and noisy in two colours, the fitted mixture over them, and where trust ends."""
    figure, axes = _axes("loss of a sample", "samples")
    edges = np.linspace(losses.min(), losses.max() + 1e-9, BINS + 1)
    groups = {"all": losses} if clean is None else {"clean": losses[clean], "corrupted": losses[~clean]}
    below = np.zeros(BINS)  # noisy samples stand on the clean ones: the outline is all samples, as the mixture is
    for (name, values), colour in zip(groups.items(), ("good", "bad"), strict=False):
        counts = np.histogram(values, edges)[0]
        steps = axes.stairs(below + counts, edges, baseline=below, fill=True, label=f"{name}: {len(values):,}")
        steps.set(facecolor=COLOURS[colour], alpha=0.55, linewidth=0)
        below += counts
    highest = float(below.max())
    if mixture is not None:
        _draw_mixture(axes, mixture, len(losses) * (edges[1] - edges[0]))
    if cut is not None:
        axes.axvline(cut, color=COLOURS["ink"], linewidth=0.9, linestyle=(0, (1, 2)))
        room = cut - edges[0] > 0.2 * (edges[-1] - edges[0])  # left of the line, where the trusted ones are
        side, text = ("right", "← trusted ") if room else ("left", " ← trusted")
        axes.text(cut, highest * 1.13, text, fontsize=7, color=COLOURS["ink"], va="top", ha=side)
    axes.set_ylim(0, highest * 1.15)
    axes.legend(frameon=False, fontsize=7.5, labelcolor=COLOURS["ink"], loc="upper right", handlelength=1.2)
    return _svg(figure, "Histogram of the samples' losses: " + ", ".join(groups))


def _draw_mixture(axes: Axes, mixture: Mapping[str, Any], area: float) -> None:
    """The components' densities over scaled losses, as expected counts a bin over the losses themselves."""
    low, high = mixture["low"], mixture["high"]
    scaled = np.linspace(0, 1, 400)
    for mean, variance, weight, style in zip(
        mixture["means"], mixture["variances"], mixture["weights"], ("-", (0, (4, 2))), strict=True
    ):
        density = weight * np.exp(-((scaled - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        label = "mixture: low component" if style == "-" else "mixture: high component"
        losses = low + scaled * (high - low)
        axes.plot(
            losses, density / (high - low) * area, color=COLOURS["ink"], linewidth=1, linestyle=style, label=label
        )


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x, fontsize=8, color=COLOURS["muted"])
    axes.set_ylabel(y, fontsize=8, color=COLOURS["muted"])
    axes.tick_params(labelsize=7.5, colors=COLOURS["muted"], length=2.5, width=0.6)
    axes.grid(axis="y", color=COLOURS["rule"], linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(COLOURS["muted"])
        spine.set_linewidth(0.6)
    return figure, axes


def _mark_warmup(axes: Axes, warmup: int | None) -> None:
    """Shade the epochs in which everything is trusted."""
    if not warmup:
        return
    axes.axvspan(axes.get_xlim()[0], warmup + 0.5, facecolor=COLOURS["rule"], alpha=0.35, linewidth=0)
    axes.text(1, 0.02, "warm-up", transform=axes.get_xaxis_transform(), fontsize=7, color=COLOURS["muted"])
    axes.set_xlim(left=0.5)


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Names at the right ends of curves, moved apart where they would overlap."""
    bottom, top = axes.get_ylim()
    step, previous = (top - bottom) * 0.075, -np.inf
    for value, name, colour in sorted(ends):
        previous = max(value, previous + step)
        place = (1.015, previous)
        axes.annotate(
            name,
            place,
            xycoords=("axes fraction", "data"),
            fontsize=7.5,
            color=COLOURS[colour],
            va="center",
            annotation_clip=False,
        )


def _svg(figure: Figure, title: str) -> Markup:
    """The figure as an element: no ids but those referred to, no outside names, colours as CSS variables."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = (
        re.sub(r' (xmlns(:\w+)?|version|width|height)="[^"]*"', "", text[: text.index(">")]) + text[text.index(">") :]
    )
    used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text))
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1))
