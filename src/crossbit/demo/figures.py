"""The report's figures: scores beside the floors, training, how the run was made. Sentences follow the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crossbit.demo import plots
from crossbit.demo.markup import Safe, el
from crossbit.demo.work import Story, Without
from crossbit.evaluation import Report
from crossbit.methods import get
from crossbit.methods.settings import describe

SMALLEST = 5e-4  # a difference that three decimals do not show is called none


def scores(story: Story) -> Safe:
    """The table: a line for the run and for each floor."""
    rows = {story.model.method: story.report}
    if story.without is not None:
        rows[f"{story.model.method}: {story.without.ablation}"] = story.without.report
    rows["random codes"] = story.random
    head = [el("th", arrow(direction), scope="col") for direction in story.report.map]
    body = [
        el("tr", el("th", name, scope="row"), [score_cell(report, d) for d in report.map])
        for name, report in rows.items()
    ]
    return el(
        "section",
        el("h2", "How good the codes are"),
        el(
            "div",
            el(
                "table",
                el("caption", protocol(story)),
                el("thead", el("tr", el("th", "", scope="col"), head)),
                el("tbody", body),
            ),
            class_="wide",
        ),
        verdict(story.report, story.without) if story.without is not None else None,
        id="scores",
    )


def score_cell(report: Report, direction: str) -> Safe:
    value, ends = report.map[direction], report.spread[direction]
    return el(
        "td",
        el("span", f"{value:.3f}", class_="value"),
        el("div", el("i", style=f"width:{100 * value:.1f}%"), class_="bar", aria_hidden="true"),
        el("span", f"{ends['worst']:.3f} to {ends['best']:.3f} by ties", class_="ties"),
    )


def protocol(story: Story) -> str:
    told, data = story.report.protocol, story.data
    return (
        f"{story.report.measure}, {told['queries']:,} queries against {told['database_size']:,} pairs of {data.name}; "
        "relevant: shares a label, by the true labels. "
        f"The model is that of the {story.model.config['selection']}; no query chose anything. "
        "Below each value: what the worst and the best order of equal distances would give."
    )


def verdict(report: Report, without: Without) -> Safe:
    """What the optional part gained or did not, from the numbers alone."""
    floor = without.report.map
    values = [f"{arrow(one)} {value:.3f}, and {floor[one]:.3f} with this change" for one, value in report.map.items()]
    return el(
        "div",
        el("h3", headline(without.ablation, {one: floor[one] - value for one, value in report.map.items()})),
        el("p", "; ".join(values), ". One run, one seed, one data set: it says nothing about others.", class_="quiet"),
        class_="verdict",
    )


def headline(ablation: str, gains: Mapping[str, float]) -> str:
    """One sentence for any signs.

    >>> headline("no separator", {"image->text": -0.02, "text->image": 0.0111})
    'In this run "no separator" lost 0.020 mAP image → text and gained 0.011 mAP text → image.'
    >>> headline("no separator", {"image->text": 0.0001, "text->image": -0.0001})
    'In this run "no separator" changed nothing image → text and changed nothing text → image.'
    """
    clauses = [
        f"changed nothing {arrow(direction)}"
        if abs(gain) < SMALLEST
        else f"{'gained' if gain > 0 else 'lost'} {abs(gain):.3f} mAP {arrow(direction)}"
        for direction, gain in gains.items()
    ]
    return f'In this run "{ablation}" {" and ".join(clauses)}.'


def arrow(direction: str) -> str:
    """A direction as people read it.

    >>> arrow("image->text")
    'image → text'
    """
    return direction.replace("->", " → ")


# --- what was trusted -----------------------------------------------------------------------------------------------


def separated(story: Story) -> Safe:
    """Curves of the training, and for a method that chooses samples, how well it chose."""
    warmup = story.model.config["settings"].get("warmup")
    shown = [losses(story, warmup), trust(story, warmup), histogram(story), chosen(story)]
    return el("section", el("h2", "Training, epoch by epoch"), el("div", shown, class_="plots"), id="training")


def chosen(story: Story) -> Safe | None:
    """How the last epoch's trusted samples compare with all, in words; None where the truth or a choice is missing."""
    last = story.model.history[-1]
    precision, recall = last.get("trusted_precision"), last.get("trusted_recall")
    if precision is None or recall is None:
        return None
    figures = {
        "of the training pairs were trusted": last["trusted"],
        "of the trusted ones are clean": precision,
        "of all training pairs are clean": 1 - float(story.noisy.mean()),
        "of the clean ones were trusted": recall,
    }
    return el(
        "div",
        el("h3", "The last epoch in figures"),
        el(
            "dl",
            [el("div", el("dt", what), el("dd", percent(value))) for what, value in figures.items()],
            class_="facts",
        ),
        el(
            "p",
            "Which pairs are clean is known because they were corrupted here; training did not know.",
            class_="quiet",
        ),
    )


