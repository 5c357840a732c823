"""Public data sets by name: found in a local mirror or the cache, else downloaded.

A file is looked for in the folder that `LMLIB_DATA` names, then in `cache_folder()`,
then at its addresses; whatever is found is used only if its size and SHA-256 are those
in `FILES`. A data set whose files nobody could verify is not here.
"""

import hashlib
import json
import os
import re
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np

from lmlib.data.cache import (
    cache_folder,
    kept_if_possible,
    replacing,
    temporary_folder,
)
from lmlib.data.documents import (
    Document,
    Labelled,
    Split,
    check_split,
    near_duplicate_groups,
    select,
)


@dataclass(frozen=True)
class PublicFile:
    """A file to be had at any of `urls`, and how to know that it is the right one."""

    size: int
    sha256: str
    urls: tuple[str, ...]
    licence: str


def _github(repository: str, commit: str, branch: str, path: str) -> tuple[str, ...]:
    start = f"https://raw.githubusercontent.com/{repository}"
    return tuple(f"{start}/{at}/{quote(path)}" for at in (commit, branch))


_CHAR_RNN = "d1d7aa34fdb3626174bce1d753e6cc6845ce7087"
_POETRY = "chinese-poetry/chinese-poetry"
_WIKITEXT = "word_language_model/data/wikitext-2"

FILES = {
    "tinyshakespeare.txt": PublicFile(
        1_115_394,
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        _github(
            "karpathy/char-rnn", _CHAR_RNN, "master", "data/tinyshakespeare/input.txt"
        ),
        "public domain",
    ),
    "alice29.txt": PublicFile(
        152_089,
        "7467306ee0feed4971260f3c87421154a05be571d944e9cb021a5713700c38f0",
        _github("google/brotli", "v1.0.9", "master", "tests/testdata/alice29.txt"),
        "public domain",
    ),
    "lunyu.json": PublicFile(
        74_799,
        "bc336a3839706377892719db44c48a09794a493190535a42bf1c7d4c4233e96c",
        _github(
            _POETRY,
            "cc62512c8b183ee6e86bd224de93e7ff4c1c3004",
            "master",
            "论语/lunyu.json",
        ),
        "MIT",
    ),
    "tangshi300.json": PublicFile(
        190_787,
        "d77a145f7470da2ed2f79515944563c062ffc43fceda07f195a36ead66b7e5c7",
        _github(
            _POETRY,
            "fd3992e780fe1b808329d6b1496531f710044dff",
            "master",
            "全唐诗/唐诗三百首.json",
        ),
        "MIT",
    ),
    "sentence_polarity.zip": PublicFile(
        490_256,
        "6e1ed4405b65c7eabf1d199a7f7c437091ac21da0ea7467b410a74062574566b",
        _github(
            "nltk/nltk_data",
            "88e706f3c896835f1203b2ad5de7d90826fcaa2b",
            "gh-pages",
            "packages/corpora/sentence_polarity.zip",
        ),
        "CC BY 4.0",
    ),
    "wikitext-2-valid.txt": PublicFile(
        1_121_681,
        "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
        _github(
            "pytorch/examples",
            "37ce9402ff0cae48d764d7788810fd2ed8238b25",
            "main",
            f"{_WIKITEXT}/valid.txt",
        ),
        "CC BY-SA",
    ),
    "wikitext-2-test.txt": PublicFile(
        1_256_449,
        "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
        _github(
            "pytorch/examples",
            "cada773327ba94a5970e0d57c17c847d69dbbb8f",
            "main",
            f"{_WIKITEXT}/test.txt",
        ),
        "CC BY-SA",
    ),
}


class DataUnavailableError(OSError):
    """A file is neither here nor to be had; the message says what to put where."""


# -- Files ----------------------------------------------------------------------------

_SCHEMES = ("https",)
_TIMEOUT = 30  # seconds without an answer
_not_kept: dict[str, Path] = {}  # files of this process, where there is no cache


