"""A method beside its published code, on the same vectors, split, observed labels and batches.

    python benchmarks/published.py METHOD speed [--published CHECKOUT]      seconds an epoch, and of the products alone
    python benchmarks/published.py METHOD steps --published CHECKOUT        the same weights after 10 identical steps?
    python benchmarks/published.py METHOD accuracy [--published CHECKOUT] --runs FILE   mAP over seeds, a line a run
    python benchmarks/published.py METHOD table --runs FILE [FILE ...]      means, and the difference to the published

CHECKOUT is a folder with the published files (GitHub: LonganWANG-cs/NRCH, penghu-cs/UCCH, penghu-cs/MRL); without it
only ours runs. `accuracy` is resumable: a run that stands in FILE is not repeated. One JSON object on standard output,
progress on standard error.

A method is compared by one file `_published_METHOD.py` with a class `Adapter(Published)`; the base is `_published.py`:

    defaults     command-line values of this method: {"data": ..., "width": ..., "epochs": ..., "scale": ...}
    noise        what is done to the observed labels of ours and theirs alike, RULE:RATE[:each], or None
    official     our settings that compute what the published code computes; `steps` compares those
    variants     name -> our settings, for `accuracy`; "published" is always there
    timed        name -> our settings, for `speed`; the first is timed under bf16 too with --bf16
    timed_epoch  the epoch's number to time, for methods whose first epochs are other
    batch        pairs a step
    passes       forward passes over all rows that an epoch makes beside its steps
    __init__(data, view, task, args)   networks and optimisers; `view` is a View with our features and observed labels
                 (by modality: view.observed(m)), `task` has dims, classes and bits, `args.published` is the checkout
    networks     modality -> module, features (n, d) -> (n, bits)
    step(view, rows) -> loss           one published step on these rows
    epoch(number)                      one published epoch
    train(epochs)                      all of them (override where an epoch is chosen)
    pairs(method) -> [(ours, theirs)]  tensors that are made equal before, and compared after, ten steps
    both(method, view, rows, number)   both steps (override where they must share more than rows)
    prepare(data, args) -> data        other splits, where the published protocol has them
    batches(view)                      the rows of an epoch's steps (override where some are dropped)
    score(data, embed) -> {"image->text": mAP, ...}    embed(modality, row numbers) -> outputs; mAP of codes by default

Everything but `__init__`, `networks`, `step` and `epoch` has a default.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _published import Published
from torch import Tensor, nn

from crossbit.data import load_data
from crossbit.data.noise import corrupt_data
from crossbit.data.types import PairedData, Rows
from crossbit.features import fit_featuriser
from crossbit.features.paired import choose_features, features_of, fit_featurisers
from crossbit.methods import Task, View, get, make_settings
from crossbit.training import train

METHODS = sorted(path.stem.removeprefix("_published_") for path in Path(__file__).parent.glob("_published_*.py"))
SETUP = ("data", "modalities", "scale", "bits", "width", "epochs")  # runs that differ in one are not compared
JOBS = ("speed", "steps", "accuracy", "table")


# --- what both sides get ----------------------------------------------------------------------------------------------


def load_vectors(args: argparse.Namespace) -> PairedData:
    """The data with every modality as vectors; with --scale, standardised by the training rows."""
    data = load_data(args.data)
    data = data.replace(modalities={m: data[m] for m in args.modalities})
    raw = [modality for modality in data.modalities if data.kind(modality) != "vectors"]
    featurisers = fit_featurisers(data, choose_features(data, raw), seed=0)
    if args.scale:
        vectors = [m for m in data.modalities if m not in raw]
        featurisers |= {m: fit_featuriser("scaled", data[m][data.splits["train"]]) for m in vectors}
    made = {m: features_of(f, data[m], np.arange(data.n)) for m, f in featurisers.items()}
    return args.adapter.prepare(data.replace(modalities={**data.modalities, **made}), args)


def vectors(data: PairedData, modality: str, rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(data[modality][rows], dtype=np.float32)


def view_of(data: PairedData, seed: int, args: argparse.Namespace) -> tuple[View, Task]:
    """What a method is trained on in a run with this seed, outside the training loop."""
    cls = get(args.method)
    rows, noise = data.splits[cls.rows], args.adapter.noise
    noisy = data if noise is None else corrupt_data(data, noise, seed)[0]
    features = {m: torch.from_numpy(vectors(data, m, rows)) for m in data.modalities}
    apart = noisy.modality_label or noisy.modality_observed_label
    labels: Any = {m: observed(noisy, rows, m) for m in features} if apart else observed(noisy, rows, None)
    view = View(features, labels if cls.sees_labels else None, rows, epochs=args.epochs, seed=seed)
    return view, Task({m: x.shape[1] for m, x in features.items()}, data.classes, args.bits)


def observed(data: PairedData, rows: np.ndarray, modality: str | None) -> Tensor:
    """What training may see of these rows, float32 0/1 (rows, classes)."""
    labels = Rows(data, rows).observed(modality)
    assert labels is not None
    wide = labels if labels.ndim == 2 else labels[:, None] == np.arange(data.classes)
    return torch.from_numpy(wide.astype(np.float32))


def ours(data: PairedData, seed: int, args: argparse.Namespace, settings: dict[str, Any]) -> tuple[Any, View]:
    """Our method and its view."""
    view, task = view_of(data, seed, args)
    cls = get(args.method)
    torch.manual_seed(seed)
    method = cls(make_settings(cls, {"width": args.width, **settings}), task)
    method.optimizers = method.build_optimizers()
    view.epoch = args.adapter.timed_epoch
    return method, view


def published(data: PairedData, seed: int, args: argparse.Namespace) -> Published:
    """The published code on the rows and the labels of our run with this seed."""
    view, task = view_of(data, seed, args)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (published code draws from it)
    return args.adapter(data, view, task, args)


# --- ten identical steps ----------------------------------------------------------------------------------------------


def steps(data: PairedData, args: argparse.Namespace) -> dict[str, Any]:
    """Ten steps of both from identical weights on identical batches, in float32 and, to see past rounding, float64."""
    return {str(dtype).removeprefix("torch."): ten_steps(data, args, dtype) for dtype in (torch.float32, torch.float64)}


def ten_steps(data: PairedData, args: argparse.Namespace, dtype: torch.dtype) -> dict[str, float]:
    """How far apart the weights of the two are, and how far they moved."""
    method, view = ours(data, 0, args, args.adapter.official)
    theirs = published(data, 0, args)
    method.networks.to(dtype)
    method.buffers = {name: x.to(dtype) for name, x in method.buffers.items()}
    theirs.to(dtype)
    method.optimizers = method.build_optimizers()
    view.features = {m: x.to(dtype) for m, x in view.features.items()}
    view.labels = None if view.labels is None else {m: x.to(dtype) for m, x in view.labels.items()}
    with torch.no_grad():
        for mine, other in theirs.pairs(method):
            other.copy_(mine)
    before = [mine.detach().clone() for mine, _ in theirs.pairs(method)]
    generator = torch.Generator().manual_seed(0)
    losses = []
    for number in range(10):
        rows = torch.randperm(len(view), generator=generator)[: theirs.batch]
        mine, other = theirs.both(method, view, rows, number)
        losses.append(abs(mine.item() - other.item()))
    mine, other = (list(side) for side in zip(*theirs.pairs(method), strict=True))
    apart, moved = distance(mine, other), distance(mine, before)
    return {
        "largest_weight_difference": max((a - b).abs().max().item() for a, b in zip(mine, other, strict=True)),
        "difference_to_weights": apart / distance(mine, [torch.zeros(())] * len(mine)),
        "difference_to_movement": apart / moved,
        "largest_loss_difference": max(losses),
    }


def distance(one: list[Tensor], other: list[Tensor]) -> float:
    """Euclidean distance between two lists of weights, all as one vector."""
    return float(sum(((a.detach() - b.detach()) ** 2).sum().double() for a, b in zip(one, other, strict=True)) ** 0.5)


# --- seconds per epoch ------------------------------------------------------------------------------------------------


def clock(args: argparse.Namespace) -> float:
    """Seconds: by the clock on the wall, or with --cpu-time those that this process has had the processors for."""
    return time.process_time() if args.cpu_time else time.perf_counter()


def products(method: Any, view: View, args: argparse.Namespace) -> float:
    """Seconds for an epoch of the encoders' matrix products alone: its steps forward and backward, its further passes.

    Inputs and outputs are made before the clock starts; a modality's first layer needs no gradient to its input.
    """
    layers = [[x for x in method.networks[m].modules() if isinstance(x, nn.Linear)] for m in view.features]
    parts = []
    for position, layer in ((i, layer) for chain in layers for i, layer in enumerate(chain)):
        out, width = layer.weight.shape
        x, y = torch.ones(1024, width), torch.ones(1024, out)
        parts.append((x, torch.randn(out, width), y, torch.empty(out, width), position == 0))
    start = clock(args)
    for rows in args.adapter.batches(view):
        n = len(rows)
        for x, w, y, _, _ in parts:
            torch.mm(x[:n], w.t(), out=y[:n])
        for x, w, y, g, first in parts:
            torch.mm(y[:n].t(), x[:n], out=g)
            if not first:
                torch.mm(y[:n], w, out=x[:n])
    for rows in [rows for _ in range(args.adapter.passes) for rows in view.batches(1024, shuffle=False)]:
        for x, w, y, _, _ in parts:
            torch.mm(x[: len(rows)], w.t(), out=y[: len(rows)])
    return clock(args) - start


def speed(data: PairedData, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds per epoch; medians over interleaved rounds."""
    timings: dict[str, list[float]] = {}

    def timed(name: str, job: Callable[[], float | None]) -> None:
        start = clock(args)
        own = job()  # a job that times itself returns its seconds
        timings.setdefault(name, []).append(clock(args) - start if own is None else own)
        print(name, round(timings[name][-1], 2), file=sys.stderr)

    def epoch(method: Any, view: View) -> None:
        args.adapter.check_epoch(method.train_epoch(view))

    runs = {name: ours(data, 0, args, settings) for name, settings in args.adapter.timed.items()}
    if args.bf16:
        runs["bf16"] = ours(data, 0, args, next(iter(args.adapter.timed.values())))
        runs["bf16"][1].autocast = lambda: torch.autocast("cpu", torch.bfloat16)
    theirs = published(data, 0, args) if args.published else None
    for _ in range(args.rounds):
        timed("products", lambda: products(*runs["float32"], args))
        if theirs is not None:
            timed("published", lambda: theirs.epoch(theirs.timed_epoch))
        for name, (method, view) in runs.items():
            timed(name, lambda method=method, view=view: epoch(method, view))  # type: ignore[misc]
    median = {name: float(np.median(values)) for name, values in timings.items()}
    ratios = {f"float32 / {name}": median["float32"] / value for name, value in median.items()}
    if theirs is not None:
        ratios |= {f"published / {name}": median["published"] / value for name, value in median.items()}
    seconds = "processor" if args.cpu_time else "wall clock"
    return {"median_seconds": median, "seconds": timings, "ratios": ratios, "clock": seconds, "width": args.width}


