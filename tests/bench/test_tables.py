"""The tables of a bench: figures and marks against loops, nothing dropped, text that Markdown and LaTeX can read."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.bench.report.cells import Cell, Row, arrange, views
from crossbit.bench.report.latex import latex
from crossbit.bench.report.markdown import markdown
from crossbit.bench.report.marks import mark
from crossbit.bench.report.table import Table, TableCell
from crossbit.bench.report.tables import compare_published, make_tables, write_tables
from crossbit.bench.work.store import Result, write_per_query
from crossbit.evaluation.stats import BOOTSTRAP, LEVEL, T_TEST, holm, paired_t, smallest_significant

MAP = "mAP@all(ties=expected, empty=skip)"
OTHER = MAP.replace("skip", "zero")  # with another level of chance
COSINE = MAP.replace(")", ", metric=cosine)")
DIRECTIONS = ("image->text", "text->image")


def result(method: str, seed: int, value: float | None, **changes: Any) -> Result:
    """A run whose mAP is `value`, the other direction 0.01 more; None: it failed."""
    told = {"data": "toy", "variant": "", "bits": 32, "noise": "none", "rate": 0.0, **changes}
    done = value is not None
    measure = told.pop("measure", MAP)
    figures = [
        {"database": "retrieval", "direction": way, "measure": measure, "value": value + 0.01 * n}
        for n, way in enumerate(DIRECTIONS if done else ())
    ]
    fields = {
        "id": f"{method}-{told['variant']}-{told['bits']}-{told['noise']}_{told['rate']}-s{seed}-{told['data']}",
        "status": "done" if done else "failed",
        "reason": "" if done else "the loss became nan: 50 % & more_so",
        "settings": {"width": 8},
        "each": False,
        "epochs": 2 if done else None,
        "selection": "last epoch" if done else "",
        "seconds": {"train": 10.0, "encode": 0.5, "search": 0.25} if done else {},
        "figures": figures,
        "history": [],
        "machine": {"cores": 2},
    }
    return Result(**{**fields, **told, "method": method, "seed": seed})


def three(method: str, values: Sequence[float | None], **changes: Any) -> list[Result]:
    return [result(method, seed, value, **changes) for seed, value in enumerate(values)]


def entries(table: Table) -> dict[str, list[tuple[str, str]]]:
    return {name: [(e.text, e.mark) for e in row] for name, row in [*table.rows, *table.floors]}


def only(tables: Sequence[Table], words: str) -> Table:
    found = [table for table in tables if words in table.title]
    assert len(found) == 1, [table.title for table in tables]
    return found[0]


def accuracy(out: Path, results: Sequence[Result]) -> Table:
    return make_tables(out, results)[0]


CLOSE = three("nrch", [0.80, 0.82, 0.81]) + three("mrl", [0.79, 0.82, 0.80]) + three("ucch", [0.5, 0.51, 0.52])


def test_a_field_is_mean_and_spread_of_the_seeds(tmp_path: Path) -> None:
    table = accuracy(tmp_path, CLOSE)
    assert table.columns == [("image → text", "clean"), ("text → image", "clean")]
    values = [0.79, 0.82, 0.80]
    mean = math.fsum(values) / 3
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / 2)
    assert entries(table)["mrl"][0][0] == f"{mean:.4f} ± {sd:.4f}"


def test_the_best_and_what_is_not_significantly_worse_are_marked_by_a_named_test(tmp_path: Path) -> None:
    table = accuracy(tmp_path, CLOSE)
    assert [row[0][1] for row in entries(table).values()] == ["best", "close", ""]
    note = next(note for note in table.notes if note.startswith("†"))
    assert T_TEST in note and "Holm" in note and "two-sided" in note


def test_the_corrected_p_decides() -> None:
    spread = np.array([-1.0, -0.5, 0.5, 1.0]) / np.std([-1.0, -0.5, 0.5, 1.0], ddof=1)
    lead = 0.01 * smallest_significant(4) * 1.1  # significant, were it the only comparison
    others = [Row(name) for name in "abc"]
    values = {Row("best"): dict.fromkeys(range(4), 0.8)} | {
        row: dict(enumerate(0.8 - lead + 0.01 * spread)) for row in others
    }
    column = mark(values)
    plain = [paired_t(values[Row("best")], values[row]).p for row in others]
    assert max(plain) < LEVEL < min(holm(plain))
    assert {column.marks[row] for row in others} == {"close"}
    assert [made.corrected for made in column.comparisons] == pytest.approx(holm(plain))


def test_equal_means_are_both_best_and_a_constant_lead_is_no_chance() -> None:
    a, b, c = Row("a"), Row("b"), Row("c")
    column = mark({a: {0: 0.5, 1: 0.6}, b: {0: 0.6, 1: 0.5}, c: {0: 0.4, 1: 0.5}})
    assert column.marks[a] == column.marks[b] == "best"
    assert mark({a: {0: 0.5, 1: 0.6}, c: {0: 0.4, 1: 0.5}}).marks[c] == ""
    assert mark({a: {0: float("nan")}}).marks == {}


def test_one_seed_is_compared_over_queries_where_they_are_known(tmp_path: Path) -> None:
    results = [result("nrch", 0, 0.8), result("mrl", 0, 0.79), result("ucch", 0, 0.4)]
    table = accuracy(tmp_path, results)
    assert [row[0][1] for row in entries(table).values()] == ["best", "untested", "untested"]
    assert any(note.startswith("‡") for note in table.notes)
    rng = np.random.default_rng(0)
    query = rng.random(200)
    for run, shift in zip(results, (0.0, -0.001, -0.3), strict=True):
        ap = query + shift + rng.normal(0, 0.1, 200)
        write_per_query(tmp_path, run.id, {("retrieval", way): ap for way in DIRECTIONS})
    table = accuracy(tmp_path, results)
    assert [row[0][1] for row in entries(table).values()] == ["best", "close", ""]
    assert any(BOOTSTRAP in note and "one common seed" in note for note in table.notes)


def test_queries_of_another_measure_decide_nothing(tmp_path: Path) -> None:
    """Average precision per query is of real vectors where those are what a method ranks by."""
    results = [result("nrch", 0, 0.8), result("ucch", 0, 0.4, measure=COSINE)]
    codes = [{**figure, "measure": MAP, "value": 0.3} for figure in results[1].figures]
    results[1].figures.extend(codes)
    for run in results:
        write_per_query(
            tmp_path, run.id, {("retrieval", way): np.random.default_rng(1).random(50) for way in DIRECTIONS}
        )
    table, cosine = make_tables(tmp_path, results)[:2]
    assert entries(table)["ucch"][0] == ("0.3000", "untested")
    assert "real vectors (cosine)" in cosine.title and COSINE in cosine.protocol[0]
    assert list(entries(cosine)) == ["ucch"]


def test_failed_and_missing_runs_are_shown_with_their_reason(tmp_path: Path) -> None:
    results = CLOSE + three("ssah", [0.7, None, 0.71]) + three("infonce", [None, None, None])
    results += three("nrch", [0.6, 0.61, 0.62], noise="swap-one", rate=0.5)
    table = accuracy(tmp_path, results)
    rows = entries(table)
    assert rows["ssah"][0][0].endswith("(2 of 3)")
    assert [text for text, _ in rows["infonce"]] == ["failed", "–", "failed", "–"]
    assert [text for text, _ in rows["ssah"]][1] == "–" and "–: no result" in table.notes
    failures = [note for note in table.notes if note.startswith("failed:")]
    assert failures == [
        "failed: ssah, clean, 32 bits, seed 1: the loss became nan: 50 % & more_so",
        "failed: infonce, clean, 32 bits, seeds 0, 1, 2: the loss became nan: 50 % & more_so",
    ]


def test_nothing_but_failures_still_makes_a_file(tmp_path: Path) -> None:
    text = write_tables(tmp_path, three("nrch", [None, None]))[0].read_text(encoding="utf-8")
    assert (
        "0 runs, 2 failed" in text
        and "nrch, toy, clean, 32 bits, seeds 0, 1: the loss became nan: 50 % & more\\_so" in text
    )


def test_floors_stand_apart_and_are_compared_with_nothing(tmp_path: Path) -> None:
    table = accuracy(tmp_path, [*three("random", [0.9, 0.9, 0.9]), *CLOSE])
    assert [name for name, _ in table.floors] == ["random"] and [name for name, _ in table.rows] == [
        "nrch",
        "mrl",
        "ucch",
    ]
    assert entries(table)["random"][0][1] == "" and entries(table)["nrch"][0][1] == "best"


def test_the_level_of_chance_is_a_floor_where_it_was_recorded(tmp_path: Path) -> None:
    for run in (results := three("nrch", [0.8, 0.81])):
        figures = [{**run.figures[0], "measure": "chance of mAP@all(empty=skip)", "value": 0.25}]
        figures += [{**figure, "measure": name} for figure in run.figures for name in (OTHER, COSINE)]
        run.figures.extend(figures)
    tables = [table for table in make_tables(tmp_path, results) if "times" not in table.title]
    by_measure = {table.protocol[0].partition("), ")[0] + ")": table.floors for table in tables}
    floor = [("chance", [TableCell("0.2500"), TableCell("–")])]
    assert by_measure == {MAP: floor, COSINE: floor, OTHER: []}


def test_the_protocol_stands_above_each_table(tmp_path: Path) -> None:
    table = accuracy(tmp_path, CLOSE)
    assert MAP in table.protocol[0] and "rows of the database" in table.protocol[0]
    assert "32 bits" in table.protocol[1] and "3 seeds" in table.protocol[1] and "last epoch" in table.protocol[1]
    assert markdown(table).index(MAP) < markdown(table).index("| method |")


def test_bounds_of_ties_are_a_note_and_no_table(tmp_path: Path) -> None:
    for run in (results := three("nrch", [0.8, 0.81])):
        for bound, shift in (("worst", -0.05), ("best", 0.03)):
            name = MAP.replace("expected", bound)
            run.figures.extend([{**f, "measure": name, "value": f["value"] + shift} for f in run.figures[:2]])
    tables = make_tables(tmp_path, results)
    assert [table.title for table in tables] == ["toy, mAP@all", "toy, times at 32 bits"]
    assert any("0.7550 to 0.8350 (nrch, clean, 32 bits, image → text)" in note for note in tables[0].notes)


def test_a_measure_that_is_not_known_here_is_shown_all_the_same(tmp_path: Path) -> None:
    tables = make_tables(tmp_path, [result("nrch", 0, 0.8, measure="mine@5(ties=expected, empty=skip)")])
    assert tables[0].title == "toy, mine@5" and entries(tables[0])["nrch"][0][0] == "0.8000"


def test_variants_are_compared_with_their_method_in_a_table_of_their_own(tmp_path: Path) -> None:
    noisy = {"noise": "swap-one", "rate": 0.5}
    results = CLOSE + three("nrch", [0.7, 0.71, 0.72], **noisy)
    results += three("nrch", [0.6, 0.62, 0.61], variant="no separator", **noisy)
    tables = make_tables(tmp_path, results)
    assert list(entries(only(tables, "variants of nrch"))) == ["nrch", "nrch: no separator"]
    assert all(name == "swap-one 0.5" for _, name in only(tables, "variants of nrch").columns)
    assert "nrch: no separator" not in entries(tables[0])


def test_wide_grids_become_tables_that_fit_a_page(tmp_path: Path) -> None:
    results = []
    for bits in (16, 32, 64):
        for rate in (0.1, 0.2, 0.3, 0.5):
            results += three("nrch", [0.7, 0.71], bits=bits, noise="swap-one", rate=rate)
    tables = [table for table in make_tables(tmp_path, results) if "times" not in table.title]
    assert max(len(table.columns) for table in tables) <= 8
    shown = {(table.protocol[1], *column) for table in tables for column in table.columns}
    assert len(shown) == 3 * 4 * 2


@pytest.mark.parametrize("bits", [(64,), (16, 32, 64)])
def test_every_cell_is_in_a_view(bits: Sequence[int]) -> None:
    cells = [Cell(b, True, rule, rate, False) for b in bits for rule in "ab" for rate in (0.2, 0.4, 0.6, 0.8, 0.9)]
    assert {cell for view in views(cells) for cell in view} == set(cells)


def test_times_stand_beside_accuracy_over_common_conditions(tmp_path: Path) -> None:
    noisy = {"noise": "swap-one", "rate": 0.5}
    table = only(make_tables(tmp_path, CLOSE + three("nrch", [0.1, 0.1, 0.1], **noisy)), "times")
    row = dict(zip((name for _, name in table.columns), (e.text for e in dict(table.rows)["nrch"]), strict=True))
    assert row["training"] == "10.0 ± 0.0" and row["an epoch"] == "5.00 ± 0.00" and row["runs"] == "3"
    assert row["retrieval"] == f"{0.81 + 0.005:.4f}"  # the mean of both directions, without the noisy cell
    assert "runs of clean" in table.protocol[0] and "cores 2" in table.protocol[1]


def linked(runs: Sequence[Result], **noise: Any) -> list[Result]:
    """What stands for the same trainings under another noise of labels."""
    names = [f"{run.id}-{noise['rate']}" for run in runs]
    told = [{**run.machine, "same_training_as": run.id} for run in runs]
    return [replace(run, **noise, id=name, machine=m) for run, name, m in zip(runs, names, told, strict=True)]


SWAPPED, RESAMPLED = {"noise": "swap-one", "rate": 0.5}, {"noise": "resample", "rate": 0.2}


def test_times_are_of_trainings_each_once(tmp_path: Path) -> None:
    blind = [replace(run, seconds={"train": 10.0 + 10 * run.seed}) for run in three("ucch", [0.5, 0.7])]
    blind[0].machine["resumed_after_epoch"] = 1
    both = [run for noise in (SWAPPED, RESAMPLED) for run in linked(blind, **noise)]
    sighted = [run for noise in (SWAPPED, RESAMPLED) for run in three("nrch", [0.8, 0.8], **noise)]
    table = only(make_tables(tmp_path, [*blind, *both, *sighted]), "times")
    row, other = (dict(zip((n for _, n in table.columns), entries(table)[m], strict=True)) for m in ("ucch", "nrch"))
    assert (row["runs"][0], row["training"][0]) == ("2", f"15.0 ± {math.sqrt(50):.1f}")  # none of them is a common cell
    assert (other["runs"][0], row["retrieval"][0]) == ("4", f"{0.6 + 0.005:.4f}")
    assert any("counts once" in note for note in table.notes)
    assert any(note.startswith("1 run was interrupted") for note in table.notes)
    assert not any("counts once" in note for note in only(make_tables(tmp_path, CLOSE), "times").notes)


def test_that_one_training_stands_under_every_noise_of_labels_is_told(tmp_path: Path) -> None:
    blind, other = three("ucch", [0.5, 0.7]), three("cca-itq", [0.4, 0.4])
    sighted = CLOSE[:3] + three("nrch", [0.6, 0.6, 0.6], **SWAPPED)
    told = "no labels, so one training is used for every label noise"
    notes = [note for note in accuracy(tmp_path, sighted + blind + linked(blind, **SWAPPED)).notes if told in note]
    assert notes == [f"ucch: it sees {told}"]
    both = blind + other + linked(blind + other, **SWAPPED)
    text = write_tables(tmp_path, sighted + both)[0].read_text(encoding="utf-8")
    assert f"ucch, cca-itq: they see {told}" in text
    assert told not in write_tables(tmp_path, sighted + blind)[0].read_text(encoding="utf-8")


def test_what_seeds_can_show_is_computed_from_their_spread(tmp_path: Path) -> None:
    text = write_tables(tmp_path, CLOSE)[0].read_text(encoding="utf-8")
    tests = [paired_t([0.8, 0.82, 0.81], other) for other in ([0.79, 0.82, 0.80], [0.5, 0.51, 0.52])]
    least, findable = (
        np.median([of(test) for test in tests]) for of in (lambda t: t.high - t.difference, lambda t: t.findable)
    )
    assert f"{least:.4f} is not significant" in text and f"{findable:.4f} is found in 80%" in text
    assert "not known" in write_tables(tmp_path, [result("nrch", 0, 0.8)])[0].read_text(encoding="utf-8")


def test_every_comparison_is_kept(tmp_path: Path) -> None:
    write_tables(tmp_path, CLOSE)
    with open(tmp_path / "comparisons.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["best"], line["other"], line["test"]) for line in lines[:2]] == [
        ("nrch", o, T_TEST) for o in ("mrl", "ucch")
    ]
    assert len(lines) == 2 * 2
    assert float(lines[0]["p"]) == pytest.approx(paired_t([0.80, 0.82, 0.81], [0.79, 0.82, 0.80]).p, rel=1e-6)


def test_the_same_results_make_the_same_files(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_tables(tmp_path, CLOSE)]
    assert first == [path.read_bytes() for path in write_tables(tmp_path, CLOSE)]


def test_title_and_what_is_missing_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('title = "Wrong_labels"\nabout = "why"\n', encoding="utf-8")
    (tmp_path / "plan.json").write_text(json.dumps({"runs": [{"id": str(n)} for n in range(12)]}), encoding="utf-8")
    text = write_tables(tmp_path, CLOSE)[0].read_text(encoding="utf-8")
    assert text.startswith("# Wrong\\_labels\n\nwhy\n") and "3 of the 12 planned are not finished" in text


def unescaped(text: str) -> list[str]:
    """LaTeX's special characters that stand unescaped in text, maths and commands taken out."""
    text = re.sub(r"^%.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\\\\$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\$\\?[a-z]*\$|\$\^\{\\d?dagger\}\$|\$-\$", "", text)
    body = [line for line in text.splitlines() if not line.startswith("\\") or line.startswith("\\caption")]
    cells = " ".join(part for line in body for part in line.split(" & "))
    return re.findall(r"(?<!\\)[%#_$^~&<>]|[^\x00-\x7f]", cells)


