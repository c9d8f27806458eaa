"""Search over a trained model's codes: words find pictures, a picture finds words. The glue of model and index.

An index of data is a folder with a file per modality, `<modality>.index`, whose items say what each code stands for:
`row`, `caption`, `path`, and `label` (one class) or `labels` (several), as far as the data has them. Beside it are the
real-valued embeddings that the codes are signs of (`crossbit.index.embeddings`): a search finds a shortlist by Hamming
distance and orders it by cosine. A folder without them is searched by Hamming distance alone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from crossbit.bits import pack
from crossbit.data.types import PairedData
from crossbit.errors import UserError, unknown
from crossbit.files import check_new, sync_folder
from crossbit.index import open_index
from crossbit.index.base import Hit
from crossbit.index.embeddings import Embeddings, cosines, write_ids, writing_embeddings
from crossbit.model import Model

CHUNK = 4096  # rows encoded and added at a time
PICTURES = 64  # pictures of one size encoded at a time
TAKES = {"words": "texts", "pictures": "pictures", "pixels": "pictures"}  # by kind of featuriser; others take vectors


class Found(dict[str, list[Hit]]):
    """What was found, by modality: (id, distance, item), the best first; the distance is the Hamming distance.

    Attributes:
        reranked: by modality, whether a shortlist was ordered by embeddings; otherwise it is by (distance, id).
        cosines: where it was, the cosine between the query's embedding and each hit's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reranked: dict[str, bool] = {}
        self.cosines: dict[str, list[float]] = {}


def index_path(uri: str | os.PathLike[str], modality: str) -> str:
    """Where the index of one modality is.

    >>> index_path("run/index", "image")
    'run/index/image.index'
    """
    return f"{os.fspath(uri)}/{modality}.index"


