"""Pairs of segments of whole sentences, as BERT and ALBERT read them.

From a sentence on, a stretch of text that fills a row is cut in two at a sentence
boundary: A and B, which follow each other. What makes a pair negative is up to the
objective: another B (`lmlib.objectives.nsp`) or another order (`lmlib.objectives.sop`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lmlib.data.corpus import Corpus, SpecialTokens
from lmlib.losses import cross_entropy
from lmlib.objectives.objective import Batch, Heads, forward, generator
from lmlib.objectives.sequences import (
    Ids,
    check_sizes,
    in_batches,
    segment_rows,
    shuffled_rows,
)


@dataclass(frozen=True)
class Pairs:
    """Segments A and B of each row as `tokens[start:stop]`, and what is to be told.

    `label` 0 is what the text has, 1 is the negative: [n], int64 like all of them.
    """

    a_start: Ids
    a_stop: Ids
    b_start: Ids
    b_stop: Ids
    label: Ids


def pair_starts(corpus: Corpus) -> Ids:
    """The sentences that another one of the same document follows."""
    sentences = np.arange(len(corpus.sentences) - 1)
    return np.setdiff1d(sentences, corpus.documents[1:] - 1)


def document_of(corpus: Corpus, sentences: Ids) -> Ids:
    return np.searchsorted(corpus.documents, sentences, side="right") - 1


def consecutive_pairs(
    corpus: Corpus, first_sentences: Ids, n_tokens: Ids, rng: np.random.Generator
) -> Pairs:
    """A and B that follow each other, from `first_sentences` on; all labels are 0.

    They are as many whole sentences of the document as reach `n_tokens` (two at least),
    divided after a random one of them, the last excepted.
    """
    end_of_document = corpus.documents[document_of(corpus, first_sentences) + 1]
    begin = corpus.sentences[first_sentences]
    last = np.searchsorted(corpus.sentences, begin + n_tokens)
    last = np.minimum(np.maximum(last, first_sentences + 2), end_of_document)
    middle = corpus.sentences[rng.integers(first_sentences + 1, last)]
    end = corpus.sentences[last]
    return Pairs(begin, middle, middle, end, np.zeros_like(begin))


def truncate(pairs: Pairs, max_tokens: int, rng: np.random.Generator) -> Pairs:
    """Cut tokens off until A and B together have at most `max_tokens`.

    As in BERT, token by token from the longer one (B if equal), each time from the
    front or from the back by the toss of a coin; here in closed form.
    """
    a, b = pairs.a_stop - pairs.a_start, pairs.b_stop - pairs.b_start
    half = max_tokens // 2
    cut_a = a - np.minimum(a, np.maximum(max_tokens - b, max_tokens - half))
    cut_b = b - np.minimum(b, np.maximum(max_tokens - a, half))
    front_a, front_b = rng.binomial(cut_a, 0.5), rng.binomial(cut_b, 0.5)
    return replace(
        pairs,
        a_start=pairs.a_start + front_a,
        a_stop=pairs.a_stop - (cut_a - front_a),
        b_start=pairs.b_start + front_b,
        b_stop=pairs.b_stop - (cut_b - front_b),
    )


class SentencePairs:
    """What the objectives on pairs share; they say which pairs, and `part`.

    Rows are [CLS] A [SEP] B [SEP], padded. In an epoch each sentence that another one
    follows begins one pair. With probability `short` a row aims at a random number of
    tokens instead of a full row, as texts at fine-tuning are often short.

    Raises:
        ValueError: the length has no room for two tokens, or no document has two
            sentences.
    """

    part: str
    least_documents = 1

    def __init__(
        self,
        corpus: Corpus,
        special: SpecialTokens,
        *,
        length: int,
        batch_size: int,
        short: float = 0.1,
        seed: int = 0,
    ) -> None:
        check_sizes(corpus, length, batch_size, least=5)
        if not 0 <= short <= 1:
            raise ValueError(f"short must be in 0 … 1, got {short}")
        self.corpus, self.special = corpus, special
        self.length, self.batch_size, self.short = length, batch_size, short
        self.seed = seed
        if len(corpus.documents) - 1 < self.least_documents:
            raise ValueError(
                f"the corpus has {len(corpus.documents) - 1} documents, but part "
                f"{self.part!r} takes at least {self.least_documents}"
            )
        self._starts = pair_starts(corpus)
        self.n_rows = len(self._starts)
        if self.n_rows == 0:
            raise ValueError("no document has two sentences to make a pair of")

    def pairs(
        self, first_sentences: Ids, n_tokens: Ids, rng: np.random.Generator
    ) -> Pairs:
        raise NotImplementedError

    def batch(self, step: int) -> Batch:
        rows = shuffled_rows(step, self.batch_size, self.n_rows, self.seed)
        return self._rows(rows, generator(self.seed, step))

    def evaluation_batches(self) -> Iterator[Batch]:
        """One pair from each sentence on, shuffled: the first batches are a sample."""
        rows = shuffled_rows(0, self.n_rows, self.n_rows, self.seed)
        for i, places in enumerate(in_batches(self.n_rows, self.batch_size)):
            rng = generator(self.seed, i, evaluation=True)
            yield self._rows(rows[places], rng)

    def counts(self, batch: Batch) -> dict[str, int]:
        return {self.part: len(batch["labels"])}

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        return self.losses_at(model.heads, forward(model, batch), batch)

    def losses_at(
        self, heads: Heads, hidden: Float[Tensor, "b n d"], batch: Batch
    ) -> dict[str, Tensor]:
        logits = heads[self.part](hidden)
        return {self.part: cross_entropy(logits, batch["labels"], reduction="sum")}

    def _rows(self, rows: Ids, rng: np.random.Generator) -> Batch:
        max_tokens = self.length - 3
        n_tokens = np.full(len(rows), max_tokens)
        is_short = rng.random(len(rows)) < self.short
        n_tokens[is_short] = rng.integers(2, max_tokens + 1, size=int(is_short.sum()))
        p = truncate(self.pairs(self._starts[rows], n_tokens, rng), max_tokens, rng)
        segments = [(p.a_start, p.a_stop), (p.b_start, p.b_stop)]
        batch = segment_rows(
            self.corpus.tokens,
            self.corpus.word_starts,
            segments,
            self.special,
            self.length,
        )
        return {**batch, "labels": torch.from_numpy(p.label)}
