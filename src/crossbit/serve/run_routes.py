"""`/api/run`: what there is to say of the run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from crossbit.data.noise import parse_noise
from crossbit.errors import UserError
from crossbit.runs.folder import HELD_OUT
from crossbit.serve import forms
from crossbit.serve.replies import json_reply
from crossbit.serve.state import State
from crossbit.storage.files import read_json


def router(state: State) -> APIRouter:
    """The run that is served."""
    routes = APIRouter(prefix="/api", responses=forms.ERRORS)

    @routes.get("/run", responses={200: {"model": forms.Run}})
    async def run() -> Response:
        """The run: its method, figures with their protocol, history, and the noise that was found."""
        return json_reply(await state.work.do(_told, state))

    return routes


def _told(state: State) -> dict[str, Any]:
    with state.generations.use() as generation:
        model = generation.search.model
        config = model.config
        return {
            "run": state.run.path.resolve().name,
            "method": model.method,
            "bits": model.bits,
            "data": str(config["data"]).rstrip("/").rsplit("/", 1)[-1],  # a name, not a path of this machine
            "figures": _figures(state),
            "history": model.history,
            "noise": _noise(config),
            "items": generation.items,
            "modalities": model.modalities,
            "features": {name: featuriser.name for name, featuriser in model.featurisers.items()},
            "classes": [str(name) for name in config.get("label_names") or []],
        }


def _noise(config: Mapping[str, Any]) -> list[str]:
    """What was made wrong on purpose, in words.

    >>> _noise({"noise": "shuffle-pairs:0.2", "noise_changes": "nothing"})[0][-50:]
    'row (shuffle-pairs:0.2); the method saw none of it'
    """
    if (noise := config.get("noise")) is None:
        return []
    unseen = "" if config.get("noise_changes") in ("labels", "pairs", None) else "; the method saw none of it"
    with suppress(UserError):
        return [parse_noise(noise).words + unseen]
    return [f"the labels were made wrong on purpose: {noise}"]  # by a rule that is not known here


def _figures(state: State) -> list[dict[str, Any]]:
    """Those of held-out queries, which stand in report.json; those of its last evaluation where it has none; none where
    it is not there."""
    with suppress(UserError, KeyError, TypeError):
        report = read_json(state.run.report_file)
        if HELD_OUT not in report:
            return [_evaluated(name, told) for name, told in report["questions"].items()]
        held, asks = report[HELD_OUT], report.get("questions") or {}
        return [
            {
                "name": name,
                "asks": _asks(name, asks),
                "value": value,
                "floor": held["floor"].get(name, {}),
                "chance": held["chance"].get(name, {}),
                "protocol": str(held["protocol"]),
            }
            for name, value in held["run"].items()
        ]
    return []


def _evaluated(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """A figure of an evaluation, as a search shows it where that was measured, else by codes alone.

    >>> told = {"asks": "is it there?", "figures": {"hamming": {"a->b": 0.5}}, "chance": None,
    ...     "queries": 9, "database": "retrieval", "database_size": 80}
    >>> _evaluated("hit@10(ties=expected)", told)["protocol"]
    'hamming, 9 queries, database=retrieval (80)'
    """
    ways = told["figures"]
    metric = "reranked" if "reranked" in ways else next(iter(ways))
    of = f"{told['queries']:,} queries, database={told['database']} ({told['database_size']:,})"
    levels = {"value": ways[metric], "floor": {}, "chance": told["chance"] or {}}
    return {"name": name, "asks": told["asks"], **levels, "protocol": f"{metric}, {of}"}


def _asks(name: str, questions: dict[str, Any]) -> str:
    """What a measure asks, in plain words. Both name it by what stands before the brackets, and each its own way after.

    >>> _asks("overlap@10(metric=reranked)", {"overlap@10(ties=expected)": {"asks": "have they its labels?"}})
    'have they its labels?'
    """
    base = name.partition("(")[0]
    return next((str(told["asks"]) for known, told in questions.items() if known.partition("(")[0] == base), "")
