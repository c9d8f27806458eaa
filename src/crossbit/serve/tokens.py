"""Who may write."""

from __future__ import annotations

import hmac

from starlette.requests import Request

from crossbit.serve.replies import Refused
from crossbit.serve.state import State

ASKS = {"WWW-Authenticate": "Bearer"}


def check_token(request: Request, state: State) -> None:
    """Let only those write that send the token: `Authorization: Bearer TOKEN`.

    Raises:
        Refused: 401.
    """
    if state.settings.token is None:
        raise Refused(
            401, "this service was started without a token, so nothing is changed; give it --token-file", ASKS
        )
    kind, _, sent = request.headers.get("authorization", "").partition(" ")
    right = state.settings.token.encode()
    if kind.casefold() != "bearer" or not hmac.compare_digest(sent.strip().encode("latin-1", "replace"), right):
        raise Refused(401, "a wrong token, or none; send the header `Authorization: Bearer TOKEN`", ASKS)


def check_decider(request: Request, state: State) -> None:
    """As `check_token`, but who sits at this machine needs no token where none was set.

    Raises:
        Refused: 401.
    """
    if state.settings.token is not None or not state.settings.is_private:
        check_token(request, state)
