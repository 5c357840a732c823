"""Exercises of section 3.2.1, the masked language model, in the assignment's order."""

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.masked_language_model import masking, measuring, reading

SECTION = "3.2.1-masked-language-model"

EXERCISES: list[Exercise] = [
    *masking.EXERCISES,
    *measuring.EXERCISES,
    *reading.EXERCISES,
]
