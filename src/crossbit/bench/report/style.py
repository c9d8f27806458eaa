"""How the plots of a bench look: a colour a method, the same everywhere; title, legend and protocol around panels."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from crossbit.bench.report.cells import Row, is_floor
from crossbit.methods import available
from crossbit.storage.files import writing

# Told apart with every kind of colour vision: Okabe and Ito's (2008) but yellow and black, then darker ones of Tol's.
COLOURS = ["#56b4e9", "#e69f00", "#d55e00", "#cc79a7", "#0072b2", "#009e73", "#882255", "#999933", "#332288", "#44aa99"]
COLOURS += ["#661100"]
MARKERS = "osD^vPX<>*h"
DASHES: list[Any] = ["-", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1, 1, 1)), (0, (3, 3))]  # a method, then its variants
INK, MUTED, RULE, FLOOR = "#1f2328", "#59636e", "#dde1e6", "#7d8590"
PANEL = 3.1, 2.5  # inches
LEGEND, HEAD = 1.75, 1.0  # inches beside and around the panels


@dataclass(frozen=True)
class Line:
    """A curve: values with their spread over `x`; `spread` NaN draws no band."""

    row: Row
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float]
    label: str = ""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x: str
    y: str
    lines: list[Line]
    ticks: list[float] = field(default_factory=list)  # of x; chosen by matplotlib where there are none
    scale: str = "linear"
    marks: bool = True


def draw_panels(
    path: Path, title: str, caption: str, panels: Sequence[Panel], across: int, *, share: bool = True
) -> list[Path]:
    """Draw panels in rows of `across` and write them as PNG and SVG; `path` without its ending.

    Args:
        title: what can be seen, above.
        caption: the protocol, below.
        share: whether all panels have the same y axis.
    """
    down = -(-len(panels) // across)
    size = PANEL[0] * across + LEGEND, PANEL[1] * down + HEAD
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharey=share)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(axes, panel)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[:, 1:].flat if share else []:
        axes.set_ylabel("")
    if len({line.label or line.row.label for panel in panels for line in panel.lines if len(panel.lines) > 1}) > 1:
        legend(figure)
    return finish(figure, path, title, caption)


def finish(figure: Figure, path: Path, title: str, caption: str) -> list[Path]:
    """Put the title above and the protocol below, and write both files; the same figure gives the same bytes."""
    figure.suptitle(_wrapped(title, figure, 11), x=0.01, ha="left", fontsize=11, color=INK, fontweight="bold")
    figure.supxlabel(_wrapped(caption, figure, 18), x=0.01, ha="left", fontsize=7, color=MUTED)
    paths = []
    for ending in ("png", "svg"):
        metadata: dict[str, Any] = {"Date": None} if ending == "svg" else {"Software": None}
        same = matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name})  # the same bytes every time
        with writing(path.with_name(f"{path.name}.{ending}")) as temporary, same:
            figure.savefig(temporary, format=ending, dpi=150, facecolor="white", metadata=metadata)
        figure.set_layout_engine("none")  # where everything is, is known now
        paths.append(path.with_name(f"{path.name}.{ending}"))
    return paths


def style(axes: Axes, x: str, y: str) -> None:
    """The house's axes: a line below, light rules across, names of both axes."""
    axes.set_xlabel(x, fontsize=8, color=MUTED)
    axes.set_ylabel(y, fontsize=8, color=MUTED)
    axes.tick_params(labelsize=7.5, colors=MUTED, length=2.5, width=0.6)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set(color=MUTED, linewidth=0.6)


def log_axis(axes: Axes) -> None:
    """A logarithmic x axis with plain numbers at 1, 2, 5, 10, ..., and more of them over less than two decades."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 100 * low else (1, 1.5, 2, 3, 4, 5, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()


def look(row: Row, variants: Sequence[Row] = ()) -> dict[str, Any]:
    """Colour, marker and dashes of a row; `variants` are those drawn of all methods.

    >>> look(Row("nrch"))["color"] == look(Row("nrch", "no margin"))["color"] != look(Row("ucch"))["color"]
    True
    """
    if is_floor(row.method):
        return {"color": FLOOR, "marker": "", "linestyle": (0, (1, 1.5)), "linewidth": 1.1}
    place = _place(row.method)
    others = [other for other in variants if other.method == row.method and other.variant]
    dashes = DASHES[(1 + others.index(row) if row in others else 0) % len(DASHES)]
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    return {"color": colour, "marker": marker, "linestyle": dashes, "linewidth": 1.5}


def file_name(*parts: str) -> str:
    """A name of a file that says what is in it.

    >>> file_name("map-against-bits", "glyphs", "swap-one:0.5")
    'map-against-bits-glyphs-swap-one_0.5'
    """
    return "-".join(re.sub(r"[^\w.+-]+", "_", part) for part in parts if part)


@cache
def _place(method: str) -> int:
    """A method's number among all there are, those trained in epochs first; for one that is not here, by its name."""
    known = sorted(available().values(), key=lambda cls: (cls.floor, cls.Settings().epochs <= 1, cls.name))
    names = [cls.name for cls in known]
    return names.index(method) if method in names else sum(method.encode())


def _draw(axes: Axes, panel: Panel) -> None:
    style(axes, panel.x, panel.y)
    axes.set_title(panel.title, fontsize=8.5, color=INK, loc="left")
    rows = [line.row for line in panel.lines]
    for line in panel.lines:
        how = look(line.row, rows)
        x, y, spread = (np.asarray(values, np.float64) for values in (line.x, line.y, line.spread))
        marked = {"markersize": 3.6, "markeredgewidth": 0} if panel.marks else {"marker": ""}
        axes.plot(x, y, label=line.label or line.row.label, **{**how, **marked})
        if np.isfinite(spread).any():
            axes.fill_between(x, y - spread, y + spread, color=how["color"], alpha=0.18, linewidth=0)
    if panel.x == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if panel.scale == "log":
        log_axis(axes)
    if panel.ticks:
        axes.set_xticks(panel.ticks, [f"{tick:g}" for tick in panel.ticks])
        axes.minorticks_off()


def legend(figure: Figure) -> None:
    """One legend for all panels, in the order of the curves' ends."""
    handles: dict[str, Any] = {}
    ends: dict[str, list[float]] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
            if isinstance(handle, Line2D):
                ends.setdefault(label, []).append(float(np.nan_to_num(np.asarray(handle.get_ydata(), float)[-1])))
    names = sorted(handles, key=lambda label: -float(np.mean(ends[label])))
    options: Mapping[str, Any] = {"frameon": False, "fontsize": 8, "labelcolor": INK, "handlelength": 2.2}
    figure.legend([handles[name] for name in names], names, loc="outside right center", **options)


def _wrapped(text: str, figure: Figure, inch: int) -> str:
    """The text in lines that the figure holds, at so many characters an inch."""
    return "\n".join(textwrap.wrap(text, int(figure.get_figwidth() * inch), break_on_hyphens=False))
