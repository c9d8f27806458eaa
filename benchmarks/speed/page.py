"""From the last key to the first result on the page, measured in the browser; one JSON object out.

    python -m benchmarks.speed.page ADDRESS [--rounds 5] [--words "red fox" ...]

ADDRESS is that of a running `crossbit serve`. Words are typed, 120 ms from key to key, in Debian's chromium
through Playwright. A time begins with the event of the last key and ends with the frame that follows the hits for what
was typed: the pause before a request, the search, and the drawing are in it, pictures are not.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.common.page import Section, table

CHROMIUM = Path("/usr/bin/chromium")
BETWEEN = 120  # milliseconds from key to key
WORDS = ("red circle", "small capital", "arrow", "letter with acute", "cat", "blue flower")
WATCH = """
window.lastKey = 0; window.shown = 0;
addEventListener("input", () => { window.lastKey = performance.now(); }, true);
addEventListener("DOMContentLoaded", () => {
  const seen = () => requestAnimationFrame(() => { window.shown = performance.now(); });
  new MutationObserver(seen).observe(document.getElementById("results"), { childList: true });
});
"""


def waited(page: Any, address: str, words: str) -> float:
    """Milliseconds from the last key of these words to their first result."""
    page.goto(address)
    page.locator(".start .chip").first.wait_for()
    page.locator("#words").press_sequentially(words, delay=BETWEEN)
    page.wait_for_timeout(1000)
    last, shown = page.evaluate("[window.lastKey, window.shown]")
    assert shown > last, f"no result for {words!r}"
    return float(shown - last)


def measure(address: str, rounds: int, words: list[str]) -> dict[str, Any]:
    """Times of all words in all rounds, in milliseconds, the first round left out."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        times = [[waited(page, address, one) for one in words] for _ in range(rounds + 1)][1:]
        browser.close()
    flat = sorted(time for each in times for time in each)
    quantiles = {"median": statistics.median(flat), "p95": flat[int(0.95 * (len(flat) - 1))], "most": flat[-1]}
    return {"searches": len(flat), **{name: round(value, 1) for name, value in quantiles.items()}}


def section(result: dict[str, Any]) -> str:
    """One row: how long a person waits."""
    return table(["searches", "ms, median", "95 of 100 within", "most"], [[str(value) for value in result.values()]])


ABOUT = (
    "The search page of `crossbit serve demo/run` in Debian's Chromium, on the service's own machine: from the event "
    "of the last key to the frame that shows the hits, the pause before a request included."
)
SECTIONS = {"page": Section("From the last key to the first result", ABOUT, section)}


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--words", nargs="+", default=list(WORDS))
    given = parser.parse_args()
    print(json.dumps(measure(given.address.rstrip("/") + "/", given.rounds, given.words)))


if __name__ == "__main__":
    main()
