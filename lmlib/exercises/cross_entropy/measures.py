"""Section 4.2: divergence in bits, calibration, and a report that averages wrongly."""

import math
from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.exercise import Case, Exercise, Function, Misconception, Part

# -- kl_bits --------------------------------------------------------------------------


def reference_kl(p: Tensor, q: Tensor) -> Tensor:
    return torch.where(p > 0, p * (p / q).log2(), 0.0).sum(dim=-1)


def turned_round(p: Tensor, q: Tensor) -> Tensor:
    return torch.where(q > 0, q * (q / p).log2(), 0.0).sum(dim=-1)


def kl_in_nats(p: Tensor, q: Tensor) -> Tensor:
    return torch.where(p > 0, p * (p / q).log(), 0.0).sum(dim=-1)


def mean_over_classes(p: Tensor, q: Tensor) -> Tensor:
    return torch.where(p > 0, p * (p / q).log2(), 0.0).mean(dim=-1)


def a_price_for_the_impossible(p: Tensor, q: Tensor) -> Tensor:
    return (p * ((p + 1e-6) / (q + 1e-6)).log2()).sum(dim=-1)


def zero_times_infinity(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log2()).sum(dim=-1)


def cross_entropy_for_kl(p: Tensor, q: Tensor) -> Tensor:
    return -torch.where(p > 0, p * q.log2(), 0.0).sum(dim=-1)


def impossible_left_out(p: Tensor, q: Tensor) -> Tensor:
    both = (p > 0) & (q > 0)
    return torch.where(both, p * (p / q).log2(), 0.0).sum(dim=-1)


def sign_turned(p: Tensor, q: Tensor) -> Tensor:
    return torch.where(p > 0, p * (q / p).log2(), 0.0).sum(dim=-1)


def _distributions(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator).mul(1.5).softmax(dim=-1)


def _all_possible(generator: Generator) -> list[Case]:
    n, classes = (torch.randperm(4, generator=generator)[:2] + 3).tolist()
    p, q = (_distributions(generator, n, classes) for _ in range(2))
    return [
        Case((p[0], q[0]), f"p, q {tuple(p[0].shape)}"),
        Case((p, q), f"p, q {tuple(p.shape)}"),
        Case((p.double(), q.double()), f"p, q {tuple(p.shape)}, float64"),
    ]


