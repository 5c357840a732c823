"""Cells are read out of bytes of any kind, or it is said why they are none."""

import json

import nbformat
import pytest

from tests.grading import sample_class
from tests.grading.submissions.samples import (
    ANSWERS,
    TEXT,
    answers,
    as_bytes,
    cell,
    filled,
)

# -- Formats --------------------------------------------------------------------------


@pytest.mark.parametrize("minor", [0, 1, 2, 3, 4, 5, 6, 99, "x", None])
def test_every_minor_version_of_format_4(hand_in, minor):
    notebook = filled() | {"nbformat_minor": minor}
    if minor in range(5):
        for c in notebook["cells"]:
            del c["id"]
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()
    assert (submission.notebook.nbformat, submission.notebook.nbformat_minor) == (4, 5)


@pytest.mark.parametrize("version", [2, 3])
def test_old_formats_are_converted(hand_in, version):
    notebook = sample_class.fill(ANSWERS)
    for c in notebook.cells:
        if c.cell_type == "code":
            c.outputs = [nbformat.v4.new_output("stream", text="hello")]
    old = nbformat.convert(notebook, 3)
    if version == 2:  # which differs in what it does not have
        old.nbformat = 2
    submission = hand_in(json.dumps(old).encode())
    assert answers(submission) == ANSWERS
    assert submission.repairs[-1] == (
        f"The notebook had the old format {version}; it was converted to 4."
    )


@pytest.mark.parametrize("version", [1, 2, 3, 0, -1, 5, 10**30, True, "4", None, 4.5])
@pytest.mark.parametrize("body", ["cells", "worksheets"])
def test_any_version_over_any_body_is_a_submission(hand_in, version, body):
    notebook = filled() | {"nbformat": version}
    notebook[body] = notebook.pop("cells")
    submission = hand_in(notebook)
    if version == 5:
        assert "format 5; only formats up to 4" in submission.reason


@pytest.mark.parametrize("version", [None, 0, 1, 2, 3, 99, "three"])
def test_nbgrader_schemas(hand_in, version):
    notebook = filled()
    for c in notebook["cells"]:
        if nbgrader := c["metadata"].get("nbgrader"):
            nbgrader["schema_version"] = version
            if version is None:
                del nbgrader["schema_version"], nbgrader["task"]
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    said = "".join(submission.repairs)
    assert ("older version of nbgrader" in said) == (version not in (3, 99))
    assert ("newer version of nbgrader" in said) == (version == 99)
    metadata = [c.metadata.get("nbgrader") for c in submission.notebook.cells]
    assert {m["schema_version"] for m in metadata if m} == {3}


def test_no_kernelspec(hand_in):
    submission = hand_in(filled() | {"metadata": {}})
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "The notebook did not name its kernel; it was run with Python 3.",
    )
    assert submission.notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}},
        {
            "kernelspec": {"name": "ir", "display_name": "R"},
            "language_info": {"name": "R"},
        },
    ],
)
def test_another_language(hand_in, metadata):
    reason = hand_in(filled() | {"metadata": metadata}).reason
    assert reason.startswith("The notebook runs in another language than Python: its")
    assert "kernel is `R`" in reason


def test_large_outputs_attachments_and_widgets_are_dropped(hand_in):
    notebook = filled()
    png = {"output_type": "display_data", "data": {"image/png": "A" * (19 << 20)}}
    cell(notebook, "given_plot")["outputs"] = [png]
    notebook["cells"][0]["attachments"] = {"a.png": {"image/png": "AAAA"}}
    notebook["metadata"]["widgets"] = {"a": ["b"] * 1000}
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()
    assert len(nbformat.writes(submission.notebook)) < 60_000


