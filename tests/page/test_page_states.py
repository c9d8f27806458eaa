"""What the page says when there is nothing to show, or when the service refuses, is busy or is away."""

from __future__ import annotations

from typing import Any

import pytest

from browsing import Service, captions, ids, nothing_in_common, refuse, shown, until, with_answers


@pytest.mark.slow
def test_words_of_another_caption_of_the_same_thing_are_not_called_its_own(page: Any) -> None:
    def change(route: Any) -> None:
        answer = route.fetch().json()
        for hit, more in zip(answer["hits"]["image"][:2], (1, 0), strict=True):
            hit |= {"why": [], "by": ["codes", "words"], "more": more}
        route.fulfill(json=answer)

    page.route("**/api/search*", change)
    page.goto("/?q=red")
    ids(page)
    reasons = page.locator(".hit p.why").all_inner_texts()
    assert reasons[:2] == ["By words of one of the same", "By its words"]


@pytest.mark.slow
def test_nothing_fits_is_a_quiet_line_and_the_nearest_can_be_seen(page: Any) -> None:
    nothing_in_common(page, fits=0.08)
    page.goto("/?q=circle")
    page.locator(".notice", has_text="Nothing here seems to fit").wait_for()
    assert page.locator(".notice").get_by_text("“circle”").is_visible()
    assert page.locator(".hit").count() == 0
    assert page.locator("#status").inner_text() == ""  # it is said once
    page.click("text=nearest anyway")
    assert len(captions(page)) == 24
    assert page.locator("#status").inner_text().endswith("; perhaps none of them fits")


@pytest.mark.slow
def test_a_hit_with_the_words_of_the_search_is_never_hidden(page: Any) -> None:
    with_answers(page, fits=0.01)
    page.goto("/?q=circle")
    assert len(captions(page)) == 24
    assert page.locator("#status").inner_text().endswith("; perhaps none of them fits")


@pytest.mark.slow
def test_where_a_search_without_words_fits_nothing_none_are_quoted(page: Any) -> None:
    page.goto("/?q=circle")
    first = ids(page)[0]
    nothing_in_common(page, fits=0.08)
    page.goto(f"/?item={first}")
    page.locator(".notice", has_text="Nothing here seems to fit").wait_for()
    assert "“" not in page.locator(".notice").inner_text()


@pytest.mark.slow
def test_hits_that_share_no_word_are_doubted_where_they_are_hardly_likely(page: Any) -> None:
    nothing_in_common(page, fits=0.15)
    page.goto("/?q=circle")
    assert len(captions(page)) == 24
    assert page.locator("#status").inner_text().endswith("; perhaps none of them fits")
    page.unroute("**/api/search*")
    with_answers(page, fits=0.15)
    page.reload()
    assert len(captions(page)) == 24
    assert page.locator("#status").inner_text().endswith("pictures")


@pytest.mark.slow
def test_what_is_likely_to_fit_is_shown(page: Any) -> None:
    with_answers(page, fits=0.8)
    page.goto("/?q=circle")
    assert len(captions(page)) == 24
    assert page.locator("#status").inner_text().endswith("pictures")


@pytest.mark.slow
def test_no_hits_under_a_filter_offers_to_remove_it(page: Any) -> None:
    page.goto("/?q=circle&where=year+%3D+1&where=year+%3D+2")
    page.click("text=Remove the filter")
    assert len(captions(page)) == 24 and page.url.endswith("/?q=circle")


@pytest.mark.slow
def test_a_word_that_may_be_meant_is_a_button_where_nothing_fits_too(page: Any) -> None:
    nothing_in_common(page, fits=0.03, notes=["'crcle' is not a word of any caption or label; nearest: circle"])
    page.goto("/?q=red+crcle")
    page.locator(".notice", has_text="Nothing here seems to fit").wait_for()
    page.locator("#notes button", has_text="circle").click()
    page.wait_for_url("**/?q=red+circle")
    page.locator("#results[aria-busy='false']").wait_for()


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
@pytest.mark.parametrize("status", [413, 504])
def test_hits_of_another_search_do_not_stand_below_one_without_an_answer(page: Any, status: int) -> None:
    page.goto("/?q=circle")
    captions(page)
    refuse(page, status, "the picture is too large; send a smaller one")
    page.fill("#words", "red circle")
    page.locator(".notice", has_text="The picture is too large; send a smaller one").wait_for()
    assert page.locator(".hit").count() == 0 and page.locator("#trouble").is_hidden()


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


