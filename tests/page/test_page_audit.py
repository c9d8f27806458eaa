"""The audit's page: decisions by keys, clicks and over a range; undo, export, a kill in between; themes and widths."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from browsing import Service, look_in_all_forms, until
from crossbit.cli import main
from shape_collection import make_collection

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Service]:
    """A service over a run a fifth of whose labels are wrong."""
    place = tmp_path_factory.mktemp("audit")
    make_collection(place / "shapes", 90)
    run = place / "run"
    options = ("--noise", "swap-one:0.2", "--method", "look", "--epochs", "1", "--bits", "16", "--quiet")
    assert main(["train", str(place / "shapes"), "--out", str(run), *options]) == 0
    assert main(["index", str(run)]) == 0
    service = Service(run)
    yield service
    service.stop()


@pytest.fixture
def audit(page: Any, service: Service) -> Iterator[Any]:
    """The page with its first row, nothing decided."""
    page.goto("/audit")
    page.locator("#row:not([hidden]) .decide").wait_for(timeout=300_000)
    yield page
    while asked(service)["decided"]:
        page.request.post("/api/audit/decisions", data={"undo": True})


def asked(service: Service, query: str = "") -> dict[str, Any]:
    told: dict[str, Any] = json.loads(urlopen(f"{service.address}/api/audit{query}").read())
    return told


def press(page: Any, key: str) -> None:
    """Press a key that decides, and wait for the answer, and until the page shows it: before, keys are not heard."""
    with page.expect_response("**/api/audit/decisions"):
        page.keyboard.press(key)
    page.locator("#main:not([aria-busy='true'])").wait_for(state="attached")


def title(page: Any) -> str:
    text: str = page.locator("#row h2").inner_text()
    return text


def by_label(page: Any) -> None:
    page.keyboard.press("l")
    page.locator("#grid .tile").first.wait_for()


def test_a_row_is_shown_with_all_that_speaks_for_and_against_it(audit: Any, service: Service) -> None:
    first = asked(service)["queue"][0]
    shown = audit.locator("#row").inner_text()
    for words in (first["caption"], *first["given"], *first["proposed"]):
        assert words in shown
    assert audit.locator("#row .large img").get_attribute("src") == first["picture"]
    names = audit.locator(".near .name").all_inner_texts()
    assert names == [one["name"] for one in first["neighbours"]] and len(names) == 5
    assert audit.locator(".near img").count() == 5
    assert f"{round(asked(service)['wrong_left'])} labels wrong or missing" in audit.locator("#progress").inner_text()


def test_a_percentage_beside_a_label_is_how_likely_it_is_right_on_all_pages(audit: Any, service: Service) -> None:
    first = asked(service)["queue"][0]
    name, p = first["wrong"][0]
    struck = audit.locator("#row .chip.wrong", has_text=name)
    assert struck.locator("small").inner_text() == f"{round(100 * (1 - p))} %"
    assert "Beside a label: how likely it is right" in audit.locator("#row").inner_text()
    query = urlencode({"q": first["caption"], "modality": "image", "by": "words"})
    hits = json.loads(urlopen(f"{service.address}/api/search?{query}").read())["hits"]["image"]
    (held,) = [one for one in hits if one["caption"] == first["caption"]]
    missing, right = first["missing"][0]  # the index has the table's labels, without the noise that training saw
    (likely,) = [one["p"] for one in held["labels"] if one["name"] == missing]
    assert abs(likely - right) < 0.05
    assert audit.locator("#row .chip.new", has_text=missing).locator("small").inner_text() == f"{round(100 * right)} %"
    audit.goto(f"/?q=red&open={held['id']}")
    chip = audit.locator("#item .labels .chip", has_text=missing)
    chip.wait_for()
    assert chip.locator("small").inner_text() == f"{round(100 * likely)} %"
    assert "Beside a label: how likely it is right" in audit.locator("#item").inner_text()


def test_accept_keep_skip_undo_by_keys(audit: Any, service: Service) -> None:
    captions = [row["caption"] for row in asked(service)["queue"]]
    press(audit, "a")
    until(audit, lambda: title(audit) != captions[0])
    press(audit, "k")
    assert asked(service)["decided"] == 2
    log = (service.run / "decisions.jsonl").read_text().splitlines()
    assert [json.loads(line)["decision"] for line in log] == ["accept", "keep"]
    before = title(audit)
    audit.keyboard.press("s")
    until(audit, lambda: title(audit) != before)
    assert asked(service)["decided"] == 2  # nothing was decided
    audit.keyboard.press("ArrowRight")
    audit.keyboard.press("ArrowLeft")
    press(audit, "u")
    until(audit, lambda: "1 decision" in audit.locator("#progress").inner_text())
    with audit.expect_download() as held:
        audit.click("#progress a")  # also what was kept, which no table shows
    assert held.value.path().read_bytes() == (service.run / "decisions.jsonl").read_bytes()
    press(audit, "u")
    until(audit, lambda: title(audit) == captions[0])
    assert audit.locator("#undo").is_disabled()


def test_of_a_row_in_doubt_nothing_can_be_accepted(audit: Any, service: Service) -> None:
    def doubted(route: Any) -> None:
        told = route.fetch().json()
        told["queue"][0] |= {"proposed": told["queue"][0]["given"], "wrong": [], "missing": []}
        route.fulfill(json=told)

    audit.route("**/api/audit?*", doubted)
    audit.reload()
    row(audit)
    shown = audit.locator("#row")
    assert "no other labels are likelier" in shown.inner_text() and "What the doubt comes from" in shown.inner_text()
    assert shown.get_by_role("button", name="Accept").count() == 0
    audit.keyboard.press("a")
    press(audit, "k")
    log = (service.run / "decisions.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["decision"] == "keep" and asked(service)["decided"] == 1


def test_a_decision_that_is_being_kept_is_seen_to_be(audit: Any) -> None:
    held: list[Any] = []
    audit.route("**/api/audit/decisions", lambda route: held.append(route))
    audit.reload()  # a page that is open already may send its next request past a new route
    row(audit)
    audit.keyboard.press("a")
    audit.locator("main[aria-busy='true']").wait_for()
    audit.keyboard.press("a")  # waits, too
    until(audit, lambda: len(held) == 1)
    held[0].continue_()
    audit.locator("main[aria-busy='false']").wait_for()
    assert len(held) == 1 and "1 decision" in audit.locator("#progress").inner_text()


def test_other_labels_are_found_by_typing(audit: Any, service: Service) -> None:
    first = asked(service)["queue"][0]
    audit.keyboard.press("o")
    audit.fill("#find", "violet")
    audit.keyboard.press("Enter")
    assert "no label “violet”" in audit.locator("#other-wrong").inner_text()
    for name in first["given"]:
        audit.locator("#chosen button", has_text=name).click()
    audit.fill("#find", "Blue")
    audit.keyboard.press("Enter")
    with audit.expect_response("**/api/audit/decisions"):
        audit.keyboard.press("Enter")
    (line,) = (service.run / "decisions.jsonl").read_text().splitlines()[-1:]
    assert json.loads(line)["labels"] == ["blue"] and json.loads(line)["row"] == first["row"]


def test_a_label_that_does_not_exist_yet_is_added_where_it_is_confirmed(audit: Any, service: Service) -> None:
    first = asked(service)["queue"][0]
    audit.keyboard.press("o")
    audit.fill("#find", "violet")
    assert audit.locator("#add-new").is_hidden()
    audit.keyboard.press("Enter")
    assert audit.locator("#other").is_visible()  # nothing is decided before it is confirmed
    audit.click("#add-new button")
    assert "violetnew" in "".join(audit.locator("#chosen").inner_text().split())
    with audit.expect_response("**/api/audit/decisions"):
        audit.keyboard.press("Enter")
    (line,) = (service.run / "decisions.jsonl").read_text().splitlines()[-1:]
    assert json.loads(line)["new"] == ["violet"] and set(json.loads(line)["labels"]) == {*first["given"], "violet"}
    audit.locator("#main:not([aria-busy='true'])").wait_for(state="attached")
    audit.keyboard.press("o")
    audit.fill("#find", "Violet")  # the next row may have it without more ado
    audit.keyboard.press("Enter")
    assert "violet" in audit.locator("#chosen").inner_text() and not audit.locator("#other-wrong").inner_text()
    audit.keyboard.press("Escape")


def test_letters_in_a_field_decide_nothing(audit: Any, service: Service) -> None:
    by_label(audit)
    audit.locator("#pick").focus()
    audit.keyboard.type("aku")
    assert asked(service)["decided"] == 0


def test_a_range_of_one_label_is_one_decision(audit: Any, service: Service) -> None:
    first = asked(service)["ranges"][0]
    by_label(audit)
    chosen = audit.locator(".tile[aria-selected='true']")
    assert chosen.evaluate_all("all => all.map(one => Number(one.dataset.row))").sort() == first["rows"].sort()
    assert "each change at least 90 % likely" in audit.locator("#doing p").inner_text()
    audit.locator("#doing >> text=None").click()
    assert chosen.count() == 0
    audit.locator(".tile").nth(0).click()
    audit.locator(".tile").nth(2).click(modifiers=["Shift"])
    assert chosen.count() == 3
    audit.keyboard.press("Space")
    audit.keyboard.press("Space")
    audit.keyboard.press("Shift+ArrowRight")
    assert chosen.count() == 4
    press(audit, "a")
    told = asked(service)
    assert (told["decided"], told["settled"]) == (1, 4)
    assert chosen.count() == 0  # or one key more would decide about others
    press(audit, "u")
    assert asked(service)["decided"] == 0


def test_the_pictures_of_a_label_are_chosen_by_keys_alone(audit: Any, service: Service) -> None:
    by_label(audit)
    audit.locator("#doing >> text=None").click()
    for key in ("ArrowRight", "Space", "Shift+ArrowRight"):  # the first one only enters the grid
        audit.keyboard.press(key)
    chosen = audit.locator(".tile[aria-selected='true']")
    assert chosen.count() == 2 and audit.locator(".tile").first.get_attribute("aria-selected") == "true"
    press(audit, "k")
    assert asked(service)["settled"] == 2


def test_a_decision_without_an_answer_is_told_and_the_page_goes_on_by_itself(audit: Any, service: Service) -> None:
    audit.keyboard.press("ArrowRight")
    shown = title(audit)
    audit.context.set_offline(True)
    audit.keyboard.press("k")
    audit.locator("#trouble", has_text="does not answer. Trying again").wait_for()
    audit.context.set_offline(False)
    audit.locator("#trouble button").click()
    audit.locator("#trouble").wait_for(state="hidden")
    assert title(audit) == shown and audit.locator("#said").inner_text().startswith("2 of ")
    assert asked(service)["decided"] == 0
    press(audit, "k")
    assert asked(service)["decided"] == 1


def test_of_pictures_that_somebody_else_has_decided_about_nothing_is_kept(audit: Any, service: Service) -> None:
    by_label(audit)
    label, rows = asked(service)["ranges"][0]["label"], asked(service)["ranges"][0]["rows"]
    other = {"row": rows[0], "kind": "keep", "about": label}
    assert audit.request.post("/api/audit/decisions", data={"decisions": [other]}).ok
    audit.keyboard.press("a")
    audit.locator("#trouble", has_text="somebody else decided meanwhile").wait_for()
    assert asked(service)["decided"] == 1
    tile = audit.locator(f".tile[data-row='{rows[0]}']")
    assert "changed meanwhile" in tile.inner_text() and tile.get_attribute("aria-selected") == "false"
    assert audit.locator(".tile[aria-selected='true']").count() == len(rows) - 1  # the others are still chosen
    press(audit, "a")
    assert asked(service)["decided"] == 2 and audit.locator("#trouble").is_hidden()


@pytest.mark.parametrize("kind", ["accept", "keep", "other"])
@pytest.mark.parametrize("first", ["keep", "other"])
def test_who_decides_second_about_a_row_is_told_and_sees_it(
    audit: Any, service: Service, first: str, kind: str
) -> None:
    row = asked(service)["queue"][0]
    shown = title(audit)
    labels = {"labels": row["given"]} if first == "other" else {}  # the same labels as before, and decided by now
    assert audit.request.post(
        "/api/audit/decisions", data={"decisions": [{"row": row["row"], "kind": first, **labels}]}
    ).ok
    audit.keyboard.press(kind[0])
    if kind == "other":
        audit.fill("#find", "blue")
        audit.keyboard.press("Enter")
        with audit.expect_response("**/api/audit/decisions"):
            audit.keyboard.press("Enter")
    audit.locator("#trouble", has_text="somebody else decided meanwhile; nothing was kept").wait_for()
    assert asked(service)["decided"] == 1 and title(audit) == shown
    assert "Somebody has decided" in audit.locator("#row").inner_text()
    press(audit, "k")  # by now it was seen
    assert asked(service)["decided"] == 2 and audit.locator("#trouble").is_hidden()


def test_a_row_that_weighs_is_opened_by_itself_and_has_an_address(audit: Any, service: Service) -> None:
    near = asked(service)["queue"][0]["neighbours"][0]
    shown = title(audit)
    audit.locator(".near a").first.click()
    until(audit, lambda: title(audit) == near["name"] and audit.url.endswith(f"/audit?row={near['row']}"))
    audit.reload()
    until(audit, lambda: title(audit) == near["name"] and "by itself" in audit.locator("#said").inner_text())
    press(audit, "k")
    (line,) = (service.run / "decisions.jsonl").read_text().splitlines()[-1:]
    assert json.loads(line)["row"] == near["row"]
    until(audit, lambda: audit.url.endswith("/audit") and "1 of" in audit.locator("#said").inner_text())
    audit.go_back()
    until(audit, lambda: title(audit) == near["name"])
    audit.go_back()
    until(audit, lambda: title(audit) == shown)
    for address in ("/audit?row=999999", "/audit?item=1", "/audit?label=klingon"):
        audit.goto(address)
        audit.locator("#notice a", has_text="To the queue").click()
        row(audit)


def test_what_a_search_found_leads_to_its_labels(audit: Any, service: Service) -> None:
    first = asked(service)["queue"][0]
    query = urlencode({"q": first["caption"], "modality": "image", "by": "words"})
    hits = json.loads(urlopen(f"{service.address}/api/search?{query}").read())["hits"]["image"]
    (held,) = [one for one in hits if one["caption"] == first["caption"]]
    audit.goto(f"/?q=red&open={held['id']}")
    audit.locator("#item a", has_text="Correct them").click()
    until(audit, lambda: title(audit) == first["caption"] and audit.url.endswith(f"/audit?row={first['row']}"))


def test_the_pictures_of_a_label_have_an_address(audit: Any, service: Service) -> None:
    label = asked(service)["classes"][1]["label"]
    by_label(audit)
    audit.fill("#pick", label)
    audit.dispatch_event("#pick", "change")
    audit.locator("#about", has_text=f"have {label}.").wait_for()
    assert audit.url.endswith(f"/audit?label={label}")
    audit.reload()
    audit.locator("#about", has_text=f"have {label}.").wait_for()
    audit.go_back()
    audit.locator("#about", has_text="have").wait_for()
    audit.go_back()
    row(audit)


def test_a_decision_while_the_labels_are_read_anew_is_told_not_to_be_taken(audit: Any, service: Service) -> None:
    shown, held, is_held = title(audit), [], [False]
    refused(audit, "**/api/audit/decisions")
    audit.route("**/api/audit?*", lambda route: held.append(route) if is_held[0] else route.continue_())
    audit.reload()  # a page that is open already may send its next request past a new route
    row(audit)
    is_held[0] = True
    audit.keyboard.press("a")
    audit.locator("#said", has_text="The service was started again").wait_for()
    until(audit, lambda: len(held) == 1)
    assert audit.locator("#row").is_hidden()
    is_held[0] = False
    held[0].continue_()
    audit.unroute("**/api/audit/decisions")
    row(audit)
    assert title(audit) == shown and asked(service)["decided"] == 0


def test_what_cannot_be_fetched_leaves_what_is_shown(audit: Any, service: Service) -> None:
    by_label(audit)
    audit.context.set_offline(True)
    audit.locator("#ways button", has_text="One by one").click()
    audit.locator("#trouble", has_text="does not answer").wait_for()
    assert (
        audit.locator("#grid").is_visible() and audit.locator("#ways [aria-pressed='true']").inner_text() == "By label"
    )
    audit.context.set_offline(False)
    audit.locator("#row .decide").wait_for()
    assert asked(service)["decided"] == 0


def test_the_table_is_saved(audit: Any, service: Service) -> None:
    first = asked(service)["queue"][0]
    press(audit, "a")
    with audit.expect_download() as download:
        audit.click("#export")
    assert download.value.suggested_filename == "labels.csv"
    assert "crossbit train DATA --labels labels.csv" in audit.locator("#said").inner_text()
    with open(download.value.path(), newline="", encoding="utf-8") as file:
        (row,) = [row for row in csv.DictReader(file) if row["caption"] == first["caption"]]
    assert set(row["labels"].split(";")) == set(first["proposed"])


def test_the_runs_page_says_in_words_what_was_made_wrong(audit: Any) -> None:
    audit.goto("/run")
    said = "On purpose, in 20 % of the training rows one label is exchanged for another (swap-one:0.2)."
    until(audit, lambda: audit.locator("#noise li").first.inner_text() == said)


def test_a_killed_service_goes_on_where_it_stopped(audit: Any, service: Service) -> None:
    press(audit, "a")
    press(audit, "k")
    before = asked(service)
    service.process.kill()
    service.process.join(60)
    with open(service.run / "decisions.jsonl", "ab") as file:
        file.write(b'{"data": "a line that was being writ')
    audit.keyboard.press("a")
    audit.locator("#trouble", has_text="does not answer").wait_for()
    shown = title(audit)
    service.start()
    audit.locator("#said", has_text="The service was started again").wait_for()  # it asked again by itself
    assert audit.locator("#trouble").is_hidden()
    audit.locator("#row:not([hidden]) .decide").wait_for(timeout=300_000)
    assert title(audit) == shown and "by itself" not in audit.locator("#said").inner_text()
    assert asked(service) == before
    assert "2 decisions" in audit.locator("#progress").inner_text()


def test_all_is_said_where_nothing_is_left(audit: Any) -> None:
    def emptied(route: Any) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"queue": [], "in_all": 0})

    audit.route("**/api/audit?*", emptied)
    audit.reload()
    notice = audit.locator("#notice", has_text="No label is left that looks wrong")
    notice.wait_for()
    assert "Nothing is to be done" in notice.inner_text()  # nothing was decided: there is nothing to train on


def test_who_waits_for_the_first_look_is_told_how_far_it_is(audit: Any, shots: Path) -> None:
    step, asked = "step 4 of 6: predicting the labels of 7,156 rows from one another", [0]

    def opening(route: Any) -> None:
        asked[0] += 1
        error = {"error": f"the audit is being opened: {step} ({30 + asked[0]} s so far)"}
        route.fulfill(status=503, json=error, headers={"Retry-After": "1"})

    audit.route("**/api/audit?*", opening)
    audit.reload()
    said = "Step 4 of 6: predicting the labels of 7,156 rows from one another"
    audit.locator("#opening", has_text=f"{said} (32 s so far)").wait_for()
    bar = audit.locator("#notice progress")
    assert audit.locator("#export").is_hidden()  # there is nothing yet
    assert bar.is_visible() and (bar.get_attribute("value"), bar.get_attribute("max")) == ("3", "6")
    until(audit, lambda: audit.locator("#live").inner_text() == said)
    audit.screenshot(path=shots / "audit-opening.png")
    audit.unroute("**/api/audit?*")
    row(audit)
    assert audit.locator("#notice").is_hidden()


def test_a_run_without_labels_is_told(audit: Any) -> None:
    said = {"error": "data 'x' has no labels in its training rows"}
    audit.route("**/api/audit?*", lambda route: route.fulfill(status=400, json=said))
    audit.reload()
    audit.locator("#notice", has_text="has no labels").wait_for()
    assert audit.locator("#export").is_hidden()


def row(page: Any) -> None:
    page.locator("#row .decide").wait_for()


def other(page: Any) -> None:
    page.keyboard.press("o")


def new(page: Any) -> None:
    other(page)
    page.fill("#find", "violet")
    page.keyboard.press("Enter")
    page.locator("#add-new button").wait_for()


def refused(page: Any, addresses: str, wait: str = "600") -> None:
    """The labels are still being read."""
    step = "step 4 of 6: predicting the labels of 7,156 rows from one another"
    error = {"error": f"the audit is being opened: {step} (31 s so far)"}
    page.route(addresses, lambda route: route.fulfill(status=503, json=error, headers={"Retry-After": wait}))


def opening(page: Any) -> None:
    refused(page, "**/api/audit?*")
    page.reload()
    page.locator("#opening").wait_for()


def keys(page: Any) -> None:
    page.keyboard.press("?")


@pytest.mark.parametrize("state", [row, by_label, other, new, opening, keys], ids=lambda state: state.__name__)
def test_axe_finds_nothing_in_any_theme_and_width(
    audit: Any, shots: Path, need: Callable[[str], ModuleType], state: Callable[[Any], None]
) -> None:
    axe = need("axe_playwright_python.sync_playwright").Axe()
    state(audit)
    look_in_all_forms(audit, axe, shots, f"audit-{state.__name__}")


def test_what_decides_is_in_reach_on_a_telephone(audit: Any) -> None:
    audit.set_viewport_size({"width": 390, "height": 640})
    for at in (0, 200):
        audit.evaluate(f"scrollTo(0, {at})")
        box = audit.locator("#row .decide").bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 640


def test_what_is_proposed_is_in_sight_on_a_telephone(audit: Any) -> None:
    audit.set_viewport_size({"width": 390, "height": 720})
    labels, decide = (audit.locator(one).bounding_box() for one in ("#row .labels-of", "#row .decide"))
    assert labels["y"] + labels["height"] <= decide["y"]


def test_a_wrong_token_is_said_to_be_wrong(audit: Any, service: Service) -> None:
    def guarded(route: Any) -> None:
        if route.request.headers.get("authorization") == "Bearer right":
            route.continue_()
        else:
            route.fulfill(status=401, json={"error": "a wrong token, or none"})

    audit.route("**/api/audit/decisions", guarded)
    audit.keyboard.press("k")
    wrong = audit.locator("#token-wrong")
    audit.locator("#token[open]").wait_for()
    assert wrong.inner_text() == ""
    audit.keyboard.type("wrong")
    audit.keyboard.press("Enter")
    until(audit, lambda: "not the service's" in wrong.inner_text())
    audit.keyboard.press("Escape")
    audit.locator("#trouble", has_text="A token is needed, so nothing was decided").wait_for()
    audit.keyboard.press("k")
    audit.locator("#token[open]").wait_for()
    audit.keyboard.type("right")
    press(audit, "Enter")
    assert asked(service)["decided"] == 1 and audit.locator("#trouble").is_hidden()


def test_nothing_moves_while_it_loads(audit: Any) -> None:
    audit.wait_for_load_state("networkidle")
    assert sum(audit.evaluate("window.shifts")) < 0.01


def test_an_older_answer_does_not_take_the_place_of_what_was_chosen_later(audit: Any, service: Service) -> None:
    by_label(audit)
    one, other = (each["label"] for each in asked(service)["classes"][:2])
    held: list[Any] = []
    audit.route(f"**/api/audit?*label={one}", lambda route: held.append(route))
    for label in (one, other):
        audit.fill("#pick", label)
        audit.dispatch_event("#pick", "change")
    audit.locator("#about", has_text=f"have {other}.").wait_for()
    assert len(held) == 1
    held[0].continue_()
    audit.wait_for_timeout(300)
    assert f"have {other}." in audit.locator("#about").inner_text()
