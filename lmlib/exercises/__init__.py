"""What is asked of students, and what says what is wrong with an answer.

`check` is what a student's notebook imports. It is loaded when it is asked for: parts
of the grader read the course's words in a process that has not imported torch.

    exercise.py   an exercise is data
    questions.py  an exercise whose answer is a dictionary
    checks.py     `check`: what a student calls, and what the hidden tests call
    calls.py      what an answer calls, and may not
    registry.py   every exercise by its name; it finds the sections
    catalogue.py  their words and numbers alone, without torch
    <section>/    the exercises of one section, named as its page
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmlib.exercises.checks import check

__all__ = ["check"]


def __getattr__(name: str) -> Any:
    if name == "check":
        from lmlib.exercises.checks import check

        return check
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
