"""Records survive the disk, and half a record is none."""

import pytest

from lmlib.grading.results.record import CellResult, Record

RECORD = Record(
    "s01",
    "3.1-self-attention",
    "failed tests",
    cells=(CellResult("test_a", 1.5, 2.0, "failed", "why", 0.1, ("unscaled",)),),
    repairs=("mended",),
    answers=(("a", "x = '\ud800漢'"),),
    needs_person=("look",),
)


def test_record_comes_back_as_it_was(tmp_path):
    RECORD.write(tmp_path / "r.json")
    assert Record.from_json((tmp_path / "r.json").read_text()) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
    assert (RECORD.points, RECORD.max_points) == (1.5, 2.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", RECORD.to_json()[:-40], "null"])
def test_anything_else_is_no_record(text):
    with pytest.raises(ValueError):  # noqa: PT011  (of json, or ours)
        Record.from_json(text)
