"""The page of `crossbit export --web`, sent by a plain file server, and its arithmetic in a browser's JavaScript."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbit
from browsing import Service, look_in_all_forms
from crossbit.cli import main
from crossbit.export import export_run
from crossbit.features.words import WordsFeaturiser
from crossbit.model.integer import read_integer, write_integer
from crossbit.search.searcher import open_for_one
from crossbit.storage.words import words_of
from integers import encoder_of, hard_rows
from tiny import TRAIN, arrays

pytestmark = pytest.mark.slow
EXPECTED = "ERR_INTERNET_DISCONNECTED"  # pictures, where a test takes the network away
CODES = """async ([encoder, features]) => {
  const { readInteger } = await import("./integer.js");
  const bytes = async (name) => (await fetch(name)).arrayBuffer();
  const made = readInteger(await bytes(encoder)).encode(new Float32Array(await bytes(features)));
  return Array.from(made);
}"""
WORDS = """async (texts) => {
  const { WordFeatures } = await import("./words.js");
  const bytes = async (name) => (await fetch(name)).arrayBuffer();
  const told = await (await fetch("features.json")).json();
  const made = new WordFeatures(told, await bytes("weights.bin"), (number) => bytes(`rare/${number}.bin`));
  const found = [];
  for (const text of texts) {
    const row = await made.features(text);
    const values = [...row.entries()].filter(([, value]) => value !== 0);
    found.push([made.characters.wordsOf(text), values, made.heard(text).any]);
  }
  return found;
}"""
TEXTS = [
    "A red circle, and a RED circle again; red",
    "Straße STRASSE ﬁne ＯＡＫ İstanbul ISTANBUL ıi ΌΣΟΣ ς",
    "हिन्दी मराठी, 3.14 km 1,000.5 a.b 🍕 🇩🇪🇫🇷 👩‍👩‍👧 ©x",
    "東京の北京,東京タワー ไทยแลนด์ ខ្មែរ 한국어 e\u0301 é zero\u200bwidth soft\u00adhyphen",
    "tabs\tand\u00a0spaces\u2003of\u3000all\u2028kinds\x85here ǆ ŉ ẞ ᾳ ꭰ",
    "rhombus zebu zebu circle",
]


@contextmanager
def sent(folder: Path) -> Iterator[str]:
    """The address of a folder's files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def opened(browser: Any, address: str) -> Iterator[Any]:
    """A window at an address, in which nothing may go wrong."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=address)
    context.set_default_timeout(20_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.goto(address)
    yield page
    context.close()
    assert [one for one in wrong if EXPECTED not in one] == []


@pytest.fixture(scope="session")
def taken(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "taken"
    export_run(service.run, folder, web=True)
    return folder


@pytest.fixture
def static(taken: Path, browser: Any) -> Iterator[Any]:
    with sent(taken / "web") as address, opened(browser, address) as page:
        page.locator("#results[aria-busy='false']").wait_for()
        yield page


def expected(taken: Path, code: np.ndarray, k: int, without: int = -1) -> list[str]:
    """Ids of the nearest things by Python's index, by (distance, id), one hit a thing."""
    with open_for_one(taken) as search:
        index = search.opened("image")
        keys, lowest = index.lowest
        thing = dict(zip(keys.tolist(), lowest.tolist(), strict=True))
        order = index.index.search(code[None], k=len(keys)).ids[0].tolist()
    seen = {thing[without]} if without >= 0 else set()
    kept = [id_ for id_ in order if not (thing[id_] in seen or seen.add(thing[id_]))]  # type: ignore[func-returns-value]
    return [str(id_) for id_ in kept[:k]]


def code_of(taken: Path, words: str) -> np.ndarray:
    features = crossbit.load_model(taken).featurisers["text"].transform([words])
    return read_integer(taken / "text.integer.safetensors")(features)[0]


