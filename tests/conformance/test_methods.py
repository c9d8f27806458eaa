"""One suite over everything that calls itself a method; it knows none of them."""

import numpy as np
import pytest
import torch

from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.evaluation import evaluate
from crossbit.methods import available, get, setting_docs
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
    wanted = {"width": 32, "batch": 16, "lr": 1e-3, "warmup": 1}
    settings = {
        key: value for key, value in wanted.items() if key in {setting for setting, _, _ in setting_docs(get(name))}
    }
    options = {"bits": 32, "epochs": 2, "settings": settings | options.pop("settings", {}), "progress": False} | options
    return train(data, method=name, **options)


def codes(model, data: PairedData) -> list[np.ndarray]:
    return [model.encode(m, data.query[m]) for m in model.modalities]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_beats_random_codes_clearly(name):
    data = toy()
    report = evaluate(small(name, data, epochs=30), data)
    assert min(report.map.values()) > 2 * 0.25  # chance is about .25


def test_saves_loads_and_encodes_the_same_bits(name, tmp_path):
    data = toy()
    model = small(name, data)
    model.save(tmp_path / "model")
    assert same(codes(model, data), codes(load_model(tmp_path / "model"), data))


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


def test_the_seed_decides(name):
    data = toy()
    embedded = [small(name, data, seed=seed).embed("image", data.query["image"]) for seed in (0, 0, 1)]
    assert np.array_equal(embedded[0], embedded[1])
    assert not np.array_equal(embedded[0], embedded[2])


def test_more_classes_than_bits(name):
    data = toy(classes=20)
    assert codes(small(name, data, bits=8), data)[0].shape == (40, 1)


@pytest.mark.parametrize("batch", [1, 32, 96, 1000])
def test_batches_that_leave_one_over_or_hold_one(name, batch):
    data = toy()  # 97 training pairs
    model = small(name, data, epochs=1, settings={"batch": batch})
    assert np.isfinite(model.embed("image", data.query["image"])).all()


def test_samples_without_labels(name):
    data = toy()
    observed = data.label.copy()
    observed[::2] = 0
    model = small(name, data.with_observed(observed))
    assert np.isfinite(model.embed("text", data.query["text"])).all()


def test_constant_features(name):
    data = toy()
    data = data.replace(modalities={m: np.zeros_like(x) for m, x in data.modalities.items()})
    assert np.isfinite(small(name, data).embed("image", data.query["image"])).all()


def test_refuses_an_unknown_setting(name):
    with pytest.raises(UserError, match="unknown setting"):
        small(name, toy(), settings={"no_such_setting": 1})


def test_every_setting_is_explained(name):
    assert all(meaning for _, _, meaning in setting_docs(get(name)))


def test_one_modality_is_not_enough(name):
    data = toy()
    with pytest.raises(UserError, match="two modalities"):
        small(name, data.replace(modalities={"image": data["image"]}))
