"""lmlib.positions against the papers, and what each encoding promises."""

import copy
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from lmlib.attention import (
    MultiHeadAttention,
    attention_weights,
    causal_mask,
    combine_masks,
)
from lmlib.positions import (
    LearnedPositions,
    Rotary,
    RotaryScaling,
    SinusoidalPositions,
    T5RelativeBias,
    alibi_bias,
    alibi_slopes,
    apply_rotary,
    relative_position_buckets,
    relative_positions,
    rotary_angles,
    sinusoidal_positions,
)
from tests import oracles
from tests.oracles import close, to_numpy, tolerance

F32, F64, BF16 = torch.float32, torch.float64, torch.bfloat16
INF = math.inf
FAR = 100_000

by_dtype = pytest.mark.parametrize(
    "dtype", [F32, F64, BF16], ids=["float32", "float64", "bfloat16"]
)
by_layout = pytest.mark.parametrize(
    "interleaved", [True, False], ids=["pairs", "halves"]
)


# -- Why positions are needed ---------------------------------------------------------

D_MODEL, N_HEADS, N = 12, 3, 5
SHUFFLED = [3, 1, 4, 0, 2]

Encoder = Callable[[Tensor], Tensor]


def with_mask(layer: MultiHeadAttention, mask: Tensor) -> Encoder:
    return lambda x: layer(x, mask=mask)


# each takes a layer without positions and gives a function of x that has them
ENCODINGS: dict[str, Callable[[MultiHeadAttention], Encoder]] = {
    "sinusoidal": lambda layer: nn.Sequential(SinusoidalPositions(D_MODEL), layer),
    "learned": lambda layer: nn.Sequential(LearnedPositions(N, D_MODEL), layer),
    "rotary": lambda layer: MultiHeadAttention(D_MODEL, N_HEADS, rotate=Rotary()),
    "alibi": lambda layer: with_mask(layer, alibi_bias(N_HEADS, N)),
    "t5": lambda layer: with_mask(layer, T5RelativeBias(N_HEADS)(N)),
}


