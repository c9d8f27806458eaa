"""Texts by any model that sentence-transformers reads, from a folder or by its name on a hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from crossbit.features.folders import INSTALL, NAMED, folder_of, model_files, transformers_for
from crossbit.features.network import TextNetwork, Vector
from crossbit.storage.packages import optional


class SentenceFeaturiser(TextNetwork):
    """Texts to the model's own vectors, its pooling included; a plain transformer's are averaged over its words."""

    name = "sentence"
    package = "sentence-transformers"
    takes = NAMED

    @classmethod
    def folder(cls, argument: str, fetch: bool = False) -> Path:
        return folder_of(f"features {cls.name}", argument, fetch=fetch)

    @classmethod
    def files(cls, argument: str, *, fetch: bool = False) -> list[Path]:
        optional("sentence_transformers", f"features {cls.name}", INSTALL)
        return model_files(cls.folder(argument, fetch))

    def network(self) -> Callable[[str], Vector]:
        transformers_for(f"features {self.name}")
        module: Any = optional("sentence_transformers", f"features {self.name}", INSTALL)
        model = module.SentenceTransformer(str(self.folder(self.argument)), device="cpu", local_files_only=True)

        @torch.inference_mode()
        def compute(text: str) -> Vector:
            vector: Vector = model.encode(text, convert_to_numpy=True, show_progress_bar=False)
            return vector

        return compute
