"""Every exercise rejects every mistake that has a name, and accepts what is right."""

import hashlib
import importlib
import inspect
import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from lmlib.exercises import check
from lmlib.exercises.checks import Report, examine, module_of
from lmlib.exercises.registry import EXERCISES, SECTIONS, find_exercise

MUTANTS = [(e, m) for e in EXERCISES.values() for m in e.misconceptions]
mutants = pytest.mark.parametrize(
    ("exercise", "misconception"),
    MUTANTS,
    ids=[f"{e.name}-{m.name}" for e, m in MUTANTS],
)
exercises = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
SECRETS = [f"course {i}" for i in range(8)]
STYLES = [
    (exercise, style)
    for section in SECTIONS.values()
    for style in importlib.import_module(f"{section.__name__}.other_solutions").STYLES
    for exercise in section.EXERCISES
]


def named(report: Report) -> set[str]:
    return {r.misconception.name for r in report.results if r.misconception}


@mutants
def test_hidden_inputs_reject_the_mutant_whatever_the_secret(
    exercise, misconception, monkeypatch
):
    for secret in SECRETS:
        monkeypatch.setenv("LMLIB_COURSE_SECRET", secret)
        report = examine(exercise, misconception.implementation, hidden=True)
        assert report.points < exercise.points


@mutants
def test_visible_inputs_name_the_mistake(exercise, misconception):
    report = examine(exercise, misconception.implementation)
    assert report.points < exercise.points
    assert named(report) == {misconception.name}
    assert misconception.explanation in " ".join(str(report).split())


@exercises
def test_reference_earns_all_points_whatever_the_secret(exercise, monkeypatch):
    assert examine(exercise, exercise.reference).points == exercise.points
    for secret in SECRETS:
        monkeypatch.setenv("LMLIB_COURSE_SECRET", secret)
        report = examine(exercise, exercise.reference, hidden=True)
        assert report.points == exercise.points, report


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_there_are_two_other_styles_or_more(section):
    found = [style for exercise, style in STYLES if exercise is section.EXERCISES[0]]
    assert len(found) >= 2


@pytest.mark.parametrize(
    ("exercise", "style"), STYLES, ids=[f"{e.name}-{s.__name__}" for e, s in STYLES]
)
def test_other_right_solutions_earn_all_points(exercise, style, monkeypatch):
    answer = vars(style())[exercise.short_name]
    function = answer if callable(answer) else lambda: answer
    for hidden in (False, True):
        report = examine(exercise, function, hidden=hidden)
        assert report.points == exercise.points, report


@exercises
def test_exercise_is_complete(exercise):
    assert len(exercise.misconceptions) >= 5
    assert 1 <= exercise.difficulty <= 5
    assert exercise.minutes > 0
    assert exercise.hints
    assert len({m.name for m in exercise.misconceptions}) == len(
        exercise.misconceptions
    )
    for misconception in exercise.misconceptions:
        assert misconception.explanation.endswith((".", ".)", "?"))


@exercises
def test_hidden_report_gives_nothing_away(exercise):
    def wrong(*args):
        raise ZeroDivisionError(f"the input was {args}")

    report = str(examine(exercise, wrong, hidden=True))
    assert "the input was" not in report
    assert "Smallest failing input" not in report
    for misconception in exercise.misconceptions:
        report = examine(exercise, misconception.implementation, hidden=True)
        assert "Expected" not in str(report)
        assert "got " not in str(report)


def test_hidden_inputs_depend_on_secret_and_student_and_visible_ones_do_not(
    monkeypatch,
):
    def inputs(hidden: bool) -> list[torch.Tensor]:
        seen = []

        def spy(query, key):
            seen.append(query.clone())
            return query @ key.mT

        examine(find_exercise("3.1/attention_weights"), spy, hidden=hidden)
        return seen

    def same(one, other):
        return all(
            a.shape == b.shape and torch.equal(a, b)
            for a, b in zip(one, other, strict=True)
        )

    visible, hidden = inputs(False), inputs(True)
    assert same(visible, inputs(False))
    assert same(hidden, inputs(True))
    assert not same(visible, hidden)
    for name in ("LMLIB_COURSE_SECRET", "LMLIB_STUDENT"):
        monkeypatch.setenv(name, "something")
        assert same(visible, inputs(False))
        assert not same(hidden, inputs(True))
        monkeypatch.delenv(name)


# -- What a student reads -------------------------------------------------------------


def right_weights(query, key):
    return torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]), dim=-1)


def check_output(capsys, answer, name="3.1/attention_weights", **options) -> tuple:
    points = check(name, answer, **options)
    output = capsys.readouterr()
    assert not output.err
    return points, output.out


def test_partial_credit_tells_what_is_right_and_what_is_wrong(capsys):
    def last_axis_forgotten(query, key):
        return torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]), dim=1)

    points, text = check_output(capsys, last_axis_forgotten)
    assert points == 2
    assert "✓ two queries, three keys (1 point)" in text
    assert "✗ any leading axes: batches, heads (2 points)" in text
    assert "axis 1" in text
    assert "must sum to 1 over the keys" in text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda query, key: None, "Returns None"),
        (lambda query, key: right_weights(query, key).numpy(), "Returns a ndarray"),
        (lambda query, key: right_weights(query, key).mT, "shape is wrong"),
        (lambda query, key: right_weights(query, key).half(), "dtype is wrong"),
        (lambda query, key: right_weights(query, key) * math.nan, "NaN"),
        (lambda query, key: right_weights(query, key) + 0.01, "values are wrong"),
        (lambda query: query, "TypeError"),
        (None, "is expected; got nothing"),
        ("weights", "is expected; got a str"),
    ],
)
def test_generic_mistakes_are_told_apart(capsys, answer, words):
    points, text = check_output(capsys, answer)
    assert points == 0
    assert words in text


