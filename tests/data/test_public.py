"""Downloads from a server on this machine; the real files where LMLIB_DATA has them."""

import hashlib
import http.server
import os
import threading
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lmlib.data import public
from lmlib.data.public import (
    FILES,
    TEXTS,
    DataUnavailableError,
    PublicFile,
    fetch,
    public_documents,
    sentence_polarity,
)

MIRROR = os.environ.get("LMLIB_DATA")
needs_data = pytest.mark.skipif(
    not (MIRROR and all((Path(MIRROR) / name).is_file() for name in FILES)),
    reason="the environment variable LMLIB_DATA names no folder with the public files",
)
DATA = bytes(range(256)) * 1000


@pytest.fixture
def server():
    """Serves DATA at /data, less or more of it elsewhere; counts the requests."""
    asked = Counter()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked[self.path] += 1
            if self.path == "/missing":
                self.send_error(404)
                return
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", "ftp://localhost/data")
                self.end_headers()
                return
            body = {
                "/data": DATA,
                "/other": DATA[::-1],
                "/cut": DATA[:-1],
                "/endless": DATA * 40,
            }[self.path]
            self.send_response(200)
            if self.path == "/cut":
                self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            try:
                self.wfile.write(body)
                asked["whole " + self.path] += 1
            except OSError:
                pass

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as it:
        threading.Thread(target=it.serve_forever, args=(0.05,), daemon=True).start()
        it.asked = asked
        it.url = f"http://127.0.0.1:{it.server_port}"
        yield it
        it.shutdown()


@pytest.fixture
def table(server, tmp_path, monkeypatch):
    """A function that puts a file with these paths on the server into the table."""
    monkeypatch.setenv("LMLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("LMLIB_DATA", raising=False)
    monkeypatch.setattr(public, "_SCHEMES", ("https", "http"))

    def put(*paths):
        urls = tuple(server.url + path for path in paths)
        digest = hashlib.sha256(DATA).hexdigest()
        monkeypatch.setitem(FILES, "x.bin", PublicFile(len(DATA), digest, urls, "-"))

    return put


def test_a_download_is_verified_kept_and_not_repeated(table, server, tmp_path):
    table("/data")
    path = fetch("x.bin")
    assert path == tmp_path / "cache" / "public" / "x.bin"
    assert path.read_bytes() == DATA
    assert fetch("x.bin") == path
    assert server.asked["/data"] == 1
    path.write_bytes(DATA[:-1])
    assert fetch("x.bin").read_bytes() == DATA
    assert server.asked["/data"] == 2
    assert [p.name for p in path.parent.iterdir()] == ["x.bin"]


def test_without_a_cache_a_download_is_there_for_this_process(
    table, server, tmp_path, monkeypatch
):
    table("/data")
    monkeypatch.setattr(public, "_not_kept", {})
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "public").touch()
    path = fetch("x.bin")
    assert path.read_bytes() == DATA
    assert tmp_path not in path.parents
    assert fetch("x.bin") == path
    assert server.asked["/data"] == 1


@pytest.mark.parametrize("bad", ["/missing", "/other", "/cut", "/endless", "/to/ftp"])
def test_what_is_wrong_is_not_kept_and_the_next_address_is_tried(
    table, server, tmp_path, bad
):
    table(bad)
    with pytest.raises(DataUnavailableError) as caught:
        fetch("x.bin")
    message = str(caught.value)
    for part in (server.url + bad, "256,000 bytes", "LMLIB_DATA", "SHA-256"):
        assert part in message
    assert str(tmp_path / "cache" / "public" / "x.bin") in message
    assert not (tmp_path / "cache").exists()
    table(bad, "/data")
    assert fetch("x.bin").read_bytes() == DATA


def test_reading_stops_at_the_expected_size(table, monkeypatch):
    table("/endless")
    url = FILES["x.bin"].urls[0]
    assert len(public._download(url, 1000)) == 1001


def test_only_https(table, server, monkeypatch):
    monkeypatch.setattr(public, "_SCHEMES", ("https",))
    table("/data")
    with pytest.raises(DataUnavailableError, match="only https is allowed"):
        fetch("x.bin")
    assert not server.asked
    urls = [url for file in FILES.values() for url in file.urls]
    assert {url.partition("//")[0] for url in urls if "127" not in url} == {"https:"}


def test_without_a_server_the_error_says_what_to_do(table, tmp_path, monkeypatch):
    table("/data")
    gone = PublicFile(3, "0" * 64, ("http://127.0.0.1:9/x",), "-")
    monkeypatch.setitem(FILES, "x.bin", gone)
    with pytest.raises(DataUnavailableError, match=r"put it at .*x\.bin"):
        fetch("x.bin")
    # It also says what is wrong with what is there.
    mirror, cached = tmp_path / "mirror", tmp_path / "cache" / "public" / "x.bin"
    monkeypatch.setenv("LMLIB_DATA", str(mirror))
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"cut short")
    with pytest.raises(DataUnavailableError) as caught:
        fetch("x.bin")
    message = str(caught.value)
    assert f"{mirror}, the folder LMLIB_DATA, has no such file" in message
    assert f"{cached} has 9 bytes, expected 3" in message


