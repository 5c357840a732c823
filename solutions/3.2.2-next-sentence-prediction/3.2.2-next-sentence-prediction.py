# %% [markdown]
# # Exercises 3.2.2: does B follow A?
#
# Next sentence prediction needs pairs, half of them made up. You will draw the made-up
# ones, lay a pair out as a row, take the loss of the answer, find a way in which the
# label leaks, and measure how far one number comes that no network has learned.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has all of this, gets no points.
#
# **Conventions.** Label 0: B follows A. Label 1: B is *random*, from somewhere else.
# (So it is in BERT, and many have it the other way round.) Page 3.2.2 of the book
# explains everything that is asked here.

# %% given="imports"
import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor

try:
    from lmlib.exercises import check
except ImportError:
    raise ImportError(
        "This notebook needs the lmlib of the course Compression is Intelligence; the "
        "package of that name on the Python index is another one. In a copy of the "
        "course's repository: pip install '.[grade]', or make work and open work/ there"
    ) from None

# %% [markdown] exercise="other_document"
# A random B has to come from *another* document than A. There are D = `n_documents`
# of them, 0 to D − 1. `own` says which one each A is of, and `draws` holds, for each,
# a number drawn from 0 to **D − 2**, all equally likely: both are integer tensors of
# shape (n,).
#
# Return an integer tensor (n,): for each A a document that is never its own, such
# that each of the others comes up equally often, if all draws do. If there is only
# one document, raise a `ValueError`.


# %% solution="other_document"
def other_document(own: Tensor, draws: Tensor, n_documents: int) -> Tensor:
    ### BEGIN SOLUTION
    if n_documents < 2:
        raise ValueError(f"n_documents must be at least 2, got {n_documents}")
    return draws + (draws >= own)
    ### END SOLUTION


# %% test="other_document"
check("3.2.2/other_document", other_document)
### BEGIN HIDDEN TESTS
check("3.2.2/other_document", other_document, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="pack_pair"
# Make a row of `length` tokens of A and B, two lists of token ids of at least one
# each:
#
# [CLS] A [SEP] B [SEP], and padding up to `length`.
#
# `special` holds the ids of "cls", "sep" and "pad". If the pair is too long, drop the
# last token of the longer one (of B if they are equally long), and again, until it
# fits. `a` and `b` themselves must not change. A `length` below 5 is a `ValueError`.
#
# Return a dictionary of three tensors of shape (length,): "token_ids"; "segment_ids",
# 0 for [CLS], A and the [SEP] after it, 1 for B and its [SEP], 0 for padding;
# "attention_mask", boolean, `True` for all but padding.


# %% solution="pack_pair"
def pack_pair(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    ### BEGIN SOLUTION
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    a, b = list(a), list(b)
    while len(a) + len(b) > length - 3:
        (a if len(a) > len(b) else b).pop()
    tokens = [special["cls"], *a, special["sep"], *b, special["sep"]]
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [special["pad"]] * padding),
        "segment_ids": torch.tensor(
            [0] * (len(a) + 2) + [1] * (len(b) + 1) + [0] * padding
        ),
        "attention_mask": torch.tensor([True] * len(tokens) + [False] * padding),
    }
    ### END SOLUTION


