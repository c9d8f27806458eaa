"""One service and one browser for all tests here, a window for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from browsing import CHROMIUM, SHIFTS, Service, picture_file, tiny_run

EXPECTED = "Failed to load resource"  # what a browser says of any refusal, and of a service that is away


@pytest.fixture(scope="session")
def browser(need: Callable[[str], ModuleType]) -> Iterator[Any]:
    sync_api = need("playwright.sync_api")
    if not CHROMIUM.exists():
        reason = f"needs Debian's chromium at {CHROMIUM}"
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(reason)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Service]:
    service = Service(tiny_run(tmp_path_factory.mktemp("page")))
    yield service
    service.stop()


@pytest.fixture
def page(browser: Any, service: Service) -> Iterator[Any]:
    """A window of its own. It ends well only if nothing went wrong in it, but for refusals that a test asked for."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=service.address)
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.add_init_script(SHIFTS)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    yield page
    context.close()
    assert [one for one in wrong if EXPECTED not in one] == []


@pytest.fixture(scope="session")
def red_circle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_file(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: the folder that CROSSBIT_SCREENSHOTS names, or a temporary one."""
    folder = Path(os.environ.get("CROSSBIT_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
