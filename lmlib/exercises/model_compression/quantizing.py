"""Section 2.2: codes of a few bits, how they are packed, and what they cost."""

from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    distinct_sizes,
    error_type,
)


def _uniform(generator: Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand(1, generator=generator).item()


def _integer(generator: Generator, low: int, high: int) -> int:
    """One of low … high."""
    return int(torch.randint(low, high + 1, (1,), generator=generator))


def _numbers(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: two numbers as a tensor."""
    value = function(*args)
    if not isinstance(value, tuple | list) or len(value) != 2:
        return value
    return torch.tensor([float(number) for number in value], dtype=torch.float64)


# -- affine_parameters ----------------------------------------------------------------


def reference_affine(low: float, high: float, bits: int) -> tuple[float, int]:
    if low > high or not 2 <= bits <= 8:
        raise ValueError("low must be at most high, and bits in 2 … 8")
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)


def zero_left_outside(low: float, high: float, bits: int) -> tuple[float, int]:
    if low > high or not 2 <= bits <= 8:
        raise ValueError
    if low == high == 0:
        return 1.0, 0
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)


def levels_for_steps(low: float, high: float, bits: int) -> tuple[float, int]:
    if low > high or not 2 <= bits <= 8:
        raise ValueError
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    scale = (high - low) / 2**bits
    return scale, round(-low / scale)


def zero_point_unrounded(low: float, high: float, bits: int) -> tuple[float, float]:
    if low > high or not 2 <= bits <= 8:
        raise ValueError
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    scale = (high - low) / (2**bits - 1)
    return scale, -low / scale


def zero_point_of_the_other_sign(
    low: float, high: float, bits: int
) -> tuple[float, int]:
    if low > high or not 2 <= bits <= 8:
        raise ValueError
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    scale = (high - low) / (2**bits - 1)
    return scale, round(low / scale)


def scale_of_zero(low: float, high: float, bits: int) -> tuple[float, int]:
    if low > high or not 2 <= bits <= 8:
        raise ValueError
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale) if scale else 0


def code_of_low(low: float, high: float, bits: int) -> tuple[float, int]:
    if low > high or not 2 <= bits <= 8:
        raise ValueError
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    return (high - low) / (2**bits - 1), 0


def nothing_refused(low: float, high: float, bits: int) -> tuple[float, int]:
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)


def symmetric_range(low: float, high: float, bits: int) -> tuple[float, int]:
    if low > high or not 2 <= bits <= 8:
        raise ValueError
    largest = max(abs(low), abs(high))
    if largest == 0:
        return 1.0, 0
    return largest / (2 ** (bits - 1) - 1), 0


# Slips: recognised, and not handed in by the tests.


def zero_point_rounded_up(low: float, high: float, bits: int) -> tuple[float, int]:
    if low > high or not 2 <= bits <= 8:
        raise ValueError
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    scale = (high - low) / (2**bits - 1)
    return scale, -int(low / scale - 0.999999)


def _around_zero(generator: Generator) -> list[Case]:
    cases = []
    for bits in (4, _integer(generator, 5, 8)):
        steps = 2**bits - 1
        scale = _uniform(generator, 0.05, 0.4)
        zero = _integer(generator, 2, steps - 2) + _uniform(generator, 0.1, 0.3)
        low = round(-scale * zero, 4)
        high = round(low + scale * steps, 4)
        cases.append(Case((low, high, bits), f"{low} … {high}, {bits} bits"))
    return cases


def _beside_zero(generator: Generator) -> list[Case]:
    low = round(_uniform(generator, 0.3, 0.9), 3)
    return [
        Case((low, 4 * low, 4), f"{low} … {4 * low:.3f}, 4 bits"),
        Case((-5 * low, -low, 3), f"{-5 * low:.3f} … {-low}, 3 bits"),
    ]


def _nothing_but_zero(generator: Generator) -> list[Case]:
    return [Case((0.0, 0.0, 8), "0 … 0", only=True)]


def _refused(generator: Generator) -> list[Case]:
    low = round(_uniform(generator, 0.5, 2.0), 2)
    return [
        Case((low, low - 0.25, 8), f"{low} … {low - 0.25:g}"),
        Case((0.0, low, 1), f"0 … {low}, 1 bit"),
        Case((0.0, low, 9), f"0 … {low}, 9 bits"),
    ]


AFFINE = Exercise(
    name="2.2/affine_parameters",
    title="A scale and a code for zero",
    difficulty=2,
    minutes=15,
    reference=reference_affine,
    parts=(
        Part("ranges around 0", 1, _around_zero, _numbers),
        Part("ranges without 0", 1, _beside_zero, _numbers),
        Part("nothing but 0", 1, _nothing_but_zero, _numbers, beside_a_value=True),
        Part("raises ValueError", 1, _refused, error_type),
    ),
    misconceptions=(
        Misconception(
            zero_left_outside,
            "A range that does not hold 0 has no code for 0, and 0 becomes the nearest "
            "end: padding is no longer nothing. Stretch the range to 0 first.",
        ),
        Misconception(
            levels_for_steps,
            "You divided by 2^bits. 2^bits codes have 2^bits − 1 steps between them.",
        ),
        Misconception(
            zero_point_unrounded,
            "The zero point must be a code, a whole number: otherwise no code stands "
            "for exactly 0.",
        ),
        Misconception(
            zero_point_of_the_other_sign,
            "The sign of the zero point is turned: code z must stand for 0, and "
            "scale·(0 − z) = low gives z = −low/scale.",
        ),
        Misconception(
            scale_of_zero,
            "A tensor of zeros has a range of 0, and a scale of 0 can't be divided by: "
            "its scale is 1.0, its zero point 0.",
        ),
        Misconception(
            code_of_low,
            "Code 0 stands for `low`; which code stands for 0? −low/scale, rounded.",
        ),
        Misconception(
            nothing_refused,
            "low > high, or bits that are not 2 … 8, must raise ValueError.",
        ),
        Misconception(
            symmetric_range,
            "These are symmetric codes, around 0. Here they go from 0 to 2^bits − 1, "
            "from `low` to `high`.",
        ),
    ),
    slips=(
        Misconception(
            zero_point_rounded_up,
            "You rounded the zero point up: take the nearest whole number, `round`.",
        ),
    ),
    hints=(
        "First make the range hold 0: min(low, 0) and max(high, 0).",
        "How many steps are between the first and the last of 2^bits codes?",
        "Code 0 stands for low = scale·(0 − zero_point): solve for the zero point, and "
        "`round` it.",
    ),
)


# -- quantize_rows --------------------------------------------------------------------


def reference_rows(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    most = 2 ** (bits - 1) - 1
    scales = w.abs().amax(dim=1) / most
    scales = torch.where(scales == 0, 1.0, scales)
    return (w / scales[:, None]).round().to(torch.int8), scales


def truncated(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    most = 2 ** (bits - 1) - 1
    scales = w.abs().amax(dim=1) / most
    scales = torch.where(scales == 0, 1.0, scales)
    return (w / scales[:, None] * (1 + 1e-6)).to(torch.int8), scales


def wraps_round(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    most = 2 ** (bits - 1)
    scales = w.abs().amax(dim=1) / most
    scales = torch.where(scales == 0, 1.0, scales)
    codes = (w / scales[:, None]).round().to(torch.int16)
    return ((codes + most) % (2 * most) - most).to(torch.int8), scales


def one_level_too_many(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    most = 2 ** (bits - 1)
    scales = w.abs().amax(dim=1) / most
    scales = torch.where(scales == 0, 1.0, scales)
    codes = (w / scales[:, None]).round().clamp(-most, most - 1)
    return codes.to(torch.int8), scales


def one_scale(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    most = 2 ** (bits - 1) - 1
    scale = w.abs().max() / most
    scales = torch.where(scale == 0, 1.0, scale).expand(len(w))
    return (w / scales[:, None]).round().to(torch.int8), scales


def a_scale_for_each_column(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    most = 2 ** (bits - 1) - 1
    scales = w.abs().amax(dim=0) / most
    scales = torch.where(scales == 0, 1.0, scales)
    return (w / scales).round().to(torch.int8), scales


def largest_without_sign(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    most = 2 ** (bits - 1) - 1
    scales = w.amax(dim=1) / most
    scales = torch.where(scales == 0, 1.0, scales)
    codes = (w / scales[:, None]).round().clamp(-most, most)
    return codes.to(torch.int8), scales


def zero_over_zero(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    most = 2 ** (bits - 1) - 1
    scales = w.abs().amax(dim=1) / most
    return (w / scales[:, None]).round().nan_to_num().to(torch.int8), scales


def always_eight_bits(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    scales = w.abs().amax(dim=1) / 127
    scales = torch.where(scales == 0, 1.0, scales)
    return (w / scales[:, None]).round().to(torch.int8), scales


def rounded_down(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    most = 2 ** (bits - 1) - 1
    scales = w.abs().amax(dim=1) / most
    scales = torch.where(scales == 0, 1.0, scales)
    return (w / scales[:, None]).floor().to(torch.int8), scales


def steps_for_a_unit(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    most = 2 ** (bits - 1) - 1
    scales = w.abs().amax(dim=1) / most
    scales = torch.where(scales == 0, 1.0, scales)
    return (w / scales[:, None]).round().to(torch.int8), 1 / scales


def _with_codes(generator: Generator, scales: Tensor, n: int, bits: int) -> Tensor:
    """Rows whose right codes are plain: no value lies near the middle of two."""
    most = 2 ** (bits - 1) - 1
    rows = len(scales)
    codes = torch.randint(-most + 1, most, (rows, n), generator=generator)
    # 0.25 … 0.4 from a code, so that it matters whether one rounds or cuts.
    off = 0.25 + 0.15 * torch.rand(rows, n, generator=generator)
    off = off * torch.where(torch.rand(rows, n, generator=generator) < 0.5, -1, 1)
    w = codes + off
    ends = torch.where(torch.arange(rows) % 2 == 0, -most, most)  # exactly
    w[torch.arange(rows), torch.randint(n, (rows,), generator=generator)] = ends.float()
    return w * scales[:, None]


def _rows_alike(generator: Generator) -> list[Case]:
    m, n = (size + 1 for size in distinct_sizes(generator, 2))
    cases = []
    for bits in (4, 8):
        scales = 0.05 + 0.2 * torch.rand(m, generator=generator)
        w = _with_codes(generator, scales, n, bits)
        cases.append(Case((w, bits), f"w {(m, n)}, {bits} bits"))
    return cases


def _rows_unlike(generator: Generator) -> list[Case]:
    m, n = (size + 1 for size in distinct_sizes(generator, 2))
    scales = torch.logspace(-2, 1, m) * _uniform(generator, 0.8, 1.2)
    w = _with_codes(generator, scales, n, 4)
    w[0] = -w[0].abs()
    return [Case((w, 4), "rows a thousand times apart, one of negative numbers")]


def _a_row_of_zeros(generator: Generator) -> list[Case]:
    w = _with_codes(generator, torch.full((3,), 0.25), 4, 5)
    w[_integer(generator, 0, 2)] = 0.0
    return [Case((w, 5), "a row of zeros")]


def _ends(generator: Generator) -> list[Case]:
    x = _uniform(generator, 0.5, 2.0)
    w = torch.tensor([[x, -x, x], [-3 * x, 3 * x, -3 * x]])
    return [Case((w, 8), f"±{x:.2f} alone in a row, ±{3 * x:.2f} in another")]


def _codes(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the first of the two."""
    value = function(*args)
    return value[0] if isinstance(value, tuple | list) and len(value) == 2 else value


def _scales(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the second of the two."""
    value = function(*args)
    return value[1] if isinstance(value, tuple | list) and len(value) == 2 else value


QUANTIZE_ROWS = Exercise(
    name="2.2/quantize_rows",
    title="A scale for each row",
    difficulty=2,
    minutes=20,
    reference=reference_rows,
    parts=(
        Part("codes", 1, _rows_alike, _codes),
        Part("scales", 1, _rows_alike, _scales),
        Part("rows that are unlike", 1, _rows_unlike, _codes),
        Part("a row of zeros", 1, _a_row_of_zeros, _scales),
        Part("the ends of the range", 1, _ends, _codes),
    ),
    misconceptions=(
        Misconception(
            truncated,
            "`.to(torch.int8)` cuts towards 0: errors of up to a whole step, and all "
            "of them make weights smaller. `round` first.",
        ),
        Misconception(
            wraps_round,
            "With max/2^(bits−1) the largest weight gets the code 2^(bits−1), which "
            "int8 has not: +128 becomes −128, the largest weight its opposite. Divide "
            "by 2^(bits−1) − 1.",
        ),
        Misconception(
            one_level_too_many,
            "The scale is max/2^(bits−1), and the largest weight is cut to the last "
            "code. With max/(2^(bits−1) − 1) it has a code of its own.",
        ),
        Misconception(
            one_scale,
            "One scale serves all rows: the row with the largest weight decides for "
            "all others.",
        ),
        Misconception(
            a_scale_for_each_column,
            "You took a scale for each column. A row is one output of the layer: its "
            "scale can leave the sum, a column's can't.",
        ),
        Misconception(
            largest_without_sign,
            "You took the largest value, not the largest magnitude: a row of negative "
            "numbers has its largest at the other end.",
        ),
        Misconception(
            zero_over_zero,
            "A row of zeros is divided by a scale of 0: take 1 as its scale.",
        ),
        Misconception(
            always_eight_bits,
            "You always take 127 steps: with `bits` bits there are 2^(bits−1) − 1.",
        ),
    ),
    slips=(
        Misconception(
            rounded_down,
            "`floor` takes the next code *below*: errors of up to a whole step, all of "
            "one sign. `round`.",
        ),
        Misconception(
            steps_for_a_unit,
            "Your scale is turned round: a weight is scale·code, so it is the largest "
            "magnitude over the number of steps.",
        ),
    ),
    hints=(
        "`w.abs().amax(dim=1)` is the largest magnitude of each row.",
        "`scales[:, None]` stands beside each row.",
        "`torch.where(scales == 0, 1.0, scales)`, then divide, round, `.to(int8)`.",
    ),
    forbidden=(
        *LIBRARY,
        "torch.quantize_per_channel",
        "torch.quantize_per_tensor",
        "torch.fake_quantize_per_channel_affine",
        "torch.fake_quantize_per_tensor_affine",
    ),
)


# -- unpack_int4 ----------------------------------------------------------------------


def reference_unpack(packed: Tensor, n: int) -> Tensor:
    pairs = torch.stack([packed & 15, packed >> 4], dim=-1).flatten()
    codes = pairs.to(torch.int8)
    return torch.where(codes > 7, codes - 16, codes)[:n]


def no_sign(packed: Tensor, n: int) -> Tensor:
    pairs = torch.stack([packed & 15, packed >> 4], dim=-1).flatten()
    return pairs.to(torch.int8)[:n]


def offset_eight(packed: Tensor, n: int) -> Tensor:
    pairs = torch.stack([packed & 15, packed >> 4], dim=-1).flatten()
    return (pairs.to(torch.int8) - 8)[:n]


def high_first(packed: Tensor, n: int) -> Tensor:
    pairs = torch.stack([packed >> 4, packed & 15], dim=-1).flatten()
    codes = pairs.to(torch.int8)
    return torch.where(codes > 7, codes - 16, codes)[:n]


def lows_then_highs(packed: Tensor, n: int) -> Tensor:
    codes = torch.cat([packed & 15, packed >> 4]).to(torch.int8)
    return torch.where(codes > 7, codes - 16, codes)[:n]


def last_one_not_cut(packed: Tensor, n: int) -> Tensor:
    pairs = torch.stack([packed & 15, packed >> 4], dim=-1).flatten()
    codes = pairs.to(torch.int8)
    return torch.where(codes > 7, codes - 16, codes)


def sign_and_magnitude(packed: Tensor, n: int) -> Tensor:
    pairs = torch.stack([packed & 15, packed >> 4], dim=-1).flatten()
    codes = pairs.to(torch.int8)
    return torch.where(codes > 7, -(codes & 7), codes)[:n]


def _packed(generator: Generator, n: int, values: range) -> Tensor:
    codes = torch.randint(values[0], values[-1] + 1, (n + n % 2,), generator=generator)
    nibbles = (codes & 15).to(torch.uint8)
    return nibbles[::2] | nibbles[1::2] << 4


def _positive_codes(generator: Generator) -> list[Case]:
    n = 2 * _integer(generator, 2, 3)
    packed = _packed(generator, n, range(8))
    packed[:2] = torch.tensor([_integer(generator, 2, 7), 16 * 5 + 1])
    return [Case((packed, n), f"{n} codes of 0 … 7: bytes {packed.tolist()}")]


def _signed_codes(generator: Generator) -> list[Case]:
    n = 2 * _integer(generator, 3, 5)
    packed = _packed(generator, n, range(-8, 8))
    packed[0] = 16 * 8 + 15 - _integer(generator, 0, 6)
    return [Case((packed, n), f"{n} codes of −8 … 7: bytes {packed.tolist()}")]


def _odd_number(generator: Generator) -> list[Case]:
    n = 2 * _integer(generator, 1, 4) + 1
    packed = _packed(generator, n, range(-8, 8))
    return [Case((packed, n), f"{n} codes in {len(packed)} bytes")]


UNPACK = Exercise(
    name="2.2/unpack_int4",
    title="Two codes in a byte",
    difficulty=2,
    minutes=15,
    reference=reference_unpack,
    parts=(
        Part("positive codes", 1, _positive_codes),
        Part("negative codes", 1, _signed_codes),
        Part("an odd number of codes", 1, _odd_number),
    ),
    misconceptions=(
        Misconception(
            no_sign,
            "The four bits are read without a sign: in two's complement 15 is −1, and "
            "8 is −8.",
        ),
        Misconception(
            offset_eight,
            "You took 8 off every code. That is another format, and it shifts every "
            "weight: in two's complement 0 … 7 are themselves.",
        ),
        Misconception(
            high_first,
            "Two neighbours are swapped: the *low* four bits of a byte come first.",
        ),
        Misconception(
            lows_then_highs,
            "All low halves come first, and then all high ones: two neighbours share a "
            "byte, so interleave them.",
        ),
        Misconception(
            last_one_not_cut,
            "Of an odd number of codes the last half byte is padding: return n codes.",
        ),
        Misconception(
            sign_and_magnitude,
            "You read the top bit as a minus before the other three. In two's "
            "complement 15 is −1, 9 is −7, 8 is −8: take 16 off what is above 7.",
        ),
    ),
    hints=(
        "`packed & 15` has the low halves, `packed >> 4` the high ones.",
        "`torch.stack([low, high], dim=-1).flatten()` interleaves two vectors.",
        "Make it `int8` before you take 16 off: uint8 has no negative numbers.",
    ),
)


# -- predicted_loss -------------------------------------------------------------------


def reference_predicted(loss: float, loss_a: float, a: int, b: int) -> float:
    steps_a, steps_b = 2 ** (a - 1) - 1, 2 ** (b - 1) - 1
    return loss + (loss_a - loss) * (steps_a / steps_b) ** 2


def four_to_the_bits(loss: float, loss_a: float, a: int, b: int) -> float:
    return loss + (loss_a - loss) * 4 ** (a - b)


def not_squared(loss: float, loss_a: float, a: int, b: int) -> float:
    return loss + (loss_a - loss) * (2 ** (a - 1) - 1) / (2 ** (b - 1) - 1)


def whole_loss_scaled(loss: float, loss_a: float, a: int, b: int) -> float:
    return loss_a * ((2 ** (a - 1) - 1) / (2 ** (b - 1) - 1)) ** 2


def ratio_of_bits(loss: float, loss_a: float, a: int, b: int) -> float:
    return loss + (loss_a - loss) * (a / b) ** 2


def upside_down(loss: float, loss_a: float, a: int, b: int) -> float:
    return loss + (loss_a - loss) * ((2 ** (b - 1) - 1) / (2 ** (a - 1) - 1)) ** 2


def excess_alone(loss: float, loss_a: float, a: int, b: int) -> float:
    return (loss_a - loss) * ((2 ** (a - 1) - 1) / (2 ** (b - 1) - 1)) ** 2


def two_to_the_bits(loss: float, loss_a: float, a: int, b: int) -> float:
    return loss + (loss_a - loss) * 2 ** (a - b)


def affine_steps(loss: float, loss_a: float, a: int, b: int) -> float:
    return loss + (loss_a - loss) * ((2**a - 1) / (2**b - 1)) ** 2


def _to_fewer(generator: Generator) -> list[Case]:
    loss = round(_uniform(generator, 3.0, 4.0), 3)
    excess = round(_uniform(generator, 0.005, 0.02), 4)
    cases = []
    for a, b in ((6, 4), (5, 3)):
        loss_a = round(loss + excess, 4)
        says = f"{loss} nats, {loss_a} with {a} bits: how many with {b}?"
        cases.append(Case((loss, loss_a, a, b), says))
    return cases


def _to_more(generator: Generator) -> list[Case]:
    loss = round(_uniform(generator, 3.0, 4.0), 3)
    loss_a = round(loss + _uniform(generator, 0.5, 0.9), 3)
    says = f"{loss} nats, {loss_a} with 3 bits: how many with 5?"
    return [Case((loss, loss_a, 3, 5), says)]


def _above_the_loss(args: tuple[Any, ...], output: Any) -> str | None:
    if isinstance(output, float) and output < args[0]:
        return "Rounding makes a loss larger: the result can't be below `loss`."
    return None


PREDICTED_LOSS = Exercise(
    name="2.2/predicted_loss",
    title="The square law",
    difficulty=2,
    minutes=10,
    reference=reference_predicted,
    parts=(
        Part("fewer bits", 2, _to_fewer),
        Part("more bits", 1, _to_more),
    ),
    misconceptions=(
        Misconception(
            four_to_the_bits,
            "4 for each bit is nearly right. A range is cut into 2^(bits−1) − 1 steps "
            "on each side of 0, and their ratio is not quite a power of 2.",
        ),
        Misconception(
            not_squared,
            "The error grows with the step, the loss with its *square*.",
        ),
        Misconception(
            whole_loss_scaled,
            "Only the excess over the loss of the exact model grows, not the whole.",
        ),
        Misconception(
            ratio_of_bits,
            "You took the ratio of the bits. A bit fewer doubles the step: take the "
            "ratio of the steps.",
        ),
        Misconception(
            upside_down,
            "The ratio stands upside down: fewer bits make a larger loss.",
        ),
        Misconception(
            excess_alone,
            "This is the excess alone: add the loss of the exact model.",
        ),
        Misconception(
            affine_steps,
            "2^bits − 1 are the steps of a range from low to high. Symmetric codes "
            "have 2^(bits−1) − 1 on each side of 0.",
        ),
    ),
    slips=(
        Misconception(
            two_to_the_bits,
            "2 for each bit is how the *step* grows; the loss goes with its square.",
        ),
    ),
    properties=(_above_the_loss,),
    hints=(
        "The step is max/(2^(bits−1) − 1), with the same max for both.",
        "What is loss_a − loss proportional to?",
        "loss + (loss_a − loss)·(step_b/step_a)².",
    ),
)


# -- stored_bits ----------------------------------------------------------------------


def reference_stored(codes: Tensor, kept: Tensor, bits: int, layout: str) -> float:
    n, k = codes.numel(), int(kept.sum())
    if layout == "dense":
        return float(n * bits)
    if layout == "bitmap":
        return float(n + k * bits)
    if layout == "coordinates":
        return float(k * (bits + 64 * codes.ndim))
    _, counts = (codes * kept).unique(return_counts=True)
    share = counts.double() / n
    return float(-n * (share * share.log2()).sum())


def mask_is_free(codes: Tensor, kept: Tensor, bits: int, layout: str) -> float:
    n, k = codes.numel(), int(kept.sum())
    if layout == "dense":
        return float(n * bits)
    if layout == "bitmap":
        return float(k * bits)
    if layout == "coordinates":
        return float(k * (bits + 64 * codes.ndim))
    _, counts = (codes * kept).unique(return_counts=True)
    share = counts.double() / n
    return float(-n * (share * share.log2()).sum())


def one_index(codes: Tensor, kept: Tensor, bits: int, layout: str) -> float:
    n, k = codes.numel(), int(kept.sum())
    if layout == "dense":
        return float(n * bits)
    if layout == "bitmap":
        return float(n + k * bits)
    if layout == "coordinates":
        return float(k * (bits + 64))
    _, counts = (codes * kept).unique(return_counts=True)
    share = counts.double() / n
    return float(-n * (share * share.log2()).sum())


def zeros_stored(codes: Tensor, kept: Tensor, bits: int, layout: str) -> float:
    n = codes.numel()
    if layout == "dense":
        return float(n * bits)
    if layout == "bitmap":
        return float(n + n * bits)
    if layout == "coordinates":
        return float(n * (bits + 64 * codes.ndim))
    _, counts = (codes * kept).unique(return_counts=True)
    share = counts.double() / n
    return float(-n * (share * share.log2()).sum())


def entropy_in_nats(codes: Tensor, kept: Tensor, bits: int, layout: str) -> float:
    n, k = codes.numel(), int(kept.sum())
    if layout == "dense":
        return float(n * bits)
    if layout == "bitmap":
        return float(n + k * bits)
    if layout == "coordinates":
        return float(k * (bits + 64 * codes.ndim))
    _, counts = (codes * kept).unique(return_counts=True)
    share = counts.double() / n
    return float(-n * (share * share.log()).sum())


def entropy_of_the_kept(codes: Tensor, kept: Tensor, bits: int, layout: str) -> float:
    n, k = codes.numel(), int(kept.sum())
    if layout == "dense":
        return float(n * bits)
    if layout == "bitmap":
        return float(n + k * bits)
    if layout == "coordinates":
        return float(k * (bits + 64 * codes.ndim))
    _, counts = codes[kept].unique(return_counts=True)
    share = counts.double() / k
    return float(-k * (share * share.log2()).sum())


def entropy_of_one_code(codes: Tensor, kept: Tensor, bits: int, layout: str) -> float:
    n, k = codes.numel(), int(kept.sum())
    if layout == "dense":
        return float(n * bits)
    if layout == "bitmap":
        return float(n + k * bits)
    if layout == "coordinates":
        return float(k * (bits + 64 * codes.ndim))
    _, counts = (codes * kept).unique(return_counts=True)
    share = counts.double() / n
    return float(-(share * share.log2()).sum())


def pruned_codes_still_there(
    codes: Tensor, kept: Tensor, bits: int, layout: str
) -> float:
    n, k = codes.numel(), int(kept.sum())
    if layout == "dense":
        return float(n * bits)
    if layout == "bitmap":
        return float(n + k * bits)
    if layout == "coordinates":
        return float(k * (bits + 64 * codes.ndim))
    _, counts = codes.unique(return_counts=True)
    share = counts.double() / n
    return float(-n * (share * share.log2()).sum())


def indices_of_32_bits(codes: Tensor, kept: Tensor, bits: int, layout: str) -> float:
    n, k = codes.numel(), int(kept.sum())
    if layout == "dense":
        return float(n * bits)
    if layout == "bitmap":
        return float(n + k * bits)
    if layout == "coordinates":
        return float(k * (bits + 32 * codes.ndim))
    _, counts = (codes * kept).unique(return_counts=True)
    share = counts.double() / n
    return float(-n * (share * share.log2()).sum())


def for_the_kept_alone(codes: Tensor, kept: Tensor, bits: int, layout: str) -> float:
    n, k = codes.numel(), int(kept.sum())
    if layout == "dense":
        return float(n * bits)
    if layout == "bitmap":
        return float(n + k * bits)
    if layout == "coordinates":
        return float(k * (bits + 64 * codes.ndim))
    _, counts = (codes * kept).unique(return_counts=True)
    share = counts.double() / n
    return float(-k * (share * share.log2()).sum())


def _stored(layout: str) -> Any:
    def cases(generator: Generator) -> list[Case]:
        found = []
        shapes = [distinct_sizes(generator, 2, 3), distinct_sizes(generator, 3)]
        for shape in shapes:
            codes = torch.randint(-3, 4, shape, generator=generator).to(torch.int8)
            codes.flatten()[:2] = torch.tensor([2, -3])
            kept = torch.rand(shape, generator=generator) < 0.6
            kept.flatten()[:3] = torch.tensor([True, False, True])
            bits = _integer(generator, 3, 8)
            says = f"codes {tuple(shape)}, {int(kept.sum())} kept, {bits} bits"
            found.append(Case((codes, kept, bits, layout), f"{layout}: {says}"))
        return found

    return cases


STORED_BITS = Exercise(
    name="2.2/stored_bits",
    title="What a pruned tensor takes",
    difficulty=2,
    minutes=20,
    reference=reference_stored,
    parts=tuple(
        Part(name, 1, _stored(name))
        for name in ("dense", "bitmap", "coordinates", "entropy")
    ),
    misconceptions=(
        Misconception(
            mask_is_free,
            "The bitmap itself is missing: which ones were kept? A bit for each.",
        ),
        Misconception(
            one_index,
            "One index for each value is not enough: a matrix needs row and column, "
            "64 bits for each axis.",
        ),
        Misconception(
            zeros_stored,
            "All n codes are counted where only those that are kept are stored.",
        ),
        Misconception(
            entropy_in_nats, "The entropy is in nats: bits are asked, so log₂."
        ),
        Misconception(
            entropy_of_the_kept,
            "The entropy of the kept codes alone: nobody has paid for their places. "
            "Set the others to 0, and count all n.",
        ),
        Misconception(
            entropy_of_one_code,
            "This is the entropy of *one* code: there are n of them.",
        ),
        Misconception(
            pruned_codes_still_there,
            "The codes that were pruned still count with what they were: they are 0 "
            "now.",
        ),
    ),
    slips=(
        Misconception(
            indices_of_32_bits, "An index has 64 bits here, an int64 as in torch."
        ),
        Misconception(
            for_the_kept_alone,
            "The entropy is of a code, zeros and all: n codes are written, not k.",
        ),
    ),
    hints=(
        "`kept.sum()` is k, `codes.numel()` is n.",
        "`(codes * kept).unique(return_counts=True)` counts each code.",
        "n·H with H = −Σ share·log₂ share.",
    ),
)

EXERCISES = [AFFINE, QUANTIZE_ROWS, UNPACK, PREDICTED_LOSS, STORED_BITS]
