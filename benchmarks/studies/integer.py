"""Encoders in whole numbers: what they cost in mAP, and whether four engines give the same bytes.

    python -m benchmarks.studies.integer WIKIPEDIA.npz [--folder FOLDER] [--codes 1000000] [--each 500]

LOOK and every method of the papers, 64 bits, one seed, default settings (MRL on glyphs: multi_label), no injected
noise: trained, and all queries ranked against the whole database by the run's codes, by codes in whole numbers, and by
queries alone in whole numbers. Then codes by numpy, PyTorch, ONNX runtime, Chromium and, where it is installed, Node:
`--each` of every encoder, and `--codes` of one. FOLDER keeps the runs and what was counted, which is not done again.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

import crossbit
from benchmarks.common.page import Section, table
from crossbit.bits import pack
from crossbit.evaluation import mean_average_precision
from crossbit.export.integer_onnx import write_integer_onnx
from crossbit.export.integer_torch import IntegerModule
from crossbit.export.quantised import quantised
from crossbit.export.traced import traced
from crossbit.model.integer import IntegerEncoder, read_integer, write_integer
from crossbit.model.rows import features_of_some
from crossbit.runs.folder import RunFolder

METHODS = ("look", "nrch", "ucch", "mrl", "ssah")
SETTINGS = {("glyphs", "mrl"): ["--set", "multi_label=true"]}
MANY = "wikipedia-ssah", "image"  # whose encoder gives most codes: a small one
CHUNK, ROWS = 50_000, 5_000  # codes computed together; training rows that scales are taken from
CHROMIUM = "/usr/bin/chromium"
IN_NODE = """
import fs from "node:fs";
import { readInteger } from "./integer.mjs";
const bytes = (name) => new Uint8Array(fs.readFileSync(name)).buffer;
const encoder = readInteger(bytes("encoder.safetensors"));
fs.writeFileSync("codes.bin", encoder.encode(new Float32Array(bytes("features.bin"))));
"""
IN_BROWSER = """async () => {
  const { readInteger } = await import("./integer.mjs");
  const bytes = async (name) => (await fetch(name, { cache: "no-store" })).arrayBuffer();
  const codes = readInteger(await bytes("encoder.safetensors")).encode(new Float32Array(await bytes("features.bin")));
  let text = "";
  for (let at = 0; at < codes.length; at += 8192) text += String.fromCharCode(...codes.subarray(at, at + 8192));
  return btoa(text);
}"""


def trained(folder: Path, data: str, source: str, method: str) -> Path:
    """The run, trained if it is not there."""
    run = folder / f"{data}-{method}"
    if not RunFolder(run).is_finished:
        options = ["--method", method, "--bits", "64", "--seed", "0", "--quiet", *SETTINGS.get((data, method), [])]
        command = [sys.executable, "-m", "crossbit", "train", source, *options, "--out", str(run)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return run


def features_of(model: Any, data: Any, modality: str, rows: np.ndarray) -> np.ndarray:
    parts = [rows[start : start + 2000] for start in range(0, len(rows), 2000)]
    return np.concatenate([features_of_some(model.featurisers[modality], data[modality][part]) for part in parts])


def studied(run: Path) -> dict[str, Any]:
    """mAP@all in the three ways, and the bits that are not the run's; encoders and features are kept beside the run."""
    folder = RunFolder(run)
    model, data = crossbit.load_model(folder), folder.data()
    splits = data.splits
    codes: dict[tuple[str, str, str], np.ndarray] = {}
    held: dict[str, Any] = {"map": {}, "other_bits": {}, "largest_sum": {}}
    names = [modality for modality in model.modalities if modality in ("image", "text")]
    for modality in names:
        encoder = model.encoders[modality]
        steps = traced(encoder, model.featurisers[modality].dim, modality)
        weights = {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}
        train = np.sort(splits["train"])
        train = train[np.linspace(0, len(train) - 1, min(len(train), ROWS)).astype(int)]
        whole, most = quantised(steps, weights, features_of(model, data, modality, train), modality)
        write_integer(whole, run / f"{modality}.integer.safetensors")
        held["largest_sum"][modality] = most
        for split in ("query", "retrieval"):
            features = features_of(model, data, modality, splits[split])
            parts = [features[start : start + 2000] for start in range(0, len(features), 2000)]
            codes[modality, split, "run"] = np.concatenate([pack(model._computed(encoder, part)) for part in parts])
            codes[modality, split, "integer"] = whole(features)
            if split == "query":
                np.save(run / f"{modality}.features.npy", features)
        own, other = (codes[modality, "retrieval", form] for form in ("run", "integer"))
        held["other_bits"][modality] = float(np.unpackbits(own ^ other).mean())
    for one, other in ((names[0], names[1]), (names[1], names[0])):
        labels = [data.modality_label.get(name, data.label) for name in (one, other)]
        truth = labels[0][splits["query"]], labels[1][splits["retrieval"]]
        forms = {"run": ("run", "run"), "integer": ("integer", "integer"), "queries": ("integer", "run")}
        held["map"][f"{one}->{other}"] = {
            name: mean_average_precision(codes[one, "query", asked], codes[other, "retrieval", base], *truth)
            for name, (asked, base) in forms.items()
        }
    return held


