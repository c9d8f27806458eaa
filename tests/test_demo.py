"""The demo end to end on a few glyphs, and its page: whole, self-contained, escaped, saying what the figures say."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import crossbit
from crossbit.audit import audit_run
from crossbit.cli import main
from crossbit.data import load_data, save_neutral
from crossbit.data.types import PairedData
from crossbit.demo import next_commands, run_demo, write_report
from crossbit.demo.page import build_page
from crossbit.demo.queries import PICTURES, WORDS, choose, holds
from crossbit.demo.tables import MEASURES, table
from crossbit.demo.ways import RandomCodes, chosen, few_threads
from crossbit.demo.work import Stages, Story, make_story
from crossbit.errors import UserError
from crossbit.model import load_model
from crossbit.search.build import index_data
from crossbit.search.searcher import Searcher
from crossbit.training import train
from pages import Page

SETTINGS = {
    "look": {"width": 24, "epochs": 2, "steps": 8, "batch": 32},
    "nrch": {"width": 24, "epochs": 4, "warmup": 2, "lr": 3e-3, "batch": 32},
    "infonce": {"width": 24, "epochs": 2, "batch": 32},
}
WAYS = ["LOOK", "NRCH", "InfoNCE", "random codes"]
HOSTILE = "</title><script>alert('x')</script> & \"{{ 7 * 7 }}\" {% if"


def few_glyphs(folder: Path, count: int = 260) -> PairedData:
    """A few hundred glyphs as a file of their own, every name with markup in it."""
    whole = load_data("glyphs")
    rows = np.sort(np.random.default_rng(0).choice(whole.n, count, replace=False))
    names = np.array([f"{name} {HOSTILE}" for name in whole["text"][rows]])
    splits = {"query": np.arange(40), "train": np.arange(40, 200), "retrieval": np.arange(40, count)}
    path = folder / "few glyphs.npz"
    modalities = {"image": whole["image"][rows], "text": names}
    save_neutral(whole.replace(modalities=modalities, label=whole.label[rows], group=None, splits=splits), path)
    return load_data(path).replace(name=str(path))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PairedData:
    return few_glyphs(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def story(data: PairedData, folder: Path) -> Story:
    given = {"noise": "swap-one:0.5", "seed": 0}
    told = make_story(data, folder, Stages(lambda line: None), settings=SETTINGS, progress=False, **given)
    write_report(told, folder)
    return told


@pytest.fixture(scope="module")
def page(story: Story, folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_page_asks_nothing_of_anyone(page: Page, story: Story, folder: Path) -> None:
    assert {"svg", "img", "table", "th"} <= page.tags
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    sources = [value for name, value in page.attributes if name in {"src", "srcset", "data", "poster", "action"}]
    assert len(sources) > 20
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert all(value.startswith("#") for name, value in page.attributes if name.endswith("href"))
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//\w|@import|url\((?!#)", re.sub(r"base64,[\w+/=]+", "", text))


@pytest.mark.slow
def test_pictures_have_alternatives_and_tables_headers(page: Page) -> None:
    attributes = [name for name, _ in page.attributes]
    assert attributes.count("alt") == attributes.count("src")
    assert attributes.count("scope") >= 5
    assert "caption" in page.tags


@pytest.mark.slow
def test_what_comes_from_data_is_escaped(page: Page, story: Story) -> None:
    """The markup in every name arrives as text, in headings and in lists."""
    assert "script" not in page.tags
    name = str(story.data["text"][story.words[0].row])
    assert name.endswith(HOSTILE)
    assert name in page.texts["h3"]


@pytest.mark.slow
def test_figures_on_the_page_are_those_of_evaluate(page: Page, story: Story, data: PairedData, folder: Path) -> None:
    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert list(told["reports"]) == WAYS
    assert list(told["table"]) == [*WAYS, "chance"]
    there = [f"{cells[name][0]:.3f}" for cells in told["table"].values() for name in MEASURES]
    assert sorted(page.texts["value"] + page.texts["value best"]) == sorted(there)
    report = crossbit.evaluate(folder / "run", data)
    for name, (words, pictures) in told["table"]["LOOK"].items():
        figures = next(of for measure, of in report.questions.items() if measure.startswith(f"{name}("))["figures"]
        ranked = figures["hamming" if name == "mAP@all" else "reranked"]
        assert (words, pictures) == pytest.approx((ranked["text->image"], ranked["image->text"]))


@pytest.mark.slow
def test_the_run_has_its_evaluation(story: Story, folder: Path) -> None:
    assert json.loads((folder / "run" / "report.json").read_text())["map"] == story.ways[0].report.to_dict()["map"]


@pytest.mark.slow
def test_the_best_of_each_column_is_bold(page: Page, story: Story) -> None:
    figures = table(story.ways, story.data)
    best = [max(cells[name][0] for cells in figures.values()) for name in MEASURES]
    assert len(page.texts["value best"]) >= len(MEASURES)
    assert set(page.texts["value best"]) == {f"{value:.3f}" for value in best}


@pytest.mark.slow
def test_others_learn_as_they_would_from_the_data_itself(story: Story, data: PairedData) -> None:
    """The features that they are given are the same, so that the losses are equal to the bit."""
    for number, method in enumerate(["nrch", "infonce"], start=1):
        settings = {**chosen()[method].get("settings", {}), **SETTINGS[method]}
        with few_threads():
            model = train(data, method=method, noise="swap-one:0.5", settings=settings, progress=False)
        assert story.ways[number].model.history == model.history


def test_random_codes_know_nothing() -> None:
    codes, rows = RandomCodes(["image", "text"], seed=1), np.zeros((500, 3))
    image, text = codes.encode("image", rows), codes.encode("text", rows)
    assert (image == codes.encode("image", rows)).all()
    for one in (image ^ text, image ^ RandomCodes(["image", "text"], seed=2).encode("image", rows)):
        assert abs(np.unpackbits(one).mean() - 0.5) < 0.02


@pytest.mark.slow
def test_queries_are_queries_and_search_what_was_held_out(story: Story, data: PairedData) -> None:
    asked = [search.row for search in [*story.words, *story.pictures]]
    assert len(set(asked)) == len(asked)
    assert set(asked) <= set(data.splits["query"].tolist())
    assert asked == choose(data, [*WORDS, *PICTURES], seed=0)
    for search in [*story.words, *story.pictures]:
        assert list(search.found) == WAYS
        for hits in search.found.values():
            assert {hit.row for hit in hits} <= set(data.splits["query"].tolist())
            assert len({hit.row for hit in hits}) == len(hits) == 10


@pytest.mark.slow
def test_what_is_found_is_what_a_search_finds(story: Story, data: PairedData, folder: Path, tmp_path: Path) -> None:
    model = crossbit.load_model(folder / "run")
    index_data(model, data, tmp_path / "held out", rows=data.splits["query"])
    with Searcher(model, tmp_path / "held out") as searcher:
        for search in story.words:
            found = searcher(str(data["text"][search.row]), k=40, by="codes", modality="image").image
            cosines, distances = ({hit.id: getattr(hit, name) for hit in found} for name in ("cosine", "distance"))
            shown = search.found["LOOK"]
            assert [hit.distance for hit in shown] == [distances[hit.row] for hit in shown]
            ranked = [cosines[hit.row] for hit in shown]  # an index keeps them in half precision
            assert ranked == pytest.approx([hit.cosine for hit in found[:10]], abs=1e-4)


@pytest.mark.slow
def test_own_pictures_and_labels_in_common_are_marked(story: Story, data: PairedData) -> None:
    for search in [*story.words, *story.pictures]:
        labels = set(np.flatnonzero(data.label[search.row]))
        for hit in (hit for hits in search.found.values() for hit in hits):
            other = set(np.flatnonzero(data.label[hit.row]))
            assert hit.overlap == pytest.approx(len(labels & other) / len(labels | other))
            assert hit.own == (data["text"][hit.row] == data["text"][search.row])


@pytest.mark.slow
def test_marks_do_not_need_colour(page: Page, story: Story) -> None:
    marks = page.texts["hidden"]
    shown = [hit for search in story.words for way in WAYS for hit in search.found[way]]
    shown += [hit for search in story.pictures for hit in search.found["LOOK"]]
    assert sum("its own" in mark for mark in marks) == sum(hit.own for hit in shown)
    assert sum("of labels in common" in mark for mark in marks) == len(shown)


@pytest.mark.slow
def test_doubts_are_those_of_the_audit(story: Story, data: PairedData, folder: Path) -> None:
    audit, doubts = audit_run(folder / "run", data), story.doubts
    likely = [entry for entry in audit.entries if (entry.probability or 0) >= 0.5]
    assert doubts.labelled == audit.labelled
    assert (doubts.found, doubts.others) == (
        sum(entry.injected is True for entry in likely),
        sum(entry.injected is False for entry in likely),
    )
    assert doubts.changed == sum(entry.injected is True for entry in audit.entries) == 80
    assert audit.words[0] in doubts.words
    by_row = {entry.row: entry for entry in audit.entries}
    for doubt in doubts.first:
        entry = by_row[doubt.row]
        assert (doubt.given, doubt.changed) == (entry.observed, entry.injected)
        assert sorted(doubt.wrong) == sorted(name for name, _ in entry.wrong)
        assert sorted(doubt.missing) == sorted(name for name, _ in entry.missing)
    kept = load_model(folder / "run").rows  # before the audit asks the lists of other rows
    by_run = dict(zip(kept["row"].tolist(), kept["evidence"].tolist(), strict=True))
    evidence = [by_run[doubt.row] for doubt in doubts.first]
    assert evidence == sorted(evidence, reverse=True)


@pytest.mark.slow
def test_without_a_separator_there_are_no_words_about_one(story: Story) -> None:
    ways = [way for way in story.ways if way.name != "NRCH"]
    found = [replace(one, found={way.name: one.found[way.name] for way in ways}) for one in story.words]
    text = build_page(replace(story, ways=ways, words=found, seconds={}), [])
    page = Page(text)
    assert "svg" not in page.tags and "NRCH" not in text
    assert [text for text in page.texts["h4"] if text in WAYS] == [way.name for way in ways] * len(story.words)


@pytest.mark.slow
def test_what_was_cut_is_said(page: Page, story: Story) -> None:
    said = " ".join(" ".join(page.texts["quiet"]).split())
    assert "NRCH: epochs 4 (default 32, paper 100)" in said
    assert "InfoNCE: epochs 2 (default 6, paper 20)" in said


@pytest.mark.slow
def test_next_commands_work(story: Story, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in next_commands(folder):
        assert main(words) == 0
        assert capsys.readouterr().out


@pytest.mark.slow
def test_the_page_calls_crossbit_as_it_was_called(story: Story, tmp_path: Path) -> None:
    page = Page(write_report(story, tmp_path, "'my tools/crossbit'").read_text(encoding="utf-8"))
    lines = [shlex.split(line) for line in "".join(page.texts["commands"]).splitlines()]
    assert lines == [["my tools/crossbit", *words] for words in next_commands(tmp_path)]


@pytest.mark.slow
def test_the_picture_to_search_with_is_the_first_that_is_shown(story: Story, data: PairedData, folder: Path) -> None:
    with Image.open(folder / "query.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), data["image"][story.pictures[0].row])


def test_queries_are_chosen_by_their_names_alone(tmp_path: Path) -> None:
    """On the built-in set every kind has a query, whatever the seed, and it is the one of the shortest name."""
    whole, kinds = load_data("glyphs"), [*WORDS, *PICTURES]
    rows = choose(whole, kinds, seed=0)
    assert rows == choose(whole, kinds, seed=7)
    names = [str(whole["text"][row]) for row in rows]
    assert len(set(names)) == len(kinds)
    asked = whole.query["text"].tolist()
    for number, kind in enumerate(kinds):
        others = [name for name in asked if holds(name, kind) and name not in names[:number]]
        assert names[number] == min(others, key=lambda name: (len(name), name))


def test_nothing_is_done_where_something_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossbit.demo.load_data", lambda name: pytest.fail("work was begun"))
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(UserError, match="exists already"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"noise": "swap-on:0.5"}, "did you mean 'swap-one'"),
        ({"noise": "swap-one:1.5"}, "1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"settings": {"look": {"widht": 8}}}, "did you mean 'width'"),
        ({"settings": {"lok": {}}}, "did you mean 'look'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run_demo(tmp_path / "demo", **wrong)
    assert not list(tmp_path.iterdir()) and not capsys.readouterr().err


@pytest.mark.slow
def test_interrupted_it_goes_on_where_it_was(
    data: PairedData, story: Story, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    out, options = tmp_path / "out", {"data": data, "settings": SETTINGS, "progress": False}
    monkeypatch.setattr("crossbit.demo.ways.evaluate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_demo(out, **options)
    assert load_model(out / "run").bits == 64
    assert main(["search", str(out / "run"), "latin small letter"]) == 0
    monkeypatch.undo()
    monkeypatch.setattr("crossbit.training.loop._Run", lambda *given: pytest.fail("trained what was trained"))
    with pytest.raises(UserError, match="seed was 0, is 1"):
        run_demo(out, resume=True, seed=1, **options)
    report = run_demo(out, resume=True, **options)
    assert sorted(path.name for path in out.iterdir()) == ["query.png", "report.html", "report.json", "run"]
    figures = [json.loads((of / "report.json").read_text(encoding="utf-8"))["table"] for of in (report.parent, folder)]
    assert figures[0] == figures[1]


@pytest.mark.slow
def test_run_demo_says_what_it_does(data: PairedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run_demo(tmp_path / "out", data=data, settings=SETTINGS, noise="swap-one:0", seed=3)
    captured = capsys.readouterr()
    assert captured.out == ""
    for stage in ("data", "train LOOK", "index", "train NRCH", "train InfoNCE", "search", "evaluate"):
        assert re.search(rf"^{stage}: ", captured.err, re.MULTILINE)
    text = report.read_text(encoding="utf-8")
    assert "on purpose" not in text and "Nothing had been changed." in text
