"""`crossbit train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossbit.cli.collection import LOOKED_AT, CaptionColumn, LabelColumn, LabelSeparator, PictureColumn, columns_of
from crossbit.cli.output import Stopped, counted, note, say_next, speaks, with_notes
from crossbit.cli.reports import say_held_out, say_report
from crossbit.errors import UserError
from crossbit.runs.folder import HELD_OUT, RunFolder
from crossbit.storage.files import check_new

if TYPE_CHECKING:
    from crossbit.data import PairedData
    from crossbit.evaluation import Report
    from crossbit.model import Model
    from crossbit.training.held_out import HeldOut

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, made by `crossbit train`.")]


def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder of pictures with a table, a table, a built-in set (`crossbit data list`), an .npz, "
            "a folder of .npy, or a public layout.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="The run folder to make.")],
    method: Annotated[
        str | None,
        typer.Option(help="The method; `crossbit methods` lists all. If not given: look, with labels and without."),
    ] = None,
    bits: Annotated[int, typer.Option(help="The code length: a multiple of 8, at most 1,024.")] = 64,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="RULE:RATE",
            help="Makes training labels wrong on purpose, such as swap-one:0.5. Append :each to draw for each "
            "modality, or :group for each group.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A table of corrected labels for the training rows, as `crossbit audit` writes it."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws noise, first weights and batches.")] = 0,
    epochs: Annotated[int | None, typer.Option(help="How many epochs. The method's own number, if not given.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the method; `crossbit methods NAME` lists them. May be given many times.",
        ),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODALITY=KIND",
            help="The features of a modality: hog, efficientnet, clip:FOLDER ... for pictures; words, e5, minilm, "
            "sentence:FOLDER ... for texts; scaled or as-is for vectors. May be given for each; `auto` alone takes the "
            "best that are installed.",
        ),
    ] = None,
    picture_column: PictureColumn = None,
    caption_column: CaptionColumn = None,
    label_column: LabelColumn = None,
    label_separator: LabelSeparator = None,
    validation: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Holds this share of the training rows out, and keeps the epoch that is best on it."
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="32, or bf16 for faster products where the hardware has bf16 units.")
    ] = "32",
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda, ...")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Goes on with the run in --out. Give the same settings.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Prints neither progress nor results.")] = False,
) -> None:
    """Learn binary codes from pairs, evaluate them, and write a run folder.

    The other commands take this folder. Ctrl-C keeps the last finished epoch; --resume goes on.
    `torchrun --nproc-per-node 4 -m crossbit train ...` trains one model in several processes.

    \b
    Examples:
      crossbit train photos/ --out run
      crossbit train photos/list.csv --caption-column Beschreibung --out run
      crossbit train glyphs --noise swap-one:0.5 --method nrch --out run
      crossbit train photos/ --labels labels.csv --out run2
      crossbit train mine.npz --validation 0.1 --out run
      crossbit train mine.npz --validation 0.1 --out run --resume
    """
    given = _pairs("--set KEY=VALUE", settings, "width=1024")
    kinds = "auto" if features == ["auto"] else _pairs("--features MODALITY=KIND", features, "image=as-is")
    _check_out(out, resume)
    if resume and not out.exists():
        note(f"there is nothing to resume in {out}; training begins anew")
    import crossbit

    columns = columns_of(picture_column, caption_column, label_column, label_separator)
    loaded = with_notes(crossbit.load_data(data, progress=counted(LOOKED_AT), **columns.asked))
    chosen: dict[str, Any] = {
        "method": method,
        "bits": bits,
        "noise": noise,
        "labels": labels,
        "seed": seed,
        "epochs": epochs,
        "settings": given,
        "features": kinds,
        "validation": validation,
        "precision": precision,
        "device": device,
    }
    try:
        model = crossbit.train(loaded, **chosen, out=out, resume=resume, progress=not quiet)
    except KeyboardInterrupt:
        raise Stopped(_kept(out)) from None
    if speaks():
        _report(model, loaded, out, quiet)


def _check_out(out: Path, resume: bool) -> None:
    if RunFolder(out).has_begun and not resume:
        raise UserError(f"{out} exists already; choose another path, or go on with that run by --resume")
    if not (out.is_dir() and resume):
        check_new(out)


def _pairs(option: str, given: list[str] | None, example: str) -> dict[str, str]:
    """`key=value` texts as a mapping."""
    name, form = option.split(" ")
    for text in given or []:
        if "=" not in text.strip("="):
            raise UserError(f"{name} {text!r} is not {form}, such as {name} {example}")
    return dict(text.split("=", 1) for text in given or [])


def _kept(out: Path) -> str:
    """What an interrupted training left."""
    if RunFolder(out).missing:
        return "interrupted before the first epoch was finished; the same command with --resume begins again"
    return f"interrupted; the last finished epoch is in {out} and can be used; the same command with --resume goes on"


def _report(model: Model, data: PairedData, out: Path, quiet: bool) -> None:
    """Evaluate, write report.json, and say what to do next."""
    from crossbit.data.observed import unlabelled
    from crossbit.model.collapse import at_chance
    from crossbit.search.sheet import write_sheet

    report, closing = _evaluated(model, data), _held_out(model, data)
    if report is not None:
        more = {} if closing is None else {HELD_OUT: closing.to_dict()}
        RunFolder(out).write_report(report.to_dict() | more)
    sheet = write_sheet(out, data, model)
    if quiet:
        return
    following: list[list[str | Path]] = [["index", out], ["search", out, "some words"]]
    if report is not None:
        say_report(report, as_json=False)
        for line in at_chance(model, report):
            note(line)
        following.insert(0, ["evaluate", out, "--ties", "index"])
    if closing is not None:
        say_held_out(closing)
    if sheet is not None:
        note(f"held-out queries and what they find, with pictures: {sheet}")
    if not unlabelled(data):
        following.append(["audit", out])
    say_next(*following)


def _evaluated(model: Model, data: PairedData) -> Report | None:
    """The report; None, and a note that says why, where there is nothing to measure: the run is whole all the same."""
    import crossbit

    if not len(data.query) or not len(data.retrieval):
        note("not evaluated: the data has no queries or no retrieval rows")
    else:
        try:
            return crossbit.evaluate(model, data)
        except UserError as error:
            note(f"not evaluated: {error}")
    return None


def _held_out(model: Model, data: PairedData) -> HeldOut | None:
    """Figures beside floor and chance; None where there is nothing to measure."""
    from crossbit.training.held_out import held_out

    return held_out(model, data) if len(data.query) and len(data.retrieval) else None
