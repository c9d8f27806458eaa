"""The curves of runs: precision and recall, precision@N, and what training did from epoch to epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.bench.report.accuracy import arrow, groups, searched
from crossbit.bench.report.cells import Cell, Row, Runs, cell_of, row_of
from crossbit.bench.report.style import Line, Panel, draw_panels, file_name
from crossbit.bench.work.store import Result, load_curves

ACROSS = 3  # panels beside one another
Curves = Mapping[str, Mapping[str, Any]]  # by run: by database, curve and direction
AXES = {"recall": "recall", "n": "first N of the ranking", "radius": "Hamming radius"}


def draw_traces(runs: Runs, out: Path, size: Mapping[str, int]) -> Iterator[Path]:
    """Every curve of one data set: for each cell the methods' curves, and what their training did."""
    for cell in runs.cells:
        for rows, what in groups(runs.rows):
            done = [result for result in runs.done if cell_of(result) == cell and row_of(result) in rows]
            if not what or any(result.variant for result in done):
                yield from _Group(runs.data, cell, what, done, {r.id: load_curves(out, r) for r in done}, out).draw(
                    runs, size
                )


@dataclass(frozen=True)
class _Group:
    """Runs of one cell that are drawn together: the methods, or one with its variants, which `what` then says."""

    data: str
    cell: Cell
    what: str
    done: Sequence[Result]
    curves: Curves
    out: Path

    def draw(self, runs: Runs, size: Mapping[str, int]) -> Iterator[Path]:
        """Their curves on every database, and their training."""
        for database in runs.databases:
            own = f"{self.where}, queries among themselves" if database == "query" else self.where
            for name, title, panels in _curve_plots(self.done, self.curves, database):
                protocol = "; ".join(dict.fromkeys(_names(self.curves, database, name)))
                told = f"{protocol}; {searched(database, size)}; {self.seeds}"
                yield from draw_panels(self.path(name, database), f"{title}, {own}", told, panels, min(2, len(panels)))
        yield from _training(self)

    @property
    def where(self) -> str:
        """What the runs have in common."""
        return ", ".join(filter(None, [self.data, self.what, f"{self.cell.bits} bits", self.cell.noise_name]))

    @property
    def seeds(self) -> str:
        """What lines and bands are."""
        count = len({result.seed for result in self.done})
        return f"mean of {count} seeds, band ± sd" if count > 1 else "one seed"

    def path(self, name: str, database: str = "") -> Path:
        """Where a plot goes, without its ending."""
        parts = name, self.data, database, f"{self.cell.bits}", self.cell.spelled, self.what
        return self.out / "plots" / file_name(*parts)


def _curve_plots(done: Sequence[Result], curves: Curves, database: str) -> Iterator[tuple[str, str, list[Panel]]]:
    """Name, title and panels of the precision-recall curves, and of precision@N."""
    titles = dict.fromkeys(title for result in done for title in curves[result.id].get(database, {}))
    both = [title for title in titles if title.startswith("PR") and "micro" not in title]
    if panels := [panel for title in both for panel in _panels(done, curves, database, title, "recall")]:
        yield "pr", "Precision and recall", panels
    if panels := _panels(done, curves, database, "precision@N", "n"):
        yield "precision-at-n", "Precision among the first N", panels


def _panels(done: Sequence[Result], curves: Curves, database: str, title: str, x: str) -> list[Panel]:
    """A panel a direction, if the curve is there."""
    held = {result.id: curves[result.id].get(database, {}).get(title, {}) for result in done}
    panels = []
    for direction in dict.fromkeys(way for ways in held.values() for way in ways):
        points: dict[Row, list[Mapping[str, Any]]] = {}
        for result in done:
            if direction in held[result.id]:
                points.setdefault(row_of(result), []).append(held[result.id][direction])
        lines = [line for row, of in points.items() if (line := _line(row, of, x)) is not None]
        name = f"{title.removeprefix('PR ')}, " if x == "recall" else ""
        panels.append(Panel(f"{name}{arrow(direction)}", AXES[x], "precision", lines, marks=False))
    return [panel for panel in panels if panel.lines]


def _line(row: Row, points: Sequence[Mapping[str, Any]], x: str) -> Line | None:
    """The mean curve of the seeds; None where it is but a point."""
    length = min(len(of["precision"]) for of in points)
    across, up = (np.array([of[name][:length] for of in points], np.float64) for name in (x, "precision"))
    at = across.mean(axis=0)
    if length < 2 or np.ptp(at) == 0:
        return None
    spread = up.std(axis=0, ddof=1) if len(points) > 1 else np.full(length, np.nan)
    real = " (cosine)" if any("metric=cosine" in str(of.get("name", "")) for of in points) else ""
    return Line(row, at.tolist(), up.mean(axis=0).tolist(), spread.tolist(), f"{row.label}{real}")


def _names(curves: Curves, database: str, name: str) -> Iterator[str]:
    """The curves' names, which carry their protocol."""
    for held in curves.values():
        for title, ways in held.get(database, {}).items():
            if (title.startswith("PR") and "micro" not in title) if name == "pr" else title == "precision@N":
                yield from (str(points["name"]) for points in ways.values() if "metric=" not in str(points["name"]))


def _training(group: _Group) -> Iterator[Path]:
    """Losses, a panel a method, for they do not compare; and validation mAP by epoch and by time, where it is there."""
    rows = list(dict.fromkeys(map(row_of, group.done)))
    of = {row: [result.history for result in group.done if row_of(result) == row] for row in rows}
    lines = {row: line for row in rows if (line := _trace(row, of[row], "loss"))}
    if lines:
        losses = [Panel(row.label, "epoch", "loss", [line], marks=False) for row, line in lines.items()]
        told = f"mean over the training rows; losses of different methods do not compare; {group.seeds}"
        title = f"Loss by epoch, {group.where}"
        yield from draw_panels(group.path("loss"), title, told, losses, min(ACROSS, len(losses)), share=False)
    panels = []
    for x, name in (("epoch", "epoch"), ("seconds", "seconds of training, by the clock")):
        if held := [line for row in rows if (line := _trace(row, of[row], "validation_map", x))]:
            scale = "log" if x == "seconds" else "linear"
            panels.append(Panel(f"by {x}", name, "validation mAP", held, scale=scale, marks=False))
    if panels:
        told = f"mAP of the validation rows among themselves, by the labels that they were given; {group.seeds}"
        title = f"Validation accuracy during training, {group.where}"
        yield from draw_panels(group.path("validation"), title, told, panels, len(panels))


def _trace(row: Row, histories: Sequence[Sequence[Mapping[str, Any]]], y: str, x: str = "epoch") -> Line | None:
    """The mean of the seeds by epoch, up to the shortest; None below two epochs that have a value."""
    held = [[line for line in history if line.get(y) is not None and line.get(x) is not None] for history in histories]
    length = min(map(len, held), default=0)
    if length < 2:
        return None
    across, up = (np.array([[line[name] for line in history[:length]] for history in held]) for name in (x, y))
    spread = up.std(axis=0, ddof=1) if len(held) > 1 else np.full(length, np.nan)
    return Line(row, across.mean(axis=0).tolist(), up.mean(axis=0).tolist(), spread.tolist())
