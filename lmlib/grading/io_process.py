"""A process for the paperwork: reads what was handed in, writes marks and feedback.

It does so beside the process that grades, which so need not import nbgrader: the two
get ready at the same time, and an examiner is forked from a smaller process. It need
not import torch in turn: what it has to know of the exercises is sent to it.
"""

import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from lmlib.exercises import catalogue
from lmlib.grading.results.record import Record

ENDED = (
    "The process that reads submissions and writes the gradebook has ended. The "
    "records are safe; run this again to go on."
)


@dataclass(frozen=True)
class Class:
    """What there is to grade.

    Attributes:
        course: the folder of the nbgrader course.
        folder: for feedback and all that is not nbgrader's.
        source: the instructor's notebook, hidden tests included.
        submissions: of `intake`, one a student.
        others: assignments that were handed in as well, to be graded after this one.
        unclear: files that are for one of several assignments, and nothing tells which.
        people: what the roster says of each student, for the gradebook.
        said: what had to be guessed, in lines for the instructor.
        config: nbgrader's configuration, for the penalty on late submissions.
        extensions: of `results.deadlines`.
    """

    course: Path
    folder: Path
    source: Any  # a NotebookNode
    submissions: tuple[Any, ...]
    others: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    people: dict[str, dict[str, str]] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    config: Any = None
    extensions: dict[tuple[str, str], Any] = field(default_factory=dict)


class IOProcess:
    """Starts the process, which gets ready until `begin` or `class_` is called.

    Parameters:
        read: finds the class, in that process; what it raises, `class_` raises.

    Attributes:
        kept: after `finish`, the records of which the gradebook knows more than the
            tests (a name, what a person has given), as they are sent out.
    """

    def __init__(self, read: Callable[[], Class]) -> None:
        self._begun = False
        self.kept: dict[str, Record] = {}
        self._connection, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._connection.close()
            _work(theirs, read)
        theirs.close()

    def begin(self) -> None:
        """Let it read, now that the exercises have been imported here."""
        if not self._begun:
            with contextlib.suppress(OSError):  # `class_` tells why
                self._connection.send(catalogue.entries())
        self._begun = True

    def class_(self) -> Class:
        """What `read` has found.

        Raises:
            RuntimeError: the process has ended.
            Exception: what `read` raised.
        """
        self.begin()
        found = self._receive()
        if isinstance(found, Exception):
            raise found
        submissions = tuple(self._receive() for _ in range(found[3]))
        course, folder, source, _, others, unclear, said = found
        return Class(course, folder, source, submissions, others, unclear, said=said)

    def write(self, record: Record) -> None:
        """Into the gradebook and on a feedback page, while others are being graded."""
        with contextlib.suppress(OSError):  # `finish` tells why
            self._connection.send(record.to_json())

    def finish(self) -> list[str]:
        """Wait until all is written.

        Returns:
            A sentence for each record that does not fit the gradebook.

        Raises:
            RuntimeError: the gradebook or a page cannot be written.
        """
        with contextlib.suppress(OSError):
            self._connection.send(None)
        problems, error, kept = self._receive()
        os.waitpid(self.pid, 0)
        if error:
            raise RuntimeError(error)
        for text in kept:
            record = Record.from_json(text)
            self.kept[record.student] = record
        return list(problems)

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            raise RuntimeError(ENDED) from None


def _work(connection: Connection, read: Callable[[], Class]) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the one that grades
        with contextlib.suppress(EOFError, BrokenPipeError):  # that one has ended
            _serve(connection, read)
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve(connection: Connection, read: Callable[[], Class]) -> None:
    try:
        # While the other process imports torch.
        import jupytext  # noqa: F401

        from lmlib.grading import assignment  # noqa: F401
        from lmlib.grading.results import gradebook, report
        from lmlib.grading.submissions import intake  # noqa: F401

        catalogue.use(connection.recv())
        found = read()
    except EOFError:
        raise
    except Exception as error:
        connection.send(error)
        return
    first = (found.course, found.folder, found.source, len(found.submissions))
    connection.send((*first, found.others, found.unclear, found.said))
    for submission in found.submissions:
        connection.send(submission)
    course, folder = found.course, found.folder
    for_gradebook = {
        "people": found.people,
        "config": found.config,
        "extensions": found.extensions,
    }
    del found

    gc.freeze()  # what has been imported is not looked at in every collection
    gc.enable()  # which may have been put off for the start
    # What nbgrader logs of an error, with a traceback, is raised as well.
    logging.getLogger("tornado.application").setLevel(logging.CRITICAL)
    told: list[str] = []
    without: list[str] = []  # a page, and why
    waiting: dict[str, Record] = {}  # for their page
    kept: list[str] = []

    def send_out(record: Record) -> None:
        if waiting.pop(record.student, record) != record:
            kept.append(record.to_json())
        try:
            report.write_feedback(record, folder)
        except Exception as error:  # the marks are written all the same
            without.append(f"no feedback page for {record.student}: {error}")

    def arriving() -> Iterator[Record]:
        for text in iter(connection.recv, None):
            record = Record.from_json(text)
            waiting[record.student] = record
            yield record

    records = arriving()
    problems: list[str] = []
    try:
        problems = gradebook.write_records(
            course, records, sent=send_out, **for_gradebook
        )
    except EOFError:
        raise
    except Exception as error:
        told.append(str(error) or type(error).__name__)
        for _ in records:  # the students get their pages all the same
            pass
    for record in list(waiting.values()):
        send_out(record)
    if without:
        more = f", and for {len(without) - 1} more" if without[1:] else ""
        told.append(without[0] + more)
    connection.send((problems, "\n".join(told[-5:]), kept))
