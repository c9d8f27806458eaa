"""Write BENCHMARKS.md from benchmarks/results/*.json; a figure that was not recorded is not in it.

python benchmarks/render.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HEAD = """# Benchmarks

Every figure below was printed by the command above it, on the machine and the day named with it; `benchmarks/record.py`
kept it and `benchmarks/render.py` wrote this page. Both sides of a comparison ran in turns in one process with the same
number of threads; a ratio is the median over the rounds. `make bench` repeats what needs no published code. CHECKOUT is
a folder with the published code of the method (benchmarks/published.py says which).
"""


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def compared(result: dict[str, Any], other: str, aims: list[str]) -> str:
    rows = []
    for (name, row), aim in zip(result["results"].items(), aims, strict=True):
        low, high = row["ratio_range"]
        if "same_distances" in row:
            check = "same distances" if row["same_distances"] else "DISTANCES DIFFER"
        else:
            check = f"oracle within {row['largest_difference_from_oracle']:.0e}"
        seconds = [f"{row['seconds']:.4f}", f"{row['other_seconds']:.4f}"]
        rows.append([name, *seconds, f"**{row['ratio']:.1f}**", f"{low:.1f} - {high:.1f}", aim, check])
    settings = ", ".join(f"{key} {value}" for key, value in result["settings"].items())
    head = ["", "crossbit, s", f"{other}, s", "times faster", "range", "aim", "checked"]
    return table(head, rows) + f"\n\n{settings}"


def search(result: dict[str, Any]) -> str:
    return compared(result, "faiss", ["2", "2.5"])


def mean_average_precision(result: dict[str, Any]) -> str:
    return compared(result, "numpy", ["80", "-"])


def index(result: dict[str, Any]) -> str:
    forms = result["adds"]
    batches = list(next(iter(forms.values())))
    rows = [[form, *(f"{of[batch]['rows per second']:,}" for batch in batches)] for form, of in forms.items()]
    adds = table(["rows per second, each add durable", *(f"batches of {int(batch):,}" for batch in batches)], rows)
    seconds = [[name, f"{1000 * value:.1f}"] for name, value in result["search seconds"].items()]
    size = f"{result['rows']:,} rows of {result['bits']} bits"
    text = f"Search of {result['queries']} queries, unless said otherwise, over {size}:"
    return "\n\n".join([adds, text, table(["", "milliseconds"], seconds)])


def speed(result: dict[str, Any]) -> str:
    rows = []
    for name, seconds in result["median_seconds"].items():
        published = result["ratios"].get(f"published / {name}")
        products = result["median_seconds"][name] / result["median_seconds"]["products"]
        rows.append([name, f"{seconds:.1f}", "" if published is None else f"{published:.2f}", f"{products:.2f}"])
    head = ["an epoch", "seconds", "times faster than published", "times the matrix products"]
    clock = f"Seconds are {result['clock']}'s." if result.get("clock") == "processor" else ""
    width = f"Width {result['width']}." if "width" in result else ""
    return table(head, rows) + f"\n\n{width} {clock}".rstrip()


def steps(result: dict[str, Any]) -> str:
    rows = [[kind, *(f"{value:.1e}" for value in figures.values())] for kind, figures in result.items()]
    names = [name.replace("_", " ") for name in next(iter(result.values()))]
    return table(["", *names], rows)


def accuracy(result: dict[str, Any]) -> str:
    rows = []
    for variant, directions in result.items():
        for direction, entry in directions.items():
            spread = "" if entry["sd"] is None else f" ± {entry['sd']:.4f}"
            row = [f"{variant}, {direction}", str(entry["seeds"]), f"{entry['mean']:.4f}{spread}"]
            if "minus_published" in entry:
                holds = "yes" if entry["not_below"] else "**no**"
                row += [f"{entry['minus_published']:+.4f}", f"{entry['standard_error']:.4f}", holds]
            rows.append(row + [""] * (6 - len(row)))
    return table(["", "seeds", "mAP@all", "minus published", "standard error", "not below"], rows)


def accuracy_apart(result: dict[str, Any]) -> str:
    """A table for each of the outer keys, two deep."""
    parts = []
    for setup, choices in result.items():
        for choice, of in choices.items():
            parts.append(f"{setup}; {choice}:\n\n{accuracy(of)}")
    return "\n\n".join(parts)


def spread(entry: dict[str, Any]) -> str:
    return f"{entry['mean']:.4f}" + ("" if entry["sd"] is None else f" ± {entry['sd']:.4f}")


DATABASES = {"retrieval": "the database searched", "query": "the queries searched themselves"}


def comparison(result: dict[str, Any]) -> str:
    """A table for each sheet: a row for each method, a column for each cell."""
    parts = []
    for sheet in result["sheets"]:
        rows = [
            [name, *(several(cells[column]) if column in cells else "" for column in sheet["columns"])]
            for name, cells in sheet["rows"].items()
        ]
        parts.append(f"{sheet['title']}:\n\n{table(['', *sheet['columns']], rows)}")
    told = [
        f"- {one['data']}, {DATABASES[one['database']]}: {one['method']} under {one['baseline']} by {one['by']:.4f}"
        f" (seeds in common: {one['seeds']})"
        for one in result["not_above"]["found"]
    ]
    head = (
        f"On clean labels, of {', '.join(result['not_above']['compared'])}, each method is above every linear baseline"
    )
    parts.append(f"{head}, but:\n\n" + "\n".join(told) if told else f"{head}.")
    if result["done"] < result["planned"]:
        parts.insert(0, f"{result['done']} of the {result['planned']} runs are done; the bench goes on where it is.")
    return "\n\n".join(parts)


def wide(result: dict[str, Any]) -> str:
    """What each method reached at its paper's width and epochs, and narrow; and whether the order is the same."""
    heads = ["data, noise", "method", "wide", "epochs", "minutes"]
    heads += [f"{database}, {how}" for database in DATABASES for how in ("wide", "narrow")]
    rows = []
    for row in result["rows"]:
        cell = f"{row['data']}, {row['noise']}"
        cells = [cell, row["method"], f"{row['width']:,}", str(row["epochs"]), f"{row['minutes']:.0f}"]
        for database in DATABASES:
            narrow = row["narrow"][database]
            cells += [f"{row['wide'][database]:.4f}", "" if narrow is None else f"{spread(narrow)} ({narrow['n']})"]
        rows.append(cells)
    told = [
        f"- {order['data']}, {order['noise']}, {DATABASES[order['database']]}: wide {', '.join(order['wide'])}; "
        + ("narrow the same." if order["wide"] == order["narrow"] else f"narrow {', '.join(order['narrow'])}.")
        for order in result["orders"]
    ]
    return "\n\n".join([table(heads, rows), *(["The four, best first:\n\n" + "\n".join(told)] if told else [])])


