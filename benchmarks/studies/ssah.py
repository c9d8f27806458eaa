"""SSAH on clean labels: the paper's form, the official form and each ablation, beside UCCH, which sees no labels.

    python -m benchmarks.studies.ssah run DATA --runs FILE [--scale] [--rows N] [--variants NAME ...] [--seeds N]
                                          [--validation]
    python -m benchmarks.studies.ssah table --runs FILE [FILE ...] [--page PAGE.md]
    python -m benchmarks.studies.ssah speed DATA [--rounds N] [--set KEY=VALUE ...]

DATA holds vectors (`crossbit data convert glyphs FILE.npz --vectors`); --scale centres and scales them.
Encoders of all variants are equally narrow. --validation cuts a fifth of the training rows out, texts that repeat kept
together, and searches with those instead of the test queries: this is how settings were chosen. Resumable: a run that
stands in FILE is not repeated. --page puts the table between the page's two marks. `speed`
times one pass of each step beside the matrix products that it makes. One JSON object on standard output, progress on
standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import page
from benchmarks.common.page import Section, mean_text
from benchmarks.common.products import Products, recorded
from benchmarks.common.runs import read_runs, run_one
from benchmarks.common.timing import compared, in_turns
from benchmarks.published.code import PublishedCode
from benchmarks.published.sides import ours
from crossbit.data import load_data
from crossbit.data.types import PairedData
from crossbit.errors import unknown
from crossbit.methods import available, get, make_settings

BITS, HELD_OUT, SEED = 64, 0.2, 5
DIRECTIONS = "image->text", "text->image"
MARKS = "<!-- runs -->", "<!-- end of runs -->"
NARROW: dict[str, Any] = {"width": 256, "feature": 128}
SSAH = NARROW | {"batch": 32, "label_lr": 3e-3, "passes": "20/2/8/8"}
UCCH: dict[str, Any] = {"width": 256, "image_layers": 2, "lr": 1e-3, "negatives": 1024, "epochs": 10, "warmup": 2}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "paper": ("ssah", SSAH),
    "official": ("ssah", SSAH | {"form": "official", "quantisation": 1.0, "delta": 1.0}),
    "paper, not balanced": ("ssah", SSAH | {"balanced": False}),
    **{name.split(":")[0]: ("ssah", SSAH | cut) for name, cut in get("ssah").ablations.items()},
    "as published": ("ssah", NARROW | {"preset": "official"}),
    "ucch": ("ucch", UCCH),
}


def cut_validation(data: PairedData) -> PairedData:
    """The training rows alone: a fifth of them search the others; rows of one text are kept together."""
    train = data.splits["train"]
    _, group = np.unique(np.asarray(data["text"])[train], axis=0, return_inverse=True)
    order = np.random.default_rng(SEED).permutation(group.max() + 1)
    counted = np.cumsum(np.bincount(group.ravel())[order])
    held = np.isin(group.ravel(), order[: np.searchsorted(counted, HELD_OUT * len(train))])
    splits = {"train": train[~held], "query": train[held], "retrieval": train[~held]}
    return data.replace(splits=splits)


def draw_rows(data: PairedData, count: int) -> PairedData:
    """The data with `count` of its training rows; the database stays."""
    train = np.random.default_rng(SEED).permutation(data.splits["train"])[:count]
    return data.replace(splits={**data.splits, "train": np.sort(train)})


def wanted(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every run that was asked for, with all its settings."""
    common = {"data": Path(args.data).name, "scale": args.scale, "rows": args.rows, "bits": BITS}
    common["validation"] = args.validation
    runs = []
    for seed in range(args.seeds):
        for name in args.variants:
            method, given = VARIANTS[name]
            if method not in available():
                raise unknown("method", method, available())
            settings = asdict(make_settings(get(method), given | dict(word.split("=", 1) for word in args.set)))
            runs.append(common | {"variant": name, "method": method, "noise": None, "seed": seed, "settings": settings})
    return runs


def same_run(run: dict[str, Any]) -> str:
    keys = ("data", "scale", "rows", "validation", "bits", "method", "settings", "seed")
    return json.dumps([run[key] for key in keys], sort_keys=True)


