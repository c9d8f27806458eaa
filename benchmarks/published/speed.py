"""Seconds of an epoch of both, and of the matrix products alone."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.published.sides import ours, published
from crossbit.data.types import PairedData
from crossbit.methods import View


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
