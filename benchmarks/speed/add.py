"""Seconds of `crossbit add` for 100 new pictures, in a small collection and in a large one; one JSON object out.

    python -m benchmarks.speed.add [--pictures 1000 20000] [--new 100] [--side 64]

All pictures are made at the start, and the table names some of them; rows are added to the table. "nothing new" is what
any call costs: Python, PyTorch, the table, a look at every file's time and size, and the copy of the index.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common.page import Section, table
from benchmarks.speed.collection import make, timed


def measured(pictures: int, new: int, side: int, scratch: Path) -> dict[str, dict[str, Any]]:
    """Seconds and memory of each command on a collection of this size."""
    folder, run = scratch / f"pictures-{pictures}", scratch / f"run-{pictures}"
    folder.mkdir()
    make(folder, pictures + new, side)
    whole = (folder / "table.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    show(folder, whole[: 1 + pictures])
    timed("train", folder, "--method", "cca-itq", "--out", run, "--quiet")
    timed("index", run)
    timed("add", run, folder)  # the queries, which `index` leaves out
    figures = {"nothing new": timed("add", run, folder)}
    show(folder, whole)
    return figures | {f"{new:,} new": timed("add", run, folder)}


def show(folder: Path, lines: list[str]) -> None:
    """Write the collection's table."""
    (folder / "table.csv").write_text("".join(lines), encoding="utf-8")


def section(result: dict[str, Any]) -> str:
    rows = [
        [f"{int(pictures):,}", what, f"{held['seconds']:.1f}", f"{held['gigabytes']:.2f}"]
        for pictures, figures in result["collections"].items()
        for what, held in figures.items()
    ]
    return table(["pictures there", "`crossbit add`", "seconds", "peak memory, GB"], rows)


SECTIONS = {"add": Section("Tomorrow's pictures", "`crossbit add` on collections of two sizes.", section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, nargs="+", default=[1000, 20_000])
    parser.add_argument("--new", type=int, default=100)
    parser.add_argument("--side", type=int, default=64)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CROSSBIT_CACHE"] = str(Path(scratch) / "cache")
        held = {number: measured(number, args.new, args.side, Path(scratch)) for number in args.pictures}
    print(json.dumps({"new": args.new, "side": args.side, "collections": held}, indent=1))


if __name__ == "__main__":
    main()
