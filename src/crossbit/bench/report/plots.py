"""The plots of a bench: accuracy against code length, noise and time; curves are in `crossbit.bench.report.traces`.

A plot is drawn only where the results vary along its axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from crossbit.bench.report.accuracy import arrow, searched, short, sizes
from crossbit.bench.report.cells import Cell, Row, Runs, arrange, cell_of, is_floor, row_of
from crossbit.bench.report.style import Line, Panel, draw_panels, file_name, finish, legend, log_axis, look, style
from crossbit.bench.report.times import accuracy, trainings
from crossbit.bench.report.traces import draw_traces
from crossbit.bench.work.store import Result
from crossbit.evaluation.stats import Summary, summary


def draw(out: Path, results: Sequence[Result]) -> list[Path]:
    """Draw all plots of a bench into `out`/plots, each as PNG and SVG.

    Args:
        out: the bench's folder, which holds the curves of its runs.
        results: the runs; failed ones have nothing to draw.

    Returns:
        The files; none where nothing varies along any axis.
    """
    paths: list[Path] = []
    for runs in arrange(results):
        if not runs.measures:
            continue
        for database in runs.databases:
            sheet = PlotSheet(runs, database, out)
            paths += [*sheet.against_noise(), *sheet.against_bits(), *sheet.against_time()]
        paths += draw_traces(runs, out, sizes(out, runs))
    return paths


@dataclass(frozen=True)
class PlotSheet:
    """One data set and database: what its plots are made of."""

    runs: Runs
    database: str
    out: Path

    @property
    def measure(self) -> str:
        """What is drawn: the first measure that ranks by Hamming distance, which all methods have."""
        return self.runs.measures[0]

    def against_noise(self) -> Iterator[Path]:
        """For each code length: a panel a rule and direction, the rate across."""
        figures = self.runs.figures(self.database, self.measure)
        for bits in dict.fromkeys(cell.bits for cell in self.runs.cells):
            cells = [cell for cell in self.runs.cells if cell.bits == bits]
            panels = []
            for rule in dict.fromkeys(" ".join([cell.noise, *cell.drawn]) for cell in cells if cell.noisy):
                along = [cell for cell in cells if not cell.noisy or " ".join([cell.noise, *cell.drawn]) == rule]
                for direction in self.runs.directions(self.database, self.measure):
                    lines = _lines(self.runs.rows, figures, along, direction, [cell.rate for cell in along])
                    ticks = [cell.rate for cell in along]
                    title = f"{rule}, {arrow(direction)}"
                    panels.append(Panel(title, f"rate of {rule}", short(self.measure), lines, ticks))
            if panels := [panel for panel in panels if panel.lines]:
                where = f"{self._where} at {bits} bits"
                yield from self._panels("map-against-noise", f"{bits}", f"Accuracy against noise, {where}", panels)

    def against_bits(self) -> Iterator[Path]:
        """For each noise: a panel a direction, the code length across."""
        figures = self.runs.figures(self.database, self.measure)
        for noise in dict.fromkeys(cell.spelled for cell in self.runs.cells):
            along = [cell for cell in self.runs.cells if cell.spelled == noise]
            ticks = [float(cell.bits) for cell in along]
            panels = []
            for direction in self.runs.directions(self.database, self.measure):
                lines = _lines(self.runs.rows, figures, along, direction, ticks)
                panels.append(Panel(arrow(direction), "bits a code", short(self.measure), lines, ticks, "log"))
            if panels := [panel for panel in panels if panel.lines]:
                title = f"Accuracy against code length, {self._where}, {noise_title(along[0])}"
                yield from self._panels("map-against-bits", along[0].spelled, title, panels)

    def against_time(self) -> Iterator[Path]:
        """For each code length: training time across, accuracy up, a point a method."""
        for bits in dict.fromkeys(cell.bits for cell in self.runs.cells):
            done = [result for result in self.runs.done if result.bits == bits and not result.variant]
            points, cells = _time_points(self.runs.rows, done, self.database, self.measure)
            if len({point[0].mean for point in points.values()}) > 1:
                figure = _scatter(points, f"{short(self.measure)}, mean of the directions")
                path = self._path("map-against-time", f"{bits}")
                title = f"Accuracy against training time, {self._where} at {bits} bits"
                what = (
                    f"by the clock, means over {', '.join(cell.noise_name for cell in cells)}; bars ± sd over the seeds"
                )
                yield from finish(figure, path, title, f"{self._protocol}; {what}")

    @property
    def _where(self) -> str:
        return self.runs.data + (", queries among themselves" if self.database == "query" else "")

    @property
    def _protocol(self) -> str:
        return f"{self.measure}; {searched(self.database, sizes(self.out, self.runs))}"

    def _path(self, what: str, cell: str) -> Path:
        return self.out / "plots" / file_name(what, self.runs.data, self.database, cell)

    def _panels(self, what: str, cell: str, title: str, panels: Sequence[Panel]) -> list[Path]:
        across = len(self.runs.directions(self.database, self.measure))
        spread = spread_text(
            len(self.runs.seeds), (sd for panel in panels for line in panel.lines for sd in line.spread)
        )
        return draw_panels(self._path(what, cell), title, f"{self._protocol}; {spread}", panels, across)


def noise_title(cell: Cell) -> str:
    """The noise of a cell, for a title.

    >>> noise_title(Cell(64, True, "swap-one", 0.5, False)), noise_title(Cell(64, False, "", 0.0, False))
    ('noise swap-one 0.5', 'clean')
    """
    return f"noise {cell.noise_name}" if cell.noisy else "clean"


def spread_text(seeds: int, spreads: Iterable[float]) -> str:
    """What the lines and bands are, of this many seeds and these standard deviations.

    >>> spread_text(3, [0.01, 0.02]), spread_text(3, [0.01, math.nan])
    ('mean of 3 seeds, band ± sd', 'mean of 3 seeds, band ± sd; no band: one seed')
    """
    if seeds < 2:
        return "one seed"
    return f"mean of {seeds} seeds, band ± sd" + ("; no band: one seed" if any(map(math.isnan, spreads)) else "")


def _lines(
    rows: Sequence[Row],
    figures: Mapping[tuple[Row, Cell, str], Mapping[int, float]],
    cells: Sequence[Cell],
    direction: str,
    x: Sequence[float],
) -> list[Line]:
    """A line for each row that has a value at two places or more."""
    lines = []
    for row in rows:
        there = [
            (at, summary(of)) for cell, at in zip(cells, x, strict=True) if (of := figures.get((row, cell, direction)))
        ]
        there = [(at, over) for at, over in there if over.n]
        if len({at for at, _ in there}) > 1:
            at, overs = zip(*there, strict=True)
            lines.append(Line(row, at, [over.mean for over in overs], [over.sd for over in overs]))
    return lines if any(not is_floor(line.row.method) for line in lines) else []


def _time_points(
    rows: Sequence[Row], done: Sequence[Result], database: str, measure: str
) -> tuple[dict[Row, tuple[Summary, Summary]], list[Cell]]:
    """By row the training seconds and the accuracy, over the seeds, each the mean over the cells that all rows saw.

    The seconds are those of trainings: one that is used for several label noises counts once.
    """
    done = [r for r in done if r.seconds.get("train") and accuracy(r, database, measure) is not None]
    rows = [row for row in rows if any(row_of(r) == row for r in done) and not is_floor(row.method)]
    saw = [{cell_of(r) for r in done if row_of(r) == row} for row in rows]
    cells = set.intersection(*saw) if saw else set()
    points = {}
    for row in rows if cells else []:
        of = [r for r in done if row_of(r) == row and cell_of(r) in cells]
        by_seed = [[r for r in of if r.seed == seed] for seed in sorted({r.seed for r in of})]
        seconds = [float(np.mean([r.seconds["train"] for r in trainings(some)])) for some in by_seed]
        values = [float(np.mean([accuracy(r, database, measure) for r in some])) for some in by_seed]
        points[row] = summary(seconds), summary(values)
    return points, sorted(cells)


def _scatter(points: Mapping[Row, tuple[Summary, Summary]], y: str) -> Figure:
    """A point a method."""
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    style(axes, "training, seconds", y)
    for row, (seconds, value) in points.items():
        how = {**look(row), "linestyle": ""}
        x, up = (0.0 if np.isnan(over.sd) else over.sd for over in (seconds, value))
        axes.errorbar(seconds.mean, value.mean, xerr=x, yerr=up, color=how["color"], elinewidth=1, linestyle="")
        axes.plot([seconds.mean], [value.mean], label=row.label, **how, markersize=6)
    log_axis(axes)
    legend(figure)
    return figure
