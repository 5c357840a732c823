"""Exercises of section 3.2.2, next sentence prediction, in the assignment's order."""

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.next_sentence_prediction import judging, reading, rows

SECTION = "3.2.2-next-sentence-prediction"

EXERCISES: list[Exercise] = [
    *rows.EXERCISES,
    *judging.EXERCISES,
    *reading.EXERCISES,
]
