"""A measure's printed name is its protocol, and parses back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbit.errors import UserError
from crossbit.evaluation import NDCG, P, P_radius, known_measures, mAP, measures, parse_measure
from crossbit.evaluation.measure import MEASURES, Empty, Measure, RankMeasure, Uncut
from crossbit.evaluation.measures import Correct
from crossbit.evaluation.rankings import Metric
from crossbit.evaluation.ties.counts import Cutoff, Ties
from crossbit.evaluation.ties.grades import Gain

CHOICES: dict[str, tuple[Any, ...]] = {
    "cutoff": get_args(Cutoff),
    "ties": get_args(Ties),
    "empty": get_args(Empty),
    "correct": get_args(Correct),
    "gain": get_args(Gain),
    "metric": (None, *get_args(Metric)),
}


def all_measures() -> list[Measure]:
    """Every measure with every choice of its options, at a few cuts."""
    made = []
    for kind in MEASURES.values():
        options = [option.name for option in fields(kind) if option.name != "k"]
        for cut, *chosen in itertools.product((None, 1, 50), *(CHOICES[name] for name in options)):
            if cut is not None or kind.whole:
                made.append(kind(cut, **dict(zip(options, chosen, strict=True))))
    return made


def choices_of(measure: Measure) -> dict[str, Any]:
    return {option.name: getattr(measure, option.name) for option in fields(measure) if option.name != "k"}


def test_every_name_parses_back() -> None:
    assert {type(measure) for measure in all_measures()} == set(MEASURES.values())
    for measure in all_measures():
        parsed = parse_measure(str(measure))
        assert (str(parsed), parsed, hash(parsed)) == (str(measure), measure, hash(measure))


def test_measures_compose_as_they_are_written() -> None:
    uncut = {of.kind: of for of in vars(measures).values() if isinstance(of, Uncut)}
    assert set(uncut) == set(MEASURES.values())
    for measure in all_measures():
        kind, cut = uncut[type(measure)], "all" if measure.k is None else measure.k
        assert kind(**choices_of(measure)) @ cut == measure
        one_by_one = kind
        for name, choice in choices_of(measure).items():
            one_by_one = one_by_one(**{name: choice})
        assert one_by_one @ cut == measure
        assert kind @ cut == parse_measure(f"{kind}{cut}")


@pytest.mark.parametrize(
    ("compose", "message"),
    [
        (lambda: mAP(ties="bset") @ 50, "unknown ties 'bset'; did you mean 'best'"),
        (lambda: mAP(tis="best") @ 50, "unknown option of mAP@K 'tis'; did you mean 'ties'"),
        (lambda: P(k=3) @ 5, "unknown option of P@K 'k'"),
        (lambda: P @ "all", "k is all; it must be a whole number"),
        (lambda: P_radius @ -1, "k is -1; it must be a whole number, at least 0"),
        (lambda: NDCG @ "50", "k is '50'; it must be a whole number"),
        (lambda: parse_measure(P), "unknown measure 'P@'; did you mean 'P@10'"),
    ],
)
def test_what_cannot_be_composed(compose: Callable[[], Measure], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose()


def test_equal_is_of_one_name() -> None:
    every = all_measures()
    assert len(set(every)) == len({str(measure) for measure in every})
    assert mAP(cutoff="topk") @ "all" == mAP @ "all" != mAP @ 5 != P @ 5 != "P@5(ties=expected, empty=zero)"


def test_bounds_and_chance_are_the_name_with_other_ties() -> None:
    for measure in all_measures():
        name = str(measure)
        bounds = [re.sub(r"ties=\w+", f"ties={bound}", name) for bound in ("worst", "best")]
        assert [str(bound) for bound in measure.bounds()] == (bounds if isinstance(measure, RankMeasure) else [])
        assert measure.chance == "chance of " + re.sub(r"ties=\w+, |, metric=\w+", "", name)


def test_names_differ_where_measures_do() -> None:
    every = [measure for measure in all_measures() if getattr(measure, "cutoff", "topk-R") == "topk-R" or measure.k]
    assert len({str(measure) for measure in every}) == len(every) > 100


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mAP@all", "mAP@all(ties=expected, empty=skip)"),
        ("mAP@all(ties=expected,empty=skip)", "mAP@all(ties=expected, empty=skip)"),
        (" mAP@50 ( empty = zero , cutoff=topk ) ", "mAP@50(cutoff=topk, ties=expected, empty=zero)"),
        ("mAP@all(cutoff=topk)", "mAP@all(ties=expected, empty=skip)"),
        ("mAP@all(metric=cosine)", "mAP@all(ties=expected, empty=skip, metric=cosine)"),
        ("P@100", "P@100(ties=expected, empty=zero)"),
        ("P@100()", "P@100(ties=expected, empty=zero)"),
        ("recall@10", "recall@10(ties=expected, empty=skip)"),
        ("hit@1", "hit@1(correct=label, ties=expected, empty=zero)"),
        ("NDCG@50(ties=best)", "NDCG@50(ties=best, empty=zero)"),
        ("NDCG@ALL", "NDCG@all(ties=expected, empty=zero)"),
        ("P@radius2", "P@radius2(empty=zero)"),
        ("P@radius0(empty=skip)", "P@radius0(empty=skip)"),
    ],
)
def test_defaults_are_filled_in(text: str, name: str) -> None:
    assert str(parse_measure(text)) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ndcg@50", "unknown measure 'ndcg@50'; did you mean 'NDCG@50'\\? known: NDCG@K"),
        ("map@all(ties=index)", "did you mean 'mAP@all'"),
        ("mAP", "unknown measure 'mAP'; did you mean 'mAP@all'"),
        ("precision@20", "did you mean 'P@20'"),
        ("R@5", "did you mean 'recall@5'"),
        ("recal@5", "did you mean 'recall@5'"),
        ("precision@radius2", "did you mean 'P@radius2'"),
        ("accuracy", "did you mean 'hit@10'"),
        ("", "unknown measure ''; known: "),
        ("xyzzy@3", "unknown measure 'xyzzy@3'; known: "),
        (
            "mAP@50(tis=index)",
            "unknown option of mAP@K 'tis'; did you mean 'ties'\\? known: cutoff, empty, metric, ties",
        ),
        ("P@50(cutoff=topk)", "unknown option of P@K 'cutoff'"),
        ("P@radius2(ties=index)", "unknown option of P@radiusK 'ties'"),
        ("mAP@50(ties=indx)", "mAP@50\\(ties=indx\\): unknown ties 'indx'; did you mean 'index'"),
        ("hit@1(correct=own)", "unknown correct 'own';"),
        ("mAP@50(metric=euclid)", "unknown metric 'euclid';"),
        ("mAP@0", "k is 0; it must be a whole number, at least 1"),
        ("P@all", "P@all: k is all; it must be a whole number"),
        ("P@radiusall", "at least 0"),
        ("mAP@50(ties)", "'ties' is not one OPTION=CHOICE"),
        ("mAP@50(ties=index,ties=best)", "'ties=best' is not one OPTION=CHOICE"),
        ("mAP@50(ties=index", "measure 'mAP@50\\(ties=index': its bracket is not closed; such as mAP@50\\("),
        ("P@100(ties=index", "its bracket is not closed"),
        ("P@radius", "did you mean 'P@radius2'"),
        ("p@radius(empty=skip)", "did you mean 'P@radius2'"),
        ("recall", "did you mean 'recall@10'"),
        ("recall@all", "recall@all: k is all; .* at least 1; only these know all: .*mAP@all"),
        ("mAP@50(,ties=index)", "'' is not one OPTION=CHOICE"),
        ("mAP@50(ties=index,)", "'' is not one OPTION=CHOICE"),
    ],
)
def test_what_is_no_measure(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_measure(text)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@given(st.text(max_size=30) | st.from_regex(r"(mAP|P|hit)@(all|\d{1,3})\([a-z=,]{0,12}\)?", fullmatch=True))
def test_any_text_is_a_measure_or_a_user_error(text: str) -> None:
    try:
        measure = parse_measure(text)
    except UserError:
        return
    assert parse_measure(str(measure)) == measure


def test_known_measures_are_those_that_parse() -> None:
    for name in known_measures():
        assert parse_measure(name.replace("K", "3")).name in MEASURES