def test_latex_is_escaped_and_balanced(tmp_path: Path) -> None:
    results = (
        CLOSE
        + three("ssah", [0.7, None, 0.71], data="toy")
        + three("nrch", [0.5, 0.6], variant="50% & a_b~^\\ <x>{$}#")
    )
    write_tables(tmp_path, results)
    text = (tmp_path / "tables.tex").read_text(encoding="utf-8")
    assert unescaped(text) == [] and unescaped("a_b & 50 % → x") == ["_", "%", "→"]
    assert re.sub(r"\\[{}]", "", text).count("{") == re.sub(r"\\[{}]", "", text).count("}")
    for tabular in re.findall(r"\\begin\{tabular\}\{(l r*|lr*)\}(.*?)\\end\{tabular\}", text, flags=re.DOTALL):
        lines = [line for line in tabular[1].splitlines() if line.endswith("\\\\")]
        widths = {_width(line) for line in lines}
        assert widths == {len(tabular[0])}, lines
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(set(labels)) == len(labels) == text.count("\\begin{table") > 2
    assert all(rule in text for rule in ("\\toprule", "\\midrule", "\\bottomrule", "\\cmidrule(lr){2-2}"))


def _width(line: str) -> int:
    spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
    return len(re.split(r"(?<!\\)&", line)) + sum(spans) - len(spans)


