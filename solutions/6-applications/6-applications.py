# %% [markdown]
# # Exercises 6: text out of a model, and what it is worth
#
# You will cut a distribution to its nucleus, mend a penalty that makes a model say "dog
# dog dog", search for the likeliest text, choose among candidates by their bits, and
# write two measures, each of which has been written wrongly in code that many used.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has most of this, gets no points.
#
# The pages of chapter 6 of the book explain what is asked here.

# %% given="imports"
import math

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

# %% [markdown] exercise="nucleus"
# Each row of `p` [n, v] holds the probabilities of v tokens. Keep the *fewest* tokens
# whose probabilities sum to `top_p` or more, the likeliest first and of equal ones the
# one of the smaller index; set the others to 0, and let each row sum to 1 again. The
# result has the shape and the dtype of `p`.
#
# Raise ValueError unless 0 < `top_p` ≤ 1.


# %% solution="nucleus"
def nucleus(p: Tensor, top_p: float) -> Tensor:
    ### BEGIN SOLUTION
    if not 0 < top_p <= 1:
        raise ValueError("top_p must lie in (0, 1]")
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    return torch.zeros_like(p).scatter(-1, order, ordered)
    ### END SOLUTION


# %% test="nucleus"
check("6/nucleus", nucleus)
### BEGIN HIDDEN TESTS
check("6/nucleus", nucleus, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="penalise"
# To keep a model from repeating itself, tokens that it has already `seen` shall be made
# less likely, by a `penalty` above 1. Code like that below was in use in a well-known
# library. With it, a model asked to go on after "The dog" wrote "dog dog dog dog".
#
# Find out why, and write it as it should be: the *log-probability* of each seen token
# is multiplied by the penalty, once, however often it was seen; then all are normalised
# again. Return the log-probabilities [v]; leave `logits` as it is.


# %% given="buggy_penalise"
def buggy_penalise(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    logits = logits.clone()
    for token in set(seen):
        logits[token] /= penalty
    return logits.log_softmax(dim=-1)


# %% solution="penalise"
def penalise(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    ### BEGIN SOLUTION
    log_p = logits.log_softmax(dim=-1)
    is_seen = torch.zeros(len(logits), dtype=torch.bool)
    is_seen[seen] = True
    return torch.where(is_seen, penalty * log_p, log_p).log_softmax(dim=-1)
    ### END SOLUTION


# %% test="penalise"
check("6/penalise", penalise)
### BEGIN HIDDEN TESTS
check("6/penalise", penalise, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="beam_search"
# A model of first order: `start[i]` is the natural log-probability that a text begins
# with token i, `transition[i, j]` that of j after i; both are float64. A text ends with
# the token `eos`, or is cut off when it has `longest` tokens.
#
# Search with a beam. In each step, extend every beginning by every token. Of *all*
# these children the best `width` by the sum of their log-probabilities count: those
# that end are finished and set aside, the others are the next beginnings. Return the
# best finished text, a list of its tokens with `eos`, and its log p, a float. Only if
# none is finished, return the best of the beginnings that were cut off.


# %% solution="beam_search"
def beam_search(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> tuple[list[int], float]:
    ### BEGIN SOLUTION
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    finished = []
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        children.sort(key=lambda child: -child[1])
        finished += [child for child in children[:width] if child[0][-1] == eos]
        beams = [child for child in children[:width] if child[0][-1] != eos]
    return max(finished or beams, key=lambda child: child[1])
    ### END SOLUTION


# %% test="beam_search"
check("6/beam_search", beam_search)
### BEGIN HIDDEN TESTS
check("6/beam_search", beam_search, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="multiple_choice"
# `log_p` [q, c] holds log p(candidate | question) for c candidates of each of q
# questions, `n_tokens` and `n_bytes` [q, c] their lengths, and `prior` [q, c] the
# log p(candidate) without the question. Return the chosen candidates, int64 [q]: the
# first of those with the highest score. `rule` says which score:
#
# - `"sum"`: log p;
# - `"token"`, `"byte"`: log p for each token, for each byte;
# - `"pmi"`: the logarithm of p(candidate | question)/p(candidate).
#
# Raise ValueError for any other rule.


# %% solution="multiple_choice"
def multiple_choice(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    ### BEGIN SOLUTION
    if rule == "sum":
        scores = log_p
    elif rule == "token":
        scores = log_p / n_tokens
    elif rule == "byte":
        scores = log_p / n_bytes
    elif rule == "pmi":
        scores = log_p - prior
    else:
        raise ValueError(f"rule must be sum, token, byte or pmi, got {rule!r}")
    return scores.argmax(dim=1)
    ### END SOLUTION


# %% test="multiple_choice"
check("6/multiple_choice", multiple_choice)
### BEGIN HIDDEN TESTS
check("6/multiple_choice", multiple_choice, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="corpus_bleu"
# BLEU, the measure of translations since 2002, of a whole corpus: `hypotheses` and
# `references` are lists of as many sentences, and a sentence is a list of words. For
# n = 1 … 4 let $m_n$ be the number of right n-grams over all sentences, where an n-gram
# of a hypothesis counts at most as often as *its* reference has it, and $t_n$ that of
# all n-grams of the hypotheses. With $h$ and $r$ words in all hypotheses and in all
# references,
#
# $$\text{BLEU} = 100 \cdot \min(1, e^{1 - r/h})
#   \cdot \left( \prod_{n=1}^{4} \frac{m_n}{t_n} \right)^{1/4}$$
#
# Return a float. If any $m_n$ is 0, so is the score; nothing is smoothed.


# %% solution="corpus_bleu"
def corpus_bleu(hypotheses: list[list[str]], references: list[list[str]]) -> float:
    ### BEGIN SOLUTION
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(have)
            right[n - 1] += sum(min(have.count(g), want.count(g)) for g in set(have))
    if 0 in right:
        return 0.0
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / h)) * math.exp(sum(logs) / 4)
    ### END SOLUTION


# %% test="corpus_bleu"
check("6/corpus_bleu", corpus_bleu)
### BEGIN HIDDEN TESTS
check("6/corpus_bleu", corpus_bleu, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="answer_f1"
# How much of the answer `given` is right, if `truth` is? Make both lower case, delete
# ASCII punctuation (`string.punctuation`), then take out the words a, an and the. What
# is left are two bags of words, with repeats. F1 is the harmonic mean of precision (the
# share of the given words that are right) and recall (the share of the true words that
# are given); a word counts as often as both have it. If neither has any word the score
# is 1, if only one has none, 0. Return a float.


# %% solution="answer_f1"
def answer_f1(given: str, truth: str) -> float:
    ### BEGIN SOLUTION
    def words(text: str) -> list[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        text = "".join(c for c in text.lower() if c not in marks)
        return [w for w in text.split() if w not in ("a", "an", "the")]

    have, want = words(given), words(truth)
    if not have or not want:
        return float(have == want)
    common = sum(min(have.count(w), want.count(w)) for w in set(have))
    return 2 * common / (len(have) + len(want))
    ### END SOLUTION


# %% test="answer_f1"
check("6/answer_f1", answer_f1)
### BEGIN HIDDEN TESTS
check("6/answer_f1", answer_f1, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="answers"
# Predict first; then look it up on the pages, or run it. Two decimals will do.
#
# - `heads`: a coin falls heads with p = 0.9. How many bits does a sequence of a hundred
#   heads cost under it?
# - `typical`: and one with ten tails among the hundred?
# - `hot`: which costs the model that wrote it more bits a token at T = 1: `"samples"`
#   that it drew at T = 1.3, or what `"people"` wrote?
# - `chinese`: the package rouge-score, with its defaults, takes for words what is
#   matched by `[a-z0-9]+`. It gives ROUGE-1 from 0 to 1. How much has a Chinese answer
#   that is the same as the reference, character by character?
# - `rule`: a model is to say which of four names, of unlike lengths, a summary belongs
#   to. Which rule has no bias by the length of the names? `"a"` the sum of log
#   p(name | summary), `"b"` its mean over tokens, `"c"` over bytes, or `"d"` the sum of
#   log p(summary | name).

# %% solution="answers"
answers = {
    "heads": None,
    "typical": None,
    "hot": None,
    "chinese": None,
    "rule": None,
}
### BEGIN SOLUTION
answers = {
    "heads": 15.2,
    "typical": 46.9,
    "hot": "samples",
    "chinese": 0,
    "rule": "d",
}
### END SOLUTION

# %% test="answers"
check("6/answers", answers)
### BEGIN HIDDEN TESTS
check("6/answers", answers, hidden=True)
### END HIDDEN TESTS
