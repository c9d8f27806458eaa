"""Several processes train what one trains."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from torch import distributed

import crossbit
from several import METHODS, NORMALISED, normalised, trained, weights
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


def several(*words: str | Path, count: int = 2) -> subprocess.Popen[str]:
    """`torchrun` of so many processes, on loopback alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}", "--master-addr=127.0.0.1"]
    paths = os.pathsep.join([str(HERE.parent / "src"), str(HERE)])
    environment = {**os.environ, "PYTHONPATH": paths, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*start, f"--master-port={port}", *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def told(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, errors = process.communicate(timeout=600)
    except subprocess.TimeoutExpired:
        _kill_all(process)
        raise
    return process.returncode, out, errors


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of both processes, by method."""
    folder = tmp_path_factory.mktemp("together")
    code, _, errors = told(several(HERE / "several.py", folder))
    assert code == 0, errors
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
    """A run of two processes, from the command line."""
    run = data.parent / "unbroken"
    code, out, errors = told(several("-m", "crossbit", "train", data, *LONG, "--out", run))
    assert code == 0, errors
    assert out.count("model of the last epoch") == 1  # one speaks for both
    return run


def test_the_run_is_as_good_as_that_of_one_process(data: Path, unbroken: Path) -> None:
    model = crossbit.train(data, bits=8, epochs=20, settings={"width": 16, "steps": 8}, device="cpu", progress=False)
    alone, there = crossbit.evaluate(model, data), json.loads((unbroken / "report.json").read_text())
    assert there["map"] == pytest.approx(alone.map, abs=0.005)
    assert json.loads((unbroken / "config.json").read_text())["processes"] == 2


def test_killed_and_resumed_to_the_bit(data: Path, unbroken: Path) -> None:
    run = data.parent / "killed"
    process = several("-m", "crossbit", "train", data, *LONG, "--out", run, "--quiet")
    history = run / "history.jsonl"
    while process.poll() is None and not (history.exists() and history.read_text().count("\n") >= 3):
        time.sleep(0.02)
    _kill_all(process)
    assert not (run / "model.safetensors").exists(), "it was finished before it was killed"
    code, _, errors = told(several("-m", "crossbit", "train", data, *LONG, "--out", run, "--resume"))
    assert code == 0, errors
    assert "resumed after epoch" in errors
    for name in ("model.safetensors", "history.jsonl", "rows.npz"):
        assert (run / name).read_bytes() == (unbroken / name).read_bytes(), name


def _kill_all(process: subprocess.Popen[str]) -> None:
    """The launcher and its processes, each of which may have a session of its own."""
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    for pid in [process.pid, *map(int, children.stdout.split())]:
        os.kill(pid, signal.SIGKILL)
    process.communicate()


def test_a_mistake_is_told_once(data: Path, unbroken: Path) -> None:
    for words, said in (
        ([data, "--method", "lok", "--out", data.parent / "new"], "unknown method 'lok'"),
        ([data, "--out", unbroken], "exists already"),
    ):
        code, _, errors = told(several("-m", "crossbit", "train", *words))
        assert code != 0
        assert errors.count("crossbit: error:") == 1
        assert said in errors
