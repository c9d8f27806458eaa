"""What re-ranking by embeddings gains and costs: an indexed run's queries in both directions, ranked in four ways.

    python -m benchmarks.speed.reranking RUN [--queries 2000] [--rounds 5]

RUN is a run whose data has labels, indexed by `crossbit index RUN`. The queries are its data's. `distance` is the
order by (distance, id); `inside ties` orders equal distances by cosine; `shortlist` is what `crossbit search` does;
`cosine of all` leaves the codes out. A hit is right if it shares a label: precision, and mAP@k over the right ones
among the first k, 0 where there are none. `label overlap` is the mean Jaccard index of the labels of the first ten,
`same name` the share of texts, asked about rows of the database that were not trained on, whose own name is among the
first ten. One JSON object on standard output.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.page import Section, table
from crossbit.bits import pack
from crossbit.data import PairedData, load_data
from crossbit.index import Index, open_index
from crossbit.index.embeddings import cosines
from crossbit.model import Model, load_model
from crossbit.search.build import index_path

FIRST = 100
Rank = Callable[[np.ndarray], np.ndarray]  # a query's embedding (bits,) -> the ids of the first hundred


def ways(index: Index) -> dict[str, Rank]:
    """The rankings of one modality's database."""
    ids, stored = index.keys(), index.embeddings
    assert stored is not None, "an index without embeddings"
    rows = stored.of(ids)

    def inside_ties(query: np.ndarray) -> np.ndarray:
        distance = ((rows >= 0) != (query >= 0)).sum(axis=1)
        return ids[np.lexsort((ids, -cosines(rows, query.astype(np.float64)), distance))[:FIRST]]

    def cosine_of_all(query: np.ndarray) -> np.ndarray:
        return ids[np.lexsort((ids, -cosines(rows, query.astype(np.float64))))[:FIRST]]

    return {
        "distance": lambda query: index.search(pack(query[None]), k=FIRST).ids[0],
        "inside ties": inside_ties,
        "shortlist": lambda query: stored.search(query, pack(query[None]), k=FIRST).ids[0],
        "cosine of all": cosine_of_all,
    }


def by_labels(asked: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Figures of labels asked (m, classes) and found (m, 100, classes)."""
    shared = np.einsum("qc,qkc->qk", asked, found)
    figures = {}
    for k in (10, FIRST):
        right = (shared > 0)[:, :k]
        precision = right.cumsum(axis=1) / np.arange(1, k + 1)
        figures[f"mAP@{k}"] = float(((precision * right).sum(axis=1) / right.sum(axis=1).clip(1)).mean())
        figures[f"precision@{k}"] = float(right.mean())
    union = asked.sum(axis=1, keepdims=True) + found.sum(axis=2) - shared
    figures["label overlap@10"] = float((shared / union.clip(1))[:, :10].mean())
    return figures


def same_name(data: PairedData, model: Model, asked: str, count: int, rank: Rank) -> float:
    """Texts of rows that are searched but were not trained on: the share with their own name among the first ten."""
    rows = np.setdiff1d(data.splits["retrieval"], data.splits["train"])
    rows, names = np.random.default_rng(0).permutation(rows)[:count], data[asked]
    embeddings = model.embed(asked, names[rows])
    return float(np.mean([names[row] in names[rank(one)[:10]] for row, one in zip(rows, embeddings, strict=True)]))


def milliseconds(rank: Rank, queries: np.ndarray, rounds: int) -> float:
    """Processor time of one query without its items: the median over rounds of a loop over all."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        for query in queries:
            rank(query)
        seconds.append(time.process_time() - start)
    return 1000 * statistics.median(seconds) / len(queries)


def direction(model: Model, data: PairedData, asked: str, other: str, args: argparse.Namespace) -> dict[str, Any]:
    """Figures of each ranking, and what a query takes."""
    label = np.asarray(data.label, np.int64)
    labels = label if label.ndim == 2 else (label[:, None] == np.arange(data.classes)).astype(np.int64)
    rows = data.splits["query"][: args.queries]
    queries = model.embed(asked, data[asked][rows])
    found: dict[str, Any] = {}
    with open_index(index_path(args.run / "index", other), read_only=True) as index:
        ranks = ways(index)
        for name, rank in ranks.items():
            found[name] = by_labels(labels[rows], np.stack([labels[rank(query)] for query in queries]))
            if data.kind(asked) == "words":
                found[name]["same name@10"] = same_name(data, model, asked, args.queries, rank)
        times = {name: milliseconds(ranks[name], queries[:50], args.rounds) for name in ("distance", "shortlist")}
        return found | {"milliseconds a query": times}


def section(result: dict[str, Any]) -> str:
    parts = []
    for direction, orders in result["results"].items():
        measures = list(orders["distance"])
        rows = [
            [order, *(f"{figures[measure]:.4f}" for measure in measures)]
            for order, figures in orders.items()
            if not order.startswith("milliseconds")
        ]
        cost = ", ".join(f"{order} {value:.2f}" for order, value in orders["milliseconds a query"].items())
        parts.append(f"{direction}; milliseconds a query: {cost}\n\n{table(['ordered by', *measures], rows)}")
    return "\n\n".join(parts)


ABOUT = (
    "*distance*: by Hamming distance and row; *inside ties*: the cosine decides between equal distances; "
    "*shortlist*: all that is as near as the hundredth, by cosine; *cosine of all*: no codes. *same name*: "
    "another picture of it."
)
SECTIONS = {"reranking": Section("Search: what ordering the shortlist by embeddings gains and costs", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    model = load_model(args.run)
    data = load_data(model.config["data"])
    first, second = model.modalities[:2]
    results = {f"{a}->{b}": direction(model, data, a, b, args) for a, b in ((second, first), (first, second))}
    settings = {"queries": args.queries, "rounds": args.rounds, "run": model.config["settings"]}
    print(json.dumps({"settings": settings, "results": results}, indent=1))


if __name__ == "__main__":
    main()
