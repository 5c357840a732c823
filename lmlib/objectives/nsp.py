"""Next-sentence prediction: does B follow A, or is it from another document? (BERT)

RoBERTa found that it does not help (Liu et al. 2019, section 4.2): the topic gives the
negatives away. ALBERT replaced it by `lmlib.objectives.sop`.
Source: Devlin et al. (2019), section 3.1, task 2. Their script for the rows takes
a random B as it comes, and one from a short document ends early: the length of a row
then tells what is to be told from the meaning. Here no length does (`random_next`).
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

BLUNT = 8  # a B loses fewer tokens than these at its end


def other_document(
    corpus: Corpus, pairs: Pairs, first_sentences: Ids, rng: np.random.Generator
) -> Pairs:
    """The pairs with a B from a random *other* document; all labels are 1.

    It begins at a random sentence after which there is as much text as the B that
    follows A has, and is as long as that one; in a document too short for it, shorter.

    Raises:
        ValueError: there is no other document.
    """
    n_documents = len(corpus.documents) - 1
    if n_documents < 2:
        raise ValueError("negatives come from other documents, but there is only one")
    own = document_of(corpus, first_sentences)
    other = rng.integers(n_documents - 1, size=len(own))
    other += other >= own  # uniform over all but the own one
    first, stop = corpus.documents[other], corpus.documents[other + 1]
    end = corpus.sentences[stop]
    wanted = pairs.b_stop - pairs.b_start
    last = np.searchsorted(corpus.sentences, end - wanted, side="right") - 1
    begin = corpus.sentences[rng.integers(first, np.maximum(last, first) + 1)]
    b_stop = np.minimum(begin + wanted, end)
    return replace(pairs, b_start=begin, b_stop=b_stop, label=np.ones_like(own))


def random_next(
    corpus: Corpus, pairs: Pairs, first_sentences: Ids, rng: np.random.Generator
) -> Pairs:
    """Half of the pairs, by the toss of a coin, get a B from elsewhere, and label 1.

    Nothing but what A and B say is to tell the label. So both B's are drawn for every
    pair and cut to the length of the shorter one, and then the coin is tossed; and a
    random few tokens (fewer than `BLUNT`) are cut off their end, for a B that follows
    A ends with a sentence more often than one that was cut to a length.

    Raises:
        ValueError: there is no other document.
    """
    other = other_document(corpus, pairs, first_sentences, rng)
    length = other.b_stop - other.b_start
    length -= np.minimum(rng.integers(BLUNT, size=len(length)), length - 1)
    label = rng.integers(2, size=len(length))
    b_start = np.where(label == 1, other.b_start, pairs.b_start)
    return replace(pairs, b_start=b_start, b_stop=b_start + length, label=label)


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
        return random_next(self.corpus, pairs, first_sentences, rng)
