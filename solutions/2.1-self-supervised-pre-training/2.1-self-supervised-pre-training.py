# %% [markdown]
# # Exercises 2.1: labels without anybody who labels
#
# A text moved by one place is as many labels as it has tokens, and what they cost is a
# file size, as long as nothing leaks. You will move the targets, hold out a test set
# that stays held out, measure how much of a test was in training, add up what is no
# distribution, mend a loss that moves once too often, and tell four curves apart.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has all of this, gets no points.
#
# Page 2.1 of the book explains everything that is asked here.

# %% given="imports"
import hashlib
import re

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

# %% [markdown] exercise="next_token_rows"
# `tokens` (n,) are those of a text. Cut it into rows of `length` inputs and their
# targets: the target of a token is the one that follows it in the *text*. Each token
# but the first is a target exactly once, in order; the last row is filled up with input
# 0 and target −100, which asks for nothing, and no row is all filling.
#
# Return inputs and targets, both `torch.int64` (rows, length). Raise ValueError if
# there are fewer than two tokens, or if `length` is below 1.


# %% solution="next_token_rows"
def next_token_rows(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    ### BEGIN SOLUTION
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError("there must be two tokens at least, and length at least 1")
    rows = -(-(n - 1) // length)
    inputs = torch.zeros(rows * length, dtype=torch.int64)
    targets = torch.full((rows * length,), -100)
    inputs[: n - 1], targets[: n - 1] = tokens[:-1], tokens[1:]
    return inputs.reshape(rows, length), targets.reshape(rows, length)
    ### END SOLUTION


# %% test="next_token_rows"
check("2.1/next_token_rows", next_token_rows)
### BEGIN HIDDEN TESTS
check("2.1/next_token_rows", next_token_rows, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="is_held_out"
# Docstrings have names such as `"json.decoder:JSONDecoder.decode"`: the module, a
# colon, the object. (A name without a colon is a module.) A module is held out for
# testing as a whole or not at all, and it must be the same ones on every machine and on
# every day.
#
# Take the first 8 bytes of the SHA-256 of the module's name in UTF-8 as a number, the
# highest byte first. Return True if this number, divided by $2^{64}$, is below `share`.


# %% solution="is_held_out"
def is_held_out(name: str, share: float) -> bool:
    ### BEGIN SOLUTION
    module = name.partition(":")[0]
    first = hashlib.sha256(module.encode()).digest()[:8]
    return int.from_bytes(first, "big") / 2**64 < share
    ### END SOLUTION


# %% test="is_held_out"
check("2.1/is_held_out", is_held_out)
### BEGIN HIDDEN TESTS
check("2.1/is_held_out", is_held_out, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="containment"
# How much of a test text has the training text? A *run* is `n` words in a row; words
# are what `\w+` finds, and case does not count (`casefold`). Return the share of the
# test's *different* runs that the training text has as well, and 0 if the test has no
# run.


# %% solution="containment"
def containment(test: str, train: str, n: int) -> float:
    ### BEGIN SOLUTION
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0
    ### END SOLUTION


# %% test="containment"
check("2.1/containment", containment)
### BEGIN HIDDEN TESTS
check("2.1/containment", containment, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="pseudo_probabilities"
# `joint` (a, b) is a distribution over texts of two tokens: row $x$, column $y$. A
# masked model tells each token from the other. Return the pseudo-probability
# $p(x \mid y)\,p(y \mid x)$ of every text, (a, b), with both conditionals those of
# `joint`; 0 where $x$ or $y$ never comes.


# %% solution="pseudo_probabilities"
def pseudo_probabilities(joint: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    rows, columns = joint.sum(dim=1, keepdim=True), joint.sum(dim=0, keepdim=True)
    margins = rows * columns
    return torch.where(margins > 0, joint**2 / margins, 0)
    ### END SOLUTION


# %% test="pseudo_probabilities"
check("2.1/pseudo_probabilities", pseudo_probabilities)
### BEGIN HIDDEN TESTS
check("2.1/pseudo_probabilities", pseudo_probabilities, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="loss_of_moved_targets"
# A batch as `next_token_rows` makes it: `targets` (batch, length) have been moved by
# one *already*. `targets[i, t]` is what place `t` of row `i` is asked for; −100 asks
# for nothing. `logits` are (batch, length, classes). Somebody wrote the loss below. Its
# shapes fit, it falls in training, and a library that many people use had it.
#
# Find the bug, and return the mean cross-entropy in nats over all targets of the batch
# that are not −100, as a float.


# %% given="buggy_loss"
def buggy_loss(logits: Tensor, targets: Tensor) -> float:
    logits, targets = logits.flatten(0, 1), targets.flatten()
    targets = F.pad(targets, (0, 1), value=-100)[1:]
    return F.cross_entropy(logits, targets, ignore_index=-100).item()


# %% solution="loss_of_moved_targets"
def loss_of_moved_targets(logits: Tensor, targets: Tensor) -> float:
    ### BEGIN SOLUTION
    return F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-100
    ).item()
    ### END SOLUTION


# %% test="loss_of_moved_targets"
check("2.1/loss_of_moved_targets", loss_of_moved_targets)
### BEGIN HIDDEN TESTS
check("2.1/loss_of_moved_targets", loss_of_moved_targets, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="four_curves"
# Four transformers of two layers learned from documentation, byte by byte. The bits a
# byte below are on modules that they have not read. One is as it should be; one has
# targets that were not moved; one has targets that were moved by two places; and one
# has the right targets, but no causal mask.
#
# - `right`, `unshifted`, `by_two`, `unmasked`: which is which, "A" to "D"?
# - `lowest_believable`: how many bits a letter of English needs at least, for people
#   who know the hundred letters before it, by Shannon's experiment of 1951 (page 2.1).

# %% given="curves"
steps = [10, 50, 100, 200, 300, 400, 500, 600]
curves = {
    "A": [5.87, 4.78, 4.74, 4.68, 4.6, 4.48, 4.44, 4.4],
    "B": [5.87, 4.32, 4.0, 3.83, 3.73, 3.65, 2.6, 0.09],
    "C": [4.72, 0.07, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0],
    "D": [5.87, 4.53, 4.12, 3.9, 3.77, 3.6, 3.43, 3.29],
}
for name, bits in curves.items():
    print(name, *(f"{step}: {b:.2f} " for step, b in zip(steps, bits, strict=True)))

# %% solution="four_curves"
four_curves = {
    "right": None,
    "unshifted": None,
    "by_two": None,
    "unmasked": None,
    "lowest_believable": None,
}
### BEGIN SOLUTION
four_curves = {
    "right": "D",
    "unshifted": "C",
    "by_two": "A",
    "unmasked": "B",
    "lowest_believable": 0.6,
}
### END SOLUTION

# %% test="four_curves"
check("2.1/four_curves", four_curves)
### BEGIN HIDDEN TESTS
check("2.1/four_curves", four_curves, hidden=True)
### END HIDDEN TESTS