def several(entry: dict[str, Any]) -> str:
    """A mean with its deviation and, where it is not over three, the number of runs."""
    digits = 3 if entry["mean"] < 1 else 1
    text = f"{entry['mean']:.{digits}f}" + ("" if entry["sd"] is None else f" ± {entry['sd']:.{digits}f}")
    return text if entry["n"] >= SEEDS else f"{text} ({entry['n']})"


def ssah(result: list[dict[str, Any]]) -> str:
    groups: dict[str, list[list[str]]] = {}
    for row in result:
        scaled = ", standardised" if row["scale"] else ""
        rows = "rows cut out of training" if row["validation"] else "the test queries"
        cells = [spread(row["image->text"]), spread(row["text->image"]), f"{row['processor_seconds']:.0f}"]
        key = f"{Path(row['data']).stem}{scaled}, {row['bits']} bits; asked by {rows}"
        groups.setdefault(key, []).append([row["variant"], str(row["seeds"]), *cells])
    head = ["", "seeds", "image->text", "text->image", "processor seconds"]
    return "\n\n".join(f"{data}:\n\n{table(head, rows)}" for data, rows in groups.items())


def ssah_speed(result: dict[str, Any]) -> str:
    rows = [
        [form, f"{row['other_seconds']:.1f}", f"{row['seconds']:.1f}", f"**{row['ratio']:.2f}**"]
        for form, row in result.items()
    ]
    return table(["one pass of every step", "ssah, s", "its products, s", "ssah / products"], rows)


