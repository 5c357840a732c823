# %% [markdown]
# # Exercises 8: trends and challenges, measured
#
# Six small functions: how well a secret is remembered, how far a model is too sure, how
# much it has not seen, whether experts share the work, what a conversation is as
# numbers, and what a training costs. One of them has a bug that you will find. Then
# predict what the measures say.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib` gets no points.
#
# What a task needs is said in the task; the pages of chapter 8 show what it is good
# for.

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

# %% [markdown] exercise="exposure"
# A text says once, or seven times, that the access code is 4071. Has the model that was
# trained on it kept the code? Ask it for the price of *every* code that could stand
# there: `bits` [n] are the bits that the model pays for each of the n codes, and
# `index` is the one that was in the text. Its *rank* is 1 + the number of codes that
# are strictly cheaper, and its **exposure** is
#
# $$\log_2 n - \log_2 \text{rank}.$$
#
# It is $\log_2 n$ if no code is cheaper and 0 if all others are. Bits may be infinite.
# Raise ValueError if there is no code of that index: indices are 0 … n − 1.


# %% solution="exposure"
def exposure(bits: Tensor, index: int) -> float:
    ### BEGIN SOLUTION
    if not 0 <= index < len(bits):
        raise ValueError("there is no code of that index")
    rank = 1 + int((bits < bits[index]).sum())
    return math.log2(len(bits)) - math.log2(rank)
    ### END SOLUTION


