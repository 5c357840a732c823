# %% [markdown]
# # Exercises 7: what the tools do inside
#
# Five small functions out of the tools that people use: one reads a file of weights,
# one shows a stream without half characters, one keeps or replaces a draft, one counts
# wasted memory, and one has a bug that you will find. Then predict what tools say.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has all of this, gets no points.
#
# Pages 7 and 7.1 of the book explain files and defaults; what a task needs of serving
# is said in the task.

# %% given="imports"
import json
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

# %% [markdown] exercise="read_safetensors"
# `data` is a whole safetensors file: 8 bytes with the length of the header, as a whole
# number, lowest byte first; the header in JSON; then the tensors' bytes. The header has
# an entry for each tensor, such as `{"dtype": "F32", "shape": [3, 2], "data_offsets":
# [0, 24]}`, whose offsets begin and end count from the end of the header. It may have
# an entry `"__metadata__"`, which is no tensor, and end in spaces.
#
# Return for each name `(dtype, shape, begin, end)`, where begin and end are places in
# `data`: the tensor is `data[begin:end]`. A number takes 8 bytes in F64 and I64, 4 in
# F32 and I32, 2 in F16 and BF16, 1 in U8.
#
# Raise ValueError if the file is cut off, if the tensors of two names share a byte, if
# a tensor does not lie between the header and the end of the file, or if its bytes are
# not as many as its shape and dtype need.


# %% solution="read_safetensors"
def read_safetensors(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    ### BEGIN SOLUTION
    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}
    if len(data) < 8:
        raise ValueError("cut off in the length of the header")
    start = 8 + int.from_bytes(data[:8], "little")
    if start > len(data):
        raise ValueError("cut off in the header")
    found, spans = {}, []
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = (start + at for at in entry["data_offsets"])
        size = sizes[entry["dtype"]] * math.prod(entry["shape"])
        if not start <= begin <= end <= len(data) or end - begin != size:
            raise ValueError(f"{name} lies outside, or does not fit its shape")
        if size:
            spans.append((begin, end))
        found[name] = (entry["dtype"], entry["shape"], begin, end)
    spans.sort()
    for i in range(1, len(spans)):
        if spans[i][0] < spans[i - 1][1]:
            raise ValueError("two tensors overlap")
    return found
    ### END SOLUTION


