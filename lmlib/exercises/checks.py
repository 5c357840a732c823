"""`check`: what a student calls, and what the hidden tests call.

    check("3.1/attention_weights", attention_weights)

runs the parts of the exercise on inputs that are the same for everybody, prints what is
right and what is wrong and why, and returns the points. With `hidden=True` the inputs
come from the course's secret and the student's name, and nothing printed gives away an
input or a value.
"""

import contextlib
import copy
import functools
import hashlib
import inspect
import math
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmlib.exercises.calls import forbidden_call, library_is_allowed
from lmlib.exercises.diagnosis import describe
from lmlib.exercises.exercise import (
    ABSOLUTE,
    RELATIVE,
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    built_in_type,
    call,
    plain_number,
)
from lmlib.exercises.registry import find_exercise, siblings

NOT_WRITTEN = "Not written yet."
# An error, or a value such as 0, that a function gives whatever it is asked.
NO_VALUE = (
    "This much is right. It counts as soon as one value in another part is right, too."
)


# -- Trying a function ----------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a call came to: a value, or the error that it raised."""

    value: Any = None
    error: Exception | None = None
    changed_input: bool = False


@dataclass(frozen=True)
class Failure:
    """A case that came out wrong.

    `says` is safe to show for hidden inputs, but for an error, whose name and place are
    the student's; `detail` (shapes, values) is not.
    """

    case: Case
    outcome: Outcome
    says: str
    detail: str = ""


@dataclass(frozen=True)
class PartResult:
    part: Part
    failure: Failure | None = None
    misconception: Misconception | None = None
    seen: str = ""  # what can be seen of the output where no known mistake gives it

    @property
    def points(self) -> int:
        return 0 if self.failure else self.part.points


@dataclass(frozen=True)
class Report:
    """The result of trying one function on all parts of an exercise."""

    exercise: Exercise
    results: tuple[PartResult, ...]
    hidden: bool
    wrong_helpers: tuple[str, ...] = ()  # judged with right ones in their place
    calls: str = ""  # what the answer uses and may not, which costs all points

    @property
    def points(self) -> float:
        return float(sum(result.points for result in self.results))

    def __str__(self) -> str:
        exercise = self.exercise
        head = f"{exercise.name}: {self.points:g} of {exercise.points} points"
        if self.calls:
            return f"{head}. {said_of_call(exercise, self.calls)}"
        failures = [result.failure for result in self.results]
        if all(failure and failure.says == NOT_WRITTEN for failure in failures):
            return f"{head}. {NOT_WRITTEN}"
        lines = [head + " on hidden inputs" * self.hidden]
        if self.wrong_helpers:
            lines += textwrap.wrap(said_of_helpers(self), 80)
        told: set[str] = set()
        for result in self.results:
            points = result.part.points
            worth = f"{points} point" + "s" * (points != 1)
            if result.failure is None:
                lines.append(f"  ✓ {result.part.name} ({worth})")
                continue
            lines.append(f"  ✗ {result.part.name} ({worth})")
            lines += [f"      {line}" for line in self._explain(result, told)]
        return "\n".join(lines)

    def _explain(self, result: PartResult, told: set[str]) -> list[str]:
        failure = result.failure
        assert failure is not None
        explanation = failure.says
        error = failure.outcome.error
        if self.hidden and error is not None and explanation != NOT_WRITTEN:
            explanation = f"Raises {built_in_type(error).__name__}."
        if result.misconception is not None:
            explanation = result.misconception.explanation
            if result.misconception.seen:
                explanation += f" (Real code did this: {result.misconception.seen})"
        elif result.seen:
            explanation = f"{explanation} {result.seen}"
        if explanation in told and (result.misconception or result.seen):
            return ["The same mistake."]
        told.add(explanation)
        lines = textwrap.wrap(
            explanation, 76, break_long_words=False, break_on_hyphens=False
        )
        if not self.hidden and self.exercise.reveal:
            lines += f"Smallest failing input: {failure.case.says}".splitlines()
            lines += failure.detail.splitlines()
        return lines