def table(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over the seeds of each setup, in both directions, searching the database; mean seconds."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault(same_run({**run, "seed": run["variant"]}), []).append(run)
    rows = []
    for group in groups.values():
        row = {key: group[0][key] for key in ("data", "scale", "rows", "validation", "bits", "variant", "settings")}
        row |= {"seeds": len(group), "processor_seconds": mean(r["seconds"]["train_processor"] for r in group)}
        for direction in group[0]["databases"]["retrieval"]["map"]:
            values = [r["databases"]["retrieval"]["map"][direction] for r in group]
            deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
            row[direction] = {"mean": mean(values), "sd": deviation}
        rows.append(row)
    return rows


def of_page(rows: list[dict[str, Any]]) -> str:
    """The rows as the table of docs/ssah.md."""
    lines = []
    for row in sorted(rows, key=lambda row: (row["data"], list(VARIANTS).index(row["variant"]))):
        data = Path(row["data"]).stem + (f", {row['rows']:,} training rows" if row["rows"] else "")
        lines.append([data, row["variant"], str(row["seeds"]), *(mean_text(row[way], 3) for way in DIRECTIONS)])
    return page.table(["data", "variant", "seeds", "image to text", "text to image"], lines)


def speed(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of one pass of every step, and of its products alone; medians over rounds in turns."""
    given = dict(word.split("=", 1) for word in args.set)
    setup = argparse.Namespace(method="ssah", adapter=PublishedCode, width=4096, epochs=3, bits=BITS)
    data, rows = load_data(args.data), {}
    for form in args.forms:
        method, view = ours(data, SEED, setup, {"form": form, "passes": "1/1/1/1"} | given)
        epoch = partial(method.train_epoch, view)
        calls = {"products": Products(recorded(epoch)), "ssah": epoch}
        times = in_turns(calls, args.rounds)
        rows[form] = compared(times["products"], times["ssah"]) | {"rounds": args.rounds, "settings": given}
        print(form, rows[form], file=sys.stderr)
    return rows


def mean(values: Any) -> float:
    return float(np.mean(list(values)))


def section(result: list[dict[str, Any]]) -> str:
    """A table for each data set and code length."""
    groups: dict[str, list[list[str]]] = {}
    for row in result:
        scaled = ", standardised" if row["scale"] else ""
        rows = "rows cut out of training" if row["validation"] else "the test queries"
        cells = [*(mean_text(row[way], 4) for way in DIRECTIONS), f"{row['processor_seconds']:.0f}"]
        key = f"{Path(row['data']).stem}{scaled}, {row['bits']} bits; asked by {rows}"
        groups.setdefault(key, []).append([row["variant"], str(row["seeds"]), *cells])
    head = ["", "seeds", *DIRECTIONS, "processor seconds"]
    return "\n\n".join(f"{data}:\n\n{page.table(head, rows)}" for data, rows in groups.items())


def speed_section(result: dict[str, Any]) -> str:
    rows = [
        [form, f"{row['other_seconds']:.1f}", f"{row['seconds']:.1f}", f"**{row['ratio']:.2f}**"]
        for form, row in result.items()
    ]
    return page.table(["one pass of every step", "ssah, s", "its products, s", "ssah / products"], rows)


SECTIONS = {
    "ssah": Section(
        "SSAH: forms and ablations beside UCCH, which sees no labels",
        "Clean labels, equally narrow encoders; docs/ssah.md reads these figures.",
        section,
    ),
    "ssah-speed": Section(
        "SSAH: an epoch beside its matrix products",
        "The published code is TensorFlow 1, which does not run here. *products*: every matrix product of one pass of "
        "each of the four steps, recorded from a real one and done again alone.",
        speed_section,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(dest="job", required=True)
    job = jobs.add_parser("run")
    job.add_argument("data")
    job.add_argument("--scale", action="store_true")
    job.add_argument(
        "--rows", type=int, default=0, help="training rows to draw, all by default; UCCH uses the database"
    )
    job.add_argument("--validation", action="store_true")
    job.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    job.add_argument("--seeds", type=int, default=3)
    job.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of every variant")
    job.set_defaults(page=None)
    clock = jobs.add_parser("speed")
    clock.add_argument("data")
    clock.add_argument("--rounds", type=int, default=5)
    clock.add_argument("--forms", nargs="+", default=["paper", "official"])
    clock.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    for each in (job, jobs.add_parser("table")):
        each.add_argument("--runs", type=Path, nargs="+", required=True)
    each.add_argument("--page", type=Path)
    args = parser.parse_args()
    if args.job == "speed":
        print(json.dumps(speed(args), indent=1))
        return
    if args.job == "run":
        data = load_data(args.data)
        data = cut_validation(data) if args.validation else data
        data = draw_rows(data, args.rows) if args.rows else data
        done = {same_run(run) for run in read_runs(args.runs)}
        for run in wanted(args):
            if same_run(run) not in done:
                line = run_one(data, run)
                with args.runs[0].open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(run["variant"], run["seed"], line["databases"]["retrieval"]["map"], file=sys.stderr)
    rows = table(read_runs(args.runs))
    if args.page is not None:
        page.between(args.page, MARKS, of_page([row for row in rows if not row["validation"]]))
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
