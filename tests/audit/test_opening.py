"""What an opening of the queue keeps for the next one: it is read only where it is what would be computed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

import crossbit.audit.opening as opening
from crossbit.audit.opening import STEPS, Steps, judge_to_keep
from crossbit.audit.queue import AuditQueue, Choice
from crossbit.audit.seen import Seen, read_seen
from crossbit.data import PairedData
from crossbit.posterior import estimate_posterior
from crossbit.posterior.kept import put_together, take_apart
from crossbit.runs.folder import RunFolder
from crossbit.serve.audited import Audited
from crossbit.serve.replies import Refused
from test_audit import LOOK, NRCH, run_of, toy

pytestmark = pytest.mark.slow

WHOLE = list(range(1, STEPS + 1))
SHORT = [1, 2, STEPS]


def in_pairs() -> PairedData:
    """Rows that show the same thing two by two, and have the same label: they are left out together."""
    data, first = toy(), np.arange(240) // 2 * 2
    held = {m: np.asarray(data[m])[first] + np.arange(240, dtype=np.float32)[:, None] / 1e4 for m in ("image", "text")}
    return data.replace(modalities=held, label=np.asarray(data.label)[first], group=first)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("opening")
    run_of(folder, "several", toy(several=True), LOOK, noise="swap-one:0.3")
    run_of(folder, "single", toy(), NRCH, noise="flip:0.3")
    run_of(folder, "pairs", in_pairs(), NRCH)
    return folder


def fresh(run: Path) -> Path:
    for name in ("decisions.jsonl", "audit.cache"):
        (run / name).unlink(missing_ok=True)
    return run


@pytest.fixture(params=["several", "single", "pairs"])
def run(request: pytest.FixtureRequest, place: Path) -> Path:
    """A run of which nothing is kept and about which nothing is decided."""
    return fresh(place / request.param)


@pytest.fixture
def several(place: Path) -> Path:
    """One of them."""
    return fresh(place / "several")


def opened(run: Path) -> tuple[AuditQueue, list[int]]:
    """A queue, and the steps that its opening took."""
    lines: list[str] = []
    queue = AuditQueue.open(run, progress=lines.append)
    return queue, [int(line.split()[1]) for line in lines]


def test_what_was_kept_gives_the_same_queue_to_the_last_digit(run: Path) -> None:
    first, steps = opened(run)
    assert steps == WHOLE and not (run / "audit.cache").exists()
    first.keep()
    second, steps = opened(run)
    assert steps == SHORT and second.view(1000) == first.view(1000)
    rows = [row for row in first.seen.view.rows.tolist() if first.row(row)["given"] != ["greek"]][:3]
    for row in rows:
        first.decide([Choice(row, "other", ["greek"])])
        assert second.view(1000) == first.view(1000)
    third, steps = opened(run)
    assert steps == SHORT and third.view(1000) == first.view(1000)
    first.undo()
    assert third.view(1000) == first.view(1000)


def test_a_service_that_is_started_again_reads_what_the_one_before_has_kept(several: Path) -> None:
    seen: list[Any] = []
    for wanted in (WHOLE, SHORT):
        lines: list[str] = []
        audited = Audited(RunFolder(several))
        audited._say = lines.append  # type: ignore[method-assign]
        with pytest.raises(Refused):
            audited.use(lambda queue: queue.view(1000))
        for thread in threading.enumerate():  # it goes on to keep, while the queue is used
            if thread.name == "crossbit-audit":
                thread.join()
        seen.append(audited.use(lambda queue: queue.view(1000)))
        assert [int(line.split()[1]) for line in lines] == wanted
    assert seen[0] == seen[1]


@pytest.mark.parametrize("exact", [100, 1000])
def test_a_posterior_put_together_again_is_relabelled_to_the_same(exact: int) -> None:
    data = toy(several=True)
    features = {m: torch.from_numpy(np.asarray(data[m])) for m in ("image", "text")}
    y = torch.from_numpy(np.asarray(data.label)).float()
    observed = dict.fromkeys(features, y)
    first = estimate_posterior(features, observed, exact=exact, landmarks=40, keep=True, pairs=False)
    second = put_together(*take_apart(first), features, observed, None)
    assert torch.equal(first.labels, second.labels)
    rows = torch.tensor([3, 50])
    one, other = (p.relabel(rows, dict.fromkeys(features, 1 - y[rows])) for p in (first, second))
    assert torch.equal(one.labels, other.labels) and torch.equal(one.evidence["text"], other.evidence["text"])
    assert not torch.equal(one.labels, first.labels)


def other_feature(seen: Seen) -> Seen:
    text = seen.view.features["text"].clone()
    text[7, 2] += 1e-5
    return replace(seen, view=replace(seen.view, features=seen.view.features | {"text": text}))


def other_label(seen: Seen) -> Seen:
    labels = seen.view.observed().clone()
    labels[7] = labels[8] = torch.tensor([1.0, 0, 0, 1, 0])
    return replace(seen, view=replace(seen.view, labels=labels))


def grouped(seen: Seen) -> Seen:
    return replace(seen, view=replace(seen.view, groups=np.arange(len(seen.view)) // 2))


def other_seed(seen: Seen) -> Seen:
    return replace(seen, view=replace(seen.view, seed=seen.view.seed + 1))


def fewer_rows(seen: Seen) -> Seen:
    view = seen.view
    features = {modality: x[:-1] for modality, x in view.features.items()}
    return replace(seen, view=replace(view, features=features, labels=view.observed()[:-1], rows=view.rows[:-1]))


@pytest.mark.parametrize("change", [other_feature, other_label, grouped, other_seed, fewer_rows])
def test_what_was_kept_of_anything_else_is_not_read(several: Path, change: Callable[[Seen], Seen]) -> None:
    opened(several)[0].keep()
    seen = read_seen(several, labelled=True)
    assert judge_to_keep(seen, Steps(lambda line: None))[1] is None
    lines: list[str] = []
    judged, key = judge_to_keep(change(seen), Steps(lines.append))
    assert key is not None and len(lines) == 3
    opening.keep(judged, key)
    assert opened(several)[1] == WHOLE  # one file: what was kept last is there


def test_what_another_version_kept_is_not_read(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(several)[0].keep()
    with monkeypatch.context() as patch:
        patch.setattr(opening, "method", lambda: "of another version")
        assert opened(several)[1] == WHOLE
    assert opened(several)[1] == SHORT


def cut(data: bytes) -> bytes:
    return data[:-100]


def bit_flipped(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


def head_damaged(data: bytes) -> bytes:
    return data[:80] + b"}" + data[81:]


@pytest.mark.parametrize(
    "damage", [cut, bit_flipped, head_damaged, lambda data: b"", lambda data: b"x", lambda data: b'{"key": 1}\n' * 99]
)
def test_a_damaged_file_is_made_anew_in_silence(several: Path, damage: Callable[[bytes], bytes]) -> None:
    first, file = opened(several)[0], several / "audit.cache"
    first.keep()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    second, steps = opened(several)
    assert steps == WHOLE and second.view(1000) == first.view(1000)
    second.keep()
    assert file.read_bytes() == whole and opened(several)[1] == SHORT


def test_what_cannot_be_kept_is_computed_each_time(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (several / "audit.cache").mkdir()
    opened(several)[0].keep()
    assert opened(several)[1] == WHOLE
    (several / "audit.cache").rmdir()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(opening, "write_mapped", full)
        opened(several)[0].keep()
    assert not (several / "audit.cache").exists()
    with monkeypatch.context() as patch:
        usage = type("Usage", (), {"free": 100_000})  # bytes: the file takes more than a quarter of it
        patch.setattr(shutil, "disk_usage", lambda path: usage)
        opened(several)[0].keep()
    assert not (several / "audit.cache").exists()
    opened(several)[0].keep()
    assert opened(several)[1] == SHORT


def test_programs_that_open_it_at_the_same_time_do_not_disturb_one_another(several: Path) -> None:
    first, file = opened(several)[0], several / "audit.cache"
    with FileLock(several / ".audit.lock"):  # another one writes just now
        (several / ".audit.0123abcd.cache").write_bytes(b"half")
        first.keep()
        assert not file.exists()
    code = "import sys; from crossbit.audit.queue import AuditQueue; AuditQueue.open(sys.argv[1]).keep()"
    with subprocess.Popen([sys.executable, "-c", code, several]) as other:
        opened(several)[0].keep()
    assert other.returncode == 0
    assert [path.name for path in several.glob("*audit.*cache")] == ["audit.cache"]  # nor what a killed one left
    second, steps = opened(several)
    assert steps == SHORT
    file.rename(several / "elsewhere")  # its place is taken while it is in use
    shutil.copy(several / "elsewhere", file)
    (several / "elsewhere").unlink()
    row = first.view(1)["queue"][0]["row"]
    second.decide([Choice(row, "keep")])
    assert second.view(1000) == first.view(1000) == opened(several)[0].view(1000)
