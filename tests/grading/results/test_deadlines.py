"""Times with their zones, extensions, and lateness in words."""

from datetime import UTC, datetime

import pytest

from lmlib.grading.results import deadlines


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-12-01T23:59+08:00", "2026-12-01T15:59"),
        ("2026-12-01 23:59 Europe/Berlin", "2026-12-01T22:59"),
        ("2026-07-01 23:59 Europe/Berlin", "2026-07-01T21:59"),  # in summer
        ("2026-12-01T23:59Z", "2026-12-01T23:59"),
        ("2026-12-01 23:59:00 UTC", "2026-12-01T23:59"),
    ],
)
def test_a_time_is_that_of_its_zone(text, utc):
    found = deadlines.in_utc(deadlines.moment(text))
    assert found == datetime.fromisoformat(utc)
    assert deadlines.in_zone(found, "UTC") == found.replace(tzinfo=UTC).isoformat()


@pytest.mark.parametrize(
    "text",
    ["2026-12-01T23:59", "2026-12-01", "tomorrow", "", "2026-12-01 23:59 Mars/Base",
     "2026-13-01T23:59Z", "2026-12-01 23:59 ../../etc/passwd"],
)  # fmt: skip
def test_a_time_without_its_zone_is_none(text):
    with pytest.raises(ValueError, match="with its time zone, such as"):
        deadlines.moment(text)


def test_extensions_are_read_and_a_bad_line_is_named(tmp_path):
    assert deadlines.read_extensions(tmp_path) == {}
    file = tmp_path / "extensions.csv"
    file.write_text(
        "\ufeffstudent,assignment,due\nann, 3.1-self-attention, 2026-12-03T12:00Z\n"
    )
    assert deadlines.read_extensions(tmp_path) == {
        ("3.1-self-attention", "ann"): datetime(2026, 12, 3, 12, tzinfo=UTC)
    }
    for text, words in (
        ("ann,3.1-self-attention,2026-12-03T12:00Z\n", "line 1: the columns must be"),
        ("student,assignment,due\nann,a,2026-12-03T12:00Z\nbob,a,soon\n", "line 3: "),
        ("student,assignment,due\nann\n", "line 2: '' is not a time"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=words) as error:
            deadlines.read_extensions(tmp_path)
        assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (59, "59 s"), (60, "1 min"), (3 * 3600 + 120, "3 h 2 min"),
     (86400, "1 day"), (2 * 86400 + 3 * 3600 + 120, "2 days 3 h")],
)  # fmt: skip
def test_lateness_in_words(seconds, words):
    assert deadlines.in_words(float(seconds)) == words
