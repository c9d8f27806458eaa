"""A model's digest: the same for the same codes, another one for whatever could change them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import crossbit
from crossbit.features.scaled import ScaledFeaturiser
from crossbit.model import Model
from tiny import vectors


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    file = tmp_path_factory.mktemp("digest") / "toy.npz"
    np.savez(file, **vectors())
    return crossbit.train(
        crossbit.load_data(file), method="nrch", bits=16, epochs=1, settings={"width": 16}, progress=False
    )


def test_a_digest_is_short_and_survives_saving(model: Model, tmp_path: Path) -> None:
    assert len(model.digest) == 32 and set(model.digest) <= set("0123456789abcdef")
    model.save(tmp_path / "run")
    assert crossbit.load_model(tmp_path / "run").digest == model.digest


def scaled(model: Model) -> None:
    wide = model.featurisers["text"].dim
    assert isinstance(wide, int)
    model.featurisers["text"] = ScaledFeaturiser(np.zeros(wide, np.float32), np.ones(wide, np.float32))


def one_bit(model: Model) -> None:
    weight = next(iter(model.encoders["image"].state_dict().values()))
    weight.flatten()[-1] = torch.nextafter(weight.flatten()[-1], torch.tensor(9.0))


def swapped(model: Model) -> None:
    model.encoders = {"image": model.encoders["text"], "text": model.encoders["image"]}


@pytest.mark.parametrize("change", [scaled, one_bit, swapped, lambda model: model.config.update(method="mrl")])
def test_what_could_change_codes_changes_the_digest(model: Model, change: Callable[[Model], None]) -> None:
    other = copy.deepcopy(model)
    assert other.digest == model.digest
    change(other)
    assert other.digest != model.digest


def test_what_is_merely_recorded_does_not(model: Model) -> None:
    other = copy.deepcopy(model)
    other.config |= {"data": "another name", "seconds": 3.5}
    other.history = []
    assert other.digest == model.digest
