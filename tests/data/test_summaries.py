"""Summaries of installed docstrings, and questions about them."""

import pytest

from lmlib.data import summaries
from lmlib.data.documents import Document


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("parse_args", "parse args"),
        ("parseArgs", "parse args"),
        ("_LRScheduler", "lrscheduler"),
        ("__", ""),
        ("get2d__", "get2d"),
    ],
)
def test_names_are_spoken(name, words):
    assert summaries.spoken(name) == words


@pytest.fixture
def docstrings(monkeypatch):
    def make(split):
        assert split == "test"
        texts = {
            "m:A.read_all": "Read all that\nthere is.\n\nMore of it.\n\nAnd more.",
            "m:B.read_all": "Another one of the same name.",
            "m:__init__": "Make a thing of some kind.",
            "m:short": "Too short.",
            "m:": "The module has no name here.",
            "n:long": "word " * 31,
        }
        return [Document(text, name, "stdlib") for name, text in texts.items()]

    monkeypatch.setattr(summaries, "installed_docstrings", make)


def test_a_summary_is_the_first_paragraph(docstrings):
    assert summaries.installed_summaries("test") == [
        summaries.Summary(
            "m", "read all", "Read all that there is.", "More of it.\n\nAnd more."
        )
    ]


def some(module, n):
    return [summaries.Summary(module, f"{module}{i}", "s", "") for i in range(n)]


def test_questions_have_four_names_of_one_module_and_the_right_one_among_them():
    known = [*some("a", 6), *some("b", 3), *some("c", 4)]
    questions = summaries.name_questions(known, 10)
    assert len({q.summary.name for q in questions}) == 10
    for q in questions:
        assert q.summary.module != "b"
        assert q.names[q.right] == q.summary.name
        assert len(set(q.names)) == 4
        assert {name[0] for name in q.names} == {q.summary.module}
    assert {q.right for q in questions} == {0, 1, 2, 3}
    assert questions == summaries.name_questions(known, 10)
    assert questions != summaries.name_questions(known, 10, seed=1)
    with pytest.raises(ValueError, match="at most 10, got 11"):
        summaries.name_questions(known, 11)
