"""What can be seen of a wrong tensor when no known mistake gives it.

Each function takes what came out and what is right, in double precision, and returns
one plain sentence or None. The sentences tell no value and no size, so that they may
be shown for hidden inputs too.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lmlib.exercises.exercise import ABSOLUTE, RELATIVE

MAX_PIECES = 16  # each is compared with each


def describe(got: Tensor, right: Tensor, given: dict[str, object]) -> str | None:
    """The first thing that is to be seen, the most telling first.

    Parameters:
        got: the student's output.
        right: what is right.
        given: the arguments of the call by their names.
    """
    if got.dtype == right.dtype == torch.bool and got.shape == right.shape:
        return marks(got, right)
    got, right = got.detach().double(), right.detach().double()
    if torch.equal(got, right):
        return None  # of another dtype
    if got.shape != right.shape:
        return swapped_axes(got, right) or axes_of_size_one(got, right)
    if not right.numel():
        return None
    if not got.isfinite().all():
        return where_not_finite(got, right)
    found = (
        an_argument(got, right, given)
        or rounded(got, right)
        or swapped_axes(got, right)
        or constant_factor(got, right, given)
        or shifted(got, right)
        or reordered(got, right)
        or right_in_part(got, right)
    )
    return found


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(
        one, other, rtol=RELATIVE, atol=ABSOLUTE
    )


def marks(got: Tensor, right: Tensor) -> str | None:
    """What is True and should not be, and the reverse."""
    too_many, missing = bool((got & ~right).any()), bool((right & ~got).any())
    if torch.equal(got, ~right):
        return "True and False have changed places."
    if missing and not too_many:
        return "All that you mark has to be marked, but some places are missing."
    if too_many and not missing:
        return "All that has to be marked is, but you mark other places too."
    if missing and torch.equal(got.sum(dim=-1), right.sum(dim=-1)):
        return "You mark as many places as you should in each row, but others."
    return None


def swapped_axes(got: Tensor, right: Tensor) -> str | None:
    for i, j in itertools.combinations(range(-right.ndim, 0), 2):
        if _alike(got, right.transpose(i, j)) and not _alike(got, right):
            return (
                f"The values are right, but axes {_axis(i)} and {_axis(j)} of your "
                "output are swapped."
            )
    return None


def axes_of_size_one(got: Tensor, right: Tensor) -> str | None:
    if _alike(got.squeeze(), right.squeeze()):
        more = "many" if got.ndim > right.ndim else "few"
        return (
            f"The values are right, but your output has an axis of size 1 too {more}."
        )
    if got.numel() == right.numel() and _alike(got.flatten(), right.flatten()):
        return "The values are right, but your output is of another shape: reshape it."
    return None


def where_not_finite(got: Tensor, right: Tensor) -> str | None:
    bad = ~got.isfinite()
    kind = "NaN" if got[bad].isnan().any() else "infinite"
    if bad.all():
        return f"All of your output is {kind}."
    zeros = right == 0
    if right.ndim and (bad <= (right == 0).all(dim=-1, keepdim=True)).all():
        return (
            f"The output is {kind} just where all of a row has to be 0: a row in which "
            "every key is blocked is 0/0 or ∞ − ∞ on the way."
        )
    if (bad <= zeros).all():
        return f"The output is {kind} just where it has to be 0."
    return f"Some of your output is {kind}: a division 0/0, ∞ − ∞, or an overflow."


def an_argument(got: Tensor, right: Tensor, given: dict[str, object]) -> str | None:
    tensors = {
        name: value.double()
        for name, value in given.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    for name, value in tensors.items():
        if _alike(got, value):
            return f"You return `{name}` as it came."
        if value.shape == right.shape and _alike(got, right + value):
            return (
                f"Your output is the right one plus `{name}`: nothing is to be added."
            )
        if value.shape == right.shape and _alike(got, right - value):
            return f"Your output is the right one minus `{name}`."
    return None


def constant_factor(got: Tensor, right: Tensor, given: dict[str, object]) -> str | None:
    """A factor between the two, and a name for it."""
    square = right.square().sum()
    factor = float((got * right).sum() / square) if square > 0 else math.nan
    if not math.isfinite(factor) or abs(factor - 1) < 1e-3 or factor == 0:
        return None
    if not _alike(got, factor * right):
        return None
    for name, value in _named_numbers(given):
        if math.isclose(factor, value, rel_tol=1e-3):
            return f"Your output is {name} times the right one."
    if right.numel() == 1:
        return None  # any number is a constant times another
    return "Your output is the right one times a constant."


def _named_numbers(given: dict[str, object]) -> Iterator[tuple[str, float]]:
    yield from (("−1", -1.0), ("twice, 2", 2.0), ("half, 1/2", 0.5))
    sizes = {}
    for name, value in given.items():
        if isinstance(value, int) and value > 1:
            sizes[f"`{name}`"] = value
        elif isinstance(value, Tensor) and value.ndim:
            for axis in range(-value.ndim, 0):
                sizes[f"(the size of axis {_axis(axis)} of `{name}`)"] = value.shape[
                    axis
                ]
    for name, size in sizes.items():
        root = math.sqrt(size)
        yield from ((f"√{name}", root), (f"1/√{name}", 1 / root))
        yield from ((name, size), (f"1/{name}", 1 / size))


def shifted(got: Tensor, right: Tensor) -> str | None:
    for axis in range(-right.ndim, 0):
        n = right.shape[axis]
        if n < 3:
            continue
        if _alike(got.narrow(axis, 1, n - 1), right.narrow(axis, 0, n - 1)):
            return f"Your output is one place too late along axis {_axis(axis)}."
        if _alike(got.narrow(axis, 0, n - 1), right.narrow(axis, 1, n - 1)):
            return f"Your output is one place too early along axis {_axis(axis)}."
    return None


def reordered(got: Tensor, right: Tensor) -> str | None:
    for axis in range(-right.ndim, 0):
        if right.shape[axis] < 2:
            continue
        if _alike(got, right.flip(axis)):
            return f"Your output runs backwards along axis {_axis(axis)}."
        if _permuted(got.movedim(axis, 0), right.movedim(axis, 0)):
            return (
                f"The right slices are all there, in another order along axis "
                f"{_axis(axis)}."
            )
    if _alike(got.flatten().sort().values, right.flatten().sort().values):
        return (
            "All the right numbers are there, in other places: a reshape where axes "
            "have to be swapped, or the reverse."
        )
    return None


def _permuted(got: Tensor, right: Tensor) -> bool:
    if len(right) > MAX_PIECES:
        return False
    left = list(range(len(right)))
    for piece in got:
        match = next((i for i in left if _alike(piece, right[i])), None)
        if match is None:
            return False
        left.remove(match)
    return True


def rounded(got: Tensor, right: Tensor) -> str | None:
    """Right to three digits: another precision."""
    scale = float(right.abs().max())
    error = float((got - right).abs().max())
    for dtype, unit in ((torch.float16, 2.0**-11), (torch.bfloat16, 2.0**-8)):
        if scale > 0 and error < 2 * unit * scale:
            return (
                "The values are nearly right: something on the way is rounded, as in "
                f"{str(dtype).removeprefix('torch.')}."
            )
    return None


def right_in_part(got: Tensor, right: Tensor) -> str | None:
    """Along which axis it goes wrong, if part of it is right."""
    wrong = (got - right).abs() > ABSOLUTE + RELATIVE * right.abs()
    for axis in range(-right.ndim, 0):
        others = [other for other in range(-right.ndim, 0) if other != axis]
        bad = wrong.amax(dim=others) if others else wrong
        where = bad.nonzero().flatten().tolist()
        if len(where) < len(bad):
            return _which(where, len(bad), axis)
    return None


def _which(wrong: Sequence[int], n: int, axis: int) -> str:
    along = f"along axis {_axis(axis)}"
    if n > 2 and list(wrong) == list(range(1, n)):
        return f"Only the first entry {along} is right."
    if n > 2 and list(wrong) == list(range(n - 1)):
        return f"Only the last entry {along} is right."
    if list(wrong) == [0]:
        return f"Only the first entry {along} is wrong."
    if list(wrong) == [n - 1]:
        return f"Only the last entry {along} is wrong."
    if list(wrong) == list(range(wrong[0], n)):
        return f"It goes wrong from entry {wrong[0]} on {along}."
    if list(wrong) == list(range(wrong[-1] + 1)):
        return f"It is wrong up to entry {wrong[-1]} {along}, and right after it."
    if len({i % 2 for i in wrong}) == 1 and len(wrong) == (n + 1 - wrong[0] % 2) // 2:
        parity = "odd" if wrong[0] % 2 else "even"
        return f"It is wrong at the {parity} entries {along}."
    return f"Some entries {along} are right, others wrong."


def _axis(axis: int) -> str:
    return f"−{-axis}"
