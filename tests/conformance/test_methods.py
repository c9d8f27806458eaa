"""One suite over everything that calls itself a method; it knows none of them."""

import numpy as np
import pytest
import torch

from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.evaluation import evaluate
from crossbit.methods import available, get, make_settings
from crossbit.methods.settings import PictureSettings, describe
from crossbit.model import load_model
from crossbit.training import train

METHODS = sorted(available())
pytestmark = pytest.mark.parametrize("name", METHODS)


def toy(n: int = 160, classes: int = 4, seed: int = 0) -> PairedData:
    """Two modalities that show a class each; 40 queries, 97 training pairs (a prime: batches leave some over)."""
    rng = np.random.default_rng(seed)
    label = rng.integers(classes, size=n)
    image, text = (
        np.eye(classes)[label] @ rng.normal(size=(classes, d)) + 0.3 * rng.normal(size=(n, d)) for d in (12, 9)
    )
    splits = {"query": np.arange(40), "train": np.arange(40, 137), "retrieval": np.arange(40, n)}
    labels = np.eye(classes, dtype=np.uint8)[label]
    return PairedData("toy", {"image": image.astype(np.float32), "text": text.astype(np.float32)}, labels, splits)


def small(name: str, data: PairedData, **options):
    """A short training with whatever small settings the method knows."""
    wanted = {"width": 32, "batch": 16, "lr": 1e-3, "warmup": 1, "passes": "5/1/4/4", "steps": 8}
    settings = {
        key: value for key, value in wanted.items() if key in {setting.name for setting in describe(get(name).Settings)}
    }
    options = {"bits": 32, "epochs": 2, "settings": settings | options.pop("settings", {}), "progress": False} | options
    return train(data, method=name, **options)


def for_training(data: PairedData, labels: np.ndarray) -> np.ndarray:
    """The labels (n, classes) with zeros for rows that nobody labelled for training."""
    outside = np.ones((data.n, 1), bool)
    outside[data.splits["train"]] = False
    return np.where(outside, 0, labels)


@pytest.fixture
def seen(name, monkeypatch):
    """The views that the method trains on, one an epoch."""
    views, original = [], get(name).train_epoch

    def train_epoch(self, view):
        views.append(view)
        return original(self, view)

    monkeypatch.setattr(get(name), "train_epoch", train_epoch)
    return views


def codes(model, data: PairedData) -> list[np.ndarray]:
    return [model.encode(m, data.query[m]) for m in model.modalities]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
def test_beats_random_codes_clearly(name):
    data = toy()
    report = evaluate(small(name, data, epochs=30), data)
    chance = min(report.chance.values())
    if get(name).floor:
        assert max(report.map.values()) < 1.3 * chance
    else:
        assert min(report.map.values()) > 2 * chance


@pytest.mark.slow
def test_saves_loads_and_encodes_the_same_bits(name, tmp_path):
    data = toy()
    model = small(name, data)
    model.save(tmp_path / "model")
    assert same(codes(model, data), codes(load_model(tmp_path / "model"), data))


