"""A whole class: in parallel, resumable, and never stopped by one submission.

Each submission is graded in a forked examiner of its own, which writes one record and
ends. So nothing grows over a thousand submissions, an examiner that dies takes no other
with it, and a run that is killed goes on where it was: a record whose fingerprint still
fits (the submission, the tests, the library, the secret) is not made again.
"""

import contextlib
import gc
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import matplotlib
import torch
from nbformat import NotebookNode

from lmlib.exercises import checks
from lmlib.exercises.registry import own_sections
from lmlib.grading.examination import examiner
from lmlib.grading.examination.forkserver import Forkserver
from lmlib.grading.results.record import Record
from lmlib.grading.submissions.intake import Submission

#: For the instructor.
LATE = (
    "The platform marks it as late and does not say when it came: nothing was taken "
    "off. Write the time into timestamp.txt in its folder of submitted/."
)
NO_ROOM = 3  # the exit status of an examiner that could not write to the disk
GRACE = 30.0  # seconds beyond its limits after which an examiner is given up


def fingerprint(submission: Submission, grader: str) -> str:
    """Changes when a regrade could give another result.

    Parameters:
        grader: `grader(source)`.
    """
    return _digest(
        submission.student,
        submission.digest,
        json.dumps([submission.reason, *submission.repairs]),
        json.dumps([submission.platform, *submission.needs_person]),
        f"{submission.timestamp} {submission.late}",
        grader,
    )


def grader(source: NotebookNode) -> str:
    """A digest of what all submissions share: tests, settings, library."""
    return _digest(json.dumps(source), *settings().values(), library())


def settings() -> dict[str, str]:
    """What a course sets in the environment, and marks depend on."""
    names = ("LMLIB_COURSE_SECRET", "LMLIB_ALLOW_LIBRARY")
    return {name: os.environ.get(name, "") for name in names}


def stamped(record: Record, submission: Submission, mark: str) -> Record:
    """A record as it is kept: with its fingerprint, and when it was handed in."""
    time, people = submission.timestamp, record.needs_person
    marked_late = bool(submission.late) and time is None
    return replace(
        record,
        fingerprint=mark,
        handed_in="" if time is None else time.isoformat(),
        marked_late=marked_late,
        needs_person=(*people, LATE) if marked_late else people,
        group=submission.group,
    )


def _digest(*words: str) -> str:
    total = hashlib.sha256()
    for word in words:
        total.update(hashlib.sha256(word.encode(errors="replace")).digest())
    return total.hexdigest()[:32]


def library() -> str:
    """A digest of this library's code, and of a course's own exercises."""
    total = hashlib.sha256()
    places = [Path(__file__).parents[1], *filter(None, [own_sections()])]
    for path in (path for place in places for path in sorted(place.rglob("*.py"))):
        total.update(path.read_bytes())
    return total.hexdigest()[:32]


def record_path(folder: Path, student: str) -> Path:
    """One for each student, in `folder` whatever the name holds."""
    name = quote(student, safe="", errors="replace")
    if len(name) > 150:
        name = f"{name[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return folder / f"{name}.json"


def finished(path: Path, mark: str) -> Record | None:
    """The record at `path` if there is a whole one that still holds."""
    try:
        record = Record.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return record if record.fingerprint == mark else None


def kept(records: Path) -> dict[str, Record]:
    """What has been graded so far, by student.

    Raises:
        ValueError: a record cannot be read.
    """
    found = {}
    for path in sorted(records.glob("*.json")):
        try:
            record = Record.from_json(path.read_text(encoding="utf-8"))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"The record {path} cannot be read: {error}. Move it away, and grade "
                "that submission again."
            ) from None
        found[record.student] = record
    return found


def added(
    submissions: Iterable[Submission], before: dict[str, Record]
) -> list[Submission]:
    """The submissions that are new to what has been graded `before`.

    Who has handed in nothing this time keeps what they have. Somebody with another
    number on the learning platform is somebody else, whatever their name.
    """
    found = []
    class_ = list(submissions)
    taken = {submission.student for submission in class_} | set(before)
    for submission in class_:
        student, number = submission.student, submission.platform
        old = before.get(student)
        if not (submission.path or submission.digest):
            if old is None or old.state == "missing":
                found.append(submission)
            continue
        apart = f"{student}_{number}"
        theirs = number and apart in before and before[apart].platform == number
        if theirs or (number and old and old.platform not in ("", number)):
            while apart in taken and not theirs:
                apart = f"{apart}_{number}"
            taken.add(apart)
            doubt = (
                f"Another {student} has handed in before, from another number of the "
                f"platform than {number}: graded under a name of its own."
            )
            people = (*submission.needs_person, doubt)
            submission = replace(submission, student=apart, needs_person=people)
        found.append(submission)
    return found


