"""Exercises of section 9, questions and answers, in the order of the assignment."""

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.questions_and_answers import clinic, numbers, targets

SECTION = "9-questions-and-answers"

EXERCISES: list[Exercise] = [
    *targets.EXERCISES,
    *numbers.EXERCISES,
    *clinic.EXERCISES,
]