def test_markdown_rows_have_the_width_of_their_head(tmp_path: Path) -> None:
    text = write_tables(tmp_path, CLOSE + three("nrch", [0.5, 0.6], variant="a|b *c*"))[0].read_text(encoding="utf-8")
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert r"nrch: a\|b \*c\*" in text and "**0.8100 ± 0.0100**" in text and "0.8033 ± 0.0153 †" in text


def published(**changes: Any) -> Mapping[str, Any]:
    told = {"paper": "A", "table": "Table 1", "data": "To-Y", "method": "nrch", "bits": 32, "noise": "none"}
    return {**told, "direction": "image->text", "measure": "mAP@all", "value": 0.7} | changes


def test_published_figures_stand_beside_ours(tmp_path: Path) -> None:
    told = [
        published(),
        published(direction="average", value=0.9),
        published(method="mrl", bits=64),
        published(data="x"),
    ]
    rows = compare_published(CLOSE, told)
    assert [row.told["value"] for row in rows] == [0.7, 0.9] and [row.here.n for row in rows] == [3, 3]
    assert rows[0].difference == pytest.approx(0.11) and rows[1].difference == pytest.approx(0.815 - 0.9)
    (tmp_path / "published.json").write_text(json.dumps(told), encoding="utf-8")
    text = write_tables(tmp_path, CLOSE)[0].read_text(encoding="utf-8")
    assert "beside A, Table 1" in text and "| 0.7 | 0.8100 ± 0.0100 | 3 | +0.1100 |" in text


