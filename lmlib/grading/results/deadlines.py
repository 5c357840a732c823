"""When work is due, for whom later, and how late it came.

nbgrader keeps the due date with the assignment and an extension with the submission,
and so do we: formgrader, `nbgrader autograde` and its export see the same. Extensions
are given before there is a submission, so they are written down in the folder of the
course, in `extensions.csv`:

    student,assignment,due
    ann,3.1-self-attention,2026-12-03T23:59+08:00
"""

import csv
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

EXTENSIONS = "extensions.csv"
COLUMNS = ["student", "assignment", "due"]

#: By assignment and student.
Extensions = Mapping[tuple[str, str], datetime]


def moment(text: str) -> datetime:
    """A point in time: `2026-12-01T23:59+08:00`, or `2026-12-01 23:59 Europe/Berlin`.

    Raises:
        ValueError: it is none, or says no time zone.
    """
    when, _, zone = text.strip().rpartition(" ")
    try:
        if zone[:1].isalpha():
            found = datetime.fromisoformat(when)
            if found.tzinfo is None:
                found = found.replace(tzinfo=ZoneInfo(zone))
        else:
            found = datetime.fromisoformat(text.strip())
    except (ValueError, KeyError, OSError):  # the last two: of the zone
        found = datetime.min
    if found.tzinfo is None:
        raise ValueError(
            f"{text!r} is not a time with its time zone, such as "
            "2026-12-01T23:59+08:00 or '2026-12-01 23:59 Europe/Berlin'"
        )
    return found


def in_utc(time: datetime) -> datetime:
    """As nbgrader keeps it: in UTC, and without saying so."""
    return time.astimezone(UTC).replace(tzinfo=None)


def in_zone(time: datetime | None, zone: str) -> str:
    """A time of the gradebook as it is shown; `zone` is NbGraderAPI.timezone."""
    if time is None:
        return ""
    try:
        there = ZoneInfo(zone)
    except (ValueError, KeyError, OSError):  # nbgrader's pages then show UTC, too
        there = ZoneInfo("UTC")
    return time.replace(tzinfo=UTC).astimezone(there).isoformat()


def read_extensions(course: Path) -> dict[tuple[str, str], datetime]:
    """What the course's `extensions.csv` says; nothing if there is none.

    Raises:
        ValueError: a line cannot be read; the message names it.
    """
    path = course / EXTENSIONS
    if not path.is_file():
        return {}
    found: dict[tuple[str, str], datetime] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            if (reader.fieldnames or [])[:3] != COLUMNS:
                raise ValueError(f"line 1: the columns must be {','.join(COLUMNS)}")
            for row in reader:
                student, assignment, due = (str(row[c] or "") for c in COLUMNS)
                try:
                    until = moment(due)
                except ValueError as error:
                    raise ValueError(f"line {reader.line_num}: {error}") from None
                found[assignment.strip(), student.strip()] = until
    except (ValueError, csv.Error) as error:  # bad UTF-8 is a ValueError
        raise ValueError(f"{path}, {error}") from None
    return found


def set_due(course: Path, assignment: str, due: datetime | None) -> None:
    """Write the due date of an assignment into the gradebook; None: there is none."""
    from nbgrader.api import Gradebook  # slow, and needed here alone

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(assignment, duedate=due and in_utc(due))


def extend(submission: Any, extensions: Extensions) -> None:
    """Give a submission of the gradebook the extension of its student, if any."""
    until = extensions.get((submission.assignment.name, submission.student.id))
    due = submission.assignment.duedate
    if until is not None and due is not None:
        submission.extension = max(in_utc(until) - due, timedelta())


def due_for(submission: Any) -> datetime | None:
    """When it was due, with its extension; nbgrader fails on one without a due date."""
    return None if submission.assignment.duedate is None else submission.duedate


def seconds_late(submission: Any) -> float:
    return float(submission.total_seconds_late) if due_for(submission) else 0.0


def in_words(seconds: float) -> str:
    """How late: `2 days 3 h`, `5 min`, `40 s`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [
        f"{days} day{'s' * (days > 1)}" if days else "",
        f"{hours} h" if hours else "",
        f"{minutes} min" if minutes and not days else "",
    ]
    return " ".join(filter(None, parts)) or f"{max(rest, 1)} s"
