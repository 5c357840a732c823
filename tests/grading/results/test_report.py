"""Reports: right numbers, nothing of a student's unescaped, nothing hidden shown."""

import csv
import html
import inspect
import io
import re
import subprocess
import sys
from dataclasses import fields, replace
from html.parser import HTMLParser

import numpy as np
import pytest

from lmlib.grading.contest import scores
from lmlib.grading.contest.entries import Outcome, Run
from lmlib.grading.results import item_analysis, report, report_plots
from lmlib.grading.results.record import CellResult, Record
from lmlib.grading.results.similarity import Pair
from lmlib.grading.results.text import CHARACTERS, one_line, shown
from tests.grading import sample_class, sample_records

NAME = sample_class.ASSIGNMENT


@pytest.fixture(scope="module")
def records():
    return sample_records.made_up()


@pytest.fixture(scope="module")
def folder(records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    for record in records:
        report.write_feedback(record, folder)
    report.write_class(records, folder, sample_records.boilerplate())
    return folder


class Page(HTMLParser):
    """What a browser would see: the tags, their attributes, the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th", "dd"):
            self.text += " "

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] != "style":
            self.text += data


def cell(name, points, full, **changes) -> CellResult:
    state = "passed" if points == full else "failed"
    return replace(
        CellResult(f"test_{name}", float(points), float(full), state), **changes
    )


def marked(student, *points) -> Record:
    cells = tuple(cell(f"e{k}", p, 4) for k, p in enumerate(points))
    return Record(student, "x", "graded", cells=cells)


# -- One student ----------------------------------------------------------------------


def test_feedback_page_says_what_passed_and_what_failed_and_why(records):
    record = next(r for r in records if r.state == "failed tests" and r.points > 10)
    page = Page(report.feedback_page(record))
    assert f"{record.points:g} of {record.max_points:g} points" in page.text
    for result in record.cells:
        for line in result.output.splitlines():
            assert line in page.text
    for exercise in sample_records.EXERCISES:
        assert exercise.title in page.text
        failed = next(
            c for c in record.cells if c.grade_id == f"test_{exercise.short_name}"
        )
        for hint in exercise.hints:
            words = re.sub(r"[`*]", "", hint)[:40]
            shown_here = words in page.text.replace("*", "")
            assert shown_here == (failed.state != "passed"), hint
    for _, source in record.answers:
        assert source.strip() in page.text


def test_hints_are_folded(records):
    record = next(r for r in records if r.state == "failed tests")
    text = report.feedback_page(record)
    outside = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert "Hint 1 of" in text
    assert "Hint" not in outside
    assert "<details open" not in text


def test_state_reason_and_repairs_are_told(records):
    for record in records:
        page = Page(report.feedback_page(record))
        assert report.STATE_SAYS[record.state] in page.text
        assert record.reason in page.text
        for repair in record.repairs:
            assert repair in page.text
        if record.state in report.NO_MARK:
            assert "no mark" in page.text
            assert not re.search(r"\b0\b.{0,9}of", page.text)


def test_feedback_holds_nothing_for_instructors_alone(records):
    record = replace(
        records[0], needs_person=("LOOKS-COPIED",), fingerprint="FINGER-PRINT"
    )
    text = report.feedback_page(record)
    assert "LOOKS-COPIED" not in text
    assert "FINGER-PRINT" not in text
    for exercise in sample_records.EXERCISES:
        for line in inspect.getsource(exercise.reference).splitlines()[1:]:
            # Written by the student too, or not at all.
            answers = "\n".join(source for _, source in record.answers)
            if len(line.strip()) > 30 and line.strip() not in answers:
                assert line.strip() not in html.unescape(text)
    assert "hidden=True" not in text


def test_unknown_exercises_and_other_cells_are_shown_under_their_names():
    record = Record(
        "s01",
        "9.9-unknown",
        "graded",
        cells=(cell("novel", 1, 2),),
        answers=(("novel", "x = 1"), ("helpers", "y = 2")),
    )
    page = Page(report.feedback_page(record))
    assert "1. novel" in page.text
    assert "x = 1" in page.text
    assert "helpers" in page.text
    assert "y = 2" in page.text


# -- Hostile --------------------------------------------------------------------------

MARK = "Q7Z"
HOSTILE = [
    f"<script>alert('{MARK}')</script>",
    f"</script></pre></style></title><img src=x onerror=alert('{MARK}')>",
    f'" onmouseover="alert(1)" {MARK} x="',
    f"' onfocus='alert(1)' {MARK}",
    f"javascript:alert('{MARK}')",
    f"{{{{ 7*7 }}}}{{% for x in y %}} {MARK}",
    f"<!-- {MARK}",
    f"]]><svg onload=alert(1)> {MARK}",
    f"\x1b[31m{MARK}\x1b]8;;http://evil.example\x07link\x1b[0m",
    f"{MARK} \u202egnirts\u202c\u2066 \u200b\x00\x07\x85\ud800",
    MARK + "A" * 1_000_000,
    f"{MARK}\n" * 20_000,
    f"&lt;b&gt;{MARK}&#x3c;",
    f"*{MARK}* `<b>` [{MARK}](javascript:alert(1))",
]


def hostile(text: str) -> Record:
    result = CellResult(
        grade_id=text,
        points=1.0,
        max_points=2.0,
        state=text,
        output=text,
        misconceptions=(text,),
    )
    known = replace(result, grade_id="test_split_heads", state="failed")
    record = Record(
        student=text,
        assignment=text,
        state="failed tests",
        reason=text,
        cells=(result, known),
        repairs=(text, text),
        answers=((text, text), ("split_heads", text), ("helper", f"x = '{text}'")),
        needs_person=(text,),
        fingerprint=text,
        platform=text,
        comments=((text, text), ("split_heads", text)),
        name=text,
        email=text,
        handed_in=text,
        marked_late=True,
        due=text,
        late=1.0,
        penalty=1.0,
        group=text,
        contest=scores.as_text(Outcome(1, (Run(text, 1, 1, text),), text)),
    )
    assert all(getattr(record, f.name) for f in fields(record) if f.name != "seconds")
    return record


ALLOWED = re.compile(
    "html|head|meta|title|style|body|main|header|div|p|h1|h2|h3|small|ul|li|table|tr|"
    "th|td|a|span|article|pre|code|details|summary|em|br|b|dl|dt|dd|"
    "svg|g|defs|path|use|text|clippath|rect|circle"
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_of_a_student_reaches_a_page_unescaped(text, monkeypatch):
    # A plot shows numbers alone, and takes its time.
    for name in ("marks", "items", "time"):
        monkeypatch.setattr(report_plots, name, lambda _: None)
    record = hostile(text)
    other = replace(record, student="s01", assignment=NAME)
    pairs = [Pair(text, "s01", 99, 1.0, (text,))]
    pages = {
        "one": report.feedback_page(record),
        "other": report.feedback_page(other),
        "class": report.class_page([record, other], pairs),
    }
    for content in pages.values():
        content.encode()
        assert len(content) < 400_000
        for character in "\x00\x07\x1b\u202e\u202c\u2066\u200b\x85":
            assert character not in content
        page = Page(content)
        assert all(ALLOWED.fullmatch(tag) for tag, _ in page.tags)
        for tag, attributes in page.tags:
            assert not any(name.startswith("on") for name in attributes)
            assert tag == "meta" or "x" not in attributes or MARK not in str(attributes)
            for link in ("href", "xlink:href", "src", "action"):
                target = attributes.get(link) or "#"
                assert target.startswith(("#", "feedback/")), target
        assert MARK in page.text or text.startswith("<!--")


def test_hostile_names_make_files_in_their_folder_alone(tmp_path):
    records = [hostile(HOSTILE[1]), replace(hostile(HOSTILE[9]), assignment=NAME)]
    for record in records:
        report.write_feedback(record, tmp_path)
    report.write_class(records, tmp_path)
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) == 4
    assert all(path.suffix in (".html", ".csv") for path in made)
    assert {p.parent for p in made} == {tmp_path, tmp_path / "feedback"}


@pytest.mark.parametrize(
    "student", ["../up", "/etc/x", ".", "..", ".hidden", "a/b", "ü"]
)
def test_pages_stay_in_their_folder(student, tmp_path):
    name = report.file_name(student)
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert not name.startswith(".")
    assert name.isascii()


def test_what_is_cut_is_said():
    assert shown("a" * 501).endswith(
        "a … (1 more characters in this line are not shown.)"
    )
    assert shown("a\n" * 500).endswith("… (101 more lines are not shown.)")
    long = "word " * CHARACTERS
    assert shown(long).endswith(
        f"({len(long) - CHARACTERS} more characters are not shown.)"
    )
    assert shown("\x1b[1;31mred\x1b[0m\r\nblue") == "red\nblue"
    assert shown("a\u202eb\x00") == "a⟨U+202E⟩b⟨U+0000⟩"
    assert shown("√d_k ✓ é 中 \t") == "√d_k ✓ é 中 \t"


def test_pages_need_no_network_and_no_script(folder):
    for path in folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "default-src 'none'" in text
        assert not re.search(r"(src|href)=\"(?!#|feedback/)", text), path
        assert not re.search(r"url\((?!#)", text)
        assert "prefers-color-scheme: dark" in text


# -- The class ------------------------------------------------------------------------


def test_item_rest_is_numpys_correlation_without_the_item(records):
    found = {item.name: item for item in item_analysis.items(records)}
    rows = [r for r in records if r.state not in report.NO_MARK]
    table = np.array([[c.points for c in r.cells] for r in rows])
    for k, exercise in enumerate(sample_records.EXERCISES):
        item = found[exercise.short_name]
        rest = np.delete(table, k, axis=1).sum(axis=1)
        expected = np.corrcoef(table[:, k], rest)[0, 1]
        assert item.discrimination == pytest.approx(expected)
        share = table[:, k].mean() / exercise.points
        assert item.mean_share == pytest.approx(share)
        assert item.n == len(rows) == 37


def test_discrimination_by_hand():
    # Points (0, 4, 4) and (0, 2, 4), less their means: the products sum to 8, the
    # squares to 32/3 and to 8, and 8 / √(32/3 · 8) = √3 / 2.
    first, second = item_analysis.items(
        [marked("a", 0, 0), marked("b", 4, 2), marked("c", 4, 4)]
    )
    assert first.discrimination == pytest.approx(3**0.5 / 2)
    assert second.discrimination == pytest.approx(3**0.5 / 2)
    assert (first.mean_share, first.full, first.none) == (pytest.approx(2 / 3), 2, 1)
    low, _ = item_analysis.items(
        [marked("a", 0, 4), marked("b", 2, 2), marked("c", 4, 0)]
    )
    assert low.discrimination == pytest.approx(-1)


@pytest.mark.parametrize(
    ("class_", "why_not"),
    [
        ([(4, 0), (2, 4)], "fewer than three marks"),
        ([(4, 0), (4, 4), (4, 2)], "everybody has the same points"),
        ([(4, 1), (2, 1), (0, 1)], "everybody has the same points elsewhere"),
    ],
)
def test_no_discrimination_is_not_a_number_but_a_reason(class_, why_not):
    records = [marked(f"s{i}", *points) for i, points in enumerate(class_)]
    item = item_analysis.items(records)[0]
    assert item.discrimination is None
    assert item.why_not == why_not
    text = report.class_page(records)
    assert why_not in text
    assert "nan" not in text.lower()


def test_misconceptions_are_counted_once_a_student_and_explained(records):
    found = item_analysis.mistakes(records)
    counts = [m.count for m in found]
    assert counts == sorted(counts, reverse=True)
    expected: dict[str, int] = {}
    for record in records:
        for result in record.cells:
            for name in result.misconceptions:
                expected[name] = expected.get(name, 0) + 1
    assert {m.name: m.count for m in found} == expected
    top = found[0]
    assert top.count == max(expected.values())
    assert top.explanation
    assert report.authored(top.explanation) in report.class_page(records)


def test_those_who_need_a_person_come_first_with_the_reason(folder, records):
    page = Page((folder / "class.html").read_text())
    assert page.text.index("Needs a person") < page.text.index("Common mistakes")
    needing = page.text[page.text.index("Needs a person") :].split("Marks")[0]
    for student, reason in [
        ("s15", "it ends in the middle of a cell"),
        ("s05", "The test of Multi-head attention did not end."),
        ("s10", "The test of Rotary positions did not end."),
        ("s30", "A thread was still running"),
        ("s12", "Near-identical to s27."),
        ("s27", "Near-identical to s12."),
    ]:
        assert reason in needing.split(student, 1)[1]
    assert "No submission (2): s21, s34." in re.sub(r"\s+", " ", needing)
    listed = [r.student for r, _ in report.for_a_person(records, [])]
    assert listed == ["s15", "s10", "s05", "s30"]


def test_class_page_counts_states_and_summarises(folder, records):
    text = re.sub(r"\s+", " ", Page((folder / "class.html").read_text()).text)
    for state, count in {
        "graded": 1, "failed tests": 34, "timed out": 1, "crashed": 1,
        "malformed": 1, "missing": 2,
    }.items():  # fmt: skip
        assert sum(r.state == state for r in records) == count
        assert f" {state} {count} " in text
    points = [r.points for r in records if r.state not in report.NO_MARK]
    assert f"median, of 36 points {np.median(points):g}" in text
    assert f"all between {min(points):g} and {max(points):g}" in text


def test_plots_take_the_colours_of_the_page_and_are_the_same_each_time(records):
    text = report.class_page(records)
    assert text == report.class_page(records)
    plots = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(plots) == 3
    for plot in plots:
        assert 'role="img" aria-label="' in plot
        assert "currentColor" in plot
        assert "var(--accent)" in plot
        assert not re.search(r"#(?!0{6}|f{6})[0-9a-f]{6}", plot)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text):
        assert "".join(target) in ids


@pytest.mark.parametrize("n", [0, 1, 2])
def test_small_classes(n):
    page = report.class_page([marked(f"s{i}", 4, 0) for i in range(n)])
    assert ("No submission has a mark" in page) == (n == 0)
    missing = [Record("s01", NAME, "missing"), Record("s02", NAME, "malformed")]
    assert "No submission has a mark" in report.class_page(missing)


# -- The spreadsheet ------------------------------------------------------------------


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_csv_has_a_row_a_student_and_no_mark_is_not_zero(folder, records):
    text = (folder / "marks.csv").read_text(encoding="utf-8-sig")
    found = rows(text)
    assert [row["student"] for row in found] == sorted(r.student for r in records)
    by_student = {row["student"]: row for row in found}
    for record in records:
        row = by_student[record.student]
        assert row["state"] == record.state
        assert row["reason"] == record.reason
        if record.state in report.NO_MARK:
            assert row["points"] == row["split_heads"] == ""
        else:
            assert float(row["points"]) == record.points
            assert float(row["max_points"]) == 36
            for result in record.cells:
                name = result.grade_id.removeprefix("test_")
                assert float(row[name]) == result.points


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n@x", "＝1", "\x00=1"],
)
def test_no_cell_is_a_formula(text):
    record = Record(
        text, NAME, "graded", text, cells=(replace(cell("x", 1, 2), grade_id=text),)
    )
    body = report.marks_csv([record]).removeprefix("\ufeff")
    for row in csv.reader(io.StringIO(body)):
        for value in row:
            assert not value or value[0].isalnum() or value[0] in "'⟨", value
            assert "\n" not in value


def test_files_are_written_in_one_step(tmp_path, records, monkeypatch):
    path = tmp_path / "marks.csv"
    path.write_text("before")

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="disk full"):
        report._write(path, "after")
    assert path.read_text() == "before"


def test_the_library_and_check_import_none_of_this():
    program = (
        "import sys, lmlib, lmlib.grading;"
        "print([m for m in ('jinja2', 'matplotlib', 'nbgrader', 'pygments') "
        "if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_only_a_line_of_a_report_is_green():
    lines = [
        "  ✓ two queries (1 point)",
        "  ✗ any axes (2 points)",
        "✓ all parts (2 points)",
        "      ✓ all parts (2 points)",
        "  ✓ marked by hand",
        "The cell ✓ a (1 point) stopped",
    ]
    kinds = [kind for kind, _, _ in report.output_lines("\n".join(lines))]
    assert kinds == ["passed", "failed", "plain", "plain", "plain", "plain"]


def test_words_of_a_student_are_one_line_without_marks():
    said = one_line("a\n  ✓ all (1 point)\r\n\u2028✗\x1b[31m\u202eb " + "c" * 600, 60)
    assert said.startswith("a v all (1 point) ")
    assert len(said) == 60
    assert set(said).isdisjoint("\n\r\u2028\u202e\x1b✓✗")


def test_a_page_has_room_for_so_much_of_what_was_added(records):
    record = next(r for r in records if r.has_mark)
    added = tuple((f"cell {n}", "x = [1, 2]\n" * 4_000) for n in range(380))
    page = report.feedback_page(replace(record, answers=(*record.answers, *added)))
    assert len(page) < 4_000_000
    assert page.count("# Not shown: there is too much.") > 370