def examine(exercise: Exercise, function: Function, *, hidden: bool = False) -> Report:
    """Try `function` on every part of `exercise`; see `check`."""
    seed = _seed(exercise.name, hidden)
    parts = _parts(exercise, seed)
    tried = [
        [_try(exercise, seed, i, j, function) for j in range(len(cases))]
        for i, (_, cases) in enumerate(parts)
    ]
    failures = [
        next((failure for _, failure in outcomes if failure), None)
        for outcomes in tried
    ]
    diagnoses: list[Misconception | None] = [None] * len(parts)
    if any(failures):
        outcomes = [[outcome for outcome, _ in row] for row in tried]
        diagnoses = _diagnose(exercise, seed, outcomes, failures)
    a_value_is_right = any(
        failure is None
        for (part, _), row in zip(parts, tried, strict=True)
        if not part.needs_a_value
        for _, failure in row
    )
    if not a_value_is_right:
        failures = [
            failure or Failure(parts[i][1][0], tried[i][0][0], NO_VALUE)
            for i, failure in enumerate(failures)
        ]
    results = []
    for i, (part, cases) in enumerate(parts):
        failure, seen = failures[i], ""
        if failure is not None and diagnoses[i] is None and exercise.reveal:
            j = next(j for j, case in enumerate(cases) if case is failure.case)
            seen = _seen(part, failure, _right(exercise, seed, i, j)[1], exercise)
        results.append(PartResult(part, failure, diagnoses[i], seen))
    return Report(exercise, tuple(results), hidden)


class Points(float):
    """The points of a report, which Jupyter need not print once more below it."""

    def _ipython_display_(self) -> None:
        pass


def check(name: str, answer: Any, *, hidden: bool = False) -> Points:
    """Try a student's function (or answers) and print what is right and wrong.

    Parameters:
        name: of the exercise, such as "3.1/attention_weights".
        answer: the function; for an exercise that asks questions, the dictionary.
        hidden: take the inputs from the environment variables LMLIB_COURSE_SECRET and
            LMLIB_STUDENT, and print nothing that gives them away.

    Where the exercise builds on earlier ones and the answer is not all right, it is
    tried with right functions in place of the student's as well, and gets those points.
    An answer that calls what it may not (`Exercise.forbidden`) gets none.

    Returns:
        The points earned. As the last value of a test cell, it is what nbgrader
        records as the (partial) credit.

    Raises:
        KeyError: there is no exercise of that name.
    """
    exercise = find_exercise(name)
    if isinstance(answer, dict):
        report = examine(exercise, lambda: answer, hidden=hidden)
    elif not callable(answer):
        kind = "nothing" if answer is None else _kind(answer)
        print(f"{name}: a function, or a dict of answers, is expected; got {kind}.")
        return Points(0)
    elif called := _forbidden(exercise, answer):
        report = Report(exercise, (), hidden, calls=called)
    else:
        report = _with_right_helpers(examine(exercise, answer, hidden=hidden), answer)
    print(report)
    for listen in _listeners:
        listen(report)
    return Points(report.points)


_listeners: list[Callable[[Report], object]] = []


@contextlib.contextmanager
def listening(listener: Callable[[Report], object]) -> Iterator[None]:
    """Hand every report of `check` to `listener` too, within the context."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


# -- What an answer calls -------------------------------------------------------------

# The examiner's Remote stands for a function in another process. It has three methods
# for this: `_lmlib_origin` (the module), `_lmlib_cells` (the notebook's code) and
# `_lmlib_references` (a context, as below).


def _forbidden(exercise: Exercise, answer: Any) -> str:
    """What the answer is or uses, and may not; "" if nothing."""
    if library_is_allowed():
        return ""
    far = type(answer)
    is_far = hasattr(far, "_lmlib_origin")
    module = far._lmlib_origin(answer) if is_far else module_of(answer)
    if module.split(".")[0] in ("lmlib", "torch"):
        return str(module)
    # IPython keeps the cells that ran under this name.
    cells = far._lmlib_cells(answer) if is_far else _names_of(answer).get("In")
    if not isinstance(cells, list):
        return ""
    others = [e.short_name for e in siblings(exercise)]
    found = forbidden_call(cells, exercise.short_name, exercise.forbidden, others)
    return found or ""


def module_of(answer: Any) -> str:
    """The module that a function or an object's class was written in; "" if unknown."""
    module = getattr(_written(answer), "__module__", "")
    return module if type(module) is str else ""


