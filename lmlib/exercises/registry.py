"""The registry: every exercise of the course by its name.

A section is a package beside this module. It says which page and which assignment it
belongs to, as in `SECTION = "3.1-self-attention"`, and lists its `EXERCISES` in the
order of the assignment; nothing else has to be told of it.
"""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.names import unknown


def _sections() -> dict[str, ModuleType]:
    found = [
        importlib.import_module(f"{__package__}.{module.name}")
        for module in pkgutil.iter_modules([str(Path(__file__).parent)])
        if module.ispkg
    ]
    return {section.SECTION: section for section in sorted(found, key=_order)}


def _order(section: ModuleType) -> list[int]:
    """By number, so that 3.10 comes after 3.9."""
    return [int(n) for n in section.SECTION.partition("-")[0].split(".")]


SECTIONS = _sections()

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


def siblings(exercise: Exercise) -> list[Exercise]:
    """All exercises of the same section."""
    section = exercise.name.split("/")[0]
    return [e for e in EXERCISES.values() if e.name.split("/")[0] == section]
