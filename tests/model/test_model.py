"""A model takes what users have: one thing or many, arrays in any order, paths, PIL pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import crossbit
from crossbit.errors import UserError
from crossbit.model import Model
from tiny import arrays, vectors


def trained(folder: Path, held: dict[str, Any], **given: Any) -> Model:
    np.savez(folder / "toy.npz", **held)
    data = crossbit.load_data(folder / "toy.npz")
    return crossbit.train(data, method="nrch", bits=16, epochs=2, settings={"width": 16}, progress=False, **given)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return trained(tmp_path_factory.mktemp("model"), arrays())


@pytest.fixture(scope="module")
def on_vectors(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return trained(tmp_path_factory.mktemp("model"), vectors())


def test_a_model_says_what_it_is(model: Model, on_vectors: Model) -> None:
    assert repr(model) == "<Model nrch, 16 bits, image (pictures) and text (words), 2 epochs>"
    on_vectors.history = on_vectors.history[:1]
    assert repr(on_vectors) == "<Model nrch, 16 bits, image (vectors) and text (vectors), 1 epoch>"


def test_one_text_is_one_row(model: Model) -> None:
    assert model.encode("text", "a level bar").shape == (1, 2)
    several = model.embed("text", ["a level bar", "slanted"])
    np.testing.assert_array_equal(model.embed("text", ("a level bar", "slanted")), several)
    np.testing.assert_array_equal(model.embed("text", np.array(["a level bar", "slanted"])), several)
    np.testing.assert_array_equal(model.embed("text", iter(["a level bar", "slanted"])), several)


def test_pictures_of_every_form_and_size_in_one_list(model: Model, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((16, 16), (16, 16), (20, 12), (16, 16))]
    for number, picture in enumerate(given):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    mixed = [str(tmp_path / "0.png"), Image.fromarray(given[1]), tmp_path / "2.png", given[3]]
    one_by_one = np.concatenate([model.embed("image", picture[None]) for picture in given])
    np.testing.assert_allclose(model.embed("image", mixed), one_by_one, atol=1e-5)
    np.testing.assert_allclose(model.embed("image", mixed, batch_size=3), one_by_one, atol=1e-5)
    paths = np.array([str(path) for path in sorted(tmp_path.iterdir())])
    np.testing.assert_allclose(model.embed("image", paths), one_by_one, atol=1e-5)
    for one in (mixed[0], mixed[1], tmp_path / "0.png", given[0]):
        assert model.encode("image", one).shape == (1, 2)


def test_pictures_are_stacked_only_as_far_as_memory_goes(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = arrays()["image"][:7]
    monkeypatch.setattr("crossbit.model.rows.MOST", 2 * pictures[0].nbytes)
    seen: list[int] = []
    transform = model.featurisers["image"].transform
    monkeypatch.setattr(
        model.featurisers["image"], "transform", lambda rows: (seen.append(len(rows)), transform(rows))[1]
    )
    model.embed("image", list(pictures))
    assert seen == [2, 2, 2, 1]


def test_a_picture_that_cannot_be_read_is_named(model: Model, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"torn\.png"):
        model.encode("image", [arrays()["image"][0], tmp_path / "torn.png"])


@pytest.mark.parametrize("order", [np.s_[::-1], np.s_[::2], np.s_[:, ::-1], np.s_[[3, 1, 2]]])
@pytest.mark.parametrize("kind", ["f4", "f8", ">f4", "i8"])
def test_vectors_in_any_order_of_bytes_and_rows(on_vectors: Model, order: Any, kind: str) -> None:
    rows = np.asarray(np.round(vectors()["image"] * 4), kind)
    given = rows[order]
    given.flags.writeable = False
    expected = on_vectors.embed("image", np.array(given, "f4", order="C"))
    np.testing.assert_array_equal(on_vectors.embed("image", given), expected)
    np.testing.assert_array_equal(on_vectors.embed("image", np.asfortranarray(given)), expected)
    np.testing.assert_array_equal(on_vectors.embed("image", given.tolist()), expected)


def test_one_vector_is_one_row(on_vectors: Model) -> None:
    row = vectors()["image"][3]
    for given in (row, row.tolist(), list(row), torch.from_numpy(row)):
        np.testing.assert_array_equal(on_vectors.encode("image", given), on_vectors.encode("image", row[None]))
    with pytest.raises(UserError, match="not all of one length"):
        on_vectors.encode("image", [[1.0, 2.0], [1.0]])


def test_nothing_gives_no_codes(model: Model, on_vectors: Model) -> None:
    for each, modality in ((model, "text"), (model, "image"), (on_vectors, "image")):
        assert each.encode(modality, []).shape == (0, 2)
        assert each.embed(modality, ()).shape == (0, 16)


@pytest.mark.parametrize(
    ("modality", "reads", "wrong"),
    [
        *(("image", "pictures", wrong) for wrong in (None, 3, np.array(3))),
        *(("text", "words", wrong) for wrong in (None, 3, b"red fox", np.array(3))),
    ],
)
def test_what_is_neither_one_nor_many_is_refused(model: Model, modality: str, reads: str, wrong: Any) -> None:
    with pytest.raises(UserError, match=f"holds no {reads}; give one row"):
        model.encode(modality, wrong)


def test_a_text_in_an_array_without_sides(model: Model) -> None:
    np.testing.assert_array_equal(model.encode("text", np.array("red fox")), model.encode("text", "red fox"))


def test_rows_without_an_order_of_their_own(model: Model) -> None:
    np.testing.assert_array_equal(model.encode("text", {"red fox"}), model.encode("text", ["red fox"]))


def test_batches_and_their_progress(model: Model) -> None:
    said: list[tuple[int, int]] = []
    model.encode("text", ["a level bar"] * 5, batch_size=2, progress=lambda done, of: said.append((done, of)))
    assert said == [(2, 5), (4, 5), (5, 5)]
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(UserError, match=f"batch_size is {wrong}"):
            model.encode("text", ["a"], batch_size=wrong)  # type: ignore[arg-type]


def test_a_model_moves_and_is_loaded_where_it_is_wanted(model: Model, tmp_path: Path) -> None:
    assert model.to("cpu") is model
    assert model.device == torch.device("cpu")
    model.save(tmp_path / "run")
    assert crossbit.load_model(tmp_path / "run", device="auto").bits == 16
    with pytest.raises(UserError, match="quantum"):
        crossbit.load_model(tmp_path / "run", device="quantum")
    with pytest.raises(UserError, match="quantum"):
        model.to("quantum")


def test_a_gpu_gives_the_same(model: Model) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    here = model.embed("text", ["a level bar"])
    there = model.to("cuda").embed("text", ["a level bar"])
    model.to("cpu")
    np.testing.assert_allclose(here, there, atol=1e-4)


def test_a_model_that_cannot_be_written_leaves_nothing(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UserError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("crossbit.storage.tensors.write_tensors", full)
        with pytest.raises(UserError, match="No space left"):
            model.save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    model.save(tmp_path / "run")
    assert crossbit.load_model(tmp_path / "run").digest == model.digest
