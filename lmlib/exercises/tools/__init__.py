"""Exercises of section 7, tools, in their order."""

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.tools import files, reading, serving

SECTION = "7-tools"

EXERCISES: list[Exercise] = [
    *files.EXERCISES,
    *serving.EXERCISES,
    *reading.EXERCISES,
]
