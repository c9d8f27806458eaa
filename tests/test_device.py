"""Where networks run: names of devices and precisions."""

import pytest
import torch

from crossbit.errors import UserError
from crossbit.networks.device import autocast, device_of


def test_auto_takes_a_gpu_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_of("auto") == torch.device("cuda")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("quantum", "none of auto, cpu, cuda, mps"),
        ("cuda:x", "none of auto"),
        ("cpu:", "none of auto"),
        ("cuda", "finds none"),
        ("mps", "finds none"),
    ],
)
def test_a_device_that_cannot_be_used(name, words, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=words):
        device_of(name)


def test_a_gpu_of_a_number_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="has 2"):
        device_of("cuda:2")


def test_products_in_bf16_and_sums_in_float32():
    x = torch.ones(2, 2)
    with autocast(torch.device("cpu"), "bf16"):
        assert (x @ x).dtype == torch.bfloat16
    with autocast(torch.device("cpu"), "32"):
        assert (x @ x).dtype == torch.float32
    with pytest.raises(UserError, match="known: 32, bf16"):
        autocast(torch.device("cpu"), "16")
