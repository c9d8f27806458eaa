"""Seconds and peak memory of an own collection, from `data show` to a search, on small pictures that this script makes.

    python -m benchmarks.speed.collection [--pictures 100000] [--side 64] [--folder DIR]

Each command runs by itself, with an empty cache at the start. `train` is the default method on the built-in features.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.common.page import Section, table

COLOURS = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 220), "yellow": (235, 200, 30)}
KINDS = ("wide", "tall", "small", "large")


def make(folder: Path, pictures: int, side: int) -> None:
    """Coloured boxes on noise, half PNG and half JPEG, with captions and labels in a CSV."""
    rng = np.random.default_rng(0)
    with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "caption", "labels", "year"])
        for number in range(pictures):
            colour, kind = list(COLOURS)[number % 4], KINDS[number // 4 % 4]
            pixels = np.asarray(
                Image.fromarray(rng.integers(120, 256, (6, 6, 3), np.uint8)).resize((side, side))
            ).copy()
            height, width = {"wide": (8, 2), "tall": (2, 8), "small": (6, 6), "large": (2, 2)}[kind]
            top, left = rng.integers(0, side // 2, 2)
            pixels[top : top + side // height, left : left + side // width] = COLOURS[colour]
            name = f"{number // 1000:04d}/{number:07d}.{'png' if number % 2 else 'jpg'}"
            (folder / name).parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(folder / name)
            writer.writerow([name, f"a {kind} {colour} box, number {number}", f"{colour};{kind}", 2000 + number % 20])


def timed(*words: str | Path) -> dict[str, Any]:
    """Seconds and peak memory in GB of one command."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "crossbit", *map(str, words)], stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(map(str, words))} failed")
    return {"seconds": time.perf_counter() - start, "gigabytes": usage.ru_maxrss * 1024 / 1e9}


def section(result: dict[str, Any]) -> str:
    rows = [
        [command, f"{held['seconds']:.0f}", f"{held['gigabytes']:.2f}"] for command, held in result["commands"].items()
    ]
    head = f"{result['pictures']:,} pictures of {result['side']} by {result['side']} pixels."
    return f"{head}\n\n{table(['command', 'seconds', 'peak memory, GB'], rows)}"


SECTIONS = {
    "collection": Section(
        "An own collection", "`crossbit data show`, `train`, `index` and `search` on a folder.", section
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="where the pictures are made, or were made before")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CROSSBIT_CACHE"] = str(Path(scratch) / "cache")
        folder, run = args.folder or Path(scratch) / "pictures", Path(scratch) / "run"
        if not (folder / "table.csv").exists():
            folder.mkdir(parents=True, exist_ok=True)
            make(folder, args.pictures, args.side)
        commands = {
            "data show": ["data", "show", folder],
            "data show, again": ["data", "show", folder],
            "train": ["train", folder, "--out", run],
            "index": ["index", run],
            "search": ["search", run, "a small red box", "--where", "year < 2010"],
        }
        figures = {name: timed(*words) for name, words in commands.items()}
    print(json.dumps({"pictures": args.pictures, "side": args.side, "commands": figures}, indent=1))


if __name__ == "__main__":
    main()