def convert(result: dict[str, Any]) -> str:
    rows = [
        [
            f"{name}, {row['rows']:,} x {row['width']:,}",
            f"{row['features_mib']:,.0f}",
            f"**{row['peak_mib']:,.0f}**",
            f"{row['seconds']:.0f}",
            f"{row['processor_seconds']:.1f}",
            f"{row['copy_seconds']:.0f}",
        ]
        for name, row in result["results"].items()
    ]
    head = ["", "features, MiB", "peak memory, MiB", "s", "processor s", "a plain copy of the features, s"]
    return table(head, rows)


def reranking(result: dict[str, Any]) -> str:
    parts = []
    for direction, orders in result["results"].items():
        measures = list(orders["distance"])
        rows = [
            [order, *(f"{figures[measure]:.4f}" for measure in measures)]
            for order, figures in orders.items()
            if not order.startswith("milliseconds")
        ]
        cost = ", ".join(f"{order} {value:.2f}" for order, value in orders["milliseconds a query"].items())
        parts.append(f"{direction}; milliseconds a query: {cost}\n\n{table(['ordered by', *measures], rows)}")
    return "\n\n".join(parts)


def demo(result: dict[str, Any]) -> str:
    seconds = ", ".join(f"{value:.0f}" for value in result["seconds"])
    return f"**{seconds} seconds** from the command to the report (aim: under 120)."


def giveaway(result: dict[str, Any]) -> str:
    from giveaway import table as lines  # the page docs/data.md shows the same

    return "\n".join(lines(result))


def audit(result: dict[str, Any]) -> str:
    """A table for each data set: two rows for each noise."""
    sets: dict[str, list[list[str]]] = {}
    columns = ["area", "calibration_error", "brier", "label_brier", "rate"]
    for row in result["cells"]:
        seeds = f"{row['seeds']} seed" + ("s" if row["seeds"] > 1 else "")
        name = f"{row['data']}, {row['rows']:,} rows, {seeds}"
        for who in ("crossbit", "cleanlab"):
            cells = [three(row[who][column]) for column in columns]
            beside = [three(row[name]) for name in ("frequencies_label_brier", "true_rate")]
            sets.setdefault(name, []).append([f"{row['noise']}, {who}", *cells[:4], beside[0], cells[4], beside[1]])
    head = ["", "area", "calibration error", "Brier", "Brier of labels", "of class frequencies", "rate", "true rate"]
    tables = [f"{name}:\n\n{table(head, rows)}" for name, rows in sets.items()]
    return "\n\n".join([*tables, f"cleanlab {result['cleanlab']}"])


def look_speed(result: dict[str, Any]) -> str:
    """LOOK's whole training, and NRCH's at two widths."""
    rows = [["LOOK, whole training, posterior included", f"{result['look']:.0f}", ""]]
    for name, width in (("narrow", result["width"]), ("wide", result["paper_width"])):
        of = result["nrch"][name]
        label = f"NRCH, {width:,} wide, {result['paper_epochs']} epochs"
        rows.append([label, f"{of['seconds']:.0f}", f"{of['ratio']:.1f}"])
    size = f"{result['labelled']:,} labelled and {result['unlabelled']:,} unlabelled pairs"
    head = f"{size}, {result['threads']} threads, medians of {result['rounds']} rounds:\n\n"
    return head + table(["", "seconds", "times LOOK's"], rows)


def look_growth(result: dict[str, Any]) -> str:
    """Seconds and memory by the number of labelled pairs."""
    rows = [
        [
            f"{of['pairs']:,}",
            f"{of['posterior']:.0f}",
            f"{of['training']:.0f}",
            f"{of['data_gib']:.1f}",
            f"{of['peak_gib']:.1f}",
        ]
        for of in result["sizes"]
    ]
    head = [
        "labelled pairs",
        "posterior of clean labels alone, s",
        "whole training, s",
        "peak of the data alone, GiB",
        "peak, GiB",
    ]
    return f"{result['threads']} threads, {result['classes']} classes:\n\n" + table(head, rows)


def questions(result: dict[str, Any]) -> str:
    """A table for each cell: a row for each way, a column for each figure."""
    cells: dict[str, list[dict[str, Any]]] = {}
    for of in result["cells"]:
        cells.setdefault(f"{of['data']}, {of['noise']}", []).append(of)
    seeds = f"{result['seeds']} seed" + ("s" if result["seeds"] > 1 else "")
    parts = []
    for name, ways in cells.items():
        figures = list(dict.fromkeys(key for of in ways for key, value in of.items() if isinstance(value, dict)))
        rows = [[of["way"], *(three(of[key]) if key in of else "" for key in figures)] for of in ways]
        parts.append(f"{name}, {seeds}:\n\n{table(['', *(key.replace('_', ' ') for key in figures)], rows)}")
    return "\n\n".join(parts)


