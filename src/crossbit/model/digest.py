"""A short name for what a model computes, so that codes of two models are never taken for each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crossbit.features import Featuriser

BYTES = 16  # of the hash, which is written with twice as many characters


def digest_of(method: str, encoders: Mapping[str, nn.Module], featurisers: Mapping[str, Featuriser]) -> str:
    """The hash of all that decides a model's codes: the method, its encoders' tensors, and the featurisers.

    It does not depend on the device, on the folder the model was loaded from, or on what was merely recorded (the
    history, names, times). A model that is saved and loaded keeps it.

    Returns:
        32 hexadecimal characters.
    """
    state = hashlib.blake2b(method.encode(), digest_size=BYTES)
    for modality in sorted(encoders):
        config, arrays = featurisers[modality].state()
        state.update(json.dumps([modality, config], sort_keys=True).encode())
        tensors = {f"featuriser.{name}": torch.as_tensor(array) for name, array in arrays.items()}
        tensors |= {f"encoder.{name}": tensor for name, tensor in encoders[modality].state_dict().items()}
        for name, tensor in sorted(tensors.items()):
            state.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
            state.update(_bytes(tensor))
    return state.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
