"""Section 3.1.1: scores, weights, weighted sum, masks."""

import math

import torch
from torch import Generator, Tensor

from lmlib import attention
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    distinct_sizes,
    gradient,
    normal,
)
from lmlib.exercises.self_attention import slips


def rows_sum_to_one(args: tuple[Tensor, ...], output: Tensor) -> str | None:
    sums = output.sum(dim=-1)
    if sums.numel() and not torch.allclose(sums, torch.ones_like(sums), atol=1e-2):
        return (
            "Each row of weights must sum to 1 over the keys; yours sum to between "
            f"{sums.min():.3g} and {sums.max():.3g}."
        )
    return None


# -- attention_weights ----------------------------------------------------------------


def reference_weights(query: Tensor, key: Tensor) -> Tensor:
    return attention.attention_weights(attention.attention_scores(query, key))


def unscaled(query: Tensor, key: Tensor) -> Tensor:
    return torch.softmax(query @ key.transpose(-2, -1), dim=-1)


def scaled_by_d_k(query: Tensor, key: Tensor) -> Tensor:
    return torch.softmax(query @ key.transpose(-2, -1) / query.shape[-1], dim=-1)


def scaled_by_length(query: Tensor, key: Tensor) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(key.shape[-2])
    return torch.softmax(scores, dim=-1)


def multiplied_by_root(query: Tensor, key: Tensor) -> Tensor:
    scores = query @ key.transpose(-2, -1) * math.sqrt(query.shape[-1])
    return torch.softmax(scores, dim=-1)


def softmax_over_queries(query: Tensor, key: Tensor) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return torch.softmax(scores, dim=-2)


def softmax_over_axis_1(query: Tensor, key: Tensor) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return torch.softmax(scores, dim=1)


def no_softmax(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])


def naive_exponential(query: Tensor, key: Tensor) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    exponentials = torch.exp(scores)
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def _two_and_three(generator: Generator) -> list[Case]:
    query, key = normal(generator, 2, 4), normal(generator, 3, 4)
    return [Case((query, key), f"2 queries, 3 keys, d_k = 4:\n{_show(query, key)}")]


def _any_leading_shape(generator: Generator) -> list[Case]:
    batch, heads, n_query, n_key, d_k = distinct_sizes(generator, 5)
    small = normal(generator, batch, n_query, d_k), normal(generator, batch, n_key, d_k)
    large = (
        normal(generator, batch, heads, n_query, d_k),
        normal(generator, batch, heads, n_key, d_k),
    )
    return [
        Case(args, f"query {tuple(args[0].shape)}, key {tuple(args[1].shape)}")
        for args in (small, large, tuple(a.double() for a in large))
    ]


def _large_scores(generator: Generator) -> list[Case]:
    query, key = 60 * normal(generator, 3, 8), 60 * normal(generator, 5, 8)
    query, key = query.double(), key.double()
    # Query 0 prefers keys 0 and 1 to all others, and 1 to 0 by a scaled score of 1, so
    # that the right weights are not simply 0 and 1.
    key[0] = 1.5 * query[0]
    key[1] = key[0] + math.sqrt(8) * query[0] / query[0].square().sum()
    says = "queries and keys 60 times larger, scores of ± 10,000, in float64"
    return [Case((query, key), says)]


ATTENTION_WEIGHTS = Exercise(
    name="3.1/attention_weights",
    title="Attention weights",
    difficulty=2,
    minutes=15,
    reference=reference_weights,
    parts=(
        Part("two queries, three keys", 1, _two_and_three),
        Part("any leading axes: batches, heads", 2, _any_leading_shape),
        Part("scores of ten thousand", 1, _large_scores),
    ),
    properties=(rows_sum_to_one,),
    misconceptions=(
        Misconception(
            unscaled,
            "You left out the division by √d_k: with many features the dot products "
            "grow and the softmax saturates.",
        ),
        Misconception(
            scaled_by_d_k,
            "You divided by d_k, not by its root: it is the standard deviation of the "
            "dot products that has to become 1, and that is √d_k.",
        ),
        Misconception(
            scaled_by_length,
            "You divided by the root of the number of keys: the size of a dot product "
            "depends on how many features it sums over, d_k, not on how many keys "
            "there are.",
        ),
        Misconception(
            multiplied_by_root,
            "You multiplied by √d_k where the scores have to be divided by it.",
        ),
        Misconception(
            softmax_over_queries,
            "Your softmax runs over the queries: it is each query that shares out its "
            "attention, over the keys, so every row must sum to 1.",
        ),
        Misconception(
            softmax_over_axis_1,
            "Your softmax runs over axis 1, which is the keys only when there are no "
            "batch and head axes: count from the end, the keys are axis −1.",
        ),
        Misconception(
            no_softmax,
            "These are the scores: the softmax that turns each row into weights is "
            "missing.",
        ),
        Misconception(
            naive_exponential,
            "You took exp of the scores as they are, which overflows (beyond 88 in "
            "float32, 709 in float64): subtract each row's maximum first, or use "
            "torch.softmax.",
        ),
    ),
    slips=slips.ATTENTION_WEIGHTS,
    hints=(
        "The scores are all dot products of a query with a key: one matrix product. "
        "Which two axes of `key` must change places for the shapes to fit?",
        "Count the axes from the end (−1, −2), and batches and heads take care of "
        "themselves.",
        "The softmax goes over the axis on which one query's scores lie side by side.",
    ),
)