def _written(answer: Any) -> Any:
    """What `torch.jit.script`, `trace` and `functools.partial` made a function from;
    anything else as is.
    """
    while type(answer) is functools.partial:
        answer = answer.func
    if isinstance(answer, torch.jit.ScriptFunction):
        return getattr(answer, "_torchdynamo_inline", answer)
    return answer


def _names_of(answer: Any) -> dict[str, Any]:
    """The names that a function's code sees, of its notebook."""
    return getattr(inspect.unwrap(_written(answer)), "__globals__", {})


@contextlib.contextmanager
def _references(answer: Any, exercises: Sequence[Exercise]) -> Iterator[None]:
    """Let the answer call the references in place of the student's own functions."""
    if hasattr(type(answer), "_lmlib_references"):
        with answer._lmlib_references([exercise.name for exercise in exercises]):
            yield
        return
    with references_among(_names_of(answer), exercises):
        yield


@contextlib.contextmanager
def references_among(
    names: dict[str, Any], exercises: Sequence[Exercise]
) -> Iterator[None]:
    """Let the names of `exercises` be their references within the context."""
    before = {e.short_name: names.get(e.short_name, _NOTHING) for e in exercises}
    names.update({e.short_name: e.reference for e in exercises})
    try:
        yield
    finally:
        names.update(before)
        for name in [name for name, own in before.items() if own is _NOTHING]:
            del names[name]


_NOTHING = object()


def _with_right_helpers(report: Report, answer: Any) -> Report:
    """The report with references in place of helpers, if it is a better one."""
    exercise = report.exercise
    helpers = [find_exercise(name) for name in exercise.helpers]
    if not helpers or report.points == exercise.points:
        return report

    def tried_with(right: Sequence[Exercise]) -> Report:
        with _references(answer, right):
            return examine(exercise, answer, hidden=report.hidden)

    better = tried_with(helpers)
    if better.points <= report.points:
        return report
    wrong = [
        helper.short_name
        for helper in helpers
        if tried_with([h for h in helpers if h is not helper]).points < better.points
    ]
    return replace(better, wrong_helpers=tuple(wrong or exercise.builds_on))


def said_of_helpers(report: Report) -> str:
    """What a student is told whose earlier functions are wrong."""
    exercise = report.exercise
    *first, last = [f"`{name}`" for name in report.wrong_helpers]
    names = f"{', '.join(first)} and {last}" if first else last
    verb, ones = ("are", "right ones") if first else ("is", "a right one")
    right = report.points == exercise.points
    end = "this one is right." if right else "this is what is left:"
    return f"Your {names} {verb} wrong. With {ones} in place, {end}"


def said_of_call(exercise: Exercise, called: str) -> str:
    """Why an answer that calls `called` gets no points."""
    return (
        f"It uses {called}, which has what you are asked to write: write it yourself. "
        "(If your course allows it, it sets LMLIB_ALLOW_LIBRARY=1.)"
    )


def _seed(name: str, hidden: bool) -> int:
    """A seed for the inputs: for everybody, or for this course and student."""
    words = ["visible", name]
    if hidden:
        secret, student = "LMLIB_COURSE_SECRET", "LMLIB_STUDENT"
        words = ["hidden", name, os.getenv(secret, ""), os.getenv(student, "")]
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return int.from_bytes(digest[:7], "big")


# What the reference and the mistakes make of the inputs does not depend on the
# student's function. It is kept, and a grader works it out for the visible inputs
# before it forks. The sizes bound what a process keeps that grades a whole class.


