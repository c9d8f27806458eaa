"""Words find pictures and a picture finds words: against a search by loops over the model's codes and embeddings."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import crossbit
from crossbit.bits import pack
from crossbit.data import PairedData, load_data
from crossbit.errors import UserError
from crossbit.index.filters import TIME_LIMIT_MS
from crossbit.model import Model
from crossbit.search.build import index_data, index_path, items_of
from crossbit.search.inputs import encode_pictures
from crossbit.search.opened import OpenIndex
from crossbit.search.query import Query
from crossbit.search.results import SearchHit
from crossbit.search.searcher import Searcher
from crossbit.storage.pictures import read_picture
from tiny import NAMES, arrays, vectors


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retrieval")
    np.savez(folder / "toy.npz", **arrays())
    return folder


@pytest.fixture(scope="module")
def data(place: Path) -> PairedData:
    return load_data(place / "toy.npz")


@pytest.fixture(scope="module")
def model(data: PairedData) -> Model:
    return crossbit.train(data, method="nrch", bits=16, epochs=1, settings={"width": 16}, progress=False)


@pytest.fixture(scope="module")
def uri(place: Path, model: Model, data: PairedData) -> Path:
    assert index_data(model, data, place / "index") == {"image": 75, "text": 75}
    return place / "index"


@pytest.fixture
def search(model: Model, uri: Path) -> Iterator[Searcher]:
    with Searcher(model, uri) as searcher:
        yield searcher


def nearest(code: np.ndarray, codes: np.ndarray, rows: np.ndarray, k: int) -> list[tuple[int, int]]:
    """The slow, obvious search: (row, distance) of the k nearest, by (distance, row)."""
    found = [
        (bin(int.from_bytes(code) ^ int.from_bytes(other)).count("1"), int(row))
        for other, row in zip(codes, rows, strict=True)
    ]
    return [(row, distance) for distance, row in sorted(found)[:k]]


def best(query: np.ndarray, embeddings: np.ndarray, rows: np.ndarray, near: list[tuple[int, int]]) -> list[int]:
    """The slow, obvious second ranking: rows of `near` by the cosine of their embeddings."""
    at = {int(row): embedding.astype(np.float64) for embedding, row in zip(embeddings, rows, strict=True)}
    cosine = {row: at[row] @ query / np.linalg.norm(at[row]) / np.linalg.norm(query) for row, _ in near}
    return sorted(cosine, key=lambda row: -cosine[row])


def ids_and_distances(hits: Iterable[SearchHit]) -> list[tuple[int, int]]:
    return [(hit.id, hit.distance) for hit in hits]


def test_words_find_pictures(search: Searcher, model: Model, data: PairedData) -> None:
    found = search("a level bar", k=12, rerank=False, by="codes")
    code = model.encode("text", ["a level bar"])[0]
    expected = nearest(code, model.encode("image", data.retrieval["image"]), data.retrieval.index, 12)
    assert list(found.hits) == ["image"]
    assert ids_and_distances(found.image) == expected
    assert [hit.cosine for hit in found] == [None] * 12


def test_a_picture_finds_words(search: Searcher, model: Model, data: PairedData, tmp_path: Path) -> None:
    picture = data.query["image"][0]
    Image.fromarray(picture).save(tmp_path / "query.png")
    code = model.encode("image", picture)[0]
    expected = nearest(code, model.encode("text", data.retrieval["text"]), data.retrieval.index, 5)
    for given in (
        picture,
        Image.fromarray(picture),
        tmp_path / "query.png",
        str(tmp_path / "query.png"),
    ):
        found = search(picture=given, k=5, rerank=False, by="codes")
        assert list(found.hits) == ["text"]
        assert ids_and_distances(found.text) == expected


def stored_in(uri: Path, modality: str) -> tuple[np.ndarray, np.ndarray]:
    """All ids of an index, and their embeddings."""
    with crossbit.open_index(index_path(uri, modality), read_only=True) as index:
        assert index.embeddings is not None
        return index.keys(), index.embeddings.of(index.keys())


def test_the_nearest_are_ranked_by_their_embeddings(
    search: Searcher, model: Model, data: PairedData, uri: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossbit.index.embeddings.AS_NEAR_AS", 20)
    rows, stored = stored_in(uri, "image")
    codes = model.encode("image", data["image"][rows])
    for words in ("a level bar", "slanted", "upright number 3"):
        code, query = model.encode("text", [words])[0], model.embed("text", [words])[0]
        in_order = nearest(code, codes, rows, len(rows))
        near = [hit for hit in in_order if hit[1] <= in_order[19][1]]
        assert 20 <= len(near) < len(rows)
        found = search(words, k=12, by="codes")
        assert [hit.id for hit in found.image] == best(query, stored, rows, near)[:12]
        assert set(ids_and_distances(found.image)) <= set(near)
        assert found == search(words, k=12, by="codes")


def test_what_was_found_tells_its_cosines(search: Searcher, model: Model, data: PairedData) -> None:
    found = search("a level bar", k=20)
    images, query = model.embed("image", data["image"]), model.embed("text", ["a level bar"])[0]
    cosine = images @ query / np.linalg.norm(images, axis=1) / np.linalg.norm(query)
    expected = [cosine[hit.id] for hit in found]
    np.testing.assert_allclose([hit.cosine for hit in found], expected, atol=1e-3)


def test_a_pictures_texts_are_ranked_too(search: Searcher, model: Model, data: PairedData) -> None:
    picture = data.query["image"][0]
    texts = model.embed("text", data["text"])
    cosine = texts @ model.embed("image", picture)[0] / np.linalg.norm(texts, axis=1)
    shown = [cosine[hit.id] for hit in search(picture=picture, k=75, by="codes")]
    np.testing.assert_allclose(shown, sorted(shown, reverse=True), atol=1e-4)


def likeness(model: Model, data: PairedData, rows: np.ndarray, picture: np.ndarray, rerank: bool) -> np.ndarray:
    """Of a picture to the texts and to the pictures of rows, (2, n), by loops: cosines, or bits that agree less those
    that differ, as a share."""
    query, found = model.embed("image", picture)[0].astype(np.float64), []
    for modality in ("text", "image"):
        held = model.embed(modality, data[modality][rows]).astype(np.float64)
        if rerank:
            found.append([one @ query / np.linalg.norm(one) / np.linalg.norm(query) for one in held])
        else:
            found.append([np.where((one >= 0) == (query >= 0), 1, -1).mean() for one in held])
    return np.array(found)


@pytest.mark.parametrize("rerank", [True, False])
def test_a_picture_is_compared_with_texts_and_pictures(
    search: Searcher, model: Model, data: PairedData, rerank: bool
) -> None:
    rows = np.sort(data.splits["retrieval"])
    for picture in data.query["image"][:4]:
        both = likeness(model, data, rows, picture, rerank)
        mean = np.where(both[1] >= 0.999, both[1], both.mean(axis=0))
        for by, expected in ((None, mean), ("both", mean), ("pictures", both[1])):
            found = search(picture=picture, k=75, rerank=rerank, by=by).text
            assert sorted(hit.id for hit in found) == rows.tolist()
            shown = expected[np.searchsorted(rows, [hit.id for hit in found])]
            np.testing.assert_allclose(shown, np.sort(expected)[::-1], atol=1e-3)
            if not rerank:  # shares of bits are exact
                assert [hit.id for hit in found] == rows[np.lexsort((rows, -expected))].tolist()
            assert {way for hit in found for way in hit.by} == (
                {"pictures"} if by == "pictures" else {"codes", "pictures"}
            )
            if rerank:
                own = both[1][np.searchsorted(rows, [hit.id for hit in found])]
                np.testing.assert_allclose([hit.picture_cosine for hit in found], own, atol=1e-3)


@pytest.mark.parametrize("grows", [False, True])
def test_each_code_is_counted_once_however_far_a_search_looks(tmp_path: Path, grows: bool) -> None:
    """The nearest forty of 200 items are of two things, and ten are asked for."""
    rng, encoder = np.random.default_rng(0), {"name": "a", "hash": "b"}
    for modality in ("image", "text"):
        with crossbit.open_index(index_path(tmp_path, modality), bits=16, encoder=encoder) as index:
            embeddings = rng.normal(size=(200, 16))
            index.add(range(200), pack(embeddings), {"group": np.arange(200) % 2}, embeddings=embeddings)
    query = Query("", rng.normal(size=16), frozenset(["image"]))
    limits: dict[str, Any] = {"rerank": True, "where": None, "time_limit_ms": TIME_LIMIT_MS}
    with (
        closing(OpenIndex(str(tmp_path), "text", encoder, 16, grows=grows)) as texts,
        closing(OpenIndex(str(tmp_path), "image", encoder, 16, grows=grows)) as pictures,
    ):
        for ways, codes in ((["codes"], 200), (["pictures"], 200), (["codes", "pictures"], 400)):
            found = texts.search(query, 10, ways, **limits, own=pictures)
            assert (found.compared, found.exact) == (codes, True)
            assert [hit.more for hit in found.hits] == [99, 99]


def test_sketches_are_compared_with_photos_whether_or_not_they_are_asked_for(tmp_path: Path) -> None:
    pictures = arrays()["image"]
    np.savez(tmp_path / "toy.npz", **arrays(image=None, text=None, photo=pictures, sketch=pictures))
    data = load_data(tmp_path / "toy.npz")
    model = crossbit.train(data, method="nrch", bits=16, epochs=1, settings={"width": 16}, progress=False)
    index_data(model, data, tmp_path / "index")
    with Searcher(model, tmp_path / "index") as search:
        picture = data["photo"][0]
        given, chosen, own = (search(picture=picture, modality=name) for name in (None, "sketch", "photo"))
        assert given == chosen and {way for hit in given for way in hit.by} == {"codes", "pictures"}
        assert (given.compared, own.compared) == (150, 75)
        assert {hit.by for hit in own} == {("codes",)}


def test_a_picture_of_the_collection_is_found_whatever_its_text_is(
    search: Searcher, model: Model, data: PairedData
) -> None:
    found_by_codes = 0
    for row in data.splits["retrieval"][:25].tolist():
        found = search(picture=data["image"][row], k=10).text
        first = [hit for hit in found if hit.picture_cosine == pytest.approx(1, abs=1e-3)]
        assert first == list(found[: len(first)])
        assert row in [hit.id for hit in first]
        found_by_codes += row in [hit.id for hit in search(picture=data["image"][row], k=10, by="codes").text]
    assert found_by_codes < 20  # there is something to see


def test_what_lacks_a_picture_or_a_text_is_found_by_the_other(
    search: Searcher, model: Model, data: PairedData, uri: Path, tmp_path: Path
) -> None:
    shutil.copytree(uri, tmp_path / "index")
    picture = data.query["image"][0]
    first, second, *_ = (hit.id for hit in search(picture=picture, k=75).text)
    for modality, gone in (("image", first), ("text", second)):
        with crossbit.open_index(index_path(tmp_path / "index", modality)) as index:
            index.remove([gone])
    with Searcher(model, tmp_path / "index") as fewer:
        found = fewer(picture=picture, k=75)
        hits = {hit.id: hit for hit in found.text}
        assert len(hits) == 74 and second not in hits
        assert hits[first].picture_cosine is None and hits[first].by == ("codes",)
        by_pictures = [hit.id for hit in fewer(picture=picture, k=75, by="pictures").text]
        assert len(by_pictures) == 73 and not {first, second} & set(by_pictures)
        assert len(fewer(picture=picture, k=73, by="pictures").text) == 73


@pytest.mark.slow
def test_an_index_without_embeddings_is_searched_by_distance(
    search: Searcher, model: Model, uri: Path, tmp_path: Path
) -> None:
    for modality in ("image", "text"):
        with (
            crossbit.open_index(index_path(uri, modality), read_only=True) as whole,
            crossbit.open_index(index_path(tmp_path, modality), bits=whole.bits) as bare,
        ):
            ids = list(whole)
            bare.add(ids, [whole[id_][0] for id_ in ids], items=[whole[id_][1] for id_ in ids])
    with Searcher(model, tmp_path) as without:
        assert without("a level bar", k=30) == search("a level bar", k=30, rerank=False)


def test_damaged_embeddings_are_named_and_can_be_passed_over(model: Model, uri: Path, tmp_path: Path) -> None:
    shutil.copytree(uri, tmp_path / "index")
    (tmp_path / "index" / "image.embeddings" / "000001.npy").write_bytes(b"damaged")
    with Searcher(model, tmp_path / "index") as search:
        with pytest.raises(UserError, match=r"image\.embeddings/000001\.npy cannot be read"):
            search("a level bar")
        assert search("a level bar", rerank=False).image


def test_embeddings_are_those_of_the_codes(model: Model, data: PairedData, uri: Path) -> None:
    for modality in ("image", "text"):
        ids, stored = stored_in(uri, modality)
        assert ids.tolist() == sorted(data.splits["retrieval"].tolist())
        assert stored.shape == (75, 16)
        np.testing.assert_array_equal(np.packbits(stored >= 0, axis=1), model.encode(modality, data[modality][ids]))
        real = model.embed(modality, data[modality][ids])
        np.testing.assert_allclose(stored, real / np.linalg.norm(real, axis=1, keepdims=True), atol=1e-3)


@pytest.mark.parametrize("rerank", [True, False])
def test_where_leaves_the_order_alone(search: Searcher, rerank: bool) -> None:
    everything = search("a bar", k=75, rerank=rerank, by="codes").image
    level = search("a bar", k=75, where="list_contains(labels, 'level')", rerank=rerank, by="codes").image
    assert level == tuple(hit for hit in everything if "level" in hit.item["labels"])
    assert 0 < len(level) < len(everything)


def test_items_say_what_a_code_stands_for(search: Searcher, data: PairedData) -> None:
    for hit in search("a bar", k=75):
        assert data.label is not None
        labels = [name for name, on in zip(NAMES, data.label[hit.id], strict=True) if on]
        assert hit.item == {"row": hit.id, "caption": data["text"][hit.id], "labels": labels}


def test_items_of_single_labels_without_names() -> None:
    given = vectors(path=np.array([f"photos/{row}.jpg" for row in range(60)]))
    splits = {name: given.pop(name) for name in ("train", "query", "retrieval")}
    label, caption, path = (given.pop(name) for name in ("label", "caption", "path"))
    data = PairedData("toy", given, label, splits, caption=caption, path=path)
    columns = {name: list(column) for name, column in items_of(data, np.array([3, 8])).items()}
    named = [str(label[3]), str(label[8])]
    assert columns == {
        "row": [3, 8],
        "caption": ["number 3", "number 8"],
        "path": ["photos/3.jpg", "photos/8.jpg"],
        "label": named,
    }


def test_other_rows_can_be_indexed(model: Model, data: PairedData, tmp_path: Path) -> None:
    rows = np.array([4, 2, 50])
    assert index_data(model, data, tmp_path / "few", rows=rows) == {"image": 3, "text": 3}
    with Searcher(model, tmp_path / "few") as search:
        assert {hit.id for hit in search("a bar")} == {2, 4, 50}


def test_an_index_is_whole_or_not_there(
    model: Model, data: PairedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ordering(modality: str, rows: Any) -> np.ndarray:
        if modality == "text":
            assert any(tmp_path.rglob("image.embeddings/000001.npy"))  # some of it is written
            raise KeyboardInterrupt
        return Model.ordering(model, modality, rows)

    monkeypatch.setattr(model, "ordering", ordering)
    with pytest.raises(KeyboardInterrupt):
        index_data(model, data, tmp_path / "index")
    assert [path.name for path in tmp_path.iterdir()] == [".index.lock"]


def test_an_index_is_never_overwritten(model: Model, data: PairedData, uri: Path) -> None:
    before = Path(index_path(uri, "image")).read_bytes()
    with pytest.raises(UserError, match="exists already"):
        index_data(model, data, uri)
    assert Path(index_path(uri, "image")).read_bytes() == before


def test_data_without_a_modality_of_the_model(model: Model, data: PairedData, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown modality 'text'"):
        index_data(model, data.replace(modalities={"image": data["image"]}), tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "most"), [("PICTURES", 2), ("MOST", 2000)])
def test_pictures_of_many_sizes_are_encoded_in_order(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    monkeypatch.setattr(f"crossbit.search.inputs.{name}", most)
    rng = np.random.default_rng(0)
    for number, side in enumerate([16, 16, 16, 20, 16, 8]):
        Image.fromarray(rng.integers(0, 256, (side, 16, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes(b"no picture")
    skipped: list[tuple[str, str]] = []
    codes, kept = encode_pictures(
        model, "image", sorted(tmp_path.iterdir()), skip=lambda path, error: skipped.append((path.name, error.kind))
    )
    assert [path.name for path in kept] == ["0.png", "2.png", "3.png", "4.png", "5.png"]
    assert skipped == [("1.png", "not a picture")]
    expected = [model.encode("image", read_picture(path)[None])[0].tolist() for path in kept]
    assert codes.tolist() == expected


def test_hits_say_what_they_are_without_their_items(model: Model, uri: Path) -> None:
    codes = model.encode("text", ["a level bar", "slanted"])
    with crossbit.open_index(index_path(uri, "image"), read_only=True) as index:
        hits, none = index.search(codes, k=12), index.search(codes[:1], where="row < 0")
    shown = [f"id {id_} at {far}" for id_, far in zip(hits.ids[0, :10], hits.distances[0], strict=False)]
    assert str(hits) == f"<Hits of 2 queries, the first: {', '.join(shown)}, ...>"  # the index is closed by now
    assert str(none) == "<Hits of 1 query, nothing found for the first>"
