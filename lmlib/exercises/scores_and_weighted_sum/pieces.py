"""Section 4.1: attention in pieces, and what to predict."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from lmlib import online
from lmlib.exercises import questions
from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    distinct_sizes,
    normal,
)

# -- merge ----------------------------------------------------------------------------


def reference_merge(
    o1: Tensor, l1: Tensor, o2: Tensor, l2: Tensor
) -> tuple[Tensor, Tensor]:
    return online.merge((o1, l1), (o2, l2))


def mean_of_outputs(
    o1: Tensor, l1: Tensor, o2: Tensor, l2: Tensor
) -> tuple[Tensor, Tensor]:
    return (o1 + o2) / 2, torch.logaddexp(l1, l2)


def logarithms_as_weights(
    o1: Tensor, l1: Tensor, o2: Tensor, l2: Tensor
) -> tuple[Tensor, Tensor]:
    share = (l1 / (l1 + l2))[..., None]
    return share * o1 + (1 - share) * o2, torch.logaddexp(l1, l2)


def exponentials_as_they_are(
    o1: Tensor, l1: Tensor, o2: Tensor, l2: Tensor
) -> tuple[Tensor, Tensor]:
    e1, e2 = l1.exp(), l2.exp()
    total = e1 + e2
    safe = total.masked_fill(total == 0, 1.0)
    output = (e1 / safe)[..., None] * o1 + (e2 / safe)[..., None] * o2
    return output, total.log()


def larger_one_returned(
    o1: Tensor, l1: Tensor, o2: Tensor, l2: Tensor
) -> tuple[Tensor, Tensor]:
    total = torch.logaddexp(l1, l2)
    safe = total.masked_fill(total == -math.inf, 0.0)
    first, second = (l1 - safe).exp()[..., None], (l2 - safe).exp()[..., None]
    return first * o1 + second * o2, torch.maximum(l1, l2)


def base_two(o1: Tensor, l1: Tensor, o2: Tensor, l2: Tensor) -> tuple[Tensor, Tensor]:
    total = torch.logaddexp2(l1, l2)
    safe = total.masked_fill(total == -math.inf, 0.0)
    first, second = (l1 - safe).exp2()[..., None], (l2 - safe).exp2()[..., None]
    return first * o1 + second * o2, total


def logarithm_of_exponentials(
    o1: Tensor, l1: Tensor, o2: Tensor, l2: Tensor
) -> tuple[Tensor, Tensor]:
    total = (l1.exp() + l2.exp()).log()
    first, second = (l1 - total).exp()[..., None], (l2 - total).exp()[..., None]
    return first * o1 + second * o2, total


def nan_for_two_empty(
    o1: Tensor, l1: Tensor, o2: Tensor, l2: Tensor
) -> tuple[Tensor, Tensor]:
    highest = torch.maximum(l1, l2)
    e1, e2 = (l1 - highest).exp(), (l2 - highest).exp()
    total = e1 + e2
    output = (e1 / total)[..., None] * o1 + (e2 / total)[..., None] * o2
    return output, highest + total.log()


def _joined(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the output with the log-sum-exp as one more column."""
    output, lse = function(*args)
    return torch.cat((output, lse[..., None]), dim=-1)


def _halves(generator: Generator) -> list[Case]:
    cases = []
    for leading in ((), (2,)):
        n_query, n_key, d_k, d_v = distinct_sizes(generator, 4)
        q = normal(generator, *leading, n_query, d_k)
        parts: list[Tensor] = []
        for n in (n_key, n_key + 5):
            key = normal(generator, *leading, n, d_k)
            parts += online.attend_block(q, key, normal(generator, *leading, n, d_v))
        says = f"{n_key} and {n_key + 5} keys, o {tuple(parts[0].shape)}"
        cases.append(Case(tuple(parts), says))
    o1, l1, o2, l2 = (t.double() for t in parts)
    return [*cases, Case((o1, l1, o2, l2 - 1), "float64")]


def _far(generator: Generator) -> list[Case]:
    cases = []
    for centre, says in ((1e4, "10,000"), (-1e4, "−10,000")):
        l1, l2 = (centre + normal(generator, 2, 3)).double()
        o1, o2 = normal(generator, 2, 3, 4).double()
        cases.append(Case((o1, l1, o2, l2), f"log-sum-exps near {says}, float64"))
    return cases


