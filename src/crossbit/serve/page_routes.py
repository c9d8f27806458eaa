"""The pages and what they load: files of the package, read once, found by name and never by a path of a request."""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request
from starlette.responses import Response

from crossbit.serve.replies import Refused, tagged

PAGES = {"/": "index.html", "/audit": "audit.html", "/run": "run.html"}
KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


def router() -> APIRouter:
    """`/`, `/audit`, `/run` and `/static/...`."""
    routes = APIRouter(include_in_schema=False)
    held = dict(_files(files("crossbit.serve") / "page"))

    def page(request: Request, name: str) -> Response:
        if name not in held:
            raise Refused(404, f"there is no {name[:100]!r} here")
        kind = KINDS.get(name[name.rfind(".") :]) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        text = "; charset=utf-8" if kind.startswith("text/") else ""
        return tagged(held[name], kind + text, request.headers.get("if-none-match"))

    def fixed(name: str) -> Callable[[Request], Awaitable[Response]]:
        async def whole(request: Request) -> Response:
            return page(request, name)

        return whole

    for address, name in PAGES.items():
        routes.add_api_route(address, fixed(name), methods=["GET", "HEAD"])

    @routes.api_route("/static/{name:path}", methods=["GET", "HEAD"])
    async def static(request: Request, name: str) -> Response:
        return page(request, name)

    return routes


def _files(folder: Traversable, before: str = "") -> Iterator[tuple[str, bytes]]:
    """All files below a folder by their names, such as "style.css"."""
    for each in folder.iterdir() if folder.is_dir() else ():
        if each.is_dir():
            yield from _files(each, f"{before}{each.name}/")
        elif not each.name.startswith("."):
            yield before + each.name, each.read_bytes()
