"""Files larger than memory are converted: only blocks of their features are held at a time."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from crossbit.data import load_data

ROWS, WIDTH = 20_000, 1500  # 114 MiB of float32
BLOCK = 2 << 20
CHILD = """
import json, sys
import h5py, scipy.io
from crossbit.data import find_data
from crossbit.data.layouts import layouts
from crossbit.data.layouts.parts.write import write_neutral
from crossbit.storage import lazy

source, out, block = sys.argv[1:]
lazy.BLOCK_BYTES = int(block)
layouts()
peak = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
before = peak()
write_neutral(find_data(source).read("ucch:1000"), out)
print(json.dumps(peak() - before))
"""


def features() -> np.ndarray:
    rows, columns = np.arange(ROWS, dtype="f4"), np.arange(WIDTH, dtype="f4")
    return rows[:, None] * np.float32(0.5) + columns


def big_file(path: Path, form: str) -> Path:
    """Features as MATLAB 7.3 keeps them, transposed, in one piece or in chunks along the wrong side; or as rows."""
    image, text, label = features(), features()[:, :6:-1][:, :7], np.eye(ROWS, 3, dtype="u1")
    with h5py.File(path, "w") as file:
        for key, array in (("XAll", image), ("YAll", text), ("LAll", label)):
            chunks = (1, ROWS // 4) if form == "chunks" else None
            file.create_dataset(key, data=array if form == "rows" else array.T, chunks=chunks)
    return path


def growth(source: Path, out: Path, block: int) -> int:
    """By how many bytes the largest resident size of a process grows while it converts."""
    command = [sys.executable, "-c", CHILD, str(source), str(out), str(block)]
    return int(json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout))


measured = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure memory")


@pytest.mark.slow
@measured
@pytest.mark.parametrize(("form", "ending"), [("rows", ""), ("transposed", ""), ("chunks", ".npz")])
def test_memory_of_a_conversion_is_bounded_by_the_block(form, ending, tmp_path):
    source, out = big_file(tmp_path / "coco.h5", form), tmp_path / f"out{ending}"
    assert growth(source, out, BLOCK) < ROWS * WIDTH * 4 / 2
    data = load_data(out)
    np.testing.assert_array_equal(data["image"], features())
    np.testing.assert_array_equal(data["text"], features()[:, :6:-1][:, :7])
    assert data["image"].dtype == "f4" and len(data.query) == 1000


@pytest.mark.slow
@measured
def test_a_reader_of_the_whole_would_be_noticed(tmp_path):
    assert growth(big_file(tmp_path / "coco.h5", "transposed"), tmp_path / "out", 1 << 30) > ROWS * WIDTH * 4
