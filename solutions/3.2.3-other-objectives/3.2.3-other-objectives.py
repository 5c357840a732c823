# %% [markdown]
# # Exercises 3.2.3: other questions about a text
#
# Replaced tokens, deleted words, spans that were cut out, sentences that were swapped:
# you will make the questions, and in one place the answer. Nothing is trained.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# When your work is graded, the same checks run on other inputs.
#
# **Conventions.** The first three exercises take tensors of shape (batch, n), boolean
# ones with `True` for "yes". The next three take and give plain Python lists.
# Chapter 3.2.3 of the book explains everything that is asked here.

# %% given="imports"
import math

import torch
import torch.nn.functional as F
from torch import Tensor

try:
    from lmlib.exercises import check
except ImportError:
    raise ImportError(
        "This notebook needs the lmlib of the course Compression is Intelligence; the "
        "package of that name on the Python index is another one. In a copy of the "
        "course's repository: pip install '.[grade]', or make work and open work/ there"
    ) from None

# %% [markdown] exercise="replaced_labels"
# A small generator has filled in the masked places of a text. `original` holds the
# true token ids, `masked` says which places were masked, and `sampled` has the
# generator's sample for each place (it sampled everywhere; only masked places use it).
# All three have shape (batch, n).
#
# Return the corrupted text, and a boolean tensor that says which of its tokens are
# *replaced*. A sample that happens to be the true token is original. Leave your
# arguments as they are.


