"""Convolutional networks over pixels, and where CNN-F's weights come from."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.io import savemat

from crossbit.errors import UserError
from crossbit.methods import Task, available, make_settings
from crossbit.methods.settings import PictureSettings, describe
from crossbit.networks.pictures import CnnF, SmallCnn, load_weights, read_cnn_f, with_backbone

LAYERS = {  # name: filters as MatConvNet has them, (h, w, in, out)
    "conv1": (11, 11, 3, 64),
    "conv2": (5, 5, 64, 256),
    "conv3": (3, 3, 256, 256),
    "conv4": (3, 3, 256, 256),
    "conv5": (3, 3, 256, 256),
    "fc6": (6, 6, 256, 4096),
    "fc7": (1, 1, 4096, 4096),
}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return CnnF((224, 224, 3))


def test_cnn_f_has_the_sizes_of_its_paper(network):
    sizes = {}
    for name in ("conv1", "conv2", "conv3", "conv5", "fc6"):
        getattr(network, name).register_forward_hook(lambda _, x, y, name=name: sizes.update({name: (x[0], y)}))
    with torch.no_grad():
        out = network(torch.randint(256, (2, 224, 224, 3), dtype=torch.uint8))
    assert out.shape == (2, 4096)
    assert (out >= 0).all()
    assert sizes["conv1"][1].shape[1:] == (64, 54, 54)
    assert sizes["conv2"][0].shape[1:] == (64, 27, 27)
    assert sizes["conv3"][0].shape[1:] == (256, 13, 13)
    assert sizes["fc6"][0].shape[1:] == (256 * 6 * 6,)


def test_its_normalisation_divides_as_the_specification_says(network):
    small = torch.full((1, 64, 1, 1), 1e-3)
    torch.testing.assert_close(network.norm(small), small * 2**-0.75, rtol=1e-6, atol=0)
    large = torch.full((1, 64, 1, 1), 100.0)  # five channels of 100 squared
    expected = 100 / (2 + 1e-4 * 5 * 100**2) ** 0.75
    assert network.norm(large)[0, 32].item() == pytest.approx(expected, rel=1e-5)


def test_pictures_of_another_size_are_resized(network):
    small = torch.full((1, 32, 32, 3), 200, dtype=torch.uint8)
    large = torch.full((1, 224, 224, 3), 200, dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(network(small), network(large), rtol=1e-4, atol=1e-5)


def matlab_file(path, *, old: bool):
    """Mostly zeros, so that the compressed file is small; one entry of every layer says where it belongs."""
    layers = np.empty(len(LAYERS) + 1, dtype=object)
    for number, (name, shape) in enumerate(LAYERS.items()):
        filters = np.zeros(shape, np.float32)
        filters[shape[0] - 1, 0, 1, 2] = number + 1
        bias = np.full((1, shape[-1]), number, np.float32)
        parts = {"filters": filters, "biases": bias}
        weights = np.empty((1, 2), dtype=object)
        weights[0, 0], weights[0, 1] = filters, bias
        layers[number] = {"type": "conv", "name": name} | (parts if old else {"weights": weights})
    layers[-1] = {"type": "softmax", "name": "prob"}
    described = {"averageImage": np.broadcast_to(np.float32([123, 117, 104]), (224, 224, 3))}
    savemat(
        path,
        {"layers": layers} | ({"normalization": described} if old else {"meta": {"normalization": described}}),
        do_compression=True,
    )
    return path


@pytest.mark.slow
@pytest.mark.parametrize("old", [True, False])
def test_weights_of_matconvnet(tmp_path, old):
    state = read_cnn_f(matlab_file(tmp_path / "imagenet-vgg-f.mat", old=old))
    assert state["conv1.weight"][2, 1, 10, 0] == 1  # out, in, h, w
    assert state["fc6.weight"].view(4096, 256, 6, 6)[2, 1, 5, 0] == 6
    assert state["fc7.weight"][2, 1] == 7
    assert all((state[f"{name}.weight"] != 0).sum() == 1 for name in LAYERS)
    assert [state[f"{name}.bias"][0].item() for name in LAYERS] == list(range(7))
    assert state["mean"][:, 100, 100].tolist() == [123, 117, 104]
    assert state["scale"] == 1


@pytest.mark.slow
def test_weights_of_safetensors_go_into_every_picture_encoder(tmp_path, network):
    save_file(network.state_dict(), tmp_path / "cnn-f.safetensors")
    encoder = with_backbone("cnn-f", (32, 32, 3), lambda width: torch.nn.Linear(width, 8))
    plain = with_backbone("cnn-f", 12, lambda width: torch.nn.Linear(width, 8))
    load_weights({"image": encoder, "text": plain}, str(tmp_path / "cnn-f.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(encoder.backbone.parameters(), network.parameters(), strict=True))


def test_weights_that_are_not_cnn_f(tmp_path):
    with pytest.raises(UserError, match="do not exist"):
        read_cnn_f(tmp_path / "none.mat")
    (tmp_path / "text.mat").write_text("no weights")
    with pytest.raises(UserError, match="cannot be read as MatConvNet's CNN-F"):
        read_cnn_f(tmp_path / "text.mat")
    savemat(tmp_path / "other.mat", {"x": np.ones(3)})
    with pytest.raises(UserError, match="cannot be read as MatConvNet's CNN-F"):
        read_cnn_f(tmp_path / "other.mat")
    save_file({"conv1.weight": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="mean has shape None"):
        read_cnn_f(tmp_path / "other.safetensors")


def test_a_frozen_backbone_stays_and_its_head_learns():
    torch.manual_seed(0)
    encoder = with_backbone("cnn", (16, 16, 3), lambda width: torch.nn.Linear(width, 4))
    pixels = torch.randint(256, (3, 16, 16, 3), dtype=torch.uint8)
    for frozen in (True, False):
        encoder.freeze(frozen)
        encoder.zero_grad()
        encoder(pixels).sum().backward()
        assert all((p.grad is None or not p.grad.any()) == frozen for p in encoder.backbone.parameters())
        assert encoder.head.weight.grad.any()


def test_which_methods_train_given_weights_and_when():
    frozen = {}
    for name, cls in available().items():
        small = {key: 8 for key in (setting.name for setting in describe(cls.Settings)) if key == "width"}
        small |= {"warmup": 3} if name == "ucch" else {}
        if issubclass(cls.Settings, PictureSettings):
            frozen[name] = cls(make_settings(cls, small), Task({"image": 6, "text": 5}, 2, 8)).frozen_epochs()
    assert frozen == {"infonce": math.inf, "look": math.inf, "mrl": math.inf, "nrch": math.inf, "ssah": 0, "ucch": 3}


@pytest.mark.parametrize("side", [16, 17, 48])
def test_the_small_network_takes_any_size(side):
    assert SmallCnn((side, side, 3))(torch.zeros(1, side, side, 3, dtype=torch.uint8)).shape == (1, SmallCnn.dim)
