"""The visible training loop: seeds, device, precision, validation, checkpoints, resume, history."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossbit.data import PairedData, Rows, load_data
from crossbit.errors import UserError
from crossbit.evaluation import score_model
from crossbit.features.paired import features_of, fit_featurisers
from crossbit.methods import Task, View
from crossbit.model import Model, load_model
from crossbit.model.collapse import collapsed
from crossbit.networks.device import autocast, device_of
from crossbit.runs.again import identities
from crossbit.runs.building import building_from
from crossbit.runs.checkpoint import REMEDY, Checkpoint, read_checkpoint, remove_checkpoint, save_checkpoint
from crossbit.runs.folder import RunFolder
from crossbit.storage.alone import alone_in
from crossbit.storage.files import refuse_existing
from crossbit.storage.tensors import part
from crossbit.training.distributed import Processes, fitted, processes
from crossbit.training.plan import Plan, check_same, make_plan
from crossbit.training.progress import EpochProgress, WorkProgress

EPOCH_SEED = 1_000_000  # the number under which a view seeds PyTorch's global generator


def train(
    data: PairedData | str | os.PathLike[str],
    *,
    method: str | None = None,
    bits: int = 64,
    noise: str | None = None,
    labels: str | os.PathLike[str] | None = None,
    seed: int = 0,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    features: Mapping[str, str] | str | None = None,
    validation: float | None = None,
    precision: str = "32",
    device: str = "auto",
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Model:
    """Train a method and return the model; with `out`, leave a run folder that can be resumed.

    Args:
        data: pairs with splits, or their built-in name or path; only the rows that the method declares are trained on,
            queries never.
        method: a name from `crossbit methods`; None takes `look`, with labels and without any.
        bits: code length, a multiple of 8 up to 1,024.
        noise: `RULE:RATE`, what to do to the observed labels (or the pairs) of the training rows first; `:each` behind
            it draws once per modality, `:group` once per group of the data.
        labels: a table whose labels are taken in the place of those of the data, as `crossbit audit --out` writes it.
            Training rows alone change; evaluation goes by the labels of the data.
        seed: of noise, weights and batches; same seed, machine, thread count and versions: same weights.
        epochs: the method's own number if None.
        settings: the method's settings by name.
        features: by modality what becomes of its rows before they are encoded: "scaled" or "as-is" for vectors, "words"
            or "e5" for texts, "hog" or "efficientnet" for pictures, and more; what is not named has its default. "auto"
            in the place of all takes the best that are installed. The model keeps them.
        validation: share of the training rows to cut out; the epoch with the best mAP on them (by the labels they
            were given) is kept. A `validation` split in the data does the same. Without either (None, 0): the last one.
        precision: "32", or "bf16" for the encoders' products.
        device: "auto", "cpu", "cuda", ...
        out: run folder; must not exist unless `resume`.
        resume: continue the run in `out` (from its beginning if no epoch was finished there).
        progress: show a bar on standard error.

    Raises:
        UserError: anything of the above that does not fit; nothing was written then.
        KeyboardInterrupt: interrupted; the last finished epoch is in `out`.

    Several processes that `torchrun` started train one model together (`crossbit.training.distributed`); the first one
    writes, and each returns the model.

    >>> from crossbit.data.types import PairedData
    >>> rng = np.random.default_rng(0); label = rng.integers(2, size=40)
    >>> x = np.eye(2, dtype=np.float32)[label] + 0.1 * rng.normal(size=(40, 2)).astype(np.float32)
    >>> rows = {"query": np.arange(8), "train": np.arange(8, 40), "retrieval": np.arange(8, 40)}
    >>> data = PairedData("toy", {"image": x, "text": x}, label, rows)
    >>> model = train(data, bits=8, epochs=1, settings={"width": 8}, progress=False)
    >>> model.encode("text", x[:3]).shape
    (3, 1)
    """
    pairs = _loaded(data)
    with processes() as several, ExitStack() as held:
        plan = make_plan(
            pairs,
            method=method,
            bits=bits,
            noise=noise,
            seed=seed,
            epochs=epochs,
            settings=settings or {},
            features=features or {},
            validation=validation,
            precision=precision,
            device=device,
            labels=labels,
        )
        if several.count > 1:
            plan.config["processes"] = several.count
        if out is None:
            return _Run(plan, None, progress, several).go(None)
        folder = RunFolder(out)

        def begin() -> tuple[bool, Checkpoint | None]:
            """Take the folder; whether its run is finished, and where it goes on."""
            if folder.is_export:
                raise UserError(f"{folder} is an exported folder, which is not trained; choose another path")
            if resume and folder.has_begun:
                check_same(folder.config, plan.config)
            elif not (resume and folder.is_free):
                refuse_existing(folder)
            if not folder.is_finished:
                held.enter_context(alone_in(folder.path, "training"))
            folder.remove_leftovers()
            return folder.is_finished, None if folder.is_finished else read_checkpoint(folder)

        finished, checkpoint = several.agree(begin)
        if finished:
            return _finished(folder)
        return _Run(plan, folder, progress, several, identities(pairs) if several.first else {}).go(checkpoint)


def _loaded(data: Any) -> PairedData:
    """Pairs as they are; those of a name or a path, under the name by which the run finds them again."""
    if isinstance(data, str | os.PathLike):
        return load_data(os.fspath(data))
    if not hasattr(data, "splits"):
        right = "a built-in name, a path, or what crossbit.load_data returns"
        raise UserError(f"data is of type {type(data).__name__}; give {right}")
    pairs: PairedData = data
    return pairs


def _finished(folder: RunFolder) -> Model:
    """The model of a finished run; UserError where its training was interrupted and cannot go on."""
    model = load_model(folder)
    done, planned = len(model.history), model.config["settings"]["epochs"]
    if done < planned:
        raise UserError(
            f"{folder} was interrupted after {done} of {planned} epochs, and its checkpoint is gone; remove "
            f"{folder.weights_file} to begin again"
        )
    return model


class _Run:
    """One training, from plan to model."""

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder | None,
        progress: bool,
        several: Processes,
        identities: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.plan, self.several, self.identities = plan, several, identities or {}
        self.folder, self.shown = (folder, progress) if several.first else (None, False)  # one writes and speaks
        self.history: list[dict[str, Any]] = []
        self.row_figures: dict[str, np.ndarray] = {}
        self.best: dict[str, Tensor] = {}
        self.best_score = -1.0

    def go(self, checkpoint: Checkpoint | None) -> Model:
        plan, seed = self.plan, self.plan.config["seed"]
        self.device = device_of(plan.config["device"])
        with WorkProgress(shown=self.shown) as progress:
            self.featurisers = fitted(
                self.several, lambda: fit_featurisers(plan.data, plan.features, seed=seed, progress=progress)
            )
            view = self._view(progress)
        torch.manual_seed(seed)
        task = Task({m: f.dim for m, f in self.featurisers.items()}, plan.config["classes"], plan.config["bits"])
        self.method = plan.cls(plan.settings, task)
        self.method.networks.to(self.device)
        self.method.optimizers = self.method.build_optimizers()
        if checkpoint is not None:
            self._restore(checkpoint)
        if self.folder is not None:  # not before everything is made that could be refused
            self._begin(self.folder)
        try:
            self._epochs(view)
        except KeyboardInterrupt:
            self._keep_finished_epochs()
            raise
        self.best = self.several.agree(lambda: self.best)
        model = self._model()
        if self.folder is not None:
            model.write_into(self.folder)
            remove_checkpoint(self.folder)
        return model

    def _view(self, progress: WorkProgress) -> View:
        """What the method may see, on the device."""
        plan, device = self.plan, self.device
        # wrong pairs: the other modalities' rows are others than the first one's
        rows = {m: plan.rows[plan.pairing] if m != plan.modalities[0] else plan.rows for m in plan.modalities}
        features = {}
        for modality in plan.modalities:
            vectors = features_of(self.featurisers[modality], plan.data[modality], rows[modality], progress)
            features[modality] = torch.from_numpy(vectors).to(device)
        labels: Any = None
        if plan.sees_labels and plan.apart:  # a modality's label goes with its row
            labels = {m: torch.from_numpy(plan.seen(rows[m])[m]).to(device) for m in plan.modalities}
        elif plan.sees_labels:
            labels = torch.from_numpy(plan.seen(plan.rows)[plan.modalities[0]]).to(device)
        view = View(features, labels, plan.rows, plan.settings.epochs, plan.config["seed"], groups=plan.groups)
        view.autocast = partial(autocast, device, plan.config["precision"])
        several = self.several
        view.through, view.agree, view.backward = several.through, several.agree, several.backward
        return view

    def _epochs(self, view: View) -> None:
        clean, done = self.plan.clean(), len(self.history)
        with EpochProgress(view.epochs, done=done, shown=self.shown) as bar:
            if self.plan.note:
                bar.say(self.plan.note)
            if done:
                bar.say(f"resumed after epoch {done}{_differing(self.folder, self.plan.config)}")
            if self.plan.config["noise_changes"] == "nothing":
                bar.say(f"noise {self.plan.config['noise']} changes nothing: {self.plan.cls.name} sees no labels")
            view.tick, view.say = bar.tick, bar.say
            for epoch in range(done, view.epochs):
                view.epoch = epoch
                self.method.freeze(epoch)
                torch.manual_seed(view.random_seed(EPOCH_SEED))  # for what a method draws from the global generator
                with self.several.training(self.method.networks[m] for m in self.plan.modalities):
                    figures = self.method.train_epoch(view)
                self._agree_on_state()
                if figures["loss"] is not None and not math.isfinite(figures["loss"]):
                    raise UserError(f"the loss is {figures['loss']} in epoch {epoch + 1}; take a smaller learning rate")
                line, self.row_figures = summarise(epoch, figures, clean)
                if "note" in line:
                    bar.say(line["note"])
                self._validate(line)
                self.history.append(line)
                if self.folder is not None:
                    self._save_checkpoint(self.folder)
                bar.epoch_done("no step" if line["loss"] is None else f"loss {line['loss']:.4f}")
            if self.several.first:
                for warning in collapsed(self._model(), self.plan.data, self.plan.rows, self._known_labels):
                    bar.say(warning)

    def _agree_on_state(self) -> None:
        """The first process's state, where others may have rounded otherwise."""
        if self.several.count > 1:
            self.method.load_state(*self.several.agree(self.method.state))

    def _known_labels(self, rows: np.ndarray) -> Mapping[str, np.ndarray]:
        """What training saw of these rows' labels; nothing where it sees none."""
        return self.plan.seen(rows) if self.plan.sees_labels else {}

    @torch.no_grad()
    def _validate(self, line: dict[str, Any]) -> None:
        """mAP of the validation rows searched against themselves; the best encoders so far are remembered."""
        rows = self.plan.validation_rows
        if not len(rows) or not self.several.first:
            return
        encoders = {modality: self.method.networks[modality] for modality in self.plan.modalities}
        model = Model(self.plan.config, encoders, self.featurisers)
        held = {modality: self.plan.data[modality][rows] for modality in encoders}
        labels = self.plan.observed(rows)
        report = score_model(model, held, None, labels, labels)
        self.method.networks.train()
        line["validation_map"] = float(np.mean(list(report.map.values())))
        if line["validation_map"] > self.best_score:
            self.best_score = line["validation_map"]
            self.best = {key: value.detach().clone() for key, value in self.method.networks.state_dict().items()}

    def _begin(self, folder: RunFolder) -> None:
        """data.npz (splits, observed labels, masks of injected noise, what tells rows again), and config.json where the
        run is new."""
        plan, everything = self.plan, np.arange(self.plan.data.n)
        arrays = {**plan.data.splits, "rows": plan.rows, "noise_mask": plan.noise_mask, "pairing": plan.pairing}
        arrays |= self.identities
        arrays |= {f"noise_mask_{m}": mask for m, mask in plan.modality_noise_mask.items()}
        arrays |= {"changed_label" if m == "pair" else f"changed_label_{m}": x for m, x in plan.changed_labels.items()}
        if len(plan.validation_rows):
            arrays["validation"] = plan.validation_rows
        read = plan.sees_labels or plan.changed_labels  # or drawn for the validation rows alone
        if read and plan.apart:
            seen = {m: Rows(plan.data, everything).observed(m) for m in plan.modalities}
            arrays |= {f"observed_label_{m}": label for m, label in seen.items() if label is not None}
        elif read and (label := Rows(plan.data, everything).observed()) is not None:
            arrays["observed_label"] = label
        folder.begin(folder.config if folder.has_begun else plan.config, arrays)

    def _save_checkpoint(self, folder: RunFolder) -> None:
        tensors, numbers = self.method.state()
        tensors |= {f"best.{key}": value for key, value in self.best.items()}
        tensors |= {f"rows.{key}": torch.from_numpy(value) for key, value in self.row_figures.items()}
        save_checkpoint(folder, tensors, {"numbers": numbers, "history": self.history, "best_score": self.best_score})
        folder.write_history(self.history)

    def _restore(self, checkpoint: Checkpoint) -> None:
        with building_from(f"checkpoint of {self.folder}", REMEDY):
            self.method.load_state(checkpoint.tensors, checkpoint.meta["numbers"])
        self.history, self.best_score = checkpoint.meta["history"], checkpoint.meta["best_score"]
        self.best = part(checkpoint.tensors, "best.")
        self.row_figures = {key: value.numpy() for key, value in part(checkpoint.tensors, "rows.").items()}

    def _keep_finished_epochs(self) -> None:
        """After Ctrl-C: the last finished epoch becomes the model; the checkpoint stays for --resume."""
        checkpoint = None if self.folder is None else read_checkpoint(self.folder)
        if self.folder is not None and checkpoint is not None:
            self._restore(checkpoint)
            self._model().write_into(self.folder)

    def _model(self) -> Model:
        if self.best:
            self.method.networks.load_state_dict(self.best)
        encoders = {modality: self.method.networks[modality] for modality in self.plan.modalities}
        rows = {"row": self.plan.rows, **self.row_figures} if self.row_figures else {}
        model = Model(self.plan.config, encoders, self.featurisers, history=self.history, rows=rows)
        model.folder = self.folder
        return model


