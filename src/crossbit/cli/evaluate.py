"""`crossbit evaluate` and `score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from crossbit.cli.output import Json, note, with_notes
from crossbit.cli.reports import say_report, say_score, warn_of_collapse
from crossbit.cli.train import Run
from crossbit.errors import UserError
from crossbit.runs.folder import RunFolder

Ties = Annotated[str, typer.Option(help="Among items at one distance: expected, index, best or worst.")]
FurtherTies = Annotated[
    str,
    typer.Option(
        help="The figures by index and by expected are always shown; best or worst adds a further figure by this rule. "
        "It is the map of --json."
    ),
]
Empty = Annotated[str, typer.Option(help="Queries with nothing relevant to find: skip them, or count them as zero.")]
Cut = Annotated[int | None, typer.Option("-k", help="Only the first K ranks count; all if not given.")]
Cutoff = Annotated[
    str, typer.Option(help="What mAP@K means: topk-R, topk or first-k-relevant; see docs/evaluation.md.")
]
Further = Annotated[
    list[str] | None,
    typer.Option(
        "--measure",
        metavar="NAME",
        help="A further measure, such as P@100, recall@10, hit@1, NDCG@50, P@radius2 or 'mAP@50(cutoff=topk)'; "
        "may be given many times.",
    ),
]
Curves = Annotated[bool, typer.Option("--curves", help="Precision-recall by radius and by rank, and precision@N.")]


def evaluate(
    run: Run,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="Other data than the run was trained on, or where it is now.")
    ] = None,
    database: Annotated[
        str, typer.Option(help="What is searched: the retrieval rows, or query: the queries against themselves.")
    ] = "retrieval",
    k: Cut = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
    measure: Further = None,
    curves: Curves = False,
    as_json: Json = False,
) -> None:
    """Measure a run's codes: mean average precision in both directions, with the protocol behind the number.

    \b
    Examples:
      crossbit evaluate run
      crossbit evaluate run --ties index -k 50 --cutoff topk
      crossbit evaluate run --measure P@100 --measure "hit@1(correct=pair)" --database query
      crossbit evaluate run --curves --json > figures.json
    """
    import crossbit

    choices = _choices(k, cutoff, ties, empty, measure, curves)
    model, folder = crossbit.load_model(run), RunFolder(run)
    loaded = with_notes(folder.data(data, other=note))
    report = crossbit.evaluate(model, loaded, database=database, **choices)
    try:
        folder.write_report(report.to_dict())
    except UserError as error:  # a run that may only be read is evaluated all the same
        note(f"the evaluation is shown, and not kept: {error}")
    say_report(report, as_json)
    warn_of_collapse(model, loaded, report)


def score(
    codes: Annotated[
        Path,
        typer.Argument(
            metavar="CODES",
            help="An .npz or .mat: query_image, query_text, retrieval_image, retrieval_text, query_label, "
            "retrieval_label; or qBX, qBY, rBX, rBY, queryL, retrievalL.",
        ),
    ],
    k: Cut = None,
    cutoff: Cutoff = "topk-R",
    ties: FurtherTies = "expected",
    empty: Empty = "skip",
    measure: Further = None,
    curves: Curves = False,
    as_json: Json = False,
) -> None:
    """Measure anyone's codes: as the field's usual script does, and without the luck that ties are.

    uint8 arrays are packed codes (numpy.packbits); bool, 0/1 or -1/+1 in other types are one bit an entry; other
    floats are real vectors, ranked by cosine.

    \b
    Examples:
      crossbit score codes.npz
      crossbit score codes.mat -k 50 --cutoff topk --measure P@100
      crossbit score codes.npz --curves --json > figures.json
    """
    choices = _choices(k, cutoff, ties, empty, measure, curves)
    from crossbit.evaluation import score_file

    say_score(score_file(codes, **choices), as_json)


def _choices(
    k: int | None, cutoff: str, ties: str, empty: str, measures: list[str] | None, curves: bool
) -> dict[str, Any]:
    """The options as the library takes them; an unknown choice is refused before the work."""
    from crossbit.evaluation import parse_measure
    from crossbit.evaluation.measures import MeanAveragePrecision

    MeanAveragePrecision(k, cutoff, ties=ties, empty=empty)  # type: ignore[arg-type]
    further = [parse_measure(name) for name in measures or []]
    return {"k": k, "cutoff": cutoff, "ties": ties, "empty": empty, "measures": further, "curves": curves}
