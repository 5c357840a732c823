"""Section 5: from probabilities to a file and back, in whole numbers."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
    error_type,
)


def whole_numbers(value: Any, what: str) -> Tensor:
    """A student's list as a tensor.

    Raises:
        TypeError: it is no list of whole numbers.
    """
    if isinstance(value, Tensor | np.ndarray):
        value = value.tolist()
    whole = isinstance(value, list | tuple) and all(
        isinstance(v, int | np.integer) or (type(v) is float and v.is_integer())
        for v in value
    )
    if not whole:
        kind = type(value).__name__
        inside = (
            f" of {type(value[0]).__name__}"
            if isinstance(value, list | tuple) and value
            else ""
        )
        raise TypeError(f"a list of {what} is expected, not a {kind}{inside}")
    return torch.tensor([int(v) for v in value], dtype=torch.int64)


# -- shortest_code --------------------------------------------------------------------


def reference_code(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) <= low + width:
            return f"{first:0{n}b}" if n else ""
        n += 1


def point_inside(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first, 2**n) < low + width:
            return f"{first:0{n}b}" if n else ""
        n += 1


def always_the_logarithm_rounded_up(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while Fraction(1, 2**n) > width:
        n += 1
    first = math.ceil(low * 2**n)
    return f"{first:0{n}b}" if n else ""


def always_one_bit_more(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 1
    while Fraction(2, 2**n) > width:
        n += 1
    return f"{math.ceil(low * 2**n):0{n}b}"


def the_middle_rounded(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while Fraction(1, 2**n) > width:
        n += 1
    point = min(round((low + width / 2) * 2**n), 2**n - 1)
    return f"{point:0{n}b}" if n else ""


def a_zero_for_the_whole(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 1
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) <= low + width:
            return f"{first:0{n}b}"
        n += 1


def in_floating_point(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    begin, end = float(low), float(low) + float(width)
    for n in range(200):
        first = math.ceil(begin * 2.0**n)
        if (first + 1) / 2.0**n <= end:
            return f"{first:0{n}b}" if n else ""
    return ""


def the_last_of_equals(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) <= low + width:
            return f"{math.floor((low + width) * 2**n) - 1:0{n}b}" if n else ""
        n += 1


def zeros_in_front_lost(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) <= low + width:
            return f"{first:b}" if n else ""
        n += 1


def end_left_free(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) < low + width:
            return f"{first:0{n}b}" if n else ""
        n += 1


def begin_left_free(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.floor(low * 2**n) + 1
        if Fraction(first + 1, 2**n) <= low + width:
            return f"{first:0{n}b}" if n else ""
        n += 1


def no_error_for_no_interval(low: Fraction, width: Fraction) -> str:
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) <= low + width:
            return f"{first:0{n}b}" if n else ""
        n += 1
        if n > 300:
            return ""


# Slips: recognised, and not handed in by the tests.


def floor_of_the_low_end(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.floor(low * 2**n)
        if Fraction(first + 1, 2**n) <= low + width:
            return f"{first:0{n}b}" if n else ""
        n += 1


def backwards(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) <= low + width:
            return f"{first:0{n}b}"[::-1] if n else ""
        n += 1


def width_taken_for_the_end(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) <= width:
            return f"{first:0{n}b}" if n else ""
        n += 1
        if n > 300:
            return ""


def zeros_at_the_end_lost(low: Fraction, width: Fraction) -> str:
    return reference_code(low, width).rstrip("0")


def end_of_1_refused(low: Fraction, width: Fraction) -> str:
    if low + width == 1:
        raise ValueError("the interval must lie in [0, 1)")
    return reference_code(low, width)


def prefix_0b(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) <= low + width:
            return f"0b{first:0{n}b}"
        n += 1


def point_of_the_fraction(low: Fraction, width: Fraction) -> str:
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) <= low + width:
            return f"0.{first:0{n}b}"
        n += 1


def _as_text(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the bits; none at all as words, which can be printed."""
    value = function(*args)
    if value is None:
        return None
    if not isinstance(value, str):
        kind = type(value).__name__
        raise TypeError(
            f'a str of the characters "0" and "1" is expected, not a {kind}'
        )
    return str(value) or "no bits"


def _interval(low: Fraction, width: Fraction, says: str = "") -> Case:
    return Case((low, width), says or f"low {low}, width {width}")