# -- JSON -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "The file is empty (0 bytes)"),
        (b" \n\n", "The file is empty (3 bytes)"),
        (b"\0" * 100, "not a notebook"),
        (b"[]", "is JSON, but not a notebook"),
        (b"{}", "is JSON, but not a notebook"),
        (b"3", "is JSON, but not a notebook"),
        (b'{"nbformat": 4}', "is a notebook without cells"),
        (b'{"nbformat": 4, "cells": {}}', "is a notebook without cells"),
        (b'{"nbformat": 4, "cells": []}', "has no cells"),
        (b"print('hello')", "is not a notebook (.ipynb)"),
        (b"<!DOCTYPE html><html>", "is a web page, not a notebook"),
        (b"%PDF-1.7 ...", "is a PDF, not a notebook"),
        (b"PK\x03\x04 ...", "is a zip archive, not a notebook"),
        (b"\x7fELF\x02\x01\x01", "is not a notebook"),
        (TEXT.encode()[:-200], "breaks off in line 1"),
        (TEXT.encode()[:5000], "breaks off in line 1"),
        (TEXT.encode() + b"}", "is damaged in line 1, column"),
        (TEXT.replace(",", ",,", 1).encode(), "is damaged in line 1, column"),
        (b"{\n<<<<<<< HEAD\n=======\n>>>>>>> x", "marks of a git merge conflict"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 50_000 + b"]" * 50_000, "nested too deeply"),
        (b"[" + b"{}," * 3_000_000 + b"{}]", "holds too much data"),
    ],
)
def test_not_a_notebook(hand_in, data, said):
    submission = hand_in(data)
    assert submission.notebook is None
    assert said in submission.reason


def test_deep_nesting_in_places_that_do_not_matter(hand_in):
    for depth in (100, 500, 900, 100_000):
        deep = b"[" * depth + b"]" * depth
        data = as_bytes(filled())[:-1] + b', "extra": ' + deep + b"}"
        submission = hand_in(data)
        assert submission.reason or answers(submission) == ANSWERS
        data = as_bytes(filled()).replace(b'"metadata": {}', b'"metadata": ' + deep, 1)
        submission = hand_in(data)
        assert submission.reason or answers(submission) == ANSWERS


@pytest.mark.parametrize("value", ["1" * 100_000, "-1e999", "NaN", "-Infinity"])
def test_odd_numbers(hand_in, value):
    notebook = filled()
    for c in notebook["cells"]:
        c["metadata"].get("nbgrader", {})["points"] = "HERE"
    notebook["nbformat_minor"] = "HERE"
    data = json.dumps(notebook).replace('"HERE"', value).encode()
    assert answers(hand_in(data)) == ANSWERS
    hand_in(TEXT.replace('"nbformat": 4', f'"nbformat": {value}').encode())


def test_duplicate_keys(hand_in):
    data = TEXT.replace("{", '{"cells": [], "a": 1, ', 1).encode()
    submission = hand_in(data)
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "Parts of the file were there twice under one name (`cells`); the last one "
        "counts, as it does in Jupyter.",
    )


def test_lone_surrogates_and_nul(hand_in):
    notebook = filled()
    cell(notebook, "merge_heads")["source"] += "  # \ud800 \0 \udfff"
    submission = hand_in(notebook)
    expected = ANSWERS["merge_heads"] + "  # \ufffd \ufffd \ufffd"
    assert answers(submission)["merge_heads"] == expected
    assert "characters that do not exist" in submission.repairs[0]
    notebook = filled()
    cell(notebook, "merge_heads")["metadata"]["nbgrader"]["grade_id"] = "\ud800"
    notebook["\ud800"] = 1
    assert answers(hand_in(notebook)) == ANSWERS


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "UTF-16-BE"),
        ("utf-32", "UTF-32"),
        ("latin-1", "LATIN-1"),
    ],
)
def test_encodings(hand_in, encoding, name):
    notebook = filled()
    cell(notebook, "merge_heads")["source"] += "  # naïve"
    text = json.dumps(notebook, ensure_ascii=False)
    data = text.encode(encoding, errors="replace")
    submission = hand_in(data)
    assert answers(submission)["merge_heads"].endswith("# naïve")
    said = "".join(submission.repairs)
    assert (f"it was read as {name}." in said) if name else said == ""


def test_line_ends_of_windows(hand_in):
    notebook = filled()
    for c in notebook["cells"]:
        c["source"] = "".join(c["source"]).replace("\n", "\r\n")
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()