# -- weighted_sum ---------------------------------------------------------------------


def reference_sum(weights: Tensor, value: Tensor) -> Tensor:
    return weights @ value


def mean_of_products(weights: Tensor, value: Tensor) -> Tensor:
    return weights @ value / value.shape[-2]


def plain_mean(weights: Tensor, value: Tensor) -> Tensor:
    mean = value.mean(dim=-2, keepdim=True)
    return mean.expand(*weights.shape[:-1], value.shape[-1]).clone()


def best_value_only(weights: Tensor, value: Tensor) -> Tensor:
    best = weights.argmax(dim=-1, keepdim=True)
    return torch.take_along_dim(value, best, dim=-2)


def softmax_again(weights: Tensor, value: Tensor) -> Tensor:
    return torch.softmax(weights, dim=-1) @ value


def renormalised(weights: Tensor, value: Tensor) -> Tensor:
    return (weights / weights.sum(dim=-1, keepdim=True)) @ value


def same_for_all_queries(weights: Tensor, value: Tensor) -> Tensor:
    return weights.mean(dim=-2, keepdim=True).expand_as(weights) @ value


def _small_sum(generator: Generator) -> list[Case]:
    weights = torch.tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    value = torch.randint(-9, 10, (3, 2), generator=generator).float()
    return [Case((weights, value), f"\n{_show(weights, value, ('weights', 'value'))}")]


def _any_sum(generator: Generator) -> list[Case]:
    batch, heads, n_query, n_key, d_v = distinct_sizes(generator, 5)
    weights = normal(generator, batch, heads, n_query, n_key).softmax(dim=-1)
    value = normal(generator, batch, heads, n_key, d_v)
    blocked = weights.clone()
    blocked[:, :, 0] = 0.0
    says = f"weights {tuple(weights.shape)}, value {tuple(value.shape)}"
    return [
        Case((weights, value), says),
        Case((weights.double(), value.double()), says + ", float64"),
        Case((blocked, value), says + ", the weights of query 0 all zero (masked)"),
    ]


WEIGHTED_SUM = Exercise(
    name="3.1/weighted_sum",
    title="The weighted sum",
    difficulty=1,
    minutes=5,
    reference=reference_sum,
    parts=(
        Part("two queries, three values", 1, _small_sum),
        Part("any leading axes, and a query that attends to nothing", 1, _any_sum),
    ),
    misconceptions=(
        Misconception(
            mean_of_products,
            "You divided by the number of keys: the weights of a query already sum to "
            "1, so the sum is already an average.",
        ),
        Misconception(
            plain_mean,
            "You took the plain mean of the values: the weights say how much of each.",
        ),
        Misconception(
            best_value_only,
            "You took the value of the largest weight alone: attention is a soft "
            "look-up, every value counts with its weight.",
        ),
        Misconception(
            softmax_again,
            "You applied a softmax to weights that are already the result of one.",
        ),
        Misconception(
            renormalised,
            "You divided by the sum of the weights: they sum to 1 already, and for a "
            "query with nothing to attend to they are all 0 and the division gives "
            "NaN.",
        ),
        Misconception(
            same_for_all_queries,
            "You averaged the weights over the queries: each query has its own.",
        ),
    ),
    slips=slips.WEIGHTED_SUM,
    hints=(
        "Row i of the output is Σⱼ weights[i, j] · value[j]: the definition of a "
        "matrix product.",
    ),
)


# -- masked_attention_weights ---------------------------------------------------------


def masked_after_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    return torch.softmax(scores, dim=-1) * mask


def inverted_mask(scores: Tensor, mask: Tensor) -> Tensor:
    scores = scores.masked_fill(mask, -math.inf)
    return torch.nan_to_num(torch.softmax(scores, dim=-1))