def _by_hand(generator: Generator) -> list[Case]:
    cases = []
    for parts in (3, 5, 6, 7):
        n = parts * draw_integer(generator, 1, 3)
        width = draw_integer(generator, 1, n // 2)
        low = draw_integer(generator, 0, n - width)
        cases.append(_interval(Fraction(low, n), Fraction(width, n)))
    return cases


def _any_interval(generator: Generator) -> list[Case]:
    cases = []
    for _ in range(4):  # whose ends bits can name, and whose first bits are 0
        width = 2 * draw_integer(generator, 1, 5) + 1
        low = draw_integer(generator, 1, 40)
        cases.append(_interval(Fraction(low, 128), Fraction(width, 128)))
    for _ in range(3):
        n = 2 ** draw_integer(generator, 2, 5)
        low = draw_integer(generator, 0, n - 1)
        cases.append(_interval(Fraction(low, n), Fraction(1, n)))
    for _ in range(2):  # with room for two of the same length, and for no shorter bits
        k, n = 2 * draw_integer(generator, 1, 6) - 1, draw_integer(generator, 20, 30)
        cases.append(
            _interval(Fraction(k * n - 1, 16 * n), Fraction(2 * n + 2, 16 * n))
        )
    for _ in range(6):
        n = draw_integer(generator, 50, 2000)
        width = draw_integer(generator, 1, n // 4)
        low = draw_integer(generator, 0, n - width)
        cases.append(_interval(Fraction(low, n), Fraction(width, n)))
    return cases


def _whole_and_tiny(generator: Generator) -> list[Case]:
    cases = [Case((Fraction(0), Fraction(1)), "the whole: low 0, width 1", only=True)]
    for _ in range(2):
        n = 3 * draw_integer(generator, 1000, 2000)
        low = Fraction(n // 2 + draw_integer(generator, 1, n // 3), n)
        width = Fraction(draw_integer(generator, 1, 9), 2**60 + 1)
        cases.append(_interval(low, width))
    return cases


def _no_interval(generator: Generator) -> list[Case]:
    """None without a width: a search that forgets about it would not end."""
    n = draw_integer(generator, 5, 99)
    return [
        _interval(Fraction(-1, n), Fraction(1, 2)),
        _interval(Fraction(n - 2, n), Fraction(3, n)),
    ]


SHORTEST_CODE = Exercise(
    name="5/shortest_code",
    title="The shortest bits of an interval",
    difficulty=3,
    minutes=20,
    reference=reference_code,
    parts=(
        Part("intervals to try by hand", 1, _by_hand, _as_text),
        Part("any interval", 2, _any_interval, _as_text),
        Part(
            "the whole, and a tiny one",
            1,
            _whole_and_tiny,
            _as_text,
            beside_a_value=True,
        ),
        Part("not within [0, 1]: ValueError", 1, _no_interval, error_type),
    ),
    misconceptions=(
        Misconception(
            point_inside,
            "Your point lies inside, but the decoder reads on: what follows the bits "
            "may be anything, and *every* continuation must stay inside.",
        ),
        Misconception(
            always_the_logarithm_rounded_up,
            "⌈−log₂ width⌉ bits are not always enough: the intervals of that length "
            "may all stick out at one end. Then one bit more is needed.",
        ),
        Misconception(
            always_one_bit_more,
            "⌈−log₂ width⌉ + 1 bits always suffice, and are often one too many: try "
            "the shorter ones first.",
        ),
        Misconception(
            the_middle_rounded,
            "You rounded the middle to ⌈−log₂ width⌉ bits: what is rounded may begin "
            "before the interval, or end after it.",
        ),
        Misconception(
            a_zero_for_the_whole,
            'The whole of [0, 1) needs no bit: the answer is "". What is certain costs '
            "nothing.",
        ),
        Misconception(
            in_floating_point,
            "Floating point has 53 bits. Beyond about 50 of them low + width is low: "
            "stay with fractions.",
        ),
        Misconception(
            the_last_of_equals,
            "Where several of the same length fit, the first is asked for, not the "
            "last.",
        ),
        Misconception(
            zeros_in_front_lost,
            'The zeros in front are lost: "01" and "1" are different files. Write the '
            "number with n places.",
        ),
        Misconception(
            end_left_free,
            "You leave the end free: the interval of the bits may end where yours "
            "ends, for neither holds its end.",
        ),
        Misconception(
            begin_left_free,
            "You leave the beginning free: `low` itself is inside, and the bits may "
            "begin there.",
        ),
        Misconception(
            no_error_for_no_interval,
            "An interval that sticks out of [0, 1] has no code: raise ValueError.",
        ),
    ),
    slips=(
        Misconception(
            floor_of_the_low_end,
            "You round `low` *down* to n bits, which is before the interval: round up.",
        ),
        Misconception(backwards, "Your bits run backwards: the first is worth ½."),
        Misconception(
            width_taken_for_the_end,
            "The second argument is the width. The interval ends at low + width.",
        ),
        Misconception(
            zeros_at_the_end_lost,
            'The zeros at the end are lost: "1" is all of [½, 1), "10" its first half.',
        ),
        Misconception(
            end_of_1_refused,
            "An interval may end at 1, for it does not hold its end.",
        ),
        Misconception(
            prefix_0b, 'Your text begins with "0b", as `bin` writes it: bits alone.'
        ),
        Misconception(
            point_of_the_fraction, 'Leave out the "0." in front: bits alone.'
        ),
    ),
    hints=(
        "With n bits the interval [0, 1) falls into 2ⁿ equal ones. Try n = 0, 1, 2, …",
        "The first of them that does not begin before `low` is number ⌈low·2ⁿ⌉.",
        "Does it end at `low + width` at the latest? If not, one bit more.",
    ),
)


# -- frequencies ----------------------------------------------------------------------


def reference_frequencies(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    found[found.argmax()] += total - found.sum()
    return found


def rounded(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    return (p * total).round().long()


def raised_to_one_afterwards(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    return (p * total).round().long().clamp(min=1)


def slots_that_nobody_owns(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    return found


def remainder_to_the_last(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    found[-1] += total - found.sum()
    return found


def remainder_to_the_first(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    found[0] += total - found.sum()
    return found


def a_little_less_for_safety(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p)) - 1e-6).floor().long()
    found[found.argmax()] += total - found.sum()
    return found


def one_more_without_room(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * total).floor().long()
    found[found.argmax()] += total - found.sum()
    return found


def nothing_added_to_zero(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = (p * total).floor().long()
    found[found.argmax()] += total - found.sum()
    return found


def rounded_to_the_nearest(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).round().long()
    found[found.argmax()] += total - found.sum()
    return found


def ones_for_zeros_alone(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = (p * total).floor().long().clamp(min=1)
    found[found.argmax()] += total - found.sum()
    return found


def sum_of_exactly_1(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or p.sum() != 1:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    found[found.argmax()] += total - found.sum()
    return found


def remainder_to_the_most_probable(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    found[p.argmax()] += total - found.sum()
    return found


def no_error_for_what_is_no_distribution(p: Tensor, total: int) -> Tensor:
    found = 1 + (p * (total - len(p))).floor().long()
    found[found.argmax()] += total - found.sum()
    return found


# Slips: recognised, and not handed in by the tests.


def remainder_to_the_last_of_the_largest(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    found[len(p) - 1 - found.flip(0).argmax()] += total - found.sum()
    return found


def remainder_to_the_smallest(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    found[found.argmin()] += total - found.sum()
    return found


def remainder_to_the_largest_fraction(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    rest = p * (total - len(p)) % 1
    found[rest.argsort(descending=True, stable=True)[: total - found.sum()]] += 1
    return found


def in_single_precision(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p.float() * (total - len(p))).floor().long()
    found[found.argmax()] += total - found.sum()
    return found


def nan_goes_through(p: Tensor, total: int) -> Tensor:
    if total < len(p) or (p < 0).any() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    found[found.argmax()] += total - found.sum()
    return found


def error_for_zeros(p: Tensor, total: int) -> Tensor:
    if total < len(p) or not (p > 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    found[found.argmax()] += total - found.sum()
    return found


def _frequency_case(p: Tensor, total: int, says: str) -> Case:
    return Case((p, total), f"{says}, total {total}")


def _distribution(generator: Generator, n: int, zeros: int = 0) -> Tensor:
    """Probabilities in units of 2^−20: exact, in whatever order they are worked on.

    The largest is neither the first nor the last, and there once.
    """
    shares = torch.randint(200, 999, (n,), generator=generator)
    shares[:zeros] = 0
    shares = shares[torch.randperm(n, generator=generator)]
    place = draw_integer(generator, 1, n - 2)
    shares[place] = 0
    units = (shares * (2**19 // int(shares.sum() + 1))).long()
    units[place] = 2**20 - units.sum()
    return units.double() / 2**20


def _probabilities(generator: Generator) -> list[Case]:
    cases = []
    for n, bits in ((4, 5), (5, 10), (7, 16)):
        p = _distribution(generator, n)
        total = 2**bits + draw_integer(generator, 1, 9)
        cases.append(_frequency_case(p, total, f"{n} symbols"))
    p = _distribution(generator, 6)
    p[p.argmax()] -= 2.0**-21  # which is within 10^−6
    total = draw_integer(generator, 60, 90)
    cases.append(_frequency_case(p, total, "6 symbols, which sum to 1 − 2⁻²¹"))
    return cases


def _with_zeros(generator: Generator) -> list[Case]:
    cases = []
    for n, zeros, bits in ((4, 1, 4), (6, 3, 10), (9, 5, 30)):
        p = _distribution(generator, n, zeros)
        total = 2**bits - draw_integer(generator, 1, 7)
        cases.append(_frequency_case(p, total, f"{n} symbols, {zeros} of them 0"))
    return cases


def _peaked(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 3, 6)
    certain = torch.zeros(n, dtype=torch.float64)
    certain[draw_integer(generator, 1, n - 2)] = 1
    total = draw_integer(generator, 10, 30)
    p = _distribution(generator, n + 1)
    return [
        _frequency_case(certain, total, f"{n} symbols, one of them certain"),
        _frequency_case(p, n + 1, f"{n + 1} symbols, a unit for each"),
    ]


def _equal(generator: Generator) -> list[Case]:
    """Two that share the largest, and a remainder."""
    n = draw_integer(generator, 9, 12)
    p = torch.zeros(n, dtype=torch.float64)
    p[1:3], p[0] = 0.4375, 0.125
    nearly = p.clone()  # two frequencies are equal all the same
    nearly[1] -= 2.0**-20
    nearly[2] += 2.0**-20
    drawn = [
        (q, total + draw_integer(generator, 0, 3))
        for q, total in ((p, n + 8), (p, n + 24), (p, 1000), (nearly, n + 24))
    ]
    return [_frequency_case(q, total, f"{n} symbols, two equal") for q, total in drawn]


def _no_distribution(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 4, 7)
    p = _distribution(generator, n)
    negative, unknown = p.clone(), p.clone()
    negative[0] -= 1
    negative[1] += 1
    unknown[draw_integer(generator, 0, n - 1)] = math.nan
    return [
        Case((p, n - 1), f"{n} symbols, total {n - 1}"),
        Case((negative, 99), "a negative one"),
        Case((unknown, 99), "NaN among them"),
        Case((p * 1.001, 99), "they sum to 1.001"),
    ]


def _sums_to_total(args: tuple[Any, ...], output: Any) -> str | None:
    if not isinstance(output, Tensor):
        return None
    if bool((output < 1).any()):
        return "A frequency is below 1: what may come must have a code."
    if not bool(output.double().isfinite().all()):
        return "A frequency must be a whole number; yours are not all finite."
    if int(output.sum()) != args[1]:
        return f"They must sum to {args[1]}; yours sum to {int(output.sum())}."
    return None


FREQUENCIES = Exercise(
    name="5/frequencies",
    title="Probabilities become whole numbers",
    difficulty=2,
    minutes=20,
    reference=reference_frequencies,
    parts=(
        Part("probabilities", 1, _probabilities),
        Part("some of them 0", 1, _with_zeros),
        Part("one that is certain; no room to spare", 1, _peaked),
        Part("two that are equal", 1, _equal),
        Part("what is no distribution: ValueError", 1, _no_distribution, error_type),
    ),
    misconceptions=(
        Misconception(
            rounded,
            "p·total, rounded, is 0 for the improbable, and the sum need not be "
            "`total`. What can come must have a code: begin with 1 for each.",
        ),
        Misconception(
            raised_to_one_afterwards,
            "You raise what is 0 to 1 afterwards: the sum is no longer `total`. Set a "
            "unit aside for each symbol first.",
        ),
        Misconception(
            slots_that_nobody_owns,
            "What rounding leaves over is lost: the frequencies do not sum to `total`, "
            "and some slots belong to nobody.",
        ),
        Misconception(
            remainder_to_the_last,
            "What is left over goes to the last symbol. The coder works with that too, "
            "but the unit is worth most to the largest.",
        ),
        Misconception(
            remainder_to_the_first,
            "What is left over goes to the first symbol: it belongs to the first *of "
            "the largest*.",
        ),
        Misconception(
            a_little_less_for_safety,
            "You take a little off before rounding down: 0 becomes −1, and the "
            "cumulative table falls.",
            "https://github.com/facebookresearch/encodec/pull/95",
        ),
        Misconception(
            one_more_without_room,
            "1 + ⌊p·total⌋ promises more than `total`: the units given to every "
            "symbol must come off first, ⌊p·(total − n)⌋.",
        ),
        Misconception(
            nothing_added_to_zero,
            "⌊p·total⌋ is 0 for the improbable. What can come must have a code: 1 +.",
        ),
        Misconception(
            rounded_to_the_nearest,
            "You round to the nearest. Rounded down, no more than `total` is given "
            "away, whatever p is.",
        ),
        Misconception(
            ones_for_zeros_alone,
            "You give the 1 to those that would have 0, and the largest pays for it. "
            "Asked for is 1 + ⌊p·(total − n)⌋ for each, which has a bound.",
        ),
        Misconception(
            sum_of_exactly_1,
            "You ask for a sum of exactly 1, which rounding hardly ever leaves: up to "
            "10⁻⁶ off is a distribution.",
        ),
        Misconception(
            remainder_to_the_most_probable,
            "What is left over goes to the first of the largest *frequencies*. Two of "
            "them can be equal where the probabilities are not.",
        ),
        Misconception(
            no_error_for_what_is_no_distribution,
            "What is no distribution goes through: raise ValueError. NaN is neither "
            "≥ 0 nor < 0: test for what must be so, not for what must not.",
        ),
    ),
    slips=(
        Misconception(
            remainder_to_the_last_of_the_largest,
            "Of several that are the largest, the *first* gets what is left over.",
        ),
        Misconception(
            remainder_to_the_smallest,
            "What is left over goes to the smallest: it belongs to the largest.",
        ),
        Misconception(
            remainder_to_the_largest_fraction,
            "You spread what is left over by the fractions, as seats of a parliament "
            "are. Here all of it goes to the first of the largest.",
        ),
        Misconception(
            in_single_precision,
            "Something on the way is in float32, which has 24 bits: with a large "
            "total, ⌊ ⌋ falls elsewhere. Stay in float64.",
        ),
        Misconception(
            nan_goes_through,
            "NaN goes through: every comparison with it is False. Test for what must "
            "be so, `not (p >= 0).all()`.",
        ),
        Misconception(
            error_for_zeros,
            "A probability of 0 is allowed: it gets 1, as everything does.",
        ),
    ),
    properties=(_sums_to_total,),
    hints=(
        "n units are given away beforehand, one a symbol: total − n are left.",
        "1 + ⌊p·(total − n)⌋, and then what is missing to `total`.",
        "`not (p >= 0).all()` is True where there is a NaN.",
    ),
)


# -- decode ---------------------------------------------------------------------------


def reference_decode(bits: list[int], n: int, cumulative: list[int]) -> list[int]:
    total = cumulative[-1]
    if cumulative[0] != 0 or cumulative != sorted(cumulative):
        raise ValueError("cumulative counts must rise from 0")
    if not 1 <= total <= 1 << 30:
        raise ValueError("the total must be in 1 … 2^30")
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = ((point - low + 1) * total - 1) // span
        s = max(s for s in range(len(cumulative) - 1) if cumulative[s] <= target)
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            point = 2 * (point - off) + next(coming, 0)
    return symbols


def target_rounded_down(bits: list[int], n: int, cumulative: list[int]) -> list[int]:
    total = cumulative[-1]
    if cumulative[0] != 0 or cumulative != sorted(cumulative):
        raise ValueError("cumulative counts must rise from 0")
    if not 1 <= total <= 1 << 30:
        raise ValueError("the total must be in 1 … 2^30")
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = (point - low) * total // span
        s = max(s for s in range(len(cumulative) - 1) if cumulative[s] <= target)
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            point = 2 * (point - off) + next(coming, 0)
    return symbols


def ends_that_overlap(bits: list[int], n: int, cumulative: list[int]) -> list[int]:
    total = cumulative[-1]
    if cumulative[0] != 0 or cumulative != sorted(cumulative):
        raise ValueError("cumulative counts must rise from 0")
    if not 1 <= total <= 1 << 30:
        raise ValueError("the total must be in 1 … 2^30")
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = ((point - low + 1) * total - 1) // span
        s = max(s for s in range(len(cumulative) - 1) if cumulative[s] <= target)
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total
        low += span * cumulative[s] // total
        for _ in range(99):
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            point = 2 * (point - off) + next(coming, 0)
    return symbols


def stuck_at_the_middle(bits: list[int], n: int, cumulative: list[int]) -> list[int]:
    total = cumulative[-1]
    if cumulative[0] != 0 or cumulative != sorted(cumulative):
        raise ValueError("cumulative counts must rise from 0")
    if not 1 <= total <= 1 << 30:
        raise ValueError("the total must be in 1 … 2^30")
    half = 1 << 31
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = ((point - low + 1) * total - 1) // span
        s = max(s for s in range(len(cumulative) - 1) if cumulative[s] <= target)
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        for _ in range(99):
            if high < half:
                off = 0
            elif low >= half:
                off = half
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            point = 2 * (point - off) + next(coming, 0)
    return symbols


def ones_after_the_end(bits: list[int], n: int, cumulative: list[int]) -> list[int]:
    total = cumulative[-1]
    if cumulative[0] != 0 or cumulative != sorted(cumulative):
        raise ValueError("cumulative counts must rise from 0")
    if not 1 <= total <= 1 << 30:
        raise ValueError("the total must be in 1 … 2^30")
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 1)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = ((point - low + 1) * total - 1) // span
        s = max(s for s in range(len(cumulative) - 1) if cumulative[s] <= target)
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            point = 2 * (point - off) + next(coming, 1)
    return symbols


def boundary_to_the_symbol_below(
    bits: list[int], n: int, cumulative: list[int]
) -> list[int]:
    total = cumulative[-1]
    if cumulative[0] != 0 or cumulative != sorted(cumulative):
        raise ValueError("cumulative counts must rise from 0")
    if not 1 <= total <= 1 << 30:
        raise ValueError("the total must be in 1 … 2^30")
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = ((point - low + 1) * total - 1) // span
        s = max(0, int(torch.searchsorted(torch.tensor(cumulative), target)) - 1)
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        for _ in range(99):
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            point = 2 * (point - off) + next(coming, 0)
    return symbols


def low_moved_first(bits: list[int], n: int, cumulative: list[int]) -> list[int]:
    total = cumulative[-1]
    if cumulative[0] != 0 or cumulative != sorted(cumulative):
        raise ValueError("cumulative counts must rise from 0")
    if not 1 <= total <= 1 << 30:
        raise ValueError("the total must be in 1 … 2^30")
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = ((point - low + 1) * total - 1) // span
        s = max(s for s in range(len(cumulative) - 1) if cumulative[s] <= target)
        symbols.append(s)
        low += span * cumulative[s] // total
        high = low + span * cumulative[s + 1] // total - 1
        for _ in range(99):
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            point = 2 * (point - off) + next(coming, 0)
    return symbols


def high_without_a_new_one(bits: list[int], n: int, cumulative: list[int]) -> list[int]:
    total = cumulative[-1]
    if cumulative[0] != 0 or cumulative != sorted(cumulative):
        raise ValueError("cumulative counts must rise from 0")
    if not 1 <= total <= 1 << 30:
        raise ValueError("the total must be in 1 … 2^30")
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = ((point - low + 1) * total - 1) // max(span, 1)
        s = max(s for s in range(len(cumulative) - 1) if cumulative[s] <= target)
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        for _ in range(99):
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off)
            point = 2 * (point - off) + next(coming, 0)
    return symbols


def point_not_moved_at_the_middle(
    bits: list[int], n: int, cumulative: list[int]
) -> list[int]:
    total = cumulative[-1]
    if cumulative[0] != 0 or cumulative != sorted(cumulative):
        raise ValueError("cumulative counts must rise from 0")
    if not 1 <= total <= 1 << 30:
        raise ValueError("the total must be in 1 … 2^30")
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = ((point - low + 1) * total - 1) // span
        s = max(
            s for s in range(len(cumulative) - 1) if cumulative[s] <= max(target, 0)
        )
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        for _ in range(99):
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            moved = 0 if off == quarter else off
            point = 2 * (point - moved) + next(coming, 0)
    return symbols


def no_error_for_wrong_counts(
    bits: list[int], n: int, cumulative: list[int]
) -> list[int]:
    total = cumulative[-1]
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = ((point - low + 1) * total - 1) // span
        s = max(s for s in range(len(cumulative) - 1) if cumulative[s] <= target)
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            point = 2 * (point - off) + next(coming, 0)
    return symbols


# Slips: recognised, and not handed in by the tests.


def straddle_tested_with_or(
    bits: list[int], n: int, cumulative: list[int]
) -> list[int]:
    total = cumulative[-1]
    if cumulative[0] != 0 or cumulative != sorted(cumulative):
        raise ValueError("cumulative counts must rise from 0")
    if not 1 <= total <= 1 << 30:
        raise ValueError("the total must be in 1 … 2^30")
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = ((point - low + 1) * total - 1) // span
        s = max(s for s in range(len(cumulative) - 1) if cumulative[s] <= target)
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        for _ in range(99):
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter or high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            point = 2 * (point - off) + next(coming, 0)
    return symbols


def target_rounded_down_and_searched(
    bits: list[int], n: int, cumulative: list[int]
) -> list[int]:
    total = cumulative[-1]
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target, s = (point - low) * total // span, 0
        while cumulative[s + 1] <= target:
            s += 1
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            point = 2 * (point - off) + next(coming, 0)
    return symbols


def _symbols_read(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the list of symbols as a tensor."""
    value = function(*args)
    return None if value is None else whole_numbers(value, "symbols")


def _draw(generator: Generator, cumulative: list[int], n: int) -> list[int]:
    """n symbols with the probabilities of the counts, and those of count 0 left out."""
    counts = torch.tensor(cumulative).diff().double()
    return torch.multinomial(counts, n, True, generator=generator).tolist()


def _file(generator: Generator, cumulative: list[int], symbols: list[int]) -> Case:
    bits = reference_encode(symbols, cumulative)
    while bits and bits[-1] == 0:  # zeros come by themselves
        bits.pop()
    says = f"bits {bits}, n {len(symbols)}, cumulative {cumulative}"
    return Case((bits, len(symbols), cumulative), says)


def _short_file(generator: Generator, cumulative: list[int], n: int) -> Case:
    """Of the bits only what a thrifty encoder would write: few, and then zeros."""
    bits = torch.randint(
        2, (draw_integer(generator, 3, 6),), generator=generator
    ).tolist()
    says = f"bits {bits}, n {n}, cumulative {cumulative}"
    return Case((bits, n, cumulative), says)


def _two_symbols(generator: Generator) -> list[Case]:
    cases = []
    for n in (3, 8, 20):
        first, second = draw_integer(generator, 1, 4), draw_integer(generator, 1, 4)
        cumulative = [0, first, first + second]
        cases.append(_short_file(generator, cumulative, n))
    return cases


def _skewed(generator: Generator) -> list[Case]:
    """Symbols of count 0 among them, at the beginning and in the middle."""
    cases = []
    for n in (30, 40):
        counts = [
            0,
            draw_integer(generator, 1, 3),
            0,
            draw_integer(generator, 40, 90),
            0,
            2,
        ]
        cumulative = [0, *torch.tensor(counts).cumsum(0).tolist()]
        cases.append(_file(generator, cumulative, _draw(generator, cumulative, n)))
    # The middle one of three, again and again: the ends close in on the middle.
    cumulative = [0, 1, 2, 3]
    symbols = [1] * draw_integer(generator, 38, 50) + _draw(generator, cumulative, 9)
    return [*cases, _file(generator, cumulative, symbols)]


def _largest_total(generator: Generator) -> list[Case]:
    cases = []
    for _ in range(6):
        a, b = (
            draw_integer(generator, 1, 2**28),
            draw_integer(generator, 2**29, 2**30 - 9),
        )
        cumulative = [0, 1, a, a + 1, b, b + 1, 2**30 - 1, 2**30]
        symbols = torch.randint(7, (12,), generator=generator).tolist()
        cases.append(_file(generator, cumulative, symbols))
    return cases


def _nothing_to_read(generator: Generator) -> list[Case]:
    return [_short_file(generator, [0, draw_integer(generator, 1, 9), 10], 0)]


def _wrong_counts(generator: Generator) -> list[Case]:
    bits = [1, *torch.randint(2, (8,), generator=generator).tolist()]
    n = draw_integer(generator, 5, 9)
    return [
        # The point is above the 1: a search for it does not fail by itself.
        Case((bits, 1, [1, 3, n]), f"counts {[1, 3, n]}"),
        Case((bits, 2, [0, 4, 3, n]), f"counts {[0, 4, 3, n]}"),
        Case((bits, 2, [0, n, 2**30 + 1]), f"counts {[0, n, 2**30 + 1]}"),
        Case((bits, 0, [0, 0]), "counts [0, 0]"),
    ]


DECODE = Exercise(
    name="5/decode",
    title="The decoder",
    difficulty=4,
    minutes=35,
    reference=reference_decode,
    parts=(
        Part("two symbols", 1, _two_symbols, _symbols_read),
        Part("skewed counts, and a run at the middle", 1, _skewed, _symbols_read),
        Part("a total of 2³⁰", 2, _largest_total, _symbols_read),
        Part(
            "no symbol to read", 1, _nothing_to_read, _symbols_read, beside_a_value=True
        ),
        Part("counts that do not rise: ValueError", 1, _wrong_counts, error_type),
    ),
    misconceptions=(
        Misconception(
            target_rounded_down,
            "(point − low)·total // span is the usual form, and right for small "
            "totals. The encoder's cuts are rounded down, so the smallest point of a "
            "symbol may give the one below: ((point − low + 1)·total − 1) // span.",
        ),
        Misconception(
            ends_that_overlap,
            "`high` belongs to the interval, so it ends one before the next symbol "
            "begins: − 1. Without it neighbours overlap.",
        ),
        Misconception(
            stuck_at_the_middle,
            "Where the ends straddle the middle they share no bit, and come ever "
            "closer. From both, and from the point, a quarter goes, before all are "
            "doubled.",
        ),
        Misconception(
            ones_after_the_end,
            "After the end you read ones: the two sides have agreed on zeros.",
        ),
        Misconception(
            boundary_to_the_symbol_below,
            "A target that equals a boundary belongs to the symbol *above* it, whose "
            "share begins there: the last s with cumulative[s] ≤ target.",
        ),
        Misconception(
            low_moved_first,
            "`low` is moved before `high` is worked out: both are cut from the old "
            "interval.",
        ),
        Misconception(
            high_without_a_new_one,
            "When `high` is doubled, a 1 comes in from the right: it stands for "
            "everything up to the next point.",
        ),
        Misconception(
            point_not_moved_at_the_middle,
            "At the middle a quarter goes from low and from high, and you leave it in "
            "the point: all three are moved together.",
        ),
        Misconception(
            no_error_for_wrong_counts,
            "Counts that fall, do not begin at 0 or exceed 2³⁰ go through: raise "
            "ValueError.",
        ),
    ),
    slips=(
        Misconception(
            target_rounded_down_and_searched,
            "The target is rounded down, and then may lie in the symbol below, where "
            "no interval is left: ((point − low + 1)·total − 1) // span.",
        ),
        Misconception(
            straddle_tested_with_or,
            "A quarter goes only where *both* ends are in the middle half: `and`.",
        ),
    ),
    hints=(
        "Begin with the first 32 bits as the point. It moves as low and high do.",
        "The encoder cuts at low + span·C // total. Which symbol's cut is the last "
        "that is not behind the point?",
        "Three cases: both ends below the half, both above, both in the middle half. "
        "Subtract 0, a half, a quarter; double; a bit comes in.",
    ),
)


# -- encode ---------------------------------------------------------------------------


def reference_encode(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] + [1 - bit] * pending
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                pending, off = pending + 1, quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    point = (low + high) // 2
    for place in range(31, -1, -1):
        bit = point >> place & 1
        bits += [bit] + [1 - bit] * pending
        pending = 0
    return bits


def as_given(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, total = 1 << 31, cumulative[-1]
    low, high, bits = 0, 2 * half - 1, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while low // half == high // half:
            bit = low // half
            bits.append(bit)
            low, high = 2 * (low - bit * half), 2 * (high - bit * half) + 1
    point = (low + high) // 2
    return bits + [point >> place & 1 for place in range(31, -1, -1)]


def pending_ones_first(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [1 - bit] * pending + [bit]
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                pending, off = pending + 1, quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    point = (low + high) // 2
    for place in range(31, -1, -1):
        bit = point >> place & 1
        bits += [1 - bit] * pending + [bit]
        pending = 0
    return bits


def pending_ones_not_inverted(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] * (pending + 1)
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                pending, off = pending + 1, quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    point = (low + high) // 2
    for place in range(31, -1, -1):
        bit = point >> place & 1
        bits += [bit] * (pending + 1)
        pending = 0
    return bits


def pending_never_ended(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] + [1 - bit] * pending
                off = bit * half
            elif low >= quarter and high < half + quarter:
                pending, off = pending + 1, quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    point = (low + high) // 2
    for place in range(31, -1, -1):
        bit = point >> place & 1
        bits += [bit] + [1 - bit] * pending
        pending = 0
    return bits


def widened_and_not_counted(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] + [1 - bit] * pending
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    point = (low + high) // 2
    for place in range(31, -1, -1):
        bit = point >> place & 1
        bits += [bit] + [1 - bit] * pending
        pending = 0
    return bits


def end_without_the_pending_ones(
    symbols: list[int], cumulative: list[int]
) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] + [1 - bit] * pending
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                pending, off = pending + 1, quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    point = (low + high) // 2
    return bits + [point >> place & 1 for place in range(31, -1, -1)]


def no_end(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] + [1 - bit] * pending
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                pending, off = pending + 1, quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    return bits


def a_single_bit_at_the_end(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] + [1 - bit] * pending
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                pending, off = pending + 1, quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    bits.append(int(low >= quarter))
    return bits


def only_one_pending(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] + [1 - bit] * pending
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                pending, off = 1, quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    point = (low + high) // 2
    for place in range(31, -1, -1):
        bit = point >> place & 1
        bits += [bit] + [1 - bit] * pending
        pending = 0
    return bits


# Slips: recognised, and not handed in by the tests.


def written_at_once(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] + [1 - bit] * pending
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                off = quarter
                bits.append(int(low >= half))
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    point = (low + high) // 2
    for place in range(31, -1, -1):
        bit = point >> place & 1
        bits += [bit] + [1 - bit] * pending
        pending = 0
    return bits


def in_exact_fractions(symbols: list[int], cumulative: list[int]) -> list[int]:
    low, width, n = Fraction(0), Fraction(1), 2
    for s in symbols:
        low += width * Fraction(cumulative[s], cumulative[-1])
        width *= Fraction(cumulative[s + 1] - cumulative[s], cumulative[-1])
    while Fraction(2, 2**n) > width:
        n += 1
    return [int(bit) for bit in f"{math.ceil(low * 2**n):0{n}b}"]


def pending_zeros(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] + [0] * pending
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                pending, off = pending + 1, quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    point = (low + high) // 2
    for place in range(31, -1, -1):
        bit = point >> place & 1
        bits += [bit] + [0] * pending
        pending = 0
    return bits


def pending_ones(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] + [1] * pending
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                pending, off = pending + 1, quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    point = (low + high) // 2
    for place in range(31, -1, -1):
        bit = point >> place & 1
        bits += [bit] + [1] * pending
        pending = 0
    return bits


def _read_back(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: what the decoder reads. Any way to end the file will do."""
    symbols, cumulative = args
    value = function(symbols, cumulative)
    if value is None:
        return None
    bits = whole_numbers(value, "bits, each 0 or 1")
    if bool(((bits < 0) | (bits > 1)).any()):
        raise ValueError("a bit is 0 or 1; the list has other numbers")
    return torch.tensor(
        reference_decode(bits.tolist(), len(symbols), cumulative), dtype=torch.int64
    )


def _message(symbols: list[int], cumulative: list[int]) -> Case:
    says = f"symbols {symbols}, cumulative {cumulative}"
    return Case((symbols, cumulative), says)


def _text(generator: Generator) -> list[Case]:
    cases = []
    for n in (6, 20, 60, 60):
        counts = torch.randint(
            1, 30, (draw_integer(generator, 4, 7),), generator=generator
        )
        cumulative = [0, *counts.cumsum(0).tolist()]
        cases.append(_message(_draw(generator, cumulative, n), cumulative))
    return cases


def _middle_runs(generator: Generator) -> list[Case]:
    """The middle one of an odd number, so often that the ends share no bit."""
    cases = []
    for n in (3, 5, 7, 3):
        side = draw_integer(generator, 1, 9)
        cumulative = [i * side for i in range(n + 1)]
        run = [n // 2] * draw_integer(generator, 38, 60)
        cases.append(_message(run + _draw(generator, cumulative, 12), cumulative))
    alone = [1] * draw_integer(generator, 38, 60)
    return [_message(alone, [0, 1, 2, 3]), *cases]


def _one_and_none(generator: Generator) -> list[Case]:
    cases = [Case(([], [0, 1, 2]), "no symbol", only=True)]
    for _ in range(3):
        counts = torch.randint(1, 99, (9,), generator=generator)
        cumulative = [0, *counts.cumsum(0).tolist()]
        cases.append(_message([draw_integer(generator, 1, 7)], cumulative))
    for sign in (-1, 1):  # a narrow one about the middle, more of it on one side
        near, far = draw_integer(generator, 1, 2), draw_integer(generator, 8, 12)
        below, above = (far, near) if sign < 0 else (near, far)
        cumulative = [0, 300 - below, 300 + above, 600]
        cases.append(_message([1], cumulative))
    return cases


ENCODE = Exercise(
    name="5/encode",
    title="Find the bug: an encoder for short files",
    difficulty=4,
    minutes=25,
    reference=reference_encode,
    parts=(
        Part("text, read back", 1, _text, _read_back),
        Part("runs of the middle symbol, read back", 2, _middle_runs, _read_back),
        Part("one symbol, and none", 1, _one_and_none, _read_back),
    ),
    misconceptions=(
        Misconception(
            as_given,
            "That is the bug: where the ends straddle the middle they share no bit. "
            "The decoder takes a quarter off both and doubles them; without it the "
            "interval is cut elsewhere, and shrinks until no symbol has room in it. Do "
            "the same, and remember that a bit is pending.",
        ),
        Misconception(
            pending_ones_first,
            "The pending bits are written *before* the bit that decides them. It comes "
            "first, and they after it.",
        ),
        Misconception(
            pending_ones_not_inverted,
            "The pending bits are the *inverse* of the one that decides them: just "
            "above the middle is 1000…, just below it 0111….",
        ),
        Misconception(
            pending_never_ended,
            "Once they are written, the pending bits are pending no longer: set the "
            "count to 0.",
        ),
        Misconception(
            widened_and_not_counted,
            "You widen the interval at the middle and do not count it: each time, a "
            "bit is missing in the file.",
        ),
        Misconception(
            end_without_the_pending_ones,
            "Bits may still be pending at the end: they follow the first bit of the "
            "point, inverted, before the others.",
        ),
        Misconception(
            no_end,
            "The end is missing: the last symbols are settled only when a point of the "
            "interval is written.",
        ),
        Misconception(
            a_single_bit_at_the_end,
            "A single bit does not end the file: a quarter of the range takes two, and "
            "what is pending between them.",
            "https://github.com/nayuki/Reference-arithmetic-coding/issues/4",
        ),
        Misconception(
            only_one_pending,
            "More than one bit can be pending: count them, each time you widen.",
        ),
    ),
    slips=(
        Misconception(
            written_at_once,
            "A bit at the middle is not known yet: count it, and write it once the "
            "next bit decides.",
        ),
        Misconception(
            in_exact_fractions,
            "Exact fractions cut elsewhere than the decoder, which rounds each cut "
            "down to 32 bits: both sides must round alike.",
        ),
        Misconception(
            pending_zeros,
            "The pending bits are not always 0: they are the inverse of the one that "
            "decides them.",
        ),
        Misconception(
            pending_ones,
            "The pending bits are not always 1: they are the inverse of the one that "
            "decides them.",
        ),
    ),
    hints=(
        "Follow low and high by hand for [1, 1, 1, 1] with cumulative [0, 1, 2, 3].",
        "Both in the middle half, from a quarter to three: the next two bits are 01 or "
        "10. Which, the bit after tells.",
        "Count them. With the next bit b that is settled come b and then as many 1 − b "
        "as are counted, also at the end.",
    ),
)

EXERCISES = [SHORTEST_CODE, FREQUENCIES, DECODE, ENCODE]
