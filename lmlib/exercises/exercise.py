"""An exercise is data: a reference, inputs, properties, and mistakes that have names.

The same misconceptions serve twice. When a student's function fails and one of them
gives the same outputs, the student reads its explanation. And the tests of this project
take each of them for a submission, which the hidden inputs have to reject.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from lmlib.exercises.calls import LIBRARY

Function = Callable[..., Any]

# The room for rounding. The reference runs in double precision; students' constants
# (√d_k, frequencies) are often of float32, in the best-known implementations too, so
# float64 answers are judged like those of float32: a hundred times the unit roundoff
# of 6e-8, for sums of some dozen terms of order 1, and far below what a mistake does.
RELATIVE, ABSOLUTE = 1e-4, 1e-5


@dataclass(frozen=True)
class Case:
    """One call of the student's function, and what it tries, in a few words.

    `only` says that there is no other input of this kind, such as n = 0: it may be
    the same in the hidden tests. Other hidden cases are drawn until they are not.
    """

    args: tuple[Any, ...]
    says: str
    only: bool = False


def call(function: Function, args: tuple[Any, ...]) -> Any:
    """What a part looks at unless it says otherwise: the function's value."""
    return function(*args)


@dataclass(frozen=True, eq=False)  # to be a key of a cache, it need not be taken apart
class Part:
    """A share of an exercise's points, earned when all of its cases come out right.

    Attributes:
        name: what it tries, as the student reads it.
        points: earned together or not at all.
        cases: draws the inputs from a seeded generator, the smallest first.
        observe: what is compared: the value, a gradient, the type of an error …
        absolute: the absolute error that is allowed beside a relative one.
        beside_a_value: whether it counts only if the function gives a right value in
            another part. None: yes where errors are observed, for a function that
            always raises ValueError has not noticed anything.
    """

    name: str
    points: int
    cases: Callable[[torch.Generator], Sequence[Case]]
    observe: Callable[[Function, tuple[Any, ...]], Any] = call
    absolute: float = ABSOLUTE
    beside_a_value: bool | None = None

    @property
    def needs_a_value(self) -> bool:
        if self.beside_a_value is None:
            return self.observe is error_type
        return self.beside_a_value


@dataclass(frozen=True, eq=False)
class Misconception:
    """A wrong implementation that students really write, and why it is wrong.

    Attributes:
        implementation: the mistake as code, complete in itself (it is also handed in
            as a submission by the tests).
        explanation: one sentence to the student.
        seen: where real code shipped it (an issue's address), if it did.
    """

    implementation: Function
    explanation: str
    seen: str = ""

    @property
    def name(self) -> str:
        return self.implementation.__name__


@dataclass(frozen=True, eq=False)
class Exercise:
    """What a student is asked for, and all that is known about getting it wrong.

    Attributes:
        name: "3.1/attention_weights": the section, and the name to be defined.
        title: as the notebook shows it.
        difficulty: 1 (one line) to 5 (an afternoon).
        minutes: for a student who has read the section.
        reference: the right answer; its values are computed in double precision.
        parts: which sum up to the exercise's points.
        misconceptions: at least five.
        slips: mistakes that are recognised like these, and not handed in by the tests.
        properties: each takes (args, output) of a call and returns what the output
            violates ("the rows must sum to 1, …") or None. Used for explaining only.
        hints: open one after the other.
        reveal: whether feedback on visible inputs may show the expected value.
        builds_on: short names of earlier exercises of the section whose functions an
            answer calls. Where a student's own are wrong, it is judged with right ones
            in their place as well.
        forbidden: what an answer may not call, in dotted names (see `calls`): what the
            exercise asks for, such as "torch.nn.MultiheadAttention", and our library.
    """

    name: str
    title: str
    difficulty: int
    minutes: int
    reference: Function
    parts: tuple[Part, ...]
    misconceptions: tuple[Misconception, ...]
    properties: tuple[Callable[[tuple[Any, ...], Any], str | None], ...] = ()
    hints: tuple[str, ...] = field(default=())
    slips: tuple[Misconception, ...] = field(default=())
    reveal: bool = True
    builds_on: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = LIBRARY

    @property
    def points(self) -> int:
        return sum(part.points for part in self.parts)

    @property
    def known_mistakes(self) -> tuple[Misconception, ...]:
        return self.misconceptions + self.slips

    @property
    def short_name(self) -> str:
        return self.name.split("/")[1]

    @property
    def helpers(self) -> tuple[str, ...]:
        """The full names of the exercises that it builds on."""
        section = self.name.split("/")[0]
        return tuple(f"{section}/{name}" for name in self.builds_on)


# -- For writing cases ----------------------------------------------------------------


def distinct_sizes(generator: torch.Generator, n: int, low: int = 2) -> list[int]:
    """`n` different sizes, so that no two axes can be taken for one another."""
    return (torch.randperm(n + 2, generator=generator)[:n] + low).tolist()


def draw_integer(generator: torch.Generator, low: int, high: int) -> int:
    """A whole number in low … high, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def normal(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator)


def error_type(function: Function, args: tuple[Any, ...]) -> str:
    """For `Part.observe`: the name of the exception that a call raises.

    That of the built-in one that it derives from: a subclass of ValueError, of the
    student's own, is a ValueError.
    """
    try:
        function(*args)
    except NotImplementedError:
        raise
    except Exception as error:
        return built_in_type(error).__name__
    return "no error"


def pair(value: Any, what: str) -> tuple[Any, Any]:
    """For `Part.observe`: the two values that a student returns; a list will do.

    Raises:
        TypeError: they are not two; it says that `what` is expected.
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"two are expected, {what}, got a {type(value).__name__}")
    return value[0], value[1]


def plain_number(value: Any) -> Any:
    """A number of numpy's or torch's as Python's own, and a fraction or a decimal;
    anything else as it is.
    """
    if isinstance(value, Fraction | Decimal):
        return float(value)
    if isinstance(value, np.generic | np.ndarray) and value.size == 1:
        return value.item()
    if type(value) is torch.Tensor and value.layout == torch.strided:
        has_items = not (value.is_nested or value.is_meta or value.is_quantized)
        return value.item() if has_items and value.numel() == 1 else value
    return value


def built_in_type(error: BaseException) -> type:
    """The first class of Python's own that an exception is of."""
    return next(kind for kind in type(error).__mro__ if kind.__module__ == "builtins")


def gradient(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the gradient of the mean square with respect to args[0]."""
    first = args[0].clone().requires_grad_()
    function(first, *args[1:]).square().mean().backward()
    return first.grad
