"""nbgrader's formgrader, in a browser, on a class that `nbgrader autograde` graded."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from lmlib.grading import assignment
from tests import sample_class

STUDENTS = ("blank", "first-three")

# A submission's page loads MathJax 2 from the network, and stops without it. This much
# of it lets the page start; the formulas stay as they are written.
MATHJAX = "window.MathJax = {Hub: {Startup: {signal: {Interest() {}}}}};"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = f"no browser: none of {', '.join(names)} is on the path"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    """The address of a Jupyter server that is started as an instructor would."""
    folder = tmp_path_factory.mktemp("formgrader")
    course = folder / "course"
    class_ = sample_class.submissions()
    points = sample_class.autograde(course, {s: class_[s] for s in STUDENTS})
    assert points == {s: sample_class.MARKS[s] for s in STUDENTS}
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
        yield address
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def page(browser, server):
    page = browser.new_page(base_url=server)
    page.problems = []

    def outside(route):
        if "/mathjax/" in route.request.url:
            route.fulfill(content_type="text/javascript", body=MATHJAX)
        else:
            page.problems.append(f"external request: {route.request.url}")
            route.abort()

    page.route(lambda url: not url.startswith((server, "data:", "blob:")), outside)
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
    assert str(len(STUDENTS)) in row
    assert page.problems == []


def test_scores_of_all_students_are_shown(page):
    page.goto(f"/formgrader/manage_submissions/{sample_class.ASSIGNMENT}")
    full = sum(sample_class.FULL)
    shown = {row[1]: row[3:5] for row in rows(page)}
    assert shown == {
        s: ["graded", f"{sum(sample_class.MARKS[s])} / {full}"] for s in STUDENTS
    }
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
