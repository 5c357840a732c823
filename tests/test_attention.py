"""lmlib.attention against the equations, torch's own attention, and its promises."""

import copy
import math
import subprocess
import sys
from collections.abc import Callable

import jaxtyping
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from lmlib.attention import (
    MultiHeadAttention,
    attend,
    attention,
    attention_scores,
    attention_weights,
    causal_mask,
    combine_masks,
    merge_heads,
    padding_mask,
    split_heads,
)
from lmlib.positions import Rotary
from tests import oracles
from tests.oracles import close, to_numpy, tolerance

INF = math.inf
F32, F64, BF16 = torch.float32, torch.float64, torch.bfloat16


# -- Inputs: every dimension a different number, so that a mix-up cannot hide ---------

# (lead…, n_query, n_key, d_k, d_v)
SHAPES = {
    "batch and heads": (2, 3, 4, 5, 6, 7),
    "more queries than keys": (2, 5, 3, 4, 2),
    "neither": (4, 6, 3, 5),
    "one of each": (1, 1, 1, 1),
}


def inputs(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor, Tensor]:
    *lead, n_query, n_key, d_k, d_v = shape
    sizes = (n_query, d_k), (n_key, d_k), (n_key, d_v)
    # Drawn on the cpu, so that every device gets the same numbers.
    query, key, value = (torch.randn(*lead, *size).to(device, dtype) for size in sizes)
    return query, key, value


def random_mask(shape: tuple[int, ...], blocked_rows: bool) -> Tensor:
    """Boolean; the even rows may attend to nothing, or every row to key 0 at least."""
    mask = torch.rand(shape) > 0.5
    if blocked_rows:
        mask[..., ::2, :] = False
    else:
        mask[..., 0] = True
    return mask


def as_additive(mask: Tensor) -> Tensor:
    return torch.zeros(mask.shape).masked_fill(~mask, -INF)


MASKS: dict[str, Callable[[tuple[int, ...]], Tensor | None]] = {
    "no mask": lambda shape: None,
    "boolean": lambda shape: random_mask(shape, blocked_rows=False),
    "boolean with blocked rows": lambda shape: random_mask(shape, blocked_rows=True),
    "boolean that blocks all": lambda shape: torch.zeros(shape, dtype=torch.bool),
    "boolean per key": lambda shape: random_mask((1, shape[-1]), blocked_rows=False),
    "additive": lambda shape: torch.randn(shape),
    "additive per query": lambda shape: torch.randn(shape[-2], 1),
    "additive with -inf": lambda shape: (
        torch.randn(shape) + as_additive(random_mask(shape, blocked_rows=False))
    ),
    "additive with blocked rows": lambda shape: as_additive(
        random_mask(shape, blocked_rows=True)
    ),
}
BLOCKING = [name for name in MASKS if "blocked rows" in name or "all" in name]

by_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
by_mask = pytest.mark.parametrize("mask_kind", MASKS)
by_dtype = pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])


def gradients(output: Tensor, of: list[Tensor]) -> list[Tensor]:
    """Of the sum of the output, each number with a weight of its own."""
    probe = torch.linspace(-1, 1, output.numel()).reshape(output.shape).to(output)
    return list(torch.autograd.grad((output * probe).sum(), of))


# -- attention -----------------------------------------------------------------------


@by_shape
@by_mask
@by_dtype
def test_attention_agrees_with_equation_1(shape, mask_kind, dtype, device):
    query, key, value = inputs(shape, dtype, device)
    mask = MASKS[mask_kind]((*shape[:-4], shape[-4], shape[-3]))
    got = attention(query, key, value, None if mask is None else mask.to(device))
    want = oracles.attention(
        *map(to_numpy, (query, key, value)), None if mask is None else to_numpy(mask)
    )
    # the dot products with the keys, the mask, the softmax, the weighted sum
    roundings = tolerance(dtype, shape[-2] + 1 + 2 * shape[-3])
    for got_part, want_part in zip(got, want, strict=True):
        assert got_part.dtype == dtype
        assert got_part.device.type == device.type
        close(got_part, want_part, **roundings)


@by_mask
def test_attention_in_bfloat16_is_sane(mask_kind, device):
    shape = SHAPES["batch and heads"]
    query, key, value = inputs(shape, BF16, device)
    mask = MASKS[mask_kind](shape[:4])
    if mask is not None and mask.is_floating_point():
        mask = mask.to(BF16)
    got = attention(query, key, value, None if mask is None else mask.to(device))
    want = oracles.attention(
        *map(to_numpy, (query, key, value)), None if mask is None else to_numpy(mask)
    )
    # scale, dot products, mask, softmax, weighted sum: five results are rounded
    for got_part, want_part in zip(got, want, strict=True):
        assert got_part.dtype == BF16
        close(got_part, want_part, **tolerance(BF16, 5))


@by_shape
@by_mask
@by_dtype
def test_attention_agrees_with_sdpa(shape, mask_kind, dtype, device):
    """Forward and all gradients, the mask's too when it is a number per score."""
    leaves = [x.requires_grad_() for x in inputs(shape, dtype, device)]
    query, key, value = leaves
    mask = MASKS[mask_kind]((*shape[:-4], shape[-4], shape[-3]))
    if mask is not None:
        mask = mask.to(device)
        if mask.is_floating_point():
            mask = mask.to(dtype).requires_grad_()
            leaves = [*leaves, mask]
    got, _ = attention(query, key, value, mask)
    want = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    roundings = tolerance(dtype, 2 * (shape[-2] + 1 + 2 * shape[-3]))
    torch.testing.assert_close(got, want, **roundings)
    for got_grad, want_grad in zip(
        gradients(got, leaves), gradients(want, leaves), strict=True
    ):
        torch.testing.assert_close(got_grad, want_grad, **roundings)


