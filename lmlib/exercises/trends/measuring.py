"""Section 8: what was remembered, what was announced and paid, what is still unseen."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    distinct_sizes,
    draw_integer,
    error_type,
    normal,
)


def until(draw: Callable[[], Any], is_good: Callable[[Any], Any]) -> Any:
    """The first of what is drawn that is good.

    Raises:
        RuntimeError: a thousand were not.
    """
    for _ in range(1000):
        if is_good(drawn := draw()):
            return drawn
    raise RuntimeError("nothing that is drawn is good")


def apart(
    functions: tuple[Callable[..., float], ...],
    args: tuple[Any, ...],
    least: float = 0.01,
) -> bool:
    """Whether each gives another value, by more than `least` and than rounding."""
    values = sorted(float(function(*args)) for function in functions)
    return all(b - a > least + 0.001 * abs(a) for a, b in pairwise(values))


# -- exposure -------------------------------------------------------------------------


def reference_exposure(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError("there is no code of that index")
    rank = 1 + int((bits < bits[index]).sum())
    return math.log2(len(bits)) - math.log2(rank)


def rank_from_zero(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError
    rank = (bits < bits[index]).sum().double()
    return float(math.log2(len(bits)) - rank.log2())


def dearest_first(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError
    rank = 1 + int((bits > bits[index]).sum())
    return math.log2(len(bits)) - math.log2(rank)


def exposure_in_nats(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError
    rank = 1 + int((bits < bits[index]).sum())
    return math.log(len(bits) / rank)


def place_in_the_order(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError
    places = bits.argsort(stable=True).argsort()
    return math.log2(len(bits)) - math.log2(1 + int(places[index]))


def equal_ones_counted(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError
    return math.log2(len(bits)) - math.log2(int((bits <= bits[index]).sum()))


def middle_of_equal_ones(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError
    equal = int((bits == bits[index]).sum())
    rank = int((bits < bits[index]).sum()) + (equal + 1) / 2
    return math.log2(len(bits)) - math.log2(rank)


def equal_ones_counted_once(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError
    rank = 1 + len(bits[bits < bits[index]].unique())
    return math.log2(len(bits)) - math.log2(rank)


def minus_its_bits(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError
    return -float(bits[index])


def mean_less_its_bits(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError
    return float(bits.mean() - bits[index])


def rank_alone(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError
    return math.log2(1 + int((bits < bits[index]).sum()))


def whole_bits(bits: Tensor, index: int) -> float:
    if not 0 <= index < len(bits):
        raise ValueError
    rank = 1 + int((bits < bits[index]).sum())
    return float(math.floor(math.log2(len(bits) / rank)))


def counted_from_the_end(bits: Tensor, index: int) -> float:
    if not len(bits) or index >= len(bits):
        raise ValueError
    rank = 1 + int((bits < bits[index]).sum())
    return math.log2(len(bits)) - math.log2(rank)


def _codes(generator: Generator, n: int) -> Tensor:
    """Bits of `n` codes, no two alike, in any order: as codes of 4 digits cost them."""
    steps = torch.randperm(n, generator=generator) + 1.0
    return 6 + steps * (20 / n) * (1 + 0.5 * torch.rand((), generator=generator))


def _no_power(generator: Generator, low: int, high: int) -> int:
    """A number in low … high that is no power of two."""
    return int(
        until(
            lambda: draw_integer(generator, low, high),
            lambda n: n & (n - 1),
        )
    )


def _cheapest(generator: Generator) -> list[Case]:
    cases = []
    for n, dtype in ((_no_power(generator, 5, 15), torch.float64), (60, None)):
        bits = _codes(generator, n + draw_integer(generator, 0, 3)).to(dtype)
        cases.append(
            Case((bits, int(bits.argmin())), f"the cheapest of {len(bits)} codes")
        )
    return cases


def _others(generator: Generator) -> list[Case]:
    n = _no_power(generator, 9, 15)
    bits = _codes(generator, n)
    places = bits.argsort()
    k = draw_integer(generator, 3, n - 3)
    many = _codes(generator, draw_integer(generator, 300, 400))
    ordered = many.sort().values
    # Not the first of those that are equal in whole bits.
    m = until(
        lambda: draw_integer(generator, 9, 30),
        lambda m: ordered[m - 2].round() == ordered[m - 1].round(),
    )
    some = _codes(generator, n)
    some[int(some.argmax())] = math.inf
    second = int(some.argsort()[1])
    return [
        Case((bits, int(places[k - 1])), f"place {k} of {n} codes"),
        Case((bits, int(places[-1])), f"the dearest of {n} codes"),
        Case((many, int(many.argsort()[m - 1])), f"place {m} of {len(many)} codes"),
        Case((some, second), "the second, where one code is impossible"),
    ]


def _ties(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 9, 14)
    bits = _codes(generator, n)
    at = bits.argsort()[2:6].sort().values  # four that become equal, in their order
    bits[at] = bits[at[0]].item()
    # At other than 1 + 0.0 the places of the four could look like another rank.
    every = torch.full((n,), float(draw_integer(generator, 9, 30)))
    return [
        Case((bits, int(at[1])), f"four of {n} codes cost the same"),
        Case((bits, int(bits.argsort()[7])), "four that are cheaper cost the same"),
        Case((every, draw_integer(generator, 1, n - 2)), "all codes cost the same"),
    ]


def _no_such_code(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 4, 40)
    bits = _codes(generator, n)
    return [
        Case((bits, n), "an index behind the last"),
        Case((bits, -draw_integer(generator, 1, 3)), "an index below 0"),
        Case((bits[:0], 0), "no codes", only=True),
    ]


EXPOSURE = Exercise(
    name="8/exposure",
    title="How well a secret is remembered",
    difficulty=2,
    minutes=15,
    reference=reference_exposure,
    parts=(
        Part("the cheapest code", 1, _cheapest),
        Part("codes that are not the cheapest", 1, _others),
        Part("codes that cost the same", 1, _ties),
        Part("raises ValueError", 1, _no_such_code, error_type),
    ),
    misconceptions=(
        Misconception(
            rank_from_zero,
            "You count ranks from 0: the cheapest code has rank 1, and log₂ 0 is no "
            "number.",
        ),
        Misconception(
            dearest_first,
            "You count the dearest code as the first. A code that is remembered is "
            "cheap.",
        ),
        Misconception(exposure_in_nats, "This is in nats: exposure is log₂."),
        Misconception(
            place_in_the_order,
            "Codes that cost the same have the same rank: sorting puts one before the "
            "other by chance. Count those that are strictly cheaper.",
        ),
        Misconception(
            equal_ones_counted,
            "You count the codes that cost the same, itself among them: only those "
            "that are strictly cheaper stand before it.",
        ),
        Misconception(
            middle_of_equal_ones,
            "Of codes that cost the same you take the mean place. All have the rank of "
            "the first: 1 + the number that is strictly cheaper.",
        ),
        Misconception(
            equal_ones_counted_once,
            "Cheaper codes that cost the same are several codes: count each of them.",
        ),
        Misconception(
            minus_its_bits,
            "−bits is log₂ of the code's own probability. How exposed it is shows only "
            "beside the other codes: use its rank among them.",
        ),
        Misconception(
            mean_less_its_bits,
            "You compare its bits with the mean. Exposure goes by the rank, whatever "
            "the distances are.",
        ),
        Misconception(
            rank_alone,
            "This is log₂ of the rank: take it from log₂ of the number of codes.",
        ),
        Misconception(
            whole_bits, "Do not round: a rank of 3 among 10 has an exposure, too."
        ),
        Misconception(
            counted_from_the_end,
            "An index below 0 names no code and must raise ValueError. (Python and "
            "torch count it from the end.)",
        ),
    ),
    hints=(
        "How many codes are strictly cheaper? `(bits < bits[index]).sum()`.",
        "One more is the rank. log₂ of the number of codes, less log₂ of the rank.",
    ),
)


# -- overconfidence -------------------------------------------------------------------


def reference_overconfidence(logits: Tensor, targets: Tensor) -> float:
    log_p = logits.log_softmax(dim=-1)
    paid = -log_p.gather(-1, targets[:, None]).mean()
    announced = -(log_p.exp() * log_p.masked_fill(log_p == -math.inf, 0.0)).sum(-1)
    return float(paid - announced.mean()) / math.log(2)


def confidence_less_accuracy(logits: Tensor, targets: Tensor) -> float:
    p = logits.softmax(dim=-1)
    right = p.argmax(dim=-1) == targets
    return float(p.amax(dim=-1).mean()) - float(right.double().mean())


def entropy_of_the_mean(logits: Tensor, targets: Tensor) -> float:
    log_p = logits.log_softmax(dim=-1)
    paid = -log_p.gather(-1, targets[:, None]).mean()
    p = log_p.exp().mean(dim=0)
    return float(paid + torch.xlogy(p, p).sum()) / math.log(2)


def gap_in_nats(logits: Tensor, targets: Tensor) -> float:
    log_p = logits.log_softmax(dim=-1)
    paid = -log_p.gather(-1, targets[:, None]).mean()
    p = log_p.exp()
    return float(paid + torch.xlogy(p, p).sum(-1).mean())


def announced_less_paid(logits: Tensor, targets: Tensor) -> float:
    log_p = logits.log_softmax(dim=-1)
    paid = -log_p.gather(-1, targets[:, None]).mean()
    p = log_p.exp()
    return float(-torch.xlogy(p, p).sum(-1).mean() - paid) / math.log(2)


def zero_times_infinity(logits: Tensor, targets: Tensor) -> float:
    log_p = logits.log_softmax(dim=-1)
    paid = -log_p.gather(-1, targets[:, None]).mean()
    return float(paid + (log_p.exp() * log_p).sum(-1).mean()) / math.log(2)


def exponentials_that_overflow(logits: Tensor, targets: Tensor) -> float:
    p = logits.exp() / logits.exp().sum(-1, keepdim=True)
    paid = -p.gather(-1, targets[:, None]).log2().mean()
    return float(paid + torch.xlogy(p, p).sum(-1).mean() / math.log(2))


def only_one_in_bits(logits: Tensor, targets: Tensor) -> float:
    log_p = logits.log_softmax(dim=-1)
    paid = -log_p.gather(-1, targets[:, None]).mean()
    p = log_p.exp()
    return float(paid + torch.xlogy(p, p).sum(-1).mean() / math.log(2))


def sum_over_rows(logits: Tensor, targets: Tensor) -> float:
    log_p = logits.log_softmax(dim=-1)
    paid = -log_p.gather(-1, targets[:, None]).sum()
    p = log_p.exp()
    return float(paid + torch.xlogy(p, p).sum()) / math.log(2)


def entropy_spread_over_classes(logits: Tensor, targets: Tensor) -> float:
    log_p = logits.log_softmax(dim=-1)
    paid = -log_p.gather(-1, targets[:, None]).mean()
    p = log_p.exp()
    return float(paid + torch.xlogy(p, p).mean()) / math.log(2)


def against_the_uniform(logits: Tensor, targets: Tensor) -> float:
    log_p = logits.log_softmax(dim=-1)
    paid = -log_p.gather(-1, targets[:, None]).mean()
    return float(paid) / math.log(2) - math.log2(logits.shape[-1])


def paid_alone(logits: Tensor, targets: Tensor) -> float:
    log_p = logits.log_softmax(dim=-1)
    return -float(log_p.gather(-1, targets[:, None]).mean()) / math.log(2)


def bits_of_the_likeliest(logits: Tensor, targets: Tensor) -> float:
    log_p = logits.log_softmax(dim=-1)
    paid = -log_p.gather(-1, targets[:, None]).mean()
    return float(paid + log_p.amax(-1).mean()) / math.log(2)


_GAPS = (
    reference_overconfidence,
    confidence_less_accuracy,
    entropy_of_the_mean,
    gap_in_nats,
    announced_less_paid,
    only_one_in_bits,
    sum_over_rows,
    entropy_spread_over_classes,
    against_the_uniform,
    paid_alone,
    bits_of_the_likeliest,
)


def _predictions(generator: Generator, n: int, v: int, scale: float) -> Any:
    logits = normal(generator, n, v) * scale
    return logits, torch.randint(v, (n,), generator=generator)


def _gap(generator: Generator) -> list[Case]:
    cases = []
    for dtype, offset in ((torch.float32, 0.0), (torch.float64, 1000.0)):
        n, v = distinct_sizes(generator, 2, 3)
        logits, targets = until(
            partial(_predictions, generator, n, v, 1.5),
            lambda args: apart(_GAPS, args),
        )
        says = f"{n} predictions of {v} classes"
        says += ", 1000 added to all logits" * bool(offset)
        cases.append(Case((logits.to(dtype) + offset, targets), says))
    return cases


def _uniform(generator: Generator) -> list[Case]:
    n, v = distinct_sizes(generator, 2, 3)
    logits = normal(generator, n, 1).expand(n, v).contiguous()
    # Not the first class, which `argmax` takes of equal ones.
    targets = torch.randint(1, v, (n,), generator=generator)
    return [Case((logits, targets), f"{v} classes, all as likely")]


def _with_impossible(generator: Generator) -> list[Case]:
    def draw() -> Any:
        logits, targets = _predictions(generator, n, 5, 1.5)
        for i in range(n):
            logits[i, (int(targets[i]) + i % 4 + 1) % 5] = -math.inf
        return logits, targets

    n = draw_integer(generator, 4, 7)
    args = until(draw, lambda args: apart(_GAPS, args))
    logits, targets = (a.clone() for a in args)
    first = int(targets[0])
    kept = float(logits[0, first])
    logits[0] = -math.inf
    logits[0, first] = kept
    return [
        Case(args, "5 classes, another one impossible each time"),
        Case((logits, targets), "and one prediction that leaves a single class"),
    ]


def _signs(generator: Generator) -> list[Case]:
    n, v = draw_integer(generator, 4, 6), draw_integer(generator, 7, 9)

    def draw(shift: int) -> Any:
        logits, targets = _predictions(generator, n, v, 0.7)
        for i in range(n):
            logits[i, (int(targets[i]) + shift) % v] += 3.0
        return logits, targets

    def good(args: Any) -> bool:
        return apart(_GAPS, args) and abs(reference_overconfidence(*args)) > 0.3

    wrong = until(lambda: draw(1), good)
    right = until(lambda: draw(0), good)
    return [
        Case(wrong, "sure, and wrong every time"),
        Case(right, "less sure than it may be: right every time"),
    ]


OVERCONFIDENCE = Exercise(
    name="8/overconfidence",
    title="Bits that were announced, and bits that were paid",
    difficulty=3,
    minutes=20,
    reference=reference_overconfidence,
    parts=(
        Part("the value", 1, _gap),
        Part("uniform predictions: 0", 1, _uniform, beside_a_value=True),
        Part("classes that are impossible", 1, _with_impossible),
        Part("the sign", 1, _signs),
    ),
    misconceptions=(
        Misconception(
            confidence_less_accuracy,
            "Largest probability less accuracy is another measure, in shares and not "
            "in bits. Here all classes count, by their entropy.",
        ),
        Misconception(
            entropy_of_the_mean,
            "You took the entropy of the mean prediction. Each prediction announces "
            "its own: take the entropy row by row, then the mean.",
        ),
        Misconception(gap_in_nats, "This is in nats: divide by ln 2."),
        Misconception(
            announced_less_paid,
            "The sign is turned. Who is too sure pays more than was announced, and "
            "that is positive: paid less announced.",
        ),
        Misconception(
            zero_times_infinity,
            "0 · log 0 is NaN to a computer. In an entropy it is 0: an impossible "
            "class adds nothing.",
        ),
        Misconception(
            exponentials_that_overflow,
            "The exponential of a large logit is infinite. Use `log_softmax`, or "
            "subtract the row's maximum first.",
        ),
        Misconception(
            only_one_in_bits,
            "One of the two is in bits and the other in nats: convert both.",
        ),
        Misconception(
            sum_over_rows, "This is the sum over the predictions. The mean is asked."
        ),
        Misconception(
            entropy_spread_over_classes,
            "An entropy is a sum over the classes. You took the mean over them, too.",
        ),
        Misconception(
            against_the_uniform,
            "You compare with log₂ of the number of classes, which is what a uniform "
            "prediction announces. Each of these announces its own entropy.",
        ),
        Misconception(
            paid_alone,
            "This is what was paid, the cross-entropy. Subtract what was announced: "
            "the mean entropy of the predictions.",
        ),
        Misconception(
            bits_of_the_likeliest,
            "You take the bits of the likeliest class for what was announced. The "
            "expectation over all classes is meant: the entropy.",
        ),
    ),
    hints=(
        "Paid: the cross-entropy, −log₂ p of each target, and the mean.",
        "Announced: the entropy of each row, −Σ p log₂ p, and the mean.",
        "`torch.xlogy(p, p)` is p · ln p, and 0 where p is 0.",
    ),
)


# -- good_turing ----------------------------------------------------------------------


def reference_good_turing(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError("nothing was drawn")
    return counts.count(1) / sum(counts)


def share_of_kinds(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return counts.count(1) / sum(count > 0 for count in counts)


def share_of_all_kinds(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return counts.count(1) / len(counts)


def kinds_never_seen(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return counts.count(0) / len(counts)


def never_seen_counted(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return sum(count <= 1 for count in counts) / sum(counts)


def seen_at_most_twice(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return (counts.count(1) + counts.count(2)) / sum(counts)


def share_seen_twice(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return 2 * counts.count(2) / sum(counts)


def squared_counts(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return sum(count**2 for count in counts) / sum(counts) ** 2


def one_draw_less(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return counts.count(1) / max(sum(counts) - 1, 1)


def one_draw_more(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return counts.count(1) / (sum(counts) + 1)


def share_seen_again(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return 1 - counts.count(1) / sum(counts)


def kinds_for_each_draw(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return sum(count > 0 for count in counts) / sum(counts)


def never_seen_for_each_draw(counts: list[int]) -> float:
    if not sum(counts):
        raise ValueError
    return counts.count(0) / sum(counts)


def nothing_drawn_is_zero(counts: list[int]) -> float:
    return counts.count(1) / sum(counts) if sum(counts) else 0.0


_SHARES = (
    reference_good_turing,
    share_of_kinds,
    share_of_all_kinds,
    kinds_never_seen,
    never_seen_counted,
    seen_at_most_twice,
    share_seen_twice,
    squared_counts,
    one_draw_less,
    one_draw_more,
    share_seen_again,
    kinds_for_each_draw,
    never_seen_for_each_draw,
)


def _shuffled(generator: Generator, counts: list[int]) -> list[int]:
    return [counts[i] for i in torch.randperm(len(counts), generator=generator)]


def _counts(generator: Generator, zeros: int, ones: int, more: int) -> list[int]:
    rest = torch.randint(2, 9, (more,), generator=generator).tolist()
    twos = [2] * draw_integer(generator, 2, 4)
    return _shuffled(generator, [0] * zeros + [1] * ones + twos + rest)


def _some(generator: Generator) -> list[Case]:
    def draw() -> list[int]:
        sizes = [draw_integer(generator, 2, 6) for _ in range(3)]
        return _counts(generator, *sizes)

    cases = []
    for _ in range(2):
        counts = until(draw, lambda counts: apart(_SHARES, (counts,), 0.002))
        cases.append(
            Case((counts,), f"{sum(counts)} draws of {len(counts)} possible kinds")
        )
    return cases


def _none_once(generator: Generator) -> list[Case]:
    counts = _counts(generator, 3, 0, draw_integer(generator, 4, 9))
    return [Case((counts,), "every kind that was seen was seen again")]


def _all_once(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 4, 60)
    counts = _shuffled(generator, [0] * 3 + [1] * n)
    return [Case((counts,), "every kind that was seen was seen once")]


def _no_draw(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 2, 90)
    return [
        Case(([0] * n,), f"{n} kinds, and no draw"),
        Case(([],), "no kinds", only=True),
    ]


GOOD_TURING = Exercise(
    name="8/good_turing",
    title="The share that is still unseen",
    difficulty=1,
    minutes=10,
    reference=reference_good_turing,
    parts=(
        Part("some draws", 1, _some),
        Part("nothing was seen once: 0", 1, _none_once, beside_a_value=True),
        Part("everything was seen once: 1", 1, _all_once, beside_a_value=True),
        Part("raises ValueError", 1, _no_draw, error_type),
    ),
    misconceptions=(
        Misconception(
            share_of_kinds,
            "You divide by the number of kinds that were seen. A share of the *draws* "
            "is asked: divide by all of them.",
        ),
        Misconception(
            share_of_all_kinds,
            "You divide by the number of kinds. A share of the *draws* is asked.",
        ),
        Misconception(
            kinds_never_seen,
            "You count the kinds that were never seen. Nobody knows how often they "
            "would come; those seen once tell it.",
        ),
        Misconception(
            never_seen_counted,
            "You count the zeros, too: only kinds that were seen exactly once.",
        ),
        Misconception(
            seen_at_most_twice,
            "You count kinds that were seen twice, too. Without one of its two draws "
            "such a kind is still known: only those seen once would be new.",
        ),
        Misconception(
            share_seen_twice,
            "This is the share that belongs to kinds seen twice, which estimates what "
            "those seen *once* will get.",
        ),
        Misconception(
            squared_counts,
            "The sum of the squared shares is how likely two draws are to agree. "
            "Count the kinds that were seen once.",
        ),
        Misconception(one_draw_less, "Divide by the number of draws, not by one less."),
        Misconception(
            one_draw_more,
            "You count the next draw among those that were made: divide by the draws "
            "so far.",
        ),
        Misconception(
            share_seen_again,
            "This is the share that is *not* new: take it from 1.",
        ),
        Misconception(
            kinds_for_each_draw,
            "You count all kinds that were seen. That is how often a draw *was* new, "
            "on the mean; by now fewer are: those seen once count.",
        ),
        Misconception(
            never_seen_for_each_draw,
            "You count the kinds that were never seen: count those seen exactly once.",
        ),
        Misconception(
            nothing_drawn_is_zero,
            "Who has drawn nothing knows nothing: ValueError, not 0.",
        ),
    ),
    hints=(
        "Leave one draw out. It would have been new if its kind came only once.",
        "The number of ones, over the sum.",
    ),
)

EXERCISES = [EXPOSURE, OVERCONFIDENCE, GOOD_TURING]