# %% test="pack_pair"
check("3.2.2/pack_pair", pack_pair)
### BEGIN HIDDEN TESTS
check("3.2.2/pack_pair", pack_pair, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="make_pairs"
# The function below makes pairs of one document of `n_sentences`, numbered from 0. For
# sentence i, a coin of 1 means a random B, the sentence `elsewhere[i]` of another
# document (a number of `n_sentences` or more), with label 1; a coin of 0 means
# sentence i + 1, with label 0. It follows what Google's script for BERT does, and
# [ALBERT's after it](https://github.com/google-research/albert/issues/234): nothing
# crashes, and a model trained on these pairs learns something that nobody wanted.
#
# Find the bug, and write the function as it should be. Return the list of
# (a, b, label) in the order of a.


# %% given="buggy_pairs"
def buggy_pairs(
    n_sentences: int, coins: list[int], elsewhere: list[int]
) -> list[tuple[int, int, int]]:
    made = []
    for i in range(n_sentences):
        is_last = i == n_sentences - 1
        if is_last or coins[i]:
            made.append((i, elsewhere[i], 1))
        else:
            made.append((i, i + 1, 0))
    return made


# %% solution="make_pairs"
def make_pairs(
    n_sentences: int, coins: list[int], elsewhere: list[int]
) -> list[tuple[int, int, int]]:
    ### BEGIN SOLUTION
    return [
        (i, elsewhere[i] if coins[i] else i + 1, coins[i])
        for i in range(n_sentences - 1)
    ]
    ### END SOLUTION


# %% test="make_pairs"
check("3.2.2/make_pairs", make_pairs)
### BEGIN HIDDEN TESTS
check("3.2.2/make_pairs", make_pairs, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="nsp_loss"
# The model answers with two logits a pair, `logits` of shape (n, 2): the first for "B
# follows", the second for "random". `labels`, integers of shape (n,), are 0 and 1
# likewise. Return the mean of −log of the probability that the softmax gives to the
# label, in nats, as a tensor without axes. It must survive logits of some hundreds.


# %% solution="nsp_loss"
def nsp_loss(logits: Tensor, labels: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    of_label = logits.gather(1, labels[:, None]).squeeze(1)
    return (torch.logsumexp(logits, dim=1) - of_label).mean()
    ### END SOLUTION


# %% test="nsp_loss"
check("3.2.2/nsp_loss", nsp_loss)
### BEGIN HIDDEN TESTS
check("3.2.2/nsp_loss", nsp_loss, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="threshold_accuracy"
# How good is a score (an overlap of words, say) that tells which pairs belong
# together? Take the rule "random if the score is *below* t, else it follows", and find
# the t that is right most often; t may also be −∞ or ∞.
#
# `scores` (n,) are real numbers, `labels` (n,) are 0 and 1. Return the share of pairs
# that the best such rule gets right, a number. Equal scores get equal answers.


# %% solution="threshold_accuracy"
def threshold_accuracy(scores: Tensor, labels: Tensor) -> float:
    ### BEGIN SOLUTION
    cuts = [*scores.tolist(), math.inf]
    right = [((scores < t) == (labels == 1)).double().mean().item() for t in cuts]
    return max(right)
    ### END SOLUTION


# %% test="threshold_accuracy"
check("3.2.2/threshold_accuracy", threshold_accuracy)
### BEGIN HIDDEN TESTS
check("3.2.2/threshold_accuracy", threshold_accuracy, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="predict"
# Predict first; then run the cell below, which measures one number of 600 pairs: the
# overlap of the rare tokens of A and B (their cosine, a token weighing as much as it is
# rare). The text is documentation of Python packages. One curve is of B's that follow
# A, one of B's from farther off in the same document, one of B's from another document.
#
# - `swapped`: half of the pairs are (A, B), label 0, and half the same pairs swapped,
#   (B, A), label 1. How often is the best threshold on *overlap* right?
# - `told`: a model pays 0.268 nats a pair in the mean, where half of the labels are 1.
#   How many bits of the label has it saved, against a coin? Two decimals.
# - `same_document`: which curve, `"A"`, `"B"` or `"C"`, is it?
# - `masked`: a row of a pair has 19 masked tokens, at 5 bits each. How many bits does
#   masking ask for, where the label asks for one?


# %% picture="overlaps"
def show_overlaps(n_pairs: int = 600) -> None:
    import numpy as np

    from lmlib.data.load import load_corpus
    from lmlib.objectives import audit, nsp, pairs
    from lmlib.shipped import shipped

    tokenizer = shipped("bert").tokenizer
    text = load_corpus("installed", tokenizer, "valid")
    rng = np.random.default_rng(0)
    starts = rng.choice(pairs.pair_starts(text), size=n_pairs)
    follows = pairs.consecutive_pairs(text, starts, np.full(n_pairs, 125), rng)
    near, found = audit.same_document(text, follows, starts, rng)
    far = nsp.other_document(text, follows, starts, rng)
    idf = audit.inverse_document_frequency(text, tokenizer.size)
    _, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for name, style, drawn in (("A", "-", far), ("B", "--", near), ("C", ":", follows)):
        overlap = np.sort(audit.overlap(text, drawn, idf)[found])
        share = np.arange(1, len(overlap) + 1) / len(overlap)
        axes.plot(overlap, share, style, label=name, linewidth=2)
    axes.set(xlabel="overlap of A and B", ylabel="share of pairs with less")
    axes.legend()
    plt.show()


show_overlaps()

# %% solution="predict"
predict = {
    "swapped": None,
    "told": None,
    "same_document": None,
    "masked": None,
}
### BEGIN SOLUTION
predict = {"swapped": 0.5, "told": 0.61, "same_document": "B", "masked": 95}
### END SOLUTION

# %% test="predict"
check("3.2.2/predict", predict)
### BEGIN HIDDEN TESTS
check("3.2.2/predict", predict, hidden=True)
### END HIDDEN TESTS