@by_mask
@pytest.mark.parametrize("scale", [None, 0.7])
def test_gradients_of_attention_are_the_slopes_of_equation_1(mask_kind, scale):
    shape = SHAPES["more queries than keys"]
    leaves = [x.requires_grad_() for x in inputs(shape, F64)]
    mask = MASKS[mask_kind]((*shape[:-4], shape[-4], shape[-3]))
    got, _ = attention(*leaves, mask, scale=scale)
    probe = torch.randn(got.shape, dtype=F64)
    (got * probe).sum().backward()

    def loss(**qkv: oracles.Array) -> float:
        mask_array = None if mask is None else to_numpy(mask)
        output, _ = oracles.attention(**qkv, mask=mask_array, scale=scale)
        return float((output * probe.numpy()).sum())

    arrays = dict(zip(("query", "key", "value"), map(to_numpy, leaves), strict=True))
    for name, leaf in zip(arrays, leaves, strict=True):
        along = torch.randn(leaf.shape, dtype=F64)
        slope = oracles.directional_derivative(loss, arrays, name, along.numpy())
        np.testing.assert_allclose(
            float((leaf.grad * along).sum()), slope, **oracles.DIFFERENCE_TOLERANCE
        )


def test_second_derivatives_exist_where_rows_are_blocked():
    query, key, value = (
        x.requires_grad_() for x in inputs(SHAPES["more queries than keys"], F64)
    )
    mask = random_mask((5, 3), blocked_rows=True)
    assert torch.autograd.gradgradcheck(
        lambda *qkv: attention(*qkv, mask)[0], (query, key, value)
    )


@by_dtype
def test_without_a_mask_every_row_of_weights_sums_to_one(dtype, device):
    _, weights = attention(*inputs(SHAPES["batch and heads"], dtype, device))
    ones = torch.ones(weights.shape[:-1], dtype=dtype, device=device)
    torch.testing.assert_close(weights.sum(-1), ones, **tolerance(dtype, 5))


@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize("mask_kind", ["no mask", "boolean", "additive with -inf"])
def test_huge_scores_do_not_overflow(size, mask_kind, device):
    scores = torch.randn(3, 4, device=device) * size
    mask = MASKS[mask_kind]((3, 4))
    weights = attention_weights(scores, None if mask is None else mask.to(device))
    assert weights.isfinite().all()
    torch.testing.assert_close(weights.sum(-1).cpu(), torch.ones(3))


def test_scores_of_unit_normal_vectors_have_variance_one():
    """The reason for 1/√d_k. 10,000 products: the estimate is off by 3 × √(2/10⁴)."""
    query, key = torch.randn(100, 64, dtype=F64), torch.randn(100, 64, dtype=F64)
    assert attention_scores(query, key).var().item() == pytest.approx(1, abs=0.15)


def test_leading_dimensions_broadcast():
    """One set of keys for all heads."""
    query, key, value = inputs(SHAPES["batch and heads"], F64)
    key, value = key[:, :1], value[:, :1]
    got, _ = attention(query, key, value)
    want, _ = oracles.attention(*map(to_numpy, (query, key, value)))
    close(got, want, **tolerance(F64, 6 + 2 * 5))


def test_no_key_at_all_gives_zeros():
    output, weights = attention(
        torch.randn(2, 3, 4), torch.randn(2, 0, 4), torch.randn(2, 0, 5)
    )
    assert weights.shape == (2, 3, 0)
    assert torch.equal(output, torch.zeros(2, 3, 5))


def test_dropout_drops_weights_and_scales_up_the_rest():
    """With the identity for values, the output is the weights after dropout. One more
    feature that is 1 everywhere gives their sum: the output itself is not dropped."""
    query, key, ones = inputs((2, 30, 20, 6, 1), F64)
    value = torch.cat((torch.eye(20).expand(2, 20, 20), ones.fill_(1)), -1)
    output, weights = attention(query, key, value, dropout=0.25)
    dropped, sums = output[..., :-1], output[..., -1]
    torch.testing.assert_close(dropped.sum(-1), sums)
    kept = dropped != 0
    # 1200 weights: a share of 0.75 ± 4 standard deviations
    assert kept.double().mean().item() == pytest.approx(0.75, abs=0.05)
    torch.testing.assert_close(dropped[kept], weights[kept] / 0.75)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 30, dtype=F64))


@pytest.mark.parametrize("mask_kind", ["boolean", "additive with blocked rows"])
def test_inputs_are_left_as_they_were(mask_kind):
    tensors = [*inputs(SHAPES["neither"], F32), MASKS[mask_kind]((4, 6))]
    before = copy.deepcopy(tensors)
    attention(*tensors)
    for tensor, copied in zip(tensors, before, strict=True):
        assert torch.equal(tensor, copied)


# -- Rows in which every key is blocked ----------------------------------------------


@pytest.mark.parametrize("mask_kind", BLOCKING)
@by_dtype
def test_blocked_rows_of_attention_are_exact_zeros(mask_kind, dtype, device):
    shape = SHAPES["batch and heads"]
    query, key, value = (x.requires_grad_() for x in inputs(shape, dtype, device))
    mask = MASKS[mask_kind](shape[:4]).to(device)
    allowed = mask if mask.dtype == torch.bool else mask > -INF
    blocked = ~allowed.any(-1)
    output, weights = attention(query, key, value, mask)
    assert blocked.any()
    for zero in (output[blocked], weights[blocked]):
        assert torch.equal(zero, torch.zeros_like(zero))
    # A loss that would notice: it looks at the output and at the weights.
    (output.sum() + weights.square().sum()).backward()
    for leaf in (query, key, value):
        assert leaf.grad.isfinite().all()
    assert not query.grad[blocked].any()
    key_is_used = allowed.any(-2)
    assert not key.grad[~key_is_used].any()
    assert not value.grad[~key_is_used].any()


