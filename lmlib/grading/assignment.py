"""From one source to what a student gets: solutions/ → nbgrader's source → exercises/.

The source of an assignment is a text file that Jupyter opens as a notebook (jupytext's
`py:percent`). Its cells say what they are in one word, and the rest comes from the
catalogue of exercises:

    # %% [markdown] exercise="attention_weights"     the statement; title, points,
                                                     minutes and hints are added
    # %% solution="attention_weights"                the student's cell
    # %% test="attention_weights"                    visible and hidden tests, locked
    # %% given="imports"                             code that students run, locked
    # %% picture="plot"                              the same, but it only draws:
                                                     grading leaves it out unless a
                                                     name that it defines is used
    # %% entry="compressor"                          the student's cell in a contest
    # %% contest="compressor" points=100             what runs it; see `contest`
    # %% [markdown] by_hand="why" points=3           an answer in words or code that a
                                                     person grades in formgrader; here
                                                     stands the model answer

Inside, `### BEGIN SOLUTION` and `### BEGIN HIDDEN TESTS` are nbgrader's own marks, and
it is nbgrader that takes them out.

    python -m lmlib.grading.assignment             regenerate exercises/
"""

import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.catalogue import Entry, find_entry

ROOT = Path(__file__).parents[2]
# Beside the package in a copy of the repository, and no part of an installed one:
# students install it too, and would have all answers.
SOLUTIONS = ROOT / "solutions"
ROLES = {"exercise", "solution", "test", "given", "picture", "by_hand"}
ROLES |= {"entry", "contest"}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def read_source(path: Path) -> NotebookNode:
    """The assignment at `path` as a notebook with nbgrader's metadata.

    Raises:
        ValueError: a cell names an exercise that does not exist, an exercise lacks its
            statement, solution or tests, or two cells have the same name.
    """
    import jupytext  # takes its time

    section = path.stem.split("-")[0]
    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata = NotebookNode(
        kernelspec=KERNEL, language_info={"name": "python"}
    )
    seen: dict[str, str] = {}
    for position, cell in enumerate(notebook.cells):
        roles = ROLES & set(cell.metadata)
        if len(roles) > 1:
            raise ValueError(
                f"{path}, cell {position}: one role only, got {sorted(roles)}"
            )
        role = roles.pop() if roles else "text"
        name = cell.metadata.get(role, f"cell_{position:02d}")
        worth = cell.metadata.get("points")
        cell.metadata = NotebookNode()
        if role == "picture":
            role = "given"
            cell.metadata.tags = ["picture"]
        if role == "contest":
            cell.metadata.tags = ["contest"]
        itself = ("solution", "text", "by_hand", "entry")
        grade_id = name if role in itself else f"{role}_{name}"
        if role == "contest":
            grade_id = f"test_{name}"
        if grade_id in seen:
            raise ValueError(f"{path}: two cells are named {grade_id}")
        seen[grade_id] = role
        cell.id = grade_id.replace(".", "-")
        if role == "text":
            continue
        points = None
        if role in ("by_hand", "contest"):
            if not isinstance(worth, int) or worth <= 0:
                raise ValueError(f"{path}: {role}={name!r} needs points=, got {worth}")
            points = worth
        elif role not in ("given", "entry"):
            exercise = find_entry(f"{section}/{name}")
            if role == "exercise":
                number = sum(role == "exercise" for role in seen.values())
                cell.source = statement(exercise, number, cell.source)
            if role == "test":
                points = exercise.points
        cell.metadata.nbgrader = nbgrader_metadata(grade_id, role, points)
        cell.metadata.nbgrader.cell_type = cell.cell_type
    for name in [n for n, role in seen.items() if role == "solution"]:
        missing = [r for r in ("exercise", "test") if f"{r}_{name}" not in seen]
        if missing:
            raise ValueError(
                f"{path}: {name} has a solution but no {' and '.join(missing)}"
            )
    return notebook


def nbgrader_metadata(grade_id: str, role: str, points: int | None) -> NotebookNode:
    """Version 3 of nbgrader's cell metadata."""
    metadata = NotebookNode(
        schema_version=3,
        grade_id=grade_id,
        grade=points is not None,
        solution=role in ("solution", "by_hand", "entry"),
        locked=role not in ("solution", "by_hand", "entry"),
        task=False,
    )
    if points is not None:
        metadata.points = points
    return metadata


def statement(exercise: Entry, number: int, text: str) -> str:
    """An exercise's statement with its title, its cost in time, and its hints."""
    dots = "●" * exercise.difficulty + "○" * (5 - exercise.difficulty)
    lines = [
        f"## {number}. {exercise.title}",
        "",
        f"`{exercise.short_name}` · {exercise.points} points · "
        f"difficulty {dots} · about {exercise.minutes} minutes",
        "",
        text.strip(),
    ]
    if exercise.builds_on:
        names = ", ".join(f"`{name}`" for name in exercise.builds_on)
        lines += [
            "",
            f"*Builds on {names}. If one of yours is wrong, this is judged with a "
            "right one in its place as well.*",
        ]
    if others := [name for name in exercise.forbidden if name not in LIBRARY]:
        names = ", ".join(f"`{name}`" for name in others)
        lines += ["", f"*Write it without {names}.*"]
    for i, hint in enumerate(exercise.hints, 1):
        of = f" {i} of {len(exercise.hints)}" if len(exercise.hints) > 1 else ""
        lines += [
            "",
            f"<details><summary>Hint{of}</summary>",
            "",
            hint,
            "",
            "</details>",
        ]
    return "\n".join(lines)


