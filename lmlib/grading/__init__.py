"""Exercises, and what checks and grades them. A student needs `check` alone."""

from lmlib.grading.checks import check

__all__ = ["check"]
