"""Exercises of section 4.2, cross-entropy, in the order of the assignment."""

from lmlib.exercises.cross_entropy import losses, measures, reading
from lmlib.exercises.exercise import Exercise

SECTION = "4.2-cross-entropy"

EXERCISES: list[Exercise] = [
    *losses.EXERCISES,
    *measures.EXERCISES,
    *reading.EXERCISES,
]
