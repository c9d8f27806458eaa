"""The folder that a bench leaves: what a run's result holds, and how it is written and read.

OUT/recipe.toml, plan.json, results.parquet, results.csv, tables.md, tables.tex, plots/
OUT/runs/<id>/   what `crossbit train` leaves, codes.npz, curves.json, per_query.npz, and last of all result.json
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import UserError
from crossbit.runs.checkpoint import remove_checkpoint
from crossbit.runs.folder import RunFolder
from crossbit.storage.files import read_json, write_json, writing
from crossbit.storage.npz import read_npz, write_npz

DONE, FAILED = "done", "failed"
PARTS = ("train", "encode", "search", "evaluate")  # where the time of a run goes
# of results.parquet: a row for each figure, and one for each failed run
COLUMNS = {
    **dict.fromkeys(("id", "status", "reason", "data", "method", "variant"), "VARCHAR"),
    **{"bits": "INTEGER", "noise": "VARCHAR", "rate": "DOUBLE", "each": "BOOLEAN", "grouped": "BOOLEAN"},
    **{"seed": "BIGINT", "epochs": "INTEGER", "selection": "VARCHAR", "same_training_as": "VARCHAR"},
    **{f"{part}_seconds": "DOUBLE" for part in PARTS},
    **{"settings": "VARCHAR", "database": "VARCHAR", "direction": "VARCHAR", "measure": "VARCHAR", "value": "DOUBLE"},
}


@dataclass(frozen=True)
class Result:
    """What is known of a finished run, or of one that failed.

    Attributes:
        id: name of its folder in `runs`.
        status, reason: "done"; or "failed" and why.
        data, method, variant: `variant` is a label, empty for the method as it is.
        settings: all of the method's settings.
        bits, seed, epochs: `epochs` are those that were trained.
        noise, rate, each, grouped: "none" and 0, or the rule, its rate, whether it was drawn per modality, per group.
        selection: how the epoch was chosen.
        seconds: by part of the work ("train", "encode", "search", "evaluate"), by the clock; and the processor's,
            "train_processor" and so on.
        figures: {"database", "direction", "measure", "value"}, the measure by its full name.
        history: per epoch "epoch", "loss", "seconds" since the beginning and what the method tells besides.
        machine: cores, threads, versions, and what is to be said of the times.
    """

    id: str
    status: str
    reason: str
    data: str
    method: str
    variant: str
    settings: dict[str, Any]
    bits: int
    noise: str
    rate: float
    each: bool
    seed: int
    epochs: int | None
    selection: str
    seconds: dict[str, float]
    figures: list[dict[str, Any]]
    history: list[dict[str, Any]]
    machine: dict[str, Any]
    grouped: bool = False

    @property
    def same_training_as(self) -> str:
        """The run whose training this is a result of, too, where the method sees no labels; empty for its own."""
        return str(self.machine.get("same_training_as", ""))


def run_folder(out: Path, run: str) -> Path:
    """Where the run of that id keeps everything."""
    return out / "runs" / run


def write_result(out: Path, result: Result, asked: Mapping[str, Any]) -> None:
    """Write result.json, whole or not at all; with it a run counts as finished, for what it was `asked`."""
    write_json(run_folder(out, result.id) / "result.json", {**dataclasses.asdict(result), "asked": dict(asked)})


def read_result(out: Path, run: str) -> tuple[Result, dict[str, Any]] | None:
    """The result of a run and what it was asked; None where it is not finished."""
    path = run_folder(out, run) / "result.json"
    if not path.exists():
        return None
    held = read_json(path)
    try:
        asked = held.pop("asked")
        return Result(**held), asked
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no result of a bench; remove its folder to run it again") from error


def load_results(out: Path) -> list[Result]:
    """The finished and the failed runs of the plan in `out`, in its order.

    Runs that an earlier recipe left in the same folder are kept there and passed over.

    Raises:
        UserError: `out` is not the folder of a bench, or a result is damaged.
    """
    plan = out / "plan.json"
    if not plan.exists():
        raise UserError(f"{out} is not the folder of a bench: it has no plan.json; make one with --out")
    read = [read_result(out, str(run["id"])) for run in read_json(plan)["runs"]]
    return [held[0] for held in read if held is not None]


def load_curves(out: Path, result: Result) -> dict[str, Any]:
    """By database the curves of a run, as `Report.curves` has them; empty where there are none."""
    path = run_folder(out, result.id) / "curves.json"
    return read_json(path) if path.exists() else {}


def load_per_query(out: Path, result: Result) -> dict[tuple[str, str], np.ndarray]:
    """By (database, direction) the average precision of each query; NaN where there is nothing to find."""
    path = run_folder(out, result.id) / "per_query.npz"
    arrays = read_npz(path, "a bench's file", "run it again") if path.exists() else {}
    return {(name.split(" ", 1)[0], name.split(" ", 1)[1]): array for name, array in arrays.items()}


def write_per_query(out: Path, run: str, arrays: Mapping[tuple[str, str], np.ndarray]) -> None:
    """What `load_per_query` reads."""
    named = {f"{database} {direction}": array for (database, direction), array in arrays.items()}
    write_npz(run_folder(out, run) / "per_query.npz", named, compress=True)


def weights_of(folder: RunFolder) -> list[Path]:
    """What is large in a run's folder and not needed for tables."""
    return [folder.weights_file, folder.featurisers_file, folder.rows_file]


def drop_weights(out: Path, run: str) -> None:
    """Remove the weights of a run."""
    folder = RunFolder(run_folder(out, run))
    for file in weights_of(folder):
        file.unlink(missing_ok=True)
    remove_checkpoint(folder)


def write_figures(out: Path, results: Sequence[Result]) -> list[Path]:
    """Every figure as results.csv and results.parquet, a row each."""
    table, parquet = out / "results.csv", out / "results.parquet"
    with writing(table) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, COLUMNS)
        rows.writeheader()
        for result in results:
            rows.writerows(_rows(result))
    _to_parquet(table, parquet)
    return [table, parquet]


def _rows(result: Result) -> list[dict[str, Any]]:
    told = {name: getattr(result, name) for name in COLUMNS if hasattr(result, name)}
    told |= {f"{part}_seconds": result.seconds.get(part) for part in PARTS}
    told["settings"] = json.dumps(result.settings, sort_keys=True)
    return [{**told, **figure} for figure in result.figures] or [told]


def _to_parquet(table: Path, parquet: Path) -> None:
    import duckdb

    texts = [name for name, kind in COLUMNS.items() if kind == "VARCHAR"]  # an empty one is no missing one
    filled = ", ".join(f"coalesce({name}, '') AS {name}" for name in texts)
    with writing(parquet) as temporary, duckdb.connect() as connection:
        rows = connection.read_csv(str(table), header=True, columns=COLUMNS)
        rows.project(f"* REPLACE ({filled})").write_parquet(str(temporary))
