"""What a search gives back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SHOWN = 5  # hits of a modality in a repr
SMALL = 0.1  # a probability to fit below it is told
WIDTH = 60  # characters of a caption there
OWN = frozenset(["row", "caption", "path", "group", "label", "labels"])  # of an item; what else it has are columns


def labels_of(item: Mapping[str, Any]) -> list[str]:
    """The labels of an item, be it several or one."""
    return list(item.get("labels") or []) or [item[key] for key in ("label",) if item.get(key) is not None]


@dataclass(frozen=True)
class Label:
    """A label of a hit.

    Attributes:
        name: of the class.
        p: the probability that the label is right, or belongs there; None where the run keeps none of the item.
        given: whether the item has it; else it lacks it, and is likely to be one of the class.
    """

    name: str
    p: float | None
    given: bool


@dataclass(frozen=True)
class SearchHit:
    """One thing that was found.

    Attributes:
        id: in the index.
        modality: of the index that it was found in.
        distance: Hamming distance between its code and the query's; None where the model understood no word of it.
        cosine: between its embedding and the query's; None where only codes were compared.
        item: what the index holds about it: row, caption, path, labels, ... as far as the data had them.
        why: labels and words that it shares with the query, as far as its item and the query say them.
        by: the ways that found it: "codes", "words", "pictures".
        more: how many further hits are of the same group, or of the same path.
        bits: its code XOR that of the query, in hexadecimal, the first bit in front; None where `distance` is.
        probabilities: of labels, by name: those that it has and those that are likely; empty where the run keeps none.
        picture_cosine: between the embeddings of its picture and of the query's; None where pictures were not compared.

    >>> hit = SearchHit(7, "image", 3, 0.5, {"row": 0, "labels": ["cat"], "year": 1990}, probabilities={"dog": 0.912})
    >>> hit.labels, hit.columns
    ((Label(name='cat', p=None, given=True), Label(name='dog', p=0.912, given=False)), {'year': 1990})
    """

    id: int
    modality: str
    distance: int | None
    cosine: float | None
    item: dict[str, Any]
    why: tuple[str, ...] = ()
    by: tuple[str, ...] = ("codes",)
    more: int = 0
    bits: str | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    picture_cosine: float | None = None

    @property
    def caption(self) -> str | None:
        """Its caption; None where it has none."""
        caption: str | None = self.item.get("caption")
        return caption

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels that it has, and those that it lacks though they are more likely than not, the likeliest first."""
        given = labels_of(self.item)
        likely = {name: p for name, p in self.probabilities.items() if p > 0.5 and name not in given}
        return (
            *(Label(name, self.probabilities.get(name), given=True) for name in given),
            *(Label(name, likely[name], given=False) for name in sorted(likely, key=lambda name: -likely[name])),
        )

    @property
    def columns(self) -> dict[str, Any]:
        """The other columns of the data, as far as it has a value there."""
        return {name: value for name, value in self.item.items() if name not in OWN and value is not None}

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the modality is left out."""
        cosine, of_picture = (None if each is None else round(each, 6) for each in (self.cosine, self.picture_cosine))
        about: dict[str, Any] = {"id": self.id, "distance": self.distance, "cosine": cosine}
        about |= {"picture_cosine": of_picture, "by": list(self.by)}
        about |= {"why": list(self.why), "more": self.more, "bits": self.bits, "caption": self.caption}
        return about | {"labels": [asdict(label) for label in self.labels], "columns": self.columns, "item": self.item}


@dataclass(frozen=True)
class SearchResults:
    """The hits of one query by modality, the best first. Iteration gives all hits, one modality after the other.

    `results.image` and `results["image"]` are the hits of a modality. The second form works for any name, also for one
    that is an attribute's.

    Attributes:
        query: what was searched for, in words.
        hits: by modality, those of each searched one.
        seconds: from the call to the results, encoding included.
        compared: how many codes the query was compared with.
        exact: whether this search can have missed no nearer code.
        fits: probability that the best hit fits the query (`crossbit.search.calibrate`); None where it is not known.
        notes: lines for the user, such as words of the query that the model does not know.

    >>> hit = SearchHit(7, "image", 3, 0.5, {"caption": "a red fox"}, why=("fox",))
    >>> results = SearchResults("fox", {"image": (hit,)}, seconds=0.002, compared=90, exact=True)
    >>> results.image[0].id, len(results), [hit.distance for hit in results]
    (7, 1, [3])
    >>> results
    <SearchResults for fox: 1 of 90 codes in 2.0 ms
     image  id 7  distance 3  cosine 0.500  a red fox>
    """

    query: str
    hits: dict[str, tuple[SearchHit, ...]]
    seconds: float = field(compare=False)
    compared: int
    exact: bool
    fits: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def nothing_fits(self) -> str:
        """A line for people where hits are there and none of them is likely to fit; else empty."""
        if self.fits is None or self.fits >= SMALL or not len(self):
            return ""
        return f"Nothing here seems to fit ({100 * self.fits:.0f} %). The nearest:"

    def __getitem__(self, modality: str) -> tuple[SearchHit, ...]:
        if modality not in self.hits:
            raise KeyError(f"{modality!r} was not searched; searched: {', '.join(self.hits)}")
        return self.hits[modality]

    def __getattr__(self, name: str) -> tuple[SearchHit, ...]:
        hits = self.__dict__.get("hits", {})
        if name not in hits:
            raise AttributeError(f"results have no {name!r}; searched: {', '.join(hits)}")
        found: tuple[SearchHit, ...] = hits[name]
        return found

    def __iter__(self) -> Iterator[SearchHit]:
        return (hit for hits in self.hits.values() for hit in hits)

    def __len__(self) -> int:
        return sum(map(len, self.hits.values()))

    def __repr__(self) -> str:
        times = f"{len(self):,} of {self.compared:,} codes in {1000 * self.seconds:.1f} ms"
        lines = [f"<SearchResults for {self.query}: {times}"]
        for modality, hits in self.hits.items():
            lines += [f" {modality}  {_line(hit)}" for hit in hits[:SHOWN]]
            lines += [f" {modality}  ... {len(hits) - SHOWN:,} more"] if len(hits) > SHOWN else []
        return "\n".join(lines) + ">"

    def to_dict(self) -> dict[str, Any]:
        """All of it for JSON."""
        hits = {modality: [hit.to_dict() for hit in found] for modality, found in self.hits.items()}
        about = ("query", "seconds", "compared", "exact", "fits")
        return {name: getattr(self, name) for name in about} | {"notes": list(self.notes), "hits": hits}


def _line(hit: SearchHit) -> str:
    cosine = "" if hit.cosine is None else f"  cosine {hit.cosine:.3f}"
    cosine += "" if hit.picture_cosine is None else f"  picture {hit.picture_cosine:.3f}"
    said = str(hit.item.get("caption") or hit.item.get("path") or "").replace("\n", " ")
    distance = "" if hit.distance is None else f"  distance {hit.distance}"
    return f"id {hit.id}{distance}{cosine}  {said[:WIDTH]}".rstrip()