def histogram(story: Story) -> Safe | None:
    """Losses of the last epoch's samples."""
    rows, last = story.model.rows, story.model.history[-1]
    if "sample_loss" not in rows:
        return None
    values, trusted = rows["sample_loss"].astype(float), rows.get("trusted")
    clean = ~story.noisy if story.noisy.any() else None
    cut = None
    if trusted is not None and 0 < trusted.sum() < len(trusted) and values[trusted].max() < values[~trusted].min():
        cut = float(values[trusted].max())
    text = (
        "Each training pair by its loss in the last epoch, clean and corrupted pairs in two colours, one on the other."
    )
    if last.get("mixture"):
        text += " The lines are the two Gaussians that were fitted to all of them, blind to the colours."
    return figure(plots.loss_histogram(values, clean, last.get("mixture"), cut), text)


def trust(story: Story, warmup: int | None) -> Safe | None:
    """Share, precision and recall of the trusted samples."""
    names = {"trusted": "trusted", "trusted_precision": "precision", "trusted_recall": "recall"}
    curves = {label: curve(story.model.history, key) for key, label in names.items()}
    curves = {label: points for label, points in curves.items() if points[0]}
    if "trusted" not in curves:
        return None
    level = ("clean pairs", 1 - float(story.noisy.mean())) if story.noisy.any() else None
    text = (
        "Share of the training pairs that were trusted; the share of these that is clean (precision); "
        "the share of all clean pairs that is among them (recall)."
    )
    return figure(plots.share_curves(curves, level, warmup), text)


def losses(story: Story, warmup: int | None) -> Safe:
    """Loss by epoch, with and without."""
    curves = {"loss": curve(story.model.history, "loss")}
    text = "Mean training loss."
    if story.without is not None:
        curves = {story.model.method: curves["loss"], story.without.ablation: curve(story.without.history, "loss")}
        text = f'Mean training loss, and that of the run with "{story.without.ablation}"'
        text += "; after the warm-up over different samples." if warmup else ", over different samples."
    return figure(plots.loss_curves({k: v for k, v in curves.items() if v[0]}, warmup), text)


def curve(history: Sequence[Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Epochs and values of a figure, where it is a number."""
    points = [(line["epoch"], line[key]) for line in history if isinstance(line.get(key), (int, float))]
    return [epoch for epoch, _ in points], [value for _, value in points]


def figure(drawing: Safe, text: str) -> Safe:
    return el("figure", drawing, el("figcaption", text))


# --- how it was made ------------------------------------------------------------------------------------------------


def made(story: Story) -> Safe:
    """Settings, sizes and seconds."""
    config, data = story.model.config, story.data
    sizes = {"pairs": data.n, "trained on": len(story.noisy), "queries": len(data.splits["query"])}
    sizes |= {"searched": len(data.splits["retrieval"]), "classes": data.classes, "corrupted": int(story.noisy.sum())}
    run = {key: config[key] for key in ("method", "bits", "noise", "seed", "precision", "threads")}
    run |= {f"{name} features": f"{held.dim:,} numbers" for name, held in story.model.featurisers.items()}
    seconds = {name: f"{value:.1f} s" for name, value in story.seconds.items()}
    seconds["altogether"] = f"{sum(story.seconds.values()):.1f} s"
    default = {setting.name: setting.default for setting in describe(get(story.model.method).Settings)}
    settings = {
        name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in config["settings"].items()
    }
    changed = [name for name, value in config["settings"].items() if value != default[name]]
    note = f"Other than the method's defaults: {', '.join(changed) or 'nothing'}." + (
        f" (Defaults: {', '.join(f'{name} {default[name]}' for name in changed)}.)" if changed else ""
    )
    parts = {"Run": run, "Settings": settings, "Data": {k: f"{v:,}" for k, v in sizes.items()}, "Time": seconds}
    return el(
        "section",
        el("h2", "How this was made"),
        el("p", note, class_="quiet"),
        el("div", [el("div", el("h3", name), pairs(held)) for name, held in parts.items()], class_="made"),
        id="made",
    )


def pairs(held: Mapping[str, object]) -> Safe:
    return el("dl", [(el("dt", name), el("dd", str(value))) for name, value in held.items()])


def percent(value: float) -> str:
    """A share as people write it.

    >>> percent(0.5), percent(0.4986)
    ('50 %', '49.9 %')
    """
    return f"{100 * value:.1f}".removesuffix(".0") + " %"
