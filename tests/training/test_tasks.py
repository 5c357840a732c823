"""Splits that share nothing, and a test set that opens once."""

import numpy as np
import pytest

from lmlib.data.documents import Labelled
from lmlib.training.tasks import (
    Example,
    HeldOut,
    Task,
    classification,
    read_examples,
    task_data,
)

EXAMPLES = [Example(f"text {i % 80}", i % 2) for i in range(100)]


def test_parts_are_apart_whole_and_seeded():
    task = task_data("classification", EXAMPLES, ("a", "b"), valid=0.2, test=0.1)
    parts = [task.train, task.valid, task.test.open()]
    texts = [{e.text for e in part} for part in parts]
    assert [len(t) for t in texts] == [56, 16, 8]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]
    assert sum(map(len, parts)) == 100  # equal texts stay together
    again = task_data("classification", EXAMPLES, ("a", "b"), valid=0.2, test=0.1)
    assert again.train == task.train


def test_a_seed_decides_which_are_learned_from_and_never_which_are_tested():
    tasks = [task_data("classification", EXAMPLES, ("a", "b"), seed=s) for s in (0, 1)]
    one, other = tasks
    assert one.valid == other.valid
    assert one.test.open() == other.test.open()
    assert one.train != other.train
    assert set(one.train) == set(other.train)
    # More lines in the file: what was tested on before is not learned from.
    more = [*EXAMPLES, Example("one more", 0)]
    longer = task_data("classification", more, ("a", "b"))
    before = task_data("classification", EXAMPLES, ("a", "b")).test.open()
    held_out = {e.text for e in (*longer.test.open(), *longer.valid)}
    assert {e.text for e in before} <= held_out


def test_fewer_examples_are_among_more():
    few, many = (
        task_data("classification", EXAMPLES, ("a", "b"), n_train=n) for n in (5, 20)
    )
    assert few.train == many.train[:5]
    assert few.valid == many.valid


def test_the_test_set_opens_once():
    held_out = HeldOut(EXAMPLES)
    assert held_out.open() == EXAMPLES
    with pytest.raises(RuntimeError, match="opened already"):
        held_out.open()


def test_labelled_texts_are_shuffled_with_their_labels():
    part = Labelled([str(i) for i in range(50)], np.arange(50) % 3, ("a", "b", "c"))
    task = classification(part, part, part, n_train=20, n_valid=10, seed=3)
    assert len(task.train) == 20
    assert len(task.valid) == 10
    assert all(e.wanted == int(e.text) % 3 for e in task.train)
    assert [e.text for e in task.train] != [str(i) for i in range(20)]


def test_examples_are_read_from_lines_of_json(tmp_path):
    path = tmp_path / "examples.jsonl"
    path.write_text(
        '{"text": "a b", "label": "y", "second": "c"}\n\n{"text": "d", "label": "x"}\n'
    )
    examples, names = read_examples(path, "classification")
    assert names == ("x", "y")
    assert examples == [Example("a b", 1, "c"), Example("d", 0)]
    assert read_examples(path, "generation") == (
        [Example("a b", "y"), Example("d", "x")],
        (),
    )
    path.write_text('{"text": "a b", "label": ["y", "x"]}')
    assert read_examples(path, "tagging") == ([Example("a b", (1, 0))], ("x", "y"))
    # U+2028 ends a line of Python's splitlines and not of JSON; a BOM is no text.
    path.write_text(
        '\ufeff{"text": "a\u2028b", "label": "x"}\n{"text": "c", "label": 1}', "utf-8"
    )
    examples, names = read_examples(path, "classification")
    assert names == ("1", "x")
    assert examples == [Example("a\u2028b", 1), Example("c", 0)]
    path.write_text('{"text": "a", "label": "x"}\nno json')
    with pytest.raises(ValueError, match="line 2: expected"):
        read_examples(path, "classification")


