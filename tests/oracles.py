"""Slow, obvious versions of the measures: loops over ranks, and every order that ties allow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np


def hamming(query: np.ndarray, database: np.ndarray) -> list[list[int]]:
    """Distances between codes of -1 and +1, (m, L) and (n, L): positions that differ, one by one."""
    return [[sum(int(a != b) for a, b in zip(q, d, strict=True)) for d in database] for q in query]


def is_relevant(label: np.ndarray, other: np.ndarray) -> bool:
    """A shared class, or equal class numbers."""
    if np.ndim(label) == 0:
        return bool(label == other)
    return any(a == 1 and b == 1 for a, b in zip(label, other, strict=True))


def average_precision(ranking: Sequence[bool], k: int | None = None, cutoff: str = "topk-R") -> float:
    """AP of one ranking, given as the relevance of each rank; NaN where nothing is relevant."""
    k = len(ranking) if k is None else min(k, len(ranking))
    total = sum(ranking)
    if total == 0:
        return float("nan")
    precisions, ranks = [], []
    for rank, relevant in enumerate(ranking, start=1):
        if relevant:
            ranks.append(rank)
            precisions.append(len(ranks) / rank)
    if cutoff == "first-k-relevant":
        return sum(precisions[:k]) / len(precisions[:k])
    found = [precision for precision, rank in zip(precisions, ranks, strict=True) if rank <= k]
    if cutoff == "topk":
        return sum(found) / len(found) if found else 0.0
    return sum(found) / min(k, total)


def precision_at(ranking: Sequence[bool], n: int) -> float:
    """Share of relevant items among the first n, or among all where there are fewer."""
    first = ranking[:n]
    return sum(first) / len(first)


def recall_at(ranking: Sequence[bool], k: int) -> float:
    """Share of the relevant items that are among the first k; NaN where nothing is relevant."""
    return sum(ranking[:k]) / sum(ranking) if any(ranking) else float("nan")


def hit_at(ranking: Sequence[bool], k: int) -> float:
    """1 where one of the first k is relevant; NaN where nothing is."""
    return float(any(ranking[:k])) if any(ranking) else float("nan")


def shared_labels(label: np.ndarray, other: np.ndarray) -> int:
    """How many classes both have, or whether class numbers are equal."""
    if np.ndim(label) == 0:
        return int(label == other)
    return sum(int(a == 1 and b == 1) for a, b in zip(label, other, strict=True))


def overlap(label: np.ndarray, other: np.ndarray) -> float:
    """Classes that both have over those that one of them has; 0 where none has any."""
    if np.ndim(label) == 0:
        return float(label == other)
    mine, theirs = ({c for c, has in enumerate(of) if has == 1} for of in (label, other))
    return len(mine & theirs) / len(mine | theirs) if mine | theirs else 0.0


def discounted_gain(shared: Sequence[int], k: int | None) -> float:
    """DCG of a ranking, given as the number of labels that each rank shares with the query."""
    first = shared[: len(shared) if k is None else k]
    return sum((2**g - 1) / math.log2(rank + 1) for rank, g in enumerate(first, start=1))


def normalised_gain(shared: Sequence[int], k: int | None) -> float:
    """NDCG of a ranking; NaN where no item shares a label."""
    ideal = discounted_gain(sorted(shared, reverse=True), k)
    return discounted_gain(shared, k) / ideal if ideal else float("nan")


def normalised_overlap(alike: Sequence[float], k: int | None) -> float:
    """NDCG of a ranking, given as the overlap of labels at each rank; NaN where there is none."""

    def gain(ranked: Sequence[float]) -> float:
        return sum(each / math.log2(rank + 1) for rank, each in enumerate(ranked[:k], start=1))

    ideal = gain(sorted(alike, reverse=True))
    return gain(alike) / ideal if ideal else float("nan")


def reranked(distances: Sequence[int], cosines: Sequence[float], shortlist: int) -> list[int]:
    """The place of each item: what is as near as the `shortlist`-th nearest by cosine, then distance; the rest by
    distance alone. Items that no order is given to share a place."""
    farthest = sorted(distances)[min(shortlist, len(distances)) - 1]
    keys = [(0, -c, d) if d <= farthest else (1, 0.0, d) for d, c in zip(distances, cosines, strict=True)]
    return [sorted(set(keys)).index(key) for key in keys]


def item_orders(distances: Sequence[float]) -> Iterator[list[int]]:
    """Every order of the items that ties allow, each as likely as any other; for few items only."""
    groups = [[i for i, d in enumerate(distances) if d == near] for near in sorted(set(distances))]
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield [item for part in parts for item in part]


def over_items(distances: Sequence[float], gains: Sequence[int], measure: object, ties: str) -> float:
    """`measure` of the gains in ranked order, over all orders that ties allow, or by (distance, position)."""
    if ties == "index":
        order = sorted(range(len(distances)), key=lambda item: (distances[item], item))
        return measure([gains[item] for item in order])  # type: ignore[operator]
    values = [measure([gains[item] for item in order]) for order in item_orders(distances)]  # type: ignore[operator]
    return {"expected": np.mean, "best": max, "worst": min}[ties](values)  # type: ignore[operator]


def precision_within(distances: Sequence[float], relevant: Sequence[bool], radius: int) -> float:
    """Share of relevant items among those no farther than the radius; NaN where there are none."""
    inside = [bool(r) for d, r in zip(distances, relevant, strict=True) if d <= radius]
    return sum(inside) / len(inside) if inside else float("nan")


def code_quality(signs: np.ndarray) -> dict[str, float]:
    """Of codes of -1 and +1 (n, bits), bit by bit: how unbalanced, how correlated, how many constant and distinct."""
    bits = signs.T.tolist()
    means = [sum(bit) / len(bit) for bit in bits]
    correlations = []
    for a, b in itertools.combinations(range(len(bits)), 2):
        spread = math.sqrt((1 - means[a] ** 2) * (1 - means[b] ** 2))
        joint = sum(x * y for x, y in zip(bits[a], bits[b], strict=True)) / len(signs) - means[a] * means[b]
        correlations.append(abs(joint / spread) if spread else 0.0)
    return {
        "imbalance": sum(map(abs, means)) / len(bits),
        "correlation": sum(correlations) / len(correlations),
        "constant": sum(len(set(bit)) == 1 for bit in bits),
        "distinct": len({tuple(row) for row in signs.tolist()}),
    }


def orders(groups: Sequence[tuple[int, int]]) -> Iterator[list[bool]]:
    """Every ranking that tie groups (items, relevant items) allow, each as likely as any other."""
    inside = []
    for size, relevant in groups:
        chosen = itertools.combinations(range(size), relevant)
        inside.append([[place in places for place in range(size)] for places in chosen])
    for parts in itertools.product(*inside):
        yield [relevant for part in parts for relevant in part]


def over_orders(groups: Sequence[tuple[int, int]], measure: object, ties: str) -> float:
    """Mean ("expected"), maximum ("best") or minimum ("worst") of `measure(ranking)` over all orders."""
    values = [measure(ranking) for ranking in orders(groups)]  # type: ignore[operator]
    return {"expected": np.mean, "best": max, "worst": min}[ties](values)  # type: ignore[operator]


def tie_groups(distances: Sequence[float], relevant: Sequence[bool]) -> list[tuple[int, int]]:
    """Groups (items, relevant items) of equal distance, nearest first."""
    return [
        (sum(d == near for d in distances), sum(bool(r) for d, r in zip(distances, relevant, strict=True) if d == near))
        for near in sorted(set(distances))
    ]


def stable(distances: Sequence[float], relevant: Sequence[bool]) -> list[bool]:
    """The ranking by (distance, position)."""
    order = sorted(range(len(distances)), key=lambda item: (distances[item], item))
    return [bool(relevant[item]) for item in order]


def average_precisions(
    query: np.ndarray,
    database: np.ndarray,
    query_labels: np.ndarray,
    database_labels: np.ndarray,
    *,
    k: int | None = None,
    cutoff: str = "topk-R",
    ties: str = "expected",
) -> list[float]:
    """AP of every query, codes of -1 and +1."""
    values = []
    for row, label in zip(hamming(query, database), query_labels, strict=True):
        relevant = [is_relevant(label, other) for other in database_labels]
        if ties == "index":
            values.append(average_precision(stable(row, relevant), k, cutoff))
        else:
            groups = tie_groups(row, relevant)
            values.append(over_orders(groups, lambda ranking: average_precision(ranking, k, cutoff), ties))
    return values


def stable_average_precisions(
    query: np.ndarray, database: np.ndarray, query_labels: np.ndarray, database_labels: np.ndarray
) -> np.ndarray:
    """AP@all of every query as it is usually computed: a stable sort per query. For sizes where loops take too long."""
    values = []
    for code, label in zip(query, query_labels, strict=True):
        distances = (database.shape[1] - database.astype(np.int64) @ code.astype(np.int64)) // 2
        relevant = database_labels == label if np.ndim(label) == 0 else (database_labels * label).sum(axis=1) > 0
        ranks = np.flatnonzero(relevant[np.argsort(distances, kind="stable")]) + 1
        values.append(np.mean(np.arange(1, len(ranks) + 1) / ranks) if len(ranks) else np.nan)
    return np.array(values)


def expected_sum(groups: Sequence[tuple[int, int]], k: int | None = None) -> float:
    """McSherry & Najork's double sum over groups and places, up to rank k, for groups too large to enumerate."""
    total, before, hits = 0.0, 0, 0
    for size, relevant in groups:
        for place in range(1, size + 1):
            others = (place - 1) * (relevant - 1) / (size - 1) if size > 1 else 0.0
            if k is None or before + place <= k:
                total += relevant / size * (hits + 1 + others) / (before + place)
        before, hits = before + size, hits + relevant
    return total


