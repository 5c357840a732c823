"""What the tests of submissions share."""

import pytest

from lmlib.grading import assignment
from lmlib.grading.submissions.intake import Submission, collect
from tests.grading import sample_class
from tests.grading.submissions.samples import ASSIGNMENT, as_bytes, assert_plain


@pytest.fixture(scope="session")
def source():
    return assignment.read_source(sample_class.SOLUTION)


@pytest.fixture(autouse=True)
def _nothing_is_written(tmp_path):
    """No test leaves a file that it did not make before `collect` ran."""
    yield
    wrong = [p for p in tmp_path.rglob("*") if p.name in ("evil.ipynb", "evil")]
    assert not wrong


@pytest.fixture
def hand_in(tmp_path, source):
    """Hands in some bytes as alice, and gives what comes of them."""

    def hand_in(data: bytes | dict, name: str = "alice.ipynb") -> Submission:
        folder = tmp_path / "class"
        folder.mkdir(exist_ok=True)
        data = as_bytes(data) if isinstance(data, dict) else data
        (folder / name).write_bytes(data)
        (submission,) = collect(folder, ASSIGNMENT, source)
        assert submission.student == "alice"
        assert_plain(submission)
        return submission

    return hand_in
