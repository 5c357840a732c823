"""Section 2.3: where leaps come from, and a floor in the right unit."""

import math
from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises import questions
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    draw_integer,
    error_type,
)

# -- exact_match ----------------------------------------------------------------------


def reference_match(p: Tensor, k: int) -> Tensor:
    return p**k


def times_k(p: Tensor, k: int) -> Tensor:
    return (p * k).clamp(max=1)


def one_right(p: Tensor, k: int) -> Tensor:
    return 1 - (1 - p) ** k


def mean_of_tokens(p: Tensor, k: int) -> Tensor:
    return p.clone()


def k_th_root(p: Tensor, k: int) -> Tensor:
    return p ** (1 / k)


def one_token_less(p: Tensor, k: int) -> Tensor:
    return p ** (k - 1)


def none_right(p: Tensor, k: int) -> Tensor:
    return (1 - p) ** k


def share_of_one(p: Tensor, k: int) -> Tensor:
    return p / k


def _probabilities(generator: Generator) -> list[Case]:
    cases = []
    for k in torch.randperm(5, generator=generator)[:2] + 2:
        n = draw_integer(generator, 3, 6)
        p = 0.2 + 0.75 * torch.rand(n, generator=generator)
        shown = [round(value, 3) for value in p.tolist()]
        cases.append(Case((p, int(k)), f"p {shown}, k = {int(k)}"))
    return cases


def _one_token(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 3, 6)
    p = torch.cat([torch.rand(n, generator=generator), torch.tensor([0.0, 1.0])])
    return [Case((p, 1), "one token, which may be impossible, or certain")]


EXACT_MATCH = Exercise(
    name="2.3/exact_match",
    title="Smooth in, sudden out",
    difficulty=1,
    minutes=5,
    reference=reference_match,
    parts=(
        Part("some tokens", 1, _probabilities),
        Part("one token", 1, _one_token, beside_a_value=True),
    ),
    misconceptions=(
        Misconception(
            times_k,
            "p·k grows with the length, and passes 1. All of them right is harder "
            "than one: multiply, k times.",
        ),
        Misconception(
            one_right, "1 − (1 − p)^k is the chance that *some* token is right."
        ),
        Misconception(
            mean_of_tokens,
            "This is the share of right tokens, partial credit. Asked is the chance "
            "that all are right.",
        ),
        Misconception(
            k_th_root,
            "The exponent is upside down: with this a longer answer is easier.",
        ),
        Misconception(
            one_token_less, "One token is missing: the first has to be right as well."
        ),
        Misconception(none_right, "This is the chance that *none* is right."),
        Misconception(
            share_of_one, "Chances of independent events multiply: p·p·…, not p/k."
        ),
    ),
    hints=("Two tokens: p·p.", "k tokens: p to the power of k."),
)


# -- floor_in_bits --------------------------------------------------------------------


def reference_floor(nats_per_token: float, bytes_per_token: float) -> float:
    if bytes_per_token <= 0:
        raise ValueError("a token must have bytes")
    return nats_per_token / math.log(2) / bytes_per_token


def nats_kept(nats_per_token: float, bytes_per_token: float) -> float:
    if bytes_per_token <= 0:
        raise ValueError
    return nats_per_token / bytes_per_token


def times_bytes(nats_per_token: float, bytes_per_token: float) -> float:
    if bytes_per_token <= 0:
        raise ValueError
    return nats_per_token / math.log(2) * bytes_per_token


def per_token(nats_per_token: float, bytes_per_token: float) -> float:
    if bytes_per_token <= 0:
        raise ValueError
    return nats_per_token / math.log(2)


def perplexity(nats_per_token: float, bytes_per_token: float) -> float:
    if bytes_per_token <= 0:
        raise ValueError
    return math.exp(nats_per_token / bytes_per_token)


def digits(nats_per_token: float, bytes_per_token: float) -> float:
    if bytes_per_token <= 0:
        raise ValueError
    return nats_per_token / math.log(10) / bytes_per_token


def ln_2_above(nats_per_token: float, bytes_per_token: float) -> float:
    if bytes_per_token <= 0:
        raise ValueError
    return nats_per_token * math.log(2) / bytes_per_token


def no_bytes_at_all(nats_per_token: float, bytes_per_token: float) -> float:
    if bytes_per_token == 0:
        return math.inf
    return nats_per_token / math.log(2) / bytes_per_token


