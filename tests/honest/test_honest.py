"""What runs in Jupyter grades the same: each case gets exactly its mark."""

import collections

import nbformat
import pytest

from lmlib.grading import assignment, batch
from lmlib.grading.examination.forkserver import Forkserver
from lmlib.grading.submissions import repair
from lmlib.grading.submissions.intake import Submission
from lmlib.grading.submissions.notebooks import Cell
from tests.honest.cases import CASES

SOURCES = {path.stem.split("-")[0]: path for path in assignment.solutions()}


def right_answers(source):
    marks = ("### BEGIN SOLUTION", "### END SOLUTION")
    return {
        cell.id: "\n".join(
            line for line in cell.source.splitlines() if line.strip() not in marks
        )
        for cell in source.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }


def reduced(source, exercises):
    """The assignment without the answers and tests of all other exercises."""
    others = set(right_answers(source)) - set(exercises)
    gone = others | {f"test_{name}" for name in others}
    kept = [c for c in source.cells if c.id not in gone]
    return nbformat.from_dict({**source, "cells": kept})


def handed_in(case, source, handed_out):
    """The case's notebook as it is taken in: mended into the assignment's form."""
    right = right_answers(source)
    cells = []
    for cell in source.cells:
        name, text = cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source
        if name in right:
            text = case.answers.get(name, "RIGHT").replace("RIGHT", right[name])
        cells += [Cell("code", added) for added in case.before.get(name, ())]
        cells.append(Cell(cell.cell_type, text, cell.id, name))
    notebook, _ = repair.mend(cells, handed_out)
    return Submission(case.name, case.of, notebook, digest=case.name)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """All cases as classes that share a forkserver.

    A case that gives answers is graded on these exercises, others on the assignment.
    """
    classes = collections.defaultdict(list)
    for case in CASES:
        classes[case.of, *case.answers].append(case)
    sources = {name: assignment.read_source(path) for name, path in SOURCES.items()}
    found = {}
    with Forkserver() as forkserver, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMLIB_COURSE_SECRET", "a secret")
        for (of, *exercises), cases in classes.items():
            source = sources[of]
            if exercises:
                source = reduced(source, exercises)
            handed_out = repair.Assignment(source)
            class_ = [handed_in(case, source, handed_out) for case in cases]
            records = tmp_path_factory.mktemp("records")
            for record in batch.grade(class_, source, records, forkserver=forkserver):
                found[record.student] = record
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_gets_exactly_its_mark(graded, case):
    record = graded[case.name]
    told = "\n".join(cell.output for cell in record.cells)
    assert record.max_points - record.points == case.lost, told
    assert (case.says in told) if case.says else ("stopped with" not in told), told


def test_there_are_at_least_sixty_cases_of_all_assignments():
    assert len({case.name for case in CASES}) == len(CASES) >= 60
    assert {case.of for case in CASES} == set(SOURCES)
