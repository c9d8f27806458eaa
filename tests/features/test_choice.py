"""Which features a training takes: what was asked for, the defaults, what is refused, and what a run keeps of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbit
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.methods import available, get
from tiny import TRAIN, arrays, runner, vectors

SMALL: dict[str, Any] = {"method": "nrch", "bits": 16, "epochs": 1, "settings": {"width": 8}, "progress": False}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    np.savez(folder / "toy.npz", **arrays())
    np.savez(folder / "vectors.npz", **vectors())
    return folder


def features(data: PairedData, **options: Any) -> dict[str, str]:
    return crossbit.train(data, **{**SMALL, **options}).config["features"]


def test_defaults(place: Path) -> None:
    assert features(crossbit.load_data(place / "toy.npz")) == {"image": "hog", "text": "words"}
    assert features(crossbit.load_data(place / "vectors.npz")) == {"image": "scaled", "text": "scaled"}
    pixels = features(crossbit.load_data(place / "toy.npz"), settings={"width": 8, "pictures": "cnn"})
    assert pixels == {"image": "pixels", "text": "words"}


def test_every_method_but_random_codes_scales_vectors() -> None:
    assert [name for name in available() if not get(name).scale_vectors] == ["random"]


def test_what_is_asked_for_is_taken_and_the_rest_has_its_default(place: Path) -> None:
    data = crossbit.load_data(place / "vectors.npz")
    model = crossbit.train(data, features={"text": "as-is"}, **SMALL)
    assert {m: featuriser.name for m, featuriser in model.featurisers.items()} == {"image": "scaled", "text": "as-is"}
    assert np.array_equal(model.featurisers["text"].transform(data["text"]), data["text"])


def test_scaling_is_measured_on_rows_that_are_no_queries(place: Path) -> None:
    data = crossbit.load_data(place / "vectors.npz")
    rows = np.union1d(data.splits["train"], data.splits["retrieval"])
    moved = data["image"].copy()
    moved[data.splits["query"]] += 1000
    for given in (data, data.replace(modalities={**data.modalities, "image": moved})):
        mean = crossbit.train(given, **SMALL).featurisers["image"].state()[1]["mean"]
        np.testing.assert_allclose(mean, data["image"][rows].astype(np.float64).mean(0))


@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        ({"image": "scaled"}, {}, "features image=scaled are of vectors, and image holds pictures; take one of: clip"),
        ({"text": "hog"}, {}, "features text=hog are of pictures, and text holds words; take one of: clip-text, e5"),
        ({"sound": "scaled"}, {}, "unknown modality of features 'sound'; known: image, text"),
        ({"image": "hgo"}, {}, "unknown kind of features 'hgo'; did you mean 'hog'"),
        ({"image": "pixels"}, {}, "set pictures=cnn"),
        ({"image": "hog"}, {"settings": {"pictures": "cnn"}}, "take features pixels, or set pictures=vectors"),
    ],
)
def test_what_does_not_fit_is_refused(place: Path, given: dict[str, str], options: Any, told: str) -> None:
    with pytest.raises(UserError) as error:
        features(crossbit.load_data(place / "toy.npz"), features=given, **options)
    assert told in str(error.value)


def test_order_of_bytes_and_memory_of_the_data_change_nothing(place: Path) -> None:
    data = crossbit.load_data(place / "vectors.npz")
    turned = {"image": data["image"].astype(">f4"), "text": np.asfortranarray(data["text"])}
    other = data.replace(modalities=turned, splits={name: rows.astype(">i8") for name, rows in data.splits.items()})
    models = [crossbit.train(given, **SMALL) for given in (data, other)]
    for modality in ("image", "text"):
        codes = [model.encode(modality, given[modality]) for model, given in zip(models, (data, other), strict=True)]
        assert np.array_equal(*codes)


def test_numbers_of_numpy_are_numbers_and_no_share_holds_nothing_out(place: Path, tmp_path: Path) -> None:
    data, given = crossbit.load_data(place / "vectors.npz"), {**SMALL, "bits": np.int64(16), "seed": np.int64(1)}
    config = crossbit.train(data, **given, validation=0.0, out=tmp_path / "run").config
    assert config == crossbit.load_model(tmp_path / "run").config
    assert (config["bits"], config["seed"], config["validation"], config["selection"]) == (16, 1, None, "last epoch")


def test_the_command_line_and_resume(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, run = runner(capsys), tmp_path / "run"
    asked = ["train", place / "vectors.npz", "--out", run, "--features", "image=as-is", *TRAIN]
    assert command(*asked).code == 0
    assert json.loads((run / "config.json").read_text())["features"] == {"image": "as-is", "text": "scaled"}
    assert command(*asked, "--resume").code == 0
    other = command(*asked, "--features", "text=as-is", "--resume")
    assert (other.code, len(other.errors)) == (2, 1)
    assert "features text was scaled, is as-is" in other.errors[0]
    wrong = command("train", place / "vectors.npz", "--out", tmp_path / "w", "--features", "image", *TRAIN)
    assert wrong.errors == ["crossbit: error: --features 'image' is not MODALITY=KIND, such as --features image=as-is"]