# %% test="read_safetensors"
check("7/read_safetensors", read_safetensors)
### BEGIN HIDDEN TESTS
check("7/read_safetensors", read_safetensors, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="hold_back"
# A server sends a text as it is generated, in chunks of bytes, and a token may end
# within a character of UTF-8. Return what can be shown after each chunk, a string for
# each: all characters that are whole by then and were not shown before. The first bytes
# of a character wait for the others. Bytes that can no longer become a character are
# shown at once, and what still waits after the last chunk is shown with it, both as
# `bytes.decode(errors="replace")` shows them: as U+FFFD, �.


# %% solution="hold_back"
def hold_back(chunks: list[bytes]) -> list[str]:
    ### BEGIN SOLUTION
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    last = len(chunks) - 1
    return [decoder.decode(chunk, i == last) for i, chunk in enumerate(chunks)]
    ### END SOLUTION


# %% test="hold_back"
check("7/hold_back", hold_back)
### BEGIN HIDDEN TESTS
check("7/hold_back", hold_back, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="accept"
# *Speculative decoding.* A small model with the probabilities `q` has drawn the token
# `draft`; the large one, in whose name we speak, has the probabilities `p`. The draft
# is kept with probability $\min(1, p/q)$ of that token. If it is not, a token is drawn
# from what `p` has more than `q`: from $\max(p - q, 0)$, divided by its sum. What comes
# out has the law `p` exactly, and you can see why: with $q_i \min(1, p_i/q_i) =
# \min(p_i, q_i)$ the token $i$ comes as a draft, and what it lacks to $p_i$ is
# $\max(p_i - q_i, 0)$.
#
# `u` and `w` are two uniform numbers in [0, 1). Keep the draft if `u` is below $p/q$;
# otherwise return the first token at which the running sum of what is left, divided by
# the whole, exceeds `w`. Raise ValueError if `q` gives the draft no probability.


# %% solution="accept"
def accept(p: list[float], q: list[float], draft: int, u: float, w: float) -> int:
    ### BEGIN SOLUTION
    if q[draft] <= 0:
        raise ValueError("q gives the draft no probability")
    if u * q[draft] < p[draft]:
        return draft
    rest = [max(a - b, 0.0) for a, b in zip(p, q, strict=True)]
    total = 0.0
    for i, share in enumerate(rest):
        total += share
        if total > w * sum(rest):
            return i
    return p.index(max(p))
    ### END SOLUTION


# %% test="accept"
check("7/accept", accept)
### BEGIN HIDDEN TESTS
check("7/accept", accept, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="cache_waste"
# A server keeps keys and values of `lengths[i]` tokens for request `i`. It can reserve
# room for `reserved` tokens for each request; or give it blocks of `block` tokens, as
# many as it needs, of which the last may not be full. Return the share of memory that
# is kept and not used, first for reservation and then for blocks, over all requests
# together. Lengths are at least 1. Raise ValueError if one is above the reservation.


# %% solution="cache_waste"
def cache_waste(lengths: list[int], reserved: int, block: int) -> tuple[float, float]:
    ### BEGIN SOLUTION
    if max(lengths) > reserved:
        raise ValueError("a length is above the reservation")
    used = sum(lengths)
    paged = sum(-(-n // block) * block for n in lengths)
    return 1 - used / (reserved * len(lengths)), 1 - used / paged
    ### END SOLUTION


# %% test="cache_waste"
check("7/cache_waste", cache_waste)
### BEGIN HIDDEN TESTS
check("7/cache_waste", cache_waste, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="position_ids"
# *Find the bug.* This function is to number the tokens of each row of `mask` [b, n],
# True at real tokens, from 0 at the first real one; under padding anything will do that
# is not negative. It is wrong for padding on the left, and page 7 says what that costs:
#
#     def position_ids(mask):
#         return torch.arange(mask.shape[1]).expand(mask.shape)
#
# Write it right. Padding is on the left, on the right, or nowhere; a row may be all
# padding.


# %% solution="position_ids"
def position_ids(mask: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    return (torch.cumsum(mask.long(), dim=1) - 1).clamp(min=0)
    ### END SOLUTION


# %% test="position_ids"
check("7/position_ids", position_ids)
### BEGIN HIDDEN TESTS
check("7/position_ids", position_ids, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="answers"
# Predict with pencil and paper. Two decimals will do.
#
# - `weight`: Q4_0 puts 32 weights into a block: a code of 4 bits for each, and one
#   scale in half precision. How many bits is that for each weight?
# - `cache`: a model of 80 layers has 64 query heads of 128 features, which share 8
#   heads of keys and values. In 16 bits a number, how many KiB (1,024 bytes) does its
#   cache take for each token?
# - `kept`: p = (0.5, 0.3, 0.2), q = (0.2, 0.5, 0.3). Which share of drafts is kept?
# - `tied`: a model's output layer *is* its table of tokens. How often is that table in
#   the safetensors file that `hub.save` writes?
# - `shifted`: a caller of `GPT2LMHeadModel` passes `input_ids=ids[:, :-1]` and
#   `labels=ids[:, 1:]`. How many places ahead is the token that position t is judged
#   by?

# %% solution="answers"
answers = {
    "weight": None,
    "cache": None,
    "kept": None,
    "tied": None,
    "shifted": None,
}
### BEGIN SOLUTION
answers = {"weight": 4.5, "cache": 320, "kept": 0.7, "tied": 1, "shifted": 2}
### END SOLUTION

# %% test="answers"
check("7/answers", answers)
### BEGIN HIDDEN TESTS
check("7/answers", answers, hidden=True)
### END HIDDEN TESTS
