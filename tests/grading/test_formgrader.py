"""nbgrader's formgrader, in a browser, on a class that `nbgrader autograde` graded.

Two students were graded from the command line, one is by formgrader's own button. One
of them has put scripts wherever a notebook can hold them.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

from lmlib.grading import assignment
from tests.grading import sample_class

STUDENTS = ("blank", "first-three")
BY_BUTTON = "subtle-mistakes"
SCRIPTS = """
<script>window.hacked = "script"</script>
<img src="nowhere" onerror="window.hacked = 'onerror'">
<svg onload="window.hacked = 'onload'"></svg>
<iframe srcdoc="<script>parent.hacked = 'frame'</script>"></iframe>
<details open ontoggle="window.hacked = 'ontoggle'"><summary>More</summary></details>

[a plot](evil.html) and [another](javascript:window.hacked='link')
<a class="trap" href="javascript:window.hacked='link'">trap</a>
"""

# A submission's page loads MathJax 2 from the network, and stops without it. This much
# of it lets the page start; the formulas stay as they are written.
MATHJAX = "window.MathJax = {Hub: {Startup: {signal: {Interest() {}}}}};"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    """The address of a Jupyter server that is started as an instructor would."""
    folder = tmp_path_factory.mktemp("formgrader")
    course = folder / "course"
    class_ = sample_class.submissions()
    add_scripts(class_["first-three"])
    points = sample_class.autograde(course, {s: class_[s] for s in STUDENTS})
    assert points == {s: sample_class.MARKS[s] for s in STUDENTS}
    name = sample_class.ASSIGNMENT
    handed_in = course / "submitted" / BY_BUTTON / name / f"{name}.ipynb"
    handed_in.parent.mkdir(parents=True)
    nbformat.write(class_[BY_BUTTON], handed_in)
    handed_in.with_name("evil.html").write_text("<script>opener.hacked = 1</script>")
    handed_in.with_name("data.csv").symlink_to(assignment.ROOT / "pyproject.toml")
    sample_class.nbgrader(course, "generate_feedback", name)
    port, log = free_port(), folder / "server.log"
    command = [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"),
        *("--ServerApp.port_retries=0", "--IdentityProvider.token="),
        f"--ServerApp.root_dir={folder}",
    ]
    # Not the settings of whoever runs this test.
    own = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "RUNTIME")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=assignment.ROOT,  # nbgrader_config.py lies there
            env={**os.environ, **own, "LMLIB_COURSE": str(course)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            try:
                urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address, course
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def add_scripts(notebook):
    """Wherever a student can put something that a browser could run."""
    text, raw = (
        nbformat.v4.new_markdown_cell(SCRIPTS),
        nbformat.v4.new_raw_cell(SCRIPTS),
    )
    raw.metadata.raw_mimetype = "text/html"
    evil = {"image/svg+xml": "PHN2Zz4=", "text/html": "<script>hacked = 1</script>"}
    attached = nbformat.v4.new_markdown_cell("![](attachment:x) ![](attachment:none)")
    attached["attachments"] = {"x": evil}
    notebook.cells[3:3] = [text, raw, attached]
    notebook.cells.append(nbformat.v4.new_code_cell(f"# {SCRIPTS}"))
    notebook.metadata.title = "</title><script>window.hacked = 'title'</script>"
    notebook.metadata.widgets = {"x</script>": {"state": {}}}
    notebook.metadata.language_info = {
        "name": "python",
        "pygments_lexer": "x'><script>window.hacked = 'lexer'</script>",
    }


@pytest.fixture
def page(browser, server):
    server, course = server
    page = browser.new_page(base_url=server)
    page.course, page.problems = course, []

    def outside(route):
        if "/mathjax/" in route.request.url:
            route.fulfill(content_type="text/javascript", body=MATHJAX)
        else:
            page.problems.append(f"external request: {route.request.url}")
            route.abort()

    page.route(
        lambda url: not url.startswith((server, "data:", "blob:", "file:")), outside
    )
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on(
        "console",
        lambda message: message.type == "error" and page.problems.append(message.text),
    )
    yield page
    page.close()


def rows(page) -> list[list[str]]:
    """The cells of the table, once it is filled."""
    page.wait_for_selector("tbody tr td a")
    return [
        [cell.strip() for cell in row.locator("td").all_inner_texts()]
        for row in page.locator("tbody tr").all()
    ]


def test_assignment_is_listed_with_its_submissions(page):
    page.goto("/formgrader")
    (row,) = rows(page)
    assert page.url.endswith("/formgrader/manage_assignments")
    assert row[0] == sample_class.ASSIGNMENT
    assert str(len(STUDENTS) + 1) in row
    assert page.problems == []


def test_scores_of_all_students_are_shown(page):
    page.goto(f"/formgrader/manage_submissions/{sample_class.ASSIGNMENT}")
    full = sum(sample_class.FULL)
    shown = {row[1]: row[3:5] for row in rows(page)}
    assert shown == {
        s: ["graded", f"{sum(sample_class.MARKS[s])} / {full}"] for s in STUDENTS
    } | {BY_BUTTON: ["needs autograding", ""]}
    assert page.problems == []


def test_submission_opens_with_its_points_and_reports(page):
    name = sample_class.ASSIGNMENT
    page.goto(f"/formgrader/manage_students/first-three/{name}")
    page.locator("tbody td a", has_text=name).click()
    page.wait_for_url("**/submissions/**")
    page.wait_for_function(
        "() => { const boxes = [...document.querySelectorAll('input.score')];"
        " return boxes.length && boxes.every((box) => box.placeholder); }"
    )
    points = {
        box.get_attribute("id"): float(box.get_attribute("placeholder"))
        for box in page.locator("input.score").all()
    }
    expected = zip(
        sample_class.EXERCISES, sample_class.MARKS["first-three"], strict=True
    )
    assert points == {f"test_{exercise}": value for exercise, value in expected}
    assert "3.1/attention_weights: 4 of 4 points" in page.inner_text("body")
    assert page.problems == []


def harmless(page) -> None:
    """Nothing of the student's ran, and nothing in the page would."""
    text = page.inner_text("body")
    assert 'window.hacked = "script"' in text  # it is there to be read
    assert text.count("trap") >= 1
    for link in page.locator("a.trap").all():
        link.click()
    assert page.locator("[onerror], [onload], [ontoggle], iframe").count() == 0
    assert page.locator("a[href*=evil], a[href^=javascript]").count() == 0
    assert page.evaluate("window.hacked") is None


