"""Exercises of section 6, applications, in the order of the assignment."""

from lmlib.exercises.applications import decoding, measuring, reading
from lmlib.exercises.exercise import Exercise

SECTION = "6-applications"

EXERCISES: list[Exercise] = [
    *decoding.EXERCISES,
    *measuring.EXERCISES,
    *reading.EXERCISES,
]
