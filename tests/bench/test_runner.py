"""Benches run: whole, broken off, failing, in several processes, and drawn again."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbit.bench.bench
import crossbit.bench.report.plots
import crossbit.bench.work.runner
import crossbit.runs.folder
import forked
from clusters import local_cluster
from crossbit.bench.bench import Bench, prepare
from crossbit.bench.report.cells import cell_of
from crossbit.bench.work import workers
from crossbit.bench.work.estimate import Estimate
from crossbit.bench.work.store import DONE, FAILED, Result, load_results
from crossbit.data import PairedData
from crossbit.errors import UserError
from crossbit.methods import Method, get
from crossbit.model import Model, load_model
from crossbit.training import train
from oracles import expected_average_precision, is_relevant, overlap, precision_at, stable, tie_groups
from tiny import Command, arrays, runner, vectors

RECIPE = """
title = "Tiny"
[protocol]
seeds = 2
measures = ["P@5"]
[data.toy]
source = "toy.npz"
[[grid]]
data = "toy"
methods = ["nrch", "mrl"]
bits = 16
noise = ["none", "swap-one:0.5"]
epochs = 2
[grid.settings]
width = 16
[grid.settings.mrl]
multi_label = true
[quick]
seeds = 1
epochs = 1
"""
DRAW = crossbit.bench.report.plots.draw
ONE = RECIPE.replace("seeds = 2", "seeds = 1").replace('["nrch", "mrl"]', '"nrch"').partition("[grid.settings.mrl]")[0]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time is spent on estimating time, nor on plots; test_estimate.py and test_plots.py do that."""
    monkeypatch.setattr("crossbit.bench.work.estimate._timed", lambda job, load: (0.5, 1.0))
    monkeypatch.setattr(crossbit.bench.report.plots, "draw", lambda out, results: [])


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with data and two recipes: of eight runs, and of two."""
    np.savez(tmp_path / "toy.npz", **arrays())
    np.savez(tmp_path / "vectors.npz", **vectors())
    (tmp_path / "r.toml").write_text(RECIPE)
    (tmp_path / "one.toml").write_text(ONE)
    return tmp_path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished bench; tests only read it."""
    folder = tmp_path_factory.mktemp("bench")
    np.savez(folder / "toy.npz", **arrays())
    (folder / "r.toml").write_text(RECIPE)
    run(prepare(folder / "r.toml", folder / "out", data_root=folder))
    return folder / "out"


def run(bench: Bench, **choices: Any) -> list[Result]:
    return bench.go(Estimate({}, "no guess"), lambda *_: None, **choices)


def figures(out: Path) -> dict[str, Any]:
    """All that may not depend on how often a bench was broken off, nor on who did the runs."""
    return {result.id: (result.status, result.figures, result.epochs, result.selection) for result in load_results(out)}


def written(out: Path) -> dict[Path, int]:
    """When each result was written."""
    return {path: path.stat().st_mtime_ns for path in (out / "runs").glob("*/result.json")}


# --- a bench from end to end ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_leaves_everything_and_says_what(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossbit.bench.report.plots, "draw", DRAW)
    told = command("bench", place / "one.toml", "--out", place / "out", "--data-root", place)
    assert told.code == 0
    assert "2 runs; 2 to do, about" in told.errors[0]
    assert [line.split()[0] for line in told.errors[1:]] == ["1/2", "2/2"]
    assert all("mAP image->text 0." in line for line in told.errors[1:])
    files = {path.name for path in (place / "out").iterdir()}
    assert {"recipe.toml", "plan.json", "results.parquet", "results.csv", "tables.md", "tables.tex", "plots"} <= files
    assert (place / "out" / "recipe.toml").read_text() == ONE
    for line in told.out.splitlines()[1:]:
        assert Path(line).is_file()
    for folder in (path for path in (place / "out" / "runs").iterdir() if path.is_dir()):
        kept = {path.name for path in folder.iterdir()}
        assert {"config.json", "history.jsonl", "model.safetensors", "codes.npz"} <= kept
        assert {"curves.json", "per_query.npz", "result.json"} <= kept
        assert "checkpoint" not in kept


