"""Section 5: mixing predictions, scoring a long text, and who pays for the model."""

import math
from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.compressor.coding import whole_numbers
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
    error_type,
    pair,
    plain_number,
)

# -- mix ------------------------------------------------------------------------------


def reference_mix(p: Tensor, w: Tensor, bit: int, rate: float) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    return q.item(), w + rate * (bit - q) * stretched


def sum_of_probabilities(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = w @ p
    return q.item(), w + rate * (bit - q) * stretched


def step_along_the_probabilities(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    return q.item(), w + rate * (bit - q) * p


def learns_to_be_wrong(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    return q.item(), w + rate * (q - bit) * stretched


def learns_before_it_predicts(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    w = w + rate * (bit - q) * stretched
    return torch.sigmoid(w @ stretched).item(), w


def no_cut(p: Tensor, w: Tensor, bit: int, rate: float) -> tuple[float, Tensor]:
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    return q.item(), w + rate * (bit - q) * stretched


def binary_and_natural_logarithms(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log2()
    q = torch.sigmoid(w @ stretched)
    return q.item(), w + rate * (bit - q) * stretched


def step_times_the_slope(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    return q.item(), w + rate * (bit - q) * q * (1 - q) * stretched


def logarithm_of_the_probability(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = p.log()
    q = torch.sigmoid(w @ stretched)
    return q.item(), w + rate * (bit - q) * stretched


def weights_that_sum_to_one(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched / w.sum())
    return q.item(), w + rate * (bit - q) * stretched


def softmax_of_the_weights(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w.softmax(dim=0) @ stretched)
    return q.item(), w + rate * (bit - q) * stretched


# Slips: recognised, and not handed in by the tests.


def cut_elsewhere(p: Tensor, w: Tensor, bit: int, rate: float) -> tuple[float, Tensor]:
    p = p.clamp(1e-6, 1 - 1e-6)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    return q.item(), w + rate * (bit - q) * stretched


def no_rate(p: Tensor, w: Tensor, bit: int, rate: float) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    return q.item(), w + (bit - q) * stretched


def sum_with_a_learned_step(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    q = w @ p
    return q.item(), w + rate * (bit - q) * p


def step_alone(p: Tensor, w: Tensor, bit: int, rate: float) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    return q.item(), rate * (bit - q) * stretched


def probability_of_what_came(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    return (q if bit else 1 - q).item(), w + rate * (bit - q) * stretched


def error_of_each(p: Tensor, w: Tensor, bit: int, rate: float) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    return q.item(), w + rate * (bit - p) * stretched


def mean_of_the_stretched(
    p: Tensor, w: Tensor, bit: int, rate: float
) -> tuple[float, Tensor]:
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid((w * stretched).mean())
    return q.item(), w + rate * (bit - q) * stretched


def _pair(function: Function, args: tuple[Any, ...]) -> tuple[Any, Any] | None:
    """What `mix` returns, taken apart."""
    value = function(*args)
    return None if value is None else pair(value, "q and the new weights")


def _probability(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: q."""
    both = _pair(function, args)
    return None if both is None else plain_number(both[0])


def _weights(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the new weights."""
    both = _pair(function, args)
    return None if both is None else both[1]


def _both(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: q, and behind it the new weights."""
    both = _pair(function, args)
    if both is None:
        return None
    q, weights = plain_number(both[0]), both[1]
    if not isinstance(q, float) or not isinstance(weights, Tensor):
        kinds = f"{type(q).__name__} and {type(weights).__name__}"
        raise TypeError(f"a float and a tensor are expected, got {kinds}")
    return torch.cat([weights.new_tensor([q]), weights])


def _mix_case(generator: Generator, p: Tensor, bit: int, says: str) -> Case:
    w = 0.2 + 0.8 * torch.rand(len(p), generator=generator)
    w[-1] *= -0.5
    rate = round(0.05 + 0.4 * torch.rand(1, generator=generator).item(), 2)
    shown = [round(value, 3) for value in p.tolist()]
    return Case((p, w, bit, rate), f"{says}p {shown}, bit {bit}, rate {rate}")


def _ordinary(generator: Generator) -> list[Case]:
    cases = []
    for k, bit in ((2, 1), (4, 0)):
        p = 0.1 + 0.8 * torch.rand(k, generator=generator)
        cases.append(_mix_case(generator, p, bit, ""))
    return cases


def _extremes(generator: Generator) -> list[Case]:
    cases = []
    for bit in (0, 1):
        p = 0.2 + 0.6 * torch.rand(4, generator=generator)
        p[0], p[2] = 1.0, 0.0
        cases.append(_mix_case(generator, p, bit, ""))
    return cases


MIX = Exercise(
    name="5/mix",
    title="One neuron that mixes",
    difficulty=3,
    minutes=25,
    reference=reference_mix,
    parts=(
        Part("the probability", 1, _ordinary, _probability),
        Part("the new weights", 2, _ordinary, _weights),
        Part("who is certain", 1, _extremes, _both),
    ),
    misconceptions=(
        Misconception(
            sum_of_probabilities,
            "You add up probabilities. Two that agree on 0.9, each for its own "
            "reasons, must make it surer than 0.9: add in the logistic domain.",
        ),
        Misconception(
            step_along_the_probabilities,
            "The input of the neuron is stretch(pᵢ), and so the step goes along it, "
            "not along pᵢ.",
        ),
        Misconception(
            learns_to_be_wrong,
            "The sign is turned: with q − bit the weights learn to be wrong.",
        ),
        Misconception(
            learns_before_it_predicts,
            "You update first and mix with the new weights. The decoder has no bit "
            "yet when it needs q.",
        ),
        Misconception(
            no_cut,
            "stretch(1) is infinite, and ∞·0 is NaN: cut p to 1/4096 … 4095/4096 "
            "first.",
        ),
        Misconception(
            binary_and_natural_logarithms,
            "You stretch with the binary logarithm and squash with e: take the natural "
            "one for both.",
        ),
        Misconception(
            step_times_the_slope,
            "q·(1 − q) comes from the *square* error. In the code length it cancels: "
            "(bit − q)·stretch(pᵢ).",
        ),
        Misconception(
            logarithm_of_the_probability,
            "stretch(p) is ln(p/(1 − p)), not ln p: what is said of the 0 counts too.",
        ),
        Misconception(
            weights_that_sum_to_one,
            "You divide by the sum of the weights. They need not sum to 1: two that "
            "agree are surer together.",
        ),
        Misconception(
            softmax_of_the_weights,
            "The weights are used as they are, no softmax: they need not sum to 1, "
            "and may be negative.",
        ),
    ),
    slips=(
        Misconception(
            cut_elsewhere, "You cut elsewhere than asked: 1/4096 and 4095/4096."
        ),
        Misconception(no_rate, "The learning rate is missing."),
        Misconception(
            sum_with_a_learned_step,
            "Both the sum and the step are those of probabilities; stretch them first: "
            "two that agree must be surer together.",
        ),
        Misconception(
            step_alone, "You return the step alone: it is added to the weights."
        ),
        Misconception(
            probability_of_what_came,
            "You return the probability of the bit that came, not that of a 1.",
        ),
        Misconception(
            error_of_each,
            "Each weight learns from its own error here. There is one, bit − q: of the "
            "mixture, which is what is coded.",
        ),
        Misconception(
            mean_of_the_stretched,
            "You take the mean. The weighted *sum* is asked for: two that agree are "
            "surer together.",
        ),
    ),
    hints=(
        "Cut first; then stretch(p) = ln(p/(1 − p)).",
        "q = 1/(1 + e^(−x)), with x the sum of w·stretch(p).",
        "The step is rate·(bit − q)·stretch(p); it is added to the *old* weights.",
    ),
)


# -- windows --------------------------------------------------------------------------


def reference_windows(n: int, length: int, stride: int) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin, end = found[-1][0] + stride, found[-1][2]
        found.append((begin, end, min(begin + length, n)))
    return found


def whole_windows_scored(
    n: int, length: int, stride: int
) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin = found[-1][0] + stride
        found.append((begin, begin, min(begin + length, n)))
    return found


def scored_from_begin_plus_stride(
    n: int, length: int, stride: int
) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin = found[-1][0] + stride
        found.append((begin, begin + stride, min(begin + length, n)))
    return found


def last_one_dropped(n: int, length: int, stride: int) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin, end = found[-1][0] + stride, found[-1][2]
        found.append((begin, end, min(begin + length, n)))
    return [w for w in found if w[2] - w[0] == length]


def goes_on_after_the_end(
    n: int, length: int, stride: int
) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = []
    for begin in range(0, n, stride):
        end = min(begin + length, n)
        first = begin + length - stride if begin else 0
        found.append((begin, min(first, end), end))
    return found


def first_window_as_the_others(
    n: int, length: int, stride: int
) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, min(length - stride, n), min(length, n))]
    while found[-1][2] < n:
        begin, end = found[-1][0] + stride, found[-1][2]
        found.append((begin, end, min(begin + length, n)))
    return found


def counted_within_the_window(
    n: int, length: int, stride: int
) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin, end = found[-1][0] + stride, found[-1][2]
        found.append((begin, end - begin, min(begin + length, n)))
    return found


def end_beyond_the_text(n: int, length: int, stride: int) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, length)]
    while found[-1][2] < n:
        begin, end = found[-1][0] + stride, found[-1][2]
        found.append((begin, end, begin + length))
    return found


def last_one_moved_back(n: int, length: int, stride: int) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin, end = min(found[-1][0] + stride, n - length), found[-1][2]
        found.append((begin, end, min(begin + length, n)))
    return found


def last_token_inside(n: int, length: int, stride: int) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin, end = found[-1][0] + stride, found[-1][2]
        found.append((begin, end, min(begin + length, n)))
    return [(begin, first, end - 1) for begin, first, end in found]


def begins_a_length_later(
    n: int, length: int, stride: int
) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin = found[-1][0] + length
        found.append((begin, begin, min(begin + length, n)))
    return found


def no_error_for_the_stride(
    n: int, length: int, stride: int
) -> list[tuple[int, int, int]]:
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n and len(found) < 99:
        begin, end = found[-1][0] + stride, found[-1][2]
        found.append((begin, end, min(begin + length, n)))
    return found


# Slips: recognised, and not handed in by the tests.


def lengths_for_ends(n: int, length: int, stride: int) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin, end = found[-1][0] + stride, found[-1][2]
        found.append((begin, end, min(begin + length, n)))
    return [(begin, first, end - begin) for begin, first, end in found]


def strides_are_the_overlap(
    n: int, length: int, stride: int
) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin, end = found[-1][0] + max(length - stride, 1), found[-1][2]
        found.append((begin, end, min(begin + length, n)))
    return found


def one_before_is_scored_too(
    n: int, length: int, stride: int
) -> list[tuple[int, int, int]]:
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin, end = found[-1][0] + stride, found[-1][2]
        found.append((begin, end - 1, min(begin + length, n)))
    return found


def _table(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the triples as the rows of a tensor."""
    value = function(*args)
    if value is None:
        return None
    if isinstance(value, Tensor) and value.ndim == 2:
        value = value.tolist()
    if not isinstance(value, list | tuple) or any(
        not isinstance(row, tuple | list) or len(row) != 3 for row in value
    ):
        raise TypeError(
            "a list of (begin, first_scored, end) is expected, three numbers each"
        )
    rows = [whole_numbers(row, "numbers") for row in value]
    return torch.stack(rows) if rows else torch.zeros(0, 3, dtype=torch.int64)


def _window_case(n: int, length: int, stride: int) -> Case:
    return Case((n, length, stride), f"n {n}, length {length}, stride {stride}")


def _side_by_side(generator: Generator) -> list[Case]:
    cases = []
    for more in (0, 1):
        length = draw_integer(generator, 4, 60)
        rest = more * draw_integer(generator, 1, length - 1)
        n = length * draw_integer(generator, 2, 4) + rest
        cases.append(_window_case(n, length, length))
    return cases


def _overlapping(generator: Generator) -> list[Case]:
    cases = []
    for fits in (True, False, False):
        length = draw_integer(generator, 8, 60)
        stride = draw_integer(generator, 2, (length - 1) // 2)
        n = length + stride * draw_integer(generator, 2, 5)
        rest = 0 if fits else draw_integer(generator, 1, stride - 1)
        cases.append(_window_case(n - rest, length, stride))
    return cases


def _short_text(generator: Generator) -> list[Case]:
    length = draw_integer(generator, 12, 200)
    stride = draw_integer(generator, 2, length // 3)
    return [
        _window_case(draw_integer(generator, stride + 2, length - 1), length, stride),
        _window_case(1, length, stride),
        _window_case(length, length, stride),
    ]


def _no_stride(generator: Generator) -> list[Case]:
    """No stride of 0: a loop that forgets about it would not end."""
    length = draw_integer(generator, 4, 200)
    n = draw_integer(generator, length + 9, 500)
    return [
        _window_case(n, length, length + 1),
        _window_case(0, length, length),
    ]


WINDOWS = Exercise(
    name="5/windows",
    title="Each token scored once",
    difficulty=3,
    minutes=20,
    reference=reference_windows,
    parts=(
        Part("side by side", 1, _side_by_side, _table),
        Part("overlapping", 2, _overlapping, _table),
        Part("a text shorter than a window", 1, _short_text, _table),
        Part("too long a stride, no text: ValueError", 1, _no_stride, error_type),
    ),
    misconceptions=(
        Misconception(
            whole_windows_scored,
            "Each window is scored as a whole: what lies in two is paid for twice.",
        ),
        Misconception(
            scored_from_begin_plus_stride,
            "A window's first `stride` tokens are not the ones that were scored "
            "before. New are its *last* ones, from the end of the window before.",
        ),
        Misconception(
            last_one_dropped,
            "The last window, which is short, is dropped: its tokens are never paid "
            "for.",
        ),
        Misconception(
            goes_on_after_the_end,
            "You go on after the end of the text is reached: windows that score "
            "nothing.",
        ),
        Misconception(
            first_window_as_the_others,
            "The first window has none before it: it scores *all* of its tokens.",
        ),
        Misconception(
            counted_within_the_window,
            "`first_scored` is a place in the text, as begin and end are, not one "
            "within the window.",
        ),
        Misconception(
            end_beyond_the_text,
            "The last window ends beyond the text: its end is at most n.",
        ),
        Misconception(
            last_one_moved_back,
            "You move the last window back until it is full. Windows begin at 0, "
            "stride, 2·stride, …; the last may be short.",
        ),
        Misconception(
            last_token_inside,
            "`end` is one past the last token, as in Python's slices.",
        ),
        Misconception(
            begins_a_length_later,
            "Each window begins a *stride* after the one before, not a length: else "
            "nothing overlaps.",
        ),
        Misconception(
            no_error_for_the_stride,
            "A stride above the length leaves tokens out, and a text of nothing has no "
            "window: raise ValueError.",
        ),
    ),
    slips=(
        Misconception(
            lengths_for_ends, "The third number is where the window ends, not how long."
        ),
        Misconception(
            strides_are_the_overlap,
            "You move by length − stride. `stride` is how far a window is moved; "
            "length − stride is how much two of them share.",
        ),
        Misconception(
            one_before_is_scored_too,
            "The last token of the window before is scored once more.",
        ),
    ),
    hints=(
        "Draw n = 10, length = 4, stride = 2.",
        "A window scores from the end of the one before to its own end.",
        "The first that reaches n is the last.",
    ),
)


# -- pays_from ------------------------------------------------------------------------


def reference_pays(model_bits: float, own: float, rival: float) -> float:
    if own >= rival:
        return math.inf
    return model_bits / (rival - own)


def bytes_for_bits(model_bits: float, own: float, rival: float) -> float:
    if own >= rival:
        return math.inf
    return model_bits / 8 / (rival - own)


def bits_for_bytes(model_bits: float, own: float, rival: float) -> float:
    if own >= rival:
        return math.inf
    return 8 * model_bits / (rival - own)


def sign_lost(model_bits: float, own: float, rival: float) -> float:
    if own == rival:
        return math.inf
    return model_bits / abs(rival - own)


def rival_left_out(model_bits: float, own: float, rival: float) -> float:
    if own >= rival:
        return math.inf
    return model_bits / own


def negative_length(model_bits: float, own: float, rival: float) -> float:
    if own == rival:
        return math.inf
    return model_bits / (rival - own)


def stops_where_they_are_equal(model_bits: float, own: float, rival: float) -> float:
    if own > rival:
        return math.inf
    return model_bits / (rival - own)


def own_alone_left_out(model_bits: float, own: float, rival: float) -> float:
    if own >= rival:
        return math.inf
    return model_bits / rival


def ratio_of_the_two(model_bits: float, own: float, rival: float) -> float:
    if own >= rival:
        return math.inf
    return model_bits * own / rival


def nothing_for_never(model_bits: float, own: float, rival: float) -> float:
    if own >= rival:
        return 0.0
    return model_bits / (rival - own)


# Slips: recognised, and not handed in by the tests.


def the_other_way_round(model_bits: float, own: float, rival: float) -> float:
    if own <= rival:
        return math.inf
    return model_bits / (own - rival)


def whole_bytes(model_bits: float, own: float, rival: float) -> float:
    if own >= rival:
        return math.inf
    return float(math.ceil(model_bits / (rival - own)))


def minus_one_for_never(model_bits: float, own: float, rival: float) -> float:
    if own >= rival:
        return -1.0
    return model_bits / (rival - own)


def never_tested(model_bits: float, own: float, rival: float) -> float:
    return model_bits / (rival - own)


def gain_times_the_size(model_bits: float, own: float, rival: float) -> float:
    if own >= rival:
        return math.inf
    return model_bits * (rival - own)


def relative_gain(model_bits: float, own: float, rival: float) -> float:
    if own >= rival:
        return math.inf
    return model_bits / (1 - own / rival)


def _sizes(generator: Generator) -> tuple[float, float, float]:
    """(bits of a model, fewer bits a byte, more)."""
    own = round(1.5 + torch.rand(1, generator=generator).item(), 2)
    gain = round(0.1 + 0.6 * torch.rand(1, generator=generator).item(), 2)
    return 1000.0 * draw_integer(generator, 1000, 99999), own, round(own + gain, 2)


def _pay_case(model_bits: float, own: float, rival: float) -> Case:
    says = f"model_bits {model_bits:g}, own {own}, rival {rival}"
    return Case((model_bits, own, rival), says)


def _pays(generator: Generator) -> list[Case]:
    _, low, high = _sizes(generator)
    small = _pay_case(float(draw_integer(generator, 2, 9)), low, high)
    return [small, *(_pay_case(*_sizes(generator)) for _ in range(2))]


def _never(generator: Generator) -> list[Case]:
    bits, low, high = _sizes(generator)
    return [_pay_case(bits, high, low), _pay_case(bits, high, high)]


def _free(generator: Generator) -> list[Case]:
    _, low, high = _sizes(generator)
    return [_pay_case(0.0, low, high)]


def _as_number(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the number as a float."""
    value = plain_number(function(*args))
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if whole else value


PAYS_FROM = Exercise(
    name="5/pays_from",
    title="From where on the model pays for itself",
    difficulty=1,
    minutes=10,
    reference=reference_pays,
    parts=(
        Part("a model that gains", 1, _pays, _as_number),
        Part("one that never does", 1, _never, _as_number, beside_a_value=True),
        Part("one that is free", 1, _free, _as_number, beside_a_value=True),
    ),
    misconceptions=(
        Misconception(
            bytes_for_bits,
            "The model is in bits, and so is the gain for each byte of text: no "
            "division by 8.",
        ),
        Misconception(
            bits_for_bytes,
            "The answer is in bytes already, for the gain is bits *a byte*: no factor "
            "of 8.",
        ),
        Misconception(
            sign_lost,
            "With `abs` a model that is worse pays for itself, too. It never does: ∞.",
        ),
        Misconception(
            rival_left_out,
            "What counts is the *gain* over the rival, which writes files as well: "
            "rival − own.",
        ),
        Misconception(
            negative_length,
            "No text has a negative length: where nothing is gained, the answer is ∞.",
        ),
        Misconception(
            stops_where_they_are_equal,
            "Where own and rival are equal, nothing is gained, and the division is by "
            "0: the answer is ∞.",
        ),
        Misconception(
            own_alone_left_out,
            "With the model the text still costs `own` bits a byte: what is gained is "
            "rival − own.",
        ),
        Misconception(
            ratio_of_the_two,
            "At n bytes, model_bits + own·n = rival·n. Solve it for n.",
        ),
        Misconception(
            nothing_for_never,
            "A model that never pays for itself does not pay from 0 bytes on: ∞.",
        ),
    ),
    slips=(
        Misconception(the_other_way_round, "own and rival have changed places."),
        Misconception(
            whole_bytes, "Leave the number as it comes out, and do not round it."
        ),
        Misconception(minus_one_for_never, "Where it never pays, return math.inf."),
        Misconception(
            never_tested,
            "No text has a negative length, and none can be divided by 0: where "
            "nothing is gained, the answer is ∞.",
        ),
        Misconception(
            gain_times_the_size,
            "You multiply by the gain. The more is gained a byte, the fewer bytes it "
            "takes: divide.",
        ),
        Misconception(
            relative_gain,
            "The gain is a difference in bits, not a share of the rival's.",
        ),
    ),
    hints=(
        "Both files are as long at n bytes: model_bits + own·n = rival·n.",
        "What if own is not below rival?",
    ),
)

EXERCISES = [MIX, WINDOWS, PAYS_FROM]
