# %% [markdown]
# # Exercises 3.3: the seven steps, and LoRA
#
# A fine-tuning run that goes wrong mostly does not crash. It loads nothing, looks at
# padding, averages averages, lets a frozen weight decay, or is tested on what it was
# chosen by, and prints a loss that falls. You will write the step of each of these
# mistakes so that it cannot happen. The functions are small; you need no model, no data
# and no GPU.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. No function may change what it is given.
#
# Chapter 3.3 of the book explains everything that is asked here.

# %% given="imports"

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

# %% [markdown] exercise="split_by_text"
# Each example has a draw between 0 and 1 that decides its part: below `test` it is
# `"test"`, from there to below `test + valid` it is `"valid"`, else `"train"`. But some
# texts occur more than once, and a text that is in two parts is a leak. So equal texts
# share the draw of their *first* occurrence.
#
# `texts` and `draws` are lists of the same length; `valid` and `test` are shares, such
# as 0.1. Return a list with one of the three words for each example.


# %% solution="split_by_text"
def split_by_text(
    texts: list[str], draws: list[float], valid: float, test: float
) -> list[str]:
    ### BEGIN SOLUTION
    first: dict[str, float] = {}
    for text, draw in zip(texts, draws, strict=True):
        first.setdefault(text, draw)
    parts = []
    for draw in (first[text] for text in texts):
        below = "test" if draw < test else "valid"
        parts.append(below if draw < test + valid else "train")
    return parts
    ### END SOLUTION


# %% test="split_by_text"
check("3.3/split_by_text", split_by_text)
### BEGIN HIDDEN TESTS
check("3.3/split_by_text", split_by_text, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="pad_batch"
# `rows` are lists of token ids. Make of each row [`cls`, row, `sep`], where a row is
# cut to its first `length` − 2 tokens if it is longer; then pad all of them on the
# right with the id `pad` to the longest of *this batch*.
#
# Return the pair `(ids, mask)`: an integer tensor (batch, width), and a boolean tensor
# of the same shape that is `True` for what is no padding. A row may hold the id `pad`
# itself.


# %% solution="pad_batch"
def pad_batch(
    rows: list[list[int]], length: int, cls: int, sep: int, pad: int
) -> tuple[Tensor, Tensor]:
    ### BEGIN SOLUTION
    full = [[cls, *row[: length - 2], sep] for row in rows]
    longest = max(len(row) for row in full)
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in full])
    lengths = torch.tensor([[len(row)] for row in full])
    return ids, torch.arange(longest) < lengths
    ### END SOLUTION


