"""Pictures as pixels: image networks in front of an encoder, and CNN-F's weights from a file.

CNN-F is the "fast" network of Chatfield et al., Return of the Devil in the Details, BMVC 2014, which SSAH fine-tunes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.errors import UserError
from crossbit.networks.torchvision_networks import TorchvisionNetwork
from crossbit.storage.tensors import read_tensors

Dim: TypeAlias = int | tuple[int, int, int]  # width of vectors, or (h, w, 3) of pictures
CNN_F_SIDE = 224  # pixels


class SmallCnn(nn.Module):
    """Pixels uint8 (n, h, w, 3) to (n, 2048): three 3 x 3 convolutions with ReLU and pooling.

    >>> SmallCnn((32, 32, 3))(torch.zeros(2, 32, 32, 3, dtype=torch.uint8)).shape
    torch.Size([2, 2048])
    """

    dim = 2048

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        widths = 3, 32, 64, 128
        self.layers = nn.Sequential()
        for before, after in itertools.pairwise(widths):
            self.layers.extend([nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)])
        self.layers.extend([nn.AdaptiveAvgPool2d(4), nn.Flatten()])

    def forward(self, pixels: Tensor) -> Tensor:
        outputs: Tensor = self.layers((_channels_first(pixels) - 127.5) / 64)
        return outputs


class CnnF(nn.Module):
    """Pixels uint8 (n, h, w, 3) to (n, 4096), the ReLU of fc7; pictures of another size are resized to 224 x 224.

    Without a file, the weights are PyTorch's random ones and the mean picture is grey; nothing is downloaded.
    """

    dim = 4096

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 64, 11, stride=4), nn.Conv2d(64, 256, 5, padding=2)
        self.conv3, self.conv4, self.conv5 = (nn.Conv2d(256, 256, 3, padding=1) for _ in range(3))
        self.fc6, self.fc7 = nn.Linear(256 * 6 * 6, 4096), nn.Linear(4096, 4096)
        self.norm = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)  # PyTorch divides alpha by the size: 1e-4
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.mean: Tensor
        self.register_buffer("mean", torch.full((3, CNN_F_SIDE, CNN_F_SIDE), 127.5))
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(1 / 64))  # 1 for weights that were trained on 0..255

    def forward(self, pixels: Tensor) -> Tensor:
        x = _channels_first(pixels)
        if x.shape[2:] != self.mean.shape[1:]:
            x = F.interpolate(x, self.mean.shape[1:], mode="bilinear", antialias=True)
        x = (x - self.mean) * self.scale
        x = self.pool(self.norm(F.relu(self.conv1(x))))
        x = self.pool(self.norm(F.relu(self.conv2(x))))
        x = F.relu(self.conv4(F.relu(self.conv3(x))))
        x = self.pool(F.relu(self.conv5(x))).flatten(1)
        return F.relu(self.fc7(F.relu(self.fc6(x))))

    def load_file(self, path: Path) -> None:
        """Put in the weights of a file; see `read_cnn_f`."""
        self.load_state_dict(read_cnn_f(path))


BACKBONES: dict[str, Callable[[tuple[int, int, int]], nn.Module]] = {"cnn": SmallCnn, "cnn-f": CnnF}


class PictureEncoder(nn.Module):
    """A convolutional network and, over its features, what a method does with vectors."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head, self.frozen = backbone, head, False

    def forward(self, pixels: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.backbone(pixels))
        return outputs

    def freeze(self, frozen: bool) -> None:
        """Stop training the backbone, or go on with it; meanwhile it computes as after training."""
        self.frozen = frozen
        self.backbone.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As any module; a frozen backbone keeps its running means, and drops nothing."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self


def with_backbone(network: str, dim: Dim, head: Callable[[int], nn.Module]) -> nn.Module:
    """`head(width)` for vectors of that width; for pixels, the named network in front of it: "cnn", "cnn-f", or one of
    torchvision's.

    >>> with_backbone("vectors", 8, lambda width: nn.Linear(width, 4))
    Linear(in_features=8, out_features=4, bias=True)
    >>> encoder = with_backbone("cnn", (16, 16, 3), lambda width: nn.Linear(width, 4))
    >>> encoder(torch.zeros(2, 16, 16, 3, dtype=torch.uint8)).shape
    torch.Size([2, 4])
    """
    if isinstance(dim, int):
        return head(dim)
    backbone: Any = BACKBONES[network](dim) if network in BACKBONES else TorchvisionNetwork(network)
    return PictureEncoder(backbone, head(backbone.dim))


def load_weights(networks: Mapping[str, nn.Module] | nn.ModuleDict, path: str) -> None:
    """Put the weights of a file into every CNN-F, or network of torchvision's, of these encoders.

    Raises:
        UserError: no such file, or not that network's weights.
    """
    for network in networks.values():
        if isinstance(network, PictureEncoder):
            backbone: Any = network.backbone
            backbone.load_file(Path(path))


def read_cnn_f(path: Path) -> dict[str, Tensor]:
    """CNN-F's state from a `.safetensors` with this module's names, or from MatConvNet's `imagenet-vgg-f.mat`.

    Raises:
        UserError: no such file, another network's, or damaged.
    """
    if not path.exists():
        raise UserError(f"weights {path} do not exist; give CNN-F's .safetensors or imagenet-vgg-f.mat")
    state = _from_matlab(path) if path.suffix == ".mat" else read_tensors(path)[0]
    with torch.device("meta"):
        expected = {
            name: tuple(tensor.shape) for name, tensor in CnnF((CNN_F_SIDE, CNN_F_SIDE, 3)).state_dict().items()
        }
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if given != expected:
        wrong = next(name for name in {**expected, **given} if expected.get(name) != given.get(name))
        raise UserError(
            f"weights {path} are not CNN-F's: {wrong} has shape {given.get(wrong)}, it must be {expected.get(wrong)}"
        )
    return state


def _from_matlab(path: Path) -> dict[str, Tensor]:
    from scipy.io import loadmat

    try:
        file = loadmat(path, squeeze_me=True, struct_as_record=False)
        state = {"scale": torch.tensor(1.0)}
        for layer in np.atleast_1d(file["layers"]):
            if layer.name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"):
                filters, bias = layer.weights if hasattr(layer, "weights") else (layer.filters, layer.biases)
                state[f"{layer.name}.weight"] = _weight(layer.name, filters)
                state[f"{layer.name}.bias"] = torch.from_numpy(np.ascontiguousarray(bias, np.float32).reshape(-1))
        described = file["meta"].normalization if "meta" in file else file["normalization"]
        mean = np.broadcast_to(np.asarray(described.averageImage, np.float32), (CNN_F_SIDE, CNN_F_SIDE, 3))
        state["mean"] = torch.from_numpy(np.ascontiguousarray(mean.transpose(2, 0, 1)))
    except Exception as error:  # the reader raises whatever damaged bytes lead it to
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"weights {path} cannot be read as MatConvNet's CNN-F: {why}") from error
    return state


def _weight(name: str, filters: np.ndarray) -> Tensor:
    """MatConvNet's (h, w, in, out), or (in, out) once its ones are squeezed, in PyTorch's order."""
    if filters.ndim == 4:
        filters = filters.transpose(3, 2, 0, 1)
        filters = filters.reshape(len(filters), -1) if name.startswith("fc") else filters
    else:
        filters = filters.T
    return torch.from_numpy(np.ascontiguousarray(filters, np.float32))


def _channels_first(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float()