def ids(page: Any) -> list[str]:
    found: list[str] = page.locator(".hit").evaluate_all("all => all.map(one => one.dataset.id)")
    return found


def type_words(page: Any, words: str) -> None:
    page.fill("#words", words)
    page.locator("#status", has_text="items, by their codes").wait_for()


def test_the_same_hits_as_python(static: Any, taken: Path) -> None:
    for words in ("red circle", "A BLUE square!", "green triangle, a zebu, a quokka"):
        type_words(static, words)
        static.locator(".hit").first.wait_for()
        assert ids(static) == expected(taken, code_of(taken, words), 24)
    assert "“zebu”, “quokka” are not words that this model knows" in static.locator("#notes").inner_text()
    shown = len(ids(static))
    static.get_by_role("button", name="Show more").click()
    static.wait_for_timeout(300)
    assert (
        ids(static) == expected(taken, code_of(taken, "green triangle, a zebu, a quokka"), 48)
        and len(ids(static)) > shown
    )


def test_more_like_a_hit_and_back(static: Any, taken: Path) -> None:
    type_words(static, "red circle")
    chosen = ids(static)[0]
    static.get_by_role("button", name="More like this").first.click()
    static.locator("#status", has_text="items to").wait_for()
    with open_for_one(taken) as search:
        code, _ = search.opened("image").index[int(chosen)]
    assert ids(static) == expected(taken, code, 24, int(chosen)) and f"item={chosen}" in static.url
    static.go_back()
    static.locator("#status", has_text="items, by their codes").wait_for()
    assert static.input_value("#words") == "red circle" and ids(static)[0] == chosen


def test_it_needs_no_network_once_it_is_there(static: Any, taken: Path) -> None:
    static.context.set_offline(True)
    type_words(static, "blue circle")
    assert ids(static) == expected(taken, code_of(taken, "blue circle"), 24)


def test_nothing_is_asked_of_others_and_no_script_stands_in_the_page(taken: Path) -> None:
    text = (taken / "web" / "index.html").read_text()
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in text
    assert "<style" not in text and text.count("<script") == text.count("<script src=") + text.count(
        '<script type="module" src='
    )
    for file in (taken / "web").rglob("*"):
        if file.suffix in (".js", ".html", ".css", ".json"):
            told = file.read_text()
            assert str(taken.parent) not in told and "http://" not in told.replace("http://www.w3.org/2000/svg", "")
            assert "https://" not in told


def test_unknown_words_and_an_empty_field(static: Any) -> None:
    assert "Some of" in static.locator("#status").inner_text() and ids(static)
    static.fill("#words", "qqqq")
    static.locator("#status", has_text="This model knows no word of that").wait_for()
    assert ids(static) == []
    static.get_by_role("button", name="Clear the search").click()
    static.locator("#status", has_text="Some of").wait_for()
    assert static.evaluate("document.activeElement.id") == "words"


def test_it_is_accessible_in_all_forms(static: Any, need: Any, shots: Path) -> None:
    axe = need("axe_playwright_python.sync_playwright").Axe()
    type_words(static, "red circle")
    static.locator(".hit img").first.wait_for()
    look_in_all_forms(static, axe, shots, "static")


def test_words_and_features_are_pythons_to_the_bit(static: Any, taken: Path) -> None:
    featuriser: Any = crossbit.load_model(taken).featurisers["text"]
    rng = np.random.default_rng(0)
    old = unicodedata.ucd_3_2_0  # characters that any Python and any browser know
    known = [chr(code) for code in range(32, 0x30000) if old.category(chr(code)) not in ("Cn", "Cs", "Co")]
    drawn = ["".join(rng.choice(known, 40)) + " red circle" for _ in range(300)]
    mixed = [" ".join(rng.choice([*TEXTS[0].split(), "circle", "zebu", "blue"], 9)) for _ in range(100)]
    often = ["red " + "circle " * times for times in range(1, 100)]  # logarithms
    held = [*TEXTS, *drawn, *mixed, *often, *featuriser.company.words[:50]]
    found = static.evaluate(WORDS, held)
    rows = featuriser.transform(held)
    for text, row, (words, values, known_any) in zip(held, rows, found, strict=True):
        assert words == words_of(text), text
        made = np.zeros(len(row), np.float32)
        for column, value in values:
            made[column] = value
        assert np.array_equal(made, row), text
        assert known_any == featuriser.knows(text)