def test_gradient_of_an_additive_mask_is_zero_where_it_blocks():
    mask = as_additive(random_mask((3, 4), blocked_rows=True)).requires_grad_()
    attention_weights(torch.randn(3, 4), mask).square().sum().backward()
    assert not mask.grad[mask == -INF].any()
    assert mask.grad[mask > -INF].any()


# -- Masks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_query", "n_key", "rows"),
    [
        (3, None, ["1..", "11.", "111"]),
        (2, 4, ["111.", "1111"]),
        (1, 3, ["111"]),
        (4, 2, ["..", "..", "1.", "11"]),
        (0, 2, []),
    ],
)
def test_causal_mask_ends_in_the_lower_right_corner(n_query, n_key, rows, device):
    mask = causal_mask(n_query, n_key, device=device)
    assert mask.device.type == device.type
    assert mask.dtype == torch.bool
    assert ["".join(".1"[int(ok)] for ok in row) for row in mask.tolist()] == rows


def test_the_last_queries_alone_get_what_they_get_among_all():
    """What a cache of keys relies on."""
    query, key, value = inputs((2, 6, 6, 3, 4), F64)
    everything, _ = attention(query, key, value, causal_mask(6))
    last, _ = attention(query[:, -2:], key, value, causal_mask(2, 6))
    torch.testing.assert_close(last, everything[:, -2:])


def test_padding_mask_allows_the_first_keys_of_each_sequence(device):
    mask = padding_mask(torch.tensor([0, 1, 3], device=device), n_key=3)
    assert mask.shape == (3, 1, 1, 3)
    assert mask.device.type == device.type
    assert mask[:, 0, 0].tolist() == [[False] * 3, [True, False, False], [True] * 3]


def test_padding_mask_of_an_empty_batch_is_empty():
    assert padding_mask(torch.zeros(0, dtype=torch.long), 3).shape == (0, 1, 1, 3)


COMBINABLE = {
    "none": None,
    "boolean": torch.tensor([[True, True, False], [True, False, False]]),
    "boolean per key": torch.tensor([[True, False, True]]),
    "additive": torch.tensor([[0.5, -1.0, 2.0], [0.0, -INF, 3.0]]),
    "additive per head": torch.tensor([[[-1.0]], [[-2.0]]]),
}


@pytest.mark.parametrize("first", COMBINABLE)
@pytest.mark.parametrize("second", COMBINABLE)
def test_combined_masks_block_and_add_what_either_does(first, second):
    masks = [COMBINABLE[first], COMBINABLE[second]]
    combined = combine_masks(*masks)
    given = [mask for mask in masks if mask is not None]
    if not given:
        assert combined is None
        return
    assert combined.is_floating_point() == any(m.is_floating_point() for m in given)
    scores = torch.randn(2, 2, 3, dtype=F64)
    want = torch.zeros(2, 2, 3, dtype=F64)
    for head, query, key in np.ndindex(2, 2, 3):
        for mask in given:
            entry = mask.expand(2, 2, 3)[head, query, key].item()
            want[head, query, key] += (
                entry if mask.is_floating_point() else (0.0 if entry else -INF)
            )
    additive = combined if combined.is_floating_point() else as_additive(combined)
    assert torch.equal(additive.expand(2, 2, 3).double(), want)
    torch.testing.assert_close(
        attention_weights(scores, combined), attention_weights(scores, want)
    )


def test_any_number_of_masks_combine():
    assert combine_masks() is None
    additive, boolean = COMBINABLE["additive"], COMBINABLE["boolean"]
    combined = combine_masks(None, boolean, COMBINABLE["boolean per key"], additive)
    assert combined.tolist() == [[0.5, -INF, -INF], [0.0, -INF, -INF]]


def test_combining_leaves_the_masks_as_they_were():
    boolean, additive = COMBINABLE["boolean"].clone(), COMBINABLE["additive"].clone()
    combine_masks(boolean, additive, boolean)
    assert torch.equal(boolean, COMBINABLE["boolean"])
    assert torch.equal(additive, COMBINABLE["additive"])


# -- Heads ----------------------------------------------------------------------------


def test_split_heads_gives_each_head_a_run_of_features_of_every_position():
    batch, n, n_heads, d_head = 2, 3, 4, 5
    x = torch.arange(batch * n * n_heads * d_head).reshape(batch, n, -1).float()
    heads = split_heads(x, n_heads)
    assert heads.shape == (batch, n_heads, n, d_head)
    for b, h, p, c in np.ndindex(*heads.shape):
        assert heads[b, h, p, c] == x[b, p, h * d_head + c]


@pytest.mark.parametrize("lead", [(), (2,), (2, 7), (0,)])
@pytest.mark.parametrize("n_heads", [1, 3, 12])
def test_merge_heads_undoes_split_heads(lead, n_heads):
    x = torch.randn(*lead, 5, 12)
    assert torch.equal(merge_heads(split_heads(x, n_heads)), x)


# -- The layer ------------------------------------------------------------------------

BATCH, N_QUERY, N_KEY = 2, 3, 5
LAYERS = {
    "self": {"d_model": 12, "n_heads": 4},
    "cross": {"d_model": 12, "n_heads": 4, "d_context": 10},
    "without bias": {"d_model": 12, "n_heads": 4, "bias": False},
    "grouped query": {"d_model": 12, "n_heads": 6, "n_kv_heads": 2},
    "grouped query, cross": {
        "d_model": 12,
        "n_heads": 6,
        "n_kv_heads": 3,
        "d_context": 10,
    },
    "multi-query": {"d_model": 12, "n_heads": 4, "n_kv_heads": 1},
    "rotary": {"d_model": 12, "n_heads": 3, "rotate": Rotary()},
    "rotary, grouped query": {
        "d_model": 12,
        "n_heads": 3,
        "n_kv_heads": 1,
        "rotate": Rotary(interleaved=False),
    },
}
UNGROUPED = ["self", "cross", "without bias"]
by_layer = pytest.mark.parametrize("layer_kind", LAYERS)


