"""Run a benchmark and keep what it printed, with the command, the machine and the date, for BENCHMARKS.md.

    python -m benchmarks.record [--note TEXT] [--shown TEXT] NAME -- -m benchmarks.ROOM.SCRIPT [ARGUMENTS]

The script prints one JSON object on standard output; it goes to benchmarks/results/NAME.json. --note says what was odd
about the run, --shown gives the command as anyone would type it, where the real one names folders of this machine.
`python -m benchmarks.render` writes BENCHMARKS.md from these files, so that no figure in it is typed by hand.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from crossbit.storage.cores import usable_cores

RESULTS = Path(__file__).parent / "results"
VERSIONED = ("torch", "numpy", "numba", "faiss-cpu", "duckdb", "scikit-learn")


def processor() -> str:
    """The processor's name and the vector units that matter here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    units = [flag for flag in ("avx2", "avx512f", "avx512_vpopcntdq", "avx512_bf16", "amx_bf16") if flag in flags]
    family = f"family {fields.get('cpu family', '?')} model {fields.get('model', '?')}"
    return f"{fields.get('model name', platform.machine())} ({family}; {', '.join(units)})"


def machine() -> dict[str, object]:
    """What the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "memory_gib": round(memory),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in VERSIONED},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--note")
    parser.add_argument("--shown")
    parser.add_argument("name")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    command = [word for word in args.command if word != "--"]
    done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True, check=True)
    line = args.shown or " ".join(["python", *command])
    today = datetime.date.today().isoformat()
    result = {"command": line, "date": today, "note": args.note, "machine": machine()}
    result["result"] = json.loads(done.stdout)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{args.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(done.stdout)


if __name__ == "__main__":
    main()
