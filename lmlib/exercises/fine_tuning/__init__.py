"""The exercises of section 3.3, in the order of the assignment."""

from lmlib.exercises.fine_tuning import data, lora, reading, start, steps

SECTION = "3.3-fine-tuning"

EXERCISES = [
    *data.EXERCISES,
    *start.EXERCISES,
    *steps.EXERCISES,
    *lora.EXERCISES,
    *reading.EXERCISES,
]