def make_layer(
    layer_kind: str, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> tuple[MultiHeadAttention, Tensor, Tensor | None]:
    """The layer, x, and the context of another length (None for self-attention)."""
    arguments = LAYERS[layer_kind]
    layer = MultiHeadAttention(**arguments).to(device, dtype)
    x = torch.randn(BATCH, N_QUERY, layer.query.in_features).to(device, dtype)
    if layer_kind in ("self", "rotary"):
        return layer, x, None
    context = torch.randn(BATCH, N_KEY, layer.key.in_features).to(device, dtype)
    return layer, x, context


def layer_mask(
    mask_kind: str, layer: MultiHeadAttention, context: Tensor | None
) -> Tensor | None:
    n_key = N_QUERY if context is None else N_KEY
    return MASKS[mask_kind]((BATCH, layer.n_heads, N_QUERY, n_key))


def oracle_of(
    layer: MultiHeadAttention, x: Tensor, context: Tensor | None, mask: Tensor | None
) -> tuple[oracles.Array, oracles.Array]:
    def rotate(head: oracles.Array, positions: list[int]) -> oracles.Array:
        if layer.rotate is None:
            return head
        return oracles.rotary(head, positions, interleaved=layer.rotate.interleaved)

    return oracles.multi_head_attention(
        to_numpy(x),
        to_numpy(x if context is None else context),
        {name: to_numpy(p) for name, p in layer.named_parameters()},
        layer.n_heads,
        layer.n_kv_heads,
        None if mask is None else to_numpy(mask),
        rotate,
    )


@pytest.mark.parametrize("dtype", [torch.bool, F32], ids=["boolean", "additive"])
@pytest.mark.parametrize("rows", ["broadcast", "transposed", "whole"])
def test_fused_kernel_is_given_rows_in_one_piece(rows, dtype, monkeypatch):
    """On a GPU it refuses others: "(*bias): last dimension must be contiguous"."""
    mask = torch.ones(5, 1) if rows == "broadcast" else torch.ones(5, 5)
    mask = (mask.mT if rows == "transposed" else mask).to(dtype)
    seen = []

    def spy(query, key, value, attn_mask=None, **rest):
        seen.append(attn_mask)
        return kernel(query, key, value, attn_mask, **rest)

    kernel = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    x = torch.randn(2, 5, 8)
    MultiHeadAttention(8, 2)(x, mask=mask)
    attend(*3 * [x[:, None]], mask)
    for got in seen:
        assert got.shape[-1] == 5
        assert got.stride(-1) == 1
        assert torch.equal(got, mask.expand(5, 5))
    assert len(seen) == 2
    assert (seen[0] is mask) == (rows == "whole")


@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@by_mask
def test_products_one_by_one_are_attention(
    mask_kind, dropout, causal, monkeypatch, device
):
    """The way that does not keep the weights: the same output and gradients."""
    shape = SHAPES["batch and heads"]
    monkeypatch.setattr("lmlib.attention.fused_is_faster", lambda *qkv: False)
    parts = [x.requires_grad_() for x in inputs(shape, F64, device)]
    mask = MASKS[mask_kind](shape[:4])
    mask = None if mask is None else mask.to(device)
    seen = causal_mask(*shape[2:4], device) if causal else None
    torch.manual_seed(1)
    got = attend(*parts, mask, causal=causal, scale=0.3, dropout=dropout)
    torch.manual_seed(1)
    whole = combine_masks(seen, mask)
    want = attention(*parts, whole, scale=0.3, dropout=dropout)[0]
    close(got, to_numpy(want), **tolerance(F64, shape[-2] + 1 + 2 * shape[-3]))
    for ours, theirs in zip(gradients(got, parts), gradients(want, parts), strict=True):
        close(ours, to_numpy(theirs), **tolerance(F64, 2 * sum(shape[2:])))


def test_products_one_by_one_give_a_learned_bias_its_gradient(monkeypatch, device):
    monkeypatch.setattr("lmlib.attention.fused_is_faster", lambda *qkv: False)
    parts = inputs(SHAPES["batch and heads"], F64, device)
    bias = torch.randn(3, 4, 5).to(device, F64).requires_grad_()
    (got,) = gradients(attend(*parts, bias), [bias])
    (want,) = gradients(attention(*parts, bias)[0], [bias])
    assert got.shape == bias.shape
    close(got, to_numpy(want), **tolerance(F64, 50))


@pytest.mark.parametrize(
    ("case", "fused"),
    [
        ("learning", False),
        ("value alone learns", False),
        ("nothing learns", True),
        ("no gradients are wanted", True),
        ("long", True),
        ("float32", True),
    ],
)
def test_products_one_by_one_are_for_short_bfloat16_that_learns(
    case, fused, monkeypatch
):
    """On a CPU the fused kernel's backward is slow there, and its forward is not."""
    n = 513 if case == "long" else 512
    dtype = F32 if case == "float32" else BF16
    query, key, value = (torch.randn(1, 2, n, 4, dtype=dtype) for _ in range(3))
    if case != "nothing learns":
        value.requires_grad_()
        if case != "value alone learns":
            query.requires_grad_()
    calls = []
    kernel = F.scaled_dot_product_attention

    def spy(*args, **rest):
        calls.append(1)
        return kernel(*args, **rest)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    with torch.set_grad_enabled(case != "no gradients are wanted"):
        attend(query, key, value, causal=True)
    assert bool(calls) == fused


@by_layer
@by_mask
@by_dtype
def test_layer_agrees_with_the_equations(layer_kind, mask_kind, dtype, device):
    layer, x, context = make_layer(layer_kind, dtype, device)
    mask = layer_mask(mask_kind, layer, context)
    on_device = None if mask is None else mask.to(device)
    want_output, want_weights = oracle_of(layer, x, context, mask)
    # projections, rotation, scores, softmax and sum over keys, output projection
    roundings = tolerance(dtype, 12 + 2 + 4 + 2 * N_KEY + 12)
    output, weights = layer(x, context, on_device), layer.weights(x, context, on_device)
    for got, want in ((output, want_output), (weights, want_weights)):
        assert got.dtype == dtype
        close(got, want, **roundings)


@by_layer
def test_layer_in_bfloat16_is_sane(layer_kind, device):
    layer, x, context = make_layer(layer_kind, BF16, device)
    mask = layer_mask("boolean with blocked rows", layer, context)
    want_output, want_weights = oracle_of(layer, x, context, mask)
    # project, rotate (3), scale, scores, softmax, sum, output: results are rounded
    roundings = tolerance(BF16, 9)
    close(layer(x, context, mask.to(device)), want_output, **roundings)
    close(layer.weights(x, context, mask.to(device)), want_weights, **roundings)


@by_layer
@pytest.mark.parametrize("mask_kind", ["no mask", "boolean with blocked rows"])
def test_gradients_of_the_layer_are_the_slopes_of_the_equations(layer_kind, mask_kind):
    """Of x, of the context and of every parameter."""
    layer, x, context = make_layer(layer_kind, F64)
    mask = layer_mask(mask_kind, layer, context)
    leaves = {"x": x, **dict(layer.named_parameters())}
    if context is not None:
        leaves["context"] = context
    for leaf in leaves.values():
        leaf.requires_grad_()
    output = layer(x, context, mask)
    probe = torch.randn(output.shape, dtype=F64)
    (output * probe).sum().backward()

    def loss(**arrays: oracles.Array) -> float:
        with torch.no_grad():
            moved = copy.deepcopy(layer)
            for name, parameter in moved.named_parameters():
                parameter.copy_(torch.from_numpy(arrays[name]))
            moved_x, moved_context = (
                torch.from_numpy(arrays[name]) if name in arrays else None
                for name in ("x", "context")
            )
            output, _ = oracle_of(moved, moved_x, moved_context, mask)
        return float((output * probe.numpy()).sum())

    arrays = {name: to_numpy(leaf) for name, leaf in leaves.items()}
    for name, leaf in leaves.items():
        along = torch.randn(leaf.shape, dtype=F64)
        slope = oracles.directional_derivative(loss, arrays, name, along.numpy())
        np.testing.assert_allclose(
            float((leaf.grad * along).sum()),
            slope,
            **oracles.DIFFERENCE_TOLERANCE,
            err_msg=name,
        )


def torch_attention(
    layer: MultiHeadAttention, x: Tensor, source: Tensor, **arguments: object
) -> tuple[Tensor, Tensor]:
    """`torch.nn.MultiheadAttention` with the layer's own parameters, so that both send
    their gradients to the same tensors."""
    d_model, d_context = layer.query.in_features, layer.key.in_features
    bias = layer.query.bias is not None
    reference = nn.MultiheadAttention(
        d_model, layer.n_heads, bias=bias, kdim=d_context, vdim=d_context,
        batch_first=True,
    ).to(x)  # fmt: skip
    projections = (layer.query, layer.key, layer.value)
    weights = [projection.weight for projection in projections]
    if d_context == d_model:
        parameters = {"in_proj_weight": torch.cat(weights)}
    else:
        names = [f"{name}_proj_weight" for name in "qkv"]
        parameters = dict(zip(names, weights, strict=True))
    parameters["out_proj.weight"] = layer.output.weight
    if bias:
        parameters["in_proj_bias"] = torch.cat([p.bias for p in projections])
        parameters["out_proj.bias"] = layer.output.bias
    return functional_call(
        reference, parameters, (x, source, source), arguments, strict=True
    )


@pytest.mark.parametrize("layer_kind", UNGROUPED)
@pytest.mark.parametrize("mask_kind", [name for name in MASKS if name not in BLOCKING])
@by_dtype
def test_layer_agrees_with_torchs_multihead_attention(
    layer_kind, mask_kind, dtype, device
):
    """Forward, weights, gradients of inputs and parameters. (It gives NaN, and we give
    zeros, where all keys are blocked: those masks are left out.)"""
    layer, x, context = make_layer(layer_kind, dtype, device)
    mask = layer_mask(mask_kind, layer, context)
    source = x if context is None else context
    leaves = [x.requires_grad_(), *layer.parameters()]
    if context is not None:
        leaves.append(context.requires_grad_())
    reference_mask = None
    if mask is not None:
        mask = mask.to(device)
        shape = (BATCH, layer.n_heads, N_QUERY, source.shape[1])
        reference_mask = mask.expand(shape).flatten(0, 1)
        # True blocks in torch's layer; in ours True allows.
        reference_mask = (
            ~reference_mask if mask.dtype == torch.bool else reference_mask.to(dtype)
        )
    got = layer(x, context, mask)
    want, want_weights = torch_attention(
        layer,
        x,
        source,
        attn_mask=reference_mask,
        average_attn_weights=False,
    )
    # twice, for both round: projections, scores, softmax and sum over keys, output
    roundings = tolerance(dtype, 2 * (12 + 3 + 2 * N_KEY + 12))
    torch.testing.assert_close(got, want, **roundings)
    weights = layer.weights(x, context, mask)
    torch.testing.assert_close(weights, want_weights, **roundings)
    for got_grad, want_grad in zip(
        gradients(got, leaves), gradients(want, leaves), strict=True
    ):
        torch.testing.assert_close(got_grad, want_grad, **roundings)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 3, 6])
