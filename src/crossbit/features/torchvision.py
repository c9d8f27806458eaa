"""Pictures by an image network of torchvision's, its weights from a file: `vgg19:vgg19.pth` gives fc7, 4,096 values."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crossbit.errors import UserError
from crossbit.features.network import PictureNetwork, Vector
from crossbit.networks.torchvision_networks import TorchvisionNetwork, check_network


class TorchvisionFeaturiser(PictureNetwork):
    """Pictures to what the network's last layer takes."""

    name = "torchvision"
    package = "torchvision"
    takes = "a network and a file of its weights, such as vgg19:vgg19.pth,"

    @classmethod
    def files(cls, argument: str, *, fetch: bool = False) -> list[Path]:
        network, _, file = argument.partition(":")
        check_network(network)
        if not Path(file).expanduser().is_file():
            raise UserError(f"weights {file or 'of ' + network} do not exist; give features {network}:FILE.pth")
        return [Path(file).expanduser().resolve()]

    @classmethod
    def from_anywhere(cls, argument: str) -> str:
        network, _, file = argument.partition(":")
        return f"{network}:{super().from_anywhere(file)}"

    @property
    def argument_decides(self) -> str:
        return self.argument.partition(":")[0]

    @cached_property
    def opened_network(self) -> TorchvisionNetwork:
        network = TorchvisionNetwork(self.argument_decides)
        network.load_file(self.files(self.argument)[0])
        return network.eval()

    @property
    def side(self) -> int:
        return self.opened_network.side

    def network(self) -> Callable[[NDArray[np.uint8]], Vector]:
        network: Any = self.opened_network

        @torch.inference_mode()
        def compute(picture: NDArray[np.uint8]) -> Vector:
            vector: Vector = network(torch.from_numpy(picture)[None])[0].numpy()
            return vector

        return compute
