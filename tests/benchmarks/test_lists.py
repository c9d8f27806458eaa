"""The study of lists that hold together: one cell with noise and one without, and the page they make."""

from __future__ import annotations

import torch

from benchmarks.studies import lists
from test_audit import toy


def test_cells_and_their_page() -> None:
    data = toy(several=True)
    features = {m: torch.from_numpy(data[m][data.splits["train"]]) for m in ("image", "text")}
    noisy, clean = (lists.cell(data, features, noise, 0) for noise in ("swap-one:0.3", lists.CLEAN))
    for way in ("alone", "lists"):
        of = noisy[way]
        assert of["precision"] > 0.9 and of["recall"] > 0.8 and of["AUROC"] > 0.95 and of["first 10"] > 0.8
        assert clean[way].keys() == {"struck", "added", "most struck", "rate"} and clean[way]["struck"] <= 3
    cells = [{"data": "toy", "noise": "swap-one:0.3", "told": noisy}, {"data": "toy", "noise": "clean", "told": clean}]
    page = lists.section({"cells": cells}).splitlines()
    assert page[2].startswith("| toy, swap-one:0.3, alone |") and page[-1].startswith("| toy, clean, lists |")
