"""Near-identical submissions: copies are found, whatever was renamed or reordered."""

import keyword
import random
import re
import time
from dataclasses import replace
from functools import cache

import nbformat
import pytest

from lmlib.exercises.self_attention import other_solutions
from lmlib.grading.results.record import Record
from lmlib.grading.results.similarity import fingerprints, grams, near_identical, tokens
from tests.grading import sample_class


def record(student: str, answers: dict[str, str]) -> Record:
    return Record(student, "made-up", "graded", answers=tuple(answers.items()))


@cache
def own_way(seed: int) -> dict[str, str]:
    """Ten answers that nobody else would write: random code from a small grammar."""
    draw = random.Random(seed)
    members = ["sum", "exp", "flatten", "softmax", "view", "mean", "roll", "clamp"]

    def expression(depth: int) -> str:
        if depth == 0:
            return draw.choice(["query", "key", "scale", "2", "0.5"])
        kind = draw.randrange(4)
        inner = [expression(depth - 1) for _ in range(2)]
        if kind == 0:
            return f"({inner[0]} {draw.choice('+-*/@')} {inner[1]})"
        if kind == 1:
            return f"{inner[0]}.{draw.choice(members)}({inner[1]})"
        if kind == 2:
            return f"torch.{draw.choice(members)}({inner[0]}, dim={inner[1]})"
        return f"{inner[0]}[{inner[1]}, ...]"

    answers = {}
    for k in range(10):
        lines = [f"def answer_{k}(query, key, scale):"]
        for i in range(draw.randrange(3, 8)):
            lines.append(f"    part_{i} = {expression(2)}")
        lines.append(f"    return {expression(2)}")
        answers[f"answer_{k}"] = "\n".join(lines)
    return answers


def renamed(source: str) -> str:
    """Every name that a student can change has changed, and so have the comments."""

    def other(match: re.Match[str]) -> str:
        name = match.group()
        return name if keyword.iskeyword(name) or name == "torch" else f"my_{name}"

    source = re.sub(r"(?<![.\w])[A-Za-z_]\w*", other, source)
    return "\n\n# quite my own\n".join(source.replace(" = ", "   =  ").split("\n"))


def test_copied_and_renamed():
    copy = {name: renamed(text) for name, text in own_way(0).items()}
    assert all(copy[name] != text for name, text in own_way(0).items())
    class_ = [record(f"s{i}", own_way(i)) for i in range(20)]
    (pair,) = near_identical([*class_, record("copy", copy)])
    assert (pair.first, pair.second) == ("copy", "s0")
    assert pair.share == 1


def test_a_group_is_no_pair_and_who_copies_from_it_is():
    of_group = [replace(record(s, own_way(1)), group="Team A") for s in ("ann", "bob")]
    other = replace(record("cy", own_way(1)), group="Team B")
    pairs = near_identical([*of_group, other, record("dan", own_way(1))])
    found = {(pair.first, pair.second) for pair in pairs}
    assert found == {
        ("ann", "cy"),
        ("bob", "cy"),
        ("ann", "dan"),
        ("bob", "dan"),
        ("cy", "dan"),
    }


def test_copied_and_reordered():
    functions = list(own_way(0).values())
    random.Random(1).shuffle(functions)
    # All in one cell, in another order; the other cells say nothing.
    copy = {"answer_0": "\n\n\n".join(functions)}
    class_ = [record(f"s{i}", own_way(i)) for i in range(20)]
    (pair,) = near_identical([*class_, record("copy", copy)])
    assert {pair.first, pair.second} == {"copy", "s0"}
    assert pair.share > 0.9


def test_copied_in_part_and_padded():
    copy = {
        name: own_way(0 if k < 6 else 99)[name] for k, name in enumerate(own_way(0))
    }
    copy["answer_0"] += "\n" + own_way(77)["answer_3"]
    class_ = [record(f"s{i}", own_way(i)) for i in range(20)]
    (pair,) = near_identical([*class_, record("copy", copy)])
    assert {pair.first, pair.second} == {"copy", "s0"}
    assert set(pair.answers) <= {f"answer_{k}" for k in range(10)}
    # Three answers in ten are no near-identical submission.
    few = {name: own_way(0 if k < 3 else 99)[name] for k, name in enumerate(own_way(0))}
    assert near_identical([*class_, record("few", few)]) == []


