"""Reports: mean average precision for every pair of modalities, with the protocol that each number was made under."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import permutations
from typing import Any, NotRequired, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.evaluation.cosine import CosineRanking
from crossbit.evaluation.measure import Empty, Measure, check_choice
from crossbit.evaluation.rankings import Array, Block, HammingRanking, Ranking
from crossbit.evaluation.ties import Cutoff, Ties

Labels: TypeAlias = "npt.ArrayLike | Mapping[str, npt.ArrayLike]"  # for all modalities, or each its own
DATABASES = ("retrieval", "query")


class Protocol(TypedDict):
    """What has to be said with a number, so that it can be compared."""

    k: int | None  # None: the whole ranking
    cutoff: Cutoff
    ties: Ties
    empty: Empty
    metric: str  # "hamming" or "cosine"
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

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON takes it."""
        return asdict(self)

    @property
    def measure(self) -> str:
        """The measure's name, such as "mAP@all(ties=expected, empty=skip)"."""
        protocol = self.protocol
        name = str(Measure(protocol["k"], protocol["cutoff"], protocol["ties"], protocol["empty"]))
        return name if protocol["metric"] == "hamming" else f"{name[:-1]}, metric={protocol['metric']})"

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
        last = [f"{what}: {', '.join(of)}" for what, of in more if of]
        return "\n".join([head, *lines, *last])


def score_codes(
    query: Mapping[str, npt.ArrayLike],
    retrieval: Mapping[str, npt.ArrayLike],
    query_labels: Labels,
    retrieval_labels: Labels,
    *,
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
    database: str = "retrieval",
    data: str = "codes",
    method: str = "codes",
) -> Report:
    """Score codes made by anyone: every modality's queries against every other modality's database.

    Args:
        query, retrieval: packed codes uint8 (rows, bits // 8) per modality; row i is pair i in all of them.
        query_labels, retrieval_labels: 0/1 (rows, classes) or classes (rows,); a mapping where modalities were labelled
            apart.
        k, cutoff, ties, empty: as for `mean_average_precision`.
        database, data, method: what the report says about them.

    Raises:
        UserError: fewer than two modalities; codes or labels that do not fit; see `mean_average_precision`.

    >>> codes = {"image": np.array([[0], [7]], np.uint8), "text": np.array([[1], [7]], np.uint8)}
    >>> print(score_codes(codes, codes, [0, 1], [0, 1], database="query", data="toy", method="by hand"))
    toy, by hand, 8 bits
    image->text  1.0000  mAP@all(ties=expected, empty=skip), 2 queries x the same 2
    text->image  1.0000  mAP@all(ties=expected, empty=skip), 2 queries x the same 2
    any order of ties: image->text 1.0000 to 1.0000, text->image 1.0000 to 1.0000
    chance: image->text 0.7500, text->image 0.7500
    """
    check_choice("database", database, DATABASES)
    measure = Measure(k, cutoff, ties, empty)
    sides = query, retrieval, query_labels, retrieval_labels
    report = score_rankings(HammingRanking.of, *sides, measure, data=data, method=method)
    protocol: Protocol = {**report.protocol, "database": database}
    return replace(report, bits=8 * np.shape(next(iter(query.values())))[1], protocol=protocol)


def score_vectors(
    query: Mapping[str, npt.ArrayLike],
    retrieval: Mapping[str, npt.ArrayLike],
    query_labels: Labels,
    retrieval_labels: Labels,
    *,
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
    database: str = "retrieval",
    data: str = "vectors",
    method: str = "vectors",
) -> Report:
    """Score real vectors (rows, d) by cosine similarity; arguments and errors as for `score_codes`.

    >>> vectors = {"image": [[1.0, 0.0], [0.0, 2.0]], "text": [[0.9, 0.1], [0.1, 0.9]]}
    >>> score_vectors(vectors, vectors, [0, 1], [0, 1], database="query").map
    {'image->text': 1.0, 'text->image': 1.0}
    """
    check_choice("database", database, DATABASES)
    measure = Measure(k, cutoff, ties, empty)
    sides = query, retrieval, query_labels, retrieval_labels
    report = score_rankings(CosineRanking.of, *sides, measure, data=data, method=method, metric="cosine")
    return replace(report, protocol={**report.protocol, "database": database})


