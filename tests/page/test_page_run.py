"""The run's page shows what the service says of the run."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import urlopen

import pytest

from browsing import Service


@pytest.mark.slow
def test_figures_stand_beside_floor_and_chance_with_their_protocol(page: Any, service: Service) -> None:
    told = json.loads(urlopen(f"{service.address}/api/run").read())
    page.goto("/run")
    page.locator("#figures li").first.wait_for()
    assert page.locator("#figures li").count() == len(told["figures"]) > 0
    shown = page.locator("section", has=page.locator("#figures")).inner_text()
    for figure in told["figures"]:
        assert figure["protocol"] in shown
        for direction, value in figure["value"].items():
            assert f"{value:.3f}" in shown, direction
    assert "floor" in shown and "chance" in shown
    assert page.locator("#title").inner_text() == told["run"]
    assert f"{told['items']:,}" in page.locator("#made").inner_text()
    assert "no search finds them" in shown  # of who looks for one of them


@pytest.mark.slow
def test_a_run_that_was_not_measured_says_what_measures_it(page: Any) -> None:
    page.route("**/api/run", lambda route: route.fulfill(json=route.fetch().json() | {"figures": []}))
    page.goto("/run")
    page.locator("#lede", has_text="not measured yet: crossbit evaluate run").wait_for()


@pytest.mark.slow
def test_curves_and_noise_are_drawn_from_the_history(page: Any) -> None:
    history = [{"epoch": epoch, "loss": 2 / epoch, "steps": 7} for epoch in (1, 2, 3)]

    def change(route: Any) -> None:
        response = route.fetch()
        said = {"history": history, "noise": ["one label in five is wrong"]}
        route.fulfill(response=response, json=response.json() | said)

    page.route("**/api/run", change)
    audited = {"words": ["label `red` is missing from one item in ten"]}
    page.route("**/api/audit*", lambda route: route.fulfill(json=audited))
    page.goto("/run")
    curves = page.locator("#curves svg")
    curves.first.wait_for()
    names = curves.evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert names == ["loss: from 2 in epoch 1 to 0.667 in epoch 3"]  # steps never change, so they have no curve
    page.locator("#noise", has_text="is missing from one").wait_for()
    assert page.locator("#noise li").all_inner_texts() == [
        "One label in five is wrong.",
        "Label “red” is missing from one item in ten.",
    ]


@pytest.mark.slow
def test_an_audit_that_is_being_made_is_waited_for(page: Any) -> None:
    answers = [(503, {"error": "being opened"}), (200, {"words": ["nothing is wrong"]})]

    def answer(route: Any) -> None:
        status, said = answers.pop(0)
        route.fulfill(status=status, json=said, headers={"Retry-After": "1"})

    page.route("**/api/audit*", answer)
    page.goto("/run")
    page.locator("#noise", has_text="The labels are being read;").wait_for()
    page.locator("#noise", has_text="nothing is wrong").wait_for()
    assert not answers


@pytest.mark.slow
def test_an_audit_is_waited_for_as_long_as_it_takes_and_asked_less_and_less(page: Any) -> None:
    page.clock.install()
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(status=503, json={"error": "being opened"}, headers={"Retry-After": "1"})

    page.route("**/api/audit*", answer)
    page.goto("/run")
    page.locator("#noise", has_text="The labels are being read;").wait_for()
    for _ in range(100):
        page.clock.run_for(10_000)
        page.evaluate("fetch('/healthz')")  # a turn of the browser, so that the answer is in
    assert 60 < len(asked) <= 110
    assert page.locator("#noise", has_text="The labels are being read;").is_visible()