def fetch(name: str) -> Path:
    """The verified local path of one of `FILES`; for compression, read its bytes.

    Raises:
        KeyError: there is no such name.
        ValueError: the file in the folder `LMLIB_DATA` is not the right one.
        DataUnavailableError: it is not here and can't be downloaded.
    """
    if name not in FILES:
        raise KeyError(f"no public file {name!r}; there are {', '.join(FILES)}")
    wanted = FILES[name]
    if mirror := os.environ.get("LMLIB_DATA"):
        path = Path(mirror).expanduser() / name
        if path.is_file():
            if wrong := _wrong(wanted, path.read_bytes()):
                raise ValueError(f"{path}, in the folder LMLIB_DATA, {wrong}")
            return path
    if name in _not_kept:
        return _not_kept[name]
    failures = [f"{mirror}, the folder LMLIB_DATA, has no such file"] if mirror else []
    path = cache_folder() / "public" / name
    try:
        wrong = _wrong(wanted, path.read_bytes())
        if not wrong:
            return path
        failures.append(f"{path} {wrong}")
    except FileNotFoundError:
        pass
    except OSError as error:
        failures.append(f"{path}: {error.strerror}")
    for url in wanted.urls:
        try:
            data = _download(url, wanted.size)
        except (OSError, ValueError, HTTPException) as error:
            failures.append(f"{url}: {error}")
            continue
        if wrong := _wrong(wanted, data):
            failures.append(f"{url}: what came {wrong}")
            continue
        with kept_if_possible():
            with replacing(path) as temporary:
                temporary.write_bytes(data)
            return path
        _not_kept[name] = temporary_folder() / name
        _not_kept[name].write_bytes(data)
        return _not_kept[name]
    raise DataUnavailableError(
        f"{name} is not here and could not be downloaded:\n  "
        + "\n  ".join(failures)
        + f"\nGet it on a machine that has a network ({wanted.size:,} bytes, SHA-256 "
        f"{wanted.sha256}), and put it at {path}, or under the name {name} into a "
        "folder of your choice that the environment variable LMLIB_DATA names."
    )


def _wrong(wanted: PublicFile, data: bytes) -> str:
    if len(data) != wanted.size:
        return f"has {len(data):,} bytes, expected {wanted.size:,}"
    if (got := hashlib.sha256(data).hexdigest()) != wanted.sha256:
        return f"has SHA-256 {got}, expected {wanted.sha256}"
    return ""


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follow a redirection only to where one may go in the first place."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str, size: int) -> bytes:
    """At most `size` + 1 bytes of what is at `url`."""
    _check_scheme(url)
    request = urllib.request.Request(url, headers={"User-Agent": "lmlib"})
    opener = urllib.request.build_opener(_Redirect)
    data = bytearray()
    with opener.open(request, timeout=_TIMEOUT) as answer:
        while len(data) <= size:
            part = answer.read(min(1 << 16, size + 1 - len(data)))
            if not part:
                break
            data += part
    return bytes(data)


def _check_scheme(url: str) -> None:
    if urlsplit(url).scheme not in _SCHEMES:
        raise ValueError(f"only {' and '.join(_SCHEMES)} is allowed, got {url}")


def _unzip(path: Path, member: str, limit: int = 8_000_000) -> bytes:
    """One member, read into memory and not beyond `limit` bytes."""
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{member} in {path} is larger than {limit:,} bytes")
    return data


# -- Texts ----------------------------------------------------------------------------


def public_documents(name: str, split: Split = "train") -> list[Document]:
    """The documents of a public text.

    | name             | a document is | splits                                        |
    | ---------------- | ------------- | --------------------------------------------- |
    | tiny-shakespeare | a whole split | the first 90 %, the next 5 %, the last 5 %    |
    | wikitext-2       | an article    | valid and test as published; no train         |
    | alice29          | a chapter     | chapters by hash: 80, 10, 10 %                |
    | analects         | a book (篇)   | books by hash: 80, 10, 10 %                   |
    | tang-poems       | a poem        | poems by hash: 80, 10, 10 %                   |

    Raises:
        KeyError: there is no such name.
        ValueError: the set has no such split.
        DataUnavailableError, ValueError: as `fetch`.
    """
    if name not in TEXTS:
        raise KeyError(f"no public text {name!r}; there are {', '.join(TEXTS)}")
    check_split(split)
    return TEXTS[name](split)


