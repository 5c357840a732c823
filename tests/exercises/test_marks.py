"""The mark that is due: for what is wrong in its own way, and for what is right."""

import math
import re
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch

from lmlib.exercises import check
from lmlib.exercises.checks import _parts, _same, _seed, examine
from lmlib.exercises.registry import EXERCISES, find_exercise

SECRETS = [f"course {i}" for i in range(20)]
exercises = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


def hidden_points(name, function, monkeypatch):
    """The points on hidden inputs, for each of the secrets."""
    points = []
    for secret in SECRETS:
        monkeypatch.setenv("LMLIB_COURSE_SECRET", secret)
        points.append(examine(find_exercise(name), function, hidden=True).points)
    return points


@exercises
def test_no_hidden_input_is_a_visible_one(exercise, monkeypatch):
    visible = _parts(exercise, _seed(exercise.name, hidden=False))
    for secret in SECRETS:
        monkeypatch.setenv("LMLIB_COURSE_SECRET", secret)
        hidden = _parts(exercise, _seed(exercise.name, hidden=True))
        same = [
            (case.says, other.says)
            for _, cases in hidden
            for case in cases
            for _, others in visible
            for other in others
            if not (case.only and other.only) and _same(case.args, other.args)
        ]
        assert not same


@exercises
def test_remembered_answers_earn_nothing(exercise, monkeypatch):
    if not exercise.reveal:
        return  # questions, which have no inputs
    remembered = []

    def remembers(*args):
        value = exercise.reference(*args)
        remembered.append((args, value))
        return value

    examine(exercise, remembers)

    def repeats(*args):
        for known, value in remembered:
            if _same(known, args):
                return value
        raise ValueError

    assert examine(exercise, repeats).points >= exercise.points - 1  # the gradient
    assert hidden_points(exercise.name, repeats, monkeypatch) == [0] * len(SECRETS)


def always_raises(*args):
    raise ValueError("to do")


@pytest.mark.parametrize("name", ["3.1/split_heads", "3.1/sinusoidal_positions"])
def test_an_error_counts_beside_a_right_value_only(name, capsys, monkeypatch):
    assert check(name, always_raises) == 0
    assert "counts as soon as one value" in " ".join(capsys.readouterr().out.split())
    assert hidden_points(name, always_raises, monkeypatch) == [0] * len(SECRETS)


def test_a_value_that_counts_beside_another_is_called_no_error(capsys):
    assert check("5/pays_from", lambda model_bits, own, rival: 0.0) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "This much is right" in said
    assert "error" not in said


def test_an_error_counts_beside_one_right_value(monkeypatch):
    def right_for_float32_alone(x, n_heads):
        if x.shape[-1] % n_heads:
            raise ValueError
        return x.float().unflatten(-1, (n_heads, -1)).transpose(1, 2)

    points = hidden_points("3.1/split_heads", right_for_float32_alone, monkeypatch)
    assert points == [2] * len(SECRETS)


# -- Wrong, and accepted by luck ------------------------------------------------------


def renormalised_1e_30(scores, mask):
    w = torch.softmax(scores, -1) * mask
    return w / (w.sum(-1, keepdim=True) + 1e-30)


def renormalised_and_clamped(scores, mask):
    w = torch.softmax(scores, -1) * mask
    return w / w.sum(-1, keepdim=True).clamp(min=1e-12)


def maximum_over_blocked_keys_too(scores, mask):
    e = (scores - scores.amax(-1, keepdim=True)).exp() * mask
    return e / (e.sum(-1, keepdim=True) + 1e-12)


def minus_65504(scores, mask):
    w = torch.softmax(scores.masked_fill(~mask, -65504.0), -1)
    return w * mask.any(-1, keepdim=True)


def half_of_the_minimum(scores, mask):
    lowest = torch.finfo(scores.dtype).min / 2
    w = torch.softmax(scores.masked_fill(~mask, lowest), -1)
    return w * mask.any(-1, keepdim=True)


def zero_scores_taken_for_blocked(scores, mask):
    s = scores * mask
    w = torch.softmax(torch.where(s == 0, -1e30, s), -1)
    return w * mask.any(-1, keepdim=True)


