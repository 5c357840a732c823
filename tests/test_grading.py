"""nbgrader itself on a class: exactly the expected marks, and useful feedback."""

import html
import re

import pytest

from tests import sample_class


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return tmp_path_factory.mktemp("class") / "course"


@pytest.fixture(scope="module")
def points(course):
    return sample_class.grade(course)


def feedback(course, student: str) -> str:
    name = sample_class.ASSIGNMENT
    page = (course / "feedback" / student / name / f"{name}.html").read_text()
    return html.unescape(re.sub(r"<[^>]+>", "", page))


@pytest.mark.parametrize("student", sample_class.MARKS)
def test_marks_are_exactly_the_expected_ones(points, student):
    assert points[student] == sample_class.MARKS[student]


def test_class_is_large_enough_and_complete(points):
    assert len(points) >= 12
    assert set(points) == set(sample_class.MARKS)


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
def test_feedback_shows_no_hidden_input(course):
    text = feedback(course, "classic-mistakes")
    hidden = re.findall(r"points on hidden inputs\n(.*?)(?=3\.1/|In \[)", text, re.S)
    assert len(hidden) > 5
    for report in hidden:
        assert "✗" in report
        assert "Smallest failing input" not in report
        assert "Expected" not in report