@pytest.mark.slow
def test_a_long_word_does_not_widen_a_notice(page: Any) -> None:
    nothing_in_common(page, fits=0.08)
    page.goto(f"/?q=circle+{'circle' * 60}")
    notice = page.locator(".notice", has_text="Nothing here seems to fit")
    notice.wait_for()
    assert notice.locator("p").evaluate("one => one.scrollWidth <= one.clientWidth")


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 360, 480, 640])
def test_a_panel_of_values_stays_in_a_narrow_window(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    page.goto("/?q=circle")
    captions(page)
    for button in page.locator("#filters [data-column]").all():
        button.click()
        panel = page.locator(".panel:visible").bounding_box()
        assert panel["x"] >= 0 and panel["x"] + panel["width"] <= width
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_a_line_that_says_why_is_whole_where_no_word_is_shared(page: Any) -> None:
    nothing_in_common(page, fits=0.8)
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto("/?q=circle")
    captions(page)
    assert page.locator(".why").first.evaluate("one => one.scrollWidth <= one.clientWidth")


@pytest.mark.slow
def test_an_enlarged_page_shows_an_item_with_what_is_said_of_it(page: Any) -> None:
    page.set_viewport_size({"width": 640, "height": 400})  # 200 % of 1280 by 800
    page.goto("/?q=circle")
    captions(page)
    page.locator(".hit .open").first.click()
    page.locator("#item[aria-busy='false'] #item-title").wait_for()
    box = page.locator("#item-title").bounding_box()
    assert box["y"] + box["height"] <= 400


@pytest.mark.slow
def test_labels_are_readable_in_a_narrow_window(page: Any) -> None:
    def longer(route: Any) -> None:
        answer = route.fetch().json()
        for hit in answer["hits"]["image"]:
            hit["labels"] = [{"name": name, "p": 0.6, "given": True} for name in ("military", "transport")]
        route.fulfill(json=answer)

    page.route("**/api/search*", longer)
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto("/?q=circle")
    captions(page)
    for name in page.locator(".hit").first.locator(".labels .chip span:first-child").all():
        assert name.evaluate("one => one.scrollWidth <= one.clientWidth")


@pytest.mark.slow
def test_a_picture_that_is_gone_is_said_and_one_that_was_refused_once_is_shown(page: Any) -> None:
    asked: list[str] = []

    def thumbnail(route: Any) -> None:
        asked.append(route.request.url)
        if route.request.url == asked[0]:
            route.fulfill(status=404)
        elif asked.count(route.request.url) == 1:
            route.fulfill(status=429)
        else:
            route.continue_()

    page.route("**/thumbnail", thumbnail)
    page.goto("/?q=circle")
    captions(page)
    gone = page.locator(".mat:has(> .missing)")
    gone.first.wait_for()
    assert gone.evaluate("one => getComputedStyle(one, '::after').content") == '"No picture"'
    until(page, lambda: page.locator(".hit img").nth(1).evaluate("one => one.complete && one.naturalWidth > 0"))
    assert gone.count() == 1


@pytest.mark.slow
def test_texts_of_any_script_are_set_as_they_are_read(page: Any) -> None:
    said = ["שלום עולם (1)", "漢字かな" * 300, "x" * 2000]

    def other(route: Any) -> None:
        answer = route.fetch().json()
        for hit, caption in zip(answer["hits"]["image"], said, strict=False):
            hit["caption"] = caption
            hit["labels"] = [{"name": caption[:200], "p": 0.6, "given": True}]
        route.fulfill(json=answer)

    page.route("**/api/search*", other)
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 700})
        page.goto("/?q=circle")
        assert captions(page)[: len(said)] == said
        directions = page.locator(".hit .caption").evaluate_all(
            "all => all.map(one => getComputedStyle(one).direction)"
        )
        assert directions[:2] == ["rtl", "ltr"]
        heights = {round(page.locator(".hit").nth(at).bounding_box()["height"]) for at in range(2)}
        assert len(heights) == 1  # a long one is cut
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_filters_come_when_a_busy_service_can_tell_them(page: Any) -> None:
    asked: list[Any] = []

    def once(route: Any) -> None:
        asked.append(route)
        if len(asked) > 1:
            route.continue_()
        else:
            route.fulfill(status=429, json={"error": "busy"}, headers={"Retry-After": "1"})

    page.route("**/api/columns", once)
    page.goto("/?q=circle")
    assert len(captions(page)) == 24
    page.locator("#filters [data-column='labels']").wait_for()
