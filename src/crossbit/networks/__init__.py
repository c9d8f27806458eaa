"""What methods share: layers and encoders, networks for pictures, optimisers."""

from crossbit.networks.blocks import Encoder, dual_encoders, linear_layers
from crossbit.networks.optimizers import clip_in_step, rmsprop

__all__ = ["Encoder", "clip_in_step", "dual_encoders", "linear_layers", "rmsprop"]
