"""The page without a mouse."""

from __future__ import annotations

from typing import Any

import pytest

from browsing import captions, ids, shown, until

FOCUSED = "document.activeElement.closest('.hit')?.dataset.id ?? document.activeElement.id"


@pytest.mark.slow
def test_everything_is_done_by_keys(page: Any) -> None:
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("red circle")
    until(page, lambda: "red circle" in captions(page)[0] and page.url.endswith("/?q=red+circle"))
    page.wait_for_load_state("networkidle")
    found = ids(page)
    page.keyboard.press("ArrowDown")
    assert page.evaluate(FOCUSED) == found[0]
    page.keyboard.press("ArrowRight")
    assert page.evaluate(FOCUSED) == found[1]
    page.keyboard.press("ArrowDown")
    below = page.evaluate(FOCUSED)
    assert found.index(below) > 2
    page.keyboard.press("ArrowUp")
    assert page.evaluate(FOCUSED) == found[1]
    page.keyboard.press("Enter")
    page.locator("#item[open]").wait_for()
    page.keyboard.press("ArrowRight")
    page.locator(f"#item[data-id='{found[2]}']").wait_for()
    page.keyboard.press("Escape")
    page.locator("#item").wait_for(state="hidden")
    assert page.evaluate(FOCUSED) == found[2]
    page.keyboard.press("n")
    until(page, lambda: found[2] not in ids(page))
    page.keyboard.press("Escape")
    assert page.evaluate(FOCUSED) == "words"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("m")
    page.locator("#given li").wait_for()
    assert "item=" in page.url


@pytest.mark.slow
def test_tab_reaches_one_hit_and_its_buttons(page: Any) -> None:
    page.goto("/?q=circle")
    captions(page)
    assert page.locator("#results [tabindex='0']").count() == 3
    assert page.locator(".hit").first.locator("[tabindex='0']").count() == 3


@pytest.mark.slow
def test_help_lists_the_keys_and_escape_closes_it(page: Any) -> None:
    page.goto("/")
    page.keyboard.press("?")
    page.locator("#keys[open]").wait_for()
    page.keyboard.press("Escape")
    page.locator("#keys").wait_for(state="hidden")


@pytest.mark.slow
def test_letters_in_the_field_are_letters(page: Any) -> None:
    page.goto("/")
    page.focus("#words")
    page.keyboard.type("m/n?")
    assert page.input_value("#words") == "m/n?" and page.locator("#keys").is_hidden()


@pytest.mark.slow
def test_the_theme_is_kept(page: Any) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/")
    page.click("#theme")
    page.goto("/run")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


@pytest.mark.slow
def test_who_opens_the_page_can_type_at_once(page: Any) -> None:
    page.goto("/")
    until(page, lambda: page.evaluate(FOCUSED) == "words")
    page.keyboard.type("/red circle")  # the key of the field does nothing more in it
    until(page, lambda: page.url.endswith("/?q=red+circle"))
    page.reload()
    captions(page)
    assert page.evaluate(FOCUSED) == ""  # a search that is there already is for looking at


@pytest.mark.slow
def test_who_asks_for_more_by_keyboard_goes_on_at_the_first_new_hit(page: Any) -> None:
    page.goto("/?q=circle")
    before = ids(page)
    page.locator(".further button").focus()
    page.keyboard.press("Enter")
    until(page, lambda: len(shown(page)) == 2 * len(before))
    assert page.evaluate("document.activeElement.closest('.hit').dataset.id") == shown(page)[len(before)]


@pytest.mark.slow
@pytest.mark.parametrize("address", ["/", "/audit", "/run"])
def test_keys_draw_no_frame_around_the_whole_page(page: Any, address: str) -> None:
    page.goto(address)
    page.keyboard.press("Tab")
    page.locator("#main").focus()  # as the skip link does, and a click beside all buttons
    page.keyboard.press("Shift")
    assert page.evaluate("getComputedStyle(document.querySelector('#main')).outlineStyle") == "none"