def _shakespeare(split: Split) -> list[Document]:
    text = fetch("tinyshakespeare.txt").read_text(encoding="utf-8")
    # Cut where a speech ends.
    cuts = [text.index("\n\n", int(len(text) * share)) + 2 for share in (0.9, 0.95)]
    part = {
        "train": text[: cuts[0]],
        "valid": text[cuts[0] : cuts[1]],
        "test": text[cuts[1] :],
        "all": text,
    }[split]
    return [Document(part, split, "tiny-shakespeare")]


def _wikitext(split: Split) -> list[Document]:
    if split == "train":
        raise ValueError(
            "wikitext-2 has its validation and test sets here, no training set: train "
            "on another text (give a path), or take split 'valid', 'test' or 'all'"
        )
    documents = []
    for part in ("valid", "test") if split == "all" else (split,):
        data = fetch(f"wikitext-2-{part}.txt").read_bytes().decode()
        # An article begins with the one heading of the first level, " = Title = ".
        pieces = re.split(r"(?m)^(?= = [^=\n](?:.*[^=\n])? = $)", data)
        documents += [
            Document(piece, piece.split("\n")[0].strip(" ="), "wikitext-2")
            for piece in pieces
            if piece.strip()
        ]
    return documents


def _alice(split: Split) -> list[Document]:
    text = fetch("alice29.txt").read_bytes().decode("ascii")
    text = text.replace("\r\n", "\n").removesuffix("\x1a")
    pieces = re.split(r"(?m)^(?= +CHAPTER [IVX]+$)", text)[1:]
    documents = [
        Document(piece, piece.split("\n")[0].strip(), "alice29") for piece in pieces
    ]
    return select(documents, split, valid=0.1, test=0.1)


def _analects(split: Split) -> list[Document]:
    books = json.loads(fetch("lunyu.json").read_text(encoding="utf-8"))
    documents = [
        Document("\n".join([book["chapter"], *book["paragraphs"]]), book["chapter"])
        for book in books
    ]
    return select(
        [Document(d.text, d.name, "analects") for d in documents],
        split,
        valid=0.1,
        test=0.1,
    )


def _tang(split: Split) -> list[Document]:
    poems = json.loads(fetch("tangshi300.json").read_text(encoding="utf-8"))
    documents = [
        Document(
            "\n".join([poem["title"], poem["author"], *poem["paragraphs"]]),
            f"{poem['author']}《{poem['title']}》",
            "tang-poems",
        )
        for poem in poems
    ]
    return select(documents, split, valid=0.1, test=0.1)


TEXTS: dict[str, Callable[[Split], list[Document]]] = {
    "tiny-shakespeare": _shakespeare,
    "wikitext-2": _wikitext,
    "alice29": _alice,
    "analects": _analects,
    "tang-poems": _tang,
}


# -- Sentences with labels ------------------------------------------------------------


def sentence_polarity(split: Split = "train", *, seed: int = 0) -> Labelled:
    """Film-review sentences, label 1 if positive (Pang and Lee 2005, "Seeing Stars").

    There is no published split: 80 % for training and 10 % each for validation and
    test, drawn by `seed`, both labels alike. Sentences that share half of their runs
    of three words are in the same split.

    Raises:
        DataUnavailableError, ValueError: as `fetch`.
    """
    check_split(split)
    path = fetch("sentence_polarity.zip")
    texts: list[str] = []
    labels: list[int] = []
    for label, ending in enumerate(("neg", "pos")):
        data = _unzip(path, f"sentence_polarity/rt-polarity.{ending}").decode()
        lines = [line.strip() for line in data.split("\n")]
        texts += [line for line in lines if line]
        labels += [label] * (len(texts) - len(labels))
    groups = near_duplicate_groups(texts)
    rng = np.random.default_rng(seed)
    chosen = np.full(len(texts), "train")
    for label in (0, 1):
        # A group belongs to the label of its first sentence.
        names, first = np.unique(groups, return_index=True)
        names = rng.permutation(names[np.array(labels)[first] == label])
        tenth = len(names) // 10
        chosen[np.isin(groups, names[:tenth])] = "valid"
        chosen[np.isin(groups, names[tenth : 2 * tenth])] = "test"
    keep = rng.permutation(len(texts))
    keep = keep if split == "all" else keep[chosen[keep] == split]
    return Labelled(
        [texts[i] for i in keep],
        np.array(labels, dtype=np.int64)[keep],
        ("negative", "positive"),
    )
