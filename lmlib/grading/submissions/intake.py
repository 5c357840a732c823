"""What a class handed in, as notebooks that can be graded.

`collect` takes nbgrader's `submitted/`, a folder with a notebook for each student, the
downloads of Moodle and Canvas, and zips and tars of any of these. Everybody gets one
`Submission`: a notebook, or the reason why there is none.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from nbformat import NotebookNode

from lmlib.grading.submissions.archives import (
    Item,
    Unreadable,
    is_archive,
    opened,
    opened_of_student,
)
from lmlib.grading.submissions.encodings import CALLED, INVISIBLE
from lmlib.grading.submissions.notebooks import (
    ITSELF,
    Malformed,
    listed,
    read_cells,
)
from lmlib.grading.submissions.platforms import (
    HandedIn,
    by_student,
    is_litter,
    is_notebook,
    notebook_inside,
)
from lmlib.grading.submissions.repair import Assignment, mend
from lmlib.grading.submissions.roster import read_roster

NOTHING = "nothing was handed in"
WORKSHEET = "Moodle's worksheet says of it: {}."
CUT = "The archive of the class"
STUMBLED = (
    "The notebook could not be prepared for grading, and it is not clear why. Your "
    "instructor will look at it."
)
FOR_A_PERSON = (
    "Preparing this notebook failed, and not by a rule: see the error in the log."
)


@dataclass(frozen=True)
class Submission:
    """What one student handed in.

    Attributes:
        notebook: in the form of the assignment (see `repair.mend`); None if there is
            nothing to grade.
        reason: why not: `NOTHING`, or sentences for the student.
        repairs: what was mended, a sentence each.
        path: where it was found: below the folder, or behind the archive's name.
        digest: SHA-256 of the file.
        needs_person: why an instructor should look at it before it is graded.
        platform: the number by which the learning platform knows the student.
        timestamp: when it was handed in, in UTC, where the layout tells.
        late: whether the platform marks it as late; None where it marks nothing.
        group: those who handed it in together, as the platform calls them; "" for one.
    """

    student: str
    assignment: str
    notebook: NotebookNode | None
    reason: str = ""
    repairs: tuple[str, ...] = ()
    path: str = ""
    digest: str = ""
    needs_person: tuple[str, ...] = ()
    platform: str = ""
    timestamp: datetime | None = None
    late: bool | None = None
    group: str = ""


def collect(
    where: Path,
    assignment: str,
    source: NotebookNode,
    roster: Path | None = None,
    is_for_it: Callable[[Item], bool] = lambda item: True,
    say: Callable[[str], object] = lambda line: None,
) -> list[Submission]:
    """Everything handed in for `assignment`, one submission a student, by name.

    Nothing that a student did raises. Nothing is written.

    Args:
        where: nbgrader's course or `submitted` folder, a folder of notebooks or of
            students' folders, a zip or tar of one of them, or a single notebook.
        source: the instructor's notebook, hidden tests and all.
        roster: a CSV file with a column `id`, `student_id` or `username`, and if there
            are `name`, `email` and `lms_id`, students are found by these as well.
        is_for_it: False for a file that belongs to another assignment.
        say: is told what had to be guessed, in lines for the instructor.

    Raises:
        ValueError: `where` or `roster` cannot be used; for the instructor.
    """
    known = read_roster(roster) if roster is not None else None
    for note in known.notes if known else ():
        say(note)
    given = Assignment(source)
    where = submitted(where, assignment)
    archive = where.is_file() and not is_notebook(where.name)
    above = f"{where.name}/" if archive else ""
    with opened(where) as contents:
        items = [i for i in contents.items if is_litter(i) or is_for_it(i)]
        found = by_student(items, assignment, not archive, known)
        # A compressed tar is cheap to read in its own order alone.
        found.sort(key=lambda handed_in: _position(handed_in.item))
        clocks = sorted((h.clock for h in found if h.clock), key=_position)
        times = {clock.parts: _time(clock) for clock in clocks}
        submissions = [
            replace(
                _submission(one, assignment, given, above),
                timestamp=times[one.clock.parts] if one.clock else one.time,
                late=one.late,
                group=one.group,
            )
            for one in found
        ]
        broken = contents.broken
        if contents.guess:
            say(
                f"The names in {where.name} do not say how their letters are written; "
                f"they were read as {CALLED[contents.guess]}."
            )
    nothing = NOTHING
    if broken:
        nothing = (
            f"{CUT} {broken}. It was read as far as possible, and "
            "what follows in it is not graded."
        )
        # Whoever comes later in the archive is unknown: this stands for all of them.
        submissions.append(
            Submission(where.name, assignment, None, nothing, path=where.name)
        )
    late = known.late if known else {}
    for at, submission in enumerate(submissions):
        if submission.path and (words := late.get(submission.student)):
            people = (*submission.needs_person, WORKSHEET.format(words))
            submissions[at] = replace(submission, late=True, needs_person=people)
    handed_in = {submission.student for submission in submissions}
    for student in known.students if known else ():
        if student not in handed_in:
            submissions.append(Submission(student, assignment, None, nothing))
    return sorted(submissions, key=lambda submission: submission.student)


def submitted(where: Path, assignment: str) -> Path:
    """Where students' folders lie: `where`, or in it if it is nbgrader's course.

    Raises:
        ValueError: it is a course in which nothing was handed in.
    """
    # A course has folders that are no students'; a student may be called "submitted".
    of_course = (where / "gradebook.db").is_file() or (where / "submitted").is_dir()
    if of_course and where.name != "submitted":
        where = where / "submitted"
        if not where.is_dir():
            raise ValueError(f"There is no folder {where}. {place(assignment)}")
    return where


def place(assignment: str) -> str:
    """Where submissions go, in a sentence."""
    return (
        f"Notebooks go to submitted/<student>/{assignment}/{assignment}.ipynb in the "
        "folder of the course; or name a folder of notebooks or an archive of them."
    )


def _time(clock: Item) -> datetime | None:
    """What nbgrader's exchange wrote, None if it is nothing of the kind."""
    from nbgrader.utils import parse_utc  # slow

    try:
        text = b"" if clock.problem else clock.read()[:100]
        return cast(datetime, parse_utc(text.decode().strip())).replace(tzinfo=UTC)
    except Exception:  # dateutil raises what it stumbles over
        return None