@pytest.mark.slow
def test_a_result_tells_the_whole_run(ran: Path) -> None:
    results = load_results(ran)
    assert len(results) == 8
    assert {(r.method, r.noise, r.rate, r.seed) for r in results} == {
        (method, *noise, seed)
        for method in ("nrch", "mrl")
        for noise in (("none", 0.0), ("swap-one", 0.5))
        for seed in (0, 1)
    }
    for result in results:
        assert (result.status, result.bits, result.epochs, result.selection) == (DONE, 16, 2, "last epoch")
        assert result.settings["width"] == 16
        assert {"train", "encode", "search", "evaluate", "train_processor"} <= set(result.seconds)
        assert [line["epoch"] for line in result.history] == [1, 2]
        assert {figure["database"] for figure in result.figures} == {"retrieval", "query"}
        named = {figure["measure"].partition("(")[0] for figure in result.figures}
        own = {"mAP@all", "overlap@10", "P@10", "hit@10"}
        assert named == {"P@5", "NDCG@10"} | own | {f"chance of {name}" for name in own}
        by = {"metric=reranked" in figure["measure"] for figure in result.figures if "overlap" in figure["measure"]}
        assert by == {True, False}
        keys = [(figure["database"], figure["direction"], figure["measure"]) for figure in result.figures]
        assert len(keys) == len(set(keys))


@pytest.mark.slow
def test_the_figures_are_those_of_a_slow_oracle_on_the_codes_that_were_kept(ran: Path) -> None:
    for result in load_results(ran):
        codes = np.load(ran / "runs" / result.id / "codes.npz")
        for figure in result.figures:
            kept = "metric=reranked" not in figure["measure"]  # codes.npz has no vectors of a method of codes
            if kept and ("ties=expected" in figure["measure"] or figure["measure"].startswith("chance")):
                assert figure["value"] == pytest.approx(recomputed(codes, figure), abs=5e-5), figure


def recomputed(codes: Any, figure: dict[str, Any]) -> float:
    """A figure from a run's codes.npz, with loops."""
    source, target = figure["direction"].split("->")
    side = figure["database"]
    query, database = codes[f"query_{source}"], codes[f"{side}_{target}"]
    if query.dtype == np.uint8:
        near = [[int(np.unpackbits(q ^ d).sum()) for d in database] for q in query]
    elif "metric=cosine" in figure["measure"]:
        unit, others = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, database))
        near = [[-float(q @ d) for d in others] for q in unit.astype(np.float64)]
    else:  # the signs of what is ranked by cosine
        near = [[int(((q >= 0) != (d >= 0)).sum()) for d in database] for q in query]
    if figure["measure"].startswith("chance"):  # nothing is told apart
        near = [[0 for _ in row] for row in near]
    values = []
    for query_row, (distances, label) in enumerate(zip(near, codes["query_label"], strict=True)):
        relevant = [is_relevant(label, other) for other in codes[f"{side}_label"]]
        alike = [overlap(label, other) for other in codes[f"{side}_label"]]
        if "hit@10(correct=pair" in figure["measure"]:
            values.append(
                expected_sum_at([float(row == query_row) for row in range(len(distances))], distances, [1] * 10)
            )
        elif "overlap@10" in figure["measure"]:
            values += [expected_sum_at(alike, distances, [0.1] * 10)] if any(relevant) else []
        elif "NDCG@10" in figure["measure"]:
            discounts = [1 / np.log2(rank + 2) for rank in range(10)]
            ideal = sum(x * w for x, w in zip(sorted(alike, reverse=True)[:10], discounts, strict=False))
            values.append(expected_sum_at(alike, distances, discounts) / ideal if ideal else 0.0)
        elif "mAP@all" in figure["measure"]:
            if any(relevant):
                values.append(float(expected_average_precision(tie_groups(distances, relevant))))
        else:
            values.append(expected_precision(distances, relevant, 10 if "P@10" in figure["measure"] else 5))
    return float(np.mean(values))


def expected_sum_at(gains: list[float], distances: list[float], weights: list[float]) -> float:
    """Sum over the first ranks of gain times weight, where each item of a tie has its group's mean gain."""
    mean = {d: float(np.mean([g for g, e in zip(gains, distances, strict=True) if e == d])) for d in set(distances)}
    return sum(mean[d] * weight for d, weight in zip(sorted(distances), weights, strict=False))


