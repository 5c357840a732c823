"""Exercises that say what is wrong, and the grader.

`check` is what a student's notebook imports. It is loaded when it is asked for: the
command line starts in a process that has not imported torch (see `forkserver`).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmlib.grading.checks import check

__all__ = ["check"]


def __getattr__(name: str) -> Any:
    if name == "check":
        from lmlib.grading.checks import check

        return check
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