def resume(
    submissions: list[Submission],
    source: NotebookNode,
    records: Path,
    force: bool = False,
) -> tuple[list[tuple[Submission, str]], dict[str, Record]]:
    """What is still to do, each with its fingerprint, and the records that hold."""
    records.mkdir(parents=True, exist_ok=True)
    done: dict[str, Record] = {}
    pending = []
    common = grader(source)
    for submission in submissions:
        mark = fingerprint(submission, common)
        record = finished(record_path(records, submission.student), mark)
        if record is None or force:
            pending.append((submission, mark))
        else:
            done[submission.student] = record
    return pending, done


def grade(
    submissions: Iterable[Submission],
    source: NotebookNode,
    records: Path,
    *,
    jobs: int = 1,
    limits: examiner.Limits = examiner.DEFAULT_LIMITS,
    unsafe: bool = False,
    forkserver: Forkserver | None = None,
    force: bool = False,
    progress: Callable[[int, int, Record], None] = lambda done, total, record: None,
) -> list[Record]:
    """Grade all that is not graded yet; the records of all, in the order given.

    Parameters:
        source: the instructor's notebook, hidden tests included.
        records: the folder of records, one JSON file a student.
        jobs: how many are graded at the same time.
        unsafe: go on where nothing confines student code.
        forkserver: one that runs already; without it, one is started and ended.
        force: grade again what is graded and has not changed.
        progress: called after each submission.

    Raises:
        RuntimeError: student code cannot be confined here, and `unsafe` is not set.
        OSError: the disk is full; what was graded until then stays graded.
    """
    class_ = list(submissions)
    pending, done = resume(class_, source, records, force)
    if pending:
        with contextlib.ExitStack() as stack:
            if forkserver is None:
                forkserver = stack.enter_context(Forkserver(unsafe=unsafe))
            for submission, mark in _examine(
                pending, source, records, forkserver, jobs, limits
            ):
                path = record_path(records, submission.student)
                record = finished(path, mark)
                if record is None:
                    record = given_up(submission, source, mark)
                    record.write(path)
                done[submission.student] = record
                progress(len(done), len(class_), record)
    return [done[submission.student] for submission in class_]


def _examine(
    pending: list[tuple[Submission, str]],
    source: NotebookNode,
    records: Path,
    forkserver: Forkserver,
    jobs: int,
    limits: examiner.Limits,
) -> Iterable[tuple[Submission, str]]:
    """Run examiners as children, `jobs` at a time; yield those that ended."""
    # A fork of a process whose OpenMP threads have run hangs as soon as it wants them.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # What every examiner will need, once, before the first fork.
    matplotlib.use("Agg")
    given = examiner.given_names(source)
    for exercise in examiner.exercises_of(source):
        checks.prepare(exercise)
    gc.collect()
    gc.freeze()  # or a collection in an examiner would copy all that it looks at
    patience = examiner.prepare_contest(source)
    waiting = pending[::-1]
    running: dict[int, tuple[Submission, str, float]] = {}
    ended: list[tuple[Submission, str]] = []
    try:
        while waiting or running or ended:
            while waiting and len(running) < jobs:
                submission, mark = waiting.pop()
                connection = forkserver.connect()
                sys.stdout.flush()
                sys.stderr.flush()
                pid = os.fork()
                if pid == 0:
                    code = 1
                    try:
                        signal.signal(signal.SIGINT, signal.SIG_IGN)
                        os.environ["LMLIB_STUDENT"] = submission.student
                        record = examiner.examine_submission(
                            submission, source, connection, limits, given
                        )
                        record = stamped(record, submission, mark)
                        try:
                            record.write(record_path(records, submission.student))
                            code = 0
                        except OSError:
                            code = NO_ROOM
                    finally:
                        os._exit(code)
                connection.close()
                until = time.monotonic() + limits.notebook + patience + GRACE
                running[pid] = (submission, mark, until)
            yield from ended  # while the next ones are at work
            ended = []
            for pid in list(running):
                gone, status = os.waitpid(pid, os.WNOHANG)
                if gone:
                    ended.append(running.pop(pid)[:2])
                if gone and os.waitstatus_to_exitcode(status) == NO_ROOM:
                    raise OSError(
                        f"{records} cannot be written to; is the disk full? What was "
                        "graded until now is safe: make room and run this again"
                    )
            for pid, (_, _, until) in running.items():
                if time.monotonic() > until:
                    os.kill(pid, signal.SIGKILL)
            if not ended and running:
                time.sleep(0.002)
    finally:
        torch.set_num_threads(threads)
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def given_up(submission: Submission, source: NotebookNode, mark: str) -> Record:
    """The record when the examiner itself failed: for a person, not a silent 0."""
    reason = "The grader itself failed on this submission; an instructor has to look."
    record = Record(
        student=submission.student,
        assignment=submission.assignment,
        state="crashed",
        reason=reason,
        cells=examiner.not_run(source),
        repairs=submission.repairs,
        needs_person=(*submission.needs_person, reason),
        platform=submission.platform,
    )
    return stamped(record, submission, mark)
