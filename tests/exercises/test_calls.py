"""Answers that call what they are to write are told from those that use torch."""

import functools
import pkgutil

import pytest

from lmlib.exercises import check
from lmlib.exercises.calls import forbidden_call
from lmlib.exercises.checks import siblings
from lmlib.exercises.registry import EXERCISES, find_exercise

FORBIDDEN = ("lmlib", "torch.nn.MultiheadAttention")
IMPORTS = (
    "import math\nimport torch\nfrom torch import nn\nimport torch.nn.functional as F"
)


OURS, TORCHS = "lmlib.attention.f", "torch.nn.MultiheadAttention"
LAYER = f"{TORCHS.removeprefix('torch.')}(4, 2)"


@pytest.mark.parametrize(
    ("called", "cell", "another"),
    [
        (OURS, "import lmlib.attention", "def f(x): return lmlib.attention.f(x)"),
        (OURS, "from lmlib import attention as a", "def f(x): return a.f(x)"),
        (OURS, "def f(x):\n  from lmlib.attention import f\n  return f(x)", ""),
        (OURS, "from lmlib.attention import f", ""),
        (OURS, "import lmlib.attention as a\nf = lambda x: a.f(x)", ""),
        (OURS, "from lmlib.attention import f as g", "f = g"),
        (OURS, "%pip list\nimport lmlib", "f = lmlib.attention.f"),
        (
            OURS,
            "import lmlib as l\ndef g(x): return l.attention.f(x)",
            "def f(x): return h(x)\ndef h(x): return g(x)",
        ),
        (
            OURS,
            "try:\n  from lmlib.attention import f as g\nexcept ImportError:\n  g = 1",
            "def f(x): return g(x)",
        ),
        # What is no plain Python beside it, and what IPython makes of it.
        (
            OURS,
            "files = !ls\ndef f(x):\n  import lmlib as l\n  return l.attention.f(x)",
            "",
        ),
        (OURS, "import lmlib\nf?", "t = %time 1\nf = lmlib.attention.f"),
        (OURS, "import lmlib\n%time f = lmlib.attention.f", ""),
        (OURS, "from lmlib.attention import f as g\nready = %time g", "f = ready"),
        (OURS, "%%time\nfrom lmlib.attention import f", ""),
        (OURS, "get_ipython().run_cell('from lmlib.attention import f')", ""),
        (
            OURS,
            "get_ipython().run_cell_magic('time', '', 'import lmlib\\n')\n",
            "x = get_ipython().getoutput('ls')\nf = lmlib.attention.f",
        ),
        (OURS, "import lmlib\ns = ('%d'\n% 1)", "!ls\nf = lmlib.attention.f"),
        (TORCHS, f"def f(x): return {LAYER}(x)", ""),
        (TORCHS, f"layer = {LAYER}", "def f(x): return layer(x)"),
        (TORCHS, f"class f(nn.Module):\n  def __init__(self): self.m = {LAYER}", ""),
    ],
)
def test_calls_are_found_through_names_and_helpers(called, cell, another):
    assert forbidden_call([IMPORTS, cell, another], "f", FORBIDDEN) == called


@pytest.mark.parametrize(
    "cells",
    [
        ["def f(x): return F.scaled_dot_product_attention(x, x, x)"],
        ["from lmlib.attention import f", "def f(x): return x"],
        ["from lmlib.attention import g\ng(1)", "def f(g): return g + 1"],
        ["from lmlib.attention import g", "def f(x):\n  g = x + 1\n  return g"],
        ["import lmlib\nlmlib.attention.f(1)", "def f(x): return x"],
        ["def f(x): return lmlib(x)\ndef lmlib(x): return x"],
        ["import lmlib\ndef other(x): return lmlib.f(x)", "def f(x): return other(x)"],
        ["import lmlib\ndef f(x): return lmlib.f(x)", "def f(x): return x"],
        ["def f(x): return f(x - 1) if x else 0"],
        ["this is no Python", "def f(x): return x"],
        ["%%bash\necho lmlib", "x = !pip show lmlib\ndef f(x): return x"],
        ["%load_ext lmlib\n%timeit -n 2 lmlib.f(1)", "def f(x): return x"],
        ["x = !ls\n" * 600 + "def g(x): return x", "def f(x): return x"],
    ],
)
def test_honest_answers_are_left_alone(cells):
    assert forbidden_call([IMPORTS, *cells], "f", FORBIDDEN, others=["other"]) is None


def test_every_helper_and_forbidden_name_exists():
    for exercise in EXERCISES.values():
        earlier = [e.name for e in siblings(exercise)]
        earlier = earlier[: earlier.index(exercise.name)]
        assert set(exercise.helpers) <= set(earlier), exercise.name
        for name in exercise.forbidden:
            pkgutil.resolve_name(name)


# -- In a notebook --------------------------------------------------------------------


