"""Exercises of section 5, the language model as a compressor, in their order."""

from lmlib.exercises.compressor import coding, predicting, reading
from lmlib.exercises.exercise import Exercise

SECTION = "5-compressor"

EXERCISES: list[Exercise] = [
    *coding.EXERCISES,
    *predicting.EXERCISES,
    *reading.EXERCISES,
]
