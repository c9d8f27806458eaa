"""Searches on the page: words, a picture, both, what a hit offers, filters, and the address."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from browsing import captions, ids, search, until

GIVE = """([bytes, kind]) => {
  const file = new File([Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0))], "own.png", { type: "image/png" });
  const data = new DataTransfer();
  data.items.add(file);
  const Kind = kind === "drop" ? DragEvent : ClipboardEvent;
  const told = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
  if (kind === "drop") document.body.dispatchEvent(new Kind("dragover", told));
  document.body.dispatchEvent(new Kind(kind, told));
}"""


@pytest.mark.slow
def test_words_find_pictures_while_they_are_typed(page: Any) -> None:
    page.goto("/")
    page.locator("#words").press_sequentially("red circle", delay=20)
    until(page, lambda: "red circle" in captions(page)[0] and page.url.endswith("/?q=red+circle"))
    assert page.locator(".hit img").first.evaluate("one => one.decode().then(() => one.naturalWidth > 0)")
    assert page.title() == "red circle - crossbit"
    page.locator("#live", has_text="nearest of").wait_for(state="attached")


@pytest.mark.slow
def test_only_the_last_of_many_requests_is_shown(page: Any) -> None:
    held: list[Any] = []
    page.route("**/api/search*q=red*", lambda route: held.append(route))
    page.goto("/")
    page.fill("#words", "red c")
    page.locator("#results[aria-busy='true']").wait_for(state="attached")  # empty, it takes no room: not "visible"
    page.wait_for_timeout(200)
    search(page, "blue square")
    shown = captions(page)
    for route in held:
        route.continue_()
    page.wait_for_timeout(200)
    assert held and captions(page) == shown and "blue square" in shown[0]


@pytest.mark.slow
def test_of_a_part_that_was_compared_it_is_not_said_that_it_is_all(page: Any) -> None:
    """As an approximate search answers."""

    def approximate(route: Any) -> None:
        route.fulfill(json=route.fetch().json() | {"exact": False, "compared": 3})

    page.route("**/api/search*", approximate)
    page.goto("/?q=red")
    page.locator("#live", has_text="nearest of the 3 pictures that were compared").wait_for(state="attached")


@pytest.mark.slow
def test_texts_are_found_where_texts_are_wanted(page: Any) -> None:
    page.goto("/?q=yellow+cross")
    captions(page)
    page.click("#shows >> text=Texts")
    page.locator(".hit.text").first.wait_for()
    assert page.url.endswith("/?q=yellow+cross&show=text") and "yellow cross" in captions(page)[0]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_a_picture_is_searched_with(page: Any, red_circle: Path, way: str) -> None:
    page.goto("/")
    if way == "choose":
        with page.expect_file_chooser() as chooser:
            page.click("#choose")
        chooser.value.set_files(red_circle)
    else:
        page.evaluate(GIVE, [base64.b64encode(red_circle.read_bytes()).decode(), way])
    assert len(captions(page)) == 24
    assert page.locator("#drop").is_hidden() and page.locator("#given img").is_visible()
    page.click("#given button")
    page.locator(".start h2").wait_for()
    assert page.locator("#given li").count() == 0


REASON = "async (hit) => (await import('/static/hit.js')).reason({ why: [], more: 0, ...hit })"


@pytest.mark.slow
@pytest.mark.parametrize(("by", "cosine", "reason"), [
    (["codes", "pictures"], 0.5, "By likeness of its text and its picture"),
    (["pictures"], 0.5, "By likeness of its picture"),
    (["codes"], 0.5, "By likeness of its text"),
    (["codes", "pictures"], None, "By likeness of its text and its picture"),  # of an index without embeddings
    (["pictures"], None, "By likeness of its picture"),
    (["codes"], None, "By likeness alone"),
    (["codes", "words"], None, "By its words"),
])  # fmt: skip
def test_a_hit_says_which_part_of_it_is_like_the_search(
    page: Any, by: list[str], cosine: float | None, reason: str
) -> None:
    page.goto("/")
    assert page.evaluate(REASON, {"by": by, "picture_cosine": cosine}) == reason


@pytest.mark.slow
def test_a_hit_of_a_picture_says_how_like_its_text_and_its_picture_are(page: Any, red_circle: Path) -> None:
    page.goto("/")
    page.set_input_files("#file", red_circle)
    page.click("#shows >> text=Texts")
    page.locator(".hit.text", has_text="By likeness of its").first.locator(".open").click()
    facts = page.locator("#item[open] .facts").first.inner_text()
    assert "Likeness of its text" in facts and "Likeness of its picture" in facts


@pytest.mark.slow
def test_a_picture_and_words_are_one_search(page: Any, red_circle: Path) -> None:
    page.goto("/")
    page.set_input_files("#file", red_circle)
    alone = ids(page)
    with page.expect_response(lambda response: response.request.method == "POST") as answer:
        page.fill("#words", "green square")
    assert "green square" in answer.value.json()["query"]
    until(page, lambda: ids(page) != alone)
    assert page.locator("#given img").is_visible()
    page.click("#given button")
    until(page, lambda: page.url.endswith("/?q=green+square"))
    assert "green square" in captions(page)[0] and page.locator("#given li").count() == 0


@pytest.mark.slow
def test_a_known_word_takes_the_place_of_an_unknown_one(page: Any) -> None:
    page.goto("/?q=a+Cirkle+that+is+red")
    page.locator("#notes button", has_text="circle").click()
    until(page, lambda: page.url.endswith("/?q=a+circle+that+is+red"))
    assert page.input_value("#words") == "a circle that is red"
    page.goto("/?q=cirkle")  # none of its words is known: an error says it
    page.locator(".notice button, #notes button", has_text="circle").click()
    until(page, lambda: page.url.endswith("/?q=circle"))


@pytest.mark.slow
def test_a_new_search_begins_at_its_nearest(page: Any) -> None:
    page.goto("/?q=red")
    captions(page)
    page.evaluate("scrollTo(0, 600)")
    page.locator(".hit").nth(20).get_by_role("button", name="Not this").click()
    page.locator("#chosen li").wait_for()
    assert page.evaluate("scrollY") > 0  # the same search, without one of its hits
    search(page, "blue square")
    assert page.evaluate("scrollY") == 0


@pytest.mark.slow
def test_a_picture_that_finds_texts_is_said_to_be_compared_with_pictures_too(page: Any, red_circle: Path) -> None:
    page.goto("/?show=text")
    page.set_input_files("#file", red_circle)
    ids(page)
    assert page.locator("#status").inner_text().endswith(" texts and pictures")
    page.click("button[value='image']")
    until(page, lambda: re.fullmatch(r"The 24 nearest of \d+ pictures", page.locator("#status").inner_text()))


@pytest.mark.slow
def test_a_file_that_is_no_picture_is_refused_in_a_line(page: Any, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("words")
    page.goto("/")
    page.set_input_files("#file", tmp_path / "list.txt")
    page.locator("#trouble", has_text="not a picture").wait_for()


@pytest.mark.slow
def test_a_picture_that_cannot_be_read_is_told_and_the_next_search_answers(
    page: Any, red_circle: Path, tmp_path: Path, shots: Path
) -> None:
    Image.new("1", (8000, 8000)).save(tmp_path / "bomb.png")  # a few kB that become 64 million pixels
    (tmp_path / "page.png").write_bytes(b"<script>document.title = 'mine'</script>")
    (tmp_path / "cut.png").write_bytes(red_circle.read_bytes()[:-40])
    page.goto("/")
    for name, said in (("bomb", "more than 50,000,000 pixels"), ("page", "is not a picture"), ("cut", "is damaged")):
        page.set_input_files("#file", tmp_path / f"{name}.png")
        page.locator(".notice p", has_text=said).wait_for()
        assert page.locator(".notice h2").inner_text() == "There is no answer to this search"
        page.screenshot(path=shots / f"picture-{name}.png")
    page.click("#given button")
    search(page, "red circle")
    assert len(captions(page)) == 24 and page.title() != "mine"


@pytest.mark.slow
def test_what_was_refused_before_all_was_loaded_is_still_said(page: Any, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("words")
    held: list[Any] = []
    page.route("**/api/run", lambda route: held.append(route))
    page.goto("/")
    page.set_input_files("#file", tmp_path / "list.txt")
    page.locator("#trouble", has_text="not a picture").wait_for()
    for route in held:
        route.continue_()
    page.locator(".start h2").wait_for()
    assert held and page.locator("#trouble", has_text="not a picture").is_visible()


@pytest.mark.slow
def test_more_like_this_and_not_this(page: Any) -> None:
    page.goto("/?q=red+circle")
    first, second = ids(page)[:2]
    page.click(f"[data-id='{first}'] [data-act='not']")
    until(page, lambda: first not in ids(page))
    assert f"not={first}" in page.url and page.locator("#chosen li").count() == 1
    page.click("#chosen button")
    until(page, lambda: first in ids(page))
    page.click(f"[data-id='{second}'] [data-act='more']")
    until(page, lambda: second not in ids(page))
    assert page.url.endswith(f"/?item={second}") and page.input_value("#words") == ""
    search(page, "square")  # words beside an item: its picture and they are one search
    assert f"item={second}" in page.url and "q=square" in page.url


@pytest.mark.slow
def test_filters_narrow_the_search(page: Any) -> None:
    page.goto("/?q=circle")
    captions(page)
    page.click("#filters >> text=labels")
    page.locator(".panel:visible >> text=blue").click()
    until(page, lambda: all("blue" in caption for caption in captions(page)))
    page.click("#filters >> text=artist")
    page.locator(".panel:visible >> text=person 1").click()
    page.locator(".panel:visible >> text=person 2").click()  # one column's values are alternatives
    until(page, lambda: page.locator("#chosen li").count() == 3)
    assert all("blue" in caption for caption in captions(page))
    with page.expect_response("**/api/search*") as answer:
        page.reload()
    shown = answer.value.json()["hits"]["image"]
    assert {hit["columns"]["artist"] for hit in shown} == {"person 1", "person 2"}
    page.click("#chosen >> text=artist: person 1")
    until(page, lambda: page.locator("#chosen li").count() == 2)


@pytest.mark.slow
def test_a_value_that_is_not_among_the_frequent_ones_is_found_by_typing(page: Any) -> None:
    page.goto("/?q=circle")
    captions(page)
    page.click("#filters >> text=year")
    panel = page.locator(".panel:visible")
    assert panel.locator("button").count() == 12
    rare = next(str(year) for year in range(2000, 2020) if not panel.locator("button", has_text=str(year)).count())
    page.keyboard.press("Tab")
    page.keyboard.type(rare)
    until(page, lambda: panel.locator("button > span").all_inner_texts() == [rare])
    page.keyboard.press("Enter")
    page.locator("#chosen li", has_text=f"year: {rare}").wait_for()
    assert page.evaluate("document.activeElement.type") == "search"  # ready for another one
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("201")
    until(page, lambda: 8 <= panel.locator("button").count() <= 10)
    panel.locator("button[aria-pressed='false']").first.click()
    page.locator("#chosen li").nth(1).wait_for()
    with page.expect_request("**/api/search*") as asked:
        page.reload()
    found = page.request.get(asked.value.url).json()
    assert len({hit["columns"]["year"] for hit in found["hits"]["image"]}) == 2  # alternatives, still
    assert f"year: {rare}" in page.locator("#chosen").inner_text()
    page.click("#filters >> text=year")
    page.locator(".panel:visible input").fill("no such year")
    page.locator(".panel:visible", has_text="No value holds this").wait_for()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.column") == "year"


@pytest.mark.slow
def test_searches_are_gone_back_to_and_forward(page: Any) -> None:
    page.goto("/")
    search(page, "red circle")
    red = ids(page)
    page.press("#words", "Enter")  # settled: the next one is a search of its own
    search(page, "blue square")
    blue = ids(page)
    page.go_back()
    until(page, lambda: ids(page) == red)
    assert page.input_value("#words") == "red circle"
    page.go_forward()
    until(page, lambda: ids(page) == blue)
    page.go_back()
    page.go_back()
    page.locator(".start h2").wait_for()


@pytest.mark.slow
def test_an_address_is_a_search_that_can_be_shared(page: Any, browser: Any) -> None:
    page.goto("/?q=red+circle")
    first = ids(page)
    page.click(f"[data-id='{first[3]}'] .open")
    page.locator("#item[open] h2", has_text="number").wait_for()
    other = browser.new_context().new_page()
    other.goto(page.url)
    other.locator("#item[open] h2", has_text="number").wait_for()
    assert other.locator("#item h2").inner_text() == page.locator("#item h2").inner_text()
    assert ids(other) == first
    other.context.close()
    page.go_back()
    page.locator("#item").wait_for(state="hidden")
    assert page.url.endswith("/?q=red+circle")


@pytest.mark.slow
def test_more_hits_come_below_those_that_are_there(page: Any) -> None:
    page.goto("/?q=circle")
    first = ids(page)
    page.click("text=Show more")
    until(page, lambda: len(ids(page)) > 24)
    assert ids(page)[:24] == first


@pytest.mark.slow
def test_a_large_picture_keeps_its_form_and_what_is_transparent_is_white(page: Any) -> None:
    file = io.BytesIO()
    Image.new("RGBA", (200, 600)).save(file, "PNG")
    page.route("**/api/items/*/picture", lambda route: route.fulfill(body=file.getvalue(), content_type="image/png"))
    page.emulate_media(color_scheme="dark")
    page.goto("/?q=circle")
    page.locator(".hit .open").first.click()
    page.locator("#item[aria-busy='false'] img.tall").wait_for()
    shown, frame = (page.locator(one).bounding_box() for one in ("#item img", "#item .mat"))
    assert shown["height"] == pytest.approx(frame["height"], abs=1)
    assert shown["width"] == pytest.approx(frame["height"] / 3, abs=1)
    colour = page.locator("#item img").evaluate("one => getComputedStyle(one).backgroundColor")
    assert colour == "rgb(255, 255, 255)"


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 2, 6])
def test_a_double_click_opens_a_hit_and_does_nothing_else(page: Any, number: int) -> None:
    page.goto("/?q=circle")
    opened = ids(page)[number]
    page.locator(".hit .open").nth(number).dblclick()
    page.locator(f"#item[open][data-id='{opened}']").wait_for()
    page.wait_for_timeout(700)
    assert page.locator("#item").is_visible() and "not=" not in page.url
    page.mouse.click(5, 5)  # beside it, later: this one is meant
    page.locator("#item").wait_for(state="hidden")


@pytest.mark.slow
def test_an_item_tells_how_many_are_the_same(page: Any) -> None:
    def change(route: Any) -> None:
        answer = route.fetch().json()
        answer["hits"]["image"][0]["more"] = 5
        route.fulfill(json=answer)

    page.route("**/api/search*", change)
    page.goto("/?q=circle")
    captions(page)
    page.locator(".hit .open").first.click()
    page.locator("#item[open]", has_text="5 more of the same").wait_for()


@pytest.mark.slow
def test_all_hits_are_there_again_for_who_comes_back(page: Any) -> None:
    page.goto("/?q=circle")
    captions(page)
    page.click("text=Show more")
    until(page, lambda: page.locator(".hit").count() == 48)
    page.goto("/run")
    page.go_back()
    until(page, lambda: page.locator(".hit").count() == 48)
    page.locator(".hit .open").nth(40).click()
    page.locator("#item[open]").wait_for()
    page.reload()
    until(page, lambda: page.locator(".hit").count() == 48)
    page.locator("#item[open]").wait_for()
    page.keyboard.press("Escape")
    page.locator("#item").wait_for(state="hidden")
    search(page, "red circle")
    until(page, lambda: page.locator(".hit").count() == 24)
