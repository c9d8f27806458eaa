"""NRCH beside its published code on the same vectors, split, observed labels and batches.

    python benchmarks/nrch.py speed [--published CHECKOUT] [--rounds 3]     seconds per epoch, and of the products alone
    python benchmarks/nrch.py steps --published CHECKOUT                    the same weights after 10 identical steps?
    python benchmarks/nrch.py accuracy [--published CHECKOUT] --runs FILE   mAP over seeds; resumable, a line a run
    python benchmarks/nrch.py table --runs FILE [FILE ...]                  means, and the difference to the published

CHECKOUT is a folder with the published files (GitHub: LonganWANG-cs/NRCH); without it only ours runs. 64 bits, 50 %
swap-one, width 8192, 20 epochs, the vectors of glyphs (`crossbit data convert glyphs FILE.npz --vectors`) by default.
One JSON object on standard output, progress on standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _published_nrch import Published

from crossbit.bits import pack
from crossbit.data import load_data
from crossbit.data.noise import corrupt_data
from crossbit.data.types import PairedData
from crossbit.evaluation import mean_average_precision
from crossbit.features.paired import features_of, fit_featurisers
from crossbit.methods import Task, View, get, make_settings
from crossbit.training import train

NOISE = "swap-one:0.5"


def load_vectors(name: str) -> PairedData:
    """The data with every modality as vectors, featurised as training does where it holds something else."""
    data = load_data(name)
    raw = [modality for modality in data.modalities if data.kind(modality) != "vectors"]
    featurisers = fit_featurisers(data, raw, seed=0)
    made = {m: features_of(f, data[m], np.arange(data.n)) for m, f in featurisers.items()}
    return data.replace(modalities={**data.modalities, **made})


def vectors(data: PairedData, modality: str, rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(data[modality][rows], dtype=np.float32)


def published(data: PairedData, seed: int, args: argparse.Namespace) -> Published:
    """The published code on the training rows, with the labels that our run of this seed sees."""
    rows = data.splits["train"]
    noisy, _ = corrupt_data(data, NOISE, seed)
    assert noisy.observed_label is not None and data.label is not None
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the published mixture draws from it)
    features = vectors(data, "image", rows), vectors(data, "text", rows)
    return Published(args.published, *features, data.label[rows], noisy.observed_label[rows], args.bits, args.width)


def ours(data: PairedData, seed: int, args: argparse.Namespace, **settings: Any) -> tuple[Any, View]:
    """Our method and its view on the same rows, outside the training loop."""
    rows = data.splits["train"]
    noisy, _ = corrupt_data(data, NOISE, seed)
    assert noisy.observed_label is not None
    features = {m: torch.from_numpy(vectors(data, m, rows)) for m in ("image", "text")}
    cls = get("nrch")
    torch.manual_seed(seed)
    dims = {m: x.shape[1] for m, x in features.items()}
    method = cls(make_settings(cls, {"width": args.width, **settings}), Task(dims, data.classes, args.bits))
    method.optimizers = method.build_optimizers()
    labels = torch.from_numpy(noisy.observed_label[rows].astype(np.float32))
    return method, View(features, labels, rows, epochs=100, seed=seed)


def steps(data: PairedData, args: argparse.Namespace) -> dict[str, Any]:
    """Ten steps of both from identical weights on identical batches, in float32 and, to see past rounding, float64."""
    return {str(dtype).removeprefix("torch."): ten_steps(data, args, dtype) for dtype in (torch.float32, torch.float64)}


def ten_steps(data: PairedData, args: argparse.Namespace, dtype: torch.dtype) -> dict[str, float]:
    """How far apart the weights of the two are, and how far they moved."""
    method, view = ours(data, 0, args, form="official")
    theirs = published(data, 0, args)
    theirs.net.fc.load_state_dict(method.networks["image"].layers.state_dict())
    theirs.txt.fc.load_state_dict(method.networks["text"].layers.state_dict())
    theirs.W.data.copy_(method.class_codes.data)
    for network in (method.networks, theirs.net, theirs.txt):
        network.to(dtype)
    method.optimizers = method.build_optimizers()
    view.features = {m: x.to(dtype) for m, x in view.features.items()}
    view.labels = view.observed().to(dtype)
    before = [p.detach().clone() for p in method.networks.parameters()]
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(10):
        rows = torch.randperm(len(view), generator=generator)[:128]
        features = view.features["image"][rows], view.features["text"][rows]
        losses.append(abs(method.step(view, rows).item() - theirs.step(*features, view.observed()[rows]).item()))
    pairs = [(method.networks["image"].layers, theirs.net.fc), (method.networks["text"].layers, theirs.txt.fc)]
    mine = [p for a, _ in pairs for p in a.parameters()] + [method.class_codes]
    other = [p for _, b in pairs for p in b.parameters()] + [theirs.W]
    apart, moved = distance(mine, other), distance(list(method.networks.parameters()), before)
    size = distance(mine, [torch.zeros(())] * len(mine))
    return {
        "largest_weight_difference": max((a - b).abs().max().item() for a, b in zip(mine, other, strict=True)),
        "difference_to_weights": apart / size,
        "difference_to_movement": apart / moved,
        "largest_loss_difference": max(losses),
    }


def distance(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """Euclidean distance between two lists of weights, all as one vector."""
    return float(sum(((a.detach() - b.detach()) ** 2).sum().double() for a, b in zip(one, other, strict=True)) ** 0.5)


def products(view: View, args: argparse.Namespace) -> float:
    """Seconds for an epoch of matrix products alone: all steps forward and backward, all samples forward once.

    Inputs and outputs are made before the clock starts.
    """
    shapes = [(view.features["image"].shape[1], args.width), (args.width, args.width), (args.width, args.bits)]
    shapes += [(view.features["text"].shape[1], args.width), (args.width, args.bits)]
    firsts = (0, 3)  # no gradient to the features
    weights = [torch.randn(out, width) for width, out in shapes]
    gradients = [torch.empty_like(weight) for weight in weights]
    inputs = [torch.ones(1024, width) for width, _ in shapes]
    outputs = [torch.ones(1024, out) for _, out in shapes]
    parts = list(zip(inputs, weights, outputs, gradients, strict=True))
    start = time.perf_counter()
    for rows in view.batches(128, number=1):
        n = len(rows)
        for x, w, y, _ in parts:
            torch.mm(x[:n], w.t(), out=y[:n])
        for index, (x, w, y, g) in enumerate(parts):
            torch.mm(y[:n].t(), x[:n], out=g)
            if index not in firsts:
                torch.mm(y[:n], w, out=x[:n])
    for rows in view.batches(1024, shuffle=False):
        for x, w, y, _ in parts:
            torch.mm(x[: len(rows)], w.t(), out=y[: len(rows)])
    return time.perf_counter() - start


def epoch(method: Any, view: View) -> None:
    if not method.train_epoch(view)["trusted"].all():
        raise RuntimeError("an epoch to be timed must trust every sample")


def speed(data: PairedData, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds per epoch with every sample trusted and the separator's pass made; medians over interleaved rounds."""
    timings: dict[str, list[float]] = {}

    def timed(name: str, job: Any) -> None:
        start = time.perf_counter()
        own = job()  # a job that times itself returns its seconds
        timings.setdefault(name, []).append(time.perf_counter() - start if own is None else own)
        print(name, round(timings[name][-1], 2), file=sys.stderr)

    # a threshold this small trusts everything, and the pass over all samples is made as after the warm-up
    method, view = ours(data, 0, args, form="official", warmup=0, threshold=1e-300, schedule="step")
    bf16, bf16_view = ours(data, 0, args, form="official", warmup=0, threshold=1e-300, schedule="step")
    bf16_view.autocast = lambda: torch.autocast("cpu", torch.bfloat16)
    warm, warm_view = ours(data, 0, args, form="official")
    theirs = published(data, 0, args) if args.published else None
    for _ in range(args.rounds):
        timed("products", lambda: products(view, args))
        if theirs is not None:
            timed("published", lambda: theirs.epoch(0))
        timed("float32", lambda: epoch(method, view))
        timed("float32, warm-up epoch", lambda: epoch(warm, warm_view))
        if args.bf16:
            timed("bf16", lambda: epoch(bf16, bf16_view))
    median = {name: float(np.median(values)) for name, values in timings.items()}
    ratios = {f"float32 / {name}": median["float32"] / value for name, value in median.items()}
    if theirs is not None:
        ratios |= {f"published / {name}": median["published"] / value for name, value in median.items()}
    return {"median_seconds": median, "seconds": timings, "ratios": ratios}