def score_model(
    model: Any,
    query: Mapping[str, Any],
    retrieval: Mapping[str, Any] | None,
    query_labels: Labels,
    retrieval_labels: Labels,
    **options: Any,
) -> Report:
    """Encode rows of every modality once and score them as the model's method ranks: by codes, or by real vectors.

    Args:
        model: as for `evaluate`.
        query, retrieval: by modality what the model encodes; `retrieval` None: the queries against themselves.
        query_labels, retrieval_labels, options: as for `score_codes`.
    """
    options["database"] = "query" if retrieval is None else "retrieval"
    real = getattr(model, "metric", "hamming") == "cosine"
    make: Callable[..., Array] = model.embed if real else model.encode
    start = time.perf_counter()
    made = {modality: make(modality, rows) for modality, rows in query.items()}
    other = made if retrieval is None else {modality: make(modality, rows) for modality, rows in retrieval.items()}
    seconds = time.perf_counter() - start
    score = score_vectors if real else score_codes
    report = score(made, other, query_labels, retrieval_labels, **options)
    if real:
        signs, others = ({modality: pack(vectors) for modality, vectors in of.items()} for of in (made, other))
        codes = score_codes(signs, others, query_labels, retrieval_labels, **options)
        report = replace(report, bits=codes.bits, codes_map=codes.map)
    return replace(report, seconds={"encode": seconds, **report.seconds})


def evaluate(
    model: Any,
    data: Any,
    *,
    database: str = "retrieval",
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
) -> Report:
    """Encode the queries and the database of `data` with `model`, each modality once, and score the codes.

    Args:
        model: anything with `encode(modality, rows) -> packed codes` and a name `method`; `modalities` where it
            knows other ones than the data, `selection` where it says how its epoch was chosen; `metric` "cosine"
            and `embed(modality, rows) -> real vectors` where those are what it ranks by.
        data: PairedData. Evaluation uses its true labels, never the observed ones.
        database: "retrieval": the retrieval rows; "query": the queries against themselves, own pair included.
        k, cutoff, ties, empty: as for `mean_average_precision`.

    Raises:
        UserError: data without labels, queries or database rows; an unknown database; see `mean_average_precision`.
    """
    check_choice("database", database, DATABASES)
    options: dict[str, Any] = asdict(Measure(k, cutoff, ties, empty))
    modalities = list(getattr(model, "modalities", data.modalities))  # it may know fewer than the data holds
    labels, other = (_true_labels(data, split, modalities) for split in ("query", database))
    query = {modality: data.query[modality] for modality in modalities}
    retrieval = {m: data.retrieval[m] for m in modalities} if database == "retrieval" else None
    report = score_model(model, query, retrieval, labels, other, **options, data=data.name, method=model.method)
    selection: Any = {"selection": model.selection} if hasattr(model, "selection") else {}
    protocol: Protocol = {**report.protocol, **selection}
    return replace(report, protocol=protocol)


def score_rankings(
    ranking: Callable[..., Ranking],
    query: Mapping[str, npt.ArrayLike],
    retrieval: Mapping[str, npt.ArrayLike],
    query_labels: Labels,
    retrieval_labels: Labels,
    measure: Measure,
    *,
    data: str,
    method: str,
    metric: str = "hamming",
) -> Report:
    """The report of the rankings that `ranking(query, database, query labels, database labels, names)` makes."""
    start = time.perf_counter()
    queries, items = _check_sides(query, retrieval)
    scores = {}
    for source, target in permutations(query, 2):
        labels = _labels_of(query_labels, source), _labels_of(retrieval_labels, target)
        names = f"query {source}", f"retrieval {target}", "query labels", "retrieval labels"
        scores[f"{source}->{target}"] = _score(ranking(query[source], retrieval[target], *labels, names), measure)
    protocol = Protocol(
        k=measure.k,
        cutoff=measure.cutoff,
        ties=measure.ties,
        empty=measure.empty,
        metric=metric,
        queries=queries,
        database="retrieval",
        database_size=items,
    )
    return Report(
        data=data,
        method=method,
        bits=None,
        map={direction: score["map"] for direction, score in scores.items()},
        protocol=protocol,
        seconds={"evaluate": time.perf_counter() - start},
        spread={direction: {bound: score[bound] for bound in ("worst", "best")} for direction, score in scores.items()},
        chance={direction: score["chance"] for direction, score in scores.items() if "chance" in score},
    )


