"""Known attacks: none reads a file, tells of this machine, fills the memory, or writes without the token."""

from __future__ import annotations

import asyncio
import io
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from crossbit.cli import main
from crossbit.errors import UserError
from crossbit.serve import Settings
from crossbit.serve.bodies import Bodies
from serving import TOKEN, WRITER, error_of, opened, picture

pytestmark = pytest.mark.slow

UPWARDS = [
    "../" * 8 + "etc/passwd",
    "..%2f" * 8 + "etc%2fpasswd",
    "%2e%2e/" * 8 + "etc/passwd",
    "%252e%252e%252f" * 8 + "etc%252fpasswd",
    "..%5c" * 8 + "etc%5cpasswd",
    "....//" * 8 + "etc/passwd",
    "%c0%ae%c0%ae/" * 8 + "etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "file:///etc/passwd",
    "index.html%00.js",
    "style.css/../../app.py",
    "~root/.bashrc",
    ".",
    "",
]
FILTERS = [
    "1=1; DROP TABLE items",
    "1=1) UNION SELECT * FROM items --",
    "id IN (SELECT id FROM items)",
    "EXISTS (SELECT * FROM read_csv('/etc/passwd'))",
    "read_text('/etc/passwd') = 'x'",
    "getenv('HOME') = 'x'",
    "length(repeat('x', 1000000000)) > 1",
    "caption SIMILAR TO '(a+)+b'",
    "pragma_version() = 1",
    "current_setting('threads') = '1'",
    "\x00",
    "(" * 5000 + "1" + ")" * 5000,
    "x" * 10_001,
]
WORDS = [
    "\x00",
    "red\x00circle",
    "\u202ered\u202c",
    "\ufdfa" * 400,
    "e" + "\u0301" * 1900,
    "\U000e0041" * 500,
    "\ud7ff\U0010ffff",
    "%ff%fe",
    "{{7*7}}${7*7}<script>alert(1)</script>",
    "' OR 1=1 --",
    "\r\nSet-Cookie: a=b",
    "١٢٣ ߀߁ 𝟘𝟙",
]


@pytest.mark.parametrize("path", UPWARDS)
@pytest.mark.parametrize("before", ["/static/", "/api/items/", "/"])
def test_no_path_reaches_a_file(client: TestClient, before: str, path: str) -> None:
    for address in (before + path, f"{before}{path}/picture", f"{before}{path}/thumbnail"):
        answer = client.get(address)
        known = answer.request.url.path == "/" or answer.request.url.path in ("/audit", "/run")
        assert answer.status_code in (400, 404, 405) or known, address
        assert (b"root:" not in answer.content and b"import" not in answer.content) or known


@pytest.mark.parametrize("where", FILTERS)
def test_filters_reach_nothing_but_items(client: TestClient, where: str) -> None:
    answer = client.get("/api/search", params={"q": "red", "where": where})
    assert answer.status_code == 400 and "/etc" not in error_of(answer).replace(where, "")


@pytest.mark.parametrize("words", WORDS)
def test_odd_characters_are_words_or_a_mistake(client: TestClient, words: str) -> None:
    for answer in (
        client.get("/api/search", params={"q": words}),
        client.post("/api/search", data={"q": words, "by": words, "item": words}),
        client.get("/api/search", params={"q": "red", "by": words, "modality": words}),
    ):
        assert answer.status_code in (200, 400), answer.text
        assert "set-cookie" not in answer.headers and answer.headers["content-type"] == "application/json"


def test_a_lone_surrogate_and_broken_utf8_are_answered(client: TestClient) -> None:
    for query in ("%ed%a0%80", "%ff%fe%00", "%f5%80%80%80", "%"):
        assert client.get(f"/api/search?q={query}").status_code in (200, 400)


def bomb(side: int) -> bytes:
    """A small PNG whose header says that it has many pixels."""
    row = zlib.compress(b"\0" * (1 + 3 * side), 9)

    def chunk(kind: bytes, held: bytes) -> bytes:
        return len(held).to_bytes(4, "big") + kind + held + zlib.crc32(kind + held).to_bytes(4, "big")

    size = side.to_bytes(4, "big") * 2
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\x02\0\0\0") + chunk(b"IDAT", row) + chunk(b"IEND", b"")


def test_pictures_with_too_many_pixels_or_bytes_and_no_pictures(client: TestClient) -> None:
    huge = io.BytesIO()
    Image.fromarray(np.zeros((8000, 8000), np.uint8)).save(huge, "PNG")
    cases = [
        (bomb(60_000), 413, "pixels"),
        (huge.getvalue(), 413, "pixels"),
        (b"\0" * 20_000_001, 413, "bytes"),
        (b"", 415, "empty"),
        (b"GIF89a", 415, "picture"),
        (picture()[:-40], 415, "damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", 415, "picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run", 415, "picture"),
    ]
    for sent, status, said in cases:
        answer = client.post("/api/search", files={"picture": ("../../x.png", sent, "image/png")})
        assert (answer.status_code, said in error_of(answer)) == (status, True), (sent[:20], answer.text)


