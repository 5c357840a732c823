"""The registry: every exercise of the course by its name.

A section is a package beside this module. It says which page and which assignment it
belongs to, as in `SECTION = "3.1-self-attention"`, and lists its `EXERCISES` in the
order of the assignment; nothing else has to be told of it. Sections of one's own lie
in a folder that LMLIB_EXERCISES in the environment names: they become a part of this
package.
"""

import importlib
import os
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.names import unknown


def own_sections() -> Path | None:
    """The folder of one's own sections.

    Raises:
        ValueError: it does not exist.
    """
    named = os.environ.get("LMLIB_EXERCISES")
    if named and not Path(named).is_dir():
        raise ValueError(f"LMLIB_EXERCISES names {named}, which is no folder")
    return Path(named).resolve() if named else None


def _sections() -> dict[str, ModuleType]:
    places = sys.modules[str(__package__)].__path__
    if (own := own_sections()) and str(own) not in places:
        places.append(str(own))
    found = [
        importlib.import_module(f"{__package__}.{module.name}")
        for module in pkgutil.iter_modules(places)
        if module.ispkg
    ]
    return {section.SECTION: section for section in sorted(found, key=_order)}


def _order(section: ModuleType) -> list[int]:
    """By number, so that 3.10 comes after 3.9; what has a letter comes last."""
    number = section.SECTION.partition("-")[0]
    return [int(n) if n.isdecimal() else 1000 + ord(n) for n in number.split(".")]


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
