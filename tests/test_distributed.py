"""Several processes train what one trains."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from torch import distributed

import crossbit
import forked
from several import METHODS, NORMALISED, main, normalised, trained, weights
from tiny import vectors

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not distributed.is_available() or os.name != "posix", reason="needs torch.distributed with Gloo"
    ),
]
HERE = Path(__file__).parent
LONG = [
    "--method",
    "look",
    "--bits",
    "8",
    "--epochs",
    "20",
    "--set",
    "width=16",
    "--set",
    "steps=8",
    "--device",
    "cpu",
]


def environment() -> dict[str, str]:
    """Of processes on loopback alone, with a port that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}


def torchrun(*words: str | Path) -> tuple[int, str, str]:
    """Two processes of `torchrun`: its exit code, and what they wrote."""
    given = environment()
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    start += [f"--master-port={given['MASTER_PORT']}", *map(str, words)]
    paths = os.pathsep.join([str(HERE.parent / "src"), str(HERE)])
    ran = subprocess.run(
        start, env={**os.environ, **given, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=600
    )
    return ran.returncode, ran.stdout, ran.stderr


def several(begin: Callable[[], ForkServerProcess]) -> list[ForkServerProcess]:
    """Two processes with the variables that `torchrun` sets."""
    with patch.dict(os.environ, environment() | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}):
        begun = []
        for rank in ("0", "1"):
            os.environ["RANK"] = os.environ["LOCAL_RANK"] = rank
            begun.append(begin())
    return begun


def ended(processes: list[ForkServerProcess]) -> list[int | None]:
    """Their exit codes; when one fails, the others are killed, as `torchrun` does."""
    running = list(processes)
    while running and not any(process.exitcode for process in processes):
        wait([process.sentinel for process in running])
        running = [process for process in running if process.exitcode is None]
    _kill_all(processes)
    return [process.exitcode for process in processes]


def _kill_all(processes: list[ForkServerProcess]) -> None:
    for process in processes:
        process.kill()
        process.join()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of both processes, by method."""
    folder = tmp_path_factory.mktemp("together")
    assert ended(several(lambda: forked.begun(main, folder, output=folder / "output"))) == [0, 0], folder / "output"
    return folder


@pytest.mark.parametrize("name", [NORMALISED, *METHODS])
def test_two_processes_train_what_one_trains(name: str, together: Path) -> None:
    alone = normalised() if name == NORMALISED else weights(trained(name))
    with np.load(together / f"{name}.npz") as first, np.load(together / f"{name}.other.npz") as second:
        for key, weight in alone.items():
            apart, largest = np.abs(first[key] - weight), max(np.abs(weight).max(), 1e-30)
            # Adam follows the sign of a gradient, however small: by chance, of one that is 0 but for rounding
            assert (apart > 1e-5 * largest).mean() <= 1e-4, key
            assert np.linalg.norm(apart) <= 1e-5 * np.linalg.norm(weight), key
            np.testing.assert_array_equal(first[key], second[key])


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux, which lists the threads")
def test_no_thread_of_the_group_outlives_it(together: Path) -> None:
    for number in range(2):
        threads = (together / f"threads.{number}").read_text()
        assert "python" in threads
        assert "gloo" not in threads


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "toy.npz", **vectors(120))
    return folder / "toy.npz"


@pytest.fixture(scope="module")
def unbroken(data: Path) -> Path:
    """A run of two processes, from the command line, by `torchrun` itself."""
    run = data.parent / "unbroken"
    code, out, errors = torchrun("-m", "crossbit", "train", data, *LONG, "--out", run)
    assert code == 0, errors
    assert out.count("model of the last epoch") == 1  # one speaks for both
    return run


def test_the_run_is_as_good_as_that_of_one_process(data: Path, unbroken: Path) -> None:
    model = crossbit.train(data, bits=8, epochs=20, settings={"width": 16, "steps": 8}, device="cpu", progress=False)
    alone, there = crossbit.evaluate(model, data), json.loads((unbroken / "report.json").read_text())
    assert there["map"] == pytest.approx(alone.map, abs=0.005)
    assert json.loads((unbroken / "config.json").read_text())["processes"] == 2


def test_killed_and_resumed_to_the_bit(data: Path, unbroken: Path) -> None:
    run, output = data.parent / "killed", data.parent / "output"
    words = ["train", data, *LONG, "--out", run]
    processes = several(lambda: forked.crossbit(*words, "--quiet"))
    history = run / "history.jsonl"
    while processes[0].is_alive() and not (history.exists() and history.read_text().count("\n") >= 3):
        time.sleep(0.02)
    _kill_all(processes)
    assert not (run / "model.safetensors").exists(), "it was finished before it was killed"
    assert ended(several(lambda: forked.crossbit(*words, "--resume", output=output))) == [0, 0], output.read_text()
    assert "resumed after epoch" in output.read_text()
    for name in ("model.safetensors", "history.jsonl", "rows.npz"):
        assert (run / name).read_bytes() == (unbroken / name).read_bytes(), name


def test_a_mistake_is_told_once(data: Path, unbroken: Path, tmp_path: Path) -> None:
    for words, said in (
        ([data, "--method", "lok", "--out", data.parent / "new"], "unknown method 'lok'"),
        ([data, "--out", unbroken], "exists already"),
    ):
        output = tmp_path / said
        assert 0 not in ended(several(lambda: forked.crossbit("train", *words, output=output)))  # noqa: B023
        assert output.read_text().count("crossbit: error:") == 1
        assert said in output.read_text()
