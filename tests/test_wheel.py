"""The wheel as people install it: in a folder of their own, without the repository."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lmlib.grading.assignment import ROOT
from tests.grading import sample_class

PARTS = ("lmlib", "pyproject.toml", "setup.py", "README.md", "LICENSE", "LICENSE-TEXT")


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A copy of what the wheel is made of, in which it was made."""
    folder = tmp_path_factory.mktemp("repository")
    for name in PARTS:
        if (ROOT / name).is_dir():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, folder)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "."], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def lmlib(repository, tmp_path_factory):
    """Type a command in a folder, with the wheel installed; what came of it."""
    installed = tmp_path_factory.mktemp("installed")
    (wheel,) = repository.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    environment = os.environ | {"PYTHONPATH": str(installed)}
    environment |= {"LMLIB_COURSE_SECRET": "a secret", "OMP_NUM_THREADS": "1"}
    environment.pop("LMLIB_COURSE", None)

    def lmlib(folder: Path, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-P", "-m", "lmlib.cli", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )

    return lmlib


@pytest.fixture
def handed_in(tmp_path) -> Path:
    """A folder of one's own with a notebook and an archive of it."""
    notebook = tmp_path / "answers.ipynb"
    shutil.copy(sample_class.STUDENT_NOTEBOOK, notebook)
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        archive.write(notebook, f"anna_{sample_class.ASSIGNMENT}.ipynb")
    return tmp_path


def test_making_it_leaves_no_folder_that_the_next_one_would_pack(repository):
    made = {path.name for path in repository.iterdir()} - set(PARTS)
    assert {Path(name).suffix for name in made} == {".whl", ".egg-info"}


def test_it_holds_the_library_and_no_solutions(repository):
    (wheel,) = repository.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {
        "lmlib"
    }
    assert "lmlib/grading/results/templates/class.html.j2" in names
    # Those of the tests, in other styles, are right too.
    assert list((ROOT / "lmlib" / "exercises").glob("*/other_solutions.py"))
    assert not [name for name in names if "solutions" in name]
    assert "lmlib/exercises/self_attention/weights.py" in names
    assert "lmlib/checkpoints/gpt/model.safetensors" in names


def test_a_student_checks_a_notebook(lmlib, handed_in):
    done = lmlib(handed_in, "check", "answers.ipynb")
    assert done.returncode == 1, done.stderr
    assert "0 of 36 points in the visible tests" in done.stdout
    assert sorted(path.name for path in handed_in.iterdir()) == [
        "answers.ipynb",
        "class.zip",
    ]


def test_an_instructor_is_told_to_name_the_solutions(lmlib, handed_in):
    done = lmlib(handed_in, "grade", "class.zip")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("lmlib: no assignments in ")
    assert "--solutions" in line


def test_an_instructor_grades_with_the_solutions_named(lmlib, handed_in):
    shutil.copytree(ROOT / "solutions", handed_in / "given" / "solutions")
    done = lmlib(handed_in, "grade", "class.zip", "--solutions", "given/solutions")
    assert done.returncode == 0, done.stderr
    graded = handed_in / "course" / "graded" / sample_class.ASSIGNMENT
    marks = (graded / "marks.csv").read_text("utf-8-sig")
    assert "\nanna,,,failed tests,0" in marks
    assert (handed_in / "course" / "gradebook.db").is_file()
