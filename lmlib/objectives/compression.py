"""Sentence compression by deletion: which words can go? (Filippova et al. 2015)

    sentence    a fire broke out in the old town on Monday night , police said .
    compressed  a fire broke out in the old town .

Each word is kept or deleted: a yes or no for each word, and what is left is the
compression. Data are pairs of a sentence and a shorter one that somebody wrote, such as
an article's first sentence and its headline; the labels come from the longest common
subsequence of the two.
Source: Filippova et al. (2015), "Sentence Compression by Deletion with LSTMs".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from lmlib.data.corpus import SpecialTokens
from lmlib.losses import IGNORE, binary_cross_entropy
from lmlib.objectives.objective import (
    Batch,
    Head,
    at_targets,
    forward,
    n_targets,
    one_logit,
)
from lmlib.objectives.sequences import Ids, in_batches, segment_rows, shuffled_rows

Word = TypeVar("Word")


def keep_labels(sentence: Sequence[Word], compressed: Sequence[Word]) -> list[bool]:
    """For each word of `sentence`, whether it is in `compressed`.

    The two are aligned by a longest common subsequence. Of several, it is the one whose
    first kept word stands first, then whose second, and so on. What `compressed` says
    in words that the sentence lacks is lost.
    """
    n, m = len(sentence), len(compressed)
    # longest[i][j]: of the words from i on and those from j on
    longest = [[0] * (m + 1) for _ in range(n + 1)]
    for i in reversed(range(n)):
        for j in reversed(range(m)):
            longest[i][j] = (
                longest[i + 1][j + 1] + 1
                if sentence[i] == compressed[j]
                else max(longest[i + 1][j], longest[i][j + 1])
            )
    keep, i, j = [False] * n, 0, 0
    while i < n and j < m:
        if sentence[i] == compressed[j]:
            keep[i] = True
            i, j = i + 1, j + 1
        elif longest[i][j + 1] >= longest[i + 1][j]:  # word i may fit further on
            j += 1
        else:
            i += 1
    return keep


def kept_words(words: Sequence[Word], keep: Sequence[bool]) -> list[Word]:
    """The compression: the words to keep, in their order.

    Raises:
        ValueError: there is not one label for each word.
    """
    if len(words) != len(keep):
        raise ValueError(f"got {len(keep)} labels for {len(words)} words")
    return [word for word, kept in zip(words, keep, strict=True) if kept]


def cheapest(bits: Float[NDArray[Any], " n"], share: float) -> NDArray[np.bool_]:
    """Which words to delete without a pair to learn from: round(share · n), bool [n].

    `bits` is −log₂ of each word's probability given the others: what it would cost to
    put it back. The cheapest go first; of equal ones the earlier.

    Raises:
        ValueError: `share` is not in 0 … 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in 0 … 1, got {share}")
    deleted = np.zeros(len(bits), np.bool_)
    order = np.argsort(bits, kind="stable")
    deleted[order[: round(share * len(bits))]] = True
    return deleted


@dataclass(frozen=True)
class CompressionExample:
    """A sentence as tokens, and for each of its words whether to keep it.

    Attributes:
        tokens: int64 [n].
        word_starts: bool [n], True where a token begins a word.
        keep: bool [n_words]; all False for a sentence to be compressed.

    Raises:
        ValueError: no tokens, a first token that begins no word, or labels that are
            not as many as the words.
    """

    tokens: Ids
    word_starts: NDArray[np.bool_]
    keep: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if len(self.tokens) == 0 or self.word_starts.shape != self.tokens.shape:
            raise ValueError(
                f"a sentence needs tokens and as many word_starts, got "
                f"{self.tokens.shape} and {self.word_starts.shape}"
            )
        if not self.word_starts[0]:
            raise ValueError("the first token of a sentence must begin a word")
        if self.keep.shape != (n_words := int(self.word_starts.sum()),):
            raise ValueError(
                f"{n_words} words need as many labels, got {self.keep.shape}"
            )


