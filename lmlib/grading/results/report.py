"""What comes out of grading: a page for each student, one for the class, and a CSV.

    write_feedback(record, folder)
    write_class(records, folder)
        folder/class.html               for the instructor, first of all whom to look at
        folder/feedback/<student>.html  for the student
        folder/marks.csv                for a spreadsheet

The pages are complete in themselves and hold no script. Whatever a student may have
written passes through `text.shown` and is escaped by Jinja2.
"""

import csv
import io
import math
import os
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

from lmlib.exercises.catalogue import Entry
from lmlib.grading.contest import scores
from lmlib.grading.results.deadlines import in_words
from lmlib.grading.results.item_analysis import (
    exercise_of,
    items,
    mistakes,
    title_of,
)
from lmlib.grading.results.record import (
    FOR_A_PERSON,
    NO_MARK,
    STATES,
    CellResult,
    Record,
)
from lmlib.grading.results.similarity import Pair, near_identical
from lmlib.grading.results.text import CHARACTERS, shown

OTHERS = 200_000  # characters of cells that a student added, on their page

# What the student reads first; the reason, if there is one, follows.
STATE_SAYS = {
    "graded": "Everything passed.",
    "failed tests": "Some tests did not pass.",
    "timed out": "Some code ran for too long and was stopped.",
    "crashed": "Some code ended the Python process that ran it.",
    "malformed": "The notebook could not be graded, so there is no mark yet.",
    "missing": "There is no submission, so there is no mark.",
}


def write_feedback(record: Record, folder: Path) -> None:
    """Write a student's page into `folder`, in one step."""
    _write(folder / "feedback" / file_name(record.student), feedback_page(record))


def write_class(
    records: Sequence[Record],
    folder: Path,
    boilerplate: Sequence[str] = (),
    pairs: Sequence[Pair] | None = None,
) -> None:
    """Write what is about the whole class into `folder`, each file in one step.

    Parameters:
        boilerplate: code that all students share; see `similarity.near_identical`.
        pairs: what that function has found, if it has been asked already.
    """
    if pairs is None:
        pairs = near_identical(records, boilerplate)
    _write(folder / "class.html", class_page(records, pairs))
    _write(folder / "marks.csv", marks_csv(records))


def pseudonym(student: str) -> str:
    """What the board calls a student: the same each time, and no name.

    With the secret of the course, or whoever has a list of names could try them all.
    """
    secret = os.environ.get("LMLIB_COURSE_SECRET", "").encode()[:64]
    name = student.encode("utf-8", "surrogatepass")
    return f"entry-{blake2b(name, key=secret, digest_size=3).hexdigest()}"


def write_board(records: Iterable[Record], folder: Path) -> bool:
    """Write board.html into `folder` if there are entries of a contest.

    Returns:
        Whether there are any.
    """
    found = {
        pseudonym(r.student): scores.from_text(r.contest) for r in records if r.contest
    }
    if not found:
        return False
    from lmlib.grading.results import report_plots  # loads matplotlib

    table = scores.board(found, steps=True)
    spots = [
        (o.seconds, float(scores.stepped(o.total)))
        for o in found.values()
        if o.total is not None
    ]
    plot = report_plots.contest(spots)
    page = _render("board.html.j2", head=table.head, rows=table.body, plot=plot)
    _write(folder / "board.html", page)
    return True


def write_course(folder: Path) -> None:
    """Write a table of the class across assignments: course.html and course.csv.

    It is made of the marks.csv of each assignment's folder in `folder`.
    """
    tables: dict[str, dict[str, dict[str, str]]] = {}
    for path in sorted(folder.glob("*/marks.csv"), key=lambda p: _in_order(p.parent)):
        with path.open(encoding="utf-8-sig", newline="") as marks:
            tables[path.parent.name] = {r["student"]: r for r in csv.DictReader(marks)}
    students = sorted({student for table in tables.values() for student in table})
    rows = []
    for student in students:
        found = [table.get(student) for table in tables.values()]
        points = [float(row["points"]) for row in found if row and row["points"]]
        name = next((row["name"] for row in found if row and row.get("name")), "")
        rows.append((student, name, found, math.fsum(points)))
    # An assignment's maximum is that of whoever has a mark.
    most = [
        max((float(row["max_points"] or 0) for row in table.values()), default=0.0)
        for table in tables.values()
    ]
    page = _render(
        "course.html.j2",
        assignments=list(tables),
        rows=rows,
        most=most,
        named=any(name for _, name, _, _ in rows),
    )
    _write(folder / "course.html", page)
    file = io.StringIO()
    writer = csv.writer(file)
    ends = ["points", "max_points", "penalty"]
    writer.writerow(["student", "name", *map(guarded, tables), *ends])
    for student, name, found, total in rows:
        cells = [row["points"] if row else "" for row in found]
        # What is taken off for being late, and is no longer in the points.
        off = [float(row.get("penalty") or 0) for row in found if row]
        sums = [number(x) for x in (total, math.fsum(most), math.fsum(off))]
        writer.writerow([student, name, *cells, *sums])
    _write(folder / "course.csv", "\ufeff" + file.getvalue())


