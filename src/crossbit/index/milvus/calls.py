"""Where a Milvus server is, and calls of it that end in one line when they fail.

`milvus://user:password@host:port/NAME?tls=true&ca=FILE&timeout=60`: a collection on a server. A call that finds no
server, or one that only begins, is made again, with longer and longer pauses, until its time is over. All calls allow
that: what is written twice is there once.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from crossbit.errors import UserError, unknown
from crossbit.index.milvus import tls

SCHEME_ = "milvus://"
TOKEN = "CROSSBIT_MILVUS_TOKEN"  # user:password, or a key; an address may be seen by others, so it need not be there
PORT = 19530
TIMEOUT = 60.0  # seconds for one call, tries included
CONNECT = 10.0  # seconds until the server must have answered the first time
PAUSE, LONGEST_PAUSE = 0.05, 3.0  # seconds between two tries: at first, and at most
KINDS = {"BIN_FLAT": True, "BIN_IVF_FLAT": False}  # of Milvus's indexes of codes: whether a search is exact
OPTIONS = (*tls.OPTIONS, "db", "timeout", "index", "nlist", "nprobe")
FORM = "milvus://host:port/NAME"
DENIED = ("unauthenticated", "auth check failure")  # what errors say
RIGHT = re.compile(r"privilege(\w+): permission deny", re.IGNORECASE)
LATE = ("deadline", "timed out", "timeout of", "context done")
BEGINS = ("not loaded", "not ready")  # after a start, which takes half a minute
LOST = ("unavailable", "fail connecting", "connection refused")
NAME = 200  # characters of a collection's name
_last: ContextVar[float] = ContextVar("_last", default=math.inf)  # moment that calls may wait for


@contextmanager
def until(moment: float) -> Iterator[None]:
    """Let no call of this thread wait beyond a moment of `time.monotonic`, however long it may take by itself."""
    before = _last.set(moment)
    try:
        yield
    finally:
        _last.reset(before)


def end_of(seconds: float) -> float:
    """The moment of `time.monotonic` at which what may take seconds from now is over."""
    return min(time.monotonic() + seconds, _last.get())


@dataclass(frozen=True)
class Address:
    """A collection on a server.

    Attributes:
        host, port, name: where it is.
        token: what lets one in; never shown.
        options: what stands behind `?`.
    """

    host: str
    port: int
    name: str
    token: str = field(repr=False)
    options: dict[str, str]

    def __str__(self) -> str:
        return f"{SCHEME_}{self.server}/{self.name}"

    @property
    def server(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"

    @property
    def timeout(self) -> float:
        """Seconds for one call."""
        return float(self.options.get("timeout", TIMEOUT))

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.options.get("tls", "false") == "true"


def address_of(uri: str) -> Address:
    """The parts of an address.

    Raises:
        UserError: something is missing or unknown; it says what, and no password.

    >>> address_of("milvus://me:secret@db.example.org/photos?tls=true")
    Address(host='db.example.org', port=19530, name='photos', options={'tls': 'true'})
    """
    try:
        parts = urlsplit(uri)
        port = parts.port or PORT
    except ValueError as error:
        raise UserError(f"the address of Milvus cannot be read ({error}); type {FORM}") from error
    name = parts.path.strip("/")
    if not parts.hostname:
        raise UserError(f"the address of Milvus names no host; type {FORM}")
    if ":" in parts.hostname:
        raise UserError(
            f"{parts.hostname} in the address of Milvus is a number of IPv6, which pymilvus cannot read; give a name"
        )
    if not name.isidentifier() or not name.isascii() or len(name) > NAME:
        raise UserError(
            f"{name[:80]!r} cannot be the name of a collection in Milvus; letters, digits and _ can, such as {FORM}"
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option in options:
        if option not in OPTIONS:
            raise unknown("option in the address", option, OPTIONS)
    token = os.environ.get(TOKEN, "")
    if parts.username is not None:
        token = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    found = Address(parts.hostname, port, name, token, options)
    _check(found)
    return found


class Server:
    """A connection. Any number of threads may call at the same time; a forked child opens its own.

    Raises:
        UserError: pymilvus is not installed; no server there; it refuses the user.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._process = os.getpid()
        self.gone = ""
        self._written, self._seen = 1, 0  # writes that were done, and those that a read has waited for
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at the import: it prints what ends in one line here
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise UserError('an index in Milvus needs pymilvus; type: pip install "crossbit[milvus]"') from error
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs tracebacks of what ends in one line here
        given = tls.arguments(address)
        seconds = max(0.1, round(end_of(min(CONNECT, address.timeout)) - time.monotonic(), 1))
        self._client: Any = None
        self._client = self._tried(
            "connect",
            lambda: MilvusClient(
                f"{'https' if address.secure else 'http'}://{address.server}",
                token=address.token,
                db_name=address.options.get("db", ""),
                timeout=seconds,
                dedicated=True,
                **given,
            ),
            seconds,
        )

    def __call__(self, method: str, *args: Any, seconds: float | None = None, **options: Any) -> Any:
        """Call a method of the client, with the collection's name as the first argument.

        Args:
            method: its name.
            seconds: it may take; as long as any call, if not given; less inside `until`.
            args, options: for the method.

        Raises:
            UserError: it failed; the connection is closed.
        """
        self.check_open()
        most = self.address.timeout if seconds is None else seconds
        call: Callable[..., Any] = getattr(self._client, method)
        end, pause, lost = end_of(most), PAUSE, Lost()
        given = max(0.0, round(end - time.monotonic(), 1))
        while True:
            left = max(end - time.monotonic(), 1e-6)
            try:
                return self._tried(method, partial(call, self.address.name, *args, timeout=left, **options), given)
            except Untrusted:
                raise
            except Lost as error:
                if not isinstance(error, Late) or not str(lost):  # what an earlier try ended with says more
                    lost = error
                if time.monotonic() + pause > end:
                    raise lost from None
            time.sleep(pause)
            self.check_open()
            pause = min(2 * pause, LONGEST_PAUSE)

    def write(self, method: str, *args: Any, **options: Any) -> None:
        """Call a method that writes; the next `read` waits until it sees that."""
        try:
            self(method, *args, **options)
        finally:
            self._written += 1

    def read(self, method: str, *args: Any, strong: bool = False, **options: Any) -> Any:
        """Call a method that reads what this connection has written, or, if `strong`, what anybody has.

        To wait for the present moment takes some tenths of a second, so it is done once after a write, and at the
        beginning.
        """
        written = self._written
        wait = strong or self._seen < written
        found = self(method, *args, consistency_level="Strong" if wait else "Bounded", **options)
        self._seen = max(self._seen, written) if wait else self._seen
        return found

    def check_open(self) -> None:
        """UserError where it is closed."""
        if os.getpid() != self._process:
            raise UserError(f"{self.address} was opened before this process was forked from another; open it again")
        if self.gone:
            raise UserError(self.gone)

    def close(self) -> None:
        """Give up the connection; closing twice is allowed."""
        if not self.gone and os.getpid() == self._process:
            self.gone = f"the index {self.address} is closed; open it again"
            self._client.close()

    def _tried(self, doing: str, call: Callable[[], Any], seconds: float) -> Any:
        from grpc import RpcError
        from pymilvus.exceptions import MilvusException

        try:
            return call()
        except (MilvusException, RpcError) as error:
            raise self._trouble(doing.replace("_", " "), error, seconds) from None  # its text may hold the password
        except OSError as error:  # a certificate that is gone when pymilvus connects again
            raise UserError(f"cannot connect to Milvus at {self.address.server}: {error}") from error
        except ValueError as error:  # called while another thread closes it
            if self.gone:
                raise UserError(self.gone) from error
            raise

    def _trouble(self, doing: str, error: Exception, seconds: float) -> UserError:
        all_said, server = _all_said(error), self.address.server
        said = all_said.lower()
        if mistake := tls.mistake(self.address, said):
            return Untrusted(mistake)
        if any(word in said for word in DENIED):
            return UserError(
                f"Milvus at {server} refuses the user or the password; give them in the address "
                f"(milvus://user:password@host:port/NAME), or as user:password in {TOKEN}"
            )
        if right := RIGHT.search(all_said):
            return UserError(
                f"Milvus at {server} does not let this user {doing}; grant the privilege {right[1]}, or take another "
                "user"
            )
        if any(word in said for word in LATE):
            more = "start it, or mend the address" if doing == "connect" else "`?timeout=` gives more"
            return Late(f"Milvus at {server} did not {doing} within {seconds:g} s; {more}")
        if any(word in said for word in LOST):
            hint = tls.hint(self.address, said)
            return Lost(f"no Milvus server answers at {server}; start it, or mend the address{hint}")
        if any(word in said for word in BEGINS):
            return Lost(f"Milvus at {server} has not loaded {self.address.name} within {seconds:g} s; open it again")
        if "cancelled" in said and self.gone:
            return UserError(self.gone)
        text = " ".join(str(getattr(error, "message", "") or error).split())
        return UserError(f"Milvus at {server} could not {doing}: {text.replace(self.address.token or chr(0), '***')}")


class Lost(UserError):
    """No server answers; whether it has done what it was asked is not known."""


class Late(Lost):
    """It took too long."""


class Untrusted(Lost):
    """A server answers, but not with TLS as it was asked for: to ask again is no use."""


def _all_said(error: BaseException | None) -> str:
    """What an error and its causes say, codes included; pymilvus tells why a connection failed in its cause alone."""
    said: dict[BaseException, str] = {}
    while error is not None and error not in said:  # pymilvus raises errors from themselves
        code = getattr(error, "code", "")
        said[error] = f"{code() if callable(code) else code} {error}"
        error = error.__cause__
    return " ".join(said.values())


def _check(address: Address) -> None:
    given = address.options
    try:
        right = 0 < address.timeout < 1e6
    except ValueError:
        right = False
    if not right:
        raise UserError(f"timeout={given['timeout']} in the address; it is a number of seconds above 0")
    tls.check_options(given)
    if given.get("index", "BIN_FLAT") not in KINDS:
        raise unknown("index in the address", given["index"], KINDS)
    for name in ("nlist", "nprobe"):
        if name in given and not (given[name].isdecimal() and 0 < int(given[name]) <= 65536):
            raise UserError(f"{name}={given[name]} in the address; it is a whole number from 1 to 65536")
