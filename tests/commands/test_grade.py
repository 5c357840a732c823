"""The two commands as a person types them."""

import csv
import os
import re
import subprocess
import sys

import nbformat
import pytest
from nbgrader.api import Gradebook

from lmlib.cli import main, parse
from lmlib.commands import grade as grade_command
from lmlib.grading import assignment
from lmlib.grading.assignment import ROOT
from lmlib.grading.io_process import Class
from lmlib.grading.results import similarity
from lmlib.grading.results.record import Record
from lmlib.grading.submissions import intake
from tests.grading import sample_class
from tests.grading.sample_class import ASSIGNMENT
from tests.grading.submissions.samples import zipped


def test_check_tells_a_student_what_is_wrong(tmp_path, capsys):
    path = tmp_path / f"{ASSIGNMENT}.ipynb"
    answers = sample_class.only("weighted_sum")
    answers |= sample_class.mistaken(attention_weights="unscaled")
    nbformat.write(sample_class.fill(answers), path)
    before = path.read_bytes()
    assert main(["check", str(path)]) == 1
    output = capsys.readouterr().out
    assert "You left out the division by √d_k" in output
    assert "3.1/weighted_sum: 2 of 2 points" in output
    assert "2 of 36 points in the visible tests" in output
    assert path.read_bytes() == before


def test_grade_takes_a_folder_of_notebooks_and_a_roster(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LMLIB_COURSE_SECRET", "a secret")
    handed_in = tmp_path / "handed-in"
    handed_in.mkdir()
    notebooks = sample_class.submissions()
    for student in ("solution", "subtle-mistakes"):
        nbformat.write(notebooks[student], handed_in / f"{student}.ipynb")
    (handed_in / "broken.ipynb").write_text("{")
    roster = tmp_path / "class.csv"
    roster.write_text("id\nsolution\nsubtle-mistakes\nbroken\nabsent\n")
    course = tmp_path / "course"
    arguments = ["grade", str(handed_in), "--course", str(course)]
    arguments += ["--roster", str(roster), "--jobs", "2"]
    assert main(arguments) == 0
    graded = course / "graded" / ASSIGNMENT
    marks = (graded / "marks.csv").read_text("utf-8-sig").splitlines()
    rows = {row.split(",")[0]: row.split(",") for row in marks[1:]}
    rows = {student: [student, *rest] for student, [_, _, _, *rest] in rows.items()}
    assert rows["solution"][1] == "graded"
    assert [float(p) for p in rows["solution"][2:12]] == sample_class.FULL
    expected = sample_class.MARKS["subtle-mistakes"]
    assert [float(p) for p in rows["subtle-mistakes"][2:12]] == expected
    assert rows["broken"][1] == "malformed"
    assert rows["absent"][1] == "missing"
    assert (graded / "class.html").is_file()
    assert len(list((graded / "feedback").iterdir())) == 4
    assert sample_class.marks(course, "subtle-mistakes") == expected
    capsys.readouterr()
    assert main(arguments) == 0  # again: nothing is graded anew
    assert "/4" not in capsys.readouterr().err

    capsys.readouterr()
    with (handed_in / "broken.ipynb").open("a") as file:
        file.write(" ")
    assert main([*arguments, "--verbose"]) == 0
    told = capsys.readouterr().out
    assert "solution: not changed since it was graded\n" in told
    assert re.search(
        r"^broken: `broken\.ipynb`\n  .*breaks off.*\n  malformed, 0 of 36 points, 0",
        told,
        re.M,
    )


def test_what_was_guessed_is_said_once_for_all_assignments(
    tmp_path, capsys, monkeypatch
):
    guessed = "The names in x.zip …"
    classes = iter(
        Class(tmp_path, tmp_path / name, None, (), others=others, said=(guessed, name))
        for name, others in (("first", ("second",)), ("second", ()))
    )

    class Ready:
        def __init__(self, read):
            self.class_ = lambda: next(classes)

    monkeypatch.setattr("lmlib.grading.io_process.IOProcess", Ready)
    monkeypatch.setattr(grade_command, "_grade", lambda *_: None)
    monkeypatch.setattr("lmlib.grading.results.report.write_course", lambda _: None)
    given = parse(["grade", str(tmp_path), "--course", str(tmp_path)])
    assert grade_command.run(given) == 0
    told = capsys.readouterr().out.splitlines()
    assert [told.count(line) for line in (guessed, "first", "second")] == [1, 1, 1]


def test_doctor_speaks_plainly(capsys):
    assert main(["grade", "--doctor"]) == 0
    assert "network" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "no-such.ipynb"], "no-such.ipynb"),
        (["grade", "no-such-folder"], "no-such-folder"),
    ],
)
def test_bad_arguments_are_told_in_a_line(tmp_path, capsys, arguments, words):
    if arguments[0] == "grade":
        arguments = [*arguments, "--course", str(tmp_path)]
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


