"""The measures. A new one is a class here: its name, its options with their defaults, and a query's figure.

Formulas and check values: McSherry & Najork, ECIR 2008 for expected values under ties; a query's figure is NaN where
nothing is relevant to it, and its `empty` rule says what then happens. `parse_measure` reads a measure from its name.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from crossbit.errors import UserError
from crossbit.evaluation.measure import MEASURES, Empty, Measure, RankMeasure, Uncut, check_choice
from crossbit.evaluation.rankings import Array, Block
from crossbit.evaluation.ties.counts import Cutoff, average_precision_of_counts
from crossbit.evaluation.ties.grades import Gain
from crossbit.evaluation.ties.hits import hit_chance_of_counts, hits_of_counts

Correct = Literal["label", "pair"]

_NAME = re.compile(r"(?P<name>[^@()]*@[^\d()]*?)(?P<cut>\d+|all)(?P<options>\(.*\))?", re.IGNORECASE)
_USUAL = {"P@radius": "2"}  # the cut to suggest where none was given; else all, or 10


@dataclass(frozen=True, eq=False)
class MeanAveragePrecision(RankMeasure):
    """Mean average precision, of the whole ranking or cut at k; see `mean_average_precision` for `cutoff`.

    >>> str(MeanAveragePrecision()), str(MeanAveragePrecision(50, ties="index"))
    ('mAP@all(ties=expected, empty=skip)', 'mAP@50(cutoff=topk-R, ties=index, empty=skip)')
    """

    name: ClassVar[str] = "mAP@"
    also: ClassVar[tuple[str, ...]] = ("AP@", "mean average precision@")
    whole: ClassVar[bool] = True

    cutoff: Cutoff = "topk-R"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("cutoff", self.cutoff, get_args(Cutoff))

    def options(self) -> dict[str, str]:
        """All three cut-offs are the same where nothing is cut, so that only a cut measure tells it."""
        return {name: choice for name, choice in super().options().items() if name != "cutoff" or self.k is not None}

    def values(self, block: Block) -> Array:
        """Average precision of every query.

        Raises:
            UserError: "first-k-relevant" below n with expected ties, which has no definition.
        """
        if self.ties != "index":
            return average_precision_of_counts(block.size, block.relevant, k=self.k, cutoff=self.cutoff, ties=self.ties)
        total = block.relevant.sum(axis=1)
        k = _within(block, self.k)
        hits, sums = block.in_order([k], self.cutoff == "first-k-relevant")
        divisor = hits[:, 0] if self.cutoff == "topk" else np.minimum(k, total)
        return _where_relevant(block, sums[:, 0] / np.maximum(divisor, 1))


@dataclass(frozen=True, eq=False)
class Precision(RankMeasure):
    """Share of relevant items among the first N; an N beyond the database is divided by the size of the database.

    >>> str(Precision(100))
    'P@100(ties=expected, empty=zero)'
    """

    name: ClassVar[str] = "P@"
    also: ClassVar[tuple[str, ...]] = ("precision@", "top@", "topN-precision@")

    empty: Empty = field(default="zero", kw_only=True)

    def values(self, block: Block) -> Array:
        """Relevant items among the first N, over N."""
        return _where_relevant(block, hits_at(block, self.k, self.ties) / max(_within(block, self.k), 1))


@dataclass(frozen=True, eq=False)
class Recall(RankMeasure):
    """Share of a query's relevant items among the first K.

    >>> str(Recall(10))
    'recall@10(ties=expected, empty=skip)'
    """

    name: ClassVar[str] = "recall@"
    also: ClassVar[tuple[str, ...]] = ("R@",)

    def values(self, block: Block) -> Array:
        """Relevant items among the first K, over all that are relevant."""
        return _where_relevant(block, hits_at(block, self.k, self.ties) / np.maximum(block.relevant.sum(axis=1), 1))


@dataclass(frozen=True, eq=False)
class Hit(RankMeasure):
    """Recall at K of instances: the share of queries with at least one correct item among the first K.

    An item is correct if it is relevant by its labels ("label"), or only if it is the query's own pair ("pair"); for
    the latter the database must be the queries' own rows. Expected under ties: the probability of a hit.

    >>> str(Hit(1, correct="pair"))
    'hit@1(correct=pair, ties=expected, empty=zero)'
    """

    name: ClassVar[str] = "hit@"
    also: ClassVar[tuple[str, ...]] = ("hits@", "success@", "accuracy@", "instance recall@")

    correct: Correct = "label"
    empty: Empty = field(default="zero", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("correct", self.correct, get_args(Correct))

    @property
    def own_pair(self) -> bool:
        """Whether the one correct item is the query's own pair."""
        return self.correct == "pair"

    def values(self, block: Block) -> Array:
        """Whether there is a hit, or how probable that is."""
        if self.ties == "expected":
            chance = hit_chance_of_counts(block.size, block.relevant, _within(block, self.k))
        else:
            chance = (hits_at(block, self.k, self.ties) > 0).astype(np.float64)
        return _where_relevant(block, chance)


