"""One run: train, score, and leave its folder whole; killed at any moment it goes on, finished it is not repeated."""

from __future__ import annotations

import json
import os
import platform
import shutil
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from crossbit.bench.recipe.grid import BenchRun
from crossbit.bench.recipe.recipe import NO_NOISE, BenchProtocol, Source
from crossbit.bench.recipe.sources import load_source
from crossbit.bench.work.scoring import Clock, Scored, score
from crossbit.bench.work.store import (
    DONE,
    FAILED,
    Result,
    drop_weights,
    read_result,
    run_folder,
    weights_of,
    write_per_query,
    write_result,
)
from crossbit.data.described import fingerprint
from crossbit.data.noise import parse_noise
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.methods import get
from crossbit.model import Model
from crossbit.runs.checkpoint import read_checkpoint
from crossbit.runs.folder import RunFolder
from crossbit.storage.files import read_json, write_json, writing
from crossbit.storage.npz import write_npz
from crossbit.training import train
from crossbit.training.plan import VERSIONED


@dataclass(frozen=True)
class Job:
    """A run, where its data are, and what is asked of it."""

    run: BenchRun
    source: Source
    protocol: BenchProtocol

    @property
    def asked(self) -> dict[str, Any]:
        """What result.json says that its figures were made for."""
        return {
            "databases": list(self.protocol.databases),
            "measures": list(self.protocol.measures),
            "curves": self.protocol.curves,
        }


def finished(job: Job, out: Path) -> Result | None:
    """The result of a run that was done, for all that is asked of it now, or failed; None where there is work to do."""
    held = read_result(out, job.run.id)
    if held is None:
        return None
    result, before = held
    covered = all(set(job.asked[name]) <= set(before[name]) for name in ("databases", "measures"))
    covered = covered and before["curves"] >= job.protocol.curves
    return result if result.status == FAILED or covered else None


def run_job(job: Job, out: Path, load: JobData | None = None) -> Result:
    """Do a run, or what is left of it, and keep its result; one that fails is kept with its reason.

    `load` gives the data; whoever does several runs gives the same for all of them.

    Two processes never do the same run at once: the second waits, and finds it finished.

    Raises:
        OSError: the result cannot be written.
        KeyboardInterrupt: interrupted; the finished epochs are kept.
    """
    load = JobData() if load is None else load
    with _lock(out, job.run.id):
        if (result := finished(job, out)) is not None:
            return result
        folder = run_folder(out, job.run.id)
        try:
            result = _as_without_noise(job, out, load) or _train_and_score(job, out, folder, load)
        except Exception as error:  # whatever it is, the other runs go on
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}".strip(": ")
            result = failed(job.run, " ".join(reason.split()))
            with writing(folder / "error.txt") as temporary:
                temporary.write_text(traceback.format_exc(), encoding="utf-8")
        write_result(out, result, job.asked)
        if result.status == DONE and not job.protocol.keep_models:
            drop_weights(out, job.run.id)
        return result


def failed(run: BenchRun, reason: str) -> Result:
    """The result of a run that came to nothing."""
    return Result(
        **_told(run),
        status=FAILED,
        reason=reason,
        epochs=None,
        selection="",
        seconds={},
        figures=[],
        history=[],
        machine=_machine(),
    )


def forget(out: Path, run: str) -> None:
    """Remove everything that a run left, so that it begins again."""
    (run_folder(out, run) / "result.json").unlink(missing_ok=True)  # first: without it, nothing counts
    shutil.rmtree(run_folder(out, run), ignore_errors=True)


def _lock(out: Path, run: str) -> FileLock:
    """The run's lock, which the system lets go of however the process ends."""
    (out / "runs").mkdir(parents=True, exist_ok=True)
    return FileLock(out / "runs" / f".{run}.lock")


class JobData:
    """Data of jobs; the last are held, since the runs on one data set follow one another."""

    def __init__(self) -> None:
        self._held: tuple[Source, PairedData, str] | None = None

    def __call__(self, source: Source) -> tuple[PairedData, str]:
        """The data of a source and their fingerprint."""
        if self._held is None or self._held[0] != source:
            self._held = None  # before others are loaded: both may be large
            data = load_source(source)
            self._held = source, data, fingerprint(data)
        return self._held[1:]


def _train_and_score(job: Job, out: Path, folder: Path, load: JobData) -> Result:
    run, clock = job.run, Clock()
    data, content = load(job.source)
    if content != run.fingerprint:
        raise UserError(f"data '{run.data}' changed since the bench was planned; start it again")
    before = _finished_epochs(folder)
    with clock.over("train"):
        model = train(
            data,
            method=run.method,
            bits=run.bits,
            noise=None if run.noise == NO_NOISE else run.noise,
            seed=run.seed,
            settings=run.settings,
            features=run.features,
            validation=run.validation,
            out=folder,
            resume=True,
            progress=False,
        )
    note = _training_seconds(folder, clock, before, len(model.history))
    scored = score(model, data, job.protocol, clock)
    _write(out, run.id, scored)
    return _result(run, model, scored, clock.seconds, note)