def scores(data: PairedData, queries: dict[str, np.ndarray], database: dict[str, np.ndarray]) -> dict[str, float]:
    """Expected mAP@all of both directions from packed codes."""
    labels = data.query.label, data.retrieval.label
    return {
        f"{a}->{b}": mean_average_precision(queries[a], database[b], *labels)  # type: ignore[arg-type]
        for a, b in (("image", "text"), ("text", "image"))
    }


VARIANTS: dict[str, dict[str, Any]] = {
    "published": {},
    "official": {"form": "official"},
    "paper": {"form": "paper"},
    "official, warm-up 5": {"form": "official", "warmup": 5},
    "paper, warm-up 5": {"form": "paper", "warmup": 5},
}


def accuracy(data: PairedData, args: argparse.Namespace) -> dict[str, Any]:
    """Train every variant with every seed; a run that stands in the file already is not repeated."""
    setup = {name: getattr(args, name) for name in ("epochs", "width", "bits", "precision", "data")}
    done = {(r["variant"], r["seed"]) for r in read_runs(args.runs) if all(r[k] == v for k, v in setup.items())}
    for seed in range(args.seeds):
        for name in args.variants:
            if (name, seed) in done:
                continue
            start = time.perf_counter()
            figures = (
                run_published(data, seed, args) if name == "published" else run_ours(data, seed, args, VARIANTS[name])
            )
            line = {"variant": name, "seed": seed, **setup, "map": figures, "seconds": time.perf_counter() - start}
            with open(args.runs[0], "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(line, file=sys.stderr)
    return table(args)


def run_published(data: PairedData, seed: int, args: argparse.Namespace) -> dict[str, float]:
    theirs = published(data, seed, args)
    for epoch in range(args.epochs):
        theirs.epoch(epoch)
        print("published", seed, epoch + 1, file=sys.stderr)
    codes = []
    for split in ("query", "retrieval"):
        rows = data.splits[split]
        u, v = theirs.embed(vectors(data, "image", rows), vectors(data, "text", rows))
        codes.append({"image": pack(u), "text": pack(v)})
    return scores(data, *codes)


def run_ours(data: PairedData, seed: int, args: argparse.Namespace, settings: dict[str, Any]) -> dict[str, float]:
    settings = {"width": args.width, **settings}
    options: dict[str, Any] = {"precision": args.precision, "epochs": args.epochs, "settings": settings}
    model = train(data, method="nrch", bits=args.bits, noise=NOISE, seed=seed, **options)
    codes = [{m: model.encode(m, rows[m]) for m in ("image", "text")} for rows in (data.query, data.retrieval)]
    return scores(data, *codes)


def read_runs(paths: list[Path]) -> list[dict[str, Any]]:
    lines = [line for path in paths if path.exists() for line in path.read_text(encoding="utf-8").splitlines()]
    return [json.loads(line) for line in lines]


def table(args: argparse.Namespace) -> dict[str, Any]:
    """Mean and deviation per variant and direction; the difference to the published code and its standard error."""
    runs: dict[str, dict[str, list[float]]] = {}
    for run in read_runs(args.runs):
        for direction, value in run["map"].items():
            precision = run.get("precision", "32")
            name = run["variant"] if precision == "32" else f"{run['variant']}, {precision}"
            runs.setdefault(name, {}).setdefault(direction, []).append(value)
    result: dict[str, Any] = {}
    for name, directions in runs.items():
        for direction, values in directions.items():
            entry = {
                "mean": float(np.mean(values)),
                "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                "seeds": len(values),
            }
            base = runs.get("published", {}).get(direction, [])
            if name != "published" and min(len(values), len(base)) > 1:
                error = float(np.sqrt(np.var(values, ddof=1) / len(values) + np.var(base, ddof=1) / len(base)))
                difference = float(np.mean(values) - np.mean(base))
                entry |= {
                    "minus_published": difference,
                    "standard_error": error,
                    "not_below": difference >= -max(0.005, 2 * error),
                }
            result.setdefault(name, {})[direction] = entry
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", nargs="?", default="speed", choices=["speed", "steps", "accuracy", "table"])
    parser.add_argument("--published", type=Path, help="a checkout of the published code")
    parser.add_argument("--data", default="glyphs", help="a built-in name or a neutral file")
    parser.add_argument(
        "--runs", type=Path, nargs="+", default=[Path("nrch-runs.jsonl")], help="lines of accuracy runs"
    )
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--width", type=int, default=8192)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="32")
    parser.add_argument(
        "--bf16", action="store_true", help="time --precision bf16 too (slow where the processor has no bf16 units)"
    )
    parser.add_argument(
        "--variants", nargs="+", choices=list(VARIANTS), default=["published", "official", "paper", "paper, warm-up 5"]
    )
    args = parser.parse_args()
    if args.published is not None:
        args.published = args.published.resolve()
    jobs = {"steps": steps, "speed": speed, "accuracy": accuracy}
    result = table(args) if args.job == "table" else jobs[args.job](load_vectors(args.data), args)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
