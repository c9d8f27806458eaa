"""Trains each method, as one of several processes or alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed, nn

import crossbit
from crossbit.data import PairedData
from crossbit.training.distributed import processes
from tiny import arrays, vectors

NORMALISED = "normalised"
FEW = {"width": 16}
METHODS: dict[str, dict[str, Any]] = {
    "look": FEW | {"epochs": 2, "steps": 10, "batch": 20},
    "look-dropout": FEW | {"epochs": 2, "steps": 10, "batch": 20, "dropout": 0.2},
    "nrch": FEW | {"epochs": 6, "batch": 8, "warmup": 2},
    "mrl": FEW | {"epochs": 4, "batch": 7, "multi_label": True},
    "ucch": FEW | {"epochs": 5, "batch": 8, "warmup": 1, "negatives": 16},
    "ssah": FEW | {"epochs": 2, "batch": 16, "feature": 12, "passes": "2/1/2/2"},
    "infonce": FEW | {"epochs": 4, "batch": 9},
    "cca-itq": {},
    "look-pixels": FEW | {"epochs": 1, "steps": 4, "batch": 20, "pictures": "cnn"},
}


def toy(name: str) -> PairedData:
    """Vectors, or tiny pictures for a network that takes pixels."""
    held = arrays() if name.endswith("pixels") else vectors(75)
    splits = {split: held[split] for split in ("query", "train", "retrieval")}
    label = held["label"]
    return PairedData("toy", {m: held[m] for m in ("image", "text")}, label, splits)


def trained(name: str, out: Path | None = None, **more: Any) -> crossbit.Model:
    return crossbit.train(
        toy(name),
        method=name.partition("-")[0] if name != "cca-itq" else name,
        bits=8,
        noise="swap-one:0.3",
        settings=METHODS[name] | more,
        device="cpu",
        progress=False,
        out=out,
        resume=out is not None,
    )


def normalised() -> dict[str, np.ndarray]:
    """The weights of a network with batch normalisation and dropout, after steps of which the last has one row: a
    process then has none."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(8, 3)
    )
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    with processes() as several, several.training([network]):
        for rows in (7, 3, 2, 1):
            optimizer.zero_grad()
            made = several.through(network, torch.randn(rows, 1, 3, 3))
            several.backward((made @ made.T).tanh().mean() + made.square().mean())
            optimizer.step()
    return {key: value.numpy() for key, value in network.state_dict().items()}


def weights(model: crossbit.Model) -> dict[str, np.ndarray]:
    held = {}
    for modality, encoder in model.encoders.items():
        held |= {f"{modality}.{key}": value.numpy() for key, value in encoder.state_dict().items()}
    return held


def main(folder: Path) -> None:
    """Keep the weights of every method, and the names of the threads that there are in the end."""
    other = "" if os.environ["RANK"] == "0" else ".other"
    for name in (NORMALISED, *METHODS):
        np.savez(folder / f"{name}{other}.npz", **(normalised() if name == NORMALISED else weights(trained(name))))
    distributed.destroy_process_group()
    threads = [task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").glob("*")]
    (folder / f"threads.{os.environ['RANK']}").write_text("\n".join(threads))