@pytest.mark.parametrize("mask_kind", MASKS)
def test_layer_agrees_with_sdpas_grouped_heads(n_kv_heads, mask_kind, device):
    layer = MultiHeadAttention(12, 6, n_kv_heads=n_kv_heads).to(device, F64)
    x = torch.randn(BATCH, N_QUERY, 12, dtype=F64).to(device)
    context = torch.randn(BATCH, N_KEY, 12, dtype=F64).to(device)
    mask = layer_mask(mask_kind, layer, context)
    if mask is not None:
        mask = mask.to(device)
        mask = mask.to(F64) if mask.is_floating_point() else mask

    def heads(projected: Tensor, n_heads: int) -> Tensor:
        return torch.stack(projected.chunk(n_heads, dim=-1), dim=1)

    want = F.scaled_dot_product_attention(
        heads(layer.query(x), 6),
        heads(layer.key(context), n_kv_heads),
        heads(layer.value(context), n_kv_heads),
        attn_mask=mask,
        enable_gqa=True,
    )
    want = layer.output(torch.cat(want.unbind(1), dim=-1))
    torch.testing.assert_close(layer(x, context, mask), want)


@by_layer
@by_mask
@by_dtype
def test_weights_are_those_that_forward_uses(layer_kind, mask_kind, dtype, device):
    layer, x, context = make_layer(layer_kind, dtype, device)
    mask = layer_mask(mask_kind, layer, context)
    mask = None if mask is None else mask.to(device)
    value = layer.value(x if context is None else context)
    value = torch.stack(value.chunk(layer.n_kv_heads, -1), 1)
    weights = layer.weights(x, context, mask)
    per_group = layer.n_heads // layer.n_kv_heads
    heads = [weights[:, h] @ value[:, h // per_group] for h in range(layer.n_heads)]
    torch.testing.assert_close(
        layer(x, context, mask),
        layer.output(torch.cat(heads, -1)),
        **tolerance(dtype, 12 + 4 + 2 * N_KEY + 12),
    )


@pytest.mark.parametrize("layer_kind", ["self", "cross", "multi-query", "rotary"])
@pytest.mark.parametrize("mask_kind", BLOCKING)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@by_dtype
def test_blocked_rows_of_the_layer_are_its_output_bias(
    layer_kind, mask_kind, dropout, training, dtype, device
):
    """Zeros before the output projection; zero, not NaN, in the backward pass."""
    layer, x, context = make_layer(layer_kind, dtype, device)
    layer.dropout = dropout
    layer.train(training)
    x.requires_grad_()
    # The same rows are blocked for all heads, so that the output shows it.
    full = layer_mask(mask_kind, layer, context)[:, :1].to(device)
    allowed = full if full.dtype == torch.bool else full > -INF
    blocked = ~allowed.any(-1)[:, 0]
    assert blocked.any()
    output = layer(x, context, full)
    assert torch.equal(
        output[blocked], layer.output.bias.expand_as(output[blocked]).to(dtype)
    )
    weights = layer.weights(x, context, full)
    assert not weights.transpose(1, 2)[blocked].any()
    (output.square().sum() + weights.square().sum()).backward()
    assert x.grad.isfinite().all()
    for name, parameter in layer.named_parameters():
        assert parameter.grad.isfinite().all(), name
    if context is not None:
        assert not x.grad[blocked].any()


@pytest.mark.parametrize("layer_kind", ["self", "grouped query", "rotary"])
@pytest.mark.parametrize("t", [1, 3, 5])
def test_a_causal_layer_does_not_see_the_future(layer_kind, t, device):
    """Positions before t stay as they are to the last bit; the others move."""
    layer, _, _ = make_layer(layer_kind, F32, device)
    x = torch.randn(BATCH, 6, 12).to(device)
    changed = x.clone()
    changed[:, t:] = torch.randn(BATCH, 6 - t, 12).to(device)
    mask = causal_mask(6, device=device)
    before, after = layer(x, mask=mask), layer(changed, mask=mask)
    assert torch.equal(before[:, :t], after[:, :t])
    assert (before[:, t:] - after[:, t:]).abs().amin(dim=(0, 2)).gt(0).all()


def test_the_gradient_of_the_past_with_respect_to_the_future_is_zero(device):
    layer, _, _ = make_layer("self", F64, device)
    x = torch.randn(1, 5, 12, dtype=F64).to(device)
    mask = causal_mask(5, device=device)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x, mask=mask), x)
    depends = jacobian.abs().amax(dim=(0, 2, 3, 5)) > 0
    assert torch.equal(depends, mask)


