"""`crossbit search` against brute force over what `encode` writes: distances, order, ties, filters, ways to ask."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbit
from crossbit.data import PairedData
from crossbit.index.segments import halves
from crossbit.model import load_model
from crossbit.runs.folder import RunFolder
from crossbit.search.items import ids_of
from crossbit.search.opened import SAID, SAME
from crossbit.search.query import AWAY
from oracles import expected_average_precision, hamming, is_relevant, tie_groups
from own_runs import indexed, own_place, trained
from tiny import Command, done, runner

pytestmark = pytest.mark.slow

RUNS = ["jsonl", "named", "networks", "uncaptioned"]
ALL = ("-k", "1000000")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with own_place(tmp_path_factory.mktemp("search")) as folder:
        yield folder


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest, place: Path) -> Path:
    return indexed(place, request.param)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@dataclass(frozen=True)
class Held:
    """What an index of one modality holds, made anew: ids, embeddings as they are stored, what each row shows."""

    data: PairedData
    rows: np.ndarray
    ids: np.ndarray
    vectors: np.ndarray
    things: list[Any]

    def ranked(self, query: np.ndarray, *, by: str, among: Sequence[int] | None = None, left_out: Any = None) -> Any:
        """(id, distance, cosine) of the best of each thing, by (cosine, distance, id) or by (distance, id)."""
        best: dict[Any, tuple[int, int, float]] = {}
        signs = np.where(query >= 0, 1, -1)
        found = []
        for at, vector in enumerate(self.vectors):
            cosine = float(vector @ query / np.linalg.norm(vector) / np.linalg.norm(query))
            distance = hamming(signs[None], np.where(vector >= 0, 1, -1)[None])[0][0]
            if among is None or self.rows[at] in among:
                order = (-round(cosine, 12), distance, self.ids[at]) if by == "cosine" else (distance, self.ids[at])
                found.append((order, at, distance, cosine))
        for _, at, distance, cosine in sorted(found):
            if self.things[at] != left_out:
                best.setdefault(self.things[at], (int(self.ids[at]), distance, cosine))
        return list(best.values())

    def alone(self) -> Held:
        """As if each row were a thing of its own."""
        return replace(self, things=self.ids.tolist())


def held(run: Path, modality: str) -> Held:
    data, rows = RunFolder(run).data(), RunFolder(run).splits["retrieval"]
    vectors = halves(load_model(run).embed(modality, data[modality][rows])).astype(np.float64)
    things = rows if data.group is None else data.group[rows]
    return Held(data, rows, ids_of(data, rows), vectors, things.tolist())


def hits(command: Command, run: Path, *words: str) -> dict[str, Any]:
    return dict(json.loads(done(command, "search", run, *words, "--json"))["hits"])


def same(found: list[dict[str, Any]], expected: list[tuple[int, int, float]], *, cosines: bool = True) -> None:
    assert [(hit["id"], hit["distance"]) for hit in found] == [each[:2] for each in expected]
    for hit, (_, _, cosine) in zip(found, expected, strict=True):
        assert hit["cosine"] == (pytest.approx(cosine, abs=6e-7) if cosines else None)  # it is printed so


def query_of(run: Path, command: Command, words: str, folder: Path) -> np.ndarray:
    """The embedding that `encode` writes of words."""
    (folder / "words.txt").write_text(words + "\n")
    done(command, "encode", run, folder / "words.txt", "--modality", "text", "--out", folder / "w.npy", "--real")
    return np.asarray(np.load(folder / "w.npy")[0], np.float64)


@pytest.mark.parametrize("words", ["red circle", "a square in blue"])
def test_words_find_pictures(run: Path, words: str, tmp_path: Path, command: Command) -> None:
    query, images = query_of(run, command, words, tmp_path), held(run, "image")
    same(hits(command, run, words, "--by", "codes", *ALL)["image"], images.ranked(query, by="cosine"))
    by_codes = hits(command, run, words, "--by", "codes", "--no-rerank", *ALL)["image"]
    same(by_codes, images.ranked(query, by="distance"), cosines=False)
    few = hits(command, run, words, "--by", "codes", "-k", "3")["image"]
    same(few, images.ranked(query, by="cosine")[:3])
    year = [row for row, year in enumerate(images.data.columns["year"].tolist()) if year < 2010]
    limited = hits(command, run, words, "--by", "codes", "--where", "year < 2010", *ALL)["image"]
    same(limited, images.ranked(query, by="cosine", among=year))


def test_words_and_codes_count_together(run: Path, command: Command) -> None:
    by = {way: hits(command, run, "red circle", "--by", way, *ALL)["image"] for way in ("codes", "words", "both")}
    assert by["words"] and all({"red", "circle"} & {*hit["why"]} for hit in by["words"])

    def thing(hit: dict[str, Any]) -> Any:
        return hit["item"].get("group") or hit["item"]["path"]

    with crossbit.open_search(run) as search:
        ids = np.array([hit["id"] for hit in by["both"]])
        match = search.opened("image").captions.match(frozenset({"red", "circle"}), ids)
    scores = SAID * match + (1 - SAID) * np.array([hit["cosine"] for hit in by["both"]])
    np.testing.assert_allclose(scores, np.sort(scores)[::-1], atol=1e-6)  # cosines are printed so
    things = {way: {thing(hit) for hit in by[way]} for way in by}
    assert things["both"] == things["codes"] | things["words"]
    for hit in by["both"]:
        assert hit["by"] == [way for way in ("words", "codes") if thing(hit) in things[way]]


def test_a_picture_and_an_item_find_what_is_like_them(run: Path, command: Command) -> None:
    model, data = load_model(run), RunFolder(run).data()
    path = str(data.path[data.splits["query"][0]])  # type: ignore[index]
    query = model.embed("image", path)[0].astype(np.float64)
    both = {modality: held(run, modality) for modality in model.modalities}
    images, texts = both["image"], both["text"]
    same(hits(command, run, "--image", path, "--by", "codes", *ALL)["text"], texts.ranked(query, by="cosine"))
    by_pictures = hits(command, run, "--image", path, "--by", "pictures", *ALL)["text"]
    assert [hit["id"] for hit in by_pictures] == [id_ for id_, _, _ in images.ranked(query, by="cosine")]
    found = hits(command, run, "--image", path, *ALL)["text"]
    text, look = ({id_: near for id_, _, near in each.alone().ranked(query, by="cosine")} for each in (texts, images))
    likeness = {id_: look[id_] if look[id_] >= SAME else (text[id_] + look[id_]) / 2 for id_ in text}
    best: dict[Any, float] = {}
    for id_, thing in zip(texts.ids.tolist(), texts.things, strict=True):
        best[thing] = max(best.get(thing, -1.0), likeness[id_])
    np.testing.assert_allclose([likeness[hit["id"]] for hit in found], sorted(best.values(), reverse=True), atol=1e-9)
    assert all(hit["picture_cosine"] == pytest.approx(look[hit["id"]], abs=6e-7) for hit in found)
    query = np.sum([each.vectors[2] / np.linalg.norm(each.vectors[2]) for each in both.values()], axis=0)
    found = hits(command, run, "--item", str(images.ids[2]), *ALL)
    assert found.keys() == both.keys()
    for modality, each in both.items():
        same(found[modality], each.ranked(query, by="cosine", left_out=images.things[2]))


def test_unwanted_items_are_left_out_with_their_groups_and_the_query_is_moved_away(
    run: Path, tmp_path: Path, command: Command
) -> None:
    query, images, texts = query_of(run, command, "red circle", tmp_path), held(run, "image"), held(run, "text")
    unwanted = [0, 3]
    moved = [
        np.sum([each.vectors[at] / np.linalg.norm(each.vectors[at]) for each in (images, texts)], 0) for at in unwanted
    ]
    query = query / np.linalg.norm(query) - AWAY * np.mean([each / np.linalg.norm(each) for each in moved], axis=0)
    expected = images.ranked(query, by="cosine")
    things = dict(zip(images.ids.tolist(), images.things, strict=True))
    expected = [each for each in expected if things[each[0]] not in [images.things[at] for at in unwanted]]
    options = [word for at in unwanted for word in ("--not", str(images.ids[at]))]
    same(hits(command, run, "red circle", "--by", "codes", *options, *ALL)["image"], expected)
    ran = command("search", run, "red circle", "--not", "5")
    assert ran.code == 2 and "no item 5 in" in ran.errors[-1]


def test_python_finds_the_same_to_the_last_digits(run: Path, tmp_path: Path, command: Command) -> None:
    expected = held(run, "image").ranked(query_of(run, command, "blue cross", tmp_path), by="cosine")
    with crossbit.open_search(run) as search:
        found = search("blue cross", by="codes", k=1000)["image"]
    np.testing.assert_allclose([hit.cosine for hit in found], [each[2] for each in expected], atol=1e-9)
    assert [hit.id for hit in found] == [each[0] for each in expected]


@pytest.mark.parametrize("name", ["jsonl", "tsv"])
def test_queries_that_search_one_another(place: Path, name: str, tmp_path: Path, command: Command) -> None:
    run = trained(place, name)
    model, data = load_model(run), RunFolder(run).data()
    label = data.query.label
    signs = {m: np.where(np.unpackbits(model.encode(m, data.query[m]), axis=1), 1, -1) for m in model.modalities}
    told = json.loads(done(command, "evaluate", run, "--database", "query", "--json"))
    assert label is not None and told["map"].keys() == {"image->text", "text->image"}
    for way, value in told["map"].items():
        query, database = way.split("->")
        each = [
            expected_average_precision(tie_groups(distances, [is_relevant(label[row], other) for other in label]))
            for row, distances in enumerate(hamming(signs[query], signs[database]))
            if label[row].any()
        ]
        assert value == pytest.approx(np.mean(each), abs=1e-9)