def drawn(features: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows like these: mixed of two, of other sizes, and a few beyond all bounds."""
    one, other = (features[rng.integers(len(features), size=count)] for _ in range(2))
    rows = (one * rng.lognormal(0, 1, (count, 1)) + other * rng.standard_normal((count, 1))).astype(np.float32)
    rows[:: max(1, count // 5)] *= np.float32(1e30)
    return rows


class Engines:
    """The four engines over one encoder; each gives codes for features."""

    def __init__(self, encoder: IntegerEncoder, place: Path, page: Any) -> None:
        import onnxruntime

        self.encoder, self.place, self.page = encoder, place, page
        self.module = IntegerModule(encoder)
        write_integer(encoder, place / "encoder.safetensors")
        write_integer_onnx(encoder, place / "encoder.onnx")
        (place / "integer.mjs").write_bytes((files("crossbit") / "export" / "page" / "integer.js").read_bytes())
        (place / "node.mjs").write_text(IN_NODE)
        self.session = onnxruntime.InferenceSession(place / "encoder.onnx", providers=["CPUExecutionProvider"])

    def all(self) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        known = {"numpy": self.encoder, "PyTorch": self._torch, "ONNX runtime": self._onnx, "Chromium": self._browser}
        return known | ({"Node": self._node} if shutil.which("node") else {})

    def _torch(self, features: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(self.module(torch.from_numpy(features)).numpy())

    def _onnx(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(self.session.run(["codes"], {"features": features})[0])

    def _browser(self, features: np.ndarray) -> np.ndarray:
        (self.place / "features.bin").write_bytes(features.tobytes())
        made = base64.b64decode(self.page.evaluate(IN_BROWSER))
        return np.frombuffer(made, np.uint8).reshape(len(features), -1)

    def _node(self, features: np.ndarray) -> np.ndarray:
        (self.place / "features.bin").write_bytes(features.tobytes())
        subprocess.run(["node", "node.mjs"], cwd=self.place, check=True)
        return np.fromfile(self.place / "codes.bin", np.uint8).reshape(len(features), -1)


@contextmanager
def browser_page(place: Path) -> Iterator[Any]:
    """A page of Chromium at the folder's address."""
    from playwright.sync_api import sync_playwright

    class Quiet(SimpleHTTPRequestHandler):
        extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(0)
        page.goto(f"http://127.0.0.1:{server.server_address[1]}")
        yield page
        browser.close()
    server.shutdown()


def counted(run: Path, modality: str, codes: int) -> dict[str, Any]:
    """How many bytes each engine gives otherwise than numpy, and its seconds."""
    encoder, features = read_integer(run / f"{modality}.integer.safetensors"), np.load(run / f"{modality}.features.npy")
    rng = np.random.default_rng(0)
    differ: dict[str, int] = {}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as made, browser_page(Path(made)) as page:
        engines = Engines(encoder, Path(made), page).all()
        for start in range(0, codes, CHUNK):
            rows, first = drawn(features, min(CHUNK, codes - start), rng), None
            for name, engine in engines.items():
                begun = time.perf_counter()
                found = engine(rows)
                seconds[name] = seconds.get(name, 0) + time.perf_counter() - begun
                first = found if first is None else first
                differ[name] = differ.get(name, 0) + int((found != first).sum())
            print(f"{run.name} {modality}: {start + len(rows):,} codes", file=sys.stderr)
    rounded = {name: round(value, 1) for name, value in seconds.items()}
    return {"codes": codes, "bytes": codes * first.shape[1], "differ": differ, "seconds": rounded}  # type: ignore[union-attr]


def kept(file: Path, make: Callable[[], Any]) -> Any:
    """What a file holds; made where it is not there."""
    if not file.exists():
        file.write_text(json.dumps(make()))
    return json.loads(file.read_text())


def measured(folder: Path, wikipedia: str, codes: int, each: int) -> dict[str, Any]:
    made: dict[str, Any] = {"costs": {}, "engines": {}}
    for data, source in (("glyphs", "glyphs"), ("wikipedia", wikipedia)):
        for method in METHODS:
            run = trained(folder, data, source, method)
            made["costs"][run.name] = kept(run / "integer-cost.json", partial(studied, run))
            for modality in ("image", "text"):
                many = codes if (run.name, modality) == MANY else each
                file = run / f"integer-{modality}-{many}.json"
                made["engines"][f"{run.name} {modality}"] = kept(file, partial(counted, run, modality, many))
    return made


def section(result: dict[str, Any]) -> str:
    held, rows = result["results"], []
    for name, each in held["costs"].items():
        for way, forms in each["map"].items():
            bits = each["other_bits"][way.partition("->")[0]]
            lost = [f"{forms['run'] - forms[form]:+.4f}" for form in ("integer", "queries")]
            rows.append([name, way, f"{forms['run']:.4f}", f"{forms['integer']:.4f}", *lost, f"{bits:.2%}"])
    costs = table(
        ["run", "direction", "run's codes", "whole numbers", "lost", "lost, queries alone", "other bits"], rows
    )
    engines = held["engines"].values()
    total, octets = (sum(each[name] for each in engines) for name in ("codes", "bytes"))
    others = list(next(iter(engines))["differ"])[1:]
    differ = {name: sum(each["differ"][name] for each in engines) for name in others}
    most = held["engines"][" ".join(MANY)]
    times = ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in most["seconds"].items())
    told = ", ".join(f"{name} {count:,}" for name, count in differ.items())
    return (
        f"{costs}\n\nOf {total:,} codes ({octets:,} bytes) of {len(held['engines'])} encoders, these bytes differ from "
        f"numpy's: {told}.\n\nThe {most['codes']:,} codes of {MANY[0]}'s {MANY[1]} encoder took: {times}."
    )


ABOUT = (
    "Encoders of `crossbit export --integer`: mAP@all, ties expected, of all queries against the whole database, 64 "
    "bits, one seed, default settings, clean labels, all modalities that a method takes. Lost is what the run's own "
    "codes have more. Scales are taken from training rows. The rows that engines are compared on are mixtures of the "
    "queries' features, of other sizes, a few beyond all bounds."
)
SECTIONS = {"integer": Section("Whole numbers", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wikipedia", metavar="WIKIPEDIA.npz")
    parser.add_argument("--folder", type=Path, help="keeps runs and counts")
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--each", type=int, default=500)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = args.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        results = measured(folder, args.wikipedia, args.codes, args.each)
    print(json.dumps({"settings": {"bits": 64, "seed": 0, "codes": args.codes, "each": args.each}, "results": results}))


if __name__ == "__main__":
    main()
