"""What grading one submission came to: one JSON file, written in one step."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

#: From best to worst; the state of a submission is the worst that happened.
STATES = ("graded", "failed tests", "timed out", "crashed", "malformed", "missing")

FOR_A_PERSON = ("malformed", "crashed", "timed out")  # to look at, in any case

NO_MARK = ("malformed", "missing")  # unless a person gives one


@dataclass(frozen=True)
class CellResult:
    """A test cell: its points, and what the student may read of how they came about.

    Attributes:
        grade_id: nbgrader's name of the test cell.
        state: "passed", "failed", "timed out", "crashed" or "not run"; of an answer
            that a person grades, "by hand", or "waiting" until they have.
        output: the report of the check, or an error; never a hidden value.
        misconceptions: the names of those that were recognised.
        automatic: the points of the tests, where `points` are those of a person.
    """

    grade_id: str
    points: float
    max_points: float
    state: str
    output: str = ""
    seconds: float = 0.0
    misconceptions: tuple[str, ...] = ()
    automatic: float | None = None


@dataclass(frozen=True)
class Record:
    """A submission after grading.

    Attributes:
        state: one of `STATES`.
        reason: one sentence when there is no mark, or not the whole of it.
        repairs: what was mended in the notebook, a sentence each.
        answers: the student's solution cells, (grade_id, source), and the cells that
            they added, ("cell 7", source) for code and ("text 7", source) for text.
        needs_person: why an instructor should look at it.
        fingerprint: of the submission, the tests and the library; see `batch`.
        platform: the number by which the learning platform knows the student.
        group: those who handed it in together, as the platform calls them; "" for one.
        comments: (name of a cell, what a person wrote about it), from the gradebook.
        name, email: of the student, from the gradebook.
        handed_in: when, in ISO 8601 with the time zone; "" where nothing tells.
        marked_late: the learning platform calls it late, without saying when it came.
        due: when, in ISO 8601, from the gradebook.
        late: seconds after that, from the gradebook.
        penalty: the points that are taken off for it, from the gradebook.
        contest: of an entry in a contest, its outcome: `contest.scores.from_text`.
    """

    student: str
    assignment: str
    state: str
    reason: str = ""
    cells: tuple[CellResult, ...] = ()
    repairs: tuple[str, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    needs_person: tuple[str, ...] = ()
    seconds: float = 0.0
    fingerprint: str = ""
    platform: str = ""
    comments: tuple[tuple[str, str], ...] = ()
    name: str = ""
    email: str = ""
    handed_in: str = ""
    marked_late: bool = False
    due: str = ""
    late: float = 0.0
    penalty: float = 0.0
    group: str = ""
    contest: str = ""

    @property
    def has_mark(self) -> bool:
        by_hand = any(cell.automatic is not None for cell in self.cells)
        return by_hand or self.state not in NO_MARK

    @property
    def points(self) -> float:
        return sum((cell.points for cell in self.cells), 0.0)

    @property
    def score(self) -> float:
        """The points that count: what being late costs is taken off."""
        return max(self.points - self.penalty, 0.0)

    @property
    def automatic(self) -> float | None:
        """The points of the tests alone, where a person has given others."""
        tests = (c.points if c.automatic is None else c.automatic for c in self.cells)
        points = sum(tests, 0.0)
        return None if points == self.points else points

    @property
    def max_points(self) -> float:
        return sum((cell.max_points for cell in self.cells), 0.0)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is not JSON, or lacks a field, or has one too many.
        """
        data: Any = json.loads(text)
        names = {f.name for f in fields(cls)}
        # Older records lack these.
        later = {"platform", "comments", "name", "email"}
        later |= {"handed_in", "marked_late", "due", "late", "penalty", "group"}
        later |= {"contest"}
        if not isinstance(data, dict) or not names - later <= set(data) <= names:
            raise ValueError("this is not the record of a submission")
        data["cells"] = tuple(
            CellResult(**{**cell, "misconceptions": tuple(cell["misconceptions"])})
            for cell in data["cells"]
        )
        for name in ("answers", "comments"):
            data[name] = tuple((cell, text) for cell, text in data.get(name, ()))
        for name in ("repairs", "needs_person"):
            data[name] = tuple(data[name])
        return cls(**data)

    def write(self, path: Path) -> None:
        """Write the record under a temporary name and rename it."""
        partial = path.with_name(path.name + ".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.write(self.to_json())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
