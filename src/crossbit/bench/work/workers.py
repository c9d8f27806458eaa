"""Who does the runs: this process, several on this machine, or a Ray cluster. Each gives results as they come."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from crossbit.bench.work.runner import Job, JobData, failed, run_job
from crossbit.bench.work.store import Result, read_result, write_result
from crossbit.errors import UserError
from crossbit.jobs.cluster import connected
from crossbit.storage.cores import usable_cores

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def threads_for(workers: int) -> int:
    """Threads of each of so many processes: its share of the cores, or what OMP_NUM_THREADS says."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else max(1, usable_cores() // workers)


def one_after_the_other(jobs: Sequence[Job], out: Path) -> Iterator[Result]:
    """In this process, with all of its threads."""
    load = JobData()
    for job in jobs:
        yield run_job(job, out, load)


def in_processes(jobs: Sequence[Job], out: Path, workers: int) -> Iterator[Result]:
    """In spawned processes, each with its share of the cores; one that dies takes only its own run with it."""
    waiting = list(reversed(jobs))
    busy: dict[Any, tuple[_Worker, Job]] = {}  # by the pipe to the worker
    try:
        for _ in range(min(workers, len(jobs))):
            worker = _Worker(out, threads_for(workers))
            busy[worker.pipe] = worker, worker.give(waiting.pop())
        while busy:
            for pipe in wait(list(busy)):
                worker, job = busy.pop(pipe)
                yield worker.result(job)
                if waiting:
                    worker = worker if worker.alive else _Worker(out, threads_for(workers))
                    busy[worker.pipe] = worker, worker.give(waiting.pop())
                else:
                    worker.stop()
    finally:
        for worker, _ in busy.values():
            worker.stop()


class _Worker:
    """A spawned process that does one job after another, and ends when this one does."""

    def __init__(self, out: Path, threads: int) -> None:
        self.out, self.alive = out, True
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, out, threads), daemon=True)
        with _environment(dict.fromkeys(THREADS, str(threads))):
            self.process.start()
        other.close()  # so that the worker's end is the only one, and its death is seen

    def give(self, job: Job) -> Job:
        with suppress(OSError):  # it is dead; `result` tells
            self.pipe.send(job)
        return job

    def result(self, job: Job) -> Result:
        """The result of the job, which is at hand; a process that died has failed it."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.alive = False
            self.process.join()
            return _lost(job, self.out, f"its process ended ({_ending(self.process.exitcode)})")

    def stop(self) -> None:
        """End it at once; an unfinished run goes on from its last epoch another time."""
        self.process.kill()
        self.process.join()


def _work(pipe: Connection, out: Path, threads: int) -> None:
    """What a spawned process does. Ctrl-C is the first process's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    load = JobData()
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(run_job(job, out, load))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Variables for processes that are started inside."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _lost(job: Job, out: Path, reason: str) -> Result:
    result = failed(job.run, reason)
    write_result(out, result, job.asked)
    return result


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    hint = "; too little memory?" if -code == signal.SIGKILL else ""
    return f"signal {signal.Signals(-code).name}{hint}"


def over_ray(jobs: Sequence[Job], out: Path, address: str) -> Iterator[Result]:
    """Over a Ray cluster, a core for each run; `out` and the data must be on a disk that all of its machines share.

    Args:
        jobs: what to do.
        out: the bench's folder.
        address: as for `ray.init`: "auto", "host:port" or "ray://host:port".

    Raises:
        UserError: Ray is not installed, there is no cluster, or its machines write to other disks.
    """
    with connected(address, "take --workers N") as ray:
        task = ray.remote(num_cpus=1, max_retries=0)(run_job)
        waiting = {task.remote(job, out): job for job in jobs}
        try:
            while waiting:
                (ready,), _ = ray.wait(list(waiting), num_returns=1)
                job = waiting.pop(ready)
                try:
                    result = ray.get(ready)
                except ray.exceptions.RayError as error:
                    result = _lost(job, out, f"on Ray: {str(error).strip().splitlines()[-1]}")
                if read_result(out, job.run.id) is None:
                    unshared = f"Ray ran {job.run.id}, but {out} has no result"
                    raise UserError(f"{unshared}; --out must be on a disk that all machines share")
                yield result
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)
