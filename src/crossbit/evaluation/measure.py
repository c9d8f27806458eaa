"""What a measure is: a name that carries its protocol, a value per query, and their mean.

The measures themselves are in `measures`, as does `parse_measure`, which reads a name back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, get_args

import numpy as np

from crossbit.errors import UserError, unknown
from crossbit.evaluation.rankings import Array, Block, Metric
from crossbit.evaluation.ties.counts import Ties

Empty = Literal["skip", "zero"]
CHANCE = "chance of "  # how the name of a level of chance begins
MEASURES: dict[str, type[Measure]] = {}  # by `name`; a subclass of Measure enters itself


@dataclass(frozen=True, eq=False)
class Measure(ABC):
    """A figure per query, and its mean: the base of all measures. Measures of one name are equal.

    A subclass with a `name` is a measure that `parse_measure` knows: its fields are the options of the name.

    Attributes:
        k: where the ranking is cut; None: all of it, where the measure allows that.
        empty: a query for which the measure is undefined is left out of the mean ("skip") or counts 0 ("zero").
        metric: by what items must be ranked, "hamming", "cosine" or "reranked" (by Hamming distance, then the nearest
            by cosine); None: by whatever the scored arrays call for.
    """

    name: ClassVar[str] = ""  # up to the cut, such as "mAP@"
    also: ClassVar[tuple[str, ...]] = ()  # what others call it, for suggestions
    lowest: ClassVar[int] = 1  # cut
    whole: ClassVar[bool] = False  # whether the cut may be "all"
    found: ClassVar[str] = "has a relevant item"  # what can be said of no query where all are empty
    empty_are: ClassVar[str] = "without a relevant item in the database"  # what is said of the empty queries

    k: int | None = None
    empty: Empty = field(default="skip", kw_only=True)
    metric: Metric | None = field(default=None, kw_only=True)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" in cls.__dict__:
            MEASURES[cls.name] = cls

    def __post_init__(self) -> None:
        if self.k is not None:
            check_cut("k", self.k, self.lowest)
        elif not self.whole:
            know = ", ".join(sorted(f"{name}all" for name, kind in MEASURES.items() if kind.whole))
            raise UserError(f"k is all; it must be a whole number, at least {self.lowest}; only these know all: {know}")
        check_choice("empty", self.empty, get_args(Empty))
        if self.metric is not None:
            check_choice("metric", self.metric, get_args(Metric))

    @classmethod
    def of(cls, k: int | None = None, /, **choices: Any) -> Self:
        """The measure with these choices of its options.

        Raises:
            UserError: an unknown option or choice, with the nearest known one; a cut that makes no sense.
        """
        known = [option.name for option in fields(cls) if option.name != "k"]
        for name in choices:
            if name not in known:
                raise unknown(f"option of {cls.name}K", name, known)
        return cls(k, **choices)

    @property
    def own_pair(self) -> bool:
        """Whether the one relevant item is the query's own pair."""
        return False

    def options(self) -> dict[str, Any]:
        """The choices that the name tells, in the order in which it tells them."""
        last = ("ties", "empty", "metric")
        own = [option.name for option in fields(self) if option.name not in ("k", *last)]
        chosen = {name: getattr(self, name) for name in (*own, *last) if hasattr(self, name)}
        return {name: choice for name, choice in chosen.items() if choice is not None}

    def name_without(self, *left_out: str) -> str:
        """The name without some of its options.

        >>> from crossbit.evaluation import mAP
        >>> (mAP(empty="zero") @ 50).name_without("cutoff", "ties")
        'mAP@50(empty=zero)'
        """
        told = ", ".join(f"{name}={choice}" for name, choice in self.options().items() if name not in left_out)
        return f"{self.name}{'all' if self.k is None else self.k}({told})"

    def __str__(self) -> str:
        return self.name_without()

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Measure) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def chance(self) -> str:
        """The name of the level of chance, which neither ties nor what ranks can move.

        >>> from crossbit.evaluation import mAP
        >>> (mAP(metric="cosine") @ "all").chance
        'chance of mAP@all(empty=skip)'
        """
        return CHANCE + self.name_without("ties", "metric")

    def bounds(self) -> tuple[Self, ...]:
        """The same measure by the worst and by the best order inside ties; none where ties cannot move it."""
        return ()

    @abstractmethod
    def values(self, block: Block) -> Array:
        """The figure of every query of a block, float64 (m,); NaN where it is undefined."""

    def fill(self, values: Array) -> Array:
        """The figures with 0 for empty queries, where the rule for them says so."""
        return np.nan_to_num(values, nan=0.0) if self.empty == "zero" else values

    def mean(self, values: Array) -> float:
        """The mean over queries of their figures (m,), NaN for empty queries.

        Raises:
            UserError: there is no query, or none to average.
        """
        counted = self.fill(values)
        counted = counted[~np.isnan(counted)]
        if not len(values):
            raise UserError("there are no queries; a mean needs at least one")
        if not len(counted):
            raise UserError(
                f"no query {self.found} (of {len(values)} queries), so there is nothing to average; "
                "check that the labels of both sides mean the same classes, or take empty='zero' (--empty zero)"
            )
        return float(counted.mean())


@dataclass(frozen=True, eq=False)
class RankMeasure(Measure):
    """A measure of ranks, hence with a rule for ties: "expected", "index", "best" or "worst" (see `metrics`)."""

    ties: Ties = field(default="expected", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("ties", self.ties, get_args(Ties))

    def bounds(self) -> tuple[Self, ...]:
        """By the worst and by the best order inside ties."""
        return replace(self, ties="worst"), replace(self, ties="best")


M = TypeVar("M", bound=Measure)


@dataclass(frozen=True)
class Uncut(Generic[M]):
    """A kind of measure that becomes one by its cut: `P @ 100`, `mAP(ties="best") @ "all"`."""

    kind: type[M]
    choices: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, **choices: Any) -> Uncut[M]:
        """The same with these choices of its options."""
        return replace(self, choices={**self.choices, **choices})

    def __matmul__(self, cut: int | Literal["all"]) -> M:
        """The measure; an unknown option or choice, or a cut that makes no sense, is a UserError."""
        return self.kind.of(None if cut == "all" else cut, **self.choices)

    def __str__(self) -> str:
        return self.kind.name


def check_cut(what: str, value: object, lowest: int = 1) -> int:
    """`value` as a count of items, at least `lowest`.

    >>> check_cut("k", 50)
    50
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < lowest:
        raise UserError(f"{what} is {value!r}; it must be a whole number, at least {lowest}")
    return int(value)


def check_choice(what: str, value: str, known: Iterable[str]) -> None:
    """Refuse a value that is not one of the known ones.

    >>> check_choice("ties", "best", ["best", "worst"])
    """
    if value not in (names := list(known)):
        raise unknown(what, value, names)