def test_not_written_yet_is_one_line(capsys):
    def unwritten(query, key):
        raise NotImplementedError

    points, text = check_output(capsys, unwritten)
    assert points == 0
    assert text == "3.1/attention_weights: 0 of 4 points. Not written yet.\n"


def test_smallest_failing_input_is_shown_with_both_values(capsys):
    _, text = check_output(capsys, lambda query, key: query @ key.mT)
    for words in ("Smallest failing input", "query = [[", "Expected [[", "got      [["):
        assert words in text


def test_input_changed_in_place_is_found(capsys):
    def greedy(weights, value):
        result = weights @ value
        value.zero_()
        return result

    points, text = check_output(capsys, greedy, "3.1/weighted_sum")
    assert points == 0
    assert "changes its input" in text


def test_each_call_gets_its_own_copy_of_the_input(capsys):
    inputs = []

    def keeps(weights, value):
        inputs.append(value)
        return weights @ value

    check_output(capsys, keeps, "3.1/weighted_sum")
    inputs[0].zero_()
    points, _ = check_output(capsys, keeps, "3.1/weighted_sum")
    assert points == 2


def test_warnings_do_not_reach_stderr_where_nbgrader_would_fail_the_cell(capsys):
    def warns(weights, value):
        import sys
        import warnings

        warnings.warn("deprecated", stacklevel=1)
        print("to stderr", file=sys.stderr)
        return weights @ value

    points, _ = check_output(capsys, warns, "3.1/weighted_sum")
    assert points == 2


def test_lmlib_and_torch_are_not_answers(capsys):
    from lmlib.attention import merge_heads

    points, text = check_output(capsys, merge_heads, "3.1/merge_heads")
    assert points == 0
    assert "write" in text


def weighted_sum(weights, value):
    return weights @ value


@pytest.mark.parametrize("make", [torch.jit.script, torch.compile])
def test_what_torch_makes_of_ones_own_function_is_ones_own(make):
    assert module_of(make(weighted_sum)) == __name__


def test_what_torch_makes_of_a_function_of_the_library_is_no_answer():
    def of_the_library(x):
        return x

    of_the_library.__module__ = "lmlib.attention"
    traced = torch.jit.trace(of_the_library, torch.ones(1))
    assert module_of(traced) == "lmlib.attention"
    assert module_of(torch.nn.functional.softmax) == "torch.nn.functional"


@pytest.mark.parametrize(
    "number", [Fraction(64), Decimal(64), np.int64(64), torch.tensor([64.0])]
)
def test_a_right_number_of_another_type_is_right(capsys, number):
    answers = {"scaled": "A", "ceiling": 6, "variance": number, "half": 28}
    assert check_output(capsys, answers, "3.1/read_the_plot")[0] == 4


def test_a_value_that_cannot_be_written_out_is_only_wrong(capsys):
    points, text = check_output(capsys, lambda *_: 10**5000, "8/good_turing")
    assert points == 0
    assert "got an int" in text


def test_tensor_subclass_does_not_pass_for_a_tensor(capsys):
    class Agreeable(torch.Tensor):
        def __eq__(self, other):
            return True

    def cheat(query, key):
        return right_weights(query, key).as_subclass(Agreeable)

    points, text = check_output(capsys, cheat)
    assert points == 0
    assert "Agreeable" in text


def test_questions_do_not_reveal_their_answers(capsys):
    answers = {"scaled": "B", "ceiling": 5, "variance": None, "half": 27}
    points, text = check_output(capsys, answers, "3.1/read_the_plot")
    assert points == 0
    assert "28" not in text
    assert "Not written yet" in text


@pytest.mark.parametrize("answers", ["A, 6, 64, 28", None, {}, {"scaled": ["A"]}])
def test_malformed_answers_earn_nothing_and_raise_nothing(capsys, answers):
    points, _ = check_output(capsys, answers, "3.1/read_the_plot")
    assert points == 0


def test_unknown_exercise_names_the_nearest():
    with pytest.raises(KeyError, match=r"3\.1/attention_weights"):
        check("3.1/atention_weights", right_weights)


@mutants
def test_mutant_is_complete_in_itself(exercise, misconception):
    """Its source runs in the notebook, which imports these alone."""
    if not exercise.reveal:
        return  # answers, not source
    names = {"math": math, "torch": torch, "Tensor": torch.Tensor}
    names |= {"Fraction": Fraction, "hashlib": hashlib, "re": re}
    exec(inspect.getsource(misconception.implementation), names)
    copy = names[misconception.name]
    assert named(examine(exercise, copy)) == {misconception.name}


def test_jupyter_shows_the_report_and_no_number_below_it():
    from IPython.core.formatters import DisplayFormatter

    earned = check("3.1/weighted_sum", lambda weights, value: weights @ value)
    assert earned == find_exercise("3.1/weighted_sum").points
    assert DisplayFormatter().format(earned) == ({}, {})
