"""`lmlib check` tells a student their total, and `lmlib grade` marks a class."""

import csv
import json

import nbformat
import pytest

from lmlib.cli import main
from lmlib.grading.assignment import ROOT
from lmlib.grading.contest import entries, marking, scores, texts
from lmlib.grading.examination import examiner
from lmlib.grading.results import report
from lmlib.grading.results.record import Record

NAME = "c-capstone"
SAMPLES = {p.stem: p for p in (ROOT / "book/_experiments/5-capstone").glob("*.py")}
HOSTILE = {"borrower", "keeper"}
WRONG = {"salted"}


@pytest.fixture(autouse=True)
def short_texts(monkeypatch, sandbox):
    monkeypatch.setattr(texts, "SIZE", 1000)
    marking._texts_of.cache_clear()


def handed_in(entry):
    """The student's notebook with an entry, and nothing else done."""
    path = ROOT / "exercises" / NAME / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    kept = ("given_imports", "compressor", "test_compressor", "test_write_varint")
    notebook.cells = [cell for cell in notebook.cells if cell.id in kept]
    (cell,) = (cell for cell in notebook.cells if cell.id == "compressor")
    cell.source = entry
    return notebook


def test_check_gives_the_practice_total(tmp_path, capsys):
    path = tmp_path / f"{NAME}.ipynb"
    nbformat.write(handed_in(SAMPLES["order-0"].read_text()), path)
    main(["check", str(path)])
    said = capsys.readouterr().out
    assert "compressor: 4" in said  # 40 points and some
    assert "of 100 points" in said
    for kind in texts.KINDS:
        assert f"✓ {kind}: 1,000 → " in said
    assert "✓ zeros: 1,000 → " in said
    assert "are the program. Points for size: " in said


def test_the_notebook_as_it_is_given_has_the_points_of_the_empty_text():
    path = ROOT / "exercises" / NAME / f"{NAME}.ipynb"
    (cell,) = (cell for cell in nbformat.read(path, 4).cells if cell.id == "compressor")
    points, said, outcome = marking.examined(cell.source, hidden=False)
    assert points == scores.TORTURE, said
    assert outcome.total is None


def test_where_no_entry_runs_no_student_is_to_blame(monkeypatch, tmp_path, capsys):
    broken = tmp_path / "child.py"
    broken.write_text("raise SystemExit(1)")
    monkeypatch.setattr(entries, "CHILD", broken)
    marking._machine.cache_clear()
    with pytest.raises(RuntimeError, match="does nothing fails here: compress ended"):
        marking.examined(SAMPLES["stored"].read_text(), hidden=False)
    nbformat.write(handed_in(SAMPLES["stored"].read_text()), tmp_path / f"{NAME}.ipynb")
    main(["check", str(tmp_path / f"{NAME}.ipynb")])
    said = (
        "The contest could not be run: an entry that does nothing fails here: compress"
    )
    assert said in capsys.readouterr().out


def test_a_class_of_entries_gets_its_marks_and_a_board(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LMLIB_COURSE_SECRET", "a secret")
    class_ = tmp_path / "handed-in"
    class_.mkdir()
    chosen = set(SAMPLES) - {"lzw", "order-1"}  # which say no more than the others
    for name in chosen:
        notebook = handed_in(SAMPLES[name].read_text())
        nbformat.write(notebook, class_ / f"{name}.ipynb")
    nbformat.write(handed_in("def compress("), class_ / "no-python.ipynb")
    assert len(chosen) >= 8
    course = tmp_path / "course"
    arguments = ["grade", str(class_), "--course", str(course), "--jobs", "2"]
    assert main([*arguments, "--assignment", NAME]) == 0
    graded = course / "graded" / NAME
    records = {
        path.stem: Record.from_json(path.read_text())
        for path in (graded / "records").glob("*.json")
    }
    found, points, said = {}, {}, {}
    for name, record in records.items():
        (cell,) = (c for c in record.cells if c.grade_id == "test_compressor")
        points[name], said[name] = cell.points, cell.output
        found[name] = scores.from_text(record.contest)
        assert not [d for d in record.needs_person if "could not be run" in d]
    totals = {name: outcome.total for name, outcome in found.items()}
    honest = chosen - HOSTILE - WRONG
    assert {name for name, total in totals.items() if total} == honest
    # Of archives alone: at this length a larger program has not paid for itself yet.
    archives = {name: totals[name] - found[name].program for name in honest}
    best = sorted(honest, key=archives.get)
    assert best[0] == "seven-contexts"
    assert best[-1] == "stored"
    for name in honest:
        assert points[name] >= 40, said[name]
    assert points["keeper"] <= 4  # of the torture, the empty text at the most
    assert points["borrower"] == points["no-python"] == 0
    # Of a hidden text nothing is told but that it went wrong.
    assert "decompress gave another text\n" in said["salted"] + "\n"
    assert "no Python, line 1" in said["no-python"]
    board = (graded / "board.html").read_text()
    assert board.count("<tr>") == len(records) + 1
    assert not [name for name in records if name in board]
    for name in honest:
        assert report.pseudonym(name) in board
        page = next((graded / "feedback").glob(f"{name}*")).read_text()
        assert report.pseudonym(name) in page
        assert f"{scores.stepped(totals[name]):,}" in board
    rows = list(csv.DictReader((graded / "marks.csv").open(encoding="utf-8-sig")))
    assert {row["student"] for row in rows} == set(records)
    capsys.readouterr()
    assert main([*arguments, "--assignment", NAME]) == 0  # nothing is run anew
    assert "order" not in capsys.readouterr().err


def test_a_contest_has_its_time_beside_that_of_the_notebook():
    path = ROOT / "exercises" / NAME / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert examiner.patience(notebook) == marking.PATIENCE
    other = ROOT / "exercises/3.1-self-attention/3.1-self-attention.ipynb"
    assert examiner.patience(nbformat.read(other, as_version=4)) == 0


def test_lmlibs_own_mixer_is_noticed():
    source = (ROOT / "lmlib/compression/mixing.py").read_text()
    assert marking.copied(source.replace("nibble", "half"))
    assert not any(marking.copied(path.read_text()) for path in SAMPLES.values())


def test_in_a_notebook_the_cell_is_the_entry(capsys, monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setattr(marking, "QUICK", 300)
    shell = InteractiveShell.instance()
    source = SAMPLES["stored"].read_text()
    shell.run_cell(source)
    shell.run_cell("from lmlib.grading.contest.marking import practice")
    capsys.readouterr()
    shell.run_cell("practice(compress, decompress)")
    said = capsys.readouterr().out
    assert "✓ prose: 300 → 300 bytes, 8.000 bits a byte" in said
    shell.run_cell("def decompress(archive): return archive")
    shell.run_cell("practice(compress, decompress)")
    assert "must stand in one cell" in capsys.readouterr().out
    InteractiveShell.clear_instance()


def test_older_records_have_no_entry():
    record = Record("a", "b", "graded")
    kept = json.loads(record.to_json())
    del kept["contest"]
    assert Record.from_json(json.dumps(kept)) == record
