"""The built-in set: pictures that show their names, a split by character, and a cache that mends itself."""

import unicodedata

import numpy as np
import pytest

from crossbit.data import glyphs
from crossbit.data.neutral import load_neutral
from crossbit.data.types import PairedData
from crossbit.storage.cache import cache_folder


@pytest.fixture(scope="module")
def data():
    return glyphs.build()


@pytest.mark.slow
def test_sizes(data) -> None:
    assert data.name == glyphs.BUILTIN
    assert data.n > 20_000
    assert data.modalities["image"].dtype == np.uint8
    assert data.modalities["image"].shape[1:] == (32, 32, 3)
    assert (len(data.train), len(data.query), len(data.retrieval)) == (5000, 2000, data.n - 2000)


@pytest.mark.slow
def test_no_character_of_a_query_is_elsewhere(data) -> None:
    queries = set(data.query["text"])
    assert len(queries) > 300
    assert queries.isdisjoint(data.retrieval["text"])
    assert queries.isdisjoint(data.train["text"])
    assert set(data.train.index) < set(data.retrieval.index)


@pytest.mark.slow
def test_a_group_is_a_character_in_its_faces(data) -> None:
    assert [unicodedata.name(chr(code)).lower() for code in data.group] == data["text"].tolist()
    _, faces = np.unique(data.group, return_counts=True)
    assert 1 < faces.mean() < faces.max() == len(glyphs.FACES)


@pytest.mark.slow
def test_every_pair_has_a_label_and_every_label_enough_pairs(data) -> None:
    assert data.label.any(1).all()
    assert data.label.sum(0).min() > 200
    assert data.query.label.any(0).all()
    shared = data.query.label.astype(np.float32) @ data.retrieval.label.T.astype(np.float32) > 0
    assert 0.15 < shared.mean() < 0.25  # neither trivial nor hopeless
    # no label is another one in other words
    unit = data.label / np.linalg.norm(data.label, axis=0)
    assert (np.triu(unit.T @ unit, 1) < 0.9).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("greek small letter alpha with tonos", ["greek", "small", "accented", "acute"]),
        ("latin capital letter a", ["latin", "capital"]),
        ("braille pattern dots-12", ["braille"]),
        ("black left-pointing triangle", ["shape", "filled", "leftward"]),
        ("modifier letter small turned alpha", ["small", "modifier", "turned"]),
        ("no such name", []),
    ],
)
def test_labels_from_names(name, expected) -> None:
    row = glyphs.label_matrix([name])[0]
    assert [label for label, on in zip(glyphs.LABELS, row, strict=True) if on] == expected


@pytest.mark.slow
def test_pictures_show_dark_ink_that_is_not_cut_off(data) -> None:
    image = data.modalities["image"]
    assert (image.min((1, 2, 3)) < 150).mean() > 0.99
    assert np.median(image.reshape(-1, 3), axis=0).tolist() == list(glyphs.PAPER)
    border = np.ones((32, 32), dtype=bool)
    border[1:-1, 1:-1] = False
    assert (image[:, border].min((1, 2)) > 200).mean() > 0.999


@pytest.mark.slow
def test_pictures_belong_to_their_names(data) -> None:
    ink = 255 - data.modalities["image"][..., 0].astype(int)
    text = list(data.modalities["text"])

    def centre(name: str) -> np.ndarray:  # of the ink, (row, column)
        return np.argwhere(ink[text.index(name)] > 128).mean(0)

    assert centre("apostrophe")[0] < centre("hyphen-minus")[0] < centre("comma")[0]
    assert centre("combining dot above")[0] < centre("combining dot below")[0]
    letter, capital = text.index("latin small letter o"), text.index("latin capital letter o")
    assert ink[letter].sum() < ink[capital].sum()
    bar = np.argwhere(ink[text.index("box drawings light vertical")] > 128)
    assert np.ptp(bar[:, 0]) > 3 * np.ptp(bar[:, 1])


@pytest.mark.slow
def test_big_glyphs_are_made_to_fit_and_blank_ones_left_out(data) -> None:
    text = list(data.modalities["text"])
    tile = data.modalities["image"][text.index("domino tile horizontal-06-06")]
    assert np.ptp(np.argwhere(tile[..., 0] < 128)[:, 1]) > 20
    assert "space" not in text
    assert "hangul filler" not in text
    assert "braille pattern blank" not in text


@pytest.mark.slow
def test_building_is_the_same_again(data) -> None:
    assert_same(glyphs.build(), data)


def assert_same(one, other) -> None:
    for name, values in other.modalities.items():
        np.testing.assert_array_equal(one.modalities[name], values)
    for name, index in other.splits.items():
        np.testing.assert_array_equal(one.splits[name], index)
    np.testing.assert_array_equal(one.label, other.label)
    np.testing.assert_array_equal(one.group, other.group)
    assert one.label_names == other.label_names == list(glyphs.LABELS)
    assert one.name == other.name == glyphs.BUILTIN


@pytest.fixture
def small() -> PairedData:
    """26 pairs that nobody drew, for what only concerns files."""
    codes = np.arange(ord("A"), ord("Z") + 1)
    names = [unicodedata.name(chr(code)).lower() for code in codes]
    pictures = np.random.default_rng(0).integers(256, size=(26, 32, 32, 3), dtype=np.uint8)
    return PairedData(
        name=glyphs.BUILTIN,
        modalities={"image": pictures, "text": np.array(names)},
        label=glyphs.label_matrix(names),
        splits={"query": np.arange(4), "train": np.arange(4, 26), "retrieval": np.arange(4, 26)},
        label_names=list(glyphs.LABELS),
        group=codes,
    )


@pytest.fixture
def builds(small, tmp_path, monkeypatch):
    """One entry per build, which gives the small set; the cache folder is empty."""
    calls: list[int] = []
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(glyphs, "build", lambda: calls.append(1) or small)
    return calls


def cached(tmp_path):
    return tmp_path / "cache" / f"glyphs-{glyphs.RULES_VERSION}.npz"


def test_the_second_load_reads_the_cache(builds, small, tmp_path) -> None:
    glyphs.load()
    assert_same(glyphs.load(), small)
    assert len(builds) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [cached(tmp_path).name]


@pytest.mark.parametrize("damage", ["cut", "rubbish", "empty", "other"])
def test_a_damaged_cache_is_built_again(builds, small, tmp_path, damage) -> None:
    path = cached(tmp_path)
    glyphs.load()
    whole = path.read_bytes()
    if damage == "other":
        np.savez(path, unrelated=np.zeros(3))
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "rubbish": b"rubbish" * 99, "empty": b""}[damage])
    assert_same(glyphs.load(), small)
    assert len(builds) == 2
    assert_same(load_neutral(path).replace(name=glyphs.BUILTIN), small)


def test_other_rules_do_not_read_the_old_cache(builds, monkeypatch) -> None:
    glyphs.load()
    monkeypatch.setattr(glyphs, "RULES_VERSION", glyphs.RULES_VERSION + 1)
    glyphs.load()
    assert len(builds) == 2


def test_without_a_writable_cache_it_still_loads(builds, small, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "file" / "cache"))
    assert glyphs.load() is small


def test_the_cache_folder_follows_the_usual_variables(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("CROSSBIT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "crossbit"
