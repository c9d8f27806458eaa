"""What every file of `methods/` offers; `python -m benchmarks.published --help` describes it."""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.published.sides import published, vectors
from benchmarks.published.tables import table
from crossbit.bits import pack
from crossbit.data.types import PairedData
from crossbit.evaluation import mean_average_precision
from crossbit.methods import Method, Task, View
from crossbit.training import train

Embed = Callable[[str, np.ndarray], np.ndarray]  # (modality, row numbers of the data) -> outputs (rows, bits)


class PublishedCode:
    """The published code of one method, on the CPU, over the rows and labels that our view holds."""

    defaults: ClassVar[dict[str, Any]] = {}
    noise: ClassVar[str | None] = None
    official: ClassVar[dict[str, Any]] = {"form": "official"}
    variants: ClassVar[dict[str, dict[str, Any]]] = {"official": {"form": "official"}, "paper": {"form": "paper"}}
    timed: ClassVar[dict[str, dict[str, Any]]] = {"float32": {"form": "official"}}
    timed_epoch: ClassVar[int] = 0
    batch: ClassVar[int] = 128
    passes: ClassVar[int] = 0

    networks: Mapping[str, nn.Module]

    def __init__(self, data: PairedData, view: View, task: Task, args: argparse.Namespace) -> None:
        """Make networks and optimisers of width `args.width` for `view`; the global generator has been seeded."""
        raise NotImplementedError

    # --- the published loop -----------------------------------------------------------------------------------------

    def step(self, view: View, rows: Tensor) -> Tensor:
        """One training step on these rows of the view, in the dtype of its features; returns the loss."""
        raise NotImplementedError

    def epoch(self, number: int) -> None:
        """One published epoch, from 0, over the rows given to the constructor, with its own batches."""
        raise NotImplementedError

    def train(self, epochs: int) -> None:
        for number in range(epochs):
            self.epoch(number)
            print("published", number + 1, file=sys.stderr)

    @torch.no_grad()
    def embed(self, modality: str, features: np.ndarray) -> np.ndarray:
        """Outputs float32 (n, bits) for features float32 (n, d)."""
        parts = torch.from_numpy(features).split(2048)
        return torch.cat([self.networks[modality](part) for part in parts]).numpy()

    # --- ten identical steps ----------------------------------------------------------------------------------------

    def pairs(self, method: Method) -> list[tuple[Tensor, Tensor]]:
        """(ours, theirs) for everything that a step changes: theirs is overwritten by ours before, compared after."""
        names = self.networks
        return [p for m in names for p in zip(method.networks[m].parameters(), names[m].parameters(), strict=True)]

    def to(self, dtype: torch.dtype) -> None:
        for network in self.networks.values():
            network.to(dtype)

    def both(self, method: Any, view: View, rows: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Step `number` of both on these rows: the losses, ours first."""
        return method.step(view, rows), self.step(view, rows)

    # --- ours beside it ---------------------------------------------------------------------------------------------

    @classmethod
    def prepare(cls, data: PairedData, args: argparse.Namespace) -> PairedData:
        """The data with the splits that the published protocol has."""
        return data

    @classmethod
    def batches(cls, view: View) -> Iterable[Tensor]:
        """Row positions of the steps that both make in an epoch."""
        return view.batches(cls.batch, number=1)

    @classmethod
    def check_epoch(cls, figures: dict[str, Any]) -> None:
        """Refuse figures of an epoch whose time would not compare."""

    @classmethod
    def score(cls, data: PairedData, embed: Embed) -> dict[str, float]:
        """Expected mAP@all of the codes, from every query modality to every other."""
        query, database = data.splits["query"], data.splits["retrieval"]
        codes = {m: (pack(embed(m, query)), pack(embed(m, database))) for m in data.modalities}
        labels = data.query.label, data.retrieval.label
        ordered = ((a, b) for a in codes for b in codes if a != b)
        return {
            f"{a}->{b}": mean_average_precision(codes[a][0], codes[b][1], *labels)  # type: ignore[arg-type]
            for a, b in ordered
        }

    @classmethod
    def run(cls, data: PairedData, seed: int, args: argparse.Namespace, variant: str) -> dict[str, Any]:
        """One accuracy run of the published code, or of a variant of ours: what its line holds beside the setup."""
        if variant == "published":
            theirs = published(data, seed, args)
            theirs.train(args.epochs)
            return {"map": cls.score(data, lambda m, rows: theirs.embed(m, vectors(data, m, rows)))}
        settings = {"width": args.width, **cls.variants[variant]}
        options: dict[str, Any] = {"precision": args.precision, "epochs": args.epochs, "settings": settings}
        options["features"] = dict.fromkeys(data.modalities, "as-is")  # both sides take the same vectors
        model = train(data, method=args.method, bits=args.bits, noise=cls.noise, seed=seed, **options)
        return {"map": cls.score(data, lambda m, rows: model.embed(m, data[m][rows]))}

    @classmethod
    def table(cls, runs: list[dict[str, Any]]) -> dict[str, Any]:
        """What is printed of all runs."""
        return table(runs)


def stand_in(*names: str) -> Iterator[types.ModuleType]:
    """Empty modules for what the published files import and a CPU run does not use, where it is not installed."""
    absent = {name for name in names if "." not in name and name not in sys.modules and find_spec(name) is None}
    for name in names:
        parent, _, child = name.rpartition(".")
        if name.partition(".")[0] in absent:
            sys.modules[name] = types.ModuleType(name)
        module = sys.modules.get(name) or import_module(name)
        if parent:
            setattr(sys.modules[parent], child, module)
        yield module


def import_from(checkout: Path) -> None:
    """Let the published modules be imported from their folder."""
    if not checkout.is_dir():
        raise SystemExit(f"no folder {checkout} with the published files")
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
