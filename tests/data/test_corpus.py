"""The arrays of a corpus fit each other, or it is refused."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from lmlib.data.corpus import (
    Corpus,
    SpecialTokens,
    load_corpus_file,
    save_corpus,
)


def corpus(**changes):
    fields = {
        "tokens": np.array([10, 11, 12, 13, 14, 15], dtype=np.int32),
        "sentences": np.array([0, 2, 3, 6]),
        "documents": np.array([0, 2, 3]),
        "word_starts": np.array([1, 0, 1, 1, 1, 0], dtype=bool),
        "n_bytes": 20,
    }
    return Corpus(**{**fields, **changes})


def test_sentences_and_documents():
    c = corpus()
    assert [c.sentence(i).tolist() for i in range(3)] == [[10, 11], [12], [13, 14, 15]]
    assert c.document_tokens().tolist() == [0, 3, 6]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("sentences", [0, 2, 2, 6]),
        ("sentences", [0, 3, 2, 6]),
        ("sentences", [1, 2, 3, 6]),
        ("sentences", [0, 2, 3, 5]),
        ("documents", [0, 2]),
        ("documents", [0, 0, 3]),
    ],
)
def test_offsets_that_do_not_fit_are_refused(field, wrong):
    with pytest.raises(ValueError, match=field):
        corpus(**{field: np.array(wrong)})


def test_word_starts_of_another_length_are_refused():
    with pytest.raises(ValueError, match="word_starts"):
        corpus(word_starts=np.array([True]))


def test_special_tokens_are_listed_once():
    tokens = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4, bos=2, eos=3)
    assert tokens.ids == (0, 1, 2, 3, 4)


def test_what_is_saved_is_loaded(tmp_path):
    saved = corpus()
    save_corpus(saved, tmp_path / "new" / "c.safetensors")
    loaded = load_corpus_file(tmp_path / "new" / "c.safetensors")
    assert loaded.n_bytes == 20
    for name in ("tokens", "sentences", "documents", "word_starts"):
        before, after = getattr(saved, name), getattr(loaded, name)
        assert before.dtype == after.dtype
        assert before.tolist() == after.tolist()


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    save_corpus(corpus(), path)
    whole = path.read_bytes()
    for part in (b"", whole[:7], whole[:100], whole[:-1]):
        path.write_bytes(part)
        with pytest.raises(ValueError, match="whole corpus"):
            load_corpus_file(path)
    with pytest.raises(FileNotFoundError, match="no corpus"):
        load_corpus_file(tmp_path / "other")


def test_arrays_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    arrays = {n: getattr(corpus(), n) for n in ("sentences", "documents")}
    arrays |= {"tokens": np.arange(6), "word_starts": corpus().word_starts}
    save_file(arrays, path, {"n_bytes": "20"})
    with pytest.raises(ValueError, match="tokens is not a row of int32"):
        load_corpus_file(path)