def _empty(generator: Generator) -> list[Case]:
    o1, o2 = normal(generator, 2, 3, 4)
    l1, l2 = normal(generator, 2, 3)
    o1[:2], l1[:2] = 0.0, -math.inf
    o2[1:2], l2[1:2] = 0.0, -math.inf
    return [Case((o1, l1, o2, l2), "of three queries: one empty, both empty, neither")]


MERGE = Exercise(
    name="4.1/merge",
    title="Merging two states",
    difficulty=3,
    minutes=25,
    reference=reference_merge,
    parts=(
        Part("some keys and others", 2, _halves, _joined),
        Part("log-sum-exps of ±10,000", 1, _far, _joined),
        Part("states of no keys", 1, _empty, _joined),
    ),
    misconceptions=(
        Misconception(
            mean_of_outputs,
            "You took the mean of the two outputs: they weigh as the sums of "
            "exponentials behind them, e^l1 and e^l2.",
        ),
        Misconception(
            logarithms_as_weights,
            "You weighted by l1 and l2: they are logarithms; the weights are e^l1 and "
            "e^l2, divided by their sum.",
        ),
        Misconception(
            exponentials_as_they_are,
            "You took exp of l1 and l2 as they are, which overflows (and underflows "
            "for very low ones): subtract the merged l first.",
        ),
        Misconception(
            larger_one_returned,
            "Your output is right, but the l that you return is the larger of the two: "
            "this merge is right and the next one wrong. It is log(e^l1 + e^l2).",
        ),
        Misconception(
            base_two,
            "You took powers of 2: l1 and l2 are natural logarithms.",
            "https://github.com/flashinfer-ai/flashinfer/issues/2113",
        ),
        Misconception(
            nan_for_two_empty,
            "Two states of no keys give NaN, from −∞ − (−∞): their merge is the output "
            "0 with l = −∞.",
        ),
    ),
    slips=(
        Misconception(
            logarithm_of_exponentials,
            "log(e^l1 + e^l2) overflows in the exponentials, and for two states of no "
            "keys it subtracts −∞ from −∞: `torch.logaddexp` takes the larger one out "
            "first; and two empty states need a case of their own.",
        ),
    ),
    hints=(
        "e^l1 · o1 is the unnormalised sum over the first keys. What is the "
        "unnormalised sum over all?",
        "l = `torch.logaddexp(l1, l2)`, and the weights are e^(l1 − l) and e^(l2 − l).",
        "Where l is −∞, subtract 0 in its place: e^(−∞ − 0) is the 0 that is wanted.",
    ),
)

# -- online_attention: find the bug ---------------------------------------------------


