"""Pictures that stay files: the same pixels as one by one, facts kept while the files stay, data that hold them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import crossbit
from crossbit.data.described import fingerprint
from crossbit.data.types import PairedData
from crossbit.features import fit_featuriser
from crossbit.features.base import squares
from crossbit.features.cached import clear_features, kept_features
from crossbit.storage import file_cache, picture_facts
from crossbit.storage import squares as squares_module
from crossbit.storage.file_cache import SETTLED
from crossbit.storage.look_ahead import looking_ahead
from crossbit.storage.picture_facts import facts_of
from crossbit.storage.picture_files import PictureFiles
from crossbit.storage.pictures import PictureError, read_picture, to_square


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Six pictures of several sizes, long settled."""
    rng = np.random.default_rng(0)
    found = [tmp_path / f"{number} ä.png" for number in range(6)]
    for number, path in enumerate(found):
        Image.fromarray(rng.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)).save(path)
        os.utime(path, (1, 1))
    return found


def test_a_block_is_each_picture_as_the_one_reader_gives_it(paths: list[Path]) -> None:
    files = PictureFiles(paths)
    expected = np.stack([to_square(read_picture(path), 24) for path in paths])
    assert np.array_equal(files.read(24), expected)
    assert np.array_equal(squares(files[np.array([4, 1])], 24), expected[[4, 1]])
    assert files.shape == (6,) and len(files[:0].read(24)) == 0


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are decoded, in the order in which that is done."""
    names: list[str] = []
    monkeypatch.setattr(
        squares_module, "read_picture", lambda path: names.append(Path(path).name) or read_picture(path)
    )
    return names


def test_a_file_is_decoded_once_until_it_changes(
    paths: list[Path], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "SETTLED", 0)
    first = PictureFiles(paths).read(24)
    assert len(decoded) == len(paths)
    assert np.array_equal(PictureFiles(paths[::-1]).read(24), first[::-1]) and len(decoded) == len(paths)
    Image.new("RGB", (30, 22), "red").save(paths[2])
    again = PictureFiles(paths).read(24)
    assert decoded[len(paths) :] == [paths[2].name] and (again[2] == [255, 0, 0]).all()
    PictureFiles(paths).read(16)  # another size is another picture
    assert len(decoded) == 2 * len(paths) + 1
    large = len(decoded) + 2 * len(paths)
    for _ in range(2):
        PictureFiles(paths).read(squares_module.LARGEST + 1)  # large ones are not kept
    assert len(decoded) == large


def test_small_pictures_damaged_in_the_cache_are_decoded_again(
    paths: list[Path], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "SETTLED", 0)
    first = PictureFiles(paths).read(24)
    with contextlib.closing(sqlite3.connect(squares_module.squares_file())) as base, base:
        base.execute("UPDATE found SET value = ?", (b"no zlib",))
    assert np.array_equal(PictureFiles(paths).read(24), first) and len(decoded) == 2 * len(paths)
    squares_module.squares_file().write_bytes(b"no SQLite")
    assert np.array_equal(PictureFiles(paths).read(24), first)


def test_small_pictures_are_shown_and_cleared(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_cache, "SETTLED", 0)
    PictureFiles(paths).read(24)
    (kept,) = kept_features()
    assert kept.rows == len(paths) and kept.size == kept.folder.stat().st_size > 0
    clear_features()
    assert kept_features() == [] and not kept.folder.exists()


def test_files_are_never_taken_for_an_array(paths: list[Path]) -> None:
    with pytest.raises(TypeError, match="read"):
        np.asarray(PictureFiles(paths))


def test_a_damaged_file_names_itself(paths: list[Path]) -> None:
    paths[2].write_bytes(paths[2].read_bytes()[:300])
    with pytest.raises(PictureError, match=r"2 ä\.png is damaged"):
        PictureFiles(paths).read(16)


@pytest.mark.parametrize("kind", ["hog", "pixels"])
def test_featurisers_take_files_as_they_take_one_picture(kind: str, paths: list[Path]) -> None:
    featuriser = fit_featuriser(kind, PictureFiles(paths))
    together = featuriser.transform(PictureFiles(paths))
    apart = np.concatenate([featuriser.transform(read_picture(path)[None]) for path in paths])
    np.testing.assert_allclose(together, apart, atol=1e-5)


def test_facts_are_kept_while_a_file_stays(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = picture_facts.facts_of_file
    monkeypatch.setattr(picture_facts, "facts_of_file", lambda path: looked.append(path) or real(path))  # type: ignore[func-returns-value]
    monkeypatch.setattr("crossbit.storage.file_cache.SETTLED", 0)
    first = facts_of(paths)
    assert facts_of(paths) == first and len(looked) == 6
    assert (first[3].height, first[3].width, first[3].problem) == (23, 30, "")
    Image.new("RGB", (5, 5)).save(paths[3])
    again = facts_of(paths)
    assert looked[6:] == [str(paths[3])] and again[3].height == 5 and again[:3] == first[:3]


def test_without_a_cache_that_can_be_written_facts_are_found_all_the_same(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSBIT_CACHE", str(paths[0]))  # a file, no folder
    assert [facts.problem for facts in facts_of([*paths, "nowhere.png"])] == [""] * 6 + ["missing"]


def test_the_fingerprint_is_of_what_the_files_hold(paths: list[Path], tmp_path: Path) -> None:
    rows = {"train": np.arange(1, 6), "query": np.arange(1), "retrieval": np.arange(1, 6)}
    data = PairedData("six", {"image": PictureFiles(paths)}, None, rows)  # type: ignore[dict-item]
    assert data.kind("image") == "pictures" and repr(data).startswith("<PairedData six: 6 pairs of image (pictures)")
    moved = [path.rename(tmp_path / f"moved {path.name}") for path in paths]
    same = data.replace(modalities={"image": PictureFiles(moved)})
    assert fingerprint(same) == fingerprint(data.replace(modalities={"image": PictureFiles(moved)}))
    before = fingerprint(same)
    Image.new("RGB", (7, 7)).save(moved[5])
    assert fingerprint(same) != before


def test_a_run_on_files_finds_and_encodes_them(paths: list[Path], tmp_path: Path) -> None:
    rows = {"train": np.arange(1, 6), "query": np.arange(1), "retrieval": np.arange(1, 6)}
    words = np.array(["red fox", "red car", "blue fox", "blue car", "red", "blue"])
    held = {"image": PictureFiles(paths), "text": words}
    data = PairedData("six", held, np.array([0, 1, 0, 1, 0, 1]), rows)  # type: ignore[arg-type]
    model = crossbit.train(
        data, method="nrch", bits=8, epochs=1, settings={"width": 8}, out=tmp_path / "run", progress=False
    )
    assert np.array_equal(
        model.encode("image", data["image"]), crossbit.load_model(tmp_path / "run").encode("image", paths)
    )
    assert crossbit.evaluate(model, data).map.keys() == {"image->text", "text->image"}


@pytest.mark.slow
def test_other_processes_look_ahead_and_find_the_same(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    time.sleep(SETTLED / 1e9 + 0.1)  # the other process keeps nothing of files that were written just now
    alone = [picture_facts.facts_of_file(str(path)) for path in paths]
    monkeypatch.setattr("crossbit.storage.look_ahead.MANY", 3)
    monkeypatch.setattr("crossbit.storage.look_ahead.usable_cores", lambda: 2)
    with looking_ahead([str(path) for path in paths]):
        deadline = time.monotonic() + 60
        while picture_facts._new([str(path) for path in paths]) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert not picture_facts._new([str(path) for path in paths])
    monkeypatch.setattr(picture_facts, "facts_of_file", lambda path: pytest.fail("it is in the cache"))
    assert facts_of(paths) == alone
