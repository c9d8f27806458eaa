"""A bench from recipe to tables: plan it, do what is left of it, and draw what there is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossbit.bench.recipe.grid import expand_or_refuse
from crossbit.bench.recipe.parse import read_recipe
from crossbit.bench.recipe.recipe import Recipe
from crossbit.bench.recipe.shipped import recipe_path
from crossbit.bench.work.estimate import Estimate, estimate
from crossbit.bench.work.runner import Job, finished, forget
from crossbit.bench.work.store import DONE, FAILED, Result, load_results, write_figures
from crossbit.bench.work.workers import in_processes, one_after_the_other, over_ray
from crossbit.errors import UserError
from crossbit.storage.alone import alone_in
from crossbit.storage.files import check_new, read_json, write_json, writing
from crossbit.storage.lines import read_text

Tell = Callable[[Result, int, float], None]  # a result, how many runs are still to do, and about how many seconds


@dataclass(frozen=True)
class Bench:
    """A recipe whose runs are known and checked.

    Attributes:
        recipe: as it is run; `text` is the file.
        published: the file with published figures beside the recipe, which need not be there.
        jobs: all of its runs.
        out: where the results go.
        options: how it is run otherwise than the file says.
    """

    recipe: Recipe
    text: str
    published: Path
    jobs: list[Job]
    out: Path
    options: dict[str, Any]

    def results(self) -> list[Result]:
        """Those of its runs that are finished, or failed."""
        return [result for job in self.jobs if (result := finished(job, self.out)) is not None]

    def to_do(self, *, retry: bool = False) -> list[Job]:
        """What is left: runs that are not finished; with `retry` those that failed, too."""
        over = {result.id for result in self.results() if result.status == DONE or not retry}
        return [job for job in self.jobs if job.run.id not in over]

    def estimate(self, *, retry: bool = False) -> Estimate:
        """About how long what is left will take."""
        return estimate(self.to_do(retry=retry), [r for r in self.results() if r.status == DONE])

    def plan(self, guess: Estimate) -> dict[str, Any]:
        """What plan.json holds."""
        status = {result.id: result.status for result in self.results()}
        recipe = {"name": self.recipe.name, "title": self.recipe.title, "about": self.recipe.about}
        runs = [
            {"id": job.run.id, **asdict(job.run), "status": status.get(job.run.id, "to do")}
            | {"estimated_seconds": guess.seconds.get(job.run.id)}
            for job in self.jobs
        ]
        protocol = asdict(self.recipe.protocol)
        return {"recipe": recipe, "options": self.options, "protocol": protocol, "estimate": guess.how, "runs": runs}

    def go(
        self, guess: Estimate, tell: Tell, *, workers: int = 1, ray: str | None = None, retry: bool = False
    ) -> list[Result]:
        """Do what is left, tell of each run, and return the results of all.

        Args:
            guess: of `estimate`, for the time that is left.
            tell: called with each result, the number of runs that are left, and their seconds.
            workers: processes at once; the figures do not depend on it, up to the number of threads that each has.
            ray: address of a Ray cluster, in the place of processes here.
            retry: begin again what failed before.

        Raises:
            UserError: the folder cannot be written, another bench works there, or there is no such cluster.
            KeyboardInterrupt: interrupted; all that was finished is kept, and an unfinished run goes on next time.
        """
        with alone_in(self.out, "bench"):
            return self._go(guess, tell, workers, ray, retry)

    def _go(self, guess: Estimate, tell: Tell, workers: int, ray: str | None, retry: bool) -> list[Result]:
        jobs = self.to_do(retry=retry)
        with writing(self.out / "recipe.toml") as temporary:
            temporary.write_text(self.text, encoding="utf-8")
        if self.published.exists() and not self.options["quick"]:  # reduced runs are not what was published
            write_json(self.out / "published.json", read_json(self.published))
        write_json(self.out / "plan.json", self.plan(guess))
        for job in jobs:
            if (result := finished(job, self.out)) is not None and result.status == FAILED:
                forget(self.out, job.run.id)
        start, left, done = time.monotonic(), dict(guess.seconds), 0.0
        for result in _carry_out(jobs, self.out, workers, ray):
            done += left.pop(result.id, None) or 0.0
            pace = (time.monotonic() - start) / done if done else 0.0
            tell(result, len(left), pace * sum(value or 0.0 for value in left.values()))
        return self.results()


def prepare(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    data: str | None = None,
    quick: bool = False,
    data_root: str | os.PathLike[str] = ".",
) -> Bench:
    """Read a recipe, load its data, and check everything that can be wrong; nothing is written.

    Args:
        path: the TOML file; or the name of a recipe that comes with crossbit.
        out: the bench's folder: new, empty, or one that a bench began.
        data: run on this data set only: one of the recipe, or a built-in name or a path in the place of all.
        quick: as the recipe's [quick] says.
        data_root: folder that relative paths of data start from.

    Raises:
        Mistakes: with all mistakes of the recipe.
        UserError: `out` cannot be taken, or the recipe cannot be read.
    """
    folder, file = _check_out(Path(out)), recipe_path(path)
    recipe, mistakes = read_recipe(file)
    if quick and recipe.quick is None:
        mistakes.append("recipe: it has no [quick], so there is no reduced form of it")
    recipe = recipe.reduced() if quick and recipe.quick else recipe
    recipe = recipe.on(data) if data is not None else recipe
    runs, sources = expand_or_refuse(recipe, Path(data_root), path, mistakes)
    jobs = [Job(run, sources[run.data], recipe.protocol) for run in runs]
    options = {"quick": quick, "data": data}
    text, published = read_text(file), file.parent / "published.json"
    return Bench(recipe, text, published, jobs, folder, options)


def draw_results(out: Path) -> list[Path]:
    """Write results.parquet, results.csv, tables and plots of what is finished in `out`; nothing is run.

    Raises:
        UserError: `out` is not the folder of a bench, or nothing in it is finished.
    """
    from crossbit.bench.report.plots import draw
    from crossbit.bench.report.tables import write_tables

    results = load_results(out)
    if not results:
        raise UserError(f"no run of {out} is finished, so there is nothing to draw")
    return [*write_figures(out, results), *write_tables(out, results), *draw(out, results)]


def _carry_out(jobs: list[Job], out: Path, workers: int, ray: str | None) -> Iterator[Result]:
    if ray is not None:
        return over_ray(jobs, out.absolute(), ray)
    return in_processes(jobs, out, workers) if workers > 1 else one_after_the_other(jobs, out)


def _check_out(out: Path) -> Path:
    """A folder that a bench began, or one that is not there or empty and can be written."""
    if (out / "recipe.toml").exists() or (out.is_dir() and all(path.name.startswith(".") for path in out.iterdir())):
        return out  # hidden: what writing leaves when the process is killed
    if out.is_dir():
        raise UserError(f"{out} holds other things than a bench; give --out a new folder, or one that a bench began")
    return check_new(out)
