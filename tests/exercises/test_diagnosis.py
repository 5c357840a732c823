"""A student hears the kind of their mistake, also where it is on no list."""

import math

import pytest
import torch

from lmlib.exercises.checks import examine
from lmlib.exercises.diagnosis import describe
from lmlib.exercises.registry import EXERCISES, find_exercise
from tests.exercises.wrong_solutions import WRONG


def test_nine_in_ten_wrong_solutions_hear_their_mistake():
    deaf = []
    for number, (name, words, function) in enumerate(WRONG):
        report = examine(find_exercise(f"3.1/{name}"), function)
        assert report.points < report.exercise.points, (number, name, words)
        text = " ".join(str(report).split())
        if not any(word in text for word in words.split("|")):
            deaf.append(f"{number} {name}, {words}:\n{report}")
    share = 1 - len(deaf) / len(WRONG)
    print(
        f"{len(WRONG) - len(deaf)} of {len(WRONG)} hear their mistake", *deaf, sep="\n"
    )
    assert len(WRONG) >= 40
    assert share >= 0.9


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_each_slip_is_rejected_and_explained(exercise):
    for slip in exercise.slips:
        report = examine(exercise, slip.implementation)
        assert report.points < exercise.points, slip.name
        assert slip.explanation.endswith((".", "?"))
    names = [m.name for m in exercise.known_mistakes]
    assert len(names) == len(set(names))


X = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (X.mT, "axes −2 and −1 of your output are swapped"),
        (X[None], "an axis of size 1 too many"),
        (X * math.sqrt(7), "√`d_k` times"),
        (X / 4, "1/(the size of axis −2 of `x`) times"),
        (X * 1.2345, "times a constant"),
        (X.roll(1, 1), "one place too late along axis −2"),
        (X.roll(-1, 2), "one place too early along axis −1"),
        (X.flip(0), "runs backwards along axis −3"),
        (X[:, [2, 0, 3, 1]], "another order along axis −2"),
        (X.half(), "float16"),
        (X.bfloat16(), "bfloat16"),
        (
            torch.cat((X[:1], torch.randn(2, 4, 5))),
            "Only the first entry along axis −3",
        ),
        (
            X + torch.tensor([0, 0, 0, 0, 1.0]),
            "Only the last entry along axis −1 is wrong",
        ),
        (X + X.square() + 1, None),
        (X.double(), None),  # right, but for its dtype
    ],
)
def test_what_can_be_seen(got, words):
    said = describe(got, X.double(), {"x": torch.zeros(2, 4, 9) + 3, "d_k": 7})
    assert said is None if words is None else words in said


MARKS = torch.rand(3, 8, generator=torch.Generator().manual_seed(1)) < 0.4


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (~MARKS, "changed places"),
        (MARKS & (torch.arange(8) > 3), "some places are missing"),
        (MARKS | (torch.arange(8) > 3), "you mark other places too"),
        (MARKS.roll(1, 1), "as many places as you should"),
    ],
)
def test_what_can_be_seen_of_marks(got, words):
    assert words in describe(got, MARKS, {})


def test_what_is_equal_but_for_its_type_is_not_called_rounded():
    assert describe(MARKS.long(), MARKS, {}) is None


def test_a_single_number_is_not_called_a_multiple_of_another():
    assert describe(torch.tensor(1.2), torch.tensor(1.0), {}) is None


def test_a_residual_is_named():
    x = torch.ones(3, 4, 5)
    assert "plus `x`" in describe(X + x, X, {"x": x})


def test_different_wrong_answers_are_not_called_the_same_mistake():
    answers = {"scaled": "A", "ceiling": 8, "variance": 4096, "half": 30}
    report = examine(find_exercise("3.1/read_the_plot"), lambda: answers)
    assert "The same mistake" not in str(report)


def test_rounding_does_not_sum_to_between_1_and_1():
    def half_precision(query, key):
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        return torch.softmax(scores.half(), dim=-1).to(query.dtype)

    report = examine(find_exercise("3.1/attention_weights"), half_precision)
    assert report.points == 0
    assert "between" not in str(report)


@pytest.mark.parametrize("blank", [lambda w, some: w * some, lambda w, some: w])
def test_a_softmax_by_logsumexp_is_told_where_it_loses_digits(blank):
    def masked_attention_weights(scores, mask):
        scores = scores.masked_fill(~mask, -math.inf)
        weights = (scores - scores.logsumexp(-1, keepdim=True)).exp().nan_to_num()
        return blank(weights, mask.any(-1, keepdim=True))

    exercise = find_exercise("3.1/masked_attention_weights")
    told = " ".join(str(examine(exercise, masked_attention_weights)).split())
    assert "subtracts the row's maximum first" in told