MULTIPART = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\nred\r\n'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", PART + b"--b--"),  # no boundary
        ("multipart/form-data; boundary=" + "x" * 5000, PART),
        (MULTIPART, b""),
        (MULTIPART, b"--b"),
        (MULTIPART, b"no part at all"),
        (MULTIPART, PART),  # never ends
        (MULTIPART, b"--b\r\n\r\nno name\r\n--b--"),
        (MULTIPART, b"--b\r\n" + b"X: y\r\n" * 20_000 + b"\r\n\r\n--b--"),
        (MULTIPART, PART * 2_000 + b"--b--"),
        (MULTIPART, b'--b\r\nContent-Disposition: form-data; name="picture"; filename="\xff\x00"\r\n\r\n\xff\r\n--b--'),
        ("application/json", b'{"q": "red"}'),
        ("application/json", b"[" * 500_000),
        ("application/x-www-form-urlencoded", b"q=" + b"%" * 900_000),
        ("text/plain", b"red"),
        ("\xff", b"red"),
    ],
)
def test_malformed_bodies_are_a_mistake(client: TestClient, kind: str, body: bytes) -> None:
    for address in ("/api/search", "/api/items"):
        answer = client.post(address, content=body, headers={**WRITER, "Content-Type": kind.encode("latin-1")})
        assert 400 <= answer.status_code < 500, answer.text
        error_of(answer)


def test_large_bodies_are_refused_by_what_they_say_or_hold(client: TestClient) -> None:
    assert client.post("/api/search", headers={"Content-Length": "99999999999"}).status_code == 413
    for kind, size in (("application/json", 1_000_001), (MULTIPART, 20_000_001)):
        parts = (b"x" * 100_000 for _ in range(size // 100_000 + 1))  # its length is not told before
        answer = client.post("/api/search", content=parts, headers={"Content-Type": kind})
        assert answer.status_code == 413 and "more than" in error_of(answer)


def test_a_body_that_breaks_off_is_not_worked_on() -> None:
    sent, worked = [], []
    parts = [{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        worked.append(await receive())

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    bodies = Bodies(app, Settings())
    with ThreadPoolExecutor(1) as other:  # where no loop runs, as a browser's may do here
        other.submit(asyncio.run, bodies({"type": "http", "headers": []}, receive, send)).result()
    assert (sent, worked, bodies.held) == ([], [], 0)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "localhost@evil.example"]
)
def test_another_hosts_name_is_refused(client: TestClient, host: str) -> None:
    for address in ("/", "/api/search?q=red", "/static/style.css", "/metrics"):
        assert client.get(address, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_this_machines_names_are_known(client: TestClient, host: str) -> None:
    assert client.get("/readyz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_cannot_write(run: Path, headers: dict[str, str]) -> None:
    with opened(run) as client:
        for sent in (
            client.post("/api/items", headers=headers | WRITER),
            client.delete("/api/items/1", headers=headers),
        ):
            assert sent.status_code == 403 and "another site" in error_of(sent)


def test_its_own_pages_can(client: TestClient) -> None:
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/search", data={"q": "red"}, headers=own).status_code == 200


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xff"])
def test_who_has_not_the_token_cannot_write(client: TestClient, sent: str) -> None:
    headers = {"Authorization": sent.encode("latin-1")}
    for answer in (
        client.post("/api/items", files={"picture": picture()}, data={"caption": "red"}, headers=headers),
        client.delete("/api/items/1", headers=headers),
    ):
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in error_of(answer)


def test_without_a_token_nobody_writes_and_only_this_machine_is_served(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(run, token=None) as client:
        answer = client.delete("/api/items/1", headers={"Authorization": "Bearer None"})
        assert answer.status_code == 401 and "--token-file" in error_of(answer)
    for told in ({"host": "0.0.0.0"}, {"host": "::"}, {"public": "example.org"}, {"host": "10.0.0.1"}):
        with pytest.raises(UserError, match="a token is needed"):
            Settings(**told)  # type: ignore[arg-type]
    assert main(["serve", str(run), "--host", "0.0.0.0"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_every_answer_tells_browsers_to_be_strict(client: TestClient) -> None:
    for address in ("/", "/nothing", "/api/search?q=red", "/api/search", "/static/style.css", "/healthz"):
        headers = client.get(address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers and "access-control-allow-origin" not in headers


def test_pages_hold_no_inline_script_or_style(client: TestClient) -> None:
    for address in ("/", "/run"):
        page = client.get(address).text
        assert "<style" not in page and " style=" not in page and " on" + "click=" not in page
        assert page.count("<script") == page.count('<script type="module" src="/static/') + page.count(
            '<script src="/static/'
        )


def test_a_mistake_of_ours_tells_nothing_of_this_machine(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise RuntimeError("a secret of /home/me")

    monkeypatch.setattr("crossbit.serve.search_routes.searched", broken)
    answer = client.get("/api/search?q=red")
    assert answer.status_code == 500 and "secret" not in error_of(answer)
    assert json.loads(client.get("/openapi.json").text)["openapi"]