def scores_times_mask(scores: Tensor, mask: Tensor) -> Tensor:
    return torch.softmax(scores * mask, dim=-1)


def mask_added(scores: Tensor, mask: Tensor) -> Tensor:
    return torch.softmax(scores + mask, dim=-1)


def nan_when_nothing_is_left(scores: Tensor, mask: Tensor) -> Tensor:
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)


def minus_a_billion(scores: Tensor, mask: Tensor) -> Tensor:
    return torch.softmax(scores.masked_fill(~mask, -1e9), dim=-1)


def minus_ten_thousand(scores: Tensor, mask: Tensor) -> Tensor:
    weights = torch.softmax(scores.masked_fill(~mask, -1e4), dim=-1)
    return weights * mask.any(dim=-1, keepdim=True)


def half_the_minimum(scores: Tensor, mask: Tensor) -> Tensor:
    lowest = torch.finfo(scores.dtype).min / 2
    weights = torch.softmax(scores.masked_fill(~mask, lowest), dim=-1)
    return weights * mask.any(dim=-1, keepdim=True)


def zeros_taken_for_blocked(scores: Tensor, mask: Tensor) -> Tensor:
    masked = scores * mask
    weights = torch.softmax(masked.masked_fill(masked == 0, -1e30), dim=-1)
    return weights * mask.any(dim=-1, keepdim=True)


def renormalised_after_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    weights = torch.softmax(scores, dim=-1) * mask
    return weights / weights.sum(dim=-1, keepdim=True)


def renormalised_with_epsilon(scores: Tensor, mask: Tensor) -> Tensor:
    weights = torch.softmax(scores, dim=-1) * mask
    return weights / (weights.sum(dim=-1, keepdim=True) + 1e-9)


def nan_replaced_afterwards(scores: Tensor, mask: Tensor) -> Tensor:
    blocked = torch.where(mask, 0.0, -math.inf)
    return torch.nan_to_num(torch.softmax(scores + blocked, dim=-1))


def _one_mask(generator: Generator) -> list[Case]:
    scores = normal(generator, 2, 3)
    mask = torch.tensor([[True, True, False], [False, True, True]])
    return [Case((scores, mask), f"\n{_show(scores, mask, ('scores', 'mask'))}")]


def _broadcast_masks(generator: Generator) -> list[Case]:
    batch, heads, n_query, n_key = distinct_sizes(generator, 4)
    scores = normal(generator, batch, heads, n_query, n_key)
    causal = attention.causal_mask(n_query, n_key + n_query)
    longer = normal(generator, batch, heads, n_query, n_key + n_query)
    lengths = torch.randint(1, n_key, (batch,), generator=generator)
    padding = attention.padding_mask(lengths, n_key)
    return [
        Case(
            (scores, padding),
            f"scores {tuple(scores.shape)}, padding mask {tuple(padding.shape)}",
        ),
        Case(
            (longer.double(), causal),
            f"scores {tuple(longer.shape)}, causal mask {tuple(causal.shape)}",
        ),
        Case((scores, torch.ones(n_query, n_key).bool()), "a mask that blocks nothing"),
    ]


def _nothing_left(generator: Generator) -> list[Case]:
    scores = normal(generator, 2, 3, 4)
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    mask[0, 1] = mask[1, 0] = False
    mask[0, 0, 2:] = False
    return [Case((scores, mask), "scores (2, 3, 4), two rows with every key blocked")]


def _some_or_nothing_left(generator: Generator) -> list[Case]:
    scores = normal(generator, 3, 5)
    mask = torch.rand(3, 5, generator=generator) < 0.5
    mask[:, 0] = True
    mask[0, 1] = False
    partly = Case((scores, mask), "scores (3, 5), in no row every key blocked")
    return [*_nothing_left(generator), partly]


def _extreme_scores(generator: Generator) -> list[Case]:
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[:, 3:] = False
    low = -3e4 + 10 * normal(generator, 3, 5)
    # Allowed ones whose exponentials are 0 beside those of the blocked ones.
    apart = torch.where(mask, -100.0, 100.0) + normal(generator, 3, 5)
    zero = normal(generator, 3, 5)
    zero[:, int(torch.randint(0, 3, (1,), generator=generator))] = 0.0
    lowest = normal(generator, 3, 5)
    row = int(torch.randint(0, 3, (1,), generator=generator))
    lowest[row] = 0.75 * torch.finfo(torch.float32).min
    blocked = "the last two keys blocked"
    return [
        Case((low, mask), f"scores near −30,000, {blocked}"),
        Case((apart, mask), f"scores near −100, and near 100 where blocked, {blocked}"),
        Case((zero, mask), f"a score of exactly 0 in each row, {blocked}"),
        Case((lowest, mask), f"a row of scores of −2.55e38, {blocked}"),
    ]


