"""Section 3.2.1, the last two steps: the loss, and what it is worth in bits."""

import math
from typing import Any

import torch
from torch import Generator, Tensor

from lmlib import losses
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    distinct_sizes,
    error_type,
    gradient,
    normal,
)
from lmlib.objectives import any_order

# -- masked_lm_loss -------------------------------------------------------------------


def reference_loss(logits: Tensor, targets: Tensor) -> Tensor:
    return losses.cross_entropy(logits, targets)


def averaged_with_zeros(logits: Tensor, targets: Tensor) -> Tensor:
    each = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="none"
    )
    return each.mean()


def multiplied_too_late(logits: Tensor, targets: Tensor) -> Tensor:
    counted = (targets != -100).float()
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.clamp(min=0).flatten()
    )
    return (loss * counted).sum() / counted.sum().clamp(min=1)


def mean_of_the_rows(logits: Tensor, targets: Tensor) -> Tensor:
    counted = targets != -100
    each = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), targets, reduction="none"
    )
    rows = each.sum(dim=1) / counted.sum(dim=1).clamp(min=1)
    return rows.sum() / counted.any(dim=1).sum().clamp(min=1)


def token_0_ignored(logits: Tensor, targets: Tensor) -> Tensor:
    counted = targets > 0
    total = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1),
        targets.clamp(min=0).flatten(),
        ignore_index=0,
        reduction="sum",
    )
    return total / counted.sum().clamp(min=1)


def softmax_before(logits: Tensor, targets: Tensor) -> Tensor:
    total = torch.nn.functional.cross_entropy(
        logits.softmax(dim=-1).flatten(0, 1), targets.flatten(), reduction="sum"
    )
    return total / (targets != -100).sum().clamp(min=1)


def nothing_divided_by_nothing(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def summed(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="sum"
    )


def last_row_divides(logits: Tensor, targets: Tensor) -> Tensor:
    total = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="sum"
    )
    return total / len(targets)


def in_bits(logits: Tensor, targets: Tensor) -> Tensor:
    return reference_loss(logits, targets) / math.log(2)


def likelihood(logits: Tensor, targets: Tensor) -> Tensor:
    return -reference_loss(logits, targets)


def probability_of_it(logits: Tensor, targets: Tensor) -> Tensor:
    counted = targets != -100
    p = logits.softmax(dim=-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -(p * counted).sum() / counted.sum().clamp(min=1)


def token_0_not_counted(logits: Tensor, targets: Tensor) -> Tensor:
    total = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="sum"
    )
    return total / (targets > 0).sum().clamp(min=1)


def softmax_over_positions(logits: Tensor, targets: Tensor) -> Tensor:
    total = torch.nn.functional.nll_loss(
        logits.log_softmax(dim=1).flatten(0, 1), targets.flatten(), reduction="sum"
    )
    return total / (targets != -100).sum().clamp(min=1)


def a_new_zero(logits: Tensor, targets: Tensor) -> Tensor:
    if (targets == -100).all():
        return logits.new_zeros(())
    return reference_loss(logits, targets)


def a_cost(args: tuple[Any, ...], output: Tensor) -> str | None:
    if output.ndim == 0 and output < 0:
        return "A loss of −log p is never negative; yours is."
    return None


def _scores(generator: Generator, batch: int, n: int) -> tuple[Tensor, Tensor]:
    """Rows that differ in targets, from 1 on, and token 0 among these."""
    vocab_size = n + batch + 2
    logits = 2 * normal(generator, batch, n, vocab_size)
    targets = torch.full((batch, n), -100)
    for row in range(batch):
        k = 1 + row * (n - 2) // max(batch - 1, 1)
        places = torch.randperm(n, generator=generator)[:k]
        targets[row, places] = torch.randint(vocab_size, (k,), generator=generator)
    targets[-1, (targets[-1] >= 0).nonzero()[0]] = 0
    return logits, targets


def _losses(generator: Generator) -> list[Case]:
    cases = []
    for _ in range(2):
        batch, n = distinct_sizes(generator, 2, low=3)
        logits, targets = _scores(generator, batch, n + 4)
        counts = (targets >= 0).sum(dim=1).tolist()
        says = f"logits {tuple(logits.shape)}, rows with {counts} targets"
        cases.append(Case((logits, targets), says))
        cases.append(Case((logits.double(), targets), says + ", float64"))
    return cases


