"""How long a bench will take: from what is finished, else timed on a few rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbit.bench.work.estimate
from crossbit.bench.recipe.grid import BenchRun
from crossbit.bench.recipe.recipe import BenchProtocol, Source
from crossbit.bench.recipe.sources import load_source
from crossbit.bench.work.estimate import estimate, few_rows
from crossbit.bench.work.progress import BenchProgress, in_words, outcome
from crossbit.bench.work.runner import Job, JobData, failed
from crossbit.bench.work.store import Result
from crossbit.data import PairedData
from crossbit.errors import UserError
from tiny import arrays, vectors

RUN = BenchRun("toy", "nrch", "", {"width": 16, "epochs": 10}, 64, "none", 0, None, "f00", {})
JOB = Job(RUN, Source("toy", "toy.npz"), BenchProtocol())


def job(**changes: Any) -> Job:
    return replace(JOB, run=replace(RUN, **changes))


def done(run: BenchRun, seconds: float, **changes: Any) -> Result:
    told = failed(run, "")
    parts = dict.fromkeys(("train", "encode", "search", "evaluate"), seconds / 4)
    figures = [
        {"database": base, "direction": way, "measure": "mAP", "value": 0.5}
        for base in ("retrieval", "query")
        for way in ("a->b", "b->a")
    ]
    return replace(told, **({"status": "done", "seconds": parts, "figures": figures} | changes))


def timed(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[Job]:
    asked: list[Job] = []
    monkeypatch.setattr(crossbit.bench.work.estimate, "_timed", lambda job, _: asked.append(job) or answer)
    return asked


def test_runs_that_are_finished_tell_of_others_like_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = timed(monkeypatch, None)
    finished = [done(RUN, 10.0), done(replace(RUN, seed=1), 20.0), done(replace(RUN, bits=16), 3.0)]
    jobs = [job(seed=2), job(bits=16, noise="swap-one:0.5"), job(bits=32)]
    guess = estimate(jobs, finished)
    assert list(guess.seconds.values()) == pytest.approx([15.0, 3.0, 11.0])
    assert (guess.total, guess.how) == (pytest.approx(29.0), "from runs that are finished")
    assert asked == []


def test_others_are_timed_once_for_each_method_and_width(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = timed(monkeypatch, (2.0, 5.0))
    other = {"width": 32, "epochs": 10}
    jobs = [job(), job(seed=1), job(settings=RUN.settings | {"epochs": 20}), job(method="ucch"), job(settings=other)]
    guess = estimate(jobs, [])
    assert list(guess.seconds.values()) == [25.0, 25.0, 45.0, 25.0, 25.0]
    assert len(asked) == 3
    assert guess.how.startswith("rough")


def test_what_is_not_known_is_not_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, None)
    guess = estimate([job(), job(method="ucch")], [done(RUN, 10.0)])
    assert (list(guess.seconds.values()), guess.total) == ([10.0, None], None)
    assert estimate([], []).total == 0.0


def test_a_method_is_timed_on_a_few_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "toy.npz", **vectors(n=300))
    asked = []

    def train(data: PairedData, **options: Any) -> None:
        asked.append((len(data.train), options["settings"]["epochs"]))
        clock[0] += 3.0 + 2.0 * options["settings"]["epochs"] * (len(asked) > 1)

    clock = [0.0]
    monkeypatch.setattr(crossbit.bench.work.estimate, "train", train)
    monkeypatch.setattr(crossbit.bench.work.estimate.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(crossbit.bench.work.estimate, "ROWS", 90)
    here = replace(JOB, source=Source("toy", str(tmp_path / "toy.npz")))
    assert crossbit.bench.work.estimate._timed(here, JobData()) == pytest.approx((2.0 * 270 / 90, 3.0 * 300 / 180))
    assert asked == [(90, 1), (90, 1), (90, 3)]


def test_a_method_whose_steps_do_not_grow_with_the_rows_is_not_said_to_take_so_much_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "toy.npz", **vectors(n=300))
    clock = [0.0]
    monkeypatch.setattr(crossbit.bench.work.estimate.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(crossbit.bench.work.estimate, "train", lambda *_, **__: clock.__setitem__(0, clock[0] + 6.0))
    monkeypatch.setattr(crossbit.bench.work.estimate, "ROWS", 90)
    here = job(method="look", settings={"epochs": 10})
    here = replace(here, source=Source("toy", str(tmp_path / "toy.npz")))
    assert crossbit.bench.work.estimate._timed(here, JobData()) == (6.0, 0.0)  # 80 steps, of 180 rows and of 270


def test_a_slow_method_is_timed_once_and_one_that_fails_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "toy.npz", **vectors())
    here = replace(JOB, source=Source("toy", str(tmp_path / "toy.npz")))
    clock = [0.0]
    monkeypatch.setattr(crossbit.bench.work.estimate.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(crossbit.bench.work.estimate, "train", lambda *_, **__: clock.__setitem__(0, clock[0] + 6.0))
    assert crossbit.bench.work.estimate._timed(here, JobData()) == (6.0, 0.0)

    def refused(*_: Any, **__: Any) -> None:
        raise UserError("no")

    monkeypatch.setattr(crossbit.bench.work.estimate, "train", refused)
    assert crossbit.bench.work.estimate._timed(here, JobData()) is None


def test_a_few_rows_keep_pairs_labels_and_splits_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "toy.npz", **arrays())
    monkeypatch.setattr(crossbit.bench.work.estimate, "ROWS", 10)
    data = load_source(Source("toy", str(tmp_path / "toy.npz")))
    few = few_rows(data)
    for modality in data.modalities:
        np.testing.assert_array_equal(few.train[modality], data.train[modality][:10])
    np.testing.assert_array_equal(few.train.label, data.train.label[:10])  # type: ignore[index]
    assert (few.n, len(few.query)) == (20, 0)


def test_progress_is_a_line_for_each_run_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with BenchProgress(2, 200.0) as bar:
        bar.tell(done(RUN, 100.0), 1, 100.0)
        bar.tell(done(RUN, 0.0, status="failed", reason="no [memory]"), 0, 0.0)
    first, second = capsys.readouterr().err.rstrip().splitlines()
    assert first == f"1/2  {RUN.id}  mAP a->b 0.5000  b->a 0.5000  2 min  about 2 min left"
    assert second == f"2/2  {RUN.id}  failed: no [memory]"


def test_times_are_told_in_words() -> None:
    assert [in_words(s) for s in (0, 89, 91, 5399, 5401)] == ["0 s", "89 s", "2 min", "90 min", "1.5 h"]
    assert outcome(failed(RUN, "why")) == "failed: why"
