"""`crossbit encode`, `index` and `search`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossbit.cli.hits import say_hits
from crossbit.cli.output import Json, Stopped, counted, note, say, say_json, say_next, with_notes
from crossbit.cli.reports import warn_of_collapse
from crossbit.cli.train import Run
from crossbit.errors import UserError
from crossbit.runs.folder import RunFolder
from crossbit.storage.addresses import is_address, shown
from crossbit.storage.files import check_new, refuse_file, writing

if TYPE_CHECKING:
    import numpy as np

    from crossbit.model import Model
    from crossbit.search.results import SearchResults

ENCODED = "{done} of {of} encoded"
FOLDER = "--uri takes the folder of an index, new or there already"
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Encodes on this Ray cluster: auto, host:port, ray://host:port. All machines share the run's folder.",
        show_default=False,
    ),
]
Uri = Annotated[
    str | None,
    typer.Option(metavar="URI", help="The folder of the index, or milvus://host:port/NAME. RUN/index, if not given."),
]
Exact = Annotated[
    bool, typer.Option("--exact", help="Compares all codes, though `crossbit index --approximate` made a faster way.")
]


def encode(
    run: Run,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="An .npy of vectors or pictures; a .txt with one text a line; a picture; a folder of pictures; "
            "or a data set, of which all rows are encoded.",
        ),
    ],
    modality: Annotated[str, typer.Option(help="What INPUT holds: image, text, or another modality of the run.")],
    out: Annotated[
        Path, typer.Option(metavar="CODES.npy", help="The file to make: packed codes, uint8 (n, bits / 8).")
    ],
    real: Annotated[
        bool, typer.Option("--real", help="Writes real vectors instead, float32 (n, bits). Codes are their signs.")
    ] = False,
    ray: Ray = None,
) -> None:
    """Turn new pictures, texts or vectors into binary codes.

    A folder is read with its sub-folders. Lines on standard error name what is left out. The names of the pictures
    are written beside the codes, one a line.

    \b
    Examples:
      crossbit encode run texts.txt --modality text --out texts.npy
      crossbit encode run photos/ --modality image --out photos.npy
      crossbit encode run texts.txt --modality text --out vectors.npy --real
      crossbit encode run photos/ --modality image --out photos.npy --ray auto
    """
    check_new(out)
    if out.suffix != ".npy":
        raise UserError(f"--out is {out}; codes are written as .npy")
    import crossbit
    from crossbit.data.collection.places import has_words
    from crossbit.search.inputs import check_takes, takes
    from crossbit.storage.lines import write_names

    model = crossbit.load_model(run)
    takes(model, modality)  # refuses an unknown one before anything is read
    pictures = _is_pictures(source) and (takes(model, modality) == "pictures" or not has_words(Path(source)))
    names_file = check_new(out.with_suffix(".txt")) if pictures else None
    with _spread(model, ray, out) as encoder:
        if names_file is None:
            rows = _rows(run, source, modality, takes(model, modality))
            check_takes(model, modality, rows, source)
            codes = (encoder.embed if real else encoder.encode)(modality, rows, progress=counted(ENCODED))
        else:
            codes, names = _encode_folder(encoder, modality, Path(source), real)
            write_names(names_file, names)
    _save(out, codes)
    made = f"real vectors of length {model.bits}" if real else f"codes of {model.bits} bits"
    say(f"{len(codes):,} {made} in {out}" + (f", their names in {names_file}" if names_file else ""))
    if model.metric == "cosine" and not real:
        note(f"{model.method} ranks by its real vectors; these codes are their signs, and --real writes the vectors")


def index(
    run: Run,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="The data to index. The data of the run, if not given.")
    ] = None,
    uri: Uri = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Checks the index and changes nothing. Exit code 1 if something is wrong."),
    ] = False,
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate",
            help="Lets a search compare a part of the codes: for ten million and more. Prints the recall. "
            "An index that is there is kept.",
        ),
    ] = False,
    recall: Annotated[float, typer.Option(help="The share of the nearest that --approximate is to find.")] = 0.99,
    ray: Ray = None,
) -> None:
    """Encode the database and write an index of each modality, with captions and labels.

    \b
    Examples:
      crossbit index run
      crossbit index run more.npz --uri more.index
      crossbit index run --check
      crossbit index run --approximate
      crossbit index run --uri milvus://localhost:19530/photos
    """
    folder = RunFolder(run)
    target = uri or str(folder.index)
    if check:
        return _check(run, target)
    far = is_address(target)
    if approximate:
        _check_recall(recall, far)
        if not far and Path(target).exists():
            return _approximate(run, target, recall)
    if not far:
        refuse_file(target, FOLDER)
    if not far and Path(target).exists():
        there = f" --uri {shown(uri)}" if uri else ""
        right = f"`crossbit add {run} DATA{there}` adds to it; to make it anew, remove it"
        raise UserError(f"{target} exists already; {right}")
    if not far:
        check_new(target)
    import crossbit
    from crossbit.search.build import index_data
    from crossbit.search.changing import fold
    from crossbit.search.known import learn_from_run

    model = crossbit.load_model(run)
    if model.metric == "cosine":
        note(f"{model.method} ranks by its real vectors: their signs are indexed, and hits are ordered by the vectors")
    others: list[str] = []  # what is said where the data are not the run's
    loaded, changed = folder.found(data, other=others.append, option=f"crossbit index {run} DATA")
    with_notes(loaded)
    for line in others:
        note(line)
    with _spread(model, ray, folder.index if far else target) as encoder:
        counts = index_data(encoder, loaded, target, progress=note)
        sent = 0 if far else fold(encoder, target, note)
        if not others and not far:
            learn_from_run(encoder, loaded, target, changed=changed is not None, progress=note)
    warn_of_collapse(model, loaded)
    say(f"{', '.join(f'{count:,} {modality} codes' for modality, count in counts.items())} in {shown(target)}")
    left_out = set(loaded.splits["query"].tolist()) - set(loaded.splits["retrieval"].tolist())
    if loaded.path is not None and left_out:  # a folder of one's own, in which a picture is missed
        note(f"{len(left_out):,} held-out queries are not in it; to find them, too, type: crossbit add {run} DATA")
    if sent:
        say(f"{sent:,} items that came through the service are there, too")
    if approximate:
        _approximate(run, target, recall)
    place = ["--uri", shown(uri)] if uri else []
    say_next(
        ["search", run, "some words", *place],
        ["search", run, "--image", "some.png", *place],
        ["serve", run, *place],
    )
    return None


def _check_recall(recall: float, far: bool) -> None:
    """UserError for an approximate tier that cannot be made."""
    if far:
        raise UserError("--approximate is for a local index; at an address the server's own index decides")
    if not 0 < recall <= 1:
        raise UserError(f"--recall is {recall}; it must be a share above 0 and at most 1, such as 0.99")


def _approximate(run: Path, target: str, recall: float) -> None:
    """Make an approximate tier of an index that is there, and print how it was measured."""
    import crossbit
    from crossbit.search.approximate import approximate

    for modality, found in approximate(crossbit.load_model(run), target, recall, note).items():
        say(f"{modality}: {found}")
    say("`crossbit search` and `crossbit serve` use it from now on; with --exact they compare all codes")


@contextmanager
def _spread(model: Model, ray: str | None, target: str | Path) -> Iterator[Model]:
    """The model, on a cluster if one is named; what is encoded is kept beside the target until all of it is."""
    from crossbit.model.spread import spread

    kept = Path(f"{target}.parts")
    try:
        with spread(model, ray, kept) as encoder:
            yield encoder
    except KeyboardInterrupt:
        if not kept.exists():
            raise
        raise Stopped(f"interrupted; {kept} keeps what is encoded; the same command goes on") from None


def _check(run: Path, target: str) -> None:
    """Print a line for each thing that is wrong with the indexes of a run."""
    import crossbit
    from crossbit.search.build import check_index
    from crossbit.search.journal import Journal, folded

    found = check_index(crossbit.load_model(run), target)
    for line in found:
        say(line)
    if found:
        raise typer.Exit(1)
    if not is_address(target) and (waiting := Journal(Path(target)).after(folded(Path(target)))):
        say(f"{len(waiting):,} changes came through the service since; a search knows them, `crossbit add` writes them")
    say(f"{shown(target)} is whole: every code has its embedding, and the model is the run's")


def search(
    run: Run,
    words: Annotated[str | None, typer.Argument(metavar='["some words"]', help="What to find, in words.")] = None,
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture to search with. With words too, both count alike.")
    ] = None,
    item: Annotated[int | None, typer.Option(metavar="ID", help="Finds what is like this item of the index.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many hits of each modality to show.")] = 10,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="EXPR", help="Keeps items for which this SQL is true. Columns: row, caption, path, label or labels."
        ),
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option(metavar="M", help="What to find: image, text, ... If not given, every modality but the query's."),
    ] = None,
    rerank: Annotated[
        bool,
        typer.Option("--rerank/--no-rerank", help="Orders hits by cosine (the default), or by distance and id."),
    ] = True,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="codes|words|pictures|both",
            help="How to search: by what the model learned, by the words of captions and labels, by the pictures, "
            "or by both. If not given, words are looked for by codes and words, and a picture by codes and pictures.",
        ),
    ] = None,
    not_this: Annotated[
        list[int] | None,
        typer.Option("--not", metavar="ID", help="Leaves this item out and moves the query away from it. Any number."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Writes a sheet of what was found, with pictures, one HTML file."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Opens that sheet in the browser. Needs --html.")] = False,
    exact: Exact = False,
    uri: Uri = None,
    as_json: Json = False,
) -> None:
    """Find pictures by words, texts by a picture, or either by both.

    The codes find the hundred nearest by Hamming distance (or -k, if more).
    The cosine of the embeddings puts these in order. Words are looked for in
    captions and labels, too, and a picture is compared with the pictures, too.
    Each hit says which way found it; hits of one picture or group are one line.

    \b
    Examples:
      crossbit search run "greek small letter alpha with tonos"
      crossbit search run "arrow" --where "list_contains(labels, 'leftward')" -k 20
      crossbit search run "in red" --image some.png
      crossbit search run --item 7 --modality image --json
      crossbit search run "arrow" --not 7 --not 12
      crossbit search run "arrow" --html found.html --open
    """
    if words is None and image is None and item is None:
        raise UserError('give words, --image FILE or --item ID, such as: crossbit search RUN "some words"')
    if show and html is None:
        raise UserError("--open shows a sheet; name its file, such as: --html found.html --open")
    if html is not None:
        check_new(html)
    from crossbit.search.searcher import open_for_one

    with open_for_one(run, uri=uri, exact=exact) as searcher:
        asked: dict[str, Any] = {
            "k": k,
            "where": where,
            "modality": modality,
            "rerank": rerank,
            "by": by,
            "not_this": not_this or (),
        }
        found = searcher(words, picture=image, item=item, **asked)
    if html is not None:
        _write_html(html, found, run, image, show)
    if as_json:
        return say_json(found.to_dict())
    for line in found.notes:
        note(line)
    if line := found.nothing_fits:
        say(line)
    for name, hits in found.hits.items():
        say_hits(name, hits, by)
    return None


def _write_html(html: Path, found: SearchResults, run: Path, image: Path | None, show: bool) -> None:
    """Write a sheet of what was found, with the pictures of the run's data, and open it if asked to."""
    import webbrowser

    from crossbit.search.sheet import write_results

    try:
        data = RunFolder(run).data()
    except UserError as error:
        data = None
        if not any(Path(str(hit.item.get("path"))).is_file() for hit in found):
            note(f"the sheet has no pictures: {error}")
    write_results(html, found, data, image)
    note(f"a sheet of what was found is in {html}")
    if show and not webbrowser.open(html.resolve().as_uri()):
        note(f"no browser was found; open {html} by hand")


