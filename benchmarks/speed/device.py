"""Training, the posterior and encoding on every device there is, the processor and a GPU; one JSON object.

    python -m benchmarks.speed.device [--labelled 5000] [--unlabelled 20000] [--rounds 3] [--devices cpu cuda]

Drawn pairs as in `benchmarks.speed.look`. *posterior*: that of the labelled pairs; *training*: LOOK with its defaults,
the posterior included; *encoding*: all rows of both modalities, again and again until it takes a second. The
codes of each device are compared with those of the first, by the same weights. A GPU's queue is waited for.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.common.page import Section, table
from benchmarks.common.timing import in_turns
from benchmarks.speed.look import AS_IS, BITS, GLYPHS, NOISE, drawn
from crossbit.data import PairedData
from crossbit.model import Model
from crossbit.posterior import estimate_posterior
from crossbit.training import train


def there() -> list[str]:
    """The devices of this machine."""
    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def waiting(call: Callable[[], Any], device: str) -> Callable[[], Any]:
    """The call, ended when a GPU's queue is empty."""

    def ended() -> Any:
        result = call()
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    return ended


def posterior_of(data: PairedData, device: str) -> Callable[[], Any]:
    rows = data.splits["train"]
    features = {m: torch.from_numpy(data[m][rows]).to(device) for m in data.modalities}
    labels = torch.from_numpy(np.asarray(data.label)[rows]).float().to(device)
    return lambda: estimate_posterior(features, dict.fromkeys(features, labels))


def encoded(model: Model, data: PairedData) -> dict[str, np.ndarray]:
    return {modality: model.encode(modality, data[modality]) for modality in data.modalities}


def rows_a_second(model: Model, data: PairedData, device: str) -> float:
    """How many rows are encoded in a second, a row of each modality counted as one."""
    call, done = waiting(lambda: encoded(model, data), device), 0
    call()
    start = time.perf_counter()
    while (took := time.perf_counter() - start) < 1:
        call()
        done += data.n * len(data.modalities)
    return done / took


def measured(args: argparse.Namespace) -> dict[str, Any]:
    """By device: seconds, rows a second, and bits that are others than the first device's."""
    data, results, first = drawn(args.labelled, args.unlabelled, *GLYPHS), {}, None
    for device in args.devices:
        asked = {"method": "look", "bits": BITS, "noise": NOISE, "seed": 0, "features": AS_IS, "progress": False}
        trained: list[Model] = []
        calls = {
            "posterior": waiting(posterior_of(data, device), device),
            "training": waiting(lambda: trained.append(train(data, device=device, **asked)), device),  # noqa: B023
        }
        held = {name: float(np.median(times)) for name, times in in_turns(calls, args.rounds).items()}
        model, first = trained[-1], first or trained[-1]
        held["rows a second"] = rows_a_second(model, data, device)
        elsewhere, here = encoded(first.to(device), data), encoded(first.to(args.devices[0]), data)
        other = [np.bitwise_count(here[m] ^ elsewhere[m]).sum() / (8 * here[m].size) for m in here]
        held["other bits"] = float(np.mean(other))
        results[device] = held
    return {"settings": vars(args), "devices": {d: name_of(d) for d in args.devices}, "results": results}


def name_of(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"


def section(result: dict[str, Any]) -> str:
    """A row for each device."""
    rows = [
        [
            f"{device} ({result['devices'][device]})",
            f"{held['posterior']:.2f}",
            f"{held['training']:.1f}",
            f"{held['rows a second']:,.0f}",
            f"{held['other bits']:.1e}",
        ]
        for device, held in result["results"].items()
    ]
    return table(["", "posterior, s", "training, s", "rows encoded a second", "other bits"], rows)


ABOUT = "LOOK on drawn pairs of the glyph sets' shape; *other bits*: the share that differs, of the same weights."
SECTIONS = {"device": Section("On the processor and on a GPU", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labelled", type=int, default=5000)
    parser.add_argument("--unlabelled", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--devices", nargs="+", default=there())
    print(json.dumps(measured(parser.parse_args()), indent=1))


if __name__ == "__main__":
    main()
