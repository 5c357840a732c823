"""From records to nbgrader's gradebook, so that formgrader, feedback and export work.

For each submission two things are written: a transaction in the database, and the
notebook `autograded/<student>/<assignment>/<assignment>.ipynb` that formgrader shows
and `nbgrader generate_feedback` turns into a page. That notebook is the released one
with the student's answers and the examiner's reports in it: the hidden tests, which
nbgrader itself would put back and then show to students, are not in it.

What formgrader shows for each state of a record:

| state | score | needs manual grading |
| --- | --- | --- |
| graded, failed tests | that of the tests | cells that a person grades |
| timed out, crashed | that of the tests that ran | also those that were stopped |
| malformed | none yet | every test cell; the reason is the first comment |
| missing | the student has no submission; export gives 0.0 and no time stamp | |

These, and records that `needs_person`, have the test cells that did not run to their
end (or else the first one) marked for manual grading as well; their score counts
meanwhile.

Writing twice changes nothing. A second grading replaces automatic scores and comments;
manual scores, extra credit and manual comments stay. Where a person has given a score
or extra credit, the cell is marked again only if the automatic score or the answer is
no longer the one that they saw.
"""

import html
import math
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Gradebook, InvalidEntry, MissingEntry
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy.exc import OperationalError
from traitlets.config import Config

from lmlib.grading.results import deadlines
from lmlib.grading.results.record import FOR_A_PERSON, CellResult, Record
from lmlib.grading.results.text import shown

UNFINISHED = ("timed out", "crashed", "not run")


class GradebookError(RuntimeError):
    """The gradebook cannot take any record, and why; nothing is half written."""


class GradebookLocked(GradebookError):
    """Another program kept the gradebook locked for too long.

    Attributes:
        written: the students whose records are in; writing all again is harmless.
    """

    def __init__(self, message: str, written: Sequence[str]) -> None:
        super().__init__(message)
        self.written = tuple(written)


