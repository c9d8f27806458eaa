"""The image networks of torchvision by name, without their last layer: what the papers put before their own layers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.errors import UserError, unknown
from crossbit.storage.packages import optional
from crossbit.storage.weights import read_weights

INSTALL = '"crossbit[torchvision]"'
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which all of them were trained on


class TorchvisionNetwork(nn.Module):
    """Pixels uint8 (n, h, w, 3) of any size to (n, dim), what the last linear layer takes: fc7 of a VGG, 4,096 values.

    That layer and the dropout right before it are left out. The weights are random ones until some are loaded.

    Args:
        name: as in `torchvision.models`: "vgg16", "resnet50", ...

    Raises:
        UserError: torchvision is absent, has no such network, or the network does not end in a linear layer.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        check_network(name)
        models: Any = optional("torchvision.models", f"pictures={name}", INSTALL)
        self.name, self.side = name, _side(models, name)
        self.network: nn.Module = models.get_model(name, weights=None, **_one_output(models, name))
        layers = [path for path, layer in self.network.named_modules() if not list(layer.children())]
        last = self.network.get_submodule(layers[-1])
        if not isinstance(last, nn.Linear):
            raise UserError(f"{name} does not end in a linear layer; take another network, such as vgg16 or resnet18")
        self.last, self.dim = layers[-1], last.in_features
        _replace(self.network, layers[-1])
        if isinstance(self.network.get_submodule(layers[-2]), nn.Dropout):
            _replace(self.network, layers[-2])
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels.permute(0, 3, 1, 2).float() / 255
        if x.shape[2:] != (self.side, self.side):
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)
        outputs: Tensor = self.network((x - self.mean) / self.deviation)
        return outputs

    def load_file(self, path: Path) -> None:
        """Put in the weights of a `.pth` or `.safetensors` with torchvision's names; the last layer's may be there.

        Raises:
            UserError: no such file, damaged, or another network's.
        """
        given = {name: each for name, each in read_weights(path).items() if not self._is_left_out(name)}
        expected = self.network.state_dict()
        wrong = _first_difference(expected, given)
        if wrong:
            shapes = [tuple(held[wrong].shape) if wrong in held else None for held in (given, expected)]
            raise UserError(
                f"weights {path} are not those of {self.name}: {wrong} has shape {shapes[0]}, it must be {shapes[1]}"
            )
        self.network.load_state_dict({**self.network.state_dict(), **given})

    def _is_left_out(self, name: str) -> bool:
        """Whether a weight is one of the last layer, or of the layers beside the way that are for training only."""
        return name.rpartition(".")[0] == self.last or name.lower().startswith("aux")


def check_network(name: str) -> None:
    """Raise UserError unless torchvision is there and has an image network of that name."""
    models: Any = optional("torchvision.models", f"pictures={name}", INSTALL)
    known = models.list_models(module=models)
    if name not in known:
        raise unknown("pictures", name, ["vectors", "cnn", "cnn-f", *known])


def _side(models: Any, name: str) -> int:
    """Pixels each way that its published weights were trained on."""
    transforms: Any = next(iter(models.get_model_weights(name))).transforms
    return int(transforms.keywords["crop_size"])


def _one_output(models: Any, name: str) -> dict[str, Any]:
    """Options of the networks that have further outputs while they are trained: none of these."""
    builder = models.get_model_builder(name)
    classes = (each for each in vars(inspect.getmodule(builder)).values() if inspect.isclass(each))
    has = any("aux_logits" in inspect.signature(each.__init__).parameters for each in classes)
    return {"aux_logits": False, "init_weights": True} if has else {}


def _replace(network: nn.Module, path: str) -> None:
    above, _, name = path.rpartition(".")
    setattr(network.get_submodule(above), name, nn.Identity())


def _first_difference(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """The first name whose tensor is missing, too many, or of another shape; empty where there is none.

    Old files lack the counters of batch normalisation, which are not needed.
    """
    for name in {**expected, **given}:
        if name not in given and name.endswith("num_batches_tracked"):
            continue
        if name not in expected or name not in given or expected[name].shape != given[name].shape:
            return name
    return ""
