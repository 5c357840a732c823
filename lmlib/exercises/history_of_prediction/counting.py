"""Section 1.1: the price of a rule, and two ways of counting."""

import math
from itertools import product
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
    distinct_sizes,
    draw_integer,
    error_type,
    plain_number,
)


def number(value: Any, what: str) -> float:
    """A student's number as a float.

    Raises:
        TypeError: it is none.
    """
    found = plain_number(value)
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise TypeError(f"{what} must be a number, not a {type(value).__name__}")
    try:
        return float(found)
    except OverflowError:
        return math.inf if found > 0 else -math.inf


def numbers(value: Any, what: str) -> Any:
    """A student's list, array or tensor of numbers as a tensor of float64.

    Raises:
        TypeError: it is no row of numbers.
    """
    if value is None:
        return None  # which has words of its own
    if type(value) is Tensor and not value.is_complex():
        value = value.detach().double().tolist()
    elif isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise TypeError(f"{what} are expected, not a {type(value).__name__}")
    return torch.tensor([number(v, f"each of {what}") for v in value]).double()


def in_double(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: a row of numbers, however it is kept."""
    return numbers(function(*args), "numbers in a list or a tensor")


# -- rule_bits ------------------------------------------------------------------------


def reference_rule_bits(
    n_right: int, n_wrong: int, confidence: float, n_allowed: int
) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    total = 0.0
    for n, share, size in (
        (n_right, confidence, n_allowed),
        (n_wrong, 1 - confidence, 256 - n_allowed),
    ):
        if n:
            total += n * math.log2(size / share) if share else math.inf
    return total


def which_one_is_free(
    n_right: int, n_wrong: int, confidence: float, n_allowed: int
) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    total = 0.0
    for n, share in ((n_right, confidence), (n_wrong, 1 - confidence)):
        if n:
            total += n * math.log2(1 / share) if share else math.inf
    return total


def others_among_256(
    n_right: int, n_wrong: int, confidence: float, n_allowed: int
) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    total = 0.0
    for n, share, size in (
        (n_right, confidence, n_allowed),
        (n_wrong, 1 - confidence, 256),
    ):
        if n:
            total += n * math.log2(size / share) if share else math.inf
    return total


def clipped(n_right: int, n_wrong: int, confidence: float, n_allowed: int) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    yes, no = max(confidence, 1e-12), max(1 - confidence, 1e-12)
    return n_right * math.log2(n_allowed / yes) + n_wrong * math.log2(
        (256 - n_allowed) / no
    )


def nats(n_right: int, n_wrong: int, confidence: float, n_allowed: int) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    total = 0.0
    for n, share, size in (
        (n_right, confidence, n_allowed),
        (n_wrong, 1 - confidence, 256 - n_allowed),
    ):
        if n:
            total += n * math.log(size / share) if share else math.inf
    return total


def per_case(n_right: int, n_wrong: int, confidence: float, n_allowed: int) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    total = 0.0
    for n, share, size in (
        (n_right, confidence, n_allowed),
        (n_wrong, 1 - confidence, 256 - n_allowed),
    ):
        if n:
            total += n * math.log2(size / share) if share else math.inf
    return total / max(n_right + n_wrong, 1)


def nan_when_certain(
    n_right: int, n_wrong: int, confidence: float, n_allowed: int
) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    c = torch.tensor(confidence, dtype=torch.float64)
    right = -n_right * (c / n_allowed).log2()
    return (right - n_wrong * ((1 - c) / (256 - n_allowed)).log2()).item()


def right_and_wrong_exchanged(
    n_right: int, n_wrong: int, confidence: float, n_allowed: int
) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    total = 0.0
    for n, share, size in (
        (n_wrong, confidence, n_allowed),
        (n_right, 1 - confidence, 256 - n_allowed),
    ):
        if n:
            total += n * math.log2(size / share) if share else math.inf
    return total


def every_byte_gets_the_confidence(
    n_right: int, n_wrong: int, confidence: float, n_allowed: int
) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    total = 0.0
    for n, share, size in (
        (n_right, confidence, 1),
        (n_wrong, 1 - confidence, 256 - n_allowed),
    ):
        if n:
            total += n * math.log2(size / share) if share else math.inf
    return total


def no_error_for_what_is_no_rule(
    n_right: int, n_wrong: int, confidence: float, n_allowed: int
) -> float:
    total = 0.0
    for n, share, size in (
        (n_right, confidence, n_allowed),
        (n_wrong, 1 - confidence, 256 - n_allowed),
    ):
        if n and size > 0:
            total += n * math.log2(size / share) if share > 0 else math.inf
    return total


def its_own_best_confidence(
    n_right: int, n_wrong: int, confidence: float, n_allowed: int
) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    confidence = n_right / max(n_right + n_wrong, 1)
    total = 0.0
    for n, share, size in (
        (n_right, confidence, n_allowed),
        (n_wrong, 1 - confidence, 256 - n_allowed),
    ):
        if n:
            total += n * math.log2(size / share) if share else math.inf
    return total


def negative_bits(
    n_right: int, n_wrong: int, confidence: float, n_allowed: int
) -> float:
    return -reference_rule_bits(n_right, n_wrong, confidence, n_allowed)


def never_infinite(
    n_right: int, n_wrong: int, confidence: float, n_allowed: int
) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    total = 0.0
    if confidence > 0:
        total += n_right * math.log2(n_allowed / confidence)
    if confidence < 1:
        total += n_wrong * math.log2((256 - n_allowed) / (1 - confidence))
    return total


def infinite_when_certain(
    n_right: int, n_wrong: int, confidence: float, n_allowed: int
) -> float:
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    if confidence in (0, 1):
        return math.inf
    return n_right * math.log2(n_allowed / confidence) + n_wrong * math.log2(
        (256 - n_allowed) / (1 - confidence)
    )


def _rule(right: int, wrong: int, confidence: float, allowed: int) -> Case:
    says = f"{right} right, {wrong} wrong, confidence {confidence}, {allowed} allowed"
    return Case((right, wrong, confidence, allowed), says)


def _rules(generator: Generator) -> list[Case]:
    cases = []
    for _ in range(6):
        right, wrong = (draw_integer(generator, 2, 90) for _ in range(2))
        percent = draw_integer(generator, 55, 98)
        allowed = draw_integer(generator, 2, 60)
        cases.append(_rule(right, wrong + 100, percent / 100, allowed))
    for allowed in (1, 255):  # as few and as many as there can be
        percent = draw_integer(generator, 30, 95)
        right, wrong = (draw_integer(generator, 2, 60) for _ in range(2))
        cases.append(_rule(right, wrong, percent / 100, allowed))
    return cases


def _certain(generator: Generator) -> list[Case]:
    n, k = draw_integer(generator, 2, 90), draw_integer(generator, 2, 60)
    few = draw_integer(generator, 1, 9)
    return [
        _rule(n, 0, 1.0, k),
        _rule(n, few, 1.0, k),
        _rule(0, n, 0.0, k),
        _rule(few, n, 0.0, k),
        _rule(0, 0, draw_integer(generator, 1, 99) / 100, k),
    ]


def _no_rule(generator: Generator) -> list[Case]:
    n, percent = draw_integer(generator, 2, 90), draw_integer(generator, 5, 95)
    return [
        _rule(n, 1, 1 + percent / 100, 5),
        _rule(n, 1, -percent / 100, 5),
        _rule(n, 1, percent / 100, 0),
        _rule(n, 1, percent / 100, 256),
    ]


RULE_BITS = Exercise(
    name="1.1/rule_bits",
    title="What a rule costs",
    difficulty=2,
    minutes=15,
    reference=reference_rule_bits,
    parts=(
        Part("the price of its cases", 2, _rules),
        Part("certain, and right or wrong", 1, _certain, beside_a_value=True),
        Part("no such rule: ValueError", 1, _no_rule, error_type),
    ),
    misconceptions=(
        Misconception(
            which_one_is_free,
            "You pay for *whether* the rule is right, and not for *which* of its bytes "
            "came: each of the k has c/k, each of the others (1 − c)/(256 − k).",
        ),
        Misconception(
            others_among_256,
            "An exception is none of the allowed bytes: spread 1 − c over the other "
            "256 − k.",
        ),
        Misconception(
            clipped,
            "You sell the impossible for a fixed price of about 40 bits. What has "
            "probability 0 cannot be written at all: the price is infinite.",
        ),
        Misconception(
            nats,
            "These are nats, from the natural logarithm: a bit is log₂, and a nat 1.44 "
            "bits.",
        ),
        Misconception(
            per_case,
            "The price of all cases is asked for: the sum, not the mean.",
        ),
        Misconception(
            nan_when_certain,
            "0 · log 0 gives nan. A case that never came costs nothing, whatever its "
            "probability.",
        ),
        Misconception(
            right_and_wrong_exchanged,
            "Right and wrong are exchanged: the cases that were right have c/k.",
        ),
        Misconception(
            every_byte_gets_the_confidence,
            "You give each of the allowed bytes the whole of c, so that they have k·c "
            "together: they share it.",
        ),
        Misconception(
            its_own_best_confidence,
            "The share of right cases is the *best* confidence. What is asked for is "
            "the price at the confidence that is given.",
        ),
        Misconception(
            never_infinite,
            "A certain rule that was wrong is not free: what had probability 0 came, "
            "and that costs infinitely many bits.",
        ),
        Misconception(
            infinite_when_certain,
            "A certain rule that was always right is cheap, not infinitely dear: "
            "only what came *and* had probability 0 costs infinitely many bits.",
        ),
        Misconception(
            no_error_for_what_is_no_rule,
            "A confidence outside 0 … 1, or no bytes or all 256 allowed: raise "
            "ValueError.",
        ),
    ),
    slips=(
        Misconception(
            negative_bits, "The sign is turned: −log₂ of a probability is positive."
        ),
    ),
    hints=(
        "What is the probability of one byte that the rule allows? Of one that it does "
        "not?",
        "`math.log2(0)` raises an error: look at n = 0 and at probability 0 first.",
    ),
)


# -- witten_bell ----------------------------------------------------------------------


def reference_witten_bell(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        t = (counts > 0).sum()
        if t:
            p = (counts + t * p) / (counts.sum() + t)
    return p


def all_ngrams_below(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        t = (counts > 0).sum()
        if t:
            p = (counts + t * p) / (len(data) - k + t)
    return p


def successors_of_everything(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        t = len(set(data))
        if counts.sum():
            p = (counts + t * p) / (counts.sum() + t)
    return p


def no_floor(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        t = (counts > 0).sum()
        if k == 0 and t:
            p = counts / counts.sum()
        elif t:
            p = (counts + t * p) / (counts.sum() + t)
    return p


def history_from_the_left(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[:k]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        t = (counts > 0).sum()
        if t:
            p = (counts + t * p) / (counts.sum() + t)
    return p


def count_without_overlap(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.tensor(
            [data.count(context + bytes([s])) for s in range(256)], dtype=torch.float64
        )
        t = (counts > 0).sum()
        if t:
            p = (counts + t * p) / (counts.sum() + t)
    return p


def last_context_counts(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        t = (counts > 0).sum()
        n = counts.sum() + (k > 0 and data.endswith(context))
        if n:
            p = (counts + t * p) / (n + t)
    return p


def logs_added(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        n, t = counts.sum(), (counts > 0).sum()
        if t:
            share = t / (n + t)
            p = ((1 - share) * (counts / n).log() + share * p.log()).exp()
    return p


def unseen_is_uniform(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        t = (counts > 0).sum()
        if t:
            p = (counts + t * p) / (counts.sum() + t)
        else:
            p = torch.full((256,), 1 / 256, dtype=torch.float64)
    return p


def straight_to_the_floor(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)), -1, -1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        t = (counts > 0).sum()
        if t:
            return (counts + t / 256) / (counts.sum() + t)
    return p


def nothing_left_over(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        if counts.sum():
            p = counts / counts.sum()
    return p


def one_for_what_is_new(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        if counts.sum():
            p = (counts + p) / (counts.sum() + 1)
    return p


def only_for_what_is_new(data: bytes, history: bytes, order: int) -> Tensor:
    if order < 0:
        raise ValueError("order must not be negative")
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        t = (counts > 0).sum()
        if t:
            p = torch.where(counts > 0, counts, t * p) / (counts.sum() + t)
    return p


def no_error_below_0(data: bytes, history: bytes, order: int) -> Tensor:
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = torch.zeros(256, dtype=torch.float64)
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        t = (counts > 0).sum()
        if t:
            p = (counts + t * p) / (counts.sum() + t)
    return p


def one_byte_short(data: bytes, history: bytes, order: int) -> Tensor:
    return reference_witten_bell(data, history, max(order - 1, 0))


def one_byte_too_many(data: bytes, history: bytes, order: int) -> Tensor:
    return reference_witten_bell(data, history, order + 1)


def the_whole_history(data: bytes, history: bytes, order: int) -> Tensor:
    return reference_witten_bell(data, history, len(history))


def the_history_is_data(data: bytes, history: bytes, order: int) -> Tensor:
    return reference_witten_bell(data + history, history, order)


def _letters(generator: Generator, n: int, of: int = 3) -> bytes:
    letters = torch.randint(0, of, (n,), generator=generator)
    return bytes((letters + 97).tolist())


def _asked(data: bytes, history: bytes, order: int) -> Case:
    says = f"data {data!r}, history {history!r}, order {order}"
    return Case((data, history, order), says)


def _order_0(generator: Generator) -> list[Case]:
    return [
        _asked(_letters(generator, n, of), _letters(generator, 2), 0)
        for n, of in ((5, 2), (12, 4), (30, 20))
    ]


def _order_2(generator: Generator) -> list[Case]:
    cases = []
    for n in (9, 12, 16, 20):
        a, b, c = _letters(generator, 1, 9), b"x", b"y"
        # Runs of one letter overlap; the context stands at the very end as well; and
        # what follows its last byte alone is not what follows both.
        middle = _letters(generator, n - 8, 2)
        data = a * 4 + b + middle + c + a * 2
        cases.append(_asked(data, b + a * 2, 2))
        cases.append(_asked(data + b + a * 2, a + b + middle + b + a, 2))
        cases.append(_asked(data, b + c, 1))
    for n in (25, 40):
        data = _letters(generator, n)
        where = draw_integer(generator, 5, n - 1)
        cases.append(_asked(data, _letters(generator, 2, 9) + data[:where], 3))
    return cases


def _unseen(generator: Generator) -> list[Case]:
    cases = []
    for n in (8, 15, 20):
        data = _letters(generator, n)
        cases.append(_asked(data, data[:3] + b"z", 2))
        cases.append(_asked(data, b"z" + data[:1], 3))
    return cases


def _empty_and_short(generator: Generator) -> list[Case]:
    data = _letters(generator, 14)
    return [
        _asked(b"", _letters(generator, 5, 20), 3),
        _asked(data, b"", 4),
        _asked(data, data[4:5], 4),
    ]


def _negative(generator: Generator) -> list[Case]:
    data = _letters(generator, 9)
    return [_asked(data, data[:3], -draw_integer(generator, 1, 5)) for _ in range(2)]


WITTEN_BELL = Exercise(
    name="1.1/witten_bell",
    title="Witten and Bell's probabilities",
    difficulty=3,
    minutes=30,
    reference=reference_witten_bell,
    parts=(
        Part("order 0", 1, _order_0, in_double),
        Part("orders 1 to 3", 2, _order_2, in_double),
        Part("a context that never came", 1, _unseen, in_double),
        Part("empty data, short histories", 1, _empty_and_short, in_double),
        Part("a negative order: ValueError", 1, _negative, error_type),
    ),
    misconceptions=(
        Misconception(
            all_ngrams_below,
            "Your denominator counts all n-grams of this order. Divide by what "
            "followed *this* context: n(c) + t(c).",
            seen="https://github.com/nltk/nltk/pull/2626",
        ),
        Misconception(
            successors_of_everything,
            "Your t counts the different bytes of all the data: t(c) are those that "
            "followed this context.",
        ),
        Misconception(
            no_floor,
            "At order 0 you take the frequencies as they are: a byte that never came "
            "gets 0, and costs infinitely many bits. Below order 0 is 1/256.",
        ),
        Misconception(
            history_from_the_left,
            "You take the first bytes of the history. The nearest ones stand at its "
            "end.",
        ),
        Misconception(
            count_without_overlap,
            '`bytes.count` leaves out what overlaps: "aaa" holds "aa" twice, and it '
            "says once.",
        ),
        Misconception(
            last_context_counts,
            "You count the context where it stands at the end of the data: nothing "
            "followed it there.",
        ),
        Misconception(
            logs_added,
            "You add logarithms, which multiplies probabilities: what never came gets "
            "0 after all. Add probabilities; take logarithms afterwards.",
        ),
        Misconception(
            unseen_is_uniform,
            "For a context that never came, keep what the shorter one said, not 1/256.",
        ),
        Misconception(
            straight_to_the_floor,
            "You mix the longest context with 1/256: mix it with p of the context that "
            "is one byte shorter, and that one in the same way.",
        ),
        Misconception(
            nothing_left_over,
            "You take shares and leave nothing for what is new: the shorter context "
            "gets the weight t/(n + t).",
        ),
        Misconception(
            one_for_what_is_new,
            "You keep 1 for what is new, whatever the context. Keep t(c): as often as "
            "something new has come there.",
        ),
        Misconception(
            only_for_what_is_new,
            "The shorter context's share goes to all bytes, also to those that have "
            "come: your numbers do not sum to 1.",
        ),
        Misconception(
            no_error_below_0,
            "A negative order has no meaning: raise ValueError.",
        ),
    ),
    slips=(
        Misconception(
            one_byte_short,
            "Order k looks at k bytes of the history, and yours at one less.",
        ),
        Misconception(
            one_byte_too_many,
            "Order k looks at k bytes of the history, and yours at one more.",
        ),
        Misconception(
            the_whole_history,
            "You use all of the history: no context is longer than `order`.",
        ),
        Misconception(
            the_history_is_data,
            "The history is what is asked about. Counts come from the data alone.",
        ),
    ),
    hints=(
        "Begin with 256 times 1/256. Then for k = 0, 1, … order: the context is the "
        "last k bytes of the history.",
        "`history[-k:]` is the whole history for k = 0: write "
        "`history[len(history) - k:]`.",
        "Go through the places i of the data: if the k bytes before i are the context, "
        "`data[i]` followed it.",
    ),
)


# -- adaptive_bits --------------------------------------------------------------------


def reference_adaptive(data: bytes, n_symbols: int) -> float:
    counts, total = [0] * n_symbols, 0.0
    for n, symbol in enumerate(data):
        total -= math.log2((counts[symbol] + 0.5) / (n + n_symbols / 2))
        counts[symbol] += 1
    return total


def peeks(data: bytes, n_symbols: int) -> float:
    counts, total = [0] * n_symbols, 0.0
    for symbol in data:
        counts[symbol] += 1
        p = (counts[symbol] + 0.5) / (sum(counts) + n_symbols / 2)
        total -= math.log2(p)
    return total


def two_passes(data: bytes, n_symbols: int) -> float:
    counts = [data.count(symbol) for symbol in range(n_symbols)]
    total = 0.0
    for symbol in data:
        total -= math.log2((counts[symbol] + 0.5) / (len(data) + n_symbols / 2))
    return total


def laplace(data: bytes, n_symbols: int) -> float:
    counts, total = [0] * n_symbols, 0.0
    for n, symbol in enumerate(data):
        total -= math.log2((counts[symbol] + 1) / (n + n_symbols))
        counts[symbol] += 1
    return total


def total_stands_still(data: bytes, n_symbols: int) -> float:
    counts, total = [0] * n_symbols, 0.0
    for symbol in data:
        total -= math.log2((counts[symbol] + 0.5) / (n_symbols / 2))
        counts[symbol] += 1
    return total


def first_symbol_free(data: bytes, n_symbols: int) -> float:
    counts, total = [0] * n_symbols, 0.0
    for n, symbol in enumerate(data):
        if n:
            total -= math.log2((counts[symbol] + 0.5) / (n + n_symbols / 2))
        counts[symbol] += 1
    return total


def half_a_count_for_all(data: bytes, n_symbols: int) -> float:
    counts, total = [0] * n_symbols, 0.0
    for n, symbol in enumerate(data):
        total -= math.log2((counts[symbol] + 0.5) / (n + 0.5))
        counts[symbol] += 1
    return total


def one_symbol_only_known(data: bytes, n_symbols: int) -> float:
    counts, total = [0] * n_symbols, 0.0
    for n, symbol in enumerate(data):
        kinds = len(set(data))
        total -= math.log2((counts[symbol] + 0.5) / (n + kinds / 2))
        counts[symbol] += 1
    return total


def whole_counts(data: bytes, n_symbols: int) -> float:
    counts, total = [0] * n_symbols, 0.0
    for n, symbol in enumerate(data):
        total -= math.log2((counts[symbol] + 0.5) / (n + n_symbols))
        counts[symbol] += 1
    return total


def natural_logarithm(data: bytes, n_symbols: int) -> float:
    return reference_adaptive(data, n_symbols) * math.log(2)


def bits_a_symbol(data: bytes, n_symbols: int) -> float:
    return reference_adaptive(data, n_symbols) / max(len(data), 1)


def peeks_at_the_total(data: bytes, n_symbols: int) -> float:
    counts, total = [0] * n_symbols, 0.0
    for n, symbol in enumerate(data):
        total -= math.log2((counts[symbol] + 0.5) / (n + 1 + n_symbols / 2))
        counts[symbol] += 1
    return total


def _symbols(generator: Generator, n: int, n_symbols: int) -> bytes:
    """Unequally frequent, the first symbol being the rarest."""
    drawn = torch.rand(n, generator=generator).sqrt() * n_symbols
    return bytes(drawn.long().clamp(max=n_symbols - 1).tolist())


def _texts(generator: Generator) -> list[Case]:
    cases = []
    for n, n_symbols in ((3, 2), (6, 3), (40, 5), (300, 200)):
        data = _symbols(generator, n, n_symbols)
        cases.append(Case((data, n_symbols), f"{n} of {n_symbols} symbols"))
    return cases


def _prefixes(generator: Generator) -> list[Case]:
    sizes = ((9, 3), (12, 6))
    return [
        Case((_symbols(generator, n, of), of), f"every prefix of {n} symbols")
        for n, of in sizes
    ]


def each_prefix(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the bits that each symbol adds."""
    data, n_symbols = args
    found = [
        number(function(data[:n], n_symbols), "what it returns")
        for n in range(len(data) + 1)
    ]
    return torch.tensor(found, dtype=torch.float64).diff()


def kraft_sum(function: Function, args: tuple[Any, ...]) -> float:
    """For `Part.observe`: Σ 2^−bits over all texts of a length."""
    n_symbols, length = args
    texts = (bytes(text) for text in product(range(n_symbols), repeat=length))
    bits = (number(function(text, n_symbols), "what it returns") for text in texts)
    return math.fsum(2.0 ** -min(max(b, -1000.0), 2000.0) for b in bits)


def _all_texts(generator: Generator) -> list[Case]:
    cases = []
    for n_symbols in distinct_sizes(generator, 2):
        length = draw_integer(generator, 2, 3)
        says = f"all texts of {length} out of {n_symbols} symbols"
        cases.append(Case((n_symbols, length), says))
    return cases


ADAPTIVE_BITS = Exercise(
    name="1.1/adaptive_bits",
    title="Find the bug: a code that nobody can read",
    difficulty=3,
    minutes=20,
    reference=reference_adaptive,
    parts=(
        Part("the bits of a text", 1, _texts),
        Part("what each symbol adds", 1, _prefixes, each_prefix),
        Part(
            "over all texts, 2 to the −bits sums to 1",
            2,
            _all_texts,
            kraft_sum,
            beside_a_value=True,
        ),
    ),
    misconceptions=(
        Misconception(
            peeks,
            "The symbol is counted before it is coded. The decoder does not have it "
            "yet: whoever decodes cannot know this probability.",
        ),
        Misconception(
            two_passes,
            "You use the counts of the whole text, which nobody has sent: what a "
            "symbol costs must not depend on those that follow.",
        ),
        Misconception(
            laplace,
            "You add 1 to each count. That is Laplace's estimate; Krichevsky and "
            "Trofimov's adds ½.",
        ),
        Misconception(
            total_stands_still,
            "The denominator must grow with the text, for the counts do: your "
            "probabilities soon sum to more than 1.",
        ),
        Misconception(
            first_symbol_free,
            "The first symbol is free in yours: before anything is known it costs "
            "log₂ n_symbols.",
        ),
        Misconception(
            half_a_count_for_all,
            "½ is added to the count of *each* symbol, so the denominator has "
            "n_symbols/2 more, not ½.",
        ),
        Misconception(
            one_symbol_only_known,
            "How many different symbols the text holds, the decoder does not know: "
            "n_symbols is what both sides have.",
        ),
        Misconception(
            whole_counts,
            "½ above and 1 below: the probabilities then sum to less than 1, and bits "
            "are wasted.",
        ),
        Misconception(
            peeks_at_the_total,
            "The counts are those before the symbol, the total is the one after it: "
            "take both before.",
        ),
    ),
    slips=(
        Misconception(natural_logarithm, "These are nats: a bit is log₂."),
        Misconception(
            bits_a_symbol, "The bits of the whole text are asked for, not of a symbol."
        ),
    ),
    hints=(
        "Whoever decodes the third symbol has the first two. Which counts can he have?",
        "Work it out for the text 0 of two symbols: it must cost exactly 1 bit.",
    ),
)

EXERCISES = [RULE_BITS, WITTEN_BELL, ADAPTIVE_BITS]
