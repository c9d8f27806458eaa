"""Reports: mean average precision for every pair of modalities, with the protocol that each number was made under."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NotRequired, TypedDict

from crossbit.evaluation.measure import Empty
from crossbit.evaluation.measures import MeanAveragePrecision
from crossbit.evaluation.rankings import Array, Metric
from crossbit.evaluation.ties.counts import Cutoff, Ties

DATABASES = ("retrieval", "query")


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
        map: per direction, such as "image->text", the mean average precision.
        protocol: how it was measured.
        seconds: where the time went: "evaluate", and "encode" where codes were made for it.
        spread: per direction the "worst" and "best" value that any order inside ties gives.
        chance: per direction what a random ranking is expected to give; empty where that has no closed form.
        codes_map: where `map` ranks real vectors, the same of their signs as codes, by Hamming distance.
        figures: further measures: by their printed names, per direction.
        codes_figures: where `figures` ranks real vectors, the same of their signs as codes.
        curves: "PR by radius", "PR by rank" and others, per direction: the "name" that tells the protocol, and lists of
            "radius" or "n", "precision" and mostly "recall".
        quality: per modality what `code_quality` says of the database's codes or vectors.
        per_query: per direction the average precision of each query, NaN where it is left out; not in `to_dict`.
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
    curves: dict[str, dict[str, Any]] = field(default_factory=dict)
    quality: dict[str, dict[str, float]] = field(default_factory=dict)
    per_query: dict[str, Array] = field(default_factory=dict, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single queries' values, as JSON takes it."""
        return {key: value for key, value in asdict(self).items() if key != "per_query"}

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
        under = f"{self.measure}, {self.protocol['queries']:,} queries x {against}"
        width = max(map(len, self.map))
        lines = [f"{direction:<{width}}  {value:.4f}  {under}" for direction, value in self.map.items()]
        bounds = [f"{direction} {ends['worst']:.4f} to {ends['best']:.4f}" for direction, ends in self.spread.items()]
        chance = [f"{direction} {value:.4f}" for direction, value in self.chance.items()]
        codes = [f"{direction} {value:.4f}" for direction, value in self.codes_map.items()]
        more = ("as codes, by Hamming distance", codes), ("any order of ties", bounds), ("chance", chance)
        last = [f"model of the {self.protocol['selection']}"] if "selection" in self.protocol else []
        last += [f"{what}: {', '.join(of)}" for what, of in more if of]
        for name, values in self.figures.items():
            last.append(f"{name}: {', '.join(f'{direction} {value:.4f}' for direction, value in values.items())}")
        return "\n".join([head, *lines, *last])
