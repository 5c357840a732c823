"""Rows of tokens for a model to read, and the order in which they come.

An epoch goes through all rows once, in an order of its own. Which rows a step gets is
computed from the seed and the step alone.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from lmlib.data.corpus import Corpus, SpecialTokens
from lmlib.objectives.objective import Batch, Heads, Use, generator

Ids = NDArray[np.int64]


def shuffled_rows(step: int, batch_size: int, n_rows: int, seed: int) -> Ids:
    """The rows of a step, [batch_size]: rows step·batch_size … of the epochs in line.

    Raises:
        ValueError: a negative step, or no rows.
    """
    if step < 0:
        raise ValueError(f"step must not be negative, got {step}")
    if n_rows < 1 or batch_size < 1:
        raise ValueError(
            f"batch_size and n_rows must be positive, got {batch_size} and {n_rows}"
        )
    places = step * batch_size + np.arange(batch_size)
    epochs = places // n_rows
    rows = np.empty(batch_size, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        rows[here] = _order(n_rows, seed, int(epoch))[places[here] % n_rows]
    return rows


@lru_cache(maxsize=8)
def _order(n_rows: int, seed: int, epoch: int) -> Ids:
    return generator(seed, epoch, Use.ORDER).permutation(n_rows)


def in_batches(n_rows: int, batch_size: int) -> Iterator[Ids]:
    """0 … n_rows − 1 in order; the last batch may be smaller."""
    for first in range(0, n_rows, batch_size):
        yield np.arange(first, min(first + batch_size, n_rows))


def separated(
    corpus: Corpus, separator: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """All tokens with a separator between documents, and where words begin there."""
    between = corpus.document_tokens()[1:-1]
    tokens = np.insert(corpus.tokens, between, separator)
    return tokens, np.insert(corpus.word_starts, between, True)


class PackedSequences:
    """Full rows: [CLS], as many tokens as fit, [SEP]; no part, something to mask.

    The documents stand in line with a [SEP] between them and are cut wherever a row is
    full (RoBERTa's full sentences, Liu et al. 2019, section 4.2, cut at tokens). In an
    epoch each token comes once. Only the last row is padded.

    Parameters:
        length: tokens of a row, [CLS] and [SEP] among them.

    Raises:
        ValueError: length below 3, an empty corpus, or a batch size below 1.
    """

    def __init__(
        self,
        corpus: Corpus,
        special: SpecialTokens,
        *,
        length: int,
        batch_size: int,
        seed: int = 0,
    ) -> None:
        check_sizes(corpus, length, batch_size, least=3)
        self.special, self.length, self.batch_size = special, length, batch_size
        self.seed = seed
        self._tokens, self._word_starts = separated(corpus, special.sep)
        self.n_rows = -(-len(self._tokens) // (length - 2))

    def batch(self, step: int) -> Batch:
        return self._rows(shuffled_rows(step, self.batch_size, self.n_rows, self.seed))

    def evaluation_batches(self) -> Iterator[Batch]:
        return map(self._rows, in_batches(self.n_rows, self.batch_size))

    def counts(self, batch: Batch) -> dict[str, int]:
        return {}

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        return {}

    def losses_at(
        self, heads: Heads, hidden: Float[Tensor, "b n d"], batch: Batch
    ) -> dict[str, Tensor]:
        return {}

    def _rows(self, rows: Ids) -> Batch:
        inner = self.length - 2
        starts = rows * inner
        stops = np.minimum(starts + inner, len(self._tokens))
        return segment_rows(
            self._tokens,
            self._word_starts,
            [(starts, stops)],
            self.special,
            self.length,
        )


def segment_rows(
    tokens: NDArray[np.integer[Any]],
    word_starts: NDArray[np.bool_],
    segments: list[tuple[Ids, Ids]],
    special: SpecialTokens,
    length: int,
) -> Batch:
    """[CLS] segment [SEP] segment [SEP] …, padded to `length`.

    Segment k of row i is `tokens[start[i] : stop[i]]`, (start, stop) = segments[k].
    Special tokens and padding count as beginning a word. `segment_ids` are given for
    two segments or more, `attention_mask` where a row is padded.

    Raises:
        ValueError: a row does not fit.
    """
    column = np.arange(length)
    n_rows = len(segments[0][0])
    ids = np.full((n_rows, length), special.pad, np.int64)
    words = np.ones((n_rows, length), np.bool_)
    segment_ids = np.zeros((n_rows, length), np.int64)
    ids[:, 0] = special.cls
    end = np.ones(n_rows, np.int64)  # of what has been placed, in each row
    for k, (starts, stops) in enumerate(segments):
        begin, end = end, end + (stops - starts)
        if (end >= length).any():
            raise ValueError(f"a row of {int(end.max()) + 1} tokens exceeds {length}")
        inside = (column >= begin[:, None]) & (column < end[:, None])
        source = (column + (starts - begin)[:, None])[inside]
        ids[inside] = tokens[source]
        words[inside] = word_starts[source]
        ids[np.arange(n_rows), end] = special.sep
        end = end + 1
        segment_ids[(column >= begin[:, None]) & (column < end[:, None])] = k
    batch = {"token_ids": torch.from_numpy(ids), "word_starts": torch.from_numpy(words)}
    if len(segments) > 1:
        batch["segment_ids"] = torch.from_numpy(segment_ids)
    if (end < length).any():
        batch["attention_mask"] = torch.from_numpy(column < end[:, None])
    return batch


def real_tokens(batch: Batch) -> Tensor:
    """bool [batch, length]: the attention mask, or all where nothing is padded."""
    ids = batch["token_ids"]
    given = batch.get("attention_mask")
    return torch.ones_like(ids, dtype=torch.bool) if given is None else given


def check_sizes(corpus: Corpus, length: int, batch_size: int, least: int) -> None:
    if len(corpus.tokens) == 0:
        raise ValueError("the corpus is empty")
    if length < least:
        raise ValueError(f"length must be at least {least}, got {length}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