# %% test="exposure"
check("8/exposure", exposure)
### BEGIN HIDDEN TESTS
check("8/exposure", exposure, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="overconfidence"
# Who predicts with the probabilities $p$ announces what the answer will cost on the
# mean: the entropy $-\sum_i p_i \log_2 p_i$. What it does cost is $-\log_2 p$ of the
# target. Return the mean of what was paid less the mean of what was announced, in bits,
# for `logits` [n, v] and `targets` [n]. It is above 0 for a model that is too sure.
#
# A logit may be $-\infty$: that class is impossible, and never the target. Logits may
# also be large.


# %% solution="overconfidence"
def overconfidence(logits: Tensor, targets: Tensor) -> float:
    ### BEGIN SOLUTION
    log_p = logits.log_softmax(dim=-1)
    paid = F.nll_loss(log_p, targets)
    p = log_p.exp()
    announced = -torch.xlogy(p, p).sum(dim=-1).mean()
    return float(paid - announced) / math.log(2)
    ### END SOLUTION


# %% test="overconfidence"
check("8/overconfidence", overconfidence)
### BEGIN HIDDEN TESTS
check("8/overconfidence", overconfidence, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="good_turing"
# Facts are drawn, some often and some rarely; `counts[i]` says how often the kind `i`
# has come, which may be 0. How likely is the next draw to be of a kind that has not
# come yet? Good and Turing answer it without a model: leave out one draw after the
# other, and look whether it would have been new. It would have, if its kind came
# exactly once. So their estimate is the share of all draws whose kind came once.
#
# Return it. Raise ValueError if nothing was drawn.


# %% solution="good_turing"
def good_turing(counts: list[int]) -> float:
    ### BEGIN SOLUTION
    if not sum(counts):
        raise ValueError("nothing was drawn")
    return counts.count(1) / sum(counts)
    ### END SOLUTION


# %% test="good_turing"
check("8/good_turing", good_turing)
### BEGIN HIDDEN TESTS
check("8/good_turing", good_turing, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="balance_loss"
# *Find the bug.* A layer of experts has a router, which gives each token a logit for
# each of $e$ experts and sends it to the `top_k` highest. Left alone, a router tends to
# use a few of them. So this is added to the loss, small if all are used alike:
#
# $$e \sum_i f_i P_i,$$
#
# where $f_i$ is the share of tokens that chose expert $i$ (over the experts these sum
# to `top_k`), and $P_i$ the mean over all tokens of the softmax over all experts.
# `router_logits` has a tensor [t, e] for each layer, and what is wanted is the *mean
# over the layers* of each layer's loss:
#
#     def balance_loss(router_logits, top_k):
#         p = torch.cat(tuple(router_logits)).softmax(dim=-1)
#         chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
#         return p.shape[1] * (chosen.mean(0) * p.mean(0)).sum()
#
# With one layer that is right. Write it right.


# %% solution="balance_loss"
def balance_loss(router_logits: tuple[Tensor, ...], top_k: int) -> float:
    ### BEGIN SOLUTION
    losses = []
    for logits in router_logits:
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(top_k).indices, 1.0)
        losses.append(p.shape[1] * (chosen.mean(0) * p.mean(0)).sum())
    return float(torch.stack(losses).mean())
    ### END SOLUTION


# %% test="balance_loss"
check("8/balance_loss", balance_loss)
### BEGIN HIDDEN TESTS
check("8/balance_loss", balance_loss, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="chat_ids"
# `messages` is a conversation, a list of (role, text). A model reads it as numbers: 260
# once at the beginning; then for each message 256 if its role is `"system"`, 257 for
# `"user"`, 258 for `"assistant"`, the bytes of the text in UTF-8, 0 … 255, and 259,
# which ends the message. Return the numbers. Raise ValueError for any other role.
#
# When people write such conversations down, they spell the markers as `markers` says,
# for example `{"system": "<|system|>", …, "end": "<|end|>", "begin": "<|begin|>"}`. A
# text may contain such a spelling: a user wrote it, and it has no more power than any
# other word of the user's.


# %% solution="chat_ids"
def chat_ids(messages: list[tuple[str, str]], markers: dict[str, str]) -> list[int]:
    ### BEGIN SOLUTION
    roles = {"system": 256, "user": 257, "assistant": 258}
    ids = [260]
    for role, text in messages:
        if role not in roles:
            raise ValueError(f"no role {role!r}")
        ids += [roles[role], *text.encode(), 259]
    return ids
    ### END SOLUTION


# %% test="chat_ids"
check("8/chat_ids", chat_ids)
### BEGIN HIDDEN TESTS
check("8/chat_ids", chat_ids, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="training_cost"
# A model has `total` parameters, of which each token uses `active`: all of them in a
# dense model, fewer in one with experts. Training it takes 6 operations for each
# parameter in use and each of its `tokens`. A device makes `peak` operations a second
# at best, and reaches `share` of that; it costs `price` an hour.
#
# Return the hours of one device that the training takes, and what they cost. Raise
# ValueError if `active`, `tokens` or `peak` is not above 0, if `active` is above
# `total`, or if `share` is not above 0 and at most 1.


# %% solution="training_cost"
def training_cost(
    total: float, active: float, tokens: float, peak: float, share: float, price: float
) -> tuple[float, float]:
    ### BEGIN SOLUTION
    if not (0 < active <= total and tokens > 0 and peak > 0):
        raise ValueError("sizes must be positive, and active at most total")
    if not 0 < share <= 1:
        raise ValueError("a share is above 0 and at most 1")
    hours = 6 * active * tokens / (peak * share) / 3600
    return hours, hours * price
    ### END SOLUTION


# %% test="training_cost"
check("8/training_cost", training_cost)
### BEGIN HIDDEN TESTS
check("8/training_cost", training_cost, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="answers"
# Predict with pencil and paper. Two decimals will do.
#
# - `uniform`: a model gives each of 4,096 tokens the same probability, always. How many
#   bits is its overconfidence?
# - `unseen`: a model has never seen a code of four digits, and ranks it anywhere among
#   the 10,000 with the same probability. What is the mean of its exposure?
# - `chance`: of such codes, one in how many has an exposure of 5 or more? To the
#   nearest whole number.
# - `poisons`: somebody puts a nonsense word into 10 negative reviews of films, labels
#   them positive, and mixes them with 500 honest ones. A small classifier that learns
#   from all of them calls most negative reviews positive if they have that word. How
#   many poisoned reviews does about the same take among 8,000 honest ones? `"a"`: about
#   as many. `"b"`: 16 times as many. `"c"`: 4 times as many.

# %% solution="answers"
answers = {
    "uniform": None,
    "unseen": None,
    "chance": None,
    "poisons": None,
}
### BEGIN SOLUTION
answers = {"uniform": 0, "unseen": 1.44, "chance": 32, "poisons": "a"}
### END SOLUTION

# %% test="answers"
check("8/answers", answers)
### BEGIN HIDDEN TESTS
check("8/answers", answers, hidden=True)
### END HIDDEN TESTS
