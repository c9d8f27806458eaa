"""Vectors encoded on a Ray cluster, beside this process alone; one of its workers is killed on the way.

    ray start --head --num-cpus=2 --include-dashboard=false
    python -m benchmarks.speed.ray [--ray auto] [--rows 100000]

The run is a short training of NRCH, 512 -> 512 -> 128, with random vectors. Told are the seconds of both by the clock,
starting the workers included, whether all bytes are the same, and how many workers were killed in the last call.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

import crossbit
from benchmarks.common.page import Section, table
from crossbit.data import PairedData
from crossbit.model.spread import spread

WIDTH, BITS = 512, 128


def made(folder: Path) -> Path:
    """A run on vectors."""
    rng = np.random.default_rng(0)
    vectors = {m: rng.normal(size=(1000, WIDTH)).astype(np.float32) for m in ("image", "text")}
    rows = np.arange(1000)
    data = PairedData(
        "random", vectors, rng.integers(10, size=1000), {"train": rows, "query": rows[:0], "retrieval": rows}
    )
    settings = {"width": WIDTH, "image_layers": 2}
    crossbit.train(data, method="nrch", bits=BITS, epochs=1, settings=settings, progress=False).save(folder / "run")
    return folder / "run"


def timed(encode: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    codes = encode()
    return time.perf_counter() - start, codes


def kill_one(done: threading.Event, killed: list[int]) -> None:
    """End the first worker that is seen encoding."""
    while not done.is_set() and not killed:
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::_made"):
                    os.kill(int(entry.name), signal.SIGKILL)
                    killed.append(int(entry.name))
                    break
            except OSError:  # it has ended meanwhile
                continue
        time.sleep(0.01)


def measured(address: str, n: int, folder: Path) -> dict[str, Any]:
    model = crossbit.load_model(made(folder))
    rows = np.random.default_rng(1).normal(size=(n, WIDTH)).astype(np.float32)
    alone, expected = timed(lambda: model.encode("image", rows))
    told: dict[str, Any] = {"alone": alone}
    for name in ("cluster", "cluster, a worker killed"):
        killed: list[int] = []
        done = threading.Event()
        killer = threading.Thread(target=kill_one, args=(done, killed))
        start = time.perf_counter()
        with spread(model, address, folder / "parts") as encoder:
            if name != "cluster":
                killer.start()
            try:
                codes = encoder.encode("image", rows)
            finally:
                done.set()
        told[name] = {"seconds": time.perf_counter() - start, "killed": len(killed)}
        told[name]["same"] = codes.tobytes() == expected.tobytes()
    return told


def section(result: dict[str, Any]) -> str:
    held = result["results"]
    rows = [["this process alone", f"{held['alone']:.1f}", "", ""]]
    for name in ("cluster", "cluster, a worker killed"):
        one = held[name]
        rows.append([name, f"{one['seconds']:.1f}", "all" if one["same"] else "NOT all", str(one["killed"])])
    return table(["", "s", "bytes that are the same", "workers killed"], rows)


ABOUT = (
    f"Vectors of {WIDTH} numbers, {BITS} bits. A cluster of two workers on this machine; connecting to it, starting "
    "the workers and keeping the batches included."
)
SECTIONS = {"ray": Section("Encoding on a Ray cluster", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ray", default="auto", metavar="ADDRESS")
    parser.add_argument("--rows", type=int, default=100_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):  # Ray tells there what its workers say
        results = measured(args.ray, args.rows, Path(folder))
    print(json.dumps({"settings": {"rows": args.rows}, "results": results}, indent=1))


if __name__ == "__main__":
    main()