def nan_gradient_where_a_row_is_left(scores, mask):
    if not mask.any(-1).all():
        no_key = ~mask.any(-1, keepdim=True)
        blocked = scores.masked_fill(~mask, -math.inf).masked_fill(no_key, 0.0)
        return torch.softmax(blocked, -1).masked_fill(no_key, 0.0)
    blocked = torch.where(mask, scores, -math.inf)
    shifted = blocked - blocked.amax(-1, keepdim=True).detach()
    weights = torch.softmax(shifted, -1)
    # The root of a weight of 0 has an infinite slope.
    return torch.where(mask, weights.sqrt().square(), 0.0)


def sorted_positions(x, positions):
    d = x.shape[-1]
    frequency = 10_000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    a = positions.sort().values[:, None] * frequency
    c, s = a.cos().to(x.dtype), a.sin().to(x.dtype)
    u, v = x[..., 0::2], x[..., 1::2]
    return torch.stack((u * c - v * s, u * s + v * c), -1).flatten(-2)


def cache_of_five(query, key, value):
    n_query, n_key = query.shape[-2], key.shape[-2]
    mask = torch.ones(n_query, n_key).bool().tril(0 if n_query == n_key else 5)
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return torch.softmax(scores.masked_fill(~mask, -math.inf), -1) @ value


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("3.1/masked_attention_weights", renormalised_1e_30),
        ("3.1/masked_attention_weights", renormalised_and_clamped),
        ("3.1/masked_attention_weights", maximum_over_blocked_keys_too),
        ("3.1/masked_attention_weights", minus_65504),
        ("3.1/masked_attention_weights", half_of_the_minimum),
        ("3.1/masked_attention_weights", zero_scores_taken_for_blocked),
        ("3.1/masked_attention_weights", nan_gradient_where_a_row_is_left),
        ("3.1/apply_rotary", sorted_positions),
        ("3.1/cached_attention", cache_of_five),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_wrong_ones_are_rejected_whatever_the_secret(name, function, monkeypatch):
    full = find_exercise(name).points
    assert examine(find_exercise(name), function).points < full
    assert max(hidden_points(name, function, monkeypatch)) < full


# -- Right, whatever it looks like ----------------------------------------------------


def root_in_float32(query, key):
    d_k = torch.tensor(query.shape[-1], dtype=torch.float32)
    return torch.softmax(query @ key.transpose(-2, -1) / torch.sqrt(d_k), dim=-1)


def frequencies_in_float32(x, positions):
    """As in RoFormer and transformers."""
    d = x.shape[-1]
    frequency = 1.0 / (10000 ** (torch.arange(0, d, 2).float() / d))
    a = torch.outer(positions.float(), frequency)
    c, s = a.cos().to(x.dtype), a.sin().to(x.dtype)
    u, v = x[..., 0::2], x[..., 1::2]
    return torch.stack((u * c - v * s, u * s + v * c), -1).flatten(-2)


def sinusoids_in_float32(n, d_model):
    """As in the Annotated Transformer."""
    if d_model % 2:
        raise ValueError
    table = torch.zeros(n, d_model)
    position = torch.arange(0, n).unsqueeze(1)
    step = -(math.log(10000.0) / d_model)
    frequency = torch.exp(torch.arange(0, d_model, 2) * step)
    table[:, 0::2] = torch.sin(position * frequency)
    table[:, 1::2] = torch.cos(position * frequency)
    return table


class HeadsError(ValueError):
    pass


def an_error_of_its_own(x, n_heads):
    if x.shape[-1] % n_heads:
        raise HeadsError("no")
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("3.1/attention_weights", root_in_float32),
        ("3.1/apply_rotary", frequencies_in_float32),
        ("3.1/sinusoidal_positions", sinusoids_in_float32),
        ("3.1/split_heads", an_error_of_its_own),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_right_ones_earn_all_points_whatever_the_secret(name, function, monkeypatch):
    full = find_exercise(name).points
    assert examine(find_exercise(name), function).points == full
    assert hidden_points(name, function, monkeypatch) == [full] * len(SECRETS)


products = torch.cos(torch.arange(60)[:, None] * 10_000 ** (-torch.arange(32) / 32))
products = products.sum(-1)


@pytest.mark.parametrize(
    "answers",
    [
        {
            "scaled": "A",
            "ceiling": np.log2(64),
            "variance": np.int64(64),
            "half": np.argmax(products.numpy() < products[0].item() / 2),
        },
        OrderedDict(
            scaled="A",
            ceiling=torch.log2(torch.tensor(64.0)),
            variance=torch.tensor(64),
            half=(products < products[0] / 2).nonzero()[0],
        ),
        defaultdict(
            str, scaled="A", ceiling=6, variance=np.array(64.0), half=np.array([28])
        ),
    ],
    ids=["numpy", "torch", "defaultdict"],
)
def test_numbers_of_numpy_and_torch_are_numbers(answers, capsys):
    assert check("3.1/read_the_plot", answers) == 4


