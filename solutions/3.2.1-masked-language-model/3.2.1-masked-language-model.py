# %% [markdown]
# # Exercises 3.2.1: the masked language model by hand
#
# Four steps make a masked language model: choose the tokens that are asked for, hide
# them, predict, and take the loss. You write the first, the second and the last, and
# then work out what the loss is worth in bits. Everything here takes tensors and gives
# tensors; you need no training, no data and no GPU.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs.
#
# **Conventions.** A batch has shape (b, n): b rows of n tokens. What is random comes
# as an argument, already drawn, so that there is one right answer. −100 marks a place
# where nothing is asked. Page 3.2.1 of the book explains everything that is asked here.

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

# %% [markdown] exercise="choose_targets"
# Step 1: which tokens will be asked for? `maskable` is boolean, (b, n): `False` for
# [CLS], [SEP] and padding. `uniform`, (b, n), holds a random number in 0 … 1 for each
# token. In each row, the tokens with the *smallest* numbers are the targets: as many
# as `share` times the maskable tokens of that row, rounded to the nearest, and at
# least one if there is a maskable token at all.
#
# Return a boolean tensor (b, n), `True` at the targets. A share that is not above 0
# and at most 1 is a `ValueError`. (No share will ask you to round a half.)


# %% solution="choose_targets"
def choose_targets(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    ### BEGIN SOLUTION
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    n_targets = (share * maskable.sum(dim=1)).round().clamp(min=1)
    rank = uniform.masked_fill(~maskable, 2.0).argsort(dim=1).argsort(dim=1)
    return maskable & (rank < n_targets[:, None])
    ### END SOLUTION


# %% test="choose_targets"
check("3.2.1/choose_targets", choose_targets)
### BEGIN HIDDEN TESTS
check("3.2.1/choose_targets", choose_targets, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="corrupt"
# Step 2: what becomes of them? A `chosen` token becomes `mask_id` where `draw` is
# below 0.8. Of the rest, where `second_draw` is below 0.5, it becomes the token of
# `random_ids` at its place; otherwise it stays. Tokens that are not chosen stay.
#
# Return two tensors, `inputs` and `targets`: targets are the original tokens where one
# was chosen, whatever became of it, and −100 elsewhere. All tensors are (b, n);
# `token_ids` itself must not change.


# %% solution="corrupt"
def corrupt(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    ### BEGIN SOLUTION
    masked = chosen & (draw < 0.8)
    replaced = chosen & ~masked & (second_draw < 0.5)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.masked_fill(~chosen, -100)
    ### END SOLUTION


# %% test="corrupt"
check("3.2.1/corrupt", corrupt)
### BEGIN HIDDEN TESTS
check("3.2.1/corrupt", corrupt, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="masked_lm_loss"
# Step 4: the loss. Somebody trained a model for a day with the function below. Its
# loss fell to 0.64 bits, which would be the best masked language model in the world,
# and what it fills in is nonsense.
#
# Find the bug, and write the function as it should be: the mean of −log p, in nats,
# over the targets of the whole batch. `logits` has shape (b, n, V), `targets` (b, n)
# with −100 where nothing is asked. Where nothing is asked at all, the loss is 0 and
# its gradient 0.


# %% given="buggy_loss"
def buggy_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """(b, n, V), (b, n) → a loss without axes."""
    losses = F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="none"
    )
    return losses.mean()


# %% solution="masked_lm_loss"
def masked_lm_loss(logits: Tensor, targets: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    total = F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum"
    )
    return total / (targets != -100).sum().clamp(min=1)
    ### END SOLUTION


# %% test="masked_lm_loss"
check("3.2.1/masked_lm_loss", masked_lm_loss)
### BEGIN HIDDEN TESTS
check("3.2.1/masked_lm_loss", masked_lm_loss, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="random_order_bits"
# How large is a file that a masked model compresses? Sender and receiver agree on a
# random order of a row's n tokens. The tokens are told one after the other in that
# order; each is coded with the model's probability, given those told before and with
# [MASK] for all the others.
#
# `nats` is a list: `nats[m - 1]` is the mean loss, in nats, of a hidden token when m
# of the row are hidden, for m = 1 … n. Return the expected size of the row in *bits*.
# An empty list is a `ValueError`.


# %% solution="random_order_bits"
def random_order_bits(nats: list[float]) -> float:
    ### BEGIN SOLUTION
    if len(nats) == 0:
        raise ValueError("nats must not be empty")
    return sum(nats) / math.log(2)
    ### END SOLUTION


# %% test="random_order_bits"
check("3.2.1/random_order_bits", random_order_bits)
### BEGIN HIDDEN TESTS
check("3.2.1/random_order_bits", random_order_bits, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="probability_as_seen"
# The model is asked for a token that shows no [MASK], but some token v. Is v what was
# there? The context gives v the probability `q` (a tensor of any shape). Targets are
# kept with probability `kept`, and replaced with probability `random` by one of
# `vocab_size` tokens, all alike (v and the original among them); the rest are masked.
#
# Return the probability that the original was v, of the shape and dtype of `q`.


# %% solution="probability_as_seen"
def probability_as_seen(
    q: Tensor, vocab_size: int, kept: float, random: float
) -> Tensor:
    ### BEGIN SOLUTION
    by_chance = random / vocab_size
    return q * (kept + by_chance) / (q * kept + by_chance)
    ### END SOLUTION


# %% test="probability_as_seen"
check("3.2.1/probability_as_seen", probability_as_seen)
### BEGIN HIDDEN TESTS
check("3.2.1/probability_as_seen", probability_as_seen, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="predict"
# Predict first, with pencil and paper; then, if you like, run it with your functions.
# A text has 400 maskable tokens; 15 % of them are targets, with 80 % [MASK], 10 %
# random and 10 % kept.
#
# - `masked`: how many tokens show [MASK], in the mean?
# - `changed`: how many inputs differ from the text, in the mean? (A random token is
#   hardly ever the original; neglect that.)
# - `never`: the targets are drawn once for each of ten copies of the text, as for the
#   first BERT. What share of the maskable tokens is a target in no copy? Two decimals.
# - `reported`: the mean loss of a target is 4.89 bits. What does `buggy_loss` report,
#   in bits, if 13.1 % of all tokens are targets? Two decimals.

# %% solution="predict"
predict = {
    "masked": None,
    "changed": None,
    "never": None,
    "reported": None,
}
### BEGIN SOLUTION
predict = {"masked": 48, "changed": 54, "never": 0.20, "reported": 0.64}
### END SOLUTION

# %% test="predict"
check("3.2.1/predict", predict)
### BEGIN HIDDEN TESTS
check("3.2.1/predict", predict, hidden=True)
### END HIDDEN TESTS