def compression_example(
    words: Sequence[str],
    keep: Sequence[bool],
    encode: Callable[[str], Sequence[int]],
) -> CompressionExample:
    """The example of a sentence whose words `encode` turns into tokens.

    Raises:
        ValueError: there is not one label for each word, or a word has no tokens.
    """
    pieces = [list(encode(word)) for word in words]
    for word, piece in zip(words, pieces, strict=True):
        if not piece:
            raise ValueError(f"word {word!r} has no tokens")
    starts = [k == 0 for piece in pieces for k in range(len(piece))]
    return CompressionExample(
        np.array([token for piece in pieces for token in piece], np.int64),
        np.array(starts, np.bool_),
        np.array(keep, np.bool_),
    )


def keep_loss(
    head: Head,
    hidden: Float[Tensor, "batch length d_model"],
    targets: Int[Tensor, "batch length"],
) -> Float[Tensor, ""]:
    """The sum over words of the binary cross-entropy, at each word's first token."""
    at, wanted = at_targets(hidden, targets)
    logits = one_logit("keep", head(at), len(wanted))
    return binary_cross_entropy(logits, wanted, reduction="sum")


def predict_keep(
    head: Head,
    hidden: Float[Tensor, "batch length d_model"],
    targets: Int[Tensor, "batch length"],
    *,
    threshold: float = 0.5,
) -> list[list[bool]]:
    """For each row, for each word, whether P(keep) is above `threshold`.

    Only the places of `targets` are used, not their values.
    """
    at, wanted = at_targets(hidden, targets)
    probabilities = one_logit("keep", head(at), len(wanted)).float().sigmoid()
    n_words = (targets != IGNORE).sum(dim=1).tolist()
    return [row.tolist() for row in (probabilities > threshold).split(n_words)]


class SentenceCompression:
    """Part "keep": for each word at its first token 1 to keep it, 0 to delete it.

    Rows are [CLS] sentence [SEP], padded; an epoch goes through all examples once. The
    head "keep" gives one logit for each token.

    Raises:
        ValueError: no examples, or one that is longer than `length` − 2 tokens.
    """

    def __init__(
        self,
        examples: Sequence[CompressionExample],
        special: SpecialTokens,
        *,
        length: int,
        batch_size: int,
        seed: int = 0,
    ) -> None:
        if not examples:
            raise ValueError("there are no examples")
        sizes = np.array([len(example.tokens) for example in examples])
        if sizes.max() > length - 2:
            where = int(sizes.argmax())
            raise ValueError(
                f"examples must have at most length − 2 = {length - 2} tokens; "
                f"example {where} has {sizes[where]}"
            )
        self.special, self.length, self.batch_size = special, length, batch_size
        self.seed, self.n_rows = seed, len(examples)
        self._tokens = np.concatenate([example.tokens for example in examples])
        self._word_starts = np.concatenate([e.word_starts for e in examples])
        self._targets = np.full(len(self._tokens), IGNORE)
        self._targets[self._word_starts] = np.concatenate([e.keep for e in examples])
        self._offsets = np.concatenate(([0], np.cumsum(sizes)))

    def batch(self, step: int) -> Batch:
        return self._rows(shuffled_rows(step, self.batch_size, self.n_rows, self.seed))

    def evaluation_batches(self) -> Iterator[Batch]:
        """All examples in their order."""
        return map(self._rows, in_batches(self.n_rows, self.batch_size))

    def counts(self, batch: Batch) -> dict[str, int]:
        return {"keep": n_targets(batch["targets"])}

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        hidden = forward(model, batch)
        return {"keep": keep_loss(model.heads["keep"], hidden, batch["targets"])}

    def _rows(self, rows: Ids) -> Batch:
        starts, stops = self._offsets[rows], self._offsets[rows + 1]
        batch = segment_rows(
            self._tokens,
            self._word_starts,
            [(starts, stops)],
            self.special,
            self.length,
        )
        places = np.arange(self.length) + (starts - 1)[:, None]  # after [CLS]
        inside = (places >= starts[:, None]) & (places < stops[:, None])
        targets = np.full(inside.shape, IGNORE)
        targets[inside] = self._targets[places[inside]]
        return {**batch, "targets": torch.from_numpy(targets)}