def _per_token(generator: Generator) -> tuple[float, float]:
    nats, size = torch.rand(2, generator=generator).tolist()
    return round(1 + 3 * nats, 3), round(2.5 + 3 * size, 2)


def _two_floors(generator: Generator) -> list[Case]:
    drawn = [_per_token(generator) for _ in range(2)]
    return [Case(args, f"{args[0]} nats a token of {args[1]} bytes") for args in drawn]


def _no_bytes(generator: Generator) -> list[Case]:
    cases = []
    for negative in (False, True):
        nats, size = _per_token(generator)
        size = -size if negative else 0.0
        cases.append(Case((nats, size), f"{nats} nats a token of {size} bytes"))
    return cases


FLOOR_IN_BITS = Exercise(
    name="2.3/floor_in_bits",
    title="A floor in the right unit",
    difficulty=1,
    minutes=5,
    reference=reference_floor,
    parts=(
        Part("bits a byte", 1, _two_floors),
        Part("tokens without bytes: ValueError", 1, _no_bytes, error_type),
    ),
    misconceptions=(
        Misconception(nats_kept, "These are nats a byte. A bit is ln 2 nats: divide."),
        Misconception(
            times_bytes, "A byte is the smaller share of a token: divide by its bytes."
        ),
        Misconception(
            per_token,
            "These are bits a token, and tokens differ between models. A byte is a "
            "byte.",
        ),
        Misconception(perplexity, "`exp` gives a number of choices, not bits."),
        Misconception(
            digits, "The logarithm to base 10 gives decimal digits, not bits."
        ),
        Misconception(
            ln_2_above,
            "ln 2 is on the wrong side: a bit is less than a nat, so there are more "
            "bits than nats.",
        ),
        Misconception(
            no_bytes_at_all,
            "A token of no bytes, or fewer, is no token: raise ValueError.",
        ),
    ),
    hints=("nats/ln 2 are bits.", "A token's bits, shared by its bytes."),
)


# -- predict --------------------------------------------------------------------------


def reference_answers() -> dict[str, Any]:
    return {
        "at_90": 0.9**10,
        "at_95": 0.95**10,
        "half_way": 0.5**0.1,
        "clumps": "more",
        "growth": 10,
    }


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


PREDICT = Exercise(
    name="2.3/predict",
    title="Predict, then run",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "at_90": "`at_90`: ten in a row at p = 0.90",
            "at_95": "`at_95`: ten in a row at p = 0.95",
            "half_way": "`half_way`: the p at which half of the answers are right",
            "clumps": "`clumps`: runs, where right tokens come in clumps",
            "growth": "`growth`: of N, with a hundred times the budget",
        },
        "what is to be predicted",
    ),
    misconceptions=(
        _wrong("One token is right with 0.9. All ten are with 0.9¹⁰.", at_90=0.9),
        _wrong(
            "Ten times a tenth wrong is not all wrong: (1 − 0.1)¹⁰ is more than 0.",
            at_90=0,
        ),
        _wrong(
            "That is the chance that at least one is wrong. Asked is that of none.",
            at_90=0.65,
        ),
        _wrong("One token is right with 0.95. All ten are with 0.95¹⁰.", at_95=0.95),
        _wrong(
            "1 − 10·0.05 is the beginning of (1 − 0.05)¹⁰, not all of it.",
            at_95=0.5,
        ),
        _wrong("At p = 0.5 ten in a row are one in a thousand.", half_way=0.5),
        _wrong("1 − 0.5/10 is near, but p¹⁰ = ½ is what to solve.", half_way=0.95),
        _wrong(
            "Where one right token makes the next more likely, runs are longer than "
            "chance would have them.",
            clumps="fewer",
        ),
        _wrong(
            "p^k is for independent tokens. Clumps are what independence excludes.",
            clumps="equal",
        ),
        _wrong(
            "All of the budget goes into size with this: text grows too.", growth=100
        ),
        _wrong("Half of a hundred is a sum. 6·N·D is a product: the root.", growth=50),
        _wrong("D/N = 20 is a ratio of one fit. N grows with C^(β/(α+β)).", growth=20),
    ),
    hints=(
        "p to the power of ten.",
        "p¹⁰ = ½: the tenth root.",
        "N ∝ C^(β/(α + β)).",
    ),
    reveal=False,
)

EXERCISES = [EXACT_MATCH, FLOOR_IN_BITS, PREDICT]
