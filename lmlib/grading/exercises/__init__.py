"""The registry: every exercise of the course by its name."""

from lmlib.grading.catalogue import unknown
from lmlib.grading.exercise import Exercise
from lmlib.grading.exercises import self_attention

# The section's number and its module, which shares the name of its page and assignment.
SECTIONS = {"3.1-self-attention": self_attention}

EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for section in SECTIONS.values()
    for exercise in section.EXERCISES
}


def find_exercise(name: str) -> Exercise:
    """The exercise of that name.

    Raises:
        KeyError: there is none; the message names those that are nearest.
    """
    if name not in EXERCISES:
        raise unknown(name, EXERCISES)
    return EXERCISES[name]
