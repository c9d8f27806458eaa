"""A run's folder: what its files are called, whether the run is whole, and which data it was trained on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crossbit.errors import UserError
from crossbit.runs.building import building_from
from crossbit.storage.files import leftovers, link_or_copy, read_json, refuse_file, write_json, writing

if TYPE_CHECKING:
    import numpy as np

    from crossbit.data.types import PairedData
    from crossbit.runs.again import Again

FORMAT = 2
EXPORT = "export"  # in config.json: the folder was exported, and only searches
HELD_OUT = "held_out"  # the figures of the end of training, in report.json
State = Literal["not a run", "of another version", "unfinished", "whole"]
NEEDED = (
    "method",
    "settings",
    "features",
    "bits",
    "seed",
    "classes",
    "multi_label",
    "selection",
    "data",
    "fingerprint",
)
SPLITS = ("train", "query", "retrieval")  # of the data; a run may have cut "validation" itself


class RunFolder:
    """The files of one run. All are written whole or not at all; `os.fspath` gives the folder's path.

    Attributes:
        path: the folder.
        config_file: all settings, the protocol, versions; the first file of a run.
        arrays_file: splits, observed labels, masks of injected noise.
        weights_file, featurisers_file, rows_file: the model; the weights are written last of all.
        history_file, report_file, audit_file: a line per epoch, the last evaluation, the last audit.
        opening_file: what the queue of the audit was opened with; it can be made again.
        decisions_file: what a person decided about suspect labels; a file that grows in place.
        encoders_file, card_file, readme_file: of an exported folder: the encoders for numpy, and the card.
        web: of an exported folder: the page that searches without a server.
        checkpoint_file: the state of an unfinished training.
        index: the folder of the run's index.

    >>> RunFolder("nowhere").state
    'not a run'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.arrays_file = self.path / "data.npz"
        self.weights_file = self.path / "model.safetensors"
        self.featurisers_file = self.path / "featurisers.json"
        self.rows_file = self.path / "rows.npz"
        self.history_file = self.path / "history.jsonl"
        self.report_file = self.path / "report.json"
        self.audit_file = self.path / "audit.parquet"
        self.opening_file = self.path / "audit.cache"
        self.decisions_file = self.path / "decisions.jsonl"
        self.encoders_file = self.path / "encoders.json"
        self.card_file = self.path / "card.json"
        self.readme_file = self.path / "README.md"
        self.checkpoint_file = self.path / "checkpoint" / "state.safetensors"
        self.index = self.path / "index"
        self.web = self.path / "web"

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def integer_file(self, modality: str) -> Path:
        """Of an exported folder: an encoder in whole numbers."""
        return self.path / f"{modality}.integer.safetensors"

    @property
    def state(self) -> State:
        """What the folder is; UserError where its config.json is no JSON."""
        if not self.config_file.exists():
            return "not a run"
        if _format(read_json(self.config_file)) != FORMAT:
            return "of another version"
        return "unfinished" if self.missing or self.checkpoint_file.exists() else "whole"

    @property
    def is_finished(self) -> bool:
        """Whether there is a model, and nothing left to train."""
        return self.state == "whole"

    @property
    def has_begun(self) -> bool:
        """Whether a run was begun here, of whatever version."""
        return self.config_file.exists()

    @property
    def is_free(self) -> bool:
        """Whether a run may begin in this folder: it holds at most what one killed before its config.json leaves."""
        held = list(self.path.iterdir()) if self.path.is_dir() else []
        return all(file.name.startswith(".") or file == self.arrays_file for file in held)

    @property
    def missing(self) -> list[str]:
        """Names of the model's files that are not there."""
        model = (self.config_file, self.featurisers_file, self.weights_file)
        return [file.name for file in model if not file.exists()]

    @property
    def config(self) -> dict[str, Any]:
        """config.json, its format checked.

        Raises:
            UserError: no run folder, one of another version, or something is not in it.
        """
        refuse_file(self.path, "give the folder that crossbit train made")
        if not self.path.is_dir():
            raise UserError(f"no run folder at {self}; make one with: crossbit train DATA --out {self}")
        if not self.config_file.exists():
            raise UserError(f"{self} is not a run folder: it has no {self.config_file.name}")
        config = read_json(self.config_file)
        if (version := _format(config)) != FORMAT:
            raise UserError(
                f"run folder {self} has format {version!r}, this crossbit reads format {FORMAT}; train it again, or "
                "use the version that made it"
            )
        if missing := [name for name in NEEDED if name not in config]:
            raise UserError(f"{self.config_file} lacks {', '.join(missing)}; train it again")
        return config

    @property
    def is_export(self) -> bool:
        """Whether it was made by `crossbit export`; UserError where its config.json is no JSON."""
        return self.has_begun and EXPORT in read_json(self.config_file)

    @property
    def featurisers(self) -> set[str]:
        """Names of the model's featurisers, such as "words"; UserError where featurisers.json is damaged."""
        held = read_json(self.featurisers_file)
        with building_from(str(self.featurisers_file), "train it again"):
            return {str(each["name"]) for each in held.values()}

    def begin(self, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Write data.npz, then config.json; with it there is a run."""
        self.write_arrays(arrays)
        write_json(self.config_file, config)

    def write_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """data.npz."""
        from crossbit.storage.npz import write_npz

        write_npz(self.arrays_file, arrays, compress=True)

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """history.jsonl: a line per epoch."""
        with writing(self.history_file) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in history), encoding="utf-8")

    def write_report(self, report: Mapping[str, Any]) -> None:
        """report.json: the last evaluation, and with it the figures of the end of training, where they are there."""
        kept: dict[str, Any] = {}
        with suppress(UserError, KeyError, TypeError):  # no report yet, or a damaged one
            kept = {HELD_OUT: read_json(self.report_file)[HELD_OUT]}
        write_json(self.report_file, kept | dict(report))

    def remove_leftovers(self) -> None:
        """Remove what crossbit itself left half written here when it was killed, and no other file."""
        for name, file in vars(self).items():
            for left in leftovers(file) if name.endswith("_file") else []:
                left.unlink(missing_ok=True)

    def copy_to(self, target: Path, *, without: Sequence[str] = (), **changes: Any) -> None:
        """A run folder with the same files, but those `without`, hidden ones and the index, and another config.json:
        this one with `changes`.
        Decisions about labels, and what the audit keeps for its queue, are not copied either.

        Files are linked where the disk can: none of them is ever changed in place, as those left out are.
        """
        beside = target.with_name(f".{target.name}.copy")
        for old in (beside, target):
            shutil.rmtree(old, ignore_errors=True)
        left_out = shutil.ignore_patterns(
            self.config_file.name, self.decisions_file.name, self.opening_file.name, self.index.name, ".*", *without
        )
        shutil.copytree(self.path, beside, copy_function=link_or_copy, ignore=left_out)
        write_json(RunFolder(beside).config_file, {**self.config, **changes})
        os.replace(beside, target)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of data.npz by name.

        Raises:
            UserError: it is not there, damaged, or lacks something.
        """
        from crossbit.storage.npz import read_npz

        if not self.arrays_file.exists():
            name = self.arrays_file.name
            if self.is_export:
                raise UserError(f"{self} is an exported folder, which only searches; give the run that it is of")
            raise UserError(f"{self} has no {name}: it is a saved model; give a run folder, made by crossbit train")
        held = read_npz(self.arrays_file, "a run's file", "train it again")
        if missing := [name for name in ("rows", "pairing", *SPLITS) if name not in held]:
            raise UserError(f"{self.arrays_file} lacks {', '.join(missing)}; train it again")
        return held

    @property
    def splits(self) -> dict[str, np.ndarray]:
        """Row numbers by split, as the run saw them."""
        held = self.arrays()
        return {name: held[name] for name in (*SPLITS, "validation") if name in held}

    def observed(self) -> np.ndarray | dict[str, np.ndarray]:
        """The labels of all rows that training was shown: of the pairs, or by modality; empty where it saw none."""
        held = self.arrays()
        return held["observed_label"] if "observed_label" in held else named(held, "observed_label")

    def noise_masks(self) -> dict[str, np.ndarray]:
        """For each row trained on whether noise changed it: under "pair", and by modality if drawn for each."""
        return named(self.arrays(), "noise_mask")

    def data(
        self,
        given: str | os.PathLike[str] | PairedData | None = None,
        *,
        other: Callable[[str], Any] | None = None,
        option: str = "--data DATA",
    ) -> PairedData:
        """The data that the run was trained on, found again or given.

        Args:
            given: the data, or their name or path; None finds them under the name that the run has kept.
            other: called with one line where given data are another set than the run's; None refuses them.
            option: how data are given, for the error.

        A collection that has grown or changed since is the run's own: with its splits, of the rows that are there.

        Raises:
            UserError: they cannot be read, or are others than the run was trained on.
        """
        return self.found(given, other=other, option=option)[0]

    def found(
        self,
        given: str | os.PathLike[str] | PairedData | None = None,
        *,
        other: Callable[[str], Any] | None = None,
        option: str = "--data DATA",
    ) -> tuple[PairedData, Again | None]:
        """As `data`, and where its rows are those of a collection that has changed."""
        from crossbit.runs.data import find

        return find(self, given, other, option)

    def load(self, path: str | os.PathLike[str]) -> PairedData:
        """Any data by name or path; a collection's columns are taken for what the run was told they are."""
        from crossbit.runs.data import load

        return load(self, path)

    def differing(self, data: PairedData) -> str:
        """What is different in `data` from those that the run was trained on; empty where nothing is."""
        from crossbit.runs.data import differing

        return differing(self, data)


def named(arrays: Mapping[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """Arrays called `kind`, under "pair", and those called `kind`_modality, by modality.

    >>> named({"mask": 1, "mask_image": 2, "rows": 3}, "mask")
    {'pair': 1, 'image': 2}
    """
    found = {name: array for name, array in arrays.items() if name == kind or name.startswith(f"{kind}_")}
    return {name.removeprefix(kind).removeprefix("_") or "pair": array for name, array in found.items()}


def _format(config: Any) -> Any:
    return config.get("format") if isinstance(config, dict) else None
