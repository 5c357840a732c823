"""The registry: every exercise of the course by its name."""

import difflib

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
        near = difflib.get_close_matches(name, EXERCISES, n=3, cutoff=0.4)
        raise KeyError(
            f"no exercise {name!r}; did you mean {', '.join(near or EXERCISES)}?"
        )
    return EXERCISES[name]
