"""A small set and a model of it, for the tests that only read them; a file that needs others has its own."""

import numpy as np
import pytest

import crossbit
from crossbit.data import PairedData
from crossbit.model import Model
from tiny import arrays


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PairedData:
    folder = tmp_path_factory.mktemp("search")
    np.savez(folder / "toy.npz", **arrays(), path=[f"{row}.png" for row in range(90)])
    return crossbit.load_data(folder / "toy.npz")


@pytest.fixture(scope="module")
def model(data: PairedData) -> Model:
    return crossbit.train(data, method="nrch", bits=16, epochs=1, settings={"width": 16}, progress=False)
