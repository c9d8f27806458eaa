"""Answers: JSON, pictures with their tags, and errors, which are always one plain line in the same form."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from crossbit.errors import UserError

Headers = Mapping[str, str]
TOLD_TO_BROWSERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
SAFE = [(name.lower().encode(), value.encode()) for name, value in TOLD_TO_BROWSERS.items()]


class ErrorReply(BaseModel):
    """What every error says: what is wrong, the value, and what to send instead."""

    error: str


class Refused(Exception):
    """A request that is not answered, with its status."""

    def __init__(self, status: int, said: str, headers: Headers | None = None) -> None:
        super().__init__(said)
        self.status, self.headers = status, dict(headers or {})


def json_reply(value: Any, status: int = 200, headers: Headers | None = None) -> Response:
    """A value as JSON that nobody keeps."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    kept = {"Cache-Control": "no-store", **(headers or {})}
    return Response(text.encode("utf-8", "replace"), status, kept, "application/json")


def error_reply(status: int, said: str, headers: Headers | None = None) -> Response:
    """An error in one line."""
    return json_reply({"error": " ".join(said.split())}, status, headers)


def refusal(error: Exception) -> Response:
    """The answer to a request that raised an error which is the asker's."""
    if isinstance(error, Refused):
        return error_reply(error.status, str(error), error.headers)
    if isinstance(error, UserError):
        return error_reply(400, str(error))
    raise error


def tagged(content: bytes, kind: str, asked: str | None) -> Response:
    """Bytes that may be kept, and are asked for again each time: another run may have other ones at the same address.
    304 where the asker has them."""
    tag = f'"{hashlib.blake2b(content, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if asked is not None and tag in asked:
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, kind)


def plain(value: Any) -> Any:
    """A value of an item as JSON takes it: no NaN, no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
