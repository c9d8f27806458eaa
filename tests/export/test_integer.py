"""Encoders in whole numbers: every method's, in numpy, PyTorch and ONNX runtime, beside loops over Python's own
integers; tests/page has JavaScript."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import crossbit
from crossbit.bits import pack
from crossbit.cli import main
from crossbit.errors import UserError
from crossbit.export import export_run
from crossbit.export.integer_torch import IntegerModule
from crossbit.export.quantised import LARGEST, quantised
from crossbit.export.traced import traced
from crossbit.methods import available
from crossbit.model.integer import IntegerEncoder, quantise, read_integer, root, sums, write_integer
from integers import DIMS, encoder_of, hard_rows
from tiny import TRAIN, Command, arrays, refused, runner

REFUSED = {"classifier": "softmax", "random": "view"}  # methods, and what they do in the middle
QUICK = ("ssah",)  # has every step that there is
EACH = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in available() if name not in REFUSED
]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def by_loops(encoder: IntegerEncoder, row: list[float]) -> tuple[list[int], int]:
    """The code of a row as bytes, and the largest sum on the way, by Python's integers, which have no bounds."""
    made: list[list[int]] = []
    largest = 0

    def products(taken: list[int], matrix: Any) -> list[int]:
        nonlocal largest
        found = []
        for column in matrix.T.tolist():
            total = 0
            for value, weight in zip(taken, column, strict=True):
                total += value * weight
                largest = max(largest, abs(total))
            found.append(total)
        return found

    def totals_of(taken: list[int], given: Any) -> list[int]:
        nonlocal largest
        whole, rest = (products(taken, given[name]) for name in ("weights", "rest"))
        found = [
            one + math.floor(Fraction(other, 128) + Fraction(1, 2)) for one, other in zip(whole, rest, strict=True)
        ]
        found = [one + more for one, more in zip(found, given.get("bias", [0] * len(found)), strict=True)]
        largest = max(largest, *map(abs, found))
        return found

    for number, step in enumerate(encoder.steps):
        given = {
            name: value.tolist() if name not in ("weights", "rest") else value for name, value in named(encoder, number)
        }
        taken = [value for each in step["of"] for value in made[each]]
        if step["op"] == "quantise":
            held = [
                min(max(Fraction(x) * Fraction(2) ** e, -step["top"]), step["top"])
                for x, e in zip(row, given["exponents"], strict=True)
            ]
            made.append([round(each) for each in held])  # Python rounds fractions to even
        elif step["op"] == "unit":
            length = max(math.isqrt(sum(value * value for value in taken)), 1)
            parts = [min((abs(value) << step["shift"]) // length, step["top"]) for value in taken]
            made.append([part if value >= 0 else -part for part, value in zip(parts, taken, strict=True)])
        elif step["op"] == "layer":
            totals = totals_of(taken, given)
            made.append([min(max(t >> s, 0), step["top"]) for t, s in zip(totals, given["shifts"], strict=True)])
        elif step["op"] == "response":
            parts = [
                (value * value * factor) >> step["shift"] for value, factor in zip(taken, given["factors"], strict=True)
            ]
            side, table = step["window"] // 2, given["table"]
            near = [sum(parts[max(0, at - side) : at + side + 1]) for at in range(len(parts))]
            made.append([(v * table[min(n, len(table) - 1)] + 2**14) >> 15 for v, n in zip(taken, near, strict=True)])
        else:
            totals = totals_of(taken, given)
            bits = [total >= threshold for total, threshold in zip(totals, given["thresholds"], strict=True)]
            made.append(
                [sum(bit << (7 - at) for at, bit in enumerate(bits[b : b + 8])) for b in range(0, len(bits), 8)]
            )
    return made[-1], largest


def named(encoder: IntegerEncoder, number: int) -> list[tuple[str, Any]]:
    return [(name.partition(".")[2], each) for name, each in encoder.arrays.items() if name.startswith(f"{number}.")]


@pytest.mark.parametrize("method", EACH)
@pytest.mark.parametrize("modality", list(DIMS))
def test_numpy_pytorch_and_loops_give_the_same_bytes(method: str, modality: str, tmp_path: Path) -> None:
    made, module, rows, most = encoder_of(method, modality)
    write_integer(made, tmp_path / "x.safetensors")
    encoder = read_integer(tmp_path / "x.safetensors")
    hard = hard_rows(rows)
    codes = encoder(hard)
    assert codes.dtype == np.uint8 and np.array_equal(codes, made(hard))
    assert np.array_equal(IntegerModule(encoder)(torch.from_numpy(hard)).numpy(), codes)
    assert np.array_equal(np.concatenate([encoder(row[None]) for row in hard[:50]]), codes[:50])  # of any batch
    some = [0, 1, *range(len(rows), len(rows) + 2), len(hard) - 7, len(hard) - 1]
    found = [by_loops(encoder, hard[row].astype(float).tolist()) for row in some]
    assert [one for one, _ in found] == codes[some].tolist()
    assert max(largest for _, largest in found) <= most <= LARGEST
    with torch.inference_mode():
        own = pack(module(torch.from_numpy(rows)).numpy())
    assert 0 < np.unpackbits(own ^ encoder(rows)).mean() < 0.002  # bits that are not the method's own


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ssah", "look"])
@pytest.mark.parametrize("modality", list(DIMS))
def test_onnx_runtime_gives_the_same_bytes(
    method: str, modality: str, tmp_path: Path, need: Callable[[str], ModuleType]
) -> None:
    runtime, _ = need("onnxruntime"), need("onnx")
    from crossbit.export.integer_onnx import write_integer_onnx

    encoder, _, rows, _ = encoder_of(method, modality)
    write_integer_onnx(encoder, tmp_path / "x.onnx")
    session = runtime.InferenceSession(tmp_path / "x.onnx", providers=["CPUExecutionProvider"])
    hard = hard_rows(rows)
    for batch in (hard, hard[:1], hard[:0]):
        (codes,) = session.run(["codes"], {"features": batch})
        assert np.array_equal(codes, encoder(batch))


@pytest.mark.parametrize("method", REFUSED)
def test_what_has_no_form_in_whole_numbers_is_named(method: str) -> None:
    with pytest.raises(UserError, match=f"no form in whole numbers: it computes {REFUSED[method]} in the middle"):
        encoder_of(method, "image")


def test_no_sum_can_overflow_whatever_the_features_are() -> None:
    encoder, _, _, most = encoder_of("mrl", "text")
    tops = np.full(DIMS["text"], encoder.steps[0]["top"])
    worst = 0
    for number, step in enumerate(encoder.steps[1:], 1):
        weights, rest = (encoder.arrays[f"{number}.{name}"].astype(np.int64) for name in ("weights", "rest"))
        first = encoder.arrays.get(f"{number}.bias", encoder.arrays.get(f"{number}.thresholds"))
        assert first is not None
        most_of_rest = tops @ np.abs(rest)
        worst = max(worst, int((tops @ np.abs(weights) + most_of_rest // 128 + 1 + np.abs(first)).max()))
        assert most_of_rest.max() + 64 < 2**30
        tops = np.full(weights.shape[1], step.get("top", 1))
    assert worst == most < 2**31


def test_very_wide_layers_get_values_of_fewer_bits() -> None:
    narrow, wide = nn.Linear(8, 8), nn.Linear(5_000, 8)
    for module in (narrow, wide):
        nn.init.ones_(module.weight)
    made = []
    for module in (narrow, wide):
        rows = np.ones((4, module.in_features), np.float32)
        weights = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
        encoder, most = quantised(traced(module, module.in_features, "it"), weights, rows, "it")
        made.append((encoder.steps[0]["top"], most <= LARGEST))
    assert made == [(4095, True), (2047, True)]
    x = quantise(np.full((1, 5_000), 1e9, np.float32), encoder.arrays["0.exponents"], 2047)
    assert int(sums(x, *(encoder.arrays[f"1.{name}"] for name in ("weights", "rest"))).max()) == 5_000 * 2047 * 127


def test_features_are_rounded_to_even_and_held() -> None:
    x = np.array([[0.5, 1.5, -2.5, 1e38, -1e38, 1e-45, -0.0, 3.4e38]], np.float32)
    assert quantise(x, np.zeros(8, np.int8), 100).tolist() == [[0, 2, -2, 100, -100, 0, 0, 100]]
    assert quantise(x, np.full(8, 60, np.int8), 100).tolist() == [[100, 100, -100, 100, -100, 0, 0, 100]]


def test_the_whole_root_is_exact_beside_squares() -> None:
    near = [n * n + d for n, d in itertools.product([1, 2, 3, 4095, 2**25 - 1, 2**26 - 1], [-1, 0, 1])]
    assert root(np.array(near)).tolist() == [math.isqrt(each) for each in near]


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"make it with: crossbit export RUN --out DIR --integer"):
        read_integer(tmp_path / "x.safetensors")
    write_integer(
        IntegerEncoder([{"op": "cumsum", "of": []}], {"0.exponents": np.zeros(1)}), tmp_path / "x.safetensors"
    )
    with pytest.raises(UserError, match="it uses cumsum"):
        read_integer(tmp_path / "x.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"no arrays")
    with pytest.raises(UserError, match="is damaged"):
        read_integer(tmp_path / "x.safetensors")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("integer")
    np.savez(folder / "pairs.npz", **arrays())
    assert main(["train", str(folder / "pairs.npz"), "--out", str(folder / "run"), *TRAIN]) == 0
    assert main(["index", str(folder / "run")]) == 0
    return folder / "run"


@pytest.mark.slow
def test_the_card_tells_what_whole_numbers_cost(run: Path, tmp_path: Path, need: Callable[[str], ModuleType]) -> None:
    need("onnx"), need("onnxruntime")
    card = export_run(run, tmp_path / "taken", integer=True, onnx=True)["export"]["integer"]
    for modality in ("image", "text"):
        told = card["compared"][modality]
        assert (told["rows"], told["outputs"]) == (75, 75 * 16)
        assert told["torch_bytes_that_differ"] == told["onnx_bytes_that_differ"] == 0 and told["other_bits"] < 24
        assert (tmp_path / "taken" / f"{modality}.integer.onnx").exists()
        model = crossbit.load_model(tmp_path / "taken")
        encoder = read_integer(tmp_path / "taken" / f"{modality}.integer.safetensors")
        features = model.featurisers[modality].transform(arrays()[modality])
        assert np.unpackbits(encoder(features) ^ model.encode(modality, arrays()[modality])).mean() < 0.02
    cost = card["cost"]
    assert (cost["queries"], cost["database"]) == (15, 75)
    report = crossbit.evaluate(crossbit.load_model(run), crossbit.load_data(str(run.parent / "pairs.npz")))
    for way, each in cost["map"].items():
        assert each["run"] == pytest.approx((report.codes_map or report.map).get(way, report.map[way]))
        assert abs(each["run"] - each["integer"]) < 0.05
    readme = (tmp_path / "taken" / "README.md").read_text()
    assert "## Codes by whole numbers" in readme and "int32 holds 2,147,483,647" in readme
    again = export_run(tmp_path / "taken", tmp_path / "again", integer=True)
    assert again["export"]["integer"] == card
    export_run(run, tmp_path / "taken")  # takes its place, and has none
    assert not list((tmp_path / "taken").glob("*.integer.*"))


@pytest.mark.slow
def test_without_data_or_encoders_one_line_says_so(run: Path, tmp_path: Path, command: Command) -> None:
    export_run(run, tmp_path / "taken")
    line = refused(command, "export", tmp_path / "taken", "--out", tmp_path / "x", "--integer")
    assert "without encoders in whole numbers; export the run that it is of with --integer" in line
    config = run / "config.json"
    before = config.read_text()
    config.write_text(json.dumps(json.loads(before) | {"data": str(tmp_path / "gone.npz")}))
    try:
        line = command("export", run, "--out", tmp_path / "x", "--integer").errors[-1]
    finally:
        config.write_text(before)
    assert "--integer takes its scales from the training rows, and the run's data are not there" in line
