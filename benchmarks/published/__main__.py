"""A method beside its published code, on the same vectors, split, observed labels and batches.

    python -m benchmarks.published METHOD speed [--published CHECKOUT]      seconds an epoch, and of the products alone
    python -m benchmarks.published METHOD steps --published CHECKOUT        the same weights after 10 identical steps?
    python -m benchmarks.published METHOD accuracy [--published CHECKOUT] --runs FILE   mAP over seeds, a line a run
    python -m benchmarks.published METHOD table --runs FILE [FILE ...]      means, and the difference to the published

CHECKOUT is a folder with the published files (GitHub: LonganWANG-cs/NRCH, penghu-cs/UCCH, penghu-cs/MRL); without it
only ours runs. `accuracy` is resumable: a run that stands in FILE is not repeated. One JSON object on standard output,
progress on standard error.

A method is compared by one file `methods/METHOD.py` with a class `Adapter(PublishedCode)`; the base is in `code.py`:

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
    run(data, seed, args, variant) -> {"map": score}   one accuracy run (override where the protocol is another)
    table(runs)                        what `accuracy` and `table` print of all runs

Everything but `__init__`, `networks`, `step` and `epoch` has a default.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from benchmarks.common.runs import read_runs
from benchmarks.published import methods
from benchmarks.published.accuracy import accuracy
from benchmarks.published.sides import load_vectors
from benchmarks.published.speed import speed
from benchmarks.published.steps import steps

METHODS = sorted(info.name for info in iter_modules(methods.__path__))
JOBS = ("speed", "steps", "accuracy", "table")


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
    parser.add_argument("--lr", type=float, help="of both sides, where it is a choice (mrl)")
    bf16 = "time --precision bf16 too (slow where the processor has no bf16 units)"
    parser.add_argument("--bf16", action="store_true", help=bf16)
    shared = "count processor seconds instead of the wall clock's, on a machine that others use, too"
    parser.add_argument("--cpu-time", action="store_true", help=shared)
    parser.add_argument("--variants", nargs="+")
    adapter = import_module(f"{methods.__name__}.{parser.parse_args(given).method}").Adapter
    parser.set_defaults(**adapter.defaults)
    args = parser.parse_args(given)
    args.adapter, known = adapter, ["published", *adapter.variants]
    args.variants, args.runs = args.variants or known, args.runs or [Path(f"{args.method}-runs.jsonl")]
    if args.published is None:
        args.variants = [variant for variant in args.variants if variant != "published"]
    if unknown := set(args.variants) - set(known):
        parser.error(f"unknown variants {', '.join(unknown)}; known: {', '.join(known)}")
    args.published = args.published and args.published.resolve()
    return args


def main(given: list[str] | None = None) -> None:
    args = arguments(given)
    if args.job == "table":
        result = args.adapter.table(read_runs(args.runs))
    else:
        result = {"steps": steps, "speed": speed, "accuracy": accuracy}[args.job](load_vectors(args), args)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
