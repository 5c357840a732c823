"""Exercises of section 2.1, self-supervised pre-training, in the assignment's order."""

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.self_supervised_pre_training import (
    moved,
    pseudo,
    reading,
    rows,
    splits,
)

SECTION = "2.1-self-supervised-pre-training"

EXERCISES: list[Exercise] = [
    rows.NEXT_TOKEN_ROWS,
    *splits.EXERCISES,
    pseudo.PSEUDO_PROBABILITIES,
    moved.LOSS_OF_MOVED_TARGETS,
    reading.FOUR_CURVES,
]
