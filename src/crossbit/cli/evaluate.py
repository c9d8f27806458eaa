"""`crossbit evaluate` and `score`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossbit.cli.output import Json, note, with_notes
from crossbit.cli.reports import say_report, say_score, warn_of_collapse, write_per_query
from crossbit.cli.train import Run
from crossbit.errors import UserError
from crossbit.runs.folder import RunFolder
from crossbit.storage.files import check_new

if TYPE_CHECKING:
    from crossbit.evaluation import Report

Ties = Annotated[
    str,
    typer.Option(
        help="How items at the same distance are ordered: expected (the mean over all orders), index (as in the "
        "database), best or worst."
    ),
]
FurtherTies = Annotated[
    str,
    typer.Option(
        help="Adds mAP under this tie rule; index and expected are always shown. Also selects `map` in --json."
    ),
]
Empty = Annotated[
    str, typer.Option(help="Queries without any relevant item: skip leaves them out, zero counts them as 0.")
]
Cut = Annotated[int | None, typer.Option("-k", help="Count the first K ranks only. All, if not given.")]
Cutoff = Annotated[
    str, typer.Option(help="Which mAP@K: topk-R, topk or first-k-relevant; docs/evaluation.md explains them.")
]
Further = Annotated[
    list[str] | None,
    typer.Option(
        "--measure",
        metavar="NAME",
        help="Adds a measure, such as P@100, recall@10, hit@1, NDCG@50, P@radius2 or 'mAP@50(cutoff=topk)'. "
        "May be given many times.",
    ),
]
Curves = Annotated[
    bool, typer.Option("--curves", help="Adds precision and recall by radius and by rank, and precision@N.")
]

PerQuery = Annotated[
    Path | None,
    typer.Option("--per-query", metavar="FILE", help="Writes the values of single queries to this CSV file."),
]


def evaluate(
    run: Run,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="The data, if they moved, or other data. Not needed if they are where they were."
        ),
    ] = None,
    database: Annotated[
        str, typer.Option(help="What is searched: retrieval (the database), or query (the queries search one another).")
    ] = "retrieval",
    k: Cut = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
    measure: Further = None,
    curves: Curves = False,
    per_query: PerQuery = None,
    as_json: Json = False,
) -> None:
    """Measure how good a run's codes are, from images to texts and from texts to images.

    Four figures say what a person asks, by codes alone and as a search shows its results: mAP@all, the label overlap of
    the first ten, the share of them that is relevant, and how often the own pair is among them.
    Each number is printed with its protocol. Labels are the true ones. Without labels only a query's own pair is
    correct, among the queries themselves: hit@10(correct=pair) says how often it is among the ten first.

    \b
    Examples:
      crossbit evaluate run
      crossbit evaluate run --ties index -k 50 --cutoff topk
      crossbit evaluate run --measure P@100 --measure "hit@1(correct=pair)" --database query
      crossbit evaluate run --curves --json > figures.json
    """
    import crossbit

    choices = _choices(k, cutoff, ties, empty, measure, curves, per_query)
    model, folder = crossbit.load_model(run), RunFolder(run)
    loaded = with_notes(folder.data(data, other=note))
    report = _without_queries(crossbit.evaluate(model, loaded, database=database, **choices), per_query)
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
            help="An .npz or .mat that holds query_image, query_text, retrieval_image, retrieval_text, query_label and "
            "retrieval_label; or qBX, qBY, rBX, rBY, queryL and retrievalL.",
        ),
    ],
    k: Cut = None,
    cutoff: Cutoff = "topk-R",
    ties: FurtherTies = "expected",
    empty: Empty = "skip",
    measure: Further = None,
    curves: Curves = False,
    per_query: PerQuery = None,
    as_json: Json = False,
) -> None:
    """Score codes from any source: once as the field's scripts do, once independent of tie order.

    \b
    What an array is taken for:
      uint8                            packed codes, as numpy.packbits makes them
      bool, or 0/1, or -1/+1           one bit an entry
      other floats                     real vectors, ranked by cosine

    \b
    Examples:
      crossbit score codes.npz
      crossbit score codes.mat -k 50 --cutoff topk --measure P@100
      crossbit score codes.npz --curves --json > figures.json
    """
    choices = _choices(k, cutoff, ties, empty, measure, curves, per_query)
    from crossbit.evaluation import score_file

    say_score(_without_queries(score_file(codes, **choices), per_query), as_json)


def _without_queries(report: Report, per_query: Path | None) -> Report:
    """The report without its single queries' values, which are written to a file where they are asked for."""
    if per_query is not None:
        write_per_query(report, per_query)
    return replace(report, per_query={}, figures_per_query={})


def _choices(
    k: int | None, cutoff: str, ties: str, empty: str, measures: list[str] | None, curves: bool, per_query: Path | None
) -> dict[str, Any]:
    """The options as the library takes them; an unknown choice is refused before the work."""
    from crossbit.evaluation import parse_measure
    from crossbit.evaluation.measures import MeanAveragePrecision

    if per_query is not None:
        if per_query.suffix not in ("", ".csv", ".txt"):
            raise UserError(f"--per-query writes CSV, not {per_query.suffix}; take {per_query.with_suffix('.csv')}")
        check_new(per_query)
    MeanAveragePrecision(k, cutoff, ties=ties, empty=empty)  # type: ignore[arg-type]
    further = [parse_measure(name) for name in measures or []]
    return {
        "k": k,
        "cutoff": cutoff,
        "ties": ties,
        "empty": empty,
        "measures": further,
        "curves": curves,
        "per_query": per_query is not None,
    }