def write_source(solution: Path, source_directory: Path) -> Path:
    """Write the notebook of `solution` to where nbgrader looks for it."""
    target = source_directory / solution.stem / f"{solution.stem}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    nbformat.write(read_source(solution), partial)
    partial.replace(target)
    return target


def nbgrader(*arguments: str, course: Path, folder: Path = ROOT) -> None:
    """Run nbgrader on the course in the folder `course`.

    Parameters:
        folder: has this project's nbgrader_config.py. Where there is none, nbgrader
            does without: it need only know the course.

    Raises:
        RuntimeError: nbgrader failed; the message is the end of its log.
    """
    # nbgrader calls `alembic`, which lies beside Python, on the PATH or not.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    with tempfile.TemporaryDirectory() as folder_of_link:
        root = course
        if glob.escape(str(course)) != str(course):
            # nbgrader takes brackets in the name of the course's folder for a pattern.
            root = Path(folder_of_link) / "course"
            root.symlink_to(course, target_is_directory=True)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "nbgrader", *arguments),
                f"--CourseDirectory.root={root}",
                f"--CourseDirectory.db_url=sqlite:///{course / 'gradebook.db'}",
            ],
            cwd=folder,
            env={**os.environ, "LMLIB_COURSE": str(course), "PATH": path},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        log = (done.stdout + done.stderr)[-3000:]
        for words in ("disk is full", "No space left on device"):
            if words in log:
                log = f"{words}. Make room and run this again."
        raise RuntimeError(f"nbgrader {' '.join(arguments)} failed:\n{log}")


def nbgrader_config(course: Path, folder: Path = ROOT) -> Any:
    """What nbgrader's own commands are told: the nbgrader_config.py in `folder`.

    That one reads the course's own, too. Where it is not, the course's alone counts.

    Raises:
        ValueError: it fails.
    """
    from nbgrader.utils import setenv
    from traitlets.config import Config
    from traitlets.config.loader import PyFileConfigLoader

    for place in (folder, course):
        path = place / "nbgrader_config.py"
        if path.is_file():
            try:
                with setenv(LMLIB_COURSE=str(course)):
                    return PyFileConfigLoader(path.name, str(place)).load_config()
            except Exception as error:  # whatever is written there
                raise ValueError(
                    f"{path} (or the course's, which it reads) cannot be used: "
                    f"{type(error).__name__}: {error}"
                ) from error
    return Config()


def enter(solution: Path, course: Path) -> None:
    """Let nbgrader make its release of `solution`, and know it in `course`'s gradebook.

    Does nothing if it has been done for this very source.
    """
    target = course / "source" / solution.stem / f"{solution.stem}.ipynb"
    before = target.read_bytes() if target.is_file() else b""
    made = course / "release" / solution.stem / target.name
    known = made.is_file() and (course / "gradebook.db").is_file()
    if write_source(solution, course / "source").read_bytes() == before and known:
        return
    nbgrader(
        *("generate_assignment", solution.stem, "--create", "--force"),
        course=course,
        folder=solution.parents[2],  # above solutions/, in a copy of the repository
    )


def release(solution: Path, exercises: Path, course: Path) -> Path:
    """Make what a student gets, with `nbgrader generate_assignment`.

    The assignment is also entered into the gradebook of `course`, so that submissions
    can be graded there.
    """
    enter(solution, course)
    made = course / "release" / solution.stem / f"{solution.stem}.ipynb"
    target = exercises / solution.stem / made.name
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    shutil.copyfile(made, partial)
    partial.replace(target)
    return target


def solutions(folder: Path | None = None) -> list[Path]:
    """The sources of all assignments in `folder`, in the order of their sections.

    Parameters:
        folder: by default that of this repository.

    Raises:
        ValueError: there are none; for the instructor.
    """
    folder = (folder or SOLUTIONS).resolve()
    found = sorted(folder.glob("*/*.py"))
    if not found:
        raise ValueError(
            f"no assignments in {folder}: name the folder solutions/ of a copy of the "
            "course's repository with --solutions. It is not installed with lmlib, for "
            "students install that too"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Regenerate exercises/ from solutions/."
    )
    parser.add_argument("--solutions", type=Path, help="default: the repository's")
    parser.add_argument("--exercises", type=Path, default=ROOT / "exercises")
    parser.add_argument("--course", type=Path, default=ROOT / "course")
    arguments = parser.parse_args()
    for solution in solutions(arguments.solutions):
        print(release(solution, arguments.exercises, arguments.course.resolve()))


if __name__ == "__main__":
    main()
