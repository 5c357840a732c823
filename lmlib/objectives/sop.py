"""Sentence-order prediction: do A and B stand as in the text, or swapped? (ALBERT)

Both come from the same place in the same document, so that the topic tells nothing and
only coherence does.
Source: Lan et al. (2020), "ALBERT", section 3.1, "inter-sentence coherence loss".
"""

import numpy as np

from lmlib.objectives.pairs import Pairs, SentencePairs, consecutive_pairs
from lmlib.objectives.sequences import Ids


def random_order(pairs: Pairs, rng: np.random.Generator) -> Pairs:
    """Half of the pairs, by the toss of a coin, have A and B swapped, and label 1."""
    label = rng.integers(2, size=len(pairs.label))
    swap = label == 1
    return Pairs(
        a_start=np.where(swap, pairs.b_start, pairs.a_start),
        a_stop=np.where(swap, pairs.b_stop, pairs.a_stop),
        b_start=np.where(swap, pairs.a_start, pairs.b_start),
        b_stop=np.where(swap, pairs.a_stop, pairs.b_stop),
        label=label,
    )


class SentenceOrder(SentencePairs):
    """Part "sop": label 0, A and B as in the text; label 1, swapped.

    See `SentencePairs` for the rows, the parameters and the errors.
    """

    part = "sop"

    def pairs(
        self, first_sentences: Ids, n_tokens: Ids, rng: np.random.Generator
    ) -> Pairs:
        pairs = consecutive_pairs(self.corpus, first_sentences, n_tokens, rng)
        return random_order(pairs, rng)
