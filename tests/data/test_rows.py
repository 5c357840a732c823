"""Rows of files as people have them, and what is said of those that are none."""

import csv

import pytest

from lmlib.data.rows import read_rows

GOOD = [
    (
        "a.csv",
        'text,label\n"a ""fine"" film, they say",good\n\n"two\nlines",bad\n',
        [('a "fine" film, they say', "good", 2), ("two\nlines", "bad", 4)],
    ),
    (
        "a.CSV",
        "\ufeff Label ;id; TEXT\r\ngood;1;a, b\r\nbad;2;c\r\n",
        [("a, b", "good", 2), ("c", "bad", 3)],
    ),
    ("a.csv", "sep=;\ntext;label\na,b;good\n", [("a,b", "good", 3)]),
    ("a.csv", "text\tlabel\na, b\tgood\n", [("a, b", "good", 2)]),
    # With the quotation marks of a spreadsheet, and with those of a text.
    ("a.tsv", 'text\tlabel\n"a\tb"\tgood\n', [("a\tb", "good", 2)]),
    (
        "a.tsv",
        'text\tlabel\n"Yes" he said\tgood\n5" wide\tbad\n"never closed\tbad\n',
        [
            ('"Yes" he said', "good", 2),
            ('5" wide', "bad", 3),
            ('"never closed', "bad", 4),
        ],
    ),
    ("a.csv", "text,label\rold,mac\r", [("old", "mac", 2)]),
    ("a.csv", f"text,label\n{'x' * 200_000},good\n", [("x" * 200_000, "good", 2)]),
    (
        "a.jsonl",
        '{"text": "a\u2028b", "label": "good"}\r\n\n{"label": "bad", "text": ""}',
        [("a\u2028b", "good", 1), ("", "bad", 3)],
    ),
    ("a.txt", '{"text": "a", "label": "b"}', [("a", "b", 1)]),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("name", "content", "rows"), GOOD)
def test_rows_are_read_with_their_lines(tmp_path, name, content, rows, encoding):
    path = tmp_path / name
    path.write_bytes(content.removeprefix("\ufeff").encode(encoding))
    limit = csv.field_size_limit()
    found = read_rows(path, ["text", "label"])
    assert [(r.fields["text"], r.fields["label"]) for r in found] == [
        (text, label) for text, label, _ in rows
    ]
    assert [r.place for r in found] == [f"{path}, line {line}" for *_, line in rows]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "review,mood\na,b\n", 'line 1: there is no column "text" in review'),
        ("a.csv", "text,text,label\na,b,c", 'more than one column "text"'),
        ("a.csv", "text,label\na,good\nb\n", "line 3: expected 2 fields.*got 1"),
        ("a.csv", "text,label\n\n1,2,3\n", "line 3: expected 2 fields.*got 3"),
        ("a.csv", 'text,label\na,b\n"c,d\ne,f\n', "line 3: a quotation mark is not"),
        ("a.csv", 'text,label\n"a"b,c\n', "line 2: ',' expected after"),
        ("a.tsv", "text\tlabel\na\n", "line 2: expected 2 fields"),
        ("a.csv", b"text,label\na,b\n\xff\xfa,c\n", "not UTF-8 at byte 15, line 3"),
        ("a.csv", b"\xff\xfea", "is not the UTF-16 that it begins as"),
        ("a.jsonl", '{"text": "a", "label": 1}\nno', "line 2: expected a JSON object"),
        ("a.jsonl", "[" * 100_000, "line 1: expected a JSON object"),
        ("a.jsonl", '{"text": "a"}', 'line 1: there is no "label"'),
        ("a.jsonl", r'{"text": "\ud83d", "label": 1}', r'1: "text" holds .*\\ud83d'),
        ("a.jsonl", r'{"text": "", "label": ["\udc00"]}', r'"label" holds .*\\udc00'),
    ],
)
def test_what_is_no_row_is_told_by_its_line(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=told):
        read_rows(path, ["text", "label"])


@pytest.mark.parametrize("content", ["", "\n\n", "text,label\n"])
def test_a_table_may_have_no_rows(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    assert read_rows(tmp_path / "a.csv", ["text", "label"]) == []
