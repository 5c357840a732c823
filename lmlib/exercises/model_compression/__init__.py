"""Exercises of section 2.2, compression of models, in the order of the assignment."""

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.model_compression import quantizing, reading, sparse

SECTION = "2.2-model-compression"

EXERCISES: list[Exercise] = [
    *quantizing.EXERCISES,
    *sparse.EXERCISES,
    *reading.EXERCISES,
]