@dataclass(frozen=True, eq=False)
class DiscountedGain(RankMeasure):
    """Normalised discounted cumulative gain: the sum of gain / log2(rank + 1), over that of the best possible ranking.

    Both are cut at k. An item's gain is 2^g - 1 for the g labels that it shares with the query ("labels"), or how alike
    its labels are to the query's, |A and B| / |A or B| ("overlap").

    >>> str(DiscountedGain(50)), str(DiscountedGain(10, gain="overlap"))
    ('NDCG@50(ties=expected, empty=zero)', 'NDCG@10(gain=overlap, ties=expected, empty=zero)')
    """

    name: ClassVar[str] = "NDCG@"
    also: ClassVar[tuple[str, ...]] = ("nDCG@", "DCG@")
    whole: ClassVar[bool] = True

    gain: Gain = "labels"
    empty: Empty = field(default="zero", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("gain", self.gain, get_args(Gain))

    def options(self) -> dict[str, str]:
        """The usual gain is not told."""
        return {name: choice for name, choice in super().options().items() if (name, choice) != ("gain", "labels")}

    def values(self, block: Block) -> Array:
        """Discounted gain over the ideal one."""
        ranks = np.arange(1, _items(block) + 1)
        discount = np.where(ranks <= (self.k or len(ranks)), 1 / np.log2(ranks + 1), 0.0)
        weight = np.concatenate([[0.0], discount.cumsum()])
        gain, ideal = block.gains(self.gain, weight, self.ties), block.ideal(self.gain, weight)
        return np.divide(gain, ideal, out=np.full(len(ideal), np.nan), where=ideal > 0)


@dataclass(frozen=True, eq=False)
class Overlap(RankMeasure):
    """How alike the labels of the first K are to the query's: the mean of |A and B| / |A or B|, A and B their labels.

    Unlike "shares a label" it tells an item with all of the query's labels and no other from one that shares one of
    many. A K beyond the database is divided by the size of the database.

    >>> str(Overlap(10))
    'overlap@10(ties=expected, empty=skip)'
    """

    name: ClassVar[str] = "overlap@"
    also: ClassVar[tuple[str, ...]] = ("Jaccard@", "label overlap@", "IoU@")

    def values(self, block: Block) -> Array:
        """The mean overlap of the first K."""
        k = _within(block, self.k)
        weight = np.minimum(np.arange(_items(block) + 1), k) / max(k, 1)
        return _where_relevant(block, block.gains("overlap", weight, self.ties))


@dataclass(frozen=True, eq=False)
class RadiusPrecision(Measure):
    """Share of relevant items among those within a Hamming radius ("hash lookup"); whole tie groups enter.

    Here `empty` is the rule for queries that retrieve nothing. Real vectors of d entries lie d (1 - cosine) / 2 apart,
    which is the Hamming distance where all entries are -1 or +1.

    >>> str(RadiusPrecision(2))
    'P@radius2(empty=zero)'
    """

    name: ClassVar[str] = "P@radius"
    also: ClassVar[tuple[str, ...]] = ("precision@radius", "P@r", "P@r<=", "lookup@")
    lowest: ClassVar[int] = 0
    found: ClassVar[str] = "retrieves anything"
    empty_are: ClassVar[str] = "that retrieve nothing within the radius"

    empty: Empty = field(default="zero", kw_only=True)

    def values(self, block: Block) -> Array:
        """Relevant items over items, within the radius."""
        size, hits = (counts[:, : (self.k or 0) + 1].sum(axis=1) for counts in block.by_radius())
        return np.divide(hits, size, out=np.full(len(size), np.nan), where=size > 0)


def hits_at(block: Block, k: int | None, ties: str) -> Array:
    """Relevant items among the first k, float64 (m,)."""
    return hits_at_cuts(block, [_within(block, k)], ties)[:, 0]


def hits_at_cuts(block: Block, cuts: list[int], ties: str) -> Array:
    """Relevant items among the first n for each n, float64 (m, len(cuts))."""
    if ties == "index":
        return block.in_order(cuts, False)[0].astype(np.float64)
    return hits_of_counts(block.size, block.relevant, cuts, ties)


def _items(block: Block) -> int:
    return int(block.size[:1].sum())


def _within(block: Block, k: int | None) -> int:
    """Where a ranking is cut: no later than at its end, so that any number can be asked for."""
    items = _items(block)
    return items if k is None else min(k, items)


def _where_relevant(block: Block, values: Array) -> Array:
    return np.where(block.relevant.sum(axis=1) > 0, values, np.nan)


mAP = Uncut(MeanAveragePrecision)  # in Python `mAP(ties="best") @ 50`, as `mAP@50(ties=best)` in text
P = Uncut(Precision)
recall = Uncut(Recall)
hit = Uncut(Hit)
NDCG = Uncut(DiscountedGain)
overlap = Uncut(Overlap)
P_radius = Uncut(RadiusPrecision)


def parse_measure(text: str) -> Measure:
    """The measure of a name; `str` of it is the whole name, which parses back.

    A name is what is measured, `@`, where the ranking is cut (a number, or `all`), and in brackets the choices that
    differ from the defaults, in any order; spaces are optional.

    Raises:
        UserError: an unknown name, option or choice, with the nearest known one; a cut that makes no sense.

    >>> str(parse_measure("mAP@all"))
    'mAP@all(ties=expected, empty=skip)'
    >>> str(parse_measure("hit@1(correct=pair)"))
    'hit@1(correct=pair, ties=expected, empty=zero)'
    >>> parse_measure("ndgc@50")
    Traceback (most recent call last):
    crossbit.errors.UserError: unknown measure 'ndgc@50'; did you mean 'NDCG@50'? known: ...
    """
    compact = re.sub(r"\s+", "", str(text))
    if compact.count("(") > compact.count(")"):
        given = str(text).strip()
        raise UserError(f"measure {given!r}: its bracket is not closed; such as mAP@50(cutoff=topk, ties=index)")
    match = _NAME.fullmatch(compact)
    if match is None or match["name"] not in MEASURES:
        raise _unknown(str(text).strip(), match)
    chosen = _options(compact, match["options"] or "()")
    try:
        return MEASURES[match["name"]].of(None if match["cut"].lower() == "all" else int(match["cut"]), **chosen)
    except UserError as error:
        raise UserError(f"{compact}: {error}") from error


def known_measures() -> list[str]:
    """How the names of all measures begin, and what stands for their cut.

    >>> [name for name in known_measures() if name.startswith("mAP")]
    ['mAP@K', 'mAP@all']
    """
    return sorted(f"{name}{cut}" for name, kind in MEASURES.items() for cut in ("K", "all")[: 1 + kind.whole])


def _options(text: str, told: str) -> dict[str, Any]:
    """The choices between the brackets."""
    chosen: dict[str, Any] = {}
    for part in told[1:-1].split(",") if told != "()" else ():
        name, equals, choice = part.partition("=")
        if not (name and equals and choice) or name in chosen:
            raise UserError(f"{text!r}: {part!r} is not one OPTION=CHOICE, such as mAP@50(cutoff=topk, ties=index)")
        chosen[name] = choice
    return chosen


def _unknown(text: str, match: re.Match[str] | None) -> UserError:
    """An error that suggests the nearest name, with the cut that was given."""
    known = f"known: {', '.join(known_measures())} (K a number), with options in brackets"
    spelled = {other.lower(): kind for kind in MEASURES.values() for other in (kind.name, *kind.also)}
    whole = text.partition("(")[0].strip()
    names = [match["name"]] if match else [whole, f"{whole.partition('@')[0]}@"]
    tried = [name.lower() for name in names if name.strip("@")]
    near = [found for name in tried for found in difflib.get_close_matches(name, spelled, n=1)]
    if not near:
        return UserError(f"unknown measure {text!r}; {known}")
    kind = spelled[near[0]]
    cut = match["cut"] if match else _USUAL.get(kind.name, "all" if kind.whole else "10")
    return UserError(f"unknown measure {text!r}; did you mean '{kind.name}{cut}'? {known}")
