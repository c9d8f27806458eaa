"""The demo end to end on a few glyphs, and its page: whole, self-contained, escaped, saying what the figures say."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crossbit.cli import main
from crossbit.data import load_data, save_neutral
from crossbit.data.types import PairedData
from crossbit.demo import next_commands, run_demo, write_report
from crossbit.demo.page import build_page
from crossbit.demo.queries import PICTURES, WORDS, choose, holds
from crossbit.demo.work import Stages, Story, make_story
from crossbit.errors import UserError
from crossbit.model import Model, load_model

SETTINGS = {"width": 24, "epochs": 4, "warmup": 2, "lr": 3e-3, "batch": 32}
HOSTILE = "</title><script>alert('x')</script> & \"{{ 7 * 7 }}\" {% if"
VOID = {"br", "hr", "img", "meta"}  # elements that are never closed


class Page(HTMLParser):
    """What a browser would make of a page: tags in order, balanced or not, attributes, and the texts by class."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class") or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self.open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}> at line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1][1] or self.open[-1][0], []).append(data)


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
    given = {"method": "nrch", "noise": "swap-one:0.5", "seed": 0}
    told = make_story(data, folder / "run", Stages(lambda line: None), settings=SETTINGS, progress=False, **given)
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
def test_figures_on_the_page_are_the_reports(page: Page, story: Story, folder: Path) -> None:
    reports = json.loads((folder / "report.json").read_text(encoding="utf-8"))["reports"]
    assert set(reports) == {"run", "no noise separator", "random codes"}
    in_order = [reports[name]["map"] for name in ("run", "no noise separator", "random codes")]
    assert page.texts["value"] == [f"{value:.3f}" for map_ in in_order for value in map_.values()]
    assert page.texts["value"][:2] == [f"{value:.3f}" for value in story.report.map.values()]


@pytest.mark.slow
def test_the_verdict_follows_the_numbers(story: Story) -> None:
    assert story.without is not None
    better = replace(
        story.report, map={direction: value + 0.1 for direction, value in story.without.report.map.items()}
    )
    worse = replace(story.report, map={direction: value - 0.1 for direction, value in story.without.report.map.items()})
    said = [build_page(replace(story, report=report), []) for report in (better, worse, story.without.report)]
    assert [text.count("lost 0.100 mAP") for text in said] == [2, 0, 0]
    assert [text.count("gained 0.100 mAP") for text in said] == [0, 2, 0]
    assert [text.count("changed nothing") for text in said] == [0, 0, 2]


@pytest.mark.slow
def test_the_floor_is_the_same_network_on_the_same_noise(story: Story) -> None:
    """In the warm-up both trust everything, so the losses are equal to the bit; afterwards they are not."""
    assert story.without is not None
    ours, other = ([line["loss"] for line in lines] for lines in (story.model.history, story.without.history))
    assert ours[: SETTINGS["warmup"]] == other[: SETTINGS["warmup"]]
    assert ours[-1] != other[-1]


@pytest.mark.slow
def test_codes_beat_random_ones(story: Story) -> None:
    for direction, value in story.report.map.items():
        assert value > story.random.spread[direction]["best"]


@pytest.mark.slow
def test_queries_are_queries(story: Story, data: PairedData) -> None:
    asked = [search.row for search in [*story.words, *story.pictures]]
    assert len(set(asked)) == len(asked)
    assert set(asked) <= set(data.splits["query"].tolist())
    assert asked == choose(data, [*WORDS, *PICTURES], seed=0)
    codes = {name: story.model.encode(name, data[name]) for name in ("image", "text")}
    for search in [*story.words, *story.pictures]:
        assert {row for row, _ in search.hits} <= set(data.splits["retrieval"].tolist())
        distances = codes["image" if search.modality == "text" else "text"] ^ codes[search.modality][search.row]
        assert [distance for _, distance in search.hits] == [
            int(np.unpackbits(distances[row]).sum()) for row, _ in search.hits
        ]
        labels = data.label[[search.row]] & data.label[[row for row, _ in search.hits]]
        assert search.right == labels.any(axis=1).tolist()


@pytest.mark.slow
def test_the_best_pictures_are_those_of_the_highest_cosine(story: Story, data: PairedData) -> None:
    """So few pairs that the shortlist holds at least a hundred of them, and the best of those come first."""
    rows = data.splits["retrieval"]
    codes, pictures = story.model.encode("image", data["image"]), story.model.embed("image", data["image"])
    for search in story.words:
        words = [str(data["text"][search.row])]
        far = np.unpackbits(codes ^ story.model.encode("text", words), axis=1).sum(axis=1)
        near = rows[far[rows] <= np.sort(far[rows])[99]]
        cosine = (pictures @ story.model.embed("text", words)[0]) / np.linalg.norm(pictures, axis=1)
        shown = cosine[[row for row, _ in search.hits]]
        np.testing.assert_allclose(shown, np.sort(cosine[near])[::-1][: len(shown)], atol=1e-3)


@pytest.mark.slow
def test_a_method_without_a_separator_has_no_words_about_one(story: Story) -> None:
    held = story.model
    history = [{"epoch": line["epoch"], "loss": line["loss"]} for line in held.history]
    model = Model(held.config, held.encoders, held.featurisers, history=history)
    text = build_page(replace(story, model=model, without=None, seconds={}), [])
    Page(text)
    assert "separator" not in text
    assert text.count("<svg") == 1  # the loss
    assert text.count('scope="row"') == 2  # the run, random codes


@pytest.mark.slow
def test_next_commands_work(story: Story, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in next_commands(folder):
        assert main(words) == 0
        assert capsys.readouterr().out


@pytest.mark.slow
def test_the_page_calls_crossbit_as_it_was_called(story: Story, tmp_path: Path) -> None:
    page = Page(write_report(story, tmp_path, "'my tools/crossbit'").read_text(encoding="utf-8"))
    lines = [shlex.split(line) for line in "".join(page.texts["code"]).splitlines()]
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
        ({"method": "nrhc"}, "did you mean 'nrch'"),
        ({"noise": "swap-on:0.5"}, "did you mean 'swap-one'"),
        ({"noise": "swap-one:1.5"}, "1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"settings": {"widht": 8}}, "did you mean 'width'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run_demo(tmp_path / "demo", **wrong)
    assert not list(tmp_path.iterdir()) and not capsys.readouterr().err


@pytest.mark.slow
def test_interrupted_it_keeps_what_was_done(data: PairedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crossbit.demo.work.evaluate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path / "out", data=data, settings=SETTINGS, progress=False)
    assert load_model(tmp_path / "out" / "run").bits == 64
    assert main(["search", str(tmp_path / "out" / "run"), "latin small letter"]) == 0


@pytest.mark.slow
def test_run_demo_says_what_it_does(data: PairedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run_demo(tmp_path / "out", data=data, settings=SETTINGS, noise="swap-one:0", seed=3)
    captured = capsys.readouterr()
    assert captured.out == ""
    for stage in ("data", "train", "index", "search", "evaluate"):
        assert re.search(rf"^{stage}: ", captured.err, re.MULTILINE)
    assert "corrupted on purpose" not in report.read_text(encoding="utf-8")
