"""Pictures of one's own: kinds and sizes that a service does not take, and what is left of one in an address."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browsing import captions, ids, until

DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="4" cy="4" r="3" fill="red"/></svg>'
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(3000)  # a phone's, without what it shows


def noise(side: int) -> bytes:
    """A PNG of about three bytes a pixel."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(256, size=(side, side, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def give(page: Any, name: str, kind: str, content: bytes) -> Any:
    """Search with a file; the answer."""
    with page.expect_response("**/api/search") as answer:
        page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": content})
    return answer.value


@pytest.mark.slow
def test_a_drawing_finds_what_it_shows(page: Any) -> None:
    page.goto("/")
    assert give(page, "circle.svg", "image/svg+xml", DRAWING).ok
    assert "circle" in captions(page)[0]


@pytest.mark.slow
def test_a_large_picture_is_sent_small(page: Any) -> None:
    content = noise(1200)
    assert len(content) > 4_000_000
    page.goto("/")
    answer = give(page, "large.png", "image/png", content)
    assert answer.ok and int(answer.request.all_headers()["content-length"]) < 1_500_000


@pytest.mark.slow
def test_a_picture_whose_kind_the_browser_does_not_know_is_asked_about(page: Any) -> None:
    page.goto("/")
    assert give(page, "IMG_0001.HEIC", "", HEIC).status == 415
    notice = page.locator(".notice", has_text="There is no answer to this search")
    notice.wait_for()
    assert "pip" not in notice.inner_text()  # who looks at a page installs nothing
    page.locator("#given button", has_text="IMG_0001.HEIC").wait_for()  # its name, where it cannot be shown


@pytest.mark.slow
def test_a_picture_outlives_a_reload_and_another_page(page: Any, red_circle: Path) -> None:
    page.goto("/")
    page.set_input_files("#file", red_circle)
    alone = ids(page)
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.fill("#words", "green square")
    until(page, lambda: ids(page) != alone)
    both = ids(page)
    for away in (page.reload, lambda: (page.goto("/run"), page.go_back())):
        away()
        assert ids(page) == both and page.locator("#given img").is_visible()
        assert page.locator("#notes li").count() == 0
    for _ in range(4):  # more than are kept
        page.set_input_files("#file", red_circle)
        page.locator("#results[aria-busy='false'] .hit").first.wait_for()
    page.reload()
    assert ids(page) and page.locator("#given img").is_visible()
    assert page.evaluate("Object.keys(sessionStorage).length") <= 3


@pytest.mark.slow
def test_a_picture_that_is_not_in_the_address_is_told_in_another_window(
    page: Any, browser: Any, red_circle: Path
) -> None:
    page.goto("/")
    page.set_input_files("#file", red_circle)
    ids(page)
    alone = page.url
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.fill("#words", "green square")
    until(page, lambda: "q=green" in page.url)
    other = browser.new_context().new_page()
    other.goto(page.url)
    other.locator("#notes", has_text="had a picture, too").wait_for()
    assert "green square" in captions(other)[0]
    other.fill("#words", "blue square")  # a search of its own
    until(other, lambda: other.url.endswith("/?q=blue+square"))
    until(other, lambda: other.locator("#notes li").count() == 0)
    other.goto(alone)
    other.locator(".notice", has_text="The picture of this search is not here").wait_for()
    other.context.close()
