"""The two commands as a person types them."""

import os
import subprocess
import sys

import nbformat
import pytest

from lmlib import cli
from lmlib.cli import main
from lmlib.grading.assignment import ROOT
from lmlib.grading.results.record import Record
from lmlib.grading.submissions import intake
from tests.grading import sample_class
from tests.grading.sample_class import ASSIGNMENT


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
        cli._progress(done, total, Record(f"s{done}", "a", "graded"))
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