# %% test="pad_batch"
check("3.3/pad_batch", pad_batch)
### BEGIN HIDDEN TESTS
check("3.3/pad_batch", pad_batch, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="load_backbone"
# `pretrained` and `fresh` are dicts from names to tensors. The model is called as
# `fresh` is; in the file of the pre-trained one, the backbone's names have a `prefix`:
# what the model calls `"embed"` may be `"bert.embed"` there.
#
# Return a dict with the names of `fresh`. Names that begin with `heads.` keep the
# tensor of `fresh`: a new task has a new head. All others get the pre-trained tensor,
# in the dtype of the fresh one. If a name is missing in `pretrained`, raise a
# `KeyError`; if the shapes differ, a `ValueError`.


# %% solution="load_backbone"
def load_backbone(
    pretrained: dict[str, Tensor], fresh: dict[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    ### BEGIN SOLUTION
    loaded = {}
    for name, own in fresh.items():
        if name.startswith("heads."):
            loaded[name] = own.clone()
            continue
        found = pretrained[prefix + name]
        if found.shape != own.shape:
            raise ValueError(f"{name} must be {own.shape}, got {found.shape}")
        loaded[name] = found.to(own.dtype, copy=True)
    return loaded
    ### END SOLUTION


# %% test="load_backbone"
check("3.3/load_backbone", load_backbone)
### BEGIN HIDDEN TESTS
check("3.3/load_backbone", load_backbone, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="last_real"
# A decoder has read a text only at its last token, so the head takes the vector of the
# last *real* position: of `hidden` (batch, n, d), where `mask` (batch, n) is `True`.
# The function below passed its tests, which padded on the right, and shipped; in
# [this report](https://github.com/huggingface/peft/issues/3620) somebody padded on the
# left.
#
# Find the bug, and write the function as it should be. Each row has a real position;
# padding may stand on the left, on the right, on both sides or on neither.


# %% given="buggy_pooling"
def buggy_pooling(hidden: Tensor, mask: Tensor) -> Tensor:
    """(batch, n, d), (batch, n) → (batch, d)."""
    return hidden[torch.arange(len(hidden)), mask.sum(1) - 1]


# %% solution="last_real"
def last_real(hidden: Tensor, mask: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    places = torch.arange(mask.shape[1]).expand_as(mask)
    last = places.masked_fill(~mask, -1).amax(dim=1)
    return hidden[torch.arange(len(hidden)), last]
    ### END SOLUTION


# %% test="last_real"
check("3.3/last_real", last_real)
### BEGIN HIDDEN TESTS
check("3.3/last_real", last_real, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="accumulated_loss"
# A batch that does not fit into memory is worked on in micro-batches. For each of them
# `sums` has the sum of the losses over its targets and `counts` their number. Return
# the loss of the whole batch, the mean over all its targets; 0.0 if there are none.


# %% solution="accumulated_loss"
def accumulated_loss(sums: list[float], counts: list[int]) -> float:
    ### BEGIN SOLUTION
    return sum(sums) / max(sum(counts), 1)
    ### END SOLUTION


# %% test="accumulated_loss"
check("3.3/accumulated_loss", accumulated_loss)
### BEGIN HIDDEN TESTS
check("3.3/accumulated_loss", accumulated_loss, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="adamw_step"
# One step of AdamW on one tensor. With the gradient $g$ at step $t = 1, 2, \dots$
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \qquad
# v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2, \qquad
# \hat m = \frac{m}{1 - \beta_1^t}, \quad \hat v = \frac{v}{1 - \beta_2^t},$$
#
# $$p \leftarrow p - \eta\,\lambda\,p - \eta\,\frac{\hat m}{\sqrt{\hat v} + \epsilon},$$
#
# where $\eta$ is `lr`, $\lambda$ is `weight_decay`, $t$ is `step`, and the $p$ on the
# right is the old one. Return the new `(p, m, v)` and leave the arguments as they are.
# A parameter that is frozen has the gradient `None`, and nothing of it changes.


# %% solution="adamw_step"
def adamw_step(
    p: Tensor,
    grad: Tensor | None,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    ### BEGIN SOLUTION
    if grad is None:
        return p, m, v
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    m_hat = m / (1 - betas[0] ** step)
    v_hat = v / (1 - betas[1] ** step)
    p = p - lr * weight_decay * p - lr * m_hat / (v_hat.sqrt() + eps)
    return p, m, v
    ### END SOLUTION


# %% test="adamw_step"
check("3.3/adamw_step", adamw_step)
### BEGIN HIDDEN TESTS
check("3.3/adamw_step", adamw_step, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="lora_merge"
# LoRA has trained two thin matrices beside a weight $W$ of shape (out, in): `a` of
# shape (r, in) and `b` of shape (out, r). Merge them:
#
# $$W + \frac{\alpha}{r}\, B A$$
#
# Return a new tensor. If r exceeds the smaller side of $W$, raise a `ValueError`.


# %% solution="lora_merge"
def lora_merge(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    ### BEGIN SOLUTION
    rank = a.shape[0]
    if rank > min(weight.shape):
        raise ValueError(f"rank must be at most {min(weight.shape)}, got {rank}")
    return weight + alpha / rank * (b @ a)
    ### END SOLUTION


# %% test="lora_merge"
check("3.3/lora_merge", lora_merge)
### BEGIN HIDDEN TESTS
check("3.3/lora_merge", lora_merge, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="read_the_plot"
# A model was fine-tuned and saved at 20 checkpoints. The plot shows its accuracy on
# the training set, on 100 examples for validation, and, which nobody should have looked
# at yet, on a large test set. Fill in:
#
# - `keep`: the number of the checkpoint to keep. If several are equally good, the
#   first.
# - `test`: is the accuracy on new examples to be expected `"below"`, `"above"` or the
#   `"same"` as that checkpoint's number in validation?
# - `flatters`: suppose that all 20 were equally good, each right on a new example with
#   probability 0.7, and that their validation errors were independent. By how much does
#   the best of the 20 numbers exceed 0.7 on average? Predict it first, then simulate it
#   in a cell of your own. To two decimals.
# - `opens`: how many times is the test set opened in an honest comparison?


# %% picture="plot"
validation = [52, 61, 66, 70, 69, 73, 68, 71, 75, 70, 72, 67, 78, 71, 74, 78, 69, 72]
validation += [70, 71]
training = [round(100 - 50 * 0.8**i, 1) for i in range(20)]
test = [51.0, 59.5, 65.1, 68.0, 69.2, 70.1, 69.6, 70.4, 70.8, 70.2, 71.9, 70.3, 70.5]
test += [70.0, 70.7, 70.1, 69.8, 70.3, 69.9, 70.0]

checkpoints = range(1, 21)
figure, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
ax.plot(checkpoints, training, "--", color="grey", label="training")
ax.plot(checkpoints, validation, "o-", label="validation, 100 examples")
ax.plot(checkpoints, test, "s-", markersize=3, label="test, 10,000 examples")
ax.set(xlabel="checkpoint", ylabel="right, %", ylim=(45, 102))
ax.set_xticks(checkpoints)
ax.set_yticks(range(50, 101, 10))
ax.grid(alpha=0.4)
ax.legend()
plt.show()

# %% solution="read_the_plot"
read_the_plot = {
    "keep": None,
    "test": None,
    "flatters": None,
    "opens": None,
}
### BEGIN SOLUTION
read_the_plot = {"keep": 13, "test": "below", "flatters": 0.083, "opens": 1}
### END SOLUTION

# %% test="read_the_plot"
check("3.3/read_the_plot", read_the_plot)
### BEGIN HIDDEN TESTS
check("3.3/read_the_plot", read_the_plot, hidden=True)
### END HIDDEN TESTS
