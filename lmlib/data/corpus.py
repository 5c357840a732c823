"""A tokenized corpus: documents of sentences of tokens, in three flat arrays.

Every pre-training objective (section 3.2) draws from this: it needs to know where
words, sentences and documents begin, and nothing else about the text.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lmlib.data.cache import replacing

_ARRAYS = {
    "tokens": np.int32,
    "sentences": np.int64,
    "documents": np.int64,
    "word_starts": np.bool_,
}


@dataclass(frozen=True)
class SpecialTokens:
    """The ids of the tokens that stand for no text.

    In a decoder `bos` begins a document; in BERT `cls` begins a sequence and `sep` ends
    each segment. A vocabulary that lacks one may give two roles to one id.
    """

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int
    bos: int
    eos: int

    @property
    def ids(self) -> tuple[int, ...]:
        """All of them, each once, in order."""
        return tuple(sorted(set(vars(self).values())))


@dataclass(frozen=True)
class Corpus:
    """Tokens of all documents, one after the other, without special tokens.

    Attributes:
        tokens: int32 [n_tokens].
        sentences: int64 [n_sentences + 1]; sentence i is
            `tokens[sentences[i] : sentences[i + 1]]`.
        documents: int64 [n_documents + 1]; document d has the sentences
            `documents[d]` up to, not including, `documents[d + 1]`.
        word_starts: bool [n_tokens], True where a token begins a word.
        n_bytes: the length of the text in UTF-8, for bits per byte.

    Raises:
        ValueError: offsets that do not rise from 0 to the end, an empty sentence or
            document, or arrays that do not fit each other.
    """

    tokens: NDArray[np.int32]
    sentences: NDArray[np.int64]
    documents: NDArray[np.int64]
    word_starts: NDArray[np.bool_]
    n_bytes: int

    def __post_init__(self) -> None:
        _check_offsets("sentences", self.sentences, len(self.tokens))
        _check_offsets("documents", self.documents, len(self.sentences) - 1)
        if self.word_starts.shape != self.tokens.shape:
            raise ValueError(
                f"word_starts has shape {self.word_starts.shape}, expected that of "
                f"tokens, {self.tokens.shape}"
            )

    def sentence(self, index: int) -> NDArray[np.int32]:
        return self.tokens[self.sentences[index] : self.sentences[index + 1]]

    def document_tokens(self) -> NDArray[np.int64]:
        """[n_documents + 1]: where each document begins and ends among the tokens."""
        return self.sentences[self.documents]


def save_corpus(corpus: Corpus, path: Path) -> None:
    """Write a corpus to one safetensors file; `n_bytes` stands in its JSON header."""
    arrays = {name: np.ascontiguousarray(getattr(corpus, name)) for name in _ARRAYS}
    try:
        with replacing(path) as temporary:
            save_file(arrays, temporary, {"n_bytes": str(corpus.n_bytes)})
    except SafetensorError as error:  # which is no OSError
        raise OSError(f"{path} cannot be written: {error}") from None


def load_corpus_file(path: Path) -> Corpus:
    """Read what `save_corpus` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or no corpus.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no corpus at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
            n_bytes = int(file.metadata()["n_bytes"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a whole corpus: {error}") from None
    for name, dtype in _ARRAYS.items():
        if arrays[name].dtype != dtype or arrays[name].ndim != 1:
            raise ValueError(f"{path}: {name} is not a row of {np.dtype(dtype)}")
    return Corpus(**arrays, n_bytes=n_bytes)


def _check_offsets(name: str, offsets: NDArray[np.int64], end: int) -> None:
    if offsets.ndim != 1 or len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != end:
        raise ValueError(f"{name} must rise from 0 to {end}, got {offsets}")
    if (np.diff(offsets) <= 0).any():
        where = int(np.flatnonzero(np.diff(offsets) <= 0)[0])
        raise ValueError(f"{name} must rise, but does not at {where}: empty or swapped")
