"""Milvus over TLS: real servers that speak it, with certificates that are made here; and who is let in, and to what."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.index import open_index
from crossbit.index.milvus.calls import TOKEN
from milvus_server import QUICK, ROOT, MilvusServer
from own_runs import ITQ
from serving import in_process
from shape_collection import make_collection, write_table
from tiny import done, runner

ASKS = (
    "import sys\nfrom crossbit.index import open_index\ntry: open_index(sys.argv[1])\nexcept Exception as e: print(e)"
)


@dataclass(frozen=True)
class Papers:
    """A folder of certificates `NAME.pem` with keys `NAME.key`, signed by `ca` or by another, `other`."""

    folder: Path

    def options(self, ca: str = "", client: str = "", key: str = "", **others: str) -> str:
        """What stands behind an address, such as `?tls=true&ca=/a/ca.pem`."""
        given = {"ca": f"{ca}.pem", "cert": f"{client}.pem", "key": f"{key or client}.key"}
        files = {name: str(self.folder / file) for name, file in given.items() if not file.startswith(".")}
        return "?" + "&".join(f"{name}={value}" for name, value in {"tls": "true", **files, **others}.items())

    def sign(
        self, name: str, *, by: str = "ca", holders: str = "IP:127.0.0.1,DNS:db.example.org", days: int = 2
    ) -> None:
        """A certificate for some hosts; with -1 day it has ended."""
        extensions = self.folder / f"{name}.txt"
        extensions.write_text(f"subjectAltName={holders}")
        self._openssl("req", "-new", *self._new_key(name), "-out", f"{name}.csr")
        self._openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial",
            "-days", str(days), "-extfile", extensions.name, "-out", f"{name}.pem",
        )  # fmt: skip

    def authority(self, name: str) -> None:
        """A certificate that signs others."""
        self._openssl("req", "-x509", *self._new_key(name), "-days", "2", "-out", f"{name}.pem")

    def lock(self, name: str) -> None:
        """A key that a password is needed for."""
        self._openssl("ec", "-in", f"{name}.key", "-aes128", "-passout", "pass:secret", "-out", "locked.key")

    def _new_key(self, name: str) -> tuple[str, ...]:
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
        return (*curve, "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key")

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    made = Papers(tmp_path_factory.mktemp("papers"))
    for authority in ("ca", "other"):
        made.authority(authority)
    for name in ("server", "client"):
        made.sign(name)
    made.sign("stranger", by="other")
    made.sign("old", days=-1)
    made.lock("client")
    (made.folder / "empty.pem").touch()
    return made


@pytest.fixture(scope="module")
def secure(milvus_here: None, papers: Papers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A server that speaks TLS, and asks for no certificate of a client."""
    with MilvusServer(tmp_path_factory.mktemp("milvus"), **settings(papers, 1)) as server:
        yield server


