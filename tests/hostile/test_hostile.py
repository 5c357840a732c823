"""Each hostile case gets exactly its mark, harms nobody, and leaves nothing behind."""

import socket
import time

import pytest

from tests.hostile import course
from tests.hostile.cases import CASES


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """All cases and their honest neighbours, in one run of the grader."""
    folder = tmp_path_factory.mktemp("hostile")
    scratch = folder / "tmp"
    scratch.mkdir()
    course.adopt_orphans()
    before = course.forkservers()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(scratch))
        records = course.grade(folder)
    time.sleep(0.2)
    left = {
        "processes": sorted(course.forkservers() - before),
        "files": sorted(str(p) for p in scratch.iterdir()),
        "decoy": course.intact(folder / "decoy"),
        "bytes": sum(path.stat().st_size for path in folder.rglob("*")),
    }
    return records, left


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_gets_exactly_its_mark(graded, case):
    record = graded[0][case.name]
    points = tuple(cell.points for cell in record.cells)
    assert points == case.points, record.to_json()
    assert case.state in ("*", record.state), record.to_json()
    assert case.says in record.cells[0].output, record.cells[0].output


def test_neighbours_get_all_their_points(graded):
    honest = [r for name, r in graded[0].items() if name.startswith("honest")]
    assert len(honest) >= 8
    for record in honest:
        assert (record.state, record.points) == ("graded", 4), record.to_json()


def test_no_process_and_no_file_is_left(graded):
    assert graded[1]["processes"] == []
    assert graded[1]["files"] == []
    assert graded[1]["decoy"]
    assert graded[1]["bytes"] < 4 << 20


def test_there_are_at_least_eighty_cases_with_names_of_their_own():
    assert len({case.name for case in CASES}) == len(CASES) >= 80


def test_decoy_can_be_stolen_by_who_is_not_confined(tmp_path):
    with course.decoy(tmp_path / "decoy") as decoy:
        for name in (f"{decoy}/socket", f"\0{decoy}"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(name)
        assert course.intact(decoy)
        (decoy / "solution.py").write_text("")
        assert not course.intact(decoy)
