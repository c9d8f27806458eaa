"""The model of an exported folder: the same featurisers, and encoders that numpy computes, without PyTorch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from crossbit.errors import UserError
from crossbit.features import Featuriser, featuriser_from_state
from crossbit.model.model import Model
from crossbit.model.plain import OPERATIONS, PlainEncoder
from crossbit.runs.building import building_from
from crossbit.runs.folder import EXPORT, RunFolder
from crossbit.storage.arrays import read_arrays
from crossbit.storage.files import read_json
from crossbit.storage.hashed import hash_of_files

FORMAT = 1
REMEDY = "export the run again: crossbit export RUN --out DIR"


class ExportedModel(Model):
    """A model whose encoders are steps for numpy. It has the digest of the model that was exported."""

    encoders: dict[str, Any]

    def __init__(
        self,
        config: dict[str, Any],
        encoders: Mapping[str, PlainEncoder],
        featurisers: Mapping[str, Featuriser],
        *,
        history: list[dict[str, Any]] | None = None,
        folder: RunFolder,
    ) -> None:
        super().__init__(config, {}, featurisers, history=history)
        self.encoders, self.folder = dict(encoders), folder

    @property
    def metric(self) -> str:
        return str(self.config[EXPORT]["metric"])

    @property
    def floor(self) -> bool:
        return bool(self.config[EXPORT]["floor"])

    @property
    def digest(self) -> str:
        return str(self.config[EXPORT]["digest"])

    @property
    def device(self) -> Any:
        """Always the processor."""
        return "cpu"

    def to(self, device: Any) -> Self:
        """Nothing moves; UserError for any device but "cpu" and "auto"."""
        if str(device) not in ("cpu", "auto"):
            raise UserError(f"an exported model computes on the CPU, not on '{device}'; give cpu, or take the run")
        return self

    def write_into(self, folder: RunFolder) -> None:
        """Copy all but config.json; model.safetensors last."""
        assert self.folder is not None
        for file in (*decisive(self.folder), self.folder.history_file):
            if file.exists():
                shutil.copyfile(file, folder.path / file.name)

    def _computed(self, encode: Callable[[Any], Any], features: np.ndarray) -> np.ndarray:
        return np.asarray(encode(features), np.float32)


def load_exported(folder: RunFolder, config: dict[str, Any]) -> ExportedModel:
    """The model of an exported folder.

    Raises:
        UserError: its files are not those that were exported, or another version of crossbit wrote them.
    """
    if not folder.encoders_file.exists():
        raise UserError(f"exported folder {folder} lacks {folder.encoders_file.name}; {REMEDY}")
    held = read_json(folder.encoders_file)
    with building_from(f"exported folder {folder}", REMEDY):
        if held["format"] != FORMAT:
            raise UserError(f"its encoders have format {held['format']!r}, this one reads format {FORMAT}")
        if unknown := sorted({step[0] for each in held["encoders"].values() for step in each["steps"]} - {*OPERATIONS}):
            raise UserError(f"its encoders use {', '.join(unknown)}")
        if hash_of_files(decisive(folder)) != config[EXPORT]["hash"]:
            raise ValueError("its model is not the one that was exported")
        arrays, notes = read_arrays(folder.weights_file)
        featurisers = {
            modality: featuriser_from_state(kind, _part(arrays, f"featurisers.{modality}."))
            for modality, kind in read_json(folder.featurisers_file).items()
        }
        encoders = {
            modality: PlainEncoder(each["steps"], each["outputs"], _part(arrays, f"encoders.{modality}."))
            for modality, each in held["encoders"].items()
        }
        history = json.loads(notes["history"])
    return ExportedModel(config, encoders, featurisers, history=history, folder=folder)


def decisive(folder: RunFolder) -> list[Any]:
    """The files that decide what an exported model computes."""
    return [folder.encoders_file, folder.featurisers_file, folder.weights_file]


def _part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