@pytest.mark.parametrize("layer_kind", ["cross", "grouped query"])
def test_padding_is_not_seen(layer_kind, device):
    layer, x, context = make_layer(layer_kind, F32, device)
    lengths = torch.tensor([2, 4], device=device)
    mask = padding_mask(lengths, N_KEY)
    before = layer(x, context, mask)
    for b, length in enumerate(lengths.tolist()):
        padded = context.clone()
        padded[b, length:] = 1e3
        assert torch.equal(layer(x, padded, mask)[b], before[b])
        # The last key that is not padding does count.
        padded[b, length - 1] = 1e3
        assert not torch.allclose(layer(x, padded, mask)[b], before[b])


def test_padding_gives_what_the_shorter_sequence_gives(device):
    layer, x, context = make_layer("cross", F64, device)
    padded = layer(x, context, padding_mask(torch.tensor([3, 3], device=device), N_KEY))
    torch.testing.assert_close(padded, layer(x, context[:, :3]))


MASK_SHAPES = [
    (1, 1),
    (1, N_KEY),
    (N_QUERY, 1),
    (N_QUERY, N_KEY),
    (4, 1, N_KEY),
    (1, N_QUERY, N_KEY),
    (BATCH, 1, 1, N_KEY),
    (BATCH, 4, N_QUERY, 1),
    (1, 4, 1, 1),
]


