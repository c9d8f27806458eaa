"""The page of `crossbit export --web` with many items: its size, how soon it is there, and the time of a key.

    python -m benchmarks.speed.web [--codes 100000] [--rounds 30] [--folder FOLDER]

The collection and the run are those of `benchmarks.speed.searcher`: captions of five words, without pictures. Chromium
loads the page from a plain file server of this machine; then words are typed, key by key, and each key's time is that
from its event to the tiles that answer it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.page import Section, table
from benchmarks.speed.searcher import collection, command, indexed, over_collection
from benchmarks.studies.integer import browser_page

KEY = """(words) => new Promise((done) => {
  const field = document.getElementById("words");
  new MutationObserver((_, seen) => { seen.disconnect(); done(performance.now() - start); })
    .observe(document.getElementById("results"), { childList: true });
  field.value = words;
  const start = performance.now();
  field.dispatchEvent(new Event("input"));
})"""


def measured(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    data, taken = folder / "collection.npz", folder / "taken"
    if not data.exists():
        collection(data, args.codes)
    run = indexed(folder, data, "run")
    command("-m", "crossbit", "export", run, "--out", taken, "--web")
    texts = np.load(data)["text"][: args.rounds].tolist()
    keys: list[float] = []
    with browser_page(taken / "web") as page:
        start = time.perf_counter()
        page.reload()
        page.locator("#results[aria-busy='false']").wait_for()
        loaded = time.perf_counter() - start
        for words in texts:
            keys += [page.evaluate(KEY, words[:end]) for end in range(3, len(words) + 1)]
        heap = page.evaluate("performance.memory.usedJSHeapSize")
    files = {file.name: file.stat().st_size for file in (taken / "web").iterdir() if file.is_file()}
    return {
        "card": json.loads((taken / "card.json").read_text())["export"]["web"],
        "largest": dict(sorted(files.items(), key=lambda each: -each[1])[:4]),
        "load": round(loaded, 2),
        "key": {"median": round(statistics.median(keys), 1), "p99": round(float(np.quantile(keys, 0.99)), 1)},
        "keys": len(keys),
        "heap": heap,
    }


def section(result: dict[str, Any]) -> str:
    held = result["results"]
    files = ", ".join(f"`{name}` {size / 1e6:.1f} MB" for name, size in held["largest"].items())
    rows = [
        ["items", f"{held['card']['items']:,}"],
        ["the page and its files", f"{held['card']['bytes'] / 1e6:.1f} MB ({files})"],
        ["until the first items are shown", f"{held['load']:.2f} s"],
        [f"a key of {held['keys']:,}", f"{held['key']['median']:.1f} ms, 99 of 100 within {held['key']['p99']:.1f} ms"],
        ["memory of JavaScript", f"{held['heap'] / 1e6:.0f} MB"],
    ]
    return table(["", ""], rows)


ABOUT = "Captions of five words and vectors, no pictures; Chromium without a window, a file server on the same machine."
SECTIONS = {"web": Section("A page that searches without a server", ABOUT, section)}


if __name__ == "__main__":
    over_collection(__doc__, measured, codes=100_000, rounds=30)
