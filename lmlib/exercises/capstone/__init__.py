"""Exercises beside the compressor contest, in the order of the assignment."""

from lmlib.exercises.capstone import container, counting
from lmlib.exercises.exercise import Exercise

SECTION = "c-capstone"

EXERCISES: list[Exercise] = [*container.EXERCISES, *counting.EXERCISES]
