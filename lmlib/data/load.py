"""From a name or a path to a tokenized corpus, kept for the next time."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lmlib.data.cache import cache_folder, kept_if_possible
from lmlib.data.corpus import Corpus, load_corpus_file, save_corpus
from lmlib.data.documents import (
    Document,
    Split,
    check_split,
    digest,
    n_bytes,
    select,
)
from lmlib.data.files import Unit, read_files
from lmlib.data.installed import SOURCES, installed_documents
from lmlib.data.public import TEXTS, public_documents
from lmlib.data.sentences import split_sentences
from lmlib.data.tokenizers import Tokenizer

_FORMAT = 2  # of cached corpora; to be raised when sentences are cut differently
_AT_ONCE = 4_000_000  # characters tokenized in one call, which bounds memory


def load_documents(
    name: str | Path, split: Split = "train", *, unit: Unit = "file"
) -> list[Document]:
    """The documents of a corpus.

    `name` is "installed" (everything in `installed.SOURCES`), one of those sources, one
    of `public.TEXTS`, or the path of a file or folder. Documents of a path are split by
    their hashes, without duplicates; `unit` says what one is, see `read_files`. A file
    that is one document is cut: its first 90 %, the next 5 %, the last 5 %.

    Raises:
        FileNotFoundError: `name` is none of these.
        ValueError: there is no such split, or too little text to split.
        DataUnavailableError: a public set that can't be downloaded.
    """
    if name == "installed":
        return installed_documents(split)
    if name in SOURCES:
        return installed_documents(split, sources=[str(name)])
    if name in TEXTS:
        return public_documents(str(name), split)
    if name == "" or not Path(name).expanduser().exists():
        known = ", ".join(["installed", *SOURCES, *TEXTS])
        raise FileNotFoundError(
            f"{str(name)!r} is neither a file or folder nor one of {known}"
        )
    documents = read_files(name, unit=unit)
    if unit == "file" and Path(name).expanduser().is_file():
        return [_part(documents[0], split, name)]
    return select(documents, split)


def _part(document: Document, split: Split, name: str | Path) -> Document:
    """The split of a single document, cut where a line ends."""
    check_split(split)
    if split == "all":
        return document
    text = document.text
    cuts = [text.find("\n", int(len(text) * share)) + 1 for share in (0.9, 0.95)]
    first, second = cuts
    parts = {"train": text[:first], "valid": text[first:second], "test": text[second:]}
    if not (all(cuts) and all(part.strip() for part in parts.values())):
        raise ValueError(
            f"{name} is too short to be cut into texts to learn from, to "
            "choose by and to test with (90, 5 and 5 % of its lines)"
        )
    return replace(document, text=parts[split])


def load_corpus(
    name: str | Path,
    tokenizer: Tokenizer,
    split: Split = "train",
    *,
    unit: Unit = "file",
    cache: bool = True,
) -> Corpus:
    """`load_documents`, cut into sentences and tokenized.

    The result is kept under a digest of the texts and of the tokenizer: with other
    texts or another tokenizer it is made anew, and so is a damaged file. Where nothing
    can be kept, that is said.
    """
    documents = load_documents(name, split, unit=unit)
    if not cache:
        return encode_documents(documents, tokenizer)
    key = f"{_FORMAT} {digest(documents)} {tokenizer.digest}"
    file = f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
    try:
        return load_corpus_file(cache_folder() / "corpora" / file)
    except (OSError, ValueError):
        corpus = encode_documents(documents, tokenizer)
    with kept_if_possible():
        save_corpus(corpus, cache_folder() / "corpora" / file)
    return corpus


def encode_documents(documents: Sequence[Document], tokenizer: Tokenizer) -> Corpus:
    """Sentences and tokens of documents, in order.

    Sentences without a token (for WordPiece, white space) are left out, documents
    without a sentence too; `n_bytes` counts the documents that are in.

    Raises:
        ValueError: nothing is left.
    """
    tokens, word_starts = [], []
    sentence_lengths: list[int] = []
    document_lengths: list[int] = []
    total = 0
    for group in _groups(documents):
        sentences = [split_sentences(document.text) for document in group]
        encoded = tokenizer.encode_batch([s for own in sentences for s in own])
        tokens.append(encoded.tokens)
        word_starts.append(encoded.word_starts)
        lengths = iter(encoded.lengths.tolist())
        for document, own in zip(group, sentences, strict=True):
            full = [n for n in (next(lengths) for _ in own) if n]
            if full:
                sentence_lengths += full
                document_lengths.append(len(full))
                total += n_bytes([document])
    if not document_lengths:
        raise ValueError(f"{len(documents)} documents hold no token")
    return Corpus(
        np.concatenate(tokens),
        np.cumsum([0, *sentence_lengths], dtype=np.int64),
        np.cumsum([0, *document_lengths], dtype=np.int64),
        np.concatenate(word_starts),
        total,
    )


def _groups(documents: Sequence[Document]) -> list[list[Document]]:
    groups: list[list[Document]] = []
    room = 0
    for document in documents:
        if not groups or len(document.text) > room:
            groups.append([])
            room = _AT_ONCE
        groups[-1].append(document)
        room -= len(document.text)
    return groups
