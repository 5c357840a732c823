"""Exercises of section 1.2, large language models, in the order of the assignment."""

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.rise_of_large_language_models import (
    checkpoints,
    counting,
    reading,
    seeing,
)

SECTION = "1.2-rise-of-large-language-models"

EXERCISES: list[Exercise] = [
    *counting.EXERCISES,
    *seeing.EXERCISES,
    *checkpoints.EXERCISES,
    *reading.EXERCISES,
]
