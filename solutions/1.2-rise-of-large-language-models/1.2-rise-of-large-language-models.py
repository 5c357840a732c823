# %% [markdown]
# # Exercises 1.2: sizes, costs and masks
#
# How large is a model, and what did it cost? You will count both from a handful of
# numbers, find a model's mask by changing its inputs, and read a checkpoint that nobody
# has described to you. At the end you check what was printed about some models.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has all of this, gets no points.
#
# Page 1.2 of the book explains everything that is asked here.

# %% given="imports"

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

# %% [markdown] exercise="decoder_parameters"
# A decoder as GPT-2 has it: `n_layers` blocks of width `d_model`, each with attention
# (four square matrices), a feed-forward layer (up to `d_ff` and down again) and two
# norms; a table of `vocab_size` tokens, one of `n_positions`, and a norm after the last
# block. Every matrix of a block has a bias, every norm a gain and a bias. The head has
# no bias; its table is that of the tokens if `tied`, and one of its own if not.
#
# How many parameters does it have? Raise ValueError if one of the five sizes is below
# 1.


# %% solution="decoder_parameters"
def decoder_parameters(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    ### BEGIN SOLUTION
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError("a size below 1")
    attention = 4 * d_model**2 + 4 * d_model
    feed_forward = 2 * d_model * d_ff + d_ff + d_model
    norms = 4 * d_model
    tables = (vocab_size * (1 if tied else 2) + n_positions) * d_model
    return n_layers * (attention + feed_forward + norms) + tables + 2 * d_model
    ### END SOLUTION


# %% test="decoder_parameters"
check("1.2/decoder_parameters", decoder_parameters)
### BEGIN HIDDEN TESTS
check("1.2/decoder_parameters", decoder_parameters, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="flops_per_token"
# What does a step of training of such a decoder, with its head, cost for each token of
# a text of `length` tokens? Count the operations of all matrix products, forward and
# backward; a multiplication is one, an addition another. Attention computes all of its
# `length` × `length` square, masked or not. Biases, norms and look-ups do not count.


# %% solution="flops_per_token"
def flops_per_token(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    ### BEGIN SOLUTION
    block = 4 * d_model**2 + 2 * d_model * d_ff
    weights = n_layers * block + vocab_size * d_model
    return 6 * weights + 12 * n_layers * length * d_model
    ### END SOLUTION


# %% test="flops_per_token"
check("1.2/flops_per_token", flops_per_token)
### BEGIN HIDDEN TESTS
check("1.2/flops_per_token", flops_per_token, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="seen"
# A model was run on a text of n tokens, and then n times more, each time with one
# token changed. `before` (n, d) has its outputs on the text as it was, `after`
# (n, n, d) those of the other runs: `after[j]` is what came out when token j was
# changed. Return a matrix (n, n) of `torch.bool`: [i, j] is True if position i sees
# token j, that is, if any feature of its output moved by more than 1e-5. What moves
# less was moved by rounding.


# %% solution="seen"
def seen(before: Tensor, after: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    moved = torch.abs(after - before) > 1e-5  # input changed, output, feature
    return moved.any(dim=-1).T
    ### END SOLUTION


# %% test="seen"
check("1.2/seen", seen)
### BEGIN HIDDEN TESTS
check("1.2/seen", seen, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="read_checkpoint"
# `weights` are the tensors of a file in GPT-2's layout: `wte.weight` (tokens, d_model),
# `wpe.weight` (positions, d_model), and in each block `h.0`, `h.1`, … matrices such as
# `h.0.mlp.c_fc.weight` (d_model, d_ff), which are stored as [in, out]. `h.0.attn.bias`
# and its like, with four axes, are the causal mask, no parameters. There may be a
# `lm_head.weight`: the head's table, or the table of the tokens once more.
#
# Return a dictionary with the whole numbers `n_layers`, `d_model`, `vocab_size`,
# `n_positions`, `d_ff`, `n_heads` and `parameters` (of all that is learned, each once),
# and `tied`: whether the head is the table of the tokens, True or False. What such a
# file does not tell is None.


# %% solution="read_checkpoint"
def read_checkpoint(weights: dict[str, Tensor]) -> dict:
    ### BEGIN SOLUTION
    table = weights["wte.weight"]
    head = weights.get("lm_head.weight")
    tied = head is None or torch.equal(head, table)
    counted = dict(weights)
    if tied:
        counted.pop("lm_head.weight", None)
    return {
        "n_layers": len({n.split(".")[1] for n in weights if n.startswith("h.")}),
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": weights["h.0.mlp.c_fc.weight"].shape[1],
        "n_heads": None,
        "tied": tied,
        "parameters": sum(
            tensor.numel()
            for name, tensor in counted.items()
            if not name.endswith(".attn.bias")
        ),
    }
    ### END SOLUTION


# %% test="read_checkpoint"
check("1.2/read_checkpoint", read_checkpoint)
### BEGIN HIDDEN TESTS
check("1.2/read_checkpoint", read_checkpoint, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="convert_gpt2"
# GPT-2's matrices `c_attn`, `c_proj` and `c_fc` are stored as [in, out]; torch's
# `Linear` wants [out, in]. All else, biases, norms and tables, stays as it is.
# `weights` has the tensors of the file, or some of them, and `shapes` says for each
# name which shape the new model wants. Somebody turned what did not fit. All shapes are
# right, and all outputs are wrong.
#
# Find the bug, and write it as it should be: return a dictionary with all the names.
# Raise ValueError if one of your tensors has not the shape that is wanted. Change none
# of the arguments.


# %% given="buggy_convert"
def buggy_convert(
    weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    converted = {}
    for name, tensor in weights.items():
        if tuple(tensor.shape) != shapes[name]:
            tensor = tensor.T
        converted[name] = tensor
    return converted


# %% solution="convert_gpt2"
def convert_gpt2(
    weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    ### BEGIN SOLUTION
    converted = {}
    for name, tensor in weights.items():
        if name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            tensor = tensor.T
        if tuple(tensor.shape) != shapes[name]:
            raise ValueError(f"{name} must be {shapes[name]}, got {tensor.shape}")
        converted[name] = tensor
    return converted
    ### END SOLUTION


# %% test="convert_gpt2"
check("1.2/convert_gpt2", convert_gpt2)
### BEGIN HIDDEN TESTS
check("1.2/convert_gpt2", convert_gpt2, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="audit"
# Do not look these up: the printed numbers are what you audit. Count. All answers are
# whole numbers.
#
# - `gpt2_medium`: GPT-2 medium has 24 layers of width 1,024 with d_ff 4,096, a
#   vocabulary of 50,257, and 1,024 positions; the head shares the table. How many
#   million parameters, to the nearest?
# - `gpt3_13b_width`: table 2.1 gives GPT-3 13B 40 heads of 128 and a width of 5140;
#   table D.1 gives it 12,850 million parameters. Layers 40, vocabulary and head as
#   above, 2,048 positions, d_ff = 4·width. Which width fits D.1 and the heads?
# - `gpt3_xl_heads`: table 2.1 gives GPT-3 XL a width of 2,048 and 24 heads of 128. How
#   many heads of 128 fill that width?
# - `bert_tokens`: BERT was trained for a million steps with 256 sequences each, nine
#   steps in ten with 128 tokens a sequence and one in ten with 512. How many thousand
#   million (10⁹) tokens is that, to the nearest?
# - `albert_time`: an ALBERT has one block of N parameters, used by all of its 12
#   layers. Tables and attention's own products aside, how many times 6N operations does
#   a step of training cost for each token?
# - `even_length`: GPT-3's blocks have d = 12,288 and d_ff = 4d. At which length do
#   attention's own products cost as much as all matrices of the blocks?

# %% solution="audit"
audit = {
    "gpt2_medium": None,
    "gpt3_13b_width": None,
    "gpt3_xl_heads": None,
    "bert_tokens": None,
    "albert_time": None,
    "even_length": None,
}
### BEGIN SOLUTION
audit = {
    "gpt2_medium": 355,
    "gpt3_13b_width": 5120,
    "gpt3_xl_heads": 16,
    "bert_tokens": 43,
    "albert_time": 12,
    "even_length": 73728,
}
### END SOLUTION

# %% test="audit"
check("1.2/audit", audit)
### BEGIN HIDDEN TESTS
check("1.2/audit", audit, hidden=True)
### END HIDDEN TESTS
