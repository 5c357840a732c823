"""Section 6: choices by bits, and what answers and translations are worth."""

import math
from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
    error_type,
    plain_number,
)


def _number(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the number as a float."""
    value = plain_number(function(*args))
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > 10**9:
            raise TypeError("a score is expected, not a number as large as this")
        return float(value)
    return value


# -- multiple_choice ------------------------------------------------------------------


def reference_choice(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    if rule == "sum":
        scores = log_p
    elif rule == "token":
        scores = log_p / n_tokens
    elif rule == "byte":
        scores = log_p / n_bytes
    elif rule == "pmi":
        scores = log_p - prior
    else:
        raise ValueError(f"rule must be sum, token, byte or pmi, got {rule!r}")
    return scores.argmax(dim=1)


def prior_added(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    scores = {
        "sum": log_p,
        "token": log_p / n_tokens,
        "byte": log_p / n_bytes,
        "pmi": log_p + prior,
    }
    if rule not in scores:
        raise ValueError
    return scores[rule].argmax(dim=1)


def divided_by_the_prior(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    scores = {
        "sum": log_p,
        "token": log_p / n_tokens,
        "byte": log_p / n_bytes,
        "pmi": log_p / prior,
    }
    if rule not in scores:
        raise ValueError
    return scores[rule].argmax(dim=1)


def least_likely_chosen(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    scores = {
        "sum": log_p,
        "token": log_p / n_tokens,
        "byte": log_p / n_bytes,
        "pmi": log_p - prior,
    }
    if rule not in scores:
        raise ValueError
    return scores[rule].argmin(dim=1)


def times_the_length(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    scores = {
        "sum": log_p,
        "token": log_p * n_tokens,
        "byte": log_p * n_bytes,
        "pmi": log_p - prior,
    }
    if rule not in scores:
        raise ValueError
    return scores[rule].argmax(dim=1)


def tokens_for_bytes(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    scores = {
        "sum": log_p,
        "token": log_p / n_bytes,
        "byte": log_p / n_tokens,
        "pmi": log_p - prior,
    }
    if rule not in scores:
        raise ValueError
    return scores[rule].argmax(dim=1)


def last_of_equal_ones(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    scores = {
        "sum": log_p,
        "token": log_p / n_tokens,
        "byte": log_p / n_bytes,
        "pmi": log_p - prior,
    }
    if rule not in scores:
        raise ValueError
    return log_p.shape[1] - 1 - scores[rule].flip(1).argmax(dim=1)


def sum_whatever_the_rule(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    scores = {
        "token": log_p / n_tokens,
        "byte": log_p / n_bytes,
        "pmi": log_p - prior,
    }
    return scores.get(rule, log_p).argmax(dim=1)


# Slips: recognised, and not handed in by the tests.


def pmi_for_each_byte(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    scores = {
        "sum": log_p,
        "token": log_p / n_tokens,
        "byte": log_p / n_bytes,
        "pmi": (log_p - prior) / n_bytes,
    }
    if rule not in scores:
        raise ValueError
    return scores[rule].argmax(dim=1)


def best_question_of_each_place(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    scores = {
        "sum": log_p,
        "token": log_p / n_tokens,
        "byte": log_p / n_bytes,
        "pmi": log_p - prior,
    }
    if rule not in scores:
        raise ValueError
    return scores[rule].argmax(dim=0)


def probabilities_divided(
    log_p: Tensor, n_tokens: Tensor, n_bytes: Tensor, prior: Tensor, rule: str
) -> Tensor:
    scores = {
        "sum": log_p,
        "token": log_p.exp() / n_tokens,
        "byte": log_p.exp() / n_bytes,
        "pmi": log_p - prior,
    }
    if rule not in scores:
        raise ValueError
    return scores[rule].argmax(dim=1)


def _questions(generator: Generator, rule: str) -> list[Case]:
    """Six questions, of which each rule answers some like no other; then ties."""
    wrong = [r for r in ("sum", "token", "byte", "pmi") if r != rule]
    slips = (
        prior_added,
        divided_by_the_prior,
        least_likely_chosen,
        times_the_length,
        tokens_for_bytes,
        probabilities_divided,
        pmi_for_each_byte,
    )
    while True:
        q, c = 6, draw_integer(generator, 3, 5)
        n_tokens = torch.randint(1, 9, (q, c), generator=generator)
        n_bytes = n_tokens + torch.randint(1, 20, (q, c), generator=generator)
        noise = torch.rand(2, q, c, generator=generator)
        log_p = -(1 + n_tokens * (0.5 + 2 * noise[0]))
        prior = -(1 + n_tokens * (0.5 + 2 * noise[1]))
        args = (log_p, n_tokens, n_bytes, prior)
        right = reference_choice(*args, rule)
        others = [reference_choice(*args, r) for r in wrong]
        others += [slip(*args, rule) for slip in slips]
        if all(not o.equal(right) or o.equal(s) for o, s in _alike(others, rule, args)):
            break
    says = f"{q} questions, {c} candidates, {rule!r}"
    times = draw_integer(generator, 2, 9)
    # The second and the third candidate are equal by every rule, and the best.
    first, second = -9.0 * times, -2.0 * times
    tie = torch.tensor([[first, second, second, first]])
    n = torch.full((1, 4), times)
    equal = (tie, n, 2 * n, torch.full((1, 4), -3.0 * times), rule)
    return [Case((*args, rule), says), Case(equal, f"two equal candidates, {rule!r}")]


def _alike(
    others: list[Tensor], rule: str, args: tuple[Tensor, ...]
) -> list[tuple[Tensor, Tensor]]:
    """Each wrong answer, with itself where it is right for this rule by definition."""
    by_definition = {
        "sum": {3, 4, 6, 7, 8, 9},
        "token": {3, 4, 9},
        "byte": {3, 4, 9},
        "pmi": {6, 7, 8},
    }[rule]
    never = torch.full_like(others[0], -1)
    return [(o, o if i in by_definition else never) for i, o in enumerate(others)]


def _by_sum(generator: Generator) -> list[Case]:
    return _questions(generator, "sum")


def _by_token(generator: Generator) -> list[Case]:
    return _questions(generator, "token")


def _by_byte(generator: Generator) -> list[Case]:
    return _questions(generator, "byte")


def _by_pmi(generator: Generator) -> list[Case]:
    return _questions(generator, "pmi")


def _unknown_rules(generator: Generator) -> list[Case]:
    ones = -1 - torch.rand(2, 3, generator=generator)
    n = torch.ones(2, 3, dtype=torch.int64)
    return [Case((ones, n, n, ones, rule), repr(rule)) for rule in ("mean", "", "Sum")]


CHOICE = Exercise(
    name="6/multiple_choice",
    title="Which candidate?",
    difficulty=2,
    minutes=15,
    reference=reference_choice,
    parts=(
        Part("sum", 1, _by_sum),
        Part("token", 1, _by_token),
        Part("byte", 1, _by_byte),
        Part("pmi", 1, _by_pmi),
        Part("raises ValueError", 1, _unknown_rules, error_type),
    ),
    misconceptions=(
        Misconception(
            prior_added,
            "You added the prior: a candidate that is likely anyway is favoured twice. "
            "log p(c | question)/p(c) is a difference.",
        ),
        Misconception(
            divided_by_the_prior,
            "The ratio of two *probabilities* is the difference of their logarithms, "
            "not the ratio.",
        ),
        Misconception(
            least_likely_chosen,
            "You chose the lowest score. Log-probabilities are negative: the best is "
            "nearest to 0.",
        ),
        Misconception(
            times_the_length,
            "You multiply by the length, which punishes long candidates twice: divide.",
        ),
        Misconception(tokens_for_bytes, "Tokens and bytes have changed places."),
        Misconception(
            last_of_equal_ones, "Of equal candidates the first is asked for."
        ),
        Misconception(
            sum_whatever_the_rule,
            "A rule that does not exist must raise ValueError: yours gives an answer.",
        ),
    ),
    slips=(
        Misconception(
            pmi_for_each_byte,
            "You divide PMI by the length. It is the difference alone.",
        ),
        Misconception(
            best_question_of_each_place,
            "You chose along the questions. Rows are questions, columns candidates.",
        ),
        Misconception(
            probabilities_divided,
            "You divide the *probability* by the length. The logarithm is asked: a "
            "mean over tokens, or over bytes.",
        ),
    ),
    hints=(
        "Make the scores [q, c] by the rule, then take `argmax` once.",
        "PMI: log p(candidate | question) − log p(candidate).",
        "`argmax` gives the first of equal ones.",
    ),
)


# -- corpus_bleu ----------------------------------------------------------------------


def reference_bleu(hypotheses: list[list[str]], references: list[list[str]]) -> float:
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(have)
            right[n - 1] += sum(min(have.count(g), want.count(g)) for g in set(have))
    if 0 in right:
        return 0.0
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / h)) * math.exp(sum(logs) / 4)


def mean_of_sentences(
    hypotheses: list[list[str]], references: list[list[str]]
) -> float:
    scores = []
    for given, wanted in zip(hypotheses, references, strict=True):
        logs = []
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            right = sum(min(have.count(g), want.count(g)) for g in set(have))
            logs.append(math.log(right / len(have)) if right else -math.inf)
        brevity = min(1.0, math.exp(1 - len(wanted) / len(given))) if given else 0.0
        scores.append(100 * brevity * math.exp(sum(logs) / 4))
    return sum(scores) / len(scores)


def not_clipped(hypotheses: list[list[str]], references: list[list[str]]) -> float:
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(have)
            right[n - 1] += sum(g in want for g in have)
    if 0 in right:
        return 0.0
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / h)) * math.exp(sum(logs) / 4)


def brevity_turned_round(
    hypotheses: list[list[str]], references: list[list[str]]
) -> float:
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(have)
            right[n - 1] += sum(min(have.count(g), want.count(g)) for g in set(have))
    if 0 in right:
        return 0.0
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - h / r)) * math.exp(sum(logs) / 4)


def brevity_of_each_sentence(
    hypotheses: list[list[str]], references: list[list[str]]
) -> float:
    right, total, brevity = [0] * 4, [0] * 4, 0.0
    for given, wanted in zip(hypotheses, references, strict=True):
        brevity += min(1.0, math.exp(1 - len(wanted) / len(given))) if given else 0.0
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(have)
            right[n - 1] += sum(min(have.count(g), want.count(g)) for g in set(have))
    if 0 in right:
        return 0.0
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    return 100 * brevity / len(hypotheses) * math.exp(sum(logs) / 4)


def no_brevity(hypotheses: list[list[str]], references: list[list[str]]) -> float:
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(have)
            right[n - 1] += sum(min(have.count(g), want.count(g)) for g in set(have))
    if 0 in right:
        return 0.0
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    return 100 * math.exp(sum(logs) / 4)


def arithmetic_mean(hypotheses: list[list[str]], references: list[list[str]]) -> float:
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(have)
            right[n - 1] += sum(min(have.count(g), want.count(g)) for g in set(have))
    if 0 in total:
        return 0.0
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    shares = [r / t for r, t in zip(right, total, strict=True)]
    return 100 * min(1.0, math.exp(1 - r / h)) * sum(shares) / 4


def a_little_for_nothing(
    hypotheses: list[list[str]], references: list[list[str]]
) -> float:
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(have)
            right[n - 1] += sum(min(have.count(g), want.count(g)) for g in set(have))
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    if h == 0:
        return 0.0
    logs = [
        math.log(max(r, 0.1) / max(t, 1)) for r, t in zip(right, total, strict=True)
    ]
    return 100 * min(1.0, math.exp(1 - r / h)) * math.exp(sum(logs) / 4)


def logarithm_of_nothing(
    hypotheses: list[list[str]], references: list[list[str]]
) -> float:
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(have)
            right[n - 1] += sum(min(have.count(g), want.count(g)) for g in set(have))
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / h)) * math.exp(sum(logs) / 4)


# Slips: recognised, and not handed in by the tests.


def right_in_any_sentence(
    hypotheses: list[list[str]], references: list[list[str]]
) -> float:
    right, total = [0] * 4, [0] * 4
    for n in range(1, 5):
        have = [tuple(t[i : i + n]) for t in hypotheses for i in range(len(t) - n + 1)]
        want = [tuple(t[i : i + n]) for t in references for i in range(len(t) - n + 1)]
        total[n - 1] = len(have)
        right[n - 1] = sum(min(have.count(g), want.count(g)) for g in set(have))
    if 0 in right:
        return 0.0
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / h)) * math.exp(sum(logs) / 4)


def each_ngram_once(hypotheses: list[list[str]], references: list[list[str]]) -> float:
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(have)
            right[n - 1] += len(set(have) & set(want))
    if 0 in right:
        return 0.0
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / h)) * math.exp(sum(logs) / 4)


def out_of_one(hypotheses: list[list[str]], references: list[list[str]]) -> float:
    return reference_bleu(hypotheses, references) / 100


def sets_of_ngrams(hypotheses: list[list[str]], references: list[list[str]]) -> float:
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = {tuple(given[i : i + n]) for i in range(len(given) - n + 1)}
            want = {tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)}
            total[n - 1] += len(have)
            right[n - 1] += len(have & want)
    if 0 in right:
        return 0.0
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / h)) * math.exp(sum(logs) / 4)


def recall_of_ngrams(hypotheses: list[list[str]], references: list[list[str]]) -> float:
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(want)
            right[n - 1] += sum(min(have.count(g), want.count(g)) for g in set(have))
    if 0 in right:
        return 0.0
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / h)) * math.exp(sum(logs) / 4)


def words_alone(hypotheses: list[list[str]], references: list[list[str]]) -> float:
    right = total = 0
    for given, wanted in zip(hypotheses, references, strict=True):
        right += sum(min(given.count(w), wanted.count(w)) for w in set(given))
        total += len(given)
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / h)) * right / total if total else 0.0


def too_long_is_punished(
    hypotheses: list[list[str]], references: list[list[str]]
) -> float:
    right, total = [0] * 4, [0] * 4
    for given, wanted in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have = [tuple(given[i : i + n]) for i in range(len(given) - n + 1)]
            want = [tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)]
            total[n - 1] += len(have)
            right[n - 1] += sum(min(have.count(g), want.count(g)) for g in set(have))
    if 0 in right:
        return 0.0
    logs = [math.log(r / t) for r, t in zip(right, total, strict=True)]
    h, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * math.exp(1 - r / h) * math.exp(sum(logs) / 4)


WORDS = (
    *("the", "cat", "dog", "sees", "a", "man", "in", "red", "house", "old", "tree"),
    *("walks", "by", "river", "and", "sleeps", "there", "every", "day", "它", "书"),
)


def _sentence(generator: Generator, n: int) -> list[str]:
    """`n` different words."""
    order = torch.randperm(len(WORDS), generator=generator)[:n]
    return [WORDS[i] for i in order]


def _says(hypotheses: list[list[str]], references: list[list[str]]) -> str:
    lines = [
        f"{' '.join(h)!r} for {' '.join(r)!r}"
        for h, r in zip(hypotheses, references, strict=True)
    ]
    return "\n  ".join(lines)


def _case(hypotheses: list[list[str]], references: list[list[str]]) -> Case:
    return Case((hypotheses, references), _says(hypotheses, references))


def _perfect(generator: Generator) -> list[Case]:
    texts = [_sentence(generator, draw_integer(generator, 5, 8)) for _ in range(2)]
    return [_case(texts, [list(text) for text in texts])]


def _repeated(generator: Generator) -> list[Case]:
    """The hypothesis says four right words twice."""
    text = _sentence(generator, 8)
    return [_case([[*text[:5], *text[:5]]], [text])]


def _several(generator: Generator) -> list[Case]:
    """A short one; a word that comes twice, rightly; words of the other sentence."""
    good = _sentence(generator, draw_integer(generator, 9, 12))
    good = [*good[:6], good[1], *good[6:]]
    poor = [word for word in _sentence(generator, 21) if word not in good][:6]
    given = [*good[:-1], poor[5]]
    other = [*poor[:4], good[-1], poor[4], "moon"]
    return [
        _case([given, other], [good, poor]),
        _case([other, given, poor[:3]], [poor, good, poor[:3]]),
    ]


def _too_short(generator: Generator) -> list[Case]:
    """In all too short, though one sentence is longer than its reference."""
    long = _sentence(generator, draw_integer(generator, 10, 13))
    short = _sentence(generator, 5)
    return [_case([long[: len(long) // 2], [*short, "moon"]], [long, short])]


def _nothing_shared(generator: Generator) -> list[Case]:
    text = _sentence(generator, 9)
    three = _sentence(generator, 3)
    nothing: list[str] = []
    return [
        _case([text[:6]], [text]),
        _case([[*text[:3], "moon", *text[3:6]]], [text]),
        _case([three], [list(three)]),
        _case([nothing, text[:2]], [text[:4], text[:5]]),
    ]


BLEU = Exercise(
    name="6/corpus_bleu",
    title="BLEU of a corpus",
    difficulty=3,
    minutes=30,
    reference=reference_bleu,
    parts=(
        Part("all right", 1, _perfect, _number),
        Part("words said twice", 1, _repeated, _number),
        Part("several sentences", 2, _several, _number),
        Part("too short", 1, _too_short, _number),
        Part("no four words in a row", 1, _nothing_shared, _number),
    ),
    misconceptions=(
        Misconception(
            mean_of_sentences,
            "You took the mean of the sentences' scores. BLEU adds up matches and "
            "n-grams over the whole corpus first.",
        ),
        Misconception(
            not_clipped,
            "'the the the' must not be right three times: an n-gram counts at most as "
            "often as the reference has it.",
        ),
        Misconception(
            brevity_turned_round,
            "exp(1 − h/r) is the wrong way round: a *short* hypothesis is punished, by "
            "exp(1 − r/h).",
        ),
        Misconception(
            brevity_of_each_sentence,
            "Brevity is judged sentence by sentence. It is for the whole corpus, "
            "where a long one makes up for a short one.",
        ),
        Misconception(
            no_brevity,
            "Nothing punishes a short text: it would be best to say the two surest "
            "words. exp(1 − r/h) is missing.",
        ),
        Misconception(
            arithmetic_mean,
            "This is the arithmetic mean of the four shares: the geometric is asked.",
        ),
        Misconception(
            a_little_for_nothing,
            "Where no n-gram of some length is right, the score is 0 here. You put a "
            "small number in its place, which is a smoothing.",
        ),
        Misconception(
            logarithm_of_nothing,
            "log 0, or 0/0, where no n-gram of some length is right or there is none: "
            "the score is 0 then.",
        ),
    ),
    slips=(
        Misconception(
            right_in_any_sentence,
            "An n-gram is right only if *its* reference has it: yours may be right by "
            "the reference of another sentence.",
        ),
        Misconception(
            each_ngram_once,
            "An n-gram that comes twice on both sides is right twice: you count it "
            "once.",
        ),
        Misconception(out_of_one, "The score goes from 0 to 100: yours ends at 1."),
        Misconception(
            sets_of_ngrams,
            "You compare *sets* of n-grams, and lose how often each comes.",
        ),
        Misconception(
            recall_of_ngrams,
            "You divide by the n-grams of the reference. Precision is asked: those of "
            "the hypothesis.",
        ),
        Misconception(words_alone, "Only words are counted: n goes from 1 to 4."),
        Misconception(
            too_long_is_punished,
            "The factor of brevity is at most 1: yours rewards a text that is too "
            "long.",
        ),
    ),
    hints=(
        "For each n count two numbers over all sentences: right n-grams, and n-grams.",
        "min(how often here, how often in the reference), for each different n-gram.",
        "100 · min(1, exp(1 − r/h)) · exp(mean of the four log(right/total)).",
    ),
    forbidden=(*LIBRARY, "sacrebleu", "nltk", "transformers"),
)


# -- answer_f1 ------------------------------------------------------------------------


def reference_f1(given: str, truth: str) -> float:
    def words(text: str) -> list[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        text = "".join(c for c in text.lower() if c not in marks)
        return [w for w in text.split() if w not in ("a", "an", "the")]

    have, want = words(given), words(truth)
    if not have or not want:
        return float(have == want)
    common = sum(min(have.count(w), want.count(w)) for w in set(have))
    return 2 * common / (len(have) + len(want))


def sets_of_words(given: str, truth: str) -> float:
    def words(text: str) -> set[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        text = "".join(c for c in text.lower() if c not in marks)
        return {w for w in text.split() if w not in ("a", "an", "the")}

    have, want = words(given), words(truth)
    if not have or not want:
        return float(have == want)
    return 2 * len(have & want) / (len(have) + len(want))


def letters_taken_out(given: str, truth: str) -> float:
    def words(text: str) -> list[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        text = "".join(c for c in text.lower() if c not in marks)
        for article in ("the", "an", "a"):
            text = text.replace(article, "")
        return text.split()

    have, want = words(given), words(truth)
    if not have or not want:
        return float(have == want)
    common = sum(min(have.count(w), want.count(w)) for w in set(have))
    return 2 * common / (len(have) + len(want))


def nothing_by_nothing(given: str, truth: str) -> float:
    def words(text: str) -> list[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        text = "".join(c for c in text.lower() if c not in marks)
        return [w for w in text.split() if w not in ("a", "an", "the")]

    have, want = words(given), words(truth)
    common = sum(min(have.count(w), want.count(w)) for w in set(have))
    precision, recall = common / len(have), common / len(want)
    return 2 * precision * recall / (precision + recall) if common else 0.0


def zero_for_both_empty(given: str, truth: str) -> float:
    def words(text: str) -> list[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        text = "".join(c for c in text.lower() if c not in marks)
        return [w for w in text.split() if w not in ("a", "an", "the")]

    have, want = words(given), words(truth)
    common = sum(min(have.count(w), want.count(w)) for w in set(have))
    return 2 * common / (len(have) + len(want)) if common else 0.0


def characters(given: str, truth: str) -> float:
    def words(text: str) -> list[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        text = "".join(c for c in text.lower() if c not in marks)
        return list("".join(w for w in text.split() if w not in ("a", "an", "the")))

    have, want = words(given), words(truth)
    if not have or not want:
        return float(have == want)
    common = sum(min(have.count(w), want.count(w)) for w in set(have))
    return 2 * common / (len(have) + len(want))


def recall_alone(given: str, truth: str) -> float:
    def words(text: str) -> list[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        text = "".join(c for c in text.lower() if c not in marks)
        return [w for w in text.split() if w not in ("a", "an", "the")]

    have, want = words(given), words(truth)
    if not have or not want:
        return float(have == want)
    return sum(min(have.count(w), want.count(w)) for w in set(have)) / len(want)


def articles_left_in(given: str, truth: str) -> float:
    def words(text: str) -> list[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        return "".join(c for c in text.lower() if c not in marks).split()

    have, want = words(given), words(truth)
    if not have or not want:
        return float(have == want)
    common = sum(min(have.count(w), want.count(w)) for w in set(have))
    return 2 * common / (len(have) + len(want))


def marks_left_in(given: str, truth: str) -> float:
    def words(text: str) -> list[str]:
        return [w for w in text.lower().split() if w not in ("a", "an", "the")]

    have, want = words(given), words(truth)
    if not have or not want:
        return float(have == want)
    common = sum(min(have.count(w), want.count(w)) for w in set(have))
    return 2 * common / (len(have) + len(want))


def articles_before_marks(given: str, truth: str) -> float:
    def words(text: str) -> list[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        kept = (w for w in text.lower().split() if w not in ("a", "an", "the"))
        return "".join(c for c in " ".join(kept) if c not in marks).split()

    have, want = words(given), words(truth)
    if not have or not want:
        return float(have == want)
    common = sum(min(have.count(w), want.count(w)) for w in set(have))
    return 2 * common / (len(have) + len(want))


# Slips: recognised, and not handed in by the tests.


def precision_alone(given: str, truth: str) -> float:
    return recall_alone(truth, given)


def capitals_left_in(given: str, truth: str) -> float:
    def words(text: str) -> list[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        text = "".join(c for c in text if c not in marks)
        return [w for w in text.split() if w not in ("a", "an", "the")]

    have, want = words(given), words(truth)
    if not have or not want:
        return float(have == want)
    common = sum(min(have.count(w), want.count(w)) for w in set(have))
    return 2 * common / (len(have) + len(want))


def spaces_for_marks(given: str, truth: str) -> float:
    def words(text: str) -> list[str]:
        marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
        text = "".join(" " if c in marks else c for c in text.lower())
        return [w for w in text.split() if w not in ("a", "an", "the")]

    have, want = words(given), words(truth)
    if not have or not want:
        return float(have == want)
    common = sum(min(have.count(w), want.count(w)) for w in set(have))
    return 2 * common / (len(have) + len(want))


def exact_match(given: str, truth: str) -> float:
    return float(reference_f1(given, truth) == 1)


PEOPLE = ("Ada Lovelace", "Alan Turing", "Grace Hopper", "Claude Shannon", "John Tukey")
THINGS = ("an engine", "a proof", "the theory", "an answer", "the band", "a path")


def _drawn(generator: Generator, some: tuple[str, ...]) -> str:
    return some[draw_integer(generator, 0, len(some) - 1)]


def _texts(given: str, truth: str) -> Case:
    return Case((given, truth), f"{given!r} for {truth!r}")


def _answers(generator: Generator) -> list[Case]:
    person, year = _drawn(generator, PEOPLE), draw_integer(generator, 1500, 1999)
    first, last = person.split()
    return [
        _texts(f"{person}, in {year}.", person),
        _texts(f"it was {first.upper()}!", f"{person} ({year})"),
        _texts(f"{last}'s idea of {year}", f"({last}s idea), of {first} in {year}-{7}"),
    ]


def _repeats(generator: Generator) -> list[Case]:
    one, two = _drawn(generator, PEOPLE).split()
    n = draw_integer(generator, 4, 6)  # with 3 a set would do
    return [_texts(" ".join([one] * n + [two]), f"{one} {two} {one}, {n} times")]


def _none(generator: Generator) -> list[Case]:
    person = _drawn(generator, PEOPLE)
    return [
        Case(("", ""), "'' for ''", only=True),
        Case(("The...", "a"), "'The...' for 'a'", only=True),
        _texts(person, person.split()[0]),
        _texts("", person),
        _texts(person, " - "),
    ]


def _articles(generator: Generator) -> list[Case]:
    thing, year = _drawn(generator, THINGS), draw_integer(generator, 1500, 1999)
    noun = thing.split()[1]
    other = "the" if thing.split()[0] != "the" else "an"
    return [
        _texts(f"{thing} in a coat", f"{other} {noun} in the cot, the."),
        _texts(f"{other.title()}: {noun}", f"a banana, {noun} {year}"),
    ]


F1 = Exercise(
    name="6/answer_f1",
    title="How much of an answer is right",
    difficulty=2,
    minutes=15,
    reference=reference_f1,
    parts=(
        Part("answers", 1, _answers, _number),
        Part("words that come again", 1, _repeats, _number),
        Part("nothing to compare", 1, _none, _number),
        Part("articles", 1, _articles, _number),
    ),
    misconceptions=(
        Misconception(
            sets_of_words,
            "With sets, 'no no no' is as good as 'no'. Count each word as often as it "
            "comes on both sides.",
        ),
        Misconception(
            letters_taken_out,
            "`replace('a', '')` takes the letter out of every word. Take out *words*.",
        ),
        Misconception(
            nothing_by_nothing,
            "0/0: when one side has no words, the score is 0, and 1 if neither has.",
        ),
        Misconception(
            zero_for_both_empty,
            "Where both are empty, they are the same: the score is 1.",
        ),
        Misconception(characters, "You compare characters. Words are asked for."),
        Misconception(
            recall_alone,
            "This is recall: an answer that says everything would be perfect. F1 is "
            "the harmonic mean of precision and recall.",
        ),
        Misconception(
            articles_left_in, "'a', 'an' and 'the' do not count: take them out."
        ),
        Misconception(
            marks_left_in, "Punctuation does not count: take it out of the words."
        ),
        Misconception(
            articles_before_marks,
            "You took out articles before punctuation, and 'the.' stayed. First the "
            "marks.",
        ),
    ),
    slips=(
        Misconception(
            precision_alone,
            "This is precision: one right word would be perfect. F1 is the harmonic "
            "mean of precision and recall.",
        ),
        Misconception(capitals_left_in, "Capitals do not count: `lower()` first."),
        Misconception(
            spaces_for_marks,
            'A mark is deleted, not turned into a space: "Ada\'s" is one word.',
        ),
        Misconception(
            exact_match, "This is exact match, 1 or 0: a part of an answer is worth F1."
        ),
    ),
    hints=(
        "`string.punctuation` has the ASCII marks.",
        "`collections.Counter`, and `&` between two of them.",
        "2·common/(words here + words there) is the harmonic mean of both shares.",
    ),
    forbidden=(*LIBRARY, "sklearn", "transformers"),
)

EXERCISES = [CHOICE, BLEU, F1]