def _nothing_asked(generator: Generator) -> list[Case]:
    batch, n = distinct_sizes(generator, 2, low=3)
    logits, targets = _scores(generator, batch, n)
    nothing = torch.full_like(targets, -100)
    return [Case((logits, nothing), f"logits {tuple(logits.shape)}, no target at all")]


def _asked_and_not(generator: Generator) -> list[Case]:
    return _losses(generator)[:1] + _nothing_asked(generator)


MASKED_LM_LOSS = Exercise(
    name="3.2.1/masked_lm_loss",
    title="Find the bug: a loss too good to be true",
    difficulty=3,
    minutes=20,
    reference=reference_loss,
    parts=(
        Part("the mean over the targets", 2, _losses),
        Part("0 where there is no target", 1, _nothing_asked, beside_a_value=True),
        Part("its gradient, 0 where there is no target", 1, _asked_and_not, gradient),
    ),
    properties=(a_cost,),
    misconceptions=(
        Misconception(
            averaged_with_zeros,
            "The bug is still there: reduction='none' gives a 0 for each token that "
            "is not asked for, and .mean() counts these zeros. Divide the sum by the "
            "number of targets.",
        ),
        Misconception(
            multiplied_too_late,
            "F.cross_entropy had already averaged over all tokens when you "
            "multiplied by the mask: a number times the mask, summed and divided by "
            "the mask's sum, is that number. Mask one loss for each token.",
        ),
        Misconception(
            mean_of_the_rows,
            "You took the mean of the rows' means: a target in a row with few of them "
            "then counts more. Sum over the whole batch and divide once.",
        ),
        Misconception(
            token_0_ignored,
            "With ignore_index=0 whatever has the number 0 is never learned, and 0 is "
            "a token like others: −100 marks what is not asked for.",
            "https://github.com/codertimo/BERT-pytorch/issues/98",
        ),
        Misconception(
            softmax_before,
            "cross_entropy wants logits and takes the softmax itself. After a second "
            "softmax all tokens look nearly alike: the loss stays near log V.",
        ),
        Misconception(
            nothing_divided_by_nothing,
            "Right where something is asked; but in a batch without targets the mean "
            "is 0/0, and one NaN spoils every weight. Divide by at least 1.",
            "https://github.com/huggingface/transformers/issues/16711",
        ),
        Misconception(
            summed,
            "That is the sum over the targets: divide by their number.",
        ),
        Misconception(
            last_row_divides,
            "You divided by the number of rows: divide by the number of targets.",
        ),
    ),
    slips=(
        Misconception(in_bits, "That is the loss in bits; nats are asked for."),
        Misconception(
            likelihood,
            "The sign is wrong: the loss is minus the mean log-probability.",
        ),
        Misconception(
            probability_of_it,
            "You averaged the probabilities themselves: it is the logarithm of each "
            "that is a code length.",
        ),
        Misconception(
            token_0_not_counted,
            "Token 0 is a target like others: count the targets with != −100, not "
            "with > 0.",
        ),
        Misconception(
            softmax_over_positions,
            "Your softmax runs over the positions: it is the vocabulary, the last "
            "axis, that shares out the probability at each position.",
        ),
        Misconception(
            a_new_zero,
            "A zero made anew hangs on no logits, so that backward() fails: the sum "
            "over no targets is a 0 that has a gradient.",
        ),
    ),
    hints=(
        "Take a batch by hand: 100 tokens, 15 of them targets, each with a loss of 3. "
        "What does the given function return, and what should it?",
        "Sum the losses of the targets (`reduction='sum'` leaves out −100 by itself) "
        "and divide by their number. F.cross_entropy wants the classes on axis 1: "
        "flatten rows and positions into one axis first, as the given function does.",
        "Without a target the sum is 0 already; keep the divisor from being 0 with "
        "`.clamp(min=1)`, so that the gradient is 0 and not NaN.",
    ),
)


# -- random_order_bits ----------------------------------------------------------------


