"""Every state in both themes and three widths: nothing that axe finds, nothing that moves, little to load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from browsing import captions, look_in_all_forms, nothing_in_common, refuse, search, until


def start(page: Any, picture: Path) -> None:
    page.goto("/")
    page.locator(".start .chip").first.wait_for()


def hits(page: Any, picture: Path) -> None:
    page.goto("/?q=red+circle")
    captions(page)


def texts(page: Any, picture: Path) -> None:
    page.goto("/?q=red+circle&show=text")
    captions(page)


def item(page: Any, picture: Path) -> None:
    hits(page, picture)
    page.locator(".hit .open").first.click()
    page.locator("#item[open]", has_text="Id").wait_for()


def filters(page: Any, picture: Path) -> None:
    hits(page, picture)
    page.click("#filters >> text=labels")
    page.locator(".panel:visible >> text=red").click()
    page.locator("#chosen li").wait_for()
    captions(page)


def values(page: Any, picture: Path) -> None:
    hits(page, picture)
    page.click("#filters >> text=year")
    page.locator(".panel:visible input").fill("201")
    until(page, lambda: page.locator(".panel:visible button").count() == 10)


def both(page: Any, picture: Path) -> None:
    page.goto("/")
    page.set_input_files("#file", picture)
    captions(page)
    search(page, "green")
    page.locator(".hit").first.locator("[data-act='not']").click()
    page.locator("#chosen li").wait_for()
    captions(page)


def unfit(page: Any, picture: Path) -> None:
    nothing_in_common(page, fits=0.08)
    page.goto("/?q=circle")
    page.locator(".notice").wait_for()


def none(page: Any, picture: Path) -> None:
    page.goto("/?q=circle&where=year+%3D+1")
    page.locator("text=Remove the filter").wait_for()


def busy(page: Any, picture: Path) -> None:
    hits(page, picture)
    refuse(page, 429, "busy", **{"Retry-After": "500"})
    page.fill("#words", "red square")
    page.locator("#trouble", has_text="busy").wait_for()


def unanswered(page: Any, picture: Path) -> None:
    hits(page, picture)
    refuse(page, 413, "the picture is too large; send a smaller one")
    page.fill("#words", "red square")
    page.locator(".notice", has_text="no answer").wait_for()


def keys(page: Any, picture: Path) -> None:
    page.goto("/")
    page.keyboard.press("?")


def run(page: Any, picture: Path) -> None:
    page.goto("/run")
    page.locator("#figures li").first.wait_for()


STATES = (start, hits, texts, item, filters, values, both, unfit, none, busy, unanswered, keys, run)


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_axe_finds_nothing_in_any_theme_and_width(
    page: Any, red_circle: Path, shots: Path, need: Callable[[str], ModuleType], state: Callable[[Any, Path], None]
) -> None:
    axe = need("axe_playwright_python.sync_playwright").Axe()
    state(page, red_circle)
    look_in_all_forms(page, axe, shots, state.__name__)


@pytest.mark.slow
@pytest.mark.parametrize("state", [hits, texts, filters, both, busy, run], ids=lambda state: state.__name__)
def test_nothing_moves_while_it_loads(page: Any, red_circle: Path, state: Callable[[Any, Path], None]) -> None:
    state(page, red_circle)
    page.wait_for_load_state("networkidle")
    assert sum(page.evaluate("window.shifts")) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("address", ["/?q=circle", "/run"])
def test_a_page_is_small_before_its_pictures_and_asks_no_other_host(page: Any, address: str, service: Any) -> None:
    sizes: dict[str, int] = {}
    page.on("requestfinished", lambda request: sizes.update({request.url: request.sizes()["responseBodySize"]}))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert all(url.startswith((service.address, "blob:")) for url in sizes)
    assert sum(size for url, size in sizes.items() if "/api/items/" not in url) < 200_000