def test_rare_words_bring_the_same_features(browser: Any, tmp_path: Path) -> None:
    from crossbit.export.web import SHARD, _write_words

    rng = np.random.default_rng(1)
    names = [f"w{number}" for number in range(4000)] + ["北京", "東京", "tower"]
    texts = [" ".join(rng.choice(names[:40], 3).tolist() + rng.choice(names, 2).tolist()) for _ in range(1200)]
    featuriser = WordsFeaturiser.fit(texts)
    assert featuriser.company is not None and len(featuriser.company.words) > SHARD  # more than a file of them
    _write_words(featuriser, tmp_path)
    (tmp_path / "words.js").write_bytes((files("crossbit") / "export" / "page" / "words.js").read_bytes())
    (tmp_path / "index.html").write_text("<link rel='icon' href='data:,'>")
    with sent(tmp_path) as address, opened(browser, address) as page:
        found = page.evaluate(WORDS, texts[:300])
    for row, (_, values, _) in zip(featuriser.transform(texts[:300]), found, strict=True):
        assert [(column, value) for column, value in values] == [(int(c), float(row[c])) for c in np.flatnonzero(row)]


@pytest.mark.parametrize(("method", "modality"), [("ssah", "image"), ("ssah", "text"), ("look", "image")])
def test_javascript_gives_the_same_bytes(browser: Any, tmp_path: Path, method: str, modality: str) -> None:
    encoder, _, rows, _ = encoder_of(method, modality)
    hard = hard_rows(rows)
    write_integer(encoder, tmp_path / "x.safetensors")
    (tmp_path / "x.bin").write_bytes(hard.tobytes())
    (tmp_path / "integer.js").write_bytes((files("crossbit") / "export" / "page" / "integer.js").read_bytes())
    (tmp_path / "index.html").write_text("<link rel='icon' href='data:,'>")
    with sent(tmp_path) as address, opened(browser, address) as page:
        made = page.evaluate(CODES, ["x.safetensors", "x.bin"])
    assert np.array_equal(np.array(made, np.uint8).reshape(len(hard), -1), encoder(hard))


def test_vectors_are_searched_by_numbers(browser: Any, tmp_path: Path) -> None:
    held = arrays()
    rng = np.random.default_rng(2)
    vectors = (rng.standard_normal((len(held["label"]), 12)) * 9 + 5).astype(np.float32)
    np.savez(tmp_path / "pairs.npz", **{**held, "image": vectors, "text": vectors[:, :7] * 2})
    run, taken = tmp_path / "run", tmp_path / "taken"
    assert main(["train", str(tmp_path / "pairs.npz"), "--out", str(run), *TRAIN]) == 0
    assert main(["index", str(run)]) == 0
    export_run(run, taken, web=True)
    query = (vectors[3, :7] * 2).astype(float).tolist()
    features = crossbit.load_model(taken).featurisers["text"].transform(np.array([query]))
    code = read_integer(taken / "text.integer.safetensors")(features)[0]
    with sent(taken / "web") as address, opened(browser, address) as page:
        page.locator("#results[aria-busy='false']").wait_for()
        page.fill("#words", "1, 2")
        page.locator("#status", has_text="2 numbers were given; a vector has 7").wait_for()
        page.fill("#words", "[" + ", ".join(map(repr, query)) + "]")
        page.locator("#status", has_text="items, by their codes").wait_for()
        assert ids(page) == expected(taken, code, 24)