@functools.lru_cache(maxsize=256)
def _parts(exercise: Exercise, seed: int) -> Sequence[tuple[Part, Sequence[Case]]]:
    """The parts of an exercise, each with its inputs.

    No hidden case equals a visible one, whose answer can be remembered.
    """
    first = _seed(exercise.name, hidden=False)
    visible = [] if seed == first else _inputs(_parts(exercise, first))
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for part in exercise.parts:
        for _ in range(MAX_DRAWS):
            cases = part.cases(generator)
            inputs = _inputs([(part, cases)])
            if not any(_same(one, other) for one in inputs for other in visible):
                break
        drawn.append((part, cases))
    return drawn


MAX_DRAWS = 100  # a part whose inputs are always the same is found by the tests


def _inputs(parts: Sequence[tuple[Part, Sequence[Case]]]) -> list[tuple[Any, ...]]:
    return [case.args for _, cases in parts for case in cases if not case.only]


@functools.lru_cache(maxsize=2048)
def _right(exercise: Exercise, seed: int, i: int, j: int) -> tuple[Any, Any]:
    """What the reference gives in part i, case j; the same in double precision."""
    part, cases = _parts(exercise, seed)[i]
    expected = part.observe(exercise.reference, _fresh(cases[j].args))
    precise = part.observe(exercise.reference, _in_double(cases[j].args))
    return expected, precise


@functools.lru_cache(maxsize=16384)
def _mistaken(
    exercise: Exercise, seed: int, misconception: Misconception, i: int, j: int
) -> Outcome:
    """What a mistake gives in part i, case j."""
    part, cases = _parts(exercise, seed)[i]
    return _observe(part, misconception.implementation, cases[j].args)


def prepare(exercise: Exercise) -> None:
    """Work out what can be known of the visible inputs before there is a submission."""
    seed = _seed(exercise.name, hidden=False)
    for i, (_, cases) in enumerate(_parts(exercise, seed)):
        for j in range(len(cases)):
            _right(exercise, seed, i, j)
            for misconception in exercise.misconceptions:
                _mistaken(exercise, seed, misconception, i, j)


# -- Comparing ------------------------------------------------------------------------


def _fresh(value: Any) -> Any:
    """A deep copy; copy.deepcopy takes ten times as long for a small tensor."""
    if type(value) is Tensor and not value.requires_grad:
        return value.clone()
    if type(value) is tuple:
        return tuple(map(_fresh, value))
    return copy.deepcopy(value)


def _observe(part: Part, function: Function, args: tuple[Any, ...]) -> Outcome:
    given = _fresh(args)
    try:
        # nbgrader takes anything on stderr, even a warning, for a failed test.
        with contextlib.redirect_stderr(sys.stdout):
            value = part.observe(function, given)
    except Exception as error:
        return Outcome(error=error)
    return Outcome(value, changed_input=not _same(given, args))


def _try(
    exercise: Exercise, seed: int, i: int, j: int, function: Function
) -> tuple[Outcome, Failure | None]:
    part, cases = _parts(exercise, seed)[i]
    case = cases[j]
    outcome = _observe(part, function, case.args)
    if outcome.error is not None:
        says, detail = _describe_error(outcome.error)
        return outcome, Failure(case, outcome, says, detail)
    expected, precise = _right(exercise, seed, i, j)
    wrong = _difference(outcome.value, expected, precise, part.absolute)
    if wrong is not None:
        says, detail = wrong
        violated = _violated(exercise, part, case, outcome.value)
        detail = "\n".join([*violated, detail])
        if not exercise.reveal:
            says, detail = _not_the_answer(outcome.value, expected), ""
        return outcome, Failure(case, outcome, says, detail)
    if outcome.changed_input:
        says = "The values are right, but the function changes its input in place."
        return outcome, Failure(case, outcome, says)
    return outcome, None


def _not_the_answer(got: Any, expected: Any) -> str:
    """What is said of a wrong answer to a question, which gives no value away."""
    if got is None:
        return NOT_WRITTEN
    if isinstance(expected, str) and not isinstance(got, str):
        return f"A word in quotes is expected, got {_kind(got)}."
    if isinstance(got, str) and not isinstance(expected, str):
        return f"A number is expected, without quotes, got {_kind(got)}."
    return "This is not the answer."