def test_attention_alone_does_not_see_the_order():
    layer = MultiHeadAttention(D_MODEL, N_HEADS).double()
    x = torch.randn(2, N, D_MODEL, dtype=F64)
    shuffled_first, shuffled_last = layer(x[:, SHUFFLED]), layer(x)[:, SHUFFLED]
    torch.testing.assert_close(
        shuffled_first, shuffled_last, **tolerance(F64, 12 + 4 + 2 * N + 12)
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_each_encoding_makes_it_see_the_order(encoding):
    """By a margin of a thousand roundings and more."""
    x = torch.randn(2, N, D_MODEL)
    encoded = ENCODINGS[encoding](MultiHeadAttention(D_MODEL, N_HEADS))
    difference = encoded(x[:, SHUFFLED]) - encoded(x)[:, SHUFFLED]
    assert difference.abs().max() > 1000 * tolerance(F32, 1)["atol"]


def test_alibi_without_a_causal_mask_cannot_tell_forwards_from_backwards():
    """It knows distances alone. T5's buckets know the side."""
    layer = MultiHeadAttention(D_MODEL, N_HEADS).double()
    x = torch.randn(2, N, D_MODEL, dtype=F64)
    for encoding, tells in (("alibi", False), ("t5", True)):
        encoded = ENCODINGS[encoding](layer)
        backwards = encoded(x.flip(1)).flip(1)
        assert torch.allclose(encoded(x), backwards) != tells


# -- Sinusoidal -----------------------------------------------------------------------


@pytest.mark.parametrize("d_model", [2, 4, 10])
@pytest.mark.parametrize("base", [10_000.0, 7.0])
def test_sinusoidal_positions_agree_with_section_3_5(d_model, base, device):
    table = sinusoidal_positions(9, d_model, base=base, device=device)
    assert table.dtype == F32
    assert table.device.type == device.type
    want = oracles.sinusoids(9, d_model, base)
    close(table, want, **tolerance(F32, 1))
    module = SinusoidalPositions(d_model, base=base)
    close(module(torch.zeros(9, d_model, device=device)), want, **tolerance(F32, 1))


def test_position_zero_is_zeros_and_ones():
    assert sinusoidal_positions(1, 6).tolist() == [[0, 1, 0, 1, 0, 1]]


def test_a_shift_of_sinusoids_is_a_rotation():
    """The reason that Vaswani et al. give for them: PE(p + k) is linear in PE(p)."""
    table = SinusoidalPositions(6)(torch.zeros(20, 6, dtype=F64))
    shift = torch.linalg.lstsq(table[:-3], table[3:])
    torch.testing.assert_close(table[:-3] @ shift.solution, table[3:])


@by_dtype
def test_sinusoidal_positions_are_added_as_exactly_as_x_can_hold(dtype, device):
    x = torch.randn(2, 3, 7, 4).to(device, dtype)
    got = SinusoidalPositions(4)(x)
    assert got.dtype == dtype
    close(got, to_numpy(x) + oracles.sinusoids(7, 4), **tolerance(dtype, 2))


@by_dtype
def test_sinusoids_are_exact_far_out(dtype, device):
    got = SinusoidalPositions(4)(torch.zeros(FAR + 1, 4, dtype=dtype, device=device))
    # sin(p·ωᵢ): float64 knows the angle 100,000 to 1e-11
    t = max(tolerance(dtype, 1)["atol"], 2e-11)
    close(got[-1:], oracles.sinusoids(FAR + 1, 4)[-1:], rtol=0, atol=t)


# -- Learned --------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 4, 6])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_learned_positions_add_the_first_rows_of_the_table(n, lead, device):
    positions = LearnedPositions(6, 4).to(device)
    x = torch.randn(*lead, n, 4).to(device)
    assert torch.equal(positions(x), x + positions.table[:n])
    positions(x).sum().backward()
    used = torch.zeros(6, 4, device=device)
    used[:n] = math.prod(lead)
    assert torch.equal(positions.table.grad, used)


def test_learned_positions_start_as_small_noise():
    """σ = 0.02 as in BERT and GPT-2; 10,000 numbers tell it within 3 %."""
    assert LearnedPositions(100, 100).table.std().item() == pytest.approx(
        0.02, rel=0.03
    )


# -- Rotary ---------------------------------------------------------------------------


@by_layout
@by_dtype
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5, 6), (2, 1, 2)], ids=str)
def test_rotary_multiplies_complex_numbers(shape, dtype, interleaved, device):
    x = torch.randn(shape).to(device, dtype)
    want = oracles.rotary(to_numpy(x), list(range(shape[-2])), interleaved=interleaved)
    for got in (
        apply_rotary(x, interleaved=interleaved),
        Rotary(interleaved=interleaved)(x),
    ):
        assert got.dtype == dtype
        assert got.device.type == device.type
        # cosine, product and sum, of values up to 3
        close(got, want, **tolerance(dtype, 2 * 3))


@by_layout
def test_rotary_has_the_base_that_was_asked_for(interleaved):
    x = torch.randn(3, 5, 6, dtype=F64)
    want = oracles.rotary(x.numpy(), list(range(5)), 500.0, interleaved)
    for got in (
        apply_rotary(x, base=500.0, interleaved=interleaved),
        Rotary(base=500.0, interleaved=interleaved)(x),
    ):
        close(got, want, **tolerance(F64, 6))


def test_scaled_frequencies_by_hand():
    """d = 8, base 4: ω = 1, 1/√2, 1/2, √2/4, which turn ω·16/2π = 2.55, 1.80, 1.27 and
    0.90 times in 16 positions."""
    angles = partial(rotary_angles, torch.tensor([1]), 8, base=4.0)
    plain = 4.0 ** -torch.arange(0, 1, 0.25, dtype=F64)
    close(angles(), plain.numpy()[None], **tolerance(F64, 1))
    close(angles(scaling=RotaryScaling(8.0)) * 8, plain.numpy()[None], rtol=1e-12)
    got = angles(scaling=RotaryScaling(8.0, 1.0, 2.0, 16))[0] / plain
    turns = plain * 16 / (2 * math.pi)
    between = (turns[1:3] - 1) / (2 - 1)
    want = [1.0, *(between + (1 - between) / 8), 1 / 8]
    close(got, np.array(want), rtol=1e-12)


