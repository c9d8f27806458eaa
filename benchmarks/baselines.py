"""Methods beside each other on one data set: the same split, labels, noise and seeds, scored against both databases.

    python benchmarks/baselines.py [--data DATA] [--methods NAME ...] [--set KEY=VALUE ...] [--runs FILE]
    python benchmarks/baselines.py --table [--runs FILE ...]

Without --methods, the baselines. A run that stands in FILE already is not repeated, so that a broken-off comparison
goes on where it was, and a further method only adds its own runs. --set applies to the methods that have the setting;
--ablations runs each method's ablations too. One JSON object on standard output (means over the seeds), progress on
standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.data import load_data
from crossbit.data.types import PairedData
from crossbit.errors import unknown
from crossbit.evaluation import evaluate
from crossbit.evaluation.report import DATABASES
from crossbit.features import fit_featuriser
from crossbit.methods import available, get, setting_docs
from crossbit.training import train

BASELINES = ["random", "cca-sign", "cca-rotation", "cca-itq", "cca-cosine", "classifier", "infonce"]
RUNS = Path(__file__).parent / "results" / "baselines-runs.jsonl"
SETUP = ("data", "scale", "bits", "noise", "method", "ablation", "settings")  # runs that differ only in the seed


def load(name: str, scale: bool) -> PairedData:
    """The data; with `scale`, its vectors standardised by the training rows."""
    data = load_data(name)
    if not scale:
        return data
    vectors = {m: data[m] for m in data.modalities if data.kind(m) == "vectors"}
    made = {m: fit_featuriser("scaled", x[data.splits["train"]]).transform(x) for m, x in vectors.items()}
    return data.replace(modalities={**data.modalities, **made})


def assignments(words: list[str], methods: list[str]) -> dict[str, str]:
    """KEY=VALUE words; a key that no method has is a mistake."""
    known = {name for method in methods for name, _, _ in setting_docs(get(method))} | {"preset"}
    given = dict(word.split("=", 1) for word in words)
    for key in given:
        if key not in known:
            raise unknown("setting", key, known)
    return given


def known_to(method: str, given: dict[str, str]) -> dict[str, str]:
    has = {name for name, _, _ in setting_docs(get(method))} | ({"preset"} if get(method).presets else set())
    return {key: value for key, value in given.items() if key in has}


def wanted(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every run that was asked for, by all that tells it from others."""
    given = assignments(args.set, args.methods)
    runs = []
    for seed in range(args.seeds):
        for method in args.methods:
            cut = get(method).ablations.items() if args.ablations else ()
            for ablation, changed in [(None, {}), *cut]:
                common = {"data": Path(args.data).name, "scale": args.scale, "bits": args.bits, "noise": args.noise}
                settings = {**known_to(method, given), **changed}
                runs.append(common | {"method": method, "ablation": ablation, "settings": settings, "seed": seed})
    return runs


def same_run(run: dict[str, Any]) -> str:
    return json.dumps([run[key] for key in (*SETUP, "seed")], sort_keys=True)


def run_one(data: PairedData, run: dict[str, Any]) -> dict[str, Any]:
    """Train, and score against both databases; processor time beside the clock's, as machines are shared."""
    clock, processor = time.perf_counter(), time.process_time()
    options = {key: run[key] for key in ("method", "bits", "noise", "seed", "settings")}
    model = train(data, progress=False, **options)
    seconds = {"train": time.perf_counter() - clock, "train_processor": time.process_time() - processor}
    reports = {database: evaluate(model, data, database=database) for database in DATABASES}
    parts = ("map", "codes_map", "chance")
    scores = {name: {part: getattr(report, part) for part in parts} for name, report in reports.items()}
    measures = {"measure": reports["retrieval"].measure, "epochs": len(model.history)}
    return {**run, **measures, "databases": scores, "seconds": seconds | reports["retrieval"].seconds}


def read_runs(paths: list[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths if path.exists() for line in path.read_text().splitlines()]


def spreads(maps: list[dict[str, float]]) -> dict[str, dict[str, float | None]]:
    """Mean and deviation of each direction."""
    values = {direction: [each[direction] for each in maps] for direction in maps[0]}
    return {
        direction: {"mean": float(np.mean(of)), "sd": float(np.std(of, ddof=1)) if len(of) > 1 else None}
        for direction, of in values.items()
    }


def table(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over the seeds, for each setup, database and direction; mean seconds of a training."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault(json.dumps([run[key] for key in SETUP], sort_keys=True), []).append(run)
    rows = []
    for group in groups.values():
        row: dict[str, Any] = {key: group[0][key] for key in (*SETUP, "measure", "epochs")} | {"seeds": len(group)}
        row["seconds"] = {key: float(np.mean([r["seconds"][key] for r in group])) for key in group[0]["seconds"]}
        for database in DATABASES:
            row[database] = spreads([r["databases"][database]["map"] for r in group])
            row[f"{database}, codes"] = spreads([r["databases"][database]["codes_map"] for r in group])
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="glyphs", help="a built-in name or a path")
    parser.add_argument("--scale", action="store_true", help="standardise vectors by the training rows")
    parser.add_argument("--methods", nargs="+", default=BASELINES, choices=sorted(available()), metavar="NAME")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--ablations", action="store_true")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--noise", help="RULE:RATE[:each]")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, nargs="+", default=[RUNS], help="new runs go to the first file")
    parser.add_argument("--table", action="store_true", help="run nothing")
    args = parser.parse_args()
    if not args.table:
        data = load(args.data, args.scale)
        done = {same_run(run) for run in read_runs(args.runs)}
        for run in [run for run in wanted(args) if same_run(run) not in done]:
            finished = run_one(data, run)
            with open(args.runs[0], "a", encoding="utf-8") as file:
                file.write(json.dumps(finished) + "\n")
            told = {key: finished[key] for key in ("method", "ablation", "seed", "databases", "seconds")}
            print(told, file=sys.stderr)
    print(json.dumps({"runs": table(read_runs(args.runs))}, indent=1))


if __name__ == "__main__":
    main()
