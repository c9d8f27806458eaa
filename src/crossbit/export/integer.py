"""`crossbit export --integer`: encoders in whole numbers as files, compared with one another, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from crossbit.bits import pack
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.evaluation import mean_average_precision
from crossbit.export.compared import CHUNK, rows_compared
from crossbit.export.quantised import quantised
from crossbit.model import Model
from crossbit.model.integer import IntegerEncoder, read_integer, write_integer
from crossbit.model.rows import features_of_some
from crossbit.runs.folder import RunFolder

ROWS = 5_000  # training rows that scales are taken from, and queries that the cost is measured with, at most


def write_integers(
    model: Model,
    data: PairedData | None,
    steps: Mapping[str, Any],
    features: Mapping[str, np.ndarray],
    new: RunFolder,
    *,
    onnx: bool,
) -> dict[str, Any]:
    """Write `MODALITY.integer.safetensors` for each modality, and `MODALITY.integer.onnx` beside it if asked for.

    Args:
        model: of the run.
        data: the run's.
        steps: of each modality, by `traced`.
        features: by modality, those of the rows of the database that are compared.
        new: the folder to write into.
        onnx: write the graphs, too.

    Returns:
        For the card: what was compared, and the cost.

    Raises:
        UserError: the data are not there; an encoder that has no form in whole numbers.
    """
    if data is None:
        raise UserError(
            "--integer takes its scales from the training rows, and the run's data are not there; put them back, or "
            "export without --integer"
        )
    made, compared = {}, {}
    for modality in model.modalities:
        made[modality], most = _written(model, data, steps[modality], modality, new)
        compared[modality] = _compared(model, made[modality], features[modality], modality)
        compared[modality] |= {"largest_sum": most}
        if onnx:
            from crossbit.export.integer_onnx import write_integer_onnx
            from crossbit.export.onnx import bytes_that_differ

            file = new.path / f"{modality}.integer.onnx"
            write_integer_onnx(made[modality], file)
            differ = bytes_that_differ(file, features[modality], made[modality](features[modality]))
            compared[modality] |= {} if differ is None else {"onnx_bytes_that_differ": differ}
    return {"compared": compared, "cost": _cost(model, made, data, features)}


def _written(
    model: Model, data: PairedData, steps: Mapping[str, Any], modality: str, new: RunFolder
) -> tuple[IntegerEncoder, int]:
    """The encoder as it is read from the file that was written, and the largest sum that it can have."""
    weights = {name: tensor.detach().cpu().numpy() for name, tensor in model.encoders[modality].state_dict().items()}
    rows = _some(data.splits["train"])
    made, most = quantised(steps, weights, _features(model, modality, data, rows), f"the encoder of {modality}")
    path = new.integer_file(modality)
    write_integer(made, path)
    return read_integer(path), most


def _compared(model: Model, encoder: IntegerEncoder, features: np.ndarray, modality: str) -> dict[str, int]:
    """How many bytes PyTorch gives otherwise with the same whole numbers, and bits with the run's own."""
    import torch

    from crossbit.export.integer_torch import IntegerModule

    codes, module = encoder(features), IntegerModule(encoder)
    with torch.inference_mode():
        other = np.concatenate([module(torch.from_numpy(part)).numpy() for part in _parts(features)])
    if differ := int((codes != other).sum()):
        raise UserError(f"the encoder of {modality} gives {differ} other bytes with PyTorch; report this")
    bits = np.unpackbits(codes ^ _codes(model, modality, features))
    return {"rows": len(codes), "torch_bytes_that_differ": differ, "outputs": bits.size, "other_bits": int(bits.sum())}


def _cost(
    model: Model, made: Mapping[str, IntegerEncoder], data: PairedData, features: Mapping[str, np.ndarray]
) -> dict[str, Any] | None:
    """mAP@all of the run's queries with the run's codes and with those of whole numbers; None without labels."""
    labels = {modality: data.modality_label.get(modality, data.label) for modality in model.modalities}
    if not len(data.splits["query"]) or any(label is None for label in labels.values()):
        return None
    queries, database = _some(data.splits["query"]), rows_compared(data)
    codes: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for modality, encoder in made.items():
        asked = _features(model, modality, data, queries)
        codes[modality] = {
            "run": (_codes(model, modality, asked), _codes(model, modality, features[modality])),
            "integer": (encoder(asked), encoder(features[modality])),
        }
    found: dict[str, dict[str, float]] = {}
    for one in made:
        for other in (name for name in made if name != one):
            truth: Any = labels[one], labels[other]
            pairs = {form: (codes[one][form][0], codes[other][form][1]) for form in ("run", "integer")}
            pairs["integer queries"] = codes[one]["integer"][0], codes[other]["run"][1]
            found[f"{one}->{other}"] = {
                form: mean_average_precision(*both, truth[0][queries], truth[1][database])
                for form, both in pairs.items()
            }
    return {"queries": len(queries), "database": len(database), "map": found}


def _some(rows: np.ndarray) -> np.ndarray:
    ordered = np.sort(rows)
    return ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), ROWS)).astype(int)]


def _features(model: Model, modality: str, data: PairedData, rows: np.ndarray) -> np.ndarray:
    featuriser = model.featurisers[modality]
    return np.concatenate([features_of_some(featuriser, data[modality][part]) for part in _parts(rows)])


def _codes(model: Model, modality: str, features: np.ndarray) -> np.ndarray:
    encoder = model.encoders[modality]
    return np.concatenate([pack(model._computed(encoder, part)) for part in _parts(features)])


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
