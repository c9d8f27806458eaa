"""The pictures of the pages in the documentation, made anew from a run; and all states in all forms, to be looked at.

    python -m benchmarks.screenshots RUN [--words cat] [--beside blue] [--none skyscraper] [--out docs/images]
    python -m benchmarks.screenshots RUN --all FOLDER

Needs Debian's chromium and playwright. The run is served as it is; what the audit's pictures decide is undone. Those of
the documentation are of open clip art (`benchmarks.studies.clipart` says how it comes here).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from PIL import Image

CHROMIUM = "/usr/bin/chromium"
WIDTHS, THEMES = (360, 820, 1440), ("light", "dark")
READY = "#results[aria-busy='false'] .hit"
LOADING = "[...document.images].some((one) => one.getBoundingClientRect().top < innerHeight && !one.complete)"
PATIENCE = 900_000  # milliseconds: the audit's first look takes minutes with a thousand labels


@dataclass(frozen=True)
class Asked:
    """What is searched for in the pictures."""

    words: str
    beside: str
    none: str


Scene = Callable[[Any, Asked], None]


def start(page: Any, asked: Asked) -> None:
    page.goto("/")
    page.locator(".start .chip").first.wait_for()


def search(page: Any, asked: Asked) -> None:
    page.goto(f"/?{urlencode({'q': asked.words})}")
    page.locator(READY).first.wait_for()


def texts(page: Any, asked: Asked) -> None:
    page.goto(f"/?{urlencode({'q': asked.words, 'show': 'text'})}")
    page.locator(READY).first.wait_for()


def item(page: Any, asked: Asked) -> None:
    search(page, asked)
    page.locator(".hit .open").nth(1).click()
    page.locator("#item[aria-busy='false'] h2").wait_for()


def filters(page: Any, asked: Asked) -> None:
    search(page, asked)
    page.locator("#filters button").first.click()
    field = page.locator("#filters .panel:not([hidden]) input")
    if field.count():
        with page.expect_response("**/api/columns/values*"):
            field.fill(asked.words[:2])
        page.wait_for_timeout(200)


def picture(page: Any, asked: Asked) -> None:
    """A picture of the collection as one's own, and a word."""
    search(page, asked)
    address = page.locator(".hit img").first.get_attribute("src").replace("thumbnail", "picture")
    content = page.request.get(address).body()
    page.set_input_files("#file", {"name": "mine.png", "mimeType": "image/png", "buffer": content})
    with page.expect_response("**/api/search*"):
        page.fill("#words", asked.beside)
    page.locator(READY).first.wait_for()


def nothing_fits(page: Any, asked: Asked) -> None:
    page.goto(f"/?{urlencode({'q': asked.none})}")
    page.locator(".notice h2").wait_for()


def none(page: Any, asked: Asked) -> None:
    """Under the filter of two labels that no item has together."""
    columns = page.request.get("/api/columns").json()["columns"]
    wheres = [value["where"] for one in columns if one["kind"] == "labels" for value in one["values"]]
    for pair in combinations(wheres, 2):
        found = page.request.get("/api/search", params={"q": asked.words, "where": " AND ".join(pair)}).json()
        if not any(found["hits"].values()):
            break
    page.goto(f"/?{urlencode({'q': asked.words, 'where': pair}, doseq=True)}")
    page.locator("text=Remove the filter").wait_for()


def busy(page: Any, asked: Asked) -> None:
    search(page, asked)
    refused = {"status": 429, "json": {"error": "busy"}, "headers": {"Retry-After": "4"}}
    page.route("**/api/search*", lambda route: route.fulfill(**refused))
    page.fill("#words", f"{asked.words} {asked.beside}")
    page.locator("#trouble", has_text="busy").wait_for()


def away(page: Any, asked: Asked) -> None:
    search(page, asked)
    page.route("**/api/search*", lambda route: route.abort())
    page.fill("#words", f"{asked.words} {asked.beside}")
    page.locator("#trouble", has_text="does not answer").wait_for()


def unanswered(page: Any, asked: Asked) -> None:
    search(page, asked)
    refused = {"status": 413, "json": {"error": "the picture is larger than 20 MB; send a smaller one"}}
    page.route("**/api/search*", lambda route: route.fulfill(**refused))
    page.fill("#words", f"{asked.words} {asked.beside}")
    page.locator(".notice", has_text="no answer").wait_for()


def keys(page: Any, asked: Asked) -> None:
    search(page, asked)
    page.locator(".hit .open").first.focus()
    page.keyboard.press("?")


def run(page: Any, asked: Asked) -> None:
    page.goto("/run")
    page.locator("#noise li", has_not_text="are being read").first.wait_for(timeout=PATIENCE)
    page.wait_for_load_state("networkidle")


