"""About how long a bench will take: from runs that are finished, else timed on a few rows, and said to be rough."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from crossbit.bench.recipe.grid import BenchRun
from crossbit.bench.work.runner import Job, JobData
from crossbit.bench.work.store import PARTS, Result
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.methods import get, make_settings
from crossbit.training import train

ROWS = 256  # training rows that a method is timed on, and as many others
SLOW = 5.0  # seconds, from which one epoch is timed once


@dataclass(frozen=True)
class Estimate:
    """Seconds of each run by its id, as one process takes; None where nothing is known. `how` says how it was found."""

    seconds: dict[str, float | None]
    how: str

    @property
    def total(self) -> float | None:
        """All runs one after the other; None if one is unknown."""
        known = [value for value in self.seconds.values() if value is not None]
        return sum(known) if len(known) == len(self.seconds) else None


def estimate(jobs: Iterable[Job], finished: Iterable[Result]) -> Estimate:
    """How long the jobs will take.

    Like runs are those of the same data, method, settings and code length, else of any code length; a method of which
    none is finished is timed for a few epochs on a few hundred rows. That leaves out how scoring grows with the
    data and what later epochs do otherwise, so it may be off by half or more.
    """
    like = _means(finished)
    timed: dict[Hashable, tuple[float, float] | None] = {}
    load = JobData()
    seconds: dict[str, float | None] = {}
    for job in jobs:
        keys = _keys(job.run.data, job.run.method, job.run.settings, job.run.bits)
        known = next((like[key] for key in keys if key in like), None)
        if known is None:
            key = job.run.data, job.run.method, job.run.settings.get("width")
            if key not in timed:
                timed[key] = _timed(job, load)
            known = _scaled(timed[key], job.run)
        seconds[job.run.id] = known
    if not timed:
        return Estimate(seconds, "from runs that are finished")
    return Estimate(seconds, f"rough: timed on {ROWS} training rows, once for each method, width and data set")


def _keys(data: str, method: str, settings: Mapping[str, object], bits: int) -> list[Hashable]:
    same = data, method, tuple(sorted((name, str(value)) for name, value in settings.items()))
    return [(*same, bits), same]


def _means(finished: Iterable[Result]) -> dict[Hashable, float]:
    held: dict[Hashable, list[float]] = {}
    for result in finished:
        if all(part in result.seconds for part in PARTS):
            for key in _keys(result.data, result.method, result.settings, result.bits):
                held.setdefault(key, []).append(sum(result.seconds[part] for part in PARTS))
    return {key: float(np.mean(values)) for key, values in held.items()}


def _scaled(epoch_and_rest: tuple[float, float] | None, run: BenchRun) -> float | None:
    if epoch_and_rest is None:
        return None
    epoch, rest = epoch_and_rest
    return epoch * int(run.settings["epochs"]) + rest


def _timed(job: Job, load: JobData) -> tuple[float, float] | None:
    """Seconds of an epoch and of all the rest, from a few rows; None where that cannot be."""
    (data, _), run = load(job.source), job.run
    few, method = few_rows(data), get(run.method)
    chosen = make_settings(method, run.settings)
    whole, part = (method.epoch_work(chosen, len(of.splits[method.rows])) for of in (data, few))
    more = whole / part

    def seconds(epochs: int) -> float:
        start = time.perf_counter()
        settings = {**run.settings, "epochs": epochs}
        train(few, method=run.method, bits=run.bits, settings=settings, progress=False)
        return time.perf_counter() - start

    try:
        first = seconds(1)  # compiles, loads, fills caches
        if first > SLOW:
            return first * more, 0.0
        one, three = seconds(1), seconds(3)
    except UserError:  # such as a loss that is not finite: the run will tell
        return None
    epoch = max((three - one) / 2, 0.0)
    return epoch * more, max(one - epoch, 0.0) * data.n / few.n


def few_rows(data: PairedData) -> PairedData:
    """A part of the data: some training rows, as many others of the database, and their labels.

    >>> rows = {"train": np.arange(600), "query": np.arange(900, 1000), "retrieval": np.arange(900)}
    >>> few = few_rows(PairedData("toy", {"x": np.zeros((1000, 2))}, np.arange(1000) % 3, rows))
    >>> {name: len(index) for name, index in few.splits.items()}
    {'train': 256, 'query': 0, 'retrieval': 512}
    """
    trained = data.splits["train"][:ROWS]
    others = np.setdiff1d(data.splits["retrieval"], trained)[:ROWS]
    kept = np.union1d(trained, others)
    splits = {
        "train": np.searchsorted(kept, trained),
        "query": np.empty(0, np.int64),
        "retrieval": np.arange(len(kept)),
    }
    return data.take(kept).replace(splits=splits)
