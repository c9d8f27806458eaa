"""`crossbit features`."""

from __future__ import annotations

from typing import Annotated

import typer

from crossbit.cli.output import Json, say, say_json, say_table


def features(
    clear: Annotated[bool, typer.Option("--clear", help="Removes all that is kept; it can be computed again.")] = False,
    as_json: Json = False,
) -> None:
    """Show which computed features are kept in the cache, and how large they are.

    Features by a pretrained network take long, so they are computed once and shared by all runs. So do pictures to
    be decoded, and they are kept as they were made small for the built-in features.

    \b
    Examples:
      crossbit features
      crossbit features --clear
    """
    from crossbit.features.cached import clear_features, kept_features
    from crossbit.storage.cache import cache_folder

    kept = kept_features()
    size = sum(each.size for each in kept)
    if as_json:
        listed = [{"features": each.features, "rows": each.rows, "bytes": each.size} for each in kept]
        say_json({"folder": str(cache_folder()), "kept": listed, "cleared": clear})
    elif kept:
        columns = ("features", "rows", "size")
        rows = [(each.features, f"{each.rows:,}", f"{each.size / 1e6:,.1f} MB") for each in kept]
        say_table(columns, rows, right=columns[1:])
    if clear:
        clear_features()
    if not as_json:
        done = "removed" if clear else "kept"
        say(f"{size / 1e6:,.1f} MB {done} in {cache_folder()}" if kept else f"nothing is kept in {cache_folder()}")