def _seen(part: Part, failure: Failure, right: Any, exercise: Exercise) -> str:
    value = failure.outcome.value
    if type(value) is not Tensor or type(right) is not Tensor:
        return ""
    if not _has_values(value) or value.is_complex():
        return ""
    names = inspect.signature(exercise.reference).parameters
    given = dict(zip(names, failure.case.args, strict=False))
    return describe(value, right, given if part.observe is call else {}) or ""


def _violated(exercise: Exercise, part: Part, case: Case, value: Any) -> list[str]:
    """The properties that a value lacks; gradients and errors have no properties."""
    if part.observe is not call or type(value) is not Tensor:
        return []
    if not _has_values(value) or value.is_complex():
        return []
    # In double precision, for a property must not stumble over unlike dtypes.
    args, value = _in_double(case.args), value.detach().double()
    found = (lacks(args, value) for lacks in exercise.properties)
    return [words for words in found if words]


def _describe_error(error: Exception) -> tuple[str, str]:
    if isinstance(error, NotImplementedError):
        return NOT_WRITTEN, ""
    where = getattr(error, "where", "")  # from another process, without a traceback
    frame = error.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        if "ipykernel" in name or name.startswith("<"):
            where = f" in line {frame.tb_lineno} of {frame.tb_frame.f_code.co_name}"
        frame = frame.tb_next
    said = " ".join(str(error).split())[:300]  # one line, which begins with our words
    return f"Raises {type(error).__name__}{where}.", f"It says: {said}" * bool(said)


def _difference(
    got: Any, expected: Any, precise: Any, absolute: float
) -> tuple[str, str] | None:
    """What is wrong with `got`, in words that show no value, and in detail."""
    if got is None:
        return "Returns None: is there a return statement?", ""
    if isinstance(expected, Tensor):
        if type(got) is not Tensor:
            return f"Returns {_kind(got)} where a torch tensor is expected.", ""
        if not _has_values(got):
            return "Returns a tensor that is sparse, nested, quantized or empty.", ""
        if got.shape != expected.shape:
            return (
                "The shape is wrong.",
                f"Expected shape {_shape(expected)}, got {_shape(got)}.",
            )
        if got.dtype != expected.dtype:
            return (
                f"The dtype is wrong: expected {expected.dtype}, got {got.dtype}.",
                "",
            )
        if (expected.isfinite() & ~got.isfinite()).any():
            return "The output has values that are NaN or infinite.", _pair(
                got, expected
            )
        if not _close(got.detach(), precise, absolute):
            return "The values are wrong.", _pair(got, expected)
        return None
    got = plain_number(got)
    if isinstance(expected, str) or isinstance(got, str):
        same = type(got) is type(expected) and got == expected
    else:
        number = isinstance(got, (int, float)) and not isinstance(got, bool)
        if isinstance(expected, float) and isinstance(precise, float):
            # As for tensors: in float32 the reference is no better than a student.
            room = {"rel_tol": RELATIVE, "abs_tol": absolute}
            same = number and _is_close(got, precise, **room)
        elif isinstance(expected, int) and isinstance(got, int):
            same = number and got == expected
        else:
            same = number and _is_close(got, expected, rel_tol=1e-6)
    if not same:
        shown = _brief(got)
        if isinstance(expected, str) and isinstance(got, str):
            shown = shown[1:-1]  # without quotes, as what is expected
            if "\n" in expected:  # a list, an entry to a line: so is what came
                lines = ascii(got)[1:-1][:1000].replace("\\n", "\n")
                return "This is wrong.", f"Expected\n{expected}\ngot\n{lines}"
        return "This is wrong.", f"Expected {expected}, got {shown}."
    return None


def _is_close(got: float | int, expected: float | int, **room: float) -> bool:
    try:
        return math.isclose(got, expected, **room)
    except OverflowError:  # a whole number that no float holds
        return False


def _has_values(tensor: Tensor) -> bool:
    """Whether it can be compared: not sparse, nested, quantized, on no device."""
    strided = tensor.layout == torch.strided and not tensor.is_nested
    return strided and not tensor.is_quantized and not tensor.is_meta


