"""Slow clients, too many clients, and requests drawn at random from the service's own description."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from serving import TOKEN, WRITER, Served, in_process

pytestmark = pytest.mark.slow

AS_DESCRIBED = [
    status_code_conformance,  # 500 is none that is described, 503 is
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DRAWN = int(os.environ.get("CROSSBIT_DRAWN", "30"))  # requests for each address
HEAD = b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
SLOWLY = [  # what is sent at once, and what then comes byte by byte
    (b"", b"GET /api/search?q=red HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 10_000),
    (HEAD + b"Content-Length: 1000\r\n\r\n", b"x" * 1000),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"G" * 1000),
    (b"POST /api/search HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000),
]


def dripping(port: int, at_once: bytes, then: bytes, ended: list[bytes]) -> None:
    """Send byte by byte until the other side closes; what it said meanwhile."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(at_once)
            connection.settimeout(0.1)
            for byte in then:
                connection.sendall(bytes([byte]))
                try:
                    if not (part := connection.recv(4096)):
                        break
                    said += part
                except TimeoutError:
                    pass
            else:
                said = b"never closed"
        except (ConnectionError, BrokenPipeError):
            pass
    ended.append(said)


def test_slow_clients_are_cut_off_and_delay_nobody(run: Path) -> None:
    with in_process(run, settings={"request_seconds": 1.0}) as served:
        ended: list[bytes] = []
        slow = [threading.Thread(target=dripping, args=(served.port, *sent, ended)) for sent in SLOWLY * 3]
        for thread in slow:
            thread.start()
        answered = 0
        while any(thread.is_alive() for thread in slow):
            assert served.client.get("/api/search?q=red").status_code == 200
            answered += 1
        assert answered > 10 and len(ended) == len(slow)
        told = Counter(said.split(b" ")[1] if said else b"closed" for said in ended)
        assert told == {b"408": 6, b"closed": 3, b"200": 3, b"403": 3}
        assert b"never closed" not in ended


def test_who_does_not_read_the_answers_is_cut_off(run: Path) -> None:
    with in_process(run, settings={"request_seconds": 1.0}) as served, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", served.port))
        connection.setblocking(False)
        ask = b"GET /static/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
        end, asked = time.monotonic() + 30, True
        while asked and time.monotonic() < end:  # answers fill what the system holds, then the service waits
            try:
                connection.send(ask * 10)
            except BlockingIOError:
                time.sleep(0.1)
            except ConnectionError:
                asked = False
        assert not asked
        assert served.client.get("/healthz").status_code == 200


def test_who_sends_too_much_reads_why(run: Path) -> None:
    with (
        in_process(run, settings={"token": TOKEN}) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection,
    ):
        connection.sendall(HEAD + b"Content-Length: 30000000\r\n\r\n" + b"x" * 30_000_000)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 413 ") and b"more than 20,000,000 bytes" in answer


@pytest.mark.parametrize(
    "sent",
    [
        b"GET\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_told_in_our_form(served: Served, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        connection.sendall(sent)
        answer = connection.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") and b"x-content-type-options: nosniff" in head
    assert list(json.loads(body)) == ["error"] and b"\n" not in body


@pytest.fixture(scope="module")
def served(trained: Path) -> Iterator[Served]:
    """A service that is not changed, in a process of its own."""
    with in_process(trained, settings={"token": TOKEN}) as served:
        yield served


def test_more_connections_than_allowed_are_closed(run: Path) -> None:
    with in_process(run, settings={"connections": 8, "request_seconds": 1.0}) as served:
        held = [socket.create_connection(("127.0.0.1", served.port), timeout=30) for _ in range(8)]
        with pytest.raises(httpx.TransportError):
            served.client.get("/healthz")
        for connection in held:
            connection.close()
        time.sleep(0.2)
        assert served.client.get("/healthz").status_code == 200


def test_ten_times_what_it_can_take_is_shed_and_none_hangs(run: Path) -> None:
    with in_process(run, settings={"concurrent": 1, "queued": 2}) as served:
        statuses: Counter[int] = Counter()

        def ask() -> None:
            with httpx.Client(base_url=served.address, timeout=30) as client:
                for _ in range(20):
                    statuses[client.get("/api/search?q=red").status_code] += 1

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses.keys() == {200, 429} and statuses.total() == 240
        assert served.client.get("/api/search?q=red").status_code == 200


@pytest.mark.filterwarnings("ignore")
def test_requests_drawn_from_its_description_are_answered_as_it_says(run: Path) -> None:
    with in_process(run, settings={"token": TOKEN}) as served:
        schema = schemathesis.openapi.from_url(f"{served.address}openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()

            @settings(max_examples=DRAWN, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
            @given(operation.as_strategy())
            def check(case: Case) -> None:
                answer = case.call(headers=WRITER)
                case.validate_response(answer, checks=AS_DESCRIBED)

            check()


def test_no_answer_is_described_that_is_never_given(client: TestClient) -> None:
    told = client.get("/openapi.json").json()
    assert not [each for path in told["paths"].values() for each in path.values() if "422" in each["responses"]]
