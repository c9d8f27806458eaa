"""`crossbit bench`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossbit.cli.output import Json, Stopped, note, say, say_json, say_table
from crossbit.errors import UserError

if TYPE_CHECKING:
    from crossbit.bench.bench import Bench
    from crossbit.bench.work.estimate import Estimate
    from crossbit.bench.work.store import Result

SOME_FAILED = 1  # the exit code when the bench came to its end, but not all of its runs did


def bench(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            metavar="RECIPE|DIR", help="The recipe to run, by name or path; or a folder of results, to draw them again."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder for the results. A bench that began there goes on.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Runs only this data set of the recipe; or a built-in set or a path instead of all.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Runs the recipe's reduced form, its section [quick].")
    ] = False,
    data_root: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the recipe's data files.")] = Path(),
    workers: Annotated[int, typer.Option(min=1, help="How many runs at once, each with its share of the cores.")] = 1,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Runs on this Ray cluster: auto, host:port, ray://host:port.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Tries failed runs again.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", "--dry-run", help="Says what would run and about how long, and stops.")
    ] = False,
    list_recipes: Annotated[bool, typer.Option("--list", help="Lists the recipes that come with crossbit.")] = False,
    as_json: Json = False,
) -> None:
    """Compare methods, as a recipe says: methods x bits x noise x seeds x data. Writes tables and plots.

    After a stop the same command goes on. Nothing that is finished runs twice.
    docs/bench.md explains recipes.

    \b
    Examples:
      crossbit bench --list
      crossbit bench quick --out out
      crossbit bench quick --out out --plan
      crossbit bench mine.toml --out out --workers 2
      crossbit bench out
    """
    if list_recipes:
        return _say_recipes(as_json)
    if recipe is None:
        raise UserError("no recipe is given; `crossbit bench --list` names some: crossbit bench RECIPE --out DIR")
    if out is None and recipe.is_dir():
        with _kept(recipe):
            return _draw(recipe, as_json)
    _check_recipe(recipe)
    if out is None:
        raise UserError(f"say where the results shall go: crossbit bench {recipe} --out DIR")
    if not plan:
        _refuse_busy(out)
    with _kept(out):
        whole = _prepare(recipe, out, data, quick, data_root)
        guess = whole.estimate(retry=retry)
        if plan:
            return say_json(whole.plan(guess)) if as_json else _say_plan(whole, guess, workers)
        _note_plan(whole, guess, workers)
        results = _go(whole, guess, workers=workers, ray=ray, retry=retry)
        _draw(out, as_json)
    if any(result.status != "done" for result in results):
        raise typer.Exit(SOME_FAILED)
    return None


def _say_recipes(as_json: bool) -> None:
    """The recipes that come with crossbit, a line each."""
    from crossbit.bench.recipe.shipped import shipped

    titles = {name: recipe["title"] for name, recipe in shipped().items()}
    return say_json(titles) if as_json else say_table(["recipe", "what it runs"], titles.items())


def _check_recipe(name: Path) -> None:
    """There is such a recipe; its name comes before a folder called so: `bench quick --out quick` goes on with one."""
    from crossbit.bench.recipe.shipped import recipe_path, shipped

    if name.is_dir() and str(name) not in shipped():
        raise UserError(f"{name} is a folder, which is drawn again where it is; leave out --out, or give a recipe")
    recipe_path(name)


def _refuse_busy(out: Path) -> None:
    """Say at once that another bench works there, not after the data are loaded."""
    from crossbit.storage.alone import refuse_busy

    refuse_busy(out, "bench")


@contextmanager
def _kept(out: Path) -> Iterator[None]:
    """After Ctrl-C say what the folder keeps, if it holds anything."""
    try:
        yield
    except KeyboardInterrupt:
        if not (out / "recipe.toml").exists():
            raise  # nothing was written
        count = sum(1 for _ in out.glob("runs/*/result.json"))
        what = (
            f"{count} finished run{'s' if count != 1 else ''}" if count else "its recipe and plan, no run is finished"
        )
        raise Stopped(f"interrupted; {out} keeps {what}; the same command goes on") from None


def _prepare(recipe: Path, out: Path, data: str | None, quick: bool, data_root: Path) -> Bench:
    """The bench; mistakes in its recipe are told one a line, and end in exit code 2."""
    from crossbit.bench.bench import prepare
    from crossbit.bench.recipe.fields import Mistakes

    try:
        return prepare(recipe, out, data=data, quick=quick, data_root=data_root)
    except Mistakes as error:
        many = "a mistake" if len(error.lines) == 1 else f"{len(error.lines)} mistakes"
        note(f"crossbit: error: {error.where} has {many}; nothing was run")
        for line in error.lines:
            note(f"  {line}")
        raise typer.Exit(2) from None


def _go(whole: Bench, guess: Estimate, **choices: Any) -> list[Result]:
    """Do what is left; after Ctrl-C what was done is drawn."""
    from crossbit.bench.bench import draw_results
    from crossbit.bench.work.progress import BenchProgress

    todo = len(whole.to_do(retry=choices["retry"]))
    try:
        with BenchProgress(todo, guess.total) as bar:
            return whole.go(guess, bar.tell, **choices)
    except KeyboardInterrupt:
        done = whole.results()
        if done:
            draw_results(whole.out)
        drawn = f"the {len(done)} of {len(whole.jobs)} runs that are finished are drawn in {whole.out}"
        raise Stopped(f"interrupted; {drawn if done else 'no run is finished'}; the same command goes on") from None


def _draw(out: Path, as_json: bool) -> None:
    from crossbit.bench.bench import draw_results
    from crossbit.bench.work.store import load_results

    files = [str(path) for path in draw_results(out)]
    results = load_results(out)
    wrong = [{"id": result.id, "reason": result.reason} for result in results if result.status != "done"]
    if as_json:
        return say_json({"out": str(out), "done": len(results) - len(wrong), "failed": wrong, "files": files})
    say(f"{len(results) - len(wrong)} runs are done{f', {len(wrong)} failed' if wrong else ''}")
    for each in wrong:
        say(f"  failed: {each['id']}: {each['reason']}")
    say("\n".join(files))
    return None


def _say_plan(whole: Bench, guess: Estimate, workers: int) -> None:
    """A line for every data set and method, and the whole."""
    from crossbit.bench.work.progress import in_words

    left = {job.run.id for job in whole.to_do()}
    groups: dict[tuple[str, str, str], list[Any]] = {}
    for job in whole.jobs:
        groups.setdefault((job.run.data, job.run.method, job.run.variant), []).append(job.run)
    rows = []
    for (data, method, variant), runs in groups.items():
        known = [guess.seconds.get(run.id) for run in runs if run.id in left]
        each = in_words(sum(value or 0.0 for value in known) / len(known)) if known and None not in known else "?"
        what = [_list(run.bits for run in runs), _list(run.noise for run in runs), _list(run.seed for run in runs)]
        rows.append([data, f"{method} {variant}".strip(), *what, len(runs), len(known), each if known else ""])
    columns = ["data", "method", "bits", "noise", "seeds", "runs", "to do", "a run"]
    say_table(columns, rows, right=["runs", "to do", "a run"])
    say(f"\n{_in_all(whole, guess, workers)}")


def _note_plan(whole: Bench, guess: Estimate, workers: int) -> None:
    note(_in_all(whole, guess, workers))


def _in_all(whole: Bench, guess: Estimate, workers: int) -> str:
    from crossbit.bench.work.progress import in_words

    status = Counter(result.status for result in whole.results())
    ended = "".join(f", {status[name]} {name}" for name in ("done", "failed") if status[name])
    if not guess.seconds:
        return f"{len(whole.jobs)} runs{ended}: nothing is left to do"
    time = "unknown time" if guess.total is None else f"about {in_words(guess.total / workers)}"
    by = f" by {workers} processes" if workers > 1 else ""
    return f"{len(whole.jobs)} runs{ended}; {len(guess.seconds)} to do, {time}{by} ({guess.how})"


def _list(values: Any) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))
