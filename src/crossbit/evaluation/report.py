"""Reports: mean average precision for every pair of modalities, with the protocol that each number was made under."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any, NotRequired, TypedDict

import numpy as np

from crossbit.evaluation.measure import Empty, Measure
from crossbit.evaluation.measures import MeanAveragePrecision, parse_measure
from crossbit.evaluation.rankings import Array, Metric
from crossbit.evaluation.ties.counts import Cutoff, Ties

DATABASES = ("retrieval", "query")
NO_LABELS = "no labels: only a query's own pair is correct"


class Protocol(TypedDict):
    """What has to be said with a number, so that it can be compared."""

    k: int | None  # None: the whole ranking
    cutoff: Cutoff
    ties: Ties
    empty: Empty
    metric: Metric
    queries: int
    database: str  # "retrieval", or "query": the queries against themselves, own pair included
    database_size: int
    selection: NotRequired[str]  # how the epoch was chosen, where a model was evaluated


@dataclass(frozen=True)
class Report:
    """Numbers with their protocol; `str(report)` is a small table.

    Attributes:
        data, method: what was scored.
        bits: code length; None for anybody's real vectors.
        map: per direction, such as "image->text", the mean average precision; empty where the data has no labels.
        protocol: how it was measured.
        seconds: where the time went: "evaluate", and "encode" where codes were made for it.
        spread: per direction the "worst" and "best" value that any order inside ties gives.
        chance: per direction what a random ranking is expected to give; empty where that has no closed form.
        codes_map: where `map` ranks real vectors, the same of their signs as codes, by Hamming distance.
        figures: further measures: by their printed names, per direction.
        codes_figures: where `figures` ranks real vectors, the same of their signs as codes.
        questions: what a person asks, by the measures' names (`crossbit.evaluation.questions`): what is asked, of
            which "queries" and "database", and per ranking and direction the figures, with those of chance.
        curves: "PR by radius", "PR by rank" and others, per direction: the "name" that tells the protocol, and lists of
            "radius" or "n", "precision" and mostly "recall".
        quality: per modality what `code_quality` says of the database's codes or vectors.
        empty_queries: per direction how many queries have no relevant item: left out of `map`, or counted as 0 there
            (`empty` of the protocol).
        figures_empty_queries, codes_figures_empty_queries: the same of `figures` and `codes_figures`, by their names:
            how many queries have no relevant item or, for "P@radius", retrieve nothing.
        per_query: per direction the average precision of each query, NaN where it is left out.
        figures_per_query: the same of `figures`, by their names.
    """

    data: str
    method: str
    bits: int | None
    map: dict[str, float]
    protocol: Protocol
    seconds: dict[str, float]
    spread: dict[str, dict[str, float]] = field(default_factory=dict)
    chance: dict[str, float] = field(default_factory=dict)
    codes_map: dict[str, float] = field(default_factory=dict)
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    codes_figures: dict[str, dict[str, float]] = field(default_factory=dict)
    questions: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, dict[str, Any]] = field(default_factory=dict)
    quality: dict[str, dict[str, float]] = field(default_factory=dict)
    empty_queries: dict[str, int] = field(default_factory=dict)
    figures_empty_queries: dict[str, dict[str, int]] = field(default_factory=dict)
    codes_figures_empty_queries: dict[str, dict[str, int]] = field(default_factory=dict)
    per_query: dict[str, Array] = field(default_factory=dict, repr=False, compare=False)
    figures_per_query: dict[str, dict[str, Array]] = field(default_factory=dict, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON takes it; a single query's value is None where it is left out."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    def rows_per_query(self) -> Iterator[tuple[int, str, str, float]]:
        """Query, direction, measure and value of every single query; NaN where it is left out."""
        for name, of in {self.measure: self.per_query, **self.figures_per_query}.items():
            for way, values in of.items():
                yield from ((query, way, name, float(value)) for query, value in enumerate(values))

    @property
    def said_empty(self) -> list[str]:
        """In words, which queries have nothing to find; further measures where theirs are empty for another reason."""
        main = parse_measure(self.measure)
        lines = [self._said_empty(main, self.empty_queries)]
        for which, figures in ("", self.figures_empty_queries), ("as codes, ", self.codes_figures_empty_queries):
            for measure, counts in ((parse_measure(name), counts) for name, counts in figures.items()):
                if measure.empty_are != main.empty_are and (line := self._said_empty(measure, counts)):
                    lines.append(f"{which}{measure}: {line}")
        return list(filter(None, lines))

    def _said_empty(self, measure: Measure, empty: dict[str, int]) -> str:
        """How many queries are empty for a measure, and what becomes of them; nothing where none is."""
        counts = {way: f"{count:,} of {self.protocol['queries']:,}" for way, count in empty.items() if count}
        if not counts:
            return ""
        alike = len(set(empty.values())) == 1
        ways = next(iter(counts.values())) if alike else "; ".join(f"{way} {count}" for way, count in counts.items())
        fate = "are left out of the mean" if measure.empty == "skip" else "count as 0"
        return f"queries {measure.empty_are}: {ways}; they {fate}"

    def _repr_html_(self) -> str:
        """A table for notebooks: the figures per direction, with their protocol below."""
        rows = {self.measure: self.map, **self.figures, "chance": self.chance}
        head = "".join(f"<th>{escape(way)}</th>" for way in self.directions)
        body = "".join(
            f"<tr><th>{escape(name)}</th>{''.join(f'<td>{of[way]:.4f}</td>' for way in self.directions)}</tr>"
            for name, of in rows.items()
            if all(way in of for way in self.directions)
        )
        text = "<br>".join(escape(line) for line in [*str(self).splitlines()[:1], *self.said_empty])
        return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table><p>{text}</p>"

    @property
    def directions(self) -> list[str]:
        """Such as "image->text"."""
        return list(self.map or next(iter(self.figures.values()), {}))

    @property
    def measure(self) -> str:
        """The measure's name, such as "mAP@all(ties=expected, empty=skip)"."""
        protocol = self.protocol
        metric = None if protocol["metric"] == "hamming" else protocol["metric"]
        choices: Any = {"ties": protocol["ties"], "empty": protocol["empty"], "metric": metric}
        return str(MeanAveragePrecision(protocol["k"], protocol["cutoff"], **choices))

    def __str__(self) -> str:
        head = f"{self.data}, {self.method}" + (f", {self.bits} bits" if self.bits else "")
        size = f"{self.protocol['database_size']:,}"
        against = f"{size} database" if self.protocol["database"] == "retrieval" else f"the same {size}"
        compared = f"{self.protocol['queries']:,} queries x {against}"
        under = f"{self.measure}, {compared}"
        width = max(map(len, self.directions), default=0)
        lines = [f"{direction:<{width}}  {value:.4f}  {under}" for direction, value in self.map.items()]
        bounds = [f"{direction} {ends['worst']:.4f} to {ends['best']:.4f}" for direction, ends in self.spread.items()]
        chance = [f"{direction} {value:.4f}" for direction, value in self.chance.items()]
        codes = [f"{direction} {value:.4f}" for direction, value in self.codes_map.items()]
        more = ("as codes, by Hamming distance", codes), ("any order of ties", bounds), ("chance", chance)
        last = [f"model of the {self.protocol['selection']}"] if "selection" in self.protocol else []
        last += self.said_empty
        last += [f"{what}: {', '.join(of)}" for what, of in more if of]
        for name, values in self.figures.items():
            last.append(f"{name}: {', '.join(f'{direction} {value:.4f}' for direction, value in values.items())}")
        return "\n".join([head, *(lines or [f"{NO_LABELS}, {compared}"]), *last])


def _plain(value: Any) -> Any:
    """Arrays as lists with None for NaN, in dictionaries too."""
    if isinstance(value, dict):
        return {key: _plain(of) for key, of in value.items()}
    if isinstance(value, np.ndarray):
        return [None if np.isnan(of) else float(of) for of in value]
    return value