def _close(got: Tensor, expected: Tensor, absolute: float = ABSOLUTE) -> bool:
    if got.dtype == expected.dtype and torch.equal(got, expected):
        return True
    if not got.is_floating_point():
        return torch.equal(got, expected.to(got.dtype))
    relative = RELATIVE
    if got.dtype not in (torch.float32, torch.float64):
        relative = absolute = 1e-2
    got, expected = got.double(), expected.double()
    # torch.allclose takes four times as long; it is asked if something is not finite.
    error = (got - expected).abs()
    if ((error <= absolute + relative * expected.abs()) & (error < math.inf)).all():
        return True
    return not bool(error.isfinite().all()) and torch.allclose(
        got, expected, rtol=relative, atol=absolute, equal_nan=True
    )


def _diagnose(
    exercise: Exercise,
    seed: int,
    outcomes: Sequence[Sequence[Outcome]],
    failures: Sequence[Failure | None],
) -> list[Misconception | None]:
    """For each failed part, the misconception that gives the student's outputs.

    A misconception must agree on every case of the part, and give a value at least
    once. Of several, the one that agrees on the most parts is taken. The slips, which
    are many, are tried if no misconception explains all that failed.
    """

    def agrees(misconception: Misconception) -> list[bool]:
        found = []
        for i, seen in enumerate(outcomes):
            gave = [outcome.error is None for outcome in seen]
            found.append(
                any(gave)
                and all(
                    _same_outcome(
                        seen[j], _mistaken(exercise, seed, misconception, i, j)
                    )
                    for j in range(len(seen))
                )
            )
        return found

    agreement = [(m, agrees(m)) for m in exercise.misconceptions]
    failed = [i for i, failure in enumerate(failures) if failure]
    if not any(all(agreed[i] for i in failed) for _, agreed in agreement):
        agreement += [(m, agrees(m)) for m in exercise.slips]
    agreement.sort(key=lambda pair: -sum(pair[1]))  # stable: first come, first named
    return [
        next((m for m, agreed in agreement if failure and agreed[i]), None)
        for i, failure in enumerate(failures)
    ]


def _same_outcome(one: Outcome, other: Outcome) -> bool:
    if one.error is not None or other.error is not None:
        return type(one.error) is type(other.error)
    return _same(one.value, other.value) and one.changed_input == other.changed_input


def _same(one: Any, other: Any) -> bool:
    """Whether two values are of one kind and equal, tensors to rounding."""
    if type(one) is Tensor and type(other) is Tensor:
        if not (_has_values(one) and _has_values(other)):
            return False
        alike = one.shape == other.shape and one.dtype == other.dtype
        return alike and _close(one.detach(), other.detach())
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    return type(one) is type(other) and not isinstance(one, Tensor) and one == other


def _in_double(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        a.double() if isinstance(a, Tensor) and a.is_floating_point() else a
        for a in _fresh(args)
    )


# -- Words ----------------------------------------------------------------------------


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _brief(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # more digits than Python writes, or an object that refuses
        return _kind(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _pair(got: Tensor, expected: Tensor) -> str:
    if expected.numel() > 12:
        gap = (got.detach().double() - expected.double()).abs()
        worst = np.unravel_index(int(gap.nan_to_num(math.inf).argmax()), gap.shape)
        place = ", ".join(str(int(i)) for i in worst)
        here = tuple(worst)
        return (
            f"Farthest off at [{place}]: expected {float(expected[here]):.4g}, got "
            f"{float(got[here]):.4g}"
        )
    return f"Expected {_values(expected)}\ngot      {_values(got.detach())}"


def _values(tensor: Tensor) -> str:
    exact = tensor if tensor.is_floating_point() else tensor.long()
    rounded: Any = [round(v, 4) for v in exact.flatten().tolist()]
    for size in reversed(tensor.shape[1:]):
        rounded = [rounded[i : i + size] for i in range(0, len(rounded), size)]
    return str(rounded)


def signature_of(exercise: Exercise) -> str:
    """`attention_weights(query, key)`: how the tests call the exercise."""
    names = ", ".join(inspect.signature(exercise.reference).parameters)
    return f"{exercise.short_name}({names})"
