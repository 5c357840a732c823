"""Section 3.1.3: sinusoidal and rotary positions."""

import math

import torch
from torch import Generator, Tensor

from lmlib import positions as lm
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    distinct_sizes,
    error_type,
    normal,
)
from lmlib.exercises.self_attention import slips

# An angle of 200 in float32, as most code computes it, is known to some 1e-5, and so
# are its sine and cosine.
OF_LARGE_ANGLES = 1e-4

# -- sinusoidal_positions -------------------------------------------------------------


def reference_sinusoidal(n: int, d_model: int) -> Tensor:
    return lm.sinusoidal_positions(n, d_model)


def halves_side_by_side(n: int, d_model: int) -> Tensor:
    if d_model % 2:
        raise ValueError(f"d_model must be even, got {d_model}")
    frequency = 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)
    angle = torch.arange(n)[:, None] * frequency
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


def exponent_without_two(n: int, d_model: int) -> Tensor:
    if d_model % 2:
        raise ValueError(f"d_model must be even, got {d_model}")
    frequency = 10_000.0 ** (-torch.arange(d_model // 2) / d_model)
    angle = torch.arange(n)[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)


def feature_number_as_exponent(n: int, d_model: int) -> Tensor:
    if d_model % 2:
        raise ValueError(f"d_model must be even, got {d_model}")
    frequency = 10_000.0 ** (-torch.arange(d_model) / d_model)
    angle = torch.arange(n)[:, None] * frequency
    table = torch.zeros(n, d_model)
    table[:, 0::2] = angle[:, 0::2].sin()
    table[:, 1::2] = angle[:, 1::2].cos()
    return table


def first_position_is_one(n: int, d_model: int) -> Tensor:
    if d_model % 2:
        raise ValueError(f"d_model must be even, got {d_model}")
    frequency = 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)
    angle = torch.arange(1, n + 1)[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)


def base_one_thousand(n: int, d_model: int) -> Tensor:
    if d_model % 2:
        raise ValueError(f"d_model must be even, got {d_model}")
    frequency = 1_000.0 ** (-torch.arange(0, d_model, 2) / d_model)
    angle = torch.arange(n)[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)


def cosine_first(n: int, d_model: int) -> Tensor:
    if d_model % 2:
        raise ValueError(f"d_model must be even, got {d_model}")
    frequency = 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)
    angle = torch.arange(n)[:, None] * frequency
    return torch.stack((angle.cos(), angle.sin()), dim=-1).flatten(-2)


def growing_frequencies(n: int, d_model: int) -> Tensor:
    if d_model % 2:
        raise ValueError(f"d_model must be even, got {d_model}")
    frequency = 10_000.0 ** (torch.arange(0, d_model, 2) / d_model)
    angle = torch.arange(n)[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)