def loss_at_15_percent(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    n = len(nats)
    return n * nats[max(round(0.15 * n), 1) - 1] / math.log(2)


def told_from_all_others(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return len(nats) * nats[0] / math.log(2)


def bits_a_token(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return sum(nats) / len(nats) / math.log(2)


def left_in_nats(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return sum(nats)


def all_hidden_revealed(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return sum(m * loss for m, loss in enumerate(nats, start=1)) / math.log(2)


def no_bits_of_nothing(nats: list[float]) -> float:
    return sum(nats) / math.log(2)


def all_at_once(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return len(nats) * nats[-1] / math.log(2)


def times_ln_2(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return sum(nats) * math.log(2)


def trapezoids(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return (sum(nats) - (nats[0] + nats[-1]) / 2) / math.log(2)


def the_last_15_percent(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return sum(nats[: max(round(0.15 * len(nats)), 1)]) / math.log(2)


def divided_by_the_hidden(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return sum(loss / m for m, loss in enumerate(nats, start=1)) / math.log(2)


def decimal_digits(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return sum(nats) / math.log(10)


def logarithms_again(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return sum(math.log2(loss) for loss in nats)


def averaged_twice(nats: list[float]) -> float:
    if len(nats) == 0:
        raise ValueError("empty")
    return sum(nats) / len(nats) ** 2 / math.log(2)


def _curve(generator: Generator, n: int) -> list[float]:
    """Losses that rise with the number hidden, as they do."""
    steps = torch.rand(n, generator=generator, dtype=torch.float64) + 0.1
    return [round(v, 3) for v in (1.0 + steps.cumsum(0) * 5 / n).tolist()]


def _curves(generator: Generator) -> list[Case]:
    n = int(torch.randint(9, 21, (1,), generator=generator))
    few, many = _curve(generator, 5), _curve(generator, n)
    return [Case((few,), f"nats = {few}"), Case((many,), f"nats = {many}")]


def _nothing(generator: Generator) -> list[Case]:
    return [Case(([],), "nats = []", only=True)]


RANDOM_ORDER_BITS = Exercise(
    name="3.2.1/random_order_bits",
    title="The file size of a masked model",
    difficulty=2,
    minutes=10,
    reference=any_order.random_order_bits,
    parts=(
        Part("rows of 5 to 20 tokens", 2, _curves),
        Part("no token at all: ValueError", 1, _nothing, error_type),
    ),
    misconceptions=(
        Misconception(
            loss_at_15_percent,
            "You took the loss at 15 % hidden for all tokens: that is one point of the "
            "curve, and the file is the area under all of it.",
        ),
        Misconception(
            told_from_all_others,
            "You let every token be told from all the others. That is the "
            "pseudo-likelihood: no decoder has all the others before it starts.",
        ),
        Misconception(
            bits_a_token,
            "You averaged, which is bits a token: the bits of the whole row are asked.",
        ),
        Misconception(
            left_in_nats,
            "That is the sum in nats: divide by ln 2 for bits.",
        ),
        Misconception(
            all_hidden_revealed,
            "You count m tokens where m are hidden: at each step one is revealed, not "
            "all that are hidden, so nats[m − 1] counts once.",
        ),
        Misconception(
            no_bits_of_nothing,
            "An empty list has to be refused with a ValueError: it is a curve of which "
            "nothing was measured.",
        ),
        Misconception(
            all_at_once,
            "You told every token as if all were hidden, nats[n − 1]: those already "
            "revealed help to tell the next.",
        ),
        Misconception(
            times_ln_2,
            "You multiplied by ln 2: a nat is more than a bit, so the number of bits "
            "is larger; divide.",
        ),
    ),
    slips=(
        Misconception(
            trapezoids,
            "You took the area by trapezoids, with the two ends half: here the sum is "
            "exact, one whole term for each token.",
        ),
        Misconception(
            the_last_15_percent,
            "You paid for the last 15 % of the tokens alone, those told when few are "
            "hidden: all of the row has to be told.",
        ),
        Misconception(
            divided_by_the_hidden,
            "nats[m − 1] is a mean over the hidden tokens already: it is the cost of "
            "the one that is revealed, undivided.",
        ),
        Misconception(
            decimal_digits,
            "You divided by ln 10, which counts decimal digits: a bit is ln 2 nats.",
        ),
        Misconception(
            logarithms_again,
            "A loss is a logarithm already: turn nats into bits by dividing by ln 2.",
        ),
        Misconception(
            averaged_twice,
            "You divided by the number of tokens, and twice: the whole row is asked.",
        ),
    ),
    hints=(
        "Reveal a row of three tokens in a random order. How many are hidden when the "
        "first is told, the second, the third? Which entries of `nats` are paid?",
        "Each token is paid for once, at another number of hidden tokens.",
        "One bit is ln 2 = 0.693 nats.",
    ),
)


# -- probability_as_seen --------------------------------------------------------------


def reference_as_seen(q: Tensor, vocab_size: int, kept: float, random: float) -> Tensor:
    return any_order.probability_as_seen(q, vocab_size, kept=kept, random=random)


def context_ignored(q: Tensor, vocab_size: int, kept: float, random: float) -> Tensor:
    return torch.full_like(q, kept / (kept + random))


def eyes_ignored(q: Tensor, vocab_size: int, kept: float, random: float) -> Tensor:
    return q.clone()


def any_random_token(q: Tensor, vocab_size: int, kept: float, random: float) -> Tensor:
    return q * kept / (q * kept + (1 - q) * random)


def no_luck(q: Tensor, vocab_size: int, kept: float, random: float) -> Tensor:
    return q * kept / (q * kept + random / vocab_size)


def joint_probability(q: Tensor, vocab_size: int, kept: float, random: float) -> Tensor:
    return q * (kept + random / vocab_size)


def masked_ones_counted(
    q: Tensor, vocab_size: int, kept: float, random: float
) -> Tensor:
    masked = 1 - kept - random
    by_chance = random / vocab_size
    return q * (kept + by_chance) / (masked + q * kept + by_chance)


def luck_out_of_the_others(
    q: Tensor, vocab_size: int, kept: float, random: float
) -> Tensor:
    by_chance = random / (vocab_size - 1)
    return q * kept / (q * kept + (1 - q) * by_chance)


def chance_of_a_change(
    q: Tensor, vocab_size: int, kept: float, random: float
) -> Tensor:
    by_chance = random / vocab_size
    return 1 - q * (kept + by_chance) / (q * kept + by_chance)


def tenths_in_any_case(
    q: Tensor, vocab_size: int, kept: float, random: float
) -> Tensor:
    return q * (0.1 + 0.1 / vocab_size) / (q * 0.1 + 0.1 / vocab_size)


def shares_swapped(q: Tensor, vocab_size: int, kept: float, random: float) -> Tensor:
    return q * (random + kept / vocab_size) / (q * random + kept / vocab_size)


def chance_to_be_seen(q: Tensor, vocab_size: int, kept: float, random: float) -> Tensor:
    return q * kept + random / vocab_size


def chance_to_be_unmasked(
    q: Tensor, vocab_size: int, kept: float, random: float
) -> Tensor:
    return q * (kept + random / vocab_size) / (kept + random)


def another_in_any_case(
    q: Tensor, vocab_size: int, kept: float, random: float
) -> Tensor:
    was_there = q * (kept + random / vocab_size)
    return was_there / (was_there + (1 - q) * random)


def context_times_prior(
    q: Tensor, vocab_size: int, kept: float, random: float
) -> Tensor:
    return q * kept / (kept + random)


def rises_to_one(args: tuple[Any, ...], output: Tensor) -> str | None:
    q = args[0]
    if output.shape != q.shape:
        return None
    if (output[q == 1] - 1).abs().max() > 1e-3:
        return "Where the context is certain of what is seen, q = 1, the answer is 1."
    if (output.flatten()[q.flatten().argsort()].diff() < -1e-6).any():
        return "The more the context expects what is seen, the likelier it is true."
    return None


def _expectations(generator: Generator) -> list[Case]:
    cases = []
    for vocab_size in (4, int(torch.randint(50, 500, (1,), generator=generator))):
        kept, random = (
            torch.rand(2, generator=generator) * torch.tensor([0.2, 0.2])
            + torch.tensor([0.05, 0.3])
        ).tolist()
        drawn = torch.rand(2, generator=generator)
        q = torch.cat((torch.tensor([0.0, 0.1, 0.5, 1.0]), drawn))
        says = (
            f"V = {vocab_size}, kept = {kept:.3f}, random = {random:.3f}, "
            f"q = {[round(v, 3) for v in q.tolist()]}"
        )
        cases.append(Case((q, vocab_size, kept, random), says))
    return cases


def _tables(generator: Generator) -> list[Case]:
    q = torch.rand(3, 4, generator=generator)
    q[0, 0], q[2, 1] = 0.0, 1.0
    vocab_size = int(torch.randint(5, 50, (1,), generator=generator))
    says = f"V = {vocab_size}, q of shape (3, 4)"
    return [
        Case((q, vocab_size, 0.1, 0.2), says + ", kept = 0.1, random = 0.2"),
        Case((q.double(), vocab_size, 0.0, 0.2), says + ", float64, nothing kept"),
        Case((q, vocab_size, 0.15, 0.1), says + ", kept = 0.15, random = 0.1"),
    ]


PROBABILITY_AS_SEEN = Exercise(
    name="3.2.1/probability_as_seen",
    title="Believe your eyes?",
    difficulty=3,
    minutes=15,
    reference=reference_as_seen,
    parts=(
        Part("a few expectations, 0 and 1 among them", 2, _expectations),
        Part("any shape, and where nothing is kept", 1, _tables),
    ),
    properties=(rises_to_one,),
    misconceptions=(
        Misconception(
            context_ignored,
            "kept / (kept + random) is what you would say before you look at the "
            "context: weigh it with q, Bayes' rule.",
        ),
        Misconception(
            eyes_ignored,
            "q is what the context says of this token alone. You have also *seen* it, "
            "which makes it likelier.",
        ),
        Misconception(
            any_random_token,
            "If the original was another, the random token must have been just the "
            "one that is seen: of `random` only random / V leads to it.",
        ),
        Misconception(
            no_luck,
            "A random draw may hit the original itself, with random / V: then what is "
            "seen is true although it was not kept.",
        ),
        Misconception(
            joint_probability,
            "That is the probability that this token was there *and* is seen: divide "
            "by the probability that it is seen at all.",
        ),
        Misconception(
            masked_ones_counted,
            "You count the targets that show [MASK] in the denominator: this one "
            "shows a token, so that they are out of the question.",
        ),
        Misconception(
            luck_out_of_the_others,
            "You draw the random token from the V − 1 others: it is drawn from all V, "
            "and may be the original again.",
        ),
        Misconception(
            chance_of_a_change,
            "That is the probability that the token was changed: 1 minus the answer.",
        ),
    ),
    slips=(
        Misconception(
            tenths_in_any_case,
            "You took a tenth for both shares: take `kept` and `random`, which may be "
            "others.",
        ),
        Misconception(
            shares_swapped,
            "`kept` and `random` have changed places: it is the random share that is "
            "divided by V.",
        ),
        Misconception(
            chance_to_be_seen,
            "That is the probability to see v at all, the denominator: over it goes "
            "the part of it in which v was there.",
        ),
        Misconception(
            chance_to_be_unmasked,
            "You divided by the probability that *any* token is seen, kept + random: "
            "what is known is that it is v that is seen.",
        ),
        Misconception(
            another_in_any_case,
            "If another was there, only random / V leads to v; you counted all of "
            "`random` in the denominator.",
        ),
        Misconception(
            context_times_prior,
            "You multiplied what the context says by what one would say without it: "
            "Bayes' rule also divides by the probability to see v.",
        ),
    ),
    hints=(
        "Write down the two ways in which token v can come to be seen: it was there "
        "(probability q), or another was.",
        "If it was there, it is seen when it was kept or when the random draw hit it: "
        "kept + random / V. If another was there: random / V.",
        "Bayes: the first way over the sum of both. The sum is q · kept + random / V.",
    ),
)

EXERCISES = [MASKED_LM_LOSS, RANDOM_ORDER_BITS, PROBABILITY_AS_SEEN]