def _as_without_noise(job: Job, out: Path, load: JobData) -> Result | None:
    """The result, and the folder, of the same run on clean labels, where that is done and no label is ever looked at.

    None where there is no such run. A method that sees no labels, with no rows that choose an epoch by theirs, is the
    same to the bit under every noise of labels; wrong pairs are another matter.
    """
    run, clean = job.run, replace(job, run=replace(job.run, noise=NO_NOISE))
    if run.noise == NO_NOISE or parse_noise(run.noise).of_pairs or get(run.method).sees_labels or run.validation:
        return None
    held, folder = finished(clean, out), RunFolder(run_folder(out, clean.run.id))
    whole = folder.is_finished or not job.protocol.keep_models
    if held is None or held.status == FAILED or not whole or len(load(job.source)[0].validation):
        return None
    dropped = [] if job.protocol.keep_models else weights_of(folder)  # perhaps this very moment, by another process
    changes = {"noise": run.noise, "noise_changes": "nothing"}
    left_out = ["result.json", *(file.name for file in dropped)]
    folder.copy_to(run_folder(out, run.id), without=left_out, **changes)
    return replace(held, **_told(run), machine={**held.machine, "same_training_as": clean.run.id})


def _finished_epochs(folder: Path) -> int:
    """Epochs that an earlier process finished; a folder that nothing honest can be made of is removed.

    That is one whose checkpoint is damaged, and one whose training came to its end without a word of its time.
    """
    run = RunFolder(folder)
    try:
        checkpoint = read_checkpoint(run)
        planned = run.config["settings"]["epochs"] if run.has_begun else None
    except UserError:
        shutil.rmtree(folder)
        return 0
    if (folder / "seconds.json").exists():
        return 0
    done = 0 if checkpoint is None else len(checkpoint.meta["history"])
    if done == planned or run.is_finished:
        shutil.rmtree(folder)
        return 0
    return done


def _training_seconds(folder: Path, clock: Clock, before: int, epochs: int) -> dict[str, Any]:
    """Keep the time of the training beside it, and put it back where the training was over before.

    Where epochs were trained by a process that was killed, their time is taken to be like that of the others.
    """
    kept = folder / "seconds.json"
    if kept.exists():
        held = read_json(kept)
        clock.seconds.update(held["seconds"])
        return held["note"]
    note = {}
    if before:
        for name in clock.seconds:
            clock.seconds[name] *= epochs / (epochs - before)
        note = {"resumed_after_epoch": before, "train_seconds": "estimated from the epochs after it"}
    write_json(kept, {"seconds": clock.seconds, "note": note})
    return note


def _write(out: Path, run: str, scored: Scored) -> None:
    write_npz(run_folder(out, run) / "codes.npz", scored.codes, compress=True)
    if scored.curves:
        with writing(run_folder(out, run) / "curves.json") as temporary:  # long lists: on one line
            temporary.write_text(json.dumps(scored.curves), encoding="utf-8")
    write_per_query(out, run, scored.per_query)


def _result(run: BenchRun, model: Model, scored: Scored, seconds: dict[str, float], note: dict[str, Any]) -> Result:
    epochs = len(model.history)
    share = seconds["train"] / max(1, epochs)  # training keeps no time of an epoch
    return Result(
        **_told(run),
        status=DONE,
        reason="",
        epochs=epochs,
        selection=model.selection,
        seconds=seconds,
        figures=scored.figures,
        history=[{**line, "seconds": share * line["epoch"]} for line in model.history],
        machine={**_machine(), **note},
    )


def _told(run: BenchRun) -> dict[str, Any]:
    noise = None if run.noise == NO_NOISE else parse_noise(run.noise)
    return {
        "id": run.id,
        "data": run.data,
        "method": run.method,
        "variant": run.variant,
        "settings": dict(run.settings),
        "bits": run.bits,
        "noise": noise.rule if noise else NO_NOISE,
        "rate": noise.rate if noise else 0.0,
        "each": noise.each if noise else False,
        "grouped": noise.grouped if noise else False,
        "seed": run.seed,
    }


def _machine() -> dict[str, Any]:
    from importlib.metadata import version

    versions = {name: version(name) for name in VERSIONED} | {"python": platform.python_version()}
    return {"processor": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()} | {
        "versions": versions
    }
