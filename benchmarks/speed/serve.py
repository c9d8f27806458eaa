"""The service under load: text searches at a steady rate, then ten times as many; one JSON object out.

    python -m benchmarks.speed.serve [--codes 1000000] [--seconds 600] [--rate 50] [--workers 1] [--folder FOLDER]

Needs `hey`, a public load generator (`apt install hey`). The collection of `benchmarks.speed.searcher` is trained on
and indexed, and `crossbit serve` is started on it. Ten copies of hey ask for other words each, one after the other, so
that requests come in even steps; one waits for an answer before it asks again, so a rate is kept as long as answers
come sooner than that. Then ten times the rate is asked for, by 50 connections, five of which ask at the same moment;
`recovered` is the time from its end until ten searches in a row take less than 50 ms.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np

from benchmarks.common.page import Section, table
from benchmarks.speed.searcher import collection, indexed

COPIES = 10  # of hey, with other words each
LIMIT = 20  # seconds after which a request counts as hung
QUICK = 0.05  # seconds
Answers = list[tuple[float, int]]  # seconds, status


class Service:
    """`crossbit serve`, ended with the block."""

    def __init__(self, run: Path, workers: int = 1) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "crossbit", "serve", str(run), "--port", "0", "--workers", str(workers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Service:
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split(" is served at ")[1].split()[0]
        urlopen(f"{self.address}readyz", timeout=600).close()
        return self

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    @property
    def megabytes(self) -> int:
        """Of memory that it holds, with its workers: what several of them share counts once."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        held = (Path(f"/proc/{each}/smaps_rollup").read_text() for each in (pid, *children))
        return sum(int(each.split("Pss:")[1].split()[0]) for each in held) // 1024

    def once(self, words: str) -> tuple[float, int]:
        """A search: its time and status."""
        start = time.perf_counter()
        try:
            with urlopen(f"{self.address}api/search?q={quote(words)}", timeout=LIMIT) as answer:
                answer.read()
                status = int(answer.status)
        except HTTPError as error:
            status = error.code
        return time.perf_counter() - start, status


def load(service: Service, queries: list[str], rate: int, each: int, seconds: int) -> dict[str, Any]:
    """What hey's copies, of so many connections each, saw at a rate, and how many requests had no answer."""
    running, start = [], time.perf_counter()
    for turn, words in enumerate(queries):
        time.sleep(max(0.0, start + turn / rate - time.perf_counter()))  # else the copies would all ask at once
        address = f"{service.address}api/search?q={quote(words)}"
        running.append(hey(address, rate / COPIES / each, each, seconds))
    answers: Answers = []
    readers = [threading.Thread(target=lambda one=one: answers.extend(read(one))) for one in running]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return summary(answers)


def hey(address: str, rate: float, connections: int, seconds: int) -> subprocess.Popen[str]:
    command = [
        "hey",
        "-z",
        f"{seconds}s",
        "-c",
        str(connections),
        "-q",
        f"{rate:g}",
        "-t",
        str(LIMIT),
        "-o",
        "csv",
        address,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def read(process: subprocess.Popen[str]) -> Answers:
    """Times and statuses of one copy; status 0 is none."""
    text, _ = process.communicate()
    return [(float(row["response-time"]), int(row["status-code"])) for row in csv.DictReader(io.StringIO(text))]


def summary(answers: Answers) -> dict[str, Any]:
    good = 1000 * np.array([seconds for seconds, status in answers if status == 200])
    statuses = Counter(status for _, status in answers)
    times = {f"p{q:g}, ms": round(float(np.percentile(good, q)), 2) for q in (50, 90, 99, 99.9)}
    slowest = round(float(max(seconds for seconds, _ in answers)), 2)
    return {"requests": len(answers), "statuses": dict(statuses), **times, "slowest, s": slowest}


def recovery(service: Service, words: str) -> float:
    """Seconds until ten searches in a row are quick."""
    start, quick = time.perf_counter(), 0
    while quick < 10 and time.perf_counter() - start < 60:
        seconds, status = service.once(words)
        quick = quick + 1 if status == 200 and seconds < QUICK else 0
    return round(time.perf_counter() - start, 2)


def measured(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    data = folder / "collection.npz"
    if not data.exists():
        collection(data, args.codes)
    queries = [str(words) for words in np.load(data)["text"][:COPIES]]
    with Service(indexed(folder, data, "run"), args.workers) as service:
        for words in queries:
            service.once(words)
        alone = sorted(service.once(words)[0] for words in queries * 20)
        before = service.megabytes
        steady = load(service, queries, args.rate, 1, args.seconds)
        after = service.megabytes
        shed = load(service, queries, 10 * args.rate, 5, max(10, args.seconds // 20))
        return {
            "one after the other, median, ms": round(1000 * alone[len(alone) // 2], 2),
            "steady": {**steady, "memory before, MB": before, "memory after, MB": after},
            "ten times": {**shed, "recovered, s": recovery(service, queries[0])},
            "memory at the end, MB": service.megabytes,
        }


def section(result: dict[str, Any]) -> str:
    held = result["results"]
    names = list(dict.fromkeys([*held["steady"], *held["ten times"]]))
    rows = [[name, *(str(held[load].get(name, "")) for load in ("steady", "ten times"))] for name in names]
    return table(["", f"{result['settings']['rate']} a second", f"{10 * result['settings']['rate']} a second"], rows)


ABOUT = "Searches by words over HTTP, the encoder and ten hits with their items included, as the client sees them."
SECTIONS = {"serve": Section("The service under load", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--rate", type=int, default=50, help="searches a second")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="kept, and used again if the same collection is there")
    args = parser.parse_args()
    settings = {"codes": args.codes, "seconds": args.seconds, "rate": args.rate, "bits": 64, "cores": os.cpu_count()}
    settings |= {"workers": args.workers} if args.workers > 1 else {}
    with tempfile.TemporaryDirectory() as made:
        folder = args.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        print(json.dumps({"settings": settings, "results": measured(folder, args)}, indent=1))


if __name__ == "__main__":
    main()
