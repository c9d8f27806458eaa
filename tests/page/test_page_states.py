"""What the page says when there is nothing to show, or when the service refuses, is busy or is away."""

from __future__ import annotations

from typing import Any

import pytest

from browsing import Service, captions, ids, refuse, shown, until, with_answers


@pytest.mark.slow
def test_nothing_fits_is_a_quiet_line_and_the_nearest_can_be_seen(page: Any) -> None:
    with_answers(page, fits=0.08)
    page.goto("/?q=circle")
    page.locator(".notice", has_text="Nothing here fits").wait_for()
    assert page.locator(".hit").count() == 0
    assert page.locator("#status").inner_text() == ""  # it is said once
    page.click("text=nearest anyway")
    assert len(captions(page)) == 24


@pytest.mark.slow
def test_what_is_likely_to_fit_is_shown(page: Any) -> None:
    with_answers(page, fits=0.8)
    page.goto("/?q=circle")
    assert len(captions(page)) == 24


@pytest.mark.slow
def test_no_hits_under_a_filter_offers_to_remove_it(page: Any) -> None:
    page.goto("/?q=circle&where=year+%3D+1&where=year+%3D+2")
    page.click("text=Remove the filter")
    assert len(captions(page)) == 24 and page.url.endswith("/?q=circle")


@pytest.mark.slow
def test_notes_of_the_service_are_shown(page: Any) -> None:
    with_answers(page, notes=["crcle is no word that the model knows; it knows circle"])
    page.goto("/?q=circle")
    page.locator("#notes", has_text="it knows circle").wait_for()


@pytest.mark.slow
def test_a_refusal_is_told_in_the_words_of_the_service(page: Any) -> None:
    page.goto("/?q=qqqqq")
    page.locator(".notice", has_text="This model knows no word of 'qqqqq'").wait_for()
    page.goto("/?q=circle&where=nonsense+%3D%3D")
    page.locator(".notice", has_text="Nothing found under this filter").wait_for()
    page.click("text=Remove the filter")
    assert len(captions(page)) == 24


@pytest.mark.slow
def test_who_types_is_not_interrupted_by_refusals(page: Any) -> None:
    page.goto("/?q=circle")
    before = ids(page)
    with page.expect_response(lambda response: response.status == 400):
        page.fill("#words", "qqqqq")
    assert shown(page) == before
    page.locator(".notice", has_text="Nothing found").wait_for()


@pytest.mark.slow
def test_a_busy_service_is_asked_again_when_it_says(page: Any) -> None:
    page.goto("/?q=circle")
    before = ids(page)
    refuse(page, 429, "busy", **{"Retry-After": "1"})
    page.fill("#words", "red circle")
    page.locator("#trouble", has_text="busy. Trying again in 1 s").wait_for()
    assert shown(page) == before  # what was there stays, dimmed
    page.unroute("**/api/search*")
    page.locator("#trouble").wait_for(state="hidden")
    until(page, lambda: "red circle" in captions(page)[0])


@pytest.mark.slow
def test_a_busy_service_is_asked_at_once_when_a_person_says(page: Any) -> None:
    refuse(page, 429, "busy", **{"Retry-After": "500"})
    page.goto("/?q=circle")
    page.locator("#trouble", has_text="busy").wait_for()
    page.unroute("**/api/search*")
    page.click("text=Try now")
    assert len(captions(page)) == 24


@pytest.mark.slow
def test_a_service_that_is_away_is_said_and_found_again(page: Any, service: Service) -> None:
    page.goto("/?q=circle")
    captions(page)
    service.stop()
    try:
        page.fill("#words", "red circle")
        page.locator("#trouble", has_text="does not answer. Trying again").wait_for()
    finally:
        service.start()
    page.locator("#trouble").wait_for(state="hidden")  # it asked again by itself
    until(page, lambda: "red circle" in captions(page)[0])


@pytest.mark.slow
def test_texts_of_the_service_are_never_markup(page: Any) -> None:
    page.goto("/?q=" + "%3Cimg+src=x+onerror=alert(1)%3E+circle")
    captions(page)
    with_answers(page, notes=["<b>bold</b>"])
    page.reload()
    page.locator("#notes", has_text="<b>bold</b>").wait_for()
    assert page.locator("#notes b").count() == 0


@pytest.mark.slow
def test_long_lines_do_not_widen_the_grid(page: Any) -> None:
    def longer(route: Any) -> None:
        answer = route.fetch().json()
        for hit in answer["hits"]["image"]:
            hit["why"] = ["a long word", "and another one"] * 20
        route.fulfill(json=answer)

    page.route("**/api/search*", longer)
    page.goto("/?q=circle")
    page.locator(".hit").first.wait_for()
    grid, hit = page.locator(".grid").bounding_box(), page.locator(".hit").first.bounding_box()
    assert hit["width"] <= 240 and grid["width"] <= 1280
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