def notebook(*cells):
    """The names of a notebook after its cells ran, as IPython has them."""
    names = {"In": [""]}
    for cell in (IMPORTS, *cells):
        names["In"].append(cell)
        exec(cell, names)
    return names


def reported(capsys, name, answer, **options):
    capsys.readouterr()
    points = check(name, answer, **options)
    return points, " ".join(capsys.readouterr().out.split())


CALLS = (
    "from lmlib.attention import attention_weights as ready",
    "def attention_weights(q, k): return ready(q @ k.mT / q.shape[-1] ** 0.5)",
)


def test_what_a_partial_function_stands_for_is_looked_at(capsys):
    names = notebook(*CALLS)
    answer = functools.partial(names["attention_weights"])
    points, told = reported(capsys, "3.1/attention_weights", answer)
    assert points == 0
    assert "uses lmlib.attention.attention_weights" in told
    answer = functools.partial(names["ready"])
    assert reported(capsys, "3.1/attention_weights", answer)[0] == 0


def test_an_answer_that_only_calls_the_library_gets_nothing(capsys, monkeypatch):
    answer = notebook(*CALLS)["attention_weights"]
    points, told = reported(capsys, "3.1/attention_weights", answer)
    assert points == 0
    assert "uses lmlib.attention.attention_weights" in told
    assert reported(capsys, "3.1/attention_weights", answer, hidden=True)[0] == 0
    monkeypatch.setenv("LMLIB_ALLOW_LIBRARY", "1")
    assert reported(capsys, "3.1/attention_weights", answer)[0] == 4
    from lmlib.attention import merge_heads

    assert reported(capsys, "3.1/merge_heads", merge_heads)[0] == 2


MULTI_HEAD = """
def multi_head_attention(x, w_query, w_key, w_value, w_output, n_heads, mask=None):
    query, key, value = (split_heads(x @ w, n_heads) for w in (w_query, w_key, w_value))
    if mask is None:
        weights = attention_weights(query, key)
    else:
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        weights = masked_attention_weights(scores, mask)
    return merge_heads(weighted_sum(weights, value)) @ w_output
"""
RIGHT = """
def attention_weights(query, key):
    return (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
def weighted_sum(weights, value): return weights @ value
def masked_attention_weights(scores, mask):
    some = mask.any(-1, keepdim=True)
    return scores.masked_fill(~mask & some, -math.inf).softmax(-1) * some
def split_heads(x, n): return x.unflatten(-1, (n, -1)).transpose(1, 2)
def merge_heads(x): return x.transpose(1, 2).flatten(-2)
"""
WRONG_WEIGHTS = "def attention_weights(query, key): return (query @ key.mT).softmax(-1)"
WRONG_MERGE = "def merge_heads(x): return x.reshape(x.shape[0], x.shape[2], -1)"
NAME = "3.1/multi_head_attention"


def test_right_answer_upon_wrong_helpers_is_right(capsys):
    names = notebook(RIGHT, WRONG_WEIGHTS, WRONG_MERGE, MULTI_HEAD)
    for hidden in (False, True):
        answer, own = names["multi_head_attention"], dict(names)
        points, told = reported(capsys, NAME, answer, hidden=hidden)
        assert points == 5
        assert "Your `attention_weights` and `merge_heads` are wrong." in told
        assert "With right ones in place, this one is right." in told
        assert {k: v for k, v in names.items() if k != "__builtins__"} == {
            k: v for k, v in own.items() if k != "__builtins__"
        }


def test_the_wrong_helper_alone_is_named(capsys):
    answer = notebook(RIGHT, WRONG_MERGE, MULTI_HEAD)["multi_head_attention"]
    assert "Your `merge_heads` is wrong." in reported(capsys, NAME, answer)[1]


def test_helpers_that_are_not_written_yet_cost_their_own_points_only(capsys):
    answer = notebook(MULTI_HEAD)["multi_head_attention"]
    assert reported(capsys, NAME, answer)[0] == 5


def test_an_error_of_its_own_is_still_found_behind_wrong_helpers(capsys):
    own = MULTI_HEAD.replace(" @ w_output", "")
    answer = notebook(RIGHT, WRONG_MERGE, own)["multi_head_attention"]
    points, told = reported(capsys, NAME, answer)
    assert points == 0
    assert "wrong. With" not in told  # it is no better with right helpers
    # `mask` ignored: two parts of three come right with the right helper
    own = MULTI_HEAD.replace("if mask is None", "if True")
    answer = notebook(RIGHT, WRONG_MERGE, own)["multi_head_attention"]
    points, told = reported(capsys, NAME, answer)
    assert points == 3
    assert (
        "`merge_heads` is wrong. With a right one in place, this is what is left"
        in told
    )
    assert "The mask has no effect" in told


def test_right_helpers_change_nothing_about_a_right_answer(capsys):
    answer = notebook(RIGHT, MULTI_HEAD)["multi_head_attention"]
    points, told = reported(capsys, NAME, answer)
    assert points == find_exercise(NAME).points
    assert "in place" not in told
