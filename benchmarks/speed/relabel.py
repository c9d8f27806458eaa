"""Milliseconds of `Posterior.relabel` after corrections, beside estimating the posterior anew, and seconds of the exact
regression alone, which an audit makes again to name the rows that weigh most; one JSON object out.

    python -m benchmarks.speed.relabel [--labelled 5000] [--unlabelled 0 20000] [--rows 1 5] [--rounds 20]

Drawn pairs of the shape of the glyph sets (images 1,024 and texts 610 wide, 41 classes), a fifth under swap-one; the
first rows that this changed get their true labels again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.common.page import Section, table
from benchmarks.common.timing import in_turns
from benchmarks.speed.look import GLYPHS, drawn
from crossbit.data.noise import corrupt
from crossbit.posterior import Posterior, estimate_posterior
from crossbit.posterior.smoother import ExactSmoother


def measured(labelled: int, unlabelled: int, counts: list[int], rounds: int) -> dict[str, Any]:
    """Seconds by what is done, medians over the rounds."""
    data = drawn(labelled, unlabelled, *GLYPHS)
    rows, true = data.splits["retrieval"], np.asarray(data.label)
    given, changed = corrupt(true[rows], "swap-one:0.2", 0)
    given[labelled:] = 0
    wrong = torch.from_numpy(np.flatnonzero(changed[:labelled]))
    features = {m: torch.from_numpy(data[m][rows]) for m in data.modalities}
    observed, right = torch.from_numpy(given).float(), torch.from_numpy(true[rows]).float()
    start = time.perf_counter()
    first = estimate_posterior(features, dict.fromkeys(features, observed), keep=True)
    anew = time.perf_counter() - start

    def corrected(count: int) -> Callable[[], object]:
        return lambda: first.relabel(wrong[:count], dict.fromkeys(features, right[wrong[:count]]))

    times = in_turns({str(count): corrected(count) for count in counts}, rounds)
    medians = {count: statistics.median(seconds) for count, seconds in times.items()}
    found = {"labelled": labelled, "unlabelled": unlabelled, "anew": anew, "relabel": medians}
    return found | {"regression": regression(first, {m: x[:labelled] for m, x in features.items()})}


def regression(found: Posterior, features: dict[str, torch.Tensor]) -> float:
    """Seconds of the exact regression alone."""
    assert found.kernel is not None and found.ridge is not None
    start = time.perf_counter()
    ExactSmoother.of(features, found.kernel, found.ridge)
    return time.perf_counter() - start


def section(result: dict[str, Any]) -> str:
    rows = [
        [f"{one['labelled']:,}", f"{one['unlabelled']:,}", count, f"{1000 * seconds:.0f}", f"{one['anew']:.1f}"]
        for one in result["sizes"]
        for count, seconds in one["relabel"].items()
    ]
    head = ["labelled", "without labels", "corrected", "`relabel`, ms (aim: under 100 for 5,000 labelled)", "anew, s"]
    again = ", ".join(f"{one['regression']:.1f}" for one in result["sizes"])
    told = (
        f"{result['threads']} threads, medians of {result['rounds']} rounds; the regression alone {again} s (once each)"
    )
    return f"{told}:\n\n{table(head, rows)}"


ABOUT = (
    "`Posterior.relabel` after labels were corrected, beside estimating the posterior anew, kernel and noise included. "
    "All rows are judged again. The regression alone is what an audit makes again to name the rows that weigh most."
)
SECTIONS = {"relabel": Section("Corrections: the posterior after a decision", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labelled", type=int, default=5000)
    parser.add_argument("--unlabelled", type=int, nargs="+", default=[0, 20_000])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    sizes = [measured(args.labelled, unlabelled, args.rows, args.rounds) for unlabelled in args.unlabelled]
    print(json.dumps({"threads": torch.get_num_threads(), "rounds": args.rounds, "sizes": sizes}, indent=1))


if __name__ == "__main__":
    main()
