"""The card of an exported or saved model: what it learned from, how good it is, and what its codes depend on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from crossbit import __version__
from crossbit.errors import UserError
from crossbit.runs.folder import EXPORT, HELD_OUT, RunFolder
from crossbit.storage.files import read_json, write_json

if TYPE_CHECKING:
    from crossbit.model.model import Model

SEARCH_ORDER = "by cosine among the nearest by Hamming distance; equal ones by distance, then by id"


def card_of(model: Model, folder: RunFolder | None = None) -> dict[str, Any]:
    """What there is to say of a model, as JSON.

    Args:
        model: any.
        folder: its run's, whose splits, noise and figures are told; None where there is none.
    """
    config = model.config
    report = _report(folder)
    return {
        "crossbit": __version__,
        "method": model.method,
        "bits": model.bits,
        "ranks_by": model.metric,
        "seed": config["seed"],
        "epochs": len(model.history),
        "selection": model.selection,
        "versions": config.get("versions", {}),
        "data": {
            "name": name_of(str(config["data"])),
            "fingerprint": config["fingerprint"],
            "classes": config["classes"],
            "pairs": _splits(folder),
        },
        "noise": {"injected": config.get("noise"), **_noise(model, folder)},
        "features": {name: _featuriser(each.state()[0]) for name, each in model.featurisers.items()},
        "ties": {
            "search": SEARCH_ORDER,
            "figures": None if report is None else report["protocol"]["ties"],
        },
        "figures": None if report is None else {name: report.get(name) for name in ("map", "chance", "protocol")},
        "held_out": _held_out(folder),
    }


def name_of(path: str) -> str:
    """The last part of a path: a card tells no folder of the machine it was made on.

    >>> name_of("/home/me/photos/"), name_of("glyphs")
    ('photos', 'glyphs')
    """
    return path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def written(card: Mapping[str, Any]) -> str:
    """The card in plain words, as Markdown."""
    data, noise = card["data"], card["noise"]
    lines = ["---", "library_name: crossbit", "tags:", "- cross-modal-retrieval", "- hashing", "---", ""]
    lines += [f"# {data['name']}, {card['bits']} bits, {card['method']}", ""]
    lines += ["A model that turns pictures and texts into short binary codes, so that one finds the other.", ""]
    exported = card.get(EXPORT)
    if exported and "codes" in exported:
        held = " and ".join(f"{count:,} codes of {name}" for name, count in exported["codes"].items())
        lines += [f"This folder holds the model and an index with {held}. It searches without PyTorch:", ""]
        lines += ["```", 'pip install "crossbit[search]"', 'crossbit search THIS_FOLDER "some words"', "```", ""]
    lines += ["## What it learned from", ""]
    pairs = ", ".join(f"{count:,} {name}" for name, count in data["pairs"].items())
    lines += [f"- Data: `{data['name']}`, {data['classes']} classes" + (f"; pairs: {pairs}." if pairs else ".")]
    lines += [f"- Fingerprint of the data and their split: `{data['fingerprint']}`."]
    lines += [f"- Wrong labels or pairs that were injected: {_injected(noise)}."]
    lines += [f"- Wrong labels that were found: {_found(noise)}."]
    lines += [f"- Seed {card['seed']}; {card['epochs']} epochs; chosen: {card['selection']}.", ""]
    lines += ["## How good it is", "", *_figures(card), ""]
    lines += [f"Hits are ordered {card['ties']['search']}.", ""]
    lines += ["## What its codes depend on", ""]
    lines += [f"- {modality}: {_told(featuriser)}" for modality, featuriser in card["features"].items()]
    versions = ", ".join(f"{name} {number}" for name, number in card["versions"].items())
    lines += [f"- Trained with {versions}."]
    if exported:
        lines += ["", "## Codes by numpy and by PyTorch", "", *_near(exported)]
        lines += ["", "## Codes by whole numbers", "", *_integer(exported["integer"])] if "integer" in exported else []
    return "\n".join([*lines, ""])


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings without the folders of the machine that it was made on."""
    paths = {name: name_of(str(config[name])) for name in ("data", "labels") if config.get(name) is not None}
    return {**config, **paths}


def write_card(card: Mapping[str, Any], folder: RunFolder) -> None:
    """Write a card for programs, `card.json`, and for people, `README.md`."""
    write_json(folder.card_file, card)
    folder.readme_file.write_text(written(card), encoding="utf-8")


def _report(folder: RunFolder | None) -> dict[str, Any] | None:
    with suppress(UserError, KeyError, TypeError):
        report: dict[str, Any] = read_json(folder.report_file) if folder is not None else {}
        if report["map"] and report["protocol"]["ties"]:
            return report
    return None


def _held_out(folder: RunFolder | None) -> Any:
    with suppress(UserError, KeyError, TypeError):
        return read_json(folder.report_file)[HELD_OUT] if folder is not None else None
    return None


