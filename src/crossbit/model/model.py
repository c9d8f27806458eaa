"""A trained model: encoders and featurisers together, so that new pictures and texts can be encoded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossbit.bits import pack
from crossbit.errors import UserError, unknown
from crossbit.features import Featuriser, featuriser_from_state
from crossbit.methods import Task, get, make_settings
from crossbit.model.digest import digest_of
from crossbit.runs.folder import read_config, write_history
from crossbit.storage.files import read_json, refuse_existing, write_json
from crossbit.storage.npz import read_npz, write_npz
from crossbit.storage.tensors import part, read_tensors, write_tensors

CHUNK = 2048  # rows featurised and encoded at a time
PICTURES = 128  # the same, where the encoder takes pixels
MODEL_FILES = ("config.json", "featurisers.json", "model.safetensors")


class Model:
    """Encoders and featurisers of one run.

    Attributes:
        config: what the run was made with, as JSON: "method", "settings", "bits", "noise", "seed", "data" and more.
        encoders: a module per modality, features (n, dim) -> (n, bits).
        featurisers: per modality, raw rows -> float32 features.
        history: a dict for each epoch that made these weights, as in `history.jsonl`.
        rows: per-row figures of the last epoch (such as "sample_loss"), their row numbers in the data under "row";
            empty if the method has none.
    """

    def __init__(
        self,
        config: dict[str, Any],
        encoders: Mapping[str, nn.Module],
        featurisers: Mapping[str, Featuriser],
        *,
        history: list[dict[str, Any]] | None = None,
        rows: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.config = config
        self.encoders = {modality: encoder.eval() for modality, encoder in encoders.items()}
        self.featurisers = dict(featurisers)
        self.history = history or []
        self.rows = rows or {}

    @property
    def method(self) -> str:
        return str(self.config["method"])

    @property
    def metric(self) -> str:
        """How the method ranks: "hamming" by its codes, or "cosine" by its real vectors, of which codes are signs."""
        return get(self.method).metric

    @property
    def bits(self) -> int:
        return int(self.config["bits"])

    @property
    def modalities(self) -> list[str]:
        return list(self.encoders)

    @property
    def digest(self) -> str:
        """A hash of all that decides the codes: two models with one digest give the same codes. An index holds it."""
        return digest_of(self.method, self.encoders, self.featurisers)

    @property
    def selection(self) -> str:
        """How the epoch was chosen, and whether the training had come to its end."""
        done, planned = len(self.history), self.config["settings"]["epochs"]
        stopped = f", interrupted after {done} of {planned} epochs" if done < planned else ""
        return f"{self.config['selection']}{stopped}"

    def _encoder(self, modality: str) -> nn.Module:
        if modality not in self.encoders:
            raise unknown("modality", modality, self.encoders)
        return self.encoders[modality]

    @torch.inference_mode()
    def embed(self, modality: str, rows: Any) -> np.ndarray:
        """Real-valued codes before the sign.

        Args:
            modality: one of `modalities`.
            rows: what the modality holds: uint8 (n, h, w, 3) pictures, n texts, or (n, d) vectors.

        Returns:
            float32 (n, bits).

        Raises:
            UserError: an unknown modality, or rows of another kind or width.
        """
        encoder, featuriser = self._encoder(modality), self.featurisers[modality]
        device = next(iter(encoder.state_dict().values())).device
        size = CHUNK if isinstance(featuriser.dim, int) else PICTURES
        chunks = [np.empty((0, self.bits), np.float32)]
        for start in range(0, len(rows), size):
            features = torch.from_numpy(featuriser.transform(rows[start : start + size]))
            chunks.append(encoder(features.to(device)).float().cpu().numpy())
        return np.concatenate(chunks)

    def encode(self, modality: str, rows: Any) -> np.ndarray:
        """Packed codes, uint8 (n, bits // 8), `np.packbits` order; arguments and errors as `embed`."""
        return pack(self.embed(modality, rows)) if len(rows) else np.empty((0, self.bits // 8), np.uint8)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write config.json, featurisers.json, model.safetensors, the history and the per-row figures, to a new folder.

        Raises:
            UserError: `path` exists already or cannot be written.
        """
        folder = refuse_existing(path)
        write_json(folder / "config.json", self.config)
        self.write_into(folder)

    def write_into(self, folder: Path) -> None:
        """Write all but config.json; model.safetensors last, so that a folder with it is complete."""
        tensors: dict[str, Tensor] = {}
        kinds: dict[str, Any] = {}
        for modality, encoder in self.encoders.items():
            tensors |= {f"encoders.{modality}.{k}": v for k, v in encoder.state_dict().items()}
            kinds[modality], arrays = self.featurisers[modality].state()
            tensors |= {
                f"featurisers.{modality}.{k}": torch.from_numpy(np.ascontiguousarray(v)) for k, v in arrays.items()
            }
        write_json(folder / "featurisers.json", kinds)
        write_history(folder, self.history)
        if self.rows:
            write_npz(folder / "rows.npz", self.rows, compress=True)
        write_tensors(folder / "model.safetensors", tensors, {"history": json.dumps(self.history)})


def load_model(path: str | os.PathLike[str]) -> Model:
    """Load a model or run folder.

    Raises:
        UserError: no such folder, an incomplete one (it says how to go on), another format version, or damaged files.
    """
    folder = Path(path)
    config = read_config(folder)
    missing = [name for name in MODEL_FILES if not (folder / name).exists()]
    if missing:
        raise UserError(
            f"run folder {folder} is incomplete ({', '.join(missing)} missing); finish it with the same train command "
            "and --resume"
        )
    tensors, notes = read_tensors(folder / "model.safetensors")
    try:
        history = json.loads(notes["history"])  # of these weights; an unfinished run's history.jsonl may be ahead
        featurisers = {
            modality: featuriser_from_state(kind, _arrays(tensors, f"featurisers.{modality}."))
            for modality, kind in read_json(folder / "featurisers.json").items()
        }
        cls = get(config["method"])
        task = Task({modality: f.dim for modality, f in featurisers.items()}, config["classes"], config["bits"])
        encoders = cls.build_encoders(make_settings(cls, config["settings"]), task)
        for modality, encoder in encoders.items():
            encoder.load_state_dict(part(tensors, f"encoders.{modality}."))
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"run folder {folder} is damaged: {str(error).splitlines()[0]}") from error
    rows = read_npz(folder / "rows.npz", "a run's file", "train it again") if (folder / "rows.npz").exists() else {}
    return Model(config, encoders, featurisers, history=history, rows=rows)


def _arrays(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in part(tensors, prefix).items()}
