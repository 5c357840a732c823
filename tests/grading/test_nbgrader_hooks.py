"""nbgrader itself on a class: exactly the expected marks, and useful feedback."""

import html
import re

import pytest

from lmlib.grading import nbgrader_hooks
from lmlib.grading.sandbox import confinement, doctor
from tests.grading import sample_class


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return tmp_path_factory.mktemp("class") / "course"


@pytest.fixture(scope="module")
def points(course):
    """Of the class and of hostile students among it."""
    class_ = sample_class.submissions() | sample_class.hostile()
    points = sample_class.autograde(course, class_, "--ExecuteConfined.timeout=10")
    sample_class.publish(course)
    return points


def feedback(course, student: str) -> str:
    name = sample_class.ASSIGNMENT
    page = (course / "feedback" / student / name / f"{name}.html").read_text()
    return html.unescape(re.sub(r"<[^>]+>", "", page))


@pytest.mark.parametrize("student", sample_class.MARKS)
def test_marks_are_exactly_the_expected_ones(points, student):
    assert points[student] == sample_class.MARKS[student]


def test_class_is_large_enough_and_complete(points):
    assert len(sample_class.MARKS) >= 12
    assert set(points) == {*sample_class.MARKS, *sample_class.HOSTILE}


@pytest.mark.parametrize("student", sample_class.HOSTILE)
def test_hostile_answer_costs_its_own_points_and_no_others(points, student):
    assert points[student] == sample_class.HOSTILE_MARKS


def test_export_agrees_with_the_gradebook(points, course):
    exported = sample_class.exported(course)
    assert exported == {
        student: (sum(row), sum(sample_class.FULL)) for student, row in points.items()
    }


@pytest.mark.usefixtures("points")
def test_feedback_names_the_mistake(course):
    text = feedback(course, "classic-mistakes")
    assert "You left out the division by √d_k" in text
    assert "You masked after the softmax" in text


@pytest.mark.usefixtures("points")
@pytest.mark.parametrize(
    ("student", "reason"),
    [
        ("loops", "Your code ran for too long."),
        ("ends-the-process", "Your code ended the process"),
    ],
)
def test_feedback_says_why_a_test_has_no_result(course, student, reason):
    assert feedback(course, student).count(reason) == 1


@pytest.mark.usefixtures("points")
def test_feedback_shows_no_hidden_input(course):
    text = feedback(course, "classic-mistakes")
    hidden = re.findall(r"points on hidden inputs\n(.*?)(?=3\.1/|In \[)", text, re.S)
    assert len(hidden) > 5
    for report in hidden:
        assert "✗" in report
        assert "Smallest failing input" not in report
        assert "Expected" not in report


def test_nothing_runs_where_nothing_confines_it(monkeypatch):
    monkeypatch.setattr(doctor, "probe", lambda: confinement.Sandbox("none"))
    monkeypatch.delenv("LMLIB_UNSAFE", raising=False)
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(RuntimeError, match="LMLIB_UNSAFE=1"):
        nbgrader_hooks.forkserver.__wrapped__()
