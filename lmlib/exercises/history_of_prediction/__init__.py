"""Exercises of section 1.1, history as prediction, in the order of the assignment."""

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.history_of_prediction import counting, reading, states_and_words

SECTION = "1.1-history-of-prediction"

EXERCISES: list[Exercise] = [
    *counting.EXERCISES,
    *states_and_words.EXERCISES,
    *reading.EXERCISES,
]