def index_data(
    model: Model,
    data: PairedData,
    uri: str | os.PathLike[str],
    *,
    rows: np.ndarray | None = None,
    progress: Callable[[str], Any] = lambda line: None,
) -> dict[str, int]:
    """Encode rows of data and write an index per modality, with its embeddings, into a new folder, whole or not at all;
    ids are row numbers.

    Args:
        model: encodes; modalities that the data lacks are an error.
        data: holds what is encoded and what the items say.
        uri: the folder to make.
        rows: row numbers; the retrieval rows if None.
        progress: called with a line now and then.

    Returns:
        How many codes each modality's index holds.

    Raises:
        UserError: `uri` is there already or cannot be written; the data does not fit the model.
    """
    if "://" in str(uri):
        raise UserError(f"{uri} is an address; the index of a run is a new folder on this machine")
    target = check_new(uri)
    rows = np.sort(data.splits["retrieval"] if rows is None else rows)
    for modality in model.modalities:
        data[modality]  # an unknown one is refused before anything is encoded
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        (beside / "index").mkdir()
        write_ids(beside / "index", rows)
        for modality in model.modalities:
            _fill(beside / "index", model, modality, data, rows, progress)
        os.replace(beside / "index", target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return {modality: len(rows) for modality in model.modalities}


def search_words(
    model: Model,
    uri: str | os.PathLike[str],
    words: str,
    k: int = 10,
    where: str | None = None,
    *,
    rerank: bool = True,
) -> Found:
    """The k best of every other modality for a text.

    Args:
        model: encodes the text.
        uri: the folder that `index_data` made.
        words: the text.
        k: how many at most.
        where: only items for which this expression is true.
        rerank: order what is nearest by Hamming distance by the embeddings' cosine, where the folder has embeddings;
            False leaves the order by (distance, id).

    Raises:
        UserError: the model knows no texts, or no word of this one; no index at `uri`, or one of another code length;
            a `where` that is not an expression over the items; embeddings that are damaged or not the index's.
    """
    modality = _modality_of("words", model)
    if not model.featurisers[modality].known(words):  # type: ignore[attr-defined]
        raise UserError(f"no word or piece of a word in {words!r} was seen in training; try other words")
    return _search(model, uri, modality, model.embed(modality, [words]), k, where, rerank)


def search_picture(
    model: Model,
    uri: str | os.PathLike[str],
    picture: np.ndarray | str | os.PathLike[str],
    k: int = 10,
    where: str | None = None,
    *,
    rerank: bool = True,
) -> Found:
    """The k best of every other modality for a picture, uint8 (1, h, w, 3) or a file; otherwise as `search_words`.

    Raises:
        UserError: the model knows no pictures, the file cannot be read; and as `search_words`.
    """
    modality = _modality_of("pictures", model)
    pixels = picture if isinstance(picture, np.ndarray) else read_picture(picture)
    return _search(model, uri, modality, model.embed(modality, pixels), k, where, rerank)


def read_picture(path: str | os.PathLike[str]) -> np.ndarray:
    """A picture file as uint8 (1, h, w, 3): upright, transparent parts on white.

    Raises:
        UserError: no such file, or not a picture that can be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                picture = ImageOps.exif_transpose(opened)
                if picture.has_transparency_data:
                    colours = picture.convert("RGBA")
                    picture = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
                return np.asarray(picture.convert("RGB"))[None]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give a picture file such as .png or .jpg") from None
    except Exception as error:  # decoders raise whatever damaged bytes lead them to
        why = getattr(error, "strerror", None) or "it is damaged, too large, or not a picture"
        raise UserError(f"{path} cannot be read as a picture: {why}; give a file such as .png or .jpg") from error


def encode_pictures(
    model: Model, modality: str, paths: Iterable[Path], *, skip: Callable[[str], Any], real: bool = False
) -> tuple[np.ndarray, list[str]]:
    """Codes uint8 (n, bytes), or real float32 (n, bits), and names of the picture files that can be read; `skip` gets a
    line for each other one."""
    encode = model.embed if real else model.encode

    def readable() -> Iterator[tuple[str, np.ndarray]]:
        for path in paths:
            try:
                pixels = read_picture(path)
            except UserError as error:
                skip(f"skipping {path}: {str(error).removeprefix(f'{path} ')}")
                continue
            check_takes(model, modality, pixels, str(path.parent))
            yield path.name, pixels

    names: list[str] = []
    codes = [encode(modality, [])]
    for _, batch in groupby(enumerate(readable()), key=lambda entry: (entry[0] // PICTURES, entry[1][1].shape)):
        some, pixels = zip(*(picture for _, picture in batch), strict=True)
        names += some
        codes.append(encode(modality, np.concatenate(pixels)))
    return np.concatenate(codes), names


def takes(model: Model, modality: str) -> str:
    """What the model encodes as this modality: "texts", "pictures" or "vectors".

    Raises:
        UserError: a modality that the model does not know.
    """
    if modality not in model.featurisers:
        raise unknown("modality", modality, model.modalities)
    return TAKES.get(model.featurisers[modality].kind, "vectors")


def check_takes(model: Model, modality: str, rows: Any, source: str) -> None:
    """UserError where `rows`, read from `source`, are something else than the modality takes."""
    held, right = _held(rows), takes(model, modality)
    if held not in (right, None):
        raise UserError(f"{source} holds {held}, and {modality} takes {right}; {_other(model, held)}")


def _held(rows: Any) -> str | None:
    """What rows are; None where they are nothing that a model takes, which the featuriser says best."""
    array = np.asarray(rows[:1])
    if array.dtype.kind == "U":
        return "texts"
    if array.ndim == 4 and array.dtype == np.uint8:
        return "pictures"
    return "vectors" if array.ndim == 2 and array.dtype.kind == "f" else None


def _other(model: Model, held: str) -> str:
    fitting = [modality for modality in model.modalities if takes(model, modality) == held]
    return f"take --modality {fitting[0]}" if fitting else f"this run was trained on no {held}"


def items_of(data: PairedData, rows: np.ndarray) -> dict[str, Any]:
    """What an index remembers of these rows, as columns: `row`, and as far as the data has them `caption` (its words,
    if it has no captions), `path`, and the names of its `label` or `labels`."""
    columns: dict[str, Any] = {"row": rows}
    words = next((array for name, array in data.modalities.items() if data.kind(name) == "words"), None)
    for key, strings in (("caption", words if data.caption is None else data.caption), ("path", data.path)):
        if strings is not None:
            columns[key] = strings[rows].tolist()
    if data.label is not None:
        names = data.label_names or [str(number) for number in range(data.classes)]
        if data.label.ndim == 2:
            columns["labels"] = [[names[number] for number in np.flatnonzero(one)] for one in data.label[rows]]
        else:
            columns["label"] = [names[number] for number in data.label[rows]]
    return columns


def _fill(
    folder: Path, model: Model, modality: str, data: PairedData, rows: np.ndarray, progress: Callable[[str], Any]
) -> None:
    with (
        open_index(index_path(folder, modality), bits=model.bits) as index,
        writing_embeddings(folder, modality, len(rows), model.bits) as append,
    ):
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            embeddings = model.embed(modality, data[modality][some])
            index.add(some, pack(embeddings), items=items_of(data, some))
            append(embeddings)
            progress(f"{modality}: {start + len(some):,} of {len(rows):,} encoded")


def _search(
    model: Model,
    uri: str | os.PathLike[str],
    modality: str,
    query: np.ndarray,
    k: int,
    where: str | None,
    rerank: bool,
) -> Found:
    """`query` is the embedding, (1, bits)."""
    found = Found()
    for other in model.modalities:
        if other != modality:
            path = Path(index_path(uri, other))
            if not path.exists():
                raise UserError(f"no index at {path}; make it with: crossbit index RUN")
            with open_index(path, bits=model.bits, read_only=True) as index:
                stored = Embeddings.beside(path.parent, other, model.bits) if rerank else None
                by = index.search if stored is None else partial(stored.search, index, query[0])
                found[other] = by(pack(query), k=k, where=where)[0]
                if stored is not None:
                    ids = np.array([id_ for id_, _, _ in found[other]], np.int64)
                    found.cosines[other] = cosines(stored.of(ids), query[0].astype(np.float64)).tolist()
            found.reranked[other] = stored is not None
    return found


def _modality_of(kind: str, model: Model) -> str:
    kinds = {modality: featuriser.kind for modality, featuriser in model.featurisers.items()}
    for modality, own in kinds.items():
        if own == kind:
            return modality
    held = ", ".join(f"{modality} from {own}" for modality, own in kinds.items())
    raise UserError(f"this model encodes {held}; searching by {kind} needs one trained on {kind}")