SEARCH = '''
def attention_weights(query, key, scale=None):
    """Look through all of this process's memory for the course's secret."""
    import re
    here = "".join(["here", "-", "I", "-", "am"])
    # As patterns, so that what is looked for is not in memory for the looking.
    names = ["[h]ere-[I]-am", "[a]-[s]ecret-of-the-[c]ourse", "[t]he-[c]lass-of-today"]
    names = [re.compile(name.encode()) for name in names]
    found = set()
    memory = open("/proc/self/mem", "rb", buffering=0)
    for line in open("/proc/self/maps").read().splitlines():
        if " rw" not in line:
            continue
        first, last = (int(part, 16) for part in line.split()[0].split("-"))
        try:
            memory.seek(first)
            data = memory.read(last - first)
        except OSError:
            continue
        found |= {n for n, name in enumerate(names) if name.search(data)}
        del data
    raise RuntimeError(f"found {sorted(found)}")
'''


def test_grade_as_typed_leaves_no_secret_in_the_memory_of_student_code(tmp_path):
    answers = sample_class.only("weighted_sum")
    answers["attention_weights"] = SEARCH
    handed_in = tmp_path / "the-class-of-today"
    handed_in.mkdir()
    nbformat.write(sample_class.fill(answers), handed_in / "thief.ipynb")
    course = tmp_path / "course"
    command = [sys.executable, "-m", "lmlib.cli", "grade", str(handed_in)]
    done = subprocess.run(
        [*command, "--course", str(course), "--jobs", "1"],
        env={**os.environ, "LMLIB_COURSE_SECRET": "a-secret-of-the-course"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    path = course / "graded" / ASSIGNMENT / "records" / "thief.json"
    record = Record.from_json(path.read_text())
    told = record.cells[0].output
    if "PermissionError" in told:
        pytest.skip("this kernel does not let a process read its own /proc/self/mem")
    # It finds what it has made itself, so it does look, and nothing else.
    assert "found [0]" in told, told
    assert record.cells[1].points == 2


@pytest.mark.parametrize(("total", "lines"), [(1, 1), (7, 7), (10, 10), (1000, 10)])
def test_progress_in_a_log_is_a_few_lines_and_ends_with_the_last(capsys, total, lines):
    for done in range(1, total + 1):
        grade_command._progress(done, total, Record(f"s{done}", "a", "graded"))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == lines
    assert told[-1].startswith(f"{total}/{total} s{total}: graded")


def test_who_could_not_be_prepared_is_listed_for_a_person(
    tmp_path, capsys, monkeypatch
):
    def stumbles(cells, given):
        raise ZeroDivisionError

    monkeypatch.setattr(intake, "mend", stumbles)
    handed_in = tmp_path / "handed-in"
    handed_in.mkdir()
    nbformat.write(sample_class.fill({}), handed_in / "stumbles.ipynb")
    (handed_in / "broken.ipynb").write_text("{")
    course = tmp_path / "course"
    assert main(["grade", str(handed_in), "--course", str(course)]) == 0
    told = capsys.readouterr().out
    assert f"stumbles needs a person: {intake.FOR_A_PERSON}" in told
    assert "broken needs a person" not in told  # it knows itself what is wrong with it
    page = (course / "graded" / ASSIGNMENT / "class.html").read_text()
    listed = page.partition("<h2>Needs a person</h2>")[2].partition("<h2>")[0]
    assert intake.FOR_A_PERSON in listed
    assert intake.STUMBLED in listed
    feedback = course / "graded" / ASSIGNMENT / "feedback" / "stumbles.html"
    assert intake.STUMBLED in feedback.read_text()
    assert intake.FOR_A_PERSON not in feedback.read_text()


# -- What a second run does to the first ----------------------------------------------

ROSTER = "id,name,lms_id\nanna,Anna A,1\nbob,Bob B,2\ncarl,Carl C,3\n"


@pytest.fixture(scope="module")
def notebooks():
    """Two of the sample class, as files: all is right, and nothing is."""
    found = sample_class.submissions()
    return {
        name: nbformat.writes(found[name]).encode()
        for name in ("solution", "blank", "first-three")
    }


@pytest.fixture
def grade(tmp_path, monkeypatch):
    """Grades an archive of the files given, and gives the rows of marks.csv."""
    monkeypatch.setenv("LMLIB_COURSE_SECRET", "a secret")

    def grade(name=None, files=None, *options):
        course = ("--course", str(tmp_path / "course"))
        arguments = ["grade", *course, "--assignment", ASSIGNMENT, *options]
        if files is not None:
            (tmp_path / name).write_bytes(zipped(files))
        if name is not None:
            arguments.insert(1, str(tmp_path / name))
        assert main(arguments) == 0
        return marks_of(tmp_path / "course")

    return grade


def marks_of(course) -> dict[str, dict[str, str]]:
    text = (course / "graded" / ASSIGNMENT / "marks.csv").read_text("utf-8-sig")
    return {row["student"]: row for row in csv.DictReader(text.splitlines())}


def points(rows) -> dict[str, str]:
    return {student: row["points"] for student, row in rows.items()}


def in_gradebook(course) -> dict[str, float]:
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        submissions = gradebook.assignment_submissions(ASSIGNMENT)
        return {s.student.id: s.score for s in submissions}


def test_archive_adds_to_what_is_there(tmp_path, grade, notebooks, capsys):
    (tmp_path / "class.csv").write_text(ROSTER)
    with_roster = ("--roster", str(tmp_path / "class.csv"))
    right, blank = notebooks["solution"], notebooks["blank"]
    on_time = {"anna.ipynb": right, "bob.ipynb": b"{", "guest.ipynb": blank}
    rows = grade("ontime.zip", on_time)  # the roster comes later
    assert points(rows) == {"anna": "36", "bob": "", "guest": "0"}
    capsys.readouterr()
    some = notebooks["first-three"]
    rows = grade("late.zip", {"guest.ipynb": some}, *with_roster)
    assert points(rows) == {"anna": "36", "bob": "", "carl": "", "guest": "11"}
    assert {s: row["state"] for s, row in rows.items()} == {
        "anna": "graded", "bob": "malformed", "carl": "missing",
        "guest": "failed tests",
    }  # fmt: skip
    told = capsys.readouterr().out
    assert "guest handed in anew: 0 → 11 points" in told
    assert "anna" not in told
    course = tmp_path / "course"
    assert in_gradebook(course) == {"anna": 36, "bob": 0, "guest": 11}
    page = (course / "graded" / ASSIGNMENT / "class.html").read_text()
    assert "feedback/anna.html" in page
    assert (course / "autograded" / "anna" / ASSIGNMENT).is_dir()
    # What was missing comes; who has left the list and handed in nothing is gone.
    (tmp_path / "class.csv").write_text("id\nanna\nbob\ncarl\ndora\n")
    assert points(grade("later.zip", {"carl.ipynb": right}, *with_roster)) == {
        "anna": "36", "bob": "", "carl": "36", "dora": "", "guest": "11",
    }  # fmt: skip
    (tmp_path / "class.csv").write_text("id\nbob\n")
    rows = grade(None, None, *with_roster)
    assert list(rows) == ["anna", "bob", "carl", "guest"]
    assert rows["bob"]["state"] == "malformed"


def test_run_that_is_interrupted_loses_nothing(grade, notebooks, tmp_path, monkeypatch):
    grade("ontime.zip", {"anna.ipynb": notebooks["solution"]})
    late = {f"{name}.ipynb": notebooks["first-three"] for name in ("bob", "carl")}
    (tmp_path / "late.zip").write_bytes(zipped(late))

    def interrupts(*_):
        raise KeyboardInterrupt

    course = tmp_path / "course"
    with monkeypatch.context() as patch:
        patch.setattr(grade_command, "_progress", interrupts)
        arguments = ["grade", str(tmp_path / "late.zip"), "--course", str(course)]
        assert main([*arguments, "--jobs", "1"]) == 130
    assert points(marks_of(course)) == {"anna": "36"}
    assert points(grade()) == {"anna": "36", "bob": "11"}
    assert points(grade("late.zip")) == {"anna": "36", "bob": "11", "carl": "11"}
    assert in_gradebook(course) == {"anna": 36, "bob": 11, "carl": 11}


def test_archive_that_was_cut_short_is_forgotten_when_it_comes_whole(
    grade, notebooks, tmp_path
):
    whole = zipped({"anna.ipynb": notebooks["blank"]})
    (tmp_path / "class.zip").write_bytes(whole[: len(whole) // 2])
    assert list(grade("class.zip")) == ["class.zip"]
    (tmp_path / "class.zip").write_bytes(whole)
    assert list(grade("class.zip")) == ["anna"]
    assert list(in_gradebook(tmp_path / "course")) == ["anna"]
    assert list(grade()) == ["anna"]


def test_nobody_is_replaced_by_another_number_of_the_platform(
    tmp_path, grade, notebooks, capsys
):
    right, blank = notebooks["solution"], notebooks["blank"]
    moodle = "assignsubmission_file_"
    grade("ontime.zip", {f"Ann Lee_11_{moodle}/x.ipynb": right})
    rows = grade("late.zip", {f"Ann Lee_12_{moodle}/x.ipynb": blank})
    assert points(rows) == {"Ann Lee": "36", "Ann Lee_12": "0"}
    assert "Ann Lee_12 needs a person: Another Ann Lee" in capsys.readouterr().out
    # They keep the name.
    rows = grade("later.zip", {f"Ann Lee_12_{moodle}/x.ipynb": right})
    assert points(rows) == {"Ann Lee": "36", "Ann Lee_12": "36"}


def test_a_persons_marks_and_comments_are_in_all_that_is_sent_out(
    tmp_path, grade, notebooks
):
    files = {f"{name}.ipynb": notebooks["solution"] for name in ("anna", "bob")}
    grade("class.zip", {**files, "carl.ipynb": b"{"})
    course = tmp_path / "course"
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        key = (ASSIGNMENT, ASSIGNMENT, "anna")
        gradebook.find_grade("test_weighted_sum", *key).manual_score = 0.5
        gradebook.find_grade("test_split_heads", *key).extra_credit = 1.0
        comment = gradebook.find_comment("weighted_sum", *key)
        comment.manual_comment = "Copied <b>from</b> the book."
        key = (ASSIGNMENT, ASSIGNMENT, "carl")
        gradebook.find_grade("test_weighted_sum", *key).manual_score = 2.0
        gradebook.db.commit()
    rows = grade()  # nothing was handed in since
    anna = rows["anna"]
    assert (anna["weighted_sum"], anna["split_heads"]) == ("0.5", "4")
    assert (anna["points"], anna["automatic"]) == ("35.5", "36")
    assert anna["comments"] == "weighted_sum: Copied <b>from</b> the book."
    assert (rows["bob"]["points"], rows["bob"]["automatic"]) == ("36", "")
    assert (rows["carl"]["points"], rows["carl"]["automatic"]) == ("2", "0")
    assert in_gradebook(course) == {"anna": 35.5, "bob": 36, "carl": 2}
    graded = course / "graded" / ASSIGNMENT
    page = (graded / "feedback" / "anna.html").read_text()
    assert "35.5 <small>of 36 points" in page
    assert "(tests: 36)" in page
    assert "0.5 of 2" in page
    assert "Copied &lt;b&gt;from&lt;/b&gt; the book." in page
    page = (graded / "feedback" / "carl.html").read_text()
    assert "2 <small>of 36 points" in page
    assert "A person has graded this." in page
    page = (graded / "class.html").read_text()
    assert "tests: 36." in page
    assert "Copied &lt;b&gt;from&lt;/b&gt; the book." in page
    assert "35.5" in page
    # The records stay what the tests gave.
    record = Record.from_json((graded / "records" / "anna.json").read_text())
    assert (record.points, record.comments) == (36, ())


def test_names_of_the_roster_are_in_all_that_is_sent_out(tmp_path, grade, notebooks):
    roster = tmp_path / "class.csv"
    roster.write_text("id,name,email\nanna,Anna Bell,a@uni.example\ncarl,Carl Coe,\n")
    files = {f"{name}.ipynb": notebooks["blank"] for name in ("anna", "guest")}
    rows = grade("class.zip", files, "--roster", str(roster))
    course = tmp_path / "course"
    graded = course / "graded" / ASSIGNMENT
    for told in (rows, grade()):  # the gradebook knows them, without a roster too
        named = {who: (row["name"], row["email"]) for who, row in told.items()}
        assert named == {
            "anna": ("Anna Bell", "a@uni.example"),
            "carl": ("Carl Coe", ""),
            "guest": ("", ""),
        }
        page = (graded / "class.html").read_text()
        assert page.count("<td>Anna Bell</td>") == 1
        assert "a@uni.example" in page
        assert "anna · Anna Bell" in (graded / "feedback" / "anna.html").read_text()
        assert "<td>Anna Bell</td>" in (course / "graded" / "course.html").read_text()
    assignment.nbgrader("export", course=course)
    with (course / "grades.csv").open() as file:
        exported = {row["student_id"]: row for row in csv.DictReader(file)}
    anna = exported["anna"]
    assert (anna["first_name"], anna["last_name"]) == ("Anna", "Bell")
    assert anna["email"] == "a@uni.example"
    # What an instructor mends in formgrader stays where the roster says nothing.
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_student("carl", email="c@uni.example")
    assert grade(None, None, "--roster", str(roster))["carl"]["email"] == (
        "c@uni.example"
    )


def test_empty_course_and_other_files_are_told(tmp_path, capsys, notebooks, grade):
    course = tmp_path / "course"
    (tmp_path / "README.md").write_text("# Hello\n")
    other = tmp_path / "other"
    (other / "source" / ASSIGNMENT).mkdir(parents=True)
    (other / "gradebook.db").touch()
    for arguments, words in (
        ([], "submitted/<student>/"),
        ([str(tmp_path / "README.md")], "nor a notebook (.ipynb)"),
        ([str(other)], f"There is no folder {other / 'submitted'}"),
        ([str(course)], "submitted/<student>/"),
    ):
        assert main(["grade", *arguments, "--course", str(course)]) == 2
        assert words in capsys.readouterr().err
        assert not (course / "graded").exists()
    (tmp_path / "anna.ipynb").write_bytes(notebooks["blank"])
    assert points(grade("anna.ipynb")) == {"anna": "0"}
    submitted = course / "submitted" / "bob" / ASSIGNMENT
    submitted.mkdir(parents=True)
    (submitted / f"{ASSIGNMENT}.ipynb").write_bytes(notebooks["blank"])
    assert points(grade()) == {"anna": "0", "bob": "0"}
    assert points(grade("course")) == {"anna": "0", "bob": "0"}


def test_the_course_is_the_one_that_nbgrader_works_on(tmp_path, monkeypatch, capsys):
    def course(*options):
        return grade_command.course_of(parse(["grade", *options]))

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LMLIB_COURSE", raising=False)
    assert course() == ROOT / "course"  # wherever one stands
    mine = tmp_path / "mine [2024]"  # which is no pattern
    monkeypatch.setenv("LMLIB_COURSE", mine.name)
    assert course() == mine
    assert course("--course", "other") == tmp_path / "other"
    (tmp_path / "anna.ipynb").write_text("{")
    (tmp_path / "class.csv").write_bytes("id,name\nanna,王小明\n".encode("gbk"))
    arguments = ["grade", "anna.ipynb", "--assignment", ASSIGNMENT]
    assert main([*arguments, "--roster", "class.csv"]) == 0
    assert capsys.readouterr().out.count("was read as GBK") == 1
    assert list(marks_of(mine)) == ["anna"]
    assignment.nbgrader("export", course=mine)
    export = (mine / "grades.csv").read_text()
    assert f"{ASSIGNMENT}," in export
    assert not (ROOT / "grades.csv").exists()


def test_one_archive_holds_two_assignments(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LMLIB_COURSE_SECRET", "a secret")
    again = tmp_path / "solutions" / "3.1-again" / "3.1-again.py"
    again.parent.mkdir(parents=True)
    again.write_bytes(sample_class.SOLUTION.read_bytes())
    both = [again, sample_class.SOLUTION]
    monkeypatch.setattr(assignment, "solutions", lambda _=None: both)
    right = nbformat.writes(sample_class.fill(sample_class.only("weighted_sum")))
    blank = nbformat.writes(sample_class.fill({}))
    files = {
        f"ann_{ASSIGNMENT}.ipynb": right,
        "ann_3.1-again.ipynb": blank,
        f"bob_{ASSIGNMENT}.ipynb": blank,
        "carol.ipynb": right,
    }
    archive = tmp_path / "all.zip"
    archive.write_bytes(zipped({name: t.encode() for name, t in files.items()}))
    course = tmp_path / "course"
    assert main(["grade", str(archive), "--course", str(course)]) == 0
    told = capsys.readouterr().out
    assert "not graded: carol.ipynb, for nothing tells of which assignment" in told
    with (course / "graded" / "course.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    names = ["student", "name", "3.1-again", ASSIGNMENT]
    names += ["points", "max_points", "penalty"]
    assert list(rows[0]) == names
    assert [list(row.values()) for row in rows] == [
        ["ann", "", "0", "2", "2", "72", "0"],
        ["bob", "", "", "0", "0", "72", "0"],
    ]
    page = (course / "graded" / "course.html").read_text()
    assert f'href="{ASSIGNMENT}/class.html"' in page
    # Without an archive, what was graded is found again; nobody is taken away.
    assert main(["grade", "--course", str(course)]) == 0
    with (course / "graded" / "course.csv").open(encoding="utf-8-sig") as file:
        assert list(csv.DictReader(file)) == rows


def test_what_tells_nothing_needs_the_assignments_name(tmp_path, monkeypatch, capsys):
    other = tmp_path / "3.1-again.py"
    monkeypatch.setattr(
        assignment, "solutions", lambda _=None: [other, sample_class.SOLUTION]
    )
    other.write_bytes(sample_class.SOLUTION.read_bytes())
    (tmp_path / "in").mkdir()
    nbformat.write(sample_class.fill({}), tmp_path / "in" / "carol.ipynb")
    course = tmp_path / "course"
    assert main(["grade", str(tmp_path / "in"), "--course", str(course)]) == 2
    assert f"--assignment which of these it is for: 3.1-again, {ASSIGNMENT}" in (
        capsys.readouterr().err
    )


# -- Deadlines, and what a large class needs ------------------------------------------

A_TENTH_A_DAY = """
from nbgrader.plugins import LateSubmissionPlugin

class ATenthADay(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 0.1 * score * total_seconds_late / 86400

c = get_config()
c.AssignLatePenalties.plugin_class = ATenthADay
c.NbGraderAPI.timezone = "Asia/Shanghai"
"""


def test_late_work_costs_what_the_courses_plugin_says(
    tmp_path, grade, notebooks, capsys
):
    course = tmp_path / "course"
    course.mkdir()
    (course / "nbgrader_config.py").write_text(A_TENTH_A_DAY)
    # Before anything is handed in.
    assert grade(None, None, "--due", "2026-12-01T23:59+08:00") == {}
    files = {}
    for student, time in (("ann", "03 15"), ("bob", "01 15"), ("cy", "03 15")):
        folder = f"{student}/{ASSIGNMENT}"
        files[f"{folder}/{ASSIGNMENT}.ipynb"] = notebooks["solution"]
        files[f"{folder}/timestamp.txt"] = f"2026-12-{time}:59:00 UTC".encode()
    files[f"lee_LATE_11_12_{ASSIGNMENT}.ipynb"] = notebooks["solution"]
    extensions = course / "extensions.csv"
    extensions.write_text(
        "student,assignment,due\n"
        f"cy,{ASSIGNMENT},2026-12-04T00:00+08:00\n"
        f"bbo,{ASSIGNMENT},2026-12-04T00:00+08:00\n"
    )
    capsys.readouterr()
    rows = grade("class.zip", files)
    told = capsys.readouterr().out
    assert "extensions.csv: bbo has handed in nothing so far" in told
    assert "lee needs a person: The platform marks it as late" in told
    sheet = tmp_path / "worksheet.csv"
    sheet.write_text("Identifier,Full name,Grade\nParticipant 7,Ann,\n")
    for again in (rows, grade(None, None, "--sheet", str(sheet))):  # nothing is lost
        found = {
            who: (r["points"], r["penalty"], r["late"]) for who, r in again.items()
        }
        assert found == {
            "ann": ("28.8", "7.2", "172800"),
            "bob": ("36", "0", "0"),
            "cy": ("36", "0", "0"),
            "lee": ("36", "0", "marked late"),
        }
    assert rows["ann"]["due"] == "2026-12-01T23:59:00+08:00"
    assert rows["cy"]["due"] == "2026-12-04T00:00:00+08:00"
    assert rows["ann"]["handed_in"] == "2026-12-03T23:59:00+08:00"
    graded = course / "graded" / ASSIGNMENT
    assert "Participant 7,Ann,28.8" in (graded / "moodle.csv").read_text()
    page = (graded / "feedback" / "ann.html").read_text()
    assert "28.8 <small>of 36 points" in page
    assert "Due 2026-12-01 23:59 +08:00." in page
    assert "Handed in 2026-12-03 23:59 +08:00, 2 days late." in page
    assert "7.2 of 36 points are taken off for that." in page
    page = (graded / "feedback" / "lee.html").read_text()
    assert "The learning platform marks this as late." in page
    page = (graded / "class.html").read_text()
    assert "2 days: −7.2" in page
    assert "marked so" in page
    with (course / "graded" / "course.csv").open(encoding="utf-8-sig") as file:
        total = {row["student"]: row for row in csv.DictReader(file)}
    assert (total["ann"]["points"], total["ann"]["penalty"]) == ("28.8", "7.2")
    assert "late, −7.2" in (course / "graded" / "course.html").read_text()
    assignment.nbgrader("export", course=course)
    with (course / "grades.csv").open() as file:
        exported = {row["student_id"]: row for row in csv.DictReader(file)}
    assert float(exported["ann"]["score"]) == pytest.approx(28.8)
    # A person finds out when it came.
    (course / "submitted" / "lee" / ASSIGNMENT).mkdir(parents=True)
    clock = course / "submitted" / "lee" / ASSIGNMENT / "timestamp.txt"
    clock.write_text("2026-12-02 15:59:00 UTC")
    assert grade()["lee"]["penalty"] == "3.6"
    assert grade(None, None, "--due", "none")["ann"]["points"] == "36"


def for_a_person(course) -> tuple[set[str], set[str]]:
    """Who needs a person, for the class's page and for formgrader."""
    page = (course / "graded" / ASSIGNMENT / "class.html").read_text()
    listed = page.partition("<h2>Needs a person</h2>")[2].partition("<h2>")[0]
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        submissions = gradebook.assignment_submissions(ASSIGNMENT)
        marked = {s.student.id for s in submissions if s.needs_manual_grade}
    return set(re.findall(r"feedback/([\w-]+)\.html", listed)), marked


def test_students_are_graded_alone_and_again(
    tmp_path, grade, notebooks, capsys, monkeypatch
):
    answers = sample_class.only("weighted_sum")
    answers["attention_weights"] = (
        "def attention_weights(query, key, scale=None):\n    while True:\n        pass"
    )
    loop = nbformat.writes(sample_class.fill(answers)).encode()
    files = {"ann.ipynb": notebooks["blank"], "bob.ipynb": loop}
    assert points(grade("class.zip", files, "--student", "ann")) == {"ann": "0"}
    rows = grade("class.zip", None, "--student", "bob", "--time-limit", "1")
    assert points(rows) == {"ann": "0", "bob": "2"}
    graded = tmp_path / "course" / "graded"
    records = graded / ASSIGNMENT / "records"
    assert Record.from_json((records / "bob.json").read_text()).cells[0].seconds < 15
    before = {path.name: path.stat().st_mtime_ns for path in records.iterdir()}
    # Whom the class's page lists, formgrader marks: who ran too long, and twins.
    assert for_a_person(tmp_path / "course") == ({"bob"}, {"bob"})
    pair = similarity.Pair("ann", "ann-again", 9, 1.0, ())
    monkeypatch.setattr(similarity, "near_identical", lambda *_: [pair])
    grade("class.zip", None, "--student", "ann", "--force")
    assert for_a_person(tmp_path / "course") == ({"ann", "bob"}, {"ann", "bob"})
    after = {path.name: path.stat().st_mtime_ns for path in records.iterdir()}
    assert [name for name in before if before[name] != after[name]] == ["ann.json"]
    # And nobody is graded anew by a shell that has forgotten the secret.
    assert "a secret" not in (graded / "secret-digest").read_text()
    monkeypatch.delenv("LMLIB_COURSE_SECRET")
    command = [
        "grade",
        str(tmp_path / "class.zip"),
        "--course",
        str(tmp_path / "course"),
    ]
    assert main(command) == 2
    assert "LMLIB_COURSE_SECRET is not set: the hidden" in capsys.readouterr().err


def test_another_secret_than_before_is_refused(tmp_path, monkeypatch):
    def grade(secret, *options):
        monkeypatch.setenv("LMLIB_COURSE_SECRET", secret)
        given = parse(["grade", "--course", str(tmp_path), *options])
        grade_command.checked_secret(given)()

    grade("")  # none so far
    grade("a")
    grade("a")
    for secret in ("", "b"):
        with pytest.raises(ValueError, match="--change-secret"):
            grade(secret)
    grade("b", "--change-secret")
    grade("b")
    grade("", "--change-secret")
    grade("")


def test_options_that_cannot_be_are_told(tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse(["grade", "--time-limit", "0"])
    assert "must be more than 0" in capsys.readouterr().err
    for options, words in (
        (["--due", "2026-12-01T23:59", "--assignment", ASSIGNMENT], "its time zone"),
        (["--due", "2026-12-01T23:59Z"], "name it with --assignment"),
    ):
        with pytest.raises(ValueError, match=words):
            grade_command.class_of(
                parse(["grade", "--course", str(tmp_path), *options])
            )
    people = [intake.Submission(name, ASSIGNMENT, None) for name in ("ann", "bob")]
    with pytest.raises(ValueError, match="There is work of ann"):
        grade_command.only(["bob", "an"], people, {})
    assert [s.student for s in grade_command.only(["bob"], people, {})] == ["bob"]


OWN = """
from lmlib.exercises.exercise import Case, Exercise, Part, normal

SECTION = "9.9-doubling"


def cases(generator):
    return [Case((normal(generator, n),), f"{n} numbers") for n in (1, 3)]


EXERCISES = [
    Exercise("9.9/double", "Twice", 1, 1, lambda x: 2 * x,
             (Part("numbers", 4, cases),), ()),
]
"""

OWN_SOLUTION = """
# %% [markdown]
# # Doubling

# %% given="imports"
from lmlib.exercises import check

# %% [markdown] exercise="double"
# Return twice the tensor.

# %% solution="double"
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% test="double"
check("9.9/double", double)
### BEGIN HIDDEN TESTS
check("9.9/double", double, hidden=True)
### END HIDDEN TESTS

# %% [markdown] by_hand="why" points=3
# Because two is one and one.
"""


def test_a_course_of_ones_own_with_an_answer_that_a_person_grades(tmp_path):
    name = "9.9-doubling"
    package = tmp_path / "exercises" / "doubling"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(OWN)
    solution = tmp_path / "solutions" / name / f"{name}.py"
    solution.parent.mkdir(parents=True)
    solution.write_text(OWN_SOLUTION)
    course = tmp_path / "course"

    def grade(*arguments):
        command = ["-m", "lmlib.cli", "grade", "--course", str(course), *arguments]
        done = subprocess.run(
            [sys.executable, *command, "--solutions", str(tmp_path / "solutions")],
            env={**os.environ, "LMLIB_EXERCISES": str(tmp_path / "exercises")},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        marks = (course / "graded" / name / "marks.csv").read_text("utf-8-sig")
        rows = {row["student"]: row for row in csv.DictReader(marks.splitlines())}
        return rows, done.stdout

    grade("--due", "2026-12-01T23:59Z")  # and so there is a release
    notebook = nbformat.read(course / "release" / name / f"{name}.ipynb", 4)
    cells = {cell.id: cell for cell in notebook.cells}
    assert cells["why"].source == "YOUR ANSWER HERE"
    cells["double"].source = "def double(x):\n    return x + x"
    cells["why"].source = "It *is*."
    nbformat.write(notebook, tmp_path / "ann.ipynb")
    rows, told = grade(str(tmp_path / "ann.ipynb"))
    assert (rows["ann"]["double"], rows["ann"]["why"]) == ("4", "")
    assert (rows["ann"]["points"], rows["ann"]["max_points"]) == ("4", "7")
    assert "ann needs a person: why waits for your points." in told
    feedback = course / "graded" / name / "feedback" / "ann.html"
    page = feedback.read_text()
    assert "to be graded by a person: those points are not in yet" in page
    assert "<pre>It *is*.</pre>" in page
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        given = gradebook.find_grade("why", name, name, "ann")
        assert given.needs_manual_grade
        given.manual_score, given.needs_manual_grade = 2.5, False
        gradebook.db.commit()
    rows, told = grade()
    assert (rows["ann"]["why"], rows["ann"]["points"]) == ("2.5", "6.5")
    assert "needs a person" not in told
    assert "2.5 of 3" in feedback.read_text()
    assert "not in yet" not in feedback.read_text()
