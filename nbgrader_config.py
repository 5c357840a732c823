"""nbgrader for this course: `nbgrader autograde 3.1-self-attention`, and the others.

All that belongs to a class (submissions, marks, feedback) lies in course/, which git
ignores and `make clean` leaves alone. LMLIB_COURSE names another folder.
"""

import os
import sys
from pathlib import Path

c = get_config()

# nbgrader calls `alembic`, which lies beside it even if that folder is not on the PATH.
os.environ["PATH"] = os.pathsep.join(
    (str(Path(sys.executable).parent), os.environ["PATH"])
)

named = os.environ.get("LMLIB_COURSE") or Path(__file__).parent / "course"
root = Path(named).resolve()
root.mkdir(parents=True, exist_ok=True)

c.CourseDirectory.root = str(root)
c.CourseDirectory.course_id = "compression-is-intelligence"
c.CourseDirectory.db_url = f"sqlite:///{root / 'gradebook.db'}"

# What `nbgrader export` writes, unless its --to names another file.
c.ExportPlugin.to = str(root / "grades.csv")

# A test cell that a student deleted is put back, and fails, instead of vanishing.
c.OverwriteCells.add_missing_cells = True

# Student code runs confined, apart from the tests, and each with its own hidden inputs;
# a loop that never ends is stopped after ExecuteConfined.timeout seconds.
c.Autograde.autograde_preprocessors = [
    "lmlib.grading.nbgrader_hooks.ExecuteConfined",
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# Instructors look at what students wrote in formgrader, on the address of a server that
# runs programs: so Markdown is shown without anything that acts.
c.HTMLExporter.filters = {
    "markdown2html": "lmlib.grading.results.markdown.markdown2html"
}

# What is your class's alone (late penalties, the time zone) stands in course/, which
# git ignores, in a file of the same name and form.
own = root / "nbgrader_config.py"
if own.is_file() and own != Path(__file__).resolve():
    load_subconfig(own.name, str(root))
