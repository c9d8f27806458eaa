"""A run to take along: its model, its index and a card, in a folder that searches without PyTorch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossbit.bits import pack
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.export.compared import NEAR, compared, features_for
from crossbit.export.web import check_web, write_web
from crossbit.index import open_index
from crossbit.index.paths import check_path
from crossbit.model import Model, load_model
from crossbit.model.card import card_of, portable, write_card
from crossbit.model.exported import FORMAT, ExportedModel, decisive
from crossbit.model.plain import PlainEncoder
from crossbit.runs.folder import EXPORT, RunFolder
from crossbit.search.build import check_index, index_path
from crossbit.search.changing import fold_into
from crossbit.search.journal import ADDED, Journal
from crossbit.storage.exchange import alone_with, take_place
from crossbit.storage.files import beside, check_new, read_json, sync_folder, synced, write_json
from crossbit.storage.hashed import hash_of_files

__all__ = ["export_run"]

Progress = Callable[[str], Any]
HIDDEN = "."


def export_run(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    onnx: bool = False,
    integer: bool = False,
    web: bool = False,
    progress: Progress = lambda line: None,
) -> dict[str, Any]:
    """Write a run's model, index and card into a folder that is searched without PyTorch.

    The folder is whole or not there. One that was exported before is replaced, unless its index has changed since or
    it holds other files.

    Args:
        run: the run's folder, with an index; or an exported folder, of which a copy is made.
        out: the folder to make.
        onnx: write the encoders as ONNX graphs, too.
        integer: write encoders in whole numbers, too, whose codes are the same in every engine.
        web: write a page that searches without a server, and such encoders.
        progress: called with a line now and then.

    Returns:
        The card, as `card.json` has it.

    Raises:
        UserError: no run or no index there, an encoder that cannot be exported, `out` is something else; with `web`,
            queries that no browser can encode.
    """
    folder, target = RunFolder(run), Path(out)
    model = load_model(folder)
    if not folder.index.is_dir():
        raise UserError(f"{folder} has no index at {folder.index}; make it with: crossbit index {folder}")
    _check_target(target, folder)
    if web:
        check_web(model)
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    with alone_with(target), _becoming(target) as made:
        new = RunFolder(made)
        if isinstance(model, ExportedModel):
            card = _again(model, folder, new, onnx, integer or web)
        else:
            card = _written(model, folder, new, onnx, integer or web, progress)
        _copy_index(folder, new)
        fold_into(model, new.index, Journal(folder.index))
        if found := check_index(load_model(new), new.index):
            raise UserError(
                f"{folder.index} cannot be exported: {found[0]}; look with: crossbit index {folder} --check"
            )
        card[EXPORT]["codes"] = {name: _size(new, name) for name in model.modalities}
        card[EXPORT]["index"] = _files_of(new.index)
        if web:
            progress("the page is written")
            card[EXPORT]["web"] = write_web(model, new, _data(folder)[0], folder.index.with_name(ADDED))
        write_card(card, new)
    return card


def _written(
    model: Model, folder: RunFolder, new: RunFolder, onnx: bool, integer: bool, progress: Progress
) -> dict[str, Any]:
    """Write the model of a run; the card."""
    from crossbit.export.traced import traced

    if onnx:
        from crossbit.export.onnx import bytes_that_differ, check_installed, write_onnx

        check_installed()
    steps: dict[str, Any] = {}
    for modality, encoder in model.encoders.items():
        dim = model.featurisers[modality].dim
        if not isinstance(dim, int):
            right = "train with features, such as --set pictures=vectors"
            raise UserError(f"the encoder of {modality} takes pixels, which only PyTorch computes; {right}")
        progress(f"{modality}: the encoder is written for numpy")
        steps[modality] = traced(encoder, dim, f"the encoder of {modality}")
    data, compared_on = _data(folder)
    counts: dict[str, dict[str, int]] = {}
    features: dict[str, Any] = {}
    for modality, encoder in model.encoders.items():
        progress(f"{modality}: codes of numpy and of PyTorch are compared")
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in encoder.state_dict().items()}
        plain = PlainEncoder(steps[modality]["steps"], steps[modality]["outputs"], weights)
        features[modality] = features_for(model, modality, data)

        def by_torch(rows: Any, encoder: Any = encoder) -> Any:
            return model._computed(encoder, rows)

        counts[modality] = compared(by_torch, plain, features[modality], f"the encoder of {modality}")
        if onnx:
            file = new.path / f"{modality}.onnx"
            write_onnx(encoder, features[modality].shape[1], file)
            differ = bytes_that_differ(file, features[modality], pack(by_torch(features[modality])))
            counts[modality] |= {} if differ is None else {"onnx_bytes_that_differ": differ}
    write_json(new.encoders_file, {"format": FORMAT, "encoders": steps})
    for file in (folder.featurisers_file, folder.weights_file, folder.history_file, folder.report_file):
        if file.exists():
            shutil.copyfile(file, new.path / file.name)
    about = {"digest": model.digest, "hash": hash_of_files(decisive(new)), "metric": model.metric, "floor": model.floor}
    write_json(new.config_file, portable(model.config) | {EXPORT: about})
    exported: dict[str, Any] = {"digest": model.digest, "near": NEAR, "compared_on": compared_on, "compared": counts}
    if integer:
        from crossbit.export.integer import write_integers

        progress("encoders in whole numbers are written and compared")
        exported["integer"] = write_integers(model, data, steps, features, new, onnx=onnx)
    return card_of(model, folder) | {EXPORT: exported}


def _again(model: ExportedModel, folder: RunFolder, new: RunFolder, onnx: bool, integer: bool) -> dict[str, Any]:
    """Copy an exported model, and its card."""
    graphs = sorted(folder.path.glob("*.onnx"))
    if onnx and not graphs:
        raise UserError(f"{folder} is an exported folder without ONNX graphs; export the run that it is of with --onnx")
    integers = [folder.integer_file(modality) for modality in model.modalities]
    if integer and not all(file.exists() for file in integers):
        raise UserError(
            f"{folder} is an exported folder without encoders in whole numbers; export the run that it is of with "
            "--integer"
        )
    for file in (*decisive(folder), folder.config_file, folder.history_file, folder.report_file, *graphs, *integers):
        if file.exists():
            shutil.copyfile(file, new.path / file.name)
    card = _card(folder)
    card[EXPORT].pop("web", None)  # the index may have grown: a page is made anew, where it is asked for
    return card


def _card(folder: RunFolder) -> dict[str, Any]:
    """The card of an exported folder; UserError where it is not one."""
    card = read_json(folder.card_file)
    if not isinstance(card, dict) or not isinstance(card.get(EXPORT), dict) or "index" not in card[EXPORT]:
        raise UserError(f"{folder.card_file} is not the card of an export; export the run again, to another folder")
    return card


def _data(folder: RunFolder) -> tuple[PairedData | None, str]:
    """The run's data, and how to say what is compared; none where they are not there any more."""
    try:
        return folder.data(), "rows of the database, in even steps"
    except UserError:
        return None, "features that were drawn, since the run's data are not there"