@by_layout
def test_positions_that_are_interpolated(interleaved):
    x, at = torch.randn(2, 3, 6, dtype=F64), torch.arange(3)
    rotary = Rotary(interleaved=interleaved, scaling=RotaryScaling(2.0))
    want = apply_rotary(x, at, interleaved=interleaved)
    close(rotary(x, 2 * at), want.numpy(), **tolerance(F64, 6))
    assert (rotary(x, at) - want).abs().max() > 0.1


def test_rotary_by_hand():
    """d_head = 2: one pair, ω = 1; (1, 0) at position p points at (cos p, sin p)."""
    x = torch.tensor([[1.0, 0.0]] * 3, dtype=F64)
    want = [[math.cos(p), math.sin(p)] for p in range(3)]
    close(apply_rotary(x), np.array(want), **tolerance(F64, 1))


@by_layout
def test_rotary_leaves_position_zero_and_every_length(interleaved, device):
    x = torch.randn(2, 5, 8, dtype=F64).to(device)
    rotated = apply_rotary(x, interleaved=interleaved)
    assert torch.equal(rotated[:, 0], x[:, 0])
    torch.testing.assert_close(rotated.norm(dim=-1), x.norm(dim=-1))


@by_layout
def test_rotated_products_depend_on_the_distance_alone(interleaved):
    query, key = torch.randn(1, 8, dtype=F64), torch.randn(1, 8, dtype=F64)

    def product(m: int, n: int) -> float:
        rotated_query, rotated_key = (
            apply_rotary(x, torch.tensor([p]), interleaved=interleaved)
            for x, p in ((query, m), (key, n))
        )
        return (rotated_query @ rotated_key.T).item()

    for distance in (-7, -1, 0, 3):
        here = product(10 + distance, 10)
        for shift in (1, 50, 1000):
            there = product(10 + distance + shift, 10 + shift)
            # angles near 1000 are known to 1e-13
            assert there == pytest.approx(here, abs=1e-11)
        assert abs(here - product(11 + distance, 10)) > 1e-3


@by_layout
def test_given_positions_are_a_slice_of_a_longer_sequence(interleaved, device):
    x = torch.randn(2, 9, 6).to(device)
    whole = apply_rotary(x, interleaved=interleaved)
    rotary = Rotary(interleaved=interleaved)
    assert torch.equal(
        rotary(x[:, 6:], torch.arange(6, 9, device=device)), whole[:, 6:]
    )
    scattered = torch.tensor([4, 0, 7], device=device)
    assert torch.equal(rotary(x[:, scattered], scattered), whole[:, scattered])


@by_layout
@by_dtype
def test_rotary_is_exact_far_out(interleaved, dtype, device):
    x = torch.randn(1, 6).to(device, dtype)
    got = apply_rotary(x, torch.tensor([FAR], device=device), interleaved=interleaved)
    want = oracles.rotary(to_numpy(x), [FAR], interleaved=interleaved)
    t = max(tolerance(dtype, 6)["atol"], 1e-10)
    close(got, want, rtol=0, atol=t)


@by_layout
def test_the_gradient_of_rotary_is_the_rotation_back(interleaved):
    x = torch.randn(2, 4, 6, dtype=F64, requires_grad=True)
    upstream = torch.randn(2, 4, 6, dtype=F64)
    apply_rotary(x, interleaved=interleaved).backward(upstream)
    back = oracles.rotary(
        upstream.numpy(), [-p for p in range(4)], interleaved=interleaved
    )
    close(x.grad, back, **tolerance(F64, 6))


@pytest.mark.parametrize("shape", [(4,), (2, 3), ()], ids=str)
def test_rotary_angles_are_doubles_for_positions_of_any_shape(shape, device):
    positions = torch.randint(0, FAR, shape, device=device)
    angles = rotary_angles(positions, 6, base=100.0)
    assert angles.dtype == F64
    assert angles.shape == (*shape, 3)
    omega = np.array([100.0 ** (-2 * i / 6) for i in range(3)])
    close(angles, to_numpy(positions)[..., None] * omega, rtol=1e-14)


