"""How long LOOK takes: beside NRCH, and as the number of labelled pairs grows. One JSON object out.

    python -m benchmarks.speed.look beside [--labelled 5000] [--unlabelled 20000] [--rounds 3]
    python -m benchmarks.speed.look growth [--sizes 10000 20000 50000 100000] [--classes 80]

Drawn pairs of the shape of the glyph sets ("beside": images 1,024 and texts 610 wide, 41 classes), and of 512 features
in each modality ("growth"); one to three labels a pair, half of them under swap-one. *beside*: a whole
LOOK training at its defaults, posterior included, in turns with epochs of NRCH at LOOK's width and, on an eighth of the
rows, at the paper's (the difference of trainings that have more of them), times the 100 epochs of its paper. *growth*:
the posterior alone, of clean labels, and the whole training; every size in a process of its own, which tells its peak
of memory, and that of drawing the data.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch

from benchmarks.common.page import Section, table
from benchmarks.common.timing import in_turns
from crossbit.data import PairedData
from crossbit.methods import get, make_settings
from crossbit.posterior import estimate_posterior
from crossbit.training import train

PAPER = {"preset": "paper"}
QUERIES, BITS, NOISE = 100, 64, "swap-one:0.5"
GLYPHS = {"image": 1024, "text": 610}, 41
GROWTH, CLASSES = {"image": 512, "text": 512}, 80
GIB, PART = 2**30, 8
AS_IS = {"image": "as-is", "text": "as-is"}


def drawn(labelled: int, unlabelled: int, dims: dict[str, int], classes: int) -> PairedData:
    """Pairs whose features are mixtures of their labels' directions, with noise."""
    rng = np.random.default_rng(0)
    n = QUERIES + labelled + unlabelled
    label = np.zeros((n, classes), np.uint8)
    for column in range(3):  # the same one twice: fewer labels
        label[np.arange(n), rng.integers(classes if column else classes // 2, size=n)] = 1
    made = {}
    for modality, dim in dims.items():
        x = rng.standard_normal((n, dim), np.float32)
        x += 3 * label @ rng.standard_normal((classes, dim), np.float32)
        made[modality] = x
    splits = {"query": np.arange(QUERIES), "train": np.arange(QUERIES, QUERIES + labelled)}
    return PairedData("drawn", made, label, splits | {"retrieval": np.arange(QUERIES, n)})


def beside(labelled: int, unlabelled: int, rounds: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of LOOK and of NRCH, in turns."""
    data, part = drawn(labelled, unlabelled, *GLYPHS), drawn(labelled // PART, 0, *GLYPHS)
    paper = make_settings(get("nrch"), PAPER)
    width = make_settings(get("look"), settings).width

    def run(method: str, data: PairedData = data, **options: Any) -> Any:
        return lambda: train(
            data, method=method, bits=BITS, noise=NOISE, seed=0, features=AS_IS, progress=False, **options
        )

    calls = {
        "look": run("look", settings=settings),
        "nrch, equal width, one epoch": run("nrch", epochs=1, settings={**PAPER, "width": width}),
        "nrch, equal width, three epochs": run("nrch", epochs=3, settings={**PAPER, "width": width}),
        "nrch, paper's width, one epoch": run("nrch", part, settings=PAPER, epochs=1),
        "nrch, paper's width, two epochs": run("nrch", part, settings=PAPER, epochs=2),
    }
    seconds = {name: float(np.median(times)) for name, times in in_turns(calls, rounds).items()}
    narrow = (seconds["nrch, equal width, three epochs"] - seconds["nrch, equal width, one epoch"]) / 2
    wide = seconds["nrch, paper's width, two epochs"] - seconds["nrch, paper's width, one epoch"]
    whole = {"narrow": narrow * paper.epochs, "wide": wide * PART * paper.epochs}
    told = {"labelled": labelled, "unlabelled": unlabelled, "threads": torch.get_num_threads(), "rounds": rounds}
    told |= {"width": width, "paper_width": paper.width, "paper_epochs": paper.epochs, "look": seconds["look"]}
    nrch = {name: {"seconds": total, "ratio": total / seconds["look"]} for name, total in whole.items()}
    return told | {"nrch": nrch, "seconds": seconds}


def one(n: int, classes: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds and the peak of memory at one size."""
    data = drawn(n, 0, GROWTH, classes)
    rows = data.splits["train"]
    features = {m: torch.from_numpy(data[m][rows]) for m in data.modalities}
    labels = torch.from_numpy(np.asarray(data.label)[rows]).float()
    held, start = peak(), time.perf_counter()
    estimate_posterior(features, dict.fromkeys(features, labels))
    posterior = time.perf_counter() - start
    start = time.perf_counter()
    train(data, method="look", bits=BITS, noise=NOISE, seed=0, settings=settings, features=AS_IS, progress=False)
    whole = time.perf_counter() - start
    return {"pairs": n, "posterior": posterior, "training": whole, "data_gib": held, "peak_gib": peak()}


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB


def growth(sizes: list[int], classes: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Every size in its own process."""
    found = []
    for n in sizes:
        chosen = [f"{key}={value}" for key, value in settings.items()]
        command = [sys.executable, "-m", "benchmarks.speed.look", "one", "--sizes", str(n), "--classes", str(classes)]
        command += ["--set", *chosen]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        found.append(json.loads(done.stdout))
        print(found[-1], file=sys.stderr)
    return {"threads": torch.get_num_threads(), "features": GROWTH, "classes": classes, "sizes": found}


def beside_section(result: dict[str, Any]) -> str:
    """LOOK's whole training, and NRCH's at two widths."""
    rows = [["LOOK, whole training, posterior included", f"{result['look']:.0f}", ""]]
    for name, width in (("narrow", result["width"]), ("wide", result["paper_width"])):
        of = result["nrch"][name]
        label = f"NRCH, {width:,} wide, {result['paper_epochs']} epochs"
        rows.append([label, f"{of['seconds']:.0f}", f"{of['ratio']:.1f}"])
    size = f"{result['labelled']:,} labelled and {result['unlabelled']:,} unlabelled pairs"
    head = f"{size}, {result['threads']} threads, medians of {result['rounds']} rounds:\n\n"
    return head + table(["", "seconds", "times LOOK's"], rows)


def growth_section(result: dict[str, Any]) -> str:
    """Seconds and memory by the number of labelled pairs."""
    columns = {
        "labelled pairs": lambda of: f"{of['pairs']:,}",
        "posterior of clean labels alone, s": lambda of: f"{of['posterior']:.0f}",
        "whole training, s": lambda of: f"{of['training']:.0f}",
        "peak of the data alone, GiB": lambda of: f"{of['data_gib']:.1f}",
        "peak, GiB": lambda of: f"{of['peak_gib']:.1f}",
    }
    rows = [[shown(of) for shown in columns.values()] for of in result["sizes"]]
    return f"{result['threads']} threads, {result['classes']} classes:\n\n" + table(list(columns), rows)


SECTIONS = {
    "look-speed": Section(
        "LOOK: a whole training beside NRCH's",
        "NRCH's are an epoch's seconds (the difference of trainings that have more epochs; at the paper's width on an "
        "eighth of the rows) times the epochs of its paper; it trains on labelled pairs only.",
        beside_section,
    ),
    "look-growth": Section(
        "LOOK: time and memory as labelled pairs grow",
        "Up to 10,000 labelled pairs the regression is exact, above it has 2,000 landmarks; each size in a process of "
        "its own, two modalities of 512 features.",
        growth_section,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("beside", "growth", "one"))
    parser.add_argument("--labelled", type=int, default=5000)
    parser.add_argument("--unlabelled", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 20_000, 50_000, 100_000])
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="LOOK's settings, where not its own")
    args = parser.parse_args()
    settings = dict(pair.split("=") for pair in args.set)
    sized = args.sizes, args.classes, settings
    if args.what == "beside":
        result = beside(args.labelled, args.unlabelled, args.rounds, settings)
    else:
        result = growth(*sized) if args.what == "growth" else one(args.sizes[0], *sized[1:])
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
