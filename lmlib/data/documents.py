"""Documents, and how they are kept apart: digests, splits, duplicates.

A score on held-out text means nothing if the text was seen in training. So documents
are deduplicated before they are split, and what remains in common is measured by
*shingles*: all runs of n successive words (Broder 1997, "On the Resemblance and
Containment of Documents"; Lee et al. 2022 for what duplicates do to language models).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "valid", "test", "all"]

# A Chinese character counts as a word.
_WORD = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]|[^\W\u3400-\u9fff]+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Document:
    """A text, what it is called, and where it comes from (a package, a data set)."""

    text: str
    name: str = ""
    source: str = ""


@dataclass(frozen=True)
class Labelled:
    """Texts to classify: `labels` int64 [n] are indices into `names`."""

    texts: list[str]
    labels: NDArray[np.int64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.labels.shape != (len(self.texts),):
            raise ValueError(
                f"labels must have one entry for each of the {len(self.texts)} texts, "
                f"got shape {self.labels.shape}"
            )


def digest(documents: Iterable[Document]) -> str:
    """SHA-256 of the texts in their order: two corpora with the same one are equal."""
    total = hashlib.sha256()
    for document in documents:
        text = document.text.encode()
        total.update(f"{len(text)}:".encode())
        total.update(text)
    return total.hexdigest()


def n_bytes(documents: Iterable[Document]) -> int:
    """The length of all texts in UTF-8."""
    return sum(len(document.text.encode()) for document in documents)


# -- Splits ---------------------------------------------------------------------------


def split_by_size(
    sizes: Mapping[str, int], *, valid: float = 0.05, test: float = 0.05
) -> dict[str, Split]:
    """The split of each key: `valid` and `test` get these shares of the sizes.

    Keys are taken in the order of their hashes, which is the same on every machine,
    and what fits into the share of test, else of valid, goes there; a key too large
    for both is for training. With three keys or more no split is empty: one that would
    be gets the smallest key in training.
    """
    total = sum(sizes.values())
    room: dict[Split, float] = {"test": test * total, "valid": valid * total}
    result: dict[str, Split] = {}
    for key in sorted(sizes, key=lambda key: hashlib.sha256(key.encode()).digest()):
        for split in room:
            if sizes[key] <= room[split]:
                room[split] -= sizes[key]
                result[key] = split
                break
        else:
            result[key] = "train"
    for split in room if len(sizes) >= 3 else ():
        if split not in result.values():
            left = [key for key in sizes if result[key] == "train"]
            result[min(left, key=lambda key: (sizes[key], key))] = split
    return result


def select(
    documents: Sequence[Document],
    split: Split,
    *,
    valid: float = 0.05,
    test: float = 0.05,
) -> list[Document]:
    """The documents of a split, by `split_by_size` of their texts; duplicates removed.

    With split "all" they come as they are.

    Raises:
        ValueError: `split` is no split, or fewer than three documents are to be split.
    """
    check_split(split)
    if split == "all":
        return list(documents)
    kept = [documents[i] for i in unique([d.text for d in documents])]
    if len(kept) < 3:
        raise ValueError(
            f"there must be three different documents at least to split, got "
            f"{len(kept)}; take split='all', or cut the text into smaller documents"
        )
    sizes = {d.text: len(d.text.encode()) for d in kept}
    splits = split_by_size(sizes, valid=valid, test=test)
    return [document for document in kept if splits[document.text] == split]


def check_split(split: str) -> None:
    """Raise ValueError if `split` isn't train, valid, test or all."""
    if split not in get_args(Split):
        raise ValueError(f"split must be one of {get_args(Split)}, got {split!r}")


# -- Duplicates -----------------------------------------------------------------------


def unique(
    texts: Sequence[str], *, overlap: float = 0.5, n_words: int = 8
) -> list[int]:
    """Indices, in order, of the texts that say something new.

    From the longest to the shortest, a text is kept if less than `overlap` of its
    shingles occurs in those kept before. Case, punctuation and white space don't
    count; a text of fewer than `n_words` words is one shingle. A text without words
    is dropped. Which texts are kept doesn't depend on their order.
    """
    shingles = _shingles(texts, n_words)
    flat = np.concatenate([_NONE, *shingles])
    offsets = np.cumsum([0, *(len(s) for s in shingles)])
    codes = np.unique(flat, return_inverse=True)[1]
    seen = np.zeros(len(codes), dtype=bool)
    kept = []
    order = sorted(range(len(texts)), key=lambda i: (-len(shingles[i]), texts[i]))
    for i in order:
        own = codes[offsets[i] : offsets[i + 1]]
        if len(own) and seen[own].mean() < overlap:
            kept.append(i)
            seen[own] = True
    return sorted(kept)


def shared(
    texts: Sequence[str], others: Sequence[str], *, n_words: int = 8
) -> NDArray[np.float64]:
    """[len(texts)]: the share of each text's shingles that occur in any of `others`."""
    both = _shingles([*texts, *others], n_words)
    own = both[: len(texts)]
    pool = np.concatenate([_NONE, *both[len(texts) :]])
    common = np.isin(np.concatenate([_NONE, *own]), pool)
    ends = np.cumsum([0, *(len(s) for s in own)])
    return np.array(
        [common[a:b].mean() if b > a else 0.0 for a, b in pairwise(ends)], dtype=float
    )


def near_duplicate_groups(
    texts: Sequence[str], *, overlap: float = 0.5, n_words: int = 3
) -> NDArray[np.int64]:
    """[n]: a number for each text, equal for texts that belong together.

    Two do if they share `overlap` of the shingles of the one with fewer, or if a chain
    of such pairs links them. Shingles of more than 100 texts link nothing.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    shingles = [np.unique(own) for own in _shingles(texts, n_words)]
    sizes = np.array([len(own) for own in shingles], dtype=np.int64)
    codes, counts = np.unique(
        np.concatenate([_NONE, *shingles]), return_inverse=True, return_counts=True
    )[1:]
    rows = np.repeat(np.arange(len(texts)), sizes)
    linking = counts[codes] <= 100
    holds = csr_array(
        (np.ones(int(linking.sum()), np.int64), (rows[linking], codes[linking])),
        shape=(len(texts), len(counts)),
    )
    common = (holds @ holds.T).tocoo()
    fewer = np.minimum(sizes[common.row], sizes[common.col])
    linked = common.data >= overlap * fewer
    graph = csr_array(
        (common.data[linked], (common.row[linked], common.col[linked])),
        shape=(len(texts), len(texts)),
    )
    return connected_components(graph, directed=False)[1].astype(np.int64)


_NONE = np.empty(0, dtype=np.uint64)


def _shingles(texts: Sequence[str], n_words: int) -> list[NDArray[np.uint64]]:
    """64-bit hashes of each text's runs of n words; equal runs have equal hashes.

    Words are numbered through all texts, so the hashes of one call compare with each
    other only.
    """
    numbers: dict[str, int] = {}
    result = []
    for text in texts:
        words = [
            numbers.setdefault(word, len(numbers) + 1)
            for word in _WORD.findall(text.casefold())
        ]
        row = np.array(words, dtype=np.uint64)
        n = min(n_words, len(row))
        code = np.full(max(len(row) - n + 1, 0) if n else 0, n, dtype=np.uint64)
        for j in range(n):
            code = (code ^ row[j : j + len(code)]) * _MULTIPLIER
            code ^= code >> np.uint64(29)
        result.append(code)
    return result