def test_the_mirror_comes_first_and_must_be_right(table, server, tmp_path, monkeypatch):
    table("/data")
    monkeypatch.setenv("LMLIB_DATA", str(tmp_path / "mirror"))
    (tmp_path / "mirror").mkdir()
    assert fetch("x.bin") == tmp_path / "cache" / "public" / "x.bin"
    (tmp_path / "mirror" / "x.bin").write_bytes(DATA)
    assert fetch("x.bin") == tmp_path / "mirror" / "x.bin"
    (tmp_path / "mirror" / "x.bin").write_bytes(DATA[::-1])
    with pytest.raises(ValueError, match="LMLIB_DATA, has SHA-256"):
        fetch("x.bin")
    (tmp_path / "mirror" / "x.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="has 0 bytes, expected 256,000"):
        fetch("x.bin")


def test_an_archive_is_read_up_to_a_limit(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../bomb", b"0" * 1_000_000)
    assert public._unzip(path, "../bomb", 1_000_000) == b"0" * 1_000_000
    with pytest.raises(ValueError, match="larger than 999,999"):
        public._unzip(path, "../bomb", 999_999)
    assert list(tmp_path.parent.rglob("bomb")) == []


def test_unknown_names():
    with pytest.raises(KeyError, match="no public file"):
        fetch("y.bin")
    with pytest.raises(KeyError, match="no public text"):
        public_documents("bible")


def put_synthetic(tmp_path, monkeypatch, name, data):
    monkeypatch.setenv("LMLIB_DATA", str(tmp_path))
    (tmp_path / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    monkeypatch.setitem(FILES, name, PublicFile(len(data), digest, (), "-"))


def test_articles_begin_with_a_heading_of_the_first_level(tmp_path, monkeypatch):
    text = " \n = A = \n \n x = y = z \n = = B = = \n t \n = C = D = \n u \n"
    text += " = = = E = = = \n"
    for part in ("valid", "test"):
        put_synthetic(tmp_path, monkeypatch, f"wikitext-2-{part}.txt", text.encode())
    documents = public_documents("wikitext-2", "valid")
    assert [d.name for d in documents] == ["A", "C = D"]
    assert "".join(d.text for d in documents) == text.removeprefix(" \n")
    assert len(public_documents("wikitext-2", "all")) == 4
    with pytest.raises(ValueError, match="no training set"):
        public_documents("wikitext-2", "train")


def test_near_duplicate_reviews_stay_together(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(3000)]
    lines = [" ".join(rng.choice(words, 12)) for _ in range(200)]
    twins = [line.rsplit(" ", 1)[0] + " twin" for line in lines]
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        for ending, own in (("neg", lines), ("pos", twins)):
            name = f"sentence_polarity/rt-polarity.{ending}"
            archive.writestr(name, "\n".join(own) + " \n")
    data = (tmp_path / "z").read_bytes()
    put_synthetic(tmp_path, monkeypatch, "sentence_polarity.zip", data)
    parts = {s: sentence_polarity(s, seed=3) for s in ("train", "valid", "test")}
    seen = {s: {t[:40] for t in part.texts} for s, part in parts.items()}
    assert not seen["train"] & seen["valid"]
    assert not (seen["train"] | seen["valid"]) & seen["test"]
    assert sorted(t for part in parts.values() for t in part.texts) == sorted(
        lines + twins
    )
    assert parts["test"].labels.mean() == 0.5
    assert all(
        (label == 1) == text.endswith("twin")
        for part in parts.values()
        for text, label in zip(part.texts, part.labels, strict=True)
    )
    assert sentence_polarity("test", seed=3).texts == parts["test"].texts
    assert sentence_polarity("test", seed=4).texts != parts["test"].texts


# -- The real files -------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize("name", FILES)
def test_the_files_of_the_mirror_are_those_of_the_table(name):
    assert fetch(name).parent == Path(MIRROR).expanduser()


@needs_data
@pytest.mark.parametrize(
    ("name", "n_documents", "part"),
    [
        ("tiny-shakespeare", 1, "First Citizen:\nBefore we proceed"),
        ("wikitext-2", 122, " = Homarus gammarus = "),
        ("alice29", 12, "Down the Rabbit-Hole"),
        ("analects", 20, "子曰：“学而时习之"),
        ("tang-poems", 366, "前不見古人"),
    ],
)
def test_texts(name, n_documents, part):
    everything = public_documents(name, "all")
    assert len(everything) == n_documents
    assert any(part in d.text for d in everything)
    assert {d.source for d in everything} == {name}
    assert all(d.name for d in everything)
    splits = ("valid", "test") if name == "wikitext-2" else ("train", "valid", "test")
    parts = [public_documents(name, split) for split in splits]
    assert all(parts)
    texts = [d.text for documents in parts for d in documents]
    assert len(set(texts)) == len(texts)
    if name == "tiny-shakespeare":
        assert "".join(texts) == everything[0].text
    else:
        assert len(texts) > 0.9 * n_documents
    assert set(TEXTS) >= {name}


@needs_data
def test_reviews():
    parts = [sentence_polarity(s) for s in ("train", "valid", "test")]
    assert sum(len(part.texts) for part in parts) == 10_662
    assert sum(int(part.labels.sum()) for part in parts) == 5_331
    for part in parts:
        assert 0.45 < part.labels.mean() < 0.55
    assert 1000 < len(parts[2].texts) < 1200
    # The first line of rt-polarity.neg.
    (where,) = (
        (part, part.texts.index("simplistic , silly and tedious ."))
        for part in parts
        if "simplistic , silly and tedious ." in part.texts
    )
    assert where[0].labels[where[1]] == 0