@pytest.mark.slow
def test_resumes_to_the_bit(name, tmp_path, monkeypatch):
    data = toy()
    whole = small(name, data, epochs=3)
    original = get(name).train_epoch
    monkeypatch.setattr(get(name), "train_epoch", lambda self, view: original(self, view) if view.epoch < 2 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        small(name, data, epochs=3, out=tmp_path / "run")
    monkeypatch.setattr(get(name), "train_epoch", original)
    resumed = small(name, data, epochs=3, out=tmp_path / "run", resume=True)
    for modality in whole.modalities:
        pairs = zip(whole.encoders[modality].parameters(), resumed.encoders[modality].parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    assert whole.history == resumed.history
    if whole.rows:
        whole.save(tmp_path / "whole")
        rows = [(tmp_path / run / "rows.npz").read_bytes() for run in ("whole", "run")]
        assert rows[0] == rows[1]


@pytest.mark.slow
def test_the_seed_decides(name):
    data = toy()
    embedded = [small(name, data, seed=seed).embed("image", data.query["image"]) for seed in (0, 0, 1)]
    assert np.array_equal(embedded[0], embedded[1])
    assert not np.array_equal(embedded[0], embedded[2])


@pytest.mark.slow
def test_more_classes_than_bits(name):
    data = toy(classes=20)
    assert codes(small(name, data, bits=8), data)[0].shape == (40, 1)


@pytest.mark.slow
@pytest.mark.parametrize("batch", ["one", "some", "all but one", "more than all"])
def test_batches_that_leave_one_over_or_hold_one(name, batch):
    if "batch" not in {setting.name for setting in describe(get(name).Settings)}:
        pytest.skip("it takes all rows at once")
    data = toy()
    n = len(data.splits[get(name).rows])  # 97 or 120: 16 and 17 leave one over
    size = {"one": 1, "some": 16 if n == 97 else 17, "all but one": n - 1, "more than all": 1000}[batch]
    assert size in (1, 1000) or n % size == 1
    model = small(name, data, epochs=1, settings={"batch": size})
    assert np.isfinite(model.embed("image", data.query["image"])).all()


@pytest.mark.slow
def test_samples_without_labels(name):
    data = toy()
    observed = data.label.copy()
    observed[::2] = 0
    model = small(name, data.with_observed(observed))
    assert np.isfinite(model.embed("text", data.query["text"])).all()


@pytest.mark.slow
def test_constant_features(name):
    data = toy()
    data = data.replace(modalities={m: np.zeros_like(x) for m, x in data.modalities.items()})
    assert np.isfinite(small(name, data).embed("image", data.query["image"])).all()


def test_refuses_an_unknown_setting(name):
    with pytest.raises(UserError, match="unknown setting"):
        small(name, toy(), settings={"no_such_setting": 1})


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_refuses_settings_that_are_no_number(name, value):
    numbers = [setting.name for setting in describe(get(name).Settings) if setting.kind in (int, float)]
    assert numbers
    for key in numbers:
        with pytest.raises(UserError, match=f"setting {key} is .*must be"):
            make_settings(get(name), {key: value})


def test_every_setting_is_explained(name):
    assert all(setting.meaning for setting in describe(get(name).Settings))


def test_one_modality_is_not_enough(name):
    data = toy()
    with pytest.raises(UserError, match="two modalities"):
        small(name, data.replace(modalities={"image": data["image"]}))


def test_every_preset_and_ablation_makes_settings(name):
    cls = get(name)
    for given in cls.ablations.values():
        assert make_settings(cls, given) != make_settings(cls, {})
    for preset in cls.presets:
        assert make_settings(cls, {"preset": preset}) == make_settings(cls, cls.presets[preset])


@pytest.mark.slow
def test_every_ablation_trains_something_else(name):
    data = toy()
    whole = small(name, data, epochs=3, noise="swap-one:0.5")
    for ablation, settings in get(name).ablations.items():
        without = small(name, data, epochs=3, noise="swap-one:0.5", settings=settings)
        embedded = [model.ordering("image", data.query["image"]) for model in (whole, without)]
        assert np.isfinite(embedded[1]).all(), ablation
        assert not np.array_equal(*embedded), ablation


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["swap-one:0.5", "resample:0.5", "flip:0.5", "asymmetric:0.5", "swap-one:0.5:each"])
def test_what_the_label_noise_drew_is_stored_and_trained_on(name, noise, tmp_path, seen):
    data = toy()
    small(name, data, noise=noise, out=tmp_path / "run", epochs=1)
    if not get(name).sees_labels:
        assert seen[0].labels is None
        return
    stored, train, rows = np.load(tmp_path / "run" / "data.npz"), data.splits["train"], data.splits[get(name).rows]
    keys = ["observed_label_image", "observed_label_text"] if noise.endswith("each") else ["observed_label"]
    changed = [(stored[key] != data.label).any(1) for key in keys]
    assert stored["noise_mask"].sum() > 0
    assert np.array_equal(np.logical_or.reduce(changed)[rows], stored["noise_mask"])
    assert not any(np.delete(each, train).any() for each in changed)  # training rows only
    if len(keys) > 1:
        assert not np.array_equal(*changed)
        assert np.array_equal(changed[1][rows], stored["noise_mask_text"])
    for modality in seen[0].features:
        given = stored.get(f"observed_label_{modality}", stored.get("observed_label"))
        assert np.array_equal(seen[0].observed(modality), for_training(data, given)[rows])
        assert (given[train] != data.label[train]).any()


@pytest.mark.slow
def test_wrong_pairs_hit_every_row_it_trains_on(name, tmp_path, seen):
    data, as_is = toy(), {"image": "as-is", "text": "as-is"}
    small(name, data, noise="shuffle-pairs:0.5", features=as_is, out=tmp_path / "run", epochs=1)
    stored, rows = np.load(tmp_path / "run" / "data.npz"), data.splits[get(name).rows]
    assert np.array_equal(stored["rows"], rows)
    assert np.array_equal(stored["pairing"] != np.arange(len(rows)), stored["noise_mask"])
    assert stored["noise_mask"].sum() == len(rows) // 2
    first, second = seen[0].features
    assert np.array_equal(seen[0].features[first], data[first][rows])
    assert np.array_equal(seen[0].features[second], data[second][rows[stored["pairing"]]])
    if get(name).sees_labels:  # a label of the pair stays with the pair
        label = for_training(data, data.label)
        assert all(np.array_equal(seen[0].observed(modality), label[rows]) for modality in (first, second))


@pytest.mark.slow
def test_in_a_wrong_pair_a_label_of_one_modality_goes_with_its_row(name, tmp_path, seen):
    data = toy()
    apart = data.replace(label=None, modality_label={"image": data.label, "text": data.label[:, ::-1].copy()})
    small(name, apart, noise="shuffle-pairs:0.5", out=tmp_path / "run", epochs=1)
    if not get(name).sees_labels:
        assert seen[0].labels is None
        return
    stored, rows = np.load(tmp_path / "run" / "data.npz"), data.splits[get(name).rows]
    other = rows[stored["pairing"]]
    label = for_training(data, data.label)
    assert np.array_equal(seen[0].observed("image"), label[rows])
    assert np.array_equal(seen[0].observed("text"), label[other, ::-1])
    assert (data.label[other] != data.label[rows]).any()


class Guarded:
    """Data whose labels raise when somebody reads them."""

    secret = frozenset(
        {"label", "observed_label", "modality_label", "modality_observed_label", "classes", "label_names"}
    )

    def __init__(self, data):
        self._data = data

    def __getattr__(self, key):
        if key in {*self.secret, "multi_label", "_seen"}:
            raise AssertionError(f"{key} was read")
        return getattr(self._data, key)

    def __getitem__(self, modality):
        return self._data[modality]


@pytest.mark.slow
def test_a_method_without_labels_never_touches_one(name, tmp_path):
    if get(name).sees_labels:
        with pytest.raises(AssertionError, match="was read"):
            small(name, Guarded(toy()), out=tmp_path / "run")
        return
    model = small(name, Guarded(toy()), out=tmp_path / "run", noise="swap-one:0.5")
    assert same(codes(model, toy()), codes(small(name, toy()), toy()))


@pytest.mark.slow
def test_labels_of_each_modality(name):
    data = toy()
    apart = data.replace(label=None, modality_label={"image": data.label, "text": data.label})
    assert same(codes(small(name, data), data), codes(small(name, apart), data))  # the same labels, the same codes


def with_pictures(name: str) -> PairedData:
    if "pictures" not in {setting.name for setting in describe(get(name).Settings)}:
        pytest.skip("it takes vectors only")
    data = toy()
    shade = 40 + 50 * data.label.argmax(1)
    pictures = np.broadcast_to(shade[:, None, None, None], (data.n, 16, 16, 3)).astype(np.uint8)
    return data.replace(modalities={"image": pictures, "text": data["text"]})


@pytest.mark.slow
def test_pictures_as_pixels(name, tmp_path):
    data = with_pictures(name)
    model = small(name, data, settings={"pictures": "cnn"}, out=tmp_path / "run")
    assert same(codes(model, data), codes(load_model(tmp_path / "run"), data))


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["", "given"])
def test_given_weights_are_trained_after_the_epochs_that_it_declares(name, weights, tmp_path, monkeypatch):
    data, cls = with_pictures(name), get(name)
    monkeypatch.setattr(PictureSettings, "check_pictures", lambda self: None)  # there is no file for the small network
    monkeypatch.setattr("crossbit.methods.base.load_weights", lambda networks, settings: None)
    original, moved, end = cls.train_epoch, [], 1

    def train_epoch(self, view):
        if view.epoch == end:
            raise InterruptedError
        before = {key: value.clone() for key, value in self.networks["image"].state_dict().items()}
        figures = original(self, view)
        now = self.networks["image"].state_dict()
        parts = {key.split(".")[0] for key, value in before.items() if not torch.equal(value, now[key])}
        moved.append((view.epoch, parts, view.epoch < self.frozen_epochs()))
        return figures

    monkeypatch.setattr(cls, "train_epoch", train_epoch)
    options = {"epochs": 3, "settings": {"pictures": "cnn", "weights": weights}}
    with pytest.raises(InterruptedError):
        small(name, data, out=tmp_path / "run", **options)
    end = 3
    resumed = small(name, data, out=tmp_path / "run", resume=True, **options)
    assert [epoch for epoch, *_ in moved] == [0, 1, 2]
    for _, parts, frozen in moved:
        assert parts == ({"head"} if weights and frozen else {"head", "backbone"})
    assert same(codes(small(name, data, **options), data), codes(resumed, data))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_trains_on_a_gpu(name):
    data = toy()
    assert np.isfinite(small(name, data, device="cuda").embed("image", data.query["image"])).all()


def test_the_native_ranking_is_reported(name):
    data = toy()
    report = evaluate(small(name, data, epochs=1), data)
    assert report.protocol["metric"] == get(name).metric
    assert (set(report.codes_map) == set(report.map)) == (get(name).metric == "cosine")
    assert report.bits == 32


FORMS = {
    "offset": lambda x: x + 100,
    "unit": lambda x: x * 0.001,
    "cone": lambda x: 0.1 * x + 30 * np.arange(1, x.shape[1] + 1) / x.shape[1],  # all rows in nearly one direction
}


@pytest.mark.slow
def test_offset_and_unit_of_vectors_do_not_matter(name):
    """Random codes are a hash of the very row; all others see scaled vectors."""
    if get(name).floor:
        return

    def score(form):
        data = toy()
        made = {m: form(data[m].astype(np.float64)).astype(np.float32) for m in data.modalities}
        data = data.replace(modalities=made)
        return np.mean(list(evaluate(small(name, data, epochs=4), data).map.values()))

    plain = score(lambda x: x)
    for form, change in FORMS.items():
        assert abs(score(change) - plain) < 0.01, form