def _is_pictures(source: str) -> bool:
    """Whether it is a folder of pictures: no built-in data, no folder of .npy."""
    from crossbit.data import builtins

    path = Path(source)
    return source not in builtins() and path.is_dir() and not any(path.glob("*.npy"))


def _encode_folder(model: Model, modality: str, folder: Path, real: bool) -> tuple[np.ndarray, list[str]]:
    """Codes of the pictures below a folder, and their names in it; says what is left out."""
    from crossbit.search.inputs import encode_pictures
    from crossbit.storage.pictures import PictureError, has_picture_name
    from crossbit.storage.walk import LeftOut, files_below

    left_out = LeftOut()
    files = files_below(folder, left_out)

    def skip(path: Path, error: PictureError) -> None:
        left_out.add(error.kind, path.relative_to(folder).as_posix())
        if error.kind != "not a picture" or has_picture_name(path):
            note(f"left out: {error}")

    codes, kept = encode_pictures(model, modality, files, skip=skip, real=real, progress=counted(ENCODED))
    if left_out:
        note(str(left_out))
    if not kept:
        raise UserError(f"{folder} holds no picture that can be read, among {len(files):,} files")
    return codes, [path.relative_to(folder).as_posix() for path in kept]


def _rows(run: Path, source: str, modality: str, reads: str) -> Any:
    """The rows to encode: an array, texts, a picture, or all rows of data; `reads` is what the modality takes."""
    from crossbit.data import builtins, find_data, is_collection
    from crossbit.storage.lines import read_lines
    from crossbit.storage.pictures import has_picture_name, read_picture

    path = Path(source)
    if source in builtins() or path.is_dir() or path.suffix == ".npz" or not path.exists() or is_collection(source):
        return RunFolder(run).load(source)[modality]
    read = {".npy": _read_array, ".txt": read_lines}.get(path.suffix.lower())
    if read is None and not has_picture_name(path):
        if find_data(source) is not None:
            return RunFolder(run).load(source)[modality]
        if reads != "pictures":
            right = "a .txt with one text a line" if reads == "words" else "an .npy"
            raise UserError(f"{modality} takes {reads}, and {source} is no file that holds such; give {right}, or data")
    return read_picture(path)[None] if read is None else read(path)


def _read_array(path: Path) -> np.ndarray:
    import numpy as np

    from crossbit.storage.npz import read_array

    with open(path, "rb") as file:
        return read_array(str(path), lambda: np.lib.format.read_array(file, allow_pickle=False), path)


def _save(out: Path, codes: np.ndarray) -> None:
    import numpy as np

    with writing(out) as temporary, open(temporary, "wb") as file:
        np.save(file, codes, allow_pickle=False)
