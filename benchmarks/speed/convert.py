"""Peak memory and time of `crossbit data convert` on random files of the largest published sizes; one JSON object out.

    python -m benchmarks.speed.convert [--coco-rows 122218] [--nus-rows 200421] [--width 4096] [--limit-gib 2]

MS-COCO is one HDF5 file as Python writes it; NUS-WIDE is three MATLAB 7.3 files, whose arrays stand transposed. The
command runs under a limit on its address space, so that it fails where it would need more. For comparison: how long
the features take to be copied from file to file as plain bytes. Needs disk for both copies of a set at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.common.page import Section, table

BLOCK = 4096  # rows made at a time


def fill(
    path: Path, key: str, shape: tuple[int, int], rng: np.random.Generator, *, matlab: bool, labels: bool = False
) -> None:
    """A random matrix of `shape`; as MATLAB 7.3 keeps it, transposed and in chunks, or as it is, in one piece."""
    dtype = np.uint8 if labels else np.float32
    with h5py.File(path, "a") as file:
        stored = file.create_dataset(key, shape[::-1] if matlab else shape, dtype, chunks=True if matlab else None)
        for start in range(0, shape[0], BLOCK):
            rows = min(BLOCK, shape[0] - start)
            block = (
                rng.random((rows, shape[1]), np.float32) < 0.1 if labels else rng.random((rows, shape[1]), np.float32)
            )
            if matlab:
                stored[:, start : start + rows] = block.T
            else:
                stored[start : start + rows] = block


def coco(folder: Path, args: argparse.Namespace, rng: np.random.Generator) -> Path:
    path = folder / "MSCOCO_deep_doc2vec_data_rand.h5py"
    for key, width in (("XAll", args.width), ("YAll", 300), ("LAll", 80)):
        fill(path, key, (args.coco_rows, width), rng, matlab=False, labels=key == "LAll")
    return path


def nus_wide(folder: Path, args: argparse.Namespace, rng: np.random.Generator) -> Path:
    files = {"XAll": ("xall-vgg", args.width), "YAll": ("yall", 1000), "LAll": ("lall", 21)}
    for key, (name, width) in files.items():
        path = folder / f"nus-wide-tc21-{name}.mat"
        fill(path, key, (args.nus_rows, width), rng, matlab=True, labels=key == "LAll")
    return folder


def converted(source: Path, out: Path, limit: int) -> dict[str, float]:
    """Seconds and largest resident size of the command, in a process of its own."""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    command = [sys.executable, "-m", "crossbit", "data", "convert", str(source), str(out), "--split", "nrch"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=sys.stderr, preexec_fn=bound, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"crossbit data convert failed with exit code {process.returncode}")
    return {
        "seconds": time.perf_counter() - start,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / 1024,  # Linux counts it in KiB
    }


def last_row(folder: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The last pair's image features, straight from the one file that has `XAll`."""
    for path in folder.iterdir():
        with h5py.File(path) as file:
            if "XAll" in file:
                return file["XAll"][-1] if file["XAll"].shape == shape else file["XAll"][:, -1]
    raise SystemExit(f"no XAll in {folder}")


def copied(source: Path, folder: Path) -> float:
    """Seconds to copy the bytes of a file, with the flush to disk that the command makes too."""
    start = time.perf_counter()
    with open(source, "rb") as read, open(folder / "copy", "wb") as written:
        shutil.copyfileobj(read, written, 1 << 24)
        os.fsync(written.fileno())
    return time.perf_counter() - start


def bench(make: Callable[..., Path], args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        (folder / "source").mkdir()
        source = make(folder / "source", args, np.random.default_rng(0))
        figures: dict[str, Any] = converted(source, folder / "out", int(args.limit_gib * 2**30))
        image = np.load(folder / "out" / "image.npy", mmap_mode="r")
        same = bool((image[-1] == last_row(folder / "source", image.shape)).all())
        rows, width = image.shape
        figures["copy_seconds"] = copied(folder / "out" / "image.npy", folder)
    return {"rows": rows, "width": width, "features_mib": rows * width * 4 / 2**20, "last_row_same": same, **figures}


def section(result: dict[str, Any]) -> str:
    rows = [
        [
            f"{name}, {row['rows']:,} x {row['width']:,}",
            f"{row['features_mib']:,.0f}",
            f"**{row['peak_mib']:,.0f}**",
            f"{row['seconds']:.0f}",
            f"{row['processor_seconds']:.1f}",
            f"{row['copy_seconds']:.0f}",
        ]
        for name, row in result["results"].items()
    ]
    head = ["", "features, MiB", "peak memory, MiB", "s", "processor s", "a plain copy of the features, s"]
    return table(head, rows)


ABOUT = "Random data in the published shapes, converted to the neutral folder under a limit of 2 GiB."
SECTIONS = {"convert": Section("The largest public feature files", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco-rows", type=int, default=122_218)
    parser.add_argument("--nus-rows", type=int, default=200_421)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--limit-gib", type=float, default=2.0)
    parser.add_argument("--folder", help="where there is disk; the folder for temporary files by default")
    args = parser.parse_args()
    makers = {"MS-COCO": coco, "NUS-WIDE": nus_wide}
    results = {name: bench(make, args) for name, make in makers.items()}
    settings = {"limit_gib": args.limit_gib}
    print(json.dumps({"settings": settings, "results": results}, indent=1))


if __name__ == "__main__":
    main()
