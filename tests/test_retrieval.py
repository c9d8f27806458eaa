"""Words find pictures and a picture finds words: against a search by loops over the model's codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import crossbit
from crossbit.data import PairedData, load_data
from crossbit.errors import UserError
from crossbit.model import Model
from crossbit.retrieval import (
    encode_pictures,
    index_data,
    index_path,
    items_of,
    read_picture,
    search_picture,
    search_words,
)
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
    return crossbit.train(data, bits=16, epochs=1, settings={"width": 16}, progress=False)


@pytest.fixture(scope="module")
def uri(place: Path, model: Model, data: PairedData) -> Path:
    assert index_data(model, data, place / "index") == {"image": 75, "text": 75}
    return place / "index"


def nearest(code: np.ndarray, codes: np.ndarray, rows: np.ndarray, k: int) -> list[tuple[int, int]]:
    """The slow, obvious search: (row, distance) of the k nearest, by (distance, row)."""
    found = [
        (bin(int.from_bytes(code) ^ int.from_bytes(other)).count("1"), int(row))
        for other, row in zip(codes, rows, strict=True)
    ]
    return [(row, distance) for distance, row in sorted(found)[:k]]


def ids_and_distances(hits: list[tuple[int, int, Any]]) -> list[tuple[int, int]]:
    return [(id_, distance) for id_, distance, _ in hits]


def test_words_find_pictures(model: Model, data: PairedData, uri: Path) -> None:
    found = search_words(model, uri, "a level bar", k=12)
    code = model.encode("text", ["a level bar"])[0]
    expected = nearest(code, model.encode("image", data.retrieval["image"]), data.retrieval.index, 12)
    assert list(found) == ["image"]
    assert ids_and_distances(found["image"]) == expected


def test_a_picture_finds_words(model: Model, data: PairedData, uri: Path, tmp_path: Path) -> None:
    picture = data.query["image"][:1]
    Image.fromarray(picture[0]).save(tmp_path / "query.png")
    code = model.encode("image", picture)[0]
    expected = nearest(code, model.encode("text", data.retrieval["text"]), data.retrieval.index, 5)
    for given in (picture, tmp_path / "query.png", str(tmp_path / "query.png")):
        assert ids_and_distances(search_picture(model, uri, given, k=5)["text"]) == expected


def test_where_leaves_the_order_alone(model: Model, data: PairedData, uri: Path) -> None:
    everything = search_words(model, uri, "a bar", k=75)["image"]
    level = search_words(model, uri, "a bar", k=75, where="list_contains(labels, 'level')")["image"]
    assert level == [hit for hit in everything if "level" in hit[2]["labels"]]
    assert 0 < len(level) < len(everything)


def test_items_say_what_a_code_stands_for(model: Model, data: PairedData, uri: Path) -> None:
    for id_, _, item in search_words(model, uri, "a bar", k=75)["image"]:
        assert data.label is not None
        labels = [name for name, on in zip(NAMES, data.label[id_], strict=True) if on]
        assert item == {"row": id_, "caption": data["text"][id_], "labels": labels}


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
    assert {id_ for id_, _, _ in search_words(model, tmp_path / "few", "a bar")["image"]} == {2, 4, 50}


def test_an_index_is_whole_or_not_there(
    model: Model, data: PairedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(modality: str, rows: Any) -> np.ndarray:
        if modality == "text":
            raise KeyboardInterrupt
        return Model.encode(model, modality, rows)

    monkeypatch.setattr(model, "encode", encode)
    with pytest.raises(KeyboardInterrupt):
        index_data(model, data, tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


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

RED, WHITE = (255, 0, 0), (255, 255, 255)


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    picture.save(tmp_path / "clear.png")
    assert read_picture(tmp_path / "clear.png").tolist() == [[[list(RED), list(WHITE)]]]


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (2, 1), RED)
    picture.putpixel((1, 0), WHITE)
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn by 90 degrees clockwise to see it upright
    picture.save(tmp_path / "turned.png", exif=exif)
    assert read_picture(tmp_path / "turned.png").tolist() == [[[list(RED)], [list(WHITE)]]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "CMYK", "I;16"])
def test_every_kind_of_picture_becomes_colours(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    Image.new(mode, (3, 2)).save(path)
    pixels = read_picture(path)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (1, 2, 3, 3))


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=r"huge\.png cannot be read as a picture"):
        read_picture(tmp_path / "huge.png")


def test_a_cut_picture_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for ending in ("png", "jpg"):
        whole = tmp_path / f"whole.{ending}"
        Image.fromarray(noise).save(whole)
        cut = tmp_path / f"cut.{ending}"
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(UserError, match="cannot be read as a picture"):
            read_picture(cut)


def test_pictures_of_many_sizes_are_encoded_in_order(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossbit.retrieval.PICTURES", 2)
    rng = np.random.default_rng(0)
    for number, side in enumerate([16, 16, 16, 20, 16, 8]):
        Image.fromarray(rng.integers(0, 256, (side, 16, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes(b"no picture")
    skipped: list[str] = []
    codes, names = encode_pictures(model, "image", sorted(tmp_path.iterdir()), skip=skipped.append)
    assert names == ["0.png", "2.png", "3.png", "4.png", "5.png"]
    assert len(skipped) == 1
    assert "1.png" in skipped[0]
    expected = [model.encode("image", read_picture(tmp_path / name))[0].tolist() for name in names]
    assert codes.tolist() == expected
