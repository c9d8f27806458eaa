"""The ways to make codes that the demo compares: what `settings.toml` names, and random codes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crossbit.bits import pack
from crossbit.data.types import PairedData
from crossbit.evaluation import Report, evaluate
from crossbit.features.as_is import AsIsFeaturiser
from crossbit.features.paired import features_of
from crossbit.model import Model
from crossbit.runs.folder import RunFolder
from crossbit.training import train

BITS = 64
THREADS = 2


@dataclass(frozen=True)
class Way:
    """One way to make codes, and how good they are.

    Attributes:
        name: for readers.
        model: of vectors; `RandomCodes` or a trained one.
        report: its figures.
        noisy: bool, for each row trained on: its label or its pair was changed; empty where nothing was trained.
    """

    name: str
    model: Any
    report: Report
    noisy: np.ndarray

    @property
    def is_trained(self) -> bool:
        """Whether it learned anything."""
        return isinstance(self.model, Model)


@dataclass(frozen=True)
class RandomCodes:
    """Codes drawn at random, with what `evaluate` asks of a model: the floor.

    >>> RandomCodes(["image", "text"], seed=0).encode("image", np.zeros((3, 5))).shape
    (3, 8)
    """

    modalities: list[str]
    seed: int
    bits: int = BITS
    method: str = "random codes"

    def ordering(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """Signs, float32 (n, bits): they order nothing that the codes do not."""
        draw = np.random.default_rng([self.seed, 4, self.modalities.index(modality), len(rows)])
        return draw.choice(np.array([-1, 1], np.float32), (len(rows), self.bits))

    embed = ordering

    def encode(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """Packed codes, uint8 (n, bits // 8)."""
        return pack(self.ordering(modality, rows))


def chosen() -> dict[str, dict[str, Any]]:
    """What `settings.toml` beside this file says, by method.

    >>> list(chosen())
    ['look', 'nrch', 'infonce']
    """
    return tomllib.loads(files(__package__).joinpath("settings.toml").read_text(encoding="utf-8"))


def learn(data: PairedData, method: str, out: Path, *, settings: Mapping[str, Any], **options: Any) -> Model:
    """Train a method into `out`, or go on there where it was interrupted; `settings` win over those of the file."""
    given = {**chosen()[method].get("settings", {}), **settings}
    with few_threads():
        return train(data, method=method, bits=BITS, settings=given, out=out, resume=True, **options)


def judged(name: str, model: Any, vectors: PairedData, run: Path | None = None) -> Way:
    """A way with its figures; `run` is where it was trained."""
    noisy = np.zeros(0, bool) if run is None else RunFolder(run).noise_masks()["pair"]
    return Way(name, model, evaluate(model, vectors), noisy)


@contextmanager
def few_threads() -> Iterator[None]:
    """Torch on two threads at most. Small networks gain little from more and lose much on a busy machine, where the
    threads wait for each other; and so the figures are the same however many cores there are, from two on."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, THREADS))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def as_vectors(data: PairedData, model: Model) -> PairedData:
    """The same pairs with the model's features in place of pictures and words, so that they are computed once."""
    rows = np.arange(data.n)
    vectors = {name: features_of(featuriser, data[name], rows) for name, featuriser in model.featurisers.items()}
    words = next((data[name] for name in data.modalities if data.kind(name) == "words"), None)
    return data.replace(modalities=vectors, caption=words if data.caption is None else data.caption)


def on_vectors(model: Model) -> Model:
    """The same encoders for data that are features already."""
    made = {name: featuriser.dim for name, featuriser in model.featurisers.items()}
    plain = {name: AsIsFeaturiser(dim) for name, dim in made.items() if isinstance(dim, int)}
    return Model(model.config, model.encoders, plain, history=model.history, rows=model.rows)
