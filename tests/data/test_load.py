"""From texts to a corpus and through the cache."""

import numpy as np
import pytest

from lmlib.data import load
from lmlib.data.corpus import Corpus
from lmlib.data.documents import Document
from lmlib.data.load import encode_documents, load_corpus, load_documents
from lmlib.data.tokenizers import ByteTokenizer, train_bpe, train_wordpiece

DOCUMENTS = [
    Document("One sentence. And two!\n\nA third, in a paragraph of its own."),
    Document(" \n\t "),
    Document("學而時習之。不亦說乎？ Yes."),
    Document("\u200b"),
]
TEXTS = [d.text for d in DOCUMENTS]
WORDS = [
    "north",
    "south",
    "east",
    "west",
    "up",
    "down",
    "left",
    "right",
    "red",
    "blue",
    "green",
    "one",
    "two",
    "six",
]


@pytest.fixture(scope="module")
def bpe():
    return train_bpe(TEXTS * 3, 270)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LMLIB_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    (tmp_path / "texts").mkdir()
    for i in range(60):
        text = " ".join(rng.choice(WORDS, 30)) + ".\n"
        (tmp_path / "texts" / f"{i:02}.txt").write_text(text)
    return tmp_path / "texts"


def test_bytes_of_all_documents_are_there():
    corpus = encode_documents(DOCUMENTS, ByteTokenizer())
    assert bytes(corpus.tokens.tolist()) == "".join(TEXTS).encode()
    assert corpus.n_bytes == len(corpus.tokens)
    assert len(corpus.documents) == 5
    texts = [
        bytes(corpus.sentence(i).tolist()).decode()
        for i in range(len(corpus.sentences) - 1)
    ]
    assert texts[:3] == [
        "One sentence.",
        " And two!",
        "\n\nA third, in a paragraph of its own.",
    ]
    assert corpus.documents.tolist() == [0, 3, 4, 7, 8]


def test_sentences_do_not_change_the_tokens_of_byte_level_bpe(bpe):
    corpus = encode_documents(DOCUMENTS, bpe)
    whole = [bpe.encode(text) for text in TEXTS]
    assert corpus.tokens.tolist() == np.concatenate(whole).tolist()
    assert corpus.n_bytes == len("".join(TEXTS).encode())
    assert np.diff(corpus.document_tokens()).tolist() == [len(w) for w in whole]


def test_documents_without_tokens_are_left_out():
    wordpiece = train_wordpiece(TEXTS, 80)
    corpus = encode_documents(DOCUMENTS, wordpiece)
    assert len(corpus.documents) - 1 == 2
    assert corpus.n_bytes == len((TEXTS[0] + TEXTS[2]).encode())
    assert corpus.tokens.tolist() == [
        *wordpiece.encode(TEXTS[0]),
        *wordpiece.encode(TEXTS[2]),
    ]
    with pytest.raises(ValueError, match="2 documents hold no token"):
        encode_documents([DOCUMENTS[1], DOCUMENTS[3]], wordpiece)


def test_texts_without_a_character_are_left_out():
    documents = [Document(""), Document("a"), Document("")]
    assert encode_documents(documents, ByteTokenizer()).tokens.tolist() == [97]
    for nothing in ([], [Document("")]):
        with pytest.raises(ValueError, match=f"{len(nothing)} documents hold no token"):
            encode_documents(nothing, ByteTokenizer())


def test_encoding_in_groups_changes_nothing(bpe, monkeypatch):
    at_once = encode_documents(DOCUMENTS * 5, bpe)
    monkeypatch.setattr(load, "_AT_ONCE", 70)
    assert same(encode_documents(DOCUMENTS * 5, bpe), at_once)


def same(one: Corpus, two: Corpus) -> bool:
    names = ("tokens", "sentences", "documents", "word_starts")
    return one.n_bytes == two.n_bytes and all(
        np.array_equal(getattr(one, n), getattr(two, n)) for n in names
    )


def test_the_cache_follows_texts_and_tokenizer(folder, bpe, monkeypatch):
    first = load_corpus(folder, bpe)
    with monkeypatch.context() as patch:
        patch.setattr(load, "encode_documents", None)
        assert same(load_corpus(folder, bpe), first)
    (file,) = (folder.parent / "cache" / "corpora").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    assert same(load_corpus(folder, bpe), first)
    # Another tokenizer of the same size, other texts, another split: all anew.
    stale = train_bpe(WORDS * 3, 270)
    assert stale.size == bpe.size
    assert not same(load_corpus(folder, stale), first)
    assert same(load_corpus(folder, stale), load_corpus(folder, stale, cache=False))
    assert not same(load_corpus(folder, bpe, "test"), first)
    for name in load_documents(folder, "train")[:1]:
        (folder / name.name).write_text("changed")
    assert not same(load_corpus(folder, bpe), first)


def test_without_a_cache_it_goes_on(folder, monkeypatch):
    expected = load_corpus(folder, ByteTokenizer())
    (folder.parent / "file").touch()
    monkeypatch.setenv("LMLIB_CACHE", str(folder.parent / "file" / "cache"))
    assert same(load_corpus(folder, ByteTokenizer()), expected)


def test_splits_of_a_folder_are_its_documents(folder):
    parts = [load_documents(folder, s) for s in ("train", "valid", "test")]
    assert sum(map(len, parts)) == 60 == len(load_documents(folder, "all"))
    assert min(map(len, parts)) >= 2
    assert len({d.name for part in parts for d in part}) == 60


def test_one_file_is_split_by_blocks(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(f"block {i}" for i in range(50)))
    assert len(load_documents(path, "all", unit="block")) == 50
    assert load_documents(path, "test", unit="block")


@pytest.mark.parametrize("between", ["\n\n", "\n", "\r\n"])
def test_one_file_is_cut_at_its_lines(tmp_path, between):
    path = tmp_path / "a.txt"
    path.write_bytes(between.join(f"line {i}" for i in range(200)).encode())
    parts = [load_documents(path, s) for s in ("train", "valid", "test")]
    (whole,) = load_documents(path, "all")
    assert "".join(part.text for (part,) in parts) == whole.text
    shares = [len(part.text) / len(whole.text) for (part,) in parts]
    assert shares == pytest.approx([0.9, 0.05, 0.05], abs=0.01)
    assert all(part.text.startswith(("line", "\n")) for (part,) in parts)


@pytest.mark.parametrize("text", ["one line", "two\nlines", "x\n" + " \n" * 50])
def test_one_file_that_is_too_short_is_told(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    for split in ("train", "valid", "test"):
        with pytest.raises(ValueError, match=r"a\.txt is too short to be cut"):
            load_documents(tmp_path / "a.txt", split)


def test_names_are_sources_texts_and_paths(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        load, "installed_documents", lambda *a, **k: asked.append((a, k)) or []
    )
    monkeypatch.setattr(load, "public_documents", lambda *a: asked.append(a) or [])
    load_documents("installed", "test")
    load_documents("numpy")
    load_documents("analects", "valid")
    assert asked == [
        (("test",), {}),
        (("train",), {"sources": ["numpy"]}),
        ("analects", "valid"),
    ]
    for name in ("nowhere", ""):  # no name is not the current folder
        with pytest.raises(FileNotFoundError, match=f"'{name}' is neither a file or f"):
            load_documents(name)