def test_same_exercises_solved_independently_are_not_flagged():
    answers = [
        sample_class.solution(),
        sample_class.written_as(other_solutions.einsum_style),
        sample_class.written_as(other_solutions.torch_style),
    ]
    records = [record(f"s{i}", a) for i, a in enumerate(answers)]
    assert near_identical(records) == []
    # And the same answer twice is found among them.
    copy = {name: renamed(text) for name, text in answers[1].items()}
    (pair,) = near_identical([*records, record("copy", copy)])
    assert {pair.first, pair.second} == {"s1", "copy"}


def test_trivial_answers_are_not_flagged():
    trivial = "\n".join(
        f"def f{i}(x, y):\n    z = x + y * {i}\n    return z.sum(dim=-1)"
        for i in range(4)
    )
    assert len(trivial.splitlines()) == 12
    assert (
        near_identical([record("s1", {"a": trivial}), record("s2", {"a": trivial})])
        == []
    )


def test_what_is_released_or_in_the_solution_does_not_count():
    released = nbformat.read(sample_class.STUDENT_NOTEBOOK, as_version=4)
    cells = [cell.source for cell in released.cells if cell.cell_type == "code"]
    two = [record(name, sample_class.solution()) for name in ("s1", "s2")]
    assert len(near_identical(two)) == 1
    assert near_identical(two, [*cells, *sample_class.solution().values()]) == []


def test_what_many_have_does_not_count():
    """As when a teaching assistant has shown it on the board."""
    answers = own_way(0)
    assert len(near_identical([record(f"s{i}", answers) for i in range(3)])) == 3
    assert near_identical([record(f"s{i}", answers) for i in range(8)]) == []


def test_every_shared_run_of_fourteen_tokens_is_found():
    """The guarantee of the paper: k-grams of 10 in windows of 5."""
    draw = random.Random(0)
    for _ in range(200):
        run = " ".join(draw.choice("+-*/%&|^<>") for _ in range(14))
        run = " x ".join(run.split())
        run = " ".join(run.split()[:14])
        left, right = (
            " ".join(draw.choice(["if", "in", "7", "("]) for _ in range(30))
            for _ in range(2)
        )
        assert fingerprints(f"{left} {run} {right}") & fingerprints(f"{right} {run}")
    assert len(fingerprints("+ 1 " * 5)) == 1
    assert grams("+ 1") == []


def test_tokens_of_what_a_student_may_write():
    source = '''
def f(query, *, n=1_000):  # a comment
    """A docstring of
    two lines."""
    name = f'{query}' + "text"
    return self.memory @ query.softmax(-1)
'''
    assert " ".join(tokens(source)) == (
        "def v ( v , * , v = n ) : v = s + s return v .memory @ v .softmax ( - n )"
    ).replace(".memory", ". v")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "'" * 99_999,
        '"""',
        "(" * 50_000,
        "\x00\ud800",
        "def f(:\n  !ls",
        ". " * 40_000,
    ],
)
def test_what_is_not_python_is_read_all_the_same(source):
    start = time.process_time()
    fingerprints(source)
    assert time.process_time() - start < 5


def test_five_hundred_students():
    """Seconds, not minutes: the limit is far above what it takes."""
    class_ = [record(f"s{i}", own_way(i)) for i in range(499)]
    copy = {name: renamed(text) for name, text in own_way(123).items()}
    start = time.process_time()
    (pair,) = near_identical([*class_, record("t", copy)])
    assert time.process_time() - start < 10
    assert (pair.first, pair.second) == ("s123", "t")


def test_of_a_large_notebook_the_answers_are_read_and_then_so_much(monkeypatch):
    read = []
    monkeypatch.setattr(
        "lmlib.grading.results.similarity.fingerprints",
        lambda source: read.append(len(source)) or set(),
    )
    added = {f"cell {n}": "x" * 60_000 for n in range(380)}
    near_identical([record("a", {**added, "answer": "y" * 70_000})])
    assert read[:5] == [50_000] * 4 + [0]
    assert sum(read) == 200_000