def audit(page: Any, asked: Asked) -> None:
    page.goto("/audit")
    page.locator("#row:not([hidden]) .decide").wait_for(timeout=PATIENCE)
    page.wait_for_load_state("networkidle")


def audit_label(page: Any, asked: Asked) -> None:
    audit(page, asked)
    page.keyboard.press("l")
    page.locator("#grid .tile").first.wait_for()
    page.wait_for_load_state("networkidle")


def audit_opening(page: Any, asked: Asked) -> None:
    """As the service says it of a larger run: of a small one it is over too soon."""
    step = "step 3 of 6: choosing how rows are compared (4 s so far)"
    refused = {
        "status": 503,
        "json": {"error": f"the audit is being opened: {step}"},
        "headers": {"Retry-After": "600"},
    }
    page.route("**/api/audit?*", lambda route: route.fulfill(**refused))
    page.goto("/audit")
    page.locator("#opening").wait_for()


def audit_token(page: Any, asked: Asked) -> None:
    """As a service with a token answers."""
    audit(page, asked)
    refused = {"status": 401, "json": {"error": "a token is needed"}}
    page.route("**/api/audit/decisions", lambda route: route.fulfill(**refused))
    page.keyboard.press("a" if page.locator("[data-act='accept']").count() else "k")
    page.locator("#token[open]").wait_for()


def audit_other(page: Any, asked: Asked) -> None:
    audit(page, asked)
    page.keyboard.press("o")
    page.locator("dialog[open]").wait_for()


ALL: tuple[Scene, ...] = (
    *(start, search, texts, item, filters, picture, nothing_fits, none, busy, away, unanswered, keys),
    *(run, audit, audit_label, audit_other, audit_opening, audit_token),
)
# name, scene, theme, width, height: as the documentation shows them
SHOWN: tuple[tuple[str, Scene, str, int, int], ...] = (
    ("start", start, "light", 1000, 480),
    ("search", search, "light", 1000, 680),
    ("item", item, "light", 1000, 680),
    ("filter", filters, "light", 1000, 560),
    ("texts", texts, "light", 1000, 560),
    ("picture", picture, "dark", 1000, 620),
    ("nothing-fits", nothing_fits, "light", 1000, 440),
    ("none", none, "light", 1000, 400),
    ("busy", busy, "light", 1000, 520),
    ("away", away, "dark", 1000, 520),
    ("unanswered", unanswered, "light", 1000, 400),
    ("keys", keys, "light", 1000, 560),
    ("narrow", search, "light", 390, 780),
    ("run", run, "light", 1000, 760),
    ("audit", audit, "light", 1000, 700),
    ("audit-label", audit_label, "light", 1000, 700),
    ("audit-other", audit_other, "light", 1000, 640),
    ("audit-opening", audit_opening, "light", 1000, 400),
    ("audit-token", audit_token, "light", 1000, 480),
)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a service over a run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "crossbit", "serve", str(folder), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def window(browser: Any, address: str, theme: str, width: int, height: int) -> Iterator[Any]:
    context = browser.new_context(
        base_url=address, viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce"
    )
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


def shot(page: Any, file: Path) -> None:
    page.wait_for_load_state("networkidle")
    while page.evaluate(LOADING):
        page.wait_for_timeout(100)
    page.wait_for_timeout(150)
    page.screenshot(path=file, animations="disabled", caret="initial")
    picture = (
        Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    )  # half the size, and no eye sees it
    picture.save(file, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run with an index")
    parser.add_argument("--words", default="cat")
    parser.add_argument("--beside", default="blue", help="a word beside a picture")
    parser.add_argument("--none", default="skyscraper", help="words of which nothing fits")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--all", type=Path, help="a folder for all states in all widths and themes, instead")
    parser.add_argument("--only", default="", help="a regular expression: of these scenes alone")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    asked, made = Asked(args.words, args.beside, args.none), []
    with served(args.run) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        forms = SHOWN
        if args.all:
            forms = tuple(
                (f"{scene.__name__}-{theme}-{width}", scene, theme, width, 800)
                for scene in ALL
                for theme in THEMES
                for width in WIDTHS
            )
        out = args.all or args.out
        out.mkdir(parents=True, exist_ok=True)
        for name, scene, theme, width, height in forms:
            if not re.search(args.only, name):
                continue
            with window(browser, address, theme, width, height) as page:
                scene(page, asked)
                shot(page, out / (f"{name}.png" if args.all else f"serve-{name}.png"))
                made.append(name)
        browser.close()
    print(json.dumps({"made": made}))


if __name__ == "__main__":
    main()
