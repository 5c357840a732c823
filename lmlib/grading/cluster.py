"""A class on a Dask cluster, as `batch` grades it on one machine.

A worker examines one submission at a time and answers with its record; only the process
that asked writes files. Submissions, hidden tests and the course's secret travel to the
workers through the scheduler: have them on a network of their own, or use Dask's TLS.
Workers need a nanny (they have one unless told otherwise), which starts those anew that
die. A submission that was with a dying worker is given to another.
"""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from lmlib.grading import batch
from lmlib.grading.examination import examiner
from lmlib.grading.examination.forkserver import Forkserver
from lmlib.grading.results.record import Record
from lmlib.grading.submissions.intake import Submission


def grade(
    submissions: Iterable[Submission],
    source: NotebookNode,
    records: Path,
    *,
    scheduler: str,
    limits: examiner.Limits = examiner.DEFAULT_LIMITS,
    force: bool = False,
    progress: Callable[[int, int, Record], None] = lambda done, total, record: None,
) -> list[Record]:
    """Grade all that is not graded yet; the records of all, in the order given.

    Parameters:
        source, records, limits, force, progress: as for `batch.grade`.
        scheduler: the address of Dask's scheduler, such as "tcp://10.0.0.1:8786".

    Raises:
        OSError: the scheduler does not answer.
        RuntimeError: a worker cannot confine student code or has another lmlib, or the
            cluster went away. What was graded until then stays graded.
    """
    from distributed import Client

    class_ = list(submissions)
    pending, done = batch.resume(class_, source, records, force)
    if pending:
        with Client(scheduler, set_as_default=False) as client:
            for (submission, mark), answer in _answers(client, pending, source, limits):
                path = batch.record_path(records, submission.student)
                try:
                    record = batch.stamped(Record.from_json(answer), submission, mark)
                    record.write(path)
                except ValueError:  # no record, or one that is no text
                    record = batch.given_up(submission, source, mark)
                    record.write(path)
                done[submission.student] = record
                progress(len(done), len(class_), record)
    return [done[submission.student] for submission in class_]


def _answers(
    client: Any,
    pending: list[tuple[Submission, str]],
    source: NotebookNode,
    limits: examiner.Limits,
) -> Iterator[tuple[tuple[Submission, str], str]]:
    """Have all examined; yield each with its record as text, "" if there is none."""
    from distributed import KilledWorker, as_completed

    common = (json.dumps(source), json.dumps(asdict(limits)), batch.library())
    settings = batch.settings()

    def submit(submission: Submission) -> Any:
        # When it was handed in stays here: it is no matter of the examiner's.
        text = json.dumps(asdict(replace(submission, timestamp=None)))
        return client.submit(_examine, text, *common, settings, pure=False)

    futures = {submit(item[0]): item for item in pending}
    completed = as_completed(futures, loop=client.loop)
    blamed = []  # Dask also blames those that only waited at the worker which died
    alone = False
    for future in completed:
        item = futures.pop(future)
        if future.status not in ("finished", "error"):
            raise RuntimeError("the cluster went away; run this again to go on")
        error = future.exception()
        if isinstance(error, KilledWorker) and not alone:
            blamed.append(item)
        else:
            kind, text = ("failed", "") if error else future.result()
            if kind == "unfit":
                raise RuntimeError(f"a worker cannot grade: {text}")
            yield item, text
        if blamed and not futures:
            alone = True
            item = blamed.pop()
            future = submit(item[0])
            futures[future] = item
            completed.add(future)


# -- In a worker ----------------------------------------------------------------------

_lock = threading.Lock()  # the environment and stdout belong to the whole process
_forkserver: Forkserver | None = None


def _examine(
    submission: str, source: str, limits: str, library: str, settings: dict[str, str]
) -> tuple[str, str]:
    """Examine one submission: ("record", its text), ("failed", "") or ("unfit", why).

    Raises nothing, for Dask would log the arguments.
    """
    global _forkserver
    with _lock:
        if batch.library() != library:
            return "unfit", "it has another version of lmlib"
        try:
            if _forkserver is None or not _forkserver.is_alive():
                _forkserver = Forkserver()
        except (OSError, RuntimeError) as error:
            return "unfit", str(error)
        before = dict(os.environ)
        patience = examiner.Limits(**json.loads(limits))
        # An examiner that hangs takes the worker with it; the nanny starts another.
        contests = examiner.patience(nbformat.from_dict(json.loads(source)))
        watch = threading.Timer(
            patience.notebook + contests + batch.GRACE,
            os.kill,
            (os.getpid(), signal.SIGKILL),
        )
        watch.daemon = True
        watch.start()
        try:
            given = json.loads(submission)
            if given["notebook"] is not None:
                given["notebook"] = nbformat.from_dict(given["notebook"])
            for name in ("repairs", "needs_person"):
                given[name] = tuple(given[name])
            os.environ.update(settings, LMLIB_STUDENT=given["student"])
            with _forkserver.connect() as connection:
                record = examiner.examine_submission(
                    Submission(**given),
                    nbformat.from_dict(json.loads(source)),
                    connection,
                    patience,
                )
            return "record", record.to_json()
        except BaseException:
            return "failed", ""
        finally:
            watch.cancel()
            os.environ.clear()
            os.environ.update(before)
