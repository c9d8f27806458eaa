"""`crossbit data`: list, show, convert, and corrupt on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossbit.cli.collection import (
    CaptionColumn,
    LabelColumn,
    LabelSeparator,
    PictureColumn,
    columns_of,
    show_collection,
)
from crossbit.cli.output import Json, note, say, say_json, say_next, say_table, with_notes
from crossbit.errors import UserError
from crossbit.storage.files import check_new

if TYPE_CHECKING:
    from crossbit.data import LayoutFile, PairedData

app = typer.Typer(
    help="""Look at data, convert them, or make their labels wrong on purpose.

    \b
    Example:
      crossbit data list
      crossbit data show glyphs
    """
)

Source = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder of pictures with a table, a table, a built-in set, an .npz, a folder of .npy, or a public "
        "layout (docs/your-own-collection.md, docs/data.md, docs/layouts.md).",
    ),
]
Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="The file to make, ending in .npz; without an ending, a folder of .npy.")
]

Split = Annotated[
    str | None,
    typer.Option(
        metavar="RULE[:QUERIES[:TRAIN]]",
        help="Which rows of a public layout are queries, such as ucch, nrch or nrch:2000:10000.",
    ),
]
Transposed = Annotated[
    bool | None,
    typer.Option(
        "--transposed/--no-transposed",
        help="Whether arrays of a public layout are transposed. Needed where their shapes fit both ways.",
        show_default=False,
    ),
]


@app.command("list")
def list_() -> None:
    """List the built-in sets and the public layouts.

    \b
    Example:
      crossbit data list
    """
    from crossbit.data import builtins
    from crossbit.data.layouts import about, layouts

    say_table(["name", "what it is"], builtins().items())
    rows = [(name, about(layout), ", ".join(layout.rules)) for name, layout in layouts().items()]
    say()
    say_table(["layout", "what it is", "--split"], rows)
    say(
        "\nYour own: give the path of an .npz, of a folder of .npy, or of files in a layout wherever DATA is asked for."
    )


@app.command()
def show(
    data: Source,
    split: Split = None,
    transposed: Transposed = None,
    picture_column: PictureColumn = None,
    caption_column: CaptionColumn = None,
    label_column: LabelColumn = None,
    label_separator: LabelSeparator = None,
    as_json: Json = False,
) -> None:
    """Check a data set and say what is in it. Of a public layout also say what is missing.

    Of your own collection: what each column is taken for, the most frequent labels, examples, near-duplicates, and
    every row that is left out. Each picture is looked at once.

    The features of a public layout are checked later, when train or convert reads them.

    \b
    Examples:
      crossbit data show photos/
      crossbit data show glyphs
      crossbit data show mine.npz --json
      crossbit data show MIRFlickr.h5
    """
    from crossbit.data import describe, find_data, is_collection, load_data

    columns = columns_of(picture_column, caption_column, label_column, label_separator)
    found = find_data(data)
    if found is None and is_collection(data):
        return show_collection(data, columns, as_json)
    if found is None:
        described = describe(load_data(data, split=split, transposed=transposed))
    else:
        described = _describe_layout(found, split, transposed)
    if as_json:
        return say_json(described)
    say_table(
        ["", described["name"]], [*_layout_lines(described), *(_lines(described) if "pairs" in described else [])]
    )
    return None


@app.command()
def convert(
    data: Source,
    out: Out,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Writes the features that training would use, as float32; keeps captions.")
    ] = False,
    split: Split = None,
    transposed: Transposed = None,
    picture_column: PictureColumn = None,
    caption_column: CaptionColumn = None,
    label_column: LabelColumn = None,
    label_separator: LabelSeparator = None,
) -> None:
    """Write a data set as one .npz file, or as a folder of .npy files.

    Public layouts are read in blocks of rows, so a file may be larger than memory.

    \b
    Examples:
      crossbit data convert glyphs glyphs.npz --vectors
      crossbit data convert big.npz big            a folder: not read into memory as a whole
      crossbit data convert MSCOCO_deep_doc2vec_data_rand.h5py coco --split nrch
    """
    _check_out(out)
    from crossbit.data import find_data, load_data, save_neutral

    found, columns = find_data(data), columns_of(picture_column, caption_column, label_column, label_separator)
    if found is not None and not vectors and not columns.asked:
        pairs = _stream(found, out, split, transposed)
    else:
        loaded = with_notes(load_data(data, split=split, transposed=transposed, **columns.asked))
        save_neutral(_as_vectors(loaded) if vectors else loaded, out)
        pairs = loaded.n
    say(f"{pairs:,} pairs in {out}")
    say_next(["data", "show", out])


@app.command()
def noise(
    data: Source,
    rule: Annotated[
        str,
        typer.Argument(
            metavar="RULE:RATE", help="How, and how many: such as swap-one:0.5. docs/data.md has the rules."
        ),
    ],
    out: Out,
    seed: Annotated[int, typer.Option(help="The same seed gives the same noise.")] = 0,
    picture_column: PictureColumn = None,
    caption_column: CaptionColumn = None,
    label_column: LabelColumn = None,
    label_separator: LabelSeparator = None,
) -> None:
    """Write a copy in which labels of training rows are wrong. Evaluation still uses the true ones.

    \b
    Examples:
      crossbit data noise glyphs swap-one:0.5 noisy.npz
      crossbit data noise mine.npz flip:0.6:each noisy.npz --seed 1
      crossbit data noise glyphs swap-one:0.5:group noisy.npz    a character's faces get the same wrong label
    """
    _check_out(out)
    from crossbit.data import load_data, save_neutral
    from crossbit.data.noise import corrupt_data, parse_noise

    parsed = parse_noise(rule)
    if parsed.of_pairs:
        raise UserError(f"shuffle-pairs makes wrong pairs, not labels: apply it with `crossbit train --noise {rule}`")
    loaded = with_notes(
        load_data(data, **columns_of(picture_column, caption_column, label_column, label_separator).asked)
    )
    noisy, changed = corrupt_data(loaded, parsed, seed)
    save_neutral(noisy, out)
    counts = {"": changed} if not isinstance(changed, dict) else {f" of {m}": mask for m, mask in changed.items()}
    hit = ", ".join(f"{int(mask.sum()):,}{of}" for of, mask in counts.items())
    say(f"labels of {hit} changed among {len(loaded.splits['train']):,} training rows; written to {out}")
    say_next(["data", "show", out] if parsed.each else ["train", out, "--out", "run"])


def _stream(found: LayoutFile, out: Path, split: str | None, transposed: bool | None) -> int:
    """Convert files in a layout without holding their features; returns the number of pairs."""
    from crossbit.data.layouts.parts.write import write_neutral

    reading = found.read(split, transposed)
    for remark in (*found.notes, *reading.notes):
        note(remark)
    write_neutral(reading, out)
    return reading.outline().n


def _describe_layout(found: LayoutFile, split: str | None, transposed: bool | None) -> dict[str, Any]:
    """As `describe`, with what is known of the layout; without the pairs where something is missing."""
    from crossbit.bench.recipe.fitting import fitting_recipes
    from crossbit.data import describe
    from crossbit.data.layouts import about
    from crossbit.data.layouts.parts.published import unlike_published

    layout = found.layout
    fitting = fitting_recipes(found)
    known: dict[str, Any] = {
        "name": found.name,
        "layout": layout.name,
        "about": about(layout),
        "missing": found.missing,
        "problem": None,
        "recipes": {rule: main for rule, (main, *_) in fitting.items()},
        "further_recipes": {rule: others for rule, (_, *others) in fitting.items()},
        "notes": list(found.notes),
    }
    if found.missing:
        return known
    try:
        reading = found.read(split, transposed)
        outline = reading.outline()
        known |= describe(outline)
        known["notes"] += reading.notes
        if "mrl" not in layout.rules:  # its sets share names with others, not rows
            known["notes"] += unlike_published(outline, fixed="file" in layout.rules)
    except UserError as error:  # what it is can be said all the same
        if split is not None or transposed is not None:
            raise
        known["problem"] = str(error)
    return known


def _layout_lines(described: dict[str, Any]) -> list[tuple[str, str]]:
    """What `show` says of a layout before the pairs, as (what, value)."""
    if "layout" not in described:
        return []
    lines = [("layout", f"{described['layout']}: {described['about']}")]
    lines += [("missing", thing) for thing in described["missing"]]
    if described["problem"]:
        lines.append(("problem", described["problem"]))
    for rule, stem in described["recipes"].items():
        further = described["further_recipes"][rule]
        also = f"; also {', '.join(further)}" if further else ""
        lines.append(("recipe", f"{stem}, split '{rule}'{also}"))
    return lines + [("note", text) for text in described["notes"]]


def _check_out(out: Path) -> None:
    check_new(out)
    if out.suffix not in ("", ".npz"):
        raise UserError(f"{out} ends in '{out.suffix}'; end it in .npz for a file, or give no ending for a folder")


def _as_vectors(data: PairedData) -> PairedData:
    """The same pairs with the features of every modality, and their words as captions."""
    import numpy as np

    from crossbit.features.paired import choose_features, features_of, fit_featurisers

    words = next((array for name, array in data.modalities.items() if data.kind(name) == "words"), None)
    rows = np.arange(data.n)
    fitted = fit_featurisers(data, choose_features(data, list(data.modalities), scale_vectors=False), seed=0)
    vectors = {name: features_of(featuriser, data[name], rows) for name, featuriser in fitted.items()}
    return data.replace(modalities=vectors, caption=words if data.caption is None else data.caption)


def _lines(described: dict[str, Any]) -> list[tuple[str, str]]:
    """What `show` says, as (what, value)."""
    lines = [("pairs", f"{described['pairs']:,}")]
    for name, held in described["modalities"].items():
        lines.append((name, f"{held['kind']}, {held['dtype']} {tuple(held['shape'])}"))
    lines += [(name, f"{rows:,} rows") for name, rows in described["splits"].items()]
    if (each := described["labels_per_pair"]) is not None:
        many = f"{each['smallest']} to {each['largest']} a pair, {each['mean']:.2f} on average"
        lines.append(("classes", f"{described['classes']}; {many if described['multi_label'] else 'one a pair'}"))
    elif described["classes"]:
        lines.append(("classes", f"{described['classes']}; the pair as a whole has no label"))
    else:
        lines.append(("classes", "none: no labels"))
    if (groups := described["groups"]) is not None:
        lines.append(("groups", f"{groups['number']:,} of {groups['smallest']:,} to {groups['largest']:,} pairs"))
    lines += [(name, _labels(name, held, described)) for name, held in described["labels"].items()]
    if described["label_names"]:
        lines.append(("label names", ", ".join(described["label_names"])))
    return lines


def _labels(name: str, held: dict[str, Any], described: dict[str, Any]) -> str:
    """An array of labels: its classes, how many rows have one, and what it differs from."""
    parts = [f"{held['classes']:,} classes", f"{held['labelled']:,} of {described['pairs']:,} rows labelled"]
    if (wrong := described["observed_differs"].get(name)) is not None:
        parts.append(f"differs from the truth in {wrong:,} training rows")
    others = {other: rows for other, rows in held["differs"].items() if wrong is None or other != "label"}
    parts += [f"differs from {other} in {rows:,} rows" for other, rows in others.items()]
    return ", ".join(parts)
