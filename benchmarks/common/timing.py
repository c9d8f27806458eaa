"""What the speed comparisons share: calls timed in turns, and results as a table and as JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REST = 0.3  # seconds before each call: the threads of OpenMP and BLAS spin on after a call, on a core of the next one's


def in_turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call, `rounds` times, in turns and in changing order: a busy machine slows all of them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds):
        for name in list(calls)[:: 1 if turn % 2 == 0 else -1]:
            time.sleep(REST)
            start = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def compared(ours: list[float], other: list[float]) -> dict[str, Any]:
    """Medians, and how many times as long the other takes: median, lowest and highest over the rounds."""
    ratios = [b / a for a, b in zip(ours, other, strict=True)]
    return {
        "seconds": statistics.median(ours),
        "other_seconds": statistics.median(other),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
    }


def report(rows: dict[str, dict[str, Any]], settings: dict[str, Any], out: Path | None) -> None:
    """The comparisons as a table on standard error and as one JSON object on standard output, and in `out`."""
    print(f"{'':44} {'crossbit s':>12} {'other s':>12} {'ratio':>8}   range", file=sys.stderr)
    for name, row in rows.items():
        low, high = row["ratio_range"]
        figures = f"{row['seconds']:12.4f} {row['other_seconds']:12.4f} {row['ratio']:8.1f}   {low:.1f} to {high:.1f}"
        print(f"{name:44} {figures}", file=sys.stderr)
    text = json.dumps({"settings": settings, "results": rows}, indent=1)
    if out is not None:
        out.write_text(text + "\n")
    print(text)