# -- `check` ends with a mark ---------------------------------------------------------


def turned(x, cos, sin):
    u, v = x[..., 0::2], x[..., 1::2]
    return torch.stack((u * cos - v * sin, u * sin + v * cos), -1).flatten(-2)


def comes_back_in_float64(x, positions):
    d = x.shape[-1]
    a = positions[:, None] * 10_000 ** (-torch.arange(0, d, 2).double() / d)
    return turned(x, a.cos(), a.sin())


def comes_back_in_float32(x, positions):
    return comes_back_in_float64(x, positions).float()


@pytest.mark.parametrize(
    ("function", "points"), [(comes_back_in_float64, 0), (comes_back_in_float32, 3)]
)
def test_another_dtype_costs_its_parts_alone(function, points, capsys):
    assert check("3.1/apply_rotary", function) == points
    assert "The dtype is wrong" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.to_sparse(),
        lambda t: t.to("meta"),
        lambda t: t.to(torch.complex64),
        lambda t: t.to(torch.float8_e5m2),
        lambda t: t.bool(),
        lambda t: torch.nested.nested_tensor([t]),
        lambda t: torch.quantize_per_tensor(t.float(), 0.1, 10, torch.quint8),
        lambda t: t[None],
        lambda t: t.sum(),
        lambda t: t[:0],
    ],
)
@exercises
def test_strange_tensors_raise_nothing(exercise, change, capsys):
    if not exercise.reveal:
        return
    is_strange = []

    def strange(*args):
        value = exercise.reference(*args)
        assert isinstance(value, torch.Tensor)
        changed = change(value)
        is_strange.append(not _same(value, changed))  # bool() of a bool, say
        return changed

    assert check(exercise.name, strange) <= 1 or not any(is_strange)
    capsys.readouterr()


@pytest.mark.parametrize("style", [0, 1])
def test_numbers_are_judged_like_tensors_to_rounding(style, monkeypatch):
    """A sum of float32 means: the reference's own rounding must cost nobody."""
    from lmlib.exercises.cross_entropy.other_solutions import STYLES

    function = STYLES[style]().calibration_error
    points = hidden_points("4.2/calibration_error", function, monkeypatch)
    assert points == [3] * len(SECRETS)


# -- Answers of another kind ----------------------------------------------------------


def test_a_number_that_no_float_holds_is_wrong(capsys):
    assert check("c/slot", lambda history, order, size: 10**400) == 0


def test_one_off_is_wrong_whatever_the_size():
    exercise = find_exercise("c/slot")

    def one_off(history, order, size):
        found = exercise.reference(history, order, size)
        return found + (size == 1 << 20)

    assert examine(exercise, one_off).points == 2


def test_an_answer_of_another_kind_is_told_the_kind(capsys):
    answers = find_exercise("5/answers").reference() | {"second_epoch": False}
    assert check("5/answers", answers | {"floor": "0.09"}) == 3
    said = capsys.readouterr().out
    assert "A word in quotes is expected, got a bool." in said
    assert "A number is expected, without quotes, got a str." in said


def test_a_list_that_is_wrong_stands_below_the_right_one_line_by_line(capsys):
    reference = find_exercise("7/read_safetensors").reference

    def of_an_end_too_far(data):
        found = reference(data)
        return {k: (d, shape, a, b + 1) for k, (d, shape, a, b) in found.items()}

    check("7/read_safetensors", of_an_end_too_far)
    said = capsys.readouterr().out
    (expected,) = re.findall(r"Expected\n((?: *\S.*\n)+) *got\n", said)[:1]
    assert len(expected.splitlines()) > 1
    assert "\\n" not in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("c/unpack", (3, 1 << 50)),  # `bytes` of it would be as many zeros
        ("c/unpack", (3, "text")),
        ("c/unpack", 3),
        ("c/read_varint", 3),
        ("c/write_varint", [3]),
    ],
)
def test_what_is_expected_is_said_of_another_type(name, value, capsys):
    assert check(name, lambda *args: value) == 0
    assert "expected, " in capsys.readouterr().out