# --- accuracy ---------------------------------------------------------------------------------------------------------


def setup_of(run: dict[str, Any]) -> dict[str, Any]:
    """What a run was made with; lines of an earlier form lack what had no choice then."""
    return {"modalities": ["image", "text"], "scale": False} | {key: run[key] for key in SETUP if key in run}


def accuracy(data: PairedData, args: argparse.Namespace) -> dict[str, Any]:
    """Train every variant with every seed; a run that stands in the file already is not repeated."""
    setup = setup_of(vars(args))
    done = {
        (run["variant"], run["seed"])
        for run in read_runs(args.runs)
        if setup_of(run) == setup and run.get("precision", "32") == args.precision
    }
    for seed in range(args.seeds):
        for name in args.variants:
            if (name, seed) in done:
                continue
            start = time.perf_counter()
            figures = run_published(data, seed, args) if name == "published" else run_ours(data, seed, args, name)
            line = {"variant": name, "seed": seed, **setup, "precision": args.precision, "map": figures}
            line["seconds"] = time.perf_counter() - start
            with open(args.runs[0], "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(line, file=sys.stderr)
    return table(args)


def run_published(data: PairedData, seed: int, args: argparse.Namespace) -> dict[str, float]:
    theirs = published(data, seed, args)
    theirs.train(args.epochs)
    return args.adapter.score(data, lambda modality, rows: theirs.embed(modality, vectors(data, modality, rows)))


def run_ours(data: PairedData, seed: int, args: argparse.Namespace, variant: str) -> dict[str, float]:
    settings = {"width": args.width, **args.adapter.variants[variant]}
    options: dict[str, Any] = {"precision": args.precision, "epochs": args.epochs, "settings": settings}
    options["features"] = dict.fromkeys(data.modalities, "as-is")  # both sides take the same vectors
    model = train(data, method=args.method, bits=args.bits, noise=args.adapter.noise, seed=seed, **options)
    return args.adapter.score(data, lambda modality, rows: model.embed(modality, data[modality][rows]))


def read_runs(paths: list[Path]) -> list[dict[str, Any]]:
    lines = [line for path in paths if path.exists() for line in path.read_text(encoding="utf-8").splitlines()]
    return [json.loads(line) for line in lines]


def table(args: argparse.Namespace) -> dict[str, Any]:
    """Mean and deviation per variant and direction; the difference to the published code and its standard error.

    Where the runs are of several setups, a variant's name is followed by what it does not share with the others.
    """
    runs = read_runs(args.runs)
    setups = [setup_of(run) for run in runs]
    varying = [key for key in SETUP if len({str(setup.get(key)) for setup in setups}) > 1]
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for run, setup in zip(runs, setups, strict=True):
        precision = run.get("precision", "32")
        variant = run["variant"] if precision == "32" else f"{run['variant']}, {precision}"
        suffix = "".join(f", {key} {setup.get(key)}" for key in varying)
        for direction, value in run["map"].items():
            values.setdefault((variant, suffix), {}).setdefault(direction, []).append(value)
    return {
        variant + suffix: {
            d: summary(x, base.get(d, []) if base is not directions else []) for d, x in directions.items()
        }
        for (variant, suffix), directions in values.items()
        for base in [values.get(("published", suffix), {})]
    }


def summary(values: list[float], base: list[float]) -> dict[str, Any]:
    """Mean and deviation; against the published code's values, the difference, its error, and whether it holds."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    entry: dict[str, Any] = {"mean": float(np.mean(values)), "sd": spread, "seeds": len(values)}
    if min(len(values), len(base)) > 1:
        error = float(np.sqrt(np.var(values, ddof=1) / len(values) + np.var(base, ddof=1) / len(base)))
        difference = float(np.mean(values) - np.mean(base))
        holds = difference >= -max(0.005, 2 * error)
        entry |= {"minus_published": difference, "standard_error": error, "not_below": holds}
    return entry


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("job", nargs="?", default="speed", choices=JOBS)
    parser.add_argument("--published", type=Path, help="a checkout of the published code")
    parser.add_argument("--data", default="glyphs", help="a built-in name or a neutral file")
    parser.add_argument("--modalities", nargs="+", default=["image", "text"])
    scale = "standardise vectors by the training rows"
    parser.add_argument("--scale", action=argparse.BooleanOptionalAction, default=False, help=scale)
    parser.add_argument("--runs", type=Path, nargs="+", help="lines of accuracy runs [METHOD-runs.jsonl]")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--width", type=int, default=8192)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="32")
    bf16 = "time --precision bf16 too (slow where the processor has no bf16 units)"
    parser.add_argument("--bf16", action="store_true", help=bf16)
    shared = "count processor seconds instead of the wall clock's, on a machine that others use, too"
    parser.add_argument("--cpu-time", action="store_true", help=shared)
    parser.add_argument("--variants", nargs="+")
    adapter = import_module(f"_published_{parser.parse_args(given).method}").Adapter
    parser.set_defaults(**adapter.defaults)
    args = parser.parse_args(given)
    args.adapter, known = adapter, ["published", *adapter.variants]
    args.variants, args.runs = args.variants or known, args.runs or [Path(f"{args.method}-runs.jsonl")]
    if unknown := set(args.variants) - set(known):
        parser.error(f"unknown variants {', '.join(unknown)}; known: {', '.join(known)}")
    args.published = args.published and args.published.resolve()
    return args


def main(given: list[str] | None = None) -> None:
    args = arguments(given)
    jobs = {"steps": steps, "speed": speed, "accuracy": accuracy}
    result = table(args) if args.job == "table" else jobs[args.job](load_vectors(args), args)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
