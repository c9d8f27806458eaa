"""Pictures and texts by a CLIP model - or one of its kind, such as SigLIP - from a folder, or by its name on a hub.

Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from crossbit.features.folders import INSTALL, NAMED, folder_of, model_files, transformers_for
from crossbit.features.network import NetworkFeaturiser, PictureNetwork, TextNetwork, Vector
from crossbit.storage.packages import optional

WHAT = "features clip"
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # where nothing is said


class _Clip(NetworkFeaturiser):
    """What both halves share."""

    package = "transformers"
    takes = NAMED

    @classmethod
    def files(cls, argument: str, *, fetch: bool = False) -> list[Path]:
        optional("transformers", WHAT, INSTALL)
        return model_files(folder_of(WHAT, argument, fetch=fetch))

    @cached_property
    def opened_clip(self) -> Any:
        folder = folder_of(WHAT, self.argument)
        return (_OpenClip if _is_open_clip(folder) else _TransformersClip)(folder)


class ClipFeaturiser(_Clip, PictureNetwork):
    """Pictures to the model's picture vectors, each of length 1 before the columns are scaled."""

    name = "clip"
    twins = {"words": "clip-text"}  # noqa: RUF012

    @property
    def side(self) -> int:
        return int(self.opened_clip.side)

    def network(self) -> Callable[[NDArray[np.uint8]], Vector]:
        clip = self.opened_clip
        mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (clip.mean, clip.deviation))

        @torch.inference_mode()
        def compute(picture: NDArray[np.uint8]) -> Vector:
            values = (torch.from_numpy(picture).permute(2, 0, 1).float() / 255 - mean) / deviation
            return _unit(clip.of_picture(values[None]))

        return compute


class ClipTextFeaturiser(_Clip, TextNetwork):
    """Texts to the model's text vectors, each of length 1 before the columns are scaled."""

    name = "clip-text"

    def network(self) -> Callable[[str], Vector]:
        clip = self.opened_clip

        @torch.inference_mode()
        def compute(text: str) -> Vector:
            return _unit(clip.of_text(text))

        return compute


class _TransformersClip:
    def __init__(self, folder: Path) -> None:
        module = transformers_for(WHAT)
        self.model, self.tokens = _transformers_parts(module, str(folder))
        self.side = self.model.config.vision_config.image_size
        file = folder / "preprocessor_config.json"
        said = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self.mean, self.deviation = said.get("image_mean", MEAN), said.get("image_std", DEVIATION)
        text = getattr(self.model.config, "text_config", self.model.config)
        self.longest = int(getattr(text, "max_position_embeddings", 77))

    def of_picture(self, values: Tensor) -> Any:
        return self.model.get_image_features(pixel_values=values)

    def of_text(self, text: str) -> Any:
        padded = {"padding": "max_length"} if self.model.config.model_type.startswith("siglip") else {}  # as trained
        tokens = self.tokens(text, return_tensors="pt", truncation=True, max_length=self.longest, **padded)
        return self.model.get_text_features(input_ids=tokens["input_ids"])


class _OpenClip:
    def __init__(self, folder: Path) -> None:
        module: Any = optional("open_clip", WHAT, "open_clip_torch")
        self.model, self.tokens = _open_clip_parts(module, f"local-dir:{folder}")
        size = self.model.visual.image_size
        self.side = size if isinstance(size, int) else size[0]
        said = self.model.visual.preprocess_cfg
        self.mean, self.deviation = said["mean"], said["std"]

    def of_picture(self, values: Tensor) -> Any:
        return self.model.encode_image(values)

    def of_text(self, text: str) -> Any:
        return self.model.encode_text(self.tokens([text]))


@lru_cache(maxsize=1)  # both halves of a model share it
def _transformers_parts(module: Any, folder: str) -> tuple[Any, Any]:
    model = module.AutoModel.from_pretrained(folder, local_files_only=True)
    return model.float().eval(), module.AutoTokenizer.from_pretrained(folder, local_files_only=True)


@lru_cache(maxsize=1)
def _open_clip_parts(module: Any, name: str) -> tuple[Any, Any]:
    model, _ = module.create_model_from_pretrained(name, device="cpu")
    return model.float().eval(), module.get_tokenizer(name)


def _is_open_clip(folder: Path) -> bool:
    return (folder / "open_clip_config.json").exists() and not (folder / "config.json").exists()


def _unit(made: Any) -> Vector:
    """The vector (1, width) of a model, alone or as the pooled one among its outputs, at length 1: (width,)."""
    vector = made if isinstance(made, Tensor) else made.pooler_output
    unit: Vector = F.normalize(vector.float(), dim=1)[0].numpy()
    return unit
