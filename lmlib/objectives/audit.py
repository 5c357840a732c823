"""What can be told about pairs without reading them: an audit of made-up negatives.

A negative that somebody made differs from a positive in more ways than were meant. Try
the simplest features first: if one of them separates the labels, so will a network.
Gururangan et al. (2018), "Annotation Artifacts in Natural Language Inference Data".
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lmlib.data.corpus import Corpus
from lmlib.objectives.nsp import other_document
from lmlib.objectives.pairs import Pairs, document_of
from lmlib.objectives.sequences import Ids

Numbers = NDArray[np.float64]


def inverse_document_frequency(corpus: Corpus, vocab_size: int) -> Numbers:
    """log(documents / documents that have the token), [vocab_size]; 0 where none has.

    Sparck Jones (1972), "A statistical interpretation of term specificity".
    """
    n_documents = len(corpus.documents) - 1
    ends = corpus.document_tokens()
    counts = np.zeros(vocab_size)
    for start, stop in pairwise(ends):
        counts[np.unique(corpus.tokens[start:stop])] += 1
    return np.log(n_documents / np.maximum(counts, 1)) * (counts > 0)


def overlap(corpus: Corpus, pairs: Pairs, idf: Numbers) -> Numbers:
    """The cosine of A's and B's sets of tokens, a token weighing its idf: [n], 0 … 1.

    No order, no counts, nothing learned. Symmetric in A and B.
    """
    squared = idf**2

    def weight(tokens: NDArray[np.int32]) -> float:
        return float(squared[tokens].sum())

    scores = np.zeros(len(pairs.label))
    places = zip(pairs.a_start, pairs.a_stop, pairs.b_start, pairs.b_stop, strict=True)
    for i, (a_start, a_stop, b_start, b_stop) in enumerate(places):
        a = np.unique(corpus.tokens[a_start:a_stop])
        b = np.unique(corpus.tokens[b_start:b_stop])
        both = np.intersect1d(a, b, assume_unique=True)
        scores[i] = weight(both) / max(np.sqrt(weight(a) * weight(b)), 1e-12)
    return scores


def best_threshold(scores: Numbers, labels: Ids) -> tuple[float, float]:
    """The rule "label 1 below t, 0 from t on" that is right most often: (t, accuracy).

    Equal scores get equal answers; t may be ±∞. Of several best ones the lowest t.

    Raises:
        ValueError: there is no score, or not one label for each.
    """
    if len(scores) == 0 or len(scores) != len(labels):
        raise ValueError(
            f"one label for each score, got {len(scores)} scores, {len(labels)} labels"
        )
    order = np.argsort(scores, kind="stable")
    score, label = scores[order], labels[order]
    below = np.concatenate(([0], np.cumsum(label == 1)))  # right among the first k
    from_there = np.concatenate((np.cumsum((label == 0)[::-1])[::-1], [0]))
    may_cut = np.concatenate(([True], score[1:] > score[:-1], [True]))
    right = np.where(may_cut, below + from_there, -1)
    k = int(right.argmax())
    edges = np.concatenate(([-np.inf], (score[1:] + score[:-1]) / 2, [np.inf]))
    return float(edges[k]), float(right[k] / len(scores))


def as_it_comes(
    corpus: Corpus,
    pairs: Pairs,
    first_sentences: Ids,
    n_tokens: Ids,
    rng: np.random.Generator,
) -> Pairs:
    """Random B's that tell their label by their length: what `nsp.random_next` mends.

    Half of the pairs, by the toss of a coin, get a B that begins at a random sentence
    of another document and has as many whole sentences of it as reach `n_tokens`
    together with A: in a short document, few. So does Google's
    create_pretraining_data.py for BERT (Devlin et al. 2019).

    Raises:
        ValueError: there is no other document.
    """
    short = replace(pairs, b_stop=pairs.b_start + 1)  # so that any sentence will do
    begin = other_document(corpus, short, first_sentences, rng).b_start
    first = np.searchsorted(corpus.sentences, begin)
    wanted = n_tokens - (pairs.a_stop - pairs.a_start)
    last = np.searchsorted(corpus.sentences, begin + wanted)
    stop = corpus.documents[document_of(corpus, first) + 1]
    last = np.minimum(np.maximum(last, first + 1), stop)
    label = rng.integers(2, size=len(begin))
    return replace(
        pairs,
        b_start=np.where(label == 1, begin, pairs.b_start),
        b_stop=np.where(label == 1, corpus.sentences[last], pairs.b_stop),
        label=label,
    )


def same_document(
    corpus: Corpus,
    pairs: Pairs,
    first_sentences: Ids,
    rng: np.random.Generator,
    *,
    gap: int = 200,
) -> tuple[Pairs, NDArray[np.bool_]]:
    """The pairs with a B from elsewhere in A's own document, at least `gap` tokens off.

    It begins at a random sentence and is as long as the B that follows A.

    Returns:
        The pairs, all labels 1, and for each whether its document has such a place;
        where it has none, B is the one that follows.
    """
    ends = corpus.document_tokens()
    length = pairs.b_stop - pairs.b_start
    own = document_of(corpus, first_sentences)
    b_start, found = pairs.b_start.copy(), np.zeros(len(own), np.bool_)
    for i, d in enumerate(own):
        first, stop = corpus.documents[d], corpus.documents[d + 1]
        begins = corpus.sentences[first:stop]
        begins = begins[begins + length[i] <= ends[d + 1]]
        far = begins >= pairs.b_stop[i] + gap
        far |= begins + length[i] + gap <= pairs.a_start[i]
        found[i] = far.any()
        if found[i]:
            b_start[i] = rng.choice(begins[far])
    label = found.astype(np.int64)
    return replace(pairs, b_start=b_start, b_stop=b_start + length, label=label), found