def expected_precision(distances: list[float], relevant: list[bool], n: int) -> float:
    """Precision at n, where the group that straddles n gives its mean share."""
    if len(set(distances)) == len(distances):
        return precision_at(stable(distances, relevant), n)
    before, hits = 0, 0.0
    for size, good in tie_groups(distances, relevant):
        taken = min(size, n - before)
        hits += good * taken / size
        before += taken
        if before == n:
            break
    return hits / n


@pytest.mark.slow
def test_every_field_of_the_tables_is_that_of_a_slow_oracle_on_the_folders_of_the_runs(
    ran: Path, command: Command
) -> None:
    assert command("bench", ran).code == 0
    runs = [json.loads(path.read_text()) for path in (ran / "runs").glob("*/result.json")]
    codes = {run["id"]: np.load(ran / "runs" / run["id"] / "codes.npz") for run in runs}
    seen = set()
    for field in fields_of_tables((ran / "tables.md").read_text(encoding="utf-8")):
        if "P@5" not in field["measure"] and ("mAP@all" not in field["measure"] or "reranked" in field["measure"]):
            continue  # `recomputed` from single figures above
        of = [run for run in runs if run["noise"] == field["noise"] and field["method"] in (run["method"], "chance")]
        values = [recomputed(codes[run["id"]], field) for run in of]
        mean, *spread = (float(number) for number in re.findall(r"\d\.\d+", field["text"]))
        assert mean == pytest.approx(np.mean(values), abs=1e-4), field
        assert spread == pytest.approx([np.std(values, ddof=1)] * (field["method"] != "chance"), abs=1e-4), field
        seen.add(tuple(field[key] for key in ("measure", "database", "direction", "noise", "method")))
    mean, above = "mAP@all(ties=expected, empty=skip{})", ", metric=cosine"
    asked = {mean.format(""): {"nrch", "mrl"}, mean.format(above): {"mrl"}, "chance of mAP@all": {"chance"}}
    asked["P@5(ties=expected, empty=zero)"] = {"nrch", "mrl"}
    rows = [(measure, method) for measure, methods in asked.items() for method in methods]
    every = product(rows, ("retrieval", "query"), ("image->text", "text->image"), ("none", "swap-one"))
    assert seen == {(measure, database, way, noise, method) for (measure, method), database, way, noise in every}


def fields_of_tables(text: str) -> Iterator[dict[str, str]]:
    """What stands in the tables of accuracy, field by field, and what that is of."""
    for part in text.replace("\\", "").split("\n## ")[1:]:
        _, protocol, *lines = [line for line in part.splitlines() if line]
        head, _, *rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in lines if line[0] == "|"]
        for method, *texts in rows if "±" in protocol and "seconds of" not in part else []:
            for column, shown in zip(head[1:], texts, strict=True):
                way, _, noise = column.replace(" → ", "->").partition(": ")
                yield {
                    "measure": f"chance of {protocol.partition('(')[0]}"
                    if method == "chance"
                    else protocol.partition(")")[0] + ")",
                    "database": "query" if "against themselves" in protocol else "retrieval",
                    "direction": way,
                    "noise": {"clean": "none", "swap-one 0.5": "swap-one"}[noise],
                    "method": method,
                    "text": shown,
                }


