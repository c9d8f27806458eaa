"""A trained model: encoders and featurisers together, saved and loaded."""

from crossbit.model.model import Model, load_model

__all__ = ["Model", "load_model"]
