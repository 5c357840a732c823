# %% [markdown]
# # Exercises 2.2: a model in fewer bits
#
# A trained model is a file. You will round its weights to a few bits and say beforehand
# what that costs; unpack two codes from a byte; decide which weights can go, and keep
# them away while the others learn on; and count what is left.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has all of this, gets no points.
#
# Page 2.2 of the book explains everything that is asked here.

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

# %% [markdown] exercise="affine_parameters"
# Codes 0 … 2^bits − 1 shall stand for the values `low` … `high`: code $c$ for
# $\text{scale} \cdot (c - \text{zero\_point})$. If the range does not hold 0, stretch
# it until it does. Return the scale, a float, and the zero point, the code that stands
# for 0, an int. If all there is is 0, the scale is 1.0 and the zero point 0.
#
# Raise ValueError if `low` > `high`, or if `bits` is not in 2 … 8.


# %% solution="affine_parameters"
def affine_parameters(low: float, high: float, bits: int) -> tuple[float, int]:
    ### BEGIN SOLUTION
    if low > high or not 2 <= bits <= 8:
        raise ValueError("low must be at most high, and bits in 2 … 8")
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)
    ### END SOLUTION


# %% test="affine_parameters"
check("2.2/affine_parameters", affine_parameters)
### BEGIN HIDDEN TESTS
check("2.2/affine_parameters", affine_parameters, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="quantize_rows"
# Symmetric codes, a scale for each row of the matrix `w` (m, n): the largest magnitude
# of a row gets the code $2^{\text{bits}-1} - 1$ or its negative, each other weight the
# nearest code. Return the codes, `torch.int8` (m, n), and the scales (m,). A row of
# zeros has scale 1.


# %% solution="quantize_rows"
def quantize_rows(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    ### BEGIN SOLUTION
    most = 2 ** (bits - 1) - 1
    scales = w.abs().amax(dim=1) / most
    scales = torch.where(scales == 0, 1.0, scales)
    return (w / scales[:, None]).round().to(torch.int8), scales
    ### END SOLUTION


# %% test="quantize_rows"
check("2.2/quantize_rows", quantize_rows)
### BEGIN HIDDEN TESTS
check("2.2/quantize_rows", quantize_rows, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="unpack_int4"
# Two codes of four bits share a byte of `packed` (torch.uint8), the low half first. A
# code is a number in two's complement: 0 … 7 are themselves, 15 is −1, and 8 is −8.
# Return the first `n` codes, `torch.int8`. If `n` is odd, the last half byte is
# padding.


# %% solution="unpack_int4"
def unpack_int4(packed: Tensor, n: int) -> Tensor:
    ### BEGIN SOLUTION
    codes = torch.stack([packed & 15, packed >> 4], dim=-1).flatten().to(torch.int8)
    return torch.where(codes > 7, codes - 16, codes)[:n]
    ### END SOLUTION


# %% test="unpack_int4"
check("2.2/unpack_int4", unpack_int4)
### BEGIN HIDDEN TESTS
check("2.2/unpack_int4", unpack_int4, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="predicted_loss"
# A model has the loss `loss`. With weights in `a` bits, symmetric codes, it is
# `loss_a`. What will it be with `b` bits? Use the square law: what rounding adds to the
# loss is proportional to the square of the step.


# %% solution="predicted_loss"
def predicted_loss(loss: float, loss_a: float, a: int, b: int) -> float:
    ### BEGIN SOLUTION
    steps_a, steps_b = 2 ** (a - 1) - 1, 2 ** (b - 1) - 1
    return loss + (loss_a - loss) * (steps_a / steps_b) ** 2
    ### END SOLUTION


# %% test="predicted_loss"
check("2.2/predicted_loss", predicted_loss)
### BEGIN HIDDEN TESTS
check("2.2/predicted_loss", predicted_loss, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="stored_bits"
# A tensor of `codes`, `bits` bits each, was pruned: `kept` is True where a code stays,
# the others are 0 now. How many bits does it take? `layout` is one of
#
# - `"dense"`: every code, zeros as well;
# - `"bitmap"`: a bit for each place, and the codes that are kept;
# - `"coordinates"`: each code that is kept, and 64 bits for each *axis* beside it;
# - `"entropy"`: $n H$, with $H$ the entropy in bits of a code, zeros and all.


# %% solution="stored_bits"
def stored_bits(codes: Tensor, kept: Tensor, bits: int, layout: str) -> float:
    ### BEGIN SOLUTION
    n, k = codes.numel(), int(kept.sum())
    if layout == "dense":
        return n * bits
    if layout == "bitmap":
        return n + k * bits
    if layout == "coordinates":
        return k * (bits + 64 * codes.ndim)
    _, counts = (codes * kept).unique(return_counts=True)
    share = counts.double() / n
    return -n * (share * share.log2()).sum().item()
    ### END SOLUTION


# %% test="stored_bits"
check("2.2/stored_bits", stored_bits)
### BEGIN HIDDEN TESTS
check("2.2/stored_bits", stored_bits, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="magnitude_mask"
# Which weights stay? Of the n weights of `w`, of any shape, the
# $\lfloor \text{sparsity} \cdot n + \tfrac12 \rfloor$ of least magnitude go; of equal
# ones, the first in the tensor's order. Return a mask of the shape of `w`, torch.bool,
# True where a weight is kept. `sparsity` is in 0 … 1, both included.


# %% solution="magnitude_mask"
def magnitude_mask(w: Tensor, sparsity: float) -> Tensor:
    ### BEGIN SOLUTION
    order = w.abs().flatten().argsort(stable=True)
    mask = torch.ones(w.numel(), dtype=torch.bool)
    mask[order[: math.floor(sparsity * w.numel() + 0.5)]] = False
    return mask.reshape(w.shape)
    ### END SOLUTION


# %% test="magnitude_mask"
check("2.2/magnitude_mask", magnitude_mask)
### BEGIN HIDDEN TESTS
check("2.2/magnitude_mask", magnitude_mask, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="pruned_step"
# A pruned model trains on, by gradient descent with momentum and weight decay. In each
# step the velocity becomes `momentum·velocity + grad + decay·w`, and the weights
# move by `−lr·velocity`. All are vectors of the same length; `mask` is True where a
# weight is kept. Somebody saw to it that what was pruned stays 0. It does not.
#
# Find the bug, and write the step as it should be: where the mask is False, weight and
# velocity are 0 after it, whatever they were before. Return the new `w` and the new
# `velocity`; change none of the arguments.


# %% given="buggy_step"
def buggy_step(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    velocity = momentum * velocity + grad * mask + decay * w
    return w - lr * velocity, velocity


# %% solution="pruned_step"
def pruned_step(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    ### BEGIN SOLUTION
    velocity = (momentum * velocity + grad + decay * w) * mask
    return (w - lr * velocity) * mask, velocity
    ### END SOLUTION


# %% test="pruned_step"
check("2.2/pruned_step", pruned_step)
### BEGIN HIDDEN TESTS
check("2.2/pruned_step", pruned_step, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="predict"
# Predict first, with pencil and paper; then run it, if you like. Two decimals will do.
#
# - `law`: with 4 bits, symmetric codes, a model's loss rises by 2 per cent. By how many
#   per cent with 3 bits, if the square law holds?
# - `coordinates`: half of a matrix of float32 is pruned, and kept as a list of
#   coordinates: each value with its row and its column, 64 bits each. How many bits is
#   that for each weight of the whole matrix?
# - `longer`: model and text are paid for together, and the number of bits a weight is
#   chosen for the least sum. The text becomes sixteen times as long. How many more bits
#   does a weight deserve?
# - `halved`: the step of a fine uniform quantizer is halved. By how many bits does the
#   entropy of a code rise?

# %% solution="predict"
predict = {
    "law": None,
    "coordinates": None,
    "longer": None,
    "halved": None,
}
### BEGIN SOLUTION
predict = {"law": 10.89, "coordinates": 80, "longer": 2, "halved": 1}
### END SOLUTION

# %% test="predict"
check("2.2/predict", predict)
### BEGIN HIDDEN TESTS
check("2.2/predict", predict, hidden=True)
### END HIDDEN TESTS