def _in_order(folder: Path) -> list[tuple[int, str]]:
    """By the numbers in its name, so that 3.10 comes after 3.9."""
    parts = re.split(r"(\d+)", folder.name)
    return [(int(p), "") if p.isdigit() else (0, p) for p in parts]


def file_name(student: str) -> str:
    """Of a student's page: one for each student, whatever the name holds."""
    name = quote(student.encode("utf-8", "replace"), safe="@+ ")
    if len(name) > 200:
        name = f"{name[:150]}-{blake2b(name.encode(), digest_size=8).hexdigest()}"
    return f"_{name}.html" if name.startswith(".") else f"{name}.html"


def _write(path: Path, text: str) -> None:
    replace_file(path, text.encode())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


# -- Templates ------------------------------------------------------------------------


def code(source: str) -> Markup:
    """Python with its syntax marked; pygments escapes what it marks."""
    return Markup(highlight(shown(source), *_lexer_and_formatter()))


@cache  # each HtmlFormatter makes the style sheet anew
def _lexer_and_formatter() -> tuple[PythonLexer, HtmlFormatter]:
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    return lexer, HtmlFormatter(nowrap=True)


def authored(text: str) -> Markup:
    """A hint or an explanation of ours, with its `code` and *emphasis*."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\*([^*\s][^*]*)\*", r"<em>\1</em>", marked))


def output_lines(text: str) -> list[tuple[str, int, str]]:
    """The lines of a check's report: passed, failed or neither; indentation; words.

    Only a line of the form that `check` gives it is passed or failed.
    """
    kinds = {"✓": "passed", "✗": "failed"}
    found = []
    for line in shown(text).rstrip().split("\n"):
        part = re.fullmatch(r"  ([✓✗]) .+ \(\d+ points?\)", line)
        kind = kinds[part[1]] if part else "plain"
        found.append((kind, len(line) - len(line.lstrip()), line))
    return found


def number(value: float) -> str:
    """At most two decimals, and none that are zero."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def clock(time: str) -> str:
    """A time of a record as people read it: 2026-12-01 23:59 +08:00."""
    try:
        found = datetime.fromisoformat(time)
    except ValueError:  # of a file that is not as we wrote it
        return time
    zone = found.isoformat(timespec="minutes")[16:] if found.utcoffset() else "UTC"
    return f"{found:%Y-%m-%d %H:%M} {zone}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Nothing that a student wrote gets to a page but through `shown`.
        finalize=lambda value: value if isinstance(value, Markup) else _plain(value),
    )
    filters: list[Callable[..., object]] = [code, authored, output_lines, number]
    filters += [clock, in_words]
    environment.filters |= {function.__name__: function for function in filters}
    return environment


def _plain(value: object) -> object:
    return shown(value) if isinstance(value, str) else value


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)


# -- One student ----------------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    """An exercise and what became of it; `exercise` is None if the course has none."""

    name: str
    title: str
    cell: CellResult
    exercise: Entry | None
    source: str | None

    @property
    def verdict(self) -> str:
        state = self.cell.state if self.cell.automatic is None else "failed"
        if state in ("passed", "failed") and self.cell.points > 0:
            return "passed" if self.cell.points >= self.cell.max_points else "partly"
        return state


def feedback_page(record: Record) -> str:
    """The page that a student reads, as HTML.

    It holds the record and what the catalogue says to students (titles, hints); hidden
    tests and expected values are in neither.
    """
    sources = dict(record.answers)
    exercises = []
    for cell in record.cells:
        name = cell.grade_id.removeprefix("test_")
        exercise = exercise_of(record.assignment, cell.grade_id)
        title = title_of(record.assignment, cell.grade_id)
        exercises.append(Answered(name, title, cell, exercise, sources.get(name)))
    tested = {exercise.name for exercise in exercises}
    comments = dict(record.comments)
    return _render(
        "feedback.html.j2",
        record=record,
        pseudonym=pseudonym(record.student) if record.contest else "",
        exercises=exercises,
        others=_within(
            OTHERS, [(n, text) for n, text in record.answers if n not in tested]
        ),
        comments={e.name: comments.pop(e.name, "") for e in exercises},
        more_comments=comments,
        says="A person has graded this."
        if record.has_mark and record.state in NO_MARK
        else STATE_SAYS.get(record.state, record.state),
    )