def _never_emitted(generator: Generator) -> list[Case]:
    p, q = (_distributions(generator, 2, 4) for _ in range(2))
    p[0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    p[1, 2] = 0.0
    p[1] /= p[1].sum()
    q[1, 2] = 0.0
    q[1] /= q[1].sum()
    return [Case((p, q), "p has zeros; in one place q has the same")]


def _no_code(generator: Generator) -> list[Case]:
    p, q = (_distributions(generator, 3) for _ in range(2))
    q[1] = 0.0
    return [Case((p, q / q.sum()), "q is 0 where p is not")]


def _not_negative(args: tuple[Any, ...], output: Tensor) -> str | None:
    if output.shape == args[0].shape[:-1] and (output < -1e-6).any():
        return "A divergence is never negative (Gibbs); yours is."
    return None


KL_BITS = Exercise(
    name="4.2/kl_bits",
    title="What the wrong code costs",
    difficulty=3,
    minutes=20,
    reference=reference_kl,
    parts=(
        Part("all is possible", 1, _all_possible),
        Part("p has zeros", 1, _never_emitted),
        Part("q has no code for what comes", 1, _no_code),
    ),
    misconceptions=(
        Misconception(
            turned_round,
            "p and q are turned round: p emits the symbols, q is the code. The weights "
            "of the mean are those of p.",
        ),
        Misconception(kl_in_nats, "This is in nats: bits are asked, so log₂."),
        Misconception(
            mean_over_classes,
            "You took the mean over the classes: the price is their *sum*.",
        ),
        Misconception(
            a_price_for_the_impossible,
            "A small number added inside the logarithm gives a finite price to what "
            "has no code at all: that costs ∞.",
        ),
        Misconception(
            zero_times_infinity,
            "Where p is 0 this computes 0·log 0, which is NaN: what never comes costs "
            "nothing.",
        ),
        Misconception(
            cross_entropy_for_kl,
            "This is the whole price, −Σ p·log₂ q. The entropy of p would have been "
            "paid with the right code as well: take it off.",
        ),
        Misconception(
            impossible_left_out,
            "You left out where q is 0. If p is not 0 there, it will come, and cannot "
            "be written: ∞.",
        ),
        Misconception(
            sign_turned, "The sign is turned: it is log₂(p/q), not log₂(q/p)."
        ),
    ),
    properties=(_not_negative,),
    hints=(
        "Σ p·log₂(p/q) over the last axis.",
        "`torch.where(p > 0, …, 0.0)` for what never comes.",
        "p/0 is ∞ in torch, and so is its logarithm: nothing is to be done for it.",
    ),
    forbidden=(*LIBRARY, "torch.nn.functional.kl_div", "torch.nn.KLDivLoss"),
)


# -- calibration_error ----------------------------------------------------------------


def reference_calibration(confidence: Tensor, correct: Tensor, n_bins: int) -> float:
    bin_of = (confidence * n_bins).long().clamp(max=n_bins - 1)
    total = 0.0
    for b in range(n_bins):
        inside = bin_of == b
        if inside.any():
            gap = confidence[inside].mean() - correct[inside].double().mean()
            total += inside.double().mean().item() * abs(gap.item())
    return total


def each_answer_alone(confidence: Tensor, correct: Tensor, n_bins: int) -> float:
    return (confidence - correct.to(confidence.dtype)).abs().mean().item()


def bins_count_alike(confidence: Tensor, correct: Tensor, n_bins: int) -> float:
    bin_of = (confidence * n_bins).long().clamp(max=n_bins - 1)
    gaps = []
    for b in range(n_bins):
        inside = bin_of == b
        if inside.any():
            gap = confidence[inside].mean() - correct[inside].double().mean()
            gaps.append(abs(gap.item()))
    return sum(gaps) / len(gaps)


def gaps_cancel(confidence: Tensor, correct: Tensor, n_bins: int) -> float:
    return abs((confidence.double().mean() - correct.double().mean()).item())


def one_in_a_bin_of_its_own(confidence: Tensor, correct: Tensor, n_bins: int) -> float:
    bin_of = (confidence * n_bins).long()
    total = 0.0
    for b in range(n_bins + 1):
        inside = bin_of == b
        if inside.any():
            gap = confidence[inside].mean() - correct[inside].double().mean()
            total += inside.double().mean().item() * abs(gap.item())
    return total


def middles_of_bins(confidence: Tensor, correct: Tensor, n_bins: int) -> float:
    bin_of = (confidence * n_bins).long().clamp(max=n_bins - 1)
    total = 0.0
    for b in range(n_bins):
        inside = bin_of == b
        if inside.any():
            gap = (b + 0.5) / n_bins - correct[inside].double().mean().item()
            total += inside.double().mean().item() * abs(gap)
    return total


def empty_bins_too(confidence: Tensor, correct: Tensor, n_bins: int) -> float:
    bin_of = (confidence * n_bins).long().clamp(max=n_bins - 1)
    total = 0.0
    for b in range(n_bins):
        inside = bin_of == b
        gap = confidence[inside].mean() - correct[inside].double().mean()
        total += inside.double().mean().item() * abs(gap.item())
    return total


def one_left_out(confidence: Tensor, correct: Tensor, n_bins: int) -> float:
    bin_of = (confidence * n_bins).long()
    total = 0.0
    for b in range(n_bins):
        inside = bin_of == b
        if inside.any():
            gap = confidence[inside].mean() - correct[inside].double().mean()
            total += inside.double().mean().item() * abs(gap.item())
    return total


def squared_gaps(confidence: Tensor, correct: Tensor, n_bins: int) -> float:
    bin_of = (confidence * n_bins).long().clamp(max=n_bins - 1)
    total = 0.0
    for b in range(n_bins):
        inside = bin_of == b
        if inside.any():
            gap = confidence[inside].mean() - correct[inside].double().mean()
            total += inside.double().mean().item() * gap.item() ** 2
    return total


def _answers(generator: Generator, n: int) -> tuple[Tensor, Tensor]:
    confidence = torch.rand(n, generator=generator)
    return confidence, torch.rand(n, generator=generator) < confidence**2


def _one_bin(generator: Generator) -> list[Case]:
    confidence, correct = _answers(generator, 7)
    return [Case((confidence, correct, 1), "7 answers, one bin")]


def _many_bins(generator: Generator) -> list[Case]:
    confidence, correct = _answers(generator, 60)
    filled = torch.cat([confidence[:9] * 0.2, 0.75 + confidence[9:60] * 0.2])
    few, of_few = _answers(generator, 6)
    return [
        Case((few, of_few, 3), "6 answers, 3 bins"),
        Case((filled, correct, 10), "60 answers, 10 bins, some of them empty"),
        Case((confidence, correct, 4), "60 answers, 4 bins"),
    ]


def _edges(generator: Generator) -> list[Case]:
    near = 0.9 + 0.05 * torch.rand(1, generator=generator).item()
    middle = 0.5 + 0.2 * torch.rand(1, generator=generator).item()
    confidence = torch.tensor([0.0, middle, near, 1.0, 1.0])
    correct = torch.tensor([False, True, True, False, True])
    return [
        Case((confidence, correct, 5), f"confidences {confidence.tolist()}, 5 bins")
    ]


CALIBRATION_ERROR = Exercise(
    name="4.2/calibration_error",
    title="Does it mean its probabilities?",
    difficulty=3,
    minutes=25,
    reference=reference_calibration,
    parts=(
        Part("one bin", 1, _one_bin),
        Part("several bins, some empty", 1, _many_bins),
        Part("confidences of 0 and 1", 1, _edges),
    ),
    misconceptions=(
        Misconception(
            each_answer_alone,
            "You compared each answer with its own confidence. A single answer is "
            "never 70 % right: compare means, bin by bin.",
        ),
        Misconception(
            bins_count_alike,
            "Every bin counts alike in your mean: weigh it by the share of the answers "
            "that it holds.",
        ),
        Misconception(
            gaps_cancel,
            "The gaps are added with their signs, so that too sure in one bin and not "
            "sure enough in another cancel: add their sizes.",
        ),
        Misconception(
            one_in_a_bin_of_its_own,
            "A confidence of exactly 1 is in a bin of its own: the last bin is closed, "
            "and 1 belongs to it.",
            "https://github.com/Lightning-AI/torchmetrics/issues/3510",
        ),
        Misconception(
            middles_of_bins,
            "You took the middle of the bin for its confidence: it is the mean "
            "confidence of the answers in it.",
        ),
        Misconception(
            empty_bins_too,
            "An empty bin has no mean (NaN), and weighs nothing: leave it out.",
        ),
        Misconception(
            one_left_out,
            "A confidence of exactly 1 is in no bin: the last one is closed, and 1 "
            "belongs to it.",
        ),
        Misconception(squared_gaps, "The gaps are squared: take their sizes."),
    ),
    hints=(
        "The bin of a confidence c is ⌊c·n_bins⌋, and the last one for c = 1.",
        "For each bin that is not empty: |mean confidence − share of right answers|.",
        "Weigh each by the share of all answers that are in the bin.",
    ),
)


# -- corpus_report --------------------------------------------------------------------


def reference_report(
    nats: list[float], tokens: list[int], n_bytes: int
) -> tuple[float, float]:
    total = sum(n * k for n, k in zip(nats, tokens, strict=True))
    return math.exp(total / sum(tokens)), total / math.log(2) / n_bytes


def mean_of_the_means(
    nats: list[float], tokens: list[int], n_bytes: int
) -> tuple[float, float]:
    mean = sum(nats) / len(nats)
    return math.exp(mean), mean * sum(tokens) / math.log(2) / n_bytes


def mean_of_perplexities(
    nats: list[float], tokens: list[int], n_bytes: int
) -> tuple[float, float]:
    total = sum(n * k for n, k in zip(nats, tokens, strict=True))
    each = [math.exp(n) * k for n, k in zip(nats, tokens, strict=True)]
    return sum(each) / sum(tokens), total / math.log(2) / n_bytes


def two_to_the_nats(
    nats: list[float], tokens: list[int], n_bytes: int
) -> tuple[float, float]:
    total = sum(n * k for n, k in zip(nats, tokens, strict=True))
    return 2 ** (total / sum(tokens)), total / math.log(2) / n_bytes


def nats_per_byte(
    nats: list[float], tokens: list[int], n_bytes: int
) -> tuple[float, float]:
    total = sum(n * k for n, k in zip(nats, tokens, strict=True))
    return math.exp(total / sum(tokens)), total / n_bytes


def bits_per_token(
    nats: list[float], tokens: list[int], n_bytes: int
) -> tuple[float, float]:
    total = sum(n * k for n, k in zip(nats, tokens, strict=True))
    return math.exp(total / sum(tokens)), total / math.log(2) / sum(tokens)


def means_added_up(
    nats: list[float], tokens: list[int], n_bytes: int
) -> tuple[float, float]:
    total = sum(n * k for n, k in zip(nats, tokens, strict=True))
    return math.exp(total / sum(tokens)), sum(nats) / math.log(2) / n_bytes


def perplexity_of_a_byte(
    nats: list[float], tokens: list[int], n_bytes: int
) -> tuple[float, float]:
    total = sum(n * k for n, k in zip(nats, tokens, strict=True))
    return math.exp(total / n_bytes), total / math.log(2) / n_bytes


def _batches(generator: Generator, tokens: list[int], says: str) -> Case:
    nats = (2 + 3 * torch.rand(len(tokens), generator=generator)).tolist()
    n_bytes = int(sum(tokens) * (2 + torch.rand(1, generator=generator).item()))
    return Case((nats, tokens, n_bytes), f"{says}, {n_bytes} bytes")


def _equal_batches(generator: Generator) -> list[Case]:
    n = int(torch.randint(5, 60, (1,), generator=generator))
    return [
        _batches(generator, [n], f"one batch of {n} tokens"),
        _batches(generator, [n] * 3, f"three batches of {n} tokens"),
    ]


def _unequal_batches(generator: Generator) -> list[Case]:
    n = int(torch.randint(60, 120, (1,), generator=generator))
    return [
        _batches(generator, [1, n], f"batches of 1 and {n} tokens"),
        _batches(generator, [n, n, 7], f"batches of {n}, {n} and 7 tokens"),
    ]


def _as_numbers(function: Function, args: tuple[Any, ...]) -> Any:
    """The two numbers as a tensor."""
    value = function(*args)
    if not isinstance(value, tuple | list) or len(value) != 2:
        return value
    return torch.tensor([float(number) for number in value], dtype=torch.float64)


CORPUS_REPORT = Exercise(
    name="4.2/corpus_report",
    title="Find the bug: a report over batches",
    difficulty=3,
    minutes=20,
    reference=reference_report,
    parts=(
        Part("equal batches", 1, _equal_batches, _as_numbers),
        Part("batches that are not alike", 2, _unequal_batches, _as_numbers),
    ),
    misconceptions=(
        Misconception(
            mean_of_the_means,
            "That is the bug: the mean of the batches' means. A batch of one token "
            "weighs as much as one of 99. Add up nats, not means.",
        ),
        Misconception(
            mean_of_perplexities,
            "The mean of perplexities depends on how the text was cut into batches, "
            "and is larger than the perplexity of the mean (Jensen): exp comes last.",
            "https://github.com/facebookresearch/ParlAI/pull/623",
        ),
        Misconception(
            two_to_the_nats,
            "2 to the power of nats mixes two units: exp of nats, or 2 to the power of "
            "bits.",
            "https://github.com/huggingface/evaluate/issues/241",
        ),
        Misconception(
            nats_per_byte,
            "These are nats per byte: divide by ln 2 for bits.",
            "https://github.com/EleutherAI/lm-evaluation-harness/pull/242",
        ),
        Misconception(
            bits_per_token,
            "You divided the bits by the tokens: bits per *token* can't be compared "
            "between vocabularies, so bytes are asked.",
        ),
        Misconception(
            means_added_up,
            "You added up the batches' means: each stands for all the tokens of its "
            "batch.",
        ),
        Misconception(
            perplexity_of_a_byte,
            "The perplexity is per token: exp of the mean nats of a *token*.",
        ),
    ),
    hints=(
        "What do `buggy_report([1.0, 5.0], [1, 99], 300)` and one batch of the same "
        "100 tokens give?",
        "A batch's mean times its tokens is what its tokens cost together.",
        "Total nats / total tokens, then exp; total nats / ln 2 / bytes.",
    ),
)

EXERCISES = [KL_BITS, CALIBRATION_ERROR, CORPUS_REPORT]
