"""An exercise that asks questions: its answer is a dictionary, a part is one key."""

from collections.abc import Callable
from typing import Any

from torch import Generator

from lmlib.exercises.exercise import Case, Function, Part, plain_number


def wrong(reference: Function, **answers: object) -> Function:
    """For a `Misconception`: answers that are wrong in the given places."""

    def give() -> dict[str, Any]:
        return {**reference(), **answers}

    give.__name__ = "_".join(f"{k}_{v}" for k, v in answers.items())
    return give


def answer(key: str) -> Callable[[Function, tuple[Any, ...]], Any]:
    """For `Part.observe`: one answer: numbers to two decimals, small letters."""

    def observe(function: Function, args: tuple[Any, ...]) -> Any:
        given = plain_number(function().get(key))
        if isinstance(given, str):
            return given.strip().lower()
        number = isinstance(given, (int, float)) and not isinstance(given, bool)
        return round(float(given), 2) if number else given

    return observe


def parts(questions: dict[str, str], says: str) -> tuple[Part, ...]:
    """A part of one point for each key, with the words of its question."""

    def no_inputs(generator: Generator) -> list[Case]:
        return [Case((), says, only=True)]

    return tuple(
        Part(text, 1, no_inputs, answer(key)) for key, text in questions.items()
    )
