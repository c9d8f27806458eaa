"""How well "nothing here fits" is told, on queries that its calibration never used; one JSON object out.

    python -m benchmarks.studies.fits NAME=RUN[,DATA] ...

Each RUN has an index of its own data. Its held-out queries are halved, those of one text together: each half judges
what the other calibrated. Each query searches twice, all of the index, and the index without its kind and all else that
shares a label with it (`crossbit.search.calibrate`).

- calibration error: ten groups of equally many searches by probability; in each the distance of its mean from the share
  of searches whose best hit fits, averaged over the groups.
- by chance: what that is to be expected of a probability without error, from so few searches.
- answerable: the area under the ROC curve of the probability, of searches whose kind is there against those without it.
  An answerable query whose best hit does not fit has, rightly, a low probability.
- kind alone: the same area, against searches without their kind alone. What is of it by less than a third stays, such
  as other countries' flags for a flag: many of these searches find what a person would take.
- reach: (1 + the share of answerable queries of whose nearest 40, or best hit, one is of the kind) / 2. A search that
  sees nothing of the kind, nor what is related, sees the same without it.
- fits: the same area, of searches whose best hit fits against all others.
- ms: milliseconds of a processor that the evidence, the items read for it and the probability take, the median.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

import crossbit
from benchmarks.common.page import Section, table
from benchmarks.common.runs import tell_of_runs
from crossbit.data import PairedData
from crossbit.model import Model, load_model
from crossbit.runs.folder import RunFolder
from crossbit.search.calibrate import Tried, label_weights, learn, try_out
from crossbit.search.evidence import LOOKED_AT, READ, Seen, beside_of, evidence
from crossbit.search.fits import ALIKE_PICTURES, Scale
from crossbit.search.query import query_of

GROUPS = 10
ROUNDS = 200


def calibration_error(p: np.ndarray, fits: np.ndarray) -> float:
    """Mean over groups of equally many of |mean p - share that fits|, weighed by their size."""
    groups = np.array_split(np.argsort(p, kind="stable"), GROUPS)
    return float(sum(len(some) * abs(p[some].mean() - fits[some].mean()) for some in groups) / len(p))


def by_chance(p: np.ndarray) -> float:
    """The calibration error to expect of probabilities that are right: the mean over draws from them."""
    random = np.random.default_rng(0)
    return float(np.mean([calibration_error(p, random.random(len(p)) < p) for _ in range(ROUNDS)]))


def judged(model: Model, data: PairedData, folder: Path, kind: str, own: bool) -> tuple[Scale, dict[str, float]] | None:
    """The scale learnt from one half, and the figures of both halves; None where nothing can be learnt."""
    rows, weights = np.sort(data.splits["query"]), label_weights(data)
    texts = next(array for name, array in data.modalities.items() if data.kind(name) == "words")[rows]
    _, first, which = np.unique(texts, return_index=True, return_inverse=True)
    half = np.argsort(np.argsort(first))[which] % 2

    def tried(alone: bool) -> list[Tried | None]:
        return [
            try_out(model, data, folder, kind, rows[half == side], weights, own=own, alone=alone) for side in (0, 1)
        ]

    one, other = tried(alone=False)
    if one is None or other is None:
        return None
    scales = learn(one), learn(other)
    p, fits, near, answerable = asked(scales, other, one)
    harder, _, _, still = asked(scales, *tried(alone=True)[::-1])
    return scales[0], {
        "queries": sum(len(np.unique(of.query)) for of in (one, other)),
        "found": float(fits[answerable].mean()),
        "reach": float(1 + near[answerable].mean()) / 2,
        "calibration error": calibration_error(p, fits),
        "by chance": by_chance(p),
        "answerable": float(roc_auc_score(answerable, p)),
        "kind alone": float(roc_auc_score(still, harder)),
        "fits": float(roc_auc_score(fits, p)),
    }


def asked(scales: tuple[Scale, ...], *judging: Tried | None) -> tuple[np.ndarray, ...]:
    """The probability of searches, by a scale for each part; whether the best hit fits, one near does, one could."""
    pairs = [(scale, of) for scale, of in zip(scales, judging, strict=True) if of is not None]
    p = np.array([scale.probability(each) for scale, of in pairs for each in of.evidence])
    return p, *(np.concatenate([getattr(of, name) for _, of in pairs]) for name in ("fits", "near", "answerable"))


def milliseconds(run: Path, scale: Scale, weights: dict[str, float]) -> float:
    """What the evidence of a search of ten hits and its probability take, with items that are read for it alone."""
    words = "a small red house"
    with crossbit.open_search(run) as search:
        hits, bits = search(words, k=LOOKED_AT, by="codes")[scale.modality], search.model.bits
        ids, index, query = (
            [hit.id for hit in hits],
            search.opened(scale.modality).index,
            query_of(search.model, words, None),
        )

        def told() -> float:
            seen = Seen(hits, hits, bits, 0.5, frozenset(["small", "red", "house"]))
            beside = search.opened(beside_of(search.model, scale.modality)).likeness(query, seen.ids)
            return scale.probability(evidence(seen, beside, weights))

        return median(told) + median(lambda: index.items(ids[:READ])) - median(lambda: index.items(ids[:10]))


def median(work: Callable[[], object]) -> float:
    """Milliseconds of a processor that it takes."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(1000 * (time.process_time() - start))
    return float(np.median(times))


def figures(run: str, source: str | None) -> dict[str, dict[str, float]]:
    """By kind of query."""
    folder, found = RunFolder(run), {}
    model, data = load_model(run), folder.data(source)
    for name, kind, own in (
        ("words", "words", False),
        ("pictures", "pictures", False),
        (ALIKE_PICTURES, "pictures", True),
    ):
        if (told := judged(model, data, folder.index, kind, own)) is not None:
            cost = {"ms": milliseconds(Path(run), told[0], label_weights(data))} if kind == "words" else {}
            found[name] = told[1] | cost
    return found


def section(result: dict[str, Any]) -> str:
    """A row for each run and kind of query."""
    rows = [
        [run, kind, str(of["queries"]), *(f"{of[name]:.3f}" for name in SHOWN), f"{of['ms']:.2f}" if "ms" in of else ""]
        for run, kinds in result.items()
        for kind, of in kinds.items()
    ]
    return table(["", "queries of", "how many", *SHOWN, "ms"], rows)


SHOWN = ["found", "reach", "calibration error", "by chance", "answerable", "kind alone", "fits"]
ABOUT = (
    "The probability that the best hit fits, on held-out queries that its calibration never used. *Pictures*: they "
    "search texts and pictures, or pictures alone, as the page does. *Found*: the "
    "share of queries whose kind is there and whose best hit is of it. *Reach*: (1 + the share that see their kind "
    "among 40 hits) / 2; a search that sees nothing of the kind, nor of what is related, sees the same without it. "
    "*Calibration error*: of ten groups of "
    "equally many. *By chance*: what it would be of a probability without error, from so few searches. "
    "*Answerable*: area under the ROC curve of queries whose kind is there against the same without it, and without "
    "all else that shares a label. *Kind alone*: the same area, against queries without their kind alone: a flag then "
    "finds other countries' flags. *Fits*: the "
    "same area, of searches whose best hit fits against all others. *ms*: milliseconds of a processor that it "
    "adds to a search."
)
SECTIONS = {"fits": Section("Nothing here fits", ABOUT, section)}


if __name__ == "__main__":
    tell_of_runs(__doc__, figures)