@pytest.fixture(scope="module")
def strict(milvus_here: None, papers: Papers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """One that wants a certificate of the client, too."""
    with MilvusServer(tmp_path_factory.mktemp("milvus"), **settings(papers, 2)) as server:
        yield server


def settings(papers: Papers, mode: int) -> dict[str, str]:
    files = {"serverPemPath": "server.pem", "serverKeyPath": "server.key", "caPemPath": "ca.pem"}
    paths = {f"tls.{name}": str(papers.folder / file) for name, file in files.items()}
    return {**QUICK, "common.security.tlsMode": str(mode), **paths}


def why(uri: str) -> str:
    """The one line that an address is refused with."""
    with pytest.raises(UserError) as error:
        open_index(uri, bits=8)
    (line,) = str(error.value).splitlines()
    assert ROOT not in line
    return line


# What works


@pytest.mark.parametrize("way", ["by its address", "by a name in the certificate", "with a certificate of the client"])
def test_an_index_over_tls_does_what_a_local_one_does(
    way: str, papers: Papers, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: MilvusServer = request.getfixturevalue("strict" if "client" in way else "secure")
    options = papers.options("ca", "client" if "client" in way else "")
    if "name" in way:
        options += "&server_name=db.example.org"
    host = "localhost" if "name" in way else "127.0.0.1"
    uri = f"{server.uri}/t{len(way)}{options}".replace("127.0.0.1", host)
    embeddings = np.random.default_rng(0).normal(size=(500, 16))
    codes = np.packbits(embeddings >= 0, axis=1)
    with open_index(uri, bits=16) as far, open_index(tmp_path / "a.index", bits=16) as local:
        for index in (far, local):
            index.add(range(500), codes, items={"size": np.arange(500) % 7}, embeddings=embeddings)
            index.remove([3, 4])
        assert far.check() == []
        for asked in ({}, {"where": "size IN (1, 2)"}, {"radius": 3}):
            assert list(far.search(codes[:9], k=20, **asked)) == list(local.search(codes[:9], k=20, **asked))
    with open_index(uri, read_only=True) as far:
        assert len(far) == 498


def test_commands_over_tls(
    secure: MilvusServer,
    papers: Papers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(TOKEN, ROOT)
    monkeypatch.chdir(tmp_path)
    command, rows = runner(capsys), make_collection(Path("mine"), 30)
    done(command, "train", "mine", "--out", "run", *ITQ)
    far = ("--uri", f"milvus://{secure.address}/mine{papers.options('ca')}")
    assert "24 image codes, 24 text codes in milvus://127.0.0.1" in done(command, "index", "run", *far)
    wrong = f"milvus://{secure.address}/mine{papers.options('other')}"
    for words in (("search", "run", "red"), ("index", "run"), ("add", "run", "mine"), ("serve", "run", "--port", "0")):
        ran = command(*words, "--uri", wrong)
        assert (ran.code, ran.out) == (2, "") and "is not trusted" in ran.errors[-1]
    write_table(Path("mine"), [row | {"caption": "a hippopotamus"} for row in rows], "csv")
    done(command, "add", "run", "mine", *far)
    assert "is whole" in done(command, "index", "run", "--check", *far)
    assert "a hippopotamus" in done(command, "search", "run", "red circle", *far)
    with in_process(Path("run"), *far) as served:
        told = served.client.get("/api/search?q=red+circle&by=codes&k=5").json()
    assert [hit["caption"] for hit in told["hits"]["image"]] == ["a hippopotamus"] * 5


# What is refused


def test_a_server_that_is_not_trusted(secure: MilvusServer, papers: Papers) -> None:
    uri = f"{secure.uri}/a"
    start = f"the certificate of Milvus at {secure.address} is not trusted: "
    end = "; `ca=FILE` in the address names the certificate that did"
    assert why(uri + papers.options("other")) == f"{start}{papers.folder}/other.pem did not sign it{end}"
    assert why(uri + papers.options()) == f"{start}no public authority signed it{end}"
    elsewhere = uri.replace("127.0.0.1", "localhost") + papers.options("ca")
    assert "is not for localhost; take a name that it holds, as the host or as `server_name=`" in why(elsewhere)
    assert "is not for db.example.com; " in why(elsewhere + "&server_name=db.example.com")


def test_who_speaks_tls_and_who_does_not(
    secure: MilvusServer, strict: MilvusServer, milvus_server: MilvusServer, papers: Papers
) -> None:
    assert why(f"{milvus_server.uri}/a{papers.options('ca')}") == (
        f"what answers at {milvus_server.address} speaks no TLS; leave tls=true out of the address, or mend the port"
    )
    for server in (secure, strict):
        assert why(f"{server.uri}/a") == (
            f"no Milvus server answers at {server.address}; start it, or mend the address; "
            "one that wants TLS needs `?tls=true`"
        )


def test_a_server_that_wants_to_know_its_clients(strict: MilvusServer, papers: Papers) -> None:
    uri = f"{strict.uri}/a"
    without, stranger = why(uri + papers.options("ca")), why(uri + papers.options("ca", "stranger"))
    assert without.endswith("; one that asks for a client's certificate needs `cert=` and `key=`")
    assert stranger.endswith(f"; or it does not take the certificate {papers.folder}/stranger.pem")


def test_a_password_over_tls(secure: MilvusServer, papers: Papers, monkeypatch: pytest.MonkeyPatch) -> None:
    options = papers.options("ca")
    for user in ("", "root:wrong@"):
        assert "refuses the user or the password" in why(f"milvus://{user}{secure.address}/a{options}")
    monkeypatch.setenv(TOKEN, ROOT)
    with open_index(f"milvus://{secure.address}/a{options}", bits=8) as index:
        assert len(index) == 0


def test_a_user_who_may_not_do_all(milvus_server: MilvusServer, milvus_uri: Callable[[], str]) -> None:
    """The privileges that docs/milvus.md names are enough, and each is asked for."""
    from pymilvus import MilvusClient

    client, one = MilvusClient(f"http://{milvus_server.address}", token=ROOT), np.array([[1]], np.uint8)
    client.create_user("someone", "Passw0rd")
    client.create_role("part")
    client.grant_role("someone", "part")
    theirs, other = milvus_uri(), milvus_uri()
    with open_index(theirs, bits=8) as index:
        index.add([1], one)
    theirs, other = (uri.replace(ROOT, "someone:Passw0rd") for uri in (theirs, other))

    def may(*privileges: str) -> None:
        for name in privileges:
            client.grant_privilege("part", "Global" if name == "CreateCollection" else "Collection", name, "*")

    def add(uri: str) -> None:
        with open_index(uri, bits=8) as index:
            index.add([2], one, items=[{"size": 1}])
            index.remove([2])

    try:
        assert why(theirs) == (
            f"Milvus at {milvus_server.address} does not let this user get load state; "
            "grant the privilege Load, or take another user"
        )
        may("Load", "Query", "Search")
        with open_index(theirs, read_only=True) as index:
            assert index.search(one[0])[0] == [(1, 0, {})]
        with pytest.raises(UserError, match="grant the privilege CreateCollection"):
            add(theirs)
        may("CreateCollection", "Upsert", "Delete")
        add(theirs)
        with pytest.raises(UserError, match="grant the privilege CreateIndex"):
            add(other)
        may("CreateIndex")
        add(other)
    finally:
        client.close()


@contextmanager
def answering(papers: Papers, certificate: str, alpn: str) -> Iterator[str]:
    """The address of a server that greets with a certificate, and says no more."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(papers.folder / f"{certificate}.pem", papers.folder / f"{certificate}.key")
    context.set_alpn_protocols([alpn])
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            while True:
                with suppress(OSError), listening.accept()[0] as taken, context.wrap_socket(taken, server_side=True):
                    continue
                if listening.fileno() < 0:
                    return

        thread = threading.Thread(target=greet)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def test_a_certificate_that_has_ended_and_a_proxy_without_http2(
    need: Callable[[str], ModuleType], papers: Papers
) -> None:
    need("pymilvus")
    with answering(papers, "old", "h2") as address:
        said = why(f"milvus://{address}/a{papers.options('ca', timeout='5')}")
        assert said.endswith("is not trusted: certificate has expired; the server needs another one")
    with answering(papers, "server", "http/1.1") as address:
        said = why(f"milvus://{address}/a{papers.options('ca', timeout='5')}")
        assert "speaks TLS without HTTP/2; " in said


@pytest.mark.parametrize("options", ["?tls=true&timeout=0.5", "?timeout=0.5"])
def test_what_never_answers_is_given_up(need: Callable[[str], ModuleType], options: str) -> None:
    need("pymilvus")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        said = why(f"milvus://{address}/a{options}")
    assert said == f"Milvus at {address} did not connect within 0.5 s; start it, or mend the address"


def test_files_that_are_not_what_they_should_be(need: Callable[[str], ModuleType], papers: Papers) -> None:
    need("pymilvus")
    at, files = "milvus://127.0.0.1:1/a", papers.folder
    for ca, words in (
        ("missing", "missing.pem in the address cannot be read: No such file or directory"),
        ("empty", "empty.pem in the address holds no certificate in PEM"),
    ):
        assert words in why(at + papers.options(ca))
    assert f"ca={files} in the address cannot be read: Is a directory" in why(f"{at}?tls=true&ca={files}")
    assert "ca= in the address cannot be read" in why(f"{at}?tls=true&ca=")
    for client, key in (("client", "server"), ("client", "locked"), ("empty", "client")):
        said = why(at + papers.options("ca", client, key))
        assert (
            f"cert={files}/{client}.pem and key={files}/{key}.key in the address are no certificate and its key" in said
        )
    assert "no Milvus server answers" in why(at + papers.options("ca", "client"))  # these are as they should be


def test_nothing_is_printed_beside_the_one_line(secure: MilvusServer, papers: Papers) -> None:
    """gRPC would tell the terminal of each handshake that fails."""
    uri = f"{secure.uri}/a{papers.options('other')}"
    ran = subprocess.run([sys.executable, "-c", ASKS, uri], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    assert ran.stdout.startswith("the certificate of Milvus at ")