def test_examples_are_read_from_tables(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text('label,text\n good,"a, b"\nbad,c\n')
    examples, names = read_examples(table, "classification")
    assert names == ("bad", "good")
    assert examples == [Example("a, b", 1), Example("c", 0)]
    examples, _ = read_examples(table, "classification", ("label", "text"))
    assert examples == [Example(" good", 0), Example("bad", 1)]
    assert read_examples(table, "generation")[0][0] == Example("a, b", " good")
    pairs = tmp_path / "a.tsv"
    pairs.write_text("premise\thypothesis\tgold\na\tb\tyes\nc\td\tno\n")
    columns = ("premise", "hypothesis", "gold")
    examples, names = read_examples(pairs, "pairs", columns)
    assert names == ("no", "yes")
    assert examples == [Example("a", 1, "b"), Example("c", 0, "d")]
    tags = tmp_path / "tags.csv"
    tags.write_text("text,label\nAnn left,name other\n")
    assert read_examples(tags, "tagging") == (
        [Example("Ann left", (0, 1))],
        ("name", "other"),
    )
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"review": "a", "mood": 1}\n{"review": "b", "mood": 2}\n')
    examples, names = read_examples(lines, "classification", ("review", "mood"))
    assert (examples[1], names) == (Example("b", 1), ("1", "2"))


@pytest.mark.parametrize("columns", [("text",), ("a", "b", "c"), ("a", "a"), ("", "b")])
def test_columns_are_those_of_the_kind(tmp_path, columns):
    with pytest.raises(ValueError, match="columns must be names for text, label"):
        read_examples(tmp_path / "none", "classification", columns)


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        ("classification", Example("a", 2)),
        ("classification", Example("a", "b")),
        ("classification", Example("a", 0, "b")),
        ("pairs", Example("a", 0)),
        ("tagging", Example("a b", (0,))),
        ("tagging", Example("a b", (0, 7))),
        ("generation", Example("a", 0)),
    ],
)
def test_examples_of_another_kind_are_refused(kind, example):
    with pytest.raises(ValueError, match=f"is no example of {kind}"):
        Task(kind, ("x", "y"), [example], [example], HeldOut([]))


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("tagging", '{"text": "a b", "label": ["x"]}', "line 1: .* for each word"),
        ("pairs", '{"text": "a", "label": "x"}', 'line 1: .*"second"'),
        ("classification", '{"text": "a", "label": "x"}', "two classes .* got x"),
        ("classification", "", "two classes at least, got none"),
        ("classification", b"\xff", "is not UTF-8"),
        ("classification", '{"text": 1, "label": "x"}', "line 1: expected a text, and"),
        ("classification", '{"text": "a", "label": " "}', "line 1: expected a text"),
        ("tagging", '{"text": "a", "label": [{}]}', "line 1: .* for each word"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, kind, content, words):
    path = tmp_path / "examples.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=words):
        read_examples(path, kind)


def test_examples_of_the_test_set_are_checked_before_the_training():
    for i in range(30):  # wherever it lands
        examples = [Example(f"t {j}", (0, 1)[: 1 + (i != j)]) for j in range(30)]
        with pytest.raises(ValueError, match="is no example of tagging"):
            task_data("tagging", examples, ("a", "b"))


@pytest.mark.parametrize("n", [0, -5])
def test_a_number_of_examples_below_one_is_refused(n):
    with pytest.raises(ValueError, match=f"n_train must be at least 1, got {n}"):
        task_data("classification", EXAMPLES, ("a", "b"), n_train=n)
    part = Labelled(["a", "b"], np.arange(2), ("a", "b"))
    with pytest.raises(ValueError, match=f"n_train must be at least 1, got {n}"):
        classification(part, part, part, n_train=n)


def test_too_few_texts_are_an_error():
    with pytest.raises(ValueError, match="2 different texts are too few"):
        task_data("classification", [Example("a", 0), Example("b", 0)], ("x",))
    with pytest.raises(ValueError, match="train must have an example"):
        Task("classification", ("x",), [], [Example("a", 0)], HeldOut([]))
