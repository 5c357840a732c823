"""Exercises of section 8, trends and challenges, in their order."""

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.trends import building, measuring, reading

SECTION = "8-trends"

EXERCISES: list[Exercise] = [
    *measuring.EXERCISES,
    *building.EXERCISES,
    *reading.EXERCISES,
]