# %% solution="replaced_labels"
def replaced_labels(
    original: Tensor, masked: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    ### BEGIN SOLUTION
    corrupted = torch.where(masked, sampled, original)
    return corrupted, corrupted != original
    ### END SOLUTION


# %% test="replaced_labels"
check("3.2.3/replaced_labels", replaced_labels)
### BEGIN HIDDEN TESTS
check("3.2.3/replaced_labels", replaced_labels, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="rtd_loss"
# The detector gives one logit for each token, positive for "replaced". Return the mean
# binary cross-entropy in nats over all *real* tokens of the batch: those where `real`
# is `True`; the others are padding. All four arguments have shape (batch, n). If there
# is no real token, the loss is 0. You are given `masked`, too. Do you need it?


# %% solution="rtd_loss"
def rtd_loss(logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    each = F.binary_cross_entropy_with_logits(
        logits, replaced.to(logits.dtype), reduction="none"
    )
    return (each * real).sum() / real.sum().clamp(min=1)
    ### END SOLUTION


# %% test="rtd_loss"
check("3.2.3/rtd_loss", rtd_loss)
### BEGIN HIDDEN TESTS
check("3.2.3/rtd_loss", rtd_loss, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="probability_from_detector"
# A place is masked with probability $\rho$ (`share`), and then shows a sample of $g$;
# otherwise it shows the true token, which has distribution $p$. A perfect detector
# says $D$ (`p_replaced`), the probability that the token shown was replaced, by
# ELECTRA's rule: a sample that equals the true token is original. With the generator's
# probability `g` of that token, $p$ can be recovered from $D$. Do so: `p_replaced` and
# `g` have the same shape, and so has the result. Where $D = 0$ it is 1, where $D = 1$
# it is 0.


# %% solution="probability_from_detector"
def probability_from_detector(p_replaced: Tensor, g: Tensor, share: float) -> Tensor:
    ### BEGIN SOLUTION
    sampled = share * g * (1 - p_replaced)
    return sampled / (sampled + p_replaced * (1 - share + share * g))
    ### END SOLUTION


# %% test="probability_from_detector"
check("3.2.3/probability_from_detector", probability_from_detector)
### BEGIN HIDDEN TESTS
check("3.2.3/probability_from_detector", probability_from_detector, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="keep_labels"
# Somebody shortened a sentence. Which of its words were kept? `sentence` and
# `compressed` are lists of words. Return a list with `True` or `False` for each word
# of `sentence`, by a *longest common subsequence*: as many words as possible, in the
# order of both. Of several that are equally long take the one whose first word stands
# first in the sentence; of those, the one whose second does, and so on. Words of
# `compressed` that the sentence lacks are passed over.


# %% solution="keep_labels"
def keep_labels(sentence: list[str], compressed: list[str]) -> list[bool]:
    ### BEGIN SOLUTION
    n, m = len(sentence), len(compressed)
    longest = [[0] * (m + 1) for _ in range(n + 1)]
    for i in reversed(range(n)):
        for j in reversed(range(m)):
            if sentence[i] == compressed[j]:
                longest[i][j] = longest[i + 1][j + 1] + 1
            else:
                longest[i][j] = max(longest[i + 1][j], longest[i][j + 1])
    keep, i, j = [False] * n, 0, 0
    while i < n and j < m:
        if sentence[i] == compressed[j]:
            keep[i] = True
            i, j = i + 1, j + 1
        elif longest[i][j + 1] >= longest[i + 1][j]:
            j += 1
        else:
            i += 1
    return keep
    ### END SOLUTION


# %% test="keep_labels"
check("3.2.3/keep_labels", keep_labels)
### BEGIN HIDDEN TESTS
check("3.2.3/keep_labels", keep_labels, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="corrupt_spans"
# T5 cuts spans out of a text and asks for them. `tokens` is a list of ids, `noise` a
# list of booleans, one a token. Return two lists. The *inputs* are the tokens with
# each span of noise replaced by one sentinel; the *targets* are the spans, each after
# its sentinel. Span $k$ takes `sentinels[k]`, and both lists end with `eos`:
#
#     text     Thank you for inviting me to your party last week
#     inputs   Thank you <X> me to your party <Y> week </s>
#     targets  <X> for inviting <Y> last </s>
#
# If there are more spans than sentinels, raise a `ValueError`.


# %% solution="corrupt_spans"
def corrupt_spans(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    ### BEGIN SOLUTION
    inputs, targets, n_spans = [], [], 0
    for i, token in enumerate(tokens):
        if noise[i] and not (i > 0 and noise[i - 1]):
            if n_spans == len(sentinels):
                raise ValueError(f"more spans than {len(sentinels)} sentinels")
            inputs.append(sentinels[n_spans])
            targets.append(sentinels[n_spans])
            n_spans += 1
        (targets if noise[i] else inputs).append(token)
    return [*inputs, eos], [*targets, eos]
    ### END SOLUTION


# %% test="corrupt_spans"
check("3.2.3/corrupt_spans", corrupt_spans)
### BEGIN HIDDEN TESTS
check("3.2.3/corrupt_spans", corrupt_spans, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="order_pair"
# A colleague trains on sentence order with the function below and writes: *"Accuracy
# is 100 % after fifty steps!"* The two sentences `a` and `b` are lists of ids,
# `special` is `(cls, sep)`. A row is `[CLS] first [SEP] second [SEP]`; the label is 1
# if the sentences were swapped.
#
# Find the bug, and write the function as it should be: segment 0 up to and including
# the first `[SEP]`, segment 1 after it, in every row.


# %% given="buggy_pair"
def buggy_pair(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    cls, sep = special
    left = [(token, 0) for token in [*a, sep]]
    right = [(token, 1) for token in [*b, sep]]
    if swap:
        left, right = right, left
    row = [(cls, left[0][1]), *left, *right]
    ids, segments = zip(*row, strict=True)
    return list(ids), list(segments), int(swap)


# %% solution="order_pair"
def order_pair(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    ### BEGIN SOLUTION
    cls, sep = special
    first, second = (b, a) if swap else (a, b)
    ids = [cls, *first, sep, *second, sep]
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return ids, segments, int(swap)
    ### END SOLUTION


# %% test="order_pair"
check("3.2.3/order_pair", order_pair)
### BEGIN HIDDEN TESTS
check("3.2.3/order_pair", order_pair, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="read_the_counts"
# Predict first, on paper; then use the cell below and what you have written above to
# see whether you were right. Of a row of 568 tokens T5 makes 85 noise, in 28 spans. A
# generator of replaced tokens masks a share of 0.15, and its sample is the true token
# with probability 0.385.
#
# - `inputs`, `targets`: the lengths of the corrupted input and of its target.
# - `last`: the probability that the *last* token of a row is noise, when text and
#   noise alternate as T5's code lets them, beginning with text.
# - `all_original`: how often a detector is right that always says "original".
# - `told`: how many bits about the label "was masked" a token tells to a perfect
#   detector, if the generator is perfect ($g = p$).


# %% given="a_row"
def a_row_of_t5(n_text: int, n_noise: int, n_spans: int) -> list[bool]:
    """True for noise: the text and the noise, each cut into so many parts."""

    def parts(total: int) -> list[int]:
        cuts = sorted((torch.randperm(total - 1) + 1)[: n_spans - 1].tolist())
        return [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]

    row: list[bool] = []
    for text, noise in zip(parts(n_text), parts(n_noise), strict=True):
        row += [False] * text + [True] * noise
    return row


def entropy_bits(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


# %% solution="read_the_counts"
read_the_counts = {
    "inputs": None,
    "targets": None,
    "last": None,
    "all_original": None,
    "told": None,
}
### BEGIN SOLUTION
read_the_counts |= {
    "inputs": 512,
    "targets": 114,
    "last": 1,
    "all_original": 1 - 0.15 * (1 - 0.385),
    "told": 0,
}
### END SOLUTION

# %% test="read_the_counts"
check("3.2.3/read_the_counts", read_the_counts)
### BEGIN HIDDEN TESTS
check("3.2.3/read_the_counts", read_the_counts, hidden=True)
### END HIDDEN TESTS
