"""torchvision's image networks, with random weights of the right shape, before an encoder and as features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from crossbit.errors import UserError
from crossbit.features import fit_featuriser
from crossbit.methods import Task, get, make_settings
from crossbit.networks.pictures import load_weights, with_backbone
from crossbit.networks.torchvision_networks import TorchvisionNetwork

OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def models() -> Any:
    """torchvision.models. Built for another PyTorch it lacks its operators, which no image network needs."""
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return pytest.importorskip("torchvision.models", reason="needs torchvision of the same build as torch")


@pytest.fixture
def resnet(models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of random weights, as torchvision writes them."""
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(1)
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    return tmp_path / "resnet18.pth"


@pytest.mark.parametrize(
    ("name", "dim"),
    [("vgg11", 4096), ("vgg16", 4096), ("vgg19", 4096), ("resnet18", 512), ("resnet50", 2048), ("vit_b_16", 768)],
)
def test_what_the_last_layer_takes(models: Any, name: str, dim: int) -> None:
    with torch.device("meta"):
        network = TorchvisionNetwork(name)
    assert (network.dim, network.side) == (dim, 224)


@pytest.mark.slow
def test_it_computes_what_torchvision_computes(models: Any, resnet: Path) -> None:
    whole = models.resnet18(weights=None).eval()
    whole.load_state_dict(torch.load(resnet, weights_only=True))
    ours = TorchvisionNetwork("resnet18").eval()
    ours.load_file(resnet)
    pixels = torch.randint(256, (2, 224, 224, 3), dtype=torch.uint8)
    values = (pixels.permute(0, 3, 1, 2) / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(whole.fc(ours(pixels)), whole(values), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_fc7_of_a_vgg_is_after_its_relu(models: Any) -> None:
    network = TorchvisionNetwork("vgg11")
    with torch.no_grad():
        made = network.eval()(torch.randint(256, (1, 30, 40, 3), dtype=torch.uint8))
    assert made.shape == (1, 4096) and (made >= 0).all() and (made == 0).any()
    kept = [layer.p for layer in network.modules() if isinstance(layer, torch.nn.Dropout)]
    assert kept == [0.5]  # the first; the last one is left out with the last layer


@pytest.mark.slow
def test_weights_of_both_kinds_and_wrong_ones(resnet: Path, tmp_path: Path) -> None:
    state = torch.load(resnet, weights_only=True)
    save_file(state, tmp_path / "same.safetensors")
    torch.save({"state_dict": {f"module.{name}": each for name, each in state.items()}}, tmp_path / "wrapped.pth")
    loaded = []
    for name in ("resnet18.pth", "resnet18.pth", "same.safetensors", "wrapped.pth"):  # the second time from the cache
        encoder = with_backbone("resnet18", (32, 32, 3), lambda width: torch.nn.Linear(width, 8))
        load_weights({"image": encoder}, str(tmp_path / name))
        loaded.append(encoder.backbone.state_dict())
    assert all(torch.equal(state["conv1.weight"], each["network.conv1.weight"]) for each in loaded)
    with pytest.raises(UserError, match=r"are not those of resnet34: layer1\.2.* has shape None"):
        TorchvisionNetwork("resnet34").load_file(resnet)
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(UserError, match=r"text\.pth cannot be read as PyTorch's"):
        TorchvisionNetwork("resnet18").load_file(tmp_path / "text.pth")
    with pytest.raises(UserError, match="do not exist"):
        TorchvisionNetwork("resnet18").load_file(tmp_path / "none.pth")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "trained"), [("ssah", True), ("ucch", False)])
def test_frozen_or_trained_as_in_each_paper(resnet: Path, method: str, trained: bool) -> None:
    cls = get(method)
    settings = make_settings(cls, {"pictures": "resnet18", "weights": str(resnet), "width": 8})
    made = cls(settings, Task({"image": (32, 32, 3), "text": 60}, 2, 8))
    encoder = made.networks["image"]
    made.networks.train()
    made.freeze(0)
    made.networks.train()  # as the loop does after validation
    assert encoder.backbone.training == trained and encoder.head.training
    assert all(weight.requires_grad == trained for weight in encoder.backbone.parameters())
    made.freeze(1)
    assert encoder.backbone.training and all(weight.requires_grad for weight in encoder.backbone.parameters())


@pytest.mark.slow
def test_features(resnet: Path, tmp_path: Path) -> None:
    fitted = fit_featuriser(f"resnet18:{resnet}", PICTURES)
    made = fitted.transform(PICTURES)
    assert made.shape == (3, 512)
    np.testing.assert_array_equal(fitted.transform(PICTURES[1:2])[0], made[1])
    with pytest.raises(UserError, match=r"weights .*none\.pth do not exist"):
        fit_featuriser(f"resnet18:{tmp_path}/none.pth", PICTURES)
    with pytest.raises(UserError, match="did you mean 'resnet18'"):
        fit_featuriser(f"resnet81:{resnet}", PICTURES)


def test_a_network_that_nobody_has(models: Any) -> None:
    with pytest.raises(UserError, match="unknown pictures 'vgg61'; did you mean 'vgg1"):
        make_settings(get("ssah"), {"pictures": "vgg61"})


def test_without_torchvision_a_line_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossbit.methods.settings.is_installed", lambda module: False)
    with pytest.raises(
        UserError, match=r"unknown pictures 'vgg16'; known: vectors, cnn, cnn-f; .* type: pip install .crossbit\[torch"
    ):
        make_settings(get("ucch"), {"pictures": "vgg16"})