def test_published_figures_of_other_conditions_are_not_ours() -> None:
    noisy = three("nrch", [0.6, 0.61], noise="swap-one", rate=0.5)
    told = [published(), published(noise="swap-one:0.50"), published(noise="swap-one:0.5:each"), published(variant="x")]
    assert [row.told for row in compare_published(noisy, told)] == [told[1]]
    assert compare_published(noisy, [published(noise="swap-one:0.5", measure="mAP@50")]) == []
    assert compare_published(noisy, [published(noise="swap-one:0.5", measure="mAP@all(ties=index)")]) == []
    assert compare_published(noisy, [published(noise="swap-one:0.5", database="query")]) == []
    assert compare_published(CLOSE, [published(measure="mAP@all(metric=cosine)")]) == []


def test_noise_per_group_is_another_condition(tmp_path: Path) -> None:
    rows = three("nrch", [0.5, 0.6], noise="swap-one", rate=0.5)
    grouped = three("nrch", [0.2, 0.3], noise="swap-one", rate=0.5, grouped=True)
    text = write_tables(tmp_path, rows + grouped)[0].read_text(encoding="utf-8")
    assert "swap-one 0.5 group" in text and "0.5500 ± 0.0707" in text and "0.2500 ± 0.0707" in text
    told = [published(noise="swap-one:0.5:group"), published(noise="swap-one:0.5:each:group")]
    (row,) = compare_published(grouped, told)
    assert row.told == told[0]
    assert compare_published(rows, told) == []


def test_results_are_arranged_by_data() -> None:
    both = CLOSE + three("nrch", [0.1], data="other")
    assert [(runs.data, len(runs.done)) for runs in arrange(both)] == [("toy", 9), ("other", 1)]


def test_one_latex_table_can_stand_alone() -> None:
    table = Table(
        "T", ["p"], "method", [("g", "a"), ("g", "b")], [("x", [TableCell("1", "close"), TableCell("2", "untested")])]
    )
    assert "1$^{\\dagger}$ & 2$^{\\ddagger}$" in latex(table, "tab:x") and "\\multicolumn{2}{c}{g}" in latex(
        table, "tab:x"
    )