@pytest.mark.parametrize("mask_shape", MASK_SHAPES, ids=str)
@pytest.mark.parametrize("additive", [False, True], ids=["boolean", "additive"])
def test_masks_broadcast_over_whatever_is_missing_or_one(mask_shape, additive, device):
    layer, x, context = make_layer("cross", F64, device)
    mask = torch.randn(mask_shape) if additive else torch.rand(mask_shape) > 0.3
    mask = mask.to(device)
    full = mask.expand(BATCH, 4, N_QUERY, N_KEY).contiguous()
    torch.testing.assert_close(layer(x, context, mask), layer(x, context, full))
    assert torch.equal(layer.weights(x, context, mask), layer.weights(x, context, full))


def test_a_learned_additive_mask_gets_its_gradient_through_the_layer(device):
    """As T5's bias does: per head, the same for every sequence."""
    layer, x, context = make_layer("cross", F64, device)
    bias = torch.randn(4, N_QUERY, N_KEY, dtype=F64).to(device)
    assert torch.autograd.gradcheck(
        lambda bias: layer(x, context, bias), bias.requires_grad_()
    )


def test_dropout_acts_in_training_alone(device):
    layer, x, _ = make_layer("self", F64, device)
    without = layer(x)
    layer.dropout = 0.5
    assert not torch.allclose(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), without)


def test_the_layers_dropout_drops_weights_and_scales_up_the_rest():
    """Keys are basis vectors and the projections identities, so that the output is the
    weights after dropout."""
    layer = MultiHeadAttention(16, 1, dropout=0.25, bias=False)
    with torch.no_grad():
        layer.value.weight.copy_(torch.eye(16))
        layer.output.weight.copy_(torch.eye(16))
    x, context = torch.randn(2, 40, 16), torch.eye(16).expand(2, 16, 16)
    dropped, weights = layer(x, context), layer.weights(x, context)[:, 0]
    kept = dropped != 0
    # 1280 weights: a share of 0.75 ± 4 standard deviations
    assert kept.double().mean().item() == pytest.approx(0.75, abs=0.05)
    torch.testing.assert_close(dropped[kept], weights[kept] / 0.75)


# -- The layer as a torch module -----------------------------------------------------


def test_parameters_are_four_projections_and_can_be_saved():
    layer = MultiHeadAttention(12, 6, n_kv_heads=2, d_context=10, rotate=Rotary())
    state = layer.state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "query.weight": (12, 12),
        "query.bias": (12,),
        "key.weight": (4, 10),
        "key.bias": (4,),
        "value.weight": (4, 10),
        "value.bias": (4,),
        "output.weight": (12, 12),
        "output.bias": (12,),
    }
    # safetensors refuses tensors that share memory or have gaps
    assert all(tensor.is_contiguous() for tensor in state.values())
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)


@by_layer
def test_a_copied_layer_gives_the_same_and_is_independent(layer_kind):
    layer, x, context = make_layer(layer_kind, F32)
    copied = copy.deepcopy(layer)
    before = layer(x, context)
    assert torch.equal(copied(x, context), before)
    with torch.no_grad():
        copied.output.weight.zero_()
    assert torch.equal(layer(x, context), before)


@by_layer
def test_a_layer_on_the_meta_device_has_shapes_and_no_numbers(layer_kind):
    with torch.device("meta"):
        layer = MultiHeadAttention(**LAYERS[layer_kind])
        x = torch.empty(BATCH, N_QUERY, layer.query.in_features)
        context = torch.empty(BATCH, N_KEY, layer.key.in_features)
        output = layer(x, context, causal_mask(N_QUERY, N_KEY))
    assert output.device.type == "meta"
    assert output.shape == x.shape


# -- What can be wrong with the arguments ---------------------------------------------

ones = torch.ones


def layer_12(**arguments) -> MultiHeadAttention:
    return MultiHeadAttention(12, 4, **arguments)