def expected_average_precision(groups: Sequence[tuple[int, int]], k: int | None = None) -> float:
    """Expected AP, cut at k as "topk-R"."""
    relevant = sum(hits for _, hits in groups)
    return expected_sum(groups, k) / (relevant if k is None else min(k, relevant))


def expected_mean_of_found(groups: Sequence[tuple[int, int]], k: int) -> float:
    """Expected AP cut at k as "topk": over all numbers of relevant items that the straddling group may put before k."""
    before = list(itertools.accumulate((size for size, _ in groups), initial=0))
    split = max(t for t in range(len(groups)) if before[t] <= k)
    whole, (size, relevant), places = list(groups[:split]), groups[split], k - before[split]
    found, value = sum(hits for _, hits in whole), 0.0
    for x in range(min(places, relevant) + 1):
        ways = math.comb(relevant, x) * math.comb(size - relevant, places - x)
        if ways and found + x:
            value += float(Fraction(ways, math.comb(size, places))) * expected_sum([*whole, (places, x)]) / (found + x)
    return value


def precision_recall(
    query: np.ndarray,
    database: np.ndarray,
    query_labels: np.ndarray,
    database_labels: np.ndarray,
    average: str,
    empty_set: str,
) -> tuple[list[float], list[float]]:
    """Precision and recall within each radius; a query without relevant items has no recall."""
    distances = hamming(query, database)
    precision, recall = [], []
    for radius in range(query.shape[1] + 1):
        rows = []
        for row, label in zip(distances, query_labels, strict=True):
            relevant = [is_relevant(label, other) for other in database_labels]
            inside = [r for d, r in zip(row, relevant, strict=True) if d <= radius]
            rows.append((sum(inside), len(inside), sum(relevant)))
        if average == "micro":
            hits, retrieved, total = (sum(column) for column in zip(*rows, strict=True))
            nothing = 0.0 if empty_set == "zero" else float("nan")
            precision.append(hits / retrieved if retrieved else nothing)
            recall.append(hits / total)
        else:
            kept = [h / n if n else 0.0 for h, n, _ in rows if n or empty_set == "zero"]
            precision.append(sum(kept) / len(kept) if kept else float("nan"))
            recalls = [h / total for h, _, total in rows if total]
            recall.append(sum(recalls) / len(recalls))
    return precision, recall
