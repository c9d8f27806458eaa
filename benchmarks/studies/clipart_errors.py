"""Errors that people made in the tags of open clip art, found by the audit and by cleanlab; one JSON object.

    python -m benchmarks.studies.clipart_errors --runs FOLDER --run NAME [--run NAME ...]

FOLDER is that of `benchmarks.studies.clipart`, NAME a run in it. cleanlab is no requirement of crossbit: pip install
cleanlab (without it its rows are left out).

Two kinds of errors can be told without looking: a drawing that lacks the tag that its own folder is called by, and one
that has the tag "hash", which says nothing (of some program, a value of Perl was written out). Looked at are the tags
that a folder is called by, and "hash". Told are, of the training rows:

* added: tags that are proposed; precision is the share whose drawing lies in a folder of that name, recall the share of
  drawings without their own folder's tag for which it is proposed. AUROC: how these rank, by probability, before tags
  that the drawing lacks and that none of its folders is called by.
* removed: tags that should go, as is proposed; precision is the share that is "hash", recall the share of "hash".
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from benchmarks.common.page import Section, table
from benchmarks.studies.audit import out_of_fold
from crossbit.audit import judge
from crossbit.audit.seen import Seen, read_seen
from crossbit.features.paired import vectors_of

RUBBISH = "hash"
COMPONENTS = 256  # of the run's features, that cleanlab's classifiers are given


def folders(seen: Seen) -> list[list[str]]:
    """The folders that each judged row's drawing lies in, the innermost last."""
    return [str(folder).split("/") for folder in seen.data.columns["folder"][seen.view.rows]]


def figures(
    changed: np.ndarray, p: np.ndarray, observed: np.ndarray, own: np.ndarray, inside: np.ndarray, names: list[str]
) -> dict[str, float]:
    """Counts, precision and recall of changed tags, bool (rows, tags) as all the others; p is their probability."""
    added, removed, rubbish = changed & ~observed, changed & observed, np.array(names) == RUBBISH
    lacking, having = own & ~observed, observed[:, rubbish]
    right = int((added & inside).sum())
    gone = int(removed[:, rubbish].sum())
    return {
        "added": int(added.sum()),
        "precision": right / max(1, int(added.sum())),
        "lacking": int(lacking.sum()),
        "ranked": float(roc_auc_score(lacking[~observed & (lacking | ~inside)], p[~observed & (lacking | ~inside)])),
        "recall": int((added & lacking).sum()) / max(1, int(lacking.sum())),
        "removed": int(removed.sum()),
        "removed_precision": gone / max(1, int(removed.sum())),
        "rubbish": int(having.sum()),
        "removed_recall": gone / max(1, int(having.sum())),
    }


def by_cleanlab(seen: Seen, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Tags (rows, tags) with an issue, and probabilities out of fold; None where cleanlab is not installed."""
    try:
        from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
    except ImportError:
        return None
    x = np.concatenate([vectors_of(each).numpy() for each in seen.view.features.values()], axis=1)
    x = PCA(COMPONENTS, random_state=0).fit_transform(x)
    p = out_of_fold(x, observed.astype(np.float64), False, 0)
    given = [np.flatnonzero(row).tolist() for row in observed]
    return np.asarray(find_multilabel_issues_per_class(given, p, n_jobs=1), dtype=bool), p


def found(run: Path, data: Path) -> dict[str, Any]:
    """The figures of one run, by way."""
    seen = read_seen(run, data)
    of, everything = folders(seen), np.asarray(seen.view.observed()).astype(bool)
    called = {name for each in of for name in each}
    tags = [number for number, name in enumerate(seen.names) if name in called or name == RUBBISH]
    names, observed = [seen.names[number] for number in tags], everything[:, tags]
    own = np.array([[name == each[-1] for name in names] for each in of])
    inside = np.array([[name in each for name in names] for each in of])
    p = judge(seen)[0].labels.numpy()[:, tags]
    ways = {"audit": ((p > 0.5) != observed, p)}
    if (issues := by_cleanlab(seen, observed)) is not None:
        ways["cleanlab"] = issues
    return {way: figures(*told, observed, own, inside, names) for way, told in ways.items()}


def section(result: dict[str, Any]) -> str:
    """A row for each run and way."""
    rows = []
    for run, ways in result["runs"].items():
        for way, of in ways.items():
            added = [f"{of['added']:,}", f"{of['precision']:.2f}", f"{of['recall']:.3f} of {of['lacking']:,}"]
            added += [f"{of['ranked']:.2f}"]
            gone = [f"{of['removed']:,}", f"{of['removed_precision']:.2f}"]
            rows.append([f"{run}, {way}", *added, *gone, f"{of['removed_recall']:.2f} of {of['rubbish']:,}"])
    return table(["", "added", "right", "found", "AUROC", "removed", 'are "hash"', "found"], rows)


ABOUT = (
    "Tags that people forgot, and the tag that says nothing, in open clip art: what the audit proposes, and in what "
    f"cleanlab finds an issue (classifiers of {COMPONENTS} components of the run's own features)."
)
SECTIONS = {"clipart-errors": Section("Natural errors in tags", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--run", action="append", required=True)
    args = parser.parse_args()
    print(json.dumps({"runs": {run: found(args.runs / run, args.runs / "collection") for run in args.run}}, indent=1))


if __name__ == "__main__":
    main()