class NoDoublesOnMps(TorchDispatchMode):
    """Apple's GPU has no float64: torch raises TypeError there."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if (
            isinstance(result, Tensor)
            and result.device.type == "mps"
            and result.dtype == F64
        ):
            raise TypeError("the MPS framework doesn't support float64")
        return result


@pytest.mark.parametrize(
    "call",
    [
        SinusoidalPositions(4),
        Rotary(),
        lambda x: Rotary()(x, torch.arange(5).to(x.device)),
    ],
    ids=["sinusoidal", "rotary", "rotary with positions"],
)
def test_angles_in_double_precision_do_not_need_a_device_that_has_it(call):
    """On tensors without numbers, so that it runs where there is no such device."""
    with FakeTensorMode(), NoDoublesOnMps():
        output = call(torch.empty(2, 5, 4, device="mps"))
    assert (output.device.type, output.dtype) == ("mps", F32)


# -- Relative positions and ALiBi -----------------------------------------------------


@pytest.mark.parametrize(("n_query", "n_key"), [(4, 4), (1, 4), (2, 5), (5, 3)])
def test_relative_positions_put_the_queries_last(n_query, n_key, device):
    relative = relative_positions(n_query, n_key, device)
    assert relative.device.type == device.type
    want = [
        [key - (n_key - n_query + query) for key in range(n_key)]
        for query in range(n_query)
    ]
    assert relative.tolist() == want
    # what the causal mask calls the future
    assert torch.equal(relative <= 0, causal_mask(n_query, n_key, device))


def test_alibi_slopes_of_the_paper():
    """Section 3: for 8 heads 1/2 … 1/256; for 16 the same with the means between."""
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    sixteen = alibi_slopes(16).double()
    close(sixteen, 2.0 ** -np.arange(0.5, 8.5, 0.5), **tolerance(F32, 1))
    assert alibi_slopes(1).tolist() == [1 / 256]


@pytest.mark.parametrize("n_heads", range(1, 41))
def test_alibi_slopes_agree_with_the_authors_rule(n_heads):
    close(alibi_slopes(n_heads), np.array(oracles.alibi_slopes(n_heads)), rtol=3e-7)


@pytest.mark.parametrize(("n_query", "n_key"), [(3, None), (2, 5), (4, 2), (1, 1)])
def test_alibi_is_minus_slope_times_distance(n_query, n_key, device):
    bias = alibi_bias(6, n_query, n_key, device)
    n_key = n_query if n_key is None else n_key
    assert bias.dtype == F32
    assert bias.device.type == device.type
    want = np.zeros((6, n_query, n_key))
    for (head, query, key), _ in np.ndenumerate(want):
        distance = abs(n_key - n_query + query - key)
        want[head, query, key] = -oracles.alibi_slopes(6)[head] * distance
    close(bias, want, rtol=3e-7)


def test_alibi_with_a_causal_mask_is_the_papers_figure():
    """Figure 3: −inf above the diagonal, 0 on it, −slope for each step below it."""
    mask = combine_masks(causal_mask(3), alibi_bias(8, 3))
    assert mask[0].tolist() == [[0, -INF, -INF], [-0.5, 0, -INF], [-1, -0.5, 0]]
    scores = torch.zeros(8, 3, 3)
    weights = attention_weights(scores, mask)
    half, whole = math.exp(-0.5), math.exp(-1)
    want = np.array([whole, half, 1]) / (whole + half + 1)
    close(weights[0, 2], want, **tolerance(F32, 3))


# -- T5 -------------------------------------------------------------------------------

# by hand: bucket 16 + k starts at 16·8^(k/16), bucket 8 + k at 8·16^(k/8)
CAUSAL_BUCKETS = {
    **{-d: d for d in range(17)},
    **{-45: 23, -46: 24, -112: 30, -113: 31, -127: 31, -128: 31, -FAR: 31},
    **{1: 0, 7: 0, FAR: 0},
}
BIDIRECTIONAL_BUCKETS = {
    **{-d: d for d in range(9)},
    **{-11: 8, -12: 9, -15: 9, -16: 10, -22: 10, -23: 11, -31: 11, -32: 12},
    **{-45: 12, -46: 13, -64: 14, -90: 14, -91: 15, -128: 15, -FAR: 15},
    **{1: 17, 7: 23, 8: 24, 11: 24, 12: 25, 16: 26, 64: 30, 91: 31, FAR: 31},
}


@pytest.mark.parametrize(
    ("bidirectional", "by_hand"),
    [(True, BIDIRECTIONAL_BUCKETS), (False, CAUSAL_BUCKETS)],
)
def test_buckets_by_hand(bidirectional, by_hand, device):
    relative = torch.tensor([list(by_hand)], device=device)
    buckets = relative_position_buckets(relative, bidirectional=bidirectional)
    assert dict(zip(by_hand, buckets[0].tolist(), strict=True)) == by_hand


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(
    ("n_buckets", "max_distance"),
    [(32, 128), (4, 3), (6, 100), (8, 8), (20, 27), (64, 1000), (128, 256), (10, 25)],
)
def test_buckets_agree_with_integer_arithmetic(
    n_buckets, max_distance, bidirectional, device
):
    """Exactly, also where a distance lies on the edge of two buckets."""
    reach = range(-3 * max_distance, 3 * max_distance + 1)
    options = (n_buckets, max_distance, bidirectional)
    buckets = relative_position_buckets(
        torch.tensor([list(reach)], device=device),
        n_buckets=n_buckets,
        max_distance=max_distance,
        bidirectional=bidirectional,
    )
    assert buckets[0].tolist() == [oracles.t5_bucket(r, *options) for r in reach]


@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_grow_with_the_distance_and_leave_none_out(bidirectional):
    past = relative_position_buckets(
        -torch.arange(300)[None], bidirectional=bidirectional
    )[0]
    assert (past.diff() >= 0).all()
    future = relative_position_buckets(
        torch.arange(1, 300)[None], bidirectional=bidirectional
    )[0]
    if bidirectional:
        assert (future.diff() >= 0).all()
        # Bucket 16 would be distance 0 in the future: T5 has it and never uses it.
        assert set(past.tolist()) | set(future.tolist()) == set(range(32)) - {16}
    else:
        assert set(past.tolist()) == set(range(32))
        assert not future.any()


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("n_query", "n_key"), [(4, None), (3, 7)])
def test_t5_bias_is_one_learned_number_per_head_and_bucket(
    bidirectional, n_query, n_key, device
):
    module = T5RelativeBias(
        5, n_buckets=8, max_distance=6, bidirectional=bidirectional
    ).to(device)
    bias = module(n_query, n_key)
    n_key = n_query if n_key is None else n_key
    assert bias.shape == (5, n_query, n_key)
    assert bias.device.type == device.type
    counts = torch.zeros(8, 5)
    for head, query, key in np.ndindex(*bias.shape):
        bucket = oracles.t5_bucket(key - (n_key - n_query + query), 8, 6, bidirectional)
        assert bias[head, query, key] == module.bias.weight[bucket, head]
        counts[bucket, head] += 1
    bias.sum().backward()
    assert torch.equal(module.bias.weight.grad.cpu(), counts)


# -- As torch modules -----------------------------------------------------------------

MODULES: dict[str, tuple[Callable[[], nn.Module], dict[str, tuple[int, ...]]]] = {
    "sinusoidal": (lambda: SinusoidalPositions(4), {}),
    "learned": (lambda: LearnedPositions(6, 4), {"table": (6, 4)}),
    "rotary": (lambda: Rotary(), {}),
    "t5": (lambda: T5RelativeBias(3), {"bias.weight": (32, 3)}),
}
by_module = pytest.mark.parametrize("module", MODULES)


def apply(module: nn.Module, x: Tensor) -> Tensor:
    return module(x.shape[-2]) if isinstance(module, T5RelativeBias) else module(x)


@by_module
def test_a_checkpoint_holds_what_is_learned_and_no_more(module):
    make, want = MODULES[module]
    state = make().state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == want
    # safetensors refuses tensors with gaps
    assert all(tensor.is_contiguous() for tensor in state.values())


@by_module
@by_dtype
def test_a_module_has_the_dtype_that_it_was_brought_to(module, dtype, device):
    moved = MODULES[module][0]().to(device, dtype)
    output = apply(moved, torch.randn(2, 5, 4).to(device, dtype))
    assert output.dtype == dtype
    assert output.device.type == device.type


@by_module
def test_a_copied_module_gives_the_same(module):
    original = MODULES[module][0]()
    x = torch.randn(2, 5, 4)
    assert torch.equal(apply(copy.deepcopy(original), x), apply(original, x))


@by_module
def test_a_module_on_the_meta_device_has_shapes_and_no_numbers(module):
    with torch.device("meta"):
        on_meta = MODULES[module][0]()
        output = apply(on_meta, torch.empty(2, 5, 4))
    assert output.device.type == "meta"
    assert output.shape == ((3, 5, 5) if module == "t5" else (2, 5, 4))


@pytest.mark.parametrize(
    "call",
    [SinusoidalPositions(4), apply_rotary, LearnedPositions(5, 4)],
    ids=["sinusoidal", "rotary", "learned"],
)
def test_x_is_left_as_it_was_and_may_be_empty(call):
    x = torch.randn(2, 5, 4)
    before = x.clone()
    call(x)
    assert torch.equal(x, before)
    assert call(x[:, :0]).shape == (2, 0, 4)


# -- What can be wrong with the arguments ---------------------------------------------

ones = torch.ones
MISTAKES = {
    "odd d_model of the module": (
        lambda: SinusoidalPositions(5),
        "d_model must be even and positive.*got 5",
    ),
    "odd d_model of the table": (
        lambda: sinusoidal_positions(3, 5),
        "d_model must be even and positive.*got 5",
    ),
    "odd d_head": (
        lambda: apply_rotary(ones(2, 3, 5)),
        "d_head must be even and positive.*got 5",
    ),
    "a factor of 0": (
        lambda: RotaryScaling(0.0),
        "factor must be positive and low below high; got factor = 0.0",
    ),
    "low above high": (
        lambda: RotaryScaling(2.0, 4.0, 1.0, 8),
        "low below high; got factor = 2.0, low = 4.0, high = 1.0",
    ),
    "odd d of the angles": (
        lambda: rotary_angles(torch.arange(3), 7),
        "d must be even and positive.*got 7",
    ),
    "no features": (
        lambda: rotary_angles(torch.arange(3), 0),
        "d must be even and positive.*got 0",
    ),
    "x of another width than the sinusoids": (
        lambda: SinusoidalPositions(6)(ones(2, 4)),
        "x must have 6 features, got 4",
    ),
    "x longer than what was learned": (
        lambda: LearnedPositions(3, 4)(ones(2, 5, 4)),
        r"at most 3 positions of 4 features, got \(5, 4\)",
    ),
    "x of another width than what was learned": (
        lambda: LearnedPositions(3, 4)(ones(2, 3, 1)),
        r"at most 3 positions of 4 features, got \(3, 1\)",
    ),
    "fewer positions than rows": (
        lambda: apply_rotary(ones(2, 5, 4), torch.arange(1)),
        r"positions must have shape \(5,\).*got \(1,\)",
    ),
    "positions per batch": (
        lambda: apply_rotary(ones(2, 5, 4), torch.zeros(2, 5, dtype=torch.long)),
        r"positions must have shape \(5,\).*got \(2, 5\)",
    ),
    "no heads": (lambda: alibi_slopes(0), "n_heads must be at least 1, got 0"),
    "an odd number of buckets": (
        lambda: relative_position_buckets(torch.zeros(1, 1).long(), n_buckets=7),
        "n_buckets must be even.*got n_buckets = 7, max_distance = 128",
    ),
    "too few buckets for two sides": (
        lambda: relative_position_buckets(torch.zeros(1, 1).long(), n_buckets=2),
        r"at least 2 \(4 if bidirectional\).*got n_buckets = 2",
    ),
    "a longest distance among the exact ones": (
        lambda: T5RelativeBias(3, max_distance=8)(4),
        "max_distance larger than the 8 exact.*max_distance = 8",
    ),
}


@pytest.mark.usefixtures("no_runtime_types")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_what_was_expected_and_what_came(mistake):
    call, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        call()
