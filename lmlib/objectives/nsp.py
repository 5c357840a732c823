"""Next-sentence prediction: does B follow A, or is it from another document? (BERT)

RoBERTa found that it does not help (Liu et al. 2019, section 4.2): the topic gives the
negatives away. ALBERT replaced it by `lmlib.objectives.sop`.
Source: Devlin et al. (2019), section 3.1, task 2, and their create_pretraining_data.py.
"""

from dataclasses import replace

import numpy as np

from lmlib.data.corpus import Corpus
from lmlib.objectives.pairs import (
    Pairs,
    SentencePairs,
    consecutive_pairs,
    document_of,
)
from lmlib.objectives.sequences import Ids


def random_next(
    corpus: Corpus,
    pairs: Pairs,
    first_sentences: Ids,
    n_tokens: Ids,
    rng: np.random.Generator,
) -> Pairs:
    """Half of the pairs, by the toss of a coin, get a B from elsewhere, and label 1.

    That B begins at a random sentence of a random *other* document and has as many
    whole sentences of it as reach `n_tokens` together with A, at least one.

    Raises:
        ValueError: there is no other document.
    """
    n_documents = len(corpus.documents) - 1
    if n_documents < 2:
        raise ValueError("negatives come from other documents, but there is only one")
    own = document_of(corpus, first_sentences)
    other = rng.integers(n_documents - 1, size=len(own))
    other += other >= own  # uniform over all but the own one
    first = rng.integers(corpus.documents[other], corpus.documents[other + 1])
    begin = corpus.sentences[first]
    wanted = n_tokens - (pairs.a_stop - pairs.a_start)
    last = np.searchsorted(corpus.sentences, begin + wanted)
    last = np.minimum(np.maximum(last, first + 1), corpus.documents[other + 1])
    label = rng.integers(2, size=len(own))
    return replace(
        pairs,
        b_start=np.where(label == 1, begin, pairs.b_start),
        b_stop=np.where(label == 1, corpus.sentences[last], pairs.b_stop),
        label=label,
    )


class NextSentence(SentencePairs):
    """Part "nsp": label 0, B follows A; label 1, B is from another document.

    See `SentencePairs` for the rows and the parameters.

    Raises:
        ValueError: as `SentencePairs`; or the corpus has only one document.
    """

    part = "nsp"

    least_documents = 2

    def pairs(
        self, first_sentences: Ids, n_tokens: Ids, rng: np.random.Generator
    ) -> Pairs:
        pairs = consecutive_pairs(self.corpus, first_sentences, n_tokens, rng)
        return random_next(self.corpus, pairs, first_sentences, n_tokens, rng)
