"""Exercises of section 2.3, the vision of AGI, in the order of the assignment."""

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.vision_of_agi import laws, leaps, neighbours, ranking

SECTION = "2.3-vision-of-agi"

EXERCISES: list[Exercise] = [
    *laws.EXERCISES,
    *ranking.EXERCISES,
    *neighbours.EXERCISES,
    *leaps.EXERCISES,
]