def _splits(folder: RunFolder | None) -> dict[str, int]:
    with suppress(UserError):
        return {} if folder is None else {name: len(rows) for name, rows in folder.splits.items()}
    return {}


def _noise(model: Model, folder: RunFolder | None) -> dict[str, float | None]:
    """The share of labelled rows whose labels or pairs were changed, and the share that the method takes for wrong."""
    changed = None
    with suppress(UserError):
        masks = {} if folder is None else folder.noise_masks()
        if masks and folder is not None:
            arrays = folder.arrays()
            labelled = np.isin(arrays["rows"], arrays["train"])
            changed = float(np.mean([mask[labelled].mean() for mask in masks.values()]))
    corrupted = model.rows.get("corrupted")
    known = corrupted is not None and not np.isnan(corrupted).all()
    return {"changed": changed, "found": float(np.nanmean(corrupted)) if known else None}  # type: ignore[arg-type]


def _featuriser(config: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: config[name] for name in ("name", "version", "weights") if name in config}
    if argument := config.get("argument"):
        told["argument"] = name_of(str(argument))
    return told


def _injected(noise: Mapping[str, Any]) -> str:
    if noise["injected"] is None:
        return "none"
    share = "" if noise["changed"] is None else f", which changed {noise['changed']:.1%} of the labelled rows"
    return f"`{noise['injected']}`{share}"


def _found(noise: Mapping[str, Any]) -> str:
    if noise["found"] is None:
        return "this method does not say"
    return f"the method takes {noise['found']:.1%} of the labelled rows for wrong"


def _figures(card: Mapping[str, Any]) -> list[str]:
    lines = []
    if figures := card["figures"]:
        protocol = figures["protocol"]
        depth = "all" if protocol["k"] is None else protocol["k"]
        how = f"mAP@{depth}, ties={protocol['ties']}, empty={protocol['empty']}, {protocol['metric']}; "
        how += f"{protocol['queries']:,} queries against {protocol['database']}"
        lines += [f"- {way}: {value:.3f} ({how})" for way, value in figures["map"].items()]
    if held := card["held_out"]:
        lines += [f"- {name}, {way}: {value:.3f}" for name, each in held["run"].items() for way, value in each.items()]
        lines += ["", f"The last ones are of the end of training: {held['protocol']}."] if lines else []
    return lines or ["Nobody has measured it: `crossbit evaluate RUN` does, and a new export tells the figures."]


def _told(featuriser: Mapping[str, Any]) -> str:
    parts = [f"`{featuriser['name']}`"]
    parts += [f"`{featuriser['argument']}`"] if "argument" in featuriser else []
    parts += [str(featuriser["version"])] if "version" in featuriser else ["of crossbit, its numbers in this folder"]
    parts += [f"weights with hash `{featuriser['weights']}`"] if "weights" in featuriser else []
    return ", ".join(parts)


def _near(exported: Mapping[str, Any]) -> list[str]:
    lines = [
        f"Compared on {exported['compared_on']}. An output within {exported['near']:g} of zero could have another "
    ]
    lines[0] += "sign on another machine, which changes one bit of one code."
    lines += [""]
    for modality, each in exported["compared"].items():
        line = f"- {modality}: {each['rows']:,} rows; {each['bytes_that_differ']:,} bytes differ; "
        line += f"{each['near_zero']:,} of {each['outputs']:,} outputs are within {exported['near']:g} of zero"
        onnx = each.get("onnx_bytes_that_differ")
        lines.append(line + ("." if onnx is None else f"; ONNX runtime gives {onnx:,} bytes otherwise."))
    return lines


def _integer(integer: Mapping[str, Any]) -> list[str]:
    lines = [
        "Encoders in whole numbers give the same bytes in every engine; `docs/export.md` has their arithmetic.",
        "",
    ]
    for modality, each in integer["compared"].items():
        engines = f"{each['torch_bytes_that_differ']:,} bytes differ between numpy and PyTorch"
        if (onnx := each.get("onnx_bytes_that_differ")) is not None:
            engines += f", {onnx:,} between numpy and ONNX runtime"
        other = f"{each['other_bits']:,} of {each['outputs']:,} bits are not those of the run's own encoder"
        largest = f"no sum can be beyond {each['largest_sum']:,}, and int32 holds 2,147,483,647"
        lines.append(f"- {modality}: {each['rows']:,} rows; {engines}; {other}; {largest}.")
    if (cost := integer["cost"]) is None:
        return [*lines, "", "What they cost in mAP is not known: the data have no labels, or no queries."]
    lines += [
        "",
        f"mAP@all by codes, {cost['queries']:,} queries against {cost['database']:,} rows of the database:",
        "",
    ]
    lines += ["| | the run's codes | whole numbers | queries alone in whole numbers |", "| --- | --- | --- | --- |"]
    for way, each in cost["map"].items():
        told = [f"{each[form]:.4f}" for form in ("run", "integer", "integer queries")]
        lines.append(f"| {way} | {' | '.join(told)} |")
    return lines