def _position(item: Item | None) -> int:
    return item.position if item else -1


def _submission(
    handed_in: HandedIn, assignment: str, given: Assignment, above: str
) -> Submission:
    item = handed_in.item
    empty = Submission(handed_in.student, assignment, None, NOTHING)
    if item is None:
        return empty
    path = (above + item.path).encode(errors="replace").decode()
    path = INVISIBLE.sub("?", path)
    empty = replace(
        empty,
        path=path,
        repairs=handed_in.notes,
        needs_person=handed_in.needs_person,
        platform=handed_in.platform,
    )
    try:
        data = _read(item)
        empty = replace(empty, digest=hashlib.sha256(data).hexdigest())
        notes = handed_in.notes
        if is_archive(item.name) and not is_notebook(item.name):
            data, more = _out_of_archive(item.name, data, assignment)
            notes += more
        elif not is_notebook(item.name):
            raise Malformed(
                f"{listed([item.name])} is not a notebook (.ipynb). {ITSELF}"
            )
        cells, of_reading = read_cells(data)
        notebook, of_mending = mend(cells, given)
    except Malformed as error:
        return replace(empty, reason=str(error))
    except Exception:  # a batch is not given up for one student
        logging.getLogger(__name__).exception("%s could not be prepared", path)
        people = (*empty.needs_person, FOR_A_PERSON)
        return replace(empty, reason=STUMBLED, needs_person=people)
    repairs = (*notes, *of_reading, *of_mending)
    return replace(empty, notebook=notebook, reason="", repairs=repairs)


def _read(item: Item) -> bytes:
    try:
        if item.problem:
            raise Unreadable(item.problem)
        return item.read()
    except Unreadable as error:
        raise Malformed(f"{listed([item.name])} {error}.") from error


def _out_of_archive(
    name: str, data: bytes, assignment: str
) -> tuple[bytes, tuple[str, ...]]:
    """The notebook in a student's archive. Archives inside that one stay closed."""
    with opened_of_student(data) as contents:
        if contents.broken:
            raise Malformed(
                f"{listed([name])} {contents.broken}. Hand in the notebook itself."
            )
        item, notes = notebook_inside(contents.items, assignment)
        if item is None:
            deeper = any(is_archive(inner.name) for inner in contents.items)
            raise Malformed(
                f"The archive {listed([name])} holds no notebook (.ipynb)"
                + (", but another archive, which is not opened" if deeper else "")
                + ". Hand in the notebook itself."
            )
        return _read(item), (
            f"The notebook was taken out of the archive {listed([name])}.",
            *notes,
        )