MISTAKES = {
    "query and key of different d_k": (
        lambda: attention(ones(3, 4), ones(5, 6), ones(5, 7)),
        ValueError,
        r"same d_k.*query \(3, 4\), key \(5, 6\), value \(5, 7\)",
    ),
    "more keys than values": (
        lambda: attention(ones(3, 4), ones(5, 4), ones(6, 7)),
        ValueError,
        r"one value per key.*key \(5, 4\), value \(6, 7\)",
    ),
    "a vector for a query": (
        lambda: attention(ones(4), ones(5, 4), ones(5, 7)),
        ValueError,
        r"at least \(positions, features\).*query \(4,\)",
    ),
    "batches that do not fit": (
        lambda: attention(ones(2, 3, 4), ones(5, 3, 4), ones(5, 3, 4)),
        ValueError,
        r"leading dimensions.*query \(2, 3, 4\), key \(5, 3, 4\)",
    ),
    "values of another batch": (
        lambda: attention(ones(2, 3, 4), ones(2, 3, 4), ones(5, 3, 4)),
        ValueError,
        r"leading dimensions.*value \(5, 3, 4\)",
    ),
    "context of another batch": (
        lambda: layer_12()(ones(1, 3, 12), ones(2, 5, 12)),
        ValueError,
        r"same batch.*x \(1, 3, 12\), context \(2, 5, 12\)",
    ),
    "integer mask": (
        lambda: attention_weights(ones(2, 3), ones(2, 3, dtype=torch.long)),
        TypeError,
        r"mask must be boolean .* or floating point .*torch.int64.*\.bool\(\)",
    ),
    "integer mask in attention": (
        lambda: attention(*[ones(3, 3)] * 3, ones(3, 3, dtype=torch.uint8)),
        TypeError,
        r"mask must be boolean .*torch.uint8",
    ),
    "integer mask in the layer": (
        lambda: layer_12()(ones(2, 3, 12), mask=ones(3, 3, dtype=torch.long)),
        TypeError,
        r"mask must be boolean .*torch.int64",
    ),
    "integer mask in the layer's weights": (
        lambda: layer_12().weights(ones(2, 3, 12), mask=ones(3, 3, dtype=torch.long)),
        TypeError,
        r"mask must be boolean .*torch.int64",
    ),
    "integer mask combined": (
        lambda: combine_masks(causal_mask(3), None, ones(1, 3, dtype=torch.long)),
        TypeError,
        r"mask must be boolean .*torch.int64",
    ),
    "mask of another length": (
        lambda: attention_weights(ones(2, 3), ones(2, 4)),
        ValueError,
        r"mask of shape \(2, 4\).*\(2, 3\) \(…, query, key\)",
    ),
    "mask that would add a dimension": (
        lambda: attention_weights(ones(2, 3), ones(5, 2, 3)),
        ValueError,
        r"mask of shape \(5, 2, 3\).*\(2, 3\)",
    ),
    "mask that would enlarge a dimension": (
        lambda: attention_weights(ones(1, 3), ones(4, 3)),
        ValueError,
        r"mask of shape \(4, 3\).*\(1, 3\)",
    ),
    "mask that would enlarge the layer's batch": (
        lambda: layer_12()(ones(1, 3, 12), mask=ones(2, 1, 3, 3)),
        ValueError,
        r"mask of shape \(2, 1, 3, 3\).*\(1, 4, 3, 3\)",
    ),
    "key padding mask without its two middle dimensions": (
        lambda: layer_12()(ones(2, 3, 12), mask=ones(2, 3).bool()),
        ValueError,
        r"mask of shape \(2, 3\).*\(2, 4, 3, 3\)",
    ),
    "mask of one dimension": (
        lambda: layer_12()(ones(2, 3, 12), mask=ones(3).bool()),
        ValueError,
        r"mask of shape \(3,\) .* \(…, query, key\)",
    ),
    "heads that do not divide the features": (
        lambda: MultiHeadAttention(12, 5),
        ValueError,
        "n_heads must divide d_model; got n_heads = 5, d_model = 12",
    ),
    "no heads": (
        lambda: split_heads(ones(2, 3, 12), 0),
        ValueError,
        "n_heads must divide d_model; got n_heads = 0, d_model = 12",
    ),
    "key heads that do not divide the query heads": (
        lambda: layer_12(n_kv_heads=3),
        ValueError,
        "n_kv_heads must divide n_heads; got n_kv_heads = 3, n_heads = 4",
    ),
    "x of another width": (
        lambda: layer_12()(ones(2, 3, 11)),
        ValueError,
        r"x must have shape \(batch, positions, 12\), got \(2, 3, 11\)",
    ),
    "x without a batch": (
        lambda: layer_12()(ones(3, 12)),
        ValueError,
        r"x must have shape \(batch, positions, 12\), got \(3, 12\)",
    ),
    "context of another width": (
        lambda: layer_12(d_context=10).weights(ones(2, 3, 12), ones(2, 5, 12)),
        ValueError,
        r"context must have shape \(batch, positions, 10\), got \(2, 5, 12\)",
    ),
    "no context where its width differs": (
        lambda: layer_12(d_context=10)(ones(2, 3, 12)),
        ValueError,
        r"context must have shape \(batch, positions, 10\), got \(2, 3, 12\)",
    ),
    "a length beyond the keys": (
        lambda: padding_mask(torch.tensor([2, 5]), 4),
        ValueError,
        r"lengths must lie between 0 and n_key = 4, got \[2, 5\]",
    ),
    "a negative length": (
        lambda: padding_mask(torch.tensor([2, -1]), 4),
        ValueError,
        r"lengths must lie between 0 and n_key = 4, got \[2, -1\]",
    ),
}


@pytest.mark.usefixtures("no_runtime_types")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_what_was_expected_and_what_came(mistake):
    call, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: attention_weights(ones(2, 3, dtype=torch.long)),
        lambda: attention_scores(ones(3, 4), ones(5, 6)),
        lambda: layer_12()(ones(3, 12)),
    ],
    ids=["dtype", "shape", "method"],
)
def test_the_runtime_checker_is_on(call):
    """Without it the signatures would be comments, and nobody would notice."""
    with pytest.raises(jaxtyping.TypeCheckError):
        call()


@pytest.mark.parametrize("rotate", [None, Rotary()], ids=["plain", "rotary"])
@pytest.mark.parametrize("n_new", [1, 3])
def test_last_positions_alone_give_the_last_rows_of_the_whole(rotate, n_new):
    """As in generation with a cache: the queries are the newest positions."""
    layer = MultiHeadAttention(12, 3, rotate=rotate).double()
    x = torch.randn(2, 7, 12, dtype=F64)
    whole = layer(x, mask=causal_mask(7))
    new = layer(x[:, -n_new:], x, mask=causal_mask(n_new, 7))
    close(
        new.detach(), whole[:, -n_new:].detach(), **tolerance(F64, 12 + 2 + 4 + 14 + 12)
    )


def test_attention_does_not_load_sympy():
    """As torch.broadcast_shapes does, which takes half a second."""
    code = (
        "import sys, torch; from lmlib.attention import attention; "
        "x = torch.ones(2, 3, 4); "
        "attention(x, x[:1], x, mask=torch.ones(3, 3, dtype=torch.bool)); "
        "print('sympy' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ran.stdout == "False\n", ran.stderr
