"""Seconds of the whole demo, as a user runs it, after installation.

python -m benchmarks.speed.demo [--rounds 1]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common.page import Section


def section(result: dict[str, Any]) -> str:
    seconds = ", ".join(f"{value:.0f}" for value in result["seconds"])
    return f"**{seconds} seconds** from the command to the report (aim: under 120)."


SECTIONS = {"demo": Section("The demo", "`crossbit demo`, the job itself after installation.", section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.rounds):
            start = time.perf_counter()
            command = [sys.executable, "-m", "crossbit", "demo", "--out", str(Path(folder) / str(number))]
            subprocess.run(command, check=True, stdout=sys.stderr)
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds}, indent=1))


if __name__ == "__main__":
    main()