MASKED_ATTENTION_WEIGHTS = Exercise(
    name="3.1/masked_attention_weights",
    title="Masks",
    difficulty=3,
    minutes=25,
    reference=attention.attention_weights,
    parts=(
        Part("one mask", 1, _one_mask),
        Part("masks that broadcast: causal, padding", 1, _broadcast_masks),
        Part("a query with every key blocked", 1, _nothing_left),
        Part("very low scores, and scores of 0", 1, _extreme_scores),
        Part("the gradient, when keys are blocked", 1, _some_or_nothing_left, gradient),
    ),
    misconceptions=(
        Misconception(
            masked_after_softmax,
            "You masked after the softmax: the blocked keys are zero, but they have "
            "already taken their share, so the rest no longer sums to 1.",
        ),
        Misconception(
            inverted_mask,
            "You blocked where the mask is True: here, as in "
            "F.scaled_dot_product_attention, True means *may attend*. "
            "(nn.MultiheadAttention has it the other way round.)",
            "https://github.com/pytorch/pytorch/issues/27968",
        ),
        Misconception(
            scores_times_mask,
            "You set the blocked scores to 0 (or to −1e-9, a famous slip for −1e9): "
            "exp(0) = 1 is no small weight. To get weight 0 a score must become −∞.",
        ),
        Misconception(
            mask_added,
            "You added the boolean mask, which adds 1 where a key is allowed and 0 "
            "where it isn't: blocking means adding −∞.",
        ),
        Misconception(
            nan_when_nothing_is_left,
            "A row of −∞ alone has softmax 0/0 = NaN: a query that may attend to "
            "nothing must get weights of 0.",
            "https://github.com/pytorch/pytorch/issues/41508",
        ),
        Misconception(
            minus_a_billion,
            "With a large finite number in place of −∞, a query that may attend to "
            "nothing gets equal weights on everything that is blocked.",
        ),
        Misconception(
            minus_ten_thousand,
            "You blocked with −10,000 or so, but a score that is allowed can be lower "
            "than that: only −∞ is below every score.",
        ),
        Misconception(
            half_the_minimum,
            "You blocked with a very large finite number, but a score that is allowed "
            "can be lower still: only −∞ is below every score.",
        ),
        Misconception(
            zeros_taken_for_blocked,
            "A score of exactly 0 that is allowed counts as blocked: multiplying by "
            "the mask loses what the mask said. Use the mask itself.",
        ),
        Misconception(
            renormalised_after_softmax,
            "You masked after the softmax and divided by what was left: where the "
            "blocked keys have the high scores, or every key is blocked, what is left "
            "is 0, and 0/0 is NaN. Mask the scores, before the softmax.",
        ),
        Misconception(
            renormalised_with_epsilon,
            "You masked after the softmax and divided by what was left plus a tiny "
            "number: where the blocked keys have the high scores what is left is 0, "
            "and so are your weights. Mask the scores, before the softmax.",
        ),
        Misconception(
            nan_replaced_afterwards,
            "Replacing NaN after the softmax mends the weights but not the gradient: "
            "what comes back through that softmax is NaN. Keep it from ever seeing a "
            "row of −∞ alone.",
            "https://github.com/pytorch/pytorch/pull/42323",
        ),
    ),
    slips=slips.MASKED_ATTENTION_WEIGHTS,
    hints=(
        "What score makes exp(score) exactly 0, whatever the other scores are? "
        "`Tensor.masked_fill` puts it in place.",
        "A mask of shape (batch, 1, 1, n_key) broadcasts by itself in `masked_fill`.",
        "Find the rows in which nothing is allowed (`mask.any(dim=-1, keepdim=True)`). "
        "Give them harmless scores *before* the softmax and weight 0 after it.",
    ),
)


def _show(
    first: Tensor, second: Tensor, names: tuple[str, str] = ("query", "key")
) -> str:
    def rows(tensor: Tensor) -> str:
        if tensor.dtype == torch.bool:
            return str(tensor.tolist())
        return str([[round(v, 4) for v in row] for row in tensor.tolist()])

    return f"      {names[0]} = {rows(first)}\n      {names[1]} = {rows(second)}"


EXERCISES = [ATTENTION_WEIGHTS, WEIGHTED_SUM, MASKED_ATTENTION_WEIGHTS]