def _within(limit: int, cells: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The cells, without those for which a page of `limit` characters has no room."""
    kept = []
    for name, text in cells:
        limit -= min(len(text), CHARACTERS)
        kept.append((name, text if limit >= 0 else "# Not shown: there is too much."))
    return kept


# -- The class ------------------------------------------------------------------------


def twins(pairs: Iterable[Pair]) -> dict[str, list[str]]:
    """By student, whose work theirs is near to, a sentence each."""
    found: dict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            found[one].append(f"Near-identical to {other}.")
    return dict(found)


def for_a_person(
    records: Iterable[Record], pairs: Iterable[Pair]
) -> list[tuple[Record, list[str]]]:
    """Who needs to be looked at and why; malformed ones first, missing ones not."""
    alike = twins(pairs)
    found = []
    for record in records:
        if record.state == "missing":
            continue
        reasons = [*record.needs_person, *alike.get(record.student, ())]
        if record.state in FOR_A_PERSON:
            reasons.insert(0, record.reason or STATE_SAYS[record.state])
        if reasons:
            found.append((record, list(dict.fromkeys(reasons))))
    return sorted(found, key=lambda row: (-STATES.index(row[0].state), row[0].student))


def class_page(records: Sequence[Record], pairs: Sequence[Pair] = ()) -> str:
    """The instructor's page on one assignment, as HTML."""
    from lmlib.grading.results import report_plots as plots  # matplotlib takes its time

    marked = [record for record in records if record.has_mark]
    points = [record.score for record in marked]
    seconds = [record.seconds for record in marked]
    statistics_of_items = items(records)
    return _render(
        "class.html.j2",
        assignment=records[0].assignment if records else "",
        records=sorted(records, key=lambda record: record.student),
        marked=marked,
        points=points,
        most=max((record.max_points for record in marked), default=0.0),
        summary=_summary(points),
        person=for_a_person(records, pairs),
        missing=sorted(r.student for r in records if r.state == "missing"),
        named=any(record.name for record in records),
        timed=any(r.late or r.marked_late or r.penalty for r in records),
        states=[(s, sum(r.state == s for r in records)) for s in STATES],
        items=statistics_of_items,
        mistakes=mistakes(records),
        pairs=pairs,
        title_of=title_of,
        seconds=_summary(seconds),
        slowest=sorted(marked, key=lambda record: -record.seconds)[:5],
        file_name=file_name,
        plot_marks=plots.marks(marked),
        plot_items=plots.items(statistics_of_items),
        plot_time=plots.time(seconds),
    )


def _summary(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    quarters = np.quantile(values, [0.25, 0.5, 0.75, 0.9]).tolist()
    names = ("lower", "median", "upper", "ninth_tenth")
    return {
        "mean": statistics.fmean(values),
        "low": min(values),
        "high": max(values),
        **dict(zip(names, quarters, strict=True)),
    }


# -- The spreadsheet ------------------------------------------------------------------


def marks_csv(records: Sequence[Record]) -> str:
    """A row a student: name, state, points by exercise, sum, maximum, reason, …

    …, what the tests alone gave where a person has given other points, comments, when
    it was due and handed in, the seconds that it was late and what these cost. The sum
    is what counts, with that taken off.

    Where there is no mark, the cells are empty: a 0 is a mark. It begins with the byte
    order mark by which Excel knows UTF-8 (Python reads it as "utf-8-sig").
    """
    grade_ids = list(dict.fromkeys(c.grade_id for r in records for c in r.cells))
    file = io.StringIO()
    writer = csv.writer(file)
    names = [guarded(name.removeprefix("test_")) for name in grade_ids]
    ends = ["points", "max_points", "reason", "automatic", "comments"]
    ends += ["due", "handed_in", "late", "penalty"]
    writer.writerow(["student", "name", "email", "state", *names, *ends])
    for record in sorted(records, key=lambda record: record.student):
        marked = record.has_mark
        given = [c for c in record.cells if marked and c.state != "waiting"]
        points = {c.grade_id: number(c.points) for c in given}
        writer.writerow(
            [
                guarded(record.student),
                guarded(record.name),
                guarded(record.email),
                guarded(record.state),
                *(points.get(grade_id, "") for grade_id in grade_ids),
                number(record.score) if marked else "",
                number(record.max_points) if record.cells else "",
                guarded(record.reason),
                "" if record.automatic is None else number(record.automatic),
                guarded("; ".join(f"{name}: {text}" for name, text in record.comments)),
                guarded(record.due),
                guarded(record.handed_in),
                "marked late" if record.marked_late else number(record.late),
                number(record.penalty) if marked else "",
            ]
        )
    return "\ufeff" + file.getvalue()


def guarded(text: str) -> str:
    """`text` on one line, and never a formula to a spreadsheet.

    See OWASP, "CSV Injection": the apostrophe makes a cell text.
    """
    text = " ".join(shown(text).split())
    return f"'{text}" if text[:1] and text[0] in "=+-@＝＋－＠" else text
