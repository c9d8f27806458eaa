"""Reports printed: figures with their protocol, what ties move, curves, and the quality of codes."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.cli.output import note, say, say_json, say_table
from crossbit.storage.files import writing

if TYPE_CHECKING:
    from crossbit.data import PairedData
    from crossbit.evaluation import Measure, Report
    from crossbit.model import Model
    from crossbit.training.held_out import HeldOut

Figures = dict[str, dict[str, float]]  # measure -> direction -> value
_UNDEFINED = "not defined"  # in closed form: first-k-relevant's expected value and level of chance
_POINTS = 12  # of a curve, printed; --json has all


def say_report(report: Report, as_json: bool) -> None:
    """The numbers, each with its protocol."""
    from crossbit.evaluation.report import NO_LABELS

    if as_json:
        return say_json(report.to_dict())
    _say_head(report)
    _say_questions(report)
    rows = [[way, f"{value:.4f}", _bounds(report, way), _chance(report, way)] for way, value in report.map.items()]
    if rows:
        say_table(["", report.measure, "by order inside ties", "chance"], rows, right=[report.measure, "chance"])
    else:
        say(NO_LABELS)
    _say_figures(report.figures)
    if report.codes_map:
        say(f"\n{report.method} ranks by its real vectors; their signs as codes, by Hamming distance:\n")
        say_table(["", "mAP of the codes"], [[way, f"{value:.4f}"] for way, value in report.codes_map.items()])
        _say_figures(report.codes_figures)
    return _say_rest(report)


def say_held_out(figures: HeldOut) -> None:
    """Each figure beside the untrained floor and chance."""
    columns = {"run": figures.run, "floor": figures.floor, "chance": figures.chance}
    shown = {title: of for title, of in columns.items() if of}
    rows = [
        [name, way, *(f"{of[name][way]:.4f}" for of in shown.values())]
        for name, ways in figures.run.items()
        for way in ways
    ]
    say()
    say_table(["held out", "", *shown], rows, right=list(shown))
    say(figures.protocol)


def warn_of_collapse(model: Model, data: PairedData, report: Report | None = None) -> None:
    """Beside the answer: codes that tell next to nothing apart, or else a figure that is chance."""
    from functools import partial

    from crossbit.model.collapse import at_chance, collapsed, true_labels

    lines = collapsed(model, data, data.splits["retrieval"], partial(true_labels, data))
    for line in lines or (at_chance(model, report) if report is not None else []):
        note(line)


def say_score(report: Report, as_json: bool) -> None:
    """A stranger's codes: every measure as the field's usual script gives it, and tie-aware, side by side."""
    from crossbit.evaluation import parse_measure

    if as_json:
        return say_json(report.to_dict())
    _say_head(report)
    _say_questions(report)
    pairs, others = _by_ties(report.figures)
    say("ties=index: as the field's usual script sorts; ties=expected: tie-aware, the mean over all their orders\n")
    for name, of in pairs.items():
        rows = [[way, *_both(of, way)] for way in report.map]
        columns = ["ties=index", "ties=expected", "moved by ties"]
        say_table([name, *columns], rows, right=columns)
        say()
    bounds = [[way, _bounds(report, way), _chance(report, way)] for way in report.map]
    main = _without_ties(parse_measure(report.measure))
    say_table([main, "by order inside ties", "chance"], bounds, right=["chance"])
    _say_figures(others)
    say()
    say(_moved(report, main, pairs[main]))
    return _say_rest(report)


def _both(of: Figures, way: str) -> list[str]:
    """A direction's figure by index, expected, and the first less the second."""
    figures = [f"{of[ties][way]:.4f}" if ties in of else _UNDEFINED for ties in ("index", "expected")]
    return [*figures, f"{of['index'][way] - of['expected'][way]:+.4f}" if len(of) == 2 else _UNDEFINED]


def _moved(report: Report, name: str, of: Figures) -> str:
    """By how much ties move the first measure, in words."""
    open_to = max(ends["best"] - ends["worst"] for ends in report.spread.values())
    luck = f"the order inside ties, which the codes leave open, could move it by {open_to:.4f}"
    if "expected" not in of:
        return f"{name}: {luck}."
    moved = max(abs(of["index"][way] - value) for way, value in of["expected"].items())
    return f"{name}: the order of the database moves it by {moved:.4f}; {luck}."


