"""A trained model: encoders and featurisers together, so that new pictures and texts can be encoded.

PyTorch is imported by what needs it only: an exported model (`crossbit.model.exported`) does without.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from crossbit.bits import pack
from crossbit.errors import UserError, unknown
from crossbit.features import Featuriser, featuriser_from_state
from crossbit.model.rows import as_rows, features_of_some
from crossbit.runs.building import building_from
from crossbit.runs.folder import EXPORT, RunFolder
from crossbit.storage.files import read_json, write_json, writing_folder
from crossbit.storage.npz import read_npz, write_npz

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Made = tuple[np.ndarray, Any]  # an array, and a JSON value beside it

CHUNK = 2048  # rows featurised and encoded at a time
PICTURES = 128  # the same, where the encoder takes pixels


class Model:
    """Encoders and featurisers of one run.

    Attributes:
        config: what the run was made with, as JSON: "method", "settings", "bits", "noise", "seed", "data" and more.
        encoders: a module per modality, features (n, dim) -> (n, bits).
        featurisers: per modality, raw rows -> float32 features.
        history: a dict for each epoch that made these weights, as in `history.jsonl`.
        rows: per-row figures of the last epoch (such as "sample_loss"), their row numbers in the data under "row";
            empty if the method has none.
        folder: the folder it was loaded from; None where it comes from a training.
    """

    def __init__(
        self,
        config: dict[str, Any],
        encoders: Mapping[str, nn.Module],
        featurisers: Mapping[str, Featuriser],
        *,
        history: list[dict[str, Any]] | None = None,
        rows: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.config = config
        self.encoders: dict[str, Any] = {modality: encoder.eval() for modality, encoder in encoders.items()}
        self.featurisers = dict(featurisers)
        self.history = history or []
        self.rows = rows or {}
        self.folder: RunFolder | None = None

    @property
    def method(self) -> str:
        return str(self.config["method"])

    @property
    def metric(self) -> str:
        """How the method ranks: "hamming" by its codes, or "cosine" by its real vectors, of which codes are signs."""
        from crossbit.methods import get

        return get(self.method).metric

    @property
    def floor(self) -> bool:
        """Whether it is what others are measured against, such as random codes."""
        from crossbit.methods import get

        return get(self.method).floor

    @property
    def bits(self) -> int:
        return int(self.config["bits"])

    @property
    def modalities(self) -> list[str]:
        return list(self.encoders)

    @property
    def digest(self) -> str:
        """A hash of all that decides the codes: two models with one digest give the same codes. An index holds it."""
        from crossbit.model.digest import digest_of

        return digest_of(self.method, self.encoders, self.featurisers)

    @property
    def selection(self) -> str:
        """How the epoch was chosen, and whether the training had come to its end."""
        done, planned = len(self.history), self.config["settings"]["epochs"]
        stopped = f", interrupted after {done} of {planned} epochs" if done < planned else ""
        return f"{self.config['selection']}{stopped}"

    @property
    def device(self) -> torch.device:
        """Where the encoders are."""
        encoder = next(iter(self.encoders.values()))
        return next(chain(encoder.parameters(), encoder.buffers())).device  # `state_dict` makes them all anew

    def __repr__(self) -> str:
        held = [f"{name} ({each.reads})" for name, each in self.featurisers.items()]
        done = len(self.history)
        epochs = f"{done} epoch{'' if done == 1 else 's'}"
        return f"<Model {self.method}, {self.bits} bits, {' and '.join(held)}, {epochs}>"

    def to(self, device: str | torch.device) -> Self:
        """Move the encoders to a device: "cpu", "cuda", "auto", ...; codes come back as arrays all the same.

        Raises:
            UserError: an unknown device, or one that this machine does not have.
        """
        from crossbit.networks.device import device_of

        place = device_of(str(device))
        for encoder in self.encoders.values():
            encoder.to(place)
        return self

    def embed(
        self,
        modality: str,
        rows: Any,
        *,
        batch_size: int | None = None,
        progress: Callable[[int, int], Any] = lambda done, of: None,
    ) -> np.ndarray:
        """Real-valued codes before the sign.

        Args:
            modality: one of `modalities`.
            rows: what the modality holds, many or one. Texts: strings. Pictures: uint8 (n, h, w, 3), or a list of
                paths, PIL pictures and uint8 (h, w, 3) of any sizes. Vectors: (n, d).
            batch_size: how many go through the encoder together; by default 2,048, 128 where it takes pixels, 64
                where a pretrained network makes the features.
            progress: called after each batch with the rows that are done and the number of all.

        Returns:
            float32 (n, bits); n is 1 for a single text, picture or vector.

        Raises:
            UserError: an unknown modality, rows of another kind or width, a picture that cannot be read, or a single
                text without a known word.
        """
        return self._through("embed", modality, rows, batch_size, progress)

    def ordering(
        self,
        modality: str,
        rows: Any,
        *,
        batch_size: int | None = None,
        progress: Callable[[int, int], Any] = lambda done, of: None,
    ) -> np.ndarray:
        """What the cosine orders a search's shortlist by; arguments and errors as `embed`.

        Returns:
            float32 (n, bits + further): the signs of the first `bits` are the code. The same as `embed` where a method
            has nothing further.
        """
        return self._through("ordering", modality, rows, batch_size, progress)

    def each(self, function: Callable[..., Made], calls: Iterable[tuple[Any, ...]]) -> Iterator[Made]:
        """`function(model, *call)` for each call, in order: here, or on other machines (`crossbit.model.spread`).

        Args:
            function: of a module; it answers with an array, and a JSON value beside it.
            calls: rows of any kind that `embed` takes, and JSON values.
        """
        return (function(self, *call) for call in calls)

    def _through(
        self, part: str, modality: str, rows: Any, batch_size: int | None, progress: Callable[[int, int], Any]
    ) -> np.ndarray:
        """Rows of a modality through its encoder: "embed", or "ordering"."""
        if modality not in self.encoders:
            raise unknown("modality", modality, self.encoders)
        featuriser = self.featurisers[modality]
        if isinstance(rows, str) and not featuriser.knows(rows):
            featuriser.check_query(rows)  # refuses it: the code of no known word would mean nothing
        given, size = as_rows(rows, featuriser.reads), _checked(batch_size, featuriser)
        batches = ((modality, given[start : start + size], part) for start in range(0, len(given), size))
        chunks = [] if len(given) else [np.empty((0, self.bits), np.float32)]
        for number, (outputs, _) in enumerate(self.each(_outputs, batches), 1):
            chunks.append(outputs)
            progress(min(number * size, len(given)), len(given))
        return np.concatenate(chunks)

    def _computed(self, encode: Callable[[Any], Any], features: np.ndarray) -> np.ndarray:
        """Features (n, dim) through an encoder, or through a part of it: float32."""
        import torch

        with torch.inference_mode():
            outputs: np.ndarray = encode(torch.from_numpy(features).to(self.device)).float().cpu().numpy()
        return outputs

    def encode(
        self,
        modality: str,
        rows: Any,
        *,
        batch_size: int | None = None,
        progress: Callable[[int, int], Any] = lambda done, of: None,
    ) -> np.ndarray:
        """Packed codes, uint8 (n, bits // 8), `np.packbits` order; arguments and errors as `embed`."""
        embeddings = self.embed(modality, rows, batch_size=batch_size, progress=progress)
        return pack(embeddings) if len(embeddings) else np.empty((0, self.bits // 8), np.uint8)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write config.json, featurisers.json, model.safetensors, the history and the per-row figures, to a new folder.

        The folder is whole or not there.

        Raises:
            UserError: `path` exists already or cannot be written.
        """
        with writing_folder(path) as folder:
            write_json(RunFolder(folder).config_file, self.config)
            self.write_into(RunFolder(folder))

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """As `save`, with a card for people (README.md) and for programs (card.json), and no path of this machine.

        Raises:
            UserError: `path` exists already or cannot be written.
        """
        from crossbit.model.hub import save_with_card

        save_with_card(self, path)

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], *, revision: str | None = None, device: str = "cpu"
    ) -> Model:
        """A model from a folder here, or from the hub of Hugging Face.

        Args:
            name: a folder, for which the network is never asked; or a name on the hub, such as "somebody/glyphs".
            revision: the commit of a name on the hub, 40 hexadecimal characters: a name alone may be another model
                tomorrow. `push_to_hub` returns it.
            device: as for `load_model`.

        Raises:
            UserError: neither a folder nor a name; a name without a commit; it cannot be fetched or is no model.
        """
        from crossbit.model.hub import fetched

        return load_model(fetched(name, revision), device=device)

    def push_to_hub(self, name: str, *, private: bool = True, message: str = "A crossbit model") -> str:
        """Put the model with its card on the hub of Hugging Face, with the token that its own tools have stored.

        Args:
            name: such as "somebody/glyphs"; it is made where it is not there.
            private: whether a new one is seen by its owner alone.
            message: of the commit.

        Returns:
            The commit, for `from_pretrained(name, revision=...)`.

        Raises:
            UserError: huggingface_hub is not installed, or the hub refuses.
        """
        from crossbit.model.hub import pushed

        return pushed(self, name, private, message)

    def write_into(self, folder: RunFolder) -> None:
        """Write all but config.json; model.safetensors last, so that a folder with it is complete."""
        import torch

        from crossbit.storage.tensors import write_tensors

        tensors: dict[str, Tensor] = {}
        kinds: dict[str, Any] = {}
        for modality, encoder in self.encoders.items():
            tensors |= {f"encoders.{modality}.{k}": v for k, v in encoder.state_dict().items()}
            kinds[modality], arrays = self.featurisers[modality].state()
            tensors |= {
                f"featurisers.{modality}.{k}": torch.from_numpy(np.ascontiguousarray(v)) for k, v in arrays.items()
            }
        write_json(folder.featurisers_file, kinds)
        folder.write_history(self.history)
        if self.rows:
            write_npz(folder.rows_file, dict(sorted(self.rows.items())), compress=True)  # a checkpoint sorts them
        write_tensors(folder.weights_file, tensors, {"history": json.dumps(self.history)})


def _outputs(model: Model, modality: str, rows: Any, part: str) -> Made:
    """A batch of rows through its encoder, or what it has to order a shortlist by."""
    encoder = model.encoders[modality]
    encode = getattr(encoder, "ordering", encoder) if part == "ordering" else encoder
    return model._computed(encode, features_of_some(model.featurisers[modality], rows)), None


def load_model(path: str | os.PathLike[str], *, device: str = "cpu") -> Model:
    """Load a model or run folder, and put its encoders on a device (see `Model.to`).

    Raises:
        UserError: no such folder, an incomplete one (it says how to go on), another format version, or damaged files.
    """
    folder = RunFolder(path)
    config = folder.config
    if missing := folder.missing:
        raise UserError(
            f"run folder {folder} is incomplete ({', '.join(missing)} missing); finish it with the same train command "
            "and --resume"
        )
    if EXPORT in config:
        from crossbit.model.exported import load_exported

        return load_exported(folder, config).to(device)
    from crossbit.methods import Task, get, make_settings
    from crossbit.storage.tensors import part, read_tensors

    tensors, notes = read_tensors(folder.weights_file)
    kinds = read_json(folder.featurisers_file)
    with building_from(f"run folder {folder}", "train it again, or use the version that made it"):
        history = json.loads(notes["history"])  # of these weights; an unfinished run's history.jsonl may be ahead
        featurisers = {
            modality: featuriser_from_state(kind, _arrays(part(tensors, f"featurisers.{modality}.")))
            for modality, kind in kinds.items()
        }
        cls = get(config["method"])
        task = Task({modality: f.dim for modality, f in featurisers.items()}, config["classes"], config["bits"])
        known = {**cls.later, **config["settings"]}
        settings = make_settings(cls, known)
        if missing := sorted(vars(settings).keys() - known.keys()):
            raise UserError(f"it has no value for the setting {', '.join(missing)} of {cls.name}")
        encoders = cls.build_encoders(settings, task)
        for modality, encoder in encoders.items():
            encoder.load_state_dict(part(tensors, f"encoders.{modality}."))
    rows = read_npz(folder.rows_file, "a run's file", "train it again") if folder.rows_file.exists() else {}
    model = Model(config, encoders, featurisers, history=history, rows=rows).to(device)
    model.folder = folder
    return model


def _checked(batch_size: int | None, featuriser: Featuriser) -> int:
    if batch_size is None:
        return min(CHUNK, featuriser.chunk) if isinstance(featuriser.dim, int) else PICTURES
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise UserError(f"batch_size is {batch_size!r}; it must be a whole number of at least 1")
    return int(batch_size)


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in tensors.items()}