def last_frequency_is_one_over_base(n: int, d_model: int) -> Tensor:
    if d_model % 2:
        raise ValueError(f"d_model must be even, got {d_model}")
    step = math.log(10_000.0) / max(d_model // 2 - 1, 1)
    frequency = torch.exp(-step * torch.arange(d_model // 2))
    angle = torch.arange(n)[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)


def odd_width_cut_off(n: int, d_model: int) -> Tensor:
    frequency = 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)
    angle = torch.arange(n)[:, None] * frequency
    table = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)
    return table[:, :d_model]


def _first_rows(generator: Generator) -> list[Case]:
    n, half = distinct_sizes(generator, 2, low=3)
    return [Case((n, 2 * half), f"n = {n}, d_model = {2 * half}")]


def _tables(generator: Generator) -> list[Case]:
    n, half = distinct_sizes(generator, 2, low=7)
    long = int(torch.randint(200, 230, (1,), generator=generator))
    return [
        Case((n, 2 * half), f"n = {n}, d_model = {2 * half}"),
        Case((long, 64), f"n = {long}, d_model = 64"),
    ]


def _odd_width(generator: Generator) -> list[Case]:
    n, half = distinct_sizes(generator, 2, low=3)
    return [Case((n, 2 * half + 1), f"n = {n}, d_model = {2 * half + 1}")]


SINUSOIDAL_POSITIONS = Exercise(
    name="3.1/sinusoidal_positions",
    title="Sinusoidal positions",
    difficulty=2,
    minutes=20,
    reference=reference_sinusoidal,
    parts=(
        Part("a few positions", 1, _first_rows),
        Part("any size", 1, _tables, absolute=OF_LARGE_ANGLES),
        Part("an odd d_model: ValueError", 1, _odd_width, error_type),
    ),
    misconceptions=(
        Misconception(
            halves_side_by_side,
            "You put all sines first and all cosines after them: in the paper they "
            "alternate, sine at feature 2i, cosine at 2i + 1. (Much code does it your "
            "way, and a model would learn as well; a checkpoint would not load.)",
            "https://github.com/tensorflow/tensor2tensor/issues/391",
        ),
        Misconception(
            exponent_without_two,
            "Your exponent is i / d_model: it is 2i / d_model, so that the frequencies "
            "span from 1 down to almost 1/10,000.",
        ),
        Misconception(
            feature_number_as_exponent,
            "Each sine has another frequency than the cosine beside it: features 2i "
            "and 2i + 1 form a pair and share the exponent 2i / d_model.",
            "https://github.com/DongjunLee/transformer-tensorflow/issues/6",
        ),
        Misconception(
            first_position_is_one, "Your first position is 1: positions count from 0."
        ),
        Misconception(base_one_thousand, "Your base is 1,000: the paper's is 10,000."),
        Misconception(
            cosine_first,
            "Sine and cosine have changed places: the sine is at the even features.",
        ),
        Misconception(
            growing_frequencies,
            "Your frequencies grow with i: the sign of the exponent is minus, the "
            "first pair turns fastest.",
        ),
        Misconception(
            last_frequency_is_one_over_base,
            "You spread the frequencies so that the last is exactly 1/10,000, as "
            "tensor2tensor does, with d_model/2 − 1 steps: the paper's formula has "
            "d_model/2 steps.",
            "https://github.com/tensorflow/tensor2tensor/issues/1423",
        ),
        Misconception(
            odd_width_cut_off,
            "With an odd d_model the last sine has no cosine: raise a ValueError.",
        ),
    ),
    slips=slips.SINUSOIDAL_POSITIONS,
    hints=(
        "Make the frequencies first, a vector of d_model / 2 numbers. Then all angles "
        "are one outer product with the positions.",
        "`torch.stack((a, b), dim=-1).flatten(-2)` lays two tables together so that "
        "their columns alternate.",
    ),
)


# -- apply_rotary ---------------------------------------------------------------------


def reference_rotary(x: Tensor, positions: Tensor) -> Tensor:
    return lm.apply_rotary(x, positions)


def turned_backwards(x: Tensor, positions: Tensor) -> Tensor:
    d = x.shape[-1]
    frequency = 10_000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = positions[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = (even * cos + odd * sin, odd * cos - even * sin)
    return torch.stack(pairs, dim=-1).flatten(-2)


def pairs_from_two_halves(x: Tensor, positions: Tensor) -> Tensor:
    d = x.shape[-1]
    frequency = 10_000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = positions[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


def positions_ignored(x: Tensor, positions: Tensor) -> Tensor:
    d = x.shape[-1]
    frequency = 10_000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = torch.arange(x.shape[-2])[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = (even * cos - odd * sin, even * sin + odd * cos)
    return torch.stack(pairs, dim=-1).flatten(-2)


def one_frequency_for_all(x: Tensor, positions: Tensor) -> Tensor:
    angle = positions[:, None].double().expand(-1, x.shape[-1] // 2)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = (even * cos - odd * sin, even * sin + odd * cos)
    return torch.stack(pairs, dim=-1).flatten(-2)


def minus_sign_lost(x: Tensor, positions: Tensor) -> Tensor:
    d = x.shape[-1]
    frequency = 10_000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = positions[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = (even * cos + odd * sin, even * sin + odd * cos)
    return torch.stack(pairs, dim=-1).flatten(-2)


def half_the_exponent(x: Tensor, positions: Tensor) -> Tensor:
    d = x.shape[-1]
    frequency = 10_000.0 ** (-torch.arange(d // 2, dtype=torch.float64) / d)
    angle = positions[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = (even * cos - odd * sin, even * sin + odd * cos)
    return torch.stack(pairs, dim=-1).flatten(-2)


def table_added(x: Tensor, positions: Tensor) -> Tensor:
    d = x.shape[-1]
    frequency = 10_000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = positions[:, None] * frequency
    table = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)
    return x + table.to(x.dtype)


def _start_of_sequence(generator: Generator) -> list[Case]:
    x = normal(generator, 2, 4)
    rows = [[round(v, 4) for v in row] for row in x.tolist()]
    return [Case((x, torch.arange(2)), f"positions 0 and 1, x = {rows}")]


def _any_rotation(generator: Generator) -> list[Case]:
    batch, heads, n, half = distinct_sizes(generator, 4)
    x = normal(generator, batch, heads, n, 2 * half)
    says = f"x {tuple(x.shape)}, positions 0 to {n - 1}"
    return [
        Case((x, torch.arange(n)), says),
        Case((x.double(), torch.arange(n)), says + ", float64"),
    ]


def _later_positions(generator: Generator) -> list[Case]:
    n, half = distinct_sizes(generator, 2, low=3)
    start = int(torch.randint(20, 100, (1,), generator=generator))
    x = normal(generator, n, 2 * half)
    shuffled = torch.randperm(n, generator=generator) + start
    if shuffled[0] < shuffled[-1]:  # or it might be in order by chance
        shuffled = shuffled.flip(0)
    says = f"x {tuple(x.shape)}, positions "
    return [
        Case((x, torch.arange(start, start + n)), f"{says}{start} to {start + n - 1}"),
        Case((x, shuffled), f"{says}{shuffled.tolist()}"),
    ]


def keeps_lengths(args: tuple[Tensor, ...], output: Tensor) -> str | None:
    x = args[0]
    if output.shape == x.shape and not torch.allclose(
        output.norm(dim=-1), x.norm(dim=-1), rtol=1e-3
    ):
        return "A rotation keeps the length of each vector; yours changes it."
    return None


APPLY_ROTARY = Exercise(
    name="3.1/apply_rotary",
    title="Rotary positions",
    difficulty=4,
    minutes=30,
    reference=reference_rotary,
    parts=(
        Part("the first two positions", 1, _start_of_sequence),
        Part("any leading axes", 2, _any_rotation),
        Part(
            "positions that do not start at 0",
            2,
            _later_positions,
            absolute=OF_LARGE_ANGLES,
        ),
    ),
    properties=(keeps_lengths,),
    misconceptions=(
        Misconception(
            turned_backwards,
            "You turn the wrong way round: (a, b) becomes (a·cos − b·sin, a·sin + "
            "b·cos). (Scores would come out the same, for both turn; a checkpoint "
            "trained the other way would not.)",
        ),
        Misconception(
            pairs_from_two_halves,
            "You pair feature i with i + d/2, the layout of GPT-NeoX and LLaMA "
            "checkpoints in transformers: here, as in the paper, neighbours (2i, "
            "2i + 1) form a pair. Mixing the two up is a famous way to ruin a model.",
            "https://github.com/huggingface/transformers/issues/25199",
        ),
        Misconception(
            positions_ignored,
            "You count the positions from 0 instead of using `positions`: with a cache "
            "the new tokens stand at the end.",
        ),
        Misconception(
            one_frequency_for_all,
            "All your pairs turn by the same angle: pair i turns by p·10000^(−2i/d).",
        ),
        Misconception(
            minus_sign_lost,
            "This is no rotation, the minus sign is missing: (a, b) becomes (a·cos − "
            "b·sin, a·sin + b·cos).",
        ),
        Misconception(
            half_the_exponent,
            "Your exponent is −i/d for pair i: it is −2i/d, as for the sinusoids.",
        ),
        Misconception(
            table_added,
            "You added sines and cosines to x: rotary positions turn each pair of "
            "features instead, and add nothing.",
        ),
    ),
    slips=slips.APPLY_ROTARY,
    hints=(
        "The angles are those of the sinusoidal table: an outer product of `positions` "
        "and the frequencies 10000^(−2i/d).",
        "`x[..., 0::2]` and `x[..., 1::2]` are the first and the second member of each "
        "pair. Turn them, then lay them together again as in `sinusoidal_positions`.",
        "Make cos and sin of x's dtype, so that float32 in gives float32 out.",
    ),
)


EXERCISES = [SINUSOIDAL_POSITIONS, APPLY_ROTARY]