def _by_ties(figures: Figures) -> tuple[dict[str, Figures], Figures]:
    """Figures by ties under one name, name -> ties -> direction -> value; and those of other measures."""
    from crossbit.evaluation import parse_measure
    from crossbit.evaluation.measure import RankMeasure

    pairs: dict[str, Figures] = {}
    others: Figures = {}
    for name, values in figures.items():
        measure = parse_measure(name)
        if isinstance(measure, RankMeasure) and measure.ties in ("index", "expected"):
            pairs.setdefault(_without_ties(measure), {})[measure.ties] = values
        else:
            others[name] = values
    return pairs, others


def _without_ties(measure: Measure) -> str:
    """Its name; the columns say the rule for ties, and the first line whether cosine ranks."""
    return measure.name_without("ties", *(["metric"] if measure.metric == "cosine" else []))


def _say_head(report: Report) -> None:
    size, many = report.protocol["database_size"], report.protocol["queries"]
    against = f"a database of {size:,}" if report.protocol["database"] == "retrieval" else "the queries themselves"
    bits = "" if report.bits is None else f", {report.bits} bits"
    ranked = ", ranked by cosine" if report.protocol["metric"] == "cosine" else ""
    say(f"{report.data}, {report.method}{bits}: {many:,} queries against {against}{ranked}")
    if "selection" in report.protocol:
        say(f"model of the {report.protocol['selection']}")
    say()


def _bounds(report: Report, way: str) -> str:
    bounds = report.spread.get(way)
    return f"{bounds['worst']:.4f} to {bounds['best']:.4f}" if bounds else ""


def _chance(report: Report, way: str) -> str:
    return f"{report.chance[way]:.4f}" if way in report.chance else _UNDEFINED


RANKED = {"cosine": "by vectors", "hamming": "by codes", "reranked": "re-ranked"}  # what a column says


def _say_questions(report: Report) -> None:
    """What a person asks, a table a direction; then what each measure asks."""
    if not report.questions:
        return
    ranked = list(next(iter(report.questions.values()))["figures"])
    columns = [*(RANKED[by] for by in ranked), "chance"]
    for way in report.directions:
        rows = []
        for name, of in report.questions.items():
            figures = [of["figures"][by][way] for by in ranked]
            rows.append([name.partition("(")[0], *(f"{value:.4f}" for value in [*figures, of["chance"][way]])])
        say_table([way, *columns], rows, right=columns)
        say()
    for name, of in report.questions.items():
        apart = of["database"] == "query" != report.protocol["database"]
        among = f" ({of['queries']:,} queries among themselves)" if apart else ""
        say(f"{name}: {of['asks']}{among}")
    if "reranked" in ranked:
        say("re-ranked (metric=reranked): what is as near as the hundredth, by cosine, as a search shows it")
    say()


def _say_figures(figures: Figures) -> None:
    """Further measures, a row each."""
    if figures:
        ways = list(next(iter(figures.values())))
        rows = [[name, *(f"{values[way]:.4f}" for way in ways)] for name, values in figures.items()]
        say()
        say_table(["", *ways], rows, right=ways)


def _say_rest(report: Report) -> None:
    """Queries left out, quality of codes where there are curves or a stranger's codes, and some points of curves."""
    if report.said_empty:
        say("\n" + "\n".join(report.said_empty))
    for of in report.curves.values():
        for way, points in of.items():
            say(f"\n{way}, {points['name']}\n")
            _say_curve({key: values for key, values in points.items() if key != "name"})
    if report.quality and (report.curves or report.method in ("codes", "vectors")):
        modalities = list(report.quality)
        keys = report.quality[modalities[0]]
        rows = [[key.replace("_", " "), *(_short(report.quality[m][key]) for m in modalities)] for key in keys]
        say("\nquality of the database's codes\n")
        say_table(["", *modalities], rows, right=modalities)


def _say_curve(points: dict[str, list[Any]]) -> None:
    columns = list(points)
    rows = list(zip(*points.values(), strict=True))
    step = max(1, -(-(len(rows) - 1) // (_POINTS - 1)))
    chosen = rows[:-1:step] + rows[-1:]
    say_table(columns, [[_short(value) for value in row] for row in chosen], right=columns)


def _short(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def write_per_query(report: Report, path: Path) -> None:
    """Every query's values as CSV; an empty value where a query is left out."""
    with writing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["query", "direction", "measure", "value"])
        for query, way, name, value in report.rows_per_query():
            table.writerow([query, way, name, "" if math.isnan(value) else repr(value)])
