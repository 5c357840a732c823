"""What attacks the examiner and the pages gets its exact mark, and no page lies."""

import resource

import pytest

from lmlib.grading import batch
from lmlib.grading.results import report
from tests.hostile import course
from tests.hostile.cases import RIGHT, RIGHT_SUM
from tests.hostile.trusted import ATTACKS, SECRET


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """All attacks and two honest neighbours, in one run; the largest examiner, too."""
    folder = tmp_path_factory.mktemp("trusted")
    class_ = [
        course.submission(a.name, a.double, a.mean, a.weighted_sum) for a in ATTACKS
    ]
    for place in (0, len(class_) // 2):
        honest = course.submission(f"honest {place}", RIGHT, course.MEAN, RIGHT_SUM)
        class_.insert(place, honest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMLIB_COURSE_SECRET", course.SECRET)
        records = batch.grade(
            class_, course.SOURCE, folder / "records", jobs=2, limits=course.LIMITS
        )
    return {record.student: record for record in records}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_gets_exactly_its_mark(graded, attack):
    record = graded[attack.name]
    assert tuple(cell.points for cell in record.cells) == attack.points, record
    assert record.state == attack.state, record
    assert "grader itself failed" not in record.reason
    lost = [c.output for c in record.cells if c.points < c.max_points]
    assert attack.says in (lost or [""])[0]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_pages_tell_no_hidden_input_and_no_mark_that_is_not(graded, attack):
    record = graded[attack.name]
    said = "\n".join(cell.output for cell in record.cells)
    assert SECRET not in said
    assert SECRET not in " ".join((record.reason, *record.needs_person))
    for cell in record.cells:
        lines = report.output_lines(cell.output)
        green = [line for kind, _, line in lines if kind == "passed"]
        # Each part once for the visible inputs and once for the hidden ones.
        assert len(green) == (4 if cell.max_points == 2 == cell.points else 0), green
    assert len(report.feedback_page(record)) < 2 << 20


def test_the_real_report_is_there_and_last(graded):
    for attack in ATTACKS:
        output = graded[attack.name].cells[2].output
        if attack.name.startswith("a report in"):
            assert (
                output.rstrip()
                .rpartition("points on hidden inputs")[0]
                .endswith("3.1/weighted_sum: 0 of 2 ")
            ), output


def test_neighbours_lose_nothing(graded):
    honest = [r for name, r in graded.items() if name.startswith("honest")]
    assert [record.points for record in honest] == [4.0, 4.0]


def test_an_examiner_cannot_take_the_machines_memory(graded):
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    assert most < 3 << 30


def test_there_are_three_of_each_kind():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 53