def reference_online(query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
    return online.online_attention(query, key, value, block=block)[0]


def output_not_rescaled(
    query: Tensor, key: Tensor, value: Tensor, block: int
) -> Tensor:
    highest = query.new_full((*query.shape[:-1], 1), -math.inf)
    total = torch.zeros_like(highest)
    output = query.new_zeros(*query.shape[:-1], value.shape[-1])
    for first in range(0, key.shape[-2], block):
        keys = key[..., first : first + block, :]
        values = value[..., first : first + block, :]
        scores = query @ keys.mT / math.sqrt(query.shape[-1])
        new = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
        weights = (scores - new).exp()
        factor = (highest - new).exp()
        total = total * factor + weights.sum(dim=-1, keepdim=True)
        output = output + weights @ values
        highest = new
    return output / total


def neither_rescaled(query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
    highest = query.new_full((*query.shape[:-1], 1), -math.inf)
    total = torch.zeros_like(highest)
    output = query.new_zeros(*query.shape[:-1], value.shape[-1])
    for first in range(0, key.shape[-2], block):
        keys = key[..., first : first + block, :]
        values = value[..., first : first + block, :]
        scores = query @ keys.mT / math.sqrt(query.shape[-1])
        new = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
        weights = (scores - new).exp()
        total = total + weights.sum(dim=-1, keepdim=True)
        output = output + weights @ values
        highest = new
    return output / total


def factor_upside_down(query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
    highest = query.new_full((*query.shape[:-1], 1), -math.inf)
    total = torch.zeros_like(highest)
    output = query.new_zeros(*query.shape[:-1], value.shape[-1])
    for first in range(0, key.shape[-2], block):
        keys = key[..., first : first + block, :]
        values = value[..., first : first + block, :]
        scores = query @ keys.mT / math.sqrt(query.shape[-1])
        new = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
        weights = (scores - new).exp()
        factor = (new - highest).exp() if first else torch.zeros_like(new)
        total = total * factor + weights.sum(dim=-1, keepdim=True)
        output = output * factor + weights @ values
        highest = new
    return output / total


def maximum_from_zero(query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
    highest = query.new_full((*query.shape[:-1], 1), 0.0)
    total = torch.zeros_like(highest)
    output = query.new_zeros(*query.shape[:-1], value.shape[-1])
    for first in range(0, key.shape[-2], block):
        keys = key[..., first : first + block, :]
        values = value[..., first : first + block, :]
        scores = query @ keys.mT / math.sqrt(query.shape[-1])
        new = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
        weights = (scores - new).exp()
        factor = (highest - new).exp()
        total = total * factor + weights.sum(dim=-1, keepdim=True)
        output = output * factor + weights @ values
        highest = new
    return output / total


def last_keys_unread(query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
    highest = query.new_full((*query.shape[:-1], 1), -math.inf)
    total = torch.zeros_like(highest)
    output = query.new_zeros(*query.shape[:-1], value.shape[-1])
    for first in range(0, key.shape[-2] // block * block, block):
        keys = key[..., first : first + block, :]
        values = value[..., first : first + block, :]
        scores = query @ keys.mT / math.sqrt(query.shape[-1])
        new = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
        weights = (scores - new).exp()
        factor = (highest - new).exp()
        total = total * factor + weights.sum(dim=-1, keepdim=True)
        output = output * factor + weights @ values
        highest = new
    return output / total


def sum_not_rescaled(query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
    highest = query.new_full((*query.shape[:-1], 1), -math.inf)
    total = torch.zeros_like(highest)
    output = query.new_zeros(*query.shape[:-1], value.shape[-1])
    for first in range(0, key.shape[-2], block):
        keys = key[..., first : first + block, :]
        values = value[..., first : first + block, :]
        scores = query @ keys.mT / math.sqrt(query.shape[-1])
        new = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
        weights = (scores - new).exp()
        factor = (highest - new).exp()
        total = total + weights.sum(dim=-1, keepdim=True)
        output = output * factor + weights @ values
        highest = new
    return output / total


def _sorted_keys(
    generator: Generator, n_blocks: int, rest: int, falling: bool, shift: float = 0.0
) -> Case:
    n_query, block, d_k, d_v = distinct_sizes(generator, 4, low=3)
    n = n_blocks * block + min(rest, block - 1)
    # All queries point one way, so that one order of the keys is right for all.
    query = normal(generator, n_query, d_k).abs() + 0.5
    heights = (normal(generator, n)).sort(descending=falling).values
    key = heights[:, None] + 0.1 * normal(generator, n, d_k) + shift
    value = normal(generator, n, d_v)
    order = "falling" if falling else "rising"
    far = ", all scores far below 0" if shift else ""
    says = f"{n} keys of {order} scores in blocks of {block}{far}"
    args = (query.double(), key.double(), value.double(), block)
    return Case(args, says)


def _falling(generator: Generator) -> list[Case]:
    return [_sorted_keys(generator, 2, 0, falling=True)]


def _rising(generator: Generator) -> list[Case]:
    return [
        _sorted_keys(generator, 2, 0, falling=False),
        _sorted_keys(generator, 3, 0, falling=False, shift=-1000.0),
    ]


def _ragged(generator: Generator) -> list[Case]:
    return [
        _sorted_keys(generator, 2, 2, falling=True),
        _sorted_keys(generator, 3, 1, falling=False),
    ]


ONLINE_ATTENTION = Exercise(
    name="4.1/online_attention",
    title="Find the bug: attention block by block",
    difficulty=4,
    minutes=30,
    reference=reference_online,
    parts=(
        Part("the largest scores come first", 1, _falling),
        Part("the largest scores come last", 2, _rising),
        Part("a last block that is not full", 1, _ragged),
    ),
    misconceptions=(
        Misconception(
            output_not_rescaled,
            "The bug is still there: when the maximum grows, the output so far must "
            "shrink by the same factor as the sum.",
        ),
        Misconception(
            neither_rescaled,
            "Neither the sum nor the output is rescaled when the maximum grows: what "
            "was added under the old maximum must shrink by e^(old − new).",
        ),
        Misconception(
            factor_upside_down,
            "Your factor is e^(new − old), which grows where it must shrink: what was "
            "added under a lower maximum counts less under a higher one.",
            "https://github.com/deepseek-ai/FlashMLA/pull/177",
        ),
        Misconception(
            maximum_from_zero,
            "Your maximum starts at 0: where all scores are far below, every "
            "exponential underflows and the row is 0/0. Start at −∞.",
            "https://github.com/Dao-AILab/flash-attention/issues/2082",
        ),
        Misconception(
            last_keys_unread,
            "You read whole blocks only: the last keys, which do not fill one, are "
            "never seen.",
        ),
        Misconception(
            sum_not_rescaled,
            "You rescale the output but no longer the sum: both were added up under "
            "the old maximum.",
        ),
    ),
    hints=(
        "Take two blocks of one key each, the second with the higher score, and follow "
        "`total` and `output` by hand.",
        "The final division is right only if `output` and `total` are measured against "
        "the same maximum.",
        "One line is missing, and it looks like the one for `total`.",
    ),
    forbidden=(*LIBRARY, "torch.nn.functional.scaled_dot_product_attention"),
)

# -- predict --------------------------------------------------------------------------


def reference_answers() -> dict[str, Any]:
    return {
        "ratio": 139,
        "row_sum": 0,
        "edge": 18.4,
        "eigenvalue": 0.5,
        "deviation": 0.31,
    }


def _near(key: str, places: int) -> Callable[[Function, tuple[Any, ...]], Any]:
    """For `Part.observe`: one answer, as precise as it was asked for."""
    exact = questions.answer(key)

    def observe(function: Function, args: tuple[Any, ...]) -> Any:
        given = exact(function, args)
        return round(given, places) if isinstance(given, float) else given

    return observe


def _no_inputs(generator: Generator) -> list[Case]:
    return [Case((), "what the section derives", only=True)]


PREDICT = Exercise(
    name="4.1/predict",
    title="Predict, then run",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=tuple(
        Part(text, 1, _no_inputs, _near(key, places))
        for key, places, text in (
            ("ratio", 0, "`ratio`: SGD's steps at Δ = 10 over those at Δ = 5"),
            ("row_sum", 2, "`row_sum`: the sum of a row of dS"),
            ("edge", 1, "`edge`: the Δ at which the gradient is as small as Adam's ε"),
            ("eigenvalue", 2, "`eigenvalue`: the largest that the Jacobian can have"),
            ("deviation", 2, "`deviation`: of a fresh BERT-base's scores"),
        )
    ),
    misconceptions=tuple(
        Misconception(questions.wrong(reference_answers, **wrong), why)
        for wrong, why in (
            (
                {"ratio": 2},
                "2 is Adam's answer, which pays by the nat: SGD's steps are "
                "(Δ + sinh Δ)/(ηg).",
            ),
            (
                {"row_sum": 1},
                "Rows of A sum to 1: in dS gains and losses cancel, for the same added "
                "to all scores changes nothing.",
            ),
            (
                {"edge": 8},
                "8 counts decimal digits: the gradient falls like e^−Δ, so the base "
                "is e.",
            ),
            (
                {"eigenvalue": 1},
                "1 is too much: uᵀJu is the variance of a variable that takes the "
                "components of a unit vector, a range of √2 at most.",
            ),
            (
                {"deviation": 1},
                "1 belongs to queries and keys of unit variance: BERT's weights have "
                "standard deviation 0.02, and the scores d_model · 0.02².",
            ),
        )
    ),
    hints=(
        "For `ratio`, integrate 1/(a(1 − a)) from −Δ to 0, or read the page's closed "
        "form.",
        "For `edge`, solve e^−Δ = 10⁻⁸.",
        "For `eigenvalue`, take two keys with weights ½ and the vector (1, −1)/√2.",
    ),
    reveal=False,
)

EXERCISES = [MERGE, ONLINE_ATTENTION, PREDICT]
