"""Section 3.2.3: labels, loss and inversion of replaced-token detection."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    distinct_sizes,
    normal,
)
from lmlib.objectives import rtd

# -- replaced_labels ------------------------------------------------------------------


def reference_labels(
    original: Tensor, masked: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    corrupted = torch.where(masked, sampled, original)
    return corrupted, corrupted != original


def every_masked_place(
    original: Tensor, masked: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    return torch.where(masked, sampled, original), masked.clone()


def sampled_everywhere(
    original: Tensor, masked: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    return sampled.clone(), sampled != original


def compared_with_the_samples(
    original: Tensor, masked: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    return torch.where(masked, sampled, original), sampled != original


def ignored_where_not_masked(
    original: Tensor, masked: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    corrupted = torch.where(masked, sampled, original)
    label = (corrupted != original).long()
    return corrupted, torch.where(masked, label, -100)


def one_is_original(
    original: Tensor, masked: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    corrupted = torch.where(masked, sampled, original)
    return corrupted, corrupted == original


def written_into_original(
    original: Tensor, masked: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    before = original.clone()
    original[masked] = sampled[masked]
    return original, original != before


def both_names_one_tensor(
    original: Tensor, masked: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    corrupted = original
    corrupted[masked] = sampled[masked]
    return corrupted, corrupted != original


def other_way_round(
    original: Tensor, masked: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    corrupted = torch.where(masked, original, sampled)
    return corrupted, corrupted != original


def _both(function: Function, args: tuple[Any, ...]) -> Tensor:
    """Text and labels as one tensor, 1 for replaced."""
    corrupted, replaced = function(*args)
    return torch.stack((corrupted, replaced.to(corrupted.dtype)))


def _tokens(generator: Generator, *shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """Samples that equal the original at some masked places, and differ elsewhere."""
    original = torch.randint(10, 90, shape, generator=generator)
    other = original + torch.randint(1, 9, shape, generator=generator)
    masked = torch.rand(shape, generator=generator) < 0.5
    masked[..., :2], masked[..., 2] = True, False
    lucky = torch.rand(shape, generator=generator) < 0.4
    lucky[..., 0], lucky[..., 1:3] = True, False
    return original, masked, torch.where(lucky, original, other)


def _one_row(generator: Generator) -> list[Case]:
    args = _tokens(generator, 1, 5)
    # No lucky sample here.
    sampled = torch.where(args[2] == args[0], args[0] + 9, args[2])
    names = ("original", "masked", "sampled")
    says = "".join(
        f"\n      {name} = {tensor.tolist()}"
        for name, tensor in zip(names, (*args[:2], sampled), strict=True)
    )
    return [Case((*args[:2], sampled), says)]


def _lucky(generator: Generator) -> list[Case]:
    batch, n = distinct_sizes(generator, 2, low=4)
    args = _tokens(generator, batch, n)
    says = f"tensors {tuple(args[0].shape)}, some samples equal the original"
    return [Case(args, says)]


REPLACED_LABELS = Exercise(
    name="3.2.3/replaced_labels",
    title="What was replaced?",
    difficulty=2,
    minutes=15,
    reference=reference_labels,
    parts=(
        Part("one row", 1, _one_row, _both),
        Part("samples that are right by luck", 2, _lucky, _both),
    ),
    misconceptions=(
        Misconception(
            every_masked_place,
            "You call every masked place replaced: a sample that equals the original "
            "*is* the original, and nobody could tell. Compare the finished text with "
            "the original one, not with the input that shows [MASK].",
        ),
        Misconception(
            sampled_everywhere,
            "You took the samples at every place: only masked places may change.",
        ),
        Misconception(
            compared_with_the_samples,
            "Your text is right, your labels are not: you compared the samples with "
            "the original at every place, but a sample counts only where it went into "
            "the text. Compare the text that you return.",
        ),
        Misconception(
            ignored_where_not_masked,
            "You left out the places that were not masked (−100): that is masked "
            "language modelling. Here every token is asked about, which is the point.",
        ),
        Misconception(
            one_is_original,
            "Your labels say True for what is original; True means replaced.",
        ),
        Misconception(
            written_into_original,
            "You wrote the samples into `original` itself: the caller's text is gone. "
            "Work on a copy, or use torch.where.",
        ),
        Misconception(
            both_names_one_tensor,
            "`corrupted = original` makes no copy: both names mean one tensor, so that "
            "nothing ever differs, and the caller's text is gone. Use `.clone()` or "
            "torch.where.",
        ),
    ),
    slips=(
        Misconception(
            other_way_round,
            "The samples stand where nothing was masked, and the masked places kept "
            "the truth: it is the other way round.",
        ),
    ),
    hints=(
        "Make the corrupted text first: at masked places the sample, elsewhere the "
        "original.",
        "`torch.where(condition, here, there)` picks element by element and changes "
        "none of its arguments.",
        "What is replaced can be read off the two texts, without looking at `masked`.",
    ),
)


# -- rtd_loss -------------------------------------------------------------------------


def reference_loss(
    logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor
) -> Tensor:
    each = F.binary_cross_entropy_with_logits(
        logits, replaced.to(logits.dtype), reduction="none"
    )
    return torch.where(real, each, 0.0).sum() / real.sum().clamp(min=1)


def masked_places_only(
    logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor
) -> Tensor:
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, replaced.to(logits.dtype), reduction="none"
    )
    asked = masked & real
    return (each * asked).sum() / asked.sum().clamp(min=1)


def padding_too(
    logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor
) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits, replaced.to(logits.dtype)
    )


def padding_in_the_denominator(
    logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor
) -> Tensor:
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, replaced.to(logits.dtype), reduction="none"
    )
    return (each * real).mean()


def sigmoid_twice(
    logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor
) -> Tensor:
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.sigmoid(), replaced.to(logits.dtype), reduction="none"
    )
    return (each * real).sum() / real.sum().clamp(min=1)


def mean_of_row_means(
    logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor
) -> Tensor:
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, replaced.to(logits.dtype), reduction="none"
    )
    each = each * real
    return (each.sum(-1) / real.sum(-1).clamp(min=1)).mean()


def classes_weighted_alike(
    logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor
) -> Tensor:
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, replaced.to(logits.dtype), reduction="none"
    )
    yes, no = real & replaced, real & ~replaced
    halves = [(each * part).sum() / part.sum().clamp(min=1) for part in (yes, no)]
    return (halves[0] + halves[1]) / 2


def a_sum(logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor) -> Tensor:
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, replaced.to(logits.dtype), reduction="none"
    )
    return (each * real).sum()


def nothing_over_nothing(
    logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor
) -> Tensor:
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, replaced.to(logits.dtype), reduction="none"
    )
    return each[real].mean()


def labels_inverted(
    logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor
) -> Tensor:
    return reference_loss(logits, ~replaced, masked, real)


def in_bits(logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor) -> Tensor:
    return reference_loss(logits, replaced, masked, real) / math.log(2)


def zeros_in_the_padding(
    logits: Tensor, replaced: Tensor, masked: Tensor, real: Tensor
) -> Tensor:
    return F.binary_cross_entropy_with_logits(
        logits * real, (replaced & real).to(logits.dtype)
    )


def _rows(generator: Generator, lengths: list[int]) -> tuple[Tensor, ...]:
    shape = len(lengths), max(lengths)
    real = torch.arange(shape[1]) < torch.tensor(lengths)[:, None]
    masked = torch.rand(shape, generator=generator) < 0.5
    masked[:, 0], masked[:, 1] = True, False
    replaced = masked & (torch.rand(shape, generator=generator) < 0.6)
    replaced[0, 0] = True
    logits = 3 * normal(generator, *shape)
    logits = torch.where(real, logits, 9.0 + logits.abs())
    return logits, replaced & real, masked & real, real


def _whole_rows(generator: Generator) -> list[Case]:
    batch, n = distinct_sizes(generator, 2, low=3)
    args = _rows(generator, [n] * batch)
    says = f"logits {tuple(args[0].shape)}, no padding"
    return [
        Case(args, says),
        Case((args[0].double(), *args[1:]), says + ", float64"),
    ]


def _padded_rows(generator: Generator) -> list[Case]:
    lengths = [n + 1 for n in distinct_sizes(generator, 3)]
    args = _rows(generator, lengths)
    return [Case(args, f"rows of {lengths} real tokens, large logits in the padding")]


def _nothing_real(generator: Generator) -> list[Case]:
    logits, *others = _rows(generator, [3, 3])
    nothing = logits, *(torch.zeros_like(other) for other in others)
    return [
        Case(nothing, "2 rows of padding alone"),
        # So that always answering 0 earns nothing.
        Case(_rows(generator, [4, 4]), "2 rows of 4 real tokens"),
    ]


RTD_LOSS = Exercise(
    name="3.2.3/rtd_loss",
    title="The loss of the detector",
    difficulty=2,
    minutes=15,
    reference=reference_loss,
    parts=(
        Part("rows without padding", 1, _whole_rows),
        Part("rows of different length", 1, _padded_rows),
        Part("no real token at all", 1, _nothing_real),
    ),
    misconceptions=(
        Misconception(
            masked_places_only,
            "You averaged over the masked places: the detector is asked about every "
            "real token, and that is what it has over masked language modelling.",
        ),
        Misconception(
            padding_too,
            "You averaged over all positions: padding is no text, and easy to get "
            "right. Only the real tokens count.",
        ),
        Misconception(
            padding_in_the_denominator,
            "You left the padding out of the sum but divided by all positions: divide "
            "by the number of real tokens.",
        ),
        Misconception(
            sigmoid_twice,
            "Your sigmoid is applied twice: `..._with_logits` takes logits and has one "
            "of its own.",
        ),
        Misconception(
            mean_of_row_means,
            "You took a mean of the rows' means: a token in a short row counts more "
            "then. Sum over all tokens, and divide once.",
        ),
        Misconception(
            classes_weighted_alike,
            "You gave replaced and original half of the weight each: the result is no "
            "mean of −log p any more, and a detector trained on it is not calibrated.",
        ),
        Misconception(
            a_sum,
            "That is the sum: it grows with the batch. Divide by the number of real "
            "tokens.",
        ),
        Misconception(
            nothing_over_nothing,
            "The mean over no tokens is 0/0 = NaN, and one such batch ruins the model: "
            "where there is no real token the loss is 0.",
        ),
    ),
    slips=(
        Misconception(
            labels_inverted,
            "Your labels are the other way round: a positive logit says *replaced*, "
            "so that replaced is 1.",
        ),
        Misconception(
            in_bits,
            "That is the loss in bits: nats are asked, the natural logarithm, which "
            "torch's losses have already.",
        ),
        Misconception(
            zeros_in_the_padding,
            "A logit of 0 in the padding is no free answer: it costs log 2. Leave "
            "these places out of the sum and of the count.",
        ),
    ),
    hints=(
        "With logit z, P(replaced) = σ(z). A replaced token costs −log σ(z), an "
        "original one −log σ(−z).",
        "`F.binary_cross_entropy_with_logits(…, reduction='none')` gives each token's "
        "cost; the labels must be floats.",
        "`masked` is not needed. Which tensor says what to sum over, and what to "
        "divide by? `.clamp(min=1)` saves the division where that number is 0.",
    ),
)


# -- probability_from_detector --------------------------------------------------------


def detector_itself(p_replaced: Tensor, g: Tensor, share: float) -> Tensor:
    return 1 - p_replaced


def electrics_label(p_replaced: Tensor, g: Tensor, share: float) -> Tensor:
    sampled = share * g * (1 - p_replaced)
    return sampled / (sampled + p_replaced * (1 - share))


def ratio_of_odds(p_replaced: Tensor, g: Tensor, share: float) -> Tensor:
    return g * (1 - p_replaced) / p_replaced


def odds_upside_down(p_replaced: Tensor, g: Tensor, share: float) -> Tensor:
    sampled = share * g * p_replaced
    return sampled / (sampled + (1 - p_replaced) * (1 - share + share * g))


def numerator_without_g(p_replaced: Tensor, g: Tensor, share: float) -> Tensor:
    sampled = share * (1 - p_replaced)
    return sampled / (sampled + p_replaced * (1 - share + share * g))


def odds_taken_for_probability(p_replaced: Tensor, g: Tensor, share: float) -> Tensor:
    return share * g / (share * g + p_replaced * (1 - share + share * g))


def _uniform(generator: Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=generator)


def _some_values(generator: Generator) -> list[Case]:
    cases = []
    for share in (0.15, 0.5):
        g = _uniform(generator, 0.9, 1.1, 3) * torch.tensor([0.01, 0.5, 0.85])
        detector = _uniform(generator, 0.05, 0.95, 3)
        says = f"share = {share}, g = {_short(g)}, p_replaced = {_short(detector)}"
        cases.append(Case((detector, g, share), says))
    return cases


def _edges(generator: Generator) -> list[Case]:
    g = _uniform(generator, 0.05, 0.9, 3)
    detector = torch.tensor([0.0, 1.0, 0.5])
    says = f"p_replaced = [0, 1, 0.5], share = 0.15, g = {_short(g)}"
    return [Case((detector, g, 0.15), says)]


def _round_trip(generator: Generator) -> list[Case]:
    batch, n = distinct_sizes(generator, 2)
    p, g = (_uniform(generator, 0.02, 0.98, batch, n).double() for _ in range(2))
    yes, no = 0.25 * g * (1 - p), p * (0.75 + 0.25 * g)
    says = f"{batch} × {n} places, share = 0.25, the detector that follows from p and g"
    return [Case((yes / (yes + no), g, 0.25), says)]


def _short(tensor: Tensor) -> list[float]:
    return [round(value, 4) for value in tensor.tolist()]


def is_a_probability(args: tuple[Any, ...], output: Tensor) -> str | None:
    if output.numel() and (output.min() < -1e-6 or output.max() > 1 + 1e-6):
        return (
            "A probability lies between 0 and 1; yours lie between "
            f"{output.min():.3g} and {output.max():.3g}."
        )
    return None


PROBABILITY_FROM_DETECTOR = Exercise(
    name="3.2.3/probability_from_detector",
    title="A detector is a language model",
    difficulty=4,
    minutes=25,
    reference=rtd.probability_from_detector,
    parts=(
        Part("two shares, three values of g", 2, _some_values),
        Part("a detector that is certain", 1, _edges),
        Part("from p to the detector and back", 2, _round_trip),
    ),
    properties=(is_a_probability,),
    misconceptions=(
        Misconception(
            detector_itself,
            "1 − D is the probability that the token was not replaced. It is not p: a "
            "token that the generator makes often is suspicious for that reason alone.",
        ),
        Misconception(
            electrics_label,
            "You solved the odds of “was masked”. Here a sample that equals the true "
            "token counts as original, so originals have 1 − ρ + ρg where you have "
            "1 − ρ.",
        ),
        Misconception(
            ratio_of_odds,
            "g(1 − D)/D can exceed 1 and does not know the share ρ: solve the odds for "
            "p, which stands in the numerator as 1 − p and in the denominator.",
        ),
        Misconception(
            odds_upside_down,
            "Your odds are upside down: o is D/(1 − D), replaced against original.",
        ),
        Misconception(
            numerator_without_g,
            "The numerator lost its g: it is ρg, the probability that the place was "
            "masked and showed this token.",
        ),
        Misconception(
            odds_taken_for_probability,
            "You put the probability D where the odds belong: o = D/(1 − D).",
        ),
    ),
    hints=(
        "Write down two probabilities: that the place shows y and was replaced, "
        "ρ g(y) (1 − p(y)), and that it shows y and is original.",
        "Their ratio is the odds, o = D/(1 − D). Solve it for p: collect the terms "
        "that have p on one side.",
        "p = ρg / (ρg + o (1 − ρ + ρg)). At D = 1 the odds are infinite: multiply "
        "both sides of the fraction by 1 − D.",
    ),
)

EXERCISES = [REPLACED_LABELS, RTD_LOSS, PROBABILITY_FROM_DETECTOR]