def test_scripts_in_a_submission_run_neither_in_formgrader_nor_in_feedback(page):
    name = sample_class.ASSIGNMENT
    page.goto(f"/formgrader/manage_students/first-three/{name}")
    page.locator("tbody td a", has_text=name).click()
    page.wait_for_url("**/submissions/**")
    page.wait_for_function("() => document.querySelector('input.score')?.placeholder")
    harmless(page)
    # What the course itself writes in its statements still works.
    assert page.locator("details summary", has_text="Hint").count() > 3
    assert page.problems == []
    page.goto((page.course / "feedback/first-three" / name / f"{name}.html").as_uri())
    harmless(page)


def test_autograde_button_gives_the_same_marks(page):
    name = sample_class.ASSIGNMENT
    page.goto(f"/formgrader/manage_submissions/{name}")
    row = page.locator("tbody tr", has=page.get_by_text(BY_BUTTON, exact=True))
    row.locator(".autograde a").click()
    page.wait_for_selector(".modal-title:has-text('Success')", timeout=120_000)
    page.get_by_role("button", name="OK").click()
    mark = f"{sum(sample_class.MARKS[BY_BUTTON])} / {sum(sample_class.FULL)}"
    row.locator(".score", has_text=mark).wait_for()
    assert row.locator(".status").inner_text() == "graded"
    marks = sample_class.marks(page.course, BY_BUTTON)
    assert marks == sample_class.MARKS[BY_BUTTON]
    assert page.problems == []
    # What came along is not taken to where formgrader would serve it.
    graded = page.course / "autograded" / BY_BUTTON / name
    assert {p.name for p in graded.iterdir()} == {f"{name}.ipynb"}
