"""A service over a tiny trained run as a process, and a browser that looks at its pages."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.request import urlopen

import numpy as np

import forked
from crossbit.cli import main
from shape_collection import draw, make_collection

CHROMIUM = Path("/usr/bin/chromium")  # Debian's
PICTURES = 60
WIDTHS, THEMES = (360, 820, 1440), ("light", "dark")
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => list.getEntries().forEach((entry) => window.shifts.push(entry.value)))
  .observe({ type: "layout-shift", buffered: true });
"""


def tiny_run(place: Path) -> Path:
    """A run with an index, over pictures of coloured shapes with captions, labels, years and artists."""
    make_collection(place / "shapes", PICTURES)
    run = place / "run"
    options = ("--method", "look", "--epochs", "1", "--bits", "32", "--quiet")
    assert main(["train", str(place / "shapes"), "--out", str(run), *options]) == 0
    assert main(["index", str(run)]) == 0
    return run


def picture_file(place: Path, shape: str = "circle", colour: str = "red") -> Path:
    """A picture that is not in the collection."""
    file = place / f"{colour} {shape}.png"
    draw(shape, colour, np.random.default_rng(99)).save(file)
    return file


class Service:
    """`crossbit serve` over a run, on a port of this machine; stopped by its process."""

    def __init__(self, run: Path) -> None:
        self.run, self.port, self.log = run, 0, run.parent / "serve.log"
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, the second time on the same port, and wait until it is ready."""
        self.log.write_text("")
        with patch.dict(os.environ, COLUMNS="200"):
            self.process = forked.crossbit("serve", self.run, "--port", str(self.port), output=self.log)
        found = self._wait(lambda: re.search(r"http://127\.0\.0\.1:(\d+)", self.log.read_text()))
        self.port = int(found[1])
        self._wait(lambda: urlopen(f"{self.address}/readyz").status == 200)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(60)

    def _wait(self, is_so: Callable[[], Any]) -> Any:
        for _ in range(3000):
            try:
                if found := is_so():
                    return found
            except OSError:
                pass
            assert self.process.exitcode is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(f"not ready after five minutes: {self.log.read_text()}")


def with_answers(page: Any, **changes: Any) -> None:
    """Answers of searches as the service gives them, but for some parts."""

    def change(route: Any) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | changes)

    page.route("**/api/search*", change)


def nothing_in_common(page: Any, **changes: Any) -> None:
    """Searches answer with these changes, and with hits that share no word with the search."""

    def change(route: Any) -> None:
        answer = route.fetch().json()
        for hit in answer["hits"]["image"]:
            hit["why"] = []
        route.fulfill(json=answer | changes)

    page.route("**/api/search*", change)


def refuse(page: Any, status: int, error: str, **headers: str) -> None:
    """Searches are refused."""
    page.route("**/api/search*", lambda route: route.fulfill(status=status, json={"error": error}, headers=headers))


def captions(page: Any) -> list[str]:
    """Of the hits that are shown, once the answer is there."""
    page.locator("#results[aria-busy='false'] .hit").first.wait_for()
    return [text.strip() for text in page.locator(".hit .caption, .hit.text > .open").all_inner_texts()]


def ids(page: Any) -> list[str]:
    """Of the hits that are shown."""
    page.locator("#results[aria-busy='false'] .hit").first.wait_for()
    return shown(page)


def shown(page: Any) -> list[str]:
    """Ids of the hits on the page now, be an answer awaited or not."""
    found: list[str] = page.locator(".hit").evaluate_all("all => all.map(one => one.dataset.id)")
    return found


def until(page: Any, is_so: Callable[[], Any]) -> None:
    """Wait for it. (The page's security policy lets no text be run, so `wait_for_function` cannot look.)"""
    for _ in range(400):
        if is_so():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never so; the page is at {page.url} and shows: {page.locator('#main').inner_text()[:500]}")


def search(page: Any, words: str) -> None:
    """Type words, and wait for their answer."""
    with page.expect_response(lambda response: "/api/search" in response.url and response.ok):
        page.fill("#words", words)
    page.locator("#results[aria-busy='false']").wait_for()


def look_in_all_forms(page: Any, axe: Any, shots: Path, name: str) -> None:
    """A screenshot of each width and theme, in which axe finds nothing and nothing is wider than the window."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            page.screenshot(path=shots / f"{name}-{theme}-{width}.png", animations="disabled")
            report = axe.run(page).response
            found += [(width, theme, one["id"], one["nodes"][0]["html"]) for one in report["violations"]]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"wider than {width}"
    assert found == []