def three(entry: dict[str, Any]) -> str:
    """A mean with its deviation, three digits."""
    return f"{entry['mean']:.3f}" + ("" if entry["sd"] is None else f" ± {entry['sd']:.3f}")


SAME_STEPS = "`form=official` and the published code from identical weights on identical batches."
AN_EPOCH = "*products*: the matrix products of the steps alone, forward and backward. In turns in one process."
NOT_BELOW = "*Not below*: the difference is above minus the larger of .005 and two standard errors of it."
SEEDS = 3
MORE: list[tuple[str, str, str, Callable[[Any], str]]] = [
    ("ucch-speed", "UCCH: an epoch beside the published code", AN_EPOCH, speed),
    ("ucch-steps", "UCCH: ten identical steps", SAME_STEPS + " The drawn negatives are shared, too.", steps),
    (
        "ucch-accuracy",
        "UCCH: accuracy beside the published code",
        "64 bits, 20 epochs, the whole database, no labels; Wikipedia is standardised by the training rows. "
        + NOT_BELOW,
        accuracy,
    ),
    ("mrl-speed", "MRL: an epoch beside the published code", AN_EPOCH, speed),
    ("mrl-steps", "MRL: ten identical steps", SAME_STEPS, steps),
    (
        "mrl-accuracy",
        "MRL: accuracy beside the published code",
        "Wikipedia, standardised by the training rows; MRL's protocol: 231 query rows choose the epoch, the other 462 "
        "are searched against themselves across modalities by cosine; flip:0.6:each, the same observed labels for "
        "all, 30 epochs, beta .7. " + NOT_BELOW,
        accuracy_apart,
    ),
    (
        "ssah",
        "SSAH: forms and ablations beside UCCH, which sees no labels",
        "Clean labels, equally narrow encoders; docs/ssah.md reads these figures.",
        ssah,
    ),
    (
        "ssah-speed",
        "SSAH: an epoch beside its matrix products",
        "The published code is TensorFlow 1, which does not run here. *products*: every matrix product of one pass of "
        "each of the four steps, recorded from a real one and done again alone.",
        ssah_speed,
    ),
    (
        "convert",
        "The largest public feature files",
        "Random data in the published shapes, converted to the neutral folder under a limit of 2 GiB.",
        convert,
    ),
    (
        "reranking",
        "Search: what ordering the shortlist by embeddings gains and costs",
        "*distance*: by Hamming distance and row; *inside ties*: the cosine decides between equal distances; "
        "*shortlist*: all that is as near as the hundredth, by cosine; *cosine of all*: no codes. *same name*: "
        "another picture of it.",
        reranking,
    ),
    (
        "comparison",
        "Methods and baselines under label noise",
        "mAP@all(ties=expected, empty=skip) of codes, and of the real vectors of methods that rank by them, the mean "
        "of both directions; mean ± deviation over three seeds, or over (so many). Wikipedia's database is the "
        "labelled training set itself. docs/results.md has each direction, the tests, and what it shows.",
        comparison,
    ),
    (
        "wide",
        "Methods at their papers' widths and epochs",
        "One seed, 64 bits: the mean mAP of both directions, as each method ranks (MRL by real vectors); LOOK as wide "
        "as MRL. *narrow*: the mean ± deviation of the narrow runs of the same cell (seeds). *minutes* of one core.",
        wide,
    ),
    (
        "audit",
        "Wrong labels found, beside cleanlab",
        "*area*: under the ROC curve, of the corrupted rows; *calibration error* (expected, ten bins) and *Brier* of "
        "the probability that a row is corrupted; *rate*: estimated share of corrupted rows. cleanlab is given "
        "out-of-fold logistic regression on the same features; docs/audit.md.",
        audit,
    ),
    (
        "look-speed",
        "LOOK: a whole training beside NRCH's",
        "NRCH's are an epoch's seconds (the difference of trainings that have more epochs; at the paper's width on an "
        "eighth of the rows) times the epochs of its paper; it trains on the labelled pairs alone.",
        look_speed,
    ),
    (
        "look-growth",
        "LOOK: time and memory as labelled pairs grow",
        "Up to 10,000 labelled pairs the regression is exact, above it has 2,000 landmarks; each size in a process of "
        "its own, two modalities of 512 features.",
        look_growth,
    ),
    (
        "look-rounds",
        "LOOK: a second round of the posterior",
        "The posterior from the features, as LOOK makes it (*once*); from a first training's embeddings (*again*); "
        "from features and predictions by encoders that did not see the row's label (*out of fold*). *area*: under the "
        "ROC curve, of the corrupted rows; *brier* and *calibration error* of their probability; *label brier*: of the "
        "labels' probabilities, summed over classes; *rate*: estimated share of corrupted rows.",
        questions,
    ),
    (
        "look-classes",
        "LOOK: hundreds of classes",
        "A made set with 255 classes of a long tail, two modalities, 4,000 labelled pairs of 12,000; *weak*: twice the "
        "noise in the features. How likely two rows share a label, of *all* probabilities, as LOOK has it, or of a "
        "row's largest only. mAP, the mean of both directions; expected labels of a row of the database, and the "
        "estimated rate of wrong ones. NRCH and MRL train on the labelled pairs alone, LOOK on all 12,000.",
        questions,
    ),
    (
        "giveaway",
        "What one modality alone tells of the glyph sets",
        "Ridge regression on the features that training uses, learned from the true labels of the training rows, tried "
        "on the queries; means over the labels. *Given away*: average precision of at least .95.",
        giveaway,
    ),
]
SECTIONS: list[tuple[str, str, str, Callable[[Any], str]]] = [
    ("demo", "The demo", "`crossbit demo`, the job itself after installation.", demo),
    (
        "search",
        "Exact Hamming search",
        "Top-100 beside faiss `IndexBinaryFlat`, random codes. The same positions, too: both order by (distance, id).",
        search,
    ),
    (
        "mean-average-precision",
        "Mean average precision",
        "Beside the field's usual script: for each query a matrix product, an argsort and a cumulative mean in numpy. "
        "Its time is measured on some of the queries and scaled to all.",
        mean_average_precision,
    ),
    ("index", "Local index", "One DuckDB file, every add one durable transaction with its check for ids.", index),
    (
        "nrch-speed",
        "NRCH: an epoch beside the published code",
        "Width 8192, 64 bits, 5,000 pairs of glyphs, every sample trusted; the separator's pass over all samples made "
        "(*float32*), or not needed as the threshold is 0 (*warm-up epoch*). *products*: the matrix products alone.",
        speed,
    ),
    (
        "nrch-steps",
        "NRCH: ten identical steps",
        "`form=official` and the published code from identical weights on identical batches. In float64 the two agree "
        "to rounding, so what is left in float32 is rounding, too: RMSprop divides a gradient by its own size, and "
        "where that size is near the rounding of a sum, a single weight may differ by a whole step.",
        steps,
    ),
    (
        "nrch-accuracy",
        "NRCH: accuracy beside the published code",
        "Glyphs, 50 % swap-one, 64 bits, width 8192, 20 epochs, the last one; for each seed the same vectors, split "
        "and observed labels; 2,000 queries, mAP@all(ties=expected, empty=skip). *Not below*: the difference is above "
        "minus the larger of .005 and two standard errors of it.",
        accuracy,
    ),
    *MORE,
]


def main() -> None:
    parts = [HEAD]
    for name, title, text, section in SECTIONS:
        path = HERE / "results" / f"{name}.json"
        if not path.exists():
            continue
        kept = json.loads(path.read_text())
        machine = kept["machine"]
        versions = ", ".join(f"{key} {value}" for key, value in machine["versions"].items())
        size = f"{machine['cores']} cores, {machine['memory_gib']} GiB"
        where = f"{kept['date']}: {machine['processor']}, {size}; {machine['system']}; {versions}."
        note = f" {kept['note']}" if kept.get("note") else ""
        figures = section(kept["result"])
        parts.append(f"## {title}\n\n{text}\n\n    {kept['command']}\n\n{figures}\n\n{where}{note}\n")
    (HERE.parent / "BENCHMARKS.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