@pytest.mark.slow
def test_nothing_is_run_twice(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(ran)
    monkeypatch.setattr(crossbit.bench.work.runner, "train", None)
    bench = prepare(ran.parent / "r.toml", ran, data_root=ran.parent)
    assert bench.to_do() == []
    assert len(run(bench)) == 8
    assert written(ran) == before


@pytest.mark.slow
def test_drawing_again_runs_nothing(place: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    run(prepare(place / "one.toml", place / "out", data_root=place))
    for name in ("toy.npz", "one.toml"):
        (place / name).unlink()
    told = command("bench", place / "out", "--json")
    assert told.code == 0
    answer = json.loads(told.out)
    assert (answer["done"], answer["failed"]) == (2, [])
    assert {"tables.md", "results.parquet"} <= {Path(file).name for file in answer["files"]}
    assert command("bench", place / "out", "--out", place / "other").code == 2


def test_the_plan_says_what_would_run_and_writes_nothing(place: Path, command: Command) -> None:
    words = ["bench", place / "r.toml", "--out", place / "out", "--data-root", place, "--plan"]
    told = command(*words)
    assert told.code == 0
    assert "8 runs; 8 to do, about" in told.out
    assert "rough: timed on" in told.out
    assert "swap-one:0.5" in told.out
    plan = json.loads(command(*words, "--json").out)
    assert [entry["status"] for entry in plan["runs"]] == ["to do"] * 8
    assert [entry["estimated_seconds"] for entry in plan["runs"]] == [2 * 0.5 + 1.0] * 8
    assert not (place / "out").exists()


@pytest.mark.slow
def test_the_plan_counts_on_finished_runs(ran: Path, place: Path, command: Command) -> None:
    more = RECIPE.replace("seeds = 2", "seeds = 3").replace(
        'source = "toy.npz"', f'source = "{ran.parent / "toy.npz"}"'
    )
    (place / "more.toml").write_text(more)
    bench = prepare(place / "more.toml", ran)
    guess = bench.estimate()
    assert guess.how == "from runs that are finished"
    means = {
        method: np.mean([sum(r.seconds[p] for p in ("train", "encode", "search", "evaluate")) for r in of])
        for method in ("nrch", "mrl")
        if (of := [r for r in load_results(ran) if r.method == method])
    }
    assert guess.total == pytest.approx(2 * sum(means.values()))
    told = command("bench", place / "more.toml", "--out", ran, "--plan")
    assert "12 runs, 8 done; 4 to do" in told.out


def test_quick_runs_the_reduced_form(place: Path, command: Command) -> None:
    words = ["bench", place / "r.toml", "--out", place / "out", "--data-root", place, "--quick"]
    plan = json.loads(command(*words, "--plan", "--json").out)
    assert [(entry["seed"], entry["settings"]["epochs"]) for entry in plan["runs"]] == [(0, 1)] * 4
    assert plan["options"] == {"quick": True, "data": None}


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_all_mistakes_of_a_recipe_are_told_one_a_line(place: Path, command: Command) -> None:
    wrong = RECIPE.replace('"nrch", "mrl"', '"nrhc", "mrl"').replace("multi_label = true", "").replace("bits", "bit")
    (place / "r.toml").write_text(wrong + '[[grid]]\ndata = "gone"\nmethods = "nrch"\nbits = 12\n')
    told = command("bench", place / "r.toml", "--out", place / "out", "--data-root", place)
    assert (told.code, told.out) == (2, "")
    assert "mistakes; nothing was run" in told.errors[0]
    assert told.errors[0].split(" has ")[1].split()[0] == str(len(told.errors) - 1)
    for each in ("nrhc", "unknown key 'bit'", "has no bits", "12 bits", "gone", "multi_label"):
        assert any(each in line for line in told.errors[1:]), each
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["gone.toml", "--out", "out"], "gone.toml does not exist; `crossbit bench --list`"),
        (["qiuck", "--out", "out"], "did you mean 'quick'?"),
        (["quick"], "crossbit bench quick --out DIR"),
        (["recipes/quick.toml", "--out", "out"], "crossbit's own recipe 'quick' goes by its name"),
        ([], "crossbit bench --list"),
        (["one.toml"], "say where the results shall go"),
        (["one.toml", "--out", "."], "holds other things than a bench"),
        (["one.toml", "--out", "toy.npz"], "exists already"),
        (["one.toml", "--out", "out", "--quick"], "no [quick]"),
        (["one.toml", "--out", "out", "--data", "glyfs"], "glyfs"),
        (["one.toml", "--out", "out", "--workers", "0"], "--workers"),
        (["."], "not the folder of a bench"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_refused(
    words: list[str], told: str, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    ran = command("bench", *words)
    assert (ran.code, ran.out) == (2, "")
    assert told in " ".join(ran.errors)
    assert not (place / "out").exists()


# --- failing runs -----------------------------------------------------------------------------------------------------


def failing(**options: Any) -> Any:
    """A training that fails for one seed of one method."""
    if (options["method"], options["seed"]) == ("mrl", 1):
        raise RuntimeError("the moon\nis full")
    return train(**options)


@pytest.mark.slow
def test_a_failed_run_is_kept_with_its_reason_and_the_rest_goes_on(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["bench", place / "r.toml", "--out", place / "out", "--data-root", place]
    with monkeypatch.context() as patched:
        patched.setattr(crossbit.bench.work.runner, "train", lambda data, **options: failing(data=data, **options))
        told = command(*words)
    assert told.code == 1
    assert "6 runs are done, 2 failed" in told.out
    assert sum("failed: RuntimeError: the moon is full" in line for line in told.errors) == 2
    lost = [result for result in load_results(place / "out") if result.status == FAILED]
    assert {(result.method, result.seed) for result in lost} == {("mrl", 1)}
    assert "the moon" in (place / "out" / "runs" / lost[0].id / "error.txt").read_text()
    before = written(place / "out")
    assert command(*words).code == 1  # failed runs are left alone
    assert written(place / "out") == before
    assert command(*words, "--retry").code == 0
    after = written(place / "out")
    assert {path.parent.name for path in after if after[path] != before[path]} == {result.id for result in lost}


@pytest.mark.slow
def test_a_process_that_dies_takes_only_its_own_run_with_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give, victims = workers._Worker.give, []

    def deadly(self: Any, job: Any) -> Any:
        given = give(self, job)
        if not victims:
            victims.append(job.run.id)
            self.process.kill()
        return given

    monkeypatch.setattr(workers._Worker, "give", deadly)
    bench = prepare(place / "r.toml", place / "out", data_root=place)
    results = run(bench, workers=2)
    assert [result.id for result in results if result.status == FAILED] == victims
    assert len(results) == 8
    (reason,) = [result.reason for result in results if result.status == FAILED]
    assert "SIGKILL" in reason


# --- broken off -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ctrl_c_keeps_and_draws_what_is_done_and_the_rest_goes_on_where_it_was(
    place: Path, ran: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["bench", place / "r.toml", "--out", place / "out", "--data-root", place]
    train_epoch, epochs = get("nrch").train_epoch, []

    def interrupted(self: Method, view: Any) -> dict[str, Any]:
        epochs.append(view.epoch)
        if len(epochs) == 4:  # in the second run's second epoch
            raise KeyboardInterrupt
        return train_epoch(self, view)

    with monkeypatch.context() as patched:
        patched.setattr(get("nrch"), "train_epoch", interrupted)
        stopped = command(*words)
        assert stopped.code == 130
        assert "the 1 of 8 runs that are finished are drawn" in stopped.errors[-1]
        assert (place / "out" / "tables.md").is_file()
        before = written(place / "out")
        del epochs[:]
        epochs.extend([-1] * 10)
        assert command(*words).code == 0
    assert epochs[10] == 1  # the broken run goes on with its second epoch
    after = written(place / "out")
    assert {path: after[path] for path in before} == before
    assert figures(place / "out") == figures(ran)
    (resumed,) = [r for r in load_results(place / "out") if "resumed_after_epoch" in r.machine]
    assert resumed.machine["resumed_after_epoch"] == 1


HOLD = """
import sys, time
from pathlib import Path
from crossbit.storage.alone import alone_in
with alone_in(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_second_bench_in_the_folder_is_refused_until_the_first_ends(place: Path, command: Command) -> None:
    out = place / "out"
    run(prepare(place / "one.toml", out, data_root=place))
    words = ["bench", place / "one.toml", "--out", out, "--data-root", place]
    with subprocess.Popen([sys.executable, "-c", HOLD, str(out), "bench"], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        told = command(*words)
        who = f"host {socket.gethostname()}, pid {other.pid}"
        line = f"another bench works in {out} ({who}); wait until it ends, or give --out another folder"
        assert (told.code, told.out, told.errors) == (2, "", [f"crossbit: error: {line}"])
        with pytest.raises(UserError, match=re.escape(line)):
            run(prepare(place / "one.toml", out, data_root=place))
        assert command(*words, "--plan").code == command("bench", out).code == 0
        other.kill()
    assert command(*words).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("where", ["estimate", "draw_results"])
def test_ctrl_c_beside_the_runs_says_what_is_kept(
    where: str, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = place / "out"
    words = ["bench", place / "one.toml", "--out", out, "--data-root", place]

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Bench, "estimate", interrupted)
        stopped = command(*words)
    assert (stopped.code, stopped.errors[-1]) == (130, "crossbit: interrupted; nothing was written")
    assert not out.exists()
    run(prepare(place / "one.toml", out, data_root=place))
    monkeypatch.setattr(*((Bench, where) if where == "estimate" else (crossbit.bench.bench, where)), interrupted)
    line = f"crossbit: interrupted; {out} keeps 2 finished runs; the same command goes on"
    for each in [words, *([["bench", out]] if where == "draw_results" else [])]:
        stopped = command(*each)
        assert (stopped.code, stopped.errors[-1]) == (130, line)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_random_it_ends_with_the_same_figures_and_repeats_nothing(
    processes: int, place: Path, ran: Path
) -> None:
    words = ["bench", place / "r.toml", "--out", place / "out", "--data-root", place, "--workers", str(processes)]
    moments, done, kills = random.Random(processes), {}, 0
    while True:
        process = forked.crossbit(*words)
        # the first ones are waited for, so that kills fall among the runs and not before them
        wait_for_results(process, place / "out", len(done) + moments.randint(0, 2) if kills < 3 else 99)
        time.sleep(moments.random() * 0.5)
        ended = process.exitcode
        process.kill()
        process.join()
        now = written(place / "out")
        assert {path: now[path] for path in done} == done
        if ended is not None:
            assert ended == 0
            break
        done, kills = now, kills + 1
    assert kills > 0
    assert figures(place / "out") == figures(ran)


def wait_for_results(process: ForkServerProcess, out: Path, count: int) -> None:
    """Until there are so many results, or it has ended."""
    while process.exitcode is None and len(written(out)) < count:
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_is_trained_is_scored_without_training_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(prepare(place / "one.toml", place / "out", data_root=place))
    first = load_results(place / "out")
    (place / "one.toml").write_text(ONE.replace('["P@5"]', '["P@5", "P@7"]'))
    bench = prepare(place / "one.toml", place / "out", data_root=place)
    assert len(bench.to_do()) == 2
    monkeypatch.setattr(get("nrch"), "train_epoch", None)
    second = run(bench)
    for a, b in zip(first, second, strict=True):
        assert (a.id, a.history, a.seconds["train"]) == (b.id, b.history, b.seconds["train"])
        assert [f for f in b.figures if not f["measure"].startswith("P@7")] == a.figures
        assert any(f["measure"].startswith("P@7") for f in b.figures)


@pytest.mark.slow
def test_a_damaged_checkpoint_begins_the_run_again(place: Path, ran: Path) -> None:
    bench = prepare(place / "r.toml", place / "out", data_root=place)
    folder = place / "out" / "runs" / bench.jobs[0].run.id
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "state.safetensors").write_bytes(b"half")
    (folder / ".config.half").write_bytes(b"{")
    run(bench)
    assert figures(place / "out") == figures(ran)


@pytest.mark.slow
def test_what_sees_no_labels_is_trained_once_for_all_noise_of_labels(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noises = '["none", "swap-one:0.5", "resample:0.5", "shuffle-pairs:0.5"]'
    text = ONE.replace('"nrch"', '["infonce", "nrch"]').replace('["none", "swap-one:0.5"]', noises)
    (place / "one.toml").write_text(text)
    trained = []

    def counted(data: PairedData, **options: Any) -> Model:
        trained.append((options["method"], options["noise"]))
        return train(data, **options)

    with monkeypatch.context() as patched:
        patched.setattr(crossbit.bench.work.runner, "train", counted)
        results = run(prepare(place / "one.toml", place / "out", data_root=place))
    assert [noise for method, noise in trained if method == "infonce"] == [None, "shuffle-pairs:0.5"]
    assert len(trained) == 2 + 4
    blind = {result.noise: result for result in results if result.method == "infonce"}
    with monkeypatch.context() as patched:
        patched.setattr(crossbit.bench.work.runner, "_as_without_noise", lambda *_: None)
        alone = run(prepare(place / "one.toml", place / "alone", data_root=place))
    assert [result.figures for result in alone] == [result.figures for result in results]
    for noise in ("swap-one", "resample"):
        result = blind[noise]
        assert (result.rate, result.figures) == (0.5, blind["none"].figures)
        assert result.machine["same_training_as"] == blind["none"].id
        folder = place / "out" / "runs" / result.id
        assert load_model(folder).config["noise"] == f"{noise}:0.5"
        assert (folder / "codes.npz").is_file()
        assert load_model(place / "out" / "runs" / blind["none"].id).config["noise"] is None
    unshared = {tuple(sorted(map(str, result.machine))) for result in results if result.method == "nrch"}
    assert all("same_training_as" not in names for names in unshared)


@pytest.mark.slow
def test_a_run_is_copied_while_another_process_drops_its_weights(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ONE.replace('"nrch"', '"infonce"').replace("seeds = 1", "seeds = 1\nkeep_models = false")
    (place / "one.toml").write_text(text)
    link = crossbit.runs.folder.link_or_copy

    def gone(source: str, target: str) -> str:
        if Path(source).name in ("model.safetensors", "featurisers.json", "rows.npz"):
            raise FileNotFoundError(2, "removed after the folder was listed", source)
        return link(source, target)

    monkeypatch.setattr("crossbit.runs.folder.link_or_copy", gone)
    monkeypatch.setattr("crossbit.bench.work.runner.drop_weights", lambda *_: None)
    results = run(prepare(place / "one.toml", place / "out", data_root=place))
    assert [result.status for result in results] == ["done", "done"], results
    assert results[1].same_training_as == results[0].id


@pytest.mark.slow
def test_noise_may_be_drawn_per_group(place: Path) -> None:
    group = np.arange(90) // 3
    noises = '["swap-one:0.5", "swap-one:0.5:group"]'
    (place / "one.toml").write_text(ONE.replace('["none", "swap-one:0.5"]', noises))
    with pytest.raises(UserError, match=r"grid 1, toy: data '.*' has no groups for noise 'swap-one:0.5:group'"):
        prepare(place / "one.toml", place / "out", data_root=place)
    np.savez(place / "toy.npz", **arrays(group=group))
    results = run(prepare(place / "one.toml", place / "out", data_root=place))
    assert [(r.noise, r.rate, r.each, r.grouped) for r in results] == [
        ("swap-one", 0.5, False, g) for g in (False, True)
    ]
    assert load_results(place / "out") == results
    label = arrays()["label"]
    for result in results:
        with np.load(place / "out" / "runs" / result.id / "data.npz") as kept:
            alike = [
                len(np.unique(kept["observed_label"][(group == one) & (label == own).all(axis=1)], axis=0)) <= 1
                for one in np.unique(group)
                for own in np.unique(label, axis=0)
            ]
        assert all(alike) == result.grouped
    assert len({cell_of(result) for result in results}) == 2


@pytest.mark.slow
def test_data_that_changed_are_other_runs(place: Path) -> None:
    run(prepare(place / "one.toml", place / "out", data_root=place))
    label = arrays()["label"]
    np.savez(place / "toy.npz", **arrays(label=label[:, ::-1]))
    bench = prepare(place / "one.toml", place / "out", data_root=place)
    assert len(bench.to_do()) == 2


@pytest.mark.slow
def test_weights_go_where_they_are_not_wanted(place: Path) -> None:
    (place / "one.toml").write_text(ONE.replace("seeds = 1", "seeds = 1\nkeep_models = false"))
    results = run(prepare(place / "one.toml", place / "out", data_root=place))
    assert [result.status for result in results] == [DONE, DONE]
    assert list((place / "out").rglob("model.safetensors")) == []
    assert len(list((place / "out").rglob("codes.npz"))) == 2
    assert prepare(place / "one.toml", place / "out", data_root=place).to_do() == []


# --- who does the runs ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_find_what_one_finds(place: Path, ran: Path, command: Command) -> None:
    words = ["bench", place / "r.toml", "--out", place / "out", "--data-root", place, "--workers", "2"]
    told = command(*words)
    assert told.code == 0
    assert "by 2 processes" in told.errors[0]
    assert figures(place / "out") == figures(ran)


def test_threads_are_shared_among_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert [workers.threads_for(count) for count in (1, 2, 3, 16)] == [8, 4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert workers.threads_for(2) == 3


@pytest.mark.slow
def test_a_cluster_that_is_not_there(place: Path, need: Any, command: Command) -> None:
    need("ray")
    words = ["bench", place / "one.toml", "--out", place / "out", "--data-root", place]
    told = command(*words, "--ray", "127.0.0.1:1")
    assert told.code == 2
    assert "no Ray cluster at 127.0.0.1:1" in told.errors[-1]


@pytest.mark.slow
def test_ray_finds_what_one_process_finds(place: Path, ran: Path, need: Any, command: Command) -> None:
    need("ray")
    with local_cluster(1) as address:
        told = command("bench", place / "r.toml", "--out", place / "out", "--data-root", place, "--ray", address)
        assert told.code == 0, told.errors
        assert figures(place / "out") == figures(ran)