def _copy_index(folder: RunFolder, new: RunFolder) -> None:
    """Copy the index while nobody changes it."""

    def copy() -> None:
        shutil.copytree(folder.index, new.index, ignore=shutil.ignore_patterns(".*"), copy_function=shutil.copyfile)
        for place in (new.index, *new.index.rglob("*")):  # the run's may be read-only
            place.chmod(place.stat().st_mode | (0o700 if place.is_dir() else 0o600))

    if not os.access(folder.path, os.W_OK):  # nobody can lock it, and nobody who may not write changes it
        return copy()
    with alone_with(folder.index):
        copy()
    return None


def _size(folder: RunFolder, modality: str) -> int:
    with open_index(index_path(folder.index, modality), read_only=True) as index:
        return len(index)


def _files_of(index: Path) -> dict[str, str]:
    """The hash of each file of an index, by its name."""
    files = sorted(file for file in index.rglob("*") if file.is_file() and not file.name.startswith(HIDDEN))
    return {file.relative_to(index).as_posix(): hash_of_files([file]) for file in files}


def _check_target(target: Path, folder: RunFolder) -> None:
    """UserError unless nothing is there, or an exported folder as it was written."""
    old = RunFolder(target)
    check_path(old.index)
    if not target.exists() and not target.is_symlink():
        check_new(target)
        return
    if target.is_symlink() or not target.is_dir() or not old.is_export:
        raise UserError(f"{target} exists already and is no exported folder; choose another path or remove it first")
    if target.resolve() == folder.path.resolve():
        raise UserError(f"{target} is the folder that is exported; choose another path")
    files = {*decisive(old), old.config_file, old.history_file, old.report_file, old.card_file, old.readme_file}
    known = {file.name for file in files} | {old.index.name, old.web.name}
    others = [each.name for each in target.iterdir() if not each.name.startswith(HIDDEN) and not _is_form(each)]
    if foreign := sorted({*others} - known):
        raise UserError(f"{target} holds {foreign[0]}, which no export writes; choose another path")
    if _files_of(old.index) != _card(old)[EXPORT]["index"]:
        raise UserError(f"the index in {target} has changed since it was exported; choose another path, or remove it")


def _is_form(file: Path) -> bool:
    """Whether it is a form of an encoder beside that for numpy."""
    return file.suffix == ".onnx" or file.name.endswith(".integer.safetensors")


@contextmanager
def _becoming(target: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of `target` in one step, once it is whole."""
    made = beside(target)
    made.mkdir()
    try:
        yield made
        synced(made)
        if target.exists():
            take_place(made, target)
        else:
            os.rename(made, target)
            sync_folder(target.absolute().parent)
    finally:
        shutil.rmtree(made, ignore_errors=True)