def _differing(folder: RunFolder | None, config: Mapping[str, Any]) -> str:
    """What may make a resumed run end with other weights than an unbroken one: other threads, other versions."""
    before = {} if folder is None else folder.config
    changed = [key for key in ("threads", "processes", "versions") if before.get(key) != config.get(key)]
    return f"; {' and '.join(changed)} differ from before: the last bits may, too" if changed else ""


def summarise(
    epoch: int, figures: Mapping[str, Any], clean: np.ndarray | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A history line, and the per-row figures.

    A boolean per-row figure becomes its share, with precision and recall against `clean` where the truth is known.
    >>> summarise(0, {"loss": 0.5, "trusted": np.array([True, False])}, np.array([True, True]))[0]
    {'epoch': 1, 'loss': 0.5, 'trusted': 0.5, 'trusted_precision': 1.0, 'trusted_recall': 0.5}
    """
    line: dict[str, Any] = {"epoch": epoch + 1}
    rows = {name: value for name, value in figures.items() if isinstance(value, np.ndarray)}
    for name, value in figures.items():
        if name not in rows:
            line[name] = value
        elif value.dtype == bool:
            line[name] = float(value.mean())
            if clean is not None:
                hits = int((value & clean).sum())
                line[f"{name}_precision"] = hits / int(value.sum()) if value.any() else None
                line[f"{name}_recall"] = hits / int(clean.sum()) if clean.any() else None
    return line, rows