def _score(ranking: Ranking, measure: Measure) -> dict[str, float]:
    """The mean average precision, the bounds that ties leave it, and what a random ranking is expected to give."""
    measures = {"map": measure, "worst": replace(measure, ties="worst"), "best": replace(measure, ties="best")}
    if measure.cutoff != "first-k-relevant" or measure.k is None or measure.k >= ranking.items:
        measures["chance"] = replace(measure, ties="expected")
    values: dict[str, list[Array]] = {name: [] for name in measures}
    for block in ranking.blocks():
        size, relevant = (counts.sum(axis=1, keepdims=True) for counts in (block.size, block.relevant))
        one_group = Block(size, relevant, block.in_order)
        for name in measures:
            values[name].append(measures[name].average_precision(one_group if name == "chance" else block))
    return {name: measures[name].mean(np.concatenate(values[name])) for name in measures}


def _check_sides(query: Mapping[str, npt.ArrayLike], retrieval: Mapping[str, npt.ArrayLike]) -> tuple[int, int]:
    """Numbers of queries and of database rows, the same in all modalities; as is the length of a code."""
    if len(query) < 2 or set(query) != set(retrieval):
        raise UserError(
            f"queries have the modalities {', '.join(query) or 'none'}, the database {', '.join(retrieval) or 'none'}; "
            "scoring across modalities needs the same ones on both sides, at least two"
        )
    shapes = {
        side: {f"{side} {modality}": np.shape(array) for modality, array in of.items()}
        for side, of in (("query", query), ("retrieval", retrieval))
    }
    everything = shapes["query"] | shapes["retrieval"]
    if len({shape[1:] for shape in everything.values()}) > 1 or any(len(shape) != 2 for shape in everything.values()):
        given = ", ".join(f"{name}: {shape}" for name, shape in everything.items())
        raise UserError(f"codes must all have the shape (rows, the same length); got {given}")
    for of in shapes.values():
        if len({shape[0] for shape in of.values()}) > 1 or not all(shape[0] for shape in of.values()):
            given = ", ".join(f"{name}: {shape[0]}" for name, shape in of.items())
            raise UserError(
                f"the modalities must have the same number of rows, at least 1, as row i is pair i; got {given}"
            )
    queries, items = (next(iter(of.values()))[0] for of in shapes.values())
    return queries, items


def _labels_of(labels: Labels, modality: str) -> npt.ArrayLike:
    if not isinstance(labels, Mapping):
        return labels
    if modality not in labels:
        raise UserError(f"there are labels for {', '.join(labels) or 'no modality'}, but none for {modality}")
    return labels[modality]


def _true_labels(data: Any, split: str, modalities: list[str]) -> dict[str, Array]:
    """The truth for a split's rows, per modality."""
    rows = getattr(data, split)
    if not len(rows):
        raise UserError(f"{data.name}: split '{split}' has no rows; evaluation needs queries and a database")
    labels = {modality: data.modality_label.get(modality, data.label) for modality in modalities}
    if missing := [modality for modality, label in labels.items() if label is None]:
        raise UserError(
            f"{data.name} has no labels for {', '.join(missing)}; evaluation needs them to tell what is relevant"
        )
    return {modality: label[rows.index] for modality, label in labels.items()}
