"""Sheets: one file with everything inside, the right pictures at the right hits, nothing of a caption taken as HTML."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossbit.data.types import PairedData
from crossbit.model import Model
from crossbit.search.build import index_data
from crossbit.search.results import SearchHit, SearchResults
from crossbit.search.searcher import Searcher
from crossbit.search.sheet import QUERIES, SHOWN, Pictures, show, thumbnail, write_results, write_sheet
from crossbit.storage.picture_files import PictureFiles


def pixels(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def pictures_in(page: str) -> list[np.ndarray]:
    return [pixels(address) for address in re.findall(r'src="(data:[^"]+)"', page)]


def results(*items: dict[str, object]) -> SearchResults:
    hits = tuple(SearchHit(id_, "image", 3, 0.5, item, ("fox",)) for id_, item in enumerate(items))
    return SearchResults("a <b>fox</b>", {"image": hits}, 0.1, 90, True, notes=("a note",))


def test_hits_have_the_pictures_of_their_paths_or_else_rows(data: PairedData, tmp_path: Path) -> None:
    found = results({"row": 4, "path": "17.png"}, {"row": 4, "path": "gone.png"}, {"row": 5})
    write_results(tmp_path / "found.html", found, data, data["image"][8])
    page = (tmp_path / "found.html").read_text()
    shown = pictures_in(page)
    assert [picture.tolist() for picture in shown] == [data["image"][row].tolist() for row in (8, 17, 5)]
    assert "a note" in page and "in common: fox" in page


def test_a_sheet_is_one_file_and_takes_no_caption_as_html(tmp_path: Path) -> None:
    write_results(tmp_path / "found.html", results({"caption": "<script>x</script>"}), None)
    page = (tmp_path / "found.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page and "<b>" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


@pytest.mark.parametrize(("shape", "shown"), [((16, 16, 3), (16, 16, 3)), ((500, 1000, 3), (48, 96, 3))])
def test_thumbnails_are_small_and_keep_their_form(shape: tuple[int, ...], shown: tuple[int, ...]) -> None:
    assert pixels(thumbnail(np.full(shape, 99, np.uint8))).shape == shown


def test_pictures_in_files_are_read_and_one_that_is_gone_is_left_out(data: PairedData, tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), "red").save(tmp_path / "0.png")
    files = PictureFiles([tmp_path / f"{row}.png" for row in range(90)])
    pictures = Pictures(data.replace(modalities={**data.modalities, "image": files}))
    assert pixels(pictures.at(0)).shape == (10, 20, 3) and pictures.at(1) == ""


@pytest.mark.slow
def test_a_runs_sheet_shows_held_out_queries_and_marks_what_shares_a_label(
    data: PairedData, model: Model, tmp_path: Path
) -> None:
    assert write_sheet(tmp_path, data, model) == tmp_path / "sheet.html"
    page = (tmp_path / "sheet.html").read_text()
    lines = page.split('<div class="query">')[1:]
    assert len(lines) == 2 * QUERIES
    for line in lines:
        cards = line.split("<figure")[1:]
        assert len(cards) == 1 + SHOWN
        rows = [next(r for r in range(90) if (data["image"][r] == pictures_in(card)[0]).all()) for card in cards]
        assert rows[0] in data.splits["query"] and set(rows[1:]) <= set(data.splits["retrieval"].tolist())
        labels = data.label[rows].astype(bool) if data.label is not None else np.empty(0)
        right = [bool((labels[0] & other).any()) for other in labels[1:]]
        assert ['class="right"' in card for card in cards[1:]] == right
    again = tmp_path / "again"
    again.mkdir()
    write_sheet(again, data, model)
    assert pictures_in((again / "sheet.html").read_text())[0].tolist() == pictures_in(page)[0].tolist()


def test_a_run_on_vectors_or_without_queries_has_no_sheet(data: PairedData, model: Model, tmp_path: Path) -> None:
    alone = data.replace(splits={**data.splits, "query": np.empty(0, np.int64)})
    assert write_sheet(tmp_path, alone, model) is None and not list(tmp_path.iterdir())


def test_a_notebook_shows_results_with_their_pictures(data: PairedData) -> None:
    found = results({"row": 4, "caption": "<script>x</script>"}, {"row": 5})
    shown = show(dataclasses.replace(found, fits=0.08), data)
    html = shown._repr_html_()
    assert [picture.tolist() for picture in pictures_in(html)] == [data["image"][row].tolist() for row in (4, 5)]
    assert "<script" not in html and "&lt;script&gt;" in html and "<b>" not in html and "in common: fox" in html
    assert "Nothing here seems to fit (8 %)" in html and "<body" not in html and "<html" not in html
    selectors = [
        line.strip() for line in html[html.index("<style>") + 7 : html.index("</style>")].splitlines() if "{" in line
    ]
    assert selectors and all(
        part.strip().startswith(".crossbit ") for line in selectors for part in line.partition("{")[0].split(",")
    )  # a notebook's own page keeps its looks
    assert repr(shown) == repr(found) and shown.results.fits == 0.08


def test_a_searcher_shows_results_with_the_pictures_of_its_run(data: PairedData, model: Model, tmp_path: Path) -> None:
    index_data(model, data, tmp_path / "index")
    with Searcher(model, tmp_path / "index") as search:
        assert not pictures_in(search.show(search("a level bar", k=3))._repr_html_())  # it knows of no run