def write_records(
    course: Path,
    records: Iterable[Record],
    *,
    db_url: str | None = None,
    config: Config | None = None,
    patience: float = 60.0,
    people: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    extensions: deadlines.Extensions = MappingProxyType({}),
    sent: Callable[[Record], None] = lambda record: None,
) -> list[str]:
    """Write records into the gradebook of the nbgrader course in the folder `course`.

    Parameters:
        course: holds gradebook.db and release/, as `assignment.release` makes them.
        db_url: of the gradebook, if it is not course/gradebook.db.
        config: nbgrader's configuration, for the penalty on late submissions.
        patience: seconds to wait for a database that another program has locked.
        people: what is known of each student: first_name, last_name, email. What is
            empty or missing stays as the gradebook has it.
        extensions: of `deadlines.read_extensions`. Who is not in it keeps the extension
            that the gradebook has.
        sent: called with each record that is written, as the gradebook then has it:
            with the student's name, how late it was and what that costs, and what a
            person has given and written in formgrader.

    Returns:
        A sentence for each record that does not fit the assignment as it was released;
        all others are written.

    Raises:
        GradebookError: there is no gradebook, or the assignment is not in it.
        GradebookLocked: the database stayed locked.
    """
    if db_url is None:
        path = course / "gradebook.db"
        if not path.is_file():
            raise GradebookError(
                f"There is no gradebook at {path}. Release the assignment first: "
                "lmlib.grading.assignment.release enters it into the gradebook."
            )
        db_url = f"sqlite:///{path}?timeout={min(patience, 5.0)}"
    problems: list[str] = []
    written: list[str] = []
    deadline = time.monotonic() + patience

    def persist(write: Callable[[], Any]) -> Any:
        """Call `write` until the database is free; it leaves nothing half done."""
        pause = 0.05
        while True:
            try:
                return write()
            except (OperationalError, InvalidEntry, sqlite3.OperationalError) as error:
                if "disk is full" in str(error) or "disk I/O" in str(error):
                    raise GradebookError(
                        "There is no room on the disk for the gradebook. "
                        f"{len(written)} submissions are written, and all records are "
                        "safe: make room and run this again."
                    ) from None
                if "locked" not in str(error) and "busy" not in str(error):
                    raise
                if time.monotonic() > deadline:
                    raise GradebookLocked(
                        "Another program (formgrader, or a second grading) has kept "
                        f"the gradebook locked for {patience:g} seconds. "
                        f"{len(written)} submissions are written and safe. Close the "
                        "other program and write again; what is in stays as it is.",
                        written,
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    with persist(lambda: Gradebook(db_url)) as gradebook:
        releases: dict[str, _Release] = {}
        for record in records:
            name = record.assignment
            if name not in releases:
                released = partial(_released, gradebook, course, name)
                releases[name] = persist(released)
            person = people.get(record.student, {})
            writer = _Writer(
                gradebook, course, record, releases[name], config, person, extensions
            )
            try:
                persist(writer.write)
            except ValueError as error:
                if isinstance(error, (InvalidEntry, MissingEntry)):
                    raise
                problems.append(f"{record.student}: {error}")
            else:
                written.append(record.student)
                sent(persist(writer.as_kept))
            deadline = time.monotonic() + patience
    return problems


@dataclass(frozen=True)
class _Release:
    """An assignment as students got it: asked for once, not for each record.

    Attributes:
        notebook: with the checksums that the gradebook knows.
        worth: the points of the cells that are graded, by name.
        names: of all cells, by nbgrader's number for them.
        by_hand: the cells that a person alone grades.
    """

    notebook: NotebookNode
    worth: dict[str, float]
    names: dict[str, str]
    by_hand: frozenset[str]


def _released(gradebook: Gradebook, course: Path, assignment: str) -> _Release:
    """What was released.

    Raises:
        GradebookError: the assignment or its notebook does not exist.
    """
    release = "lmlib.grading.assignment.release makes it."
    try:
        known = gradebook.find_notebook(assignment, assignment)
    except MissingEntry:
        raise GradebookError(
            f"The gradebook has no assignment {assignment!r}: {release}"
        ) from None
    path = course / "release" / assignment / f"{assignment}.ipynb"
    if not path.is_file():
        raise GradebookError(f"There is no released notebook at {path}: {release}")
    notebook = nbformat.read(path, as_version=4)
    checksums = {cell.name: cell.checksum for cell in known.source_cells}
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            name = cell.metadata.nbgrader.grade_id
            if name not in checksums:
                raise GradebookError(f"The gradebook has no cell {name!r}: {release}")
            cell.metadata.nbgrader.checksum = checksums[name]
    cells = (*known.grade_cells, *known.solution_cells, *known.task_cells)
    worth = {cell.name: cell.max_score for cell in known.grade_cells}
    answers = {cell.name for cell in known.solution_cells}
    by_hand = {cell.name for cell in known.task_cells} | (answers & set(worth))
    names = {cell.id: cell.name for cell in cells}
    return _Release(notebook, worth, names, frozenset(by_hand))


class _Writer:
    """One record on its way into the database and to the autograded notebook."""

    def __init__(
        self,
        gradebook: Gradebook,
        course: Path,
        record: Record,
        released: _Release,
        config: Config | None,
        person: Mapping[str, str],
        extensions: deadlines.Extensions,
    ) -> None:
        # No formula to a spreadsheet: nbgrader's export has no guard.
        plain = {key: value.lstrip("=+-@＝＋－＠ \t") for key, value in person.items()}
        self.person = {key: value for key, value in plain.items() if value}
        self.gradebook = gradebook
        self.record = record
        self.released = released
        self.config = config
        self.extensions = extensions
        self.results = {cell.grade_id: cell for cell in record.cells}
        student, name = record.student, record.assignment
        self.key = (name, name, student)
        self.submitted = course / "submitted" / student / name
        self.folder = course / "autograded" / student / name
        self.path = self.folder / f"{name}.ipynb"

    def write(self) -> None:
        self.check()
        try:
            self.gradebook.update_or_create_student(self.record.student, **self.person)
            if self.record.state == "missing":
                self.remove()
                return
            notebook = self.autograded()
            self.enter(notebook)
        except Exception:
            self.gradebook.db.rollback()
            raise
        # After the database: a run that is killed in between finds the older answers
        # here when it is repeated, and marks changed ones for the person again.
        self.folder.mkdir(parents=True, exist_ok=True)
        _replace(self.path, nbformat.writes(notebook))
        if (timestamp := self.timestamp()) is not None:
            _replace(self.folder / "timestamp.txt", f"{timestamp} UTC\n")

    def check(self) -> None:
        """Raises ValueError if the record does not fit the released assignment."""
        student = self.record.student
        if (
            student in ("", ".", "..")
            or not student.isprintable()
            # The last three would let it out of its place in formgrader's pages.
            or set(student) & set('/\\<>"')
            or len(student.encode()) > 128
        ):
            raise ValueError(f"{student!r} cannot be the name of a student")
        worth = self.released.worth
        for cell in self.record.cells:
            if cell.grade_id not in worth:
                raise ValueError(
                    f"the released assignment has no test cell {cell.grade_id!r}; "
                    "release it again"
                )
            if cell.max_points != worth[cell.grade_id]:
                raise ValueError(
                    f"{cell.grade_id} is worth {cell.max_points:g} points in the "
                    f"record and {worth[cell.grade_id]:g} in the gradebook; release "
                    "the assignment again"
                )
            if not 0 <= cell.points <= cell.max_points:
                raise ValueError(
                    f"{cell.points:g} of {cell.max_points:g} points for {cell.grade_id}"
                )

    def as_kept(self) -> Record:
        """The record with the student's name, and a person's points and comments."""
        student = self.gradebook.find_student(self.record.student)
        known = (student.first_name, student.last_name)
        record = replace(
            self.record,
            name=" ".join(part for part in known if part),
            email=student.email or "",
        )
        try:
            kept = self.gradebook.find_submission_notebook(*self.key)
        except MissingEntry:
            return record
        submission, zone = kept.assignment, self.zone()
        record = replace(
            record,
            due=deadlines.in_zone(deadlines.due_for(submission), zone),
            handed_in=deadlines.in_zone(submission.timestamp, zone),
            late=deadlines.seconds_late(submission),
            penalty=float(kept.late_submission_penalty or 0.0),
        )
        names = self.released.names
        cells = {cell.grade_id: cell for cell in self.record.cells}
        waiting = []
        for grade in kept.grades:
            name, auto = names.get(grade.cell_id, ""), grade.auto_score
            # nbgrader counts no extra credit where there is nothing to add it to.
            extra = auto is not None and grade.extra_credit is not None
            if name in self.released.by_hand:
                wait = grade.needs_manual_grade and record.state != "malformed"
                waiting += [f"{name} waits for your points."] * wait
                unseen = auto is None and grade.manual_score is None
                state = "waiting" if unseen else "by hand"
                cells[name] = CellResult(name, 0.0, grade.max_score, state)
            if grade.manual_score is None and not extra:
                continue
            if name not in cells:  # of a record without its tests
                cells[name] = CellResult(name, 0.0, grade.max_score, "by hand")
            self.gradebook.db.refresh(grade, ["score"])
            cells[name] = replace(
                cells[name], points=float(grade.score), automatic=float(auto or 0.0)
            )
        record = replace(record, needs_person=(*record.needs_person, *waiting))
        comments = tuple(
            (names.get(comment.cell_id, ""), comment.manual_comment)
            for comment in kept.comments
            if comment.manual_comment
        )
        return replace(record, cells=tuple(cells.values()), comments=comments)

    def zone(self) -> str:
        """The time zone in which nbgrader's own pages show times."""
        shown = {} if self.config is None else self.config.get("NbGraderAPI", {})
        return str(shown.get("timezone") or "UTC")

    # -- The database -----------------------------------------------------------------

    def enter(self, notebook: NotebookNode) -> None:
        record, gradebook = self.record, self.gradebook
        timestamp = self.timestamp()
        kept = {} if timestamp is None else {"timestamp": timestamp}
        with gradebook.db.no_autoflush:  # or SQLAlchemy warns of nbgrader's way
            submission = gradebook.update_or_create_submission(
                record.assignment, record.student, **kept
            )
        deadlines.extend(submission, self.extensions)
        (entered,) = (n for n in submission.notebooks if n.name == self.key[0])
        names = self.released.names
        grades = {names.get(grade.cell_id): grade for grade in entered.grades}
        comments = {names.get(note.cell_id): note for note in entered.comments}
        before = self.answers_before()
        marked = self.marked_for_a_person()
        reason = f"This submission could not be graded. {record.reason}".strip()
        malformed = record.state == "malformed"
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if utils.is_grade(cell):
                grade = grades.get(name) or gradebook.find_grade(name, *self.key)
                score = self.auto_score(cell)
                same = grade.auto_score == score and (
                    not utils.is_solution(cell) or before.get(name) == cell.source
                )
                grade.auto_score = score
                if grade.manual_score is None and score is None:
                    grade.needs_manual_grade = True
                elif grade.manual_score is None and grade.extra_credit is None:
                    grade.needs_manual_grade = name in marked
                elif not same:
                    grade.needs_manual_grade = True
            if utils.is_solution(cell):
                comment = comments.get(name)
                comment = comment or gradebook.find_comment(name, *self.key)
                blank = cell.metadata.nbgrader.checksum == utils.compute_checksum(cell)
                comment.auto_comment = "No response." if blank else None
                if malformed:
                    comment.auto_comment, reason = reason or None, ""
        gradebook.db.flush()
        self.penalise(submission, entered)
        gradebook.db.commit()

    def auto_score(self, cell: NotebookNode) -> float | None:
        """None where only a person can tell."""
        if self.record.state == "malformed":
            return None
        if utils.is_solution(cell):
            score, _ = utils.determine_grade(cell)
            return None if score is None else float(score)
        result = self.results.get(cell.metadata.nbgrader.grade_id)
        return None if result is None else float(result.points)

    def marked_for_a_person(self) -> set[str]:
        if not (self.record.needs_person or self.record.state in FOR_A_PERSON):
            return set()
        cells = self.record.cells
        unfinished = {cell.grade_id for cell in cells if cell.state in UNFINISHED}
        return unfinished or {cell.grade_id for cell in cells[:1]}

    def answers_before(self) -> dict[str, str]:
        """The answers that a person saw when they graded, by the name of the cell."""
        if not self.path.is_file():
            return {}
        return {
            cell.metadata.nbgrader.grade_id: cell.source
            for cell in nbformat.read(self.path, as_version=4).cells
            if utils.is_solution(cell)
        }

    def penalise(self, submission: Any, notebook: Any) -> None:
        """What nbgrader's AssignLatePenalties does, in the same transaction."""
        self.gradebook.db.refresh(notebook, ["score"])
        notebook.late_submission_penalty = None
        late = deadlines.seconds_late(submission)
        if late <= 0:
            return
        try:
            assigner = AssignLatePenalties(config=self.config)
            assigner.init_plugin()
            penalty = assigner.plugin_inst.late_submission_penalty(
                self.record.student, notebook.score, late
            )
        except Exception as error:  # the plugin is the course's own
            raise ValueError(
                "nbgrader_config.py's plugin for late submissions failed: "
                f"{type(error).__name__}: {error}"
            ) from error
        if penalty is not None:
            notebook.late_submission_penalty = min(max(penalty, 0), notebook.score)

    def remove(self) -> None:
        """Of a submission that is no longer there keep what a person has written."""
        gradebook, record = self.gradebook, self.record
        try:
            submission = gradebook.find_submission(record.assignment, record.student)
        except MissingEntry:
            return
        grades = [g for notebook in submission.notebooks for g in notebook.grades]
        comments = [c for notebook in submission.notebooks for c in notebook.comments]
        if any(
            g.manual_score is not None or g.extra_credit is not None for g in grades
        ) or any(c.manual_comment for c in comments):
            for grade in grades:
                grade.auto_score = None
                grade.needs_manual_grade = True
            gradebook.db.commit()
            return
        gradebook.remove_submission(record.assignment, record.student)
        # Without a row in the database, generate_feedback would stop at this file.
        self.path.unlink(missing_ok=True)

    def timestamp(self) -> datetime | None:
        """When it was handed in, or what nbgrader's exchange noted in timestamp.txt."""
        if self.record.handed_in:
            return deadlines.in_utc(datetime.fromisoformat(self.record.handed_in))
        flags = os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(self.submitted / "timestamp.txt", flags)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            text = file.read(100).decode(errors="replace").strip()
        try:
            return utils.parse_utc(text)
        except (ValueError, OverflowError):
            return None

    # -- The notebook -----------------------------------------------------------------

    def with_added(self, cells: list[NotebookNode]) -> list[NotebookNode]:
        """`cells`, and those that the student added after the answers they followed."""
        added: dict[str, list[NotebookNode]] = {"": []}
        answer = ""
        for name, source in self.record.answers:
            kind, _, number = name.partition(" ")
            if not number:
                answer = name
                continue
            new = nbformat.v4.new_code_cell
            if kind == "text":
                new = nbformat.v4.new_markdown_cell
            cell = new(writable(source), id=f"added-{number}")  # type: ignore[no-untyped-call]
            added.setdefault(answer, []).append(cell)
        found = added.pop("")
        for cell in cells:
            found.append(cell)
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            found += added.pop(name, [])
        return found + [cell for rest in added.values() for cell in rest]

    def autograded(self) -> NotebookNode:
        """The released notebook with the answers, the reports and a note on top."""
        notebook = nbformat.from_dict(self.released.notebook)
        answers = dict(self.record.answers)
        notebook.cells = self.with_added(notebook.cells)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
            if "nbgrader" not in cell.metadata:
                continue
            name = cell.metadata.nbgrader.grade_id
            if utils.is_solution(cell) and name in answers:
                cell.source = writable(answers[name])
            elif utils.is_grade(cell) and name in self.results:
                cell.outputs = outputs(self.results[name])
        notes = [*self.record.repairs]
        if self.record.reason:
            notes.insert(0, f"{self.record.state}: {self.record.reason}")
        if notes:
            # One block of HTML: nothing in it is read as Markdown.
            items = (
                f"<li>{html.escape(' '.join(shown(n).split()))}</li>" for n in notes
            )
            note = "<b>About this submission</b>\n<ul>\n" + "\n".join(items) + "\n</ul>"
            cell = nbformat.v4.new_markdown_cell(f"<div>\n{note}\n</div>")
            cell.id = "about-this-submission"
            notebook.cells.insert(0, cell)
        return notebook


def writable(text: str) -> str:
    """JSON may hold half a surrogate pair, which no file can."""
    return text.encode("utf-8", "replace").decode()


def outputs(result: CellResult) -> list[NotebookNode]:
    """The outputs from which nbgrader itself would read the points of `result`."""
    # As nbformat's `new_output` makes them, without validating each: the notebook is
    # validated as a whole when it is written.
    made: list[dict[str, Any]] = []
    if result.output:
        text = shown(result.output).rstrip("\n") + "\n"
        made.append({"output_type": "stream", "name": "stdout", "text": text})
    if result.state in UNFINISHED and not result.points:
        error = {"ename": result.state, "evalue": "", "traceback": [result.state]}
        made.append({"output_type": "error", **error})
    else:
        value = float(result.points)
        assert math.isfinite(value)
        shows = {"data": {"text/plain": repr(value)}, "metadata": {}}
        made.append({"output_type": "execute_result", **shows, "execution_count": None})
    return [nbformat.from_dict(output) for output in made]


def _replace(path: Path, text: str) -> None:
    """Write `text` in one step; read-only, as nbgrader leaves what it has graded."""
    unfinished = path.with_name(path.name + ".partial")
    unfinished.unlink(missing_ok=True)
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.chmod(0o444)
    unfinished.replace(path)
